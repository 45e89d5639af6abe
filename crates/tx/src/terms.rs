//! What stays the same for as long as a channel has one funding.

use bitcoin::OutPoint;
use bitcoin::hashes::{Hash as _, HashEngine as _, sha256};
use wire::amount::{CsvDelay, Sat};
use wire::id::CommitmentNumber;
use wire::key::Point;

use crate::{Basepoints, Form};

/// One of the two ends of a channel: both call it by the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Who has opened the channel, and pays the fees of commitments.
    Opener,
    /// Who has accepted it.
    Acceptor,
}

impl Side {
    /// The peer of this side.
    pub const fn other(self) -> Self {
        match self {
            Side::Opener => Side::Acceptor,
            Side::Acceptor => Side::Opener,
        }
    }
}

/// What all transactions of a channel have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Which scripts and which fees.
    pub form: Form,
    /// What is spent.
    pub funding: Funding,
    /// The keys and limits of the opener.
    pub opener: Party,
    /// The keys and limits of the acceptor.
    pub acceptor: Party,
}

/// The output that a channel lives in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Funding {
    /// Where.
    pub outpoint: OutPoint,
    /// How much.
    pub value: Sat,
}

/// One side's part of the terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Party {
    /// Its key of two in the funding output.
    pub funding_key: Point,
    /// Where its other keys come from.
    pub keys: Basepoints,
    /// Its commitments have no output below this.
    pub dust_limit: Sat,
    /// How long it waits for its own money after its commitment has confirmed: what its *peer* has
    /// sent as `to_self_delay`.
    pub delay: CsvDelay,
}

impl Terms {
    /// The part of one side.
    pub const fn party(&self, side: Side) -> &Party {
        match side {
            Side::Opener => &self.opener,
            Side::Acceptor => &self.acceptor,
        }
    }

    /// The number as it stands in the commitment's lock time and sequence: nobody else can count.
    pub fn obscured(&self, number: CommitmentNumber) -> u64 {
        let mut engine = sha256::Hash::engine();
        engine.input(&self.opener.keys.payment.bytes());
        engine.input(&self.acceptor.keys.payment.bytes());
        let hash = sha256::Hash::from_engine(engine).to_byte_array();
        let mut low = [0; 8];
        low[2..].copy_from_slice(&hash[26..]);
        u64::from_be_bytes(low) ^ number.0
    }
}
