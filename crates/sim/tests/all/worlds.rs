//! Some worlds on each run; `./dev sim` runs many.

use sim::{Outcome, Table, blocks, town};

#[test]
fn worlds_keep_the_rules() {
    let mut table = Table::default();
    for seed in 0..60 {
        let Outcome { broken, table: hits, .. } = sim::run(seed, false);
        assert_eq!(broken, None);
        table.add(&hits);
    }
    assert!(table.sum() > 500, "{table}");
}

#[test]
fn a_seed_is_a_world() {
    for seed in [7, 8] {
        let (one, other) = (sim::run(seed, true), sim::run(seed, true));
        assert_eq!(one.trace, other.trace);
        assert_eq!((one.table, one.received), (other.table, other.received));
    }
}

#[test]
fn worlds_of_blocks_keep_the_rules() {
    let (mut table, mut sums) = (Table::default(), (0, 0));
    for seed in 0..16 {
        let outcome = blocks::run(seed, false);
        assert_eq!(outcome.broken, None);
        table.add(&outcome.table);
        sums = (sums.0 + outcome.found, sums.1 + outcome.paid);
    }
    assert!(table.sum() > 150, "{table}");
    assert!(sums.0 > 200 && sums.1 > 20, "{sums:?}");
}

#[test]
fn a_seed_is_a_world_of_blocks() {
    let (one, other) = (blocks::run(7, true), blocks::run(7, true));
    assert_eq!(one.trace, other.trace);
    assert_eq!((one.table, one.found, one.paid), (other.table, other.found, other.paid));
}

#[test]
fn towns_in_peace_keep_the_rules() {
    let mut paid = 0;
    for seed in 0..4 {
        let outcome = town::run_in_peace(seed, false);
        assert_eq!(outcome.broken, None);
        assert!(outcome.sums.opened > 0, "{:?}", outcome.sums);
        paid += outcome.sums.paid;
    }
    assert!(paid > 40, "{paid}");
}

/// Towns of one run of the tests, in parts that go side by side. That no cell is empty shows in
/// longer runs.
const TOWNS: u64 = 200;
const PARTS: u64 = 20;

fn towns(part: u64) {
    let (mut table, mut opened, mut paid) = (Table::default(), 0, 0);
    let count = TOWNS / PARTS;
    for seed in part * count..(part + 1) * count {
        let town::Outcome { broken, table: hits, sums, .. } = town::run(seed, false);
        assert_eq!(broken, None);
        table.add(&hits);
        (opened, paid) = (opened + sums.opened, paid + sums.paid);
    }
    assert!(table.sum() > 6 * count, "{table}");
    assert!(opened > 2 * count && paid > 10 * count, "{opened} channels, {paid} payments");
}

macro_rules! parts {
    ($($name:ident $part:literal),*) => {
        const _: () = assert!([$($part),*].len() as u64 == PARTS, "all parts are run");
        $(
            #[test]
            fn $name() {
                towns($part);
            }
        )*
    };
}

parts!(
    towns_keep_the_rules_00 0,
    towns_keep_the_rules_01 1,
    towns_keep_the_rules_02 2,
    towns_keep_the_rules_03 3,
    towns_keep_the_rules_04 4,
    towns_keep_the_rules_05 5,
    towns_keep_the_rules_06 6,
    towns_keep_the_rules_07 7,
    towns_keep_the_rules_08 8,
    towns_keep_the_rules_09 9,
    towns_keep_the_rules_10 10,
    towns_keep_the_rules_11 11,
    towns_keep_the_rules_12 12,
    towns_keep_the_rules_13 13,
    towns_keep_the_rules_14 14,
    towns_keep_the_rules_15 15,
    towns_keep_the_rules_16 16,
    towns_keep_the_rules_17 17,
    towns_keep_the_rules_18 18,
    towns_keep_the_rules_19 19
);

/// A child that cost more than the signer lets it, and an answer of the signer that came when the
/// chain had ended the contract before; in the third the rules themselves were wrong about anchors.
#[test]
fn towns_that_have_found_bugs_keep_the_rules() {
    for seed in [1_021, 40_135, 40_703] {
        assert_eq!(town::run(seed, false).broken, None);
    }
}

/// A revocation that was said before a signature of which it knew nothing; a close without a secret
/// that the signer had lost; a rate that was said again behind contracts of which its sender had
/// not known; one for contracts that had ended; a close before our signer had looked at the
/// channel; a secret that the signer lost twice.
#[test]
fn towns_that_have_found_wrong_orders_keep_the_rules() {
    for seed in [200_077, 200_139, 200_260, 200_484, 300_280, 500_445] {
        assert_eq!(town::run(seed, false).broken, None);
    }
}

#[test]
fn a_seed_is_a_town() {
    let (one, other) = (town::run(7, true), town::run(7, true));
    assert_eq!(one.trace, other.trace);
    assert_eq!((one.table, one.sums, one.tip), (other.table, other.sums, other.tip));
}
