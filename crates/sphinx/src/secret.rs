//! Secrets: never cloned, never printed, wiped when dropped.
//!
//! Each stays at one place on the heap until it is wiped there. What hash functions and ciphers
//! leave on the stack is beyond us; the signer overwrites it.

use core::fmt::{self, Debug, Display};

use secp256k1::{PublicKey, SecretKey, ecdh};
use static_assertions::assert_not_impl_any;
use wire::key::Point;
use zeroize::Zeroize;

assert_not_impl_any!(Secret<1>: Clone, Copy, Debug, Display);
assert_not_impl_any!(SessionKey: Clone, Copy, Debug, Display);
assert_not_impl_any!(SharedSecret: Clone, Copy, Debug, Display);

/// `N` secret bytes at a place of their own.
pub(crate) struct Secret<const N: usize>(Box<[u8; N]>);

impl<const N: usize> Secret<N> {
    pub(crate) fn zeros() -> Self {
        Self(Box::new([0; N]))
    }

    /// Moves the bytes out of the caller's, which are zeros afterwards.
    pub(crate) fn take(bytes: &mut [u8; N]) -> Self {
        let mut secret = Self::zeros();
        secret.0.copy_from_slice(bytes);
        bytes.zeroize();
        secret
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

/// What all keys of one onion follow from. Whoever makes the onion draws it with strong randomness,
/// for each one anew; it is used up by it.
pub struct SessionKey(Secret<32>);

/// 32 bytes that are no private key: zero, or not below the order of the curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoKey;

impl SessionKey {
    /// Takes the key out of `bytes`, which are zeros afterwards, whatever the outcome.
    pub fn take(bytes: &mut [u8; 32]) -> Result<Self, NoKey> {
        let secret = Secret::take(bytes);
        let mut key = SecretKey::from_slice(secret.bytes()).map_err(|_| NoKey)?;
        key.non_secure_erase();
        Ok(Self(secret))
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        self.0.bytes()
    }

    pub(crate) fn key(&self) -> SecretKey {
        SecretKey::from_slice(self.0.bytes()).expect("`take` has checked it")
    }
}

/// What the origin of an onion shares with one of its hops.
pub struct SharedSecret(Secret<32>);

impl SharedSecret {
    /// Of one's own private key and the other's public one. Whoever has a key of a node calls it
    /// with the ephemeral key of an onion and with nothing else: handshakes share secrets the same
    /// way.
    // BOLT 4: "The resulting curve point is serialized to the compressed format and hashed using
    // `SHA256`."
    pub fn between(key: &SecretKey, point: &Point) -> Self {
        let mut shared = ecdh::SharedSecret::new(point.key(), key);
        let mut secret = Secret::zeros();
        secret.as_mut().copy_from_slice(shared.as_ref());
        shared.non_secure_erase();
        Self(secret)
    }

    /// One that somebody else has computed. `bytes` are zeros afterwards.
    pub fn take(bytes: &mut [u8; 32]) -> Self {
        Self(Secret::take(bytes))
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        self.0.bytes()
    }
}

/// The public half.
pub(crate) fn public(key: &SecretKey) -> Point {
    PublicKey::from_secret_key_global(key).into()
}

impl Display for NoKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("32 bytes that are no private key: zero, or not below the curve order")
    }
}

impl core::error::Error for NoKey {}
