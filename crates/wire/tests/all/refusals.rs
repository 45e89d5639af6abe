//! Bad input, one row each: the refusal names the place and the numbers.

use wire::{Broke, Fault, Message, key::NodeId, list::Alias};

use crate::support::{hex, samples};

fn refusal(bytes: &str) -> Fault {
    Message::decode(&hex(bytes)).expect_err("it must be refused")
}

fn in_field(message: &'static str, field: &'static str, broke: Broke) -> Fault {
    Fault::Field { message, field, broke }
}

fn all_refused(rows: &[(&str, String, Fault)]) {
    for (name, bytes, fault) in rows {
        assert_eq!(refusal(bytes), *fault, "{name}");
    }
}

#[test]
fn bad_fields() {
    let channel = "11".repeat(32);
    let zeros = "00".repeat(32);
    let no_point: Box<[u8; 33]> =
        hex(&format!("02{}", "00".repeat(32))).try_into().expect("33 bytes");
    let order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
    let rows = [
        ("nothing", String::new(), Fault::NoType { have: 0 }),
        ("half a type", "00".into(), Fault::NoType { have: 1 }),
        ("unknown even", "7ffe".into(), Fault::UnknownEven { message_type: 0x7ffe }),
        (
            "a channel id cut",
            "0011 1111".into(),
            in_field("error", "channel_id", Broke::Short { need: 32, have: 2 }),
        ),
        (
            "a length that lies",
            format!("0011 {channel} 0005 4142"),
            in_field("error", "data", Broke::Short { need: 5, have: 2 }),
        ),
        (
            "trailing bytes that are no records",
            "0012 0000 0000 00".into(),
            in_field("ping", "extension", Broke::Short { need: 1, have: 0 }),
        ),
        (
            "a point that is none",
            format!("0024 {channel} {}", wire::Hex(no_point.as_slice())),
            in_field(
                "channel_ready",
                "second_per_commitment_point",
                Broke::NotOnCurve { bytes: no_point },
            ),
        ),
        (
            "r too large",
            format!("0023 {channel} {order} {zeros}"),
            in_field("funding_signed", "signature", Broke::SignatureOverflow { half: 'r' }),
        ),
        (
            "s too large",
            format!("0023 {channel} {zeros} {order}"),
            in_field("funding_signed", "signature", Broke::SignatureOverflow { half: 's' }),
        ),
        (
            "neither 0 nor 1",
            format!("0002 {channel} 02"),
            in_field("stfu", "initiator", Broke::NotBool { got: 2 }),
        ),
    ];
    all_refused(&rows);
}

#[test]
fn bad_records() {
    let channel = "11".repeat(32);
    let rows = [
        (
            "a record that is not filled",
            format!(
                "0024 {channel} 02{} 01 09 {}",
                "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
                "00".repeat(9)
            ),
            in_field("channel_ready", "short_channel_id", Broke::Trailing { bytes: 1 }),
        ),
        (
            "two thirds of a chain hash",
            format!("0010 0000 0000 01 15 {}", "00".repeat(21)),
            in_field("init", "networks", Broke::NotWhole { bytes: 21, unit: 32 }),
        ),
        (
            "an address of no known type",
            "0010 0000 0000 03 03 09 0000".into(),
            in_field("init", "remote_addr", Broke::UnknownAddress { got: 9 }),
        ),
        (
            "a host name with a space",
            "0010 0000 0000 03 07 05 03 612062 0001".into(),
            in_field("init", "remote_addr", Broke::NotInHostname { byte: b' ', at: 1 }),
        ),
        (
            "a host name that is not UTF-8",
            "0010 0000 0000 03 06 05 02 c328 0001".into(),
            in_field("init", "remote_addr", Broke::NotInHostname { byte: 0xc3, at: 0 }),
        ),
    ];
    all_refused(&rows);
}

#[test]
fn bad_lists() {
    let zeros = "00".repeat(32);
    let rows = [
        (
            "a compressed list",
            format!("0105 {zeros} 0001 01"),
            in_field(
                "query_short_channel_ids",
                "encoded_short_ids",
                Broke::UnknownEncoding { got: 1, known: 0 },
            ),
        ),
        (
            "half a short channel id",
            format!("0105 {zeros} 0005 00 00000000"),
            in_field(
                "query_short_channel_ids",
                "encoded_short_ids",
                Broke::NotWhole { bytes: 4, unit: 8 },
            ),
        ),
        (
            "a query flag that is too long",
            format!("0105 {zeros} 0001 00 01 04 00 fd00fc"),
            in_field(
                "query_short_channel_ids",
                "query_flags",
                Broke::NotMinimal { value: 0xfc, took: 3, enough: 1 },
            ),
        ),
    ];
    all_refused(&rows);
}

#[test]
fn refusals_read_as_sentences() {
    let rows = [
        ("7ffe", "unknown even message type 32766"),
        ("0011 1111", "error.channel_id: 32 bytes needed, 2 left"),
        ("0010 0000 0000 ca00", "init.extension: unknown even record 202"),
        ("0010 0000 0000 c900 05 00", "init.extension: record 5 after record 201"),
    ];
    for (bytes, text) in rows {
        assert_eq!(refusal(bytes).to_string(), text);
    }
}

#[test]
fn text_that_is_none() {
    let data = format!("0011 {} 0003 61c328", "11".repeat(32));
    let Ok(Message::Error(error)) = Message::decode(&hex(&data)) else { panic!("an error") };
    assert_eq!(error.data.text(), Err(Broke::NotUtf8 { valid: 1, of: 3 }));

    let mut alias = [0; 32];
    alias[..2].copy_from_slice(&[0xc3, 0x28]);
    assert_eq!(Alias(alias).text(), Err(Broke::NotUtf8 { valid: 0, of: 2 }));
    alias[..6].copy_from_slice("⚡leyden".as_bytes()[..6].try_into().expect("six"));
    assert_eq!(Alias(alias).text(), Ok("⚡ley"));
}

#[test]
fn gossip_keys_are_checked_where_they_are_used() {
    let bytes = [7; 33];
    assert_eq!(NodeId(bytes).point(), Err(Broke::NotOnCurve { bytes: Box::new(bytes) }));
    let (Message::NodeAnnouncement(mut node), _) = samples(1, 8)
        .find(|(message, _)| matches!(message, Message::NodeAnnouncement(_)))
        .expect("one of each")
    else {
        panic!("found by its variant")
    };
    node.node_id = NodeId(bytes);
    let bytes = Message::from(node).encode().expect("it fits");
    assert!(Message::decode(&bytes).is_ok(), "kept and passed on to the byte");
}

#[test]
fn addresses_behind_an_unknown_one_are_kept_unread() {
    let known = "01 7f000001 2607 05 03 612e62 2607";
    let rows = [
        (known.into(), 2),
        (format!("{known} 09 0102"), 2),
        (format!("09 {known}"), 0),
        (format!("04 {} 2607", "00".repeat(35)), 1),
    ];
    for (addresses, count) in rows {
        let list = hex(&addresses);
        let head = format!(
            "0101 {} 0000 00000001 {} 000000 {} {:04x}",
            "00".repeat(64),
            "02".repeat(33),
            "61".repeat(32),
            list.len()
        );
        let bytes = [hex(&head), list].concat();
        let Ok(Message::NodeAnnouncement(node)) = Message::decode(&bytes) else { panic!("{head}") };
        assert_eq!(node.addresses.iter().count(), count, "{addresses}");
        assert_eq!(Message::from(node).encode(), Ok(bytes));
    }
}
