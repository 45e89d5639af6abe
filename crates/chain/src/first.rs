//! The first header of a chain: behind it is nothing that we know, so it is judged by itself.

use std::fmt;

use bitcoin::{BlockHash, CompactTarget, Network, block::Header, constants::genesis_block};

use crate::{api::Height, rules};

/// No block is higher: from there on a lock time is a time.
pub const HEIGHT_MAX: Height = Height(499_999_999);

/// Why a chain cannot begin with a header. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstFault {
    /// It is higher than blocks can be.
    TooHigh {
        /// Where it would be.
        got: Height,
        /// The highest.
        max: Height,
    },
    /// What is at height 0 is the network's first block, and that is nowhere else.
    Genesis {
        /// Where it would be.
        height: Height,
        /// Which it is.
        got: BlockHash,
        /// The network's first block.
        genesis: BlockHash,
    },
    /// It claims less work than any block of the network has.
    TooEasy {
        /// Where it would be.
        height: Height,
        /// What it claims.
        got: CompactTarget,
        /// The easiest that is allowed.
        max: CompactTarget,
    },
    /// It lacks the work that it claims.
    NoWork {
        /// Which it is; a number above what it claims.
        got: BlockHash,
        /// What it claims.
        max: CompactTarget,
    },
}

/// Whether a chain of this network may begin with a header, and the header's hash. Whether it is in
/// the chain with the most work only what comes behind it can show.
pub fn judge_first(
    network: Network,
    height: Height,
    header: &Header,
) -> Result<BlockHash, FirstFault> {
    let (got, max) = (height, HEIGHT_MAX);
    if got > max {
        return Err(FirstFault::TooHigh { got, max });
    }
    let (got, genesis) = (header.block_hash(), genesis_block(network).block_hash());
    if (height == Height(0)) != (got == genesis) {
        return Err(FirstFault::Genesis { height, got, genesis });
    }
    let easiest = rules::easiest(network);
    if header.target() > easiest {
        let max = easiest.to_compact_lossy();
        return Err(FirstFault::TooEasy { height, got: header.bits, max });
    }
    match header.target().is_met_by(got) {
        true => Ok(got),
        false => Err(FirstFault::NoWork { got, max: header.bits }),
    }
}

impl fmt::Display for FirstFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooHigh { got, max } => write!(f, "a block at {got}, the highest is {max}"),
            Self::Genesis { height, got, genesis } => {
                write!(f, "block {got} at {height}; the network's block at 0 is {genesis}")
            }
            Self::TooEasy { height, got, max } => {
                let (got, max) = (got.to_consensus(), max.to_consensus());
                write!(f, "the block at {height} claims {got:08x}, the easiest is {max:08x}")
            }
            Self::NoWork { got, max } => {
                write!(f, "block {got} lacks the work of {:08x}", max.to_consensus())
            }
        }
    }
}

impl std::error::Error for FirstFault {}
