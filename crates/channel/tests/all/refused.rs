//! What a peer must not say to a channel in use: what is refused, with which remedy, and that
//! nothing has changed then. And what has to follow from what it may say.

use std::collections::VecDeque;

use bitcoin::hashes::Hash as _;
use bitcoin::secp256k1::{SECP256K1, SecretKey};
use channel::{
    Change, Channel, ContractId, Dialects, Effect, End, Event, Offer, Outcome, Refusal, Remedy,
    Step, Violation, Why,
};
use tx::{Form, Side};
use wire::amount::{BlockHeight, FeeratePerKw, HtlcCount, Msat};
use wire::id::{CommitmentNumber, FailureCode, HtlcId, OnionHash, OnionPacket};
use wire::id::{PaymentPreimage, PerCommitmentSecret, Txid};
use wire::key::{Point, Signature};
use wire::list::Blob;
use wire::{ChannelReestablish, CommitmentSigned, Message, UpdateAddHtlc};

use crate::halves::{CAPACITY, Half, PUSHED, pair};
use crate::live::{hash_of, preimage, reconnect, settle, two};

/// What a side sends, as its peer reads it.
pub type Sent = VecDeque<Message>;

/// Both sides know where they stand, and nothing is under way.
pub fn up() -> [Half; 2] {
    let mut ends = pair(Form::Anchors);
    reconnect(&mut ends, None);
    settle(&mut ends);
    ends
}

pub fn offer(amount: u64) -> Offer {
    Offer {
        amount: Msat(amount),
        payment_hash: hash_of(&preimage(1)),
        cltv_expiry: BlockHeight(500),
        onion: Box::new(OnionPacket([0; 1366])),
        path_key: None,
    }
}

/// A side offers a contract.
pub fn add(end: &mut Half, amount: u64) -> ContractId {
    let (id, outcome) = end.live.send_add(offer(amount)).unwrap_or_else(|no| panic!("{no}"));
    end.take(outcome);
    id
}

/// A channel in which every commitment has one contract of the opener.
pub fn with_contract(amount: u64) -> ([Half; 2], ContractId) {
    let mut ends = up();
    let id = add(&mut ends[0], amount);
    settle(&mut ends);
    (ends, id)
}

/// What the first effect sends.
pub fn sent(outcome: &Outcome) -> Message {
    match outcome.effects.first() {
        Some(Effect::Send(message)) => (**message).clone(),
        other => panic!("it sends first: {other:?}"),
    }
}

fn is_sent(outcome: &Outcome) -> bool {
    outcome.effects.iter().any(|effect| matches!(effect, Effect::Send(_)))
}

/// What a side says of where it stands.
pub fn stands(live: &Channel) -> ChannelReestablish {
    let Message::ChannelReestablish(said) = sent(&live.connected(Dialects::default())) else {
        panic!("it says where it stands");
    };
    said
}

/// A message is refused, and nothing has changed.
pub fn refused(live: &Channel, message: impl Into<Message>) -> (Violation, Remedy) {
    let (before, message) = (format!("{live:?}"), message.into());
    let no = live.receive(&message).expect_err(message.name());
    assert_eq!(format!("{live:?}"), before, "{}", message.name());
    let remedy = no.remedy();
    (no, remedy)
}

/// The `update_add_htlc` that the opener would send now.
fn next_add(ends: &[Half; 2], amount: u64) -> UpdateAddHtlc {
    let (_, outcome) = ends[0].live.send_add(offer(amount)).unwrap_or_else(|no| panic!("{no}"));
    let Message::UpdateAddHtlc(add) = sent(&outcome) else { panic!("it offers") };
    add
}

#[test]
fn updates_that_must_not_be_are_refused() {
    additions_that_must_not_be();
    endings_that_must_not_be();
    rates_that_must_not_be();
}

fn additions_that_must_not_be() {
    type Row = (fn(&mut UpdateAddHtlc), Violation);
    let ends = up();
    let add = next_add(&ends, 1_000_000);
    let [opener, reserve] = [CAPACITY.0 * 1_000 - PUSHED.0, 20_000_000];
    // 1,124 and 172 units of weight at 1 sat each, and two anchors.
    let costs = (1_296 + 660) * 1_000;
    let most = opener - reserve - costs;
    let expiry = |got| Violation::Expiry { got: BlockHeight(got), end: BlockHeight(500_000_000) };
    let small = |got| Violation::HtlcTooSmall { got: Msat(got), min: Msat(1_000) };
    let number = |got| Violation::HtlcId { got: HtlcId(got), want: HtlcId(0) };
    let [in_flight, max] = [1_500_000_001, 1_500_000_000].map(Msat);
    let poor = |got, have| Violation::NotAffordable { got: Msat(got), have: Msat(have) };
    let rows: [Row; 8] = [
        (|it| it.amount_msat = Msat(0), small(0)),
        (|it| it.amount_msat = Msat(999), small(999)),
        (|it| it.cltv_expiry = BlockHeight(500_000_000), expiry(500_000_000)),
        (|it| it.cltv_expiry = BlockHeight(u32::MAX), expiry(u32::MAX)),
        (|it| it.id = HtlcId(1), number(1)),
        (|it| it.id = HtlcId(u64::MAX), number(u64::MAX)),
        (|it| it.amount_msat = Msat(1_500_000_001), {
            Violation::TooMuchInFlight { got: in_flight, max }
        }),
        (|it| it.amount_msat = Msat(1_100_000_000), poor(opener, opener - reserve)),
    ];
    for (change, want) in rows {
        let mut said = add.clone();
        change(&mut said);
        assert_eq!(refused(&ends[1].live, said), (want, Remedy::Warning));
    }
    let with = |amount| UpdateAddHtlc { amount_msat: Msat(amount), ..add.clone() };
    assert!(ends[1].live.receive(&with(most).into()).is_ok());
    let want = poor(reserve + costs, reserve + costs - 1);
    assert_eq!(refused(&ends[1].live, with(most + 1)), (want, Remedy::Warning));
    assert!(ends[1].live.receive(&with(1_000).into()).is_ok());
    let mut ends = ends;
    for id in 0..30 {
        let (opener, acceptor) = two(&mut ends, 0);
        assert_eq!(crate::refused::add(opener, 1_000_000).id, HtlcId(id));
        opener.flush(&mut acceptor.inbox);
        acceptor.hear();
    }
    let said = UpdateAddHtlc { id: HtlcId(30), ..add };
    let want = Violation::TooManyHtlcs { max: HtlcCount(30) };
    assert_eq!(refused(&ends[1].live, said), (want, Remedy::Warning));
}

fn endings_that_must_not_be() {
    let (mut ends, id) = with_contract(50_000_000);
    let end = |end| {
        let outcome = ends[1].live.send_end(id.id, end);
        sent(&outcome.unwrap_or_else(|no| panic!("{no}")))
    };
    let malformed = End::Malformed { sha256_of_onion: OnionHash([3; 32]), failure_code: 0xc005 };
    let Message::UpdateFulfillHtlc(fulfill) = end(End::Fulfilled(preimage(1))) else {
        panic!("it is paid");
    };
    let Message::UpdateFailHtlc(fail) = end(End::Failed(Blob(vec![1]))) else {
        panic!("it is not")
    };
    let Message::UpdateFailMalformedHtlc(bad) = end(malformed) else { panic!("nor is this") };
    let none = |id| (Violation::NoSuchHtlc { id }, Remedy::Warning);
    let opener = &ends[0].live;
    for other in [HtlcId(1), HtlcId(u64::MAX)] {
        let (mut fulfill, mut fail, mut bad) = (fulfill.clone(), fail.clone(), bad.clone());
        (fulfill.id, fail.id, bad.id) = (other, other, other);
        assert_eq!(refused(opener, fulfill), none(other));
        assert_eq!(refused(opener, fail), none(other));
        assert_eq!(refused(opener, bad), none(other));
    }
    // Whoever offers cannot end.
    assert_eq!(refused(&ends[1].live, fulfill.clone()), none(id.id));
    let mut wrong = fulfill.clone();
    wrong.payment_preimage = PaymentPreimage([9; 32]);
    let want = Violation::WrongPreimage { id: id.id };
    assert_eq!(refused(opener, wrong), (want, Remedy::Warning));
    let mut mild = bad.clone();
    mild.failure_code = FailureCode(0x4005);
    let want = Violation::FailureCode { got: 0x4005 };
    assert_eq!(refused(opener, mild), (want, Remedy::Warning));
    // Once is enough.
    let outcome = ends[0].live.receive(&fail.clone().into());
    ends[0].take(outcome.unwrap_or_else(|no| panic!("{no}")));
    for again in [Message::from(fulfill), fail.into(), bad.into()] {
        assert_eq!(refused(&ends[0].live, again), none(id.id));
    }
}

fn rates_that_must_not_be() {
    // The opener has 500,000 sat left.
    let (ends, _) = with_contract(600_000_000);
    let outcome = ends[0].live.send_fee(FeeratePerKw(2_000)).unwrap_or_else(|no| panic!("{no}"));
    let Message::UpdateFee(fee) = sent(&outcome) else { panic!("it sets a rate") };
    let with = |rate| wire::UpdateFee { feerate_per_kw: FeeratePerKw(rate), ..fee.clone() };
    for rate in [0, 249, 500_001, u32::MAX] {
        let (got, min, max) = (FeeratePerKw(rate), FeeratePerKw(250), FeeratePerKw(500_000));
        let want = Violation::FeeRate { got, min, max };
        assert_eq!(refused(&ends[1].live, with(rate)), (want, Remedy::Warning));
    }
    // 479,340 sat beside reserve and anchors, for 1,296 units.
    assert!(ends[1].live.receive(&with(369_861).into()).is_ok());
    let (no, remedy) = refused(&ends[1].live, with(369_862));
    assert!(matches!(no, Violation::NotAffordable { .. }), "{no}");
    assert_eq!(remedy, Remedy::Warning);
    assert_eq!(refused(&ends[0].live, fee), (Violation::FeeByAcceptor, Remedy::Warning));
}

/// What the opener sends with a contract and its signature of it.
fn offered_and_signed() -> ([Half; 2], CommitmentSigned) {
    let mut ends = up();
    add(&mut ends[0], 50_000_000);
    let commit = ends[0].live.drive();
    ends[0].take(commit);
    let mut wire = Sent::new();
    ends[0].flush(&mut wire);
    ends[0].answer();
    ends[0].flush(&mut wire);
    let Some(Message::CommitmentSigned(signed)) = wire.pop_back() else { panic!("it signs") };
    ends[1].inbox = wire;
    ends[1].hear();
    assert_eq!(signed.htlc_signature.len(), 1);
    (ends, signed)
}

/// Receives what only the signer can judge.
pub fn judged(end: &mut Half, message: Message) -> Result<Outcome, Violation> {
    let mut wire = Sent::new();
    end.flush(&mut wire);
    wire.clear();
    let outcome = end.live.receive(&message)?;
    end.take(outcome);
    end.flush(&mut wire);
    assert_eq!(wire, [], "nothing is said before the signer has looked");
    end.judged().expect("the signer is asked")
}

/// The same signature with the other s: true as well, and relayed by nobody.
pub fn high(signature: &Signature) -> Signature {
    let mut bytes = *signature.bytes();
    let s = SecretKey::from_slice(&bytes[32..]).expect("s is a scalar");
    bytes[32..].copy_from_slice(&s.negate().secret_bytes());
    Signature::parse(&bytes).expect("both halves are below the order")
}

#[test]
fn signatures_and_secrets_that_are_none_fail_the_channel() {
    let rows: [fn(&mut CommitmentSigned); 6] = [
        |it| it.signature = it.htlc_signature[0],
        |it| it.signature = high(&it.signature),
        |it| it.htlc_signature[0] = it.signature,
        |it| it.htlc_signature[0] = high(&it.htlc_signature[0]),
        |it| it.htlc_signature.clear(),
        |it| it.htlc_signature.push(it.signature),
    ];
    for change in rows {
        let (mut ends, mut signed) = offered_and_signed();
        change(&mut signed);
        let outcome = judged(&mut ends[1], signed.into()).unwrap_or_else(|no| panic!("{no}"));
        assert!(matches!(sent(&outcome), Message::Error(_)));
        let [Change::Failing(Why::Violation(_)), Change::Rejected] = &outcome.changes[..] else {
            panic!("the channel fails, with the commitment before: {:?}", outcome.changes);
        };
        ends[1].take(outcome);
        let is_given_up = |change: &Change| matches!(change, Change::Advanced { .. });
        assert!(!ends[1].log.iter().any(is_given_up));
        // What was signed wrongly is not claimed to be there, now or after a restart: a channel
        // that fails says that, and not where it stands.
        for is_restarted in [false, true] {
            if is_restarted {
                ends[1].flush(&mut Sent::new());
                ends[1].crash();
            }
            let hello = ends[1].live.connected(Dialects::default());
            let [Effect::Send(said)] = &hello.effects[..] else { panic!("{hello:?}") };
            assert!(matches!(**said, Message::Error(_)), "{said:?}");
        }
    }
    for secret in [[0; 32], [1; 32], [0xff; 32]] {
        let (mut ends, signed) = offered_and_signed();
        let outcome = judged(&mut ends[1], signed.into()).unwrap_or_else(|no| panic!("{no}"));
        let Message::RevokeAndAck(mut revoke) = sent(&outcome) else { panic!("it revokes") };
        let truth =
            std::mem::replace(&mut revoke.per_commitment_secret, PerCommitmentSecret(secret));
        let no = judged(&mut ends[0], revoke.clone().into()).expect_err("it revokes nothing");
        assert_eq!(no.remedy(), Remedy::Error, "{no}");
        assert!(!ends[0].log.iter().any(|change| matches!(change, Change::Revoked { .. })));
        let (mut ends, _) = offered_and_signed();
        revoke.per_commitment_secret = truth;
        assert!(judged(&mut ends[0], revoke.into()).is_ok());
    }
}

#[test]
fn what_comes_at_the_wrong_time_is_refused() {
    let (mut ends, signed) = offered_and_signed();
    let add = next_add(&ends, 1_000_000);
    let hello = stands(&ends[0].live);
    let unexpected = |message| (Violation::Unexpected { message }, Remedy::Warning);
    let again = refused(&ends[1].live, hello.clone());
    assert_eq!(again, unexpected("channel_reestablish"));
    let stfu = wire::Stfu { channel_id: hello.channel_id, ..wire::Body::generate(&mut dice()) };
    assert_eq!(refused(&ends[1].live, stfu), unexpected("stfu"));
    // A revocation of what is not signed, a signature of nothing, and one too early.
    let outcome = judged(&mut ends[1], signed.clone().into()).unwrap_or_else(|no| panic!("{no}"));
    let Message::RevokeAndAck(revoke) = sent(&outcome) else { panic!("it revokes") };
    let want = (Violation::SignedTwice, Remedy::Warning);
    assert_eq!(refused(&ends[1].live, signed.clone()), want);
    ends[1].take(outcome);
    let want = (Violation::NothingToSign, Remedy::Warning);
    assert_eq!(refused(&ends[1].live, signed.clone()), want);
    let want = (Violation::NothingToRevoke, Remedy::Error);
    assert_eq!(refused(&ends[1].live, revoke.clone()), want);
    // Before both have said where they stand, and without a connection.
    let said: [Message; 3] = [add.into(), signed.into(), revoke.into()];
    for is_there in [false, true] {
        let lost = ends[1].live.disconnected();
        ends[1].take(lost);
        if is_there {
            let hello = ends[1].live.connected(Dialects::default());
            ends[1].take(hello);
        } else {
            let no = refused(&ends[1].live, hello.clone());
            assert_eq!(no, unexpected("channel_reestablish"));
        }
        for message in &said {
            assert_eq!(refused(&ends[1].live, message.clone()), unexpected(message.name()));
        }
    }
    let ends = up();
    let no = ends[1].live.send_fee(FeeratePerKw(2_000)).err();
    assert_eq!(no, Some(Refusal::NotOpener));
}

fn dice() -> wire::dice::Dice {
    wire::dice::Dice::new(1)
}

/// After some contracts both sides are lost to each other: what the acceptor says then.
fn reconnected() -> ([Half; 2], ChannelReestablish) {
    let mut ends = up();
    for _ in 0..3 {
        add(&mut ends[0], 50_000_000);
        settle(&mut ends);
    }
    reconnect(&mut ends, None);
    let mut wire = Sent::new();
    ends[1].flush(&mut wire);
    let Some(Message::ChannelReestablish(said)) = wire.pop_front() else {
        panic!("it says where it stands");
    };
    (ends, said)
}

#[test]
fn a_peer_that_stands_elsewhere_is_refused() {
    let (ends, said) = reconnected();
    assert!(ends[0].live.receive(&said.clone().into()).is_ok());
    let with = |commitment: i64, revocation: i64| {
        let mut said = said.clone();
        let moved = |at: CommitmentNumber, by| CommitmentNumber(at.0.saturating_add_signed(by));
        said.next_commitment_number = moved(said.next_commitment_number, commitment);
        said.next_revocation_number = moved(said.next_revocation_number, revocation);
        if revocation > 0 {
            // It proves nothing.
            said.your_last_per_commitment_secret = PerCommitmentSecret([9; 32]);
        }
        said
    };
    let commitments = [-9, -2, -1, 1, i64::MAX].map(|by| (by, 0));
    let revocations = [-9, -2, i64::MAX].map(|by| (0, by));
    for (commitment, revocation) in commitments.into_iter().chain(revocations) {
        let (no, remedy) = refused(&ends[0].live, with(commitment, revocation));
        assert!(matches!(no, Violation::Ahead { .. } | Violation::Behind { .. }), "{no}");
        assert_eq!(remedy, Remedy::Error, "{commitment} {revocation}: {no}");
    }
    // Whether we can have revoked so much knows our signer only.
    for revocation in [1, 2] {
        let (mut ends, _) = reconnected();
        let no = judged(&mut ends[0], with(0, revocation).into()).expect_err("it proves nothing");
        assert!(matches!(no, Violation::FalseSecret { .. }), "{revocation}: {no}");
        assert_eq!(no.remedy(), Remedy::Error);
    }
}

#[test]
fn a_foreign_point_of_now_is_not_looked_at() {
    let (ends, mut said) = reconnected();
    let before = ends[0].live.receive(&said.clone().into()).unwrap_or_else(|no| panic!("{no}"));
    let point = said.my_current_per_commitment_point;
    said.my_current_per_commitment_point = point.key().negate(SECP256K1).into();
    let after = ends[0].live.receive(&said.into()).unwrap_or_else(|no| panic!("{no}"));
    assert_eq!(format!("{before:?}"), format!("{after:?}"));
}

#[test]
fn one_hash_may_be_offered_twice() {
    let mut ends = up();
    let ids = [1_000_000, 1_000_000, 2_000_000].map(|amount| add(&mut ends[0], amount));
    settle(&mut ends);
    let told = |id: &ContractId| ends[1].told.contains(&Event::Offered(*id));
    assert!(ids.iter().all(told), "{:?}", ends[1].told);
}

#[test]
fn nothing_is_said_before_the_peer_has_said_where_it_stands() {
    let (mut ends, id) = with_contract(50_000_000);
    add(&mut ends[0], 1_000_000);
    for is_there in [false, true] {
        for end in &mut ends {
            let lost = end.live.disconnected();
            end.take(lost);
            end.waiting.clear();
            if is_there {
                let hello = end.live.connected(Dialects::default());
                assert!(matches!(sent(&hello), Message::ChannelReestablish(_)));
                assert_eq!(hello.effects.len(), 1);
                end.take(hello);
            }
        }
        assert_eq!(ends[0].live.send_add(offer(1_000)).err(), Some(Refusal::NotConnected));
        let fee = ends[0].live.send_fee(FeeratePerKw(2_000));
        assert_eq!(fee.err(), Some(Refusal::NotConnected));
        assert!(ends[0].live.drive().effects.is_empty());
        let end = ends[1].live.send_end(id.id, End::Fulfilled(preimage(1)));
        assert!(!is_sent(&end.unwrap_or_else(|no| panic!("{no}"))));
    }
}

#[test]
fn what_the_peer_has_not_signed_goes_with_the_connection() {
    let mut ends = up();
    let id = add(&mut ends[0], 50_000_000);
    let (opener, acceptor) = two(&mut ends, 0);
    opener.flush(&mut acceptor.inbox);
    let said = acceptor.inbox.front().cloned().expect("it was sent");
    acceptor.hear();
    assert_eq!(acceptor.live.ledger().free(Side::Opener), Msat(1_050_000_000));
    let lost = acceptor.live.disconnected();
    acceptor.take(lost);
    assert!(acceptor.live.contracts().is_empty() && !acceptor.told.contains(&Event::Offered(id)));
    assert_eq!(acceptor.live.ledger().free(Side::Opener), Msat(1_100_000_000));
    // It may be said again, with the same number.
    let hello = acceptor.live.connected(Dialects::default());
    acceptor.take(hello);
    let hello = opener.live.connected(Dialects::default());
    for message in [sent(&hello), said] {
        let outcome = acceptor.live.receive(&message);
        acceptor.take(outcome.unwrap_or_else(|no| panic!("{}: {no}", message.name())));
    }
    assert!(acceptor.live.contracts().contains_key(&id));
}

#[test]
fn an_offer_that_is_said_again_is_ignored_until_the_peer_has_revoked_for_it() {
    let mut ends = pair(Form::Anchors);
    let id = add(&mut ends[0], 50_000_000);
    let mut wire = Sent::new();
    ends[0].flush(&mut wire);
    let Some(Message::UpdateAddHtlc(said)) = wire.pop_front() else { panic!("it offers") };
    let hear = |end: &mut Half, message: Message| {
        let outcome = end.live.receive(&message).unwrap_or_else(|no| panic!("{no}"));
        end.take(outcome);
    };
    hear(&mut ends[1], said.clone().into());
    // In one connection nobody says it twice.
    let twice = (Violation::HtlcId { got: id.id, want: HtlcId(1) }, Remedy::Warning);
    assert_eq!(refused(&ends[1].live, said.clone()), twice);
    let commit = ends[0].live.drive();
    ends[0].take(commit);
    ends[0].flush(&mut wire);
    ends[0].answer();
    ends[0].flush(&mut wire);
    let signed = wire.pop_back().expect("it signs");
    let outcome = judged(&mut ends[1], signed).unwrap_or_else(|no| panic!("{no}"));
    ends[1].take(outcome);
    assert_eq!(refused(&ends[1].live, said.clone()), twice);
    // What is lost is our revocation, and the peer thinks that all was.
    reconnect(&mut ends, None);
    for end in &mut ends {
        end.flush(&mut Sent::new());
    }
    let hello = stands(&ends[0].live);
    hear(&mut ends[1], hello.into());
    let before = format!("{:?}", ends[1].live);
    hear(&mut ends[1], said.clone().into());
    assert_eq!(format!("{:?}", ends[1].live), before, "it is ignored");
    // Nor does it become another one.
    let other = UpdateAddHtlc { amount_msat: Msat(1_000_000), ..said.clone() };
    hear(&mut ends[1], other.into());
    assert_eq!(format!("{:?}", ends[1].live), before, "it is ignored");
    reconnect(&mut ends, None);
    settle(&mut ends);
    assert!(ends[1].told.contains(&Event::Offered(id)));
    assert_eq!(refused(&ends[1].live, said), twice);
}

#[test]
fn a_signature_names_the_funding_that_it_spends() {
    let (ends, signed) = offered_and_signed();
    let funding = ends[1].live.begun().funding().txid;
    assert_eq!(signed.funding_txid, Some(funding));
    for funding_txid in [None, Some(funding)] {
        let said = CommitmentSigned { funding_txid, ..signed.clone() };
        assert!(ends[1].live.receive(&said.into()).is_ok());
    }
    let mut other = signed;
    let got = Txid::from_byte_array([6; 32]);
    other.funding_txid = Some(got);
    let want = Violation::OtherFunding { got, want: funding };
    assert_eq!(refused(&ends[1].live, other), (want, Remedy::Warning));
}

/// Everything that is under way happens, step by step, and each time somebody looks.
fn step_by_step(ends: &mut [Half; 2], mut look: impl FnMut(&[Half; 2], &Sent)) {
    for _ in 0..30 {
        for at in [0, 1] {
            let mut wire = Sent::new();
            ends[at].flush(&mut wire);
            look(ends, &wire);
            ends[1 - at].inbox.append(&mut wire);
            ends[at].answer();
            look(ends, &wire);
            let commit = ends[at].live.drive();
            ends[at].take(commit);
            ends[1 - at].hear();
            look(ends, &wire);
        }
    }
    assert!(ends.iter().all(Half::is_idle), "30 rounds were not enough");
}

#[test]
fn an_offer_is_told_once_no_commitment_is_without_it() {
    let mut ends = up();
    let id = add(&mut ends[0], 50_000_000);
    // For this one the opener revokes too, and earlier.
    add(&mut ends[1], 50_000_000);
    let mut early = 0;
    step_by_step(&mut ends, |ends, _| {
        let acceptor = &ends[1];
        let step = acceptor.live.ledger().entries().get(&id).map(|entry| entry.added);
        if acceptor.told.contains(&Event::Offered(id)) {
            assert_eq!(step, Some(Step::Acked));
        }
        if step != Some(Step::Acked) {
            early += 1;
            let end = acceptor.live.send_end(id.id, End::Fulfilled(preimage(1)));
            assert_eq!(end.err(), Some(Refusal::NoSuchHtlc { id: id.id }));
        }
    });
    assert!(early > 5, "{early}");
    assert!(ends[1].told.contains(&Event::Offered(id)));
}

#[test]
fn a_preimage_is_told_at_once_and_an_end_when_it_is_final() {
    for end in [End::Fulfilled(preimage(1)), End::Failed(Blob(vec![1]))] {
        let (mut ends, id) = with_contract(50_000_000);
        let outcome = ends[1].live.send_end(id.id, end.clone());
        ends[1].take(outcome.unwrap_or_else(|no| panic!("{no}")));
        // For this one the acceptor revokes too, and earlier.
        add(&mut ends[0], 1_000_000);
        let fulfilled = Event::Fulfilled(id, preimage(1));
        let over = Event::Over { id, end: end.clone() };
        let (mut shown, mut early) = (false, 0);
        step_by_step(&mut ends, |ends, wire| {
            let opener = &ends[0];
            let is_over = opener.told.contains(&over);
            let is_in = opener.live.ledger().entries().contains_key(&id);
            assert!(!(is_over && is_in), "a commitment still has it");
            early += usize::from(!is_over && opener.told.contains(&fulfilled));
            shown |= wire.iter().any(|it| matches!(it, Message::UpdateFulfillHtlc(_)));
            assert!(shown || !opener.told.contains(&fulfilled));
        });
        assert!(ends[0].told.contains(&over));
        assert_eq!(ends[0].told.contains(&fulfilled), matches!(end, End::Fulfilled(_)));
        assert_eq!(early > 5, matches!(end, End::Fulfilled(_)), "{early}");
    }
}

#[test]
fn every_signature_is_answered_by_one_revocation() {
    let mut ends = up();
    let points = ends.each_ref().map(|end| stands(&end.live).my_current_per_commitment_point);
    add(&mut ends[0], 50_000_000);
    let (mut signed, mut first) = ([0, 0], Vec::new());
    step_by_step(&mut ends, |_, wire| {
        for message in wire {
            if matches!(message, Message::CommitmentSigned(_)) {
                signed[first.len() % 2] += 1;
            }
            if let Message::RevokeAndAck(revoke) = message {
                first.push(revoke.per_commitment_secret);
            }
        }
    });
    // The opener signs, the acceptor revokes and signs, the opener revokes.
    assert_eq!((signed, first.len()), ([1, 1], 2));
    let point = |secret: &PerCommitmentSecret| -> Point {
        let key = SecretKey::from_slice(&secret.0).expect("a scalar");
        key.public_key(SECP256K1).into()
    };
    assert_eq!(point(&first[0]), points[1]);
    assert_eq!(point(&first[1]), points[0]);
}

#[test]
fn where_we_stand_is_said_in_the_bolts_numbers() {
    let ends = pair(Form::Anchors);
    for end in &ends {
        let said = stands(&end.live);
        assert_eq!(said.next_commitment_number, CommitmentNumber(1));
        assert_eq!(said.next_revocation_number, CommitmentNumber(0));
        assert_eq!(said.your_last_per_commitment_secret, PerCommitmentSecret([0; 32]));
        assert_eq!((said.next_funding, said.my_current_funding_locked), (None, None));
    }
    let (mut ends, id) = with_contract(50_000_000);
    let outcome = ends[1].live.send_end(id.id, End::Fulfilled(preimage(1)));
    ends[1].take(outcome.unwrap_or_else(|no| panic!("{no}")));
    settle(&mut ends);
    for end in &ends {
        let said = stands(&end.live);
        let signed = end.log.iter().filter(|it| matches!(it, Change::Advanced { .. })).count();
        let revoked = |change: &Change| {
            let Change::Revoked { secret, .. } = change else { return None };
            Some(*secret)
        };
        let secrets: Vec<_> = end.log.iter().filter_map(revoked).collect();
        assert!(signed >= 2 && secrets.len() >= 2);
        assert_eq!(said.next_commitment_number, CommitmentNumber(signed as u64 + 1));
        assert_eq!(said.next_revocation_number, CommitmentNumber(secrets.len() as u64));
        assert_eq!(Some(&said.your_last_per_commitment_secret), secrets.last());
    }
}
