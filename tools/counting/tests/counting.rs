//! The counters against a heap whose every request is known.

use counting::{Counting, Usage, allocated_bytes, allocations, measure};
use std::hint::black_box;

#[global_allocator]
static HEAP: Counting = Counting;

#[test]
fn nothing_asked_nothing_counted() {
    assert_eq!(measure(|| black_box(7) + 1), Usage::default());
}

#[test]
fn a_block_counts_once_with_its_size() {
    let usage = measure(|| Vec::<u8>::with_capacity(300));
    assert_eq!(usage, Usage { allocations: 1, allocated_bytes: 300, peak_bytes: 300 });
}

#[test]
fn growth_counts_the_growth_and_shrinking_nothing() {
    let usage = measure(|| {
        let mut bytes = Vec::<u8>::with_capacity(100);
        bytes.reserve_exact(black_box(250));
        bytes.shrink_to(10);
        bytes
    });
    assert_eq!((usage.allocations, usage.allocated_bytes), (2, 250));
}

#[test]
fn the_peak_is_what_lived_at_once_not_the_sum() {
    let usage = measure(|| {
        for _ in 0..5 {
            drop(black_box(vec![1_u8; 1_000]));
        }
        black_box(vec![1_u8; 400])
    });
    assert_eq!(usage, Usage { allocations: 6, allocated_bytes: 5_400, peak_bytes: 1_000 });
}

#[test]
fn what_lived_before_is_not_part_of_the_peak() {
    let before = black_box(vec![1_u8; 5_000]);
    let usage = measure(|| {
        drop(before);
        black_box(vec![1_u8; 2_000])
    });
    assert_eq!(usage.peak_bytes, 0, "3,000 bytes fewer than at the start");
}

#[test]
fn a_nested_measure_does_not_disturb_the_outer_one() {
    let mut inner = Usage::default();
    let outer = measure(|| {
        let kept = black_box(vec![1_u8; 600]);
        inner = measure(|| black_box(vec![1_u8; 100]));
        kept
    });
    assert_eq!((inner.peak_bytes, outer.peak_bytes), (100, 700));
}

#[test]
fn the_peak_of_the_outer_measure_survives_an_inner_one() {
    let outer = measure(|| {
        drop(black_box(vec![1_u8; 9_000]));
        measure(|| black_box(vec![1_u8; 100]))
    });
    assert_eq!(outer.peak_bytes, 9_000);
}

#[test]
fn another_thread_has_counters_of_its_own() {
    std::thread::spawn(|| {
        assert!(allocations() < 1_000, "a new thread starts near zero");
        let (count, bytes) = (allocations(), allocated_bytes());
        drop(black_box(vec![1_u8; 4_096]));
        assert_eq!((allocations() - count, allocated_bytes() - bytes), (1, 4_096));
    })
    .join()
    .expect("the thread's own assertions hold");
}
