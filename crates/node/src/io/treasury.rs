//! The treasury as a service: its source, its log, and whoever calls.

use std::{collections::BTreeMap, fmt, io, sync::Arc, time::Duration};

use bus::{Hub, Input};
use chain::{PublishChange, PublishState};
use tracing::{error, info, warn};
use wire::{Network, tick::Tick};
use zeroize::Zeroizing;

use super::{
    bell::{self, Answer, Bell, Calls, SaveFault, Saver},
    bitcoind::Bitcoind,
    clock,
    office::unsigned,
    reach::{self, At, Heard},
    stop::Stop,
};
use crate::{
    services::{
        gate::{Barrier, Next},
        saved::{self, ChangeFault},
        treasury::{
            CallId, Change, Command, Effect, Event, Failure, Followed, Health, Refusal, Reply,
            Save, Saved, SavedWallet, SignId, State, Step, Terms, Treasury,
        },
    },
    store::{Core, Log, LogFault, Restored, SNAPSHOT_BYTES_MAX, Store, StoreFault, Write},
};

/// Whose changes ours are.
pub const TREASURY: Core = Core("treasury");
/// And those of what is published.
pub const PUBLISHER: Core = Core("publisher");
/// And those of the wallet.
pub const WALLET: Core = Core("wallet");
/// After so many changes their sum is saved instead.
const SNAPSHOT_EVERY: u64 = 1_000;
/// A longer sum is saved more rarely: after one change for so many of its bytes.
const SNAPSHOT_BYTES_PER_CHANGE: u64 = 400;

/// Calls the treasury from any thread.
pub type TreasuryBell = Bell<Command, Result<Reply, Refusal>>;

/// Why a treasury cannot go on.
#[derive(Debug)]
pub enum TreasuryFault {
    /// The system says no.
    Io(io::Error),
    /// The store cannot be used.
    Store(Arc<StoreFault>),
    /// What it holds cannot be read.
    Saved(ChangeFault),
    /// Nothing can be saved.
    Log(LogFault),
    /// It cannot go on by itself.
    Failure(Box<Failure>),
}

/// What was saved of each core.
pub struct Before {
    own: Restored,
    publisher: Restored,
    wallet: Restored,
    /// Fundings of channels that are in no block.
    pub owed: Vec<bitcoin::Transaction>,
}

impl Before {
    /// Reads it.
    pub fn of(store: &mut Store) -> Result<Self, StoreFault> {
        Ok(Self {
            owed: Vec::new(),
            own: store.restore(TREASURY)?,
            publisher: store.restore(PUBLISHER)?,
            wallet: store.restore(WALLET)?,
        })
    }

    fn read(self, network: Network) -> Result<Saved, TreasuryFault> {
        let of_wallet = self.wallet.changes.into_iter().map(|(_, bytes)| bytes);
        Ok(Saved {
            own: restore(&self.own, network)?,
            publisher: restore_publisher(&self.publisher).map_err(TreasuryFault::Saved)?,
            owed: self.owed,
            wallet: SavedWallet { snapshot: self.wallet.snapshot, changes: of_wallet.collect() },
        })
    }
}

/// The treasury and all it needs.
pub struct Service {
    hub: Hub,
    treasury: Treasury,
    barrier: Barrier<Write, Effect>,
    changes: u64,
    snapshot_after: u64,
    saver: Saver,
    calls: Calls<Command, Result<Reply, Refusal>>,
    waiting: BTreeMap<CallId, Answer<Result<Reply, Refusal>>>,
    last_call: CallId,
    tell: Box<dyn Fn(Event) + Send>,
    follow: Box<dyn Fn(Followed) + Send>,
    source: Bitcoind,
    signer: reach::Service<SignId>,
    now: Tick,
}

impl Service {
    /// Opens with what was saved.
    pub fn open(
        mut hub: Hub,
        before: Before,
        log: &Log,
        terms: Terms,
        source: Bitcoind,
        signer: At,
        tell: Box<dyn Fn(Event) + Send>,
    ) -> Result<(Self, TreasuryBell), TreasuryFault> {
        let since = before.own.changes.len() + before.wallet.changes.len();
        let saved = before.read(terms.network)?;
        let signer =
            reach::Service::reach(&mut hub, signer, "signer").map_err(TreasuryFault::Io)?;
        let now = clock::now();
        let (bell, calls) = bell::bell(hub.waker());
        let saver = Saver::new(log, hub.waker());
        let service = Self {
            hub,
            treasury: Treasury::open(saved, terms, now),
            barrier: Barrier::default(),
            changes: since as u64,
            snapshot_after: SNAPSHOT_EVERY,
            saver,
            calls,
            waiting: BTreeMap::new(),
            last_call: CallId(0),
            tell,
            follow: Box::new(|_| ()),
            source,
            signer,
            now,
        };
        Ok((service, bell))
    }

    /// Channels hear what they follow.
    pub fn followed_by(&mut self, follow: Box<dyn Fn(Followed) + Send>) {
        self.follow = follow;
    }

    /// Works until it is told to stop, or cannot go on.
    pub fn run(mut self, stop: &Stop) -> Result<(), TreasuryFault> {
        let mut inputs = Vec::new();
        while !stop.is_set() {
            self.now = clock::now();
            self.treasury.clock(clock::unix_time().0);
            if self.treasury.wake_at() <= self.now {
                self.treasury.wake(self.now);
            }
            self.settle()?;
            let wait = Duration::from_millis(self.treasury.wake_at().since(self.now).0 + 1);
            self.hub.poll(Some(wait), &mut inputs).map_err(TreasuryFault::Io)?;
            self.now = clock::now();
            for input in inputs.drain(..) {
                self.take(input);
            }
            self.woken()?;
        }
        self.settle()
    }

    fn take(&mut self, input: Input) {
        match self.signer.hear(input) {
            Heard::Came => self.treasury.signer_came(),
            Heard::Went => self.treasury.signer_went(),
            Heard::Answered(id, mut answer) => {
                let answer = signer::Answer::decode(&mut answer).ok();
                self.treasury.signer_answered(id, answer);
            }
            Heard::Nothing => {}
        }
    }

    fn woken(&mut self) -> Result<(), TreasuryFault> {
        while let Some(ticket) = self.saver.told()? {
            self.barrier.durable(ticket);
        }
        while let Some((id, answer)) = self.source.told() {
            self.treasury.answered(id, answer, self.now);
        }
        while let Ok((command, answer)) = self.calls.try_recv() {
            self.last_call = CallId(self.last_call.0 + 1);
            self.waiting.insert(self.last_call, answer);
            self.treasury.call(self.last_call, command, self.now);
        }
        Ok(())
    }

    /// Saves what is to be saved, and does what may be done.
    fn settle(&mut self) -> Result<(), TreasuryFault> {
        while let Some(step) = self.treasury.poll() {
            match step {
                Step::Save(save) => {
                    self.changes += 1;
                    let change = |core, bytes| Write::Change { core, bytes };
                    self.barrier.save(match save {
                        Save::Own(own) => change(TREASURY, own.encode()),
                        Save::Publisher(of_publisher) => change(PUBLISHER, of_publisher.encode()),
                        Save::Wallet(bytes) => change(WALLET, bytes),
                        Save::WalletBegun(bytes) => Write::Snapshot { core: WALLET, bytes },
                    });
                }
                Step::Do(effect) => self.barrier.hold(effect),
            }
        }
        // What has failed has no sum: it may have taken apart what it was to begin with.
        if self.changes >= self.snapshot_after && !self.treasury.has_failed() {
            self.take_snapshot();
        }
        while let Some(next) = self.barrier.release() {
            match next {
                Next::Save { ticket, records } => {
                    let given = self.saver.append(records)?;
                    assert_eq!(given, ticket, "the log and the barrier count alike");
                }
                Next::Do(effect) => self.perform(effect)?,
            }
        }
        self.source.drop_before(self.treasury.first_open());
        for (id, why) in self.signer.send(&mut self.hub) {
            self.treasury.signer_answered(id, unsigned(&why));
            // Somebody may wait for what follows from that.
            self.hub.waker().wake();
        }
        Ok(())
    }

    /// All that was to be saved has been given to the barrier: the sum is that of all of it.
    fn take_snapshot(&mut self) {
        let mut sums = vec![
            (TREASURY, self.treasury.snapshot()),
            (PUBLISHER, self.treasury.publisher_snapshot()),
        ];
        sums.extend(self.treasury.wallet_snapshot().map(|bytes| (WALLET, bytes)));
        let len: usize = sums.iter().map(|(_, bytes)| bytes.len()).sum();
        self.changes = 0;
        self.snapshot_after = SNAPSHOT_EVERY.max(len as u64 / SNAPSHOT_BYTES_PER_CHANGE);
        for (core, bytes) in sums {
            let (got, max) = (bytes.len(), SNAPSHOT_BYTES_MAX);
            if got > max {
                error!(core = core.0, got, max, "the sum is too long to be saved; changes pile up");
                continue;
            }
            self.barrier.save(Write::Snapshot { core, bytes });
        }
    }

    fn perform(&mut self, effect: Effect) -> Result<(), TreasuryFault> {
        match effect {
            Effect::AskSource(id, ask) => {
                if self.treasury.question_left(id, self.now) {
                    self.source.ask(id, ask);
                }
            }
            Effect::AskSigner(id, ask) => {
                let payload = Zeroizing::new(ask.encode());
                self.signer.unsent.push_back((id, ask.topic(), payload));
            }
            Effect::Reply { call, reply } => {
                if let Some(answer) = self.waiting.remove(&call) {
                    answer(*reply);
                }
            }
            Effect::Tell(event) => {
                log(&event);
                (self.tell)(event);
            }
            Effect::Follow(followed) => (self.follow)(*followed),
            Effect::Fail(failure) => return Err(TreasuryFault::Failure(Box::new(failure))),
        }
        Ok(())
    }
}

/// Each change of the source is said once.
fn log(event: &Event) {
    match event {
        Event::Source(health) => match health {
            Health::Up => info!("the source of blocks is up"),
            Health::Unknown | Health::Behind { .. } => info!(%health, "the source of blocks"),
            Health::Stale { .. } => warn!(%health, "the source of blocks stands still"),
            Health::Down { .. } => warn!(%health, "the source of blocks does not answer"),
            Health::OtherNetwork { .. } | Health::Lying { .. } => {
                error!(%health, "the source of blocks is not to be trusted");
            }
        },
        Event::Publication { txid, event } => info!(%txid, ?event, "published"),
        Event::Forgotten { txid } => warn!(%txid, "given up"),
        Event::Balance(_) => {}
        Event::ViewRefused { why } => error!(why, "the signer does not believe our source"),
        Event::NoBlock(no_block) => warn!("{no_block}"),
        Event::ViewUnconnected { tip, first } => {
            warn!(%tip, %first, "the signer's view of the chain ends below our first block");
        }
        Event::Rates(fault) => warn!(%fault, "the source's fee rates are left out"),
        Event::Block(block) => info!(%block, "connected"),
        Event::BlockGone(block) => info!(%block, "disconnected"),
        Event::Found { .. } | Event::FoundGone { .. } => {}
    }
}

fn restore(saved: &Restored, network: Network) -> Result<State, TreasuryFault> {
    let mut state = State::default();
    let damaged = |broke| TreasuryFault::Saved(ChangeFault::Damaged(broke));
    let snapshot = saved.snapshot.as_deref().unwrap_or_default();
    let of_snapshot = saved::split(snapshot).map_err(damaged)?;
    let since = saved.changes.iter().map(|(_, bytes)| &bytes[..]);
    for bytes in of_snapshot.into_iter().chain(since) {
        if let Some(change) = Change::decode(bytes).map_err(TreasuryFault::Saved)? {
            state.evolve(&change, network);
        }
    }
    Ok(state)
}

fn restore_publisher(saved: &Restored) -> Result<PublishState, ChangeFault> {
    let mut state = PublishState::decode(saved.snapshot.as_deref().unwrap_or_default())?;
    for (_, bytes) in &saved.changes {
        if let Some(change) = PublishChange::decode(bytes)? {
            state.evolve(&change);
        }
    }
    Ok(state)
}

impl From<SaveFault> for TreasuryFault {
    fn from(fault: SaveFault) -> Self {
        match fault {
            SaveFault::Store(fault) => Self::Store(fault),
            SaveFault::Log(fault) => Self::Log(fault),
        }
    }
}

impl fmt::Display for TreasuryFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(fault) => fault.fmt(f),
            Self::Store(fault) => fault.fmt(f),
            Self::Saved(fault) => fault.fmt(f),
            Self::Log(fault) => fault.fmt(f),
            Self::Failure(failure) => failure.fmt(f),
        }
    }
}

impl std::error::Error for TreasuryFault {}
