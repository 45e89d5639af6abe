//! BOLT 1, appendix A: BigSize.

use wire::{
    Broke,
    bigsize::{read, size, write},
    reader::Reader,
};

use crate::support::hex;

const BOTH_WAYS: &[(&str, u64, &str)] = &[
    ("zero", 0, "00"),
    ("one byte high", 252, "fc"),
    ("two byte low", 253, "fd00fd"),
    ("two byte high", 65_535, "fdffff"),
    ("four byte low", 65_536, "fe00010000"),
    ("four byte high", 4_294_967_295, "feffffffff"),
    ("eight byte low", 4_294_967_296, "ff0000000100000000"),
    ("eight byte high", u64::MAX, "ffffffffffffffffff"),
];

const REFUSED: &[(&str, &str, Broke)] = &[
    ("two byte not canonical", "fd00fc", Broke::NotMinimal { value: 0xfc, took: 3, enough: 1 }),
    (
        "four byte not canonical",
        "fe0000ffff",
        Broke::NotMinimal { value: 0xffff, took: 5, enough: 3 },
    ),
    (
        "eight byte not canonical",
        "ff00000000ffffffff",
        Broke::NotMinimal { value: 0xffff_ffff, took: 9, enough: 5 },
    ),
    ("two byte short read", "fd00", Broke::Short { need: 2, have: 1 }),
    ("four byte short read", "feffff", Broke::Short { need: 4, have: 2 }),
    ("eight byte short read", "ffffffffff", Broke::Short { need: 8, have: 4 }),
    ("one byte no read", "", Broke::Short { need: 1, have: 0 }),
    ("two byte no read", "fd", Broke::Short { need: 2, have: 0 }),
    ("four byte no read", "fe", Broke::Short { need: 4, have: 0 }),
    ("eight byte no read", "ff", Broke::Short { need: 8, have: 0 }),
];

#[test]
fn bigsize_both_ways() {
    for (name, value, bytes) in BOTH_WAYS {
        let mut written = Vec::new();
        write(*value, &mut written);
        assert_eq!(written, hex(bytes), "{name}");
        assert_eq!(size(*value), written.len(), "{name}");
        let mut from = Reader::new(&written);
        assert_eq!(read(&mut from), Ok(*value), "{name}");
        assert!(from.is_empty(), "{name}");
    }
}

#[test]
fn bigsize_refused() {
    for (name, bytes, broke) in REFUSED {
        assert_eq!(read(&mut Reader::new(&hex(bytes))).as_ref(), Err(broke), "{name}");
    }
}
