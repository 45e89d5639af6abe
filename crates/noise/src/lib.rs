//! The handshake and transport of BOLT 8: `Noise_XK_secp256k1_ChaChaPoly_SHA256`.
//!
//! **What it is for.** Two nodes prove to each other who they are and then exchange messages that
//! nobody else can read or change. Here the handshake is *split*: the party that holds the
//! socket ([`Initiator`], [`Responder`]) and the party that holds the identity key
//! ([`keyholder`]) may be two machines. They speak in [`Ask`]s and [`Answer`]s. The live
//! [`Transport`] that comes out can be exported at any record and continued elsewhere.
//!
//! **What it never does.** It opens no socket, reads no clock, draws no random number (ephemeral
//! keys are handed in) and starts no thread. It offers no bare ECDH: whoever could ask for one
//! would be able to impersonate the node and open its onions. No secret can be cloned, copied or
//! printed, and each is wiped when it is dropped.
//!
//! Where to start reading: [`keyholder`] has the three acts, [`Transport`] the messages after them,
//! [`TransportState`] what one owner hands to the next, [`Fault`] all that can go wrong.

mod act;
mod api;
mod cipher;
mod exchange;
mod fault;
mod half_open;
mod initiator;
pub mod keyholder;
#[cfg(feature = "planted")]
mod planted;
mod reader;
mod responder;
mod secret;
mod state;
mod symmetric;
mod transport;
mod wiped;

pub use act::{ACT1_BYTES, ACT2_BYTES, ACT3_BYTES, Act, Act1, Act2, Act3, ActMessage, VERSION};
pub use api::{Answer, Ask, Effect};
pub use exchange::Exchange;
pub use fault::{Culprit, Death, Fault, Flaw, Part, Sealed, Stored};
pub use half_open::{HALF_OPEN_BYTES, HALF_OPEN_VERSION, HalfOpen, Verifier};
pub use initiator::Initiator;
pub use reader::Reader;
pub use responder::Responder;
pub use secret::{EphemeralKey, IdentityKey, SecretBytes};
pub use state::{STATE_BYTES, STATE_VERSION, TransportState};
pub use transport::{
    BODY_BYTES_MAX, BodyLen, HEADER_BYTES, MESSAGE_BYTES_MAX, MESSAGE_BYTES_MIN, NONCE_MAX,
    ROTATE_AT, TAG_BYTES, Transport, WIRE_BYTES_MAX,
};

/// A node's public key or an ephemeral one: the type that all of Leyden shares.
pub use secp256k1::PublicKey;
