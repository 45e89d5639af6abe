//! A node of a town: its channels and its treasury, in one process, with one disk.

use std::{collections::BTreeMap, sync::OnceLock};

use chain::{PublishChange, PublishState};
use node::services::{
    channels::{self, CallId, Change, Channels, Command, Effect, Event, State, Token},
    gate::{Barrier, Next, Ticket},
    saved,
    treasury::{self, ChannelsWant, Followed, Save, Saved, SavedWallet, SourceFault, Treasury},
};
use signer::{Ask, ChannelOp};
use wire::{
    Hex, Message, Network,
    tick::{Millis, Tick},
};

use super::{
    Broken, Happening, Keys, Sourced, UNIX, World, faults::Point, keys::Who, truth::conserved,
};

pub(crate) use crate::record::{Core, Record};

/// After so many changes their sum is saved instead.
const SNAPSHOT_EVERY: u64 = 120;

/// What is saved together.
#[derive(Clone, Debug)]
pub(crate) enum Batch {
    Channels(Vec<Change>),
    Bank(Vec<Record>),
}

/// What is durable.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    /// A sum, and the changes since then.
    bank: BTreeMap<Core, (Vec<u8>, Vec<Vec<u8>>)>,
    channels: Vec<Line>,
}

/// A change as its bytes, which are read when a process starts that has not been told of it.
#[derive(Clone)]
struct Line {
    bytes: Vec<u8>,
    /// The same bytes are not read twice.
    read: OnceLock<Change>,
}

/// An effect, and how many changes of its service were made before it.
struct Caused<E> {
    causes: u64,
    effect: E,
}

/// One service of a node behind its barrier.
pub(crate) struct Gated<R, E> {
    barrier: Barrier<R, Caused<E>>,
    /// Changes that were made, up to the last for which effects wait, and those that are durable.
    made: u64,
    due: u64,
    durable: u64,
}

/// A node that lives.
pub(crate) struct Office {
    pub(crate) channels: Channels,
    pub(crate) treasury: Treasury,
    of_channels: Gated<Change, Effect>,
    of_treasury: Gated<Record, treasury::Effect>,
    since_snapshot: u64,
    wake_at: Option<Tick>,
    pub(crate) calls: BTreeMap<CallId, Command>,
    last_call: u64,
}

/// A house: a node and its signer.
pub(crate) struct House {
    pub(crate) office: Option<Office>,
    pub(crate) keys: Keys,
    pub(crate) disk: Disk,
    /// What the channels' part of the disk says.
    pub(crate) durable: State,
    pub(crate) life: u64,
    pub(crate) store_fails: bool,
    committed: Tick,
    /// It sees no block above this one until then.
    pub(crate) late: (Tick, u32),
}

pub(crate) fn channel_terms() -> channels::Terms {
    channels::Terms::of(Network::Regtest)
}

fn bank_terms() -> treasury::Terms {
    treasury::Terms {
        network: Network::Regtest,
        challenge: None,
        birthday: None,
        fees: chain::FeeTerms::default(),
        reserve: bitcoin::Amount::ZERO,
    }
}

impl<R, E> Default for Gated<R, E> {
    fn default() -> Self {
        Self { barrier: Barrier::default(), made: 0, due: 0, durable: 0 }
    }
}

impl<R, E> Gated<R, E> {
    fn save(&mut self, record: R) {
        self.made += 1;
        self.due = self.made;
        self.barrier.save(record);
    }

    fn save_late(&mut self, record: R) {
        self.made += 1;
        self.barrier.save_late(record);
    }

    fn hold(&mut self, effect: E) {
        let causes = self.due;
        self.barrier.hold(Caused { causes, effect });
    }

    fn saved(&mut self, count: usize, ticket: Ticket) {
        self.durable += count as u64;
        self.barrier.durable(ticket);
    }
}

impl Disk {
    fn commit(&mut self, batch: &Batch) {
        match batch {
            Batch::Channels(changes) => self.channels.extend(changes.iter().map(Line::new)),
            Batch::Bank(records) => {
                for record in records {
                    match record {
                        Record::Snapshot(core, bytes) => {
                            self.bank.insert(*core, (bytes.clone(), Vec::new()));
                        }
                        Record::Change(core, bytes) => {
                            self.bank.entry(*core).or_default().1.push(bytes.clone());
                        }
                    }
                }
            }
        }
    }

    /// The channels, from their bytes.
    pub(crate) fn channels(&self) -> Result<State, Broken> {
        let mut state = State::default();
        for line in &self.channels {
            state.evolve(line.read()?);
        }
        Ok(state)
    }

    fn treasury(&self) -> Result<Saved, Broken> {
        let of = |core| self.bank.get(&core).cloned().unwrap_or_default();
        let wrong = |fault: saved::ChangeFault| fault.to_string();
        let (sum, changes) = of(Core::Treasury);
        let mut own = treasury::State::default();
        let sum = saved::split(&sum).map_err(|fault| fault.to_string())?;
        for bytes in sum.into_iter().chain(changes.iter().map(|it| &it[..])) {
            let change = treasury::Change::decode(bytes).map_err(wrong)?;
            let change = change.ok_or("a change that its own version passes over")?;
            own.evolve(&change, Network::Regtest);
        }
        let (sum, changes) = of(Core::Publisher);
        let mut publisher = PublishState::decode(&sum).map_err(|fault| fault.to_string())?;
        for bytes in changes {
            let change = PublishChange::decode(&bytes).map_err(|fault| fault.to_string())?;
            publisher.evolve(&change.ok_or("a change that its own version passes over")?);
        }
        let wallet = self.bank.get(&Core::Wallet).map(|(sum, changes)| SavedWallet {
            snapshot: Some(sum.clone()),
            changes: changes.clone(),
        });
        let wallet = wallet.unwrap_or_default();
        Ok(Saved { own, publisher, wallet, owed: Vec::new() })
    }
}

impl Line {
    fn new(change: &Change) -> Self {
        Self { bytes: change.encode(), read: OnceLock::new() }
    }

    fn read(&self) -> Result<&Change, Broken> {
        if let Some(change) = self.read.get() {
            return Ok(change);
        }
        let change = Change::decode(&self.bytes).map_err(|fault| fault.to_string())?;
        let change = change.ok_or("a change that its own version passes over")?;
        Ok(self.read.get_or_init(|| change))
    }
}

impl House {
    pub(crate) fn new(keys: Keys, disk: Disk) -> Self {
        Self {
            office: None,
            keys,
            disk,
            durable: State::default(),
            life: 0,
            store_fails: false,
            committed: Tick(0),
            late: (Tick(0), 0),
        }
    }

    /// The process starts.
    fn open(&mut self, now: Tick) -> Result<(), Broken> {
        let state = self.disk.channels()?;
        let mut saved = self.disk.treasury()?;
        saved.owed = state.owed_fundings();
        self.life += 1;
        self.store_fails = false;
        self.committed = now;
        self.durable = state.clone();
        self.office = Some(Office {
            treasury: Treasury::open(saved, bank_terms(), now),
            channels: Channels::open(state, channel_terms(), now, UNIX),
            of_channels: Gated::default(),
            of_treasury: Gated::default(),
            since_snapshot: 0,
            wake_at: None,
            calls: BTreeMap::new(),
            last_call: 0,
        });
        Ok(())
    }
}

impl Office {
    pub(crate) fn call(&mut self, command: Command) -> CallId {
        self.last_call += 1;
        let call = CallId(self.last_call);
        self.calls.insert(call, command.clone());
        self.channels.call(call, command);
        call
    }

    /// Makes a snapshot of the treasury the next record.
    pub(crate) const fn sum_up(&mut self) {
        self.since_snapshot = SNAPSHOT_EVERY;
    }

    fn take_steps(&mut self) {
        while let Some(step) = self.channels.poll() {
            match step {
                channels::Step::Save(change) if change.can_wait() => {
                    self.of_channels.save_late(change);
                }
                channels::Step::Save(change) => self.of_channels.save(change),
                channels::Step::Do(effect) => self.of_channels.hold(effect),
            }
        }
        while let Some(step) = self.treasury.poll() {
            match step {
                treasury::Step::Save(save) => {
                    self.since_snapshot += 1;
                    self.of_treasury.save(match save {
                        Save::Own(own) => Record::Change(Core::Treasury, own.encode()),
                        Save::Publisher(its) => Record::Change(Core::Publisher, its.encode()),
                        Save::Wallet(bytes) => Record::Change(Core::Wallet, bytes),
                        Save::WalletBegun(bytes) => Record::Snapshot(Core::Wallet, bytes),
                    });
                }
                treasury::Step::Do(effect) => self.of_treasury.hold(effect),
            }
        }
        if self.since_snapshot >= SNAPSHOT_EVERY {
            self.since_snapshot = 0;
            let (own, its) = (self.treasury.snapshot(), self.treasury.publisher_snapshot());
            self.of_treasury.save(Record::Snapshot(Core::Treasury, own));
            self.of_treasury.save(Record::Snapshot(Core::Publisher, its));
            if let Some(bytes) = self.treasury.wallet_snapshot() {
                self.of_treasury.save(Record::Snapshot(Core::Wallet, bytes));
            }
        }
    }
}

impl World {
    pub(super) fn start(&mut self, house: usize) -> Result<(), Broken> {
        self.houses[house].open(self.agenda.now)?;
        self.note(|| format!("{house}: the node starts"));
        self.link_soon(house);
        Ok(())
    }

    pub(super) fn crash(&mut self, house: usize) {
        let at = self.agenda.now + Millis(200 + self.dice.below(3_000) as u64);
        self.houses[house].office = None;
        self.houses[house].life += 1;
        self.unlink(house);
        self.forget_roads(house);
        self.note(|| format!("{house}: the node is dead"));
        self.at(at, Happening::Start { house });
    }

    /// Saves what is to be saved, and does what may be done.
    pub(super) fn drive(&mut self, house: usize) -> Result<(), Broken> {
        let (now, is_young) = (self.agenda.now, self.is_young);
        while let Some(office) = &mut self.houses[house].office {
            for _ in 0..office.channels.thirst() {
                office.channels.stock(self.dice.array());
            }
            office.take_steps();
            if let Some(next) = office.of_channels.barrier.release() {
                let durable = office.of_channels.durable;
                match next {
                    Next::Save { ticket, records } => {
                        self.save(house, ticket, Batch::Channels(records));
                    }
                    Next::Do(Caused { causes, .. }) if causes > durable && !is_young => {
                        return Err(format!("house {house} does something that is not durable"));
                    }
                    Next::Do(caused) => self.perform(house, caused.effect)?,
                }
            } else if let Some(next) = office.of_treasury.barrier.release() {
                let durable = office.of_treasury.durable;
                match next {
                    Next::Save { ticket, records } => {
                        self.save(house, ticket, Batch::Bank(records));
                    }
                    Next::Do(Caused { causes, .. }) if causes > durable && !is_young => {
                        return Err(format!("bank {house} does something that is not durable"));
                    }
                    Next::Do(caused) => self.perform_bank(house, caused.effect)?,
                }
            } else {
                break;
            }
        }
        let Some(office) = &mut self.houses[house].office else { return Ok(()) };
        let at = office.treasury.wake_at();
        let at = office.channels.wake_at().map_or(at, |it| it.min(at)).max(now + Millis(1));
        if office.wake_at.is_none_or(|queued| at < queued) {
            office.wake_at = Some(at);
            let life = self.houses[house].life;
            self.at(at, Happening::Wake { house, life });
        }
        Ok(())
    }

    pub(super) fn wake(&mut self, house: usize) {
        let now = self.agenda.now;
        if let Some(office) = &mut self.houses[house].office {
            office.wake_at = None;
            office.of_channels.barrier.flush();
            office.treasury.wake(now);
            office.channels.wake();
        }
    }

    fn save(&mut self, house: usize, ticket: Ticket, batch: Batch) {
        self.strike(house, Point::Save);
        let soon = self.soon(20);
        let this = &mut self.houses[house];
        if this.office.is_some() {
            this.committed = this.committed.max(soon);
            let (at, life) = (this.committed, this.life);
            self.at(at, Happening::Commit { house, life, ticket, batch });
        }
    }

    pub(super) fn commit(
        &mut self,
        house: usize,
        ticket: Ticket,
        batch: &Batch,
    ) -> Result<(), Broken> {
        let life = self.houses[house].life;
        self.strike(house, Point::Commit);
        if self.houses[house].life != life {
            return Ok(());
        }
        if std::mem::take(&mut self.houses[house].store_fails) {
            self.note(|| format!("{house}: a commit fails"));
            self.crash(house);
            return Ok(());
        }
        let this = &mut self.houses[house];
        this.disk.commit(batch);
        let Some(office) = &mut this.office else { return Ok(()) };
        match batch {
            Batch::Channels(changes) => {
                for change in changes {
                    this.durable.evolve(change);
                    if let Change::Live { name, .. } = change
                        && let Some(held) = this.durable.channels.get(name)
                    {
                        conserved(held)?;
                    }
                }
                office.of_channels.saved(changes.len(), ticket);
                self.truth.durable(house, changes, &self.chain)?;
            }
            Batch::Bank(records) => office.of_treasury.saved(records.len(), ticket),
        }
        Ok(())
    }

    fn perform(&mut self, house: usize, effect: Effect) -> Result<(), Broken> {
        self.note(|| text_of(house, &effect));
        let life = self.houses[house].life;
        let message = match &effect {
            Effect::Send { bytes, .. } => Some(Message::decode(bytes)),
            Effect::Attach { .. }
            | Effect::Hangup { .. }
            | Effect::AskSigner(..)
            | Effect::AskTreasury { .. }
            | Effect::Recall { .. }
            | Effect::Reply { .. }
            | Effect::Tell(_)
            | Effect::Stop(_) => None,
        };
        let message = message.transpose().map_err(|fault| format!("no message: {fault}"))?;
        if let Some(point) = point_of(&effect, message.as_ref()) {
            self.strike(house, point);
        }
        if self.houses[house].life != life {
            return Ok(());
        }
        match effect {
            Effect::Attach { lease } => self.truth.attaches(house, lease)?,
            Effect::Send { lease, connection, bytes } => {
                self.truth.acts(house, lease)?;
                if let Some(message) = message {
                    self.truth.says(house, &message)?;
                    self.send(house, connection, bytes, message);
                }
            }
            Effect::Hangup { connection, .. } => self.cut(connection, Some(house)),
            Effect::AskSigner(token, ask) => self.ask_signer(house, Who::Channels(token), &ask),
            Effect::AskTreasury { token, lease, want } => {
                let command = Box::new(treasury::Command::Channels { lease, want: *want });
                let at = self.agenda.now + Millis(1);
                self.at(at, Happening::Bank { house, life, token, command });
            }
            Effect::Recall { .. } => return Err("somebody publishes what is revoked".to_owned()),
            Effect::Reply { call, reply } => self.replied(house, call, *reply)?,
            Effect::Tell(event) => self.told(house, &event)?,
            Effect::Stop(stale) => return Err(format!("house {house} is alone, and yet: {stale}")),
        }
        Ok(())
    }

    pub(super) fn bank_asked(&mut self, house: usize, token: Token, command: treasury::Command) {
        let now = self.agenda.now;
        if let Some(office) = &mut self.houses[house].office {
            office.treasury.call(treasury::CallId(token.0), command, now);
        }
    }

    fn perform_bank(&mut self, house: usize, effect: treasury::Effect) -> Result<(), Broken> {
        use treasury::Effect as Does;
        let life = self.houses[house].life;
        if let Some(point) = point_of_bank(&effect) {
            self.strike(house, point);
        }
        if self.houses[house].life != life {
            return Ok(());
        }
        let next = self.agenda.now + Millis(1);
        match effect {
            Does::AskSource(id, ask) => {
                let answer = Box::new(self.source_says(house, &ask)?);
                let at = self.soon(40);
                self.at(at, Happening::Source { house, life, id, answer });
            }
            Does::AskSigner(id, ask) => self.ask_signer(house, Who::Bank(id), &ask),
            Does::Reply { call, reply } => {
                let token = Token(call.0);
                self.at(next, Happening::Banked { house, life, token, reply });
            }
            Does::Follow(followed) => {
                self.at(next, Happening::Followed { house, life, followed });
            }
            Does::Tell(_) => {}
            Does::Fail(failure) => return Err(format!("the treasury gives up: {failure}")),
        }
        Ok(())
    }

    fn source_says(&mut self, house: usize, ask: &treasury::Ask) -> Result<Sourced, Broken> {
        if self.no_source > self.agenda.now {
            return Ok(Err(SourceFault::Unreachable { why: "it starts again".to_owned() }));
        }
        if let treasury::Ask::Publish { package, .. } = ask {
            self.note(|| format!("{house}: spreads {}", ids(package)));
            self.truth.spreads(house, package)?;
        }
        let height = self.height_for(house);
        let answer = self.chain.answer(ask, height);
        if let treasury::Answer::Published(said) = &answer {
            self.note(|| format!("{house}: is told {said:?}"));
        }
        Ok(Ok(answer))
    }

    /// The newest block that a house can see.
    fn height_for(&self, house: usize) -> u32 {
        let (until, height) = self.houses[house].late;
        let tip = self.chain.height();
        if until > self.agenda.now { tip.min(height) } else { tip }
    }

    pub(super) fn followed(&mut self, house: usize, followed: Followed) {
        let Followed { event, urgent, calm } = followed;
        if let Some(office) = &mut self.houses[house].office {
            office.channels.block(event, urgent, calm);
        }
    }
}

fn ids(package: &chain::Package) -> String {
    let ids = package.transactions().iter().map(|it| it.compute_txid().to_string());
    ids.collect::<Vec<_>>().join(" ")
}

fn text_of(house: usize, effect: &Effect) -> String {
    let text = match effect {
        Effect::Send { bytes, .. } => match Message::decode(bytes) {
            Ok(message) => format!("says {}", message.name()),
            Err(fault) => format!("says nonsense: {fault}"),
        },
        Effect::Tell(Event::Payment(line)) => {
            let (id, amount, hash) = (line.id, line.amount, Hex(&line.hash.0[..4]));
            format!("payment {id:?} of {amount}, {hash}: {:?}", line.progress)
        }
        Effect::Tell(Event::Channel(line)) => {
            let (id, stage) = (Hex(&line.channel_id.0[..4]), line.stage.word());
            format!("channel {id} is {stage}, {:?}, connected {}", line.why, line.connected)
        }
        Effect::Attach { .. }
        | Effect::Hangup { .. }
        | Effect::AskSigner(..)
        | Effect::AskTreasury { .. }
        | Effect::Recall { .. }
        | Effect::Reply { .. }
        | Effect::Stop(_)
        | Effect::Tell(Event::Refused { .. }) => format!("{effect:?}"),
    };
    let text: String = text.chars().take(230).collect();
    format!("{house}: {text}")
}

#[allow(clippy::wildcard_enum_match_arm, reason = "all other messages are of no channel")]
fn point_of(effect: &Effect, message: Option<&Message>) -> Option<Point> {
    Some(match effect {
        Effect::Send { .. } => match message? {
            Message::OpenChannel(_)
            | Message::AcceptChannel(_)
            | Message::FundingCreated(_)
            | Message::FundingSigned(_) => Point::SayOpening,
            Message::ChannelReady(_) => Point::SayReady,
            Message::ChannelReestablish(_) => Point::SayHello,
            Message::UpdateAddHtlc(_)
            | Message::UpdateFulfillHtlc(_)
            | Message::UpdateFailHtlc(_)
            | Message::UpdateFailMalformedHtlc(_)
            | Message::UpdateFee(_) => Point::SayUpdate,
            Message::CommitmentSigned(_) => Point::SaySigned,
            Message::RevokeAndAck(_) => Point::SayRevoke,
            Message::Shutdown(_)
            | Message::ClosingSigned(_)
            | Message::ClosingComplete(_)
            | Message::ClosingSig(_) => Point::SayClosing,
            _ => return None,
        },
        Effect::AskSigner(_, ask) => match &**ask {
            Ask::PeelOnion { .. } => Point::AskPeel,
            Ask::Lease { .. } => Point::AskLease,
            Ask::Channel { ask, .. } => match &ask.op {
                ChannelOp::Keys | ChannelOp::SetUp(_) => Point::AskKeys,
                ChannelOp::SignRemote { .. } => Point::AskSign,
                ChannelOp::Advance { .. } => Point::AskAdvance,
                ChannelOp::Revoked { .. } => Point::AskRevoked,
                ChannelOp::CheckSecret { .. } => return None,
                ChannelOp::SignLocal { .. } => Point::AskLocal,
                ChannelOp::SignClose(_) => Point::AskClose,
                ChannelOp::SignClaims(_) | ChannelOp::SignStages(_) => Point::AskClaims,
            },
            _ => return None,
        },
        Effect::AskTreasury { want, .. } => match &**want {
            ChannelsWant::Lease => Point::AskLease,
            ChannelsWant::Home | ChannelsWant::Fund { .. } | ChannelsWant::Unfund { .. } => {
                Point::WantFunding
            }
            ChannelsWant::SignFunding { .. } => return None,
            ChannelsWant::PublishFunding { .. } | ChannelsWant::Publish { .. } => {
                Point::WantPublish
            }
            ChannelsWant::Lend { .. } => Point::WantCoins,
            ChannelsWant::Follow { .. }
            | ChannelsWant::FollowWatch { .. }
            | ChannelsWant::FollowUnwatch { .. } => Point::WantWatch,
        },
        Effect::Reply { .. } => Point::Reply,
        Effect::Tell(_) => Point::Tell,
        Effect::Attach { .. } | Effect::Recall { .. } | Effect::Hangup { .. } | Effect::Stop(_) => {
            return None;
        }
    })
}

fn point_of_bank(effect: &treasury::Effect) -> Option<Point> {
    match effect {
        treasury::Effect::AskSource(_, treasury::Ask::Publish { .. }) => Some(Point::Spread),
        treasury::Effect::AskSource(..) => Some(Point::AskBlocks),
        treasury::Effect::AskSigner(_, Ask::SignSpend { .. }) => Some(Point::BankSign),
        treasury::Effect::AskSigner(..)
        | treasury::Effect::Reply { .. }
        | treasury::Effect::Tell(_)
        | treasury::Effect::Follow(_)
        | treasury::Effect::Fail(_) => None,
    }
}
