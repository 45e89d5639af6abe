//! Publishing: again and again, until it is buried.

mod api;
mod change;
mod package;
mod reason;
mod turns;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bitcoin::OutPoint;
use wire::tick::{Millis, Tick};

pub use api::{
    Attempt, Key, PUBLISHER, PublicationId, PublishAnswer, PublishEvent, PublishFault, Unasked,
    Wanted, WatchAsk,
};
pub use change::{Publication, PublishChange, PublishState, Spend, Standing};
pub use package::{PACKAGE_TRANSACTIONS_MAX, PACKAGE_WEIGHT_MAX, Package, PackageFault};
pub use reason::{Cure, REASON_CHARS_MAX, Reason, Text, TooLittle};

use turns::{LAST, weight};

use crate::{
    api::{Ask, BlockRef, Event, Found, FoundIn, Height, User, Watch},
    headers::REORG_BLOCKS_MAX,
};

/// Publications of all users.
pub const PUBLICATIONS_MAX: usize = 20_000;
/// Outputs that they spend.
pub const PUBLICATION_INPUTS_MAX: usize = 200_000;
/// What they weigh.
pub const PUBLICATIONS_WU_MAX: u64 = 400_000_000;
/// What is in the lowest of so many blocks stays: a reorg may take all that are above it, no more.
pub const DEEP_BLOCKS: u32 = REORG_BLOCKS_MAX + 1;
/// Questions that are open at once.
pub const ATTEMPTS_MAX: usize = 16;
/// A question that is open for longer is asked again.
pub const ATTEMPT_MS_MAX: u64 = 60_000;
/// What a source has taken is published again after so long, then after twice that, …
pub const REBROADCAST_MS: u64 = 15 * 60_000;
/// … but at least so often.
pub const REBROADCAST_MS_MAX: u64 = 4 * 3_600_000;
/// What a source has refused is tried again after so long, then after twice that, …
pub const RETRY_MS: u64 = 10_000;
/// … but at least so often.
pub const RETRY_MS_MAX: u64 = 10 * 60_000;

/// Publishes for its users, and watches what becomes of it.
///
/// Poll shape, beside [`Chain`](crate::Chain), of which it is a user: attach [`PUBLISHER`] at the
/// saved cursor, make the publisher with the block that this gives, and pass on what it hears.
/// After each call save what [`Publisher::change`] gives before anything else is done; then pass
/// on what [`Publisher::watch`], [`Publisher::poll`] and [`Publisher::event`] give.
pub struct Publisher {
    state: PublishState,
    cursor: BlockRef,
    deep: u32,
    lives: BTreeMap<Key, Life>,
    watched: BTreeMap<OutPoint, Watched>,
    weight: u64,
    due: BTreeSet<(Tick, u64, Key)>,
    asked: BTreeMap<Attempt, (Key, Tick)>,
    attempts: u64,
    /// Refused, and worth a try with each block.
    waiting: BTreeSet<Key>,
    settled: BTreeSet<(Height, Key)>,
    asks: VecDeque<Ask>,
    changes: VecDeque<PublishChange>,
    watches: VecDeque<WatchAsk>,
    events: VecDeque<(Key, PublishEvent)>,
}

/// What is known of a publication only as long as the process lives.
#[derive(Default)]
struct Life {
    said: Said,
    /// How often the source has said it.
    times: u32,
    due: Option<Tick>,
    asked: Option<Attempt>,
    /// Which of its transactions were in the last question.
    asked_for: BTreeSet<u8>,
    /// Something has changed since it was asked.
    again: bool,
    unsearched: BTreeSet<OutPoint>,
    settled: Option<Height>,
    /// The user knows that a later publication has taken its place.
    replaced: bool,
    /// It was handed to a source.
    told: bool,
    /// Some source may have it although nobody has said so: it was told before this process began,
    /// or to one that has not answered, or to another one than now.
    out: bool,
}

/// What the source has said last.
#[derive(Default, PartialEq, Eq)]
enum Said {
    #[default]
    Nothing,
    /// To these of its transactions: the others may have lost their place meanwhile.
    Yes(BTreeSet<u8>),
    No(Reason),
}

/// An output that something published spends.
struct Watched {
    from: Height,
    searched: bool,
    /// By whom: publication, transaction and input.
    by: BTreeSet<(Key, u8, u32)>,
}

impl Publisher {
    /// Goes on. `tip` is where [`Chain::attach`](crate::Chain::attach) has begun; what was saved
    /// is further back if blocks have gone meanwhile, and hears of that.
    pub fn new(state: PublishState, tip: BlockRef, now: Tick) -> Self {
        Self::with_depth(state, tip, DEEP_BLOCKS, now)
    }

    /// The same, for a chain that is shallower.
    pub fn with_depth(state: PublishState, tip: BlockRef, deep: u32, now: Tick) -> Self {
        let mut publisher = Self {
            cursor: state.cursor.unwrap_or(tip),
            state,
            deep: deep.max(1),
            lives: BTreeMap::new(),
            watched: BTreeMap::new(),
            weight: 0,
            due: BTreeSet::new(),
            asked: BTreeMap::new(),
            attempts: 0,
            waiting: BTreeSet::new(),
            settled: BTreeSet::new(),
            asks: VecDeque::new(),
            changes: VecDeque::new(),
            watches: VecDeque::new(),
            events: VecDeque::new(),
        };
        publisher.restore(now);
        publisher
    }

    /// All that is owed: watches, publications, and what users may not have heard.
    fn restore(&mut self, now: Tick) {
        let next = Height(self.cursor.height.0.saturating_add(1));
        for (&key, publication) in &self.state.publications {
            // Whoever was asked before may have answered when nobody was there any more.
            let mut life = Life { out: true, ..Life::default() };
            for (nth, input, outpoint) in publication.outpoints() {
                let from = if publication.searched { next } else { publication.from };
                let fresh = Watched { from, searched: true, by: BTreeSet::new() };
                let watched = self.watched.entry(outpoint).or_insert(fresh);
                watched.from = watched.from.min(from);
                watched.by.insert((key, nth, input));
                if !publication.searched {
                    watched.searched = false;
                    life.unsearched.insert(outpoint);
                }
            }
            self.weight += weight(&publication.package);
            self.lives.insert(key, life);
        }
        for (&outpoint, watched) in &self.watched {
            let (watch, from) = (Watch::Spend(outpoint), watched.from);
            self.watches.push_back(WatchAsk::Watch { watch, from });
        }
        let keys: Vec<Key> = self.state.publications.keys().copied().collect();
        for key in keys {
            let pending = self.state.publications.get(&key).map(|it| it.standings().len());
            let before = vec![Standing::Pending; pending.unwrap_or(0)];
            self.tell(key, &before);
            self.settle(key);
            self.schedule(key, now);
        }
        self.dispatch(now);
    }

    /// What is published.
    pub const fn state(&self) -> &PublishState {
        &self.state
    }

    /// The last block heard of.
    pub const fn cursor(&self) -> BlockRef {
        self.cursor
    }

    /// Whether somebody may have it. If not, all who were ever told of it have refused it.
    pub fn may_be_out(&self, key: Key) -> bool {
        self.lives.get(&key).is_some_and(|life| life.out)
            || self.state.publications.get(&key).is_some_and(|it| it.taken)
    }

    /// The next question for the source.
    pub fn poll(&mut self) -> Option<Ask> {
        self.asks.pop_front()
    }

    /// The next thing to save, in order.
    pub fn change(&mut self) -> Option<PublishChange> {
        self.changes.pop_front()
    }

    /// What the chain is told next, before it is told anything else.
    pub fn watch(&mut self) -> Option<WatchAsk> {
        self.watches.pop_front()
    }

    /// What a user hears next, in order.
    pub fn event(&mut self) -> Option<(Key, PublishEvent)> {
        self.events.pop_front()
    }

    /// When [`Publisher::handle_wake`] has something to do.
    pub fn wake_at(&self) -> Option<Tick> {
        let late = self.asked.values().next().map(|(_, until)| *until);
        let due = self.due.first().map(|(at, ..)| *at);
        match self.asked.len() < ATTEMPTS_MAX {
            true => [late, due].into_iter().flatten().min(),
            false => late,
        }
    }

    /// A user publishes something. To publish the same again changes nothing; it is told again how
    /// that stands.
    pub fn publish(&mut self, wanted: Wanted, now: Tick) -> Result<(), PublishFault> {
        let Wanted { key, package, from } = wanted;
        if let Some(known) = self.state.publications.get(&key) {
            if known.package != package {
                return Err(PublishFault::Taken { key });
            }
            self.tell_again(key);
            return Ok(());
        }
        self.has_room(&package)?;
        self.weight += weight(&package);
        let cursor = self.cursor;
        self.change_by(PublishChange::Published { key, from, cursor, package });
        self.begin_watching(key, from);
        self.settle(key);
        self.schedule(key, now);
        self.dispatch(now);
        Ok(())
    }

    /// A user does not want it published any more. It may be confirmed nevertheless.
    pub fn forget(&mut self, key: Key, now: Tick) {
        if self.state.publications.contains_key(&key) {
            self.remove(key, now);
            self.dispatch(now);
        }
    }

    /// The source has answered.
    pub fn handle_answer(
        &mut self,
        attempt: Attempt,
        answer: PublishAnswer,
        now: Tick,
    ) -> Result<(), Unasked> {
        let (key, _) = self.asked.remove(&attempt).ok_or(Unasked { attempt })?;
        let Some(life) = self.lives.get_mut(&key) else { return Ok(()) };
        life.asked = None;
        let said = match answer {
            PublishAnswer::Accepted | PublishAnswer::Known | PublishAnswer::Confirmed => {
                let standings = self.state.publications.get(&key).map(Publication::standings);
                Said::Yes(life.taken_now(&standings.unwrap_or_default()))
            }
            PublishAnswer::Refused(reason) => Said::No(reason),
        };
        let before = std::mem::replace(&mut life.said, said);
        let (is_more, is_less) = (before.lacks(&life.said), life.said.lacks(&before));
        let is_other = match &life.said {
            Said::Yes(_) => is_more,
            Said::No(_) | Said::Nothing => life.said != before,
        };
        life.times = if is_other { 0 } else { life.times.saturating_add(1) };
        let again = std::mem::take(&mut life.again);
        let (pause, cure) = (life.pause(), life.cure());
        let is_yes = cure.is_none();
        if is_yes && self.state.publications.get(&key).is_some_and(|it| !it.taken) {
            self.change_by(PublishChange::Taken { key });
        }
        match cure {
            Some(Cure::Wait) => self.waiting.insert(key),
            Some(Cure::RaiseFee | Cure::GiveUp | Cure::Look) | None => self.waiting.remove(&key),
        };
        if is_other {
            self.tell_said(key);
        }
        match cure {
            None => self.rivals_stand_back(key, now),
            Some(_) if is_less => self.rivals_come_back(key, now),
            Some(_) => {}
        }
        if is_less && cure.is_none() {
            self.earlier_come_back(key, now);
        }
        match (again, pause) {
            (true, _) => self.schedule(key, now),
            (false, Some(pause)) => self.schedule(key, now + pause),
            (false, None) => {}
        }
        self.dispatch(now);
        Ok(())
    }

    /// The source is another one, or has forgotten what it was asked: all is published again.
    pub fn handle_source_lost(&mut self, now: Tick) {
        self.asks.clear();
        self.asked.clear();
        let keys: Vec<Key> = self.lives.keys().copied().collect();
        for key in keys {
            if let Some(life) = self.lives.get_mut(&key) {
                life.asked = None;
                life.again = false;
                life.out |= life.told;
            }
            self.schedule(key, now);
        }
        self.dispatch(now);
    }

    /// Time has come.
    pub fn handle_wake(&mut self, now: Tick) {
        while let Some((&attempt, &(key, until))) = self.asked.first_key_value()
            && until <= now
        {
            self.asked.remove(&attempt);
            if let Some(life) = self.lives.get_mut(&key) {
                life.asked = None;
                life.again = false;
                life.out = true;
                self.schedule(key, now);
            }
        }
        self.dispatch(now);
    }

    /// What the chain tells [`PUBLISHER`].
    pub fn handle_event(&mut self, event: &Event, now: Tick) {
        match event {
            Event::Connected { block, found } => {
                self.cursor = *block;
                let spends = self.recognise(found);
                if !self.state.publications.is_empty() {
                    self.spent(PublishChange::Connected { block: *block, spends }, now);
                }
                for key in std::mem::take(&mut self.waiting) {
                    self.schedule(key, now);
                }
                self.bury(now);
            }
            Event::Disconnected { cursor, .. } => {
                self.cursor = *cursor;
                if !self.state.publications.is_empty() {
                    self.spent(PublishChange::Disconnected { cursor: *cursor }, now);
                }
                // What waited for the depth of another one is dropped by sources with its block.
                let all = self.state.publications.iter();
                let pending = all.filter(|(_, publication)| publication.pending().is_some());
                self.waiting.extend(pending.map(|(key, _)| *key));
            }
            Event::Found { block, found } => {
                let spends = self.recognise(found);
                if !spends.is_empty() {
                    self.spent(PublishChange::Found { block: *block, spends }, now);
                }
            }
            Event::Searched { watch: Watch::Spend(outpoint) } => {
                self.searched(*outpoint);
                self.bury(now);
            }
            Event::Searched { watch: Watch::Pay(_) } => {}
        }
        self.dispatch(now);
    }
}

// What is in blocks.
impl Publisher {
    /// Which publications' inputs are spent.
    fn recognise(&self, found: &[Found]) -> Vec<Spend> {
        let mut spends = Vec::new();
        for Found { watch, transaction, part, .. } in found {
            let (Watch::Spend(outpoint), FoundIn::Input(_)) = (watch, part) else { continue };
            let Some(watched) = self.watched.get(outpoint) else { continue };
            let by = transaction.compute_txid();
            for &(key, nth, input) in &watched.by {
                let publication = self.state.publications.get(&key);
                let own = publication.and_then(|it| it.txids.get(usize::from(nth)));
                if own != Some(&by) || input == 0 {
                    spends.push(Spend { key, nth, input, by });
                }
            }
        }
        spends
    }

    /// A change of what is in blocks: who is affected hears of it.
    fn spent(&mut self, change: PublishChange, now: Tick) {
        let affected: BTreeSet<Key> = match &change {
            PublishChange::Connected { spends, .. } | PublishChange::Found { spends, .. } => {
                spends.iter().map(|spend| spend.key).collect()
            }
            PublishChange::Disconnected { .. } => {
                let with_spends = |(_, it): &(&Key, &Publication)| !it.spends.is_empty();
                let known = self.state.publications.iter().filter(with_spends);
                known.map(|(key, _)| *key).collect()
            }
            PublishChange::Published { .. }
            | PublishChange::Forgotten { .. }
            | PublishChange::Searched { .. }
            | PublishChange::Taken { .. } => BTreeSet::new(),
        };
        let standings = |state: &PublishState, key: Key| {
            state.publications.get(&key).map(Publication::standings).unwrap_or_default()
        };
        let before = affected.into_iter().map(|key| (key, standings(&self.state, key)));
        let before: Vec<(Key, Vec<Standing>)> = before.collect();
        self.change_by(change);
        for (key, before) in before {
            if standings(&self.state, key) == before {
                continue;
            }
            self.tell(key, &before);
            self.settle(key);
            if let Some(life) = self.lives.get_mut(&key) {
                life.times = 0;
            }
            // A reorg has taken something out, or of two only one is left.
            self.schedule(key, now);
            self.rivals_come_back(key, now);
        }
    }

    fn searched(&mut self, outpoint: OutPoint) {
        let Some(watched) = self.watched.get_mut(&outpoint) else { return };
        watched.searched = true;
        let keys: BTreeSet<Key> = watched.by.iter().map(|(key, ..)| *key).collect();
        for key in keys {
            let Some(life) = self.lives.get_mut(&key) else { continue };
            if life.unsearched.remove(&outpoint) && life.unsearched.is_empty() {
                self.change_by(PublishChange::Searched { key });
            }
        }
    }

    /// Forgets what is deep, once it has been looked for everywhere.
    fn bury(&mut self, now: Tick) {
        let top = self.cursor.height.0.saturating_add(1);
        let Some(deepest) = top.checked_sub(self.deep) else { return };
        let deep = self.settled.range(..=(Height(deepest), LAST)).map(|(_, key)| *key);
        let deep: Vec<Key> = deep.collect();
        for key in deep {
            let is_searched = self.lives.get(&key).is_some_and(|life| life.unsearched.is_empty());
            if is_searched {
                let last = self.state.publications.get(&key).and_then(|it| it.txids.last());
                if let Some(transaction) = last.copied() {
                    self.events.push_back((key, PublishEvent::Deep { transaction }));
                }
                self.remove(key, now);
            }
        }
    }

    /// Notes whether all of it is in blocks, or cannot be.
    fn settle(&mut self, key: Key) {
        let settled = self.state.publications.get(&key).and_then(Publication::settled);
        let Some(life) = self.lives.get_mut(&key) else { return };
        if let Some(height) = std::mem::replace(&mut life.settled, settled) {
            self.settled.remove(&(height, key));
        }
        self.settled.extend(settled.map(|height| (height, key)));
    }

    /// Watches all that it spends. What is watched already is not searched for again, if it was
    /// from as far back.
    fn begin_watching(&mut self, key: Key, from: Height) {
        let mut life = Life::default();
        let (mut known, inputs) = (Vec::new(), self.inputs(key));
        for (nth, input, outpoint) in inputs {
            let watch = Watch::Spend(outpoint);
            match self.watched.get_mut(&outpoint) {
                Some(watched) if watched.from <= from => {
                    let others = watched.by.iter().filter_map(|(key, nth, input)| {
                        self.state.publications.get(key)?.spender(*nth, *input)
                    });
                    known.extend(others.map(|(block, by)| (block, Spend { key, nth, input, by })));
                    watched.by.insert((key, nth, input));
                }
                Some(watched) => {
                    (watched.from, watched.searched) = (from, false);
                    watched.by.insert((key, nth, input));
                    let unwatch = WatchAsk::Unwatch { watch: watch.clone() };
                    self.watches.extend([unwatch, WatchAsk::Watch { watch, from }]);
                }
                None => {
                    let by = BTreeSet::from([(key, nth, input)]);
                    self.watched.insert(outpoint, Watched { from, searched: false, by });
                    self.watches.push_back(WatchAsk::Watch { watch, from });
                }
            }
            if self.watched.get(&outpoint).is_some_and(|watched| !watched.searched) {
                life.unsearched.insert(outpoint);
            }
        }
        let is_searched = life.unsearched.is_empty();
        self.lives.insert(key, life);
        let Some(publication) = self.state.publications.get(&key) else { return };
        let count = publication.txids.len();
        let own = |spend: &Spend| publication.txids.get(usize::from(spend.nth)) == Some(&spend.by);
        known.retain(|(_, spend)| !own(spend) || spend.input == 0);
        for (block, spend) in known {
            self.change_by(PublishChange::Found { block, spends: vec![spend] });
        }
        // Saved last: what was searched and not saved would never be found again.
        if is_searched {
            self.change_by(PublishChange::Searched { key });
        }
        self.tell(key, &vec![Standing::Pending; count]);
    }

    fn inputs(&self, key: Key) -> Vec<(u8, u32, OutPoint)> {
        let publication = self.state.publications.get(&key);
        publication.into_iter().flat_map(Publication::outpoints).collect()
    }

    fn remove(&mut self, key: Key, now: Tick) {
        self.rivals_come_back(key, now);
        for (nth, input, outpoint) in self.inputs(key) {
            let Some(watched) = self.watched.get_mut(&outpoint) else { continue };
            watched.by.remove(&(key, nth, input));
            if watched.by.is_empty() {
                self.watched.remove(&outpoint);
                self.watches.push_back(WatchAsk::Unwatch { watch: Watch::Spend(outpoint) });
            }
        }
        if let Some(publication) = self.state.publications.get(&key) {
            self.weight -= weight(&publication.package);
        }
        self.unschedule(key);
        if let Some(life) = self.lives.remove(&key) {
            life.settled.map(|height| self.settled.remove(&(height, key)));
            if let Some(attempt) = life.asked {
                self.asked.remove(&attempt);
                // One that nobody has fetched yet is not to leave any more.
                let is_its =
                    |ask: &Ask| matches!(ask, Ask::Publish { attempt: it, .. } if *it == attempt);
                self.asks.retain(|ask| !is_its(ask));
            }
        }
        self.waiting.remove(&key);
        self.change_by(PublishChange::Forgotten { key });
    }

    fn change_by(&mut self, change: PublishChange) {
        self.state.evolve(&change);
        self.changes.push_back(change);
    }

    fn has_room(&self, package: &Package) -> Result<(), PublishFault> {
        let (have, max) = (self.state.publications.len(), PUBLICATIONS_MAX);
        if have >= max {
            return Err(PublishFault::Full { have, max });
        }
        let inputs: usize = package.transactions().iter().map(|it| it.input.len()).sum();
        let (got, max) = (self.watched.len() + inputs, PUBLICATION_INPUTS_MAX);
        if got > max {
            return Err(PublishFault::TooManyInputs { got, max });
        }
        let (got, max) = (self.weight + weight(package), PUBLICATIONS_WU_MAX);
        match got > max {
            true => Err(PublishFault::TooMuch { got, max }),
            false => Ok(()),
        }
    }
}
