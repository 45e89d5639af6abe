//! Secrets: never cloned, never printed, wiped when dropped.
//!
//! `secp256k1::SecretKey` can be copied and is not wiped, so none is ever stored: a key lives as
//! bytes in a [`Secret`], and a `SecretKey` is made for each use and erased after it.
//!
//! A move copies bytes and leaves the old ones behind. So whatever holds secrets and travels, from
//! owner to owner, through queues and enums, is a box: its secrets stay at one address on the heap
//! until they are wiped there. What hash functions and compilers leave on the stack is beyond us.

use std::fmt::{Debug, Display};

use secp256k1::ecdh::SharedSecret;
use secp256k1::{PublicKey, SecretKey};
use static_assertions::assert_not_impl_any;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::fault::{Fault, Flaw, Stored};

assert_not_impl_any!(Secret: Clone, Copy, Debug, Display);
assert_not_impl_any!(Scalar: Clone, Copy, Debug, Display);
assert_not_impl_any!(IdentityKey: Clone, Copy, Debug, Display);
assert_not_impl_any!(EphemeralKey: Clone, Copy, Debug, Display);
assert_not_impl_any!(SecretBytes<1>: Clone, Copy, Debug, Display);

/// A node's static private key, with its public half beside it.
pub struct IdentityKey {
    scalar: Scalar,
    public: PublicKey,
}

impl IdentityKey {
    /// Takes the key out of `bytes`, which are zeros afterwards, whatever the outcome.
    pub fn take(bytes: &mut [u8; 32]) -> Result<IdentityKey, Fault> {
        let scalar = Scalar::take(bytes, Stored::IdentityKey)?;
        let public = scalar.public();
        Ok(IdentityKey { scalar, public })
    }

    /// The node's id.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    pub(crate) fn ecdh(&self, point: &PublicKey) -> Secret {
        self.scalar.ecdh(point)
    }
}

/// A private key for one handshake. The caller draws it with strong randomness, for each handshake
/// anew.
pub struct EphemeralKey {
    scalar: Scalar,
}

impl EphemeralKey {
    /// Takes the key out of `bytes`, which are zeros afterwards, whatever the outcome.
    pub fn take(bytes: &mut [u8; 32]) -> Result<EphemeralKey, Fault> {
        Scalar::take(bytes, Stored::EphemeralKey).map(|scalar| EphemeralKey { scalar })
    }

    pub(crate) fn into_scalar(self) -> Scalar {
        self.scalar
    }
}

/// Secret bytes on their way to another owner. Wiped when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct SecretBytes<const N: usize>([u8; N]);

impl<const N: usize> SecretBytes<N> {
    /// The bytes, to be carried over a link that is itself encrypted.
    pub fn as_bytes(&self) -> &[u8; N] {
        &self.0
    }

    pub(crate) fn zeros() -> SecretBytes<N> {
        SecretBytes([0; N])
    }

    pub(crate) fn as_mut(&mut self) -> &mut [u8; N] {
        &mut self.0
    }
}

/// 32 secret bytes: a chaining key, a cipher key, a hash of the handshake, a shared secret.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct Secret([u8; 32]);

impl Secret {
    /// A value read from stored bytes, or a public constant.
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Secret {
        Secret(*bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A second copy, on purpose.
    pub(crate) fn duplicate(&self) -> Secret {
        Secret(self.0)
    }

    pub(crate) fn is_zeros(&self) -> bool {
        self.0.iter().fold(0, |all, byte| all | byte) == 0
    }

    /// Whether both are the same, in a time that does not depend on where they differ.
    pub(crate) fn equals(&self, other: &Secret) -> bool {
        self.0.iter().zip(&other.0).fold(0, |all, (one, two)| all | (one ^ two)) == 0
    }
}

/// A private key: not zero and below the order of the curve.
pub(crate) struct Scalar(Box<Secret>);

impl Scalar {
    /// Moves the key out of `bytes`, which are zeros afterwards, whatever the outcome.
    fn take(bytes: &mut [u8; 32], stored: Stored) -> Result<Scalar, Fault> {
        let scalar = Scalar::read(bytes, stored);
        bytes.zeroize();
        scalar
    }

    pub(crate) fn read(bytes: &[u8; 32], stored: Stored) -> Result<Scalar, Fault> {
        let mut secret = Box::new(Secret([0; 32]));
        secret.0.copy_from_slice(bytes);
        let mut key = SecretKey::from_slice(secret.bytes())
            .map_err(|_| Fault::Stored { stored, flaw: Flaw::Scalar })?;
        key.non_secure_erase();
        Ok(Scalar(secret))
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        self.0.bytes()
    }

    pub(crate) fn duplicate(&self) -> Scalar {
        Scalar(Box::new(self.0.duplicate()))
    }

    pub(crate) fn public(&self) -> PublicKey {
        self.with_key(PublicKey::from_secret_key_global)
    }

    // BOLT 8: "The returned value is the SHA256 of the compressed format of the
    // generated point."
    pub(crate) fn ecdh(&self, point: &PublicKey) -> Secret {
        let mut shared = self.with_key(|key| SharedSecret::new(point, key));
        let secret =
            Secret::from_bytes(shared.as_ref().first_chunk().expect("SHA-256 has 32 bytes"));
        shared.non_secure_erase();
        secret
    }

    fn with_key<T>(&self, job: impl FnOnce(&SecretKey) -> T) -> T {
        let mut key = SecretKey::from_slice(self.0.bytes()).expect("`read` has checked the scalar");
        let done = job(&key);
        key.non_secure_erase();
        done
    }
}
