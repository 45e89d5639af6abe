//! Counts what the heap is asked for: allocations, bytes, and the peak of what was alive.
//!
//! For: tests and benches that promise "no allocation per message" or "at most so many bytes".
//! A binary installs it once:
//!
//! ```
//! #[global_allocator]
//! static HEAP: counting::Counting = counting::Counting;
//!
//! let usage = counting::measure(|| vec![0u8; 1_000]);
//! assert_eq!((usage.allocations, usage.allocated_bytes, usage.peak_bytes), (1, 1_000, 1_000));
//! ```
//!
//! All figures belong to the calling thread, so tests that run side by side do not see each other.
//!
//! Never: part of a product. It costs a few counters per allocation.
// An allocator is an unsafe trait; every call here passes its arguments on unchanged to `System`.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

/// The system's allocator, counted per thread.
pub struct Counting;

/// What one call of [`measure`] asked of the heap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Calls that obtained or grew a block.
    pub allocations: u64,
    /// Bytes obtained; of a block that grew, only the growth.
    pub allocated_bytes: u64,
    /// The most bytes alive at one moment, beyond those alive at the start.
    pub peak_bytes: u64,
}

#[derive(Clone, Copy)]
struct Counters {
    allocations: u64,
    allocated_bytes: u64,
    /// Negative in a thread that frees what another one allocated.
    live_bytes: i64,
    peak_bytes: i64,
}

const NOTHING: Counters =
    Counters { allocations: 0, allocated_bytes: 0, live_bytes: 0, peak_bytes: 0 };

thread_local! {
    // `const` and without a destructor: reaching it allocates nothing and works until the very end
    // of the thread.
    static COUNTERS: Cell<Counters> = const { Cell::new(NOTHING) };
}

/// Allocations of this thread since it began. A block that grows in place or moves to grow counts
/// once more; one that shrinks does not.
pub fn allocations() -> u64 {
    COUNTERS.get().allocations
}

/// Bytes that this thread has obtained since it began: the sum of the sizes asked for, and of a
/// block that grew only the growth. What is freed is not taken off.
pub fn allocated_bytes() -> u64 {
    COUNTERS.get().allocated_bytes
}

/// Bytes that this thread has obtained and not given back: below zero where it frees what others
/// have obtained.
pub fn live_bytes() -> i64 {
    COUNTERS.get().live_bytes
}

/// Runs `work` and tells what it asked of the heap on this thread. What `work` returns is dropped
/// after the figures are taken. Calls may be nested.
///
/// Panics when [`Counting`] is not the binary's allocator: every figure would be a false zero.
pub fn measure<R>(work: impl FnOnce() -> R) -> Usage {
    assert_installed();
    let before = COUNTERS.get();
    COUNTERS.set(Counters { peak_bytes: before.live_bytes, ..before });
    let result = black_box(work());
    let after = COUNTERS.get();
    COUNTERS.set(Counters { peak_bytes: after.peak_bytes.max(before.peak_bytes), ..after });
    drop(result);
    Usage {
        allocations: after.allocations - before.allocations,
        allocated_bytes: after.allocated_bytes - before.allocated_bytes,
        peak_bytes: (after.peak_bytes - before.live_bytes).unsigned_abs(),
    }
}

fn assert_installed() {
    let before = allocations();
    drop(black_box(Box::new(0_u8)));
    assert!(allocations() > before, "`Counting` is not this binary's #[global_allocator]");
}

fn note(old_bytes: usize, new_bytes: usize) {
    let mut counters = COUNTERS.get();
    if new_bytes > old_bytes {
        counters.allocations += 1;
        counters.allocated_bytes += (new_bytes - old_bytes) as u64;
    }
    counters.live_bytes += new_bytes as i64 - old_bytes as i64;
    counters.peak_bytes = counters.peak_bytes.max(counters.live_bytes);
    COUNTERS.set(counters);
}

// SAFETY: memory comes from `System` alone; the counters are plain cells and never allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise about `layout` is passed on.
        let block = unsafe { System.alloc(layout) };
        if !block.is_null() {
            note(0, layout.size());
        }
        block
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`.
        let block = unsafe { System.alloc_zeroed(layout) };
        if !block.is_null() {
            note(0, layout.size());
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        note(layout.size(), 0);
        // SAFETY: the caller got `block` from here with `layout`, hence from `System`.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_bytes: usize) -> *mut u8 {
        // SAFETY: as in `dealloc`; the promise about `new_bytes` is passed on.
        let moved = unsafe { System.realloc(block, layout, new_bytes) };
        if !moved.is_null() {
            note(layout.size(), new_bytes);
        }
        moved
    }
}
