//! What others pay.

use chain::Height;
use wallet::{Balance, GAP_ADDRESSES};

use crate::{
    blocks::{outpoint, stranger, transaction},
    world::{World, sat},
};

#[test]
fn a_payment_is_confirmed_and_taken_back_and_comes_again() {
    let mut world = World::new();
    let txid = world.receive(70_000);
    let confirmed =
        Balance { confirmed: sat(70_000), spendable: sat(70_000), ..Balance::default() };
    assert_eq!(world.balance(), confirmed);
    world.mine_empty(2);
    let [coin] = world.wallet.coins().try_into().unwrap();
    assert_eq!((coin.height, coin.confirmations), (Some(Height(1)), 3));
    assert_eq!((coin.outpoint.txid, coin.is_change, coin.lock), (txid, false, None));
    // The reorg leaves it out: it is pending, and nobody may spend it.
    let gone = world.reorg(3, Vec::new());
    assert_eq!(world.balance(), Balance { pending: sat(70_000), ..Balance::default() });
    let [coin] = world.wallet.coins().try_into().unwrap();
    assert_eq!((coin.height, coin.confirmations), (None, 0));
    world.mine(gone);
    assert_eq!(world.balance(), confirmed);
    world.restart();
    assert_eq!(world.balance(), confirmed);
}

#[test]
fn addresses_stay_where_others_would_find_them() {
    let mut world = World::new();
    let mut addresses: Vec<_> = (0..25).map(|_| world.wallet.address().unwrap()).collect();
    assert!(addresses[0].to_string().starts_with("bcrt1p"));
    let repeated = addresses.split_off(GAP_ADDRESSES as usize);
    assert_eq!(repeated, vec![addresses[0].clone(); 5]);
    addresses.dedup();
    assert_eq!(addresses.len(), 20);
    // The last one is used: twenty more can be given away.
    let gift = world.gift_to(addresses[19].script_pubkey(), 5_000);
    world.mine(vec![gift]);
    world.restart();
    let more: Vec<_> = (0..20).map(|_| world.wallet.address().unwrap()).collect();
    assert!(more.iter().all(|address| !addresses.contains(address)));
    assert_eq!(world.wallet.address().unwrap(), more[0]);
    assert_eq!(world.balance().confirmed, sat(5_000));
}

/// Payments to addresses that are watched only since the block before, or the very same block.
#[test]
fn what_is_ahead_is_found_as_it_comes_into_reach() {
    let mut world = World::new();
    let account = *world.wallet.account();
    let script = |index| {
        let index = signer::KeyIndex::new(index).unwrap();
        account.script(signer::KeyPlace { branch: signer::Branch::Receive, index })
    };
    let gifts: Vec<_> =
        [57, 38, 19].map(|index| world.gift_to(script(index), 1_000 + u64::from(index))).into();
    // The furthest stands first.
    world.mine(gifts);
    assert_eq!(world.balance().confirmed, sat(1_057 + 1_038 + 1_019));
    // One of them is spent in its own block, by somebody with the same words.
    let gift = world.gift_to(script(60), 9_000);
    let spent = bitcoin::OutPoint { txid: gift.compute_txid(), vout: 0 };
    let theft = transaction(&[spent], &[(stranger(1), 8_000)]);
    world.mine(vec![gift, theft]);
    assert_eq!(world.balance().confirmed, sat(1_057 + 1_038 + 1_019));
}

/// One transaction pays far ahead, and then near; another one brings its far part into reach later.
#[test]
fn an_output_may_come_into_reach_long_after_its_transaction() {
    let mut world = World::new();
    let account = *world.wallet.account();
    let script = |index| {
        let index = signer::KeyIndex::new(index).unwrap();
        account.script(signer::KeyPlace { branch: signer::Branch::Receive, index })
    };
    let pays = [(script(60), 1_000), (script(35), 2_000), (script(16), 4_000)];
    world.mine(vec![transaction(&[outpoint(1)], &pays)]);
    assert_eq!(world.balance().confirmed, sat(6_000));
    world.mine_empty(2);
    let gift = world.gift_to(script(50), 8_000);
    world.mine(vec![gift]);
    assert_eq!(world.balance().confirmed, sat(15_000));
    // What was out of reach is watched as well.
    let far = world.wallet.coins().into_iter().find(|coin| coin.amount == sat(1_000)).unwrap();
    world.mine(vec![transaction(&[far.outpoint], &[(stranger(1), 900)])]);
    assert_eq!(world.balance().confirmed, sat(14_000));
    world.restart();
    assert_eq!(world.balance().confirmed, sat(14_000));
}

#[test]
fn a_reward_has_to_ripen() {
    let mut world = World::new();
    let script = world.wallet.address().unwrap().script_pubkey();
    world.mine_to(Some(script), Vec::new());
    let reward = sat(5_000_000_000);
    assert_eq!(world.balance(), Balance { immature: reward, ..Balance::default() });
    world.mine_empty(98);
    assert_eq!(world.balance().spendable, sat(0));
    world.mine_empty(1);
    let ripe = Balance { confirmed: reward, spendable: reward, ..Balance::default() };
    assert_eq!(world.balance(), ripe);
    // Without its block it is nothing at all.
    world.reorg(100, Vec::new());
    assert_eq!(world.balance(), Balance::default());
}

#[test]
fn somebody_with_the_same_words_spends() {
    let mut world = World::new();
    let txid = world.receive(50_000);
    let theft =
        transaction(&[bitcoin::OutPoint { txid, vout: 0 }, outpoint(77)], &[(stranger(1), 49_000)]);
    world.mine(vec![theft]);
    assert_eq!(world.balance(), Balance::default());
    world.reorg(1, Vec::new());
    // It was seen once, so it may well be on its way still.
    assert_eq!(world.balance(), Balance::default());
}
