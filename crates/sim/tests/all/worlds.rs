//! Some worlds on each run; `./dev sim` runs many.

use std::{
    num::NonZero,
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

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

/// Towns of each run of the tests,
const TOWNS: u64 = 200;
/// and of one that still has to hit a cell then.
const TOWNS_MAX: u64 = 600;

/// What towns have shown.
#[derive(Default)]
struct Shown {
    table: Table,
    opened: u64,
    paid: u64,
}

impl Shown {
    fn add(&mut self, table: &Table, opened: u64, paid: u64) {
        self.table.add(table);
        (self.opened, self.paid) = (self.opened + opened, self.paid + paid);
    }

    /// Runs towns on every core.
    fn run(&mut self, seeds: Range<u64>) {
        let next = AtomicU64::new(seeds.start);
        let work = || {
            let mut shown = Self::default();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds.end {
                    return shown;
                }
                let town::Outcome { broken, table, sums, .. } = town::run(seed, false);
                assert_eq!(broken, None);
                shown.add(&table, sums.opened, sums.paid);
            }
        };
        let workers = thread::available_parallelism().map_or(1, NonZero::get);
        thread::scope(|scope| {
            let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            for worker in workers {
                let Shown { table, opened, paid } = worker.join().expect("every rule is kept");
                if !table.is_blank() {
                    self.add(&table, opened, paid);
                }
            }
        });
    }
}

/// Every fault strikes at every effect. A change of ours may move what 200 seeds hit, so a few more
/// may be needed.
#[test]
fn towns_keep_the_rules_and_no_cell_is_empty() {
    let mut shown = Shown::default();
    shown.run(0..TOWNS);
    let Shown { opened, paid, .. } = shown;
    assert!(opened > 4 * TOWNS && paid > 20 * TOWNS, "{opened} channels, {paid} payments");
    let mut count = TOWNS;
    while !shown.table.empty().is_empty() && count < TOWNS_MAX {
        shown.run(count..count + TOWNS / 4);
        count += TOWNS / 4;
    }
    assert!(shown.table.empty().is_empty(), "{:?}\n{}", shown.table.empty(), shown.table);
}

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
