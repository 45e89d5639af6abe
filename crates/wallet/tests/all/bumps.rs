//! Spends that are replaced by ones that pay more.

use bitcoin::Amount;
use wallet::{Bump, Holder, Order, Refusal};

use crate::{
    blocks::stranger,
    world::{World, all, order, rate, sat},
};

#[test]
fn a_replacement_pays_the_same_and_costs_more() {
    let mut world = World::new();
    world.receive(100_000);
    let first = world.pay(&order(stranger(1), 30_000, 2));
    let draw = world.dice.array();
    let draft = world.wallet.bump(&Bump::new(first.compute_txid(), rate(5)), draw).unwrap();
    // Until it is published the first one counts.
    assert_eq!(world.wallet.to_rebroadcast()[0].compute_txid(), first.compute_txid());
    let second = world.publish(&draft);
    assert_eq!(second.input[0].previous_output, first.input[0].previous_output);
    let paid = |number, sats| {
        let found = second.output.iter().find(|o| o.script_pubkey == stranger(number)).unwrap();
        assert_eq!(found.value, sat(sats));
    };
    paid(1, 30_000);
    assert!(draft.fee() >= sat(5 * second.vsize() as u64));
    let change = |transaction: &bitcoin::Transaction| {
        let change = transaction.output.iter().find(|o| o.script_pubkey != stranger(1));
        change.unwrap().script_pubkey.clone()
    };
    assert_eq!(change(&first), change(&second), "the change goes where it went");
    assert_eq!(world.balance().spendable, sat(70_000) - draft.fee());
    world.restart();
    assert_eq!(world.wallet.to_rebroadcast()[0].compute_txid(), second.compute_txid());
    // Miners may take the first one nevertheless; and then a reorg takes it back.
    world.mine(vec![first.clone()]);
    let confirmed = world.balance().confirmed;
    assert!(confirmed > sat(70_000) - draft.fee());
    assert_eq!(world.balance().pending, sat(0));
    world.reorg(1, vec![vec![second]]);
    assert_eq!(world.balance().confirmed, sat(70_000) - draft.fee());
}

#[test]
fn it_has_to_pay_for_what_it_replaces() {
    let mut world = World::new();
    world.receive(1_000_000);
    let first = world.pay(&order(stranger(1), 30_000, 10));
    let txid = first.compute_txid();
    let refusal = world.refused(|wallet, draw| wallet.bump(&Bump::new(txid, rate(10)), draw));
    let Refusal::ReplacementRate { got, min } = refusal else { panic!("{refusal}") };
    assert_eq!(got, rate(10));
    assert!((2_750..2_760).contains(&min.to_sat_per_kwu()), "{min}");
    // What hangs on it is replaced as well, and was paid for.
    let second = world.pay(&order(stranger(2), 30_000, 100));
    assert_eq!(second.input[0].previous_output.txid, txid);
    let refusal = world.refused(|wallet, draw| wallet.bump(&Bump::new(txid, rate(20)), draw));
    let Refusal::ReplacementFee { got, min } = refusal else { panic!("{refusal}") };
    assert!(got < sat(20 * 160) && min > sat(110 * 154), "{got} {min}");
    let draw = world.dice.array();
    let draft = world.wallet.bump(&Bump::new(txid, rate(120)), draw).unwrap();
    world.publish(&draft);
    let pending = world.wallet.to_rebroadcast();
    assert_eq!(pending.len(), 1);
    assert_eq!(pending[0].compute_txid(), draft.txid());
    assert_eq!(world.balance().spendable, sat(970_000) - draft.fee());
    let refusal = world.refused(|wallet, draw| wallet.bump(&Bump::new(txid, rate(200)), draw));
    let (outpoint, by) = (first.input[0].previous_output, draft.txid());
    assert_eq!(refusal, Refusal::DoubleSpend { outpoint, by });
    let txid = second.compute_txid();
    let refusal = world.refused(|wallet, draw| wallet.bump(&Bump::new(txid, rate(200)), draw));
    assert_eq!(refusal, Refusal::Orphaned { txid });
}

#[test]
fn it_takes_more_coins_if_it_must() {
    let mut world = World::new();
    world.receive(31_000);
    let first = world.pay(&order(stranger(1), 30_600, 1));
    let txid = first.compute_txid();
    assert_eq!(first.output.len(), 1, "there is no change");
    let refusal = world.refused(|wallet, draw| wallet.bump(&Bump::new(txid, rate(30)), draw));
    let Refusal::NotEnough { have, need, fee } = refusal else { panic!("{refusal}") };
    assert_eq!((have, need), (sat(31_000), sat(30_600)));
    assert!(fee > sat(3_000), "{fee}");
    world.receive(20_000);
    let draw = world.dice.array();
    let draft = world.wallet.bump(&Bump::new(txid, rate(30)), draw).unwrap();
    assert_eq!(draft.spend().inputs.len(), 2);
    let second = world.publish(&draft);
    world.mine(vec![second]);
    assert_eq!(world.balance().confirmed, sat(51_000 - 30_600) - draft.fee());
}

#[test]
fn whoever_gets_everything_pays_for_it() {
    let mut world = World::new();
    world.receive(40_000);
    let first = world.pay(&all(stranger(1), 2));
    world.receive(9_000);
    let draw = world.dice.array();
    let draft = world.wallet.bump(&Bump::new(first.compute_txid(), rate(8)), draw).unwrap();
    let second = world.publish(&draft);
    assert_eq!((second.input.len(), second.output.len()), (1, 1));
    assert_eq!(second.output[0].value, sat(40_000) - draft.fee());
    let refusal = world.refused(|wallet, draw| {
        wallet.bump(
            &Bump { allow_high_fee: true, ..Bump::new(second.compute_txid(), rate(900)) },
            draw,
        )
    });
    assert!(matches!(refusal, Refusal::NotEnough { .. }), "{refusal}");
    // With a reserve the reserve stays as it is.
    let reserve = sat(3_000);
    let first = world.pay(&Order { reserve, ..all(stranger(2), 2) });
    let draw = world.dice.array();
    let draft = world.wallet.bump(&Bump::new(first.compute_txid(), rate(4)), draw).unwrap();
    let paid = draft.spend().transaction(world.wallet.account()).output;
    let to = paid.iter().find(|output| output.script_pubkey == stranger(2)).unwrap().value;
    assert_eq!(to, sat(6_000) - draft.fee());
}

#[test]
fn not_everything_is_ours_to_replace() {
    let mut world = World::new();
    let gift = world.receive(100_000);
    let bump = |txid| {
        move |wallet: &mut wallet::Wallet, draw| wallet.bump(&Bump::new(txid, rate(9)), draw)
    };
    let height = chain::Height(1);
    assert_eq!(world.refused(bump(gift)), Refusal::Confirmed { txid: gift, height });
    world.reorg(1, Vec::new());
    assert_eq!(world.refused(bump(gift)), Refusal::NotOurs { txid: gift });
    let txid = crate::blocks::outpoint(1).txid;
    assert_eq!(world.refused(bump(txid)), Refusal::UnknownTransaction { txid });
    world.receive(50_000);
    let fixed = Order { is_fixed: true, ..order(stranger(1), 20_000, 1) };
    let txid = world.pay(&fixed).compute_txid();
    assert_eq!(world.refused(bump(txid)), Refusal::Fixed { txid });
    world.receive(60_000);
    let txid = world.pay(&order(stranger(2), 55_000, 1)).compute_txid();
    let low = world.refused(|wallet, draw| wallet.bump(&Bump::new(txid, rate(0)), draw));
    assert_eq!(low, Refusal::FeeRateLow { got: rate(0), min: rate(1) });
    let high = world.refused(|wallet, draw| wallet.bump(&Bump::new(txid, rate(1_001)), draw));
    assert_eq!(high, Refusal::FeeRateHigh { got: rate(1_001), max: rate(1_000) });
    // One at a time.
    let draw = world.dice.array();
    let draft = world.wallet.bump(&Bump::new(txid, rate(9)), draw).unwrap();
    let refusal = world.refused(bump(txid));
    assert!(matches!(refusal, Refusal::Locked { .. }), "{refusal}");
    world.wallet.give_up(draft.id()).unwrap();
    let draw = world.dice.array();
    world.wallet.bump(&Bump::new(txid, rate(9)), draw).unwrap();
    assert!(draft.fee() > Amount::ZERO);
}

/// A replacement is drafted, and a block has the first one before it is signed.
#[test]
fn what_is_in_a_block_is_not_replaced() {
    let mut world = World::new();
    world.receive(100_000);
    let first = world.pay(&order(stranger(1), 30_000, 2));
    let draw = world.dice.array();
    let draft = world.wallet.bump(&Bump::new(first.compute_txid(), rate(5)), draw).unwrap();
    let second = world.sign(&draft);
    world.mine(vec![first.clone()]);
    let refusal = world.refused(|wallet, _| wallet.published(second));
    let (outpoint, by) = (first.input[0].previous_output, first.compute_txid());
    assert_eq!(refusal, Refusal::DoubleSpend { outpoint, by });
}

/// A spend of change is drafted, and what the change is of is replaced before it is signed.
#[test]
fn change_of_what_was_replaced_is_not_spent() {
    let mut world = World::new();
    world.receive(100_000);
    let first = world.pay(&order(stranger(1), 30_000, 2));
    let draw = world.dice.array();
    let draft = world.wallet.bump(&Bump::new(first.compute_txid(), rate(5)), draw).unwrap();
    let child = world.send(&order(stranger(2), 10_000, 2)).unwrap();
    let signed = world.sign(&child);
    world.publish(&draft);
    let refusal = world.refused(|wallet, _| wallet.published(signed));
    let outpoint = child.spend().inputs[0].outpoint;
    assert_eq!(refusal, Refusal::UnknownCoin { outpoint });
    assert_eq!(world.wallet.to_rebroadcast().len(), 1);
}

/// Who opens a channel with change needs that change to come.
#[test]
fn what_somebody_needs_is_not_pulled_away_from_below() {
    let mut world = World::new();
    world.receive(100_000);
    let first = world.pay(&order(stranger(1), 30_000, 2));
    let txid = first.compute_txid();
    let fixed = Order { is_fixed: true, ..order(stranger(2), 20_000, 2) };
    let child = world.send(&fixed).unwrap();
    let bump = |wallet: &mut wallet::Wallet, draw| wallet.bump(&Bump::new(txid, rate(90)), draw);
    let (outpoint, holder) = (child.spend().inputs[0].outpoint, Holder::Draft(child.id()));
    assert_eq!(outpoint.txid, txid);
    assert_eq!(world.refused(bump), Refusal::Locked { outpoint, holder });
    let sent = world.publish(&child);
    assert_eq!(world.refused(bump), Refusal::Fixed { txid: sent.compute_txid() });
    world.wallet.forget(sent.compute_txid()).unwrap();
    world.settle();
    let draw = world.dice.array();
    bump(&mut world.wallet, draw).unwrap();
}

/// What channels will need is not burned as a fee.
#[test]
fn a_replacement_leaves_the_reserve() {
    let mut world = World::new();
    world.receive(100_000);
    let reserve = sat(40_000);
    let sent = world.pay(&Order { reserve, ..order(stranger(1), 58_000, 2) });
    let bump = |rate| Bump { reserve, ..Bump::new(sent.compute_txid(), rate) };
    let refusal = world.refused(|wallet, draw| wallet.bump(&bump(rate(30)), draw));
    let Refusal::Reserve { have, need, fee, reserve: left } = refusal else { panic!("{refusal}") };
    assert_eq!((have, need, left), (sat(100_000), sat(58_000), reserve));
    assert!(fee > sat(4_000), "{fee}");
    // What leaves it is drafted, and what was allowed to use it up is, too.
    let draw = world.dice.array();
    let draft = world.wallet.bump(&bump(rate(10)), draw).unwrap();
    world.wallet.give_up(draft.id()).unwrap();
    world.wallet.bump(&Bump { reserve: Amount::ZERO, ..bump(rate(30)) }, draw).unwrap();
    // The fee of what takes everything is the recipient's.
    let mut world = World::new();
    world.receive(100_000);
    let sent = world.pay(&all(stranger(1), 2));
    let bump = Bump { reserve, ..Bump::new(sent.compute_txid(), rate(30)) };
    world.wallet.bump(&bump, draw).unwrap();
}
