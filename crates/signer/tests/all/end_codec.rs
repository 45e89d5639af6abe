//! Questions and answers about the end of channels as bytes.

use bitcoin::absolute::LockTime as Lock;
use bitcoin::hashes::Hash as _;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness};
use signer::{
    ANSWER_BYTES_MAX, ASK_BYTES_MAX, Answer, Ask, Branch, CONTRACT_BYTES_MAX, ChannelAnswer,
    ChannelOp, EndFlaw, KeyIndex, KeyPlace, Malformed, PARENTS_BYTES_MAX, Payee, RecordFlaw,
    SignClaims, SignClose, SignStages, SpendInput,
};
use tx::{
    At, CLAIM_INPUTS_MAX, Claim, ClaimFault, Claimed, Close, ClosingOutputs, InputSignature, Kind,
    Side, Staged,
};
use wire::amount::{LockTime, Msat, Sat};
use wire::bigsize;
use wire::dice::Dice;
use wire::field::Field as _;
use wire::id::{ChannelKey, CommitmentNumber, PerCommitmentSecret};
use wire::key::{Point, Signature};

use crate::channel_codec::{ask, placed, side};
use crate::vectors::bytes;

/// Kinds of questions, one of them twice.
pub const OPS: usize = 5;

const CHANNEL: ChannelKey = ChannelKey([8; 32]);

pub fn op(dice: &mut Dice, which: usize, count: usize) -> ChannelOp {
    match which {
        0 => ChannelOp::CheckSecret {
            number: CommitmentNumber(dice.number()),
            secret: PerCommitmentSecret(dice.array()),
        },
        1 | 2 => ChannelOp::SignClose(Box::new(close(dice))),
        3 => ChannelOp::SignClaims(Box::new(SignClaims {
            claims: (0..count).map(|at| claim(dice, at)).collect(),
            parents: (0..count).map(|_| parent(dice)).collect(),
            coins: (0..count).map(|_| coin(dice)).collect(),
            to: payee(dice),
            fee: Sat(dice.number()),
            lock_time: LockTime(dice.number() as u32),
        })),
        _ => ChannelOp::SignStages(Box::new(SignStages {
            stages: (0..count).map(|_| staged(dice)).collect(),
            coins: (0..count).map(|_| coin(dice)).collect(),
            change: dice.one_in(2).then(|| place(dice)),
            fee: Sat(dice.number()),
        })),
    }
}

fn place(dice: &mut Dice) -> KeyPlace {
    let branch = if dice.one_in(2) { Branch::Receive } else { Branch::Change };
    let index = KeyIndex::new(dice.below(1_000_000) as u32).expect("it is small");
    KeyPlace { branch, index }
}

fn script(dice: &mut Dice) -> ScriptBuf {
    ScriptBuf::from_bytes(dice.bytes(70))
}

fn payee(dice: &mut Dice) -> Payee {
    if dice.one_in(2) { Payee::Ours(place(dice)) } else { Payee::Script(script(dice)) }
}

fn outpoint(dice: &mut Dice) -> OutPoint {
    OutPoint { txid: Txid::from_byte_array(dice.array()), vout: dice.number() as u32 }
}

fn close(dice: &mut Dice) -> SignClose {
    let mut script = || dice.one_in(2).then(|| script(dice));
    let (opener_script, acceptor_script) = (script(), script());
    let dialect = match dice.one_in(2) {
        true => ClosingOutputs::Signed { dust_limit: Sat(dice.number()) },
        false => ClosingOutputs::Complete {
            closer: side(dice),
            lock_time: LockTime(dice.number() as u32),
        },
    };
    let close = Close {
        to_opener: Msat(dice.number()),
        to_acceptor: Msat(dice.number()),
        opener_script,
        acceptor_script,
        fee: Sat(dice.number()),
        dialect,
    };
    SignClose { close, ours: payee(dice) }
}

fn claim(dice: &mut Dice, which: usize) -> Claim {
    let at = At { number: CommitmentNumber(dice.number()), point: Point::generate(dice) };
    let what = match which % 9 {
        0 => Claimed::Delayed(at),
        1 => Claimed::ToRemote,
        2 => Claimed::Anchor,
        3 => Claimed::Contract { at, placed: placed(dice), secret: None },
        4 => Claimed::Contract { at, placed: placed(dice), secret: Some(dice.bytes(40)) },
        5 => Claimed::RevokedDelayed(at),
        6 => Claimed::OwnContract { at, placed: placed(dice), secret: None },
        7 => Claimed::OwnContract { at, placed: placed(dice), secret: Some(dice.bytes(16)) },
        _ => Claimed::RevokedContract { at, placed: placed(dice) },
    };
    let (outpoint, value) = (outpoint(dice), Sat(dice.number()));
    Claim { outpoint, value, claimer: side(dice), what }
}

fn parent(dice: &mut Dice) -> Transaction {
    let input = |dice: &mut Dice| TxIn {
        previous_output: outpoint(dice),
        script_sig: script(dice),
        sequence: Sequence(dice.number() as u32),
        witness: Witness::new(),
    };
    let output = |dice: &mut Dice| TxOut {
        value: Amount::from_sat(dice.number()),
        script_pubkey: script(dice),
    };
    Transaction {
        version: bitcoin::transaction::Version(dice.number() as i32),
        lock_time: Lock::from_consensus(dice.number() as u32),
        input: (0..=dice.below(3)).map(|_| input(dice)).collect(),
        output: (0..dice.below(3)).map(|_| output(dice)).collect(),
    }
}

fn coin(dice: &mut Dice) -> SpendInput {
    let (outpoint, amount) = (outpoint(dice), Amount::from_sat(dice.number()));
    let sequence = Sequence(dice.number() as u32);
    SpendInput { outpoint, amount, place: place(dice), sequence }
}

fn staged(dice: &mut Dice) -> Staged {
    let (contract, signature) = (dice.number() as usize, Signature::generate(dice));
    Staged { contract, signature, secret: dice.one_in(2).then(|| dice.bytes(40)) }
}

fn input_signature(dice: &mut Dice) -> InputSignature {
    if dice.one_in(2) {
        return InputSignature::Channel(Signature::generate(dice));
    }
    let bytes: [u8; 64] = dice.array();
    InputSignature::Coin(secp256k1::schnorr::Signature::from_slice(&bytes).expect("64 bytes"))
}

pub fn answers() -> impl Iterator<Item = ChannelAnswer> {
    let mut dice = Dice::new(14);
    let signatures = (0..5).map(|_| input_signature(&mut dice)).collect();
    let signature = Signature::generate(&mut dice);
    let checked = [false, true].map(|is_ours| ChannelAnswer::Checked { is_ours });
    let signed =
        [ChannelAnswer::CloseSigned { signature }, ChannelAnswer::InputsSigned { signatures }];
    checked.into_iter().chain(signed)
}

/// Every flaw and fault.
pub fn flaws() -> Vec<EndFlaw> {
    let at = CommitmentNumber;
    let outpoint = OutPoint { txid: Txid::from_byte_array([3; 32]), vout: u32::MAX };
    let mut all = vec![
        EndFlaw::NoWallet,
        EndFlaw::UnderWay { contracts: 966 },
        EndFlaw::NotOpen,
        EndFlaw::Unrevoked { number: at(1), newest: at(2) },
        EndFlaw::Differ { local: Msat(1), remote: Msat(u64::MAX) },
        EndFlaw::Balance { side: Side::Opener, got: Msat(1), want: Msat(2) },
        EndFlaw::Balance { side: Side::Acceptor, got: Msat(1), want: Msat(2) },
        EndFlaw::Nothing { fee: Sat(1), has: Msat(2) },
        EndFlaw::DustLimit { got: Sat(1), want: [Sat(2), Sat(3)] },
        EndFlaw::LeftOut { got: Sat(1), dust: Sat(2) },
        EndFlaw::Dust { got: Sat(1), min: Sat(2) },
        EndFlaw::OtherScript,
        EndFlaw::Destination { listed: 3 },
        EndFlaw::Place { got: u32::MAX, max: 2 },
        EndFlaw::Fee { got: Sat(1), max: Sat(2), stake: Sat(3) },
        EndFlaw::NotClosing,
        EndFlaw::NotRevoked { number: at(1), unrevoked: at(2) },
        EndFlaw::NotOurs { want: Side::Acceptor },
        EndFlaw::Shown { got: 1, max: 2 },
        EndFlaw::NotShown { outpoint, shown: 2 },
        EndFlaw::NotThere { outpoint, got: Sat(1), have: None },
        EndFlaw::NotThere { outpoint, got: Sat(1), have: Some(Sat(0)) },
    ];
    let faults = [
        ClaimFault::NoWay { kind: Kind(0xfffe), has_secret: false },
        ClaimFault::NoWay { kind: Kind(0), has_secret: true },
        ClaimFault::Funding { outpoint },
        ClaimFault::Inputs { got: 1, min: 2, max: 3 },
        ClaimFault::Twice { outpoint },
        ClaimFault::NotTaproot { outpoint },
        ClaimFault::Waits { outpoint, got: 1, min: u32::MAX },
        ClaimFault::TooMuch { got: Sat(1), max: Sat(2) },
        ClaimFault::Short { spent: Sat(1), fee: Sat(2), min: Sat(3) },
        ClaimFault::Fee { got: Sat(1), want: Sat(2) },
        ClaimFault::Weight { got: u64::MAX, max: 2 },
        ClaimFault::LockTimes { got: LockTime(1), want: LockTime(u32::MAX) },
        ClaimFault::NoStage { contract: 1, of: 2 },
        ClaimFault::Signatures { got: 1, want: 2 },
        ClaimFault::BadSignature { input: 1, of: 2 },
    ];
    all.extend(faults.map(EndFlaw::Claim));
    all
}

const POINT: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

fn at() -> At {
    let point = Point::parse(bytes(POINT).as_slice().try_into().unwrap()).unwrap();
    At { number: CommitmentNumber(9), point }
}

fn is_laid_out(op: ChannelOp, want: &str) {
    let (name, encoded) = (op.name(), ask(CHANNEL, op).encode());
    let want = format!("{want} 0e08 0000000000000a0b");
    assert_eq!(encoded, bytes(&want.replace(' ', "")), "{name}");
}

#[test]
fn the_layout_of_a_close_is_frozen() {
    let (key, index) = ("08".repeat(32), KeyIndex::new(0x0102).unwrap());
    let mut close = Close {
        to_opener: Msat(1),
        to_acceptor: Msat(2),
        opener_script: None,
        acceptor_script: Some(ScriptBuf::from_bytes(vec![5; 3])),
        fee: Sat(3),
        dialect: ClosingOutputs::Signed { dust_limit: Sat(4) },
    };
    let ours = Payee::Ours(KeyPlace { branch: Branch::Change, index });
    is_laid_out(
        ChannelOp::SignClose(Box::new(SignClose { close: close.clone(), ours })),
        &format!(
            "0131 0020 {key} 0228 0000000000000001 0000000000000002 00 01 0003 050505 \
             0000000000000003 00 0000000000000004 0406 00 01 00000102"
        ),
    );
    close.dialect =
        ClosingOutputs::Complete { closer: Side::Acceptor, lock_time: LockTime(0x0607) };
    let ours = Payee::Script(ScriptBuf::from_bytes(vec![6]));
    is_laid_out(
        ChannelOp::SignClose(Box::new(SignClose { close, ours })),
        &format!(
            "0131 0020 {key} 0225 0000000000000001 0000000000000002 00 01 0003 050505 \
             0000000000000003 01 01 00000607 0404 01 0001 06"
        ),
    );
    let (number, secret) = (CommitmentNumber(7), PerCommitmentSecret([4; 32]));
    is_laid_out(
        ChannelOp::CheckSecret { number, secret },
        &format!("0130 0020 {key} 0208 0000000000000007 0420 {}", "04".repeat(32)),
    );
}

#[test]
fn the_layout_of_claims_is_frozen() {
    let outpoint = OutPoint { txid: Txid::from_byte_array([3; 32]), vout: 2 };
    let claim = |what| Claim { outpoint, value: Sat(6), claimer: Side::Acceptor, what };
    let mut parent = parent(&mut Dice::new(1));
    parent.version = bitcoin::transaction::Version(2);
    parent.lock_time = Lock::from_consensus(1);
    parent.input.truncate(1);
    parent.input[0].previous_output = outpoint;
    parent.input[0].script_sig = ScriptBuf::new();
    parent.input[0].sequence = Sequence(5);
    parent.output.clear();
    let index = KeyIndex::new(1).unwrap();
    let place = KeyPlace { branch: Branch::Receive, index };
    let op = ChannelOp::SignClaims(Box::new(SignClaims {
        claims: vec![claim(Claimed::Anchor), claim(Claimed::Delayed(at()))],
        parents: vec![parent],
        coins: vec![SpendInput {
            outpoint,
            amount: Amount::from_sat(7),
            place,
            sequence: Sequence(9),
        }],
        to: Payee::Ours(place),
        fee: Sat(10),
        lock_time: LockTime(11),
    }));
    let (key, out) = ("08".repeat(32), format!("{} 00000002", "03".repeat(32)));
    let want = format!(
        "0132 0020 {key} 0285 {out} 0000000000000006 01 02 {out} 0000000000000006 01 00 \
         0000000000000009 {POINT} 0434 33 02000000 01 {} 02000000 00 05000000 00 01000000 \
         0635 {out} 0000000000000007 00 00000001 00000009 0806 00 00 00000001 \
         0a08 000000000000000a 0c04 0000000b",
        "03".repeat(32)
    );
    is_laid_out(op, &want);
    let mut dice = Dice::new(1);
    let signature = Signature::generate(&mut dice);
    let hex: String = signature.bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let staged = Staged { contract: 300, signature, secret: Some(vec![5; 2]) };
    let op = ChannelOp::SignStages(Box::new(SignStages {
        stages: vec![staged],
        coins: Vec::new(),
        change: Some(place),
        fee: Sat(10),
    }));
    let want = format!(
        "0133 0020 {key} 0247 fd012c {hex} 01 02 0505 0400 0605 00 00000001 \
         0808 000000000000000a"
    );
    is_laid_out(op, &want);
}

#[test]
fn the_layout_of_the_answers_is_frozen() {
    let mut dice = Dice::new(1);
    let signature = Signature::generate(&mut dice);
    let hex: String = signature.bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let coin = secp256k1::schnorr::Signature::from_slice(&[5; 64]).unwrap();
    let both = vec![InputSignature::Coin(coin), InputSignature::Channel(signature)];
    let outpoint = OutPoint { txid: Txid::from_byte_array([3; 32]), vout: 2 };
    let flaw = EndFlaw::NotThere { outpoint, got: Sat(4), have: Some(Sat(5)) };
    let no = |flaw| Answer::Refused(signer::Refusal::Channel(signer::ChannelRefusal::End(flaw)));
    let answers = [
        (Answer::Channel(ChannelAnswer::Checked { is_ours: true }), "011c 0201 01".to_owned()),
        (Answer::Channel(ChannelAnswer::CloseSigned { signature }), format!("011d 0240 {hex}")),
        (
            Answer::Channel(ChannelAnswer::InputsSigned { signatures: both }),
            format!("0121 0282 01 {} 00 {hex}", "05".repeat(64)),
        ),
        (
            no(flaw),
            format!(
                "0122 0201 13 0418 0000000000000002 0000000000000004 0000000000000006 0620 {}",
                "03".repeat(32)
            ),
        ),
        (
            no(EndFlaw::Claim(ClaimFault::Weight { got: 1, max: 2 })),
            format!("0122 0201 1d 0418 0000000000000001 0000000000000002 {}", "00".repeat(8)),
        ),
    ];
    for (answer, want) in answers {
        let name = answer.name();
        assert_eq!(answer.encode().bytes(), bytes(&want.replace(' ', "")), "{name}");
    }
}

/// As many inputs as a transaction may have, and the longest transaction that a block can hold.
#[test]
fn the_greatest_claims_fit() {
    let mut dice = Dice::new(5);
    let signatures: Vec<_> = (0..CLAIM_INPUTS_MAX).map(|_| input_signature(&mut dice)).collect();
    let frame = Answer::Channel(ChannelAnswer::InputsSigned { signatures }).encode();
    assert!(frame.bytes().len() <= ANSWER_BYTES_MAX);
    assert!(Answer::decode(&mut frame.bytes().to_vec()).is_ok());
    let mut parent = parent(&mut dice);
    parent.output.clear();
    let script_pubkey = ScriptBuf::from_bytes(vec![6; 9_000]);
    parent.output.resize(100, TxOut { value: Amount::ZERO, script_pubkey });
    let rest = PARENTS_BYTES_MAX - parent.base_size();
    parent.output[0].script_pubkey = ScriptBuf::from_bytes(vec![6; 9_000 + rest - 2]);
    assert_eq!(parent.base_size(), PARENTS_BYTES_MAX);
    // A contract as long as it may be stands for an HTLC of 49 bytes and what it lacks.
    let claims: Vec<_> = (0..CLAIM_INPUTS_MAX)
        .map(|_| {
            let mut claim = claim(&mut dice, 4);
            if let Claimed::Contract { secret, .. } = &mut claim.what {
                *secret = Some(vec![7; 32 + CONTRACT_BYTES_MAX - 49]);
            }
            claim
        })
        .collect();
    let op = SignClaims {
        claims,
        parents: vec![parent],
        coins: Vec::new(),
        to: Payee::Script(ScriptBuf::from_bytes(vec![0; 34])),
        fee: Sat(u64::MAX),
        lock_time: LockTime(u32::MAX),
    };
    let ask = ask(CHANNEL, ChannelOp::SignClaims(Box::new(op)));
    let bytes = ask.encode();
    assert!(bytes.len() <= ASK_BYTES_MAX, "{}", bytes.len());
    assert_eq!(Ask::decode(&bytes), Ok(ask));
}

/// Ids say nothing of witnesses, so they do not travel, and none is taken from a link.
#[test]
fn parents_travel_without_their_witnesses() {
    let mut dice = Dice::new(6);
    let ChannelOp::SignClaims(mut claims) = op(&mut dice, 3, 1) else { panic!("it claims") };
    let bare = ask(CHANNEL, ChannelOp::SignClaims(claims.clone()));
    claims.parents[0].input[0].witness.push([5; 40]);
    let witnessed = ask(CHANNEL, ChannelOp::SignClaims(claims.clone()));
    assert_eq!(witnessed.encode(), bare.encode());
    let short = bitcoin::consensus::serialize(&claims.parents[0]);
    let SignClaims { to, fee, lock_time, .. } = *claims;
    let nothing = SignClaims { claims: vec![], parents: vec![], coins: vec![], to, fee, lock_time };
    let none = ask(CHANNEL, ChannelOp::SignClaims(Box::new(nothing))).encode();
    // Empty are the records of claims, parents and coins, behind the channel's.
    let (head, rest) = none.split_at(2 + 2 + 32 + 2);
    assert!(rest.starts_with(&[4, 0, 6, 0]));
    let mut record = vec![4];
    bigsize::write(bigsize::size(short.len() as u64) as u64 + short.len() as u64, &mut record);
    bigsize::write(short.len() as u64, &mut record);
    let bytes = [head, &record, &short, &rest[2..]].concat();
    let flaw = Malformed::Record { kind: 50, record: 4, flaw: RecordFlaw::Transaction };
    assert_eq!(Ask::decode(&bytes), Err(flaw));
}

/// A refusal has one way to be written: what it has no use for may not stand there.
#[test]
fn a_refusal_with_more_than_it_says_is_none() {
    let (nothing, id) = ("00".repeat(24), format!("0620 {}", "03".repeat(32)));
    let numbers = |kind, record| Malformed::Record { kind, record, flaw: RecordFlaw::Numbers };
    let choice = |got, max| RecordFlaw::Choice { got, min: 0, max };
    let (zeros, one) = ("00".repeat(8), "0000000000000001");
    let cases = [
        (format!("011b 0201 18 0418 {nothing} {id}"), numbers(27, 4)),
        (format!("0122 0201 00 0418 {nothing} {id}"), numbers(34, 4)),
        (format!("0122 0201 00 0418 {one} {zeros} {zeros}"), numbers(34, 4)),
        (format!("0122 0201 14 0418 {zeros} 0000000000000002 {zeros}"), numbers(34, 4)),
        (format!("0122 0201 15 0418 0000000100000000 {zeros} {zeros} {id}"), numbers(34, 4)),
        (format!("0122 0201 15 0418 {nothing}"), Malformed::Missing { kind: 34, record: 6 }),
        (
            format!("0122 0201 22 0418 {nothing}"),
            Malformed::Record { kind: 34, record: 2, flaw: choice(34, 33) },
        ),
        (
            format!("011b 0201 1f 0418 {nothing}"),
            Malformed::Record { kind: 27, record: 2, flaw: choice(31, 30) },
        ),
    ];
    for (hex, want) in cases {
        let read = Answer::decode(&mut bytes(&hex.replace(' ', ""))).map(|_| ());
        assert_eq!(read, Err(want), "{hex}");
    }
}
