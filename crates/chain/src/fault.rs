//! What a source can do wrong, and where a node must stop.

use std::fmt;

use bitcoin::{BlockHash, CompactTarget};

use crate::api::{BlockRef, Height, User};

/// Why headers were refused. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderFault {
    /// The first one is behind no block that we know.
    Unconnected {
        /// The block that it wants to be behind.
        parent: BlockHash,
    },
    /// One is not behind the one before it.
    Broken {
        /// Where it would be.
        height: Height,
    },
    /// One lacks the work that it claims.
    NoWork {
        /// Where it would be.
        height: Height,
    },
    /// One claims less work than it must have.
    TooEasy {
        /// Where it would be.
        height: Height,
        /// What it claims.
        got: CompactTarget,
        /// The easiest that is allowed.
        max: CompactTarget,
    },
    /// More than are read at once.
    TooMany {
        /// How many came.
        got: usize,
        /// How many may.
        max: usize,
    },
}

/// Why a block was refused. It is asked for again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockFault {
    /// Nobody asked for it.
    Unasked {
        /// Which it is.
        got: BlockHash,
    },
    /// Its transactions are not those that its header names.
    MerkleRoot {
        /// Which it is.
        block: BlockRef,
    },
    /// Its signatures are not those that its coinbase names.
    Witness {
        /// Which it is.
        block: BlockRef,
    },
}

/// Why a chain, or one of its users, cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// More of the chain would be replaced than is ever right.
    TooDeep {
        /// Blocks that would go.
        got: u32,
        /// Blocks that may.
        max: u32,
    },
    /// A user stopped at a block that we do not know.
    UnknownCursor {
        /// Who.
        user: User,
        /// Its last block.
        cursor: BlockRef,
    },
    /// A watch begins at a block that we do not have.
    TooOld {
        /// Where it begins.
        got: Height,
        /// The first that we have.
        min: Height,
    },
    /// There are as many watches as there may be.
    Full {
        /// How many there are.
        have: usize,
        /// How many there may be.
        max: usize,
    },
    /// There are as many users as there may be.
    TooManyUsers {
        /// How many there are.
        have: usize,
        /// How many there may be.
        max: usize,
    },
    /// There is no such user.
    UnknownUser {
        /// Who.
        user: User,
    },
}

impl fmt::Display for HeaderFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unconnected { parent } => write!(f, "headers behind {parent}, which is unknown"),
            Self::Broken { height } => write!(f, "the header for {height} is behind another block"),
            Self::NoWork { height } => write!(f, "the header for {height} lacks its work"),
            Self::TooEasy { height, got, max } => {
                let (got, max) = (got.to_consensus(), max.to_consensus());
                write!(f, "the header for {height} has target {got:08x}, at most {max:08x}")
            }
            Self::TooMany { got, max } => write!(f, "{got} headers, at most {max}"),
        }
    }
}

impl std::error::Error for HeaderFault {}

impl fmt::Display for BlockFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unasked { got } => write!(f, "block {got}, which nobody asked for"),
            Self::MerkleRoot { block } => write!(f, "{block} has other transactions"),
            Self::Witness { block } => write!(f, "{block} has other signatures"),
        }
    }
}

impl std::error::Error for BlockFault {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooDeep { got, max } => {
                write!(f, "{got} blocks would be replaced, at most {max}: somebody must look")
            }
            Self::UnknownCursor { user, cursor } => {
                write!(f, "user {} stopped at {cursor}, which is unknown", user.0)
            }
            Self::TooOld { got, min } => {
                write!(f, "a watch from {got} on, we have {min} and later")
            }
            Self::Full { have, max } => write!(f, "{have} watches, at most {max}"),
            Self::TooManyUsers { have, max } => write!(f, "{have} users, at most {max}"),
            Self::UnknownUser { user } => write!(f, "no user {}", user.0),
        }
    }
}

impl std::error::Error for Fault {}
