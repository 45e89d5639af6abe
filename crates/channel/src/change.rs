//! What is saved of a channel. Live running and a restart go the same way: `Live::evolve`.

use wire::UpdateAddHtlc;
use wire::amount::FeeratePerKw;
use wire::id::{OnionHash, PaymentPreimage, PerCommitmentSecret};
use wire::key::{Point, Signature};
use wire::list::Blob;

use tx::Side;

use crate::ContractId;

/// A change of a live channel.
#[derive(Clone, Debug)]
pub enum Change {
    /// A contract is offered.
    Added {
        /// By whom.
        by: Side,
        /// As it crosses the wire.
        add: Box<UpdateAddHtlc>,
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
}
