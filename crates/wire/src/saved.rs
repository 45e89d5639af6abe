//! How changes are saved, the same for every core.
//!
//! A change is a TLV stream of one record. An unknown odd record is one that may be passed over; an
//! unknown even one stops the start, for without it the rest would mean something else. A snapshot
//! is the fewest changes that make the state, each with its length in front.

use core::fmt;

use crate::{bigsize, fault::Broke, reader::Reader, tlv::Records};

/// Why stored bytes are no change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeFault {
    /// A newer version wrote what must not be passed over.
    Newer {
        /// The record.
        record: u64,
    },
    /// The bytes are damaged.
    Damaged(Broke),
    /// A value that means nothing.
    Meaningless {
        /// What it was to be.
        what: &'static str,
        /// What it is.
        got: String,
    },
}

/// The bytes of a change.
pub fn write(record: u64, value: &[u8]) -> Vec<u8> {
    let mut to = Vec::with_capacity(value.len() + 4);
    bigsize::write(record, &mut to);
    bigsize::write(value.len() as u64, &mut to);
    to.extend_from_slice(value);
    to
}

/// Reads a change: `known` reads the value of a record whose number it knows. Nothing if all are of
/// a newer version and may be passed over.
pub fn read<T>(
    bytes: &[u8],
    known: impl Fn(u64, &mut Reader<'_>) -> Result<Option<T>, ChangeFault>,
) -> Result<Option<T>, ChangeFault> {
    let mut records = Records::new(Reader::new(bytes));
    let mut change = None;
    while let Some(record) = records.next_record()? {
        let mut from = Reader::new(record.value);
        match known(record.number, &mut from)? {
            Some(read) => {
                from.end()?;
                change = Some(read);
            }
            None if record.number % 2 == 0 => {
                return Err(ChangeFault::Newer { record: record.number });
            }
            None => {}
        }
    }
    Ok(change)
}

/// A snapshot of these changes.
pub fn join(changes: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut to = Vec::new();
    for change in changes {
        bigsize::write(change.len() as u64, &mut to);
        to.extend_from_slice(&change);
    }
    to
}

/// The changes of a snapshot.
pub fn split(snapshot: &[u8]) -> Result<Vec<&[u8]>, Broke> {
    let mut changes = Vec::new();
    let mut from = Reader::new(snapshot);
    while !from.is_empty() {
        let len = bigsize::read(&mut from)?;
        changes.push(from.take(usize::try_from(len).unwrap_or(usize::MAX))?);
    }
    Ok(changes)
}

impl From<Broke> for ChangeFault {
    fn from(broke: Broke) -> Self {
        Self::Damaged(broke)
    }
}

impl fmt::Display for ChangeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newer { record } => {
                write!(f, "record {record} was saved by a newer version of leyden; use that one")
            }
            Self::Damaged(broke) => write!(f, "a saved change is damaged: {broke}"),
            Self::Meaningless { what, got } => write!(f, "a saved {what} is none: '{got}'"),
        }
    }
}

impl std::error::Error for ChangeFault {}
