//! One update with many HTLCs under way: it is added, or ended, and committed on both sides. Its
//! time must not grow faster than the commitment, which is judged by its signatures.

use interop_ldk::channel::Twins;
use paired::{Target, compare, report};

use super::crypto::Crypto;

/// HTLCs that stay under way in each direction; one comes and goes beside them.
const HELD: [usize; 3] = [0, 100, 482];
/// A payment is two updates, each committed on both sides.
const UPDATES: f64 = 2.0;
/// As fast as the signatures, and what two measurements differ by.
const GROWTH_MAX: f64 = 1.05;

/// Measures.
pub fn run() {
    let all = HELD.map(|held| {
        let mut twins = Twins::open(1);
        twins.hold(held);
        // Each side signs its peer's commitment once without the one that comes and goes, and once
        // with it.
        let signatures = 4 * (1 + 2 * held) + 2;
        let mut bare = Crypto::new(signatures);
        let measured = compare(|| twins.wave(1), || bare.run());
        let name = format!("update-in-signatures-{held}");
        report("channel", &name, measured.ratio, "x", Target::Report, measured.num, measured.den);
        let (weight, micros) = (twins.weight(), measured.num / UPDATES / 1e3);
        let each = signatures as f64 / UPDATES;
        println!(
            "  an update beside {held} each way: {micros:.0} us, {each} signatures, weight {weight}"
        );
        measured.ratio
    });
    // In bare signatures, so that what the machine does meanwhile counts for neither.
    let growth = |from: usize, to: usize| {
        let name = format!("update-growth-{}-{}", HELD[from], HELD[to]);
        let target = Target::AtMost(GROWTH_MAX);
        report("channel", &name, all[to] / all[from], "x", target, all[to], all[from]);
    };
    growth(0, 1);
    growth(0, 2);
    growth(1, 2);
}
