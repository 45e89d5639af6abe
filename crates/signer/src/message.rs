//! Messages signed by a node, as `lightning-cli signmessage` and LND's `signmessage` do.
//!
//! The signature is made over `SHA256(SHA256("Lightning Signed Message:" || message))`. It is 65
//! bytes, 31 + recovery id and then `r` and `s`, shown in z-base-32. Since the key can be recovered
//! from it, there is nothing to verify against: the answer is *who* signed.

use std::fmt;
use std::str::FromStr;

use bitcoin::hashes::{Hash, HashEngine, sha256d};
use noise::PublicKey;
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use secp256k1::{Message, SECP256K1};
use wire::Hex;

use crate::derive::NodeKey;
use crate::fault::SignatureFault;
use crate::zbase32;

/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 65;
/// Characters of a signature.
pub const SIGNATURE_CHARS: usize = 104;
/// The longest message that is signed: what `lightning-cli` allows.
pub const MESSAGE_BYTES_MAX: usize = 65_535;

/// What keeps these signatures apart from all others that a node makes.
const PREFIX: &[u8] = b"Lightning Signed Message:";
/// The first byte of a signature with recovery id 0: 27, and 4 for a compressed key.
const HEADER_MIN: u8 = 31;
/// The same with recovery id 3.
const HEADER_MAX: u8 = 34;

/// A signature under a message, of whomever [`MessageSignature::recover`] names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MessageSignature([u8; SIGNATURE_BYTES]);

impl MessageSignature {
    /// Refuses a header that is none, and halves that are not below the order of the curve.
    pub fn from_bytes(bytes: &[u8; SIGNATURE_BYTES]) -> Result<MessageSignature, SignatureFault> {
        let signature = MessageSignature(*bytes);
        signature.recoverable().map(|_| signature)
    }

    /// The header and both halves.
    pub fn bytes(&self) -> &[u8; SIGNATURE_BYTES] {
        &self.0
    }

    /// Who signed `message`. With another message it is another key, of nobody: whoever asks
    /// compares it with the node that should have signed.
    pub fn recover(&self, message: &[u8]) -> Result<PublicKey, SignatureFault> {
        SECP256K1
            .recover_ecdsa(&digest(message), &self.recoverable()?)
            .map_err(|_| SignatureFault::Unrecoverable)
    }

    fn recoverable(&self) -> Result<RecoverableSignature, SignatureFault> {
        let [header, halves @ ..] = &self.0;
        let fault = SignatureFault::Header { got: *header, min: HEADER_MIN, max: HEADER_MAX };
        let id = header.checked_sub(HEADER_MIN).map(i32::from);
        let id = id.and_then(|id| RecoveryId::from_i32(id).ok()).ok_or(fault)?;
        RecoverableSignature::from_compact(halves, id).map_err(|_| SignatureFault::Overflow)
    }
}

impl NodeKey {
    /// Signs `message` as this node. The same message gets the same signature (RFC 6979).
    pub fn sign_message(&self, message: &[u8]) -> MessageSignature {
        let digest = digest(message);
        let signature = self.with_key(|key| SECP256K1.sign_ecdsa_recoverable(&digest, key));
        let (id, halves) = signature.serialize_compact();
        let mut bytes = [HEADER_MIN; SIGNATURE_BYTES];
        bytes[0] += u8::try_from(id.to_i32()).expect("recovery ids are 0 to 3");
        bytes[1..].copy_from_slice(&halves);
        MessageSignature(bytes)
    }
}

fn digest(message: &[u8]) -> Message {
    let mut engine = sha256d::Hash::engine();
    engine.input(PREFIX);
    engine.input(message);
    Message::from_digest(sha256d::Hash::from_engine(engine).to_byte_array())
}

impl fmt::Display for MessageSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&zbase32::encode(&self.0))
    }
}

impl fmt::Debug for MessageSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Hex(&self.0), f)
    }
}

impl FromStr for MessageSignature {
    type Err = SignatureFault;

    fn from_str(text: &str) -> Result<MessageSignature, SignatureFault> {
        MessageSignature::from_bytes(&zbase32::decode(text)?)
    }
}
