//! A failure on its way back: made by one hop, hidden by each, read by the origin.

use core::fmt;

use bitcoin::hashes::cmp::fixed_time_eq;
use static_assertions::assert_not_impl_any;
use wire::{fault::Broke, list::Blob, reader::Reader};

use crate::{
    failure::{FAILURE_BYTES_MAX, Failure, FailureTooLong},
    keys::{HMAC_BYTES, KeyType, apply_stream, hmac},
    packet::HOPS_MAX,
    planted,
    secret::{Secret, SharedSecret},
};

assert_not_impl_any!(ReturnKeys: Clone, Copy, fmt::Debug, fmt::Display);
assert_not_impl_any!(Origin: Clone, fmt::Debug, fmt::Display);

/// Bytes of [`ReturnKeys`].
pub const RETURN_KEYS_BYTES: usize = 64;
/// Bytes of a `reason` that we make: HMAC, two lengths, message and padding.
pub const REASON_BYTES: usize = HMAC_BYTES + 2 + 2 + FAILURE_BYTES_MAX;

/// What one hop needs to fail an HTLC or to pass a failure on, and what the origin needs to read
/// it. Nothing else about the onion can be learned from it: neither payloads nor the shared secret.
pub struct ReturnKeys {
    um: Secret<32>,
    ammag: Secret<32>,
}

/// The keys of all hops, as the maker of an onion keeps them, the nearest first.
pub struct Origin(Vec<ReturnKeys>);

/// A failure that came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Returned {
    /// Which hop failed the payment, counted from 0.
    pub hop: usize,
    /// What it says.
    pub failure: Failure,
}

/// More hops than an onion can have, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OriginFault {
    /// How many.
    pub got: usize,
    /// The most there may be.
    pub max: usize,
}

/// Why a `reason` tells nothing, or not all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReturnFault {
    /// No HMAC of any hop fits: somebody on the way has changed it, or made it badly.
    Nobodys {
        /// Bytes of the reason.
        bytes: usize,
        /// Hops that were tried.
        hops: usize,
    },
    /// This hop has made it, but not as a failure is made.
    Garbled {
        /// Which one, counted from 0.
        hop: usize,
        /// What is wrong.
        broke: Broke,
    },
}

impl ReturnKeys {
    pub(crate) fn of(shared: &SharedSecret) -> Self {
        let [um, ammag] = [KeyType::Um, KeyType::Ammag].map(|key| key.of(shared.bytes()));
        Self { um, ammag }
    }

    /// Takes what [`ReturnKeys::write`] wrote. `bytes` are zeros afterwards.
    pub fn take(bytes: &mut [u8; RETURN_KEYS_BYTES]) -> Self {
        let (um, ammag) = bytes.split_at_mut(32);
        let both = (um.first_chunk_mut(), ammag.first_chunk_mut());
        let (Some(um), Some(ammag)) = both else { unreachable!("64 bytes are twice 32") };
        Self { um: Secret::take(um), ammag: Secret::take(ammag) }
    }

    /// Writes the keys where the caller wipes them: to a disk, or a link that is itself encrypted.
    pub fn write(&self, to: &mut [u8; RETURN_KEYS_BYTES]) {
        to[..32].copy_from_slice(self.um.bytes());
        to[32..].copy_from_slice(self.ammag.bytes());
    }

    /// `reason` of `update_fail_htlc` for a failure of our own.
    pub fn fail(&self, failure: &Failure) -> Result<Blob, FailureTooLong> {
        let message = failure.encode()?;
        let length = |bytes: usize| u16::try_from(bytes).expect("at most 256").to_be_bytes();
        let mut reason = Vec::with_capacity(REASON_BYTES);
        reason.extend_from_slice(&[0; HMAC_BYTES]);
        reason.extend_from_slice(&length(message.len()));
        reason.extend_from_slice(&message);
        reason.extend_from_slice(&length(FAILURE_BYTES_MAX - message.len()));
        reason.resize(REASON_BYTES, 0);
        let hmac = hmac(self.um.bytes(), &[&reason[HMAC_BYTES..]]);
        reason[..HMAC_BYTES].copy_from_slice(&hmac);
        Ok(self.pass_back(Blob(reason)))
    }

    /// `reason` of `update_fail_htlc` for one that the next hop has sent us.
    pub fn pass_back(&self, mut reason: Blob) -> Blob {
        apply_stream(self.ammag.bytes(), &mut reason.0);
        reason
    }

    /// Whether this hop has made what the keys before it have uncovered.
    fn made(&self, uncovered: &[u8]) -> bool {
        uncovered.split_first_chunk::<HMAC_BYTES>().is_some_and(|(got, rest)| {
            fixed_time_eq(got, &hmac(self.um.bytes(), &[rest])) || planted::blames_anybody()
        })
    }
}

impl Origin {
    /// Of keys that were kept.
    pub fn new(keys: Vec<ReturnKeys>) -> Result<Self, OriginFault> {
        match keys.len() {
            1..=HOPS_MAX => Ok(Self(keys)),
            got => Err(OriginFault { got, max: HOPS_MAX }),
        }
    }

    pub(crate) fn of(keys: Vec<ReturnKeys>) -> Self {
        Self(keys)
    }

    /// To be kept for as long as the payment may fail.
    pub fn keys(&self) -> &[ReturnKeys] {
        &self.0
    }

    /// Who has failed the payment, and why.
    // BOLT 4: "SHOULD continue decrypting, until the loop has been repeated 27 times (maximum
    // route length of tlv payload type). SHOULD use constant `ammag` and `um` keys to obfuscate
    // the route length."
    pub fn read(&self, reason: &Blob) -> Result<Returned, ReturnFault> {
        let nobody = ReturnKeys { um: Secret::zeros(), ammag: Secret::zeros() };
        let mut bytes = reason.clone();
        let mut found = None;
        for hop in 0..HOPS_MAX {
            let keys = self.0.get(hop);
            bytes = keys.unwrap_or(&nobody).pass_back(bytes);
            let made = keys.unwrap_or(&nobody).made(&bytes.0);
            if made && keys.is_some() && found.is_none() {
                found = Some((hop, message(&bytes.0)));
            }
        }
        match found {
            Some((hop, Ok(failure))) => Ok(Returned { hop, failure }),
            Some((hop, Err(broke))) => Err(ReturnFault::Garbled { hop, broke }),
            None => Err(ReturnFault::Nobodys { bytes: reason.0.len(), hops: self.0.len() }),
        }
    }
}

/// What stands behind an HMAC that fits. How it is padded is nobody's business.
fn message(uncovered: &[u8]) -> Result<Failure, Broke> {
    let mut from = Reader::new(uncovered);
    from.take(HMAC_BYTES)?;
    Failure::decode(from.prefixed()?)
}

impl fmt::Display for OriginFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "keys of {} hops, at least 1 and at most {}", self.got, self.max)
    }
}

impl fmt::Display for ReturnFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReturnFault::Nobodys { bytes, hops } => {
                write!(f, "a failure of {bytes} bytes that none of {hops} hops has made")
            }
            ReturnFault::Garbled { hop, broke } => {
                write!(f, "hop {hop} has made a failure that is none: {broke}")
            }
        }
    }
}

impl core::error::Error for OriginFault {}
impl core::error::Error for ReturnFault {}
