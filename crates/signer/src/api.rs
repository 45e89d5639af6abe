//! All that can be asked of a signer, and all it can answer. Data only: this is the contract that
//! crosses a bus. [`Ask::encode`] and its like make bytes of it.

use std::fmt::{self, Debug, Display};

use bitcoin::BlockHash;
use bitcoin::block::Header;
use chain::Proof;
use noise::PublicKey;
use secp256k1::schnorr::Signature;
use static_assertions::assert_not_impl_any;
use wire::id::{OnionPacket, PaymentHash};

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
    /// About one channel.
    Channel(Box<ChannelAsk>),
    /// Take our layer off this onion. Repeatable.
    Peel {
        /// As it came.
        packet: Box<OnionPacket>,
        /// Of the HTLC that it came with.
        payment_hash: PaymentHash,
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
    /// To [`Ask::Channel`].
    Channel(ChannelAnswer),
    /// To [`Ask::Peel`].
    Peeled(Peel),
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
    /// [`Ask::Peel`](super::Ask::Peel).
    pub const PEEL: u16 = 13;
    pub use crate::channel::topic::{CHANNEL_KEYS, CHANNEL_RATCHETS, CHANNEL_REPEATABLE};
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
            Ask::Channel(ask) => ask.op.topic(),
            Ask::Peel { .. } => topic::PEEL,
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
            Ask::Channel(ask) => ask.op.name(),
            Ask::Peel { .. } => "peel",
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
            Answer::Channel(answer) => answer.name(),
            Answer::Peeled(_) => "peeled",
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
            Refusal::Channel(refusal) => write!(f, "not for this channel: {refusal}"),
            Refusal::NotSaved { bytes, code } => {
                write!(f, "not taken in: {bytes} bytes could not be saved (system error {code})")
            }
        }
    }
}
