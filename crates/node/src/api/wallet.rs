//! The wallet, as people and programs see it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Block;

/// How much there is, in satoshis.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Balance {
    /// In blocks, and old enough. What is locked is in it, too.
    pub confirmed_sat: u64,
    /// In no block yet.
    pub pending_sat: u64,
    /// In blocks, but mined too lately to be spent.
    pub immature_sat: u64,
    /// The part of all that which somebody keeps.
    pub locked_sat: u64,
    /// What spends have to leave, for future channels.
    pub reserve_sat: u64,
    /// What spends can have, fees included.
    pub spendable_sat: u64,
}

/// An address that nobody has paid to.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// The address.
    pub address: String,
}

/// An output that is ours, and unspent.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Coin {
    /// `TXID:NUMBER`.
    pub outpoint: String,
    /// What it is worth.
    pub amount_sat: u64,
    /// The height of its block; nothing if it is in none.
    pub height: Option<u32>,
    /// Blocks from that one to the newest, both counted.
    pub confirmations: u32,
    /// Whether it was mined too lately to be spent.
    pub immature: bool,
    /// Who keeps it.
    pub locked_by: Option<String>,
}

/// Pays somebody.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Send {
    /// The address that is paid.
    pub to: String,
    /// How much.
    pub amount_sat: Option<u64>,
    /// Instead of an amount: all that can be spent.
    #[serde(default)]
    pub all: bool,
    /// What is paid for 1,000 virtual bytes.
    pub sat_per_kvb: Option<u64>,
    /// Instead of that: to be confirmed within so many blocks. 6 if both are left out.
    pub blocks: Option<u16>,
    /// A person has seen the fee and wants it, although it is high.
    #[serde(default)]
    pub allow_high_fee: bool,
    /// What future channels need may be spent, too.
    #[serde(default)]
    pub spend_reserve: bool,
    /// What the payment is called: at most 64 printable characters of ASCII. Whoever asks again by
    /// the same name is told what was sent, and nothing more is paid.
    pub name: Option<String>,
}

/// A transaction that is on its way.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Sent {
    /// Its id.
    pub txid: String,
    /// What it costs.
    pub fee_sat: u64,
    /// Why no source of blocks has it yet, if that is so. It will be tried again.
    pub waits: Option<String>,
}

/// Replaces a spend by one that pays more.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Bump {
    /// Which.
    pub txid: String,
    /// What is paid for 1,000 virtual bytes.
    pub sat_per_kvb: u64,
    /// A person has seen the fee and wants it, although it is high.
    #[serde(default)]
    pub allow_high_fee: bool,
    /// What future channels need may be spent, too.
    #[serde(default)]
    pub spend_reserve: bool,
}

/// Gives up a pending transaction.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Forget {
    /// Which.
    pub txid: String,
    /// Although somebody may have it mined still.
    #[serde(default)]
    pub force: bool,
}

/// Transactions that were given up.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Forgotten {
    /// The one that was meant, and all that hung on it.
    pub txids: Vec<String>,
}

/// Looks for our money once more.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rescan {
    /// From this block on; from the first one there is if it is left out.
    pub from: Option<u32>,
}

/// How far a rescan is.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Whether it is through, or there was none.
    pub finished: bool,
    /// Scripts and coins that are through.
    pub done: usize,
    /// All of them. There are more when something is found.
    pub of: usize,
    /// Transactions that were found and not known before.
    pub found: usize,
}

/// What became of a transaction.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Publication {
    /// The source has it.
    Accepted,
    /// The source does not take it.
    Refused {
        /// Why.
        why: String,
        /// What can be done: `wait`, `raise_fee`, `give_up` or `look`.
        cure: String,
    },
    /// It is in the chain.
    Confirmed {
        /// In this block.
        block: Block,
    },
    /// It is not any more, and is published again.
    Unconfirmed {
        /// It was in this block.
        block: Block,
    },
    /// Another transaction spends what it spends.
    Replaced {
        /// Which.
        by: String,
    },
    /// What replaced it is gone; it is published again.
    Restored,
    /// It is buried so deep that nothing brings it back.
    Deep,
    /// It was given up: it is published no more, and its coins are free.
    Forgotten,
}
