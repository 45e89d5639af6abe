//! BigSize: the variable-length number of BOLT 1, and the truncated integers of TLV values.

use crate::{fault::Broke, reader::Reader};

/// The longest BigSize.
pub const BIGSIZE_BYTES_MAX: usize = 9;

/// How many bytes `value` takes as a BigSize.
#[inline]
pub const fn size(value: u64) -> usize {
    match value {
        0..0xfd => 1,
        0xfd..0x1_0000 => 3,
        0x1_0000..0x1_0000_0000 => 5,
        _ => 9,
    }
}

/// Appends `value` as a BigSize.
#[inline]
pub fn write(value: u64, to: &mut Vec<u8>) {
    let be = value.to_be_bytes();
    match size(value) {
        1 => to.push(be[7]),
        3 => {
            to.push(0xfd);
            to.extend_from_slice(&be[6..]);
        }
        5 => {
            to.push(0xfe);
            to.extend_from_slice(&be[4..]);
        }
        _ => {
            to.push(0xff);
            to.extend_from_slice(&be);
        }
    }
}

/// Reads a BigSize; refuses one that could have been shorter.
#[inline]
pub fn read(from: &mut Reader<'_>) -> Result<u64, Broke> {
    let [head] = *from.array()?;
    let (value, took) = match head {
        0..=0xfc => return Ok(u64::from(head)),
        0xfd => (u64::from(u16::from_be_bytes(*from.array()?)), 3),
        0xfe => (u64::from(u32::from_be_bytes(*from.array()?)), 5),
        0xff => (u64::from_be_bytes(*from.array()?), 9),
    };
    match size(value) {
        enough if enough == took => Ok(value),
        enough => Err(Broke::NotMinimal { value, took, enough }),
    }
}

/// How many bytes `value` takes as a truncated integer (`tu16`, `tu32`, `tu64`).
#[inline]
pub const fn truncated_size(value: u64) -> usize {
    8 - value.leading_zeros() as usize / 8
}

/// Appends `value` without its leading zero bytes.
#[inline]
pub fn write_truncated(value: u64, to: &mut Vec<u8>) {
    to.extend_from_slice(&value.to_be_bytes()[8 - truncated_size(value)..]);
}

/// Reads all that is left as a truncated integer of at most `max` bytes.
pub fn read_truncated(from: &mut Reader<'_>, max: usize) -> Result<u64, Broke> {
    let bytes = from.take(from.len().min(max))?;
    from.end()?;
    let value = bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
    match truncated_size(value) {
        enough if enough == bytes.len() => Ok(value),
        enough => Err(Broke::NotMinimal { value, took: bytes.len(), enough }),
    }
}
