//! All that can be asked of a holder of sockets, all it answers, and all it tells its subscriber.
//! Data only: this is the contract that crosses a bus; `codec.rs` makes bytes of it.

use core::{fmt, net::SocketAddr};

use noise::PublicKey;
use wire::{
    id::{ChannelId, ConnectionId},
    tick::Millis,
};

use crate::{
    api::{Culprit, Epoch, OutSeq, Refusal, Seq},
    limits::LISTED_MAX,
    live::Reclaimed,
    tunnel::Delegation,
};

/// Whoever asks: a link of the bus, as the shell numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link(pub u64);

/// Names a question among those of its link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskId(pub u64);

/// A question to the holder.
pub enum Ask {
    /// Tell me all from here on; I send in the name of this epoch.
    Subscribe {
        /// Higher than that of every subscriber before, or the same if the same one comes back.
        epoch: Epoch,
    },
    /// Call a node.
    Dial {
        /// The node.
        remote: PublicKey,
        /// Where it listens.
        address: SocketAddr,
    },
    /// Call an address, and carry my own ciphertext from the first byte on.
    Tunnel {
        /// Where to.
        address: SocketAddr,
        /// The epoch of the owner.
        epoch: Epoch,
    },
    /// End a connection.
    Close {
        /// Which one.
        connection: ConnectionId,
    },
    /// Send a message to the peer.
    Send {
        /// Over which connection.
        connection: ConnectionId,
        /// The sender's epoch.
        epoch: Epoch,
        /// The message's number, from 1 on within the epoch.
        seq: OutSeq,
        /// The message, its type in front.
        message: Vec<u8>,
    },
    /// How long does the peer take to answer?
    Ping {
        /// Over which connection.
        connection: ConnectionId,
    },
    /// All messages up to these are saved. One mark that is refused leaves the others in force.
    Acknowledge {
        /// One for each connection.
        marks: Vec<(ConnectionId, Seq)>,
    },
    /// Here are the keys: go on without me.
    Delegate {
        /// Of which connection.
        connection: ConnectionId,
        /// The keys, and what was read and sent with them.
        delegation: Delegation,
    },
    /// Give me the keys: I go on myself.
    Reclaim {
        /// Of which connection.
        connection: ConnectionId,
        /// The epoch of the new owner.
        epoch: Epoch,
    },
    /// I am back: give me the ciphertext from this offset on.
    Attach {
        /// Of which connection.
        connection: ConnectionId,
        /// The owner's epoch.
        epoch: Epoch,
        /// The first byte that I do not have.
        offset: u64,
    },
    /// I have read the ciphertext up to here.
    Credit {
        /// Of which connection.
        connection: ConnectionId,
        /// The owner's epoch.
        epoch: Epoch,
        /// The end of the last whole record.
        offset: u64,
    },
    /// Write my ciphertext to the socket.
    Pass {
        /// Of which connection.
        connection: ConnectionId,
        /// The owner's epoch.
        epoch: Epoch,
        /// Bytes sent before these.
        offset: u64,
        /// The ciphertext.
        bytes: Vec<u8>,
    },
    /// Which connections are there?
    List {
        /// Behind this one.
        after: Option<ConnectionId>,
        /// At most so many, and never more than [`LISTED_MAX`].
        max: u16,
    },
    /// How much is there of everything?
    Status,
}

/// What a holder answers. It may hold keys, so it can be neither copied nor printed.
pub enum Answer {
    /// To [`Ask::Subscribe`].
    Subscribed {
        /// This holder, and those that take over from it. Another one has other connections.
        holder: u64,
        /// Where peers can call.
        listening: Vec<SocketAddr>,
    },
    /// To [`Ask::Dial`] and [`Ask::Tunnel`]: how it went is told later.
    Dialing {
        /// The number it will have.
        connection: ConnectionId,
    },
    /// It is done.
    Done,
    /// To [`Ask::Ping`].
    Ponged {
        /// After this time.
        after: Millis,
    },
    /// To [`Ask::Reclaim`].
    Reclaimed(Reclaimed),
    /// To [`Ask::List`], by rising number; none if there is none behind the one named.
    Listed(Vec<Summary>),
    /// To [`Ask::Status`].
    Status(Status),
    /// To any question: no, and why. Nothing changed.
    Refused(Denial),
}

/// What a subscriber, or a client with a tunnel, is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Messages can flow, and it is certain who is at the other end.
    Opened(Opened),
    /// All connections that were open when this subscriber came have been told.
    Caught,
    /// The peer said this. Kept until it is acknowledged.
    Message {
        /// Over which connection.
        connection: ConnectionId,
        /// The message's number.
        seq: Seq,
        /// The message, its type in front.
        bytes: Vec<u8>,
    },
    /// The peer complains, or fails a channel.
    Complaint {
        /// Over which connection.
        connection: ConnectionId,
        /// An `error`, not a `warning`.
        fails: bool,
        /// About this channel, or about all.
        channel_id: ChannelId,
        /// Its words, cleaned.
        text: String,
    },
    /// It is over, or never came to be.
    Closed {
        /// Which one.
        connection: ConnectionId,
        /// Who ended it.
        culprit: Culprit,
        /// Why, in words.
        text: String,
    },
    /// Ciphertext for whoever has the keys.
    Tunnel {
        /// Of which connection.
        connection: ConnectionId,
        /// Bytes before these.
        offset: u64,
        /// The ciphertext.
        bytes: Vec<u8>,
    },
}

/// A connection that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Its number.
    pub connection: ConnectionId,
    /// The node at the other end.
    pub remote: PublicKey,
    /// The address of the other end.
    pub address: SocketAddr,
    /// Whether we called.
    pub outbound: bool,
    /// The owner in force.
    pub epoch: Epoch,
    /// The last message this owner has sent.
    pub sent: OutSeq,
    /// The body of their `init`.
    pub init: Vec<u8>,
}

/// One line of a list of connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its number.
    pub connection: ConnectionId,
    /// The node at the other end, once it is known.
    pub remote: Option<PublicKey>,
    /// The address of the other end.
    pub address: SocketAddr,
    /// Whether we called.
    pub outbound: bool,
    /// Where it stands.
    pub state: String,
}

/// How much there is of everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Connections in any state.
    pub connections: u64,
    /// Those of them that shake hands.
    pub handshakes: u64,
    /// Questions that the key holder has not answered.
    pub unanswered: u64,
    /// Whether the key holder can be reached.
    pub key_holder: bool,
}

/// Why a question was refused. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// There is no such connection.
    Unknown {
        /// Its number.
        connection: ConnectionId,
    },
    /// The connection refuses.
    Connection(Refusal),
    /// The connection belongs to somebody else.
    NotYours {
        /// Its number.
        connection: ConnectionId,
    },
    /// Only the subscriber may ask this.
    NotSubscribed,
    /// Another subscriber has a higher epoch.
    StaleEpoch {
        /// The epoch of the question.
        got: Epoch,
        /// The epoch in force.
        have: Epoch,
    },
    /// As many as there may be.
    Full {
        /// Of what.
        what: &'static str,
        /// How many there are.
        have: usize,
        /// How many there may be.
        max: usize,
    },
    /// The bytes are no question.
    Malformed,
    /// In the words of a holder in another process.
    Told(String),
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { connection } => write!(f, "there is no connection {connection}"),
            Self::Connection(refusal) => refusal.fmt(f),
            Self::NotYours { connection } => {
                write!(f, "connection {connection} belongs to somebody else")
            }
            Self::NotSubscribed => f.write_str("only the subscriber may ask this"),
            Self::StaleEpoch { got, have } => {
                write!(f, "a subscriber of epoch {}, the one in force has {}", got.0, have.0)
            }
            Self::Full { what, have, max } => write!(f, "{have} {what}, at most {max}"),
            Self::Malformed => f.write_str("not a question that this holder knows"),
            Self::Told(text) => f.write_str(text),
        }
    }
}

impl core::error::Error for Denial {}

impl From<Refusal> for Denial {
    fn from(refusal: Refusal) -> Self {
        Self::Connection(refusal)
    }
}

const _: () = assert!(LISTED_MAX <= u16::MAX as usize, "a page's size is two bytes");
