//! While a client has the keys: ciphertext goes through, counted, and is kept until acknowledged.

use std::collections::VecDeque;

use noise::{PublicKey, TransportState};
use wire::Init;

use crate::{
    api::{Epoch, Refusal},
    connection::Counts,
    limits::TUNNEL_BYTES_MAX,
};

/// What a client hands over when it goes away.
pub struct Delegation {
    /// The epoch of the new owner; higher than all before.
    pub epoch: Epoch,
    /// The node at the other end.
    pub remote: PublicKey,
    /// The keys.
    pub state: TransportState,
    /// Bytes of ciphertext that the client has decrypted, from the connection's first byte on.
    pub rx_offset: u64,
    /// Bytes of ciphertext that the client has sent, likewise.
    pub tx_offset: u64,
    /// What the peer said in its `init`, if it has; otherwise the new owner exchanges it.
    pub init: Option<Box<Init>>,
}

/// Ciphertext on its way to the client.
pub(crate) struct Tunnel {
    /// Offset of the first byte that is kept.
    start: u64,
    kept: VecDeque<u8>,
    /// What was counted before a client had the keys.
    counts: Counts,
}

impl Tunnel {
    /// Nothing kept, or what the last owner had not read.
    pub(crate) fn new(start: u64, unread: Vec<u8>, counts: Counts) -> Box<Self> {
        Box::new(Self { start, kept: unread.into(), counts })
    }

    /// What goes on counting.
    pub(crate) const fn counts(&self) -> Counts {
        self.counts
    }

    /// What one process tells the next.
    pub(crate) fn into_parts(self) -> (u64, VecDeque<u8>, Counts) {
        (self.start, self.kept, self.counts)
    }

    /// Keeps what came from the peer.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.kept.extend(bytes);
    }

    /// How many more bytes may come.
    pub(crate) fn room(&self) -> usize {
        TUNNEL_BYTES_MAX.saturating_sub(self.kept.len())
    }

    /// Forgets what the client has.
    pub(crate) fn acknowledge(&mut self, offset: u64) -> Result<(), Refusal> {
        let known = self.within(offset)?;
        self.kept.drain(..known);
        self.start = offset;
        Ok(())
    }

    /// What is kept from this offset on.
    pub(crate) fn kept_from(&self, offset: u64) -> Result<Vec<u8>, Refusal> {
        let known = self.within(offset)?;
        Ok(self.kept.iter().skip(known).copied().collect())
    }

    fn within(&self, offset: u64) -> Result<usize, Refusal> {
        let (min, max) = (self.start, self.start + self.kept.len() as u64);
        match (min..=max).contains(&offset) {
            true => Ok((offset - min) as usize),
            false => Err(Refusal::WrongOffset { direction: "receive", got: offset, min, max }),
        }
    }
}
