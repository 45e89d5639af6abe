//! What is refused, and what a peer does wrong.

use std::fmt;

use tx::{Flaw, Kind};
use wire::amount::{BlockHeight, FeeratePerKw, HtlcCount, Msat, Sat};
use wire::id::{CommitmentNumber, HtlcId, Txid};

/// Our own command cannot be followed now. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The peer is not there, or has not said yet where it stands.
    NotConnected,
    /// The amount is none.
    Zero,
    /// It is below what the peer takes.
    TooSmall {
        /// The amount.
        got: Msat,
        /// `htlc_minimum_msat`.
        min: Msat,
    },
    /// It is more than a contract of its kind may hold.
    TooLarge {
        /// The amount.
        got: Msat,
        /// The most.
        max: Msat,
    },
    /// The peer does not know this kind of contracts, or we do not.
    NotNegotiated {
        /// The kind.
        kind: Kind,
    },
    /// Such a contract has no place in this channel.
    Contract(Flaw),
    /// Contracts of this kind do not end so, nor is their end asked for.
    WrongEnd {
        /// The kind.
        kind: Kind,
    },
    /// The message that was to offer a contract does not.
    NoOffer {
        /// Its name.
        message: &'static str,
    },
    /// We do not have so much beside what must stay.
    NotEnough {
        /// What could be sent.
        have: Msat,
        /// The amount.
        need: Msat,
    },
    /// The peer takes no more HTLCs.
    TooMany {
        /// As many as it takes.
        max: HtlcCount,
    },
    /// The peer takes no more at a time.
    TooMuchInFlight {
        /// What would be under way.
        got: Msat,
        /// `max_htlc_value_in_flight_msat`.
        max: Msat,
    },
    /// It has no output in a commitment, and there is too much of that already.
    TooMuchDust {
        /// What would go to miners.
        got: Msat,
        /// The most.
        max: Msat,
    },
    /// The opener could not pay for one more output.
    Fee {
        /// What it would have.
        have: Msat,
        /// What it needs for fees, anchors and its reserve.
        need: Msat,
    },
    /// A lock that is no height.
    Expiry {
        /// The lock.
        got: BlockHeight,
        /// The first that is none.
        end: BlockHeight,
    },
    /// There is no such HTLC that could be ended now.
    NoSuchHtlc {
        /// Its number.
        id: HtlcId,
    },
    /// That preimage does not open it.
    WrongPreimage {
        /// Its number.
        id: HtlcId,
    },
    /// Only the opener sets fees.
    NotOpener,
    /// The rate is outside of what both signers agree to.
    FeeRate {
        /// The rate.
        got: FeeratePerKw,
        /// The least.
        min: FeeratePerKw,
        /// The most.
        max: FeeratePerKw,
    },
    /// The channel takes no new contracts: its funding is not deep enough, or it is closing.
    NotUsable,
    /// The channel ends on the chain already.
    Closed,
    /// Another rate is on its way into the commitments: peers keep track of one at a time.
    RateUnderWay {
        /// The rate.
        got: FeeratePerKw,
        /// The one that is on its way.
        before: FeeratePerKw,
    },
}

/// What a peer does that BOLT 2 forbids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A message at a time at which it must not come.
    Unexpected {
        /// Its name.
        message: &'static str,
    },
    /// An HTLC of nothing, or below our minimum.
    HtlcTooSmall {
        /// The amount.
        got: Msat,
        /// The least.
        min: Msat,
    },
    /// More than a contract of its kind may hold.
    TooLarge {
        /// The amount.
        got: Msat,
        /// The most.
        max: Msat,
    },
    /// A contract of a kind that not both have offered.
    NotNegotiated {
        /// The kind.
        kind: Kind,
    },
    /// A contract that has no place in this channel.
    Contract(Flaw),
    /// It cannot pay that.
    NotAffordable {
        /// The amount, and what it needs besides.
        got: Msat,
        /// What it has.
        have: Msat,
    },
    /// More HTLCs than we take.
    TooManyHtlcs {
        /// As many as we take.
        max: HtlcCount,
    },
    /// More at a time than we take.
    TooMuchInFlight {
        /// What would be under way.
        got: Msat,
        /// The most.
        max: Msat,
    },
    /// A lock that is no height.
    Expiry {
        /// The lock.
        got: BlockHeight,
        /// The first that is none.
        end: BlockHeight,
    },
    /// It counts otherwise.
    HtlcId {
        /// Its number.
        got: HtlcId,
        /// The number that is next.
        want: HtlcId,
    },
    /// It ends an HTLC that it cannot end now.
    NoSuchHtlc {
        /// Its number.
        id: HtlcId,
    },
    /// Its preimage does not open the HTLC.
    WrongPreimage {
        /// Of which HTLC.
        id: HtlcId,
    },
    /// A malformed HTLC without the bit that says so.
    FailureCode {
        /// The code.
        got: u16,
    },
    /// It has opened nothing and sets fees.
    FeeByAcceptor,
    /// A rate that we do not agree to.
    FeeRate {
        /// The rate.
        got: FeeratePerKw,
        /// The least.
        min: FeeratePerKw,
        /// The most.
        max: FeeratePerKw,
    },
    /// It signs for another funding.
    OtherFunding {
        /// The one that it names.
        got: Txid,
        /// Ours.
        want: Txid,
    },
    /// It signs twice without our revocation between.
    SignedTwice,
    /// It signs what is signed already.
    NothingToSign,
    /// It revokes what it must not revoke yet.
    NothingToRevoke,
    /// Our signer does not take what it has signed or revoked.
    Signer {
        /// Why.
        why: String,
    },
    /// It has forgotten a commitment that it has shown to us before.
    Behind {
        /// The number that it says is next.
        got: CommitmentNumber,
        /// The least that it can be.
        want: CommitmentNumber,
    },
    /// It says that it has what we never gave.
    Ahead {
        /// The number that it says is next.
        got: CommitmentNumber,
        /// The most that it can be.
        want: CommitmentNumber,
    },
    /// It claims to know our secrets, and does not.
    FalseSecret {
        /// The commitment that it would revoke.
        number: CommitmentNumber,
    },
    /// The peer, or our signer, remembers what we have forgotten: our commitment is revoked.
    Forgotten {
        /// Who has shown it, and how.
        why: String,
    },
    /// Money is to go where not everybody relays it.
    ClosingScript,
    /// Money is to go elsewhere than was said before.
    OtherScript,
    /// A closing transaction of this fee is not signed.
    ClosingSignature {
        /// The fee.
        fee: Sat,
    },
    /// It knows which fees we take, could take one of them, and insists on another.
    ClosingFeeAgain {
        /// What the closing transaction pays.
        got: Sat,
        /// The least.
        min: Sat,
        /// The most.
        max: Sat,
    },
    /// A closing transaction pays too much, or too little.
    ClosingFee {
        /// What it pays.
        got: Sat,
        /// The least.
        min: Sat,
        /// The most.
        max: Sat,
    },
}

/// What BOLT 2 says is to be done about a violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Warn, and hang up: it may come again and do better.
    Warning,
    /// Fail the channel: our commitment is published.
    Error,
    /// Fail the channel, and wait for the peer's commitment: ours is revoked.
    Wait,
}

impl Violation {
    /// What is done about it.
    pub const fn remedy(&self) -> Remedy {
        match self {
            Violation::Unexpected { .. } => Remedy::Warning,
            Violation::HtlcTooSmall { .. }
            | Violation::TooLarge { .. }
            | Violation::NotNegotiated { .. }
            | Violation::Contract(_)
            | Violation::NotAffordable { .. }
            | Violation::TooManyHtlcs { .. }
            | Violation::TooMuchInFlight { .. }
            | Violation::Expiry { .. }
            | Violation::HtlcId { .. }
            | Violation::NoSuchHtlc { .. }
            | Violation::WrongPreimage { .. }
            | Violation::FailureCode { .. }
            | Violation::FeeByAcceptor
            | Violation::FeeRate { .. }
            | Violation::OtherFunding { .. }
            | Violation::SignedTwice
            | Violation::NothingToSign
            | Violation::ClosingScript
            | Violation::OtherScript
            | Violation::ClosingSignature { .. }
            | Violation::ClosingFee { .. } => Remedy::Warning,
            Violation::Forgotten { .. } => Remedy::Wait,
            Violation::NothingToRevoke
            | Violation::Signer { .. }
            | Violation::ClosingFeeAgain { .. }
            | Violation::Behind { .. }
            | Violation::Ahead { .. }
            | Violation::FalseSecret { .. } => Remedy::Error,
        }
    }
}

impl std::error::Error for Refusal {}
impl std::error::Error for Violation {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NotConnected => f.write_str("the peer is not there"),
            Refusal::Zero => f.write_str("nothing cannot be sent"),
            Refusal::TooSmall { got, min } => write!(f, "{got}, the peer takes {min} and more"),
            Refusal::TooLarge { got, max } => write!(f, "{got}, it may hold {max}"),
            Refusal::NotNegotiated { kind } => {
                write!(f, "contracts of kind {} are not known to both", kind.0)
            }
            Refusal::Contract(flaw) => write!(f, "{flaw}"),
            Refusal::WrongEnd { kind } => {
                write!(f, "contracts of kind {} do not end so", kind.0)
            }
            Refusal::NoOffer { message } => write!(f, "{message} offers no contract of that name"),
            Refusal::NotEnough { have, need } => write!(f, "{need}, we can send {have}"),
            Refusal::TooMany { max } => write!(f, "the peer takes no more than {max}"),
            Refusal::TooMuchInFlight { got, max } => {
                write!(f, "{got} would be under way, the peer takes {max}")
            }
            Refusal::TooMuchDust { got, max } => {
                write!(f, "{got} would go to miners if the channel failed, at most {max}")
            }
            Refusal::Fee { have, need } => {
                write!(f, "the opener would have {have}, and needs {need} for fee and reserve")
            }
            Refusal::Expiry { got, end } => write!(f, "height {got} is not below {end}"),
            Refusal::NoSuchHtlc { id } => write!(f, "HTLC {id} cannot be ended now"),
            Refusal::WrongPreimage { id } => write!(f, "this does not open HTLC {id}"),
            Refusal::FeeRate { got, min, max } => {
                write!(f, "{got} is not within {min} and {max}")
            }
            Refusal::NotUsable => f.write_str("the channel takes no new payments now"),
            Refusal::Closed => f.write_str("the channel ends on the chain"),
            Refusal::NotOpener => f.write_str("only the opener of a channel sets its fee rate"),
            Refusal::RateUnderWay { got, before } => {
                write!(f, "{got}, and {before} is not in all commitments yet")
            }
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Violation as No;
        match self {
            No::Unexpected { message } => write!(f, "{message} at this time"),
            No::HtlcTooSmall { got, min } => write!(f, "an HTLC of {got}, at least {min}"),
            No::TooLarge { got, max } => write!(f, "{got}, it may hold {max}"),
            No::NotNegotiated { kind } => {
                write!(f, "contracts of kind {} are not known to both", kind.0)
            }
            No::Contract(flaw) => write!(f, "{flaw}"),
            No::NotAffordable { got, have } => write!(f, "{got} with fees, of {have}"),
            No::TooManyHtlcs { max } => write!(f, "more than {max}"),
            No::TooMuchInFlight { got, max } => write!(f, "{got} under way, at most {max}"),
            No::Expiry { got, end } => write!(f, "cltv_expiry {got}, below {end}"),
            No::HtlcId { got, want } => write!(f, "HTLC {got}, {want} is next"),
            No::NoSuchHtlc { id } => write!(f, "there is no HTLC {id} to be ended"),
            No::WrongPreimage { id } => write!(f, "this does not open HTLC {id}"),
            No::FailureCode { got } => write!(f, "failure code {got:#06x} without BADONION"),
            No::FeeByAcceptor => f.write_str("update_fee by the acceptor"),
            No::FeeRate { got, min, max } => write!(f, "{got} is not within {min} and {max}"),
            No::OtherFunding { got, want } => write!(f, "funding_txid {got}, ours is {want}"),
            No::SignedTwice => f.write_str("commitment_signed before revoke_and_ack"),
            No::NothingToSign => f.write_str("commitment_signed without any update"),
            No::NothingToRevoke => f.write_str("revoke_and_ack without commitment_signed"),
            No::Signer { why } => f.write_str(why),
            No::Behind { got, want } => write!(f, "commitment {got} is next, {want} was shown"),
            No::Ahead { got, want } => write!(f, "commitment {got} is next, at most {want}"),
            No::Forgotten { why } => f.write_str(why),
            No::ClosingScript => f.write_str("that closing script is none that everybody relays"),
            No::OtherScript => f.write_str("that closing script is not the one that was said"),
            No::ClosingSignature { fee } => write!(f, "a close for {fee} is not signed so"),
            No::ClosingFee { got, min, max } | No::ClosingFeeAgain { got, min, max } => {
                write!(f, "a close for {got}, between {min} and {max} is right")
            }
            No::FalseSecret { number } => write!(f, "that is not our secret of {number}"),
        }
    }
}
