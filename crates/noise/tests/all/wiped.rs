//! Secrets are gone from memory once dropped: from the value's own place and from the heap.

// Looking at memory whose value is gone is what this test is about.
#![allow(unsafe_code)]

use std::hint::black_box;
use std::mem::{MaybeUninit, size_of};

use noise::{EphemeralKey, HalfOpen, IdentityKey, SecretBytes, Transport, TransportState};

use crate::heap::{Needle, found_in_freed_blocks};
use crate::parties::{Split, dialed, ephemeral, identity, responded, states, transports};
use crate::vectors::{
    ACT1, ACT2, ACT3, INITIATOR_EPHEMERAL, INITIATOR_KEY, RESPONDER_EPHEMERAL, RESPONDER_KEY, array,
};

/// Eight bytes out of the middle and from the ends of every secret in the vectors' handshake.
const NEEDLES: &[Needle] = &[
    // The private keys.
    [0x11; 8],
    [0x12; 8],
    [0x21; 8],
    [0x22; 8],
    // `ck` after acts one, two and three.
    [0xb6, 0x1e, 0xc1, 0x19, 0x13, 0x26, 0xfa, 0x24],
    [0x31, 0x24, 0x1e, 0x11, 0xad, 0x64, 0xed, 0x89],
    [0xe8, 0x9d, 0x31, 0x03, 0x3a, 0x1b, 0x6b, 0xf6],
    [0x95, 0x28, 0x59, 0x8c, 0xcb, 0x4e, 0xe2, 0xc8],
    [0x91, 0x92, 0x19, 0xdb, 0xb2, 0x92, 0x0a, 0xfa],
    [0x9a, 0xf9, 0xab, 0x4b, 0xe7, 0x16, 0xe4, 0x2b],
    // `temp_k2`.
    [0x90, 0x8b, 0x16, 0x65, 0x35, 0xc0, 0x1a, 0x93],
    [0x5d, 0x87, 0xe9, 0xb7, 0x58, 0x1c, 0x4a, 0xb6],
    // `sk` and `rk`.
    [0x96, 0x9a, 0xb3, 0x1b, 0x4d, 0x28, 0x8c, 0xed],
    [0xf0, 0x1b, 0xf5, 0xc0, 0x44, 0x35, 0xd4, 0x35],
    [0xbb, 0x90, 0x20, 0xb8, 0x96, 0x5f, 0x4d, 0xf0],
    [0xdb, 0x35, 0x09, 0x6b, 0x9e, 0xa8, 0xfa, 0x5c],
    // The first key after a rotation of `sk`.
    [0x3f, 0xbd, 0xc1, 0x01, 0xab, 0xd1, 0x13, 0x2c],
];

/// Writes a value into memory of the test, drops it there, and counts what is left of secrets,
/// there and in the heap blocks that it freed.
fn left_after_drop<T>(make: impl FnOnce() -> T) -> usize {
    let mut memory = Box::new(MaybeUninit::<T>::zeroed());
    memory.write(make());
    let freed = found_in_freed_blocks(NEEDLES, || {
        // SAFETY: the value has just been written, and is not used again.
        unsafe { memory.assume_init_drop() };
    });
    freed + found_in_freed_blocks(NEEDLES, || drop(black_box(memory)))
}

/// Holds secrets as a careless type would.
struct Careless {
    inline: [u8; 32],
    boxed: Box<[u8; 32]>,
}

#[test]
fn the_test_itself_sees_what_is_left() {
    let careless = || Careless { inline: RESPONDER_KEY, boxed: Box::new(INITIATOR_KEY) };
    assert_eq!(left_after_drop(careless), 2 * 25);
    assert_eq!(careless().inline[0], careless().boxed[0] + 0x10);
}

#[test]
fn dropped_secrets_are_gone() {
    assert_eq!(left_after_drop(|| identity(INITIATOR_KEY)), 0, "IdentityKey");
    assert_eq!(left_after_drop(|| ephemeral(INITIATOR_EPHEMERAL)), 0, "EphemeralKey");
    assert_eq!(left_after_drop(|| dialed().0), 0, "Dial");
    assert_eq!(left_after_drop(|| responded().1), 0, "HalfOpen");
    assert_eq!(left_after_drop(|| responded().2), 0, "Verifier");
    assert_eq!(left_after_drop(|| responded().1.export()), 0, "SecretBytes<129>");
    assert_eq!(left_after_drop(|| states().0), 0, "TransportState");
    assert_eq!(left_after_drop(|| states().0.export()), 0, "SecretBytes<135>");
    assert_eq!(left_after_drop(|| transports().1), 0, "Transport");
}

#[test]
fn no_freed_block_of_a_connections_life_holds_a_secret() {
    let (act2, acts13) = (array::<50>(ACT2), [&array::<50>(ACT1)[..], &array::<66>(ACT3)].concat());
    let found = found_in_freed_blocks(NEEDLES, || {
        let (mut one, mut two) = (Split::initiator(), Split::responder());
        one.feed(&act2, 7).unwrap();
        two.feed(&acts13, 7).unwrap();
        let (one_done, two_done) = (one.done.take().unwrap().1, two.done.take().unwrap().1);
        let mut one_end = Transport::from(one_done);
        let two_end = Transport::from(two_done);
        // Past a rotation, so that old keys are forgotten, and over to another owner.
        let mut wire = Vec::with_capacity(600 * 40);
        for _ in 0..600 {
            one_end.encrypt(b"hello", &mut wire).unwrap();
        }
        for end in [one_end, two_end] {
            let bytes = Box::new(end.into_state().ok().unwrap().export());
            drop(Transport::from(TransportState::import(bytes.as_bytes()).ok().unwrap()));
        }
        let carried = Box::new(responded().1.export());
        drop(HalfOpen::import(carried.as_bytes()));
    });
    assert_eq!(found, 0);
}

#[test]
fn refused_secrets_are_gone_too() {
    let mut bytes = Box::new(array::<129>(&format!("01{}", "11".repeat(128))));
    let found = found_in_freed_blocks(NEEDLES, || {
        // `ck` and `temp_k2` are equal.
        assert!(HalfOpen::import(bytes.as_slice()).is_err());
    });
    assert_eq!(found, 0);
    bytes.fill(0);
}

#[test]
fn a_taken_key_is_not_left_with_the_caller() {
    let mut bytes = INITIATOR_KEY;
    let key = IdentityKey::take(&mut bytes).ok().unwrap();
    assert_eq!(bytes, [0; 32]);
    assert_eq!(key.public(), identity(INITIATOR_KEY).public());
    let mut bytes = RESPONDER_EPHEMERAL;
    EphemeralKey::take(&mut bytes).ok().unwrap();
    assert_eq!(bytes, [0; 32]);
}

#[test]
fn what_travels_is_a_pointer_so_that_a_move_leaves_nothing_behind() {
    let pointer = size_of::<usize>();
    assert_eq!(size_of::<EphemeralKey>(), pointer);
    assert_eq!(size_of::<noise::keyholder::Dial>(), pointer);
    assert_eq!(size_of::<HalfOpen>(), pointer);
    assert_eq!(size_of::<noise::Verifier>(), pointer);
    assert_eq!(size_of::<TransportState>(), pointer);
    assert_eq!(size_of::<Transport>(), pointer);
    // Secrets beside a public key, and on their way out.
    assert_eq!(size_of::<IdentityKey>(), pointer + size_of::<noise::PublicKey>());
    assert_eq!(size_of::<SecretBytes<135>>(), 135);
}
