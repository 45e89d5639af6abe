//! Replacements and children that pay.

use bitcoin::{Amount, FeeRate, Weight};
use chain::{
    ChildFault, ChildFee, INCREMENTAL_RELAY, INCREMENTAL_RELAY_CORE_30, MIN_RELAY, Priced,
    ReplaceFault, child_fee, judge_replacement, replacement_fee,
};
use wire::dice::Dice;

const fn priced(fee: u64, weight: u64) -> Priced {
    Priced { fee: Amount::from_sat(fee), weight: Weight::from_wu(weight) }
}

const fn sat(fee: u64) -> Amount {
    Amount::from_sat(fee)
}

const fn rate(rate: u64) -> FeeRate {
    FeeRate::from_sat_per_kwu(rate)
}

#[test]
fn rules_3_and_4_of_bip_125() {
    let old = priced(1_000, 800);
    let rows = [
        (
            "less than before",
            priced(999, 400),
            Err(ReplaceFault::Fee { got: sat(999), min: sat(1_000) }),
        ),
        (
            "nothing more",
            priced(1_000, 800),
            Err(ReplaceFault::Relay { got: sat(0), min: sat(200) }),
        ),
        (
            "one too few",
            priced(1_199, 800),
            Err(ReplaceFault::Relay { got: sat(199), min: sat(200) }),
        ),
        ("just enough", priced(1_200, 800), Ok(())),
        (
            "a unit more is a byte more",
            priced(1_200, 801),
            Err(ReplaceFault::Relay { got: sat(200), min: sat(201) }),
        ),
        ("smaller", priced(1_001, 4), Ok(())),
        (
            "dearer, and less for each unit",
            priced(2_000, 1_600),
            Err(ReplaceFault::Rate { got: rate(1_250), above: rate(1_250) }),
        ),
    ];
    for (name, new, wanted) in rows {
        assert_eq!(judge_replacement(old, new, INCREMENTAL_RELAY), wanted, "{name}");
    }
    // Core 30 wants a tenth.
    let new = priced(1_020, 800);
    assert_eq!(judge_replacement(old, new, INCREMENTAL_RELAY_CORE_30), Ok(()));
    let refused = ReplaceFault::Relay { got: sat(19), min: sat(20) };
    let new = priced(1_019, 800);
    assert_eq!(judge_replacement(old, new, INCREMENTAL_RELAY_CORE_30), Err(refused));
}

#[test]
fn the_least_fee_replaces_and_one_less_does_not() {
    let mut dice = Dice::new(1);
    for _ in 0..10_000 {
        let some = |dice: &mut Dice, max: u64| dice.number() % max;
        let old = priced(some(&mut dice, 1_000_000), some(&mut dice, 400_000) + 4);
        let weight = Weight::from_wu(some(&mut dice, 400_000) + 4);
        let incremental = rate(some(&mut dice, 5_000));
        let fee = replacement_fee(old, weight, incremental).expect("small numbers");
        assert_eq!(judge_replacement(old, Priced { fee, weight }, incremental), Ok(()));
        let less = Priced { fee: fee - sat(1), weight };
        assert!(judge_replacement(old, less, incremental).is_err(), "{old:?} {less:?}");
    }
}

#[test]
fn a_child_pays_what_is_missing() {
    let child = Weight::from_wu(400);
    let target = rate(2_500);
    let fee = |parent, stake| child_fee(parent, child, target, MIN_RELAY, sat(stake));
    let ok = |fee, paid| Ok(ChildFee { fee: sat(fee), rate: rate(paid) });
    // 200 vB and 100 vB at 10 sat/vB.
    let rows = [
        ("a parent for nothing", priced(0, 800), 10_000, ok(3_000, 2_500)),
        ("a parent that pays some", priced(500, 800), 10_000, ok(2_500, 2_500)),
        ("just at stake", priced(0, 800), 3_000, ok(3_000, 2_500)),
        ("less at stake", priced(0, 800), 600, ok(600, 500)),
        (
            "nothing at stake",
            priced(0, 800),
            99,
            Err(ChildFault::Worthless { stake: sat(99), min: sat(100) }),
        ),
        ("the child's own relaying", priced(1_999, 800), 10_000, ok(1_001, 2_500)),
        (
            "enough",
            priced(2_000, 800),
            10_000,
            Err(ChildFault::Enough { got: rate(2_500), target }),
        ),
    ];
    for (name, parent, stake, wanted) in rows {
        assert_eq!(fee(parent, stake), wanted, "{name}");
    }
    let small =
        child_fee(priced(1_999, 800), Weight::from_wu(4), rate(2_500), rate(12_500), sat(99));
    assert_eq!(small, ok(50, 2_500), "never below its own relaying");
}

#[test]
fn numbers_beyond_all_money_are_refused() {
    let (most, huge) = (priced(u64::MAX, u64::MAX), rate(u64::MAX));
    let weight = Weight::from_wu(u64::MAX);
    assert!(replacement_fee(most, weight, huge).is_err());
    assert!(judge_replacement(priced(0, 4), most, huge).is_err());
    assert!(judge_replacement(most, most, INCREMENTAL_RELAY).is_err());
    let refused = child_fee(priced(0, u64::MAX), weight, huge, MIN_RELAY, sat(u64::MAX));
    assert!(matches!(refused, Err(ChildFault::Absurd { .. })), "{refused:?}");
    let refused = child_fee(priced(0, 0), Weight::from_wu(4), huge, MIN_RELAY, sat(u64::MAX));
    assert!(matches!(refused, Err(ChildFault::Absurd { .. })), "{refused:?}");
}
