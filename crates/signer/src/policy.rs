//! What may be signed of the wallet's money: a spend is judged each time that it is asked for, by
//! nothing but itself and these rules.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bitcoin::absolute::{LOCK_TIME_THRESHOLD, LockTime};
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf};

use crate::account::{Account, KEY_INDEX_MAX};
use crate::channel::ChannelLimits;
use crate::spend::{
    Payee, SCRIPT_BYTES_MAX, SPEND_INPUTS_MAX, SPEND_OUTPUTS_MAX, Spend, SpendInput,
};

/// The highest fee rate without [`Spend::allow_high_fee`], or where the signer's owner has not said
/// that the node may use it.
pub const FEE_RATE_SAT_PER_VB_MAX: u64 = 1_000;
/// The highest fee rate at all: beyond it the flag is a mistake, too.
pub const FEE_RATE_FLAGGED_SAT_PER_VB_MAX: u64 = 50_000;
/// The highest fee without [`Spend::allow_high_fee`], as a part of what is moved.
pub const FEE_PERCENT_MAX: u64 = 25;
/// A fee up to here is never too great a part of what is moved: small sums pay as much as great
/// ones.
pub const FEE_FLOOR_SAT: Amount = Amount::from_sat(20_000);
/// The highest fee, as a part of what is moved, if all of it comes back to us: nobody is paid, so
/// there is no hurry, and a node that does it again and again would burn everything.
pub const CONSOLIDATION_PERCENT_MAX: u64 = 5;
/// A fee up to here is never too great a part of what comes back.
pub const CONSOLIDATION_FLOOR_SAT: Amount = Amount::from_sat(5_000);
/// An output of ours is so many places behind the furthest coin that is spent, at most. Whoever has
/// only the words and looks so far behind each coin that he finds, finds them all.
pub const PLACE_STEP_MAX: u32 = 10_000;

/// The rules of one signer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Who may be paid.
    pub destinations: Destinations,
    /// The highest fee rate without the flag, in satoshis for each virtual byte.
    pub fee_rate_sat_per_vb_max: u64,
    /// The highest fee without the flag, in hundredths of what is moved.
    pub fee_percent_max: u64,
    /// What is never too much of it.
    pub fee_floor: Amount,
    /// The highest fee without the flag, in hundredths of what is moved, if all comes back to us.
    pub consolidation_percent_max: u64,
    /// What is never too much of that.
    pub consolidation_floor: Amount,
    /// Whether the node may ask for more than that. It is the node that says that a person has
    /// seen the fee: without this right the flag changes nothing.
    pub high_fees: bool,
    /// What channels may do.
    pub channels: ChannelLimits,
}

/// Who may be paid. We ourselves always may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destinations {
    /// Anybody.
    Any,
    /// Nobody but these.
    Listed(BTreeSet<ScriptBuf>),
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            destinations: Destinations::Any,
            fee_rate_sat_per_vb_max: FEE_RATE_SAT_PER_VB_MAX,
            fee_percent_max: FEE_PERCENT_MAX,
            fee_floor: FEE_FLOOR_SAT,
            consolidation_percent_max: CONSOLIDATION_PERCENT_MAX,
            consolidation_floor: CONSOLIDATION_FLOOR_SAT,
            high_fees: false,
            channels: ChannelLimits::default(),
        }
    }
}

/// Why a spend is not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpendFlaw {
    /// Too few or too many inputs.
    Inputs {
        /// How many there are.
        got: usize,
        /// The least there must be.
        min: usize,
        /// The most there may be.
        max: usize,
    },
    /// Too few or too many outputs.
    Outputs {
        /// How many there are.
        got: usize,
        /// The least there must be.
        min: usize,
        /// The most there may be.
        max: usize,
    },
    /// The transaction has another version than ours have.
    Version {
        /// The version, its bits as they are.
        got: u32,
        /// The only one.
        want: u32,
    },
    /// It waits for a time of day. Ours wait for blocks.
    LockTime {
        /// What it waits for.
        got: u32,
        /// The least that is a time.
        times_from: u32,
    },
    /// An input waits for its age, and none of ours has to.
    Sequence {
        /// Which one.
        input: usize,
        /// Its sequence.
        got: u32,
        /// The least that waits for nothing.
        min: u32,
    },
    /// A coin is spent twice.
    Twice {
        /// Which one.
        outpoint: OutPoint,
    },
    /// One amount, or the sum of one side, is more than there is.
    TooMuch {
        /// How much.
        got: Amount,
        /// All bitcoins.
        max: Amount,
    },
    /// A script is longer than any that is paid to.
    ScriptLength {
        /// Which output.
        output: usize,
        /// Its bytes.
        got: usize,
        /// The most there may be.
        max: usize,
    },
    /// Money is paid to a script that can never spend it.
    Burned {
        /// Which output.
        output: usize,
        /// How much.
        got: Amount,
    },
    /// An output is too small to be relayed.
    Dust {
        /// Which one.
        output: usize,
        /// How much it is.
        got: Amount,
        /// The least it must be.
        min: Amount,
    },
    /// More is paid than is spent.
    Short {
        /// What is spent.
        inputs: Amount,
        /// What is paid.
        outputs: Amount,
    },
    /// The fee rate is too high.
    FeeRate {
        /// The fee.
        fee: Amount,
        /// Its rate, rounded up.
        got_sat_per_vb: u64,
        /// The highest there may be.
        max_sat_per_vb: u64,
    },
    /// The fee is too great a part of what is moved.
    FeeShare {
        /// The fee.
        fee: Amount,
        /// The highest for this.
        max: Amount,
        /// What is moved.
        moved: Amount,
    },
    /// The fee is too great a part of what comes back to us, if all of it does.
    ConsolidationFee {
        /// The fee.
        fee: Amount,
        /// The highest for this.
        max: Amount,
        /// What comes back.
        moved: Amount,
    },
    /// An output of ours is further away than anybody would look for it.
    Place {
        /// Which one.
        output: usize,
        /// Its index.
        got: u32,
        /// The greatest: so far behind the furthest coin that is spent.
        max: u32,
    },
    /// An output funds a channel whose first commitment the peer has not signed for us: what is in
    /// it could not be had without the peer.
    Uncommitted {
        /// Which one.
        output: usize,
    },
    /// An output pays to a stranger.
    Destination {
        /// Which one.
        output: usize,
        /// How many may be paid.
        listed: usize,
    },
}

impl Policy {
    /// Judges a spend of this account that funds no channel, and says what it costs.
    pub fn judge(&self, account: &Account, spend: &Spend) -> Result<Amount, SpendFlaw> {
        self.judge_with(account, spend, &BTreeMap::new())
    }

    /// The same of any spend. `fundings` are its outputs that are channels of ours, and whether the
    /// peer has signed the first commitment for us: a channel is no stranger.
    pub(crate) fn judge_with(
        &self,
        account: &Account,
        spend: &Spend,
        fundings: &BTreeMap<usize, bool>,
    ) -> Result<Amount, SpendFlaw> {
        form(spend)?;
        if let Some((output, _)) = fundings.iter().find(|(_, is_signed)| !**is_signed) {
            return Err(SpendFlaw::Uncommitted { output: *output });
        }
        let spent = sum(spend.inputs.iter().map(|input| input.amount))?;
        let paid = sum(spend.outputs.iter().map(|output| output.amount))?;
        for output in 0..spend.outputs.len() {
            self.judge_output(account, spend, output)?;
            if !fundings.contains_key(&output) {
                self.judge_destination(spend, output)?;
            }
        }
        let short = SpendFlaw::Short { inputs: spent, outputs: paid };
        let fee = spent.checked_sub(paid).ok_or(short)?;
        self.judge_fee(spend, fee, paid)?;
        Ok(fee)
    }

    fn judge_output(
        &self,
        account: &Account,
        spend: &Spend,
        output: usize,
    ) -> Result<(), SpendFlaw> {
        let got = spend.outputs[output].amount;
        let script = match &spend.outputs[output].to {
            Payee::Ours(place) => &account.script(*place),
            Payee::Script(script) => script,
        };
        let (length, max) = (script.len(), SCRIPT_BYTES_MAX);
        if length > max {
            return Err(SpendFlaw::ScriptLength { output, got: length, max });
        }
        if script.is_op_return() && got > Amount::ZERO {
            return Err(SpendFlaw::Burned { output, got });
        }
        let min = script.minimal_non_dust();
        if got < min {
            return Err(SpendFlaw::Dust { output, got, min });
        }
        if let Payee::Ours(place) = &spend.outputs[output].to {
            let furthest = spend.inputs.iter().map(|input| input.place.index.number()).max();
            let max = furthest.unwrap_or(0).saturating_add(PLACE_STEP_MAX).min(KEY_INDEX_MAX);
            let got = place.index.number();
            if got > max {
                return Err(SpendFlaw::Place { output, got, max });
            }
        }
        Ok(())
    }

    fn judge_destination(&self, spend: &Spend, output: usize) -> Result<(), SpendFlaw> {
        match (&self.destinations, &spend.outputs[output].to) {
            (Destinations::Any, _) | (_, Payee::Ours(_)) => Ok(()),
            (Destinations::Listed(listed), Payee::Script(script)) => {
                let stranger = SpendFlaw::Destination { output, listed: listed.len() };
                listed.contains(script).then_some(()).ok_or(stranger)
            }
        }
    }

    fn judge_fee(&self, spend: &Spend, fee: Amount, paid: Amount) -> Result<(), SpendFlaw> {
        let vbytes = spend.weight().to_vbytes_ceil();
        let is_flagged = spend.allow_high_fee && self.high_fees;
        let max_sat_per_vb = match is_flagged {
            true => FEE_RATE_FLAGGED_SAT_PER_VB_MAX,
            false => self.fee_rate_sat_per_vb_max,
        };
        let got_sat_per_vb = fee.to_sat().div_ceil(vbytes);
        if got_sat_per_vb > max_sat_per_vb {
            return Err(SpendFlaw::FeeRate { fee, got_sat_per_vb, max_sat_per_vb });
        }
        // What comes back to us is not moved, unless that is all it does.
        let away = spend.outputs.iter().filter(|output| matches!(output.to, Payee::Script(_)));
        let away: Amount = away.map(|output| output.amount).sum();
        let comes_back = away == Amount::ZERO;
        let (moved, percent, floor) = match comes_back {
            true => (paid, self.consolidation_percent_max, self.consolidation_floor),
            false => (away, self.fee_percent_max, self.fee_floor),
        };
        let share = u128::from(moved.to_sat()) * u128::from(percent) / 100;
        let share = Amount::from_sat(u64::try_from(share).unwrap_or(u64::MAX));
        let max = share.max(floor);
        match (fee > max && !is_flagged, comes_back) {
            (true, true) => Err(SpendFlaw::ConsolidationFee { fee, max, moved }),
            (true, false) => Err(SpendFlaw::FeeShare { fee, max, moved }),
            (false, _) => Ok(()),
        }
    }
}

/// All that needs no amounts.
fn form(spend: &Spend) -> Result<(), SpendFlaw> {
    let (got, min, max) = (spend.inputs.len(), 1, SPEND_INPUTS_MAX);
    if !(min..=max).contains(&got) {
        return Err(SpendFlaw::Inputs { got, min, max });
    }
    let (got, max) = (spend.outputs.len(), SPEND_OUTPUTS_MAX);
    if !(min..=max).contains(&got) {
        return Err(SpendFlaw::Outputs { got, min, max });
    }
    if spend.version != Version::TWO {
        let got = u32::from_ne_bytes(spend.version.0.to_ne_bytes());
        return Err(SpendFlaw::Version { got, want: 2 });
    }
    if let LockTime::Seconds(_) = spend.lock_time {
        let got = spend.lock_time.to_consensus_u32();
        return Err(SpendFlaw::LockTime { got, times_from: LOCK_TIME_THRESHOLD });
    }
    let mut spent = BTreeSet::new();
    for (input, SpendInput { outpoint, sequence, .. }) in spend.inputs.iter().enumerate() {
        if sequence.is_relative_lock_time() {
            let (got, min) = (sequence.to_consensus_u32(), 1 << 31);
            return Err(SpendFlaw::Sequence { input, got, min });
        }
        if !spent.insert(outpoint) {
            return Err(SpendFlaw::Twice { outpoint: *outpoint });
        }
    }
    Ok(())
}

fn sum(amounts: impl Iterator<Item = Amount>) -> Result<Amount, SpendFlaw> {
    let max = Amount::MAX_MONEY;
    let mut sum = Amount::ZERO;
    for amount in amounts {
        // Both are at most all bitcoins, if each is checked before it is added.
        let got = if amount > max { amount } else { sum + amount };
        if got > max {
            return Err(SpendFlaw::TooMuch { got, max });
        }
        sum = got;
    }
    Ok(sum)
}

impl std::error::Error for SpendFlaw {}

impl fmt::Display for SpendFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpendFlaw::Inputs { got, min, max } => {
                write!(f, "{got} inputs, at least {min} and at most {max}")
            }
            SpendFlaw::Outputs { got, min, max } => {
                write!(f, "{got} outputs, at least {min} and at most {max}")
            }
            SpendFlaw::Version { got, want } => write!(f, "version {got}, not {want}"),
            SpendFlaw::LockTime { got, times_from } => {
                write!(f, "lock time {got} is a time of day, heights are below {times_from}")
            }
            SpendFlaw::Sequence { input, got, min } => {
                write!(f, "input {input} waits: sequence {got}, at least {min}")
            }
            SpendFlaw::Twice { outpoint } => write!(f, "{outpoint} is spent twice"),
            SpendFlaw::TooMuch { got, max } => write!(f, "{got}, there are {max} in all"),
            SpendFlaw::ScriptLength { output, got, max } => {
                write!(f, "output {output} has a script of {got} bytes, {max} at most")
            }
            SpendFlaw::Burned { output, got } => {
                write!(f, "output {output} burns {got}, at most 0 BTC")
            }
            SpendFlaw::Dust { output, got, min } => {
                write!(f, "output {output} is dust: {got}, at least {min}")
            }
            SpendFlaw::Short { inputs, outputs } => {
                write!(f, "{outputs} are paid and only {inputs} spent")
            }
            SpendFlaw::FeeRate { fee, got_sat_per_vb, max_sat_per_vb } => {
                write!(f, "a fee of {fee} is {got_sat_per_vb} sat/vB, {max_sat_per_vb} at most")
            }
            SpendFlaw::FeeShare { fee, max, moved } => {
                write!(f, "a fee of {fee} to move {moved}, {max} at most")
            }
            SpendFlaw::ConsolidationFee { fee, max, moved } => {
                write!(f, "a fee of {fee} for {moved} that all come back to us, {max} at most")
            }
            SpendFlaw::Place { output, got, max } => {
                write!(f, "output {output} is at our place {got}, {max} at most")
            }
            SpendFlaw::Uncommitted { output } => {
                write!(f, "output {output} funds a channel that its peer has not signed for us")
            }
            SpendFlaw::Destination { output, listed } => {
                write!(f, "output {output} pays to none of the {listed} who may be paid")
            }
        }
    }
}
