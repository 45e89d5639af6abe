//! Fee rates: floors, caps, fallbacks, and sources that lie.

use std::collections::BTreeMap;

use bitcoin::FeeRate;
use chain::{
    Ask, FeeSource, FeeTerms, Fees, RATE_MAX, RATES_ANSWER_MS_MAX, RATES_FRESH_MS_MAX, RATES_MS,
    RATES_RETRY_MS, RATES_STALE_MS_MAX, Rate, Rates, RatesFault, TARGETS, Target, parse_rate,
};
use wire::tick::{Millis, Tick};

const fn rate(rate: u64) -> FeeRate {
    FeeRate::from_sat_per_kwu(rate)
}

fn terms() -> FeeTerms {
    FeeTerms::new(rate(253), rate(1_250), rate(50_000)).expect("in order")
}

fn rates(estimates: &[(u16, u64)], mempool_min: u64) -> Rates {
    let estimates = estimates.iter().map(|(target, it)| (Target(*target), rate(*it)));
    Rates { estimates: estimates.collect(), mempool_min: Some(rate(mempool_min)) }
}

fn knows(answer: Rates) -> Fees {
    let mut fees = Fees::new(terms(), Tick(0));
    assert_eq!(fees.poll(), Some(Ask::Rates { targets: TARGETS.to_vec() }));
    assert_eq!(fees.handle_rates(answer, Tick(0)), Ok(()));
    fees
}

#[test]
fn a_rate_is_between_floor_and_cap() {
    let fees = knows(rates(&[(2, 100_000), (6, 3_000), (144, 100)], 25));
    let rows =
        [(1, 50_000), (2, 50_000), (5, 50_000), (6, 3_000), (143, 3_000), (144, 253), (9_999, 253)];
    for (target, wanted) in rows {
        let source = FeeSource::Estimated;
        assert_eq!(
            fees.rate(Target(target), Tick(1)),
            Rate { rate: rate(wanted), source },
            "{target}"
        );
    }
}

#[test]
fn a_full_mempool_raises_the_floor() {
    let fees = knows(rates(&[(2, 3_000), (144, 300)], 1_000));
    assert_eq!(fees.floor(Tick(1)), rate(1_000));
    assert_eq!(fees.rate(Target(144), Tick(1)).rate, rate(1_000));
    assert_eq!(fees.rate(Target(2), Tick(1)).rate, rate(3_000));
    let fees = knows(rates(&[], 70_000));
    assert_eq!(fees.floor(Tick(1)), rate(50_000), "the owner's cap stands");
    let fallback = Rate { rate: rate(50_000), source: FeeSource::Fallback };
    assert_eq!(fees.rate(Target(2), Tick(1)), fallback);
}

#[test]
fn what_is_old_is_stale_and_then_forgotten() {
    let fees = knows(rates(&[(2, 3_000)], 1_500));
    let at = |ms| fees.rate(Target(2), Tick(ms));
    assert_eq!(at(RATES_FRESH_MS_MAX).source, FeeSource::Estimated);
    let age = Millis(RATES_FRESH_MS_MAX + 1);
    assert_eq!(at(age.0), Rate { rate: rate(3_000), source: FeeSource::Stale { age } });
    assert_eq!(at(RATES_STALE_MS_MAX).rate, rate(3_000));
    let fallback = Rate { rate: rate(1_250), source: FeeSource::Fallback };
    assert_eq!(at(RATES_STALE_MS_MAX + 1), fallback);
}

#[test]
fn a_nearer_target_is_never_cheaper() {
    let fees = knows(rates(&[(1, 900), (2, 800), (6, 4_000), (144, 1_000)], 25));
    for (target, wanted) in [(1, 4_000), (2, 4_000), (6, 4_000), (144, 1_000)] {
        assert_eq!(fees.rate(Target(target), Tick(1)).rate, rate(wanted), "{target}");
    }
}

#[test]
fn answers_that_cannot_be_meant_are_refused_and_nothing_changes() {
    let mut fees = knows(rates(&[(2, 3_000)], 25));
    let before = fees.rate(Target(2), Tick(1));
    let absurd = rate(RATE_MAX.to_sat_per_kwu() + 1);
    let many: BTreeMap<_, _> = (0..9).map(|it| (Target(it), rate(1_000))).collect();
    let rows = [
        (rates(&[(2, 1_000), (6, 0)], 25), RatesFault::Zero { target: Target(6) }),
        (
            rates(&[(2, absurd.to_sat_per_kwu())], 25),
            RatesFault::Absurd { got: absurd, max: RATE_MAX },
        ),
        (rates(&[], absurd.to_sat_per_kwu()), RatesFault::Absurd { got: absurd, max: RATE_MAX }),
        (Rates { estimates: many, mempool_min: None }, RatesFault::TooMany { got: 9, max: 8 }),
    ];
    for (answer, fault) in rows {
        assert_eq!(fees.handle_rates(answer.clone(), Tick(1)), Err(RatesFault::Unasked));
        fees.handle_source_lost(Tick(1));
        assert_eq!(fees.handle_rates(answer, Tick(1)), Err(fault));
        assert_eq!(fees.rate(Target(2), Tick(1)), before);
        assert_eq!(fees.wake_at(), Tick(1 + RATES_RETRY_MS));
    }
}

#[test]
fn a_source_is_asked_at_its_interval_and_again_if_it_is_silent() {
    let mut fees = Fees::new(terms(), Tick(5));
    assert!(fees.poll().is_some() && fees.poll().is_none());
    assert_eq!(fees.rate(Target(2), Tick(5)).source, FeeSource::Fallback);
    assert_eq!(fees.wake_at(), Tick(5 + RATES_ANSWER_MS_MAX));
    fees.handle_wake(Tick(4 + RATES_ANSWER_MS_MAX));
    assert!(fees.poll().is_none());
    let late = Tick(5 + RATES_ANSWER_MS_MAX);
    fees.handle_wake(late);
    assert!(fees.poll().is_some());
    fees.handle_no_rates(late);
    assert_eq!(fees.wake_at(), late + Millis(RATES_RETRY_MS));
    fees.handle_wake(late + Millis(RATES_RETRY_MS));
    assert!(fees.poll().is_some());
    assert_eq!(fees.handle_rates(rates(&[(2, 3_000)], 25), late), Ok(()));
    assert_eq!(fees.wake_at(), late + Millis(RATES_MS));
}

#[test]
fn terms_are_in_order() {
    assert!(FeeTerms::new(rate(300), rate(200), rate(400)).is_err());
    assert!(FeeTerms::new(rate(300), rate(500), rate(400)).is_err());
    let default = Fees::new(FeeTerms::default(), Tick(0)).rate(Target(6), Tick(0));
    assert_eq!(default, Rate { rate: rate(1_250), source: FeeSource::Fallback });
}

#[test]
fn bitcoin_cores_numbers_are_read() {
    let rows = [
        ("0.00001000", Some(250)),
        ("0.00000100", Some(25)),
        ("0.00001", Some(250)),
        ("1e-05", Some(250)),
        ("1.5e-5", Some(375)),
        ("0.00012345", Some(3_087)),
        ("0", Some(0)),
        ("", None),
        ("-0.1", None),
        ("1e5", None),
        ("1e-500", None),
        ("99999999999999", None),
        ("ten", None),
    ];
    for (text, wanted) in rows {
        assert_eq!(parse_rate(text).ok(), wanted.map(rate), "{text}");
    }
}
