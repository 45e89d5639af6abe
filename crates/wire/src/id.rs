//! Names, numbers, hashes and flags: a type for each.

use bitcoin::hashes::Hash as _;

use core::fmt;

use crate::{
    dice::Dice,
    fault::Broke,
    field::{Field, Fixed, bytes, numbers, rows},
    reader::Reader,
};

bytes! {
    /// Names a channel once its funding is known.
    ChannelId(32) shown;
    /// Names a channel before its funding is known.
    TemporaryChannelId(32) shown;
    /// Our own name of a channel, from its birth to its end: in what is saved, and to the signer,
    /// whose keys follow from it. It is drawn, and no peer ever sees it.
    ChannelKey(32) shown;
    /// The genesis block hash of a chain, in the order of bytes that messages use.
    ChainHash(32) shown;
    /// SHA-256 of a payment's preimage.
    PaymentHash(32) shown;
    /// What claims an HTLC. Not printed: who reads it first could be paid with it.
    PaymentPreimage(32) hidden;
    /// Revokes one commitment. Not printed: with it a channel's old states are punishable.
    PerCommitmentSecret(32) hidden;
    /// SHA-256 of an onion that could not be read.
    OnionHash(32) shown;
    /// The onion of an HTLC, unread; `sphinx` knows what is in it.
    OnionPacket(1366) shown;
    /// HMACs that attribute a failure, unread (BOLT 4).
    TruncatedHmacs(840) shown;
    /// How long each hop held an HTLC, unread (BOLT 4).
    HtlcHoldTimes(80) shown;
    /// A node's colour.
    RgbColor(3) shown;
}

numbers! {
    /// Numbers an HTLC within one direction of a channel.
    HtlcId(u64) "";
    /// Numbers a commitment, counted up from 0.
    CommitmentNumber(u64) "";
    /// Numbers an output of a transaction.
    OutputIndex(u16) "";
    /// Why an HTLC could not be read (BOLT 4).
    FailureCode(u16) "";
    /// Bit 0: announce the channel (BOLT 2).
    ChannelFlags(u8) "";
    /// Bit 0: must be one; bit 1: do not forward (BOLT 7).
    UpdateMessageFlags(u8) "";
    /// Bit 0: direction; bit 1: disabled (BOLT 7).
    UpdateChannelFlags(u8) "";
    /// Bit 0: send `commitment_signed` again.
    RetransmitFlags(u8) "";
    /// CRC32C of a `channel_update`, 0 if there is none.
    Checksum(u32) "";
}

rows! {
    /// The funding transaction that waits for signatures, in `channel_reestablish`.
    NextFunding { txid: Txid, retransmit_flags: RetransmitFlags, }
    /// The funding transaction that is locked, in `channel_reestablish`.
    FundingLocked { txid: Txid, retransmit_flags: RetransmitFlags, }
    /// The fees that `closing_signed` would accept.
    FeeRange {
        min_fee_satoshis: crate::amount::Sat,
        max_fee_satoshis: crate::amount::Sat,
    }
    /// Who held an HTLC how long, and the proof of it.
    AttributionData { htlc_hold_times: HtlcHoldTimes, truncated_hmacs: TruncatedHmacs, }
    /// When each side last updated a channel, 0 for never.
    UpdateTimestamps {
        timestamp_node_id_1: crate::amount::Timestamp,
        timestamp_node_id_2: crate::amount::Timestamp,
    }
    /// The checksum of each side's update of a channel.
    UpdateChecksums { checksum_node_id_1: Checksum, checksum_node_id_2: Checksum, }
}

impl ChannelId {
    /// In `error` and `warning`: every channel, or none in particular.
    pub const ALL: Self = Self([0; 32]);
}

impl ChainHash {
    /// The hash that names a network's chain.
    pub fn of(network: bitcoin::Network) -> Self {
        Self(bitcoin::constants::ChainHash::using_genesis_block(network).to_bytes())
    }
}

impl ChannelFlags {
    /// The funder wants the channel announced.
    pub const fn announce_channel(self) -> bool {
        self.0 & 1 == 1
    }
}

/// A transaction's id, shown the way block explorers do.
pub type Txid = bitcoin::Txid;

impl Field for Txid {
    #[inline]
    fn read(from: &mut Reader<'_>) -> Result<Self, Broke> {
        Ok(Self::from_byte_array(*from.array()?))
    }

    #[inline]
    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(self.as_ref());
    }

    #[inline]
    fn size(&self) -> usize {
        32
    }

    fn generate(dice: &mut Dice) -> Self {
        Self::from_byte_array(dice.array())
    }
}

impl Fixed for Txid {}

/// Names a connection among those of one holder of sockets, and of the holders that take over from
/// it. Another holder's connection of the same number is another connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `short_channel_id`: where a channel's funding stands in the chain, or an alias for it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scid(pub u64);

impl Scid {
    /// Height of the block, place of the transaction in it, place of the output in that.
    pub const fn new(block: u32, transaction: u32, output: u16) -> Option<Self> {
        if block >> 24 != 0 || transaction >> 24 != 0 {
            return None;
        }
        Some(Self((block as u64) << 40 | (transaction as u64) << 16 | output as u64))
    }

    /// Height of the block.
    pub const fn block(self) -> u64 {
        self.0 >> 40
    }

    /// Place of the transaction in the block.
    pub const fn transaction(self) -> u64 {
        self.0 >> 16 & 0xff_ffff
    }

    /// Place of the output in the transaction.
    pub const fn output(self) -> u64 {
        self.0 & 0xffff
    }
}

impl fmt::Display for Scid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}x{}", self.block(), self.transaction(), self.output())
    }
}

impl fmt::Debug for Scid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Field for Scid {
    #[inline]
    fn read(from: &mut Reader<'_>) -> Result<Self, Broke> {
        Ok(Self(u64::from_be_bytes(*from.array()?)))
    }

    #[inline]
    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.0.to_be_bytes());
    }

    #[inline]
    fn size(&self) -> usize {
        8
    }

    fn generate(dice: &mut Dice) -> Self {
        Self(dice.throw())
    }
}

impl Fixed for Scid {}
