//! One layer off an onion.

use core::fmt::{self, Debug};

use bitcoin::hashes::{Hash as _, cmp::fixed_time_eq, sha256};
use secp256k1::SECP256K1;
use static_assertions::assert_not_impl_any;
use wire::{
    bigsize,
    fault::Broke,
    id::{FailureCode, OnionHash, OnionPacket},
    key::Point,
    reader::Reader,
};

use crate::{
    failure::Failure,
    keys::{HMAC_BYTES, KeyType, apply_stream, blinding_factor, hmac},
    packet::{
        AssociatedData, PAYLOAD_BYTES_MAX, PAYLOAD_BYTES_MIN, PAYLOADS_BYTES, Parts, VERSION, join,
    },
    payload::{BadPayload, FinalPayload, ForwardPayload, PayloadFlaw},
    planted,
    returning::ReturnKeys,
    secret::SharedSecret,
};

assert_not_impl_any!(Peeled: Clone, Debug);

/// A packet of our version with a key on the curve; everything else in it is still to be proven.
#[derive(Clone, Copy)]
pub struct Sealed<'a> {
    packet: &'a OnionPacket,
    ephemeral: Point,
}

/// What was under a layer whose HMAC fits.
pub struct Peeled {
    /// Fails the HTLC, and passes on the failures of others.
    pub return_keys: ReturnKeys,
    /// What the origin has put there. A bad one is answered with
    /// [`Failure::InvalidOnionPayload`] under the keys above.
    pub layer: Result<Layer, BadPayload>,
}

/// The bytes for one hop, not read yet.
#[derive(Clone, PartialEq, Eq)]
pub enum Layer {
    /// The onion ends here.
    Final {
        /// For us.
        payload: Vec<u8>,
    },
    /// There is a hop behind us.
    Forward {
        /// For us.
        payload: Vec<u8>,
        /// For the next hop.
        next: Box<OnionPacket>,
    },
}

/// What a hop is to do, read from its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// The payment is for us.
    Receive(FinalPayload),
    /// The payment goes on.
    Forward {
        /// Where to, and how much.
        payload: ForwardPayload,
        /// For the next hop.
        next: Box<OnionPacket>,
    },
}

/// An onion that is answered with `update_fail_malformed_htlc`: nothing in it can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadOnion {
    /// What is wrong.
    pub flaw: OnionFlaw,
    /// Names the onion.
    pub sha256_of_onion: OnionHash,
}

/// What is wrong with a [`BadOnion`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnionFlaw {
    /// A version nobody knows.
    Version {
        /// Its first byte.
        got: u8,
        /// The byte it must be.
        want: u8,
    },
    /// Its key is no compressed point of the curve.
    Key {
        /// The key's first byte: 2 or 3 in a good one.
        prefix: u8,
    },
    /// It was not made for this node and this payment, or was changed on its way.
    Hmac,
}

impl<'a> Sealed<'a> {
    /// Refuses what cannot be peeled by anybody.
    pub fn parse(packet: &'a OnionPacket) -> Result<Self, BadOnion> {
        let parts = Parts::of(packet);
        // BOLT 4: "if `version` is not 0: MUST abort processing the packet and fail."
        if parts.version != VERSION {
            let flaw = OnionFlaw::Version { got: parts.version, want: VERSION };
            return Err(BadOnion::new(flaw, packet));
        }
        // BOLT 4: "if `public_key` is not a valid pubkey: MUST abort processing the packet and
        // fail."
        let ephemeral = Point::parse(parts.ephemeral)
            .map_err(|_| BadOnion::new(OnionFlaw::Key { prefix: parts.ephemeral[0] }, packet))?;
        Ok(Self { packet, ephemeral })
    }

    /// The point whose product with the node's key is the shared secret. Behind a blinded path the
    /// key holder multiplies it first, by what follows from the `path_key`; nothing else changes.
    pub fn ephemeral(&self) -> &Point {
        &self.ephemeral
    }

    /// Takes our layer off. Nothing that follows from `shared` is told of an onion that was not
    /// made with it.
    pub fn peel(&self, data: &AssociatedData, shared: &SharedSecret) -> Result<Peeled, BadOnion> {
        let parts = Parts::of(self.packet);
        let mu = planted::packet_key().of(shared.bytes());
        let want = hmac(mu.bytes(), &[parts.payloads.as_slice(), planted::bound_to(data)]);
        // BOLT 4: "MUST use a constant time comparison of the computed HMAC and `hmac`."
        if !fixed_time_eq(&want, parts.hmac) {
            return Err(BadOnion::new(OnionFlaw::Hmac, self.packet));
        }
        let mut bytes = vec![0; 2 * PAYLOADS_BYTES];
        bytes[..PAYLOADS_BYTES].copy_from_slice(parts.payloads);
        apply_stream(KeyType::Rho.of(shared.bytes()).bytes(), &mut bytes);
        let layer = cut(&bytes).map(|Cut { payload, next_hmac, next_payloads }| {
            let payload = payload.to_vec();
            if planted::takes_for_final(next_hmac) {
                return Layer::Final { payload };
            }
            let next = join(&self.next_ephemeral(shared), next_payloads, next_hmac);
            Layer::Forward { payload, next }
        });
        Ok(Peeled { return_keys: ReturnKeys::of(shared), layer })
    }

    fn next_ephemeral(&self, shared: &SharedSecret) -> Point {
        let factor = blinding_factor(&self.ephemeral, shared);
        let next = self.ephemeral.key().mul_tweak(SECP256K1, &factor);
        next.expect("nobody finds a hash that is zero").into()
    }
}

/// A layer as it stands in the payloads.
struct Cut<'a> {
    payload: &'a [u8],
    next_hmac: &'a [u8; HMAC_BYTES],
    next_payloads: &'a [u8; PAYLOADS_BYTES],
}

fn cut(bytes: &[u8]) -> Result<Cut<'_>, BadPayload> {
    let nowhere = |flaw| BadPayload { at: None, flaw };
    let broke = |broke: Broke| nowhere(PayloadFlaw::Broke(broke));
    let mut left = Reader::new(bytes);
    let length = bigsize::read(&mut left).map_err(broke)?;
    if length < PAYLOAD_BYTES_MIN as u64 {
        return Err(nowhere(PayloadFlaw::TooShort { got: length, min: PAYLOAD_BYTES_MIN }));
    }
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let payload = left.take(length).map_err(broke)?;
    let next_hmac = left.array().map_err(broke)?;
    // BOLT 4: "If `unwrapped_payloads` is smaller than `hop_payloads`: MUST abort processing the
    // packet and fail."
    let next_payloads = left.array().map_err(|_| {
        nowhere(PayloadFlaw::TooLong { got: payload.len(), max: PAYLOAD_BYTES_MAX })
    })?;
    Ok(Cut { payload, next_hmac, next_payloads })
}

impl Layer {
    /// The bytes for us.
    pub fn payload(&self) -> &[u8] {
        match self {
            Layer::Final { payload } | Layer::Forward { payload, .. } => payload,
        }
    }

    /// Reads the bytes as those of a payment.
    pub fn read(self) -> Result<Instruction, BadPayload> {
        match self {
            Layer::Final { payload } => FinalPayload::parse(&payload).map(Instruction::Receive),
            Layer::Forward { payload, next } => {
                let payload = ForwardPayload::parse(&payload)?;
                Ok(Instruction::Forward { payload, next })
            }
        }
    }
}

impl Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.payload().len();
        match self {
            Layer::Final { .. } => write!(f, "final, {bytes} bytes"),
            Layer::Forward { .. } => write!(f, "to be forwarded, {bytes} bytes"),
        }
    }
}

impl BadOnion {
    fn new(flaw: OnionFlaw, packet: &OnionPacket) -> Self {
        let hash = sha256::Hash::hash(&packet.0).to_byte_array();
        Self { flaw, sha256_of_onion: OnionHash(hash) }
    }

    /// `failure_code` of `update_fail_malformed_htlc`.
    pub fn code(&self) -> FailureCode {
        self.failure().code()
    }

    /// The failure that whoever has sent us the onion makes of it.
    pub fn failure(&self) -> Failure {
        let sha256_of_onion = self.sha256_of_onion;
        match self.flaw {
            OnionFlaw::Version { .. } => Failure::InvalidOnionVersion { sha256_of_onion },
            OnionFlaw::Key { .. } => Failure::InvalidOnionKey { sha256_of_onion },
            OnionFlaw::Hmac => Failure::InvalidOnionHmac { sha256_of_onion },
        }
    }
}

impl fmt::Display for BadOnion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "onion {}: ", self.sha256_of_onion)?;
        match self.flaw {
            OnionFlaw::Version { got, want } => write!(f, "version {got} instead of {want}"),
            OnionFlaw::Key { prefix } => {
                write!(f, "no point on the curve, it begins with {prefix}")
            }
            OnionFlaw::Hmac => f.write_str("its HMAC does not fit: forged, damaged, or not for us"),
        }
    }
}

impl core::error::Error for BadOnion {}
