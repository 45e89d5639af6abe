//! Keys that change with every commitment, and the points they come from.

use bitcoin::hashes::{Hash as _, HashEngine as _, sha256};
use secp256k1::{PublicKey, SECP256K1, Scalar, SecretKey};
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
pub fn revocation_key_of_base(basepoint: &Point, base: &SecretKey, point: &Point) -> Point {
    sum_of(point, hash(point, basepoint), base, hash(basepoint, point))
}

/// The same, for whoever has the secret of the commitment too.
pub fn revocation_key_of_secret(basepoint: &Point, point: &Point, secret: &SecretKey) -> Point {
    sum_of(basepoint, hash(basepoint, point), secret, hash(point, basepoint))
}

/// `point * by + secret * times * G`.
fn sum_of(point: &Point, by: Scalar, secret: &SecretKey, times: Scalar) -> Point {
    let theirs = point.key().mul_tweak(SECP256K1, &by);
    let theirs = theirs.expect("a hash is neither zero nor above the order");
    let mut ours = secret.mul_tweak(&times).expect("a hash is neither zero nor above the order");
    let sum = theirs.add_exp_tweak(SECP256K1, &ours.into());
    ours.non_secure_erase();
    sum.expect("nobody finds such a pair").into()
}

/// The secret to [`revocation_key`].
pub fn revocation_secret(base: &SecretKey, per_commitment: &SecretKey) -> SecretKey {
    let basepoint = base.public_key(SECP256K1).into();
    let point = per_commitment.public_key(SECP256K1).into();
    let times = |key: &SecretKey, by: Scalar| {
        key.mul_tweak(&by).expect("a hash is neither zero nor above the order")
    };
    let ours = times(base, hash(&basepoint, &point));
    let theirs = times(per_commitment, hash(&point, &basepoint));
    ours.add_tweak(&theirs.into()).expect("nobody finds such a pair")
}

fn hash(first: &Point, second: &Point) -> Scalar {
    let mut engine = sha256::Hash::engine();
    engine.input(&first.bytes());
    engine.input(&second.bytes());
    Scalar::from_be_bytes(sha256::Hash::from_engine(engine).to_byte_array())
        .expect("nobody finds a hash above the order of the curve")
}
