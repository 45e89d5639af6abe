//! Towns: 2 to 5 nodes with channels between them, their signers, and a chain with real scripts.
//!
//! People open channels, pay each other and close; nodes and signers die at every effect, each by
//! itself, connections are cut at every byte, signers are away or say no, blocks are replaced or
//! late, disks fail. No money is lost, nothing is signed twice, nobody publishes what is revoked,
//! no channel ends without its peer but for a reason, and each payment has one end on both sides.
//!
//! Where to start: [`run`].

mod chain;
mod end;
mod faults;
mod house;
mod keys;
mod people;
mod roads;
mod truth;

use std::sync::{Arc, LazyLock};

use bitcoin::{Block, BlockHash};
use node::services::{
    channels::Token,
    gate::Ticket,
    treasury::{self, Answer, AskId, Followed, SourceFault},
};
use signer::UnixTime;
use wire::{
    amount::Msat,
    dice::Dice,
    id::ConnectionId,
    tick::{Millis, Tick},
};

use crate::{agenda::Agenda, table::Table};

use chain::TownChain;
use faults::{Fault, GRID, Plan, Point};
use house::{Batch, Disk, House};
use keys::{Keys, Lines, Mood, Who};
use roads::Roads;
use truth::Truth;

/// A rule that was broken.
type Broken = String;

/// Houses of a town.
const HOUSES_MIN: usize = 2;
const HOUSES_MAX: usize = 5;
/// People want ends of channels from here on,
const CLOSES_FROM_MS: u64 = 25_000;
/// things go wrong up to here,
const STORM_MS: u64 = 60_000;
/// and from here on all channels are closed.
const CLOSE_MS: u64 = STORM_MS + 40_000;
/// Everything is over by then.
const END_MS: u64 = CLOSE_MS + 300_000;
/// So many happenings are no world, but a circle.
const HAPPENINGS_MAX: u64 = 600_000;
/// The clock on the wall does not matter.
const UNIX: UnixTime = UnixTime(1_800_000_000);

/// How a town went.
pub struct Outcome {
    /// Which faults struck where.
    pub table: Table,
    /// What people and chain have to show.
    pub sums: Sums,
    /// All blocks that were made, on every branch, in their order.
    pub blocks: Vec<Arc<Block>>,
    /// The newest block of the best chain.
    pub tip: BlockHash,
    /// What happened, if it was to be kept.
    pub trace: Vec<String>,
    /// The rule that was broken, if one was.
    pub broken: Option<crate::Broken>,
}

/// What people and chain have to show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Channels that were opened.
    pub opened: u64,
    /// Payments that were made.
    pub paid: u64,
    /// Payments that came to nothing.
    pub failed: u64,
    /// Ends of channels without the peer, each counted by each side.
    pub forced: u64,
}

/// Runs the town of a seed to its end, or until a rule is broken.
pub fn run(seed: u64, traced: bool) -> Outcome {
    run_with(World::new(seed, traced), seed)
}

/// The same, with nothing going wrong.
pub fn run_in_peace(seed: u64, traced: bool) -> Outcome {
    let mut world = World::new(seed, traced);
    world.plan = Plan::none();
    run_with(world, seed)
}

fn run_with(mut world: World, seed: u64) -> Outcome {
    let end = world.live();
    world.sums.forced = world.truth.fails;
    let (trace, broken) = world.agenda.ended(seed, end);
    let (blocks, tip) = (world.chain.made(), world.chain.tip());
    Outcome { table: world.table, sums: world.sums, blocks, tip, trace, broken }
}

/// Something that is to happen.
enum Happening {
    Start { house: usize },
    StartSigner { house: usize },
    LinkUp { house: usize, link: u64 },
    Unlink { house: usize, link: u64 },
    Wake { house: usize, life: u64 },
    Commit { house: usize, life: u64, ticket: Ticket, batch: Batch },
    Asked { house: usize, link: u64, who: Who, bytes: Vec<u8> },
    Answered { house: usize, link: u64, who: Who, bytes: Vec<u8> },
    Bank { house: usize, life: u64, token: Token, command: Box<treasury::Command> },
    Banked { house: usize, life: u64, token: Token, reply: Box<Banked> },
    Followed { house: usize, life: u64, followed: Box<Followed> },
    Source { house: usize, life: u64, id: AskId, answer: Box<Sourced> },
    Join { pair: usize },
    Came { id: ConnectionId, end: usize },
    Deliver { id: ConnectionId, to: usize },
    Lost { id: ConnectionId, end: usize },
    Mine,
    People,
    Calm,
    Close,
}

/// What a source has answered.
type Sourced = Result<Answer, SourceFault>;

/// What a treasury has answered.
type Banked = Result<treasury::Reply, treasury::Refusal>;

struct World {
    agenda: Agenda<Happening>,
    dice: Dice,
    plan: Plan,
    table: Table,
    struck: Vec<(usize, Fault)>,
    chain: TownChain,
    houses: Vec<House>,
    roads: Roads,
    truth: Truth,
    sums: Sums,
    /// People end channels without asking the peer.
    forceful: bool,
    /// Payments with a name, by payer.
    named: Vec<Vec<(noise::PublicKey, Msat)>>,
    /// No house can ask for blocks until then.
    no_source: Tick,
    /// It only follows the prelude: rules hold for what comes then.
    is_young: bool,
    is_over: bool,
}

/// What nodes and signers have saved that followed the chain in peace until a world begins.
static YOUTH: LazyLock<Vec<(Disk, Lines)>> = LazyLock::new(|| {
    let new = |house| (Disk::default(), Lines::new(house));
    let young: Vec<_> = (0..HOUSES_MAX).map(new).collect();
    let mut world = World::begin(Dice::new(0), Plan::none(), young, false);
    world.is_young = true;
    world.grow_up().expect("nothing goes wrong")
});

/// A node has followed the chain by then.
const YOUTH_MS: u64 = 20_000;

impl World {
    fn new(seed: u64, traced: bool) -> Self {
        let mut dice = Dice::new(seed ^ 0x0070_3417);
        let plan = Plan::new(&GRID, seed, &mut dice).doubled(&GRID, &mut dice);
        let count = HOUSES_MIN + dice.below(HOUSES_MAX - HOUSES_MIN + 1);
        Self::begin(dice, plan, YOUTH[..count].to_vec(), traced)
    }

    fn begin(mut dice: Dice, plan: Plan, young: Vec<(Disk, Lines)>, traced: bool) -> Self {
        let aims_at_force = plan.aims().any(|(_, point)| point.is_of_force());
        let house = |(at, (disk, lines))| House::new(Keys::new(at, lines), disk);
        let houses: Vec<House> = young.into_iter().enumerate().map(house).collect();
        Self {
            agenda: Agenda::new(traced),
            forceful: aims_at_force || dice.one_in(6),
            plan,
            table: GRID.table(),
            struck: Vec::new(),
            chain: TownChain::new(),
            roads: Roads::new(houses.len()),
            truth: Truth::default(),
            sums: Sums::default(),
            named: vec![Vec::new(); houses.len()],
            no_source: Tick(0),
            is_young: false,
            is_over: false,
            houses,
            dice,
        }
    }

    /// Follows the prelude, and stops at its end.
    fn grow_up(mut self) -> Result<Vec<(Disk, Lines)>, Broken> {
        self.begin_all();
        while let Some(happening) = self.agenda.next(YOUTH_MS, HAPPENINGS_MAX)? {
            self.take_turn(happening)?;
        }
        // The sum of all is shorter than all.
        for house in 0..self.houses.len() {
            if let Some(office) = &mut self.houses[house].office {
                office.sum_up();
            }
            self.drive(house)?;
        }
        while let Some(happening) = self.agenda.next(2 * YOUTH_MS, HAPPENINGS_MAX)? {
            self.take_turn(happening)?;
        }
        let tip = self.chain.tip();
        let grown = self.houses.into_iter().map(|house| {
            let heard = house.durable.cursor.map(|cursor| cursor.hash);
            match heard == Some(tip) {
                true => Ok((house.disk, house.keys.lines)),
                false => Err(format!("heard up to {heard:?} in {YOUTH_MS} ms")),
            }
        });
        grown.collect()
    }

    fn begin_all(&mut self) {
        for house in 0..self.houses.len() {
            self.at(Tick(0), Happening::Start { house });
            self.at(Tick(0), Happening::StartSigner { house });
        }
    }

    fn live(&mut self) -> Result<(), Broken> {
        self.begin_all();
        for pair in 0..self.roads.count() {
            self.at(Tick(100), Happening::Join { pair });
        }
        self.at(Tick(1_000), Happening::People);
        self.at(Tick(3_000), Happening::Mine);
        self.at(Tick(STORM_MS), Happening::Calm);
        self.at(Tick(CLOSE_MS), Happening::Close);
        while !self.is_over {
            let Some(happening) = self.agenda.next(END_MS, HAPPENINGS_MAX)? else {
                return Err(format!("it does not come to rest: {}", self.unrest()));
            };
            self.take_turn(happening)?;
        }
        self.judge()
    }

    fn take_turn(&mut self, happening: Happening) -> Result<(), Broken> {
        self.happen(happening)?;
        self.drive_all()?;
        while let Some((house, fault)) = self.struck.pop() {
            self.do_fault(house, fault)?;
            self.drive_all()?;
        }
        Ok(())
    }

    fn drive_all(&mut self) -> Result<(), Broken> {
        (0..self.houses.len()).try_for_each(|house| self.drive(house))
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

    /// Whether a process is the same that this was meant for.
    fn is_life(&mut self, house: usize, life: u64) -> bool {
        let now = self.agenda.now;
        let this = &mut self.houses[house];
        match &mut this.office {
            Some(office) if this.life == life => {
                office.channels.clock(now, UNIX);
                true
            }
            Some(_) | None => false,
        }
    }

    fn happen(&mut self, happening: Happening) -> Result<(), Broken> {
        match happening {
            Happening::Start { house } => self.start(house)?,
            Happening::StartSigner { house } => self.start_signer(house)?,
            Happening::LinkUp { house, link } => self.link_up(house, link),
            Happening::Unlink { house, link } => {
                if self.houses[house].keys.link == link {
                    self.unlink(house);
                    self.link_soon(house);
                }
            }
            Happening::Wake { house, life } if self.is_life(house, life) => self.wake(house),
            Happening::Commit { house, life, ticket, batch } if self.is_life(house, life) => {
                self.commit(house, ticket, &batch)?;
            }
            Happening::Asked { house, link, who, bytes } => self.asked(house, link, who, &bytes)?,
            Happening::Answered { house, link, who, bytes } => {
                self.answered(house, link, who, bytes);
            }
            Happening::Bank { house, life, token, command } if self.is_life(house, life) => {
                self.bank_asked(house, token, *command);
            }
            Happening::Banked { house, life, token, reply } if self.is_life(house, life) => {
                if let Some(office) = &mut self.houses[house].office {
                    office.channels.treasury_answered(token, *reply);
                }
            }
            Happening::Followed { house, life, followed } if self.is_life(house, life) => {
                self.followed(house, *followed);
            }
            Happening::Source { house, life, id, answer } if self.is_life(house, life) => {
                let now = self.agenda.now;
                if let Some(office) = &mut self.houses[house].office {
                    office.treasury.answered(id, *answer, now);
                }
            }
            // They belong to another life.
            Happening::Wake { .. }
            | Happening::Commit { .. }
            | Happening::Bank { .. }
            | Happening::Banked { .. }
            | Happening::Followed { .. }
            | Happening::Source { .. } => {}
            Happening::Join { pair } => self.join(pair),
            Happening::Came { id, end } => self.came(id, end),
            Happening::Deliver { id, to } => self.deliver(id, to),
            Happening::Lost { id, end } => self.lost(id, end),
            Happening::Mine => self.mine()?,
            Happening::People => {
                self.people();
                let pause = Millis(100 + self.dice.below(700) as u64);
                if !self.calm() {
                    self.at(self.agenda.now + pause, Happening::People);
                }
            }
            Happening::Calm => self.note(|| "from here on nothing goes wrong".to_owned()),
            Happening::Close => {
                self.end_all();
                self.at(self.agenda.now + Millis(5_000), Happening::Close);
            }
        }
        Ok(())
    }

    fn mine(&mut self) -> Result<(), Broken> {
        let calm = self.calm();
        self.chain.mine(calm, &mut self.dice)?;
        let now = self.agenda.now.0;
        let pause = match now {
            0..STORM_MS => 500 + self.dice.below(2_500) as u64,
            STORM_MS..CLOSE_MS => 4_000,
            _ => 600,
        };
        self.at(self.agenda.now + Millis(pause), Happening::Mine);
        if now > CLOSE_MS {
            self.is_over = self.unrest().is_empty();
        }
        Ok(())
    }

    /// An effect of a house is about to be done: what goes wrong?
    fn strike(&mut self, house: usize, point: Point) {
        if self.calm() {
            return;
        }
        let Some(fault) = self.plan.strikes(point) else { return };
        self.table.hit(fault as usize, point as usize);
        self.note(|| format!("!!! {house}: {fault:?} at {point:?}"));
        // What dies dies at once: the rest of its effects are never done.
        match fault {
            Fault::CrashNode => self.crash_living(house),
            Fault::CrashSigner => self.crash_signer(house),
            Fault::CrashBoth => {
                self.crash_living(house);
                self.crash_signer(house);
            }
            Fault::StoreError
            | Fault::SignerStore
            | Fault::Cut
            | Fault::SignerGone
            | Fault::SignerLate
            | Fault::SignerRefuses
            | Fault::SignerTwice
            | Fault::SignerNever
            | Fault::Reorg
            | Fault::BlocksLate => self.struck.push((house, fault)),
        }
    }

    fn crash_living(&mut self, house: usize) {
        if self.houses[house].office.is_some() {
            self.crash(house);
        }
    }

    fn do_fault(&mut self, house: usize, fault: Fault) -> Result<(), Broken> {
        let until = self.agenda.now + Millis(1_000 + self.dice.below(8_000) as u64);
        match fault {
            Fault::CrashNode | Fault::CrashSigner | Fault::CrashBoth => {}
            Fault::StoreError => self.houses[house].store_fails = true,
            Fault::SignerStore => self.houses[house].keys.full = until,
            Fault::Cut => {
                let all = self.roads.of(house);
                let nth = self.dice.below(all.len().max(1));
                if let Some(id) = all.get(nth) {
                    self.cut(*id, None);
                }
            }
            Fault::SignerGone => {
                self.unlink(house);
                let link = self.houses[house].keys.link;
                self.at(until, Happening::LinkUp { house, link });
            }
            Fault::SignerLate => {
                let late = Millis(1_000 + self.dice.below(20_000) as u64);
                self.houses[house].keys.mood = Mood::Late(late);
            }
            Fault::SignerRefuses => {
                let times = 1 + self.dice.below(4) as u32;
                self.houses[house].keys.mood = Mood::Refuses(times);
            }
            Fault::SignerTwice => self.houses[house].keys.mood = Mood::Twice,
            Fault::SignerNever => {
                self.houses[house].keys.mood = Mood::Never;
                let link = self.houses[house].keys.link;
                self.at(until, Happening::Unlink { house, link });
            }
            Fault::Reorg => {
                if self.chain.fork(&mut self.dice)? {
                    // A source that forgets what waits has been away.
                    self.no_source = self.agenda.now + Millis(3_000);
                }
                self.note(|| "another branch is the best".to_owned());
            }
            Fault::BlocksLate => {
                self.houses[house].late = (until, self.chain.height());
            }
        }
        Ok(())
    }
}
