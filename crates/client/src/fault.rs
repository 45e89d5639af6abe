//! What can go wrong.

use std::fmt;

/// Why a connection is of no use any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The peer's ciphertext is not genuine, or the keys are spent.
    Noise(noise::Fault),
    /// The peer's own messages break a rule.
    Wire(wire::Fault),
    /// The host left bytes out.
    Gap {
        /// The offset that came.
        got: u64,
        /// The one that is next.
        want: u64,
    },
}

/// Why a message was not taken. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// The host has not answered for so much already.
    Full {
        /// Bytes that wait.
        have: usize,
        /// How many may.
        max: usize,
    },
    /// No transport can carry it.
    Noise(noise::Fault),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Noise(fault) => write!(f, "transport: {fault}"),
            Self::Wire(fault) => write!(f, "message: {fault}"),
            Self::Gap { got, want } => write!(f, "ciphertext from {got} on, {want} is next"),
        }
    }
}

impl std::error::Error for Fault {}

impl fmt::Display for NotTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { have, max } => write!(f, "{have} bytes wait for the host, at most {max}"),
            Self::Noise(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for NotTaken {}
