//! Channels and openings with bytes of dice: the same ones each time.

use std::panic::catch_unwind;

use harness::{channel, opening};
use wire::dice::Dice;

const CHANNELS: u64 = 1_200;
const OPENINGS: u64 = 800;
/// Bytes of one run at most.
const RUN_BYTES_MAX: usize = 400;

fn run(target: fn(&[u8]), runs: u64, first: u64) {
    let failed: Vec<u64> = (first..first + runs)
        .filter(|seed| {
            let bytes = Dice::new(*seed).bytes(RUN_BYTES_MAX);
            let is_bad = catch_unwind(|| target(&bytes)).is_err();
            if let (true, Ok(folder)) = (is_bad, std::env::var("LEYDEN_KEEP")) {
                std::fs::write(format!("{folder}/{seed}"), &bytes).expect("a folder");
            }
            is_bad
        })
        .collect();
    assert!(failed.is_empty(), "{} of {runs}: {failed:?}", failed.len());
}

#[test]
fn channels_of_dice() {
    run(channel, CHANNELS, 1);
}

#[test]
fn openings_of_dice() {
    run(opening, OPENINGS, 1);
}
