//! BOLT 1, appendix B: TLV streams, in the namespaces `n1` and `n2` that it makes up.

use wire::{
    Broke,
    bigsize::{read_truncated, write_truncated},
    id::Scid,
    key::Point,
    reader::Reader,
    tlv::{Extension, Record, Unknown, read_value},
};

use crate::support::hex;

#[derive(Debug, Default, PartialEq)]
struct N1 {
    amount_msat: Option<u64>,
    scid: Option<Scid>,
    node_and_amounts: Option<(String, u64, u64)>,
    cltv_delta: Option<u16>,
}

fn truncated(value: &[u8], max: usize) -> Result<u64, Broke> {
    read_truncated(&mut Reader::new(value), max)
}

fn number<const N: usize>(value: &[u8]) -> Result<[u8; N], Broke> {
    let mut from = Reader::new(value);
    let bytes = *from.array()?;
    from.end()?;
    Ok(bytes)
}

fn node_and_amounts(value: &[u8]) -> Result<(String, u64, u64), Broke> {
    let mut from = Reader::new(value);
    let point = Point::parse(from.array()?)?;
    let one = u64::from_be_bytes(*from.array()?);
    let two = u64::from_be_bytes(*from.array()?);
    from.end()?;
    Ok((point.to_string(), one, two))
}

fn n1(stream: &[u8]) -> Result<N1, Broke> {
    let mut n1 = N1::default();
    Unknown::read(&mut Reader::new(stream), |Record { number: record, value }| {
        match record {
            1 => n1.amount_msat = Some(truncated(value, 8)?),
            2 => n1.scid = Some(read_value(value)?),
            3 => n1.node_and_amounts = Some(node_and_amounts(value)?),
            254 => n1.cltv_delta = Some(u16::from_be_bytes(number(value)?)),
            _ => return Ok::<bool, Broke>(false),
        }
        Ok(true)
    })?;
    Ok(n1)
}

fn n2(stream: &[u8]) -> Result<(Option<u64>, Option<u64>), Broke> {
    let (mut amount_msat, mut cltv_expiry) = (None, None);
    Unknown::read(&mut Reader::new(stream), |Record { number: record, value }| {
        match record {
            0 => amount_msat = Some(truncated(value, 8)?),
            11 => cltv_expiry = Some(truncated(value, 4)?),
            _ => return Ok::<bool, Broke>(false),
        }
        Ok(true)
    })?;
    Ok((amount_msat, cltv_expiry))
}

const NODE: &str = "023da092f6980e58d2c037173180e9a465476026ee50f96695963e8efe436f54eb";

#[test]
fn refused_in_any_namespace() {
    let value_cut = format!("0f fd0201 {}", "00".repeat(256));
    let rows = [
        ("type truncated", "fd", Broke::Short { need: 2, have: 0 }),
        ("type truncated", "fd01", Broke::Short { need: 2, have: 1 }),
        ("type not minimal", "fd0001 00", Broke::NotMinimal { value: 1, took: 3, enough: 1 }),
        ("missing length", "fd0101", Broke::Short { need: 1, have: 0 }),
        ("length truncated", "0f fd", Broke::Short { need: 2, have: 0 }),
        ("length truncated", "0f fd26", Broke::Short { need: 2, have: 1 }),
        ("missing value", "0f fd2602", Broke::Short { need: 0x2602, have: 0 }),
        ("length not minimal", "0f fd0001 00", Broke::NotMinimal { value: 1, took: 3, enough: 1 }),
        ("value truncated", &value_cut, Broke::Short { need: 0x201, have: 256 }),
        ("unknown even", "12 00", Broke::UnknownEvenTlv { record: 0x12 }),
        ("unknown even", "fd0102 00", Broke::UnknownEvenTlv { record: 0x102 }),
        ("unknown even", "fe01000002 00", Broke::UnknownEvenTlv { record: 0x100_0002 }),
        (
            "unknown even",
            "ff0100000000000002 00",
            Broke::UnknownEvenTlv { record: 0x0100_0000_0000_0002 },
        ),
    ];
    for (name, stream, broke) in rows {
        assert_eq!(n1(&hex(stream)), Err(broke.clone()), "n1, {name}");
        assert_eq!(n2(&hex(stream)), Err(broke), "n2, {name}");
    }
}

#[test]
fn refused_in_n1() {
    let not_minimal = |value, took, enough| Broke::NotMinimal { value, took, enough };
    let long = |tail: &str| format!("03 {:02x} {NODE}{tail}", 33 + tail.len() / 2);
    let bad_point = format!("03 31 04{}00000000000000010000000000000002", &NODE[2..]);
    let rows = [
        ("longer than tu64", "01 09 ffffffffffffffffff".into(), Broke::Trailing { bytes: 1 }),
        ("zero in one byte", "01 01 00".into(), not_minimal(0, 1, 0)),
        ("two bytes", "01 02 0001".into(), not_minimal(1, 2, 1)),
        ("three bytes", "01 03 000100".into(), not_minimal(0x100, 3, 2)),
        ("four bytes", "01 04 00010000".into(), not_minimal(0x1_0000, 4, 3)),
        ("five bytes", "01 05 0001000000".into(), not_minimal(0x100_0000, 5, 4)),
        ("six bytes", "01 06 000100000000".into(), not_minimal(0x1_0000_0000, 6, 5)),
        ("seven bytes", "01 07 00010000000000".into(), not_minimal(0x100_0000_0000, 7, 6)),
        ("eight bytes", "01 08 0001000000000000".into(), not_minimal(0x1_0000_0000_0000, 8, 7)),
        ("scid short", "02 07 01010101010101".into(), Broke::Short { need: 8, have: 7 }),
        ("scid long", "02 09 010101010101010101".into(), Broke::Trailing { bytes: 1 }),
        ("node alone", long(""), Broke::Short { need: 8, have: 0 }),
        ("one amount", long("0000000000000001"), Broke::Short { need: 8, have: 0 }),
        ("amount cut", long("000000000000000100000000000001"), Broke::Short { need: 8, have: 7 }),
        (
            "not a point",
            bad_point,
            Broke::NotOnCurve {
                bytes: hex(&format!("04{}", &NODE[2..])).try_into().expect("33 bytes"),
            },
        ),
        ("long", long("0000000000000001000000000000000001"), Broke::Trailing { bytes: 1 }),
        ("delta empty", "fd00fe 00".into(), Broke::Short { need: 2, have: 0 }),
        ("delta short", "fd00fe 01 01".into(), Broke::Short { need: 2, have: 1 }),
        ("delta long", "fd00fe 03 010101".into(), Broke::Trailing { bytes: 1 }),
        ("even 0", "00 00".into(), Broke::UnknownEvenTlv { record: 0 }),
    ];
    for (name, stream, broke) in rows {
        assert_eq!(n1(&hex(&stream)), Err(broke), "{name}");
    }
}

#[test]
fn ignored_in_any_namespace() {
    let streams = ["", "21 00", "fd0201 00", "fd00fd 00", "fd00ff 00", "fe02000001 00"];
    for stream in streams.into_iter().chain(["ff0200000000000001 00"]) {
        assert_eq!(n1(&hex(stream)), Ok(N1::default()), "n1, {stream}");
        assert_eq!(n2(&hex(stream)), Ok((None, None)), "n2, {stream}");
    }
}

#[test]
fn accepted_in_n1() {
    let amounts = [
        ("01 00", 0),
        ("01 01 01", 1),
        ("01 02 0100", 256),
        ("01 03 010000", 65_536),
        ("01 04 01000000", 16_777_216),
        ("01 05 0100000000", 4_294_967_296),
        ("01 06 010000000000", 1_099_511_627_776),
        ("01 07 01000000000000", 281_474_976_710_656),
        ("01 08 0100000000000000", 72_057_594_037_927_936),
    ];
    for (stream, amount) in amounts {
        let want = N1 { amount_msat: Some(amount), ..N1::default() };
        assert_eq!(n1(&hex(stream)), Ok(want), "{stream}");
        let mut written = Vec::new();
        write_truncated(amount, &mut written);
        assert_eq!(written, hex(stream)[2..], "{amount} written");
    }
    let scid = Scid::new(0, 0, 550);
    let want = N1 { scid, ..N1::default() };
    assert_eq!(n1(&hex("02 08 0000000000000226")), Ok(want));
    assert_eq!(scid.expect("it is small").to_string(), "0x0x550");
    let want = N1 { node_and_amounts: Some((NODE.into(), 1, 2)), ..N1::default() };
    let stream = format!("03 31 {NODE}00000000000000010000000000000002");
    assert_eq!(n1(&hex(&stream)), Ok(want));
    let want = N1 { cltv_delta: Some(550), ..N1::default() };
    assert_eq!(n1(&hex("fd00fe 02 0226")), Ok(want));
}

#[test]
fn refused_for_their_order() {
    let order = |after, got| Err(Broke::TlvOrder { after, got });
    let twice = |record| Err(Broke::TlvTwice { record });
    assert_eq!(n1(&hex("02 08 0000000000000226 01 01 2a")), order(2, 1));
    assert_eq!(n1(&hex("02 08 0000000000000231 02 08 0000000000000451")), twice(2));
    assert_eq!(n1(&hex("1f 00 0f 01 2a")), order(31, 15));
    assert_eq!(n1(&hex("1f 00 1f 01 2a")), twice(31));
    let fault = Err(Broke::TlvOrder { after: u64::MAX, got: 0 });
    assert_eq!(n2(&hex("ffffffffffffffffff 00 00 00")), fault);
}

#[test]
fn streams_joined() {
    // "Any appending of an invalid stream to a valid stream should trigger a decoding failure";
    // "any appending of a higher-numbered valid stream to a lower-numbered valid stream should
    // not".
    let valid = ["01 01 01", "02 08 0000000000000226", "1f 00", "fd00fe 02 0226", "fd0201 00"];
    for (at, low) in valid.iter().enumerate() {
        for high in &valid[at + 1..] {
            assert!(n1(&hex(&format!("{low}{high}"))).is_ok(), "{low} | {high}");
            assert!(n1(&hex(&format!("{high}{low}"))).is_err(), "{high} | {low}");
        }
        for invalid in ["fd", "0f fd26", "fe01000002 00", "ff0100000000000002 00"] {
            assert!(n1(&hex(&format!("{low}{invalid}"))).is_err(), "{low} | {invalid}");
        }
    }
}
