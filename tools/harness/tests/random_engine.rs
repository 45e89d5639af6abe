//! Channels and openings with bytes of dice: the same ones each time.

use std::panic::catch_unwind;

use harness::{channel, opening};
use wire::dice::Dice;

const CHANNELS: u64 = 800;
const OPENINGS: u64 = 500;
/// Bytes of one run at most.
const RUN_BYTES_MAX: usize = 400;

fn run(target: fn(&[u8]), runs: u64, first: u64) {
    let failed: Vec<u64> = (first..first + runs)
        .filter(|seed| {
            let bytes = Dice::new(*seed).bytes(RUN_BYTES_MAX);
            catch_unwind(|| target(&bytes)).is_err()
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
