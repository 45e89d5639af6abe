//! Penalties near their deadline: what holds up one output does not hold up the rest (BOLT 5).

use std::collections::BTreeSet;

use bitcoin::{OutPoint, Transaction, Txid};
use channel::{SECURITY_DELAY_BLOCKS, State};
use tx::Form;

use crate::halves::policy;
use crate::onchain::{Cheat, keep, offered, town};
use crate::town::Town;

/// The cheat, and who punishes it.
const CHEAT: usize = 0;
const HONEST: usize = 1;

/// A commitment that the cheat will have revoked, with two contracts that it has offered, and the
/// output of the smaller one.
fn cheated(form: Form) -> (Town, Cheat, OutPoint) {
    let mut town = town(form);
    for (amount, blocks) in [(80_000_000, 70), (60_000_000, 60)] {
        offered(&mut town, CHEAT, amount, u64::from(blocks), blocks);
    }
    let cheat = keep(&town, CHEAT, 12);
    offered(&mut town, HONEST, 1_000_000, 5, 190);
    town.ends.iter_mut().for_each(|it| it.may_fail = true);
    town.sees[CHEAT] = false;
    let txid = cheat.commitment.compute_txid();
    let is_it = |it: &bitcoin::TxOut| it.value.to_sat() == 60_000;
    let vout = cheat.commitment.output.iter().position(is_it).expect("it has an output");
    (town, cheat, OutPoint { txid, vout: vout as u32 })
}

/// It is mined, and the block after which its owner could take its balance.
fn mined(town: &mut Town, cheat: &Cheat) -> u32 {
    town.mine_with(vec![cheat.commitment.clone()]);
    town.pump();
    town.height() + u32::from(policy().delay.0)
}

/// The penalties that wait in the mempool, by what they take of these.
fn waiting(town: &Town, of: &BTreeSet<Txid>) -> Vec<Vec<OutPoint>> {
    let spends = |it: &Transaction| -> Vec<OutPoint> {
        let spent = it.input.iter().map(|it| it.previous_output);
        spent.filter(|it| of.contains(&it.txid)).collect()
    };
    let published = town.ends[HONEST].published.iter();
    let waits = published.filter(|it| town.mempool.entry(&it.compute_txid()).is_some());
    waits.map(spends).filter(|it| !it.is_empty()).collect()
}

/// What a transaction of the honest side has paid, by what it spends of these.
fn fee_of(transaction: &Transaction, of: &[&Transaction]) -> u64 {
    let value = |spent: OutPoint| {
        let parent = of.iter().find(|it| it.compute_txid() == spent.txid).expect("one of these");
        parent.output[spent.vout as usize].value.to_sat()
    };
    let taken: u64 = transaction.input.iter().map(|it| value(it.previous_output)).sum();
    taken - transaction.output.iter().map(|it| it.value.to_sat()).sum::<u64>()
}

/// All of the channel that is no anchor comes home, less the fees of what took it: to the satoshi.
fn everything_came_home(town: &Town, commitment: &Transaction, stages: &[&Transaction]) {
    assert_eq!(*town.ends[HONEST].live.state(), State::Done, "{:?}", town.refused);
    let parents: Vec<&Transaction> =
        [commitment].into_iter().chain(stages.iter().copied()).collect();
    let is_mined = |it: &&Transaction| {
        (0..it.output.len() as u32).any(|vout| {
            let outpoint = OutPoint { txid: it.compute_txid(), vout };
            town.ledger.coins().contains_key(&outpoint)
        })
    };
    let penalties: Vec<_> = town.ends[HONEST].published.iter().filter(is_mined).collect();
    let fees: u64 = penalties.iter().map(|it| fee_of(it, &parents)).sum();
    let values = commitment.output.iter().map(|it| it.value.to_sat());
    let all: u64 = values.filter(|value| *value != 330).sum();
    assert_eq!(town.has(HONEST), all - fees);
    assert!(fees < 40_000, "{fees}");
}

#[test]
fn a_second_stage_that_is_held_up_holds_up_nothing_else() {
    let (mut town, cheat, held) = cheated(Form::Anchors);
    let of = BTreeSet::from([cheat.commitment.compute_txid()]);
    town.held = vec![held];
    let deadline = mined(&mut town, &cheat);
    while town.height() + SECURITY_DELAY_BLOCKS.0 < deadline {
        // The one penalty takes all three outputs of the cheat, and is not mined.
        let together = waiting(&town, &of);
        assert!(together.iter().any(|it| it.len() == 3), "{together:?}");
        town.mine();
        town.pump();
    }
    // Each waits by itself: there was room in the mempool for all of them.
    let apart = waiting(&town, &of);
    assert_eq!((apart.len(), town.refused[HONEST].len()), (3, 0), "{apart:?} {:?}", town.refused);
    assert!(apart.iter().all(|it| it.len() == 1), "{apart:?}");
    town.mine();
    town.pump();
    assert_eq!(waiting(&town, &of), [[held]]);
    // The second stage comes after all, and is punished as well.
    let is_of_held = |it: &&Transaction| it.input.iter().any(|it| it.previous_output == held);
    let stage = cheat.stages.iter().find(is_of_held).expect("it is the cheat's");
    town.mine_with(vec![stage.clone()]);
    town.held.clear();
    for _ in 0..110 {
        town.mine();
        town.pump();
    }
    everything_came_home(&town, &cheat.commitment, &[stage]);
}

#[test]
fn penalties_are_taken_apart_after_a_restart_as_well() {
    let (mut town, cheat, held) = cheated(Form::Anchors);
    let of = BTreeSet::from([cheat.commitment.compute_txid()]);
    town.held = vec![held];
    let deadline = mined(&mut town, &cheat);
    while town.height() + SECURITY_DELAY_BLOCKS.0 + 1 < deadline {
        town.mine();
        town.pump();
    }
    // What it had on its way is forgotten, and still waits in the mempool.
    town.ends[HONEST].crash();
    town.tell_now(HONEST);
    town.mine();
    town.pump();
    let apart = waiting(&town, &of);
    assert_eq!((apart.len(), town.refused[HONEST].len()), (3, 0), "{apart:?} {:?}", town.refused);
    town.mine();
    assert_eq!(waiting(&town, &of), [[held]]);
    town.held.clear();
    for _ in 0..110 {
        town.mine();
        town.pump();
    }
    everything_came_home(&town, &cheat.commitment, &[]);
}

/// Without anchors a second stage is what both have signed: it cannot be held up so.
#[test]
fn without_anchors_penalties_stay_together() {
    let (mut town, cheat, held) = cheated(Form::StaticRemoteKey);
    let of = BTreeSet::from([cheat.commitment.compute_txid()]);
    town.held = vec![held];
    let deadline = mined(&mut town, &cheat);
    while town.height() + 1 < deadline {
        town.mine();
        town.pump();
    }
    assert!(waiting(&town, &of).iter().any(|it| it.len() == 3));
    assert!(!waiting(&town, &of).contains(&vec![held]));
}

/// What is worth too little to take the place of the one for all stays together, and so does the
/// money.
#[test]
fn small_penalties_are_taken_apart_as_far_as_they_can_pay_for_it() {
    let mut town = town(Form::Anchors);
    for number in 0..12 {
        offered(&mut town, CHEAT, 3_000_000, number, 60);
    }
    let cheat = keep(&town, CHEAT, 12);
    offered(&mut town, HONEST, 1_000_000, 50, 190);
    town.ends.iter_mut().for_each(|it| it.may_fail = true);
    town.sees[CHEAT] = false;
    // The honest side is away until the locks are over, and all second stages in one block.
    town.sees[HONEST] = false;
    town.mine_with(vec![cheat.commitment.clone()]);
    for _ in 0..70 {
        town.mine();
    }
    let [stages] = &cheat.stages[..] else { panic!("they have one lock") };
    town.mine_with(vec![stages.clone()]);
    let deadline = town.height() + u32::from(policy().delay.0);
    let txid = stages.compute_txid();
    town.held = (0..12).map(|vout| OutPoint { txid, vout }).collect();
    town.sees[HONEST] = true;
    town.show(HONEST);
    town.pump();
    let of = BTreeSet::from([txid]);
    while town.height() + SECURITY_DELAY_BLOCKS.0 < deadline {
        assert_eq!(waiting(&town, &of).iter().map(Vec::len).collect::<Vec<_>>(), [12]);
        town.mine();
        town.pump();
    }
    let sizes: Vec<usize> = waiting(&town, &of).iter().map(Vec::len).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 12, "{sizes:?}");
    assert!(sizes.len() > 1 && sizes[0] > 1, "{sizes:?}");
    assert!(town.refused[HONEST].is_empty(), "{:?}", town.refused);
    town.held.clear();
    for _ in 0..110 {
        town.mine();
        town.pump();
    }
    assert_eq!(*town.ends[HONEST].live.state(), State::Done, "{:?}", town.refused);
}
