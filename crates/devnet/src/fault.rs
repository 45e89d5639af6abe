//! Why a devnet cannot do what it was asked.

use std::{fmt, io, path::Path};

use bitcoin::{Amount, BlockHash};

use crate::{kernel::Reason, ledger::BlockFault, mempool::Refusal};

/// Why a devnet cannot do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The kernel could not be started.
    Kernel(String),
    /// A folder's name is not text.
    Path,
    /// The system gives no chance.
    Dice,
    /// The system gives no thread.
    Thread(String),
    /// An address on which nobody can listen.
    Address {
        /// Which one.
        at: std::net::SocketAddr,
        /// What is wrong with it.
        why: String,
    },
    /// A file or folder.
    Disk {
        /// Which one.
        path: String,
        /// What the system says.
        why: String,
    },
    /// The file of blocks is not ours, or broken where nothing can have torn it.
    Journal {
        /// Where in the file.
        at: u64,
        /// What is there.
        why: &'static str,
    },
    /// The kernel refuses a block that was made here.
    Refused(Reason),
    /// The kernel accepts a block and our index does not: one of the two is wrong.
    Disagree(BlockFault),
    /// There is no such block.
    UnknownBlock {
        /// Which one.
        hash: BlockHash,
    },
    /// The first block stays.
    FirstBlock,
    /// Fewer blocks are there than shall go.
    TooDeep {
        /// How many shall go.
        got: u32,
        /// How many are there.
        max: u32,
    },
    /// More blocks at once than anybody can want.
    TooMany {
        /// How many.
        got: u32,
        /// How many may be.
        max: u32,
    },
    /// The devnet is not rich enough.
    Poor {
        /// What it has.
        have: Amount,
        /// What is needed.
        need: Amount,
    },
    /// A transaction of ours does not fit the mempool's policy.
    Policy(Box<Refusal>),
}

impl Fault {
    pub(crate) fn disk(path: &Path, error: &io::Error) -> Self {
        Self::Disk { path: path.display().to_string(), why: error.to_string() }
    }

    pub(crate) fn kernel(error: bitcoinkernel::KernelError) -> Self {
        Self::Kernel(error.to_string())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel(why) => write!(f, "the kernel cannot be started: {why}"),
            Self::Path => write!(f, "a folder's name is not UTF-8; choose another one"),
            Self::Dice => write!(f, "the system gives no random bytes"),
            Self::Thread(why) => write!(f, "no thread: {why}"),
            Self::Address { at, why } => write!(f, "{at}: {why}"),
            Self::Disk { path, why } => write!(f, "{path}: {why}"),
            Self::Journal { at, why } => write!(f, "the file of blocks, byte {at}: {why}"),
            Self::Refused(reason) => write!(f, "the kernel refuses our block: {}", reason.words),
            Self::Disagree(fault) => {
                write!(f, "the kernel accepts a block and our index does not: {fault}")
            }
            Self::UnknownBlock { hash } => write!(f, "no block {hash}"),
            Self::FirstBlock => write!(f, "the first block stays"),
            Self::TooDeep { got, max } => write!(f, "{got} blocks shall go, {max} are there"),
            Self::TooMany { got, max } => write!(f, "{got} blocks at once, at most {max}"),
            Self::Poor { have, need } => {
                write!(f, "the devnet can spend {have}, not {need}; mine blocks to it")
            }
            Self::Policy(refusal) => write!(f, "{refusal}"),
        }
    }
}

impl std::error::Error for Fault {}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Policy(Box::new(refusal))
    }
}
