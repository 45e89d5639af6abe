//! What locks an input, and what opens it.

use bitcoin::{
    Amount, EcdsaSighashType, OutPoint, ScriptBuf, Sequence, TxIn, TxOut, Witness, ecdsa,
};
use wire::amount::{LockTime, Sat};
use wire::key::{Point, Signature};

use super::At;

/// Bytes of a signature in a witness, its hash type included: r may need one more byte than its
/// 32, s is low and needs none.
const ECDSA_BYTES_MAX: usize = 72;
/// Bytes of a signature of taproot with the default hash type.
const SCHNORR_BYTES: usize = 64;

/// An output of a channel on its way into a transaction of one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Where it is.
    pub outpoint: OutPoint,
    /// What is spent.
    pub spent: TxOut,
    /// The script that is signed: the witness script, or that of P2WPKH (BIP 143).
    pub code: ScriptBuf,
    /// What the input must have.
    pub sequence: Sequence,
    /// The least that the transaction must have.
    pub lock_time: LockTime,
    /// Which of the claimer's keys signs.
    pub key: SigningKey,
    /// Its public side.
    pub public: Point,
    /// The witness, from the bottom up.
    pub opening: Vec<Opening>,
}

/// A key of whoever claims. The signer knows how each is derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningKey {
    /// From `delayed_payment_basepoint`, with the point of an own commitment.
    Delayed(At),
    /// `payment_basepoint` itself.
    Payment,
    /// From `htlc_basepoint`, with the point of this commitment.
    Contract(At),
    /// From `revocation_basepoint`, with the secret of a revoked commitment of the other.
    Revocation(At),
    /// `funding_pubkey`, of an anchor.
    Funding,
}

/// A piece of a witness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    /// The signature that is still to be made; always of the whole transaction.
    Ours,
    /// What is known.
    Bytes(Vec<u8>),
}

/// A coin of a wallet, of taproot, spent by its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coin {
    /// Where it is.
    pub outpoint: OutPoint,
    /// What it holds. Its signature covers what *all* inputs hold.
    pub value: Sat,
    /// What it pays to.
    pub script: ScriptBuf,
    /// Of its input.
    pub sequence: Sequence,
}

impl Lock {
    pub(super) fn input(&self) -> TxIn {
        unsigned(self.outpoint, self.sequence)
    }

    /// The whole witness.
    pub fn witness(&self, signature: &Signature) -> Witness {
        let (signature, sighash_type) = (signature.ecdsa(), EcdsaSighashType::All);
        self.filled(&ecdsa::Signature { signature, sighash_type }.to_vec())
    }

    /// What the witness weighs at most.
    pub fn witness_weight_max(&self) -> u64 {
        self.longest().size() as u64
    }

    pub(super) fn longest(&self) -> Witness {
        self.filled(&[0; ECDSA_BYTES_MAX])
    }

    fn filled(&self, signature: &[u8]) -> Witness {
        let piece = |it: &'_ Opening| match it {
            Opening::Ours => signature.to_vec(),
            Opening::Bytes(bytes) => bytes.clone(),
        };
        self.opening.iter().map(piece).collect::<Vec<_>>().into()
    }
}

impl Coin {
    pub(super) fn input(&self) -> TxIn {
        unsigned(self.outpoint, self.sequence)
    }

    pub(super) fn spent(&self) -> TxOut {
        TxOut { value: Amount::from_sat(self.value.0), script_pubkey: self.script.clone() }
    }

    pub(super) fn longest() -> Witness {
        Witness::from_slice(&[[0; SCHNORR_BYTES]])
    }
}

fn unsigned(previous_output: OutPoint, sequence: Sequence) -> TxIn {
    TxIn { previous_output, script_sig: ScriptBuf::new(), sequence, witness: Witness::new() }
}
