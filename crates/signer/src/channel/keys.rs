//! The keys of a channel: from one secret of the node and the channel's name.

use std::fmt::{Debug, Display};

use bitcoin::hashes::{Hash as _, HashEngine as _, Hmac, HmacEngine, sha256};
use secp256k1::{SECP256K1, SecretKey};
use static_assertions::assert_not_impl_any;
use tx::{Basepoints, CommitmentSeed};
use wire::id::ChannelKey;
use wire::key::Point;

use crate::secret::Secret;

assert_not_impl_any!(ChannelKeys: Clone, Copy, Debug, Display);

/// So many keys for `to_remote` there are: whoever has lost all but the words can look for each.
pub const PAYMENT_KEYS: u64 = 1_000;

/// Bytes of what tells the keys of one node from those of others.
pub(super) const NAME_BYTES: usize = 16;

/// What the keys of all channels of one node follow from. Wiped when dropped.
pub struct ChannelKeys(Secret<32>);

/// Which key of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Funding,
    Revocation,
    Payment,
    DelayedPayment,
    Htlc,
    Commitments,
}

impl Use {
    const fn label(self) -> &'static [u8] {
        match self {
            Use::Funding => b"funding",
            Use::Revocation => b"revocation",
            Use::Payment => b"payment",
            Use::DelayedPayment => b"delayed payment",
            Use::Htlc => b"htlc",
            Use::Commitments => b"commitments",
        }
    }
}

impl ChannelKeys {
    pub(crate) fn new(secret: Secret<32>) -> Self {
        Self(secret)
    }

    /// The secret key for one use. The caller wipes it.
    pub(super) fn secret(&self, channel: &ChannelKey, of: Use) -> SecretKey {
        let name = match of {
            Use::Payment => payment_name(channel),
            Use::Funding | Use::Revocation | Use::DelayedPayment | Use::Htlc | Use::Commitments => {
                channel.0
            }
        };
        SecretKey::from_slice(&self.bytes(of, &name)).expect("nobody finds such a hash")
    }

    pub(super) fn seed(&self, channel: &ChannelKey) -> CommitmentSeed {
        CommitmentSeed::take(&mut self.bytes(Use::Commitments, &channel.0))
    }

    pub(super) fn point(&self, channel: &ChannelKey, of: Use) -> Point {
        let mut secret = self.secret(channel, of);
        let point = secret.public_key(SECP256K1).into();
        secret.non_secure_erase();
        point
    }

    pub(super) fn basepoints(&self, channel: &ChannelKey) -> Basepoints {
        Basepoints {
            revocation: self.point(channel, Use::Revocation),
            payment: self.point(channel, Use::Payment),
            delayed_payment: self.point(channel, Use::DelayedPayment),
            htlc: self.point(channel, Use::Htlc),
        }
    }

    /// Tells these keys from all others, and nothing about them.
    pub(super) fn name(&self) -> [u8; NAME_BYTES] {
        let mut engine = HmacEngine::<sha256::Hash>::new(self.0.bytes());
        engine.input(b"name");
        let all = Hmac::<sha256::Hash>::from_engine(engine).to_byte_array();
        *all.first_chunk().expect("32 bytes have a first sixteen")
    }

    fn bytes(&self, of: Use, name: &[u8; 32]) -> [u8; 32] {
        let mut engine = HmacEngine::<sha256::Hash>::new(self.0.bytes());
        engine.input(of.label());
        engine.input(name);
        Hmac::from_engine(engine).to_byte_array()
    }
}

/// One of [`PAYMENT_KEYS`] names.
fn payment_name(channel: &ChannelKey) -> [u8; 32] {
    let low = channel.0.last_chunk::<8>().expect("32 bytes have a last eight");
    let mut name = [0; 32];
    name[24..].copy_from_slice(&(u64::from_be_bytes(*low) % PAYMENT_KEYS).to_be_bytes());
    name
}
