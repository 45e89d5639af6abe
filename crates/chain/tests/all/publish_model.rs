//! Random publications, blocks, reorgs, refusals and restarts, beside a model that looks at the
//! whole chain and at all that other nodes know.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bitcoin::{Block, BlockHash, Network, OutPoint, Transaction, Txid};
use chain::{
    Ask, Attempt, BlockRef, Chain, Change, Headers, Height, Key, PUBLISHER, Package, PublicationId,
    PublishAnswer, PublishChange, PublishEvent, PublishState, Publisher, Standing, User, Wanted,
    WatchAsk,
};
use wire::{
    dice::Dice,
    tick::{Millis, Tick},
};

use crate::{
    blocks::{genesis, mine, outpoint},
    publish::{child_of, spends},
};

const CASES: u64 = 2_000;
const LONG_CASES: u64 = 50_000;
const STEPS: usize = 70;
/// So few outputs that publications often spend the same.
const OUTPUTS: usize = 9;
const DEEP: u32 = 7;
/// Nothing deep comes back.
const REORG_MAX: usize = DEEP as usize - 1;

const REFUSALS: [&str; 8] = [
    "mempool min fee not met, 1 < 2",
    "insufficient fee",
    "missing-inputs",
    "non-final",
    "non-BIP68-final",
    "dust",
    "mandatory-script-verify-flag-failed (why)",
    "something new",
];

/// All blocks, the best chain of them, and what other nodes keep for the next block.
struct Nodes {
    blocks: BTreeMap<BlockHash, Block>,
    best: Vec<BlockHash>,
    memory: Vec<Arc<Transaction>>,
    salt: u64,
}

impl Nodes {
    fn new() -> Self {
        let first = genesis();
        let hash = first.block_hash();
        let blocks = BTreeMap::from([(hash, first)]);
        Self { blocks, best: vec![hash], memory: Vec::new(), salt: 0 }
    }

    fn at(&self, height: usize) -> BlockRef {
        BlockRef { height: Height(height as u32), hash: self.best[height] }
    }

    /// Where each output was spent, and by whom.
    fn spent(&self) -> BTreeMap<OutPoint, (BlockRef, Txid)> {
        let mut spent = BTreeMap::new();
        for height in 1..self.best.len() {
            let block = self.at(height);
            for transaction in &self.blocks[&block.hash].txdata[1..] {
                let by = transaction.compute_txid();
                let inputs = transaction.input.iter();
                spent.extend(inputs.map(|input| (input.previous_output, (block, by))));
            }
        }
        spent
    }

    fn confirmed(&self) -> BTreeSet<Txid> {
        self.spent().into_values().map(|(_, by)| by).collect()
    }

    fn knows(&self, txid: Txid) -> bool {
        self.memory.iter().any(|it| it.compute_txid() == txid)
    }

    /// Its outputs are there: those of this test's own kind always, others if their parent is.
    fn is_spendable(&self, outpoint: &OutPoint, confirmed: &BTreeSet<Txid>) -> bool {
        outpoint.txid.to_string().starts_with("0707070707") || {
            confirmed.contains(&outpoint.txid) || self.knows(outpoint.txid)
        }
    }

    fn publish(&mut self, transaction: &Arc<Transaction>, replaces: bool) -> PublishAnswer {
        let (spent, confirmed) = (self.spent(), self.confirmed());
        let txid = transaction.compute_txid();
        if confirmed.contains(&txid) {
            return PublishAnswer::Confirmed;
        }
        if self.knows(txid) {
            return PublishAnswer::Known;
        }
        let outpoints: Vec<OutPoint> =
            transaction.input.iter().map(|input| input.previous_output).collect();
        let missing = |it: &OutPoint| spent.contains_key(it) || !self.is_spendable(it, &confirmed);
        if outpoints.iter().any(missing) {
            return PublishAnswer::parse("bad-txns-inputs-missingorspent");
        }
        let clashes = |it: &Arc<Transaction>| {
            it.input.iter().any(|input| outpoints.contains(&input.previous_output))
        };
        if self.memory.iter().any(clashes) {
            if !replaces {
                return PublishAnswer::parse("insufficient fee, rejecting replacement");
            }
            self.memory.retain(|it| !clashes(it));
        }
        self.memory.push(Arc::clone(transaction));
        self.tidy();
        PublishAnswer::Accepted
    }

    /// What has become impossible goes.
    fn tidy(&mut self) {
        let (spent, confirmed) = (self.spent(), self.confirmed());
        for transaction in std::mem::take(&mut self.memory) {
            let mut inputs = transaction.input.iter().map(|it| it.previous_output);
            if inputs.all(|it| !spent.contains_key(&it) && self.is_spendable(&it, &confirmed)) {
                self.memory.push(transaction);
            }
        }
    }

    fn mine(&mut self, dice: &mut Dice) {
        self.salt += 1;
        let (spent, confirmed) = (self.spent(), self.confirmed());
        let mut taken: BTreeSet<OutPoint> = spent.into_keys().collect();
        let mut inside: Vec<Transaction> = Vec::new();
        let mut candidates = self.memory.clone();
        if dice.one_in(5) {
            // A stranger with the same keys.
            candidates.insert(0, spends(&[dice.below(OUTPUTS) as u64], 1 << 50 | self.salt));
        }
        for transaction in candidates {
            let inputs = || transaction.input.iter().map(|it| it.previous_output);
            let has_parent = inputs().all(|it| {
                let in_block = inside.iter().any(|other| other.compute_txid() == it.txid);
                in_block
                    || it.txid.to_string().starts_with("0707070707")
                    || confirmed.contains(&it.txid)
            });
            if dice.one_in(2) && has_parent && inputs().all(|it| !taken.contains(&it)) {
                taken.extend(inputs());
                inside.push(transaction.as_ref().clone());
            }
        }
        let block = mine(*self.best.last().expect("it has a first"), self.salt, inside);
        let hash = block.block_hash();
        self.blocks.insert(hash, block);
        self.best.push(hash);
        self.tidy();
    }

    /// Another branch becomes the best. What was in the old one is forgotten.
    fn fork(&mut self, dice: &mut Dice) {
        let depth = dice.below(self.best.len().min(REORG_MAX + 1));
        self.best.truncate(self.best.len() - depth);
        self.tidy();
        for _ in 0..depth + 1 {
            self.mine(dice);
        }
    }

    fn headers(&self, locator: &[BlockHash]) -> Vec<bitcoin::block::Header> {
        let known = locator.iter().find_map(|hash| self.best.iter().position(|it| it == hash));
        let behind = &self.best[known.expect("both know the first") + 1..];
        behind.iter().map(|hash| self.blocks[hash].header).collect()
    }

    /// Where the transactions of a package are, from the whole chain.
    fn standings(&self, package: &Package) -> Vec<Standing> {
        let spent = self.spent();
        let mut standings: Vec<Standing> = Vec::new();
        for transaction in package.transactions() {
            let txid = transaction.compute_txid();
            let spends = transaction.input.iter().map(|it| spent.get(&it.previous_output));
            let spends: Vec<(BlockRef, Txid)> = spends.flatten().copied().collect();
            let standing = match (spends.iter().find(|(_, by)| *by == txid), spends.first()) {
                (Some((block, _)), _) => Standing::Confirmed(*block),
                (None, Some((block, by))) => Standing::Replaced { block: *block, by: *by },
                (None, None) => match standings.last() {
                    Some(Standing::Replaced { block, by }) => {
                        Standing::Replaced { block: *block, by: *by }
                    }
                    Some(Standing::Pending | Standing::Confirmed(_)) | None => Standing::Pending,
                },
            };
            standings.push(standing);
        }
        standings
    }
}

/// A publication, as its user sees it.
struct Mine {
    package: Package,
    from: Height,
    /// What was heard of each transaction.
    heard: BTreeMap<Txid, Standing>,
    is_deep: bool,
}

enum Saved {
    Chain(Change),
    Publisher(Vec<u8>),
}

struct World {
    network: Nodes,
    chain: Chain,
    publisher: Publisher,
    log: Vec<Saved>,
    mine: BTreeMap<Key, Mine>,
    open: Vec<Ask>,
    now: Tick,
    /// The source takes what it can.
    is_kind: bool,
    events: usize,
}

fn first_headers() -> Headers {
    Headers::new(Network::Regtest, Height(0), genesis().header)
}

impl World {
    fn new() -> Self {
        let mut chain = Chain::new(first_headers());
        let tip = chain.attach(PUBLISHER, None).expect("it begins here");
        let publisher = Publisher::with_depth(PublishState::default(), tip, DEEP, Tick(0));
        Self {
            network: Nodes::new(),
            chain,
            publisher,
            log: Vec::new(),
            mine: BTreeMap::new(),
            open: Vec::new(),
            now: Tick(0),
            is_kind: false,
            events: 0,
        }
    }

    /// Saved first, then passed on.
    fn settle(&mut self) {
        loop {
            self.settle_publisher();
            let event = self.chain.event();
            while let Some(change) = self.chain.change() {
                self.log.push(Saved::Chain(change));
            }
            let Some((user, event)) = event else { break };
            assert_eq!(user, PUBLISHER);
            self.publisher.handle_event(&event, self.now);
        }
        self.open.extend(std::iter::from_fn(|| self.chain.poll()));
    }

    fn settle_publisher(&mut self) {
        while let Some(change) = self.publisher.change() {
            self.log.push(Saved::Publisher(change.encode()));
        }
        while let Some(ask) = self.publisher.watch() {
            match ask {
                WatchAsk::Watch { watch, from } => {
                    self.chain.watch(PUBLISHER, watch, from.max(Height(1))).expect("room");
                }
                WatchAsk::Unwatch { watch } => self.chain.unwatch(PUBLISHER, &watch),
            }
        }
        while let Some((key, event)) = self.publisher.event() {
            self.events += 1;
            self.hear(key, event);
        }
        self.open.extend(std::iter::from_fn(|| self.publisher.poll()));
    }

    fn hear(&mut self, key: Key, event: PublishEvent) {
        let Some(mine) = self.mine.get_mut(&key) else { return };
        let mut is = |transaction, before: fn(&Standing) -> bool, after| {
            let heard = mine.heard.get_mut(&transaction).expect("it is one of these");
            assert!(before(heard), "{key}: {heard:?} and then {after:?}");
            *heard = after;
        };
        match event {
            PublishEvent::Accepted | PublishEvent::Refused { .. } => {}
            PublishEvent::Confirmed { transaction, block } => {
                is(transaction, |it| *it == Standing::Pending, Standing::Confirmed(block));
            }
            PublishEvent::Unconfirmed { transaction, .. } => {
                is(transaction, |it| matches!(it, Standing::Confirmed(_)), Standing::Pending);
            }
            PublishEvent::Replaced { transaction, by, block: Some(block) } => {
                let pending = |it: &Standing| *it == Standing::Pending;
                is(transaction, pending, Standing::Replaced { block, by });
            }
            PublishEvent::Replaced { transaction, by, block: None } => {
                assert!(mine.heard.contains_key(&transaction) && !mine.heard.contains_key(&by));
            }
            PublishEvent::Restored { transaction } => {
                let replaced = |it: &Standing| matches!(it, Standing::Replaced { .. });
                is(transaction, replaced, Standing::Pending);
            }
            PublishEvent::Deep { transaction } => {
                assert!(mine.heard.contains_key(&transaction), "{key} is not of {transaction}");
                let settled = mine.heard.values().all(|it| *it != Standing::Pending);
                assert!(settled, "{key} is deep: {:?}", mine.heard);
                mine.is_deep = true;
            }
        }
    }

    fn publish(&mut self, key: Key) {
        let Some(mine) = self.mine.get_mut(&key) else { return };
        // It is told again how it stands.
        mine.heard.values_mut().for_each(|it| *it = Standing::Pending);
        mine.is_deep = false;
        let package = mine.package.clone();
        // Nothing of it is in a block before that.
        let spent = self.network.spent();
        let inputs = package.transactions().iter().flat_map(|it| &it.input);
        let earliest = inputs.filter_map(|it| spent.get(&it.previous_output)).map(|it| it.0.height);
        let from = earliest.min().map_or(mine.from, |earliest| earliest.min(mine.from));
        let wanted = Wanted { key, package, from };
        self.publisher.publish(wanted, self.now).expect("room");
        self.settle();
    }

    fn publish_new(&mut self, dice: &mut Dice, nth: u64) {
        let some = |dice: &mut Dice| -> Vec<u64> {
            let numbers: BTreeSet<u64> =
                (0..1 + dice.below(2)).map(|_| dice.below(OUTPUTS) as u64).collect();
            numbers.into_iter().collect()
        };
        let parent = spends(&some(dice), nth);
        let mut transactions = vec![Arc::clone(&parent)];
        if dice.one_in(3) {
            let inputs = parent.input.iter().map(|it| it.previous_output);
            let other =
                some(dice).into_iter().find(|it| !inputs.clone().any(|its| its == outpoint(*it)));
            transactions.push(child_of(&parent, other.as_slice(), nth));
        }
        // As a child pays for what was published before.
        if let Some(mine) = self.mine.values().last()
            && dice.one_in(4)
        {
            let parent = Arc::clone(&mine.package.transactions()[0]);
            transactions = vec![Arc::clone(&parent), child_of(&parent, &[], 7_000 + nth)];
        }
        let package = Package::new(transactions).expect("well-formed");
        let heard = package.transactions().iter().map(|it| (it.compute_txid(), Standing::Pending));
        let from = Height(1 + dice.below(self.publisher.cursor().height.0 as usize + 1) as u32);
        let from = if dice.one_in(3) { from } else { Height(1) };
        let heard = heard.collect();
        let key = Key { user: User(dice.below(3) as u32), id: PublicationId(nth) };
        self.mine.insert(key, Mine { package, from, heard, is_deep: false });
        self.publish(key);
    }

    fn answer(&mut self, dice: &mut Dice) {
        if self.open.is_empty() {
            return;
        }
        match self.open.swap_remove(dice.below(self.open.len())) {
            Ask::Headers { locator } => {
                let headers = self.network.headers(&locator);
                self.chain.handle_headers(&headers).expect("true").expect("shallow");
            }
            Ask::Block { block } => {
                let block = self.network.blocks[&block.hash].clone();
                self.chain.handle_block(block).ok();
            }
            Ask::Publish { attempt, package } => self.answer_publish(attempt, &package, dice),
            Ask::Rates { .. } => unreachable!("nobody asks for rates"),
        }
    }

    fn answer_publish(&mut self, attempt: Attempt, package: &Package, dice: &mut Dice) {
        let known = self.mine.values().any(|mine| {
            package.transactions().iter().all(|it| mine.heard.contains_key(&it.compute_txid()))
        });
        assert!(known, "nobody wants {package:?}");
        let answer = match self.is_kind || dice.one_in(2) {
            true => {
                let replaces = self.is_kind || dice.one_in(2);
                let each = package.transactions().iter();
                let answers: Vec<_> = each.map(|it| self.network.publish(it, replaces)).collect();
                PublishAnswer::of_all(answers).expect("there is one")
            }
            false => PublishAnswer::parse(REFUSALS[dice.below(REFUSALS.len())]),
        };
        if dice.one_in(8) && !self.is_kind {
            return;
        }
        let twice = dice.one_in(8);
        self.publisher.handle_answer(attempt, answer.clone(), self.now).ok();
        if twice {
            assert!(self.publisher.handle_answer(attempt, answer, self.now).is_err());
        }
    }

    /// The process dies: a prefix of its log is kept. Users publish again what they still want.
    fn restart(&mut self, dice: &mut Dice) {
        let lost = dice.below(self.log.len().min(15) + 1);
        self.log.truncate(self.log.len() - lost);
        let (mut headers, mut state) = (first_headers(), PublishState::default());
        for saved in &self.log {
            match saved {
                Saved::Chain(change) => headers.evolve(change),
                Saved::Publisher(bytes) => {
                    state.evolve(&PublishChange::decode(bytes).expect("ours").expect("known"));
                }
            }
        }
        let snapshot = PublishState::decode(&state.encode()).expect("ours");
        assert!(snapshot.is_as(&state));
        let state = if dice.one_in(2) { state } else { snapshot };
        self.chain = Chain::new(headers);
        self.open.clear();
        let tip = self.chain.attach(PUBLISHER, state.cursor).expect("it is one of ours");
        for mine in self.mine.values_mut() {
            mine.heard.values_mut().for_each(|it| *it = Standing::Pending);
        }
        self.publisher = Publisher::with_depth(state, tip, DEEP, self.now);
        self.settle();
        // What nobody wants any more was perhaps not saved.
        let known: Vec<Key> = self.publisher.state().publications.keys().copied().collect();
        for key in known {
            if !self.mine.contains_key(&key) {
                self.forget(key);
            }
        }
        let wanted = self.mine.iter().filter(|(_, mine)| !mine.is_deep);
        for key in wanted.map(|(key, _)| *key).collect::<Vec<_>>() {
            self.publish(key);
        }
    }

    fn forget(&mut self, key: Key) {
        self.publisher.forget(key, self.now);
        self.settle();
        self.open.retain(|ask| !matches!(ask, Ask::Publish { .. }));
        self.publisher.handle_source_lost(self.now);
        self.settle();
    }

    fn tip_has_changed(&mut self) {
        self.chain.handle_tip(*self.network.best.last().expect("it has a first"));
    }

    /// The source is kind and everything is answered: what was heard is what there is.
    fn rest(&mut self, seed: u64) {
        let mut dice = Dice::new(0);
        self.is_kind = true;
        self.open.clear();
        self.chain.handle_source_lost();
        self.publisher.handle_source_lost(self.now);
        for _ in 0..200 {
            self.settle();
            while !self.open.is_empty() {
                self.answer(&mut dice);
                self.settle();
            }
            let Some(at) = self.publisher.wake_at() else { break };
            if at > self.now + Millis(20 * 60_000) {
                break;
            }
            self.now = self.now.max(at);
            self.publisher.handle_wake(self.now);
        }
        let tip = *self.network.best.last().expect("it has a first");
        assert_eq!(self.publisher.cursor().hash, tip, "seed {seed}");
        for (key, mine) in &self.mine {
            let truth = self.network.standings(&mine.package);
            if mine.is_deep {
                let is_settled = truth.iter().all(|it| *it != Standing::Pending);
                assert!(is_settled, "seed {seed}: {key} was told to be deep: {truth:?}");
                continue;
            }
            let publication = self.publisher.state().publications.get(key);
            assert!(publication.is_some_and(|it| it.searched), "seed {seed}: {key}");
            for (transaction, truth) in mine.package.transactions().iter().zip(&truth) {
                let heard = mine.heard[&transaction.compute_txid()];
                let same = match (heard, *truth) {
                    // Of several that have replaced it any one may be named.
                    (Standing::Replaced { .. }, Standing::Replaced { .. }) => true,
                    (heard, truth) => heard == truth,
                };
                assert!(same, "seed {seed}: {key} heard {heard:?}, and there is {truth:?}");
                if *truth == Standing::Pending {
                    assert!(self.is_known_or_replaced(&mine.package), "seed {seed}: {key}");
                }
            }
        }
    }

    /// Other nodes have it, or what it spends is spent by what they have.
    fn is_known_or_replaced(&self, package: &Package) -> bool {
        let pending = self.network.standings(package);
        let pending = package.transactions().iter().zip(pending);
        let mut pending = pending.filter(|(_, it)| *it == Standing::Pending).map(|(it, _)| it);
        let parent = package.transactions()[0].compute_txid();
        let confirmed = self.network.confirmed();
        let spent: BTreeSet<OutPoint> = self
            .network
            .memory
            .iter()
            .flat_map(|it| it.input.iter().map(|input| input.previous_output))
            .collect();
        pending.all(|it| {
            let is_orphan = it.input.iter().any(|input| input.previous_output.txid == parent)
                && !self.network.knows(parent)
                && !confirmed.contains(&parent);
            is_orphan || it.input.iter().any(|input| spent.contains(&input.previous_output))
        })
    }
}

fn case(seed: u64) -> usize {
    let (mut world, mut dice) = (World::new(), Dice::new(seed));
    let mut nth = 0;
    for _ in 0..STEPS {
        match dice.below(14) {
            0..3 => {
                world.network.mine(&mut dice);
                world.tip_has_changed();
            }
            3 if dice.one_in(2) => {
                world.network.fork(&mut dice);
                world.tip_has_changed();
            }
            4 if nth < 8 => {
                nth += 1;
                world.publish_new(&mut dice, nth);
            }
            5 if dice.one_in(3) => world.restart(&mut dice),
            6 if dice.one_in(3) => {
                world.open.clear();
                world.chain.handle_source_lost();
                world.publisher.handle_source_lost(world.now);
            }
            7 => {
                world.now = world.now + Millis(dice.below(100_000) as u64);
                world.publisher.handle_wake(world.now);
            }
            8 if dice.one_in(4) => {
                let nth = dice.below(world.mine.len().max(1));
                let key = world.mine.keys().nth(nth).copied();
                if let Some(key) = key {
                    world.mine.remove(&key);
                    world.forget(key);
                }
            }
            _ => world.answer(&mut dice),
        }
        world.settle();
    }
    world.rest(seed);
    world.events
}

#[test]
fn publications_stand_as_the_chain_says_through_reorgs_and_restarts() {
    let events: usize = (0..CASES).map(case).sum();
    assert!(events > 20_000, "{events}");
}

#[test]
#[ignore = "takes a minute"]
fn publications_stand_as_the_chain_says_in_many_more_cases() {
    let events: usize = (CASES..CASES + LONG_CASES).map(case).sum();
    assert!(events > 500_000, "{events}");
}
