//! Points and signatures.

use core::fmt;

use secp256k1::PublicKey;

use crate::{
    dice::Dice,
    fault::Broke,
    field::{Field, Fixed, bytes},
    hex::Hex,
    reader::Reader,
};

/// A point on the curve, proven so when it was read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Point(PublicKey);

bytes! {
    /// A node's key as gossip carries it: 33 bytes that nobody has checked.
    ///
    /// Gossip is read in bulk and most of it is old news. Whoever verifies a signature under such
    /// a key must parse it anyway, so it is parsed there, once: [`NodeId::point`].
    NodeId(33) shown;
}

/// An ECDSA signature in 64 bytes, both halves below the order of the curve.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature([u8; 64]);

/// The order of secp256k1, big-endian.
const CURVE_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe,
    0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
];

impl Point {
    /// Refuses bytes that are no compressed point.
    pub fn parse(bytes: &[u8; 33]) -> Result<Self, Broke> {
        PublicKey::from_slice(bytes)
            .map(Self)
            .map_err(|_| Broke::NotOnCurve { bytes: Box::new(*bytes) })
    }

    /// The key that `secp256k1` computes with.
    pub const fn key(&self) -> &PublicKey {
        &self.0
    }

    /// The compressed form.
    pub fn bytes(&self) -> [u8; 33] {
        self.0.serialize()
    }

    /// The same point as gossip carries it.
    pub fn node_id(&self) -> NodeId {
        NodeId(self.bytes())
    }
}

impl From<PublicKey> for Point {
    fn from(key: PublicKey) -> Self {
        Self(key)
    }
}

impl NodeId {
    /// The point, if it is one.
    pub fn point(&self) -> Result<Point, Broke> {
        Point::parse(&self.0)
    }
}

impl Signature {
    /// Refuses halves that are not below the order of the curve.
    #[inline]
    pub fn parse(bytes: &[u8; 64]) -> Result<Self, Broke> {
        let overflow = |half: &[u8]| half >= CURVE_ORDER.as_slice();
        if overflow(&bytes[..32]) {
            return Err(Broke::SignatureOverflow { half: 'r' });
        }
        if overflow(&bytes[32..]) {
            return Err(Broke::SignatureOverflow { half: 's' });
        }
        Ok(Self(*bytes))
    }

    /// The 64 bytes.
    pub const fn bytes(&self) -> &[u8; 64] {
        &self.0
    }

    /// The signature that `secp256k1` verifies.
    pub fn ecdsa(&self) -> secp256k1::ecdsa::Signature {
        secp256k1::ecdsa::Signature::from_compact(&self.0)
            .expect("both halves are below the curve order")
    }
}

impl From<secp256k1::ecdsa::Signature> for Signature {
    fn from(signature: secp256k1::ecdsa::Signature) -> Self {
        Self(signature.serialize_compact())
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Hex(&self.bytes()), f)
    }
}

impl fmt::Debug for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Hex(&self.0), f)
    }
}

impl Field for Point {
    #[inline]
    fn read(from: &mut Reader<'_>) -> Result<Self, Broke> {
        Self::parse(from.array()?)
    }

    #[inline]
    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.bytes());
    }

    #[inline]
    fn size(&self) -> usize {
        33
    }

    fn generate(dice: &mut Dice) -> Self {
        loop {
            let mut bytes: [u8; 33] = dice.array();
            bytes[0] = 2 + (bytes[0] & 1);
            if let Ok(point) = Self::parse(&bytes) {
                return point;
            }
        }
    }
}

impl Fixed for Point {}

impl Field for Signature {
    #[inline]
    fn read(from: &mut Reader<'_>) -> Result<Self, Broke> {
        Self::parse(from.array()?)
    }

    #[inline]
    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.0);
    }

    #[inline]
    fn size(&self) -> usize {
        64
    }

    fn generate(dice: &mut Dice) -> Self {
        let mut bytes: [u8; 64] = dice.array();
        bytes[0] &= 0x7f;
        bytes[32] &= 0x7f;
        Self(bytes)
    }
}

impl Fixed for Signature {}
