//! Secrets: never cloned, never printed, wiped when dropped.
//!
//! A move copies bytes and leaves the old ones behind. So secret bytes live on the heap, where they
//! stay at one address until they are wiped there. What libraries copy onto the stack on their way
//! is overwritten by [`burning`].

use std::fmt::{Debug, Display};
use std::hint::black_box;

use static_assertions::assert_not_impl_any;
use zeroize::Zeroize;

assert_not_impl_any!(Secret<1>: Clone, Copy, Debug, Display);

/// How deep the stack is overwritten after work with secrets. Unoptimised, a derivation needs less
/// than a third of it.
const STACK_BYTES: usize = 64 * 1024;
/// More than what a frame holds besides its one array.
const GAP_BYTES: usize = 512;

/// `N` secret bytes at a place of their own. Wiped when dropped.
pub(crate) struct Secret<const N: usize>(Box<[u8; N]>);

impl<const N: usize> Secret<N> {
    /// Room for a secret that is then written in place.
    pub(crate) fn zeros() -> Secret<N> {
        Secret(Box::new([0; N]))
    }

    pub(crate) fn bytes(&self) -> &[u8; N] {
        &self.0
    }

    pub(crate) fn as_mut(&mut self) -> &mut [u8; N] {
        &mut self.0
    }
}

impl<const N: usize> Drop for Secret<N> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Does `work` and then overwrites the stack that it used: hash functions, ciphers and `Xpriv`,
/// which is `Copy`, leave pieces of secrets there. What `work` returns must hold secrets by pointer
/// only. Registers, and what the system has written to swap, are beyond us.
pub(crate) fn burning<T>(work: impl FnOnce() -> T) -> T {
    let done = apart(work);
    burn();
    done
}

/// In a frame that begins a little deeper than that of [`burn`], which so lies over all of it.
#[inline(never)]
fn apart<T>(work: impl FnOnce() -> T) -> T {
    let gap = black_box([0u8; GAP_BYTES]);
    let done = work();
    black_box(gap);
    done
}

#[inline(never)]
fn burn() {
    black_box(&mut [0u8; STACK_BYTES]);
}
