//! Channels and payments, as people and programs see them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A channel.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// Its name for both, 32 bytes in hex.
    pub id: String,
    /// The peer, 33 bytes in hex.
    pub node: String,
    /// `funding`, `awaiting_peer`, `open`, `reorganized`, `shutdown`, `closing`, `failing` or
    /// `closed`.
    pub state: String,
    /// What is to be known about that.
    pub why: Option<String>,
    /// Whether the peer is there, and both have said where they stand.
    pub connected: bool,
    /// Whether we have opened it.
    pub opener: bool,
    /// Whether the world shall know of it.
    pub announce: bool,
    /// The output that it lives in: `TXID:NUMBER`.
    pub funding: String,
    /// Where that stands in the chain, as `BLOCKxTRANSACTIONxOUTPUT`, once it does. Not if the
    /// channel is known by aliases only, as those are that the world does not know of.
    pub short_channel_id: Option<String>,
    /// Our name for it, by which the peer may send payments to us.
    pub alias: Option<String>,
    /// The peer's name for it: by that it can be told to others who shall pay us.
    pub peer_alias: Option<String>,
    /// How much it holds.
    pub capacity_sat: u64,
    /// What is ours, without what is under way.
    pub local_msat: u64,
    /// What is the peer's, without what is under way.
    pub remote_msat: u64,
    /// Payments under way.
    pub htlcs: usize,
    /// What its commitments pay for 1,000 virtual bytes.
    pub sat_per_kvb: u64,
    /// Blocks from the one that has its funding to the newest, both counted.
    pub confirmations: u32,
    /// So many we want.
    pub confirmations_min: u32,
    /// The transaction that ends it, once it is in a block.
    pub closing_txid: Option<String>,
    /// When both sides had their first commitments, in seconds since 1970.
    pub created: u32,
}

/// Opens a channel.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenChannel {
    /// With this peer, which must be connected.
    pub node: String,
    /// How much it holds.
    pub amount_sat: u64,
    /// What of it is given to the peer at once.
    #[serde(default)]
    pub push_msat: u64,
    /// Whether the world shall know of it.
    #[serde(default)]
    pub announce: bool,
    /// What the funding transaction pays for 1,000 virtual bytes; enough for 6 blocks if it is left
    /// out.
    pub sat_per_kvb: Option<u64>,
}

/// Sets what the commitments of a channel pay.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetFee {
    /// For 1,000 virtual bytes.
    pub sat_per_kvb: u64,
}

/// Closes a channel.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CloseChannel {
    /// Without the peer: by publishing our own commitment.
    #[serde(default)]
    pub force: bool,
    /// Although the peer has not said where it stands since the node started: if the node's files
    /// are those of an earlier day, all money of the channel goes to the peer.
    #[serde(default)]
    pub unheard: bool,
}

/// Pays a peer over a channel.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Pay {
    /// Whom.
    pub node: String,
    /// How much.
    pub amount_msat: u64,
    /// What the payment is called: at most 64 printable characters of ASCII. Whoever asks again by
    /// the same name is told how that payment is, and nothing more is paid.
    pub name: Option<String>,
}

/// A payment over a channel.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Payment {
    /// Its number here.
    pub id: u64,
    /// Who is at the other end.
    pub node: String,
    /// Whether it is to us.
    pub incoming: bool,
    /// How much.
    pub amount_msat: u64,
    /// Its hash, 32 bytes in hex.
    pub hash: String,
    /// What it is called.
    pub name: Option<String>,
    /// `pending`, `paid` or `failed`.
    pub state: String,
    /// Why it has failed.
    pub why: Option<String>,
    /// What shows that it was paid, 32 bytes in hex.
    pub preimage: Option<String>,
    /// When it began, in seconds since 1970.
    pub created: u32,
}
