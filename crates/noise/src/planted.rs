//! Bugs planted on purpose, a line each at its sites, to prove that the tests see them. One is
//! chosen by the environment variable `LEYDEN_PLANT`; with none chosen the crate works as ever.

use std::sync::LazyLock;

use crate::transport::{Direction, Live};

#[cfg(not(debug_assertions))]
compile_error!("planted bugs must never be in a release");

static PLANT: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("LEYDEN_PLANT").ok());

/// A due rotation waits for the next record, so an export before it shows a nonce of 1000 and a
/// key that should be forgotten.
pub(crate) fn lazy_rotation_on_export() -> bool {
    is("lazy-rotation-on-export")
}

/// One chaining key for both directions: the one that rotated overwrites the other's.
pub(crate) fn sent(live: &mut Live) {
    one_chaining_key(&live.send, &mut live.receive);
}

/// The same, after a message received.
pub(crate) fn received(live: &mut Live) {
    one_chaining_key(&live.receive, &mut live.send);
}

fn one_chaining_key(rotated: &Direction, other: &mut Direction) {
    if is("one-chaining-key") && rotated.chain.n == 0 {
        other.chain.ck = rotated.chain.ck.duplicate();
    }
}

fn is(plant: &str) -> bool {
    PLANT.as_deref() == Some(plant)
}
