//! A transaction that takes money on chain, before it is signed.

use std::collections::BTreeSet;

use bitcoin::sighash::{Prevouts, SighashCache};
use bitcoin::{
    EcdsaSighashType, OutPoint, TapSighashType, Transaction, TxOut, XOnlyPublicKey, absolute,
    hashes::Hash as _, transaction,
};
use secp256k1::{Message, SECP256K1, schnorr};
use wire::amount::{LockTime, Sat};
use wire::key::Signature;

use super::{ClaimFault, Coin, Lock};

/// Outputs of channels that one transaction takes, and coins that it takes: as many as the
/// contracts of both sides, and what else a commitment has.
pub const CLAIM_INPUTS_MAX: usize = 970;
/// What one transaction may weigh: heavier ones are not relayed.
pub const SWEEP_WEIGHT_MAX: u64 = 400_000;
/// Lock times from here on are times.
const TIMES_FROM: u32 = absolute::LOCK_TIME_THRESHOLD;

/// A transaction that lacks signatures of one side's keys alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsigned {
    /// The transaction, without any witness.
    pub transaction: Transaction,
    /// Its first inputs.
    pub locks: Vec<Lock>,
    /// Its other inputs.
    pub coins: Vec<Coin>,
}

/// A signature of one input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputSignature {
    /// Of an output of a channel.
    Channel(Signature),
    /// Of a coin.
    Coin(schnorr::Signature),
}

impl Unsigned {
    /// All inputs, in their order, and these outputs.
    pub(super) fn new(
        locks: Vec<Lock>,
        coins: Vec<Coin>,
        output: Vec<TxOut>,
        lock_time: LockTime,
    ) -> Result<Self, ClaimFault> {
        let inputs = locks.iter().map(Lock::input).chain(coins.iter().map(Coin::input));
        let transaction = Transaction {
            version: transaction::Version::TWO,
            lock_time: absolute::LockTime::from_consensus(lock_time.0),
            input: inputs.collect(),
            output,
        };
        let unsigned = Self { transaction, locks, coins };
        let (got, max) = (unsigned.weight_max(), SWEEP_WEIGHT_MAX);
        if got > max {
            return Err(ClaimFault::Weight { got, max });
        }
        Ok(unsigned)
    }

    /// The outputs that are spent, in the order of the inputs.
    pub fn spent(&self) -> Vec<TxOut> {
        let locked = self.locks.iter().map(|it| it.spent.clone());
        locked.chain(self.coins.iter().map(Coin::spent)).collect()
    }

    /// What is signed, input by input.
    pub fn digests(&self) -> Vec<[u8; 32]> {
        let mut cache = SighashCache::new(&self.transaction);
        let mut digests = Vec::with_capacity(self.transaction.input.len());
        for (input, lock) in self.locks.iter().enumerate() {
            let (code, value) = (&lock.code, lock.spent.value);
            // That of P2WPKH is the same with the script of BIP 143, which `code` is.
            let hash = cache.p2wsh_signature_hash(input, code, value, EcdsaSighashType::All);
            digests.push(hash.expect("every lock has its input").to_byte_array());
        }
        let (spent, first) = (self.spent(), self.locks.len());
        for input in first..self.transaction.input.len() {
            let all = Prevouts::All(&spent);
            let hash = cache.taproot_key_spend_signature_hash(input, &all, TapSighashType::Default);
            digests.push(hash.expect("every input has its output").to_byte_array());
        }
        digests
    }

    /// What the signed transaction weighs, at most; less only by what signatures vary.
    pub fn weight_max(&self) -> u64 {
        let mut longest = self.transaction.clone();
        let locked = self.locks.iter().map(Lock::longest);
        let all = locked.chain(self.coins.iter().map(|_| Coin::longest()));
        for (input, witness) in longest.input.iter_mut().zip(all) {
            input.witness = witness;
        }
        longest.weight().to_wu()
    }

    /// The same in virtual bytes, by which fees are counted.
    pub fn vsize_max(&self) -> u64 {
        self.weight_max().div_ceil(4)
    }

    /// What it costs.
    pub fn fee(&self) -> Sat {
        let spent: u64 = self.spent().iter().map(|it| it.value.to_sat()).sum();
        let paid: u64 = self.transaction.output.iter().map(|it| it.value.to_sat()).sum();
        Sat(spent - paid)
    }

    /// The transaction with these signatures, one for each input in its order; none of them may
    /// be another one.
    pub fn signed(&self, signatures: &[InputSignature]) -> Result<Transaction, ClaimFault> {
        let (got, of) = (signatures.len(), self.transaction.input.len());
        if got != of {
            return Err(ClaimFault::Signatures { got, want: of });
        }
        let mut signed = self.transaction.clone();
        for (input, (digest, signature)) in self.digests().iter().zip(signatures).enumerate() {
            let bad = ClaimFault::BadSignature { input, of };
            let message = Message::from_digest(*digest);
            let coin = || self.coins.get(input - self.locks.len());
            signed.input[input].witness = match (self.locks.get(input), signature) {
                (Some(lock), InputSignature::Channel(signature)) => {
                    let key = lock.public.key();
                    let is_signed = SECP256K1.verify_ecdsa(&message, &signature.ecdsa(), key);
                    is_signed.map_err(|_| bad)?;
                    lock.witness(signature)
                }
                (None, InputSignature::Coin(signature)) => {
                    let key = coin().and_then(taproot_key).ok_or(bad)?;
                    let is_signed = SECP256K1.verify_schnorr(signature, &message, &key);
                    is_signed.map_err(|_| bad)?;
                    bitcoin::Witness::from_slice(&[signature.as_ref()])
                }
                (Some(_), InputSignature::Coin(_)) | (None, InputSignature::Channel(_)) => {
                    return Err(bad);
                }
            };
        }
        Ok(signed)
    }
}

fn taproot_key(coin: &Coin) -> Option<XOnlyPublicKey> {
    XOnlyPublicKey::from_slice(coin.script.as_bytes().get(2..)?).ok()
}

/// Whether so many outputs of a channel go with so many coins.
pub(super) const fn count(claims: usize, coins: usize) -> Result<(), ClaimFault> {
    let (min, max) = (1, CLAIM_INPUTS_MAX);
    match claims.saturating_add(coins) {
        _ if claims < min => Err(ClaimFault::Inputs { got: claims, min, max }),
        got if got > max => Err(ClaimFault::Inputs { got, min, max }),
        _ => Ok(()),
    }
}

/// What locks and coins hold together, if they can be spent together at all.
pub(super) fn sum(locks: &[Lock], coins: &[Coin]) -> Result<Sat, ClaimFault> {
    let mut seen: BTreeSet<OutPoint> = BTreeSet::new();
    let mut sum = 0u64;
    let locked = locks.iter().map(|it| (it.outpoint, it.spent.value.to_sat()));
    for (outpoint, value) in locked.chain(coins.iter().map(|it| (it.outpoint, it.value.0))) {
        let max = Sat::MAX_MONEY;
        sum = sum.saturating_add(value);
        if sum > max.0 {
            return Err(ClaimFault::TooMuch { got: Sat(sum), max });
        }
        if !seen.insert(outpoint) {
            return Err(ClaimFault::Twice { outpoint });
        }
    }
    for coin in coins {
        let outpoint = coin.outpoint;
        if !coin.script.is_p2tr() {
            return Err(ClaimFault::NotTaproot { outpoint });
        }
        if coin.sequence.is_relative_lock_time() {
            let (got, min) = (coin.sequence.to_consensus_u32(), 1 << 31);
            return Err(ClaimFault::Waits { outpoint, got, min });
        }
    }
    Ok(Sat(sum))
}

/// The later of two lock times.
pub(super) fn later(one: LockTime, other: LockTime) -> Result<LockTime, ClaimFault> {
    let is_time = |it: LockTime| it.0 >= TIMES_FROM;
    if one.0 != 0 && other.0 != 0 && is_time(one) != is_time(other) {
        return Err(ClaimFault::LockTimes { got: one, want: other });
    }
    Ok(one.max(other))
}
