//! All integration tests of `noise`, in one binary: one link, one allocator that counts.

// clippy knows tests by their attribute, and not the functions that serve them.
#![allow(clippy::unwrap_used)]

mod allocations;
mod answers;
mod dice;
mod faults;
mod handover;
mod handshake;
mod heap;
mod messages;
mod model;
mod parties;
#[cfg(feature = "planted")]
mod planted;
mod rotation;
mod stored;
mod stream;
mod trust;
mod vectors;
mod wiped;
