//! Headers as bytes, for whoever saves them.
//!
//! Version (1), network (1), height of the first (4), the first (80), how many follow (4), each of
//! these without the hash of the one before it (48), the hash of the last (32), how many were in
//! the chain and are no more (4), of each its height (4), hash (32) and the hash before it (32).

use std::fmt;

use bitcoin::{
    BlockHash, CompactTarget, Network, TxMerkleNode, block::Header, block::Version, consensus,
    hashes::Hash as _,
};
use wire::{fault::Broke, reader::Reader};

use crate::{
    api::Height,
    fault::HeaderFault,
    first::{FirstFault, judge_first},
    headers::{Headers, REORG_BLOCKS_MAX},
    rules::Below,
};

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 48;
/// No honest chain leaves more behind.
const STALE_MAX: u32 = 16 * REORG_BLOCKS_MAX;

/// Why bytes are no headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotFault {
    /// A newer version wrote them.
    Version {
        /// Its number.
        got: u8,
        /// The newest that we know.
        max: u8,
    },
    /// A network that we do not know.
    Network {
        /// Its number.
        got: u8,
    },
    /// The bytes are damaged.
    Damaged(Broke),
    /// The chain cannot begin with the first.
    First(FirstFault),
    /// One of them is no header of this chain.
    Header(HeaderFault),
    /// More than there can be.
    TooMany {
        /// How many there are said to be.
        got: u32,
        /// How many there may be.
        max: u32,
    },
    /// They do not end where they should.
    Tip {
        /// Where they end.
        got: BlockHash,
        /// Where they should.
        want: BlockHash,
    },
}

impl Headers {
    /// All of it as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let (first, rest) = self.chain.split_first().expect("the first block stays");
        let mut to = Vec::with_capacity(128 + rest.len() * HEADER_BYTES + self.stale.len() * 68);
        to.extend_from_slice(&[VERSION, number_of(self.network)]);
        to.extend_from_slice(&self.first().height.0.to_be_bytes());
        to.extend_from_slice(&consensus::serialize(first));
        to.extend_from_slice(&(rest.len() as u32).to_be_bytes());
        for header in rest {
            to.extend_from_slice(&header.version.to_consensus().to_be_bytes());
            to.extend_from_slice(header.merkle_root.as_byte_array());
            for number in [header.time, header.bits.to_consensus(), header.nonce] {
                to.extend_from_slice(&number.to_be_bytes());
            }
        }
        to.extend_from_slice(self.tip().hash.as_byte_array());
        to.extend_from_slice(&(self.stale.len() as u32).to_be_bytes());
        for (hash, (height, parent)) in &self.stale {
            to.extend_from_slice(&height.0.to_be_bytes());
            to.extend_from_slice(hash.as_byte_array());
            to.extend_from_slice(parent.as_byte_array());
        }
        to
    }

    /// Reads what [`Headers::encode`] wrote; each header must have its work.
    pub fn decode(bytes: &[u8]) -> Result<Self, SnapshotFault> {
        let mut from = Reader::new(bytes);
        let [version, network] = *from.array()?;
        if version != VERSION {
            return Err(SnapshotFault::Version { got: version, max: VERSION });
        }
        let network = network_of(network).ok_or(SnapshotFault::Network { got: network })?;
        let height = number(&mut from)?;
        let first = consensus::deserialize(from.array::<80>()?).expect("80 bytes are a header");
        judge_first(network, Height(height), &first).map_err(SnapshotFault::First)?;
        let mut headers = Self::new(network, Height(height), first);
        let (got, max) = (number(&mut from)?, u32::MAX / 2);
        if got > max {
            return Err(SnapshotFault::TooMany { got, max });
        }
        let count = got;
        // Never more room than there are bytes.
        headers.chain.reserve_exact((count as usize).min(from.len() / HEADER_BYTES));
        let mut before = first;
        for height in height + 1..=height + count {
            let header = read_header(&mut from, headers.tip().hash)?;
            let below = Below::new(network, headers.first().height, &headers.chain, &[]);
            let hash = below.check(&before, &header, Height(height));
            headers.push(header, hash.map_err(SnapshotFault::Header)?);
            before = header;
        }
        let (got, want) = (headers.tip().hash, hash(&mut from)?);
        if got != want {
            return Err(SnapshotFault::Tip { got, want });
        }
        let (got, max) = (number(&mut from)?, STALE_MAX);
        if got > max {
            return Err(SnapshotFault::TooMany { got, max });
        }
        for _ in 0..got {
            let height = Height(number(&mut from)?);
            let (hash, parent) = (hash(&mut from)?, hash(&mut from)?);
            headers.stale.insert(hash, (height, parent));
        }
        from.end()?;
        Ok(headers)
    }
}

fn read_header(from: &mut Reader<'_>, prev_blockhash: BlockHash) -> Result<Header, Broke> {
    Ok(Header {
        version: Version::from_consensus(i32::from_be_bytes(*from.array()?)),
        prev_blockhash,
        merkle_root: TxMerkleNode::from_byte_array(*from.array()?),
        time: number(from)?,
        bits: CompactTarget::from_consensus(number(from)?),
        nonce: number(from)?,
    })
}

fn number(from: &mut Reader<'_>) -> Result<u32, Broke> {
    Ok(u32::from_be_bytes(*from.array()?))
}

fn hash(from: &mut Reader<'_>) -> Result<BlockHash, Broke> {
    Ok(BlockHash::from_byte_array(*from.array()?))
}

const NETWORKS: [Network; 5] =
    [Network::Bitcoin, Network::Testnet, Network::Testnet4, Network::Signet, Network::Regtest];

fn network_of(number: u8) -> Option<Network> {
    NETWORKS.get(usize::from(number)).copied()
}

fn number_of(network: Network) -> u8 {
    let place = NETWORKS.iter().position(|it| *it == network);
    place.expect("all of them are there") as u8
}

impl From<Broke> for SnapshotFault {
    fn from(broke: Broke) -> Self {
        Self::Damaged(broke)
    }
}

impl fmt::Display for SnapshotFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version { got, max } => {
                write!(f, "headers of version {got}, we know {max}; use a newer leyden")
            }
            Self::Network { got } => write!(f, "headers of network {got}, which is unknown"),
            Self::Damaged(broke) => write!(f, "saved headers are damaged: {broke}"),
            Self::First(fault) => write!(f, "the first saved header is wrong: {fault}"),
            Self::Header(fault) => write!(f, "a saved header is wrong: {fault}"),
            Self::TooMany { got, max } => write!(f, "{got} saved headers, at most {max}"),
            Self::Tip { got, want } => write!(f, "saved headers end at {got}, not at {want}"),
        }
    }
}

impl std::error::Error for SnapshotFault {}
