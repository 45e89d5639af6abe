//! What of a close must be, and what a peer must not say: scripts, fees, signatures.

use bitcoin::hashes::Hash as _;
use bitcoin::script::PushBytesBuf;
use bitcoin::secp256k1::{SECP256K1, SecretKey};
use bitcoin::{
    PubkeyHash, ScriptBuf, ScriptHash, Transaction, WPubkeyHash, WScriptHash, WitnessProgram,
    WitnessVersion,
};
use channel::{
    Channel, Dialects, Effect, End, Home, Policy, Refusal, Remedy, State, Violation,
    is_closing_script,
};
use signer::{Branch, KeyIndex, KeyPlace};
use tx::Form;
use wire::amount::{FeeratePerKw, LockTime, Msat, Sat};
use wire::id::{FeeRange, HtlcId};
use wire::key::Signature;
use wire::{ClosingComplete, ClosingSig, ClosingSigned, Message, Shutdown};

use crate::halves::{
    CAPACITY, Half, PUSHED, coin_place, first_sent, funding, halves, home, open_as, pair, policy,
    wanted,
};
use crate::live::{reconnect_as, settle, two};
use crate::refused::{add, high, offer, refused};

pub const SIMPLE: Dialects = Dialects { any_segwit: true, simple_close: true };
pub const LEGACY: Dialects = Dialects { any_segwit: true, simple_close: false };

/// A channel in use, and what its acceptor has in it.
pub fn with_pushed(pushed: Msat, dialects: Dialects) -> [Half; 2] {
    let wanted = channel::Funding { pushed, ..wanted(Form::Anchors) };
    let mut ends = halves(open_as(&wanted, &[policy(), policy()], home(2), |_| funding()));
    for end in &mut ends {
        let deep = end.live.deep(None);
        end.take(deep);
    }
    settle(&mut ends);
    reconnect_as(&mut ends, None, dialects);
    settle(&mut ends);
    ends
}

pub fn close(ends: &mut [Half; 2], at: usize) {
    let outcome = ends[at].live.close().unwrap_or_else(|no| panic!("{no}"));
    ends[at].take(outcome);
}

/// Everything happens until a side is about to hear this message: it is taken from the wire.
fn until(ends: &mut [Half; 2], to: usize, wanted: impl Fn(&Message) -> bool) -> Message {
    for _ in 0..40 {
        for at in [0, 1] {
            let (end, peer) = two(ends, at);
            let drive = end.live.drive();
            end.take(drive);
            end.flush(&mut peer.inbox);
            end.answer();
            end.flush(&mut peer.inbox);
            let found = peer.inbox.iter().position(&wanted).filter(|_| at != to);
            if let Some(found) = found {
                // What comes before it is heard.
                let message = peer.inbox.remove(found).expect("it was found there");
                peer.inbox.truncate(found);
                while !peer.inbox.is_empty() {
                    peer.hear();
                }
                return message;
            }
            if !end.inbox.is_empty() {
                end.hear();
            }
        }
    }
    panic!("it is never said")
}

fn closing_complete(ends: &mut [Half; 2], from: usize) -> ClosingComplete {
    close(ends, from);
    let is_it = |it: &Message| matches!(it, Message::ClosingComplete(_));
    let Message::ClosingComplete(said) = until(ends, 1 - from, is_it) else { unreachable!() };
    said
}

pub fn closing_signed(ends: &mut [Half; 2]) -> ClosingSigned {
    close(ends, 0);
    let is_it = |it: &Message| matches!(it, Message::ClosingSigned(_));
    let Message::ClosingSigned(said) = until(ends, 1, is_it) else { unreachable!() };
    said
}

/// What a side publishes and says, once it has heard this.
pub fn heard(end: &mut Half, message: impl Into<Message>) -> (Vec<Transaction>, Vec<Message>) {
    let mut wire = Default::default();
    end.flush(&mut wire);
    (wire, end.published) = Default::default();
    let outcome = end.live.receive(&message.into()).unwrap_or_else(|no| panic!("{no}"));
    end.take(outcome);
    for _ in 0..3 {
        end.flush(&mut wire);
        end.answer();
    }
    end.flush(&mut wire);
    (std::mem::take(&mut end.published), wire.into())
}

/// A signature of something else.
fn foreign() -> Signature {
    let key = SecretKey::from_slice(&[7; 32]).expect("a scalar");
    SECP256K1.sign_ecdsa(&bitcoin::secp256k1::Message::from_digest([7; 32]), &key).into()
}

fn witness(version: WitnessVersion, len: usize) -> ScriptBuf {
    let program = WitnessProgram::new(version, &vec![1; len]).expect("of a length that can be");
    ScriptBuf::new_witness_program(&program)
}

fn returns(len: usize) -> ScriptBuf {
    let data = PushBytesBuf::try_from(vec![1; len]).expect("it is short");
    ScriptBuf::new_op_return(data)
}

#[test]
fn money_goes_nowhere_else_than_everybody_relays() {
    let always = Some(Dialects::default());
    let [segwit, simple] = [(true, false), (false, true)]
        .map(|(any_segwit, simple_close)| Some(Dialects { any_segwit, simple_close }));
    // A script, and the dialect that it needs.
    let long = |mut bytes: Vec<u8>| {
        bytes.splice(..0, [0x6a, 0x4c, bytes.len() as u8]);
        ScriptBuf::from_bytes(bytes)
    };
    let rows = [
        (ScriptBuf::new_p2wpkh(&WPubkeyHash::all_zeros()), always),
        (ScriptBuf::new_p2wsh(&WScriptHash::all_zeros()), always),
        (witness(WitnessVersion::V1, 32), segwit),
        (witness(WitnessVersion::V16, 2), segwit),
        (witness(WitnessVersion::V2, 40), segwit),
        (returns(6), simple),
        (returns(75), simple),
        (returns(76), simple),
        (returns(80), simple),
        (returns(5), None),
        (returns(81), None),
        (long(vec![1; 75]), None),
        (ScriptBuf::from_bytes(vec![0x6a, 6, 1, 1, 1, 1, 1]), None),
        (ScriptBuf::from_bytes(vec![0x6a, 6, 1, 1, 1, 1, 1, 1, 1]), None),
        (ScriptBuf::from_bytes(vec![0x6a]), None),
        (ScriptBuf::new_p2pkh(&PubkeyHash::all_zeros()), None),
        (ScriptBuf::new_p2sh(&ScriptHash::all_zeros()), None),
        (ScriptBuf::from_bytes(vec![0x00, 0x13, 1]), None),
        (ScriptBuf::from_bytes([vec![0x00, 0x13], vec![1; 19]].concat()), None),
        (ScriptBuf::from_bytes([vec![0x51, 41], vec![1; 41]].concat()), None),
        (ScriptBuf::from_bytes(vec![0x51, 1, 1]), None),
        (ScriptBuf::new(), None),
    ];
    let all = [(false, false), (true, false), (false, true), (true, true)]
        .map(|(any_segwit, simple_close)| Dialects { any_segwit, simple_close });
    for dialects in all {
        let mut ends = pair(Form::Anchors);
        reconnect_as(&mut ends, None, dialects);
        settle(&mut ends);
        for (script, needs) in &rows {
            let is_fine = needs.is_some_and(|it| {
                (dialects.any_segwit || !it.any_segwit)
                    && (dialects.simple_close || !it.simple_close)
            });
            assert_eq!(is_closing_script(script, dialects), is_fine, "{script:?} {dialects:?}");
            let channel_id = ends[0].live.channel_id();
            let scriptpubkey = script.clone();
            let said = Shutdown { channel_id, scriptpubkey, extension: Default::default() };
            if is_fine {
                assert!(ends[0].live.receive(&said.into()).is_ok());
            } else {
                let want = (Violation::ClosingScript, Remedy::Warning);
                assert_eq!(refused(&ends[0].live, said), want, "{script:?}");
            }
        }
    }
}

fn shutdown(live: &Channel, scriptpubkey: ScriptBuf) -> Shutdown {
    Shutdown { channel_id: live.channel_id(), scriptpubkey, extension: Default::default() }
}

#[test]
fn who_has_said_where_its_money_goes_is_held_to_it() {
    let mut wanted = wanted(Form::Anchors);
    wanted.home = home(1);
    let bound = Policy { upfront: true, ..policy() };
    let mut ends = halves(open_as(&wanted, &[bound, policy()], home(2), |_| funding()));
    reconnect_as(&mut ends, None, LEGACY);
    settle(&mut ends);
    assert_eq!(ends[1].begun.agreed().remote_script, home(1).script);
    assert!(ends[0].begun.agreed().remote_script.is_empty());
    let other = coin_place(1, 1).1;
    let no = refused(&ends[1].live, shutdown(&ends[1].live, other.clone()));
    assert_eq!(no, (Violation::OtherScript, Remedy::Warning));
    // What we have said ourselves we hold to as well.
    close(&mut ends, 0);
    let said = first_sent(&ends[0].live.drive());
    assert_eq!(said, shutdown(&ends[0].live, home(1).script).into());
    assert!(ends[1].live.receive(&said).is_ok());
    assert!(ends[0].live.receive(&shutdown(&ends[0].live, other).into()).is_ok());
}

#[test]
fn a_shutdown_waits_for_our_updates_and_is_said_once() {
    let mut ends = with_pushed(PUSHED, LEGACY);
    let is_shutdown = |outcome: &channel::Outcome| {
        let mut sent = outcome.effects.iter();
        sent.any(|it| matches!(it, Effect::Send(it) if matches!(**it, Message::Shutdown(_))))
    };
    add(&mut ends[0], 50_000_000);
    close(&mut ends, 0);
    assert_eq!(ends[0].live.send_add(offer(1_000_000)).err(), Some(Refusal::NotUsable));
    // The peer has it in no commitment: that is signed for first.
    let drive = ends[0].live.drive();
    assert!(!is_shutdown(&drive));
    ends[0].take(drive);
    assert!(!is_shutdown(&ends[0].live.drive()), "our signer has not answered");
    let mut said = 0;
    for _ in 0..20 {
        for at in [0, 1] {
            let (end, peer) = two(&mut ends, at);
            let drive = end.live.drive();
            said += usize::from(at == 0 && is_shutdown(&drive));
            end.take(drive);
            end.flush(&mut peer.inbox);
            end.answer();
            end.hear();
        }
    }
    assert_eq!(said, 1);
    // With a contract under way nothing is negotiated, and nobody may begin.
    assert!(ends.iter().all(|it| matches!(it.live.state(), State::Shutdown(_))));
    let channel_id = ends[0].live.channel_id();
    let early = ClosingSigned {
        channel_id,
        fee_satoshis: Sat(500),
        signature: foreign(),
        fee_range: None,
        extension: Default::default(),
    };
    for (end, from) in ends.iter().zip([2, 1]) {
        let unexpected = |message| (Violation::Unexpected { message }, Remedy::Warning);
        assert_eq!(refused(&end.live, early.clone()), unexpected("closing_signed"));
        let again = shutdown(&end.live, home(from).script);
        assert_eq!(refused(&end.live, again), unexpected("shutdown"));
    }
    // As long as it is, the opener may pay more for it; alone the fee is that of the close.
    assert!(ends[0].live.send_fee(FeeratePerKw(2_000)).is_ok());
    let end = ends[1].live.send_end(HtlcId(0), End::Failed(wire::list::Blob(vec![1])));
    ends[1].take(end.unwrap_or_else(|no| panic!("{no}")));
    let mut alone = with_pushed(PUSHED, LEGACY);
    close(&mut alone, 0);
    for end in [&ends[0], &alone[0]] {
        assert!(matches!(end.live.state(), State::Shutdown(_)));
    }
    assert_eq!(alone[0].live.send_fee(FeeratePerKw(2_000)).err(), Some(Refusal::NotUsable));
    // It is said again in the next connection.
    reconnect_as(&mut ends, None, LEGACY);
    let is_it = |it: &Message| matches!(it, Message::Shutdown(_));
    until(&mut ends, 1, is_it);
}

#[test]
fn no_place_is_said_that_the_peer_does_not_know() {
    let mut ends = with_pushed(PUSHED, Dialects::default());
    close(&mut ends, 0);
    settle(&mut ends);
    assert!(!is_closing_script(&home(1).script, Dialects::default()));
    assert!(ends[0].live.is_up() && *ends[1].live.state() == State::Normal);
    reconnect_as(&mut ends, None, LEGACY);
    settle(&mut ends);
    assert!(matches!(ends[1].live.state(), State::Negotiating(it) if it.closed.is_some()));
}

#[test]
fn a_complete_close_that_must_not_be_is_refused() {
    let mut ends = with_pushed(PUSHED, SIMPLE);
    let said = closing_complete(&mut ends, 0);
    let both = said.closer_and_closee_outputs.expect("each has an output");
    let alone = said.closer_output_only.expect("ours is not the lesser part");
    assert_eq!(said.closee_output_only, None);
    let fee = said.fee_satoshis;
    let all = CAPACITY.0 - PUSHED.0 / 1_000;
    let too_much = Violation::ClosingFee { got: Sat(all + 1), min: Sat(0), max: Sat(all) };
    let none = |fee| Violation::ClosingSignature { fee };
    type Row = (fn(&mut ClosingComplete), Violation);
    let rows: [Row; 9] = [
        (|it| it.fee_satoshis = Sat(1_100_001), too_much),
        (|it| it.fee_satoshis.0 += 1, none(Sat(fee.0 + 1))),
        (|it| it.closee_scriptpubkey = coin_place(2, 1).1, Violation::OtherScript),
        (|it| it.closer_scriptpubkey = ScriptBuf::new(), Violation::ClosingScript),
        (|it| it.closer_scriptpubkey = coin_place(1, 1).1, none(fee)),
        (|it| it.locktime = LockTime(1), none(fee)),
        (|it| it.closer_and_closee_outputs = Some(foreign()), none(fee)),
        (|it| it.closer_and_closee_outputs = it.closer_and_closee_outputs.map(|it| high(&it)), {
            none(fee)
        }),
        (|it| it.closer_and_closee_outputs = None, none(fee)),
    ];
    for (change, want) in rows {
        let mut said = said.clone();
        change(&mut said);
        assert_eq!(refused(&ends[1].live, said), (want, Remedy::Warning));
    }
    // With both outputs on offer it is that which is signed, whatever else is.
    let other = ClosingComplete { closer_output_only: Some(foreign()), ..said.clone() };
    assert!(ends[1].live.receive(&other.into()).is_ok());
    // Or this one alone, without our output.
    let only = ClosingComplete { closee_output_only: Some(both), ..said.clone() };
    let only = ClosingComplete { closer_and_closee_outputs: None, ..only };
    assert_eq!(refused(&ends[1].live, only).0, none(fee), "it is of another transaction");
    let (published, sent) = heard(&mut ends[1], said.clone());
    let [Message::ClosingSig(sig)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((sig.closer_output_only, sig.closee_output_only), (None, None));
    assert!(sig.closer_and_closee_outputs.is_some());
    assert_eq!((sig.fee_satoshis, sig.locktime), (fee, said.locktime));
    assert_eq!(sig.closer_scriptpubkey, said.closer_scriptpubkey);
    assert_eq!(sig.closee_scriptpubkey, said.closee_scriptpubkey);
    let [close] = &published[..] else { panic!("{published:?}") };
    let values: Vec<_> = close.output.iter().map(|it| it.value.to_sat()).collect();
    assert_eq!(values.iter().sum::<u64>(), CAPACITY.0 - fee.0);
    assert_ne!(both, alone);
}

#[test]
fn a_signature_that_does_not_fit_our_close_is_refused() {
    let mut ends = with_pushed(PUSHED, SIMPLE);
    let said = closing_complete(&mut ends, 0);
    let (_, sent) = heard(&mut ends[1], said.clone());
    let [Message::ClosingSig(sig)] = &sent[..] else { panic!("{sent:?}") };
    let none = Violation::ClosingSignature { fee: said.fee_satoshis };
    let other = Violation::Unexpected { message: "closing_sig" };
    type Row = (fn(&mut ClosingSig), Violation);
    let rows: [Row; 10] = [
        (|it| it.closer_scriptpubkey = coin_place(1, 1).1, other.clone()),
        (|it| it.closee_scriptpubkey = coin_place(2, 1).1, other.clone()),
        (|it| it.fee_satoshis.0 += 1, other.clone()),
        (|it| it.locktime = LockTime(1), other.clone()),
        (|it| it.closer_and_closee_outputs = None, none.clone()),
        (|it| it.closer_output_only = it.closer_and_closee_outputs, none.clone()),
        (
            |it| {
                // We have not signed that one.
                it.closee_output_only = it.closer_and_closee_outputs.take();
            },
            none.clone(),
        ),
        (
            |it| {
                // This one we have, and it is another transaction.
                it.closer_output_only = it.closer_and_closee_outputs.take();
            },
            none.clone(),
        ),
        (|it| it.closer_and_closee_outputs = Some(foreign()), none.clone()),
        (|it| it.closer_and_closee_outputs = it.closer_and_closee_outputs.map(|it| high(&it)), {
            none.clone()
        }),
    ];
    for (change, want) in rows {
        let mut sig = sig.clone();
        change(&mut sig);
        assert_eq!(refused(&ends[0].live, sig), (want, Remedy::Warning));
    }
    // A signature of what nobody has offered.
    assert_eq!(refused(&ends[1].live, sig.clone()), (other, Remedy::Warning));
    let (published, _) = heard(&mut ends[0], sig.clone());
    assert_eq!(published.len(), 1);
    assert!(matches!(ends[0].live.state(), State::Negotiating(it) if it.closed.is_some()));
}

#[test]
fn an_output_of_dust_is_left_out_by_either_side() {
    // The closee's: what is dust is no output, and the closer says so.
    let mut ends = with_pushed(Msat(353_999), SIMPLE);
    let said = closing_complete(&mut ends, 0);
    assert!(said.closer_output_only.is_some());
    assert_eq!((said.closee_output_only, said.closer_and_closee_outputs), (None, None));
    let fee = said.fee_satoshis;
    let moved = ClosingComplete {
        closer_output_only: None,
        closer_and_closee_outputs: said.closer_output_only,
        ..said.clone()
    };
    let want = (Violation::ClosingSignature { fee }, Remedy::Warning);
    assert_eq!(refused(&ends[1].live, moved), want);
    let (published, sent) = heard(&mut ends[1], said);
    let [Message::ClosingSig(sig)] = &sent[..] else { panic!("{sent:?}") };
    assert!(sig.closer_output_only.is_some() && sig.closer_and_closee_outputs.is_none());
    assert_eq!(published[0].output.len(), 1);
    assert_eq!(published[0].output[0].value.to_sat(), CAPACITY.0 - 354 - fee.0);
    // The closer's: all that it has goes to the miner.
    let mut ends = with_pushed(Msat(500_000), SIMPLE);
    let said = closing_complete(&mut ends, 1);
    assert!(said.closee_output_only.is_some());
    assert_eq!((said.closer_output_only, said.closer_and_closee_outputs), (None, None));
    let (published, sent) = heard(&mut ends[0], said);
    let [Message::ClosingSig(sig)] = &sent[..] else { panic!("{sent:?}") };
    assert!(sig.closee_output_only.is_some());
    assert_eq!(published[0].output.len(), 1);
    assert_eq!(published[0].output[0].value.to_sat(), CAPACITY.0 - 500);
    // Just enough for an output.
    let mut ends = with_pushed(Msat(354_000), SIMPLE);
    let said = closing_complete(&mut ends, 0);
    assert!(said.closer_and_closee_outputs.is_some());
}

/// The peer wants its money elsewhere than it has said in its `shutdown`.
#[test]
fn the_newest_place_of_the_peer_counts() {
    let place = KeyPlace { branch: Branch::Receive, index: KeyIndex::new(5).expect("small") };
    let moved = Home { place, script: coin_place(1, 5).1 };
    let wanted = channel::Funding { home: moved.clone(), ..wanted(Form::Anchors) };
    let mut ends = halves(open_as(&wanted, &[policy(), policy()], home(2), |_| funding()));
    reconnect_as(&mut ends, None, SIMPLE);
    settle(&mut ends);
    close(&mut ends, 0);
    let is_it = |it: &Message| matches!(it, Message::Shutdown(_));
    let Message::Shutdown(said) = until(&mut ends, 1, is_it) else { unreachable!() };
    let said = Shutdown { scriptpubkey: home(1).script, ..said };
    ends[1].inbox.push_back(said.into());
    ends[1].hear();
    let remote = |live: &Channel| {
        let State::Negotiating(it) = live.state() else { panic!("{:?}", live.state()) };
        it.remote.clone()
    };
    assert_eq!(remote(&ends[1].live), home(1).script);
    let is_it = |it: &Message| matches!(it, Message::Shutdown(_));
    let answer = until(&mut ends, 0, is_it);
    // The opener hears no more than that.
    ends[0].inbox = [answer].into();
    ends[0].hear();
    let mut wire = std::collections::VecDeque::new();
    for _ in 0..4 {
        let drive = ends[0].live.drive();
        ends[0].take(drive);
        ends[0].flush(&mut wire);
        ends[0].answer();
    }
    let Some(Message::ClosingComplete(said)) = wire.pop_back() else { panic!("it offers") };
    assert_eq!(said.closer_scriptpubkey, moved.script);
    let (published, sent) = heard(&mut ends[1], said);
    assert!(matches!(sent[..], [Message::ClosingSig(_)]), "{sent:?}");
    assert!(published[0].output.iter().any(|it| it.script_pubkey == moved.script));
    // So it is in what we offer from now on, after a restart too.
    assert_eq!(remote(&ends[1].live), moved.script);
    ends[1].crash();
    assert_eq!(remote(&ends[1].live), moved.script);
}

/// A fee that the opener says to an acceptor that has said nothing yet.
#[test]
fn fees_of_closing_signed_are_taken_met_or_refused() {
    let mut ends = with_pushed(PUSHED, LEGACY);
    let now = channel::Now {
        calm: FeeratePerKw(2_000),
        urgent: FeeratePerKw(2_000),
        ..Default::default()
    };
    ends[0].live.at(now);
    ends[1].live.at(now);
    let said = closing_signed(&mut ends);
    let none = |fee| (Violation::ClosingSignature { fee }, Remedy::Warning);
    let fee = said.fee_satoshis;
    let rows: [fn(&mut ClosingSigned); 3] = [
        |it| it.signature = foreign(),
        |it| it.signature = high(&it.signature),
        |it| it.fee_satoshis.0 += 1,
    ];
    for change in rows {
        let mut said = said.clone();
        change(&mut said);
        assert_eq!(refused(&ends[1].live, said.clone()), none(said.fee_satoshis));
    }
    let range = said.fee_range.expect("it says what it takes");
    assert!(range.min_fee_satoshis <= fee && fee <= range.max_fee_satoshis);
    // It is taken as it is, published and answered by the same.
    let (published, sent) = heard(&mut ends[1], said.clone());
    let [Message::ClosingSigned(answer)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((answer.fee_satoshis, published.len()), (fee, 1));
    // The opener has said that fee: it is the end, and nothing more is said.
    let (again, sent) = heard(&mut ends[0], answer.clone());
    assert_eq!((again, sent), (published, Vec::new()));
}

/// The opener has said its fee; what the acceptor says to that.
#[test]
fn who_insists_on_another_fee_fails_the_channel() {
    let fees = |min, max| Some(FeeRange { min_fee_satoshis: Sat(min), max_fee_satoshis: Sat(max) });
    let rate = |calm| channel::Now { calm: FeeratePerKw(calm), ..Default::default() };
    // The opener takes 170 to some 2,000 sat; the acceptor signs for more.
    let mut ends = with_pushed(PUSHED, LEGACY);
    ends[0].live.at(rate(1_000));
    closing_signed(&mut ends);
    // What it takes it takes, whatever the acceptor says of others.
    for fee_range in [None, fees(0, 0), fees(0, u64::MAX)] {
        let mut ends = with_pushed(PUSHED, LEGACY);
        ends[0].live.at(rate(1_000));
        let ours = closing_signed(&mut ends).fee_satoshis;
        let said = ClosingSigned { fee_range, ..close_at(2_000) };
        let (published, sent) = heard(&mut ends[0], said.clone());
        let [Message::ClosingSigned(answer)] = &sent[..] else { panic!("{sent:?}") };
        assert_eq!((answer.fee_satoshis, published.len()), (said.fee_satoshis, 1));
        assert!(ours < said.fee_satoshis);
    }
    // The acceptor's signature of a close that is too dear, as if that were its own wish.
    let dear = close_at(20_000);
    let none = fees(dear.fee_satoshis.0, dear.fee_satoshis.0);
    let (no, _) = refused(&ends[0].live, ClosingSigned { fee_range: none, ..dear.clone() });
    let Violation::ClosingFee { got, min, max } = no else { panic!("{no}") };
    assert!(got > max && max > min);
    let rows = [
        // A range that has nothing in common with ours: it may try again.
        (fees(got.0, got.0), Violation::ClosingFee { got, min, max }, Remedy::Warning),
        // It could have taken one of ours.
        (fees(max.0, got.0), Violation::ClosingFeeAgain { got, min, max }, Remedy::Error),
        (fees(0, u64::MAX), Violation::ClosingFeeAgain { got, min, max }, Remedy::Error),
    ];
    for (fee_range, want, remedy) in rows {
        let said = ClosingSigned { fee_range, ..dear.clone() };
        assert_eq!(refused(&ends[0].live, said), (want, remedy));
    }
}

/// Who says no range is met halfway, as far as we go, if it comes nearer each time.
#[test]
fn who_says_no_range_is_bargained_with() {
    let rate = |calm| channel::Now { calm: FeeratePerKw(calm), ..Default::default() };
    let mut ends = with_pushed(PUSHED, LEGACY);
    ends[0].live.at(rate(1_000));
    let first = closing_signed(&mut ends);
    let max = first.fee_range.expect("it says what it takes").max_fee_satoshis;
    let dear = close_at(20_000);
    let (published, sent) = heard(&mut ends[0], dear.clone());
    let [Message::ClosingSigned(answer)] = &sent[..] else { panic!("{sent:?}") };
    assert!(published.is_empty(), "it is too dear");
    assert!(answer.fee_satoshis > first.fee_satoshis && answer.fee_satoshis <= max);
    // The same once more, more, or less of which we can meet nothing.
    for said in [dear.clone(), close_at(30_000), close_at(10_000)] {
        let got = said.fee_satoshis;
        let (no, remedy) = refused(&ends[0].live, said);
        assert!(matches!(no, Violation::ClosingFee { got: it, .. } if it == got), "{no}");
        assert_eq!(remedy, Remedy::Warning);
    }
    let fair = close_at(2_000);
    let (published, sent) = heard(&mut ends[0], fair.clone());
    let [Message::ClosingSigned(answer)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((answer.fee_satoshis, published.len()), (fair.fee_satoshis, 1));
}

/// The acceptor signs what an opener at this rate wants.
pub fn close_at(rate: u32) -> ClosingSigned {
    let mut ends = with_pushed(PUSHED, LEGACY);
    let calm = FeeratePerKw(rate);
    ends[0].live.at(channel::Now { calm, ..Default::default() });
    let said = closing_signed(&mut ends);
    let (_, sent) = heard(&mut ends[1], said);
    let [Message::ClosingSigned(answer)] = &sent[..] else { panic!("{sent:?}") };
    ClosingSigned { fee_range: None, ..answer.clone() }
}

#[test]
fn a_close_that_both_have_signed_is_not_given_up() {
    let mut ends = with_pushed(PUSHED, LEGACY);
    close(&mut ends, 0);
    settle(&mut ends);
    let end = &mut ends[0];
    let channel_id = end.live.channel_id();
    let data = wire::list::Blob(b"we know of no such channel".to_vec());
    let error = wire::Error { channel_id, data, extension: Default::default() };
    let outcome = end.live.receive(&error.into()).unwrap_or_else(|no| panic!("{no}"));
    assert!(outcome.changes.is_empty());
    let outcome = end.live.violated(&Violation::NothingToRevoke);
    assert!(outcome.changes.is_empty());
    // Its owner may think otherwise, when it is not mined.
    let outcome = end.live.fail();
    end.take(outcome);
    assert!(matches!(end.live.state(), State::Failing(_)));
}
