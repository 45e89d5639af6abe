//! An onion from its hops.

use core::fmt;

use wire::{bigsize, id::OnionPacket, key::Point};

use crate::{
    keys::{HMAC_BYTES, KeyType, apply_stream, blinding_factor, hmac},
    packet::{AssociatedData, HOPS_MAX, PAYLOAD_BYTES_MIN, PAYLOADS_BYTES, join},
    planted,
    returning::{Origin, ReturnKeys},
    secret::{SessionKey, SharedSecret, public},
};

/// One hop: who it is, and what it is told.
#[derive(Clone, PartialEq, Eq)]
pub struct Hop {
    /// The node's key.
    pub node: Point,
    /// Any bytes; for payments a TLV stream, see [`ForwardPayload`](crate::ForwardPayload) and
    /// [`FinalPayload`](crate::FinalPayload).
    pub payload: Vec<u8>,
}

impl fmt::Debug for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is told {} bytes", self.node, self.payload.len())
    }
}

/// Hops that fit into an onion, the nearest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hops(Vec<Hop>);

/// Why hops make no onion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HopsFault {
    /// There must be one.
    None,
    /// There are too many.
    TooMany {
        /// How many.
        got: usize,
        /// The most there may be.
        max: usize,
    },
    /// A payload is too short to be told from what the protocol reserves.
    PayloadTooShort {
        /// Whose, counted from 0.
        hop: usize,
        /// Its bytes.
        got: usize,
        /// The fewest there may be.
        min: usize,
    },
    /// The payloads, each with its length and HMAC, have no room.
    PayloadsTooLong {
        /// Their bytes.
        got: usize,
        /// The most there may be.
        max: usize,
    },
}

/// An onion, and what its maker keeps.
pub struct Onion {
    /// For the first hop.
    pub packet: Box<OnionPacket>,
    /// Reads the failure that may come back.
    pub origin: Origin,
}

/// What is known of a hop while the onion is made.
struct Layer<'a> {
    payload: &'a [u8],
    shared: SharedSecret,
}

impl Layer<'_> {
    /// Bytes of the payload with its length and HMAC.
    fn size(&self) -> usize {
        layer_size(self.payload)
    }
}

impl Hops {
    /// Refuses what does not fit.
    pub fn new(hops: Vec<Hop>) -> Result<Self, HopsFault> {
        if hops.is_empty() {
            return Err(HopsFault::None);
        }
        if hops.len() > HOPS_MAX {
            return Err(HopsFault::TooMany { got: hops.len(), max: HOPS_MAX });
        }
        for (at, hop) in hops.iter().enumerate() {
            let (got, min) = (hop.payload.len(), PAYLOAD_BYTES_MIN);
            if got < min {
                return Err(HopsFault::PayloadTooShort { hop: at, got, min });
            }
        }
        let got = hops.iter().map(|hop| layer_size(&hop.payload)).sum();
        if got > PAYLOADS_BYTES {
            return Err(HopsFault::PayloadsTooLong { got, max: PAYLOADS_BYTES });
        }
        Ok(Self(hops))
    }

    /// The hops, the nearest first.
    pub fn hops(&self) -> &[Hop] {
        &self.0
    }

    /// Makes the onion. The same session key with the same hops and data makes the same one.
    pub fn wrap(&self, session: SessionKey, data: &AssociatedData) -> Onion {
        let (ephemeral, layers) = self.layers(&session);
        let filler = filler(&layers);
        let mut payloads = Box::new([0; PAYLOADS_BYTES]);
        apply_stream(KeyType::Pad.of(session.bytes()).bytes(), payloads.as_mut_slice());
        let mut next_hmac = [0; HMAC_BYTES];
        for (at, layer) in layers.iter().enumerate().rev() {
            let size = layer.size();
            payloads.copy_within(..PAYLOADS_BYTES - size, size);
            let mut head = Vec::with_capacity(size);
            bigsize::write(layer.payload.len() as u64, &mut head);
            head.extend_from_slice(layer.payload);
            head.extend_from_slice(&next_hmac);
            payloads[..size].copy_from_slice(&head);
            apply_stream(KeyType::Rho.of(layer.shared.bytes()).bytes(), payloads.as_mut_slice());
            // BOLT 4: "If this is the last hop, i.e. the first iteration, then the tail of the
            // `hop_payloads` field is overwritten with the routing information `filler`."
            if at == layers.len() - 1 {
                payloads[PAYLOADS_BYTES - filler.len()..].copy_from_slice(&filler);
            }
            let mu = planted::packet_key().of(layer.shared.bytes());
            next_hmac = hmac(mu.bytes(), &[payloads.as_slice(), planted::bound_to(data)]);
        }
        let origin = layers.iter().map(|layer| ReturnKeys::of(&layer.shared)).collect();
        Onion { packet: join(&ephemeral, &payloads, &next_hmac), origin: Origin::of(origin) }
    }

    /// The first ephemeral key, and the secret of each hop.
    fn layers(&self, session: &SessionKey) -> (Point, Vec<Layer<'_>>) {
        let mut key = session.key();
        let first = public(&key);
        let mut layers = Vec::with_capacity(self.0.len());
        for Hop { node, payload } in &self.0 {
            let shared = SharedSecret::between(&key, node);
            let factor = blinding_factor(&public(&key), &shared);
            let next = key.mul_tweak(&factor).expect("nobody finds a hash that is zero");
            key.non_secure_erase();
            key = next;
            layers.push(Layer { payload, shared });
        }
        key.non_secure_erase();
        (first, layers)
    }
}

/// The end of the last hop's packet, as all hops before it will have made it: each shifts zeros in
/// and hides them with its stream.
fn filler(layers: &[Layer<'_>]) -> Vec<u8> {
    let mut filler = Vec::with_capacity(PAYLOADS_BYTES);
    for layer in &layers[..layers.len() - 1] {
        let begins = PAYLOADS_BYTES - filler.len();
        filler.resize(filler.len() + layer.size(), 0);
        let mut stream = [0; 2 * PAYLOADS_BYTES];
        apply_stream(KeyType::Rho.of(layer.shared.bytes()).bytes(), &mut stream);
        let stream = &stream[planted::filler_begins(begins)..];
        filler.iter_mut().zip(stream).for_each(|(byte, mask)| *byte ^= mask);
    }
    filler
}

fn layer_size(payload: &[u8]) -> usize {
    bigsize::size(payload.len() as u64) + payload.len() + HMAC_BYTES
}

impl fmt::Display for HopsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HopsFault::None => f.write_str("0 hops, at least 1"),
            HopsFault::TooMany { got, max } => write!(f, "{got} hops, at most {max}"),
            HopsFault::PayloadTooShort { hop, got, min } => {
                write!(f, "the payload of hop {hop} has {got} bytes, at least {min}")
            }
            HopsFault::PayloadsTooLong { got, max } => {
                write!(f, "the payloads need {got} bytes, at most {max}")
            }
        }
    }
}

impl core::error::Error for HopsFault {}
