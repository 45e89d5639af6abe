//! Onions and their failures, for any payload (BOLT 4).
//!
//! **What it is for.** Whoever pays wraps one payload for each hop into an onion ([`Hops::wrap`]);
//! each hop takes its layer off ([`Sealed::peel`]) and reads what it is to do ([`Layer::read`]). If
//! a hop fails the payment ([`ReturnKeys::fail`]), each hop before it hides the reason once more,
//! and only the origin can read it ([`Origin::read`]).
//!
//! **What it never does.** It has no node's key: whoever has that computes the [`SharedSecret`] of
//! the point that [`Sealed::ephemeral`] names, and of no other. It draws no random number (session
//! keys are handed in), remembers no onion that it has seen, and does not judge whether amounts and
//! expiries are right. No secret can be cloned or printed, and each is wiped when it is dropped.
//!
//! ```
//! use sphinx::{AssociatedData, Hop, Hops, Layer, Sealed, SessionKey, SharedSecret};
//! use wire::id::PaymentHash;
//!
//! let node = secp256k1::SecretKey::from_slice(&[7; 32])?;
//! let data = AssociatedData::Payment(PaymentHash([1; 32]));
//! let hop = Hop { node: node.public_key(secp256k1::SECP256K1).into(), payload: b"any".to_vec() };
//! let onion = Hops::new(vec![hop])?.wrap(SessionKey::take(&mut [9; 32])?, &data);
//!
//! let sealed = Sealed::parse(&onion.packet)?;
//! let shared = SharedSecret::between(&node, sealed.ephemeral());
//! let peeled = sealed.peel(&data, &shared)?;
//! assert_eq!(peeled.layer?, Layer::Final { payload: b"any".to_vec() });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod build;
mod failure;
mod keys;
mod packet;
mod payload;
mod peel;
mod planted;
mod returning;
mod secret;

pub use build::{Hop, Hops, HopsFault, Onion};
pub use failure::{Culprit, DisabledFlags, FAILURE_BYTES_MAX, Failure, FailureTooLong, flag};
pub use packet::{
    AssociatedData, HOPS_MAX, ONION_BYTES, PAYLOAD_BYTES_MAX, PAYLOAD_BYTES_MIN, PAYLOADS_BYTES,
    VERSION,
};
pub use payload::{
    BadPayload, FinalPayload, ForwardPayload, PayloadFlaw, PaymentData, PaymentSecret, RecordAt,
};
pub use peel::{BadOnion, Instruction, Layer, OnionFlaw, Peeled, Sealed};
pub use returning::{
    Origin, OriginFault, REASON_BYTES, RETURN_KEYS_BYTES, ReturnFault, ReturnKeys, Returned,
};
pub use secret::{NoKey, SessionKey, SharedSecret};
