//! The signer's own view of the chain: headers with their work, and transactions that were shown to
//! be in their blocks. Whoever asks for signatures may lie about the chain, but not cheaply.
//!
//! Saved it is `version (1 byte, 1) | network (1) | height of the first header (4) | headers behind
//! their number (4; 80 bytes each) | proven transactions behind their number (4; id 32, height 4)`.

use std::collections::BTreeMap;
use std::fmt;

use bitcoin::block::Header;
use bitcoin::consensus::{deserialize, serialize};
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Network, Txid, Work, constants};
use chain::{BlockRef, Change, Fault, HeaderFault, Headers, Height, Proof, ProofFault};
use wire::fault::Broke;
use wire::reader::Reader;
use wire::tick::{Millis, Tick};

/// Headers in one question.
pub const VIEW_HEADERS_MAX: usize = 800;
/// Headers in all, the checkpoint included: 80 bytes each.
pub const VIEW_BLOCKS_MAX: usize = 2_000_000;
/// Transactions that are known to be in the chain.
pub const VIEW_PROVEN_MAX: usize = 100_000;
/// The layout that is written, and the only one that is read.
pub const VIEW_VERSION: u8 = 1;

/// Bytes of a header.
pub(crate) const HEADER_BYTES: usize = 80;

/// The last height that a lock time can name.
const HEIGHT_MAX: u32 = bitcoin::absolute::LOCK_TIME_THRESHOLD - 1;

const NETWORKS: [Network; 5] =
    [Network::Bitcoin, Network::Testnet, Network::Testnet4, Network::Signet, Network::Regtest];

/// What a signer has seen of the chain.
#[derive(Clone, Debug)]
pub struct View {
    headers: Headers,
    proven: BTreeMap<Txid, BlockRef>,
    /// When the newest header came. It is not saved: a signer that was away knows nothing.
    received: Option<Tick>,
}

/// How much a signer has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViewStatus {
    /// The newest block.
    pub tip: BlockRef,
    /// The work of all blocks since the checkpoint.
    pub work: Work,
    /// The time that the newest block has in its header, in seconds since 1970.
    pub header_time: u32,
    /// How long ago the newest block came; nothing if it came before the signer started.
    pub received: Option<Millis>,
    /// Transactions that were shown to be in the chain, and still are.
    pub proven: usize,
}

/// A transaction is in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proven {
    /// Which.
    pub txid: Txid,
    /// The block that has it.
    pub block: BlockRef,
    /// Blocks from that one to the newest, both counted.
    pub confirmations: u32,
}

/// Why a view does not take something in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewFlaw {
    /// The headers are none of a chain that we know.
    Headers(HeaderFault),
    /// The headers would change too much.
    Chain(Fault),
    /// There would be more headers than there is room for.
    TooManyBlocks {
        /// How many there would be.
        got: usize,
        /// How many there may be.
        max: usize,
    },
    /// A proof is of a block that is not in the chain.
    UnknownBlock {
        /// Which.
        block: BlockHash,
    },
    /// A proof shows nothing.
    Proof(ProofFault),
    /// As many transactions are proven as there may be.
    TooManyProven {
        /// How many.
        have: usize,
        /// How many there may be.
        max: usize,
    },
}

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
    /// It was cut, or something follows it.
    Broke(Broke),
    /// It begins where no chain will ever be.
    Height {
        /// Where.
        got: u32,
        /// The last block that a lock time can name.
        max: u32,
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
}

impl View {
    /// A view from the first block of a network on.
    pub fn genesis(network: Network) -> View {
        View::new(network, Height(0), constants::genesis_block(network).header)
    }

    /// A view from a checkpoint on, which is taken on trust.
    pub fn new(network: Network, height: Height, checkpoint: Header) -> View {
        let headers = Headers::new(network, height, checkpoint);
        View { headers, proven: BTreeMap::new(), received: None }
    }

    /// The network.
    pub const fn network(&self) -> Network {
        self.headers.network()
    }

    /// Takes headers in, if with them there is more work. Blocks that they replace take what was
    /// proven with them.
    pub fn take(&mut self, headers: &[Header], now: Tick) -> Result<(), ViewFlaw> {
        let (got, max) = (headers.len(), VIEW_HEADERS_MAX);
        if got > max {
            return Err(ViewFlaw::Headers(HeaderFault::TooMany { got, max }));
        }
        let (got, max) = (self.headers.count() + got, VIEW_BLOCKS_MAX);
        if got > max {
            return Err(ViewFlaw::TooManyBlocks { got, max });
        }
        let taken = self.headers.take(headers).map_err(ViewFlaw::Headers)?;
        let changes = taken.map_err(ViewFlaw::Chain)?;
        if changes.contains(&Change::Disconnected) {
            let headers = &self.headers;
            self.proven.retain(|_, block| headers.has(*block));
        }
        if !changes.is_empty() {
            self.received = Some(now);
        }
        Ok(())
    }

    /// Takes a proof in that a transaction is in a block.
    pub fn prove(&mut self, block: BlockHash, proof: &Proof) -> Result<Proven, ViewFlaw> {
        let found = self.headers.find(block).ok_or(ViewFlaw::UnknownBlock { block })?;
        let header = self.headers.header_at(found.height).expect("it was found there");
        proof.check(header.merkle_root).map_err(ViewFlaw::Proof)?;
        let txid = proof.transaction.compute_txid();
        let (have, max) = (self.proven.len(), VIEW_PROVEN_MAX);
        if have >= max && !self.proven.contains_key(&txid) {
            return Err(ViewFlaw::TooManyProven { have, max });
        }
        self.proven.insert(txid, found);
        Ok(self.proven_at(txid, found))
    }

    /// Where a transaction is, if that was shown.
    pub fn proven(&self, txid: Txid) -> Option<Proven> {
        self.proven.get(&txid).map(|block| self.proven_at(txid, *block))
    }

    fn proven_at(&self, txid: Txid, block: BlockRef) -> Proven {
        let confirmations = self.headers.tip().height.0 - block.height.0 + 1;
        Proven { txid, block, confirmations }
    }

    /// How much was seen, and how long ago.
    pub fn status(&self, now: Tick) -> ViewStatus {
        let tip = self.headers.tip();
        let header = self.headers.header_at(tip.height).expect("the tip is in the chain");
        ViewStatus {
            tip,
            work: self.headers.work(),
            header_time: header.time,
            received: self.received.map(|received| now.since(received)),
            proven: self.proven.len(),
        }
    }

    /// All of it, but for when it came.
    pub fn encode(&self) -> Vec<u8> {
        let (first, count) = (self.headers.first().height.0, self.headers.count());
        let mut to = Vec::with_capacity(10 + HEADER_BYTES * count + 36 * self.proven.len());
        to.extend([VIEW_VERSION, number(self.network())]);
        to.extend(first.to_be_bytes());
        to.extend(u32::try_from(count).expect("`VIEW_BLOCKS_MAX` is less").to_be_bytes());
        let heights = (first..).take(count);
        for header in heights.filter_map(|height| self.headers.header_at(Height(height))) {
            to.extend(serialize(header));
        }
        let proven = u32::try_from(self.proven.len()).expect("`VIEW_PROVEN_MAX` is less");
        to.extend(proven.to_be_bytes());
        for (txid, block) in &self.proven {
            to.extend(txid.as_byte_array());
            to.extend(block.height.0.to_be_bytes());
        }
        to
    }

    /// Reads what [`View::encode`] wrote on this network.
    pub fn decode(bytes: &[u8], network: Network) -> Result<View, ViewFault> {
        let mut from = Reader::new(bytes);
        let [version] = *from.array()?;
        if version != VIEW_VERSION {
            return Err(ViewFault::Version { got: version, want: VIEW_VERSION });
        }
        let ([got], want) = (*from.array()?, number(network));
        if got != want {
            return Err(ViewFault::Network { got, want });
        }
        let first = u32::from_be_bytes(*from.array()?);
        if first > HEIGHT_MAX {
            return Err(ViewFault::Height { got: first, max: HEIGHT_MAX });
        }
        let count = count(&mut from, 1, VIEW_BLOCKS_MAX)?;
        let mut view = View::new(network, Height(first), header(&mut from, Height(first))?);
        for height in (1..count).map(|number| Height(first + number as u32)) {
            let header = header(&mut from, height)?;
            if header.prev_blockhash != view.headers.tip().hash {
                return Err(ViewFault::Broken { height });
            }
            view.headers.evolve(&Change::Connected(header));
        }
        for _ in 0..self::count(&mut from, 0, VIEW_PROVEN_MAX)? {
            let txid = Txid::from_byte_array(*from.array()?);
            let got = Height(u32::from_be_bytes(*from.array()?));
            let no_block = ViewFault::NoBlock { got, max: view.headers.tip().height };
            view.proven.insert(txid, view.headers.at(got).ok_or(no_block)?);
        }
        from.end()?;
        Ok(view)
    }
}

fn number(network: Network) -> u8 {
    let at = NETWORKS.iter().position(|listed| *listed == network);
    at.and_then(|at| u8::try_from(at).ok()).expect("all networks are listed")
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

impl std::error::Error for ViewFlaw {}
impl std::error::Error for ViewFault {}

impl fmt::Display for ViewFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ViewFlaw::Headers(fault) => fault.fmt(f),
            ViewFlaw::Chain(fault) => fault.fmt(f),
            ViewFlaw::TooManyBlocks { got, max } => write!(f, "{got} headers, {max} at most"),
            ViewFlaw::UnknownBlock { block } => write!(f, "block {block} is not in the chain"),
            ViewFlaw::Proof(fault) => fault.fmt(f),
            ViewFlaw::TooManyProven { have, max } => {
                write!(f, "{have} transactions are proven, {max} at most")
            }
        }
    }
}

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
        }
    }
}
