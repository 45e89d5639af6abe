//! Memory that is wiped to its last byte. The only unsafe code of the crate is here.

// One place, two lines: a value that nobody else wipes has to be dropped by hand before its memory.
#![allow(unsafe_code)]

use std::fmt::{Debug, Display};
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::slice;

use static_assertions::assert_not_impl_any;
use zeroize::Zeroize;

assert_not_impl_any!(Wiped<u8>: Clone, Copy, Debug, Display);

/// A value whose memory is zeros after its drop: also where a foreign type does not wipe itself,
/// and in the padding, into which moves copy whatever the stack held before.
pub(crate) struct Wiped<T>(MaybeUninit<T>);

impl<T> Wiped<T> {
    pub(crate) fn new(value: T) -> Wiped<T> {
        Wiped(MaybeUninit::new(value))
    }
}

impl<T> Deref for Wiped<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: `new` puts a value in and only `drop` takes it away.
        unsafe { self.0.assume_init_ref() }
    }
}

impl<T> DerefMut for Wiped<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`.
        unsafe { self.0.assume_init_mut() }
    }
}

impl<T> Drop for Wiped<T> {
    fn drop(&mut self) {
        // SAFETY: as in `deref`; the value is not used again, only its memory.
        unsafe { self.0.assume_init_drop() };
        // As a slice, it is written byte by byte; as a value, its padding could be left out.
        slice::from_mut(&mut self.0).zeroize();
    }
}
