//! How the 1,366 bytes of a packet are laid out, and what they are bound to.

use wire::{
    id::{OnionPacket, PaymentHash},
    key::Point,
};

use crate::keys::HMAC_BYTES;

/// The only version that exists.
pub const VERSION: u8 = 0;
/// Bytes for all payloads, each with its length and HMAC.
pub const PAYLOADS_BYTES: usize = 1_300;
/// Bytes of a packet.
pub const ONION_BYTES: usize = 1 + POINT_BYTES + PAYLOADS_BYTES + HMAC_BYTES;
/// Hops of an onion.
// BOLT 4: "27 times (maximum route length of tlv payload type)"
pub const HOPS_MAX: usize = 27;
/// Bytes of the shortest payload.
// BOLT 4: "Since no `payload` TLV value can ever be shorter than 2 bytes, `length` values of 0 and
// 1 are reserved."
pub const PAYLOAD_BYTES_MIN: usize = 2;
/// Bytes of the longest payload: alone in its onion, behind a length of three bytes.
pub const PAYLOAD_BYTES_MAX: usize = PAYLOADS_BYTES - 3 - HMAC_BYTES;

pub(crate) const POINT_BYTES: usize = 33;
const PAYLOADS_AT: usize = 1 + POINT_BYTES;
const HMAC_AT: usize = PAYLOADS_AT + PAYLOADS_BYTES;

const _: () = assert!(ONION_BYTES == 1_366);

/// What an onion is bound to without containing it: for anything else it cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssociatedData {
    /// The onion of an HTLC, for its payment hash.
    Payment(PaymentHash),
    /// The onion of a message, which is bound to nothing.
    Message,
}

impl AssociatedData {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            AssociatedData::Payment(hash) => &hash.0,
            AssociatedData::Message => &[],
        }
    }
}

/// The parts of a packet.
pub(crate) struct Parts<'a> {
    pub(crate) version: u8,
    pub(crate) ephemeral: &'a [u8; POINT_BYTES],
    pub(crate) payloads: &'a [u8; PAYLOADS_BYTES],
    pub(crate) hmac: &'a [u8; HMAC_BYTES],
}

impl<'a> Parts<'a> {
    pub(crate) fn of(packet: &'a OnionPacket) -> Self {
        let [version, rest @ ..] = &packet.0;
        let parts = rest.split_first_chunk().and_then(|(ephemeral, rest)| {
            let (payloads, hmac) = rest.split_first_chunk()?;
            Some(Parts { version: *version, ephemeral, payloads, hmac: hmac.first_chunk()? })
        });
        parts.expect("33, 1300 and 32 bytes stand behind the version")
    }
}

/// A packet of its parts.
pub(crate) fn join(
    ephemeral: &Point,
    payloads: &[u8; PAYLOADS_BYTES],
    hmac: &[u8; HMAC_BYTES],
) -> Box<OnionPacket> {
    let mut packet = Box::new(OnionPacket([VERSION; ONION_BYTES]));
    packet.0[1..PAYLOADS_AT].copy_from_slice(&ephemeral.bytes());
    packet.0[PAYLOADS_AT..HMAC_AT].copy_from_slice(payloads);
    packet.0[HMAC_AT..].copy_from_slice(hmac);
    packet
}
