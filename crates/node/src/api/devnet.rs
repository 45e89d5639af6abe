//! A devnet, as people and programs see it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Block;

/// Mines blocks.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Mine {
    /// How many.
    pub blocks: u32,
    /// Who gets the reward; the devnet itself if it is left out.
    pub to: Option<String>,
}

/// Blocks that were mined.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Mined {
    /// In their order.
    pub blocks: Vec<MinedBlock>,
}

/// A block that was mined.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MinedBlock {
    /// Which.
    pub block: Block,
    /// What Bitcoin Core's kernel says: `connected`, or `stored` as long as another branch is
    /// heavier.
    pub verdict: String,
}

/// Pays test money.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Fund {
    /// To this address.
    pub to: String,
    /// So much.
    pub amount_sat: u64,
}

/// Test money that was paid.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Funded {
    /// The output that pays it, `TXID:NUMBER`.
    pub outpoint: String,
}

/// Replaces blocks.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reorg {
    /// So many, by one more.
    pub depth: u32,
}
