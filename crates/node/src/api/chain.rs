//! The chain, as people and programs see it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A block.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// How many are below it.
    pub height: u32,
    /// Its hash, as Bitcoin shows it.
    pub hash: String,
}

/// How the source of blocks is.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// `up`, `behind`, `stale` if blocks are long since due, `down`, `other_network`, `lying`, or
    /// `unknown` before the first answer.
    pub state: String,
    /// In words.
    pub text: String,
}

/// How the chain is.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChainStatus {
    /// The network: `bitcoin`, `testnet4`, `signet` or `regtest`.
    pub network: String,
    /// Where blocks come from.
    pub source: Source,
    /// Our first block; nothing before the source has been reached.
    pub first: Option<Block>,
    /// Our newest block.
    pub tip: Option<Block>,
    /// The last block that has been looked through.
    pub heard: Option<Block>,
    /// When the newest block says that it was made, in seconds since 1970.
    pub tip_time: Option<u32>,
    /// How much is watched.
    pub watches: usize,
    /// How much of it is still searched for in blocks of the past.
    pub searching: usize,
    /// How many transactions, or packages of them, are being published.
    pub publications: usize,
    /// How far the signer's own view of the chain is; nothing if the signer is away.
    pub signer: Option<SignersView>,
    /// Blocks that are needed and that the source does not have, and why, in words.
    pub missing: Vec<String>,
    /// What is paid, for some targets.
    pub rates: Vec<Rate>,
}

/// How far the signer's own view of the chain is.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignersView {
    /// Its newest block.
    pub tip: Block,
    /// When that says that it was made, in seconds since 1970.
    pub tip_time: u32,
    /// How old that makes it by the signer's clock, in seconds; nothing if the signer has none.
    pub age_s: Option<u32>,
    /// How long ago it came, in milliseconds; nothing if that was before the signer started.
    pub received_ms: Option<u64>,
}

/// What a transaction pays.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// To be confirmed within so many blocks.
    pub blocks: u16,
    /// For 1,000 virtual bytes, in satoshis.
    pub sat_per_kvb: u64,
    /// Who says so.
    pub from: String,
}

/// Asks to watch something.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WatchThis {
    /// An address, `TXID:NUMBER` of an output, or `script:HEX`.
    pub what: String,
    /// From this block on; from the next one on if it is left out.
    pub from: Option<u32>,
}

/// Something that is watched.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WatchLine {
    /// An address, `TXID:NUMBER` of an output, or `script:HEX`.
    pub what: String,
    /// Whether blocks of the past are still looked through.
    pub searching: bool,
    /// What was found, the oldest first.
    pub found: Vec<Found>,
    /// How many more were found, and are not kept: the oldest.
    pub left_out: u64,
}

/// Something that was found in a block.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// The block.
    pub block: Block,
    /// The transaction.
    pub txid: String,
    /// The number of its input that spends what is watched.
    pub input: Option<u32>,
    /// The number of its output that pays to what is watched.
    pub output: Option<u32>,
}
