//! The parked contract: its terms, and its scripts to the byte.

use bitcoin::hashes::{Hash as _, hash160, ripemd160, sha256};
use bitcoin::{OutPoint, Sequence, Txid};
use secp256k1::{SECP256K1, SecretKey};
use tx::{
    Basepoints, Contract as _, ContractKeys, Direction, Flaw, Form, Funding, Kind, PARKED,
    PARKED_BLOCKS_MAX, Parked, Party, Place, Side, Template as _, Templates, Terms, Who,
};
use wire::amount::{CsvDelay, LockTime, Sat};
use wire::id::PaymentHash;
use wire::key::Point;

const PREIMAGE: [u8; 32] = [4; 32];

fn point(of: u8) -> Point {
    SecretKey::from_slice(&[of; 32]).expect("a scalar").public_key(SECP256K1).into()
}

fn keys() -> ContractKeys {
    ContractKeys { owner: point(1), other: point(2), revocation: point(3) }
}

fn parked(blocks: u16) -> Parked {
    let payment_hash = PaymentHash(sha256::Hash::hash(&PREIMAGE).to_byte_array());
    Parked { payment_hash, refund_delay: CsvDelay(blocks) }
}

#[test]
fn scripts_are_these_bytes() {
    let hex = |bytes: &[u8]| bytes.iter().map(|it| format!("{it:02x}")).collect::<String>();
    let [owner, other] = [point(1), point(2)].map(|it| hex(&it.bytes()));
    let revocation = hex(&hash160::Hash::hash(&point(3).bytes()).to_byte_array());
    let hash = hex(&ripemd160::Hash::hash(&parked(0).payment_hash.0).to_byte_array());
    // 1,000 blocks: e8 03.
    let begun = format!("76a914{revocation}8763ac67");
    let opened = format!("82012087 63a914{hash}88");
    let offered = format!("{begun}{opened}51b27521{other}ac 67 7502e803b27521{owner}ac 6868");
    let received =
        format!("{begun}21{other}7c{opened}527c21{owner}52ae 67 7502e803b275ac 68 51b275 68",);
    for (direction, want) in [(Direction::Offered, offered), (Direction::Received, received)] {
        let keys = keys();
        let place = Place { form: Form::Anchors, direction, keys: &keys };
        let script = parked(1_000).script(&place);
        assert_eq!(hex(script.as_bytes()), want.replace(' ', ""));
    }
}

#[test]
fn the_payer_waits_and_the_payee_does_not() {
    let keys = keys();
    let at_once = Sequence(1);
    let refund = Sequence::from_height(1_000);
    let rows = [
        (Direction::Offered, "refund", Who::Owner, false, refund, false),
        (Direction::Offered, "preimage", Who::Other, false, at_once, true),
        (Direction::Offered, "penalty", Who::Punisher, false, at_once, false),
        (Direction::Received, "preimage", Who::Owner, true, at_once, true),
        (Direction::Received, "refund", Who::Other, false, refund, false),
        (Direction::Received, "penalty", Who::Punisher, false, at_once, false),
    ];
    let mut found = Vec::new();
    for direction in [Direction::Offered, Direction::Received] {
        let place = Place { form: Form::Anchors, direction, keys: &keys };
        for way in parked(1_000).ways(&place) {
            assert_eq!(way.lock_time, LockTime(0), "no height is in it");
            let wants = way.wants_secret();
            found.push((direction, way.name, way.who, way.staged, way.sequence, wants));
        }
        let has_stage = parked(1_000).stage(Form::Anchors, direction).is_some();
        assert_eq!(has_stage, direction == Direction::Received);
    }
    assert_eq!(found, rows);
    assert!(parked(1_000).is_opened_by(&PREIMAGE));
    assert!(!parked(1_000).is_opened_by(&PREIMAGE[..31]) && !parked(1_000).is_opened_by(&[5; 32]));
}

#[test]
fn terms_come_back_and_others_are_none() {
    let templates = Templates::all();
    for blocks in [0, 1, 144, PARKED_BLOCKS_MAX] {
        let terms = parked(blocks).terms();
        let read = templates.read(PARKED, &terms).expect("ours");
        assert_eq!((read.kind(), read.terms(), read.order()), (PARKED, terms, blocks.into()));
    }
    let max = u64::from(PARKED_BLOCKS_MAX);
    let long = parked(PARKED_BLOCKS_MAX + 1).terms();
    let flaw = Flaw::Value { field: "refund_delay", got: max + 1, max };
    assert_eq!(templates.read(PARKED, &long).map(|_| ()), Err(flaw));
    for len in [0, 31, 33, 35] {
        let flaw = Flaw::Length { got: len, want: 34 };
        assert_eq!(tx::ParkedTemplate.read(&vec![0; len]).map(|_| ()), Err(flaw));
    }
    let unknown = Err(Flaw::UnknownKind { kind: Kind(1) });
    assert_eq!(Templates::bolt3().read(PARKED, &parked(144).terms()).map(|_| ()), unknown);
}

#[test]
fn it_fits_where_the_payer_waits_as_long_as_for_all_else() {
    let party = |delay| Party {
        funding_key: point(5),
        keys: Basepoints {
            revocation: point(6),
            payment: point(7),
            delayed_payment: point(8),
            htlc: point(9),
        },
        dust_limit: Sat(354),
        delay: CsvDelay(delay),
    };
    let outpoint = OutPoint { txid: Txid::from_byte_array([5; 32]), vout: 1 };
    let terms = Terms {
        form: Form::Anchors,
        funding: Funding { outpoint, value: Sat(1_000_000) },
        opener: party(144),
        acceptor: party(300),
    };
    for (side, min) in [(Side::Opener, 144), (Side::Acceptor, 300)] {
        let flaw = Flaw::Least { field: "refund_delay", got: u64::from(min) - 1, min: min.into() };
        assert_eq!(parked(min - 1).fits(&terms, side), Err(flaw));
        assert_eq!(parked(min).fits(&terms, side), Ok(()));
    }
    let terms = Terms { form: Form::StaticRemoteKey, ..terms };
    assert_eq!(parked(300).fits(&terms, Side::Opener), Err(Flaw::Form { kind: PARKED }));
}
