//! The devnet's own money: what it mines for itself, and hands out to test wallets.

use std::collections::BTreeMap;

use bitcoin::{
    Amount, CompressedPublicKey, EcdsaSighashType, OutPoint, PrivateKey, Script, ScriptBuf,
    Sequence, Transaction, TxIn, TxOut, Witness,
    absolute::LockTime,
    ecdsa,
    secp256k1::{All, Message, Secp256k1, SecretKey},
    sighash::SighashCache,
    transaction,
};

use crate::{
    ledger::{Ledger, MATURITY_BLOCKS},
    mempool::{Mempool, Rate},
};

/// Everybody knows this key: its money is worth nothing.
const KEY: [u8; 32] = [0x42; 32];
/// What funding pays for its way into a block.
const RATE: Rate = Rate::sat_per_kvb(2_000);
/// Virtual bytes of a payment but for its inputs, and of an input.
const FRAME_VBYTES: u64 = 11 + 2 * 43;
const INPUT_VBYTES: u64 = 69;
/// What a change output has at least.
const CHANGE_MIN: Amount = Amount::from_sat(1_000);

/// The devnet's own key.
pub struct Bank {
    secp: Secp256k1<All>,
    key: SecretKey,
    public: CompressedPublicKey,
    script: ScriptBuf,
}

impl std::fmt::Debug for Bank {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bank({})", self.script)
    }
}

impl Bank {
    pub(crate) fn new() -> Self {
        let secp = Secp256k1::new();
        let key = SecretKey::from_slice(&KEY).expect("between 1 and the order");
        let private = PrivateKey::new(key, bitcoin::NetworkKind::Test);
        let public = CompressedPublicKey::from_private_key(&secp, &private)
            .expect("a new private key is for compressed public ones");
        let script = ScriptBuf::new_p2wpkh(&public.wpubkey_hash());
        Self { secp, key, public, script }
    }

    /// Where its money is.
    pub fn script(&self) -> &Script {
        &self.script
    }

    /// The key to it, which everybody knows.
    pub const fn key(&self) -> SecretKey {
        self.key
    }

    /// What it can spend in the next block: in the chain first, the largest first; then what waits.
    pub(crate) fn coins(&self, ledger: &Ledger, pool: &Mempool) -> Vec<(OutPoint, Amount)> {
        let next = ledger.height() + 1;
        let free = |outpoint: &OutPoint| pool.spender(outpoint).is_none();
        let mut coins: Vec<(OutPoint, Amount)> = ledger
            .coins()
            .iter()
            .filter(|(_, coin)| coin.output.script_pubkey == self.script)
            .filter(|(_, coin)| !coin.coinbase || next - coin.height >= MATURITY_BLOCKS)
            .filter(|(outpoint, _)| free(outpoint))
            .map(|(outpoint, coin)| (*outpoint, coin.output.value))
            .collect();
        coins.sort_by_key(|(outpoint, value)| (std::cmp::Reverse(*value), *outpoint));
        for entry in pool.entries() {
            let outputs = (0..).zip(&entry.tx.output);
            let ours = outputs.filter(|(_, output)| output.script_pubkey == self.script);
            let ours =
                ours.map(|(vout, output)| (OutPoint { txid: entry.txid, vout }, output.value));
            coins.extend(ours.filter(|(outpoint, _)| free(outpoint)));
        }
        coins
    }

    /// A payment. Output 0 is what was asked for; or what there is, and what there should be.
    pub(crate) fn pay(
        &self,
        coins: &[(OutPoint, Amount)],
        to: TxOut,
    ) -> Result<Transaction, (Amount, Amount)> {
        let (mut have, mut need) = (Amount::ZERO, to.value + RATE.fee(FRAME_VBYTES));
        let mut inputs = BTreeMap::new();
        for (outpoint, value) in coins {
            if have >= need {
                break;
            }
            inputs.insert(*outpoint, *value);
            have += *value;
            need += RATE.fee(INPUT_VBYTES);
        }
        let change = have.checked_sub(need).ok_or((have, need))?;
        let mut output = vec![to];
        if change >= CHANGE_MIN {
            output.push(TxOut { value: change, script_pubkey: self.script.clone() });
        }
        let input = |outpoint: &OutPoint| TxIn {
            previous_output: *outpoint,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::new(),
        };
        let mut tx = Transaction {
            version: transaction::Version::TWO,
            lock_time: LockTime::ZERO,
            input: inputs.keys().map(input).collect(),
            output,
        };
        let values: Vec<Amount> = inputs.into_values().collect();
        self.sign(&mut tx, &values);
        Ok(tx)
    }

    /// Signs all inputs, which spend so much each of this bank's money.
    pub fn sign(&self, tx: &mut Transaction, values: &[Amount]) {
        let sighash_type = EcdsaSighashType::All;
        let mut cache = SighashCache::new(&mut *tx);
        for (input, value) in values.iter().enumerate() {
            let hash = cache.p2wpkh_signature_hash(input, &self.script, *value, sighash_type);
            let hash = hash.expect("the input is there, and the script is of this kind");
            let message = Message::from(hash);
            // With a fixed nonce: the same payment is the same transaction.
            let signature = self.secp.sign_ecdsa(&message, &self.key);
            let signature = ecdsa::Signature { signature, sighash_type };
            let witness = Witness::p2wpkh(&signature, &self.public.0);
            *cache.witness_mut(input).expect("the input is there") = witness;
        }
    }
}
