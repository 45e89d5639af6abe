//! Some worlds on each run; `./dev sim` runs many.

use sim::{Outcome, Table};

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
