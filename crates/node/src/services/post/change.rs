//! What a post office saves. Its state is the sum of its changes; so is a snapshot.
//!
//! | record | name | value |
//! |---|---|---|
//! | 2 | booted | epoch (8) |
//! | 4 | named | node (33) |
//! | 6 | wanted | node (33), address as text |
//! | 8 | unwanted | node (33) |
//! | 10 | received | holder (8), connection (8), seq (8) |
//! | 12 | ended | holder (8), connection (8) |

use std::{collections::BTreeMap, net::SocketAddr};

use noise::PublicKey;
use peer::{Epoch, Seq};
use wire::{fault::Broke, id::ConnectionId, key::Point, reader::Reader};

use crate::services::saved::{self, ChangeFault};

/// One step of the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The node has started once more.
    Booted {
        /// How often it has.
        epoch: Epoch,
    },
    /// The signer has said whose node this is.
    Named {
        /// Its id.
        node: PublicKey,
    },
    /// This peer is to be connected whenever possible.
    Wanted {
        /// Its id.
        node: PublicKey,
        /// Where it listens.
        address: SocketAddr,
    },
    /// Not any more.
    Unwanted {
        /// Its id.
        node: PublicKey,
    },
    /// A peer's message is kept; so is every one before it.
    Received {
        /// The holder of the connection.
        holder: u64,
        /// The connection.
        connection: ConnectionId,
        /// The message's number.
        seq: Seq,
    },
    /// A connection is over.
    Ended {
        /// Its holder.
        holder: u64,
        /// Which one.
        connection: ConnectionId,
    },
}

/// The sum of all changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// How often the node has started.
    pub epoch: Epoch,
    /// Whose node this is, once the signer has said so.
    pub node: Option<PublicKey>,
    /// Peers to be connected, and where they listen.
    pub wanted: BTreeMap<PublicKey, SocketAddr>,
    /// The last message kept of each open connection.
    pub marks: BTreeMap<(u64, ConnectionId), Seq>,
}

impl State {
    /// Takes a change in. Live running and restoring both go through here.
    pub fn evolve(&mut self, change: &Change) {
        match *change {
            Change::Booted { epoch } => self.epoch = epoch,
            Change::Named { node } => self.node = Some(node),
            Change::Wanted { node, address } => {
                self.wanted.insert(node, address);
            }
            Change::Unwanted { node } => {
                self.wanted.remove(&node);
            }
            Change::Received { holder, connection, seq } => {
                self.marks.insert((holder, connection), seq);
            }
            Change::Ended { holder, connection } => {
                self.marks.remove(&(holder, connection));
            }
        }
    }

    /// The fewest changes that make this state.
    pub fn changes(&self) -> Vec<Change> {
        let mut changes = vec![Change::Booted { epoch: self.epoch }];
        changes.extend(self.node.map(|node| Change::Named { node }));
        let wanted = self.wanted.iter();
        changes.extend(wanted.map(|(&node, &address)| Change::Wanted { node, address }));
        changes.extend(self.marks.iter().map(|(&(holder, connection), &seq)| Change::Received {
            holder,
            connection,
            seq,
        }));
        changes
    }

    /// A snapshot: each change with its length in front.
    pub fn encode(&self) -> Vec<u8> {
        saved::join(self.changes().iter().map(Change::encode))
    }

    /// Reads what [`State::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, ChangeFault> {
        let mut state = Self::default();
        for bytes in saved::split(bytes)? {
            if let Some(change) = Change::decode(bytes)? {
                state.evolve(&change);
            }
        }
        Ok(state)
    }
}

impl Change {
    /// The bytes that are saved.
    pub fn encode(&self) -> Vec<u8> {
        let mut value = Vec::new();
        let mut numbers = |numbers: &[u64]| {
            numbers.iter().for_each(|number| value.extend_from_slice(&number.to_be_bytes()));
        };
        let record = match self {
            Self::Booted { epoch } => {
                numbers(&[epoch.0]);
                2
            }
            Self::Named { node } => {
                value.extend_from_slice(&node.serialize());
                4
            }
            Self::Wanted { node, address } => {
                value.extend_from_slice(&node.serialize());
                value.extend_from_slice(address.to_string().as_bytes());
                6
            }
            Self::Unwanted { node } => {
                value.extend_from_slice(&node.serialize());
                8
            }
            Self::Received { holder, connection, seq } => {
                numbers(&[*holder, connection.0, seq.0]);
                10
            }
            Self::Ended { holder, connection } => {
                numbers(&[*holder, connection.0]);
                12
            }
        };
        saved::write(record, &value)
    }

    /// Reads a saved change; nothing if it is one of a newer version that may be passed over.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, ChangeFault> {
        saved::read(bytes, |record, from| {
            Ok(Some(match record {
                2 => Self::Booted { epoch: Epoch(number(from)?) },
                4 => Self::Named { node: key(from)? },
                6 => Self::Wanted { node: key(from)?, address: address(from)? },
                8 => Self::Unwanted { node: key(from)? },
                10 => Self::Received {
                    holder: number(from)?,
                    connection: ConnectionId(number(from)?),
                    seq: Seq(number(from)?),
                },
                12 => {
                    Self::Ended { holder: number(from)?, connection: ConnectionId(number(from)?) }
                }
                _ => return Ok(None),
            }))
        })
    }
}

fn number(from: &mut Reader<'_>) -> Result<u64, Broke> {
    Ok(u64::from_be_bytes(*from.array()?))
}

fn key(from: &mut Reader<'_>) -> Result<PublicKey, Broke> {
    Ok(*Point::parse(from.array()?)?.key())
}

fn address(from: &mut Reader<'_>) -> Result<SocketAddr, ChangeFault> {
    let text = String::from_utf8_lossy(from.rest());
    let got = || text.clone().into_owned();
    text.parse().map_err(|_| ChangeFault::Meaningless { what: "address", got: got() })
}
