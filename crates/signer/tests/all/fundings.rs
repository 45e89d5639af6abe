//! What funds a channel is signed once the peer has signed what brings it back.

use std::collections::BTreeSet;

use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash as _;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, Sequence, Txid};
use signer::{
    Answer, Ask, Branch, ChannelOp, Destinations, LinkId, Payee, Policy, Refusal, SetUp, Signer,
    Spend, SpendFlaw, SpendInput, SpendOutput,
};
use tx::{Form, Side};

use crate::accounts::place;
use crate::channels::{CAPACITY, Pair, ask};
use crate::parties::{ask_over_bytes, node_key, wallet_key};
use crate::vectors::VOID_24;

/// A coin that pays `sat` to the channel of these two, and the rest back.
fn spend(pair: &Pair, sat: u64) -> Spend {
    let script = tx::funding(&pair.setup.terms).to_p2wsh();
    let coin = SpendInput {
        outpoint: OutPoint { txid: Txid::from_byte_array([3; 32]), vout: 3 },
        amount: Amount::from_sat(3_000_000),
        place: place(Branch::Receive, 0),
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
    };
    let back = Amount::from_sat(3_000_000 - sat - 1_000);
    Spend {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        inputs: vec![coin],
        outputs: vec![
            SpendOutput { amount: back, to: Payee::Ours(place(Branch::Change, 1)) },
            SpendOutput { amount: Amount::from_sat(sat), to: Payee::Script(script) },
        ],
        allow_high_fee: false,
    }
}

/// The opener's signer, when its channel is as far as `steps` say, and lives in this output.
fn signer(spend: &Spend, vout: u32, steps: usize, policy: &Policy) -> Signer {
    let mut pair = Pair::new(Form::Anchors);
    let wallet = wallet_key(VOID_24);
    let txid = spend.transaction(wallet.account()).compute_txid();
    pair.setup.terms.funding.outpoint = OutPoint { txid, vout };
    for side in [Side::Opener, Side::Acceptor].into_iter().filter(|_| steps > 0) {
        let op = ChannelOp::SetUp(Box::new(SetUp { side, ..pair.setup.clone() }));
        ask(pair.of(side), op).unwrap_or_else(|no| panic!("{no}"));
    }
    for owner in [Side::Acceptor, Side::Opener].into_iter().take(steps.saturating_sub(1)) {
        pair.step(owner, &[], &[]);
    }
    Signer::new(node_key(VOID_24), wallet, pair.opener).with_policy(policy.clone())
}

fn answer(mut signer: Signer, spend: &Spend) -> Result<(), SpendFlaw> {
    let ask = Ask::SignSpend { spend: spend.clone() };
    let answer = ask_over_bytes(&mut signer, LinkId(1), &ask, 0, 1);
    if let Answer::Refused(Refusal::Spend(flaw)) = answer {
        return Err(flaw);
    }
    assert!(matches!(answer, Answer::SpendSigned { .. }), "{}", answer.name());
    Ok(())
}

#[test]
fn a_channel_is_funded_when_what_brings_it_back_is_signed() {
    let spend = spend(&Pair::new(Form::Anchors), CAPACITY.0);
    let any = Policy::default();
    let uncommitted = Err(SpendFlaw::Uncommitted { output: 1 });
    // Known; the peer's commitment signed by us; ours signed by the peer.
    assert_eq!(answer(signer(&spend, 1, 1, &any), &spend), uncommitted);
    assert_eq!(answer(signer(&spend, 1, 2, &any), &spend), uncommitted);
    assert_eq!(answer(signer(&spend, 1, 3, &any), &spend), Ok(()));
}

#[test]
fn what_looks_like_a_funding_is_none() {
    let any = Policy::default();
    let right = spend(&Pair::new(Form::Anchors), CAPACITY.0);
    // The channel is said to live in our own change.
    let uncommitted = Err(SpendFlaw::Uncommitted { output: 0 });
    assert_eq!(answer(signer(&right, 0, 3, &any), &right), uncommitted);
    // It gets another sum than it was signed for.
    for sat in [CAPACITY.0 - 1, CAPACITY.0 + 1] {
        let other = spend(&Pair::new(Form::Anchors), sat);
        let uncommitted = Err(SpendFlaw::Uncommitted { output: 1 });
        assert_eq!(answer(signer(&other, 1, 3, &any), &other), uncommitted);
    }
}

#[test]
fn a_channel_of_ours_is_no_stranger() {
    let spend = spend(&Pair::new(Form::Anchors), CAPACITY.0);
    let listed =
        Policy { destinations: Destinations::Listed(BTreeSet::new()), ..Policy::default() };
    let stranger = Err(SpendFlaw::Destination { output: 1, listed: 0 });
    assert_eq!(answer(signer(&spend, 1, 0, &listed), &spend), stranger);
    let uncommitted = Err(SpendFlaw::Uncommitted { output: 1 });
    assert_eq!(answer(signer(&spend, 1, 2, &listed), &spend), uncommitted);
    assert_eq!(answer(signer(&spend, 1, 3, &listed), &spend), Ok(()));
}
