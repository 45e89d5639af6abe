//! What we pay.

use std::sync::Arc;

use wallet::Balance;

use crate::{
    blocks::stranger,
    world::{World, all, order, sat},
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
