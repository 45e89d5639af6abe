//! Questions that end a channel, and onions, as bytes.

use std::sync::Arc;

use bitcoin::absolute::LockTime as BlockLock;
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, hashes::Hash as _,
};
use secp256k1::schnorr;
use signer::{
    Answer, Ask, Branch, ChannelAnswer, ChannelAsk, ChannelOp, ChannelRefusal as No, EndFlaw,
    KeyIndex, KeyPlace, Payee, Peel, Refusal, SignClaims, SignClose, SignStages, SpendInput,
};
use sphinx::{Failure, Layer, RETURN_KEYS_BYTES, ReturnKeys};
use tx::{
    At, Claim, ClaimFault, Claimed, Close, ClosingOutputs, Htlc, InputSignature, Kind, Placed,
    Side, Staged,
};
use wire::amount::{BlockHeight, LockTime, Msat, Sat};
use wire::dice::Dice;
use wire::field::Field as _;
use wire::id::{
    ChannelKey, CommitmentNumber, FailureCode, OnionHash, OnionPacket, PaymentHash,
    PerCommitmentSecret,
};
use wire::key::{Point, Signature};

fn outpoint(dice: &mut Dice) -> OutPoint {
    OutPoint { txid: Txid::from_byte_array(dice.array()), vout: dice.below(1_000) as u32 }
}

fn place(dice: &mut Dice) -> KeyPlace {
    let index = KeyIndex::new(dice.below(1_000) as u32).expect("it is small");
    KeyPlace { branch: if dice.one_in(2) { Branch::Receive } else { Branch::Change }, index }
}

fn payee(dice: &mut Dice) -> Payee {
    match dice.one_in(2) {
        true => Payee::Ours(place(dice)),
        false => Payee::Script(ScriptBuf::from_bytes(dice.bytes(40))),
    }
}

fn side(dice: &mut Dice) -> Side {
    if dice.one_in(2) { Side::Opener } else { Side::Acceptor }
}

fn coins(dice: &mut Dice) -> Vec<SpendInput> {
    let coin = |dice: &mut Dice| SpendInput {
        outpoint: outpoint(dice),
        amount: Amount::from_sat(dice.number()),
        place: place(dice),
        sequence: Sequence(dice.number() as u32),
    };
    (0..dice.below(3)).map(|_| coin(dice)).collect()
}

fn secret(dice: &mut Dice) -> Option<Vec<u8>> {
    dice.one_in(2).then(|| dice.bytes(40))
}

fn claim(dice: &mut Dice) -> Claim {
    let at = At { number: CommitmentNumber(dice.number()), point: Point::generate(dice) };
    let htlc = Htlc { payment_hash: PaymentHash(dice.array()), cltv_expiry: BlockHeight(500_000) };
    let placed =
        Placed { offered_by: side(dice), amount: Msat(dice.number()), contract: Arc::new(htlc) };
    let what = match dice.below(6) {
        0 => Claimed::Delayed(at),
        1 => Claimed::ToRemote,
        2 => Claimed::Anchor,
        3 => Claimed::Contract { at, placed, secret: secret(dice) },
        4 => Claimed::RevokedDelayed(at),
        _ => Claimed::RevokedContract { at, placed },
    };
    Claim { outpoint: outpoint(dice), value: Sat(dice.number()), claimer: side(dice), what }
}

fn transaction(dice: &mut Dice) -> Transaction {
    Transaction {
        version: Version::TWO,
        lock_time: BlockLock::ZERO,
        input: vec![TxIn { previous_output: outpoint(dice), ..TxIn::default() }],
        output: vec![TxOut {
            value: Amount::from_sat(dice.number()),
            script_pubkey: ScriptBuf::from_bytes(dice.bytes(40)),
        }],
    }
}

fn close(dice: &mut Dice) -> Close {
    let script = |dice: &mut Dice| dice.one_in(2).then(|| ScriptBuf::from_bytes(dice.bytes(40)));
    Close {
        to_opener: Msat(dice.number()),
        to_acceptor: Msat(dice.number()),
        opener_script: script(dice),
        acceptor_script: script(dice),
        fee: Sat(dice.number()),
        dialect: match dice.one_in(2) {
            true => ClosingOutputs::Signed { dust_limit: Sat(dice.number()) },
            false => ClosingOutputs::Complete {
                closer: side(dice),
                lock_time: LockTime(dice.number() as u32),
            },
        },
    }
}

fn op(dice: &mut Dice) -> ChannelOp {
    match dice.below(4) {
        0 => ChannelOp::SignClose(Box::new(SignClose { close: close(dice), ours: payee(dice) })),
        1 => ChannelOp::SignClaims(Box::new(SignClaims {
            claims: (0..dice.below(4)).map(|_| claim(dice)).collect(),
            parents: (0..dice.below(3)).map(|_| transaction(dice)).collect(),
            coins: coins(dice),
            to: payee(dice),
            fee: Sat(dice.number()),
            lock_time: LockTime(dice.number() as u32),
        })),
        2 => {
            let stage = |dice: &mut Dice| Staged {
                contract: dice.below(900),
                signature: Signature::generate(dice),
                secret: secret(dice),
            };
            let stages = (0..dice.below(4)).map(|_| stage(dice)).collect();
            let change = dice.one_in(2).then(|| place(dice));
            let fee = Sat(dice.number());
            ChannelOp::SignStages(Box::new(SignStages { stages, coins: coins(dice), change, fee }))
        }
        _ => ChannelOp::CheckSecret {
            number: CommitmentNumber(dice.number()),
            secret: PerCommitmentSecret(dice.array()),
        },
    }
}

#[test]
fn every_question_comes_back() {
    let mut dice = Dice::new(1);
    for _ in 0..400 {
        let channel = ChannelKey(dice.array());
        let ask = Ask::Channel(Box::new(ChannelAsk { channel, op: op(&mut dice) }));
        let encoded = ask.encode();
        assert_eq!(Ask::decode(&encoded), Ok(ask));
        for cut in [1, encoded.len() / 2, encoded.len() - 1] {
            Ask::decode(&encoded[..cut]).expect_err("something is missing");
        }
    }
}

#[test]
fn every_answer_comes_back() {
    let mut dice = Dice::new(2);
    for _ in 0..100 {
        let one = |dice: &mut Dice| match dice.one_in(2) {
            true => InputSignature::Channel(Signature::generate(dice)),
            false => {
                let bytes: [u8; 64] = dice.array();
                InputSignature::Coin(schnorr::Signature::from_slice(&bytes).expect("64 bytes"))
            }
        };
        let signatures: Vec<_> = (0..dice.below(100)).map(|_| one(&mut dice)).collect();
        let answer = ChannelAnswer::InputsSigned { signatures: signatures.clone() };
        let mut bytes = Answer::Channel(answer).encode().bytes().to_vec();
        match Answer::decode(&mut bytes) {
            Ok(Answer::Channel(ChannelAnswer::InputsSigned { signatures: back })) => {
                assert_eq!(back, signatures);
            }
            Ok(other) => panic!("{}", other.name()),
            Err(fault) => panic!("{fault}"),
        }
    }
}

fn flaws() -> Vec<EndFlaw> {
    let outpoint = OutPoint { txid: Txid::from_byte_array([7; 32]), vout: 3 };
    let (number, newest) = (CommitmentNumber(4), CommitmentNumber(5));
    let mut all = vec![
        EndFlaw::NoWallet,
        EndFlaw::UnderWay { contracts: 2 },
        EndFlaw::NotOpen,
        EndFlaw::Unrevoked { number, newest },
        EndFlaw::Differ { local: Msat(1), remote: Msat(2) },
        EndFlaw::Balance { side: Side::Acceptor, got: Msat(1), want: Msat(2) },
        EndFlaw::Nothing { fee: Sat(1), has: Msat(2) },
        EndFlaw::DustLimit { got: Sat(1), want: [Sat(2), Sat(3)] },
        EndFlaw::LeftOut { got: Sat(1), dust: Sat(2) },
        EndFlaw::Dust { got: Sat(1), min: Sat(2) },
        EndFlaw::OtherScript,
        EndFlaw::Destination { listed: 9 },
        EndFlaw::Place { got: 1, max: 2 },
        EndFlaw::Fee { got: Sat(1), max: Sat(2), stake: Sat(3) },
        EndFlaw::NotClosing,
        EndFlaw::NotRevoked { number, unrevoked: newest },
        EndFlaw::NotOurs { want: Side::Opener },
        EndFlaw::Shown { got: 1, max: 2 },
        EndFlaw::NotShown { outpoint, shown: 2 },
        EndFlaw::NotThere { outpoint, got: Sat(1), have: None },
        EndFlaw::NotThere { outpoint, got: Sat(1), have: Some(Sat(0)) },
    ];
    let claims = [
        ClaimFault::NoWay { kind: Kind(3), has_secret: true },
        ClaimFault::Funding { outpoint },
        ClaimFault::Inputs { got: 1, min: 2, max: 3 },
        ClaimFault::Twice { outpoint },
        ClaimFault::NotTaproot { outpoint },
        ClaimFault::Waits { outpoint, got: 1, min: 2 },
        ClaimFault::TooMuch { got: Sat(1), max: Sat(2) },
        ClaimFault::Short { spent: Sat(1), fee: Sat(2), min: Sat(3) },
        ClaimFault::Fee { got: Sat(1), want: Sat(2) },
        ClaimFault::Weight { got: 1, max: 2 },
        ClaimFault::LockTimes { got: LockTime(1), want: LockTime(2) },
        ClaimFault::NoStage { contract: 1, of: 2 },
        ClaimFault::Signatures { got: 1, want: 2 },
        ClaimFault::BadSignature { input: 1, of: 2 },
    ];
    all.extend(claims.map(EndFlaw::Claim));
    all
}

#[test]
fn every_refusal_comes_back() {
    for no in flaws().into_iter().map(No::End).chain([No::Shut]) {
        let mut bytes = Answer::Refused(Refusal::Channel(no)).encode().bytes().to_vec();
        match Answer::decode(&mut bytes) {
            Ok(Answer::Refused(Refusal::Channel(back))) => assert_eq!(back, no, "{no}"),
            Ok(other) => panic!("{no}: {}", other.name()),
            Err(fault) => panic!("{no}: {fault}"),
        }
    }
}

#[test]
fn onions_come_back() {
    let mut dice = Dice::new(3);
    let packet = Box::new(OnionPacket(dice.array()));
    let ask = Ask::Peel { packet: packet.clone(), payment_hash: PaymentHash(dice.array()) };
    assert_eq!(Ask::decode(&ask.encode()), Ok(ask));
    let keys = || ReturnKeys::take(&mut [5; RETURN_KEYS_BYTES]);
    let payload = dice.bytes(700);
    let last = Layer::Final { payload: payload.clone() };
    let next = Layer::Forward { payload, next: packet };
    for layer in [last, next] {
        let peel = Peel::Layer { layer: layer.clone(), keys: keys() };
        let mut bytes = Answer::Peeled(peel).encode().bytes().to_vec();
        match Answer::decode(&mut bytes) {
            Ok(Answer::Peeled(Peel::Layer { layer: back, keys: of })) => {
                assert!(back == layer);
                let failure = Failure::UnknownNextPeer;
                assert_eq!(of.fail(&failure), keys().fail(&failure));
            }
            Ok(other) => panic!("{}", other.name()),
            Err(fault) => panic!("{fault}"),
        }
    }
    let (code, sha256_of_onion) = (FailureCode(0xc005), OnionHash([6; 32]));
    let mut bytes = Answer::Peeled(Peel::Bad { code, sha256_of_onion }).encode().bytes().to_vec();
    let back = Answer::decode(&mut bytes).unwrap_or_else(|fault| panic!("{fault}"));
    let Answer::Peeled(Peel::Bad { code: is, sha256_of_onion: of }) = back else {
        panic!("another answer");
    };
    assert_eq!((is, of), (code, sha256_of_onion));
}
