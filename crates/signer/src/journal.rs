//! A view as bytes: its sum, and behind that its changes one after the other. So what is new costs
//! as much as it is long, and a crash in the middle of it takes nothing else along.
//!
//! The sum is `version (1 byte, 2) | network (1) | height of the first header (4) | headers behind
//! their number (4; 80 bytes each) | proven transactions behind their number (4; id 32, height 4) |
//! checksum (4)`.
//!
//! A change is `length of its body (4) | body | checksum (4)`. The body is `0 | blocks that left
//! (4) | headers that came (80 each)` or `1 | id of a transaction (32) | height of its block (4)`.
//!
//! A checksum is the beginning of the SHA-256 of all before it: from the file's first byte for the
//! sum, from the change's first byte for a change.
//!
//! The last change is left out if it is cut, or its bytes are not those that were written: nobody
//! was told of it. A change before that is never damaged by a crash, so then somebody must look.

use std::fmt;

use bitcoin::block::Header;
use bitcoin::consensus::{deserialize, serialize};
use bitcoin::hashes::{Hash, sha256};
use bitcoin::{Network, Txid};
use chain::{BlockRef, Change, Height};
use wire::fault::Broke;
use wire::reader::Reader;

use crate::checkpoint::{Checkpoint, HEIGHT_MAX};
use crate::view::{VIEW_BLOCKS_MAX, VIEW_HEADERS_MAX, VIEW_PROVEN_MAX, View, ViewChange};

/// The layout that is written, and the only one that is read.
pub const VIEW_VERSION: u8 = 2;

/// Bytes of a header.
pub(crate) const HEADER_BYTES: usize = 80;

pub(crate) const CHECKSUM_BYTES: usize = 4;
const PROVEN_BYTES: usize = 36;
/// Of the longest change's body.
const BODY_BYTES_MAX: usize = 1 + 4 + HEADER_BYTES * VIEW_HEADERS_MAX;

const NETWORKS: [Network; 5] =
    [Network::Bitcoin, Network::Testnet, Network::Testnet4, Network::Signet, Network::Regtest];

/// Why a saved view was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ViewFault {
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
    /// It was cut.
    Broke(Broke),
    /// It begins where no chain will ever be.
    Height {
        /// Where.
        got: Height,
        /// The last block that a lock time can name.
        max: Height,
    },
    /// There are too few headers, or too many.
    Count {
        /// How many.
        got: usize,
        /// The least.
        min: usize,
        /// The most.
        max: usize,
    },
    /// A header is not behind the one before it.
    Broken {
        /// Where.
        height: Height,
    },
    /// A header lacks the work that it claims.
    NoWork {
        /// Where.
        height: Height,
    },
    /// A transaction is in a block that is not there.
    NoBlock {
        /// Where it would be.
        got: Height,
        /// The newest block.
        max: Height,
    },
    /// Bytes in the middle are not those that were written.
    Checksum {
        /// Where they begin.
        at: usize,
        /// What stands behind them.
        got: [u8; 4],
        /// What must.
        want: [u8; 4],
    },
    /// A change is longer than any, or empty.
    Length {
        /// Where it begins.
        at: usize,
        /// Its length.
        got: usize,
        /// The longest.
        max: usize,
    },
    /// A change is of a kind that is not known.
    Kind {
        /// Where it begins.
        at: usize,
        /// The kind.
        got: u8,
        /// The last that is known.
        max: u8,
    },
    /// More blocks left than there were.
    Gone {
        /// Where the change begins.
        at: usize,
        /// How many left.
        got: usize,
        /// How many can.
        max: usize,
    },
    /// The chain has another block than its checkpoint.
    Checkpoint {
        /// The chain's.
        got: BlockRef,
        /// The checkpoint.
        want: BlockRef,
    },
}

/// What a view's bytes said.
#[derive(Clone, Debug)]
pub struct Restored {
    /// The view.
    pub view: View,
    /// Bytes of its sum.
    pub sum_bytes: usize,
    /// Bytes that are whole. What is behind them was being written in a crash.
    pub bytes: usize,
}

impl View {
    /// The sum of all changes, but for when the newest block came.
    pub fn encode(&self) -> Vec<u8> {
        let (first, count) = (self.first().height.0, self.headers.count());
        let bytes = 18 + HEADER_BYTES * count + PROVEN_BYTES * self.proven.len();
        let mut to = Vec::with_capacity(bytes);
        to.extend([VIEW_VERSION, number(self.network())]);
        to.extend(first.to_be_bytes());
        to.extend(u32::try_from(count).expect("`VIEW_BLOCKS_MAX` is less").to_be_bytes());
        for header in self.headers.iter() {
            to.extend(serialize(header));
        }
        let proven = u32::try_from(self.proven.len()).expect("`VIEW_PROVEN_MAX` is less");
        to.extend(proven.to_be_bytes());
        for (txid, block) in &self.proven {
            to.extend(txid.as_byte_array());
            to.extend(block.height.0.to_be_bytes());
        }
        to.extend(checksum(&to));
        to
    }

    /// Reads what [`View::encode`] wrote on this network, and what [`ViewChange::encode`] wrote
    /// behind it.
    pub fn decode(bytes: &[u8], network: Network) -> Result<Restored, ViewFault> {
        let mut from = Reader::new(bytes);
        let mut view = sum(&mut from, network)?;
        let sum_bytes = bytes.len() - from.len();
        check(bytes, 0, sum_bytes)?;
        let sum_bytes = sum_bytes + CHECKSUM_BYTES;
        let mut at = sum_bytes;
        while let Some(end) = end_of_change(bytes, at)? {
            let body = &bytes[at + 4..end - CHECKSUM_BYTES];
            let change = change(&view, body, at)?;
            view.evolve(&change);
            at = end;
        }
        Ok(Restored { view, sum_bytes, bytes: at })
    }

    /// Whether it goes on from this checkpoint: it has it, or begins above it. It does not if it
    /// ends below, and then has to begin anew; it cannot be right if it has another block there.
    pub fn goes_on_from(&self, checkpoint: &Checkpoint) -> Result<bool, ViewFault> {
        let want = checkpoint.block();
        match self.at(want.height) {
            Some(got) if got != want => Err(ViewFault::Checkpoint { got, want }),
            Some(_) => Ok(true),
            None => Ok(want.height < self.first().height),
        }
    }
}

impl ViewChange {
    /// The bytes that are saved, behind those that were saved before.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        match self {
            ViewChange::Headers(changes) => {
                let gone = changes.iter().filter(|it| **it == Change::Disconnected).count();
                body.push(0);
                body.extend(u32::try_from(gone).expect("a reorg is shallow").to_be_bytes());
                for change in changes {
                    if let Change::Connected(header) = change {
                        body.extend(serialize(header));
                    }
                }
            }
            ViewChange::Proven { txid, block } => {
                body.push(1);
                body.extend(txid.as_byte_array());
                body.extend(block.height.0.to_be_bytes());
            }
        }
        let len = u32::try_from(body.len()).expect("`BODY_BYTES_MAX` is less");
        let mut to = [&len.to_be_bytes()[..], &body].concat();
        to.extend(checksum(&to));
        to
    }
}

/// A view's sum, without its checksum.
fn sum(from: &mut Reader<'_>, network: Network) -> Result<View, ViewFault> {
    let [version] = *from.array()?;
    if version != VIEW_VERSION {
        return Err(ViewFault::Version { got: version, want: VIEW_VERSION });
    }
    let ([got], want) = (*from.array()?, number(network));
    if got != want {
        return Err(ViewFault::Network { got, want });
    }
    let first = height(from)?;
    if first > HEIGHT_MAX {
        return Err(ViewFault::Height { got: first, max: HEIGHT_MAX });
    }
    let count = count(from, 1, VIEW_BLOCKS_MAX)?;
    let mut view = View::on_trust(network, first, header(from, first)?);
    for _ in 1..count {
        push(&mut view, from)?;
    }
    for _ in 0..self::count(from, 0, VIEW_PROVEN_MAX)? {
        let change = proven(&view, from)?;
        view.evolve(&change);
    }
    Ok(view)
}

/// Where the change ends that begins here; nothing if there is none, or only a part of one.
fn end_of_change(bytes: &[u8], at: usize) -> Result<Option<usize>, ViewFault> {
    let rest = &bytes[at..];
    let Some((len, _)) = rest.split_first_chunk() else { return Ok(None) };
    let len = usize::try_from(u32::from_be_bytes(*len)).unwrap_or(usize::MAX);
    if rest.iter().all(|byte| *byte == 0) {
        // The file has grown, and its bytes never came.
        return Ok(None);
    }
    if !(1..=BODY_BYTES_MAX).contains(&len) {
        return Err(ViewFault::Length { at, got: len, max: BODY_BYTES_MAX });
    }
    let end = at + 4 + len + CHECKSUM_BYTES;
    match end.cmp(&bytes.len()) {
        std::cmp::Ordering::Greater => Ok(None),
        std::cmp::Ordering::Equal => Ok(check(bytes, at, end - CHECKSUM_BYTES).ok().map(|()| end)),
        std::cmp::Ordering::Less => check(bytes, at, end - CHECKSUM_BYTES).map(|()| Some(end)),
    }
}

/// Its checksum is right, so it is what was written behind what is there.
fn change(view: &View, body: &[u8], at: usize) -> Result<ViewChange, ViewFault> {
    let mut from = Reader::new(body);
    let [kind] = *from.array()?;
    let change = match kind {
        0 => {
            let gone = count(&mut from, 0, usize::MAX)?;
            let max = view.headers.count() - 1;
            if gone > max {
                return Err(ViewFault::Gone { at, got: gone, max });
            }
            let mut changes = vec![Change::Disconnected; gone];
            let mut next = Height(view.tip().height.0 - gone as u32);
            let mut parent = view.at(next).expect("the first block stays").hash;
            while !from.is_empty() {
                next = Height(next.0 + 1);
                let header = header(&mut from, next)?;
                if header.prev_blockhash != parent {
                    return Err(ViewFault::Broken { height: next });
                }
                parent = header.block_hash();
                changes.push(Change::Connected(header));
            }
            ViewChange::Headers(changes)
        }
        1 => proven(view, &mut from)?,
        got => return Err(ViewFault::Kind { at, got, max: 1 }),
    };
    from.end()?;
    Ok(change)
}

fn push(view: &mut View, from: &mut Reader<'_>) -> Result<(), ViewFault> {
    let height = Height(view.tip().height.0 + 1);
    let header = header(from, height)?;
    if header.prev_blockhash != view.tip().hash {
        return Err(ViewFault::Broken { height });
    }
    view.headers.evolve(&Change::Connected(header));
    Ok(())
}

fn proven(view: &View, from: &mut Reader<'_>) -> Result<ViewChange, ViewFault> {
    let txid = Txid::from_byte_array(*from.array()?);
    let got = height(from)?;
    let no_block = ViewFault::NoBlock { got, max: view.tip().height };
    Ok(ViewChange::Proven { txid, block: view.at(got).ok_or(no_block)? })
}

pub(crate) fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let [a, b, c, d, ..] = sha256::Hash::hash(bytes).to_byte_array();
    [a, b, c, d]
}

/// Whether the checksum at `end` is that of the bytes from `at` on.
fn check(bytes: &[u8], at: usize, end: usize) -> Result<(), ViewFault> {
    let got = *Reader::new(&bytes[end..]).array()?;
    let want = checksum(&bytes[at..end]);
    if got == want { Ok(()) } else { Err(ViewFault::Checksum { at, got, want }) }
}

pub(crate) fn number(network: Network) -> u8 {
    let at = NETWORKS.iter().position(|listed| *listed == network);
    at.and_then(|at| u8::try_from(at).ok()).expect("all networks are listed")
}

fn height(from: &mut Reader<'_>) -> Result<Height, Broke> {
    Ok(Height(u32::from_be_bytes(*from.array()?)))
}

fn count(from: &mut Reader<'_>, min: usize, max: usize) -> Result<usize, ViewFault> {
    let got = usize::try_from(u32::from_be_bytes(*from.array()?)).unwrap_or(usize::MAX);
    match (min..=max).contains(&got) {
        true => Ok(got),
        false => Err(ViewFault::Count { got, min, max }),
    }
}

/// A header with its work: else sums of work would mean nothing.
fn header(from: &mut Reader<'_>, height: Height) -> Result<Header, ViewFault> {
    let bytes = from.array::<HEADER_BYTES>()?;
    let header: Header = deserialize(bytes).expect("any 80 bytes are a header");
    let worked = header.validate_pow(header.target());
    worked.map(|_| header).map_err(|_| ViewFault::NoWork { height })
}

impl From<Broke> for ViewFault {
    fn from(broke: Broke) -> ViewFault {
        ViewFault::Broke(broke)
    }
}

impl std::error::Error for ViewFault {}

impl fmt::Display for ViewFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ViewFault::Version { got, want } => {
                write!(f, "a view of version {got}, only {want} is known")
            }
            ViewFault::Network { got, want } => {
                write!(f, "a view of network number {got}, not {want}")
            }
            ViewFault::Broke(broke) => broke.fmt(f),
            ViewFault::Height { got, max } => write!(f, "a view from {got} on, {max} at most"),
            ViewFault::Count { got, min, max } => {
                write!(f, "{got} entries, at least {min} and at most {max}")
            }
            ViewFault::Broken { height } => {
                write!(f, "the header for {height} is behind another block")
            }
            ViewFault::NoWork { height } => write!(f, "the header for {height} lacks its work"),
            ViewFault::NoBlock { got, max } => {
                write!(f, "a transaction in the block at {got}, the newest is at {max}")
            }
            ViewFault::Checksum { at, got, want } => {
                write!(f, "the bytes from {at} on have the checksum {want:02x?}, not {got:02x?}")
            }
            ViewFault::Length { at, got, max } => {
                write!(f, "the change at {at} has {got} bytes, at least 1 and at most {max}")
            }
            ViewFault::Kind { at, got, max } => {
                write!(f, "the change at {at} is of kind {got}, {max} at most")
            }
            ViewFault::Gone { at, got, max } => {
                write!(f, "with the change at {at} {got} blocks leave, {max} at most")
            }
            ViewFault::Checkpoint { got, want } => {
                write!(f, "the chain has {got}, the checkpoint is {want}")
            }
        }
    }
}
