//! One update with many HTLCs under way: it is added, or ended, and committed on both sides. Its
//! time must not grow faster than the commitment, which is judged by its signatures.

use interop_ldk::channel::Twins;
use paired::{Target, compare_many, report};

use super::crypto::Crypto;

/// HTLCs that stay under way in each direction; one comes and goes beside them.
const HELD: [usize; 3] = [0, 100, 482];
/// A payment is two updates, each committed on both sides.
const UPDATES: f64 = 2.0;

/// Measures.
pub fn run() {
    let mut twins = HELD.map(|held| {
        let mut twins = Twins::open(1);
        twins.hold(held);
        twins
    });
    // Each side signs its peer's commitment once without the one that comes and goes, once with it.
    let signatures = HELD.map(|held| 4 * (1 + 2 * held) + 2);
    let mut bare = signatures.map(Crypto::new);
    let sizes = [0, 1, 2].map(|at| twins[at].commitment());
    let [none, some, all] = &mut twins;
    let [of_none, of_some, of_all] = &mut bare;
    let timings = compare_many(&mut [
        ("none", &mut || none.wave(1)),
        ("some", &mut || some.wave(1)),
        ("all", &mut || all.wave(1)),
        ("bare, none", &mut || of_none.run()),
        ("bare, some", &mut || of_some.run()),
        ("bare, all", &mut || of_all.run()),
    ]);
    for at in 0..HELD.len() {
        let (ns, bare) = (timings[at].ns, timings[at + HELD.len()].ns);
        let (held, (weight, _)) = (HELD[at], sizes[at]);
        let each = signatures[at] as f64 / UPDATES;
        let (micros, name) = (ns / UPDATES / 1e3, format!("update-in-signatures-{held}"));
        println!(
            "  an update beside {held} each way: {micros:.0} us, {each} signatures, weight {weight}"
        );
        report("channel", &name, ns / bare, "x", Target::Report, ns, bare);
    }
    let growth = |from: usize, to: usize| {
        let time = timings[to].ns / timings[from].ns;
        let size = signatures[to] as f64 / signatures[from] as f64;
        let name = format!("update-growth-{}-{}", HELD[from], HELD[to]);
        report("channel", &name, time / size, "x", Target::AtMost(1.0), time, size);
    };
    growth(0, 2);
    growth(0, 1);
    growth(1, 2);
}
