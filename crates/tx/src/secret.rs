//! The secrets that revoke commitments: made from one seed, kept in 49 places.

use std::fmt;

use bitcoin::hashes::{Hash as _, sha256};
use secp256k1::{SECP256K1, SecretKey};
use static_assertions::assert_not_impl_any;
use wire::id::{CommitmentNumber, PerCommitmentSecret};
use wire::key::Point;
use zeroize::{Zeroize as _, Zeroizing};

assert_not_impl_any!(CommitmentSeed: Clone, Copy, fmt::Debug, fmt::Display);
assert_not_impl_any!(NearSeed<'_>: Clone, Copy, fmt::Debug, fmt::Display);

/// The index of the first secret; the others count down from here.
pub const FIRST_INDEX: SecretIndex = SecretIndex((1 << BITS) - 1);
const BITS: u32 = 48;
/// Secrets are near each other if all but so many bits of their indexes are the same.
const NEAR_BITS: u32 = 4;

/// The place of a secret in the tree that one seed spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretIndex(u64);

impl SecretIndex {
    /// The index of a commitment's secret, if there are that many.
    pub const fn of(number: CommitmentNumber) -> Option<Self> {
        match FIRST_INDEX.0.checked_sub(number.0) {
            Some(index) => Some(Self(index)),
            None => None,
        }
    }

    /// The commitment whose secret stands here.
    pub const fn number(self) -> CommitmentNumber {
        CommitmentNumber(FIRST_INDEX.0 - self.0)
    }

    /// Bits at the end that are zero: the secrets below those can be derived from this one.
    const fn bucket(self) -> u32 {
        let zeros = self.0.trailing_zeros();
        if zeros < BITS { zeros } else { BITS }
    }

    /// The lowest index from here up that ends in exactly so many zeros.
    fn latest(self, bucket: u32) -> Option<Self> {
        if bucket >= BITS {
            return (bucket == BITS && self.0 == 0).then_some(self);
        }
        let end = 1 << bucket;
        let above = self.0.saturating_sub(end).div_ceil(end << 1);
        let index = Self((above * (end << 1)) | end);
        (index <= FIRST_INDEX).then_some(index)
    }
}

/// What one side's secrets of a channel come from. Wiped when dropped.
pub struct CommitmentSeed(Box<[u8; 32]>);

impl CommitmentSeed {
    /// Takes the seed and wipes where it came from.
    pub fn take(bytes: &mut [u8; 32]) -> Self {
        let seed = Self(Box::new(*bytes));
        bytes.zeroize();
        seed
    }

    /// The secret that revokes a commitment.
    pub fn secret(&self, index: SecretIndex) -> PerCommitmentSecret {
        derive(PerCommitmentSecret(*self.0), BITS, index)
    }

    /// What the other side hears before.
    pub fn point(&self, index: SecretIndex) -> Point {
        point_of(self.secret(index))
    }

    /// The same seed, where most of the way to this index, and so to those beside it, is gone once.
    pub fn near(&self, index: SecretIndex) -> NearSeed<'_> {
        let branch = SecretIndex(index.0 >> NEAR_BITS << NEAR_BITS);
        NearSeed { seed: self, branch, secret: Zeroizing::new(self.secret(branch).0) }
    }
}

/// A seed, and the secret from which those beside some index follow. Wiped when dropped.
pub struct NearSeed<'a> {
    seed: &'a CommitmentSeed,
    branch: SecretIndex,
    secret: Zeroizing<[u8; 32]>,
}

impl NearSeed<'_> {
    /// As [`CommitmentSeed::secret`].
    pub fn secret(&self, index: SecretIndex) -> PerCommitmentSecret {
        match index.0 >> NEAR_BITS << NEAR_BITS == self.branch.0 {
            true => derive(PerCommitmentSecret(*self.secret), NEAR_BITS, index),
            false => self.seed.secret(index),
        }
    }

    /// As [`CommitmentSeed::point`].
    pub fn point(&self, index: SecretIndex) -> Point {
        point_of(self.secret(index))
    }
}

fn point_of(mut secret: PerCommitmentSecret) -> Point {
    let mut key = SecretKey::from_slice(&secret.0).expect("nobody finds such a hash");
    let point = key.public_key(SECP256K1).into();
    key.non_secure_erase();
    secret.0.zeroize();
    point
}

impl Drop for CommitmentSeed {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Why a secret is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretFault {
    /// It does not come from the seed of those before it.
    NotDerived {
        /// The commitment that it would revoke.
        number: CommitmentNumber,
        /// The revoked one whose secret does not follow from it.
        conflicts: CommitmentNumber,
    },
    /// Commitments are revoked one after the other.
    OutOfTurn {
        /// The commitment that it would revoke.
        number: CommitmentNumber,
        /// The one that is next.
        next: CommitmentNumber,
    },
}

impl std::error::Error for SecretFault {}

impl fmt::Display for SecretFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretFault::NotDerived { number, conflicts } => {
                write!(f, "the secret of commitment {number} does not fit that of {conflicts}")
            }
            SecretFault::OutOfTurn { number, next } => {
                write!(f, "the secret of commitment {number} comes when that of {next} is due")
            }
        }
    }
}

/// All secrets that the other side has given up, in at most 49 of them. It knows them as well, so
/// they are kept out of logs and not wiped.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RevokedSecrets {
    /// By zero bits at the end of their index.
    kept: Vec<(SecretIndex, PerCommitmentSecret)>,
    revoked: u64,
}

impl RevokedSecrets {
    /// The commitment whose secret comes next.
    pub const fn next(&self) -> CommitmentNumber {
        CommitmentNumber(self.revoked)
    }

    /// Adds the secret of a commitment.
    pub fn insert(
        &mut self,
        number: CommitmentNumber,
        secret: &PerCommitmentSecret,
    ) -> Result<(), SecretFault> {
        let next = self.next();
        let index = SecretIndex::of(number).filter(|_| number == next);
        let index = index.ok_or(SecretFault::OutOfTurn { number, next })?;
        let bucket = index.bucket();
        for (have, kept) in self.kept.iter().take(bucket as usize) {
            if derive(*secret, bucket, *have) != *kept {
                return Err(SecretFault::NotDerived { number, conflicts: have.number() });
            }
        }
        match self.kept.get_mut(bucket as usize) {
            Some(place) => *place = (index, *secret),
            None => self.kept.push((index, *secret)),
        }
        self.revoked += 1;
        Ok(())
    }

    /// The secret of a commitment, if it was revoked.
    pub fn secret(&self, number: CommitmentNumber) -> Option<PerCommitmentSecret> {
        let index = SecretIndex::of(number)?;
        let from = |(bucket, (have, secret)): (u32, &(SecretIndex, PerCommitmentSecret))| {
            let covers = index.0 >> bucket << bucket == have.0;
            covers.then(|| derive(*secret, bucket, index))
        };
        (0..).zip(&self.kept).find_map(from)
    }

    /// What there is to save, beside [`RevokedSecrets::next`].
    pub fn kept(&self) -> impl ExactSizeIterator<Item = &PerCommitmentSecret> {
        self.kept.iter().map(|(_, secret)| secret)
    }

    /// What was saved: nothing if there are not as many as there must be.
    pub fn from_kept(next: CommitmentNumber, kept: &[PerCommitmentSecret]) -> Option<Self> {
        let mut all = Self { kept: Vec::with_capacity(kept.len()), revoked: next.0 };
        let Some(last) = next.0.checked_sub(1) else { return kept.is_empty().then_some(all) };
        let last = SecretIndex::of(CommitmentNumber(last))?;
        for (bucket, secret) in (0..=BITS).zip(kept) {
            all.kept.push((last.latest(bucket)?, *secret));
        }
        let full = last.latest(kept.len() as u32).is_none();
        (full && all.kept.len() == kept.len()).then_some(all)
    }
}

impl fmt::Debug for RevokedSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RevokedSecrets({} revoked)", self.revoked)
    }
}

fn derive(mut secret: PerCommitmentSecret, bits: u32, index: SecretIndex) -> PerCommitmentSecret {
    for bit in (0..bits).rev() {
        if index.0 >> bit & 1 == 1 {
            secret.0[bit as usize / 8] ^= 1 << (bit % 8);
            secret.0 = sha256::Hash::hash(&secret.0).to_byte_array();
        }
    }
    secret
}
