//! Fee rates: what a source estimates, between a floor and a cap, or what we fall back to.

use std::{collections::BTreeMap, fmt};

use bitcoin::{Amount, Denomination, FeeRate};
use wire::tick::{Millis, Tick};

use crate::api::Ask;

/// The targets that a source is asked for.
pub const TARGETS: [Target; 8] = [
    Target(1),
    Target(2),
    Target(3),
    Target(6),
    Target(12),
    Target(24),
    Target(144),
    Target(1_008),
];
/// So often a source is asked.
pub const RATES_MS: u64 = 60_000;
/// A source that does not answer is asked again after so long.
pub const RATES_ANSWER_MS_MAX: u64 = 30_000;
/// After a refused answer it is asked again after so long.
pub const RATES_RETRY_MS: u64 = 10_000;
/// What is older is stale.
pub const RATES_FRESH_MS_MAX: u64 = 30 * 60_000;
/// What is older than that is not used at all.
pub const RATES_STALE_MS_MAX: u64 = 6 * 3_600_000;
/// No source can mean more than this: 100,000 sat/vB.
pub const RATE_MAX: FeeRate = FeeRate::from_sat_per_kwu(25_000_000);

/// In how many blocks a transaction is to be confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target(pub u16);

/// What an owner allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeeTerms {
    floor: FeeRate,
    cap: FeeRate,
    fallback: FeeRate,
}

/// What a source has answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// The rates that it has an estimate for.
    pub estimates: BTreeMap<Target, FeeRate>,
    /// What its memory takes at least.
    pub mempool_min: Option<FeeRate>,
}

/// A rate, always between the owner's floor and cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The rate.
    pub rate: FeeRate,
    /// Where it comes from.
    pub source: FeeSource,
}

/// Where a rate comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeeSource {
    /// The source has estimated it lately.
    Estimated,
    /// The source has estimated it, too long ago.
    Stale {
        /// How long ago.
        age: Millis,
    },
    /// There is no estimate.
    Fallback,
}

/// Why an answer was refused. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RatesFault {
    /// Nobody asked.
    Unasked,
    /// No block is filled for nothing.
    Zero {
        /// For which target.
        target: Target,
    },
    /// No fee is so high.
    Absurd {
        /// What it says.
        got: FeeRate,
        /// The most that it can mean.
        max: FeeRate,
    },
    /// More targets than there were questions.
    TooMany {
        /// How many.
        got: usize,
        /// How many there may be.
        max: usize,
    },
}

/// Why these are no terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TermsFault {
    /// The floor is above the cap, or the fallback is not between them.
    Order {
        /// The floor.
        floor: FeeRate,
        /// The fallback.
        fallback: FeeRate,
        /// The cap.
        cap: FeeRate,
    },
}

/// Text that is no rate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoRate {
    /// The text.
    pub got: String,
}

/// Asks a source for fee rates and answers with them.
///
/// Poll shape: ask what [`Fees::poll`] says, give the answers, wake it when it says so.
pub struct Fees {
    terms: FeeTerms,
    known: Option<(Tick, Rates)>,
    asked: Option<Tick>,
    next: Tick,
    ask: bool,
}

impl FeeTerms {
    /// No rate below the floor nor above the cap; the fallback is for when nobody knows.
    pub fn new(floor: FeeRate, fallback: FeeRate, cap: FeeRate) -> Result<Self, TermsFault> {
        match floor <= fallback && fallback <= cap {
            true => Ok(Self { floor, cap, fallback }),
            false => Err(TermsFault::Order { floor, fallback, cap }),
        }
    }
}

impl Default for FeeTerms {
    /// 1.012, 5 and 500 sat/vB. The floor is what 1 sat/vB is after rounding either way.
    fn default() -> Self {
        let [floor, fallback, cap] = [253, 1_250, 125_000].map(FeeRate::from_sat_per_kwu);
        Self { floor, cap, fallback }
    }
}

impl Fees {
    /// Knows nothing yet, and asks at once.
    pub const fn new(terms: FeeTerms, now: Tick) -> Self {
        Self { terms, known: None, asked: Some(now), next: now, ask: true }
    }

    /// The next question for the source.
    pub fn poll(&mut self) -> Option<Ask> {
        std::mem::take(&mut self.ask).then(|| Ask::Rates { targets: TARGETS.to_vec() })
    }

    /// When [`Fees::handle_wake`] has something to do.
    pub fn wake_at(&self) -> Tick {
        self.asked.map_or(self.next, |at| at + Millis(RATES_ANSWER_MS_MAX))
    }

    /// Time has come.
    pub fn handle_wake(&mut self, now: Tick) {
        if self.wake_at() <= now {
            self.begin(now);
        }
    }

    /// The source is another one, or has forgotten what it was asked.
    pub const fn handle_source_lost(&mut self, now: Tick) {
        self.begin(now);
    }

    const fn begin(&mut self, now: Tick) {
        (self.asked, self.ask) = (Some(now), true);
    }

    /// The source has answered. A nearer target is never cheaper than a farther one: if the source
    /// says so, the nearer one is raised.
    pub fn handle_rates(&mut self, rates: Rates, now: Tick) -> Result<(), RatesFault> {
        self.asked.take().ok_or(RatesFault::Unasked)?;
        // A question that was not sent yet is none any more.
        self.ask = false;
        self.next = now + Millis(RATES_RETRY_MS);
        judge(&rates)?;
        self.next = now + Millis(RATES_MS);
        let Rates { estimates, mempool_min } = rates;
        let mut most = FeeRate::ZERO;
        let raised = estimates.into_iter().rev().map(|(target, rate)| {
            most = most.max(rate);
            (target, most)
        });
        let estimates = raised.collect();
        self.known = Some((now, Rates { estimates, mempool_min }));
        Ok(())
    }

    /// The source cannot say: it is asked again later.
    pub fn handle_no_rates(&mut self, now: Tick) {
        if self.asked.take().is_some() {
            self.ask = false;
            self.next = now + Millis(RATES_RETRY_MS);
        }
    }

    /// What a transaction pays to be confirmed within so many blocks.
    pub fn rate(&self, target: Target, now: Tick) -> Rate {
        let floor = self.floor(now);
        let within = |rate: FeeRate| rate.max(floor).min(self.terms.cap);
        let known = self.usable(now).and_then(|(age, rates)| {
            // The farthest target that is near enough, or the nearest that there is.
            let nearer = rates.estimates.range(..=target).next_back();
            let (_, rate) = nearer.or_else(|| rates.estimates.first_key_value())?;
            Some((age, *rate))
        });
        let (rate, source) = match known {
            Some((age, rate)) if age.0 <= RATES_FRESH_MS_MAX => (rate, FeeSource::Estimated),
            Some((age, rate)) => (rate, FeeSource::Stale { age }),
            None => (self.terms.fallback, FeeSource::Fallback),
        };
        Rate { rate: within(rate), source }
    }

    /// The least that a transaction pays: the owner's floor, or what the source's memory takes.
    pub fn floor(&self, now: Tick) -> FeeRate {
        let known = self.usable(now).and_then(|(_, rates)| rates.mempool_min);
        known.unwrap_or(FeeRate::ZERO).max(self.terms.floor).min(self.terms.cap)
    }

    fn usable(&self, now: Tick) -> Option<(Millis, &Rates)> {
        let (at, rates) = self.known.as_ref()?;
        let age = now.since(*at);
        (age.0 <= RATES_STALE_MS_MAX).then_some((age, rates))
    }
}

fn judge(rates: &Rates) -> Result<(), RatesFault> {
    let (got, max) = (rates.estimates.len(), TARGETS.len());
    if got > max {
        return Err(RatesFault::TooMany { got, max });
    }
    let zero = rates.estimates.iter().find(|(_, rate)| **rate == FeeRate::ZERO);
    if let Some((&target, _)) = zero {
        return Err(RatesFault::Zero { target });
    }
    let most = rates.estimates.values().chain(&rates.mempool_min).max();
    match most {
        Some(&got) if got > RATE_MAX => Err(RatesFault::Absurd { got, max: RATE_MAX }),
        Some(_) | None => Ok(()),
    }
}

/// Reads a rate as Bitcoin Core writes it, in bitcoins for 1,000 virtual bytes. Rounded up.
pub fn parse_rate(text: &str) -> Result<FeeRate, NoRate> {
    // Small ones may come with an exponent, as JSON allows.
    let (digits, exponent) = match text.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i8>().ok()),
        None => (text, Some(0)),
    };
    let no_rate = || NoRate { got: text.chars().take(40).collect() };
    let shift = exponent.filter(|it| (-8..=0).contains(it)).ok_or_else(no_rate)?;
    let amount = Amount::from_str_in(digits, Denomination::Bitcoin).map_err(|_| no_rate())?;
    let per_kvb = amount.to_sat().div_ceil(10_u64.pow(u32::from(shift.unsigned_abs())));
    Ok(FeeRate::from_sat_per_kwu(per_kvb.div_ceil(4)))
}

impl fmt::Display for RatesFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unasked => f.write_str("fee rates that nobody asked for"),
            Self::Zero { target } => write!(f, "no fee for {} blocks", target.0),
            Self::Absurd { got, max } => write!(f, "{got} sat/kwu, at most {max}"),
            Self::TooMany { got, max } => write!(f, "{got} targets, at most {max}"),
        }
    }
}

impl std::error::Error for RatesFault {}

impl fmt::Display for TermsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Order { floor, fallback, cap } => {
                write!(f, "floor {floor}, fallback {fallback}, cap {cap} sat/kwu are out of order")
            }
        }
    }
}

impl std::error::Error for TermsFault {}

impl fmt::Display for NoRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' is no fee rate", self.got)
    }
}

impl std::error::Error for NoRate {}
