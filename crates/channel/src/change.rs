//! What is saved of a channel. Live running and a restart go the same way: `Live::evolve`.
//!
//! | record | name | value |
//! |---|---|---|
//! | 2 | added | side (1), `update_add_htlc` or its like, as it crossed the wire |
//! | 4 | ended | contract, end |
//! | 6 | rate | sat/kw (4) |
//! | 8 | signed | |
//! | 10 | received | signature (64), those of second stages (64 each) |
//! | 12 | advanced | point (33) |
//! | 14 | revoked | secret (32), point (33) |
//! | 16 | lost | |
//! | 18 | heard | contract |
//! | 20 | deep | alias (8), or nothing |
//! | 22 | ready | point (33), alias (8), or nothing |
//! | 24 | shutdown | |
//! | 26 | shutdown heard | script |
//! | 28 | closed | transaction |
//! | 30 | rejected | |
//! | 32 | failing | why |
//! | 34 | learned | contract, secret |
//! | 36 | in block | height (4), position (4), transaction |
//! | 38 | block gone | height (4) |
//! | 40 | resolved | contract, end |
//! | 42 | done | |
//! | 44 | waits | height (4) |
//! | 46 | sum | as `sum.rs` says |
//!
//! A contract is the side that pays (1: 0 opener, 1 acceptor) and its number (8). One that is no
//! HTLC has its kind (2) between, and the sides 2 and 3. An end is one of 0 and the preimage (32);
//! 1 and the reason; 2, the onion's hash (32) and the failure code (2); 3 and the secret; 4 and
//! what was said of it.
//! Why a channel fails: 0 wanted; 1 violation, 2 error, 4 behind, each with a text; 3 deadline,
//! with a contract and a height (4); 5 spent; 6 unfunded; 7 unknown.

use std::sync::Arc;

use bitcoin::Transaction;
use bitcoin::consensus::{deserialize, serialize};
use tx::{HTLC, Kind, Side};
use wire::Message;
use wire::amount::{BlockHeight, FeeratePerKw};
use wire::field::Field as _;
use wire::id::{HtlcId, OnionHash, PaymentPreimage, PerCommitmentSecret, Scid};
use wire::key::{Point, Signature};
use wire::list::{Blob, Script};
use wire::reader::Reader;
use wire::saved::{self, ChangeFault};

use crate::ledger::ContractId;
use crate::state::Why;
use crate::sum::Sum;

const FULFILLED: u8 = 0;
const FAILED: u8 = 1;
const MALFORMED: u8 = 2;
const OPENED: u8 = 3;
const CANCELLED: u8 = 4;
/// What is added to the side of a contract that is no HTLC.
const OF_A_KIND: u8 = 2;
const SIGNATURE_BYTES: usize = 64;

/// A change of a live channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A contract is offered.
    Added {
        /// By whom.
        by: Side,
        /// As it crosses the wire.
        add: Box<Message>,
    },
    /// The end of a contract is proposed.
    Ended {
        /// Which.
        id: ContractId,
        /// How.
        end: End,
    },
    /// The opener wants another rate.
    Rate(FeeratePerKw),
    /// We sign the peer's next commitment: what it is follows from what is agreed on.
    Signed,
    /// The peer has signed our next commitment.
    Received {
        /// Its signature.
        signature: Signature,
        /// Its signatures of the second stages.
        stages: Vec<Signature>,
    },
    /// Our signer has taken that, and given up the one before.
    Advanced {
        /// The point of the commitment that will follow.
        next: Point,
    },
    /// The peer has given up a commitment.
    Revoked {
        /// With this.
        secret: PerCommitmentSecret,
        /// The point of the commitment that will follow.
        next: Point,
    },
    /// The connection is gone, with what the peer had proposed and not signed.
    Lost,
    /// Whoever uses the channel knows that this contract is over.
    Heard(ContractId),
    /// The funding is deep enough for us.
    Deep {
        /// The name that we give to the channel.
        alias: Option<Scid>,
    },
    /// The funding is deep enough for the peer.
    Ready {
        /// The point of its commitment 1.
        point: Point,
        /// The name that it gives to the channel.
        alias: Option<Scid>,
    },
    /// We want to close.
    Shutdown,
    /// The peer wants to close.
    ShutdownHeard {
        /// Where its money shall go.
        script: Script,
    },
    /// Both have signed a closing transaction.
    Closed(Box<Transaction>),
    /// What the peer has signed is not our next commitment.
    Rejected,
    /// It ends on the chain.
    Failing(Why),
    /// A contract can be opened, though no message says so any more.
    Learned {
        /// Which.
        id: ContractId,
        /// By this.
        secret: Vec<u8>,
    },
    /// A transaction is in a block: the funding, or one that spends what is ours.
    InBlock {
        /// The block's height.
        height: BlockHeight,
        /// Its place in the block.
        position: u32,
        /// The transaction.
        transaction: Arc<Transaction>,
    },
    /// The block of this height is in the chain no more, nor any after it.
    BlockGone {
        /// The height.
        height: BlockHeight,
    },
    /// A contract has ended on the chain, and that is deep.
    Resolved {
        /// Which.
        id: ContractId,
        /// How.
        end: End,
    },
    /// Everything is deep in the chain, or nothing came into it.
    Done,
    /// The acceptor waits for the funding; or we wait for a fee of a close that we take.
    Waits {
        /// The newest block when that began.
        since: BlockHeight,
    },
    /// All that came before, since the beginning.
    Sum(Box<Sum>),
}

impl Change {
    /// Whether what follows from it need not wait until it is durable: if a crash takes it, it
    /// comes again. Our signer, who has saved what it gave up, says that once more before we say
    /// where we stand; and the peer says its revocation again if we have not heard it.
    pub const fn can_wait(&self) -> bool {
        match self {
            Self::Advanced { .. } | Self::Revoked { .. } => true,
            Self::Added { .. }
            | Self::Ended { .. }
            | Self::Rate(_)
            | Self::Signed
            | Self::Received { .. }
            | Self::Lost
            | Self::Heard(_)
            | Self::Deep { .. }
            | Self::Ready { .. }
            | Self::Shutdown
            | Self::ShutdownHeard { .. }
            | Self::Closed(_)
            | Self::Rejected
            | Self::Failing(_)
            | Self::Learned { .. }
            | Self::InBlock { .. }
            | Self::BlockGone { .. }
            | Self::Resolved { .. }
            | Self::Done
            | Self::Waits { .. }
            | Self::Sum(_) => false,
        }
    }
}

/// How a contract ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// `update_fulfill_htlc`.
    Fulfilled(PaymentPreimage),
    /// `update_fail_htlc`.
    Failed(Blob),
    /// `update_fail_malformed_htlc`.
    Malformed {
        /// Of the onion that could not be read.
        sha256_of_onion: OnionHash,
        /// With `BADONION`.
        failure_code: u16,
    },
    /// A contract that is no HTLC was opened with this: it pays whoever was to be paid.
    Opened(Vec<u8>),
    /// A contract that is no HTLC goes back, with what its kind says beside that.
    Cancelled(Blob),
}

impl End {
    /// What opened the contract, if that is how it ends.
    pub fn secret(&self) -> Option<&[u8]> {
        match self {
            End::Fulfilled(preimage) => Some(&preimage.0),
            End::Opened(secret) => Some(secret),
            End::Failed(_) | End::Malformed { .. } | End::Cancelled(_) => None,
        }
    }
}

impl Change {
    /// The message that has added a contract.
    pub(crate) fn added(&self) -> Option<&Message> {
        if let Change::Added { add, .. } = self { Some(add) } else { None }
    }

    /// The bytes that are saved.
    pub fn encode(&self) -> Vec<u8> {
        let mut to = Vec::new();
        self.write(&mut to);
        saved::write(self.record(), &to)
    }

    const fn record(&self) -> u64 {
        match self {
            Change::Added { .. } => 2,
            Change::Ended { .. } => 4,
            Change::Rate(_) => 6,
            Change::Signed => 8,
            Change::Received { .. } => 10,
            Change::Advanced { .. } => 12,
            Change::Revoked { .. } => 14,
            Change::Lost => 16,
            Change::Heard(_) => 18,
            Change::Deep { .. } => 20,
            Change::Ready { .. } => 22,
            Change::Shutdown => 24,
            Change::ShutdownHeard { .. } => 26,
            Change::Closed(_) => 28,
            Change::Rejected => 30,
            Change::Failing(_) => 32,
            Change::Learned { .. } => 34,
            Change::InBlock { .. } => 36,
            Change::BlockGone { .. } => 38,
            Change::Resolved { .. } => 40,
            Change::Done => 42,
            Change::Waits { .. } => 44,
            Change::Sum(_) => 46,
        }
    }

    fn write(&self, to: &mut Vec<u8>) {
        match self {
            Change::Added { by, add } => {
                to.push(*by as u8);
                add.encode_into(to).expect("it crossed the wire, or will");
            }
            Change::Ended { id, end } => {
                write_contract(*id, to);
                write_end(end, to);
            }
            Change::Rate(rate) => {
                rate.write(to);
            }
            Change::Received { signature, stages } => {
                signature.write(to);
                stages.iter().for_each(|it| it.write(to));
            }
            Change::Advanced { next } => {
                next.write(to);
            }
            Change::Revoked { secret, next } => {
                secret.write(to);
                next.write(to);
            }
            Change::Heard(id) => {
                write_contract(*id, to);
            }
            Change::Deep { alias } => {
                alias.iter().for_each(|it| it.write(to));
            }
            Change::Ready { point, alias } => {
                point.write(to);
                alias.iter().for_each(|it| it.write(to));
            }
            Change::ShutdownHeard { script } => {
                to.extend_from_slice(script.as_bytes());
            }
            Change::Closed(transaction) => {
                to.extend(serialize(&**transaction));
            }
            Change::Failing(why) => {
                write_why(why, to);
            }
            Change::Learned { id, secret } => {
                write_contract(*id, to);
                to.extend_from_slice(secret);
            }
            Change::InBlock { height, position, transaction } => {
                height.write(to);
                to.extend_from_slice(&position.to_be_bytes());
                to.extend(serialize(&**transaction));
            }
            Change::BlockGone { height } => {
                height.write(to);
            }
            Change::Resolved { id, end } => {
                write_contract(*id, to);
                write_end(end, to);
            }
            Change::Waits { since } => {
                since.write(to);
            }
            Change::Sum(sum) => {
                to.extend(sum.encode());
            }
            Change::Signed | Change::Lost | Change::Shutdown | Change::Rejected | Change::Done => {}
        }
    }

    /// Reads what was saved; nothing if a newer version wrote it and it may be passed over.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, ChangeFault> {
        saved::read(bytes, |record, from| {
            Ok(Some(match record {
                2 => Self::Added { by: read_side(from)?, add: Box::new(read_add(from)?) },
                4 => Self::Ended { id: read_contract(from)?, end: read_end(from)? },
                6 => Self::Rate(FeeratePerKw::read(from)?),
                8 => Self::Signed,
                10 => {
                    Self::Received { signature: Signature::read(from)?, stages: read_stages(from)? }
                }
                12 => Self::Advanced { next: Point::read(from)? },
                14 => Self::Revoked {
                    secret: PerCommitmentSecret::read(from)?,
                    next: Point::read(from)?,
                },
                16 => Self::Lost,
                18 => Self::Heard(read_contract(from)?),
                20 => Self::Deep { alias: read_alias(from)? },
                22 => Self::Ready { point: Point::read(from)?, alias: read_alias(from)? },
                24 => Self::Shutdown,
                26 => Self::ShutdownHeard { script: Script::from_bytes(from.rest().to_vec()) },
                28 => Self::Closed(Box::new(read_transaction(from)?)),
                30 => Self::Rejected,
                32 => Self::Failing(read_why(from)?),
                34 => Self::Learned { id: read_contract(from)?, secret: from.rest().to_vec() },
                36 => Self::InBlock {
                    height: BlockHeight::read(from)?,
                    position: u32::from_be_bytes(*from.array()?),
                    transaction: Arc::new(read_transaction(from)?),
                },
                38 => Self::BlockGone { height: BlockHeight::read(from)? },
                40 => Self::Resolved { id: read_contract(from)?, end: read_end(from)? },
                42 => Self::Done,
                44 => Self::Waits { since: BlockHeight::read(from)? },
                46 => Self::Sum(Box::new(Sum::read(from)?)),
                _ => return Ok(None),
            }))
        })
    }
}

pub(crate) fn write_contract(id: ContractId, to: &mut Vec<u8>) {
    if id.kind == HTLC {
        to.push(id.offered_by as u8);
    } else {
        to.push(id.offered_by as u8 + OF_A_KIND);
        to.extend_from_slice(&id.kind.0.to_be_bytes());
    }
    id.id.write(to);
}

pub(crate) fn write_end(end: &End, to: &mut Vec<u8>) {
    match end {
        End::Fulfilled(preimage) => {
            to.push(FULFILLED);
            preimage.write(to);
        }
        End::Failed(reason) => {
            to.push(FAILED);
            to.extend_from_slice(&reason.0);
        }
        End::Malformed { sha256_of_onion, failure_code } => {
            to.push(MALFORMED);
            sha256_of_onion.write(to);
            to.extend_from_slice(&failure_code.to_be_bytes());
        }
        End::Opened(secret) => {
            to.push(OPENED);
            to.extend_from_slice(secret);
        }
        End::Cancelled(said) => {
            to.push(CANCELLED);
            to.extend_from_slice(&said.0);
        }
    }
}

pub(crate) fn read_side(from: &mut Reader<'_>) -> Result<Side, ChangeFault> {
    let [side] = *from.array()?;
    side_of(side)
}

fn side_of(side: u8) -> Result<Side, ChangeFault> {
    match side {
        0 => Ok(Side::Opener),
        1 => Ok(Side::Acceptor),
        got => Err(ChangeFault::Meaningless { what: "side", got: got.to_string() }),
    }
}

pub(crate) fn read_contract(from: &mut Reader<'_>) -> Result<ContractId, ChangeFault> {
    let [side] = *from.array()?;
    let (offered_by, kind) = match side {
        ..OF_A_KIND => (side_of(side)?, HTLC),
        OF_A_KIND.. => (side_of(side - OF_A_KIND)?, Kind(u16::from_be_bytes(*from.array()?))),
    };
    Ok(ContractId { offered_by, kind, id: HtlcId::read(from)? })
}

/// Which messages add a contract is the channel's to say: it knows the kinds.
fn read_add(from: &mut Reader<'_>) -> Result<Message, ChangeFault> {
    let none = |got: String| ChangeFault::Meaningless { what: "added contract", got };
    Message::decode(from.rest()).map_err(|fault| none(fault.to_string()))
}

pub(crate) fn read_end(from: &mut Reader<'_>) -> Result<End, ChangeFault> {
    match *from.array()? {
        [FULFILLED] => Ok(End::Fulfilled(PaymentPreimage::read(from)?)),
        [FAILED] => Ok(End::Failed(Blob(from.rest().to_vec()))),
        [MALFORMED] => Ok(End::Malformed {
            sha256_of_onion: OnionHash::read(from)?,
            failure_code: u16::from_be_bytes(*from.array()?),
        }),
        [OPENED] => Ok(End::Opened(from.rest().to_vec())),
        [CANCELLED] => Ok(End::Cancelled(Blob(from.rest().to_vec()))),
        [got] => Err(ChangeFault::Meaningless { what: "end of a contract", got: got.to_string() }),
    }
}

pub(crate) fn write_why(why: &Why, to: &mut Vec<u8>) {
    let (kind, text) = match why {
        Why::Wanted => (0, ""),
        Why::Violation(text) => (1, text.as_str()),
        Why::Error(text) => (2, text.as_str()),
        Why::Deadline { .. } => (3, ""),
        Why::Behind(text) => (4, text.as_str()),
        Why::Spent => (5, ""),
        Why::Unfunded => (6, ""),
        Why::Unknown => (7, ""),
    };
    to.push(kind);
    to.extend_from_slice(text.as_bytes());
    if let Why::Deadline { id, expiry } = why {
        write_contract(*id, to);
        expiry.write(to);
    }
}

pub(crate) fn read_why(from: &mut Reader<'_>) -> Result<Why, ChangeFault> {
    let text = |from: &mut Reader<'_>| String::from_utf8_lossy(from.rest()).into_owned();
    match *from.array()? {
        [0] => Ok(Why::Wanted),
        [1] => Ok(Why::Violation(text(from))),
        [2] => Ok(Why::Error(text(from))),
        [3] => Ok(Why::Deadline { id: read_contract(from)?, expiry: BlockHeight::read(from)? }),
        [4] => Ok(Why::Behind(text(from))),
        [5] => Ok(Why::Spent),
        [6] => Ok(Why::Unfunded),
        [7] => Ok(Why::Unknown),
        [got] => Err(ChangeFault::Meaningless { what: "end of a channel", got: got.to_string() }),
    }
}

fn read_alias(from: &mut Reader<'_>) -> Result<Option<Scid>, ChangeFault> {
    if from.is_empty() { Ok(None) } else { Ok(Some(Scid::read(from)?)) }
}

fn read_transaction(from: &mut Reader<'_>) -> Result<Transaction, ChangeFault> {
    let none = |got: String| ChangeFault::Meaningless { what: "transaction", got };
    deserialize(from.rest()).map_err(|fault| none(fault.to_string()))
}

fn read_stages(from: &mut Reader<'_>) -> Result<Vec<Signature>, ChangeFault> {
    let mut stages = Vec::with_capacity(from.len() / SIGNATURE_BYTES);
    while !from.is_empty() {
        stages.push(Signature::read(from)?);
    }
    Ok(stages)
}
