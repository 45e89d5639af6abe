//! Paired timing: is this faster than that, measured so that a noisy machine cannot decide it.
//!
//! For: benches with a target. A machine that slows down half-way slows both sides, because short
//! rounds of the two alternate (A B, B A, A B, …) and each pair gives a ratio of its own; the
//! figure is the median of those ratios.
//!
//! A body is called through a pointer, about a nanosecond: give it work that lasts longer.
//!
//! Never: a statistic over different runs, or a figure without the two times it came from.

mod arithmetic;
mod line;

pub use arithmetic::{Ratio, Timing, fastest};
pub use line::{Target, line, report};

use arithmetic::{median, ratio};
use std::hint::black_box;
use std::time::Instant;

/// One round lasts about this long: far above the clock's resolution, far below a time slice.
const ROUND_NS: f64 = 3_000_000.0;
/// All rounds of one comparison together.
const TOTAL_NS: f64 = 2_000_000_000.0;
/// Never fewer rounds per candidate, even when one call takes longer than a round.
const ROUNDS_MIN: usize = 6;
/// Calibration stops doubling here, so that an empty body cannot loop forever.
const ITERATIONS_MAX: u64 = 1 << 32;

/// Times `baseline` against `subject`. A ratio above 1 says that `subject` is the faster one.
pub fn compare(mut baseline: impl FnMut(), mut subject: impl FnMut()) -> Ratio {
    let rounds = rounds(&mut [&mut baseline, &mut subject]);
    ratio(&rounds[0], &rounds[1])
}

/// Times every candidate in the same interleaved run; the answers stand in the order given.
/// [`fastest`] picks the winner, for a later [`compare`] against it.
pub fn compare_many(candidates: &mut [(&str, &mut dyn FnMut())]) -> Vec<Timing> {
    let mut names = Vec::new();
    let mut bodies: Vec<&mut dyn FnMut()> = Vec::new();
    for (name, body) in candidates {
        names.push(*name);
        bodies.push(*body);
    }
    let times = rounds(&mut bodies);
    let timing = |(name, times): (&str, &Vec<f64>)| Timing { name: name.into(), ns: median(times) };
    names.into_iter().zip(&times).map(timing).collect()
}

/// Nanoseconds per iteration of every body: one list per body, one entry per round.
fn rounds(bodies: &mut [&mut dyn FnMut()]) -> Vec<Vec<f64>> {
    assert!(!bodies.is_empty(), "there is nothing to time");
    let iterations: Vec<u64> = bodies.iter_mut().map(|body| calibrate(*body)).collect();
    let mut first = 0.0;
    let mut all = vec![Vec::new(); bodies.len()];
    let mut order: Vec<usize> = (0..bodies.len()).collect();
    let mut wanted = ROUNDS_MIN;
    while all[0].len() < wanted {
        for &at in &order {
            let spent = time(&mut *bodies[at], iterations[at]);
            all[at].push(spent / iterations[at] as f64);
            if wanted == ROUNDS_MIN {
                first += spent;
            }
        }
        if all[0].len() == ROUNDS_MIN {
            wanted = arithmetic::rounds_for(TOTAL_NS, first / ROUNDS_MIN as f64, ROUNDS_MIN);
        }
        order.reverse();
    }
    all
}

/// The number of iterations that fills a round. The calls made here also warm the caches.
fn calibrate(body: &mut dyn FnMut()) -> u64 {
    let mut iterations = 1;
    loop {
        let spent = time(body, iterations);
        if spent >= ROUND_NS / 4.0 || iterations >= ITERATIONS_MAX {
            return arithmetic::iterations_for(ROUND_NS, spent, iterations);
        }
        iterations *= 2;
    }
}

fn time(body: &mut dyn FnMut(), iterations: u64) -> f64 {
    let start = Instant::now();
    for _ in 0..iterations {
        black_box(&mut *body)();
    }
    start.elapsed().as_nanos() as f64
}
