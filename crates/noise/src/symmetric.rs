//! The chaining key `ck` and the handshake hash `h`, and how they grow.

use std::fmt::{Debug, Display};

use ring::digest::{Context, SHA256};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use secp256k1::PublicKey;
use static_assertions::assert_not_impl_any;
use zeroize::Zeroizing;

use crate::secret::Secret;

assert_not_impl_any!(Symmetric: Clone, Copy, Debug, Display);

/// `SHA-256("Noise_XK_secp256k1_ChaChaPoly_SHA256")`: the first `ck`.
const CK: [u8; 32] = [
    0x26, 0x40, 0xf5, 0x2e, 0xeb, 0xcd, 0x9e, 0x88, 0x29, 0x58, 0x95, 0x1c, 0x79, 0x42, 0x50, 0xee,
    0xdb, 0x28, 0x00, 0x2c, 0x05, 0xd7, 0xdc, 0x2e, 0xa0, 0xf1, 0x95, 0x40, 0x60, 0x42, 0xca, 0xf1,
];

/// `SHA-256(CK || "lightning")`: `h` before the responder's key is mixed in.
const H: [u8; 32] = [
    0xd1, 0xfb, 0xf6, 0xde, 0xe4, 0xf6, 0x86, 0xf1, 0x32, 0xfd, 0x70, 0x2c, 0x4a, 0xbf, 0x8f, 0xba,
    0x4b, 0xb4, 0x20, 0xd8, 0x9d, 0x2a, 0x04, 0x8a, 0x3c, 0x4f, 0x4c, 0x09, 0x2e, 0x37, 0xb6, 0x76,
];

/// `ck` and `h` of one side of one handshake.
pub(crate) struct Symmetric {
    ck: Secret,
    h: Secret,
}

impl Symmetric {
    /// The state before act one of a handshake with `responder`.
    pub(crate) fn start(responder: &PublicKey) -> Symmetric {
        let mut start = Symmetric::from_parts(Secret::from_bytes(&CK), Secret::from_bytes(&H));
        // BOLT 8: "As a concluding step, both sides mix the responder's public key into the
        // handshake digest"
        start.mix_hash(&responder.serialize());
        start
    }

    pub(crate) fn from_parts(ck: Secret, h: Secret) -> Symmetric {
        Symmetric { ck, h }
    }

    pub(crate) fn duplicate(&self) -> Symmetric {
        Symmetric { ck: self.ck.duplicate(), h: self.h.duplicate() }
    }

    pub(crate) fn ck(&self) -> &Secret {
        &self.ck
    }

    pub(crate) fn h(&self) -> &Secret {
        &self.h
    }

    /// `h = SHA-256(h || data)`
    pub(crate) fn mix_hash(&mut self, data: &[u8]) {
        let mut sha = Context::new(&SHA256);
        sha.update(self.h.bytes());
        sha.update(data);
        let digest = sha.finish();
        self.h = Secret::from_bytes(digest.as_ref().first_chunk().expect("SHA-256 has 32 bytes"));
    }

    /// `ck, temp_k = HKDF(ck, shared)`; returns `temp_k`.
    pub(crate) fn mix_key(&mut self, shared: &Secret) -> Secret {
        let (ck, temp_k) = hkdf(&self.ck, shared.bytes());
        self.ck = ck;
        temp_k
    }

    /// `ck` and the two keys of the transport, the initiator's sending key first.
    pub(crate) fn finish(self) -> (Secret, Secret, Secret) {
        // BOLT 8: "`sk, rk = HKDF(ck, zero)`"
        let (initiator, responder) = hkdf(&self.ck, &[]);
        (self.ck, initiator, responder)
    }
}

// BOLT 8: "All invocations of `HKDF` implicitly return 64 bytes of
// cryptographic randomness using the extract-and-expand component of the
// `HKDF`."
pub(crate) fn hkdf(salt: &Secret, ikm: &[u8]) -> (Secret, Secret) {
    let mut out = Zeroizing::new([0; 64]);
    Salt::new(HKDF_SHA256, salt.bytes())
        .extract(ikm)
        .expand(&[], Both)
        .and_then(|okm| okm.fill(out.as_mut()))
        .expect("HKDF-SHA256 gives up to 8160 bytes");
    let (first, second) = out.split_at(32);
    let halves = (first.first_chunk(), second.first_chunk());
    let (Some(first), Some(second)) = halves else { unreachable!("64 bytes are twice 32") };
    (Secret::from_bytes(first), Secret::from_bytes(second))
}

/// The length of both keys that HKDF is asked for.
struct Both;

impl KeyType for Both {
    fn len(&self) -> usize {
        64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::digest::digest;

    #[test]
    fn constants_are_the_hashes_they_claim() {
        // BOLT 8: "`h = SHA-256(protocolName)`"
        let ck = digest(&SHA256, b"Noise_XK_secp256k1_ChaChaPoly_SHA256");
        assert_eq!(ck.as_ref(), CK);
        let h = digest(&SHA256, &[&CK[..], b"lightning"].concat());
        assert_eq!(h.as_ref(), H);
    }
}
