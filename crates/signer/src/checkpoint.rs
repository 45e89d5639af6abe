//! Where a view of the chain begins: a block that is taken on trust.
//!
//! It is the first block of a period, so that all rules of the next change of the target can be
//! checked from there on. The rest of the chain is not trusted, but judged.

use std::fmt;

use bitcoin::block::Header;
use bitcoin::consensus::deserialize;
use bitcoin::{BlockHash, CompactTarget, Network, constants};
use chain::{BlockRef, Height, RETARGET_BLOCKS};

/// The last height that a lock time can name.
pub(crate) const HEIGHT_MAX: Height = Height(bitcoin::absolute::LOCK_TIME_THRESHOLD - 1);

/// Checkpoints that come with the program. Each is the header whole: its hash shows the work.
const BUILT_IN: [(Network, u32, [u8; 80]); 2] = [
    // Block 00000000000000000002819359a9af460f342404bec23e7478512a619584083b.
    (
        Network::Bitcoin,
        878_976,
        hex_literal(
            b"0080cb2a84fa5fcdb3c448a0dc7f38c6a7e55f1261fcec2f0b6d0000000000000\
              0000000a2282f81592e007e389fa35ed4a9f5559c2ebf12fa76b54f0316668dcb\
              a6d961af1f8467618c02178c74d981",
        ),
    ),
    // Block 000000bac742cfc8d76fda4ad387b7aafa577b17d3684c61d8a089dcd08fa374.
    (
        Network::Signet,
        229_824,
        hex_literal(
            b"000000204e1723c21130b4b77d390200eda865cb048c5586a701ac1e2e4d14fdd\
              f000000eb17b9fe7e04f19d26ed5860829edafcd8a217d22b18fdc74bff36da9a\
              e76d1105477d67ad46011ec2283200",
        ),
    ),
];

/// A block that is taken on trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    height: Height,
    header: Header,
}

/// Why a checkpoint was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointFault {
    /// It is not `HEIGHT:HEADER`, with the 80 bytes of a header in hex.
    Text {
        /// Characters of the header.
        got: usize,
        /// As many as there must be.
        want: usize,
    },
    /// No block will ever be there.
    Height {
        /// Its height.
        got: Height,
        /// The last that there may be.
        max: Height,
    },
    /// It is inside of a period: the next target could not be checked.
    NotFirst {
        /// Its height.
        got: Height,
        /// The first block of its period.
        first: Height,
    },
    /// It is the first block of all, and another one than the network's.
    Genesis {
        /// Which.
        got: BlockHash,
        /// The network's.
        want: BlockHash,
    },
    /// It claims less work than any block of the network has.
    TooEasy {
        /// Its target.
        got: CompactTarget,
        /// The easiest of the network.
        max: CompactTarget,
    },
    /// It lacks the work that it claims.
    NoWork {
        /// Its hash.
        hash: BlockHash,
        /// Its target.
        target: CompactTarget,
    },
}

impl Checkpoint {
    /// The first block of a network.
    pub fn genesis(network: Network) -> Checkpoint {
        Checkpoint { height: Height(0), header: constants::genesis_block(network).header }
    }

    /// The newest one that comes with the program; the first block, if there is none. A signet with
    /// a challenge of its own has nothing but the first block in common with the public one.
    pub fn built_in(network: Network) -> Checkpoint {
        match BUILT_IN.iter().find(|(of, ..)| *of == network) {
            None => Checkpoint::genesis(network),
            Some((_, height, bytes)) => {
                let header = deserialize(bytes).expect("any 80 bytes are a header");
                Checkpoint { height: Height(*height), header }
            }
        }
    }

    /// One that somebody has given.
    pub fn new(
        network: Network,
        height: Height,
        header: Header,
    ) -> Result<Checkpoint, CheckpointFault> {
        if height > HEIGHT_MAX {
            return Err(CheckpointFault::Height { got: height, max: HEIGHT_MAX });
        }
        let first = Height(height.0 - height.0 % RETARGET_BLOCKS);
        // The target of regtest does not change.
        if first != height && network != Network::Regtest {
            return Err(CheckpointFault::NotFirst { got: height, first });
        }
        let (hash, genesis) = (header.block_hash(), Checkpoint::genesis(network));
        if height == genesis.height && header != genesis.header {
            return Err(CheckpointFault::Genesis { got: hash, want: genesis.block().hash });
        }
        let easiest = chain::easiest(network);
        if header.target() > easiest {
            let max = easiest.to_compact_lossy();
            return Err(CheckpointFault::TooEasy { got: header.bits, max });
        }
        if !header.target().is_met_by(hash) {
            return Err(CheckpointFault::NoWork { hash, target: header.bits });
        }
        Ok(Checkpoint { height, header })
    }

    /// One that somebody has typed: `HEIGHT:HEADER`, as `bitcoin-cli getblockheader HASH false`
    /// prints it.
    pub fn parse(network: Network, text: &str) -> Result<Checkpoint, CheckpointFault> {
        let (height, hex) = text.split_once(':').unwrap_or(("", text));
        let wrong = CheckpointFault::Text { got: hex.len(), want: 2 * 80 };
        let height = height.trim().parse().map_err(|_| wrong)?;
        let header = bitcoin::consensus::encode::deserialize_hex(hex.trim()).map_err(|_| wrong)?;
        Checkpoint::new(network, Height(height), header)
    }

    /// Where it is.
    pub const fn height(&self) -> Height {
        self.height
    }

    /// The header.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Which it is.
    pub fn block(&self) -> BlockRef {
        BlockRef { height: self.height, hash: self.header.block_hash() }
    }
}

const fn hex_literal(text: &[u8; 160]) -> [u8; 80] {
    let mut bytes = [0; 80];
    let mut at = 0;
    while at < 80 {
        bytes[at] = digit(text[2 * at]) << 4 | digit(text[2 * at + 1]);
        at += 1;
    }
    bytes
}

const fn digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        _ => panic!("no hex digit"),
    }
}

impl std::error::Error for CheckpointFault {}

impl fmt::Display for CheckpointFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CheckpointFault::Text { got, want } => write!(
                f,
                "a checkpoint is HEIGHT:HEADER, the header in {want} characters of hex, not {got}"
            ),
            CheckpointFault::Height { got, max } => {
                write!(f, "a checkpoint at {got}, {max} at most")
            }
            CheckpointFault::NotFirst { got, first } => write!(
                f,
                "a checkpoint at {got} is inside of a period of {RETARGET_BLOCKS}; \
                 {first} is its first block"
            ),
            CheckpointFault::Genesis { got, want } => {
                write!(f, "a checkpoint at 0 is {got}, the network begins with {want}")
            }
            CheckpointFault::TooEasy { got, max } => {
                let (got, max) = (got.to_consensus(), max.to_consensus());
                write!(f, "a checkpoint has target {got:08x}, at most {max:08x}")
            }
            CheckpointFault::NoWork { hash, target } => {
                let target = target.to_consensus();
                write!(f, "a checkpoint lacks its work: {hash} for target {target:08x}")
            }
        }
    }
}
