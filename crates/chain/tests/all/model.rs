//! Random chains, restarts and watches, beside a model that looks at the whole chain each time.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{Block, BlockHash, Network};
use chain::{Ask, BlockRef, Chain, Change, Event, Found, FoundIn, Headers, Height, User, Watch};
use wire::dice::Dice;

use crate::blocks::{genesis, mine, outpoint, pays, script};

const CASES: u64 = 2_000;
const LONG_CASES: u64 = 100_000;
const STEPS: usize = 60;
/// So few things to watch that blocks often have some.
const THINGS: usize = 12;

/// All blocks that there ever were, and the best chain of them.
struct Source {
    blocks: BTreeMap<BlockHash, Block>,
    best: Vec<BlockHash>,
    salt: u64,
}

impl Source {
    fn new() -> Self {
        let first = genesis();
        let hash = first.block_hash();
        Self { blocks: BTreeMap::from([(hash, first)]), best: vec![hash], salt: 0 }
    }

    fn mine(&mut self, dice: &mut Dice) {
        self.salt += 1;
        let transactions = (0..dice.below(4)).map(|_| {
            let things = |dice: &mut Dice| -> Vec<u64> {
                (0..dice.below(3)).map(|_| dice.below(THINGS) as u64).collect()
            };
            let spends: Vec<_> = things(dice).into_iter().map(outpoint).collect();
            let mut scripts: Vec<_> = things(dice).into_iter().map(script).collect();
            scripts.push(script(99));
            pays(&spends, &scripts)
        });
        let transactions = transactions.collect();
        let block = mine(*self.best.last().expect("it has a first"), self.salt, transactions);
        let hash = block.block_hash();
        self.blocks.insert(hash, block);
        self.best.push(hash);
    }

    /// Another branch becomes the best.
    fn fork(&mut self, dice: &mut Dice) {
        let depth = dice.below(self.best.len().min(9));
        self.best.truncate(self.best.len() - depth);
        for _ in 0..depth + 1 + dice.below(2) {
            self.mine(dice);
        }
    }

    fn headers(&self, locator: &[BlockHash]) -> Vec<bitcoin::block::Header> {
        let known = locator.iter().find_map(|hash| self.best.iter().position(|it| it == hash));
        let behind = &self.best[known.expect("both know the first") + 1..];
        behind.iter().map(|hash| self.blocks[hash].header).collect()
    }

    fn block(&self, height: usize) -> &Block {
        &self.blocks[&self.best[height]]
    }
}

/// What one thing found is, without its transaction.
type Place = (u32, BlockHash, u32, FoundIn);

/// What a user keeps, as the sum of what it has heard.
#[derive(Clone)]
struct Heard {
    cursor: BlockRef,
    found: BTreeMap<Watch, BTreeSet<Place>>,
    /// From where each thing is watched, and whether the past has been searched.
    watched: BTreeMap<Watch, (Height, bool)>,
}

impl Heard {
    fn hear(&mut self, event: &Event) {
        match event {
            Event::Connected { block, found } => {
                assert_eq!(block.height.0, self.cursor.height.0 + 1, "no gap");
                self.cursor = *block;
                self.keep(*block, found);
            }
            Event::Disconnected { block, cursor } => {
                assert_eq!(*block, self.cursor, "the newest first");
                assert_eq!(cursor.height.0 + 1, block.height.0, "no gap");
                self.cursor = *cursor;
                for places in self.found.values_mut() {
                    places.retain(|(_, hash, ..)| *hash != block.hash);
                }
            }
            Event::Found { block, found } => {
                assert!(block.height <= self.cursor.height);
                self.keep(*block, found);
            }
            Event::Searched { watch } => {
                if let Some((_, searched)) = self.watched.get_mut(watch) {
                    *searched = true;
                }
            }
        }
    }

    fn watch_again(&mut self, watch: &Watch, again: &std::ops::Range<u32>) {
        if let Some((from, searched)) = self.watched.get_mut(watch) {
            (*from, *searched) = (Height(from.0.min(again.start)), false);
        }
        if let Some(places) = self.found.get_mut(watch) {
            places.retain(|(height, ..)| !again.contains(height));
        }
    }

    fn keep(&mut self, block: BlockRef, found: &[Found]) {
        for Found { watch, position, part, .. } in found {
            let place = (block.height.0, block.hash, *position, *part);
            let fresh = self.found.entry(watch.clone()).or_default().insert(place);
            assert!(fresh, "{watch:?} was found twice at {place:?}");
        }
    }
}

/// One thing after the other, as a log keeps it.
enum Saved {
    Change(Change),
    Heard(User, Event),
    Watched(User, Watch, Height),
    /// It will be searched for again.
    Forgot(User, Watch),
    /// Watched from further back, where what is in these blocks is found once more.
    Again(User, Watch, std::ops::Range<u32>),
}

struct World {
    source: Source,
    chain: Chain,
    heard: BTreeMap<User, Heard>,
    log: Vec<Saved>,
    open: Vec<Ask>,
    /// From where the chain that is there now has everything of a watch.
    begun: BTreeMap<(User, Watch), u32>,
}

const USERS: [User; 3] = [User(1), User(2), User(3)];

fn fresh() -> (Headers, BTreeMap<User, Heard>) {
    let headers = Headers::new(Network::Regtest, Height(0), genesis().header);
    let heard = Heard { cursor: headers.tip(), found: BTreeMap::new(), watched: BTreeMap::new() };
    (headers, USERS.map(|user| (user, heard.clone())).into())
}

impl World {
    fn new() -> Self {
        let (headers, heard) = fresh();
        let mut chain = Chain::new(headers);
        for (user, heard) in &heard {
            assert_eq!(chain.attach(*user, Some(heard.cursor)), Ok(heard.cursor));
        }
        let (log, open, begun) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { source: Source::new(), chain, heard, log, open, begun }
    }

    /// What the chain has done is saved, then heard.
    fn settle(&mut self) {
        while let Some((user, event)) = self.chain.event() {
            while let Some(change) = self.chain.change() {
                self.log.push(Saved::Change(change));
            }
            self.heard.get_mut(&user).expect("it is attached").hear(&event);
            self.log.push(Saved::Heard(user, event));
        }
        while let Some(change) = self.chain.change() {
            self.log.push(Saved::Change(change));
        }
        while let Some(ask) = self.chain.poll() {
            self.open.push(ask);
        }
    }

    fn answer(&mut self, dice: &mut Dice) {
        let Some(at) = (!self.open.is_empty()).then(|| dice.below(self.open.len())) else { return };
        match self.open.swap_remove(at) {
            Ask::Headers { locator } => {
                let headers = self.source.headers(&locator);
                // Some of them, as a source that lags would.
                let some = dice.below(headers.len() + 1).max(headers.len() / 2);
                self.chain.handle_headers(&headers[..some]).expect("true").expect("shallow");
            }
            Ask::Block { block } => {
                let mut answer = self.source.blocks[&block.hash].clone();
                if dice.one_in(10) {
                    answer.txdata.push(pays(&[outpoint(1)], &[script(1)]));
                    // Refused, or not asked for any more.
                    assert!(self.chain.handle_block(answer).is_err());
                    self.open.push(Ask::Block { block });
                } else {
                    self.chain.handle_block(answer).ok();
                }
            }
            Ask::Publish { .. } | Ask::Rates { .. } => unreachable!("a chain asks for blocks"),
        }
    }

    fn watch(&mut self, dice: &mut Dice) {
        let (mut user, number) = (USERS[dice.below(USERS.len())], dice.below(THINGS) as u64);
        let mut watch = match dice.one_in(2) {
            true => Watch::Spend(outpoint(number)),
            false => Watch::Pay(script(number)),
        };
        // Often one that is still searched for.
        if dice.one_in(3)
            && let Some((whose, searching)) = self.searching(dice)
        {
            (user, watch) = (whose, searching);
        }
        let heard = self.heard.get_mut(&user).expect("it is attached");
        let from = Height(1 + dice.below(heard.cursor.height.0 as usize + 2) as u32);
        if heard.watched.contains_key(&watch) {
            return self.watch_again(user, watch, from);
        }
        heard.watched.insert(watch.clone(), (from, false));
        self.begin(user, &watch, from);
        self.chain.watch(user, watch.clone(), from).expect("room");
        if dice.one_in(4) {
            self.chain.watch(user, watch.clone(), from).expect("again changes nothing");
        }
        self.log.push(Saved::Watched(user, watch, from));
    }

    fn searching(&self, dice: &mut Dice) -> Option<(User, Watch)> {
        let searching = self.heard.iter().flat_map(|(user, heard)| {
            let unsearched = heard.watched.iter().filter(|(_, (_, searched))| !searched);
            unsearched.map(|(watch, _)| (*user, watch.clone()))
        });
        let searching: Vec<_> = searching.collect();
        searching.get(dice.below(searching.len().max(1))).cloned()
    }

    fn begin(&mut self, user: User, watch: &Watch, from: Height) {
        let next = self.heard[&user].cursor.height.0 + 1;
        let begun = self.begun.entry((user, watch.clone())).or_insert(next);
        *begun = from.0.min(next).min(*begun);
    }

    /// From further back, or not.
    fn watch_again(&mut self, user: User, watch: Watch, from: Height) {
        let begun = self.begun[&(user, watch.clone())];
        let heard = self.heard.get_mut(&user).expect("it is attached");
        if from.0 < begun {
            // A chain before this one may have found some of it.
            let again = Saved::Again(user, watch.clone(), from.0..begun);
            heard.watch_again(&watch, &(from.0..begun));
            self.log.push(again);
        }
        self.begin(user, &watch, from);
        self.chain.watch(user, watch, from).expect("room");
    }

    /// It is not watched any more, or from further back.
    fn unwatch(&mut self, dice: &mut Dice) {
        let user = USERS[dice.below(USERS.len())];
        let heard = self.heard.get_mut(&user).expect("it is attached");
        let nth = dice.below(heard.watched.len().max(1));
        let Some(watch) = heard.watched.keys().nth(nth).cloned() else { return };
        self.chain.unwatch(user, &watch);
        heard.found.remove(&watch);
        self.log.push(Saved::Forgot(user, watch.clone()));
        let from = Height(1 + dice.below(heard.cursor.height.0 as usize + 2) as u32);
        heard.watched.insert(watch.clone(), (from, false));
        self.begun.remove(&(user, watch.clone()));
        self.begin(user, &watch, from);
        self.chain.watch(user, watch.clone(), from).expect("room");
        self.log.push(Saved::Watched(user, watch, from));
    }

    /// The process dies: a prefix of its log is kept.
    fn restart(&mut self, dice: &mut Dice) {
        let lost = dice.below(self.log.len().min(30) + 1);
        self.log.truncate(self.log.len() - lost);
        let (mut headers, mut heard) = fresh();
        for saved in &self.log {
            match saved {
                Saved::Change(change) => headers.evolve(change),
                Saved::Heard(user, event) => {
                    heard.get_mut(user).expect("one of ours").hear(event);
                }
                Saved::Forgot(user, watch) => {
                    let heard = heard.get_mut(user).expect("one of ours");
                    heard.found.remove(watch);
                    heard
                        .watched
                        .entry(watch.clone())
                        .and_modify(|(_, searched)| *searched = false);
                }
                Saved::Again(user, watch, again) => {
                    heard.get_mut(user).expect("one of ours").watch_again(watch, again);
                }
                Saved::Watched(user, watch, from) => {
                    let heard = heard.get_mut(user).expect("one of ours");
                    heard.watched.insert(watch.clone(), (*from, false));
                }
            }
        }
        let snapshot = Headers::decode(&headers.encode()).expect("it was made from headers");
        assert_eq!(snapshot.tip(), headers.tip());
        self.chain = Chain::new(if dice.one_in(2) { headers } else { snapshot });
        self.open.clear();
        self.begun.clear();
        self.heard = heard;
        for (&user, heard) in &mut self.heard {
            let at = self.chain.attach(user, Some(heard.cursor));
            let next = Height(heard.cursor.height.0 + 1);
            let at = at.expect("it stopped at one of ours");
            // What was not searched to the end is searched again, and found again.
            for (watch, (from, searched)) in &heard.watched {
                if !*searched {
                    heard.found.remove(watch);
                    self.log.push(Saved::Forgot(user, watch.clone()));
                }
                let begin = if *searched { next } else { *from };
                // Of what is gone meanwhile it has not heard yet.
                self.begun.insert((user, watch.clone()), begin.0.min(at.height.0 + 1));
                self.chain.watch(user, watch.clone(), begin).expect("room");
            }
        }
        self.settle();
    }

    /// All that is in the best chain, from the whole of it.
    fn model(&self, watch: &Watch) -> BTreeSet<Place> {
        let mut places = BTreeSet::new();
        for height in 1..self.source.best.len() {
            let block = self.source.block(height);
            for (position, transaction) in (0..).zip(&block.txdata) {
                let mut add = |part| {
                    places.insert((height as u32, block.block_hash(), position, part));
                };
                for (at, input) in (0..).zip(&transaction.input) {
                    if *watch == Watch::Spend(input.previous_output) {
                        add(FoundIn::Input(at));
                    }
                }
                for (at, output) in (0..).zip(&transaction.output) {
                    if *watch == Watch::Pay(output.script_pubkey.clone()) {
                        add(FoundIn::Output(at));
                    }
                }
            }
        }
        places
    }

    /// Everything is answered; what was heard is what there is.
    fn rest(&mut self, seed: u64) -> usize {
        self.chain.handle_source_lost();
        self.open.clear();
        let mut dice = Dice::new(0);
        for _ in 0..10_000 {
            self.settle();
            // Headers first, and all of them: nobody tells it of the tip once more.
            let headers = self.open.iter().position(|ask| matches!(ask, Ask::Headers { .. }));
            let last = self.open.len().checked_sub(1);
            let Some(at) = headers.or(last) else { break };
            let ask = self.open.swap_remove(at);
            match ask {
                Ask::Headers { locator } => {
                    let headers = self.source.headers(&locator);
                    self.chain.handle_headers(&headers).expect("true").expect("shallow");
                }
                Ask::Block { .. } => {
                    self.open.push(ask);
                    let at = self.open.len();
                    self.answer(&mut dice);
                    assert!(self.open.len() <= at);
                }
                Ask::Publish { .. } | Ask::Rates { .. } => unreachable!("a chain asks for blocks"),
            }
        }
        let tip = *self.source.best.last().expect("it has a first");
        let mut count = 0;
        for (user, heard) in &self.heard {
            assert_eq!(heard.cursor.hash, tip, "seed {seed}");
            for (watch, (from, searched)) in &heard.watched {
                assert!(searched, "seed {seed}: {user:?} {watch:?} was never searched for");
                let all = self.model(watch);
                let found = heard.found.get(watch).cloned().unwrap_or_default();
                let missed = all.iter().find(|it| it.0 >= from.0 && !found.contains(*it));
                assert_eq!(missed, None, "seed {seed}: {user:?} {watch:?} from {from}");
                assert!(found.is_subset(&all), "seed {seed}: {watch:?} is not there");
                count += found.len();
            }
        }
        count
    }
}

fn case(seed: u64) -> usize {
    let (mut world, mut dice) = (World::new(), Dice::new(seed));
    for _ in 0..STEPS {
        match dice.below(12) {
            0..3 => {
                world.source.mine(&mut dice);
                world.chain.handle_tip(*world.source.best.last().expect("it has a first"));
            }
            3 => {
                world.source.fork(&mut dice);
                world.chain.handle_tip(*world.source.best.last().expect("it has a first"));
            }
            4 | 5 => world.watch(&mut dice),
            8 if dice.one_in(4) => world.unwatch(&mut dice),
            6 if dice.one_in(3) => world.restart(&mut dice),
            7 if dice.one_in(4) => {
                world.chain.handle_source_lost();
                world.open.clear();
            }
            _ => world.answer(&mut dice),
        }
        world.settle();
    }
    world.rest(seed)
}

#[test]
fn users_hear_what_there_is_through_reorgs_and_restarts() {
    let found: usize = (0..CASES).map(case).sum();
    assert!(found > 10_000, "{found}");
}

#[test]
#[ignore = "takes two minutes"]
fn users_hear_what_there_is_in_many_more_cases() {
    let found: usize = (CASES..CASES + LONG_CASES).map(case).sum();
    assert!(found > 500_000, "{found}");
}
