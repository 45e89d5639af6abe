//! The node's API as data: what goes over HTTP, in both directions. The OpenAPI document is made
//! from these types.

mod chain;
mod channels;
mod devnet;
mod wallet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use chain::{Block, ChainStatus, Found, Rate, SignersView, Source, WatchLine, WatchThis};
pub use channels::{Channel, CloseChannel, OpenChannel, Pay, Payment, SetFee};
pub use devnet::{Fund, Funded, Mine, Mined, MinedBlock, Reorg};
pub use wallet::{
    Address, Balance, Bump, Coin, Forget, Forgotten, Progress, Publication, Rescan, Send, Sent,
};

/// Who this node is, and how it is.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Info {
    /// The node's id, 33 bytes in hex; nothing as long as its signer has never been reached.
    pub node: Option<String>,
    /// The network: `bitcoin`, `testnet4`, `signet` or `regtest`.
    pub network: String,
    /// The version of the program.
    pub version: String,
    /// Where peers can call, if this process has the sockets.
    pub listening: Vec<String>,
    /// How many peers are connected.
    pub peers: usize,
    /// Whether the signer can be reached.
    pub signer: bool,
    /// Whether the sockets can be reached.
    pub sockets: bool,
}

/// A connected peer.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Its id, 33 bytes in hex.
    pub node: String,
    /// The address of the other end.
    pub address: String,
    /// Whether we called.
    pub outbound: bool,
    /// The number of its connection.
    pub connection: u64,
    /// Names of the features that both will use.
    pub features: Vec<String>,
    /// For how long it has been connected, in milliseconds.
    pub connected_ms: u64,
}

/// Asks for a connection.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Connect {
    /// The node to call, 33 bytes in hex.
    pub node: String,
    /// `HOST:PORT`.
    pub address: String,
}

/// How long a pong took.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Pong {
    /// In milliseconds.
    pub after_ms: u64,
}

/// A message for a peer.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SendMessage {
    /// Its type: odd, and at least 32768.
    pub message_type: u16,
    /// What follows the type, in hex.
    pub payload: String,
}

/// A text to be signed.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Sign {
    /// The text.
    pub message: String,
}

/// A signature as other nodes take it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// 104 characters of zbase32.
    pub signature: String,
}

/// A signed text to be verified.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// The text.
    pub message: String,
    /// 104 characters of zbase32.
    pub signature: String,
}

/// Whose signature it is.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Verified {
    /// The node that signed, 33 bytes in hex.
    pub node: String,
}

/// It is done, and there is nothing more to say.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Done {}

/// Something has happened.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A peer can be talked to.
    PeerConnected {
        /// Which one.
        peer: Peer,
    },
    /// A peer is gone.
    PeerDisconnected {
        /// Its id.
        node: String,
        /// The number its connection had.
        connection: u64,
        /// Why.
        why: String,
    },
    /// A peer has said something, and it is saved.
    Message {
        /// Its id.
        node: String,
        /// The number of its connection.
        connection: u64,
        /// The message's number on this connection.
        seq: u64,
        /// The message's type.
        message_type: u16,
        /// What follows the type, in hex.
        payload: String,
    },
    /// A peer complains.
    Complaint {
        /// Its id.
        node: String,
        /// An `error`, not a `warning`.
        fails: bool,
        /// Its words.
        text: String,
    },
    /// The signer can be reached, or cannot any more.
    Signer {
        /// Which of the two.
        reachable: bool,
    },
    /// The sockets can be reached, or cannot any more.
    Sockets {
        /// Which of the two.
        reachable: bool,
    },
    /// The source of blocks is different from before.
    Source {
        /// How it is.
        source: Source,
    },
    /// The chain has one block more.
    BlockConnected {
        /// Which.
        block: Block,
    },
    /// The newest block is in the chain no more, nor is anything that was found in it.
    BlockDisconnected {
        /// Which.
        block: Block,
    },
    /// Something that is watched was found.
    Found {
        /// What is watched: an address, `TXID:NUMBER` of an output, or `script:HEX`.
        what: String,
        /// Where it was found.
        found: Found,
    },
    /// It is not in the chain any more.
    FoundGone {
        /// What is watched.
        what: String,
        /// Where it had been found.
        found: Found,
    },
    /// Something became of a transaction of the wallet's.
    Publication {
        /// Which.
        txid: String,
        /// What became of it.
        publication: Publication,
    },
    /// There is more or less money than before.
    Balance {
        /// How much.
        balance: Balance,
    },
    /// A channel is not as it was.
    Channel {
        /// How it is.
        channel: Box<Channel>,
    },
    /// The signer does not do what a channel wants.
    ChannelRefused {
        /// Which channel.
        id: String,
        /// Why.
        why: String,
    },
    /// A payment over a channel is not as it was.
    Payment {
        /// How it is.
        payment: Box<Payment>,
    },
    /// This listener was too slow.
    Missed {
        /// Events that it has not been told.
        events: u64,
    },
}

/// Why a request was refused.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// A word for programs, which does not change.
    pub code: String,
    /// In words, with the numbers that disagree.
    pub error: String,
}
