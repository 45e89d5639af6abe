//! What a source can do wrong, and where a node must stop.

use std::fmt;

use bitcoin::{BlockHash, CompactTarget, TxMerkleNode};

use crate::api::{BlockRef, Height, User};

/// Why headers were refused. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// One claims another target than follows from the blocks below it.
    OtherTarget {
        /// Where it would be.
        height: Height,
        /// What it claims.
        got: CompactTarget,
        /// What it must be.
        want: CompactTarget,
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

/// Why a transaction is not shown to be in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofFault {
    /// A transaction of this length cannot be told from a pair of hashes.
    Ambiguous {
        /// Its bytes, without witnesses.
        bytes: usize,
    },
    /// No block has so many transactions.
    TooDeep {
        /// Steps from the transaction to the root.
        got: usize,
        /// The most there may be.
        max: usize,
    },
    /// The coinbase is not as deep as the transaction: one of them is something else.
    Depths {
        /// Steps from the transaction to the root.
        transaction: usize,
        /// Steps from the coinbase.
        coinbase: usize,
    },
    /// There is no such place at this depth.
    Position {
        /// The place.
        got: u32,
        /// The last.
        max: u32,
    },
    /// The place is behind the last: at its step stands what is itself once more.
    Doubled {
        /// The place.
        position: u32,
        /// Which step, from 0.
        step: u32,
    },
    /// What stands first is no coinbase.
    NoCoinbase,
    /// The steps lead to another root.
    Root {
        /// Where they lead.
        got: TxMerkleNode,
        /// Where the block's header says.
        want: TxMerkleNode,
    },
}

/// Why a chain, or one of its users, cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// A script is longer than any that can be spent.
    ScriptTooLong {
        /// Its bytes.
        got: usize,
        /// The most there may be.
        max: usize,
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
            Self::OtherTarget { height, got, want } => {
                let (got, want) = (got.to_consensus(), want.to_consensus());
                write!(f, "the header for {height} has target {got:08x}, not {want:08x}")
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

impl fmt::Display for ProofFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ambiguous { bytes } => {
                write!(f, "a transaction of {bytes} bytes could be two hashes as well")
            }
            Self::TooDeep { got, max } => write!(f, "{got} steps to the root, at most {max}"),
            Self::Depths { transaction, coinbase } => write!(
                f,
                "{transaction} steps from the transaction to the root, {coinbase} from the coinbase"
            ),
            Self::Position { got, max } => write!(f, "place {got}, the last is {max}"),
            Self::Doubled { position, step } => {
                write!(f, "place {position} is the image of one before it, by step {step}")
            }
            Self::NoCoinbase => write!(f, "what stands first is no coinbase"),
            Self::Root { got, want } => write!(f, "the steps lead to root {got}, not to {want}"),
        }
    }
}

impl std::error::Error for ProofFault {}

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
            Self::ScriptTooLong { got, max } => {
                write!(f, "a script of {got} bytes to watch, at most {max}")
            }
            Self::Full { have, max } => write!(f, "{have} watches, at most {max}"),
            Self::TooManyUsers { have, max } => write!(f, "{have} users, at most {max}"),
            Self::UnknownUser { user } => write!(f, "no user {}", user.0),
        }
    }
}

impl std::error::Error for Fault {}
