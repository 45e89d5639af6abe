//! Wires between the two hosts: bytes in order, in pieces, late, or never.

use std::collections::{BTreeMap, VecDeque};

use wire::{id::ConnectionId, tick::Tick};

/// One of the two machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    A,
    B,
}

impl Side {
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// Names a wire for the whole life of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WireId(pub(crate) u64);

/// One end of a wire.
pub(crate) type End = (WireId, Side);

/// A wire between two sockets.
pub(crate) struct Wire {
    pub(crate) ends: BTreeMap<Side, Socket>,
    /// Nothing passes any more, and nobody is told.
    pub(crate) silent: bool,
    /// Nothing passes before.
    pub(crate) stalled_until: Tick,
}

/// A socket, and what its machine holds for it.
pub(crate) struct Socket {
    pub(crate) connection: ConnectionId,
    /// What its owner has written and the machine has not sent.
    pub(crate) unsent: VecDeque<u8>,
    /// What has come and its owner has not read.
    pub(crate) unread: VecDeque<u8>,
    /// Its owner has closed it; it goes when all is sent.
    pub(crate) closing: bool,
    /// The other end has closed.
    pub(crate) ended: bool,
    /// A movement of bytes has been put in the queue.
    pub(crate) sending: bool,
    pub(crate) reading: bool,
}

impl Socket {
    pub(crate) const fn new(connection: ConnectionId) -> Self {
        Self {
            connection,
            unsent: VecDeque::new(),
            unread: VecDeque::new(),
            closing: false,
            ended: false,
            sending: false,
            reading: false,
        }
    }
}
