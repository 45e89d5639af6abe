//! Why a channel is not ended like that.

use std::fmt;

use bitcoin::OutPoint;
use tx::{ClaimFault, Side};
use wire::amount::{Msat, Sat};
use wire::id::CommitmentNumber;

/// Why a close or a claim is not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndFlaw {
    /// Whoever was asked has no wallet to pay to.
    NoWallet,
    /// Contracts are under way.
    UnderWay {
        /// How many, in both newest commitments.
        contracts: usize,
    },
    /// A side has no commitment yet.
    NotOpen,
    /// The peer could still publish a commitment before its newest one.
    Unrevoked {
        /// The least that is not revoked.
        number: CommitmentNumber,
        /// The newest.
        newest: CommitmentNumber,
    },
    /// The two newest commitments do not say the same.
    Differ {
        /// What we have in ours.
        local: Msat,
        /// What we have in the peer's.
        remote: Msat,
    },
    /// A close gives a side something else than it has.
    Balance {
        /// Which side.
        side: Side,
        /// What it gives.
        got: Msat,
        /// What is agreed on.
        want: Msat,
    },
    /// Nothing would be left of a close.
    Nothing {
        /// Its fee.
        fee: Sat,
        /// What whoever pays it has.
        has: Msat,
    },
    /// Outputs are dropped below a limit that is nobody's.
    DustLimit {
        /// The limit.
        got: Sat,
        /// The opener's and the acceptor's.
        want: [Sat; 2],
    },
    /// Our output is left out, and is worth something.
    LeftOut {
        /// What it would be.
        got: Sat,
        /// Below that it may be left out.
        dust: Sat,
    },
    /// Our output is too small to be relayed.
    Dust {
        /// What it is.
        got: Sat,
        /// The least it must be.
        min: Sat,
    },
    /// Our output goes elsewhere than it is said to.
    OtherScript,
    /// It goes to a script that nobody has listed.
    Destination {
        /// How many are listed.
        listed: usize,
    },
    /// It goes to a place of ours that is further away than anybody would look for it.
    Place {
        /// Its index.
        got: u32,
        /// The greatest.
        max: u32,
    },
    /// The fee is too high.
    Fee {
        /// The fee.
        got: Sat,
        /// The highest.
        max: Sat,
        /// What it is paid for.
        stake: Sat,
    },
    /// Our commitment was never signed to be published.
    NotClosing,
    /// The peer has not revoked that commitment.
    NotRevoked {
        /// Which.
        number: CommitmentNumber,
        /// The least that is not revoked.
        unrevoked: CommitmentNumber,
    },
    /// It is a claim of the other side.
    NotOurs {
        /// Which side we are.
        want: Side,
    },
    /// Too many transactions are shown.
    Shown {
        /// How many.
        got: usize,
        /// The most there may be.
        max: usize,
    },
    /// The transaction that holds it was not shown.
    NotShown {
        /// What is claimed.
        outpoint: OutPoint,
        /// Transactions that were shown.
        shown: usize,
    },
    /// The transaction that holds it holds something else there.
    NotThere {
        /// What is claimed.
        outpoint: OutPoint,
        /// What it should hold.
        got: Sat,
        /// What it holds, under whatever script.
        have: Option<Sat>,
    },
    /// There is no such transaction.
    Claim(ClaimFault),
}

impl std::error::Error for EndFlaw {}

impl From<ClaimFault> for EndFlaw {
    fn from(fault: ClaimFault) -> Self {
        EndFlaw::Claim(fault)
    }
}

impl fmt::Display for EndFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EndFlaw::NoWallet => f.write_str("there is no wallet to pay to"),
            EndFlaw::UnderWay { contracts } => write!(f, "{contracts} contracts are under way"),
            EndFlaw::NotOpen => f.write_str("the channel has no commitments yet"),
            EndFlaw::Unrevoked { number, newest } => {
                write!(f, "the peer has not revoked {number}, and {newest} is its newest")
            }
            EndFlaw::Differ { local, remote } => {
                write!(f, "we have {local} in our commitment and {remote} in the peer's")
            }
            EndFlaw::Balance { side, got, want } => {
                write!(f, "the {side:?} gets {got}, and has {want}")
            }
            EndFlaw::Nothing { fee, has } => {
                write!(f, "nothing is left after a fee of {fee} by whoever has {has}")
            }
            EndFlaw::DustLimit { got, want: [opener, acceptor] } => {
                write!(f, "a dust limit of {got}, agreed on are {opener} and {acceptor}")
            }
            EndFlaw::LeftOut { got, dust } => {
                write!(f, "our output of {got} is left out, that may be below {dust}")
            }
            EndFlaw::Dust { got, min } => write!(f, "our output is {got}, at least {min}"),
            EndFlaw::OtherScript => f.write_str("our output does not go where it is said to"),
            EndFlaw::Destination { listed } => {
                write!(f, "it pays to none of the {listed} scripts that are listed")
            }
            EndFlaw::Place { got, max } => write!(f, "it pays to our place {got}, {max} at most"),
            EndFlaw::Fee { got, max, stake } => {
                write!(f, "a fee of {got} for {stake}, {max} at most")
            }
            EndFlaw::NotClosing => f.write_str("our commitment was never signed to be published"),
            EndFlaw::NotRevoked { number, unrevoked } => {
                write!(f, "commitment {number} of the peer is not revoked, nor is {unrevoked}")
            }
            EndFlaw::NotOurs { want } => write!(f, "this is no claim of the {want:?}"),
            EndFlaw::Shown { got, max } => write!(f, "{got} transactions shown, at most {max}"),
            EndFlaw::NotShown { outpoint, shown } => {
                write!(f, "none of the {shown} transactions holds {outpoint}")
            }
            EndFlaw::NotThere { outpoint, got, have: Some(have) } => {
                write!(f, "{outpoint} is to be {got} of this channel, and is {have}")
            }
            EndFlaw::NotThere { outpoint, got, have: None } => {
                write!(f, "{outpoint} is to be {got}, and does not exist")
            }
            EndFlaw::Claim(fault) => fault.fmt(f),
        }
    }
}
