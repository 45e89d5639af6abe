//! Channels as a service: its links, its log, and whoever calls.
//!
//! One process has a log at a time, by the lock of its file or the epoch of its database, and all
//! that it asks, says and publishes carries its lease: so each channel has one writer.

use std::{
    collections::BTreeMap,
    fmt, io,
    sync::{
        Arc,
        mpsc::{Receiver, Sender},
    },
    time::Duration,
};

use bus::{Hub, Input, Waker};
use channel::{Begun, NoResolver};
use tracing::{error, info, warn};
use wire::{id::CommitmentNumber, lease::StaleLease, tick::Tick};
use zeroize::Zeroizing;

use super::{
    bell::{self, Answer, Bell, Calls, SaveFault, Saver},
    clock,
    office::unsigned,
    reach::{self, At, Heard},
    stop::Stop,
    treasury::TreasuryBell,
};
use crate::{
    services::{
        channels::{
            CallId, Change, ChannelName, Channels, Command, Effect, Event, Past, Refusal, Reply,
            State, Step, Terms, Token,
        },
        gate::{Barrier, Next},
        post::{Passed, Wish},
        saved::ChangeFault,
        treasury::{self, Followed},
    },
    store::{
        ARCHIVE_ENTRIES_MAX, Batch, Core, Log, LogFault, Restored, SNAPSHOT_BYTES_MAX, Store,
        StoreFault, Write,
    },
};

/// After so many changes the log gets the sum of all, which lets them be forgotten.
const SNAPSHOT_EVERY: u64 = 10_000;
/// A sum is worth one change for each so many of its bytes.
const SNAPSHOT_BYTES_PER_CHANGE: u64 = 400;

/// Whose changes ours are.
pub const CHANNELS: Core = Core("channels");

/// Calls the service from any thread.
pub type ChannelsBell = Bell<Command, Result<Reply, Refusal>>;

/// What other services of this process tell.
pub enum News {
    /// Of peers.
    Post(Passed),
    /// Of the chain.
    Chain(Box<Followed>),
    /// What a revoked commitment says.
    Recalled(ChannelName, Box<tx::Meaning>),
    /// The treasury has answered.
    Treasury(Token, Box<Result<treasury::Reply, treasury::Refusal>>),
}

/// Why the service cannot go on.
#[derive(Debug)]
pub enum ChannelsFault {
    /// The system says no.
    Io(io::Error),
    /// The store cannot be used.
    Store(Arc<StoreFault>),
    /// What it holds cannot be read.
    Saved(ChangeFault),
    /// It holds a contract that nobody here knows.
    Contract(NoResolver),
    /// Nothing can be saved.
    Log(LogFault),
    /// Another process has taken the channels.
    Taken(StaleLease),
}

/// Tells the service of the world.
#[derive(Clone)]
pub struct Ear {
    news: Sender<News>,
    waker: Waker,
}

/// What the service needs of the others.
pub struct Reach {
    /// The signer.
    pub signer: At,
    /// The treasury.
    pub treasury: TreasuryBell,
    /// The post office.
    pub wishes: Sender<Wish>,
    /// Wakes the post office.
    pub office: Waker,
}

/// The channels, and all they need.
pub struct Service {
    hub: Hub,
    channels: Channels,
    sums: Sums,
    barrier: Barrier<Write, Effect>,
    log: Log,
    saver: Saver,
    calls: Calls<Command, Result<Reply, Refusal>>,
    waiting: BTreeMap<CallId, Answer<Result<Reply, Refusal>>>,
    last_call: CallId,
    tell: Box<dyn Fn(Event) + Send>,
    news: Receiver<News>,
    ear: Ear,
    signer: reach::Service<Token>,
    treasury: TreasuryBell,
    /// Questions for which the treasury had no room.
    unasked: Vec<(Token, treasury::Command)>,
    wishes: Sender<Wish>,
    office: Waker,
    now: Tick,
}

/// What the service starts from.
pub struct Before {
    /// What was saved, folded.
    pub state: State,
    /// What was saved since the last snapshot.
    pub sums: Sums,
}

/// Cuts the log short.
pub struct Sums {
    past: Past,
    changes: u64,
    /// Changes until the next snapshot; and the least that they are.
    after: u64,
    every: u64,
}

/// What was saved, folded.
pub fn restore(saved: &Restored) -> Result<Before, ChannelsFault> {
    let snapshot = saved.snapshot.as_deref().unwrap_or_default();
    let mut state = State::decode(snapshot).map_err(ChannelsFault::Saved)?;
    let mut sums = Sums::after(snapshot.len(), SNAPSHOT_EVERY);
    for (_, bytes) in &saved.changes {
        if let Some(change) = Change::decode(bytes).map_err(ChannelsFault::Saved)? {
            state.judge(&change).map_err(ChannelsFault::Contract)?;
            sums.note(&change);
            state.evolve(&change);
        }
    }
    Ok(Before { state, sums })
}

impl Sums {
    /// After a snapshot of so many bytes; the next one comes after so many changes, or more where
    /// it would cost more than they do.
    pub fn after(bytes: usize, every: u64) -> Self {
        let after = every.max(bytes as u64 / SNAPSHOT_BYTES_PER_CHANGE);
        Self { past: Past::default(), changes: 0, after, every }
    }

    /// This is saved.
    pub fn note(&mut self, change: &Change) {
        self.past.note(change);
        self.changes += 1;
    }

    /// What takes the place of all that was noted, if that is much: the sum, and what it leaves out
    /// and revoked commitments have said, for the archive. All of it is saved together.
    pub fn take(&mut self, state: &State) -> Batch {
        if self.changes < self.after {
            return Batch::new();
        }
        let bytes = state.encode();
        let (got, max) = (bytes.len(), SNAPSHOT_BYTES_MAX);
        if got > max {
            error!(got, max, "the sum of channels is too long to be saved; changes pile up");
            self.changes = 0;
            return Batch::new();
        }
        let mut past = std::mem::replace(self, Self::after(got, self.every)).past;
        let archived =
            past.take().map(|(key, entry)| Write::Archive { core: CHANNELS, key, entry });
        archived.chain([Write::Snapshot { core: CHANNELS, bytes }]).collect()
    }
}

/// What a commitment of the peer has said, as far as the store knows.
pub fn recalled(
    store: &mut Store,
    name: ChannelName,
    begun: Begun,
    number: CommitmentNumber,
) -> Result<Option<tx::Meaning>, StoreFault> {
    let max = u32::try_from(ARCHIVE_ENTRIES_MAX).unwrap_or(u32::MAX);
    let entries = store.newest(CHANNELS, &Past::key(&name), max)?;
    let saved = store.restore(CHANNELS)?;
    let entries = entries.iter().rev().map(|(_, entry)| entry.as_slice());
    let since = saved.changes.iter().map(|(_, bytes)| bytes.as_slice());
    Ok(Past::recall(name, begun, entries, since, number))
}

impl Ear {
    /// An ear, and what it hears.
    pub fn new(waker: Waker) -> (Self, Receiver<News>) {
        let (news, heard) = std::sync::mpsc::channel();
        (Self { news, waker }, heard)
    }

    /// Tells something.
    pub fn tell(&self, news: News) {
        // A service that has ended wants to know nothing any more.
        self.news.send(news).ok();
        self.waker.wake();
    }
}

impl Service {
    /// Opens with what was saved.
    pub fn open(
        mut hub: Hub,
        before: Before,
        log: &Log,
        terms: Terms,
        (ear, news): (Ear, Receiver<News>),
        reach: Reach,
        tell: Box<dyn Fn(Event) + Send>,
    ) -> Result<(Self, ChannelsBell), ChannelsFault> {
        let Reach { signer, treasury, wishes, office } = reach;
        let signer =
            reach::Service::reach(&mut hub, signer, "signer").map_err(ChannelsFault::Io)?;
        let now = clock::now();
        let (bell, calls) = bell::bell(hub.waker());
        let saver = Saver::new(log, hub.waker());
        let service = Self {
            hub,
            channels: Channels::open(before.state, terms, now, clock::unix_time()),
            sums: before.sums,
            barrier: Barrier::default(),
            log: log.clone(),
            saver,
            calls,
            waiting: BTreeMap::new(),
            last_call: CallId(0),
            tell,
            news,
            ear,
            signer,
            treasury,
            unasked: Vec::new(),
            wishes,
            office,
            now,
        };
        Ok((service, bell))
    }

    /// Works until it is told to stop, or cannot go on.
    pub fn run(mut self, stop: &Stop) -> Result<(), ChannelsFault> {
        let mut inputs = Vec::new();
        while !stop.is_set() {
            self.tick();
            if self.channels.wake_at().is_some_and(|at| at <= self.now) {
                self.channels.wake();
            }
            self.settle()?;
            let wait = self.channels.wake_at();
            let wait = wait.map(|at| Duration::from_millis(at.since(self.now).0 + 1));
            let wait = if self.unasked.is_empty() { wait } else { Some(ROOM_EVERY) };
            let waits = self.barrier.has_late();
            let wait = if waits { Some(wait.map_or(LATE, |it| it.min(LATE))) } else { wait };
            self.hub.poll(wait, &mut inputs).map_err(ChannelsFault::Io)?;
            if waits && inputs.is_empty() {
                self.barrier.flush();
            }
            self.tick();
            for input in inputs.drain(..) {
                self.take(input);
            }
            self.woken()?;
        }
        self.barrier.flush();
        self.settle()
    }

    fn tick(&mut self) {
        self.now = clock::now();
        self.channels.clock(self.now, clock::unix_time());
        self.drink();
    }

    fn drink(&mut self) {
        for _ in 0..self.channels.thirst() {
            self.channels.stock(clock::drawn());
        }
    }

    fn take(&mut self, input: Input) {
        match self.signer.hear(input) {
            Heard::Came => self.channels.signer_came(),
            Heard::Went => self.channels.signer_went(),
            Heard::Answered(token, mut answer) => {
                let answer = signer::Answer::decode(&mut answer).ok();
                self.channels.signer_answered(token, answer);
            }
            Heard::Nothing => {}
        }
    }

    fn woken(&mut self) -> Result<(), ChannelsFault> {
        while let Some(ticket) = self.saver.told()? {
            self.barrier.durable(ticket);
        }
        while let Ok(news) = self.news.try_recv() {
            self.drink();
            match news {
                News::Post(passed) => self.passed(passed),
                News::Chain(followed) => {
                    let Followed { event, urgent, calm } = *followed;
                    self.channels.block(event, urgent, calm);
                }
                News::Recalled(name, meaning) => self.channels.recalled(&name, *meaning),
                News::Treasury(token, answer) => self.channels.treasury_answered(token, *answer),
            }
        }
        while let Ok((command, answer)) = self.calls.try_recv() {
            self.drink();
            self.last_call = CallId(self.last_call.0 + 1);
            self.waiting.insert(self.last_call, answer);
            self.channels.call(self.last_call, command);
        }
        Ok(())
    }

    fn passed(&mut self, passed: Passed) {
        match passed {
            Passed::Came { connection, node, features, is_old } => {
                self.channels.peer_came(connection, node, features, is_old);
            }
            Passed::Stale(stale) => self.channels.lose_lease(stale),
            Passed::Went { connection } => self.channels.peer_went(connection),
            Passed::Message { connection, bytes } => self.channels.message(connection, &bytes),
            Passed::Complaint { connection, channel_id, fails, text } => {
                self.channels.complaint(connection, channel_id, fails, &text);
            }
        }
    }

    /// Saves what is to be saved, and does what may be done.
    fn settle(&mut self) -> Result<(), ChannelsFault> {
        while let Some(step) = self.channels.poll() {
            match step {
                Step::Save(change) => {
                    self.sums.note(&change);
                    let write = Write::Change { core: CHANNELS, bytes: change.encode() };
                    match change.can_wait() {
                        true => self.barrier.save_late(write),
                        false => self.barrier.save(write),
                    }
                }
                Step::Do(effect) => self.barrier.hold(effect),
            }
        }
        // All that was to be saved has been given to the barrier: the sum is that of all of it.
        let sum = self.sums.take(self.channels.state());
        sum.into_iter().for_each(|write| self.barrier.save(write));
        while let Some(next) = self.barrier.release() {
            match next {
                Next::Save { ticket, records } => {
                    let given = self.saver.append(records)?;
                    assert_eq!(given, ticket, "the log and the barrier count alike");
                }
                Next::Do(effect) => self.perform(effect)?,
            }
        }
        self.ask_treasury();
        for (token, why) in self.signer.send(&mut self.hub) {
            // What did not leave because nobody is there is asked again when somebody is.
            if let Some(answer) = unsigned(&why) {
                self.channels.signer_answered(token, Some(answer));
                self.hub.waker().wake();
            }
        }
        Ok(())
    }

    fn perform(&mut self, effect: Effect) -> Result<(), ChannelsFault> {
        match effect {
            Effect::Attach { lease } => self.wish(Wish::Attach { lease }),
            Effect::Send { lease, connection, bytes } => {
                self.wish(Wish::Say { lease, connection, bytes });
            }
            Effect::Hangup { lease, connection } => {
                self.wish(Wish::HangUp { lease, connection });
            }
            Effect::AskSigner(token, ask) => {
                let payload = Zeroizing::new(ask.encode());
                self.signer.unsent.push_back((token, ask.topic(), payload));
            }
            Effect::Recall { name, number } => self.recall(name, number),
            Effect::AskTreasury { token, lease, want } => {
                let command = treasury::Command::Channels { lease, want: *want };
                self.unasked.push((token, command));
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
            Effect::Stop(stale) => return Err(ChannelsFault::Taken(stale)),
        }
        Ok(())
    }

    /// Looks up what a revoked commitment says. If the log does not know of it nothing is told.
    fn recall(&self, name: ChannelName, number: CommitmentNumber) {
        let Some(held) = self.channels.state().channels.get(&name) else { return };
        let (ear, begun) = (self.ear.clone(), held.channel.begun().clone());
        self.log.read(move |store| {
            if let Ok(Some(meaning)) = recalled(store, name, begun, number) {
                ear.tell(News::Recalled(name, Box::new(meaning)));
            }
        });
    }

    fn wish(&self, wish: Wish) {
        // An office that has ended takes the process with it.
        self.wishes.send(wish).ok();
        self.office.wake();
    }

    /// Asks in order; what there is no room for waits.
    fn ask_treasury(&mut self) {
        let mut left = std::mem::take(&mut self.unasked).into_iter();
        while let Some((token, command)) = left.next() {
            let ear = self.ear.clone();
            let answer = move |answer| ear.tell(News::Treasury(token, Box::new(answer)));
            if self.treasury.call(command.clone(), Box::new(answer)).is_err() {
                self.unasked.push((token, command));
                self.unasked.extend(left);
                return;
            }
        }
    }
}

/// What need not be saved at once waits so long for what must.
const LATE: Duration = Duration::from_millis(20);
/// A treasury without room is looked at again after this time.
const ROOM_EVERY: Duration = Duration::from_millis(20);

fn log(event: &Event) {
    match event {
        Event::Channel(line) => {
            let id = wire::Hex(&line.channel_id.0).to_string();
            info!(id, node = %line.node, stage = line.stage.word(), "channel");
        }
        Event::Payment(line) => info!(id = line.id.0, node = %line.node, "payment"),
        Event::Refused { channel_id, why } => {
            let id = wire::Hex(&channel_id.0).to_string();
            warn!(id, why, "the signer refuses");
        }
    }
}

impl From<SaveFault> for ChannelsFault {
    fn from(fault: SaveFault) -> Self {
        match fault {
            SaveFault::Store(fault) => Self::Store(fault),
            SaveFault::Log(fault) => Self::Log(fault),
        }
    }
}

impl fmt::Display for ChannelsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(fault) => fault.fmt(f),
            Self::Store(fault) => fault.fmt(f),
            Self::Saved(fault) => fault.fmt(f),
            Self::Contract(fault) => fault.fmt(f),
            Self::Log(fault) => fault.fmt(f),
            Self::Taken(StaleLease { got, have }) => write!(
                f,
                "another process has taken the channels (lease {}, ours is {}); stop one of them",
                have.0, got.0
            ),
        }
    }
}

impl std::error::Error for ChannelsFault {}
