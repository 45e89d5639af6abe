//! Bugs that can be switched on, so that our tests can prove that they would see them.

/// Plant `lost-on-reconnect`: what was signed and not heard is not said again.
pub(crate) fn forgets_what_was_said() -> bool {
    is("lost-on-reconnect")
}

/// Plant `expiry-off-by-one`: a contract goes to the chain one block late.
pub(crate) fn late_blocks() -> u32 {
    u32::from(is("expiry-off-by-one"))
}

/// Plant `equal-hash`: contracts with the same secret are taken for one.
pub(crate) fn knows_contracts_by_hash() -> bool {
    is("equal-hash")
}

/// Plant `watch-not-reissued`: what is looked for in blocks is only the funding.
pub(crate) fn forgets_watches() -> bool {
    is("watch-not-reissued")
}

/// Plant `no-revocation-check`: what a peer shows as its secret is not looked at.
pub(crate) fn believes_revocations() -> bool {
    is("no-revocation-check")
}

#[cfg(not(feature = "planted"))]
#[inline]
const fn is(_: &str) -> bool {
    false
}

#[cfg(feature = "planted")]
fn is(plant: &str) -> bool {
    std::env::var("LEYDEN_PLANT").is_ok_and(|chosen| chosen == plant)
}

#[cfg(all(feature = "planted", not(debug_assertions)))]
compile_error!("`planted` compiles bugs in; it is for tests on debug builds only");
