//! What is about channels: it goes to those who have them, and what they say goes out.

use noise::PublicKey;
use peer::{Seq, desk::NotTaken, holder::Ask};
use wire::{
    Error, Message, TYPE_BYTES,
    features::Features,
    id::{ChannelId, ConnectionId},
    lease::{LeaseEpoch, StaleLease},
};

use super::{Change, Effect, Post};
use crate::services::channels::ROUTED;

/// What channels hear of peers. It waits for nothing: what follows is saved behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passed {
    /// A peer can be talked to.
    Came {
        /// Over which connection.
        connection: ConnectionId,
        /// Which one.
        node: PublicKey,
        /// What both will use.
        features: Features,
        /// It was connected before this process knew of it.
        is_old: bool,
    },
    /// A connection is over.
    Went {
        /// Which.
        connection: ConnectionId,
    },
    /// A peer has said something about a channel.
    Message {
        /// Over which connection.
        connection: ConnectionId,
        /// Its type in front.
        bytes: Vec<u8>,
    },
    /// A peer complains.
    Complaint {
        /// Over which connection.
        connection: ConnectionId,
        /// About which channel; zeros if it is about all of them.
        channel_id: ChannelId,
        /// An `error`, not a `warning`.
        fails: bool,
        /// Its words.
        text: String,
    },
    /// Somebody else has the channels: what was wanted is not done.
    Stale(StaleLease),
}

/// What channels want of the post office.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// The channels are mine from here on.
    Attach {
        /// By which lease: a higher one than that of everybody before.
        lease: LeaseEpoch,
    },
    /// Say this.
    Say {
        /// By which lease.
        lease: LeaseEpoch,
        /// Over this connection and no other.
        connection: ConnectionId,
        /// Its type in front.
        bytes: Vec<u8>,
    },
    /// Hang up.
    HangUp {
        /// By which lease.
        lease: LeaseEpoch,
        /// Which connection.
        connection: ConnectionId,
    },
}

pub(super) fn is_of_channels(bytes: &[u8]) -> bool {
    let head = bytes.get(..TYPE_BYTES).and_then(|head| head.try_into().ok());
    let message_type = head.map_or(0, u16::from_be_bytes);
    ROUTED.iter().any(|range| range.contains(&message_type))
}

impl Post {
    /// There is somebody who has channels, and takes what [`Post::poll_passed`] gives.
    pub const fn serve_channels(&mut self) {
        self.has_channels = true;
    }

    /// What channels hear next.
    pub fn poll_passed(&mut self) -> Option<Passed> {
        let passed = self.passed.pop_front();
        passed.filter(|_| self.has_channels)
    }

    /// Channels want something. A message for which there is no room takes its connection with it:
    /// within one nothing may be missing.
    pub fn wish(&mut self, wish: Wish) {
        let judged = match &wish {
            Wish::Attach { lease } => self.lease.judge_claim(*lease),
            Wish::Say { lease, .. } | Wish::HangUp { lease, .. } => self.lease.judge(*lease),
        };
        if let Err(stale) = judged {
            return self.passed.push_back(Passed::Stale(stale));
        }
        match wish {
            Wish::Attach { lease } => self.lease = lease,
            Wish::Say { connection, bytes, .. } => self.say_of_channels(connection, bytes),
            Wish::HangUp { connection, .. } => {
                self.desk.ask(Ask::Close { connection });
            }
        }
    }

    fn say_of_channels(&mut self, connection: ConnectionId, bytes: Vec<u8>) {
        if let Err(NotTaken::Full { .. }) = self.desk.send(connection, bytes) {
            self.desk.ask(Ask::Close { connection });
        }
    }

    /// A message about a channel. Its mark is saved, and not the message: whoever has channels
    /// saves what follows from it, and what a crash takes is said again in the next connection.
    pub(super) fn pass(&mut self, holder: u64, at: ConnectionId, seq: Seq, bytes: Vec<u8>) {
        self.save(Change::Received { holder, connection: at, seq }, None);
        self.act(Effect::Saved { connection: at, seq });
        if self.has_channels {
            return self.passed.push_back(Passed::Message { connection: at, bytes });
        }
        // BOLT 1: "SHOULD send `error` with the unknown `channel_id` in reply to messages of type
        // `32`-`255` related to unknown channels."
        let id = bytes.get(TYPE_BYTES..TYPE_BYTES + 32).and_then(|id| id.try_into().ok());
        let error = Error::new(ChannelId(id.unwrap_or_default()), "there are no channels here");
        if let Ok(bytes) = Message::from(error).encode() {
            self.say_of_channels(at, bytes);
        }
    }

    pub(super) fn pass_peer(&mut self, at: ConnectionId, node: PublicKey, features: Features) {
        let is_old = !self.is_caught;
        self.passed.push_back(Passed::Came { connection: at, node, features, is_old });
    }

    pub(super) fn pass_complaint(
        &mut self,
        connection: ConnectionId,
        channel_id: ChannelId,
        fails: bool,
        text: &str,
    ) {
        let text = text.to_owned();
        self.passed.push_back(Passed::Complaint { connection, channel_id, fails, text });
    }
}
