//! Questions and answers about the signer's view of the chain, as bytes.

use bitcoin::block::Header;
use bitcoin::consensus::{deserialize, serialize};
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, CompactTarget, Transaction, TxMerkleNode, Txid, Work};
use chain::{BlockRef, Fault, HeaderFault, Height, Proof, ProofFault};
use wire::reader::Reader;
use wire::tick::Millis;

use super::{Malformed, Read, RecordFlaw, Writer};
use crate::journal::HEADER_BYTES;
use crate::view::{Proven, Seconds, UnixTime, ViewFlaw, ViewStatus};

pub(super) fn write_headers(to: Writer, headers: &[Header]) -> Writer {
    to.record(2, &headers.iter().flat_map(serialize).collect::<Vec<u8>>())
}

pub(super) fn read_headers(from: &Read<'_>) -> Result<Vec<Header>, Malformed> {
    let whole = Reader::new(from.bytes(2)?).whole::<HEADER_BYTES>();
    let whole = whole.map_err(|broke| from.flaw(2, RecordFlaw::Broke(broke)))?;
    let read = |bytes: &[u8; HEADER_BYTES]| deserialize(bytes).expect("any 80 bytes are a header");
    Ok(whole.iter().map(read).collect())
}

pub(super) fn write_proof(to: Writer, block: BlockHash, proof: &Proof) -> Writer {
    to.record(2, block.as_byte_array())
        .record(4, &serialize(&proof.transaction))
        .record(6, &proof.position.to_be_bytes())
        .record(8, &nodes(&proof.steps))
        .record(10, &serialize(&proof.coinbase))
        .record(12, &nodes(&proof.coinbase_steps))
}

fn nodes(steps: &[TxMerkleNode]) -> Vec<u8> {
    steps.iter().flat_map(|node| *node.as_byte_array()).collect()
}

pub(super) fn read_proof(from: &Read<'_>) -> Result<(BlockHash, Proof), Malformed> {
    let block = BlockHash::from_byte_array(*from.array(2)?);
    let transaction = |number| {
        let transaction: Result<Transaction, _> = deserialize(from.bytes(number)?);
        transaction.map_err(|_| from.flaw(number, RecordFlaw::Transaction))
    };
    let steps = |number| {
        let whole = Reader::new(from.bytes(number)?).whole::<32>();
        let whole = whole.map_err(|broke| from.flaw(number, RecordFlaw::Broke(broke)))?;
        Ok(whole.iter().map(|bytes| TxMerkleNode::from_byte_array(*bytes)).collect())
    };
    let proof = Proof {
        transaction: transaction(4)?,
        position: u32::from_be_bytes(*from.array(6)?),
        steps: steps(8)?,
        coinbase: transaction(10)?,
        coinbase_steps: steps(12)?,
    };
    Ok((block, proof))
}

fn write_block(to: Writer, number: u64, block: &BlockRef) -> Writer {
    let bytes = [&block.height.0.to_be_bytes()[..], block.hash.as_byte_array()].concat();
    to.record(number, &bytes)
}

fn read_block(from: &Read<'_>, number: u64) -> Result<BlockRef, Malformed> {
    let mut bytes = Reader::new(from.array::<36>(number)?);
    let enough = "36 bytes are enough";
    let height = Height(u32::from_be_bytes(*bytes.array().expect(enough)));
    Ok(BlockRef { height, hash: BlockHash::from_byte_array(*bytes.array().expect(enough)) })
}

pub(super) fn write_status(to: Writer, status: &ViewStatus) -> Writer {
    let to = write_block(to, 2, &status.tip)
        .record(4, &status.work.to_be_bytes())
        .record(6, &status.header_time.to_be_bytes())
        .number(8, status.proven);
    let received = status.received.map(|Millis(ago)| ago.to_be_bytes());
    let age = status.age.map(|Seconds(age)| age.to_be_bytes());
    let to =
        to.record(10, received.as_slice().as_flattened()).record(12, age.as_slice().as_flattened());
    write_block(to, 14, &status.first)
}

pub(super) fn read_status(from: &Read<'_>) -> Result<ViewStatus, Malformed> {
    let received = match from.bytes(10)? {
        [] => None,
        _ => Some(Millis(u64::from_be_bytes(*from.array(10)?))),
    };
    let age = match from.bytes(12)? {
        [] => None,
        _ => Some(Seconds(u32::from_be_bytes(*from.array(12)?))),
    };
    Ok(ViewStatus {
        first: read_block(from, 14)?,
        tip: read_block(from, 2)?,
        work: Work::from_be_bytes(*from.array(4)?),
        header_time: u32::from_be_bytes(*from.array(6)?),
        proven: from.number(8)?,
        received,
        age,
    })
}

pub(super) fn write_proven(to: Writer, proven: &Proven) -> Writer {
    let to = to.record(2, proven.txid.as_byte_array());
    write_block(to, 4, &proven.block).record(6, &proven.confirmations.to_be_bytes())
}

pub(super) fn read_proven(from: &Read<'_>) -> Result<Proven, Malformed> {
    Ok(Proven {
        txid: Txid::from_byte_array(*from.array(2)?),
        block: read_block(from, 4)?,
        confirmations: u32::from_be_bytes(*from.array(6)?),
    })
}

/// A flaw as its number in [`read_flaw`], its own numbers, and the hashes that it is about.
fn flaw_parts(flaw: &ViewFlaw) -> (u8, [usize; 3], Vec<[u8; 32]>) {
    let n = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let (number, numbers) = match *flaw {
        ViewFlaw::Headers(HeaderFault::Unconnected { parent }) => {
            return (0, [0; 3], vec![parent.to_byte_array()]);
        }
        ViewFlaw::Headers(HeaderFault::Broken { height }) => (1, [n(height.0), 0, 0]),
        ViewFlaw::Headers(HeaderFault::NoWork { height }) => (2, [n(height.0), 0, 0]),
        ViewFlaw::Headers(HeaderFault::TooEasy { height, got, max }) => {
            (3, [n(height.0), n(got.to_consensus()), n(max.to_consensus())])
        }
        ViewFlaw::Headers(HeaderFault::TooMany { got, max }) => (4, [got, max, 0]),
        ViewFlaw::Chain(Fault::TooDeep { got, max }) => (5, [n(got), n(max), 0]),
        // Headers by themselves have no users.
        ViewFlaw::Chain(
            Fault::UnknownCursor { .. }
            | Fault::TooOld { .. }
            | Fault::ScriptTooLong { .. }
            | Fault::Full { .. }
            | Fault::TooManyUsers { .. }
            | Fault::UnknownUser { .. },
        ) => (5, [0; 3]),
        ViewFlaw::TooManyBlocks { got, max } => (6, [got, max, 0]),
        ViewFlaw::UnknownBlock { block } => return (7, [0; 3], vec![block.to_byte_array()]),
        ViewFlaw::TooManyProven { have, max } => (8, [have, max, 0]),
        ViewFlaw::Proof(ProofFault::Ambiguous { bytes }) => (9, [bytes, 0, 0]),
        ViewFlaw::Proof(ProofFault::TooDeep { got, max }) => (10, [got, max, 0]),
        ViewFlaw::Proof(ProofFault::Depths { transaction, coinbase }) => {
            (11, [transaction, coinbase, 0])
        }
        ViewFlaw::Proof(ProofFault::Position { got, max }) => (12, [n(got), n(max), 0]),
        ViewFlaw::Proof(ProofFault::Doubled { position, step }) => (13, [n(position), n(step), 0]),
        ViewFlaw::Proof(ProofFault::NoCoinbase) => (14, [0; 3]),
        ViewFlaw::Proof(ProofFault::Root { got, want }) => {
            return (15, [0; 3], vec![got.to_byte_array(), want.to_byte_array()]);
        }
        ViewFlaw::Headers(HeaderFault::OtherTarget { height, got, want }) => {
            (16, [n(height.0), n(got.to_consensus()), n(want.to_consensus())])
        }
        ViewFlaw::TooEarly { height, got, min } => (17, [height.0, got.0, min.0].map(n)),
        ViewFlaw::TooLate { height, got, max } => (18, [height.0, got.0, max.0].map(n)),
    };
    (number, numbers, Vec::new())
}

pub(super) fn write_flaw(to: Writer, flaw: &ViewFlaw) -> Writer {
    let (number, numbers, hashes) = flaw_parts(flaw);
    let cut = |number: &usize| u32::try_from(*number).unwrap_or(u32::MAX).to_be_bytes();
    let numbers: Vec<u8> = numbers.iter().flat_map(cut).collect();
    let to = to.record(2, &[number]).record(4, &numbers);
    if hashes.is_empty() { to } else { to.record(6, &hashes.concat()) }
}

pub(super) fn read_flaw(from: &Read<'_>) -> Result<ViewFlaw, Malformed> {
    let ([number], numbers) = (*from.array(2)?, from.array::<12>(4)?);
    let (numbers, _) = numbers.as_chunks::<4>();
    let small = |at: usize| u32::from_be_bytes(numbers[at]);
    let n = |at: usize| usize::try_from(small(at)).unwrap_or(usize::MAX);
    let hash = || Ok(BlockHash::from_byte_array(*from.array(6)?));
    let height = Height(small(0));
    let target = |at| CompactTarget::from_consensus(small(at));
    let time = |at| UnixTime(small(at));
    Ok(match number {
        0 => ViewFlaw::Headers(HeaderFault::Unconnected { parent: hash()? }),
        1 => ViewFlaw::Headers(HeaderFault::Broken { height }),
        2 => ViewFlaw::Headers(HeaderFault::NoWork { height }),
        3 => {
            let (got, max) = (target(1), target(2));
            ViewFlaw::Headers(HeaderFault::TooEasy { height, got, max })
        }
        4 => ViewFlaw::Headers(HeaderFault::TooMany { got: n(0), max: n(1) }),
        5 => ViewFlaw::Chain(Fault::TooDeep { got: small(0), max: small(1) }),
        6 => ViewFlaw::TooManyBlocks { got: n(0), max: n(1) },
        7 => ViewFlaw::UnknownBlock { block: hash()? },
        8 => ViewFlaw::TooManyProven { have: n(0), max: n(1) },
        9 => ViewFlaw::Proof(ProofFault::Ambiguous { bytes: n(0) }),
        10 => ViewFlaw::Proof(ProofFault::TooDeep { got: n(0), max: n(1) }),
        11 => ViewFlaw::Proof(ProofFault::Depths { transaction: n(0), coinbase: n(1) }),
        12 => ViewFlaw::Proof(ProofFault::Position { got: small(0), max: small(1) }),
        13 => ViewFlaw::Proof(ProofFault::Doubled { position: small(0), step: small(1) }),
        14 => ViewFlaw::Proof(ProofFault::NoCoinbase),
        15 => {
            let (hashes, _) = from.array::<64>(6)?.as_chunks::<32>();
            let [got, want] = [0, 1].map(|at| TxMerkleNode::from_byte_array(hashes[at]));
            ViewFlaw::Proof(ProofFault::Root { got, want })
        }
        16 => {
            let (got, want) = (target(1), target(2));
            ViewFlaw::Headers(HeaderFault::OtherTarget { height, got, want })
        }
        17 => ViewFlaw::TooEarly { height, got: time(1), min: time(2) },
        18 => ViewFlaw::TooLate { height, got: time(1), max: time(2) },
        got => return Err(from.flaw(2, RecordFlaw::Choice { got, min: 0, max: 18 })),
    })
}
