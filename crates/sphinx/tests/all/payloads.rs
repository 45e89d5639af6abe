//! What a hop is told, as records.

use sphinx::{
    BadPayload, Culprit, Failure, FinalPayload, ForwardPayload, PayloadFlaw, PaymentData,
    PaymentSecret, RecordAt,
};
use wire::{
    amount::{BlockHeight, Msat},
    dice::Dice,
    fault::Broke,
    id::{PaymentPreimage, Scid},
    list::Blob,
};

use crate::rows::bytes;

const SECRET: &str = "1111111111111111111111111111111111111111111111111111111111111111";
const PREIMAGE: &str = "2222222222222222222222222222222222222222222222222222222222222222";

fn last() -> FinalPayload {
    FinalPayload {
        amt_to_forward: Msat(1_000),
        outgoing_cltv_value: BlockHeight(800_000),
        payment_data: Some(PaymentData {
            payment_secret: PaymentSecret([0x11; 32]),
            total_msat: Msat(5_000),
        }),
        payment_metadata: Some(Blob(vec![1, 2])),
        keysend_preimage: Some(PaymentPreimage([0x22; 32])),
    }
}

#[test]
fn records_stand_as_bolt_4_has_them() {
    let text =
        format!("020203e804030c350008 22{SECRET}1388 10020102 ff0000000146c6616c20{PREIMAGE}");
    let want = bytes(&text.replace(' ', ""));
    assert_eq!(last().encode(), want);
    assert_eq!(FinalPayload::parse(&want), Ok(last()));
    assert_eq!(last().total_msat(), Msat(5_000));
    let short_channel_id = Scid::new(800_000, 7, 1).unwrap();
    let (amt_to_forward, outgoing_cltv_value) = (Msat(0), BlockHeight(0));
    let forward = ForwardPayload { amt_to_forward, outgoing_cltv_value, short_channel_id };
    assert_eq!(forward.encode(), bytes("0200040006080c35000000070001"));
    assert_eq!(ForwardPayload::parse(&forward.encode()), Ok(forward));
}

#[test]
fn any_payload_is_read_as_it_was_written() {
    let mut dice = Dice::new(1);
    for _ in 0..2_000 {
        let amt_to_forward = Msat(dice.number());
        let outgoing_cltv_value = BlockHeight(dice.number() as u32);
        let short_channel_id = Scid(dice.throw());
        let forward = ForwardPayload { amt_to_forward, outgoing_cltv_value, short_channel_id };
        assert_eq!(ForwardPayload::parse(&forward.encode()), Ok(forward));
        let data = PaymentData {
            payment_secret: PaymentSecret(dice.array()),
            total_msat: Msat(dice.number()),
        };
        let last = FinalPayload {
            amt_to_forward,
            outgoing_cltv_value,
            payment_data: dice.one_in(2).then_some(data),
            payment_metadata: dice.one_in(2).then(|| Blob(dice.bytes(1_100))),
            keysend_preimage: dice.one_in(2).then(|| PaymentPreimage(dice.array())),
        };
        assert_eq!(FinalPayload::parse(&last.encode()), Ok(last));
    }
}

fn refused(record: u64, offset: u16, flaw: PayloadFlaw) -> BadPayload {
    BadPayload { at: Some(RecordAt { record, offset }), flaw }
}

#[test]
fn a_final_payload_that_is_none_is_refused_where_it_breaks() {
    let unknown = |record| PayloadFlaw::Broke(Broke::UnknownEvenTlv { record });
    let not_minimal =
        |value, took, enough| PayloadFlaw::Broke(Broke::NotMinimal { value, took, enough });
    let secret = format!("0201010401020821{SECRET}00");
    let trailing = format!("0201010401020829{SECRET}010101010101010101");
    let rows: [(&str, &str, BadPayload); 16] = [
        ("nothing", "", refused(2, 0, PayloadFlaw::Missing)),
        ("no amount", "040101", refused(2, 3, PayloadFlaw::Missing)),
        ("no expiry", "020101", refused(4, 3, PayloadFlaw::Missing)),
        ("a channel", "02010104010106080000000000000001", refused(6, 6, PayloadFlaw::Misplaced)),
        ("unknown even", "0201010401010a00", refused(10, 6, unknown(10))),
        ("unknown even below", "0000", refused(0, 0, unknown(0))),
        ("blinded total", "020101040101120101", refused(18, 6, unknown(18))),
        ("a path key", "0201010401010c00", refused(12, 6, unknown(12))),
        ("padded amount", "02020001040101", refused(2, 0, not_minimal(1, 2, 1))),
        ("padded total", &secret, refused(8, 6, not_minimal(0, 1, 0))),
        (
            "long amount",
            "0209010000000000000000",
            refused(2, 0, PayloadFlaw::Broke(Broke::Trailing { bytes: 1 })),
        ),
        (
            "long expiry",
            "02010104050100000000",
            refused(4, 3, PayloadFlaw::Broke(Broke::Trailing { bytes: 1 })),
        ),
        ("long total", &trailing, refused(8, 6, PayloadFlaw::Broke(Broke::Trailing { bytes: 1 }))),
        (
            "short secret",
            "0201010401010802ffff",
            refused(8, 6, PayloadFlaw::Broke(Broke::Short { need: 32, have: 2 })),
        ),
        ("twice", "020101020101", refused(2, 3, PayloadFlaw::Broke(Broke::TlvTwice { record: 2 }))),
        (
            "in disorder",
            "040101020101",
            refused(2, 3, PayloadFlaw::Broke(Broke::TlvOrder { after: 4, got: 2 })),
        ),
    ];
    for (name, payload, want) in rows {
        assert_eq!(FinalPayload::parse(&bytes(payload)), Err(want), "{name}");
    }
    let cut = BadPayload { at: None, flaw: PayloadFlaw::Broke(Broke::Short { need: 3, have: 1 }) };
    assert_eq!(FinalPayload::parse(&bytes("02010104030c")), Err(cut));
    let long = PayloadFlaw::TooLong { got: 1_266, max: 1_265 };
    assert_eq!(FinalPayload::parse(&[0; 1_266]), Err(BadPayload { at: None, flaw: long }));
}

#[test]
fn a_forwarding_payload_that_is_none_is_refused_where_it_breaks() {
    let data = format!("02010104010106080000000000000001 0820{SECRET}").replace(' ', "");
    let keysend =
        format!("02010104010106080000000000000001 ff0000000146c6616c20{PREIMAGE}").replace(' ', "");
    let rows: [(&str, &str, BadPayload); 5] = [
        ("no channel", "020101040101", refused(6, 6, PayloadFlaw::Missing)),
        ("a secret", &data, refused(8, 16, PayloadFlaw::Misplaced)),
        (
            "metadata",
            "020101040101060800000000000000011000",
            refused(16, 16, PayloadFlaw::Misplaced),
        ),
        ("a preimage", &keysend, refused(5_482_373_484, 16, PayloadFlaw::Misplaced)),
        (
            "short channel id",
            "0201010401010601ff",
            refused(6, 6, PayloadFlaw::Broke(Broke::Short { need: 8, have: 1 })),
        ),
    ];
    for (name, payload, want) in rows {
        assert_eq!(ForwardPayload::parse(&bytes(payload)), Err(want), "{name}");
    }
}

#[test]
fn odd_records_that_nobody_knows_are_skipped() {
    let plain = bytes("02010104010106080000000000000001");
    let more = bytes("0100020101030101040101050006080000000000000001fd012d02ffff");
    assert_eq!(ForwardPayload::parse(&more), ForwardPayload::parse(&plain));
    assert!(ForwardPayload::parse(&more).is_ok());
}

#[test]
fn a_bad_payload_is_answered_with_the_place() {
    let bad = FinalPayload::parse(&bytes("0201010401010a00")).unwrap_err();
    let culprit = Culprit(Some(RecordAt { record: 10, offset: 6 }));
    assert_eq!(bad.failure(), Failure::InvalidOnionPayload { culprit });
    assert_eq!(bad.to_string(), "the payload, record 10 at 6: unknown even record 10");
    let bad = FinalPayload::parse(&[0xfd]).unwrap_err();
    assert_eq!(bad.failure(), Failure::InvalidOnionPayload { culprit: Culprit(None) });
    assert_eq!(bad.to_string(), "the payload: 2 bytes needed, 0 left");
}

#[test]
fn what_pays_is_not_printed() {
    let text = format!("{:?}", last());
    for hidden in ["1111", "17, 17", "2222", "34, 34"] {
        assert!(!text.contains(hidden), "{text}");
    }
    assert!(text.contains("1000 msat"));
}
