//! What is asked of a source of blocks, and what users hear.

use std::{fmt, sync::Arc};

use bitcoin::{BlockHash, OutPoint, ScriptBuf, Transaction, Txid, hashes::Hash as _};
use wire::{fault::Broke, reader::Reader};

use crate::{
    fees::Target,
    publish::{Attempt, Package},
};

/// How many blocks are below a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Height(pub u32);

/// A block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockRef {
    /// Where it is.
    pub height: Height,
    /// Which it is.
    pub hash: BlockHash,
}

/// Whoever hears of blocks: a core of the node, which has its own cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct User(pub u32);

/// What is looked for in blocks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Watch {
    /// Who spends this?
    Spend(OutPoint),
    /// Who pays to this?
    Pay(ScriptBuf),
}

/// A question to the source of blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// The headers behind the first of these that is known; the answer goes to
    /// [`Chain::handle_headers`](crate::Chain::handle_headers).
    Headers {
        /// Blocks of ours, the newest first, ever further apart.
        locator: Vec<BlockHash>,
    },
    /// A block; the answer goes to [`Chain::handle_block`](crate::Chain::handle_block).
    Block {
        /// Which one.
        block: BlockRef,
    },
    /// Hand these to other nodes, together; the answer goes to
    /// [`Publisher::handle_answer`](crate::Publisher::handle_answer).
    Publish {
        /// Which try it is.
        attempt: Attempt,
        /// What.
        package: Package,
    },
    /// What would a transaction pay to be confirmed within so many blocks? The answer goes to
    /// [`Fees::handle_rates`](crate::Fees::handle_rates).
    Rates {
        /// For these.
        targets: Vec<Target>,
    },
}

/// What a user hears. In order; blocks come one by one, without a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The chain has one block more.
    Connected {
        /// The block: the user's new cursor.
        block: BlockRef,
        /// What it has of what is watched, in the block's order.
        found: Vec<Found>,
    },
    /// The newest block is in the chain no more, and neither is anything that was found in it.
    Disconnected {
        /// The block.
        block: BlockRef,
        /// The one before it: the user's new cursor.
        cursor: BlockRef,
    },
    /// Something was found in a block that had been heard of before it was watched.
    Found {
        /// The block.
        block: BlockRef,
        /// What it has, in its order.
        found: Vec<Found>,
    },
    /// All blocks up to the cursor have been looked through for this watch, from where it was to
    /// begin. Each new watch hears it once, at once if there are no such blocks.
    Searched {
        /// Which.
        watch: Watch,
    },
}

/// Something that was watched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// For which watch.
    pub watch: Watch,
    /// The transaction.
    pub transaction: Arc<Transaction>,
    /// Its place in the block.
    pub position: u32,
    /// Which of its parts.
    pub part: FoundIn,
}

/// A part of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FoundIn {
    /// An input, which spends what was watched.
    Input(u32),
    /// An output, which pays to what was watched.
    Output(u32),
}

impl Watch {
    /// Appends it as bytes, for whoever saves it.
    pub fn write(&self, to: &mut Vec<u8>) {
        match self {
            Self::Spend(outpoint) => {
                to.push(0);
                to.extend_from_slice(outpoint.txid.as_byte_array());
                to.extend_from_slice(&outpoint.vout.to_be_bytes());
            }
            Self::Pay(script) => {
                to.push(1);
                to.extend_from_slice(script.as_bytes());
            }
        }
    }

    /// Reads what [`Watch::write`] wrote; it ends where the bytes end.
    pub fn read(bytes: &[u8]) -> Result<Self, WatchFault> {
        let mut from = Reader::new(bytes);
        let [kind] = *from.array()?;
        match kind {
            0 => {
                let txid = Txid::from_byte_array(*from.array()?);
                let vout = u32::from_be_bytes(*from.array()?);
                from.end()?;
                Ok(Self::Spend(OutPoint { txid, vout }))
            }
            1 => Ok(Self::Pay(ScriptBuf::from_bytes(from.rest().to_vec()))),
            got => Err(WatchFault::Kind { got }),
        }
    }
}

/// Why saved bytes are no watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchFault {
    /// A kind that we do not know.
    Kind {
        /// Its number.
        got: u8,
    },
    /// The bytes are damaged.
    Damaged(Broke),
}

impl From<Broke> for WatchFault {
    fn from(broke: Broke) -> Self {
        Self::Damaged(broke)
    }
}

impl fmt::Display for WatchFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind { got } => write!(f, "a saved watch of kind {got}, which is unknown"),
            Self::Damaged(broke) => write!(f, "a saved watch is damaged: {broke}"),
        }
    }
}

impl std::error::Error for WatchFault {}

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for BlockRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "block {} at {}", self.hash, self.height)
    }
}
