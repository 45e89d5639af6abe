//! What it costs to be in a block sooner: another transaction, or a child that pays.

use std::fmt;

use bitcoin::{Amount, FeeRate, Weight};

/// What a replacement pays for being relayed: 1 sat/vB, as nodes before Bitcoin Core 30 want it.
pub const INCREMENTAL_RELAY: FeeRate = FeeRate::from_sat_per_kwu(250);
/// The same since Bitcoin Core 30: 0.1 sat/vB.
pub const INCREMENTAL_RELAY_CORE_30: FeeRate = FeeRate::from_sat_per_kwu(25);
/// The least that any transaction pays: 1 sat/vB, as nodes before Bitcoin Core 30 want it.
pub const MIN_RELAY: FeeRate = FeeRate::from_sat_per_kwu(250);
/// The same since Bitcoin Core 30: 0.1 sat/vB.
pub const MIN_RELAY_CORE_30: FeeRate = FeeRate::from_sat_per_kwu(25);

/// What a transaction, or some together, weigh and pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Priced {
    /// The fee.
    pub fee: Amount,
    /// The weight.
    pub weight: Weight,
}

/// Why one transaction does not replace another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplaceFault {
    /// It pays less than all that it replaces.
    Fee {
        /// What it pays.
        got: Amount,
        /// What it must pay.
        min: Amount,
    },
    /// What it pays in addition is too little for its own size.
    Relay {
        /// What it pays in addition.
        got: Amount,
        /// What it must.
        min: Amount,
    },
    /// It pays no more for each unit of weight.
    Rate {
        /// What it pays.
        got: FeeRate,
        /// What it must pay more than.
        above: FeeRate,
    },
    /// A fee or a weight beyond all money and blocks.
    Absurd {
        /// The fee.
        fee: Amount,
        /// The weight.
        weight: Weight,
    },
}

/// The least fee with which a transaction of this weight replaces `old`: the transactions in
/// conflict and all that spend from them.
pub fn replacement_fee(
    old: Priced,
    weight: Weight,
    incremental: FeeRate,
) -> Result<Amount, ReplaceFault> {
    let absurd = ReplaceFault::Absurd { fee: old.fee, weight };
    let relay = fee_of(incremental, weight).ok_or(absurd)?;
    let fee = old.fee.checked_add(relay).ok_or(absurd)?;
    // The least one with a higher rate.
    let rate = u128::from(old.fee.to_sat()) * u128::from(vsize(weight));
    let above = rate / u128::from(vsize(old.weight).max(1)) + 1;
    let above = Amount::from_sat(u64::try_from(above).map_err(|_| absurd)?);
    let fee = fee.max(above);
    if fee > Amount::MAX_MONEY { Err(absurd) } else { Ok(fee) }
}

/// Whether `new` replaces `old` (see [`replacement_fee`]) in the memory of other nodes.
pub fn judge_replacement(
    old: Priced,
    new: Priced,
    incremental: FeeRate,
) -> Result<(), ReplaceFault> {
    let absurd = ReplaceFault::Absurd { fee: new.fee, weight: new.weight };
    // BIP 125, rule 3: "The replacement transaction pays an absolute fee of at least the sum paid
    // by the original transactions."
    let (got, min) = (new.fee, old.fee);
    let Some(more) = got.checked_sub(min) else { return Err(ReplaceFault::Fee { got, min }) };
    // BIP 125, rule 4: "The replacement transaction must also pay for its own bandwidth at or above
    // the rate set by the node's minimum relay fee setting."
    let min = fee_of(incremental, new.weight).ok_or(absurd)?;
    if more < min {
        return Err(ReplaceFault::Relay { got: more, min });
    }
    // Not in BIP 125; Bitcoin Core wants a higher rate than that of each transaction in conflict.
    let times = |fee: Amount, weight| u128::from(fee.to_sat()) * u128::from(vsize(weight));
    if times(new.fee, old.weight) <= times(old.fee, new.weight) {
        let (got, above) = (rate_of(new), rate_of(old));
        return Err(ReplaceFault::Rate { got, above });
    }
    Ok(())
}

/// What a child pays for its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChildFee {
    /// The child's fee.
    pub fee: Amount,
    /// What both pay together for each unit of weight: less than the target if that would cost
    /// more than what is at stake.
    pub rate: FeeRate,
}

/// Why no child pays for a parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildFault {
    /// The parent pays enough by itself.
    Enough {
        /// What it pays.
        got: FeeRate,
        /// What it is to pay.
        target: FeeRate,
    },
    /// What is at stake does not even pay for relaying the child.
    Worthless {
        /// What is at stake.
        stake: Amount,
        /// What a child costs at least.
        min: Amount,
    },
    /// A fee or a weight beyond all money and blocks.
    Absurd {
        /// The rate that is wanted.
        target: FeeRate,
        /// The weight of both.
        weight: Weight,
    },
}

/// The fee of a child of this weight, so that both together pay the `target`; but never more than
/// what is at stake. The child pays for its own relaying at least.
pub fn child_fee(
    parent: Priced,
    child: Weight,
    target: FeeRate,
    min_relay: FeeRate,
    stake: Amount,
) -> Result<ChildFee, ChildFault> {
    if parent.weight.to_wu() > 0 && rate_of(parent) >= target {
        return Err(ChildFault::Enough { got: rate_of(parent), target });
    }
    let total = parent.weight.checked_add(child);
    let weight = total.unwrap_or(Weight::MAX);
    let absurd = ChildFault::Absurd { target, weight };
    let sizes = vsize(parent.weight).checked_add(vsize(child)).ok_or(absurd)?;
    let both = fee_of_size(target, sizes).ok_or(absurd)?;
    let min = fee_of(min_relay, child).ok_or(absurd)?;
    if stake < min {
        return Err(ChildFault::Worthless { stake, min });
    }
    let missing = both.checked_sub(parent.fee).unwrap_or(Amount::ZERO);
    let fee = missing.max(min).min(stake);
    let together = parent.fee.checked_add(fee).ok_or(absurd)?;
    let rate = match missing <= fee {
        true => target,
        false => rate_of(Priced { fee: together, weight }),
    };
    Ok(ChildFee { fee, rate })
}

/// As Bitcoin Core counts it, without signature operations.
const fn vsize(weight: Weight) -> u64 {
    weight.to_wu().div_ceil(4)
}

/// What a weight costs at a rate, rounded up; nothing if that is more than all money.
pub(crate) fn fee_of(rate: FeeRate, weight: Weight) -> Option<Amount> {
    fee_of_size(rate, vsize(weight))
}

fn fee_of_size(rate: FeeRate, vsize: u64) -> Option<Amount> {
    let fee = u128::from(rate.to_sat_per_kwu()).checked_mul(u128::from(vsize))?.checked_mul(4)?;
    let fee = fee.div_ceil(1_000);
    let fee = Amount::from_sat(u64::try_from(fee).ok()?);
    (fee <= Amount::MAX_MONEY).then_some(fee)
}

/// Rounded down.
fn rate_of(priced: Priced) -> FeeRate {
    let weight = u128::from(priced.weight.to_wu().max(1));
    let rate = u128::from(priced.fee.to_sat()) * 1_000 / weight;
    FeeRate::from_sat_per_kwu(u64::try_from(rate).unwrap_or(u64::MAX))
}

impl fmt::Display for ReplaceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fee { got, min } => write!(f, "it pays {got}, what it replaces {min}"),
            Self::Relay { got, min } => write!(f, "it pays {got} more, at least {min}"),
            Self::Rate { got, above } => {
                write!(f, "it pays {got} sat/kwu, what it replaces {above} sat/kwu")
            }
            Self::Absurd { fee, weight } => {
                write!(f, "a fee of {fee} for {weight} units is absurd")
            }
        }
    }
}

impl std::error::Error for ReplaceFault {}

impl fmt::Display for ChildFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enough { got, target } => {
                write!(f, "the parent pays {got} sat/kwu, the target is {target} sat/kwu")
            }
            Self::Worthless { stake, min } => {
                write!(f, "{stake} is at stake, a child costs {min} at least")
            }
            Self::Absurd { target, weight } => {
                write!(f, "{target} sat/kwu for {weight} units is absurd")
            }
        }
    }
}

impl std::error::Error for ChildFault {}
