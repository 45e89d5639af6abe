//! What a signer remembers of its channels, as bytes: the sum of each, and behind them all changes
//! one after the other.
//!
//! The sum is `version (1 byte, 3) | network (1) | name of the keys (16) | epoch of the lease (8) |
//! channels (4) | each behind its length (4) | hours (4) | each since 1970 (4), and what has left
//! in it (8) | checksum (4)`. Version 2 had neither epoch nor hours: there are none then.
//!
//! What is saved together is `length of its body with all bits the other way (4) | the length (4) |
//! body | checksum (4)`, and its body changes, each `length (BigSize) | channel (32) | change`:
//! those that could wait, and behind them the one that could not. `saved.rs` says what stands in
//! both. A checksum is the beginning of the SHA-256 of all before it: from the file's first byte
//! for the sum, from its own first byte for what is saved together.
//!
//! The last change is left out if a crash has cut it: the file ends too early, or one of its
//! sectors is empty since the file had grown before its bytes came, and behind it there is nothing
//! but zeros: room for more, which a file may have at any time. Nobody was told of it. All
//! else is damage, and refused with its place, in the last change as well: it may have been
//! answered, and a signer that forgets an answer could give another one. Hence a length stands
//! there twice: a wrong one would make all behind it look cut.
//!
//! It cannot be seen that a file is an older one. Whoever puts that back lets the signer sign
//! twice.

use std::fmt;
use std::mem::take;

use bitcoin::Network;
use wire::amount::Msat;
use wire::fault::Broke;
use wire::id::ChannelKey;
use wire::lease::LeaseEpoch;
use wire::reader::Reader;
use wire::saved::{self, ChangeFault};

use super::day::HOURS_MAX;
use super::keys::NAME_BYTES;
use super::saved::{read_change, read_lease, read_memory, write_change, write_lease, write_memory};
use super::{CHANNELS_MAX, ChannelChange, Channels};
use crate::journal::{CHECKSUM_BYTES, checksum, number};

/// The layout that is written.
pub const CHANNELS_VERSION: u8 = 3;
/// One that is read, too: without the epoch of a lease, and without hours.
const VERSION_BEFORE: u8 = 2;

const HEAD_BYTES: usize = 8;
/// A disk writes so many bytes or none.
const SECTOR_BYTES: usize = 512;

/// Why what was saved of channels is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelsFault {
    /// The layout has an unknown version.
    Version {
        /// The version.
        got: u8,
        /// The one we know.
        want: u8,
    },
    /// It is of another network, or of none.
    Network {
        /// Its number.
        got: u8,
        /// The number of ours.
        want: u8,
    },
    /// It is of another node.
    Keys {
        /// The name of its keys.
        got: [u8; NAME_BYTES],
        /// The name of ours.
        want: [u8; NAME_BYTES],
    },
    /// It was cut.
    Broke(Broke),
    /// There are too many channels.
    TooMany {
        /// How many.
        got: usize,
        /// The most there may be.
        max: usize,
    },
    /// Bytes are not those that were written.
    Checksum {
        /// Where they begin.
        at: usize,
        /// What stands behind them.
        got: [u8; 4],
        /// What must.
        want: [u8; 4],
    },
    /// The length of a change is not that which was written.
    Length {
        /// Where the change begins.
        at: usize,
        /// The length.
        got: u32,
        /// The same, from where it stands for the second time.
        again: u32,
    },
    /// A channel, or a change of one, cannot be.
    Channel {
        /// Where it begins.
        at: usize,
        /// Why.
        fault: ChangeFault,
    },
}

/// How much of the bytes is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestoredChannels {
    /// Bytes of the sum.
    pub sum_bytes: usize,
    /// Bytes that are whole. What is behind them was being written in a crash.
    pub bytes: usize,
}

impl Channels {
    /// The sum of all changes.
    pub fn encode(&self, network: Network) -> Vec<u8> {
        let mut to = vec![CHANNELS_VERSION, number(network)];
        to.extend(self.keys.name());
        to.extend(self.lease.0.to_be_bytes());
        to.extend(count(self.memory.len()));
        for (channel, memory) in &self.memory {
            let bytes = write_memory(channel, memory);
            to.extend(count(bytes.len()));
            to.extend(bytes);
        }
        to.extend(count(self.day.hours.len()));
        for (hour, amount) in &self.day.hours {
            to.extend(hour.to_be_bytes());
            to.extend(amount.0.to_be_bytes());
        }
        to.extend(checksum(&to));
        to
    }

    /// The bytes that are saved of a change that is not taken in yet, and of all that waited for
    /// it, behind those that were saved before.
    pub fn encode_change(&self, channel: &ChannelKey, change: &ChannelChange) -> Vec<u8> {
        self.encode_with(self.encode_one(channel, change))
    }

    /// The same of a lease that is not taken yet.
    pub fn encode_lease(&self, epoch: LeaseEpoch) -> Vec<u8> {
        self.encode_with(write_lease(epoch))
    }

    fn encode_with(&self, newest: Vec<u8>) -> Vec<u8> {
        let body = saved::join(self.late.iter().cloned().chain([newest]));
        let len = u32::try_from(body.len()).expect("questions are shorter, and few can wait");
        let mut to = Vec::with_capacity(HEAD_BYTES + body.len() + CHECKSUM_BYTES);
        to.extend((!len).to_be_bytes());
        to.extend(len.to_be_bytes());
        to.extend(body);
        to.extend(checksum(&to));
        to
    }

    pub(super) fn encode_one(&self, channel: &ChannelKey, change: &ChannelChange) -> Vec<u8> {
        let mut to = channel.0.to_vec();
        to.extend(write_change(change, self.memory.get(channel)));
        to
    }

    /// Takes what was saved on this network and with the same keys, and nothing else. If it is
    /// refused, nothing has changed.
    pub fn restore(
        &mut self,
        bytes: &[u8],
        network: Network,
    ) -> Result<RestoredChannels, ChannelsFault> {
        let had = (take(&mut self.memory), take(&mut self.lease), take(&mut self.day));
        let read = self.read_all(bytes, network);
        match read {
            Ok(_) => self.late.clear(),
            Err(_) => (self.memory, self.lease, self.day) = had,
        }
        read
    }

    fn read_all(
        &mut self,
        bytes: &[u8],
        network: Network,
    ) -> Result<RestoredChannels, ChannelsFault> {
        let sum_bytes = self.read_sum(bytes, network)?;
        let mut at = sum_bytes;
        while let Some(end) = end_of_change(bytes, at)? {
            self.read_changes(&bytes[at + HEAD_BYTES..end - CHECKSUM_BYTES], at)?;
            at = end;
        }
        Ok(RestoredChannels { sum_bytes, bytes: at })
    }

    /// Where the sum ends.
    fn read_sum(&mut self, bytes: &[u8], network: Network) -> Result<usize, ChannelsFault> {
        let mut from = Reader::new(bytes);
        let [version] = *from.array()?;
        if ![VERSION_BEFORE, CHANNELS_VERSION].contains(&version) {
            return Err(ChannelsFault::Version { got: version, want: CHANNELS_VERSION });
        }
        let ([got], want) = (*from.array()?, number(network));
        if got != want {
            return Err(ChannelsFault::Network { got, want });
        }
        let (got, want) = (*from.array()?, self.keys.name());
        if got != want {
            return Err(ChannelsFault::Keys { got, want });
        }
        if version != VERSION_BEFORE {
            self.lease = LeaseEpoch(u64::from_be_bytes(*from.array()?));
        }
        let (all, max) = (read_count(&mut from)?, CHANNELS_MAX);
        if all > max {
            return Err(ChannelsFault::TooMany { got: all, max });
        }
        let mut parts = Vec::new();
        for _ in 0..all {
            let at = bytes.len() - from.len();
            let len = read_count(&mut from)?;
            parts.push((at, from.take(len)?));
        }
        let hours = if version == VERSION_BEFORE { 0 } else { read_count(&mut from)? };
        if hours > HOURS_MAX {
            return Err(ChannelsFault::TooMany { got: hours, max: HOURS_MAX });
        }
        for _ in 0..hours {
            let (hour, amount) = (*from.array()?, *from.array()?);
            let hour = u32::from_be_bytes(hour);
            self.day.hours.insert(hour, Msat(u64::from_be_bytes(amount)));
        }
        let end = bytes.len() - from.len();
        check(bytes, 0, end)?;
        for (at, part) in parts {
            let read = read_memory(part, &self.templates);
            let (channel, memory) = read.map_err(|fault| ChannelsFault::Channel { at, fault })?;
            self.memory.insert(channel, memory);
        }
        Ok(end + CHECKSUM_BYTES)
    }

    /// Its checksum is right, so it is what was written behind what is there.
    fn read_changes(&mut self, body: &[u8], at: usize) -> Result<(), ChannelsFault> {
        for bytes in saved::split(body)? {
            let mut from = Reader::new(bytes);
            let channel = ChannelKey(*from.array()?);
            let rest = from.rest();
            let lease = read_lease(rest);
            if let Some(epoch) = lease.map_err(|fault| ChannelsFault::Channel { at, fault })? {
                self.lease = epoch;
                continue;
            }
            let before = self.memory.get(&channel);
            let change = read_change(rest, before, &self.templates)
                .map_err(|fault| ChannelsFault::Channel { at, fault })?;
            if let Some(change) = change {
                self.fold(channel, &change);
            }
        }
        Ok(())
    }
}

/// Where the change ends that begins here; nothing if there is none, or only a part of one.
fn end_of_change(bytes: &[u8], at: usize) -> Result<Option<usize>, ChannelsFault> {
    let Some([again, got]) = head(bytes, at) else { return Ok(None) };
    if got != !again {
        let is_cut = has_hole(bytes, at, at + HEAD_BYTES) && !has_head(&bytes[at + 1..]);
        let damaged = ChannelsFault::Length { at, got, again: !again };
        return if is_cut { Ok(None) } else { Err(damaged) };
    }
    let body = usize::try_from(got).unwrap_or(usize::MAX);
    let end = body.saturating_add(at + HEAD_BYTES + CHECKSUM_BYTES);
    if end > bytes.len() {
        return Ok(None);
    }
    match check(bytes, at, end - CHECKSUM_BYTES) {
        Ok(()) => Ok(Some(end)),
        Err(_) if is_room(&bytes[end..]) && has_hole(bytes, at, end) => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// The two lengths in front of a change.
fn head(bytes: &[u8], at: usize) -> Option<[u32; 2]> {
    let (head, _) = bytes.get(at..)?.split_first_chunk::<HEAD_BYTES>()?;
    let (halves, _) = head.as_chunks::<4>();
    Some([0, 1].map(|half| u32::from_be_bytes(halves[half])))
}

/// Whether a change begins anywhere here: then what is before it was never the end.
fn has_head(bytes: &[u8]) -> bool {
    (0..bytes.len()).any(|at| head(bytes, at).is_some_and(|[again, got]| got == !again))
}

/// Whether nothing stands there: a file may have room behind its last change.
fn is_room(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

/// Whether all that lies there of one sector is empty.
fn has_hole(bytes: &[u8], from: usize, to: usize) -> bool {
    let mut at = from;
    while at < to {
        let end = to.min((at / SECTOR_BYTES + 1) * SECTOR_BYTES);
        if bytes[at..end].iter().all(|byte| *byte == 0) {
            return true;
        }
        at = end;
    }
    false
}

/// Whether the checksum at `end` is that of the bytes from `at` on.
fn check(bytes: &[u8], at: usize, end: usize) -> Result<(), ChannelsFault> {
    let got = *Reader::new(&bytes[end..]).array()?;
    let want = checksum(&bytes[at..end]);
    if got == want { Ok(()) } else { Err(ChannelsFault::Checksum { at, got, want }) }
}

fn count(number: usize) -> [u8; 4] {
    u32::try_from(number).expect("`CHANNELS_MAX` is less, and what is saved of each").to_be_bytes()
}

fn read_count(from: &mut Reader<'_>) -> Result<usize, Broke> {
    Ok(usize::try_from(u32::from_be_bytes(*from.array()?)).unwrap_or(usize::MAX))
}

impl From<Broke> for ChannelsFault {
    fn from(broke: Broke) -> ChannelsFault {
        ChannelsFault::Broke(broke)
    }
}

impl std::error::Error for ChannelsFault {}

impl fmt::Display for ChannelsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChannelsFault::Version { got, want } => {
                write!(f, "channels of version {got}, only {want} is known")
            }
            ChannelsFault::Network { got, want } => {
                write!(f, "channels of network number {got}, not {want}")
            }
            ChannelsFault::Keys { got, want } => {
                write!(f, "channels of another node: its keys are {got:02x?}, ours {want:02x?}")
            }
            ChannelsFault::Broke(broke) => broke.fmt(f),
            ChannelsFault::TooMany { got, max } => write!(f, "{got} channels, {max} at most"),
            ChannelsFault::Checksum { at, got, want } => {
                write!(f, "the bytes from {at} on have the checksum {want:02x?}, not {got:02x?}")
            }
            ChannelsFault::Length { at, got, again } => {
                write!(f, "the change at {at} has {got} bytes, and {again} as well")
            }
            ChannelsFault::Channel { at, fault } => write!(f, "at {at}: {fault}"),
        }
    }
}
