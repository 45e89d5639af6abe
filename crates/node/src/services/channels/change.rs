//! What the service saves. Its state is the sum of these changes, in their order.
//!
//! A channel's name is the peer's id (33) and the channel's key (32), a block its height (4) and
//! its hash (32), a transaction stands behind its length (4).
//!
//! | record | name | value |
//! |---|---|---|
//! | 2 | begun | name, created (4), funding transaction (or nothing), the channel's beginning |
//! | 4 | live | name, a change of the channel |
//! | 6 | confirmed | name, block (36), position (4) |
//! | 8 | unconfirmed | name |
//! | 10 | spent | name, block (36), transaction |
//! | 12 | unspent | name |
//! | 14 | closed | name |
//! | 16 | heard | block (36) |
//! | 18 | unheard | block (36) |
//! | 20 | paying | payment (8), node (33), amount (8), hash (32), created (4), name as text |
//! | 22 | attempt | payment (8), attempt (4), name, HTLC (8), keys for failures (64) |
//! | 24 | paid | payment (8), preimage (32) |
//! | 26 | failed | payment (8), why |
//! | 28 | received | payment (8), name, HTLC (8), amount (8), hash (32), preimage (32), |
//! | | | created (4) |
//! | 30 | leased | epoch (8) |

use bitcoin::{
    BlockHash, Transaction,
    consensus::{deserialize, serialize},
    hashes::Hash as _,
};
use chain::{BlockRef, Height};
use channel::Begun;
use noise::PublicKey;
use signer::UnixTime;
use wire::{
    amount::Msat,
    field::Field as _,
    id::{ChannelKey, HtlcId, PaymentHash, PaymentPreimage},
    key::Point,
    lease::LeaseEpoch,
    reader::Reader,
};

use super::{AttemptId, ChannelName, PaymentId, ReturnBytes};
use crate::services::{
    saved::{self, ChangeFault},
    treasury::PaymentName,
};

/// One step of the state.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Both sides have their first commitments.
    Begun {
        /// Which channel.
        name: ChannelName,
        /// When.
        created: UnixTime,
        /// What funds it, if we do. Until it is in a block it is published again.
        funding: Option<Box<Transaction>>,
        /// What the channel begins with.
        begun: Box<Begun>,
    },
    /// A change of a channel.
    Live {
        /// Which.
        name: ChannelName,
        /// Its change.
        change: Box<channel::Change>,
    },
    /// The funding is in a block.
    Confirmed {
        /// Of which channel.
        name: ChannelName,
        /// In which block.
        block: BlockRef,
        /// Its place there.
        position: u32,
    },
    /// It is not any more.
    Unconfirmed {
        /// Of which channel.
        name: ChannelName,
    },
    /// The funding is spent in a block.
    Spent {
        /// Of which channel.
        name: ChannelName,
        /// In which block.
        block: BlockRef,
        /// By this.
        transaction: Box<Transaction>,
    },
    /// It is not any more.
    Unspent {
        /// Of which channel.
        name: ChannelName,
    },
    /// The channel is over, and deep enough in the chain.
    Closed {
        /// Which.
        name: ChannelName,
    },
    /// This block was heard of.
    Heard {
        /// The newest.
        block: BlockRef,
    },
    /// The newest block is gone.
    Unheard {
        /// The one before it.
        cursor: BlockRef,
    },
    /// This process has the channels from here on.
    Leased {
        /// By which lease.
        epoch: LeaseEpoch,
    },
    /// A payment is wanted.
    Paying {
        /// Which.
        id: PaymentId,
        /// To whom.
        node: PublicKey,
        /// How much.
        amount: Msat,
        /// Whoever shows its preimage is paid.
        hash: PaymentHash,
        /// When.
        created: UnixTime,
        /// What people call it.
        name: Option<PaymentName>,
    },
    /// It is tried over a channel: the origin of an HTLC.
    Attempt {
        /// Which payment.
        id: PaymentId,
        /// Which try.
        attempt: AttemptId,
        /// Over which channel.
        channel: ChannelName,
        /// By which HTLC of ours.
        htlc: HtlcId,
        /// Reads what comes back if it fails.
        keys: ReturnBytes,
    },
    /// It was paid.
    Paid {
        /// Which.
        id: PaymentId,
        /// What shows it.
        preimage: PaymentPreimage,
    },
    /// It came to nothing.
    Failed {
        /// Which.
        id: PaymentId,
        /// Why.
        why: String,
    },
    /// A payment to us is taken.
    Received {
        /// Which.
        id: PaymentId,
        /// Over which channel.
        channel: ChannelName,
        /// By which HTLC of the peer's.
        htlc: HtlcId,
        /// How much.
        amount: Msat,
        /// Its hash.
        hash: PaymentHash,
        /// What opens it.
        preimage: PaymentPreimage,
        /// When.
        created: UnixTime,
    },
}

impl Change {
    /// The bytes that are saved.
    pub fn encode(&self) -> Vec<u8> {
        let mut to = Vec::new();
        let record = self.write(&mut to);
        saved::write(record, &to)
    }

    /// Whether what follows from it need not wait until it is durable.
    pub fn can_wait(&self) -> bool {
        matches!(self, Self::Live { change, .. } if change.can_wait())
    }

    fn write(&self, to: &mut Vec<u8>) -> u64 {
        match self {
            Self::Begun { name, created, funding, begun } => {
                write_name(name, to);
                to.extend(created.0.to_be_bytes());
                let funding = funding.as_ref().map(|it| serialize(&**it)).unwrap_or_default();
                write_long(&funding, to);
                to.extend(begun.encode_whole());
                2
            }
            Self::Live { name, change } => {
                write_name(name, to);
                to.extend(change.encode());
                4
            }
            Self::Confirmed { name, block, position } => {
                write_name(name, to);
                write_block(block, to);
                to.extend(position.to_be_bytes());
                6
            }
            Self::Unconfirmed { name } => {
                write_name(name, to);
                8
            }
            Self::Spent { name, block, transaction } => {
                write_name(name, to);
                write_block(block, to);
                write_long(&serialize(&**transaction), to);
                10
            }
            Self::Unspent { name } => {
                write_name(name, to);
                12
            }
            Self::Closed { name } => {
                write_name(name, to);
                14
            }
            Self::Heard { block } => {
                write_block(block, to);
                16
            }
            Self::Unheard { cursor } => {
                write_block(cursor, to);
                18
            }
            Self::Leased { epoch } => {
                to.extend(epoch.0.to_be_bytes());
                30
            }
            Self::Paying { .. }
            | Self::Attempt { .. }
            | Self::Paid { .. }
            | Self::Failed { .. }
            | Self::Received { .. } => self.write_payment(to),
        }
    }

    fn write_payment(&self, to: &mut Vec<u8>) -> u64 {
        match self {
            Self::Paying { id, node, amount, hash, created, name } => {
                to.extend(id.0.to_be_bytes());
                to.extend(node.serialize());
                amount.write(to);
                hash.write(to);
                to.extend(created.0.to_be_bytes());
                to.extend(name.iter().flat_map(|name| name.as_str().bytes()));
                20
            }
            Self::Attempt { id, attempt, channel, htlc, keys } => {
                to.extend(id.0.to_be_bytes());
                to.extend(attempt.0.to_be_bytes());
                write_name(channel, to);
                htlc.write(to);
                to.extend(keys.0);
                22
            }
            Self::Paid { id, preimage } => {
                to.extend(id.0.to_be_bytes());
                preimage.write(to);
                24
            }
            Self::Failed { id, why } => {
                to.extend(id.0.to_be_bytes());
                to.extend(why.bytes());
                26
            }
            Self::Received { id, channel, htlc, amount, hash, preimage, created } => {
                to.extend(id.0.to_be_bytes());
                write_name(channel, to);
                htlc.write(to);
                amount.write(to);
                hash.write(to);
                preimage.write(to);
                to.extend(created.0.to_be_bytes());
                28
            }
            Self::Begun { .. }
            | Self::Live { .. }
            | Self::Confirmed { .. }
            | Self::Unconfirmed { .. }
            | Self::Spent { .. }
            | Self::Unspent { .. }
            | Self::Closed { .. }
            | Self::Heard { .. }
            | Self::Unheard { .. }
            | Self::Leased { .. } => unreachable!("these are no payments"),
        }
    }

    /// Reads a saved change; nothing if it is one of a newer version that may be passed over.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, ChangeFault> {
        saved::read(bytes, |record, from| {
            Ok(Some(match record {
                2 => Self::Begun {
                    name: read_name(from)?,
                    created: read_time(from)?,
                    funding: read_funding(from)?,
                    begun: Box::new(Begun::decode(from.rest())?),
                },
                4 => {
                    let name = read_name(from)?;
                    match channel::Change::decode(from.rest())? {
                        Some(change) => Self::Live { name, change: Box::new(change) },
                        None => return Ok(None),
                    }
                }
                6 => Self::Confirmed {
                    name: read_name(from)?,
                    block: read_block(from)?,
                    position: u32::from_be_bytes(*from.array()?),
                },
                8 => Self::Unconfirmed { name: read_name(from)? },
                10 => Self::Spent {
                    name: read_name(from)?,
                    block: read_block(from)?,
                    transaction: Box::new(read_transaction(read_long(from)?)?),
                },
                12 => Self::Unspent { name: read_name(from)? },
                14 => Self::Closed { name: read_name(from)? },
                16 => Self::Heard { block: read_block(from)? },
                18 => Self::Unheard { cursor: read_block(from)? },
                30 => Self::Leased { epoch: LeaseEpoch(u64::from_be_bytes(*from.array()?)) },
                _ => return Self::read_payment(record, from),
            }))
        })
    }

    fn read_payment(record: u64, from: &mut Reader<'_>) -> Result<Option<Self>, ChangeFault> {
        Ok(Some(match record {
            20 => Self::Paying {
                id: read_id(from)?,
                node: *Point::read(from)?.key(),
                amount: Msat::read(from)?,
                hash: PaymentHash::read(from)?,
                created: read_time(from)?,
                name: read_payment_name(from)?,
            },
            22 => Self::Attempt {
                id: read_id(from)?,
                attempt: AttemptId(u32::from_be_bytes(*from.array()?)),
                channel: read_name(from)?,
                htlc: HtlcId::read(from)?,
                keys: ReturnBytes(*from.array()?),
            },
            24 => Self::Paid { id: read_id(from)?, preimage: PaymentPreimage::read(from)? },
            26 => Self::Failed {
                id: read_id(from)?,
                why: String::from_utf8_lossy(from.rest()).into_owned(),
            },
            28 => Self::Received {
                id: read_id(from)?,
                channel: read_name(from)?,
                htlc: HtlcId::read(from)?,
                amount: Msat::read(from)?,
                hash: PaymentHash::read(from)?,
                preimage: PaymentPreimage::read(from)?,
                created: read_time(from)?,
            },
            _ => return Ok(None),
        }))
    }
}

fn write_name(name: &ChannelName, to: &mut Vec<u8>) {
    to.extend(name.node.serialize());
    to.extend(name.key.0);
}

fn read_name(from: &mut Reader<'_>) -> Result<ChannelName, ChangeFault> {
    Ok(ChannelName { node: *Point::read(from)?.key(), key: ChannelKey(*from.array()?) })
}

fn write_block(block: &BlockRef, to: &mut Vec<u8>) {
    to.extend(block.height.0.to_be_bytes());
    to.extend(block.hash.as_byte_array());
}

fn read_block(from: &mut Reader<'_>) -> Result<BlockRef, ChangeFault> {
    let height = Height(u32::from_be_bytes(*from.array()?));
    Ok(BlockRef { height, hash: BlockHash::from_byte_array(*from.array()?) })
}

fn write_long(bytes: &[u8], to: &mut Vec<u8>) {
    let len = u32::try_from(bytes.len()).expect("no transaction is so long");
    to.extend(len.to_be_bytes());
    to.extend_from_slice(bytes);
}

fn read_long<'a>(from: &mut Reader<'a>) -> Result<&'a [u8], ChangeFault> {
    let len = u32::from_be_bytes(*from.array()?);
    Ok(from.take(usize::try_from(len).unwrap_or(usize::MAX))?)
}

fn read_funding(from: &mut Reader<'_>) -> Result<Option<Box<Transaction>>, ChangeFault> {
    match read_long(from)? {
        [] => Ok(None),
        bytes => Ok(Some(Box::new(read_transaction(bytes)?))),
    }
}

fn read_transaction(bytes: &[u8]) -> Result<Transaction, ChangeFault> {
    let none = |got: String| ChangeFault::Meaningless { what: "transaction", got };
    deserialize(bytes).map_err(|fault| none(fault.to_string()))
}

fn read_time(from: &mut Reader<'_>) -> Result<UnixTime, ChangeFault> {
    Ok(UnixTime(u32::from_be_bytes(*from.array()?)))
}

fn read_id(from: &mut Reader<'_>) -> Result<PaymentId, ChangeFault> {
    Ok(PaymentId(u64::from_be_bytes(*from.array()?)))
}

fn read_payment_name(from: &mut Reader<'_>) -> Result<Option<PaymentName>, ChangeFault> {
    let text = String::from_utf8_lossy(from.rest());
    if text.is_empty() {
        return Ok(None);
    }
    let none = |_| ChangeFault::Meaningless { what: "name", got: text.clone().into_owned() };
    PaymentName::new(&text).map(Some).map_err(none)
}
