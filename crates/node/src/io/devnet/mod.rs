//! A devnet in this process: a chain of one's own, for whoever speaks bitcoind's JSON-RPC.
//!
//! It brings Bitcoin Core's code with it, which takes minutes to build. Whoever needs no devnet
//! builds without the feature `devnet`, and is told so when asking for one.

#[cfg_attr(not(feature = "devnet"), path = "absent.rs")]
mod embedded;

use std::{fmt, net::SocketAddr, time::Duration};

use chain::BlockRef;

pub use embedded::Embedded;

/// The folder of a devnet, in the node's.
pub const DEVNET_FOLDER: &str = "devnet";
/// The file with its cookie, in that one. bitcoind's has the same name.
pub const COOKIE_FILE: &str = ".cookie";

/// A block that was mined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MinedBlock {
    /// Which.
    pub block: BlockRef,
    /// What the kernel says of it.
    pub verdict: String,
}

/// Why there is no devnet, or not what was asked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DevnetFault {
    /// It can only listen on this machine.
    Elsewhere {
        /// Where it should.
        at: SocketAddr,
    },
    /// It says no.
    Refused {
        /// In its own words.
        why: String,
    },
    /// Whoever asked has been told already that there is no answer; nothing was done.
    TooLate {
        /// How long ago that was.
        late: Duration,
    },
    /// This program was built without it.
    Absent,
}

impl fmt::Display for DevnetFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Elsewhere { at } => {
                write!(f, "a devnet listens at 127.0.0.0/8, for this machine only, not at {at}")
            }
            Self::Refused { why } => write!(f, "the devnet: {why}"),
            Self::TooLate { late } => {
                let ms = late.as_millis();
                write!(f, "its turn came {ms} ms after it had to be answered; nothing was done")
            }
            Self::Absent => f.write_str("this program was built without the feature devnet"),
        }
    }
}

impl std::error::Error for DevnetFault {}
