//! The allocator of this binary, which on demand looks at every block that is freed; and a look at
//! the stack that finished work has left behind.

// An allocator is unsafe by its trait, and dead stack is looked at byte by byte. Both is only read.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::hint::black_box;
use std::mem::MaybeUninit;

use counting::Counting;

#[global_allocator]
static HEAP: Watched = Watched;

/// As many bytes of a secret as are looked for: few enough to find pieces of one.
pub type Needle = [u8; 8];

/// Larger blocks are not searched: of those it is counted how many words are not zero.
const SEARCHED_BYTES_MAX: usize = 1 << 20;
/// How much dead stack is searched.
const STACK_BYTES: usize = 56 * 1024;

thread_local! {
    static NEEDLES: Cell<&'static [Needle]> = const { Cell::new(&[]) };
    static FOUND: Cell<usize> = const { Cell::new(0) };
}

/// How many pieces of secrets the blocks held that this thread freed during `work`; and how many
/// words that were not zero, if they were large.
pub fn found_in_freed_blocks(needles: &'static [Needle], work: impl FnOnce()) -> usize {
    FOUND.set(0);
    NEEDLES.set(needles);
    work();
    NEEDLES.set(&[]);
    FOUND.get()
}

/// How many pieces of secrets `work` has left on the stack below its caller's frame.
#[inline(never)]
pub fn found_on_dead_stack(needles: &[Needle], work: impl FnOnce()) -> usize {
    apart(work);
    search_dead_stack(needles)
}

/// A little deeper than the search, so that the search sees all of it.
#[inline(never)]
fn apart(work: impl FnOnce()) {
    let gap = black_box([0u8; 512]);
    work();
    black_box(gap);
}

#[inline(never)]
fn search_dead_stack(needles: &[Needle]) -> usize {
    let area = MaybeUninit::<[u8; STACK_BYTES]>::uninit();
    let start = black_box(&area).as_ptr().cast::<u8>();
    let mut window = [0; size_of::<Needle>()];
    let mut found = 0;
    for at in 0..STACK_BYTES {
        // SAFETY: it lies in `area`, and is read volatile, since nothing here has written it.
        let byte = unsafe { start.add(at).read_volatile() };
        window.rotate_left(1);
        window[size_of::<Needle>() - 1] = byte;
        found += usize::from(needles.contains(&window));
    }
    found
}

struct Watched;

impl Watched {
    fn look_at(block: *const u8, layout: Layout) {
        let needles = NEEDLES.get();
        if needles.is_empty() {
            return;
        }
        if layout.size() > SEARCHED_BYTES_MAX {
            let words = block.cast::<u64>();
            for at in 0..layout.size() / size_of::<u64>() {
                // SAFETY: the block has as many words, and blocks of this size are aligned.
                if unsafe { words.add(at).read_volatile() } != 0 {
                    FOUND.set(FOUND.get() + 1);
                }
            }
            return;
        }
        let mut window = [0; size_of::<Needle>()];
        for at in 0..layout.size() {
            // SAFETY: the block still has `layout.size()` bytes. They are read one by one and
            // volatile, since some may be padding or never written.
            let byte = unsafe { block.add(at).read_volatile() };
            window.rotate_left(1);
            window[size_of::<Needle>() - 1] = byte;
            if needles.contains(&window) {
                FOUND.set(FOUND.get() + 1);
            }
        }
    }
}

// SAFETY: every call goes to `Counting` with its arguments unchanged.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: passed on. Zeros, so that a block holds only what its owner wrote.
        unsafe { Counting.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        Watched::look_at(block, layout);
        // SAFETY: passed on.
        unsafe { Counting.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_bytes: usize) -> *mut u8 {
        // A block that moves leaves its old place behind, as it is.
        Watched::look_at(block, layout);
        // SAFETY: passed on.
        unsafe { Counting.realloc(block, layout, new_bytes) }
    }
}
