//! Why nothing can be claimed like that.

use std::fmt;

use bitcoin::OutPoint;
use wire::amount::{LockTime, Sat};

use crate::Kind;

/// Why there is no such transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimFault {
    /// The claimer cannot take this contract alone, so far.
    NoWay {
        /// Its kind.
        kind: Kind,
        /// Whether a secret was shown. It may be another contract's.
        has_secret: bool,
    },
    /// It is what the channel lives in.
    Funding {
        /// Where.
        outpoint: OutPoint,
    },
    /// Too little of a channel is taken, or there are too many inputs.
    Inputs {
        /// How many: outputs of the channel if they are too few, or all inputs.
        got: usize,
        /// The least.
        min: usize,
        /// The most.
        max: usize,
    },
    /// An output is spent twice.
    Twice {
        /// Which.
        outpoint: OutPoint,
    },
    /// It is spent by the key of an output that is not one of taproot.
    NotTaproot {
        /// Which.
        outpoint: OutPoint,
    },
    /// An input waits for its age, and no coin does.
    Waits {
        /// Which.
        outpoint: OutPoint,
        /// Its sequence.
        got: u32,
        /// The least that waits for nothing.
        min: u32,
    },
    /// More than there is.
    TooMuch {
        /// How much, at least.
        got: Sat,
        /// All bitcoins.
        max: Sat,
    },
    /// After the fee less is left than anybody relays.
    Short {
        /// What is spent.
        spent: Sat,
        /// The fee.
        fee: Sat,
        /// The least that must be left.
        min: Sat,
    },
    /// It is fixed what this costs.
    Fee {
        /// What it should cost.
        got: Sat,
        /// What it costs.
        want: Sat,
    },
    /// It is heavier than what is relayed.
    Weight {
        /// What it may weigh.
        got: u64,
        /// The most.
        max: u64,
    },
    /// Two lock times do not go together: the peer has signed one of each, or one is a time and
    /// the other a height.
    LockTimes {
        /// One.
        got: LockTime,
        /// The other.
        want: LockTime,
    },
    /// The contract has no second stage in this commitment.
    NoStage {
        /// Which contract.
        contract: usize,
        /// How many contracts there are.
        of: usize,
    },
    /// There are more or fewer signatures than inputs.
    Signatures {
        /// Signatures.
        got: usize,
        /// Inputs.
        want: usize,
    },
    /// A signature is not one of the input's key.
    BadSignature {
        /// Which input.
        input: usize,
        /// Of how many.
        of: usize,
    },
}

impl std::error::Error for ClaimFault {}

impl fmt::Display for ClaimFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            ClaimFault::NoWay { kind, has_secret } => {
                let with = if has_secret { "with this secret" } else { "without a secret" };
                write!(f, "a contract of kind {} cannot be taken alone {with}", kind.0)
            }
            ClaimFault::Funding { outpoint } => write!(f, "{outpoint} is the funding"),
            ClaimFault::Inputs { got, min, max } => {
                write!(f, "{got} inputs, at least {min} and at most {max}")
            }
            ClaimFault::Twice { outpoint } => write!(f, "{outpoint} is spent twice"),
            ClaimFault::NotTaproot { outpoint } => write!(f, "{outpoint} is not of taproot"),
            ClaimFault::Waits { outpoint, got, min } => {
                write!(f, "{outpoint} waits: sequence {got}, at least {min}")
            }
            ClaimFault::TooMuch { got, max } => write!(f, "{got}, there are {max} in all"),
            ClaimFault::Short { spent, fee, min } => {
                write!(f, "of {spent} a fee of {fee} does not leave {min}")
            }
            ClaimFault::Fee { got, want } => write!(f, "a fee of {got}, it is {want}"),
            ClaimFault::Weight { got, max } => write!(f, "a weight of {got}, at most {max}"),
            ClaimFault::LockTimes { got, want } => {
                write!(f, "lock times {got} and {want} do not go together")
            }
            ClaimFault::NoStage { contract, of } => {
                write!(f, "contract {contract} of {of} has no second stage here")
            }
            ClaimFault::Signatures { got, want } => write!(f, "{got} signatures, not {want}"),
            ClaimFault::BadSignature { input, of } => {
                write!(f, "the signature of input {input} of {of} is none")
            }
        }
    }
}
