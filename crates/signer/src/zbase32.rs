//! z-base-32, five bits to a character, for the one length that message signatures have.

use crate::fault::SignatureFault;
use crate::message::{SIGNATURE_BYTES, SIGNATURE_CHARS};

const ALPHABET: &[u8; 32] = b"ybndrfg8ejkmcpqxot1uwisza345h769";

// Whole groups of 5 bytes and 8 characters: no bits are left over that could be anything but zero.
const _: () = assert!(SIGNATURE_BYTES.is_multiple_of(5));
const _: () = assert!(SIGNATURE_CHARS * 5 == SIGNATURE_BYTES * 8);

pub(crate) fn encode(bytes: &[u8; SIGNATURE_BYTES]) -> String {
    let (groups, _) = bytes.as_chunks::<5>();
    let groups = groups.iter().flat_map(|group| {
        let bits = group.iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte));
        (0..8).map(move |at| char::from(ALPHABET[(bits >> (35 - 5 * at)) as usize % 32]))
    });
    groups.collect()
}

/// Characters are checked before their number: a slip of the pen is named where it is.
pub(crate) fn decode(text: &str) -> Result<[u8; SIGNATURE_BYTES], SignatureFault> {
    let mut bytes = [0; SIGNATURE_BYTES];
    let (mut bits, mut got) = (0u64, 0);
    for (at, char) in text.chars().enumerate() {
        let value = ALPHABET.iter().position(|listed| char::from(*listed) == char);
        bits = bits << 5 | value.ok_or(SignatureFault::Character { char, at })? as u64;
        got += 1;
        if got % 8 == 0
            && let Some(group) = bytes.chunks_mut(5).nth(got / 8 - 1)
        {
            group.copy_from_slice(&bits.to_be_bytes()[3..]);
        }
    }
    match got {
        SIGNATURE_CHARS => Ok(bytes),
        got => Err(SignatureFault::Length { got, want: SIGNATURE_CHARS }),
    }
}
