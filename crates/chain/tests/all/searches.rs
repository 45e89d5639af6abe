//! Searches in the past: each block is read for all who need it, and not again for each.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{Block, Network};
use chain::{Ask, BlockRef, Chain, Event, Fault, Headers, Height, User, Watch};

use crate::blocks::{genesis, mine, outpoint, pays, script};

/// A chain whose block at height `n` spends the outpoint and pays to the script of that number.
struct Past {
    blocks: Vec<Block>,
    chain: Chain,
    /// How often each height was asked for.
    asked: BTreeMap<u32, usize>,
    open: Vec<BlockRef>,
    heard: Vec<(User, Event)>,
}

fn block_at(parent: &Block, height: u32, salt: u64) -> Block {
    let number = u64::from(height);
    let transaction = pays(&[outpoint(number)], &[script(number)]);
    mine(parent.block_hash(), number << 20 | salt, vec![transaction])
}

impl Past {
    fn new(blocks: u32) -> Self {
        let mut chain = Chain::new(Headers::new(Network::Regtest, Height(0), genesis().header));
        let mut all = vec![genesis()];
        for height in 1..=blocks {
            all.push(block_at(&all[height as usize - 1], height, 0));
        }
        let headers: Vec<_> = all[1..].iter().map(|block| block.header).collect();
        assert_eq!(chain.handle_headers(&headers), Ok(Ok(())));
        let (asked, open, heard) = (BTreeMap::new(), Vec::new(), Vec::new());
        Self { blocks: all, chain, asked, open, heard }
    }

    fn settle(&mut self) {
        while let Some(ask) = self.chain.poll() {
            if let Ask::Block { block } = ask {
                *self.asked.entry(block.height.0).or_default() += 1;
                self.open.push(block);
            }
        }
        self.heard.extend(std::iter::from_fn(|| self.chain.event()));
    }

    /// Answers at most so many questions.
    fn answer(&mut self, most: usize) {
        self.settle();
        for _ in 0..most {
            if self.open.is_empty() {
                return;
            }
            let block = self.open.remove(0);
            let given = self.blocks[block.height.0 as usize].clone();
            self.chain.handle_block(given).ok();
            self.settle();
        }
    }

    fn attach(&mut self, user: u32, height: u32) {
        let at = self.chain.headers().at(Height(height));
        assert_eq!(self.chain.attach(User(user), at).ok(), at);
    }

    fn watch(&mut self, user: u32, number: u64, from: u32) {
        let watch = Watch::Spend(outpoint(number));
        assert_eq!(self.chain.watch(User(user), watch, Height(from)), Ok(()));
    }

    fn searched(&self) -> Vec<(u32, Watch)> {
        let searched = self.heard.iter().filter_map(|(user, event)| match event {
            Event::Searched { watch } => Some((user.0, watch.clone())),
            Event::Connected { .. } | Event::Disconnected { .. } | Event::Found { .. } => None,
        });
        searched.collect()
    }

    fn found(&self) -> BTreeSet<(u32, u32)> {
        let found = self.heard.iter().filter_map(|(user, event)| match event {
            Event::Found { block, found } => {
                assert_eq!(found.len(), 1, "one of each block");
                Some((user.0, block.height.0))
            }
            Event::Connected { .. } | Event::Disconnected { .. } | Event::Searched { .. } => None,
        });
        found.collect()
    }

    fn asked(&self) -> usize {
        self.asked.values().sum()
    }
}

#[test]
fn watches_from_many_heights_are_one_pass() {
    let mut past = Past::new(400);
    past.attach(1, 400);
    for height in (1..=400).rev() {
        past.watch(1, u64::from(height), height);
    }
    past.answer(usize::MAX);
    assert_eq!(past.found().len(), 400);
    assert_eq!(past.searched().len(), 400);
    assert_eq!(past.asked(), 400, "each block once");
}

#[test]
fn many_users_are_one_pass_too() {
    let mut past = Past::new(400);
    // All saved their cursors at different times, and a search was open.
    for user in 1..=400 {
        past.attach(user, user);
        past.watch(user, u64::from(user / 2 + 1), user / 2 + 1);
    }
    past.answer(usize::MAX);
    assert_eq!(past.found().len(), 400);
    assert_eq!(past.searched().len(), 400);
    let connected = past.heard.iter().filter(|(_, it)| matches!(it, Event::Connected { .. }));
    assert_eq!(connected.count(), (1..=400).map(|user| 400 - user).sum());
    // One for users, the last blocks again for those near the tip, one for searches.
    assert!(past.asked() <= 400 + 150 + 220, "{} blocks", past.asked());
}

#[test]
fn who_comes_in_the_middle_gets_the_rest_and_then_the_beginning() {
    let mut past = Past::new(300);
    past.attach(1, 300);
    past.watch(1, 300, 1);
    past.answer(150);
    let before = past.searched();
    assert_eq!(before, []);
    past.watch(1, 120, 100);
    past.watch(1, 280, 100);
    past.watch(1, 110, 105);
    past.answer(usize::MAX);
    assert_eq!(past.found(), BTreeSet::from([(1, 300), (1, 120), (1, 280), (1, 110)]));
    let mut searched = past.searched();
    assert_eq!(searched.len(), 4, "each once: {searched:?}");
    searched.dedup();
    assert_eq!(searched.len(), 4);
    assert!(past.asked() <= 300 + 60, "{} blocks", past.asked());
}

#[test]
fn near_users_do_not_wait_for_a_long_search() {
    let mut past = Past::new(1_000);
    past.attach(1, 990);
    past.watch(1, 5, 1);
    past.attach(2, 3);
    past.answer(60);
    let tip = past.chain.headers().tip();
    let is_there = |(user, it): &(User, Event)| {
        *user == User(1) && matches!(it, Event::Connected { block, .. } if *block == tip)
    };
    assert!(past.heard.iter().any(is_there), "user 1 has heard of all");
    assert!(past.found().contains(&(1, 5)), "and the search goes on");
}

#[test]
fn a_reorg_below_a_sweep_ends_it() {
    let mut past = Past::new(40);
    past.attach(1, 40);
    past.watch(1, 20, 1);
    past.answer(36);
    assert_eq!(past.searched(), []);
    past.watch(1, 10, 5);
    let mut branch: Vec<Block> = past.blocks[..=25].to_vec();
    for height in 26..=42 {
        branch.push(block_at(&branch[height as usize - 1], height, 1));
    }
    past.blocks = branch;
    let headers: Vec<_> = past.blocks[26..].iter().map(|block| block.header).collect();
    assert_eq!(past.chain.handle_headers(&headers), Ok(Ok(())));
    past.open.clear();
    past.answer(usize::MAX);
    assert_eq!(past.searched().len(), 2);
    assert_eq!(past.found(), BTreeSet::from([(1, 20), (1, 10)]));
}

#[test]
fn what_is_given_up_is_not_searched_for() {
    let mut past = Past::new(50);
    past.attach(1, 50);
    past.watch(1, 10, 1);
    past.watch(1, 40, 30);
    past.answer(5);
    past.chain.unwatch(User(1), &Watch::Spend(outpoint(10)));
    past.watch(1, 45, 40);
    past.chain.detach(User(9));
    past.answer(usize::MAX);
    assert_eq!(past.found(), BTreeSet::from([(1, 40), (1, 45)]));
    assert!(past.asked() <= 5 + 5 + 21, "{} blocks", past.asked());
    assert_eq!(past.chain.watches(User(1)), 2);
    past.chain.detach(User(1));
    assert_eq!(past.chain.watches(User(1)), 0);
    past.answer(usize::MAX);
    assert!(past.chain.poll().is_none() && past.chain.event().is_none());
}

#[test]
fn many_watches_of_many_users_are_all_found() {
    let mut past = Past::new(3);
    for user in [1, 2] {
        past.attach(user, 0);
        for number in 1..=9_000 {
            past.watch(user, number, 1);
            let pay = Watch::Pay(script(number));
            assert_eq!(past.chain.watch(User(user), pay, Height(1)), Ok(()));
        }
    }
    // The first ones are still seen after the last ones.
    past.answer(usize::MAX);
    let found = past.heard.iter().map(|(_, event)| match event {
        Event::Connected { found, .. } => found.len(),
        Event::Disconnected { .. } | Event::Found { .. } | Event::Searched { .. } => 0,
    });
    assert_eq!(found.sum::<usize>(), 2 * 3 * 2);
    assert_eq!(past.searched().len(), 36_000);
}

#[test]
fn saved_watches_are_the_same_again() {
    let watches =
        [Watch::Spend(outpoint(7)), Watch::Pay(script(7)), Watch::Pay(bitcoin::ScriptBuf::new())];
    for watch in watches {
        let mut bytes = Vec::new();
        watch.write(&mut bytes);
        assert_eq!(Watch::read(&bytes), Ok(watch));
    }
    assert_eq!(Watch::read(&[9]), Err(chain::WatchFault::Kind { got: 9 }));
    for bytes in [&[][..], &[0], &[0; 36], &[0; 38]] {
        assert!(Watch::read(bytes).is_err(), "{bytes:?}");
    }
}

/// A source may have pruned what somebody needs.
#[test]
fn a_block_that_is_missing_holds_up_only_who_needs_it() {
    let mut past = Past::new(600);
    // One far back, one further on, one near the tip, and a search.
    for (user, height) in [(1, 10), (2, 100), (3, 595), (4, 600)] {
        past.attach(user, height);
    }
    past.watch(4, 300, 300);
    let is_missing = |height: u32| height == 11 || (296..305).contains(&height);
    past.settle();
    let mut rounds = 0..5_000;
    while !past.open.is_empty() {
        let block = past.open.remove(0);
        if is_missing(block.height.0) {
            assert_eq!(past.chain.handle_no_block(block.hash), Some(block));
            assert_eq!(past.chain.handle_no_block(block.hash), None, "nobody asks for it");
        } else {
            past.chain.handle_block(past.blocks[block.height.0 as usize].clone()).ok();
        }
        past.settle();
        rounds.next().expect("it ends");
    }
    let heard = |past: &Past, user: u32| {
        let heights = past.heard.iter().filter_map(|(whose, event)| match event {
            Event::Connected { block, .. } if whose.0 == user => Some(block.height.0),
            Event::Connected { .. }
            | Event::Disconnected { .. }
            | Event::Found { .. }
            | Event::Searched { .. } => None,
        });
        heights.max()
    };
    let far = [1, 2, 3].map(|user| heard(&past, user));
    assert_eq!(far, [None, Some(295), Some(600)]);
    let missing = |past: &Past| past.chain.missing().map(|it| it.height.0).collect::<Vec<_>>();
    assert_eq!(missing(&past), [11, 296, 297, 298, 299, 300, 301, 302, 303, 304]);
    // What nobody needs any more is not missing.
    past.chain.unwatch(User(4), &Watch::Spend(outpoint(300)));
    past.chain.detach(User(2));
    past.settle();
    assert_eq!(missing(&past), [11]);
    // It is there after all.
    let block = past.chain.missing().next().expect("it is missing");
    past.chain.ask_again(block);
    past.answer(usize::MAX);
    assert_eq!(heard(&past, 1), Some(600));
    assert_eq!(missing(&past), Vec::<u32>::new());
}

/// From further back: what is before is searched, and nothing twice.
#[test]
fn to_watch_again_from_further_back_searches_what_is_before() {
    let mut past = Past::new(100);
    past.attach(1, 100);
    let script = Watch::Pay(script(20));
    let watch = |past: &mut Past, from: u32| {
        assert_eq!(past.chain.watch(User(1), script.clone(), Height(from)), Ok(()));
    };
    watch(&mut past, 50);
    past.answer(usize::MAX);
    assert_eq!((past.searched().len(), past.found().len(), past.asked()), (1, 0, 51));
    watch(&mut past, 10);
    past.answer(usize::MAX);
    assert_eq!((past.searched().len(), past.found()), (2, BTreeSet::from([(1, 20)])));
    assert_eq!(past.asked(), 91, "no block twice");
    // From where it is searched already: that is said at once.
    watch(&mut past, 30);
    past.answer(usize::MAX);
    assert_eq!((past.searched().len(), past.found().len(), past.asked()), (3, 1, 91));
    assert_eq!(past.chain.watches(User(1)), 1);
}

#[test]
fn a_search_that_is_under_way_is_made_longer() {
    let mut past = Past::new(100);
    past.attach(1, 100);
    let watch = |past: &mut Past, from: u32| {
        let script = Watch::Pay(script(20));
        assert_eq!(past.chain.watch(User(1), script, Height(from)), Ok(()));
    };
    watch(&mut past, 50);
    past.answer(10);
    for from in [40, 15, 10] {
        watch(&mut past, from);
        past.answer(7);
    }
    assert_eq!(past.searched(), []);
    past.answer(usize::MAX);
    assert_eq!((past.searched().len(), past.found()), (1, BTreeSet::from([(1, 20)])));
    // Some were on their way when the next sweep began.
    assert!((91..100).contains(&past.asked()), "{}", past.asked());
}

/// The sweep is still below it: what is before is put in front of it, and it is not cut.
#[test]
fn a_search_that_has_not_begun_is_made_longer() {
    let mut past = Past::new(100);
    past.attach(1, 100);
    past.watch(1, 12, 10);
    let watch = |past: &mut Past, number: u64, from: u32| {
        let script = Watch::Pay(script(number));
        assert_eq!(past.chain.watch(User(1), script, Height(from)), Ok(()));
    };
    watch(&mut past, 60, 50);
    watch(&mut past, 30, 50);
    past.answer(3);
    watch(&mut past, 60, 25);
    watch(&mut past, 30, 25);
    past.answer(usize::MAX);
    assert_eq!(past.searched().len(), 3);
    assert_eq!(past.found(), BTreeSet::from([(1, 12), (1, 30), (1, 60)]));
    assert_eq!(past.asked(), 91, "one sweep");
}

#[test]
fn no_longer_script_is_watched_than_can_be_spent() {
    let mut past = Past::new(1);
    past.attach(1, 1);
    let mut watch = |bytes: usize| {
        let script = bitcoin::ScriptBuf::from_bytes(vec![0; bytes]);
        past.chain.watch(User(1), Watch::Pay(script), Height(2))
    };
    assert_eq!(watch(10_000), Ok(()));
    assert_eq!(watch(10_001), Err(Fault::ScriptTooLong { got: 10_001, max: 10_000 }));
    assert_eq!(past.chain.watches(User(1)), 1);
}
