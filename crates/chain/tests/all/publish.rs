//! What becomes of publications: a row of stories.

use std::{slice::from_ref, sync::Arc};

use bitcoin::{BlockHash, Transaction, hashes::Hash as _};
use chain::{
    ATTEMPT_MS_MAX, Ask, Attempt, BlockRef, Cure, Event, Found, FoundIn, Height, Key, PUBLISHER,
    Package, PackageFault, PublicationId, PublishAnswer, PublishChange, PublishEvent, PublishFault,
    PublishState, Publisher, REBROADCAST_MS, REBROADCAST_MS_MAX, REORG_BLOCKS_MAX, RETRY_MS,
    RETRY_MS_MAX, Reason, User, Wanted, Watch, WatchAsk,
};
use wire::tick::{Millis, Tick};

use crate::blocks::{outpoint, pays, script};

const DEEP: u32 = 6;

pub fn block(height: u32, salt: u8) -> BlockRef {
    let mut hash = [salt; 32];
    hash[..4].copy_from_slice(&height.to_be_bytes());
    BlockRef { height: Height(height), hash: BlockHash::from_byte_array(hash) }
}

pub const fn key(id: u64) -> Key {
    Key { user: User(7), id: PublicationId(id) }
}

/// A transaction that spends these and is one of its kind.
pub fn spends(numbers: &[u64], salt: u64) -> Arc<Transaction> {
    let outpoints: Vec<_> = numbers.iter().map(|it| outpoint(*it)).collect();
    Arc::new(pays(&outpoints, &[script(salt)]))
}

fn single(transaction: &Arc<Transaction>) -> Package {
    Package::single(Arc::clone(transaction)).expect("it spends something")
}

pub fn child_of(parent: &Arc<Transaction>, more: &[u64], salt: u64) -> Arc<Transaction> {
    let mut outpoints: Vec<_> = more.iter().map(|it| outpoint(*it)).collect();
    outpoints.insert(0, bitcoin::OutPoint { txid: parent.compute_txid(), vout: 0 });
    Arc::new(pays(&outpoints, &[script(salt)]))
}

/// What a block of these transactions has of what is watched there.
pub fn found(transactions: &[Arc<Transaction>]) -> Vec<Found> {
    let mut found = Vec::new();
    for (position, transaction) in (0..).zip(transactions) {
        for (at, input) in (0..).zip(&transaction.input) {
            let (watch, part) = (Watch::Spend(input.previous_output), FoundIn::Input(at));
            found.push(Found { watch, transaction: Arc::clone(transaction), position, part });
        }
    }
    found
}

/// A publisher, its log, its clock and its chain.
struct Story {
    publisher: Publisher,
    log: Vec<Vec<u8>>,
    now: Tick,
    tip: u32,
}

impl Story {
    fn new() -> Self {
        let publisher =
            Publisher::with_depth(PublishState::default(), block(100, 0), DEEP, Tick(0));
        Self { publisher, log: Vec::new(), now: Tick(0), tip: 100 }
    }

    fn publish(&mut self, id: u64, package: &Package) {
        let (package, from) = (package.clone(), Height(self.tip + 1));
        let wanted = Wanted { key: key(id), package, from };
        assert_eq!(self.publisher.publish(wanted, self.now), Ok(()));
    }

    /// What is asked, and the events up to here.
    fn asked(&mut self) -> Vec<(Attempt, Package)> {
        self.save();
        let mut asked = Vec::new();
        while let Some(ask) = self.publisher.poll() {
            let Ask::Publish { attempt, package } = ask else { panic!("{ask:?}") };
            asked.push((attempt, package));
        }
        asked
    }

    fn save(&mut self) {
        while let Some(change) = self.publisher.change() {
            self.log.push(change.encode());
        }
    }

    fn told(&mut self) -> Vec<(u64, PublishEvent)> {
        self.save();
        std::iter::from_fn(|| self.publisher.event()).map(|(key, it)| (key.id.0, it)).collect()
    }

    fn answer(&mut self, answer: &PublishAnswer) -> Vec<Package> {
        let asked = self.asked();
        for (attempt, _) in &asked {
            let given = self.publisher.handle_answer(*attempt, answer.clone(), self.now);
            assert_eq!(given, Ok(()));
        }
        asked.into_iter().map(|(_, package)| package).collect()
    }

    fn mine(&mut self, transactions: &[Arc<Transaction>]) -> BlockRef {
        self.tip += 1;
        let block = block(self.tip, 0);
        let watched: Vec<_> = found(transactions);
        self.publisher.handle_event(&Event::Connected { block, found: watched }, self.now);
        block
    }

    fn unmine(&mut self) {
        let (gone, cursor) = (block(self.tip, 0), block(self.tip - 1, 0));
        self.tip -= 1;
        self.publisher.handle_event(&Event::Disconnected { block: gone, cursor }, self.now);
    }

    fn search(&mut self) {
        while let Some(ask) = self.publisher.watch() {
            if let WatchAsk::Watch { watch, .. } = ask {
                self.publisher.handle_event(&Event::Searched { watch }, self.now);
            }
        }
    }

    fn restart(&mut self) {
        self.save();
        let mut state = PublishState::default();
        for bytes in &self.log {
            state.evolve(&PublishChange::decode(bytes).expect("ours").expect("known"));
        }
        let snapshot = PublishState::decode(&state.encode()).expect("ours");
        assert!(snapshot.is_as(&state));
        let tip = block(self.tip, 0);
        self.publisher = Publisher::with_depth(snapshot, tip, DEEP, self.now);
    }

    fn sleep(&mut self) -> Millis {
        let at = self.publisher.wake_at().expect("something is due");
        let slept = at.since(self.now);
        self.now = at.max(self.now);
        self.publisher.handle_wake(self.now);
        slept
    }
}

fn no(text: &str) -> (PublishAnswer, PublishEvent) {
    let answer = PublishAnswer::parse(text);
    let PublishAnswer::Refused(reason) = answer.clone() else { panic!("{text}") };
    let cure = reason.cure();
    (answer, PublishEvent::Refused { reason, cure })
}

#[test]
fn from_the_first_try_to_the_deep() {
    let mut story = Story::new();
    let transaction = spends(&[1, 2], 1);
    let (package, txid) = (single(&transaction), transaction.compute_txid());
    story.publish(1, &package);
    assert_eq!(story.answer(&PublishAnswer::Accepted), from_ref(&package));
    assert_eq!(story.told(), [(1, PublishEvent::Accepted)]);
    story.search();
    // Again and again, less and less often; nobody hears of it.
    for nth in 0..6 {
        let wait = (REBROADCAST_MS << nth).min(REBROADCAST_MS_MAX);
        assert_eq!(story.sleep(), Millis(wait));
        assert_eq!(story.answer(&PublishAnswer::Known), from_ref(&package));
    }
    assert_eq!(story.told(), []);
    let block = story.mine(&[spends(&[9], 5), Arc::clone(&transaction)]);
    let confirmed = (1, PublishEvent::Confirmed { transaction: txid, block });
    assert_eq!(story.told(), from_ref(&confirmed));
    assert_eq!(story.asked(), [], "it is in a block");
    assert_eq!(story.publisher.wake_at(), None);
    // A reorg takes it out: it is published at once.
    story.unmine();
    assert_eq!(story.told(), [(1, PublishEvent::Unconfirmed { transaction: txid, block })]);
    assert_eq!(story.answer(&PublishAnswer::Known), from_ref(&package));
    story.mine(&[Arc::clone(&transaction)]);
    assert_eq!(story.told(), from_ref(&confirmed));
    // A restart tells it again, and a second publishing too.
    story.restart();
    assert_eq!(story.told(), from_ref(&confirmed));
    story.publish(1, &package);
    assert_eq!(story.told(), [confirmed]);
    let before = story.log.len();
    for _ in 1..DEEP {
        assert_eq!(story.told(), []);
        story.mine(&[]);
    }
    assert_eq!(story.told(), [(1, PublishEvent::Deep { transaction: txid })]);
    assert!(story.log.len() > before && story.publisher.state().publications.is_empty());
    let unwatched = std::iter::from_fn(|| story.publisher.watch());
    let unwatched = unwatched.filter(|it| matches!(it, WatchAsk::Unwatch { .. }));
    assert_eq!(unwatched.count(), 2);
}

#[test]
fn refusals_are_told_once_and_tried_again() {
    let rows = [
        ("min relay fee not met, 1 < 2", Cure::RaiseFee, true),
        ("insufficient fee", Cure::RaiseFee, true),
        ("non-final", Cure::Wait, true),
        ("who knows", Cure::Look, true),
        ("dust", Cure::GiveUp, false),
    ];
    for (text, cure, again) in rows {
        let mut story = Story::new();
        let package = single(&spends(&[1], 1));
        story.publish(1, &package);
        let (answer, event) = no(text);
        story.answer(&answer);
        let PublishEvent::Refused { cure: told, .. } = &event else { panic!("{event:?}") };
        assert_eq!(*told, cure);
        assert_eq!(story.told(), [(1, event.clone())], "{text}");
        assert_eq!(story.publisher.wake_at().is_some(), again, "{text}");
        for nth in 0..8 {
            if again {
                assert_eq!(story.sleep(), Millis((RETRY_MS << nth).min(RETRY_MS_MAX)), "{text}");
                assert_eq!(story.answer(&answer).len(), 1);
            }
        }
        assert_eq!(story.told(), [], "{text}");
        // A block is another chance for what only has to wait.
        story.mine(&[]);
        assert_eq!(story.answer(&answer).len(), usize::from(cure == Cure::Wait), "{text}");
        // So is another source for everything.
        story.publisher.handle_source_lost(story.now);
        assert_eq!(story.answer(&PublishAnswer::Accepted).len(), 1, "{text}");
        assert_eq!(story.told(), [(1, PublishEvent::Accepted)], "{text}");
    }
}

#[test]
fn a_reorg_is_another_chance_for_what_it_may_have_taken_from_sources() {
    let mut story = Story::new();
    story.publish(1, &single(&spends(&[1], 1)));
    assert_eq!(story.answer(&PublishAnswer::Accepted).len(), 1);
    story.mine(&[]);
    story.unmine();
    assert_eq!(story.answer(&PublishAnswer::Accepted).len(), 0, "the other branch is not there");
    story.mine(&[]);
    assert_eq!(story.answer(&PublishAnswer::Known).len(), 1);
    story.mine(&[]);
    assert_eq!(story.answer(&PublishAnswer::Known).len(), 0);
}

#[test]
fn silence_lateness_and_doubles() {
    let mut story = Story::new();
    story.publish(1, &single(&spends(&[1], 1)));
    let [(first, _)] = story.asked()[..] else { panic!("one is asked") };
    assert_eq!(story.sleep(), Millis(ATTEMPT_MS_MAX));
    let [(second, _)] = story.asked()[..] else { panic!("it is asked again") };
    let mut answer = |attempt| {
        story.publisher.handle_answer(attempt, PublishAnswer::Accepted, story.now).is_ok()
    };
    assert!(!answer(first), "too late");
    assert!(answer(second));
    assert!(!answer(second), "twice");
    assert_eq!(story.told(), [(1, PublishEvent::Accepted)]);
    story.publisher.handle_source_lost(story.now);
    let [(third, _)] = story.asked()[..] else { panic!("it is asked again") };
    story.publisher.handle_source_lost(story.now);
    assert!(story.publisher.handle_answer(third, PublishAnswer::Known, story.now).is_err());
}

#[test]
fn what_is_forgotten_leaves_no_more() {
    let mut story = Story::new();
    let (first, second) = (spends(&[1], 1), spends(&[2], 2));
    story.publish(1, &single(&first));
    story.publish(2, &single(&second));
    // Nobody has fetched the questions yet.
    story.publisher.forget(key(1), story.now);
    let left: Vec<Package> = story.asked().into_iter().map(|(_, package)| package).collect();
    assert_eq!(left, [single(&second)]);
}

#[test]
fn a_name_is_one_publication() {
    let mut story = Story::new();
    story.publish(1, &single(&spends(&[1], 1)));
    let package = single(&spends(&[1], 2));
    let wanted = Wanted { key: key(1), package, from: Height(101) };
    let refused = story.publisher.publish(wanted, story.now);
    assert_eq!(refused, Err(PublishFault::Taken { key: key(1) }));
    story.publisher.forget(key(1), story.now);
    assert!(story.publisher.state().publications.is_empty());
    assert_eq!(story.publisher.state().cursor, None);
    story.publisher.forget(key(1), story.now);
}

#[test]
fn a_replacement_takes_the_place_and_gives_it_back() {
    let mut story = Story::new();
    let (old, new) = (spends(&[1, 2], 1), spends(&[2, 3], 2));
    let (old_id, new_id) = (old.compute_txid(), new.compute_txid());
    story.publish(1, &single(&old));
    story.answer(&PublishAnswer::Accepted);
    story.search();
    story.told();
    story.publish(2, &single(&new));
    let (answer, refused) = no("insufficient fee");
    story.answer(&answer);
    assert_eq!(story.told(), [(2, refused)], "the old one stands");
    story.sleep();
    assert_eq!(story.answer(&PublishAnswer::Accepted), [single(&new)]);
    let replaced = PublishEvent::Replaced { transaction: old_id, by: new_id, block: None };
    assert_eq!(story.told(), [(2, PublishEvent::Accepted), (1, replaced)]);
    // The old one stands back as long as the source has the new one.
    story.now = story.now + Millis(REBROADCAST_MS);
    story.publisher.handle_wake(story.now);
    assert_eq!(story.answer(&PublishAnswer::Known), [single(&new)]);
    story.publisher.forget(key(2), story.now);
    assert_eq!(story.answer(&PublishAnswer::Accepted), [single(&old)]);
    assert_eq!(story.told(), [(1, PublishEvent::Accepted)]);
    // It may be confirmed nevertheless.
    let block = story.mine(&[Arc::clone(&new)]);
    let block = Some(block);
    let replaced = PublishEvent::Replaced { transaction: old_id, by: new_id, block };
    assert_eq!(story.told(), [(1, replaced)]);
    story.unmine();
    assert_eq!(story.told(), [(1, PublishEvent::Restored { transaction: old_id })]);
    assert_eq!(story.answer(&PublishAnswer::Accepted), [single(&old)]);
}

#[test]
fn a_child_that_has_lost_its_place_takes_none() {
    let mut story = Story::new();
    let parent = spends(&[1], 1);
    let (old, new, rival) =
        (child_of(&parent, &[], 2), child_of(&parent, &[2], 3), spends(&[2], 4));
    let with = |child: &Arc<Transaction>| {
        Package::pair(Arc::clone(&parent), Arc::clone(child)).expect("it spends it")
    };
    let (transaction, by) = (old.compute_txid(), new.compute_txid());
    story.publish(1, &with(&old));
    story.answer(&PublishAnswer::Accepted);
    story.publish(2, &with(&new));
    story.answer(&no("insufficient fee").0);
    story.publish(3, &single(&rival));
    story.answer(&PublishAnswer::Accepted);
    story.told();
    // A yes to the parent alone says nothing of the new child.
    story.sleep();
    assert_eq!(story.answer(&PublishAnswer::Known), [single(&parent)]);
    assert_eq!(story.told(), [(2, PublishEvent::Accepted)]);
    story.now = Tick(REBROADCAST_MS);
    story.publisher.handle_wake(story.now);
    assert_eq!(story.answer(&PublishAnswer::Known), [with(&old), single(&rival)]);
    assert_eq!(story.told(), []);
    // It is news that the source has the new child too, and the old one stands back.
    story.publisher.forget(key(3), story.now);
    assert_eq!(story.answer(&PublishAnswer::Accepted), [with(&new)]);
    let replaced = PublishEvent::Replaced { transaction, by, block: None };
    assert_eq!(story.told(), [(2, PublishEvent::Accepted), (1, replaced)]);
    story.now = Tick(REBROADCAST_MS * 3);
    story.publisher.handle_wake(story.now);
    assert_eq!(story.answer(&PublishAnswer::Known), [with(&new), single(&parent)]);
}

#[test]
fn what_a_child_had_displaced_comes_back_when_it_loses_its_place() {
    let mut story = Story::new();
    let (first, parent, last) = (spends(&[1], 1), spends(&[5], 2), spends(&[2], 3));
    let child = child_of(&parent, &[1, 2], 4);
    let both = Package::pair(Arc::clone(&parent), Arc::clone(&child)).expect("it spends it");
    for (id, package) in [(1, &single(&first)), (2, &both), (3, &single(&last))] {
        story.publish(id, package);
        assert_eq!(story.answer(&PublishAnswer::Accepted), from_ref(package));
    }
    let replaced = |transaction, by| PublishEvent::Replaced { transaction, by, block: None };
    let [first_id, child_id, last_id] = [&first, &child, &last].map(|it| it.compute_txid());
    assert_eq!(
        story.told(),
        [
            (1, PublishEvent::Accepted),
            (2, PublishEvent::Accepted),
            (1, replaced(first_id, child_id)),
            (3, PublishEvent::Accepted),
            (2, replaced(child_id, last_id)),
        ]
    );
    // At once, not when it is its turn again.
    assert_eq!(story.answer(&PublishAnswer::Accepted), [single(&first)]);
    assert_eq!(story.told(), [(1, PublishEvent::Accepted)]);
    story.now = Tick(REBROADCAST_MS);
    story.publisher.handle_wake(story.now);
    let [first, parent, last] = [first, parent, last].map(|it| single(&it));
    let left = story.answer(&PublishAnswer::Known);
    assert_eq!(left.len(), 3);
    assert!([first, parent, last].iter().all(|it| left.contains(it)), "{left:?}");
}

#[test]
fn of_a_package_only_what_is_missing_is_published() {
    let mut story = Story::new();
    let parent = spends(&[1], 1);
    let child = child_of(&parent, &[2], 2);
    let both = Package::pair(Arc::clone(&parent), Arc::clone(&child)).expect("it spends it");
    story.publish(1, &both);
    assert_eq!(story.answer(&PublishAnswer::Accepted), from_ref(&both));
    story.search();
    story.told();
    let block = story.mine(&[Arc::clone(&parent)]);
    let transaction = parent.compute_txid();
    assert_eq!(story.told(), [(1, PublishEvent::Confirmed { transaction, block })]);
    assert_eq!(story.answer(&PublishAnswer::Known), [single(&child)]);
    story.unmine();
    assert_eq!(story.told(), [(1, PublishEvent::Unconfirmed { transaction, block })]);
    assert_eq!(story.answer(&PublishAnswer::Known), [both]);
    // The child's other input goes to somebody else: the parent is published by itself.
    let thief = spends(&[2], 3);
    let (by, block) = (thief.compute_txid(), story.mine(&[thief]));
    let (transaction, block) = (child.compute_txid(), Some(block));
    assert_eq!(story.told(), [(1, PublishEvent::Replaced { transaction, by, block })]);
    assert_eq!(story.answer(&PublishAnswer::Known), [single(&parent)]);
    // Whoever replaces the parent replaces the child.
    story.unmine();
    story.told();
    story.asked();
    let thief = spends(&[1], 4);
    story.mine(&[thief]);
    assert_eq!(story.told().len(), 2);
    for _ in 1..DEEP {
        story.mine(&[]);
    }
    assert_eq!(story.told(), [(1, PublishEvent::Deep { transaction })]);
}

#[test]
fn what_is_watched_already_is_not_searched_for_again() {
    let mut story = Story::new();
    let transaction = spends(&[1], 1);
    story.publish(1, &single(&transaction));
    story.search();
    let block = story.mine(&[Arc::clone(&transaction)]);
    story.told();
    // A bump that comes too late, from the same height on: it is told what is known.
    let bump = spends(&[1], 2);
    let wanted = Wanted { key: key(2), package: single(&bump), from: Height(101) };
    assert_eq!(story.publisher.publish(wanted, story.now), Ok(()));
    let (by, block) = (transaction.compute_txid(), Some(block));
    let bumped = bump.compute_txid();
    let replaced = PublishEvent::Replaced { transaction: bumped, by, block };
    assert_eq!(story.told(), [(2, replaced.clone())]);
    assert_eq!(story.publisher.watch(), None);
    story.restart();
    assert_eq!(story.told().last(), Some(&(2, replaced)));
    // From further back it is searched for.
    let wanted = Wanted { key: key(3), package: single(&spends(&[1], 3)), from: Height(50) };
    while story.publisher.watch().is_some() {}
    assert_eq!(story.publisher.publish(wanted, story.now), Ok(()));
    let watch = Watch::Spend(outpoint(1));
    assert_eq!(story.publisher.watch(), Some(WatchAsk::Unwatch { watch: watch.clone() }));
    let from = Height(50);
    assert_eq!(story.publisher.watch(), Some(WatchAsk::Watch { watch, from }));
}

#[test]
fn packages_that_nobody_relays() {
    let parent = spends(&[1], 1);
    let stranger = spends(&[2], 2);
    let none = Arc::new(pays(&[], &[script(1)]));
    let heavy = spends(&(0..3_000).collect::<Vec<_>>(), 1);
    let rows = [
        (vec![], PackageFault::Count { got: 0, max: 2 }),
        (vec![Arc::clone(&parent); 3], PackageFault::Count { got: 3, max: 2 }),
        (
            vec![Arc::clone(&parent), Arc::clone(&stranger)],
            PackageFault::NoChild { transaction: stranger.compute_txid() },
        ),
        (vec![Arc::clone(&none)], PackageFault::NoInputs { transaction: none.compute_txid() }),
        (
            vec![Arc::clone(&heavy)],
            PackageFault::Heavy { got: heavy.weight(), max: chain::PACKAGE_WEIGHT_MAX },
        ),
    ];
    for (transactions, fault) in rows {
        assert_eq!(Package::new(transactions), Err(fault));
    }
}

#[test]
fn saved_bytes_are_read_or_refused() {
    let mut story = Story::new();
    story.publish(1, &single(&spends(&[1, 2], 1)));
    story.search();
    story.answer(&PublishAnswer::Accepted);
    story.mine(&[spends(&[2], 2)]);
    story.unmine();
    story.save();
    for bytes in &story.log {
        let change = PublishChange::decode(bytes).expect("ours").expect("known");
        assert_eq!(change.encode(), *bytes);
        for len in 1..bytes.len() {
            assert!(PublishChange::decode(&bytes[..len]).is_err(), "{change:?} up to {len}");
        }
    }
    assert_eq!(PublishChange::decode(&[15, 1, 9]), Ok(None), "odd ones may be passed over");
    let newer = PublishChange::decode(&[16, 1, 9]);
    assert_eq!(newer, Err(wire::saved::ChangeFault::Newer { record: 16 }));
    assert_eq!(PUBLISHER, User(u32::MAX));
    let reason = Reason::NotFinal;
    assert_eq!(reason.cure(), Cure::Wait);
}

/// Who may have it: whoever took it, or has not answered, or was asked when nobody listened.
#[test]
fn it_is_known_whether_somebody_may_have_it() {
    let refused = PublishAnswer::parse("dust");
    let story = || {
        let mut story = Story::new();
        story.publish(1, &single(&spends(&[1], 1)));
        story
    };
    let is_out = |story: &Story| story.publisher.may_be_out(key(1));
    // The only one that was told refuses it.
    let mut refusing = story();
    refusing.answer(&refused);
    assert!(!is_out(&refusing) && !refusing.publisher.may_be_out(key(2)));
    // After a restart nobody knows whether it was the only one.
    refusing.restart();
    assert!(is_out(&refusing));
    for answer in [PublishAnswer::Accepted, PublishAnswer::Known, PublishAnswer::Confirmed] {
        let mut taken = story();
        taken.answer(&answer);
        assert!(is_out(&taken));
        taken.save();
        let count = taken.log.len();
        taken.publisher.handle_source_lost(taken.now);
        taken.answer(&answer);
        taken.save();
        assert_eq!(taken.log.len(), count, "that is saved once");
        taken.restart();
        taken.answer(&refused);
        let state = taken.publisher.state();
        assert!(is_out(&taken) && state.publications[&key(1)].taken);
    }
    // It has not answered, and then another one refuses.
    let mut lost = story();
    assert_eq!(lost.asked().len(), 1);
    lost.publisher.handle_source_lost(lost.now);
    lost.answer(&refused);
    assert!(is_out(&lost));
    let mut late = story();
    assert_eq!(late.asked().len(), 1);
    late.now = late.now + Millis(ATTEMPT_MS_MAX);
    late.publisher.handle_wake(late.now);
    late.answer(&refused);
    assert!(is_out(&late));
    // One refuses, and so does the next: the first may have been asked by others meanwhile.
    let mut both = story();
    both.answer(&refused);
    both.publisher.handle_source_lost(both.now);
    both.answer(&refused);
    assert!(is_out(&both));
}

/// A chain replaces at most so many blocks: what has one more confirmation stays.
#[test]
fn deep_is_deeper_than_any_reorg() {
    let mut publisher = Publisher::new(PublishState::default(), block(100, 0), Tick(0));
    let transaction = spends(&[1], 1);
    let wanted = Wanted { key: key(1), package: single(&transaction), from: Height(101) };
    publisher.publish(wanted, Tick(0)).expect("room");
    let mut deep_after = None;
    for height in 101..=101 + REORG_BLOCKS_MAX {
        let watch = Watch::Spend(transaction.input[0].previous_output);
        let found = (height == 101).then(|| Found {
            watch: watch.clone(),
            transaction: Arc::clone(&transaction),
            position: 1,
            part: FoundIn::Input(0),
        });
        let found = found.into_iter().collect();
        publisher.handle_event(&Event::Connected { block: block(height, 0), found }, Tick(0));
        publisher.handle_event(&Event::Searched { watch }, Tick(0));
        let is_deep = |(_, event): (Key, PublishEvent)| matches!(event, PublishEvent::Deep { .. });
        if std::iter::from_fn(|| publisher.event()).any(is_deep) {
            deep_after = Some(height - 100);
        }
    }
    assert_eq!(deep_after, Some(REORG_BLOCKS_MAX + 1), "confirmations");
}
