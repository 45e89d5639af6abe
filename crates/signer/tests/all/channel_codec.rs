//! Questions and answers about channels as bytes.

use std::sync::Arc;

use bitcoin::{OutPoint, Txid, hashes::Hash as _};
use signer::{
    ANSWER_BYTES_MAX, ASK_BYTES_MAX, Answer, Ask, ChannelAnswer, ChannelAsk, ChannelOp,
    ChannelRefusal as No, Malformed, Refusal, Seconds, SetUp, ShownKeys, topic,
};
use tx::{
    Basepoints, Flaw, Form, Funding, Htlc, Kind, Meaning, Party, Placed, SecretFault, Side,
    Templates, Terms,
};
use wire::amount::{BlockHeight, CsvDelay, FeeratePerKw, Msat, Sat};
use wire::dice::Dice;
use wire::field::Field as _;
use wire::id::{ChannelKey, CommitmentNumber, PaymentHash, PerCommitmentSecret};
use wire::key::{Point, Signature};
use wire::lease::{LeaseEpoch, StaleLease};

use crate::end_codec;
use crate::vectors::bytes;

pub fn asks() -> Vec<Ask> {
    let mut dice = Dice::new(11);
    let ops = (0..OPS).map(|which| op(&mut dice, which, 3));
    let ends = (0..end_codec::OPS).map(|which| end_codec::op(&mut Dice::new(13), which, 3));
    let asks = ops.chain(ends).map(|op| ask(ChannelKey([8; 32]), op));
    asks.chain([Ask::Lease { epoch: LeaseEpoch(u64::MAX) }]).collect()
}

pub fn answers() -> Vec<Answer> {
    let mut dice = Dice::new(12);
    let mut all: Vec<Answer> =
        (0..6).map(|which| Answer::Channel(answer(&mut dice, which))).collect();
    all.extend(end_codec::answers().map(Answer::Channel));
    let stale = StaleLease { got: LeaseEpoch(1 << 40), have: LeaseEpoch(u64::MAX) };
    all.push(Answer::Refused(Refusal::StaleLease(stale)));
    all.extend(refusals().into_iter().map(|no| Answer::Refused(Refusal::Channel(no))));
    all
}

pub fn ask(channel: ChannelKey, op: ChannelOp) -> Ask {
    Ask::Channel { lease: LeaseEpoch(0x0a0b), ask: Box::new(ChannelAsk { channel, op }) }
}

pub fn side(dice: &mut Dice) -> Side {
    if dice.one_in(2) { Side::Opener } else { Side::Acceptor }
}

pub fn placed(dice: &mut Dice) -> Placed {
    let cltv_expiry = BlockHeight(dice.below(500_000_000) as u32);
    let contract = Htlc { payment_hash: PaymentHash(dice.array()), cltv_expiry };
    Placed { offered_by: side(dice), amount: Msat(dice.number()), contract: Arc::new(contract) }
}

pub fn meaning(dice: &mut Dice, contracts: usize) -> Meaning {
    Meaning {
        owner: side(dice),
        number: CommitmentNumber(dice.number()),
        point: Point::generate(dice),
        feerate: FeeratePerKw(dice.number() as u32),
        to_opener: Msat(dice.number()),
        to_acceptor: Msat(dice.number()),
        contracts: (0..contracts).map(|_| placed(dice)).collect(),
    }
}

fn basepoints(dice: &mut Dice) -> Basepoints {
    let mut point = || Point::generate(dice);
    Basepoints { revocation: point(), payment: point(), delayed_payment: point(), htlc: point() }
}

fn party(dice: &mut Dice) -> Party {
    Party {
        funding_key: Point::generate(dice),
        keys: basepoints(dice),
        dust_limit: Sat(dice.number()),
        delay: CsvDelay(dice.number() as u16),
    }
}

fn set_up(dice: &mut Dice) -> SetUp {
    let txid = Txid::from_byte_array(dice.array());
    let outpoint = OutPoint { txid, vout: dice.number() as u32 };
    let terms = Terms {
        form: if dice.one_in(2) { Form::Anchors } else { Form::StaticRemoteKey },
        funding: Funding { outpoint, value: Sat(dice.number()) },
        opener: party(dice),
        acceptor: party(dice),
    };
    SetUp { side: side(dice), terms, pushed: Msat(dice.number()) }
}

/// Kinds of questions.
const OPS: usize = 6;

fn op(dice: &mut Dice, which: usize, contracts: usize) -> ChannelOp {
    let mut secrets: Vec<Vec<u8>> = (0..contracts).map(|_| dice.bytes(300)).collect();
    secrets.push(Vec::new());
    match which {
        0 => ChannelOp::Keys,
        1 => ChannelOp::SetUp(Box::new(set_up(dice))),
        2 => ChannelOp::SignRemote { meaning: meaning(dice, contracts), secrets },
        3 => ChannelOp::Advance {
            meaning: meaning(dice, contracts),
            secrets,
            signature: Signature::generate(dice),
            stages: (0..contracts).map(|_| Signature::generate(dice)).collect(),
        },
        4 => ChannelOp::Revoked {
            number: CommitmentNumber(dice.number()),
            secret: PerCommitmentSecret(dice.array()),
        },
        _ => ChannelOp::SignLocal { meaning: meaning(dice, contracts) },
    }
}

fn answer(dice: &mut Dice, which: usize) -> ChannelAnswer {
    match which {
        0 => {
            let funding_key = Point::generate(dice);
            let basepoints = basepoints(dice);
            let points = [Point::generate(dice), Point::generate(dice)];
            ChannelAnswer::Keys(Box::new(ShownKeys { funding_key, basepoints, points }))
        }
        1 => ChannelAnswer::Done,
        2 => {
            let count = dice.below(5);
            let stages = (0..count).map(|_| Signature::generate(dice)).collect();
            ChannelAnswer::RemoteSigned { signature: Signature::generate(dice), stages }
        }
        3 => ChannelAnswer::Advanced { secret: None, next: Point::generate(dice) },
        4 => {
            let secret = Some(PerCommitmentSecret(dice.array()));
            ChannelAnswer::Advanced { secret, next: Point::generate(dice) }
        }
        _ => ChannelAnswer::LocalSigned { signature: Signature::generate(dice) },
    }
}

/// Every refusal.
pub fn refusals() -> Vec<No> {
    let at = CommitmentNumber;
    let id = |byte| Txid::from_byte_array([byte; 32]);
    let rate = FeeratePerKw;
    let delay = CsvDelay;
    let mut all = vec![
        No::Unknown,
        No::AlreadySetUp,
        No::TooMany { max: 100_000 },
        No::ForeignKeys,
        No::WrongOwner { want: Side::Opener },
        No::WrongOwner { want: Side::Acceptor },
        No::OutOfTurn { number: at(7), newest: None, unrevoked: at(5) },
        No::OutOfTurn { number: at(u64::MAX), newest: Some(at(0)), unrevoked: at(1 << 48) },
        No::Otherwise { number: at(3), got: id(1), have: id(2) },
        No::WrongPoint { number: at(4) },
        No::Money { got: Msat(1), want: Msat(u64::MAX) },
        No::Loss { got: Msat(2), want: Msat(3) },
        No::FeeRate { got: rate(1), min: rate(250), max: rate(u32::MAX) },
        No::Fee { missing: Sat(9) },
        No::Contracts { got: 484, max: 483 },
        No::Delay { got: delay(1), min: delay(144), max: delay(u16::MAX) },
        No::Contract(Flaw::UnknownKind { kind: Kind(0xfffe) }),
        No::Contract(Flaw::Length { got: 35, want: 36 }),
        No::Contract(Flaw::Value { field: "cltv_expiry", got: 500_000_000, max: 499_999_999 }),
        No::Contract(Flaw::Least { field: "refund_delay", got: 10, min: 144 }),
        No::Contract(Flaw::Form { kind: Kind(1) }),
        No::BadSignature { number: at(1), stage: None },
        No::BadSignature { number: at(1), stage: Some(0) },
        No::StageCount { got: 2, want: 3 },
        No::WrongSecret { number: at(2) },
        No::Secret(SecretFault::NotDerived { number: at(9), conflicts: at(8) }),
        No::Secret(SecretFault::OutOfTurn { number: at(9), next: at(7) }),
        No::InFlight { got: Msat(2), max: Msat(1) },
        No::Expiry { got: BlockHeight(1), min: BlockHeight(2), max: BlockHeight(u32::MAX) },
        No::Allowance { got: Msat(3), left: Msat(2), limit: Msat(u64::MAX) },
        No::Stale { age: Seconds(3), max: Seconds(2) },
        No::Closing,
        No::Shut,
    ];
    let terms = ["funding_satoshis", "push_msat", "dust_limit_satoshis"];
    all.extend(terms.map(|term| No::Terms { term, got: 1, limit: 2 }));
    all.extend(end_codec::flaws().into_iter().map(No::End));
    all
}

/// What is read of an answer that is a refusal.
fn refusal_of(bytes: &[u8]) -> Option<No> {
    match Answer::decode(&mut bytes.to_vec()) {
        Ok(Answer::Refused(Refusal::Channel(no))) => Some(no),
        Ok(_) | Err(_) => None,
    }
}

#[test]
fn every_question_comes_back_whatever_it_says() {
    let mut dice = Dice::new(1);
    for round in 0..1_000 {
        let contracts = dice.below(7);
        let which = round % (OPS + end_codec::OPS);
        let op = match which.checked_sub(OPS) {
            None => op(&mut dice, which, contracts),
            Some(which) => end_codec::op(&mut dice, which, contracts),
        };
        let ask = ask(ChannelKey(dice.array()), op);
        let encoded = ask.encode();
        let back = Ask::decode(&encoded).unwrap();
        assert_eq!(back, ask);
        assert_eq!(back.encode(), encoded);
    }
}

#[test]
fn every_refusal_comes_back() {
    for no in refusals() {
        let frame = Answer::Refused(Refusal::Channel(no)).encode();
        assert_eq!(refusal_of(frame.bytes()), Some(no), "{no}");
    }
    // A name that is in no table.
    let flaw = Flaw::Value { field: "colour", got: 1, max: 2 };
    let frame = Answer::Refused(Refusal::Channel(No::Contract(flaw))).encode();
    let read = No::Contract(Flaw::Value { field: "a field", got: 1, max: 2 });
    assert_eq!(refusal_of(frame.bytes()), Some(read));
}

/// With all contracts that both sides may have.
#[test]
fn the_greatest_commitment_fits() {
    let mut dice = Dice::new(5);
    let greatest = op(&mut dice, 3, 966);
    let ChannelOp::Advance { meaning, signature, stages, .. } = greatest else {
        panic!("it advances")
    };
    let secrets = vec![vec![7; 32]; 966];
    let answer = ChannelAnswer::RemoteSigned { signature, stages: stages.clone() };
    let frame = Answer::Channel(answer).encode();
    assert!(frame.bytes().len() <= ANSWER_BYTES_MAX);
    assert!(Answer::decode(&mut frame.bytes().to_vec()).is_ok());
    let sign = ask(
        ChannelKey([1; 32]),
        ChannelOp::SignRemote { meaning: meaning.clone(), secrets: Vec::new() },
    );
    let bytes = sign.encode();
    assert!(bytes.len() < 49 * 966 + 150, "{}", bytes.len());
    let op = ChannelOp::Advance { meaning, secrets, signature, stages };
    let advance = ask(ChannelKey([1; 32]), op);
    let bytes = advance.encode();
    assert!(bytes.len() <= ASK_BYTES_MAX, "{}", bytes.len());
    assert_eq!(Ask::decode(&bytes), Ok(advance));
}

/// The opener's money stands before the acceptor's, and the first HTLC looks like this.
#[test]
fn the_layout_of_a_meaning_is_frozen() {
    let base = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
    let key = Point::parse(bytes(base).as_slice().try_into().unwrap()).unwrap();
    let (payment_hash, cltv_expiry) = (PaymentHash([6; 32]), BlockHeight(0x0001_0203));
    let contract = Htlc { payment_hash, cltv_expiry };
    let placed = Placed {
        offered_by: Side::Acceptor,
        amount: Msat(0x0102_0304),
        contract: Arc::new(contract),
    };
    let meaning = Meaning {
        owner: Side::Acceptor,
        number: CommitmentNumber(9),
        point: key,
        feerate: FeeratePerKw(253),
        to_opener: Msat(7),
        to_acceptor: Msat(8),
        contracts: vec![placed],
    };
    let op = ChannelOp::SignRemote { meaning, secrets: vec![vec![5; 2]] };
    let want = format!(
        "0121 0020 {} 025d 01 0000000000000009 {base} 000000fd 07 08 \
         01 fe01020304 0000 24 {} 00010203 0403 02 0505 0e08 0000000000000a0b",
        "08".repeat(32),
        "06".repeat(32)
    );
    let encoded = ask(ChannelKey([8; 32]), op).encode();
    assert_eq!(encoded, bytes(&want.replace(' ', "")));
}

/// Whoever asks has another template: that is no reason to hang up.
#[test]
fn an_unknown_contract_is_refused_and_no_fault_of_the_link() {
    let known = ask(ChannelKey([8; 32]), op(&mut Dice::new(3), 2, 1));
    let malformed = Ask::decode_with(&known.encode(), &Templates::default()).unwrap_err();
    let no = No::Contract(Flaw::UnknownKind { kind: Kind(0) });
    let kind = u64::from(known.topic());
    assert_eq!(malformed.refusal(), Some((kind, Refusal::Channel(no))));
    assert!(Ask::decode_with(&known.encode(), &Templates::bolt3()).is_ok());
    assert_eq!(Malformed::Kind { got: 4 }.refusal(), None);
}

#[test]
fn each_question_has_a_permission() {
    let mut dice = Dice::new(4);
    let topics: Vec<u16> =
        (0..OPS).map(|which| ask(ChannelKey([0; 32]), op(&mut dice, which, 0)).topic()).collect();
    assert_eq!(topics, [16, 32, 33, 34, 35, 36]);
    // It moves the memory, so whoever may not do that may not claim either.
    assert_eq!(Ask::Lease { epoch: LeaseEpoch(1) }.topic(), topic::LEASE);
    assert!(topic::CHANNEL_RATCHETS.contains(&topic::LEASE));
    let ends: Vec<u16> =
        (0..end_codec::OPS).map(|which| end_codec::op(&mut dice, which, 1).topic()).collect();
    assert_eq!(ends, [48, 49, 49, 50, 51]);
    assert!(ends.iter().all(|it| topic::CHANNEL_REPEATABLE.contains(it)));
    assert_eq!(topic::CHANNEL_KEYS, 16);
    assert!(topics[1..].iter().all(|it| topic::CHANNEL_RATCHETS.contains(it)));
    assert!(!topic::CHANNEL_RATCHETS.contains(topic::CHANNEL_REPEATABLE.start()));
}

/// Whatever is read is written again as it was, but for records that were passed over.
#[test]
fn changed_bytes_are_read_as_they_are_written() {
    let asks: Vec<Vec<u8>> = asks().iter().map(Ask::encode).collect();
    let answers: Vec<_> = answers().into_iter().map(|it| it.encode().bytes().to_vec()).collect();
    let mut dice = Dice::new(8);
    let (mut read, mut passed_over) = (0, 0);
    for round in 0..30_000 {
        let from = if round % 2 == 0 { &asks } else { &answers };
        let mut bytes = from[dice.below(from.len())].clone();
        for _ in 0..=dice.below(2) {
            let at = dice.below(bytes.len());
            match dice.below(4) {
                0 => bytes[at] = dice.throw() as u8,
                1 => bytes[at] ^= 1 << dice.below(8),
                2 => bytes.truncate(at.max(1)),
                _ => bytes.insert(at, dice.throw() as u8),
            }
        }
        let again = match round % 2 {
            0 => Ask::decode(&bytes).ok().map(|it| it.encode()),
            _ => {
                let answer = Answer::decode(&mut bytes.clone());
                answer.ok().map(|it| it.encode().bytes().to_vec())
            }
        };
        if let Some(again) = again {
            read += 1;
            if again != bytes {
                passed_over += 1;
                assert!(again.len() < bytes.len(), "{bytes:02x?}");
            }
        }
    }
    assert!(read > 5_000 && passed_over < 100, "{read} {passed_over}");
}
