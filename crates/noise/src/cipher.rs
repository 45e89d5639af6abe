//! ChaCha20-Poly1305 under one key.

use std::fmt::{Debug, Display};

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, Tag, UnboundKey};
use static_assertions::assert_not_impl_any;

use crate::secret::Secret;
use crate::transport::TAG_BYTES;
use crate::wiped::Wiped;

assert_not_impl_any!(Cipher: Clone, Copy, Debug, Display);

/// A tag that does not fit. Whoever knows what it sealed makes a `Fault` of it.
#[derive(Debug)]
pub(crate) struct BadMac;

/// ring's expanded key. ring does not wipe it, so we do; and it is kept between records, since
/// expanding it anew costs a short record a seventh of its time.
pub(crate) struct Cipher(Wiped<LessSafeKey>);

impl Cipher {
    pub(crate) fn new(key: &Secret) -> Cipher {
        Cipher(Wiped::new(expand(key)))
    }

    /// Goes over to another key, which takes the place of the old one.
    pub(crate) fn rekey(&mut self, key: &Secret) {
        *self.0 = expand(key);
    }

    // BOLT 8: "`encryptWithAD(k, n, ad, plaintext)`: outputs `encrypt(k, n, ad, plaintext)`"
    #[inline]
    pub(crate) fn seal(&self, n: u16, ad: &[u8], plaintext: &mut [u8]) -> [u8; TAG_BYTES] {
        let sealed = self.0.seal_in_place_separate_tag(nonce(n), Aad::from(ad), plaintext);
        let tag = sealed.expect("ring seals anything below 256 GiB");
        *tag.as_ref().first_chunk().expect("a tag has 16 bytes")
    }

    // BOLT 8: "`decryptWithAD(k, n, ad, ciphertext)`: outputs `decrypt(k, n, ad, ciphertext)`"
    #[inline]
    pub(crate) fn open(
        &self,
        n: u16,
        ad: &[u8],
        ciphertext: &mut [u8],
        tag: &[u8; TAG_BYTES],
    ) -> Result<(), BadMac> {
        self.0
            .open_in_place_separate_tag(nonce(n), Aad::from(ad), Tag::from(*tag), ciphertext, 0..)
            .map(|_| ())
            .map_err(|_| BadMac)
    }
}

fn expand(key: &Secret) -> LessSafeKey {
    let key = UnboundKey::new(&CHACHA20_POLY1305, key.bytes()).expect("the key has 32 bytes");
    LessSafeKey::new(key)
}

#[inline]
fn nonce(n: u16) -> Nonce {
    // BOLT 8: "nonce `n` encoded as 32 zero bits,
    // followed by a *little-endian* 64-bit value."
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&u64::from(n).to_le_bytes());
    Nonce::assume_unique_for_key(bytes)
}
