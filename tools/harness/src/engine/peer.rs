//! The peer's keys. No memory keeps it from signing whatever it likes.

use bitcoin::secp256k1::{Message as Digest, SECP256K1, SecretKey};
use tx::{Basepoints, Close, CommitmentSeed, Meaning, Party, SecretIndex, Terms, derived_secret};
use wire::amount::{CsvDelay, Sat};
use wire::id::{CommitmentNumber, PerCommitmentSecret};
use wire::key::{Point, Signature};

pub(super) struct Peer {
    funding: SecretKey,
    htlc: SecretKey,
    pub(super) party: Party,
    seed: CommitmentSeed,
}

impl Peer {
    pub(super) fn new() -> Self {
        let key = |byte| SecretKey::from_slice(&[byte; 32]).expect("small repeated bytes are one");
        let point = |byte| Point::from(key(byte).public_key(SECP256K1));
        let keys = Basepoints {
            revocation: point(0x22),
            payment: point(0x23),
            delayed_payment: point(0x24),
            htlc: point(0x25),
        };
        let party =
            Party { funding_key: point(0x21), keys, dust_limit: Sat(354), delay: CsvDelay(144) };
        let (funding, htlc) = (key(0x21), key(0x25));
        Self { funding, htlc, party, seed: CommitmentSeed::take(&mut [0x26; 32]) }
    }

    pub(super) fn secret(&self, number: CommitmentNumber) -> PerCommitmentSecret {
        self.seed.secret(index(number))
    }

    pub(super) fn point(&self, number: CommitmentNumber) -> Point {
        self.seed.point(index(number))
    }

    /// Its signatures of a commitment of ours, and of the second stages.
    pub(super) fn sign(&self, terms: &Terms, meaning: &Meaning) -> (Signature, Vec<Signature>) {
        let built = meaning.build(terms);
        let htlc = derived_secret(&self.htlc, &meaning.point);
        let stages = built.second_stages(terms, meaning);
        let stages = stages.map(|it| signed(it.digest(it.other_sighash), &htlc)).collect();
        (signed(built.digest(terms), &self.funding), stages)
    }

    /// Its signature of a close, if there is such a one.
    pub(super) fn sign_close(&self, terms: &Terms, close: &Close) -> Option<Signature> {
        let built = close.build(terms)?;
        Some(signed(Close::digest(terms, &built), &self.funding))
    }
}

fn signed(digest: [u8; 32], key: &SecretKey) -> Signature {
    SECP256K1.sign_ecdsa(&Digest::from_digest(digest), key).into()
}

/// Numbers of a run are small.
fn index(number: CommitmentNumber) -> SecretIndex {
    SecretIndex::of(CommitmentNumber(number.0 % (1 << 40))).expect("there are more")
}
