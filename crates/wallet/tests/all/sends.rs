//! What we pay.

use std::sync::Arc;

use bitcoin::{Amount, FeeRate, Network};
use chain::Height;
use signer::{Branch, Payee, SpendFlaw};
use wallet::{Balance, Holder, Lock, Order, Recipient, Refusal, Wanted};

use crate::{
    blocks::{outpoint, stranger, transaction},
    world::{World, all, order, rate, sat},
};

#[test]
fn a_payment_goes_out_and_its_change_comes_back() {
    let mut world = World::new();
    world.receive(100_000);
    let draft = world.send(&order(stranger(1), 30_000, 2)).unwrap();
    // Until it is published its coin is kept.
    assert_eq!((world.balance().locked, world.balance().spendable), (sat(100_000), sat(0)));
    let sent = world.publish(&draft);
    assert_eq!(sent.compute_txid(), draft.txid());
    let vbytes = sent.vsize() as u64;
    assert_eq!(vbytes, 154, "one input and two outputs of taproot");
    assert!((2 * vbytes..2 * vbytes + 5).contains(&draft.fee().to_sat()), "{}", draft.fee());
    let left = sat(70_000) - draft.fee();
    let pending = Balance { pending: left, change: left, spendable: left, ..Balance::default() };
    assert_eq!(world.balance(), pending);
    world.restart();
    world.fold();
    world.restart();
    assert_eq!(world.balance(), pending);
    let to_rebroadcast = world.wallet.to_rebroadcast();
    assert_eq!(to_rebroadcast, [Arc::new(sent.clone())]);
    world.mine(vec![sent]);
    let confirmed = Balance { confirmed: left, spendable: left, ..Balance::default() };
    assert_eq!(world.balance(), confirmed);
    assert_eq!(world.wallet.to_rebroadcast().len(), 0);
}

#[test]
fn all_goes_out() {
    let mut world = World::new();
    for each in [40_000, 50_000, 60_000] {
        world.receive(each);
    }
    let sent = world.pay(&all(stranger(1), 3));
    let [output] = sent.output.as_slice() else { panic!("{sent:?}") };
    let fee = sat(150_000) - output.value;
    assert!(fee.to_sat().abs_diff(3 * sent.vsize() as u64) <= 6, "{fee}");
    assert_eq!(world.balance(), Balance::default());
    world.mine(vec![sent]);
    assert_eq!(world.balance(), Balance::default());
}

#[test]
fn orders_that_cannot_be_are_refused() {
    let mut world = World::new();
    world.receive(100_000);
    let order = |sats, sat_per_vb| order(stranger(1), sats, sat_per_vb);
    let mut refused = |order: &Order| world.refused(|wallet, draw| wallet.send(order, draw));
    let address = "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr";
    let to = Recipient::Address(address.parse().unwrap());
    let mainnet = Order { to, ..order(1_000, 1) };
    let want = Refusal::Network { address: address.into(), want: Network::Regtest };
    assert_eq!(refused(&mainnet), want);
    assert_eq!(refused(&order(0, 1)), Refusal::Zero);
    let (got, max) = (sat(u64::MAX), Amount::MAX_MONEY);
    assert_eq!(refused(&order(u64::MAX, 1)), Refusal::TooMuch { got, max });
    let got = max + sat(1);
    assert_eq!(refused(&order(got.to_sat(), 1)), Refusal::TooMuch { got, max });
    assert_eq!(refused(&order(329, 1)), Refusal::Dust { got: sat(329), min: sat(330) });
    let (have, need) = (sat(100_000), max);
    let Refusal::NotEnough { have: h, need: n, fee } = refused(&order(need.to_sat(), 1)) else {
        panic!("it is not there")
    };
    assert_eq!((h, n), (have, need));
    assert!(fee > sat(40), "{fee}");
    let Refusal::NotEnough { fee, .. } = refused(&order(99_900, 1)) else { panic!("too little") };
    assert!((111..=112).contains(&fee.to_sat()), "without change it is {fee}");
    let min = rate(1);
    for got in [FeeRate::ZERO, FeeRate::from_sat_per_kwu(249)] {
        let order = Order { fee_rate: got, ..order(1_000, 1) };
        assert_eq!(refused(&order), Refusal::FeeRateLow { got, min });
    }
    for (got, max) in [(1_001, 1_000), (10_000, 1_000)] {
        let (got, max) = (rate(got), rate(max));
        let order = Order { fee_rate: got, ..order(1_000, 1) };
        assert_eq!(refused(&order), Refusal::FeeRateHigh { got, max });
    }
    let flagged = |sat_per_vb| Order { allow_high_fee: true, ..order(1_000, sat_per_vb) };
    let (got, max) = (FeeRate::MAX, rate(50_000));
    let most = Order { fee_rate: got, ..flagged(1) };
    assert_eq!(refused(&most), Refusal::FeeRateHigh { got, max });
    // Two hundred satoshis for each byte are fine, but not to move a thousand.
    let Refusal::Signer(SpendFlaw::FeeShare { fee, max, moved }) = refused(&order(1_000, 200))
    else {
        panic!("the signer would sign it")
    };
    assert_eq!((max, moved), (sat(20_000), sat(1_000)));
    assert!(fee > sat(30_000));
    assert_eq!(world.send(&flagged(200)).unwrap().fee(), fee);
}

#[test]
fn without_a_coin_nothing_goes_out() {
    let mut world = World::new();
    let one = world.refused(|wallet, draw| wallet.send(&order(stranger(1), 5_000, 1), draw));
    let Refusal::NotEnough { have, need, .. } = one else { panic!("{one}") };
    assert_eq!((have, need), (sat(0), sat(5_000)));
    let every = world.refused(|wallet, draw| wallet.send(&all(stranger(1), 1), draw));
    let Refusal::NotEnough { have, need, .. } = every else { panic!("{every}") };
    assert_eq!((have, need), (sat(0), sat(0)));
    // A coin that would not even pay for its own spending.
    world.receive(400);
    let every = world.refused(|wallet, draw| wallet.send(&all(stranger(1), 10), draw));
    assert!(matches!(every, Refusal::NotEnough { .. }), "{every}");
}

#[test]
fn an_address_is_a_recipient() {
    let mut world = World::new();
    world.receive(100_000);
    let ours = world.wallet.address().unwrap();
    let to = Recipient::Address(ours.to_string().parse().unwrap());
    let draft = world.send(&Order::new(to, Wanted::Exactly(sat(20_000)), rate(1))).unwrap();
    let place = draft.spend().outputs.iter().find(|output| output.amount == sat(20_000)).unwrap();
    assert!(matches!(place.to, Payee::Ours(place) if place.branch == Branch::Receive));
    let sent = world.publish(&draft);
    assert_eq!(world.balance().spendable, sat(100_000) - draft.fee());
    world.mine(vec![sent]);
    assert_eq!(world.balance().confirmed, sat(100_000) - draft.fee());
}

#[test]
fn the_reserve_stays() {
    let mut world = World::new();
    world.receive(60_000);
    world.receive(40_000);
    let with = |order: Order, reserve| Order { reserve: sat(reserve), ..order };
    let small = |sats, reserve| with(order(stranger(1), sats, 1), reserve);
    for order in [small(1_000, u64::MAX), with(all(stranger(1), 1), u64::MAX)] {
        let refusal = world.refused(|wallet, draw| wallet.send(&order, draw));
        assert_eq!(refusal, Refusal::TooMuch { got: Amount::MAX, max: Amount::MAX_MONEY });
    }
    // Enough for one, and not for the other.
    let refusal = world.refused(|wallet, draw| wallet.send(&small(80_000, 25_000), draw));
    let Refusal::Reserve { have, need, fee, reserve } = refusal else { panic!("{refusal}") };
    assert_eq!((have, need, reserve), (sat(100_000), sat(80_000), sat(25_000)));
    assert!(fee > sat(100));
    let draft = world.send(&small(70_000, 25_000)).unwrap();
    world.wallet.give_up(draft.id()).unwrap();
    assert_eq!(world.wallet.balance(sat(25_000)).spendable, sat(75_000));
    assert_eq!(world.wallet.balance(sat(125_000)).spendable, sat(0));
    // All but the reserve.
    let refusal = world.refused(|w, draw| w.send(&with(all(stranger(1), 1), 99_900), draw));
    let Refusal::Reserve { have, reserve, .. } = refusal else { panic!("{refusal}") };
    assert_eq!((have, reserve), (sat(100_000), sat(99_900)));
    let sent = world.pay(&with(all(stranger(1), 1), 25_000));
    assert_eq!(sent.output.len(), 2);
    assert_eq!(world.balance().change, sat(25_000));
    world.mine(vec![sent]);
    assert_eq!(world.balance().confirmed, sat(25_000));
    // A reserve too small to be an output.
    let sent = world.pay(&with(all(stranger(1), 1), 5));
    world.mine(vec![sent]);
    assert_eq!(world.balance().confirmed, sat(330));
}

/// Only confirmed coins are a reserve: what is pending goes first.
#[test]
fn a_reserve_is_of_confirmed_coins() {
    for seed in 0..12 {
        let mut world = World::seeded(seed);
        world.receive(500_000);
        let first = world.pay(&order(stranger(1), 100_000, 1));
        world.receive(100_000);
        assert!(world.balance().change > sat(399_000));
        let order = Order { reserve: sat(95_000), ..order(stranger(2), 20_000, 1) };
        let draft = world.send(&order).unwrap();
        let spent: Vec<_> = draft.spend().inputs.iter().map(|input| input.outpoint).collect();
        let coins = world.wallet.coins();
        let kept: Amount = coins
            .iter()
            .filter(|coin| coin.height.is_some() && !spent.contains(&coin.outpoint))
            .map(|coin| coin.amount)
            .sum();
        let back: Amount = draft.spend().outputs[..]
            .iter()
            .filter(|output| matches!(output.to, Payee::Ours(_)))
            .map(|output| output.amount)
            .sum();
        assert!(kept + back >= sat(95_000), "{kept} {back}");
        drop(first);
    }
}

#[test]
fn a_coin_is_kept_for_one() {
    let mut world = World::new();
    world.receive(50_000);
    let outpoint = world.wallet.coins()[0].outpoint;
    world.wallet.lock(outpoint, 7, Some(Height(4))).unwrap();
    assert_eq!((world.balance().locked, world.balance().spendable), (sat(50_000), sat(0)));
    let holder = Holder::User(7);
    let theirs = Refusal::Locked { outpoint, holder };
    assert_eq!(world.refused(|wallet, _| wallet.lock(outpoint, 8, None)), theirs);
    assert_eq!(world.refused(|wallet, _| wallet.unlock(outpoint, 8)), theirs);
    let refusal = world.refused(|wallet, draw| wallet.send(&order(stranger(1), 1_000, 1), draw));
    assert!(matches!(refusal, Refusal::NotEnough { have: Amount::ZERO, .. }), "{refusal}");
    world.restart();
    assert_eq!(world.wallet.coins()[0].lock, Some(Lock { holder, until: Some(Height(4)) }));
    // Until its block, and not longer.
    world.mine_empty(3);
    assert_eq!(world.wallet.coins()[0].lock, None);
    let draft = world.send(&order(stranger(1), 1_000, 1)).unwrap();
    let holder = Holder::Draft(draft.id());
    let drafted = Refusal::Locked { outpoint, holder };
    assert_eq!(world.refused(|wallet, _| wallet.lock(outpoint, 7, None)), drafted);
    assert_eq!(world.refused(|wallet, _| wallet.unlock(outpoint, 7)), drafted);
    // The process that began it is gone, and its coin is still kept.
    world.restart();
    assert_eq!(world.wallet.drafts().collect::<Vec<_>>(), [draft.id()]);
    world.wallet.give_up(draft.id()).unwrap();
    let unknown = Refusal::UnknownDraft { draft: draft.id() };
    assert_eq!(world.refused(|wallet, _| wallet.give_up(draft.id())), unknown);
    world.wallet.lock(outpoint, 7, None).unwrap();
    world.wallet.unlock(outpoint, 7).unwrap();
    world.wallet.unlock(outpoint, 8).unwrap();
    assert_eq!(world.balance().spendable, sat(50_000));
    let unknown = crate::blocks::outpoint(1);
    let refusal = world.refused(|wallet, _| wallet.lock(unknown, 1, None));
    assert_eq!(refusal, Refusal::UnknownCoin { outpoint: unknown });
}

#[test]
fn two_drafts_share_nothing() {
    let mut world = World::new();
    world.receive(50_000);
    world.receive(60_000);
    let one = world.send(&order(stranger(1), 30_000, 1)).unwrap();
    let two = world.send(&order(stranger(2), 30_000, 1)).unwrap();
    let outpoints = |draft: &wallet::Draft| -> Vec<_> {
        draft.spend().inputs.iter().map(|input| input.outpoint).collect()
    };
    assert!(outpoints(&one).iter().all(|outpoint| !outpoints(&two).contains(outpoint)));
    let change = |draft: &wallet::Draft| {
        draft.spend().outputs.iter().find_map(|output| match output.to {
            Payee::Ours(place) => Some(place),
            Payee::Script(_) => None,
        })
    };
    assert_ne!(change(&one), change(&two));
    // One that was given up leaves its place to the next.
    world.wallet.give_up(one.id()).unwrap();
    let three = world.send(&order(stranger(1), 30_000, 1)).unwrap();
    assert_eq!(change(&three), change(&one));
}

#[test]
fn only_what_is_signed_and_not_spent_otherwise_is_published() {
    let mut world = World::new();
    world.receive(50_000);
    let draft = world.send(&order(stranger(1), 30_000, 1)).unwrap();
    let unsigned = draft.spend().transaction(world.wallet.account());
    let refusal = world.refused(|wallet, _| wallet.published(unsigned));
    assert_eq!(refusal, Refusal::Unsigned { input: 0, of: 1 });
    let signed = world.sign(&draft);
    let strange = transaction(&[outpoint(4)], &[(stranger(1), 1_000)]);
    let txid = strange.compute_txid();
    let refusal = world.refused(|wallet, _| wallet.published(strange));
    assert_eq!(refusal, Refusal::Unrelated { txid });
    // Somebody else, with the same coin.
    let theft = transaction(&[signed.input[0].previous_output], &[(stranger(3), 9_000)]);
    let (taken, by) = (signed.input[0].previous_output, theft.compute_txid());
    let locked = Refusal::Locked { outpoint: taken, holder: Holder::Draft(draft.id()) };
    assert_eq!(world.refused(|wallet, _| wallet.published(theft.clone())), locked);
    world.mine(vec![theft]);
    let refusal = world.refused(|wallet, _| wallet.published(signed));
    assert_eq!(refusal, Refusal::DoubleSpend { outpoint: taken, by });
    world.wallet.give_up(draft.id()).unwrap();
    assert_eq!(world.balance(), Balance::default());
}

#[test]
fn a_coin_of_ours_is_not_spent_twice_by_us() {
    let mut world = World::new();
    world.receive(50_000);
    let draft = world.send(&order(stranger(1), 30_000, 1)).unwrap();
    let sent = world.publish(&draft);
    // To say it again changes nothing.
    let before = world.wallet.snapshot();
    world.wallet.published(sent.clone()).unwrap();
    assert_eq!(world.wallet.snapshot(), before);
    let spent = sent.input[0].previous_output;
    let again = transaction(&[spent], &[(stranger(2), 9_000)]);
    let by = sent.compute_txid();
    let refusal = world.refused(|wallet, _| wallet.published(again));
    assert_eq!(refusal, Refusal::DoubleSpend { outpoint: spent, by });
    // It will never be in a block: the coin is there again.
    world.wallet.forget(by).unwrap();
    assert_eq!(world.balance().spendable, sat(50_000));
    world.restart();
    assert_eq!(world.balance().spendable, sat(50_000));
    let unknown = Refusal::UnknownTransaction { txid: by };
    assert_eq!(world.refused(|wallet, _| wallet.forget(by)), unknown);
    let txid = world.wallet.coins()[0].outpoint.txid;
    let confirmed = Refusal::Confirmed { txid, height: Height(1) };
    assert_eq!(world.refused(|wallet, _| wallet.forget(txid)), confirmed);
}

#[test]
fn a_chain_of_pending_spends_goes_parents_first() {
    let mut world = World::new();
    world.receive(50_000);
    let sent: Vec<_> =
        (1..=4).map(|number| world.pay(&order(stranger(number), 5_000, 1))).map(Arc::new).collect();
    assert_eq!(world.wallet.to_rebroadcast(), sent);
    // Without the second the last two cannot be.
    world.wallet.forget(sent[1].compute_txid()).unwrap();
    world.settle();
    assert_eq!(world.wallet.to_rebroadcast(), sent[..1]);
}

/// A thousand and some coins: as many as fit go, and not all at once.
#[test]
fn more_coins_than_fit_into_one_transaction() {
    let mut world = World::new();
    let script = world.wallet.address().unwrap().script_pubkey();
    let pays: Vec<_> = (0..300).map(|number| (script.clone(), 10_000 + number)).collect();
    let gift = transaction(&[outpoint(1)], &pays);
    world.mine(vec![gift]);
    let refusal = world.refused(|wallet, draw| wallet.send(&all(stranger(1), 1), draw));
    assert_eq!(refusal, Refusal::TooManyCoins { have: 300, max: 250 });
    // There is so much, but not in 250 coins.
    let much = order(stranger(1), 2_600_000, 1);
    let refusal = world.refused(|wallet, draw| wallet.send(&much, draw));
    assert_eq!(refusal, Refusal::TooManyCoins { have: 300, max: 250 });
    let draft = world.send(&order(stranger(1), 2_500_000, 1)).unwrap();
    assert!(draft.spend().inputs.len() <= 250);
    let sent = world.publish(&draft);
    world.mine(vec![sent]);
    world.pay(&all(stranger(1), 1));
}

/// Change goes only where whoever has the words would look for it.
#[test]
fn not_more_drafts_than_change_has_places() {
    let mut world = World::new();
    let script = world.wallet.address().unwrap().script_pubkey();
    let gift = transaction(&[outpoint(1)], &vec![(script, 50_000); 21]);
    world.mine(vec![gift]);
    let drafts: Vec<_> =
        (0..20).map(|number| world.send(&order(stranger(number), 10_000, 1)).unwrap()).collect();
    let refusal = world.refused(|wallet, draw| wallet.send(&order(stranger(1), 5_000, 1), draw));
    assert_eq!(refusal, Refusal::TooManyDrafts { have: 20, max: 20 });
    // The last one first: its change is twenty places ahead.
    let sent = world.publish(&drafts[19]);
    world.mine(vec![sent]);
    world.send(&order(stranger(1), 5_000, 1)).unwrap();
    for draft in &drafts[..19] {
        world.publish(draft);
    }
    assert_eq!(world.balance().change, sat(19 * 40_000) - drafts[0].fee() * 19);
}

#[test]
fn movements_say_what_came_and_went() {
    let mut world = World::new();
    let gift = world.receive(100_000);
    let draft = world.send(&order(stranger(1), 30_000, 1)).unwrap();
    world.publish(&draft);
    let [out, came] = world.wallet.movements().try_into().unwrap();
    assert_eq!((out.txid, out.height, out.fee), (draft.txid(), None, Some(draft.fee())));
    assert_eq!((out.spent, out.received), (sat(100_000), sat(70_000) - draft.fee()));
    assert!(out.is_made);
    assert_eq!((came.txid, came.height, came.fee), (gift, Some(Height(1)), None));
    assert_eq!((came.spent, came.received, came.is_made), (sat(0), sat(100_000), false));
}

/// A block that no node would have passed on.
#[test]
fn more_than_there_is_counts_nothing() {
    let mut world = World::new();
    world.receive(5_000);
    for many in [u64::MAX, Amount::MAX_MONEY.to_sat() + 1] {
        let gift = world.gift(many);
        world.mine(vec![gift.clone()]);
        assert_eq!(world.balance().confirmed, sat(5_000));
        let mut signed = gift;
        signed.lock_time = bitcoin::absolute::LockTime::from_consensus(1);
        let refusal = world.refused(|wallet, _| wallet.published(signed));
        assert_eq!(refusal, Refusal::TooMuch { got: sat(many), max: Amount::MAX_MONEY });
    }
}
