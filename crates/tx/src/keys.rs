//! Keys that change with every commitment, and the points they come from.

use bitcoin::hashes::{Hash as _, HashEngine as _, sha256};
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use secp256k1::{Message, PublicKey, SECP256K1, Scalar, SecretKey};
use wire::key::Point;

use crate::{Side, Terms};

/// What one side shows of its keys when a channel is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Basepoints {
    /// Of the keys that the other side may use once a commitment of this side's peer is revoked.
    pub revocation: Point,
    /// Its key for `to_remote`, which never changes.
    pub payment: Point,
    /// Of its keys for what is delayed.
    pub delayed_payment: Point,
    /// Of its keys in contracts.
    pub htlc: Point,
}

/// The keys of one commitment, all but those of its contracts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitmentKeys {
    /// `revocationpubkey`: the other's, once the owner has given up its secret.
    pub revocation: Point,
    /// `local_delayedpubkey`: the owner's, after its delay.
    pub delayed: Point,
    /// The other's `payment_basepoint`.
    pub other_payment: Point,
}

/// The keys of the contracts in one commitment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContractKeys {
    /// As in [`CommitmentKeys`].
    pub revocation: Point,
    /// `local_htlcpubkey`: the owner's.
    pub owner: Point,
    /// `remote_htlcpubkey`: the other's.
    pub other: Point,
}

impl CommitmentKeys {
    /// The keys of the commitment of `owner` whose `per_commitment_point` is `point`.
    pub fn new(terms: &Terms, owner: Side, point: &Point) -> Self {
        let revocation = revocation_key(&terms.party(owner.other()).keys.revocation, point);
        Self::with_revocation(terms, owner, point, revocation)
    }

    /// The same, for whoever knows one of the two secrets of the revocation key and has it cheaper
    /// ([`revocation_key_of_base`], [`revocation_key_of_secret`]).
    pub fn with_revocation(terms: &Terms, owner: Side, point: &Point, revocation: Point) -> Self {
        let (own, other) = (&terms.party(owner).keys, &terms.party(owner.other()).keys);
        let delayed = derived_key(&own.delayed_payment, point);
        Self { revocation, delayed, other_payment: other.payment }
    }

    /// Those of its contracts.
    pub fn of_contracts(&self, terms: &Terms, owner: Side, point: &Point) -> ContractKeys {
        ContractKeys {
            revocation: self.revocation,
            owner: derived_key(&terms.party(owner).keys.htlc, point),
            other: derived_key(&terms.party(owner.other()).keys.htlc, point),
        }
    }
}

/// `basepoint + SHA256(per_commitment_point || basepoint) * G`.
pub fn derived_key(basepoint: &Point, point: &Point) -> Point {
    let tweak = hash(point, basepoint);
    basepoint.key().add_exp_tweak(SECP256K1, &tweak).expect("nobody finds such a hash").into()
}

/// The secret to [`derived_key`].
pub fn derived_secret(base: &SecretKey, point: &Point) -> SecretKey {
    derived_secret_of(base, &base.public_key(SECP256K1).into(), point)
}

/// The same, for whoever has the basepoint too: no multiplication instead of one.
pub fn derived_secret_of(base: &SecretKey, basepoint: &Point, point: &Point) -> SecretKey {
    base.add_tweak(&hash(point, basepoint)).expect("nobody finds such a hash")
}

/// `revocationpubkey`: neither side knows its secret alone.
pub fn revocation_key(basepoint: &Point, point: &Point) -> Point {
    let times = |key: &PublicKey, by: Scalar| {
        key.mul_tweak(SECP256K1, &by).expect("a hash is neither zero nor above the order")
    };
    let ours = times(basepoint.key(), hash(basepoint, point));
    let theirs = times(point.key(), hash(point, basepoint));
    ours.combine(&theirs).expect("nobody finds such a pair").into()
}

/// The same, for whoever has the secret of the basepoint too: one multiplication instead of two.
/// That secret serves all commitments, so it is multiplied in constant time.
pub fn revocation_key_of_base(basepoint: &Point, base: &SecretKey, point: &Point) -> Point {
    let theirs = point.key().mul_tweak(SECP256K1, &hash(point, basepoint));
    let theirs = theirs.expect("a hash is neither zero nor above the order");
    let mut ours = times(base, &hash(basepoint, point));
    let sum = theirs.combine(&ours.public_key(SECP256K1));
    ours.non_secure_erase();
    sum.expect("nobody finds such a pair").into()
}

/// The same, for whoever has the secret of the commitment too, which is used once and then given
/// up: both multiplications are one, which is not of constant time.
pub fn revocation_key_of_secret(basepoint: &Point, point: &Point, secret: &SecretKey) -> Point {
    let mut plus = times(secret, &hash(point, basepoint));
    let sum = times_plus(basepoint.key(), &hash(basepoint, point), &plus);
    plus.non_secure_erase();
    match sum {
        Some(sum) => sum.into(),
        None => revocation_key(basepoint, point),
    }
}

/// `point * by + plus * G`. Whoever finds the key of a signature does that at once: it is
/// `(point * s - G * digest) / r`, where `r` is the x coordinate of `point`. That has to be below
/// the order, and nearly all are; the few others anybody could choose.
fn times_plus(point: &PublicKey, by: &Scalar, plus: &SecretKey) -> Option<PublicKey> {
    let bytes = point.serialize();
    let (parity, x) = (i32::from(bytes[0] & 1), &bytes[1..]);
    let r = Scalar::from(SecretKey::from_slice(x).ok()?);
    let s = SecretKey::from_slice(&by.to_be_bytes()).expect("a hash is not zero");
    let (s, mut digest) = (times(&s, &r), times(plus, &r).negate());
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(x);
    signature[32..].copy_from_slice(&s.secret_bytes());
    let parity = RecoveryId::from_i32(parity).expect("it is 0 or 1");
    let signature = RecoverableSignature::from_compact(&signature, parity);
    let signature = signature.expect("both are below the order");
    let message = Message::from_digest(digest.secret_bytes());
    digest.non_secure_erase();
    Some(SECP256K1.recover_ecdsa(&message, &signature).expect("nobody finds such a pair"))
}

fn times(key: &SecretKey, by: &Scalar) -> SecretKey {
    key.mul_tweak(by).expect("a hash is neither zero nor above the order")
}

/// The secret to [`revocation_key`].
pub fn revocation_secret(base: &SecretKey, per_commitment: &SecretKey) -> SecretKey {
    let basepoint = base.public_key(SECP256K1).into();
    let point = per_commitment.public_key(SECP256K1).into();
    let ours = times(base, &hash(&basepoint, &point));
    let theirs = times(per_commitment, &hash(&point, &basepoint));
    ours.add_tweak(&theirs.into()).expect("nobody finds such a pair")
}

fn hash(first: &Point, second: &Point) -> Scalar {
    let mut engine = sha256::Hash::engine();
    engine.input(&first.bytes());
    engine.input(&second.bytes());
    Scalar::from_be_bytes(sha256::Hash::from_engine(engine).to_byte_array())
        .expect("nobody finds a hash above the order of the curve")
}
