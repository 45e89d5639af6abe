//! Payments over one channel: ours with itself against LDK with itself, and against the signatures
//! alone, in the same run.
//!
//! LDK makes an onion for each payment and opens it; ours has none. That work is timed beside, and
//! taken off LDK's time in the figures that have a target.

mod channel_parts;

use channel_parts::crypto::Crypto;
use interop_ldk::channel::{Ldks, Onions, Twins};
use paired::{Target, compare_many, report};

/// HTLCs of a wave, and how many times as fast as LDK we want to be.
const WAVES: [(usize, f64); 2] = [(1, 2.0), (400, 3.0)];
/// What we may take at most, in bare signatures, at the largest wave.
const CRYPTO_MAX: f64 = 2.5;
/// Each wave is committed twice on both sides: so many signatures of commitments.
const COMMITMENTS: usize = 4;

fn main() {
    if channel_parts::durable::traced() {
        return;
    }
    in_memory();
    channel_parts::updates::run();
    channel_parts::durable::run();
}

fn in_memory() {
    for (payments, least) in WAVES {
        let (mut ldks, mut twins) = (Ldks::open(), Twins::open(payments));
        // An HTLC has one second stage in each of two commitments.
        let mut crypto = Crypto::new(COMMITMENTS + 2 * payments);
        let mut onions = Onions::new(payments);
        let timings = compare_many(&mut [
            ("ldk", &mut || ldks.wave(payments)),
            ("ours", &mut || twins.wave(payments)),
            ("crypto", &mut || crypto.run()),
            ("onions", &mut || onions.run()),
        ]);
        let [ldk, ours, bare, onion] = [0, 1, 2, 3].map(|at| timings[at].ns);
        let name = |figure: &str| format!("{figure}-{payments}");
        let (net, target) = (ldk - onion, Target::AtLeast(least));
        report("channel", &name("against-ldk"), net / ours, "x", target, net, ours);
        report(
            "channel",
            &name("against-ldk-with-onions"),
            ldk / ours,
            "x",
            Target::Report,
            ldk,
            ours,
        );
        let most = if payments == 1 { Target::Report } else { Target::AtMost(CRYPTO_MAX) };
        report("channel", &name("in-signatures"), ours / bare, "x", most, ours, bare);
        report("channel", &name("ldk-in-signatures"), net / bare, "x", Target::Report, net, bare);
        for (who, ns) in [("ours", ours), ("ldk", ldk)] {
            let each = payments as f64 / (ns / 1e9);
            println!("  {who}, waves of {payments}: {each:.0} payments/s");
        }
    }
}
