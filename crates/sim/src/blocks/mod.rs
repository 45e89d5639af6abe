//! Worlds of blocks: a node's treasury, the source that it follows, people and a signer.
//!
//! The source fails, lags and lies; the node dies at every effect. No watch is lost, nothing is
//! told twice, and what is published is confirmed in the end, or was refused for good.
//!
//! Where to start: [`run`].

mod disk;
mod faults;
mod nodes;
mod people;
mod source;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, LazyLock},
};

use bitcoin::{Block, BlockHash};
use node::services::{
    gate::{Barrier, Next, Ticket},
    treasury::{
        ANSWER_MAX, Answer, Ask, AskId, CallId, Command, Effect, Event, Health, Refusal, Reply,
        Save, SignId, SourceFault, Step, Terms, Treasury,
    },
};
use signer::{Account, LinkId, NodeIndex, Seed, Signer, View};
use wire::{
    Network,
    dice::Dice,
    tick::{Millis, Tick},
};

use crate::{agenda::Agenda, table::Table};

use disk::{Broken, Core, Disk, Record, Truth};
use faults::{Fault, GRID, Plan, Point};
use nodes::Nodes;
use source::{BlockLie, HeadersLie, Source};

/// Things go wrong up to here,
const STORM_MS: u64 = 90_000;
/// and then the source starts anew, and everything must come to rest.
const END_MS: u64 = STORM_MS + 300_000;
/// The last questions are asked then.
const LAST_CALLS_MS: u64 = END_MS - 20_000;
/// So long no block comes before them: nothing is on its way.
const STILL_MS: u64 = 15_000;
/// So many happenings are no world, but a circle.
const HAPPENINGS_MAX: u64 = 200_000;
/// After so many changes their sum is saved instead.
const SNAPSHOT_EVERY: u64 = 60;

/// How a world of blocks went.
pub struct Outcome {
    /// Which faults struck where.
    pub table: Table,
    /// How often people were told that something was found.
    pub found: u64,
    /// Payments that are confirmed in the end.
    pub paid: u64,
    /// All blocks that the world's nodes made, on every branch, in their order. No lie of the
    /// source is among them.
    pub blocks: Vec<Arc<Block>>,
    /// The newest block of the best chain.
    pub tip: BlockHash,
    /// What happened, if it was to be kept.
    pub trace: Vec<String>,
    /// The rule that was broken, if one was.
    pub broken: Option<crate::Broken>,
}

/// Runs the world of a seed to its end, or until a rule is broken.
pub fn run(seed: u64, traced: bool) -> Outcome {
    let mut world = World::new(seed, traced);
    let end = world.live();
    let (trace, broken) = world.agenda.ended(seed, end);
    let (found, paid) = (world.truth.found, world.paid);
    let (blocks, tip) = (world.nodes.made(), world.nodes.tip());
    Outcome { table: world.table, found, paid, blocks, tip, trace, broken }
}

/// Something that is to happen.
enum Happening {
    Start,
    Wake { life: u64 },
    Answer { life: u64, id: AskId, answer: Box<Result<Answer, SourceFault>> },
    Signed { life: u64, id: SignId, answer: signer::Answer },
    SignerBack { life: u64 },
    Commit { life: u64, ticket: Ticket, records: Vec<Record> },
    Mine,
    Fork,
    Calm,
    People,
    LastCalls,
}

/// A node that lives.
struct Office {
    treasury: Treasury,
    barrier: Barrier<Record, Effect>,
    changes: u64,
    wake_at: Option<Tick>,
    calls: BTreeMap<CallId, Command>,
    last_call: u64,
}

struct World {
    agenda: Agenda<Happening>,
    dice: Dice,
    plan: Plan,
    table: Table,
    struck: Vec<Fault>,
    nodes: Nodes,
    source: Source,
    signer: Signer,
    account: Account,
    signer_away: bool,
    office: Option<Office>,
    /// How often the node has started.
    life: u64,
    disk: Disk,
    store_fails: bool,
    committed_at: Tick,
    truth: Truth,
    paid: u64,
    payments: u64,
    last: BTreeSet<&'static str>,
}

fn terms() -> Terms {
    let (network, fees) = (Network::Regtest, source::fee_terms());
    let reserve = bitcoin::Amount::ZERO;
    Terms { network, challenge: None, birthday: None, fees, reserve }
}

/// What a node and its signer have saved that followed the chain in peace until a world begins.
static YOUTH: LazyLock<(Disk, View)> = LazyLock::new(|| {
    let none = (Disk::default(), View::genesis(Network::Regtest));
    let world = World::begin(Dice::new(0), Plan::none(), none, false);
    world.grow_up().expect("nothing goes wrong")
});

/// A node has followed the chain by then,
const YOUTH_MS: u64 = 60_000;
/// and one world in so many begins with one that has not.
const NEWBORN_ONE_IN: usize = 4;

fn signer(view: View) -> (Signer, Account) {
    let seed = Seed::take(&mut [0x51; 32]).expect("32 bytes are a seed");
    let key = seed.node_key(Network::Regtest, NodeIndex::FIRST);
    let channels = seed.channel_keys(Network::Regtest, NodeIndex::FIRST);
    let channels = signer::Channels::bolt3(channels);
    let wallet = seed.wallet_key(Network::Regtest);
    let mut signer = Signer::new(key, wallet, channels).with_view(view);
    let answer = signer.answer(LinkId(0), signer::Ask::WalletAccount, Tick(0), no_handshake);
    let signer::Answer::WalletAccount { account } = answer else {
        unreachable!("it was asked for its account")
    };
    (signer, account)
}

fn no_handshake() -> noise::EphemeralKey {
    unreachable!("nobody begins a handshake")
}

impl World {
    fn new(seed: u64, traced: bool) -> Self {
        let mut dice = Dice::new(seed ^ 0x0b10_c4ed);
        let plan = Plan::new(&GRID, seed, &mut dice).doubled(&GRID, &mut dice);
        let saved = match dice.one_in(NEWBORN_ONE_IN) {
            true => (Disk::default(), View::genesis(Network::Regtest)),
            false => YOUTH.clone(),
        };
        Self::begin(dice, plan, saved, traced)
    }

    fn begin(dice: Dice, plan: Plan, (disk, view): (Disk, View), traced: bool) -> Self {
        let (signer, account) = signer(view);
        Self {
            agenda: Agenda::new(traced),
            plan,
            table: GRID.table(),
            struck: Vec::new(),
            nodes: Nodes::new(),
            source: Source::default(),
            signer,
            account,
            signer_away: false,
            office: None,
            life: 0,
            disk,
            store_fails: false,
            committed_at: Tick(0),
            truth: Truth::default(),
            paid: 0,
            payments: 0,
            last: BTreeSet::new(),
            dice,
        }
    }

    /// Follows the prelude, and stops at its end.
    fn grow_up(mut self) -> Result<(Disk, View), Broken> {
        self.at(Tick(0), Happening::Start);
        while let Some(happening) = self.agenda.next(YOUTH_MS, HAPPENINGS_MAX)? {
            self.happen(happening)?;
            self.drive()?;
        }
        let heard = self.disk.state()?.cursor.map(|cursor| cursor.hash);
        match heard == Some(self.nodes.tip()) {
            // As a signer that starts again reads it.
            true => View::decode(&self.signer.view().encode(), Network::Regtest)
                .map(|restored| (self.disk, restored.view))
                .map_err(|fault| fault.to_string()),
            false => Err(format!("heard up to {heard:?} in {YOUTH_MS} ms")),
        }
    }

    fn live(&mut self) -> Result<(), Broken> {
        for _ in 0..8 {
            self.nodes.mine(false, &mut self.dice)?;
        }
        self.at(Tick(0), Happening::Start);
        self.at(Tick(2_000), Happening::Mine);
        self.at(Tick(1_500), Happening::People);
        self.at(Tick(STORM_MS), Happening::Calm);
        self.at(Tick(LAST_CALLS_MS), Happening::LastCalls);
        while let Some(happening) = self.agenda.next(END_MS, HAPPENINGS_MAX)? {
            self.happen(happening)?;
            self.drive()?;
            while let Some(fault) = self.struck.pop() {
                self.do_fault(fault)?;
                self.drive()?;
            }
        }
        self.end()
    }

    fn at(&mut self, at: Tick, happening: Happening) {
        self.agenda.at(at, happening);
    }

    fn soon(&mut self, most: usize) -> Tick {
        self.agenda.now + Millis(1 + self.dice.below(most) as u64)
    }

    const fn calm(&self) -> bool {
        self.agenda.now.0 >= STORM_MS
    }

    fn note(&mut self, text: impl FnOnce() -> String) {
        self.agenda.note(text);
    }

    fn happen(&mut self, happening: Happening) -> Result<(), Broken> {
        let (now, this) = (self.agenda.now, self.life);
        match happening {
            Happening::Start => self.start()?,
            Happening::Wake { life } if life == this => {
                if let Some(office) = &mut self.office {
                    office.wake_at = None;
                    office.treasury.wake(now);
                }
            }
            Happening::Answer { life, id, answer } if life == this => {
                if let Some(office) = &mut self.office {
                    office.treasury.answered(id, *answer, now);
                }
            }
            Happening::Signed { life, id, answer } if life == this && !self.signer_away => {
                if let Some(office) = &mut self.office {
                    office.treasury.signer_answered(id, Some(answer));
                }
            }
            Happening::SignerBack { life } if life == this => {
                self.signer_away = false;
                if let Some(office) = &mut self.office {
                    office.treasury.signer_came();
                }
            }
            Happening::Commit { life, ticket, records } if life == this => {
                self.commit(ticket, &records)?;
            }
            // They belong to another life.
            Happening::Wake { .. }
            | Happening::Answer { .. }
            | Happening::Signed { .. }
            | Happening::SignerBack { .. }
            | Happening::Commit { .. } => {}
            Happening::Mine => {
                let calm = self.calm();
                if now.0 < LAST_CALLS_MS - STILL_MS {
                    self.nodes.mine(calm, &mut self.dice)?;
                }
                let pause = if calm { 10_000 } else { 1_000 + self.dice.below(5_000) as u64 };
                self.at(now + Millis(pause), Happening::Mine);
            }
            Happening::Fork => {
                self.nodes.fork(&mut self.dice)?;
                self.note(|| "another branch is the best".to_owned());
            }
            Happening::Calm => {
                self.nodes.forget();
                self.source = Source { down: now + Millis(5_000), ..Source::default() };
            }
            Happening::People => {
                self.people();
                let pause = Millis(100 + self.dice.below(900) as u64);
                if now.0 + pause.0 < STORM_MS {
                    self.at(now + pause, Happening::People);
                }
            }
            Happening::LastCalls => self.last_calls(),
        }
        Ok(())
    }

    fn start(&mut self) -> Result<(), Broken> {
        self.life += 1;
        self.store_fails = false;
        self.committed_at = self.agenda.now;
        let saved = self.disk.restore()?;
        self.truth.starts(&saved.own)?;
        let mut treasury = Treasury::open(saved, terms(), self.agenda.now);
        self.signer_away = false;
        treasury.signer_came();
        self.note(|| "the node starts".to_owned());
        self.office = Some(Office {
            treasury,
            barrier: Barrier::default(),
            changes: 0,
            wake_at: None,
            calls: BTreeMap::new(),
            last_call: 0,
        });
        Ok(())
    }

    fn crash(&mut self) {
        self.office = None;
        self.life += 1;
        let at = self.agenda.now + Millis(200 + self.dice.below(4_000) as u64);
        self.at(at, Happening::Start);
    }

    /// Saves what is to be saved, and does what may be done.
    fn drive(&mut self) -> Result<(), Broken> {
        while let Some(office) = &mut self.office {
            office.take_steps();
            match office.barrier.release() {
                Some(Next::Save { ticket, records }) => {
                    self.strike(Point::Save);
                    let at = self.soon(40).max(self.committed_at);
                    self.committed_at = at;
                    let life = self.life;
                    self.at(at, Happening::Commit { life, ticket, records });
                }
                Some(Next::Do(effect)) => self.perform(effect)?,
                None => break,
            }
        }
        let Some(office) = &mut self.office else { return Ok(()) };
        let at = office.treasury.wake_at().max(self.agenda.now + Millis(1));
        if office.wake_at.is_none_or(|queued| at < queued) {
            office.wake_at = Some(at);
            let life = self.life;
            self.at(at, Happening::Wake { life });
        }
        Ok(())
    }

    fn commit(&mut self, ticket: Ticket, records: &[Record]) -> Result<(), Broken> {
        self.strike(Point::Commit);
        if self.office.is_none() {
            return Ok(());
        }
        if std::mem::take(&mut self.store_fails) {
            self.note(|| "a commit fails".to_owned());
            self.crash();
            return Ok(());
        }
        self.disk.commit(records, &mut self.truth)?;
        if let Some(office) = &mut self.office {
            office.barrier.durable(ticket);
        }
        Ok(())
    }

    fn perform(&mut self, effect: Effect) -> Result<(), Broken> {
        self.note(|| {
            let text = format!("{effect:?}");
            text.chars().take(230).collect()
        });
        self.strike(point_of(&effect));
        if self.office.is_none() {
            return Ok(());
        }
        match effect {
            Effect::AskSource(id, ask) => self.ask_source(id, &ask),
            Effect::AskSigner(id, ask) => {
                if !self.signer_away {
                    let answer = self.signer.answer(LinkId(0), ask, self.agenda.now, no_handshake);
                    let (at, life) = (self.soon(50), self.life);
                    self.at(at, Happening::Signed { life, id, answer });
                }
                Ok(())
            }
            Effect::Reply { call, reply } => self.replied(call, *reply),
            Effect::Tell(Event::Found { block, watch, hit }) => self.truth.tell(block, watch, hit),
            Effect::Tell(Event::FoundGone { block, watch, hit }) => {
                self.truth.told.remove(&(block, watch, hit));
                Ok(())
            }
            Effect::Tell(_) | Effect::Follow(_) => Ok(()),
            Effect::Fail(failure) => Err(format!("the treasury gives up: {failure}")),
        }
    }

    fn ask_source(&mut self, id: AskId, ask: &Ask) -> Result<(), Broken> {
        if let Ask::Publish { package, .. } = ask {
            let state = self.disk.published()?;
            let mut durable = state.publications.values();
            let transactions = package.transactions();
            let saved = |it: &chain::Publication| {
                transactions.iter().all(|one| it.package.transactions().contains(one))
            };
            if !durable.any(saved) {
                return Err("something is published that is not durable".to_owned());
            }
            let with_ids = transactions.iter().map(|it| (it.compute_txid(), it.as_ref().clone()));
            self.truth.published.extend(with_ids);
        }
        let mut dice = self.dice.clone();
        let given = self.source.answer(ask, &mut self.nodes, self.agenda.now, &mut dice);
        self.dice = dice;
        let Some((answer, refused)) = given else { return Ok(()) };
        self.truth.refused.extend(refused);
        let late = std::mem::take(&mut self.source.late);
        let pause = if late { ANSWER_MAX.0 + 5_000 } else { 0 };
        let times = if self.source.twice > 0 { 2 } else { 1 };
        self.source.twice = self.source.twice.saturating_sub(1);
        for _ in 0..times {
            let (at, life) = (self.soon(150) + Millis(pause), self.life);
            let answer = Box::new(answer.clone());
            self.at(at, Happening::Answer { life, id, answer });
        }
        Ok(())
    }

    fn strike(&mut self, point: Point) {
        if self.calm() || self.office.is_none() {
            return;
        }
        let Some(fault) = self.plan.strikes(point) else { return };
        self.table.hit(fault as usize, point as usize);
        self.note(|| format!("!!! {fault:?} at {point:?}"));
        // What dies dies at once: the rest of its effects are never done.
        if fault == Fault::Crash {
            self.crash();
        } else {
            self.struck.push(fault);
        }
    }

    fn do_fault(&mut self, fault: Fault) -> Result<(), Broken> {
        let until = self.agenda.now + Millis(1_000 + self.dice.below(8_000) as u64);
        let source = &mut self.source;
        match fault {
            Fault::Crash => {}
            Fault::StoreError => self.store_fails = true,
            Fault::SignerGone => {
                self.signer_away = true;
                let life = self.life;
                self.at(until, Happening::SignerBack { life });
                if let Some(office) = &mut self.office {
                    office.treasury.signer_went();
                }
            }
            Fault::Reorg => return self.nodes.fork(&mut self.dice),
            Fault::Flip => {
                for nth in 1..=4 {
                    self.at(self.agenda.now + Millis(1_500 * nth), Happening::Fork);
                }
            }
            Fault::Silent => source.silent = until + Millis(self.dice.below(2) as u64 * 60_000),
            Fault::Down => source.down = until,
            Fault::Lag => source.lags = (until, 1 + self.dice.below(8) as u32),
            Fault::OtherNetwork => source.elsewhere = until,
            Fault::TipLie => source.tip_lie = true,
            Fault::HeadersUnconnected => source.headers_lie = Some(HeadersLie::Unconnected),
            Fault::HeadersWorkless => source.headers_lie = Some(HeadersLie::Workless),
            Fault::HeadersEasy => source.headers_lie = Some(HeadersLie::Easy),
            Fault::BlockOther => source.block_lie = Some(BlockLie::Other),
            Fault::BlockChanged => source.block_lie = Some(BlockLie::Changed),
            Fault::BlockWitness => source.block_lie = Some(BlockLie::Witness),
            Fault::Twice => source.twice = 5,
            Fault::Late => source.late = true,
            Fault::Refuses => source.refuses = until,
            Fault::TakesNothing => source.takes_nothing = until,
            Fault::Forgets => self.nodes.forget(),
            Fault::RatesLie => source.rates_lie = true,
        }
        Ok(())
    }
}

const fn point_of(effect: &Effect) -> Point {
    match effect {
        Effect::AskSource(_, Ask::Tip | Ask::HeaderAt { .. }) => Point::AskTip,
        Effect::AskSource(_, Ask::Headers { .. }) => Point::AskHeaders,
        Effect::AskSource(_, Ask::Block { .. }) => Point::AskBlock,
        Effect::AskSource(_, Ask::Publish { .. }) => Point::AskPublish,
        Effect::AskSource(_, Ask::Rates { .. }) => Point::AskRates,
        Effect::AskSigner(..) => Point::AskSigner,
        Effect::Reply { .. } => Point::Reply,
        Effect::Tell(Event::Found { .. } | Event::FoundGone { .. }) => Point::TellFound,
        Effect::Tell(_) | Effect::Follow(_) | Effect::Fail(_) => Point::Tell,
    }
}

impl Office {
    fn take_steps(&mut self) {
        while let Some(step) = self.treasury.poll() {
            match step {
                Step::Save(save) => {
                    self.changes += 1;
                    self.barrier.save(match save {
                        Save::Own(own) => Record::Change(Core::Treasury, own.encode()),
                        Save::Publisher(its) => Record::Change(Core::Publisher, its.encode()),
                        Save::Wallet(bytes) => Record::Change(Core::Wallet, bytes),
                        Save::WalletBegun(bytes) => Record::Snapshot(Core::Wallet, bytes),
                    });
                }
                Step::Do(effect) => self.barrier.hold(effect),
            }
        }
        if self.changes >= SNAPSHOT_EVERY {
            self.changes = 0;
            let (own, its) = (self.treasury.snapshot(), self.treasury.publisher_snapshot());
            self.barrier.save(Record::Snapshot(Core::Treasury, own));
            self.barrier.save(Record::Snapshot(Core::Publisher, its));
            if let Some(bytes) = self.treasury.wallet_snapshot() {
                self.barrier.save(Record::Snapshot(Core::Wallet, bytes));
            }
        }
    }
}
