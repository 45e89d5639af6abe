//! The two forms of commitments that BOLT 3 still has.

use bitcoin::EcdsaSighashType;
use wire::amount::{FeeratePerKw, Sat};

/// What an anchor holds.
pub const ANCHOR_SAT: Sat = Sat(330);
/// What one more output of a contract weighs in a commitment.
pub const OUTPUT_WEIGHT: u64 = 172;

/// The form of a channel's commitments, for its whole life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// `option_static_remotekey`: fees are decided when the commitment is signed.
    StaticRemoteKey,
    /// `option_anchors`: fees are raised by children of anchors; second stages pay none of their
    /// own, and whoever publishes them adds a coin.
    Anchors,
}

impl Form {
    /// Whether there are anchors.
    pub const fn has_anchors(self) -> bool {
        matches!(self, Form::Anchors)
    }

    /// The weight by which a commitment with this many outputs of contracts pays.
    pub const fn weight(self, contracts: usize) -> u64 {
        let alone = match self {
            Form::StaticRemoteKey => 724,
            Form::Anchors => 1_124,
        };
        alone + OUTPUT_WEIGHT * contracts as u64
    }

    /// What the opener pays for a commitment with this many outputs of contracts.
    pub const fn fee(self, rate: FeeratePerKw, contracts: usize) -> Sat {
        Sat(rate.0 as u64 * self.weight(contracts) / 1_000)
    }

    /// What the opener puts into anchors.
    pub const fn anchors(self) -> Sat {
        match self {
            Form::StaticRemoteKey => Sat(0),
            Form::Anchors => Sat(2 * ANCHOR_SAT.0),
        }
    }

    /// What a second stage of this weight pays.
    pub const fn second_stage_fee(self, rate: FeeratePerKw, weight: u64) -> Sat {
        match self {
            Form::StaticRemoteKey => Sat(rate.0 as u64 * weight / 1_000),
            Form::Anchors => Sat(0),
        }
    }

    /// How the other side signs a second stage: with anchors so that coins can be added.
    pub const fn second_stage_sighash(self) -> EcdsaSighashType {
        match self {
            Form::StaticRemoteKey => EcdsaSighashType::All,
            Form::Anchors => EcdsaSighashType::SinglePlusAnyoneCanPay,
        }
    }

    /// The least `nSequence` of an input that spends a commitment's output at once.
    pub const fn sequence(self) -> u32 {
        match self {
            Form::StaticRemoteKey => 0,
            Form::Anchors => 1,
        }
    }
}
