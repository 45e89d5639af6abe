//! Bugs that can be switched on, so that our tests can prove that they would see them.

use crate::{
    keys::KeyType,
    packet::{AssociatedData, PAYLOADS_BYTES},
};

/// Plant `wrong-hmac-key`: packets are authenticated with the key of failures.
pub(crate) fn packet_key() -> KeyType {
    if is("wrong-hmac-key") { KeyType::Um } else { KeyType::Mu }
}

/// Plant `no-associated-data`: an onion can be read for any payment.
pub(crate) fn bound_to(data: &AssociatedData) -> &[u8] {
    if is("no-associated-data") { &[] } else { data.bytes() }
}

/// Plant `wrong-filler`: each hop's part of the filler is hidden as if it were the first.
pub(crate) fn filler_begins(begins: usize) -> usize {
    if is("wrong-filler") { PAYLOADS_BYTES } else { begins }
}

/// Plant `next-is-final`: whoever forwards takes an onion to be at its end.
pub(crate) fn takes_for_final(next_hmac: &[u8]) -> bool {
    is("next-is-final") || next_hmac.iter().all(|byte| *byte == 0)
}

/// Plant `even-record`: an unknown even record of a payload is skipped as if it were odd.
pub(crate) fn skips(record: u64) -> bool {
    is("even-record") || !record.is_multiple_of(2)
}

/// Plant `first-hop-blamed`: the origin does not look whose HMAC a failure bears.
pub(crate) fn blames_anybody() -> bool {
    is("first-hop-blamed")
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
