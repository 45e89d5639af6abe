//! What is read back from bytes: everything malformed is refused, by name.

use noise::{EphemeralKey, Fault, Flaw, HalfOpen, IdentityKey, Stored, TransportState};

use crate::dice::Dice;
use crate::parties::{responded, states};

/// The order of the curve: the first number that is not a key.
const ORDER: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";

/// A name, the places that are overwritten, and the flaw that must be found.
type Case<'a> = (&'a str, &'a [(usize, &'a [u8])], Flaw);

fn state_bytes() -> Vec<u8> {
    states().0.export().as_bytes().to_vec()
}

fn half_open_bytes() -> Vec<u8> {
    responded().1.export().as_bytes().to_vec()
}

fn refused(stored: Stored, flaw: Flaw) -> Option<Fault> {
    Some(Fault::Stored { stored, flaw })
}

fn overwritten(mut bytes: Vec<u8>, places: &[(usize, &[u8])]) -> Vec<u8> {
    for (at, new) in places {
        bytes[*at..*at + new.len()].copy_from_slice(new);
    }
    bytes
}

#[test]
fn a_state_that_contradicts_itself_is_refused() {
    let good = state_bytes();
    let (sk, rk) = (&good[1..33], &good[67..99]);
    let zeros = |field| Flaw::Zeros { field };
    let equal = |one, other| Flaw::Equal { one, other };
    let nonce = |field, got| Flaw::Nonce { field, got, max: 999 };
    let cases: &[Case] = &[
        ("version 0", &[(0, &[0])], Flaw::Version { got: 0, want: 1 }),
        ("version 2", &[(0, &[2])], Flaw::Version { got: 2, want: 1 }),
        ("sk wiped", &[(1, &[0; 32])], zeros("sk")),
        ("sck wiped", &[(33, &[0; 32])], zeros("sck")),
        ("rk wiped", &[(67, &[0; 32])], zeros("rk")),
        ("rck wiped", &[(99, &[0; 32])], zeros("rck")),
        ("one key both ways", &[(67, sk)], equal("sk", "rk")),
        ("sk is sck", &[(33, sk)], equal("sk", "sck")),
        ("sk is rck", &[(99, sk)], equal("sk", "rck")),
        ("rk is sck", &[(33, rk)], equal("rk", "sck")),
        ("rk is rck", &[(99, rk)], equal("rk", "rck")),
        ("sn not rotated", &[(65, &[3, 232])], nonce("sn", 1_000)),
        ("sn far away", &[(65, &[255, 255])], nonce("sn", 65_535)),
        ("rn not rotated", &[(131, &[3, 232])], nonce("rn", 1_000)),
        ("rn not rotated, odd", &[(131, &[3, 233]), (133, &[0, 9])], nonce("rn", 1_001)),
        ("half a message sent", &[(65, &[0, 1])], Flaw::OddSend { sn: 1 }),
        ("half a message sent", &[(65, &[3, 231])], Flaw::OddSend { sn: 999 }),
        ("no length", &[(131, &[0, 1])], Flaw::NoPending { rn: 1, pending: 0 }),
        ("length 1", &[(131, &[3, 231]), (134, &[1])], Flaw::NoPending { rn: 999, pending: 1 }),
        ("no header", &[(133, &[0, 5])], Flaw::StrayPending { rn: 0, pending: 5 }),
        (
            "no header",
            &[(131, &[3, 230, 255, 255])],
            Flaw::StrayPending { rn: 998, pending: 65_535 },
        ),
    ];
    for (name, places, want) in cases {
        let got = TransportState::import(&overwritten(good.clone(), places)).err();
        assert_eq!(got, refused(Stored::TransportState, *want), "{name}");
    }
    let good_ones: [&[(usize, &[u8])]; 4] = [
        &[],
        &[(65, &[3, 230])],
        &[(131, &[3, 231]), (133, &[0, 2])],
        &[(131, &[0, 1]), (133, &[255, 255])],
    ];
    for places in good_ones {
        let bytes = overwritten(good.clone(), places);
        let state = TransportState::import(&bytes).ok().unwrap();
        assert_eq!(state.export().as_bytes().as_slice(), bytes, "{places:?}");
    }
}

#[test]
fn a_half_open_that_cannot_be_is_refused() {
    let good = half_open_bytes();
    let order: &[u8] = &crate::vectors::bytes(ORDER);
    let zeros = |field| Flaw::Zeros { field };
    let cases: &[Case] = &[
        ("version", &[(0, &[7])], Flaw::Version { got: 7, want: 1 }),
        ("ck wiped", &[(1, &[0; 32])], zeros("ck")),
        ("h wiped", &[(33, &[0; 32])], zeros("h")),
        ("temp_k2 wiped", &[(65, &[0; 32])], zeros("temp_k2")),
        ("e wiped", &[(97, &[0; 32])], Flaw::Scalar),
        ("e is the order", &[(97, order)], Flaw::Scalar),
        ("e is beyond it", &[(97, &[255; 32])], Flaw::Scalar),
        ("ck is temp_k2", &[(65, &good[1..33])], Flaw::Equal { one: "ck", other: "temp_k2" }),
    ];
    for (name, places, want) in cases {
        let got = HalfOpen::import(&overwritten(good.clone(), places)).err();
        assert_eq!(got, refused(Stored::HalfOpen, *want), "{name}");
    }
    let back = HalfOpen::import(&good).ok().unwrap().export();
    assert_eq!(back.as_bytes().as_slice(), good);
}

#[test]
fn every_other_length_is_refused_with_both_numbers() {
    for got in (0..300).chain([65_536, 1 << 20]) {
        let bytes = vec![1; got];
        if got != noise::STATE_BYTES {
            let want = refused(Stored::TransportState, Flaw::Length { got, want: 135 });
            assert_eq!(TransportState::import(&bytes).err(), want);
        }
        if got != noise::HALF_OPEN_BYTES {
            let want = refused(Stored::HalfOpen, Flaw::Length { got, want: 129 });
            assert_eq!(HalfOpen::import(&bytes).err(), want);
        }
    }
}

#[test]
fn a_key_that_is_no_number_of_the_curve_is_refused_and_wiped() {
    for bad in [[0; 32], [0xff; 32], crate::vectors::array(ORDER)] {
        let mut bytes = bad;
        let fault = IdentityKey::take(&mut bytes).err();
        assert_eq!(fault, refused(Stored::IdentityKey, Flaw::Scalar));
        assert_eq!(bytes, [0; 32]);
        let mut bytes = bad;
        let fault = EphemeralKey::take(&mut bytes).err();
        assert_eq!(fault, refused(Stored::EphemeralKey, Flaw::Scalar));
        assert_eq!(bytes, [0; 32]);
    }
    let mut good = [0x11; 32];
    IdentityKey::take(&mut good).ok().unwrap();
    assert_eq!(good, [0; 32], "the caller's copy is gone");
}

#[test]
fn random_bytes_never_panic_and_what_is_accepted_is_canonical() {
    let mut dice = Dice::new(8);
    for _ in 0..2_000 {
        let mut bytes = dice.bytes(noise::STATE_BYTES);
        // Random nonces are nearly always too great; half of the tries get a chance.
        bytes[0] = 1;
        if dice.below(2) == 0 {
            (bytes[65], bytes[131]) = (0, 3);
        }
        if let Ok(state) = TransportState::import(&bytes) {
            assert_eq!(state.export().as_bytes().as_slice(), bytes);
        }
        let mut bytes = dice.bytes(noise::HALF_OPEN_BYTES);
        bytes[0] = 1;
        if let Ok(half_open) = HalfOpen::import(&bytes) {
            assert_eq!(half_open.export().as_bytes().as_slice(), bytes);
        }
    }
}
