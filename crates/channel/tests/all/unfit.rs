//! What a peer must not say while a channel is opened and its funding is on its way, beside what
//! the table of `opening` has.

use std::sync::Arc;

use bitcoin::absolute::LockTime;
use bitcoin::secp256k1::{SECP256K1, SecretKey};
use bitcoin::transaction::Version;
use bitcoin::{Amount, ScriptBuf, Transaction, TxIn, TxOut, Txid, hashes::Hash as _};
use channel::{
    Accepting, Answering, Begun, Channel, Created, Dialects, Event, FUNDING_SMALL_MAX,
    FundingOutput, Move, Now, Proposed, Refusal, Remedy, State, Unfit, Violation,
};
use signer::{ChannelAnswer, ChannelAsk, ChannelOp, ChannelRefusal};
use tx::Form;
use wire::amount::{BlockCount, BlockHeight, Sat};
use wire::features::{Feature, Features};
use wire::id::{
    ChannelFlags, ChannelId, ChannelKey, CommitmentNumber, OutputIndex, PerCommitmentSecret,
    TemporaryChannelId,
};
use wire::key::{Point, Signature};
use wire::{AcceptChannel, ChannelReady, ChannelReestablish, FundingCreated, Message, OpenChannel};

use crate::halves::{
    CAPACITY, Half, KEY, Keys, answer, begun_pair, channels, first_sent, halves, home, open_with,
    policy, shown, wanted,
};
use crate::refused::{offer, refused, stands};

fn message(made: Move) -> Message {
    let Move::Send(message) = made else { panic!("a message was to be sent") };
    *message
}

fn proposed() -> (Proposed, OpenChannel) {
    let keys = shown(&mut channels(1));
    let (proposed, made) =
        Proposed::new(policy(), keys, &wanted(Form::Anchors)).unwrap_or_else(|no| panic!("{no}"));
    let Message::OpenChannel(said) = message(made) else { panic!("it opens") };
    (proposed, said)
}

fn accepting(said: &OpenChannel) -> Result<(Accepting, AcceptChannel), Unfit> {
    let keys = shown(&mut channels(2));
    let (accepting, made) = Accepting::new(&policy(), KEY, &keys, &home(2), said)?;
    let Message::AcceptChannel(said) = message(made) else { panic!("it accepts") };
    Ok((accepting, said))
}

/// What a signer says to each question, the last first.
fn answers(signer: &mut Keys, moves: Vec<Move>) -> Vec<Result<ChannelAnswer, ChannelRefusal>> {
    let ask = |made: Move| {
        let Move::Ask(ask) = made else { panic!("the signer was to be asked") };
        answer(signer, &ask)
    };
    let mut said: Vec<_> = moves.into_iter().map(ask).collect();
    said.reverse();
    said
}

fn signature(answer: Option<Result<ChannelAnswer, ChannelRefusal>>) -> Signature {
    match answer {
        Some(Ok(ChannelAnswer::RemoteSigned { signature, .. })) => signature,
        Some(Ok(_)) => panic!("it answers something else"),
        Some(Err(no)) => panic!("{no}"),
        None => panic!("it was not asked"),
    }
}

/// The opener has named the funding, and the acceptor has not heard it.
fn created() -> (Created, Keys, Accepting, FundingCreated) {
    let (proposed, said) = proposed();
    let (accepting, said) = accepting(&said).unwrap_or_else(|no| panic!("{no}"));
    let agreed = proposed.accepted(&said).unwrap_or_else(|no| panic!("{no}"));
    let (txid, output) = (Txid::from_byte_array([5; 32]), OutputIndex(1));
    let (created, moves) = proposed.funded(agreed, FundingOutput { txid, output });
    let mut signer = channels(1);
    let signature = signature(answers(&mut signer, moves).into_iter().next());
    let Message::FundingCreated(said) = message(created.signed(signature)) else {
        panic!("it names the funding");
    };
    (created, signer, accepting, said)
}

type Answers = Vec<Result<ChannelAnswer, ChannelRefusal>>;

/// The acceptor has heard of the funding, and its signer has looked.
fn answering(accepting: Accepting, said: &FundingCreated) -> (Answering, Answers) {
    let (answering, moves) = accepting.receive(said).unwrap_or_else(|no| panic!("{no}"));
    (answering, answers(&mut channels(2), moves))
}

/// Signatures that are none of what was to be signed.
fn untrue(truth: &Signature) -> [Signature; 2] {
    let mut bytes = *truth.bytes();
    let s = SecretKey::from_slice(&bytes[32..]).expect("s is a scalar");
    bytes[32..].copy_from_slice(&s.negate().secret_bytes());
    let high = Signature::parse(&bytes).expect("both halves are below the order");
    let key = SecretKey::from_slice(&[7; 32]).expect("a scalar");
    let digest = bitcoin::secp256k1::Message::from_digest([7; 32]);
    [high, SECP256K1.sign_ecdsa(&digest, &key).into()]
}

#[test]
fn undefined_flags_are_ignored() {
    let (_, mut said) = proposed();
    for (flags, announce) in [(0, false), (1, true), (0xfe, false), (0xff, true)] {
        said.channel_flags = ChannelFlags(flags);
        let (accepting, _) = accepting(&said).unwrap_or_else(|no| panic!("{no}"));
        assert_eq!(accepting.agreed().announce, announce);
    }
}

#[test]
fn types_that_are_not_for_everybody_are_refused() {
    let (_, said) = proposed();
    let basic = said.channel_type.clone().expect("it has one");
    let (alias, zero_conf) = (Feature::ScidAlias, Feature::Zeroconf);
    let rows: [(&[Feature], u8, Option<Unfit>); 5] = [
        (&[alias], 0, None),
        (&[alias], 1, Some(Unfit::AnnouncedAlias)),
        (&[zero_conf], 0, Some(Unfit::ZeroConf)),
        (&[alias, zero_conf], 0, Some(Unfit::ZeroConf)),
        (&[Feature::BasicMpp], 0, Some(Unfit::Type)),
    ];
    for (bits, flags, want) in rows {
        let more = |set: Features, bit: &Feature| set.and_required(*bit);
        let channel_type = Some(bits.iter().fold(basic.clone(), more));
        let channel_flags = ChannelFlags(flags);
        let said = OpenChannel { channel_type, channel_flags, ..said.clone() };
        assert_eq!(accepting(&said).err(), want, "{bits:?}");
    }
    let said = OpenChannel { channel_type: Some(Features::default()), ..said };
    assert_eq!(accepting(&said).err(), Some(Unfit::Type));
}

#[test]
fn a_dust_limit_above_the_reserve_is_not_accepted() {
    let (proposed, said) = proposed();
    let want = |min, got| {
        let field = "channel_reserve_satoshis";
        Some(Unfit::Value { field, got, min, max: 400_000 })
    };
    let with = |dust, reserve| OpenChannel {
        dust_limit_satoshis: Sat(dust),
        channel_reserve_satoshis: Sat(reserve),
        ..said.clone()
    };
    assert!(accepting(&with(5_000, 5_000)).is_ok());
    assert_eq!(accepting(&with(5_000, 4_999)).err(), want(5_000, 4_999));
    let (_, said) = accepting(&said).unwrap_or_else(|no| panic!("{no}"));
    let with = |dust, reserve| AcceptChannel {
        dust_limit_satoshis: Sat(dust),
        channel_reserve_satoshis: Sat(reserve),
        ..said.clone()
    };
    assert!(proposed.accepted(&with(5_000, 5_000)).is_ok());
    assert_eq!(proposed.accepted(&with(5_000, 4_999)).err(), want(5_000, 4_999));
}

#[test]
fn a_funding_created_without_a_true_signature_opens_nothing() {
    let (_, _, accepting, said) = created();
    let (mut true_one, mut judged) = answering(accepting.clone(), &said);
    let advanced = judged.remove(0);
    true_one.signed(signature(judged.into_iter().next()));
    assert!(true_one.advanced(advanced).is_ok());
    for signature_of in untrue(&said.signature) {
        let said = FundingCreated { signature: signature_of, ..said.clone() };
        let (mut answering, mut judged) = answering(accepting.clone(), &said);
        let advanced = judged.remove(0);
        answering.signed(signature(judged.into_iter().next()));
        let no = answering.advanced(advanced).expect_err("it is no signature");
        assert!(matches!(no, Violation::Signer { .. }), "{no}");
        assert_eq!(no.remedy(), Remedy::Error);
    }
    let other = TemporaryChannelId([9; 32]);
    let said = FundingCreated { temporary_channel_id: other, ..said };
    let no = accepting.receive(&said).expect_err("it is of another channel");
    assert_eq!(no, Violation::Unexpected { message: "funding_created" });
}

#[test]
fn a_funding_signed_without_a_true_signature_funds_nothing() {
    let (created, signer, accepting, said) = created();
    drop(signer);
    let (mut answering, mut judged) = answering(accepting, &said);
    let advanced = judged.remove(0);
    answering.signed(signature(judged.into_iter().next()));
    let (_, made) = answering.advanced(advanced).unwrap_or_else(|no| panic!("{no}"));
    let Message::FundingSigned(truth) = message(made) else { panic!("it signs") };
    // What is opened, and funded, comes out of a true signature only.
    let funds = |signature: Signature| -> Result<Begun, Violation> {
        let (mut created, mut signer, ..) = self::created();
        let said = wire::FundingSigned { signature, ..truth.clone() };
        let asked = created.receive(&said)?;
        assert!(created.receive(&said).is_err(), "once is enough");
        created.advanced(answers(&mut signer, vec![asked]).remove(0))
    };
    assert!(funds(truth.signature).is_ok());
    for signature in untrue(&truth.signature) {
        let no = funds(signature).expect_err("it is no signature");
        assert!(matches!(no, Violation::Signer { .. }), "{no}");
        assert_eq!(no.remedy(), Remedy::Error);
    }
    let mut waiting = created.clone();
    let said = wire::FundingSigned { channel_id: ChannelId([9; 32]), ..truth };
    let no = waiting.receive(&said).expect_err("it is of another channel");
    assert_eq!(no, Violation::Unexpected { message: "funding_signed" });
    // Without any there is nothing either.
    let next = point(7);
    let advanced = ChannelAnswer::Advanced { secret: None, next };
    assert!(created.advanced(Ok(advanced)).is_err());
}

fn point(byte: u8) -> Point {
    let key = SecretKey::from_slice(&[byte; 32]).expect("a scalar");
    key.public_key(SECP256K1).into()
}

/// The funding is deep for a side: what it says then.
fn ready(end: &mut Half) -> ChannelReady {
    let deep = end.live.deep(None);
    let Message::ChannelReady(said) = first_sent(&deep) else { panic!("it is ready") };
    end.take(deep);
    said
}

fn hear(end: &mut Half, said: &ChannelReady) {
    let outcome = end.live.receive(&said.clone().into()).unwrap_or_else(|no| panic!("{no}"));
    end.take(outcome);
}

#[test]
fn what_was_pushed_is_nobodys_before_the_funding_is_deep() {
    for is_first in [false, true] {
        let [mut opener, mut acceptor] = begun_pair(Form::Anchors);
        let said = ready(&mut opener);
        assert_eq!(*acceptor.live.state(), State::Funding);
        // The peer is in a hurry; we are not.
        if is_first {
            hear(&mut acceptor, &said);
            assert_eq!(acceptor.live.send_add(offer(1_000_000)).err(), Some(Refusal::NotUsable));
            ready(&mut acceptor);
        } else {
            ready(&mut acceptor);
            assert_eq!(acceptor.live.send_add(offer(1_000_000)).err(), Some(Refusal::NotUsable));
            hear(&mut acceptor, &said);
        }
        assert_eq!(*acceptor.live.state(), State::Normal);
        acceptor.flush(&mut Default::default());
        assert_eq!(acceptor.told, [Event::Usable]);
        assert!(acceptor.live.send_add(offer(1_000_000)).is_ok());
    }
}

#[test]
fn a_peer_that_stands_elsewhere_before_the_first_update_is_refused() {
    let [_, acceptor] = begun_pair(Form::Anchors);
    let said = stands(&acceptor.live);
    assert_eq!(said.next_commitment_number, CommitmentNumber(1));
    assert_eq!(said.next_revocation_number, CommitmentNumber(0));
    assert_eq!(said.your_last_per_commitment_secret, PerCommitmentSecret([0; 32]));
    let opener = greeting();
    assert!(opener.live.receive(&said.clone().into()).is_ok());
    let numbers = [(0, 0), (2, 0), (u64::MAX, 0), (1, (1 << 48) + 1), (1, u64::MAX)];
    for (commitment, revocation) in numbers {
        let said = ChannelReestablish {
            next_commitment_number: CommitmentNumber(commitment),
            next_revocation_number: CommitmentNumber(revocation),
            ..said.clone()
        };
        let (no, remedy) = refused(&opener.live, said);
        assert_eq!(remedy, Remedy::Error, "{commitment} {revocation}: {no}");
    }
    // Whether it can be that we have revoked something knows our signer.
    for number in [1, 1 << 48] {
        let mut opener = greeting();
        let next_revocation_number = CommitmentNumber(number);
        // It proves nothing.
        let secret = PerCommitmentSecret([9; 32]);
        let your_last_per_commitment_secret = secret;
        let said = ChannelReestablish {
            next_revocation_number,
            your_last_per_commitment_secret,
            ..said.clone()
        };
        let asked = opener.live.receive(&said.into()).unwrap_or_else(|no| panic!("{no}"));
        opener.take(asked);
        opener.flush(&mut Default::default());
        let no = opener.judged().expect("it is asked").expect_err("it proves nothing");
        assert_eq!(no, Violation::FalseSecret { number: CommitmentNumber(0) });
        assert_eq!(no.remedy(), Remedy::Error);
    }
}

/// An opener that waits for what its peer says of where it stands.
fn greeting() -> Half {
    let [mut opener, _] = begun_pair(Form::Anchors);
    for outcome in [opener.live.disconnected(), opener.live.connected(Dialects::default())] {
        opener.take(outcome);
    }
    opener
}

#[test]
fn a_channel_ready_that_comes_twice_changes_nothing() {
    let [mut opener, mut acceptor] = begun_pair(Form::Anchors);
    let said = ready(&mut acceptor);
    hear(&mut opener, &said);
    let is_ignored = |live: &Channel| {
        let again = ChannelReady { second_per_commitment_point: point(7), ..said.clone() };
        for said in [said.clone(), again] {
            let outcome = live.receive(&said.into()).unwrap_or_else(|no| panic!("{no}"));
            assert!(outcome.changes.is_empty() && outcome.effects.is_empty());
        }
    };
    is_ignored(&opener.live);
    ready(&mut opener);
    assert_eq!(*opener.live.state(), State::Normal);
    is_ignored(&opener.live);
    let closing = opener.live.close().unwrap_or_else(|no| panic!("{no}"));
    opener.take(closing);
    is_ignored(&opener.live);
}

#[test]
fn large_channels_are_for_those_who_both_support_them() {
    let large = Features::optional(&[Feature::SupportLargeChannel]);
    let none = Features::default();
    let rows = [(&none, &none, false), (&large, &none, false), (&none, &large, false)];
    for (local, remote, is_large) in rows.into_iter().chain([(&large, &large, true)]) {
        let policy = policy().towards(local, remote);
        let keys = shown(&mut channels(1));
        let open = |funding| {
            let wanted = channel::Funding { funding, ..wanted(Form::Anchors) };
            Proposed::new(policy.clone(), keys, &wanted).map(|_| ()).err()
        };
        let accept = |funding_satoshis| {
            let said = OpenChannel { funding_satoshis, ..proposed().1 };
            let keys = shown(&mut channels(2));
            Accepting::new(&policy, KEY, &keys, &home(2), &said).map(|_| ()).err()
        };
        for judged in [&open as &dyn Fn(Sat) -> Option<Unfit>, &accept] {
            assert_eq!(judged(FUNDING_SMALL_MAX), None);
            let (field, got, min) = ("funding_satoshis", 1 << 24, 20_000);
            let no = Unfit::Value { field, got, min, max: FUNDING_SMALL_MAX.0 };
            assert_eq!(judged(Sat(1 << 24)), (!is_large).then_some(no));
        }
    }
}

/// A transaction that pays what was agreed on, and the sides of a channel that name it, whatever
/// `change` makes of it.
fn funded(change: impl FnOnce(&mut TxOut)) -> ([Half; 2], Arc<Transaction>) {
    let mut made = None;
    let opened = open_with(Form::Anchors, |script| {
        let value = Amount::from_sat(CAPACITY.0);
        let other = TxOut { value, script_pubkey: ScriptBuf::new() };
        let mut output = TxOut { value, script_pubkey: script.clone() };
        change(&mut output);
        let transaction = Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn::default()],
            output: vec![other, output],
        };
        let txid = transaction.compute_txid();
        made = Some(Arc::new(transaction));
        FundingOutput { txid, output: OutputIndex(1) }
    });
    (halves(opened), made.expect("it was asked for"))
}

fn at_height(end: &mut Half, tip: u32) {
    end.live.at(Now { tip: BlockHeight(tip), ..Now::default() });
    let drive = end.live.drive();
    end.take(drive);
}

/// A block with this transaction.
fn mined(end: &mut Half, transaction: &Arc<Transaction>, height: u32) {
    let outcome = end.live.block(BlockHeight(height), &[(1, transaction.clone())]);
    end.take(outcome);
}

#[test]
fn what_holds_something_else_than_was_agreed_on_is_no_funding() {
    let (mut ends, truth) = funded(|_| {});
    for end in &mut ends {
        mined(end, &truth, 10);
        at_height(end, 12);
        assert_eq!(end.live.depth(), BlockCount(3));
    }
    let rows: [fn(&mut TxOut); 3] = [
        |it| it.value -= Amount::ONE_SAT,
        |it| it.value += Amount::ONE_SAT,
        |it| it.script_pubkey = ScriptBuf::new(),
    ];
    for change in rows {
        let (mut ends, other) = funded(change);
        assert!(!ends[1].begun.is_funded_by(&other));
        for end in &mut ends {
            mined(end, &other, 10);
            at_height(end, 12);
            assert_eq!((end.live.depth(), end.live.state()), (BlockCount(0), &State::Funding));
        }
        // It is not even the reason to wait any longer.
        at_height(&mut ends[1], 12 + 2_016);
        assert_eq!(*ends[1].live.state(), State::Done);
    }
    let (ends, truth) = funded(|_| {});
    let mut short = Transaction::clone(&truth);
    short.output.truncate(1);
    assert!(ends[1].begun.is_funded_by(&truth) && !ends[1].begun.is_funded_by(&short));
}

#[test]
fn the_acceptor_forgets_what_is_never_funded() {
    let (mut ends, truth) = funded(|_| {});
    for end in &mut ends {
        at_height(end, 100);
        at_height(end, 100 + 2_015);
        assert_eq!(*end.live.state(), State::Funding);
        // A restart does not begin anew.
        end.flush(&mut Default::default());
        end.crash();
        at_height(end, 100 + 2_015);
        assert_eq!(*end.live.state(), State::Funding);
    }
    let mut late = [ends[0].live.clone(), ends[1].live.clone()];
    for end in &mut ends {
        at_height(end, 100 + 2_016);
        end.flush(&mut Default::default());
    }
    // The opener's money is in it.
    assert_eq!(*ends[0].live.state(), State::Funding);
    assert_eq!(*ends[1].live.state(), State::Done);
    assert!(ends[1].told.contains(&Event::Done));
    let said = stands(&ends[0].live);
    let answer = ends[1].live.receive(&said.into()).unwrap_or_else(|no| panic!("{no}"));
    let Message::Error(error) = first_sent(&answer) else { panic!("there is none") };
    assert_eq!(error.data.0, b"the funding did not come");
    // In the last block it comes.
    for live in &mut late {
        let seen = live.block(BlockHeight(100 + 2_016), &[(1, truth.clone())]);
        live.take(&seen);
        live.at(Now { tip: BlockHeight(100 + 2_016), ..Now::default() });
        assert!(live.drive().changes.is_empty());
    }
}

#[test]
fn every_channel_has_secrets_of_its_own() {
    let keys = |entropy, channel| {
        let ask = ChannelAsk { channel: ChannelKey([channel; 32]), op: ChannelOp::Keys };
        match answer(&mut channels(entropy), &ask) {
            Ok(ChannelAnswer::Keys(keys)) => *keys,
            Ok(_) => panic!("it answers something else"),
            Err(no) => panic!("{no}"),
        }
    };
    let all = [keys(1, 3), keys(1, 4), keys(2, 3)];
    let mut points: Vec<_> = all.iter().flat_map(|it| it.points).collect();
    points.extend(all.iter().map(|it| it.basepoints.revocation));
    for (at, one) in points.iter().enumerate() {
        assert!(!points[..at].contains(one), "{at}");
    }
    assert_eq!(keys(1, 3), all[0]);
}
