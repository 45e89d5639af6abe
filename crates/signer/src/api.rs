//! All that can be asked of a signer, and all it can answer. Data only: this is the contract that
//! crosses a bus. [`Ask::encode`] and its like make bytes of it.

use std::fmt::{self, Debug, Display};

use bitcoin::BlockHash;
use bitcoin::block::Header;
use chain::Proof;
use noise::PublicKey;
use secp256k1::schnorr::Signature;
use sphinx::AssociatedData;
use static_assertions::assert_not_impl_any;
use wire::id::OnionPacket;
use wire::lease::{LeaseEpoch, StaleLease};

pub use wire::id::ConnectionId;

use crate::account::Account;
use crate::channel::{ChannelAnswer, ChannelAsk, ChannelRefusal};
use crate::message::MessageSignature;
use crate::onion::Peel;
use crate::policy::SpendFlaw;
use crate::spend::Spend;
use crate::view::{Proven, ViewFlaw, ViewStatus};

assert_not_impl_any!(Answer: Clone, Copy, Debug, Display);

/// A question to the signer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Which node are you?
    NodeId,
    /// One step of a connection's handshake.
    Handshake {
        /// Whose.
        connection: ConnectionId,
        /// The step.
        ask: noise::Ask,
    },
    /// The connection is gone: wipe what is kept of its handshake. It cannot begin another one.
    Forget {
        /// Which one.
        connection: ConnectionId,
    },
    /// Sign a message for people, see [`MessageSignature`].
    SignMessage {
        /// At most [`MESSAGE_BYTES_MAX`](crate::MESSAGE_BYTES_MAX) bytes.
        message: Vec<u8>,
    },
    /// Which addresses are ours?
    WalletAccount,
    /// Sign a spend of the wallet's coins. It is judged each time ([`Policy`](crate::Policy)), and
    /// the same spend gets the same signatures.
    SignSpend {
        /// What it means.
        spend: Spend,
    },
    /// These headers came: they are taken in if with them there is more work.
    ViewHeaders {
        /// One behind the other, at most [`VIEW_HEADERS_MAX`](crate::VIEW_HEADERS_MAX).
        headers: Vec<Header>,
    },
    /// This transaction is in the chain.
    ViewProof {
        /// The block that has it.
        block: BlockHash,
        /// What shows it.
        proof: Box<Proof>,
    },
    /// How much of the chain have you seen, and how long ago?
    ViewStatus,
    /// Take our layer off this onion. It is remembered nowhere: the same one gets the same answer.
    PeelOnion {
        /// As it came.
        packet: Box<OnionPacket>,
        /// What it came with.
        associated_data: AssociatedData,
    },
    /// The channels are mine from here on: only questions with this epoch are answered. It has to
    /// be higher than that of everybody before.
    Lease {
        /// Of whoever asks.
        epoch: LeaseEpoch,
    },
    /// About one channel.
    Channel {
        /// By which lease.
        lease: LeaseEpoch,
        /// What.
        ask: Box<ChannelAsk>,
    },
}

/// What a signer answers. It may hold secrets, so it can be neither copied nor printed.
pub enum Answer {
    /// To [`Ask::NodeId`].
    NodeId {
        /// The node's id.
        node: PublicKey,
    },
    /// To [`Ask::Handshake`]; a no of the handshake itself is in here too.
    Handshake {
        /// Whose.
        connection: ConnectionId,
        /// For the socket side's core.
        answer: noise::Answer,
    },
    /// To [`Ask::Forget`].
    Forgotten {
        /// Which one.
        connection: ConnectionId,
    },
    /// To [`Ask::SignMessage`].
    Signed {
        /// Its text is what other nodes take.
        signature: MessageSignature,
    },
    /// To [`Ask::WalletAccount`].
    WalletAccount {
        /// All addresses, and no key.
        account: Account,
    },
    /// To [`Ask::SignSpend`].
    SpendSigned {
        /// One for each input, in their order: [`Spend::signed`] puts them there.
        signatures: Vec<Signature>,
    },
    /// To [`Ask::ViewHeaders`] and [`Ask::ViewStatus`].
    View {
        /// As it is now.
        status: ViewStatus,
    },
    /// To [`Ask::ViewProof`].
    Proven {
        /// What is known now.
        proven: Proven,
    },
    /// To [`Ask::PeelOnion`]; that the onion is bad is in here too.
    Peeled(Peel),
    /// To [`Ask::Channel`], and [`ChannelAnswer::Done`] to [`Ask::Lease`].
    Channel(ChannelAnswer),
    /// To any question: no, and why. Nothing changed.
    Refused(Refusal),
}

/// Why a signer does not do what it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// As many handshakes are under way as there may be; one ends with an answer, a
    /// [`Ask::Forget`] or its time.
    Busy {
        /// The connection that has to wait.
        connection: ConnectionId,
        /// Handshakes under way.
        have: usize,
        /// The most there may be.
        max: usize,
    },
    /// The message is too long to be signed.
    MessageTooLong {
        /// Its bytes.
        got: usize,
        /// The most there may be.
        max: usize,
    },
    /// The spend breaks a rule.
    Spend(SpendFlaw),
    /// The chain is not as somebody says.
    View(ViewFlaw),
    /// Somebody else has the channels, or has had them later.
    StaleLease(StaleLease),
    /// The channel's memory has a say.
    Channel(ChannelRefusal),
    /// What is new could not be saved, so it is not known.
    NotSaved {
        /// Its bytes.
        bytes: usize,
        /// The system's number for why; 0 if it has none.
        code: i32,
    },
}

/// The numbers of the questions on the bus, for permissions: the kinds that the codec writes.
pub mod topic {
    use core::ops::RangeInclusive;

    /// [`Ask::NodeId`](super::Ask::NodeId).
    pub const NODE_ID: u16 = 1;
    /// Every step of a handshake, and [`Ask::Forget`](super::Ask::Forget).
    pub const HANDSHAKE: RangeInclusive<u16> = 2..=6;
    /// [`Ask::SignMessage`](super::Ask::SignMessage).
    pub const SIGN_MESSAGE: u16 = 7;
    /// [`Ask::WalletAccount`](super::Ask::WalletAccount).
    pub const WALLET_ACCOUNT: u16 = 8;
    /// [`Ask::SignSpend`](super::Ask::SignSpend).
    pub const SIGN_SPEND: u16 = 9;
    /// All that is told of the chain, and asked of what was told.
    pub const VIEW: RangeInclusive<u16> = 10..=12;
    /// [`Ask::PeelOnion`](super::Ask::PeelOnion).
    pub const PEEL_ONION: u16 = 13;
    pub use crate::channel::topic::{CHANNEL_KEYS, CHANNEL_RATCHETS, CHANNEL_REPEATABLE, LEASE};
}

impl Ask {
    /// The question's number on the bus.
    pub const fn topic(&self) -> u16 {
        match self {
            Ask::NodeId => topic::NODE_ID,
            Ask::Handshake { ask: noise::Ask::Dial { .. }, .. } => 2,
            Ask::Handshake { ask: noise::Ask::Finish { .. }, .. } => 3,
            Ask::Handshake { ask: noise::Ask::Respond { .. }, .. } => 4,
            Ask::Handshake { ask: noise::Ask::Verify { .. }, .. } => 5,
            Ask::Forget { .. } => 6,
            Ask::SignMessage { .. } => topic::SIGN_MESSAGE,
            Ask::WalletAccount => topic::WALLET_ACCOUNT,
            Ask::SignSpend { .. } => topic::SIGN_SPEND,
            Ask::ViewHeaders { .. } => 10,
            Ask::ViewProof { .. } => 11,
            Ask::ViewStatus => 12,
            Ask::PeelOnion { .. } => topic::PEEL_ONION,
            Ask::Lease { .. } => topic::LEASE,
            Ask::Channel { ask, .. } => ask.op.topic(),
        }
    }

    /// The question's name, for permissions, faults and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Ask::NodeId => "node id",
            Ask::Handshake { ask, .. } => ask.name(),
            Ask::Forget { .. } => "forget",
            Ask::SignMessage { .. } => "sign message",
            Ask::WalletAccount => "wallet account",
            Ask::SignSpend { .. } => "sign spend",
            Ask::ViewHeaders { .. } => "view headers",
            Ask::ViewProof { .. } => "view proof",
            Ask::ViewStatus => "view status",
            Ask::PeelOnion { .. } => "peel onion",
            Ask::Lease { .. } => "lease",
            Ask::Channel { ask, .. } => ask.op.name(),
        }
    }
}

impl Answer {
    /// The answer's name, for faults and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Answer::NodeId { .. } => "node id",
            Answer::Handshake { answer, .. } => answer.name(),
            Answer::Forgotten { .. } => "forgotten",
            Answer::Signed { .. } => "signed",
            Answer::WalletAccount { .. } => "wallet account",
            Answer::SpendSigned { .. } => "spend signed",
            Answer::View { .. } => "view",
            Answer::Proven { .. } => "proven",
            Answer::Peeled(_) => "peeled",
            Answer::Channel(answer) => answer.name(),
            Answer::Refused(_) => "refused",
        }
    }
}

impl std::error::Error for Refusal {}

impl Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Busy { connection: ConnectionId(number), have, max } => {
                write!(f, "connection {number}: {have} handshakes under way, {max} at most")
            }
            Refusal::MessageTooLong { got, max } => {
                write!(f, "a message of {got} bytes to sign, {max} at most")
            }
            Refusal::Spend(flaw) => write!(f, "the spend is not signed: {flaw}"),
            Refusal::View(flaw) => write!(f, "not taken in: {flaw}"),
            Refusal::StaleLease(stale) => write!(f, "somebody else has the channels: {stale}"),
            Refusal::Channel(refusal) => write!(f, "not for this channel: {refusal}"),
            Refusal::NotSaved { bytes, code } => {
                write!(f, "not taken in: {bytes} bytes could not be saved (system error {code})")
            }
        }
    }
}
