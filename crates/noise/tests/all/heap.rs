//! The allocator of this binary: it counts, and on demand looks at every block that is freed.

// An allocator is unsafe by its trait. Blocks are only read, between the program's last use of
// them and their return to the system.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;

use counting::Counting;

#[global_allocator]
static HEAP: Watched = Watched;

/// As many bytes of a secret as are looked for: few enough to find pieces of one.
pub type Needle = [u8; 8];

thread_local! {
    static NEEDLES: Cell<&'static [Needle]> = const { Cell::new(&[]) };
    static FOUND: Cell<usize> = const { Cell::new(0) };
}

/// How many pieces of secrets the blocks held that this thread freed during `work`.
pub fn found_in_freed_blocks(needles: &'static [Needle], work: impl FnOnce()) -> usize {
    FOUND.set(0);
    NEEDLES.set(needles);
    work();
    NEEDLES.set(&[]);
    FOUND.get()
}

struct Watched;

impl Watched {
    fn look_at(block: *const u8, layout: Layout) {
        let needles = NEEDLES.get();
        if needles.is_empty() {
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
