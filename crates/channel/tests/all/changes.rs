//! Changes as bytes: what was saved comes back, what was damaged is named.

use std::sync::Arc;

use bitcoin::absolute::LockTime;
use bitcoin::transaction::Version;
use bitcoin::{Amount, ScriptBuf, Transaction, TxIn, TxOut};
use channel::{Change, ContractId, End, Why};
use tx::{Kind, Side};
use wire::Body as _;
use wire::dice::Dice;
use wire::field::Field as _;
use wire::id::{HtlcId, OnionHash, PaymentPreimage, PerCommitmentSecret, Scid};
use wire::key::{Point, Signature};
use wire::list::Blob;
use wire::saved::ChangeFault;
use wire::{UpdateAddHtlc, amount::BlockHeight, amount::FeeratePerKw};

fn any(dice: &mut Dice) -> Change {
    let side = if dice.one_in(2) { Side::Opener } else { Side::Acceptor };
    let id = match dice.one_in(2) {
        true => ContractId::htlc(side, HtlcId::generate(dice)),
        false => ContractId { offered_by: side, kind: Kind(9), id: HtlcId::generate(dice) },
    };
    match dice.below(25) {
        0 => Change::Added { by: side, add: Box::new(UpdateAddHtlc::generate(dice).into()) },
        1 => Change::Ended { id, end: any_end(dice) },
        2 => Change::Rate(FeeratePerKw::generate(dice)),
        3 => Change::Signed,
        4 => {
            let stages = (0..dice.below(5)).map(|_| Signature::generate(dice)).collect();
            Change::Received { signature: Signature::generate(dice), stages }
        }
        5 => Change::Advanced { next: Point::generate(dice) },
        6 => Change::Revoked {
            secret: PerCommitmentSecret::generate(dice),
            next: Point::generate(dice),
        },
        7 => Change::Lost,
        8 => Change::Heard(id),
        9 => Change::Deep { alias: alias(dice) },
        10 => Change::Ready { point: Point::generate(dice), alias: alias(dice) },
        11 => Change::Shutdown,
        12 => Change::ShutdownHeard { script: ScriptBuf::from_bytes(dice.bytes(40)) },
        13 => Change::Closed(Box::new(transaction(dice))),
        14 => Change::Rejected,
        15 => Change::Failing(any_why(dice, id)),
        16 => Change::Learned { id, secret: dice.bytes(40) },
        17 => Change::InBlock {
            height: BlockHeight::generate(dice),
            position: 7,
            transaction: Arc::new(transaction(dice)),
        },
        18 => Change::BlockGone { height: BlockHeight::generate(dice) },
        19 => Change::Resolved { id, end: any_end(dice) },
        20 => Change::Done,
        21 => Change::Waits { since: BlockHeight::generate(dice) },
        22 => Change::Failing(Why::Unfunded),
        23 => Change::TakenBack,
        _ => Change::Failing(Why::Spent),
    }
}

fn alias(dice: &mut Dice) -> Option<Scid> {
    dice.one_in(2).then(|| Scid::generate(dice))
}

fn transaction(dice: &mut Dice) -> Transaction {
    let value = Amount::from_sat(dice.below(1_000) as u64);
    let script_pubkey = ScriptBuf::from_bytes(dice.bytes(40));
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn::default()],
        output: vec![TxOut { value, script_pubkey }],
    }
}

fn any_why(dice: &mut Dice, id: ContractId) -> Why {
    match dice.below(5) {
        0 => Why::Wanted,
        1 => Why::Violation("a rule".to_owned()),
        2 => Why::Error("an error".to_owned()),
        3 => Why::Deadline { id, expiry: BlockHeight::generate(dice) },
        _ => Why::Behind(String::new()),
    }
}

fn any_end(dice: &mut Dice) -> End {
    match dice.below(5) {
        0 => End::Fulfilled(PaymentPreimage::generate(dice)),
        1 => End::Failed(Blob(dice.bytes(300))),
        2 => End::Opened(dice.bytes(16)),
        3 => End::Cancelled(Blob(dice.bytes(16))),
        _ => End::Malformed {
            sha256_of_onion: OnionHash::generate(dice),
            failure_code: dice.throw() as u16,
        },
    }
}

#[test]
fn what_was_saved_comes_back() {
    let mut dice = Dice::new(7);
    for _ in 0..2_000 {
        let change = any(&mut dice);
        assert_eq!(Change::decode(&change.encode()), Ok(Some(change)));
    }
}

#[test]
fn damaged_changes_are_named_and_harm_nobody() {
    let mut dice = Dice::new(8);
    let mut refused = 0;
    for _ in 0..2_000 {
        let mut bytes = any(&mut dice).encode();
        match dice.below(3) {
            0 => bytes.truncate(dice.below(bytes.len())),
            1 => bytes.push(dice.throw() as u8),
            _ => {
                let at = dice.below(bytes.len());
                bytes[at] ^= 1 << dice.below(8);
            }
        }
        refused += usize::from(Change::decode(&bytes).is_err());
    }
    // A secret or a reason may be of any length.
    assert!(refused > 900, "{refused}");
    let newer = |record| wire::saved::write(record, &[1, 2, 3]);
    assert_eq!(Change::decode(&newer(254)), Err(ChangeFault::Newer { record: 254 }));
    assert_eq!(Change::decode(&newer(253)), Ok(None));
    let side = wire::saved::write(18, &[4, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert!(matches!(Change::decode(&side), Err(ChangeFault::Meaningless { what: "side", .. })));
}
