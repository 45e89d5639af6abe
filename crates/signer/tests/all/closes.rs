//! Two signers close a channel together, in both dialects.

use std::collections::BTreeSet;

use bitcoin::{Amount, ScriptBuf, Transaction, TxOut};
use devnet::ledger::verify;
use signer::{
    Answer, Ask, ChannelAnswer, ChannelAsk, ChannelChange, ChannelOp, ChannelRefusal as No,
    Destinations, EndFlaw, Payee, Policy, Refusal, SignClose, Signer, SignerChange,
};
use tx::{Close, ClosingOutputs, Form, Meaning, Side, funding_witness};
use wire::amount::{LockTime, Msat, Sat};
use wire::id::CommitmentNumber;
use wire::key::Signature;
use wire::lease::LeaseEpoch;
use wire::tick::Tick;

use crate::channels::{CAPACITY, CHANNEL, PREIMAGE, PUSHED, Pair, ask, htlc};
use crate::claims::{ask_under, ask_with, place, script};
use crate::parties::{LINK, ask_over_bytes, node_key, wallet_key};
use crate::vectors::VOID_24;

const SIGNED: ClosingOutputs = ClosingOutputs::Signed { dust_limit: Sat(354) };

const fn complete(closer: Side) -> ClosingOutputs {
    ClosingOutputs::Complete { closer, lock_time: LockTime(500) }
}

fn close(dialect: ClosingOutputs) -> Close {
    let to_opener = Msat(CAPACITY.0 * 1_000 - PUSHED.0);
    Close {
        to_opener,
        to_acceptor: PUSHED,
        opener_script: Some(script(Side::Opener, place(7))),
        acceptor_script: Some(script(Side::Acceptor, place(8))),
        fee: Sat(900),
        dialect,
    }
}

fn ours(side: Side) -> Payee {
    Payee::Ours(place(if side == Side::Opener { 7 } else { 8 }))
}

fn op(side: Side, close: &Close) -> ChannelOp {
    ChannelOp::SignClose(Box::new(SignClose { close: close.clone(), ours: ours(side) }))
}

fn signature(pair: &mut Pair, side: Side, close: &Close) -> Result<Signature, No> {
    let ChannelAnswer::CloseSigned { signature } = ask_with(pair, side, op(side, close))? else {
        panic!("a close is signed");
    };
    Ok(signature)
}

/// Both sign it, and the kernel takes it.
fn run(pair: &mut Pair, close: &Close) -> Transaction {
    let [opener, acceptor] = [Side::Opener, Side::Acceptor]
        .map(|side| signature(pair, side, close).unwrap_or_else(|no| panic!("{no}")));
    let terms = &pair.setup.terms;
    let mut signed = close.build(terms).expect("it was signed");
    signed.input[0].witness = funding_witness(terms, &opener, &acceptor);
    let script_pubkey = tx::funding(terms).to_p2wsh();
    let value = Amount::from_sat(terms.funding.value.0);
    assert_eq!(verify(&signed, &[TxOut { value, script_pubkey }]), Ok(()));
    signed
}

#[test]
fn both_dialects_close_the_channel_at_rising_fees() {
    for form in [Form::StaticRemoteKey, Form::Anchors] {
        let mut pair = Pair::open_as(form);
        let dialects = [SIGNED, complete(Side::Opener), complete(Side::Acceptor)];
        for (dialect, fee) in dialects.into_iter().flat_map(|it| [(it, 900), (it, 1_900)]) {
            let close = Close { fee: Sat(fee), ..close(dialect) };
            let signed = run(&mut pair, &close);
            let all: u64 = signed.output.iter().map(|it| it.value.to_sat()).sum();
            assert_eq!((signed.output.len(), all), (2, CAPACITY.0 - fee));
        }
    }
}

#[test]
fn after_a_close_there_are_no_new_commitments() {
    let mut pair = Pair::open();
    let repeated = pair.meaning(Side::Acceptor, &[]);
    pair.step(Side::Acceptor, &[], &[]);
    // The peer's signature of our next commitment, from before.
    let next = pair.meaning(Side::Acceptor, &[]);
    let early = pair.sign(&next, &[]).unwrap_or_else(|no| panic!("{no}"));
    assert!(signature(&mut pair, Side::Acceptor, &close(SIGNED)).is_ok());
    let advance = |meaning: &Meaning, (signature, stages): (Signature, Vec<Signature>)| {
        let (meaning, secrets) = (meaning.clone(), Vec::new());
        ChannelOp::Advance { meaning, secrets, signature, stages }
    };
    let no = ask(&mut pair.acceptor, advance(&next, early)).err();
    assert_eq!(no, Some(No::Shut));
    let meaning = pair.meaning(Side::Opener, &[]);
    assert_eq!(pair.sign(&meaning, &[]).err(), Some(No::Shut));
    // What was agreed on before is said again, and can be published.
    let mut pair = Pair::open();
    pair.step(Side::Acceptor, &[], &[]);
    assert!(signature(&mut pair, Side::Opener, &close(SIGNED)).is_ok());
    let again = ChannelOp::SignRemote { meaning: repeated, secrets: Vec::new() };
    assert!(ask(&mut pair.opener, again).is_ok());
}

#[test]
fn once_our_commitment_may_be_out_nothing_new_is_signed() {
    let mut pair = Pair::open();
    let meaning = Meaning { number: CommitmentNumber(0), ..first(&mut pair) };
    assert!(ask(&mut pair.opener, ChannelOp::SignLocal { meaning }).is_ok());
    let new = pair.meaning(Side::Acceptor, &[]);
    assert_eq!(pair.sign(&new, &[]).err(), Some(No::Closing));
    // A close takes the same balances: whichever is mined first.
    assert!(signature(&mut pair, Side::Opener, &close(SIGNED)).is_ok());
}

/// The opener's first commitment.
fn first(pair: &mut Pair) -> Meaning {
    let point = match ask(&mut pair.opener, ChannelOp::Keys) {
        Ok(ChannelAnswer::Keys(keys)) => keys.points[0],
        _ => panic!("keys are shown"),
    };
    Meaning { point, ..pair.meaning(Side::Opener, &[]) }
}

/// What the opener says to a close.
fn refused(change: impl FnOnce(&mut Pair, &mut SignClose)) -> No {
    let mut pair = Pair::open();
    let mut asked = SignClose { close: close(SIGNED), ours: ours(Side::Opener) };
    change(&mut pair, &mut asked);
    let op = ChannelOp::SignClose(Box::new(asked));
    ask_with(&mut pair, Side::Opener, op).err().expect("it is refused")
}

#[test]
fn closes_that_could_cost_money_are_refused() {
    let (opener, capacity) = (close(SIGNED).to_opener, CAPACITY.0 * 1_000);
    let want = PUSHED;
    let want_opener = opener;
    let rows = [
        (refused(|pair, _| *pair = Pair::set_up()), EndFlaw::NotOpen),
        (
            refused(|pair, _| pair.step(Side::Acceptor, &[htlc(Side::Opener, 9_000, 600)], &[])),
            EndFlaw::UnderWay { contracts: 1 },
        ),
        (
            refused(|pair, _| {
                let meaning = pair.meaning(Side::Acceptor, &[]);
                assert!(pair.sign(&meaning, &[]).is_ok());
            }),
            EndFlaw::Unrevoked { number: CommitmentNumber(0), newest: CommitmentNumber(1) },
        ),
        (
            refused(settle_half),
            EndFlaw::Differ { local: opener, remote: Msat(opener.0 - 9_000_000) },
        ),
        (
            refused(|_, it| it.close.to_opener.0 -= 1),
            EndFlaw::Balance { side: Side::Opener, got: Msat(opener.0 - 1), want: want_opener },
        ),
        (
            refused(|_, it| it.close.to_acceptor = Msat(capacity)),
            EndFlaw::Balance { side: Side::Acceptor, got: Msat(capacity), want },
        ),
        (
            refused(|_, it| it.close.fee = Sat(800_001)),
            EndFlaw::Nothing { fee: Sat(800_001), has: opener },
        ),
        (
            refused(|_, it| it.close.fee = Sat(80_001)),
            EndFlaw::Fee { got: Sat(80_001), max: Sat(80_000), stake: Sat(800_000) },
        ),
        (
            refused(|_, it| {
                it.close.dialect = ClosingOutputs::Signed { dust_limit: Sat(900_000) };
            }),
            EndFlaw::DustLimit { got: Sat(900_000), want: [Sat(354); 2] },
        ),
        (
            refused(|_, it| it.close.opener_script = None),
            EndFlaw::LeftOut { got: Sat(799_100), dust: Sat(354) },
        ),
        (
            refused(|_, it| it.close.opener_script = it.close.acceptor_script.clone()),
            EndFlaw::OtherScript,
        ),
        (refused(|_, it| it.ours = Payee::Ours(place(6))), EndFlaw::OtherScript),
        (
            refused(|_, it| it.ours = Payee::Ours(place(10_001))),
            EndFlaw::Place { got: 10_001, max: 10_000 },
        ),
        (
            refused(|_, it| it.ours = Payee::Script(script(Side::Acceptor, place(8)))),
            EndFlaw::Destination { listed: 0 },
        ),
    ];
    for (at, (got, want)) in rows.into_iter().enumerate() {
        assert_eq!(got, No::End(want), "row {at}");
    }
}

/// A payment of the opener is settled in the acceptor's commitment, and in its own not yet.
fn settle_half(pair: &mut Pair, _: &mut SignClose) {
    let payment = [htlc(Side::Opener, 9_000, 600)];
    pair.step(Side::Acceptor, &payment, &[]);
    let mut meaning = pair.meaning(Side::Acceptor, &[]);
    meaning.to_opener.0 -= 9_000_000;
    meaning.to_acceptor.0 += 9_000_000;
    pair.step_to(meaning, &[PREIMAGE.to_vec()]).unwrap_or_else(|no| panic!("{no}"));
}

#[test]
fn what_the_peer_pays_is_its_affair() {
    let mut pair = Pair::open();
    // The acceptor gives nearly all it has to the miners.
    let close = Close { fee: Sat(199_000), ..close(complete(Side::Acceptor)) };
    assert!(signature(&mut pair, Side::Opener, &close).is_ok());
    let fee = EndFlaw::Fee { got: Sat(199_000), max: Sat(20_000), stake: Sat(200_000) };
    assert_eq!(signature(&mut pair, Side::Acceptor, &close), Err(No::End(fee)));
}

/// A channel in which the acceptor has this much.
fn with_acceptor(has: Msat) -> (Pair, Close) {
    let mut pair = Pair::open();
    let all = CAPACITY.0 * 1_000;
    let moved = PUSHED.0 - has.0;
    let payment = [htlc(Side::Acceptor, moved / 1_000, 600)];
    for owner in [Side::Acceptor, Side::Opener] {
        pair.step(owner, &payment, &[]);
    }
    for owner in [Side::Acceptor, Side::Opener] {
        let (to_opener, to_acceptor) = (Msat(all - has.0), has);
        let meaning = Meaning { to_opener, to_acceptor, ..pair.meaning(owner, &[]) };
        pair.step_to(meaning, &[PREIMAGE.to_vec()]).unwrap_or_else(|no| panic!("{no}"));
    }
    let close = Close { to_opener: Msat(all - has.0), to_acceptor: has, ..close(SIGNED) };
    (pair, close)
}

#[test]
fn dust_may_be_left_out_and_nothing_else() {
    let (mut pair, mut close) = with_acceptor(Msat(353_000));
    assert_eq!(run(&mut pair, &close).output.len(), 1);
    close.acceptor_script = None;
    assert_eq!(run(&mut pair, &close).output.len(), 1);
    close.dialect = complete(Side::Opener);
    assert_eq!(run(&mut pair, &close).output.len(), 1);
    let (mut pair, mut close) = with_acceptor(Msat(354_000));
    assert_eq!(run(&mut pair, &close).output.len(), 2);
    close.acceptor_script = None;
    let left_out = EndFlaw::LeftOut { got: Sat(354), dust: Sat(354) };
    assert_eq!(signature(&mut pair, Side::Acceptor, &close), Err(No::End(left_out)));
    // What nobody would relay is not signed.
    let (mut pair, mut close) = with_acceptor(Msat(329_000));
    close.dialect = complete(Side::Opener);
    let dust = EndFlaw::Dust { got: Sat(329), min: Sat(330) };
    assert_eq!(signature(&mut pair, Side::Acceptor, &close), Err(No::End(dust)));
}

#[test]
fn a_script_is_paid_if_its_owner_has_listed_it() {
    let mut pair = Pair::open();
    let vault = ScriptBuf::new_p2wsh(&ScriptBuf::new().wscript_hash());
    let ask = |pair: &mut Pair, script: &ScriptBuf, listed: &[&ScriptBuf]| {
        let close = Close { opener_script: Some(script.clone()), ..close(SIGNED) };
        let ours = Payee::Script(script.clone());
        let op = ChannelOp::SignClose(Box::new(SignClose { close, ours }));
        let listed: BTreeSet<_> = listed.iter().map(|it| (*it).clone()).collect();
        let destinations = Destinations::Listed(listed);
        ask_under(pair, Side::Opener, op, &Policy { destinations, ..Policy::default() }).err()
    };
    let stranger = Some(No::End(EndFlaw::Destination { listed: 1 }));
    let other = script(Side::Acceptor, place(8));
    assert_eq!(ask(&mut pair, &vault, &[&other]), stranger);
    assert_eq!(ask(&mut pair, &vault, &[&vault]), None);
    let burnt = ScriptBuf::new_op_return([1]);
    assert_eq!(ask(&mut pair, &burnt, &[&burnt]), stranger);
}

/// The whole signer, as a node asks it: its own wallet is the one that is paid.
#[test]
fn a_signer_closes_to_its_own_wallet_and_saves_that_first() {
    let pair = Pair::open();
    let channel = CHANNEL;
    let mut signer = Signer::new(node_key(VOID_24), wallet_key(VOID_24), pair.opener);
    let asked = |ours| {
        let op = ChannelOp::SignClose(Box::new(SignClose { close: close(SIGNED), ours }));
        Ask::Channel { lease: LeaseEpoch(0), ask: Box::new(ChannelAsk { channel, op }) }
    };
    let stranger = asked(ours(Side::Acceptor));
    let no = ask_over_bytes(&mut signer, LINK, &stranger, 0, 1);
    let other = Refusal::Channel(No::End(EndFlaw::OtherScript));
    assert!(matches!(no, Answer::Refused(refusal) if refusal == other));
    let asked = asked(ours(Side::Opener));
    let pending = signer.decide(LINK, asked.clone(), Tick(0), || panic!("drawn"));
    let shut = SignerChange::Channel { channel, change: ChannelChange::Shut };
    assert_eq!(pending.unsaved(), Some(&shut));
    let closed = |answer| matches!(answer, Answer::Channel(ChannelAnswer::CloseSigned { .. }));
    assert!(closed(pending.saved()));
    assert!(closed(ask_over_bytes(&mut signer, LINK, &asked, 0, 1)));
    let pending = signer.decide(LINK, asked, Tick(0), || panic!("drawn"));
    assert_eq!(pending.unsaved(), None);
}
