//! What is asked about channels, and what is answered.

use std::fmt;

use bitcoin::Txid;
use tx::{Basepoints, Flaw, InputSignature, Meaning, SecretFault, Side, Terms};
use wire::amount::{BlockHeight, CsvDelay, FeeratePerKw, Msat, Sat};
use wire::id::{ChannelKey, CommitmentNumber, PerCommitmentSecret};
use wire::key::{Point, Signature};

use super::{EndFlaw, SignClaims, SignClose, SignStages};
use crate::view::Seconds;

/// A question about one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelAsk {
    /// Which one.
    pub channel: ChannelKey,
    /// What.
    pub op: ChannelOp,
}

/// What is wanted. *Ratchet* questions move the memory of the signer: the same again gets the same
/// answer, another one for the same number is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelOp {
    /// Which keys has it? Repeatable.
    Keys,
    /// This is what it is about. A ratchet: once.
    SetUp(Box<SetUp>),
    /// Sign this commitment of the peer. A ratchet, by its number.
    SignRemote {
        /// What it means.
        meaning: Meaning,
        /// What has opened contracts of ours that are in the one before and not in this one.
        secrets: Vec<Vec<u8>>,
    },
    /// The peer has signed this commitment of ours: take it, and give up the one before. A ratchet,
    /// by its number.
    Advance {
        /// What it means.
        meaning: Meaning,
        /// What has opened contracts of ours that are in the one before and not in this one.
        secrets: Vec<Vec<u8>>,
        /// The peer's signature.
        signature: Signature,
        /// Its signatures of the second stages, in the order of their outputs.
        stages: Vec<Signature>,
    },
    /// The peer has revoked a commitment. A ratchet, by its number.
    Revoked {
        /// Which one.
        number: CommitmentNumber,
        /// With this.
        secret: PerCommitmentSecret,
    },
    /// Is this the secret of that commitment of ours? Repeatable.
    CheckSecret {
        /// Which one.
        number: CommitmentNumber,
        /// What somebody shows.
        secret: PerCommitmentSecret,
    },
    /// Sign our newest commitment, to publish it. Nothing is revoked afterwards.
    SignLocal {
        /// What it means.
        meaning: Meaning,
    },
    /// Sign this close. Repeatable; after the first one there are no new commitments.
    SignClose(Box<SignClose>),
    /// Sign what takes these outputs. Repeatable.
    SignClaims(Box<SignClaims>),
    /// Sign these second stages of our newest commitment. Repeatable, once it was signed.
    SignStages(Box<SignStages>),
}

/// What a channel is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetUp {
    /// Which side we are.
    pub side: Side,
    /// Both sides' terms.
    pub terms: Terms,
    /// The opener has given this to the acceptor.
    pub pushed: Msat,
}

/// What a peer is shown of our keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShownKeys {
    /// For the funding.
    pub funding_key: Point,
    /// For all else.
    pub basepoints: Basepoints,
    /// Of the commitments 0 and 1.
    pub points: [Point; 2],
}

/// What is answered.
pub enum ChannelAnswer {
    /// To [`ChannelOp::Keys`].
    Keys(Box<ShownKeys>),
    /// To what only had to be remembered.
    Done,
    /// To [`ChannelOp::SignRemote`].
    RemoteSigned {
        /// Of the commitment.
        signature: Signature,
        /// Of the second stages, in the order of their outputs.
        stages: Vec<Signature>,
    },
    /// To [`ChannelOp::Advance`].
    Advanced {
        /// Revokes the commitment before; nothing for the first one.
        secret: Option<PerCommitmentSecret>,
        /// Of the commitment that will follow.
        next: Point,
    },
    /// To [`ChannelOp::CheckSecret`].
    Checked {
        /// It is.
        is_ours: bool,
    },
    /// To [`ChannelOp::SignLocal`].
    LocalSigned {
        /// Ours; the peer's is known.
        signature: Signature,
    },
    /// To [`ChannelOp::SignClose`].
    CloseSigned {
        /// Ours.
        signature: Signature,
    },
    /// To [`ChannelOp::SignClaims`] and [`ChannelOp::SignStages`].
    InputsSigned {
        /// Of the inputs, in their order: the channel's, then the wallet's coins.
        signatures: Vec<InputSignature>,
    },
}

/// Why a question about a channel is refused. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelRefusal {
    /// Nobody has said what it is about.
    Unknown,
    /// It was said before, and otherwise.
    AlreadySetUp,
    /// There are as many channels as there may be.
    TooMany {
        /// The most there may be.
        max: usize,
    },
    /// One of its terms is not ours, or outside of what we agree to.
    Terms {
        /// Which one.
        term: &'static str,
        /// What it is.
        got: u64,
        /// The least or the most it may be, or ours.
        limit: u64,
    },
    /// Its keys for us are not those that we have shown.
    ForeignKeys,
    /// It is the commitment of the other side.
    WrongOwner {
        /// Whose it should be.
        want: Side,
    },
    /// It is not the turn of that number.
    OutOfTurn {
        /// The number.
        number: CommitmentNumber,
        /// The newest there is, if any.
        newest: Option<CommitmentNumber>,
        /// The least that the peer has not revoked.
        unrevoked: CommitmentNumber,
    },
    /// **An alarm**: for this number something else was agreed on. One of the two would be theft.
    Otherwise {
        /// The number.
        number: CommitmentNumber,
        /// What is asked for.
        got: Txid,
        /// What was agreed on.
        have: Txid,
    },
    /// Our own point of this commitment is another one.
    WrongPoint {
        /// Which.
        number: CommitmentNumber,
    },
    /// It gives more or less than there is.
    Money {
        /// The sum of what it gives.
        got: Msat,
        /// What there is.
        want: Msat,
    },
    /// We would have less than what was agreed on with contracts.
    Loss {
        /// What we would have, with all we offer.
        got: Msat,
        /// What we must have.
        want: Msat,
    },
    /// The fee rate is not within limits.
    FeeRate {
        /// The rate.
        got: FeeratePerKw,
        /// The least.
        min: FeeratePerKw,
        /// The most.
        max: FeeratePerKw,
    },
    /// The opener cannot pay for it.
    Fee {
        /// What is missing.
        missing: Sat,
    },
    /// There are too many contracts.
    Contracts {
        /// How many.
        got: usize,
        /// The most.
        max: usize,
    },
    /// More would be under way of what we offer than the owner wants. Only what is new is refused.
    InFlight {
        /// How much.
        got: Msat,
        /// The most.
        max: Msat,
    },
    /// What we offer would be more than may leave in a day.
    Allowance {
        /// How much of it counts.
        got: Msat,
        /// What is left of the day.
        left: Msat,
        /// What may leave in a day.
        limit: Msat,
    },
    /// An HTLC that is new, and ours, expires too soon or too late.
    Expiry {
        /// When.
        got: BlockHeight,
        /// The least: after our own newest block.
        min: BlockHeight,
        /// The most.
        max: BlockHeight,
    },
    /// Our own newest block is too old to take on anything. With a newer one it is signed.
    Stale {
        /// How old.
        age: Seconds,
        /// The most.
        max: Seconds,
    },
    /// The delay is not within limits.
    Delay {
        /// The delay.
        got: CsvDelay,
        /// The least.
        min: CsvDelay,
        /// The most.
        max: CsvDelay,
    },
    /// The terms of a contract are not known here.
    Contract(Flaw),
    /// The peer's signature is not one.
    BadSignature {
        /// Of which commitment.
        number: CommitmentNumber,
        /// Of which second stage, or of the commitment itself.
        stage: Option<usize>,
    },
    /// There are more or fewer signatures than second stages.
    StageCount {
        /// Signatures.
        got: usize,
        /// Second stages.
        want: usize,
    },
    /// The peer's secret is not that of its point.
    WrongSecret {
        /// Of which commitment.
        number: CommitmentNumber,
    },
    /// The peer's secret does not fit those before it.
    Secret(SecretFault),
    /// Our commitment was signed to be published: the channel is closing.
    Closing,
    /// A close was signed: there are no new commitments.
    Shut,
    /// It does not end like that.
    End(EndFlaw),
}

impl std::error::Error for ChannelRefusal {}

impl fmt::Display for ChannelRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use ChannelRefusal as No;
        match self {
            No::Unknown => f.write_str("nobody has said what this channel is about"),
            No::AlreadySetUp => f.write_str("this channel was set up before, and otherwise"),
            No::TooMany { max } => write!(f, "there are {max} channels, and no more may be"),
            No::Terms { term, got, limit } => write!(f, "{term} is {got}, and may be {limit}"),
            No::ForeignKeys => f.write_str("the keys on our side are not those of this channel"),
            No::WrongOwner { want } => write!(f, "this is to be a commitment of the {want:?}"),
            No::OutOfTurn { number, newest, unrevoked } => {
                let newest = newest.map_or("none".to_owned(), |it| it.to_string());
                write!(f, "commitment {number} is not next: {newest} is the newest, {unrevoked} ")?;
                f.write_str("not revoked")
            }
            No::Otherwise { number, got, have } => {
                write!(f, "ALARM: commitment {number} is to be {got}, and was {have}")
            }
            No::WrongPoint { number } => write!(f, "our point of commitment {number} is another"),
            No::Money { got, want } => write!(f, "it gives {got} of {want}"),
            No::Loss { got, want } => write!(f, "we would have {got}, and must have {want}"),
            No::FeeRate { got, min, max } => write!(f, "{got} is not within {min} and {max}"),
            No::Fee { missing } => write!(f, "the opener lacks {missing} for the fee"),
            No::Contracts { got, max } => write!(f, "{got} contracts, at most {max}"),
            No::InFlight { got, max } => {
                write!(f, "{got} of ours would be under way, at most {max}")
            }
            No::Allowance { got, left, limit } => {
                write!(f, "{got} is more than may leave today: {left} of {limit} are left")
            }
            No::Expiry { got, min, max } => {
                write!(f, "it expires at {got}, which is not within {min} and {max}")
            }
            No::Stale { age, max } => {
                let (age, max) = (age.0, max.0);
                write!(f, "the newest block is {age} s old, {max} s at most")
            }
            No::Delay { got, min, max } => write!(f, "{got} is not within {min} and {max}"),
            No::Contract(flaw) => flaw.fmt(f),
            No::BadSignature { number, stage: None } => {
                write!(f, "the peer's signature of commitment {number} is none")
            }
            No::BadSignature { number, stage: Some(stage) } => {
                write!(f, "the peer's signature of second stage {stage} of {number} is none")
            }
            No::StageCount { got, want } => {
                write!(f, "{got} signatures for {want} second stages")
            }
            No::WrongSecret { number } => {
                write!(f, "the peer's secret does not revoke commitment {number}")
            }
            No::Secret(fault) => fault.fmt(f),
            No::Closing => f.write_str("our commitment was signed to be published"),
            No::Shut => f.write_str("a close was signed, and the balances stay"),
            No::End(flaw) => flaw.fmt(f),
        }
    }
}
