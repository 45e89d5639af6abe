//! The coins of LDK's node: from one key, to pay for what cannot pay by itself.

use std::sync::{Arc, Mutex};

use bitcoin::{
    CompressedPublicKey, EcdsaSighashType, OutPoint, Psbt, ScriptBuf, Transaction, TxOut, Witness,
    ecdsa,
    secp256k1::{Message, SECP256K1, SecretKey},
    sighash::SighashCache,
};
use lightning::chain::chaininterface::{
    BroadcasterInterface as _, ConfirmationTarget, FeeEstimator as _,
};
use lightning::events::bump_transaction::{
    Utxo,
    sync::{BumpTransactionEventHandlerSync, WalletSourceSync, WalletSync},
};
use lightning::sign::{KeysManager, OutputSpender as _, SpendableOutputDescriptor};

use super::parts::{Lines, Published, Rates};

/// Whatever LDK wants to be bumped goes through this.
pub type Bumper = BumpTransactionEventHandlerSync<
    Arc<Published>,
    Arc<WalletSync<Arc<Purse>, Arc<Lines>>>,
    Arc<KeysManager>,
    Arc<Lines>,
>;

/// One key, and its coins in blocks.
pub struct Purse {
    key: SecretKey,
    public: CompressedPublicKey,
    coins: Mutex<Vec<(OutPoint, TxOut)>>,
}

impl Purse {
    /// Without coins.
    pub fn new(seed: u8) -> Self {
        let key = SecretKey::from_slice(&[seed; 32]).expect("below the order");
        let public = CompressedPublicKey(key.public_key(SECP256K1));
        Self { key, public, coins: Mutex::new(Vec::new()) }
    }

    /// Where its money is.
    pub fn script(&self) -> ScriptBuf {
        ScriptBuf::new_p2wpkh(&self.public.wpubkey_hash())
    }

    /// These are its coins now.
    pub fn set(&self, coins: Vec<(OutPoint, TxOut)>) {
        *self.coins.lock().expect("no test panics with it") = coins;
    }

    fn coins(&self) -> Vec<(OutPoint, TxOut)> {
        self.coins.lock().expect("no test panics with it").clone()
    }
}

impl WalletSourceSync for Purse {
    fn list_confirmed_utxos(&self) -> Result<Vec<Utxo>, ()> {
        let hash = self.public.wpubkey_hash();
        let coins = self.coins().into_iter();
        Ok(coins.map(|(at, output)| Utxo::new_v0_p2wpkh(at, output.value, &hash)).collect())
    }

    fn get_change_script(&self) -> Result<ScriptBuf, ()> {
        Ok(self.script())
    }

    fn sign_psbt(&self, psbt: Psbt) -> Result<Transaction, ()> {
        let mut transaction = psbt.extract_tx_unchecked_fee_rate();
        let coins = self.coins();
        for index in 0..transaction.input.len() {
            let spent = transaction.input[index].previous_output;
            let Some((_, output)) = coins.iter().find(|(at, _)| *at == spent) else { continue };
            let kind = EcdsaSighashType::All;
            let mut cache = SighashCache::new(&transaction);
            let hash = cache
                .p2wpkh_signature_hash(index, &output.script_pubkey, output.value, kind)
                .map_err(|_| ())?;
            let signature = SECP256K1.sign_ecdsa(&Message::from(hash), &self.key);
            let signature = ecdsa::Signature { signature, sighash_type: kind };
            transaction.input[index].witness = Witness::p2wpkh(&signature, &self.public.0);
        }
        Ok(transaction)
    }
}

/// What LDK can spend comes to its wallet.
pub fn sweep(
    keys: &KeysManager,
    published: &Published,
    (rates, to): (&Rates, ScriptBuf),
    outputs: &[SpendableOutputDescriptor],
) {
    let rate = rates.get_est_sat_per_1000_weight(ConfirmationTarget::OutputSpendingFee);
    let all: Vec<_> = outputs.iter().collect();
    let swept = keys.spend_spendable_outputs(&all, Vec::new(), to, rate, None, SECP256K1);
    published.broadcast_transactions(&[&swept.expect("they are worth it")]);
}

/// Bumps with the coins of a purse.
pub fn bumper(
    purse: &Arc<Purse>,
    published: &Arc<Published>,
    keys: &Arc<KeysManager>,
    log: &Arc<Lines>,
) -> Bumper {
    let wallet = Arc::new(WalletSync::new(Arc::clone(purse), Arc::clone(log)));
    let (published, keys, log) = (Arc::clone(published), Arc::clone(keys), Arc::clone(log));
    BumpTransactionEventHandlerSync::new(published, wallet, keys, log)
}
