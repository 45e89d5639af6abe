//! Real chance: for names of folders and for cookies.

use crate::fault::Fault;

/// Bytes that nobody can guess.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], Fault> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Fault::Dice)?;
    Ok(bytes)
}

/// A number that nobody else has.
pub(crate) fn number() -> Result<u64, Fault> {
    Ok(u64::from_be_bytes(bytes()?))
}
