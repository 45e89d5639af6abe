//! Bugs on purpose, one at a time, chosen by `LEYDEN_PLANTED`: a test has to notice each of them.

fn chosen(bug: &str) -> bool {
    std::env::var("LEYDEN_PLANTED").is_ok_and(|name| name == bug)
}

/// What leaves does not wait for its cause.
pub(crate) fn edge_before_barrier() -> bool {
    chosen("edge-before-barrier")
}

/// A node that starts again takes itself for the one before.
pub(crate) fn two_owners_after_crash() -> bool {
    chosen("two-owners-after-crash")
}

/// A message is acknowledged before it is saved.
pub(crate) fn acknowledge_before_save() -> bool {
    chosen("acknowledge-before-save")
}

/// The channels take in that a payment was made, and do not save it.
pub(crate) fn payment_not_saved() -> bool {
    chosen("payment-not-saved")
}
