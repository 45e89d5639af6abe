//! What is given up, and what others take back.

use std::collections::BTreeSet;

use bitcoin::{Amount, Transaction};
use chain::{Height, REORG_BLOCKS_MAX};
use wallet::{GHOSTS_MAX, Standing};

use crate::{
    blocks::{stranger, transaction},
    world::{World, order, sat},
};

/// Somebody pays a stranger with what he has paid us with.
fn taken_back(gift: &Transaction) -> Transaction {
    transaction(&[gift.input[0].previous_output], &[(stranger(9), 7_000)])
}

fn spends_one_of(one: &Transaction, other: &Transaction) -> bool {
    let spent: BTreeSet<_> = other.input.iter().map(|input| input.previous_output).collect();
    one.input.iter().any(|input| spent.contains(&input.previous_output))
}

/// Whoever has a transaction that we have given up cannot have it mined beside the next one.
#[test]
fn of_a_payment_that_was_given_up_and_the_next_one_only_one_can_be() {
    let mut world = World::seeded(3);
    for each in [40_000, 50_000, 60_000, 70_000, 80_000, 90_000] {
        world.receive(each);
    }
    for number in 0..20 {
        let given_up = world.pay(&order(stranger(number), 30_000, 2));
        let gone = world.wallet.forget(given_up.compute_txid()).unwrap();
        assert_eq!(gone, BTreeSet::from([given_up.compute_txid()]));
        if number % 3 == 0 {
            world.restart();
            world.fold();
        }
        let next = world.pay(&order(stranger(100 + number), 30_000, 2));
        assert!(spends_one_of(&next, &given_up));
        // All that was given up since is against this one, too.
        world.wallet.forget(next.compute_txid()).unwrap();
    }
    // One that is in a block nevertheless is found there.
    let given_up = world.pay(&order(stranger(1), 30_000, 2));
    world.wallet.forget(given_up.compute_txid()).unwrap();
    let before = world.balance().confirmed;
    world.mine(vec![given_up.clone()]);
    assert!(world.balance().confirmed < before);
    let height = world.wallet.cursor().height;
    let standing = world.wallet.standing(given_up.compute_txid());
    assert_eq!(standing, Some(Standing::Confirmed(height)));
    // Then it is ours as before: a reorg makes it wait, and we say so to everybody.
    world.reorg(1, vec![]);
    world.restart();
    let again = world.wallet.to_rebroadcast();
    assert_eq!(
        again.iter().map(|it| it.compute_txid()).collect::<Vec<_>>(),
        [given_up.compute_txid()]
    );
}

#[test]
fn what_was_given_up_is_remembered_as_long_as_it_could_be() {
    let mut world = World::new();
    world.receive(90_000);
    for number in 0..=GHOSTS_MAX as u64 + 5 {
        let sent = world.pay(&order(stranger(number), 30_000, 2));
        world.wallet.forget(sent.compute_txid()).unwrap();
    }
    world.restart();
    let bytes = world.wallet.snapshot().len();
    let spent = world.pay(&order(stranger(1), 30_000, 2));
    world.mine(vec![spent]);
    world.mine_empty(REORG_BLOCKS_MAX as usize + 1);
    let each = 32 + 4 + 36;
    assert!(world.wallet.snapshot().len() + GHOSTS_MAX * each < bytes + 1_000);
    world.restart();
}

/// All that hangs on what goes is named.
#[test]
fn what_hangs_on_it_goes_with_it() {
    let mut world = World::new();
    world.receive(90_000);
    let sent = [1, 2, 3].map(|to| world.pay(&order(stranger(to), 10_000, 2)).compute_txid());
    assert_eq!(world.wallet.hanging_on(sent[1]), BTreeSet::from([sent[1], sent[2]]));
    let gone = world.wallet.forget(sent[1]).unwrap();
    assert_eq!(gone, BTreeSet::from([sent[1], sent[2]]));
    assert_eq!(sent.map(|txid| world.wallet.standing(txid)), [Some(Standing::Pending), None, None]);
}

/// A payment to us, and one of ours that spends it, are pending after a reorg; then its sender has
/// another one mined instead.
#[test]
fn a_payment_that_is_taken_back_goes_with_all_that_hangs_on_it() {
    let mut world = World::new();
    world.receive(25_000);
    let other = world.wallet.coins()[0].outpoint;
    let gift = world.gift(100_000);
    world.mine(vec![gift.clone()]);
    world.wallet.lock(other, 3, None).unwrap();
    let sent = world.pay(&order(stranger(1), 60_000, 2));
    world.wallet.unlock(other, 3).unwrap();
    world.mine(vec![sent.clone()]);
    world.reorg(2, vec![]);
    let back = sent.output.iter().map(|output| output.value).sum::<Amount>() - sat(60_000);
    // It is ours as long as the sender lets it be.
    let balance = world.balance();
    assert_eq!((balance.confirmed, balance.pending), (sat(25_000), back));
    assert_eq!((balance.change, balance.spendable), (Amount::ZERO, sat(25_000)));
    let (gift_id, sent_id) = (gift.compute_txid(), sent.compute_txid());
    world.restart();
    let instead = taken_back(&gift);
    world.mine(vec![instead.clone()]);
    let height = Some(world.wallet.cursor().height);
    let replaced = Some(Standing::Replaced { by: instead.compute_txid(), height });
    assert_eq!([gift_id, sent_id].map(|txid| world.wallet.standing(txid)), [replaced; 2]);
    assert_eq!((world.balance().confirmed, world.balance().pending), (sat(25_000), sat(0)));
    assert_eq!(world.wallet.to_rebroadcast(), []);
    assert_eq!(world.wallet.movements().len(), 1, "what stands in the way is nothing of ours");
    world.restart();
    // A reorg brings it back: first it waits again, then it is in a block.
    world.reorg(1, vec![]);
    assert_eq!(world.wallet.standing(gift_id), Some(Standing::Pending));
    assert_eq!(world.balance(), balance);
    world.restart();
    assert_eq!(world.balance(), balance);
    world.mine(vec![gift, sent]);
    assert_eq!(world.balance().confirmed, sat(25_000) + back);
    assert_eq!(world.wallet.standing(instead.compute_txid()), None);
}

#[test]
fn what_was_taken_back_for_ever_is_forgotten() {
    let mut world = World::new();
    let gift = world.gift(100_000);
    world.mine(vec![gift.clone()]);
    world.reorg(1, vec![]);
    let instead = taken_back(&gift);
    world.mine(vec![instead.clone()]);
    world.mine_empty(REORG_BLOCKS_MAX as usize - 1);
    assert!(world.wallet.standing(gift.compute_txid()).is_some());
    world.mine_empty(1);
    assert_eq!(world.wallet.standing(gift.compute_txid()), None);
    assert_eq!(world.wallet.standing(instead.compute_txid()), None);
    let tip = world.wallet.cursor().height;
    assert_eq!(tip, Height(REORG_BLOCKS_MAX + 3));
    world.restart();
}

/// The sender raises the fee of what he pays us with: only one of the two counts.
#[test]
fn a_payment_that_its_sender_replaces_counts_once() {
    let mut world = World::new();
    let gift = world.gift(50_000);
    world.mine(vec![gift.clone()]);
    world.reorg(1, vec![]);
    let mut dearer = gift.clone();
    dearer.output[0].value = sat(49_000);
    world.mine(vec![dearer]);
    assert_eq!((world.balance().confirmed, world.balance().pending), (sat(49_000), sat(0)));
    world.reorg(1, vec![]);
    assert_eq!(world.balance().pending, sat(49_000));
    world.mine(vec![gift]);
    assert_eq!((world.balance().confirmed, world.balance().pending), (sat(50_000), sat(0)));
}
