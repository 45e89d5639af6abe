//! Coins of every kind that Lightning uses, and transactions that spend them.

use bitcoin::{
    Amount, CompressedPublicKey, NetworkKind, OutPoint, PrivateKey, ScriptBuf, Sequence,
    Transaction, TxIn, TxOut, Txid, Witness, XOnlyPublicKey,
    absolute::LockTime,
    ecdsa,
    key::TapTweak,
    opcodes::all::{OP_CLTV, OP_CSV, OP_DROP, OP_PUSHNUM_1},
    script::{Builder, PushBytesBuf},
    secp256k1::{All, Keypair, Message, Secp256k1, SecretKey},
    sighash::{EcdsaSighashType, Prevouts, SighashCache, TapSighashType},
    taproot, transaction,
};

/// What a coin is locked with. All keys are the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// P2WPKH.
    Key,
    /// P2PKH.
    OldKey,
    /// P2WPKH within P2SH.
    Nested,
    /// P2TR, by its key.
    Taproot,
    /// P2WSH of a script that is true.
    Anyone,
    /// P2WSH that asks for a relative lock (BIP 112).
    After(u32),
    /// P2WSH that asks for an absolute lock (BIP 65).
    From(u32),
    /// P2A.
    Anchor,
}

/// A coin of ours.
#[derive(Clone, Copy, Debug)]
pub struct Coin {
    pub outpoint: OutPoint,
    pub value: Amount,
    pub lock: Lock,
}

/// The one who has all keys.
pub struct Purse {
    secp: Secp256k1<All>,
    key: SecretKey,
    public: CompressedPublicKey,
}

pub const fn sat(sat: u64) -> Amount {
    Amount::from_sat(sat)
}

impl Purse {
    pub fn new() -> Self {
        let secp = Secp256k1::new();
        let key = SecretKey::from_slice(&[0x17; 32]).expect("a good key");
        let private = PrivateKey::new(key, NetworkKind::Test);
        let public = CompressedPublicKey::from_private_key(&secp, &private).expect("compressed");
        Self { secp, key, public }
    }

    fn x_only(&self) -> XOnlyPublicKey {
        self.public.0.x_only_public_key().0
    }

    fn witness_script(lock: Lock) -> ScriptBuf {
        let (number, op) = match lock {
            Lock::After(number) => (number, OP_CSV),
            Lock::From(number) => (number, OP_CLTV),
            Lock::Key
            | Lock::OldKey
            | Lock::Nested
            | Lock::Taproot
            | Lock::Anyone
            | Lock::Anchor => return Builder::new().push_opcode(OP_PUSHNUM_1).into_script(),
        };
        let script = Builder::new().push_int(i64::from(number)).push_opcode(op);
        script.push_opcode(OP_DROP).push_opcode(OP_PUSHNUM_1).into_script()
    }

    /// The script of an output.
    pub fn script(&self, lock: Lock) -> ScriptBuf {
        match lock {
            Lock::Key => ScriptBuf::new_p2wpkh(&self.public.wpubkey_hash()),
            Lock::OldKey => ScriptBuf::new_p2pkh(&self.public.pubkey_hash()),
            Lock::Nested => ScriptBuf::new_p2sh(&self.script(Lock::Key).script_hash()),
            Lock::Taproot => ScriptBuf::new_p2tr(&self.secp, self.x_only(), None),
            Lock::Anyone | Lock::After(_) | Lock::From(_) => {
                ScriptBuf::new_p2wsh(&Self::witness_script(lock).wscript_hash())
            }
            Lock::Anchor => ScriptBuf::from_bytes(vec![0x51, 0x02, 0x4e, 0x73]),
        }
    }

    pub fn output(&self, lock: Lock, value: Amount) -> TxOut {
        TxOut { value, script_pubkey: self.script(lock) }
    }

    /// A transaction that is not signed yet.
    pub fn unsigned(&self, coins: &[Coin], to: &[(Lock, Amount)]) -> Transaction {
        let input = |coin: &Coin| TxIn {
            previous_output: coin.outpoint,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::new(),
        };
        Transaction {
            version: transaction::Version::TWO,
            lock_time: LockTime::ZERO,
            input: coins.iter().map(input).collect(),
            output: to.iter().map(|(lock, value)| self.output(*lock, *value)).collect(),
        }
    }

    /// A transaction that spends coins.
    pub fn spend(&self, coins: &[Coin], to: &[(Lock, Amount)]) -> Transaction {
        let mut tx = self.unsigned(coins, to);
        self.sign(&mut tx, coins);
        tx
    }

    /// One coin to one output of this kind, for a fee.
    pub fn pass(&self, coin: Coin, lock: Lock, fee: u64) -> (Transaction, Coin) {
        let value = coin.value - sat(fee);
        let tx = self.spend(&[coin], &[(lock, value)]);
        let outpoint = OutPoint { txid: tx.compute_txid(), vout: 0 };
        (tx, Coin { outpoint, value, lock })
    }

    /// The coins of a transaction, whose locks are these.
    pub fn coins(&self, tx: &Transaction, locks: &[Lock]) -> Vec<Coin> {
        let txid: Txid = tx.compute_txid();
        let outputs = (0..).zip(&tx.output).zip(locks);
        let coin = |((vout, output), lock): ((u32, &TxOut), &Lock)| {
            assert_eq!(output.script_pubkey, self.script(*lock));
            Coin { outpoint: OutPoint { txid, vout }, value: output.value, lock: *lock }
        };
        outputs.map(coin).collect()
    }

    /// Signs all inputs anew.
    pub fn sign(&self, tx: &mut Transaction, coins: &[Coin]) {
        let spent: Vec<TxOut> =
            coins.iter().map(|coin| self.output(coin.lock, coin.value)).collect();
        for (input, coin) in coins.iter().enumerate() {
            let (script_sig, witness) = self.unlock(tx, input, coin, &spent);
            tx.input[input].script_sig = script_sig;
            tx.input[input].witness = witness;
        }
    }

    fn unlock(
        &self,
        tx: &Transaction,
        input: usize,
        coin: &Coin,
        spent: &[TxOut],
    ) -> (ScriptBuf, Witness) {
        let none = ScriptBuf::new();
        let all = EcdsaSighashType::All;
        let ecdsa = |message: Message| ecdsa::Signature {
            signature: self.secp.sign_ecdsa(&message, &self.key),
            sighash_type: all,
        };
        let mut cache = SighashCache::new(tx);
        match coin.lock {
            Lock::Key | Lock::Nested => {
                let key = self.script(Lock::Key);
                let hash = cache.p2wpkh_signature_hash(input, &key, coin.value, all);
                let signature = ecdsa(hash.expect("a good input").into());
                let witness = Witness::p2wpkh(&signature, &self.public.0);
                if coin.lock == Lock::Key {
                    return (none, witness);
                }
                let redeem = PushBytesBuf::try_from(key.into_bytes()).expect("short");
                (Builder::new().push_slice(redeem).into_script(), witness)
            }
            Lock::OldKey => {
                let lock = self.script(Lock::OldKey);
                let hash = cache.legacy_signature_hash(input, &lock, all.to_u32());
                let signature = ecdsa(hash.expect("a good input").into()).serialize();
                let script = Builder::new().push_slice(signature);
                (script.push_key(&self.public.0.into()).into_script(), Witness::new())
            }
            Lock::Taproot => (none, self.by_key(tx, input, spent, TapSighashType::Default)),
            Lock::Anyone | Lock::After(_) | Lock::From(_) => {
                (none, Witness::from_slice(&[Self::witness_script(coin.lock).into_bytes()]))
            }
            Lock::Anchor => (none, Witness::new()),
        }
    }
    /// Unlocks an output of taproot by its key.
    pub fn by_key(
        &self,
        tx: &Transaction,
        input: usize,
        spent: &[TxOut],
        sighash_type: TapSighashType,
    ) -> Witness {
        let mut cache = SighashCache::new(tx);
        let prevouts = Prevouts::All(spent);
        let hash = cache.taproot_key_spend_signature_hash(input, &prevouts, sighash_type);
        let pair = Keypair::from_secret_key(&self.secp, &self.key);
        let pair = pair.tap_tweak(&self.secp, None).to_keypair();
        let message = Message::from(hash.expect("a good input"));
        let signature = self.secp.sign_schnorr_no_aux_rand(&message, &pair);
        Witness::p2tr_key_spend(&taproot::Signature { signature, sighash_type })
    }
}
