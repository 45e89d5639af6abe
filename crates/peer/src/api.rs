//! What a connection wants done, and what it has to tell.

use core::fmt;

use noise::PublicKey;
use wire::{Init, features::FeatureFault, id::ChannelId, tick::Millis};

/// Counts the owners of a connection's keys. Who has an older one has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// Numbers the messages that a peer sent us, from 1, within a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

/// Numbers the messages that one owner sends, from 1, within its epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutSeq(pub u64);

/// What the shell is to do, in order.
pub enum Effect {
    /// Ask the key holder; the answer goes to `Connection::handle_answer`.
    Ask(noise::Ask),
    /// Write the bytes to the socket, behind those before; then `Connection::handle_written`.
    Write(Vec<u8>),
    /// Hand these bytes of ciphertext to the client, whose first has this offset.
    Tunnel {
        /// Bytes of this direction before these.
        offset: u64,
        /// The ciphertext.
        bytes: Vec<u8>,
    },
    /// Tell whoever listens.
    Tell(Event),
    /// Close the socket once everything before is written. Nothing follows.
    Close(Why),
}

/// What has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Both `init`s are through: messages can flow.
    Ready {
        /// The node at the other end.
        remote: PublicKey,
        /// What it said.
        init: Box<Init>,
    },
    /// A message for a subscriber, kept until `Connection::acknowledge`.
    Message {
        /// Its number.
        seq: Seq,
        /// The message, its type in front.
        bytes: Vec<u8>,
    },
    /// The peer complains.
    Warning {
        /// About this channel, or none in particular.
        channel_id: ChannelId,
        /// Its words, cleaned of what no terminal should show.
        text: String,
    },
    /// The peer fails a channel, or all of them.
    Error {
        /// The channel.
        channel_id: ChannelId,
        /// Its words, cleaned.
        text: String,
    },
    /// The peer has answered our ping.
    Pong {
        /// In this time.
        after: Millis,
    },
    /// The key holder has confirmed who connected, some time after it did.
    Verified,
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The other side closed it, or the network did.
    RemoteClosed,
    /// We were told to.
    Local,
    /// Nobody answers at that address.
    Unreachable {
        /// In the system's words.
        reason: String,
    },
    /// The key holder is away, and was needed.
    KeyHolderAway,
    /// It could not travel to the process that took over.
    Handover,
    /// The handshake or the transport failed.
    Noise(noise::Fault),
    /// A message of the connection's own was refused.
    Wire(wire::Fault),
    /// The first message was not `init`.
    NoInit {
        /// Its type.
        message_type: u16,
    },
    /// A second `init`.
    InitTwice,
    /// The features do not fit.
    Features(FeatureFault),
    /// No chain in common.
    NoCommonChain,
    /// A message that nobody here knows, and that must not be ignored.
    UnknownEven {
        /// Its type.
        message_type: u16,
    },
    /// A pong of another length than we asked for, or one that we did not ask for.
    WrongPong {
        /// Its length.
        got: usize,
        /// The length we asked for, if we did.
        want: Option<usize>,
    },
    /// The peer took too long.
    TimedOut {
        /// With this.
        what: &'static str,
        /// The limit.
        max: Millis,
    },
}

/// Who ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Culprit {
    /// We did, or nobody.
    Local,
    /// The peer broke a rule.
    Remote,
    /// The network, or a peer that went away.
    Network,
}

impl Why {
    /// Who ended it.
    pub fn culprit(&self) -> Culprit {
        match self {
            Self::Local | Self::KeyHolderAway | Self::Handover => Culprit::Local,
            Self::RemoteClosed | Self::Unreachable { .. } | Self::TimedOut { .. } => {
                Culprit::Network
            }
            // A key holder that says no is ours.
            Self::Noise(fault) if fault.culprit() != noise::Culprit::Peer => Culprit::Local,
            Self::Noise(_)
            | Self::Wire(_)
            | Self::NoInit { .. }
            | Self::InitTwice
            | Self::Features(_)
            | Self::NoCommonChain
            | Self::UnknownEven { .. }
            | Self::WrongPong { .. } => Culprit::Remote,
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RemoteClosed => f.write_str("the other side closed the connection"),
            Self::Local => f.write_str("closed on request"),
            Self::Unreachable { reason } => write!(f, "cannot be reached: {reason}"),
            Self::KeyHolderAway => f.write_str("the key holder is away"),
            Self::Handover => f.write_str("another process took over during the handshake"),
            Self::Noise(fault) => write!(f, "transport: {fault}"),
            Self::Wire(fault) => write!(f, "message: {fault}"),
            Self::NoInit { message_type } => {
                write!(
                    f,
                    "first message has type {message_type}, init is {}",
                    <Init as wire::Body>::TYPE
                )
            }
            Self::InitTwice => f.write_str("a second init"),
            Self::Features(fault) => write!(f, "features: {fault}"),
            Self::NoCommonChain => f.write_str("no chain in common"),
            Self::UnknownEven { message_type } => {
                write!(f, "unknown even message type {message_type}")
            }
            Self::WrongPong { got, want: Some(want) } => {
                write!(f, "pong of {got} bytes, {want} asked for")
            }
            Self::WrongPong { got, want: None } => {
                write!(f, "pong of {got} bytes, none asked for")
            }
            Self::TimedOut { what, max } => write!(f, "no {what} within {max}"),
        }
    }
}

impl core::error::Error for Why {}

/// Why a request was refused. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The connection is not in a state for it.
    NotNow {
        /// What was asked.
        asked: &'static str,
        /// The state.
        state: &'static str,
    },
    /// Asked in the name of an owner that is not the present one.
    StaleEpoch {
        /// The epoch of the request.
        got: Epoch,
        /// The epoch in force.
        have: Epoch,
    },
    /// A message that was sent before, or after one that is missing.
    OutOfSequence {
        /// Its number.
        got: OutSeq,
        /// The next one.
        want: OutSeq,
    },
    /// The new owner's idea of what was sent or received is not ours.
    WrongOffset {
        /// Of which direction.
        direction: &'static str,
        /// The new owner's offset.
        got: u64,
        /// The lowest that fits.
        min: u64,
        /// The highest that fits.
        max: u64,
    },
    /// The socket does not take bytes as fast as they are sent.
    Congested {
        /// Bytes that wait.
        unsent: usize,
        /// At most so many may.
        max: usize,
    },
    /// A message that no transport can carry.
    TooLong(wire::TooLong),
    /// The keys were refused.
    Noise(noise::Fault),
    /// A message acknowledged that was never handed out.
    NeverDelivered {
        /// Its number.
        got: Seq,
        /// The last one handed out.
        last: Seq,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotNow { asked, state } => write!(f, "cannot {asked} while {state}"),
            Self::StaleEpoch { got, have } => write!(f, "epoch {}, now it is {}", got.0, have.0),
            Self::OutOfSequence { got, want } => {
                write!(f, "message number {}, the next is {}", got.0, want.0)
            }
            Self::WrongOffset { direction, got, min, max } => {
                write!(f, "{direction} offset {got}, {min} to {max} would fit")
            }
            Self::Congested { unsent, max } => write!(f, "{unsent} bytes unsent, at most {max}"),
            Self::TooLong(fault) => fault.fmt(f),
            Self::Noise(fault) => fault.fmt(f),
            Self::NeverDelivered { got, last } => {
                write!(f, "message {} acknowledged, the last one was {}", got.0, last.0)
            }
        }
    }
}

impl core::error::Error for Refusal {}
