//! A spend of the wallet's coins, described by its meaning: the transaction follows from it, the
//! same for whoever asks and for whoever signs.

use std::fmt;

use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::sighash::{Prevouts, SighashCache};
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, OutPoint, ScriptBuf, Sequence, TapSighashType, Transaction, TxIn, TxOut, Weight,
    Witness,
};
use secp256k1::schnorr::Signature;
use secp256k1::{Message, SECP256K1, XOnlyPublicKey};

use crate::account::{Account, KeyPlace, WalletKey, any_script};

/// Inputs of one spend.
pub const SPEND_INPUTS_MAX: usize = 250;
/// Outputs of one spend.
pub const SPEND_OUTPUTS_MAX: usize = 250;
/// Bytes of a script that is paid to: as many as an output of 80 bytes of data has.
pub const SCRIPT_BYTES_MAX: usize = 83;

/// Bytes of a signature with the default hash type, as the only thing in a witness.
const SIGNATURE_BYTES: usize = 64;

/// What is spent, and who gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spend {
    /// The transaction's version.
    pub version: Version,
    /// Before which block it is not valid.
    pub lock_time: LockTime,
    /// What is spent; all of it is ours. In the transaction's order.
    pub inputs: Vec<SpendInput>,
    /// Who gets it. In the transaction's order.
    pub outputs: Vec<SpendOutput>,
    /// A person has seen the fee and wants it, although it is higher than any should be. The node
    /// says so: it counts only if the signer's policy gives it that right.
    pub allow_high_fee: bool,
}

/// A coin of ours that is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpendInput {
    /// Which output it is.
    pub outpoint: OutPoint,
    /// What it is worth. A wrong amount makes a signature that is good for nothing.
    pub amount: Amount,
    /// Whose key it needs.
    pub place: KeyPlace,
    /// When it may be spent, and whether it may be replaced.
    pub sequence: Sequence,
}

/// Somebody gets something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpendOutput {
    /// How much.
    pub amount: Amount,
    /// Who.
    pub to: Payee,
}

/// Who gets an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payee {
    /// We do. The signer makes the script, so nobody else can be meant.
    Ours(KeyPlace),
    /// Whoever can spend from this.
    Script(ScriptBuf),
}

impl Spend {
    /// The transaction, without its signatures.
    pub fn transaction(&self, account: &Account) -> Transaction {
        self.transaction_with(|place| account.script(place))
    }

    fn transaction_with(&self, ours: impl Fn(KeyPlace) -> ScriptBuf) -> Transaction {
        let input = |input: &SpendInput| TxIn {
            previous_output: input.outpoint,
            script_sig: ScriptBuf::new(),
            sequence: input.sequence,
            witness: Witness::new(),
        };
        let output = |output: &SpendOutput| TxOut {
            value: output.amount,
            script_pubkey: match &output.to {
                Payee::Ours(place) => ours(*place),
                Payee::Script(script) => script.clone(),
            },
        };
        Transaction {
            version: self.version,
            lock_time: self.lock_time,
            input: self.inputs.iter().map(input).collect(),
            output: self.outputs.iter().map(output).collect(),
        }
    }

    /// The outputs that are spent, in the order of the inputs.
    pub fn prevouts(&self, account: &Account) -> Vec<TxOut> {
        let prevout = |input: &SpendInput| TxOut {
            value: input.amount,
            script_pubkey: account.script(input.place),
        };
        self.inputs.iter().map(prevout).collect()
    }

    /// What the signed transaction weighs.
    pub fn weight(&self) -> Weight {
        let mut transaction = self.transaction_with(|_| any_script());
        for input in &mut transaction.input {
            input.witness.push([0; SIGNATURE_BYTES]);
        }
        transaction.weight()
    }

    /// The transaction with these signatures, one for each input in its order; none of them may be
    /// another one.
    pub fn signed(
        &self,
        account: &Account,
        signatures: &[Signature],
    ) -> Result<Transaction, UnsignedFault> {
        let (got, want) = (signatures.len(), self.inputs.len());
        if got != want {
            return Err(UnsignedFault::Count { got, want });
        }
        let mut transaction = self.transaction(account);
        let prevouts = self.prevouts(account);
        for (input, (message, signature)) in
            messages(&transaction, &prevouts).zip(signatures).enumerate()
        {
            let key = &prevouts[input].script_pubkey.as_bytes()[2..];
            let key = XOnlyPublicKey::from_slice(key).expect("`Account::script` ends with a key");
            SECP256K1
                .verify_schnorr(signature, &message, &key)
                .map_err(|_| UnsignedFault::Signature { input, of: want })?;
        }
        for (input, signature) in transaction.input.iter_mut().zip(signatures) {
            input.witness.push(signature.as_ref());
        }
        Ok(transaction)
    }
}

/// What is signed, input by input.
fn messages<'a>(
    transaction: &'a Transaction,
    prevouts: &'a [TxOut],
) -> impl Iterator<Item = Message> + 'a {
    let mut cache = SighashCache::new(transaction);
    (0..transaction.input.len()).map(move |input| {
        let all = Prevouts::All(prevouts);
        let hash = cache.taproot_key_spend_signature_hash(input, &all, TapSighashType::Default);
        Message::from_digest(hash.expect("every input has its output").to_byte_array())
    })
}

impl WalletKey {
    /// Signs what has been judged. The same spend gets the same signatures: the nonce follows from
    /// key and message (BIP 340 without auxiliary randomness).
    pub(crate) fn sign(&self, spend: &Spend) -> Vec<Signature> {
        let transaction = spend.transaction(self.account());
        let prevouts = spend.prevouts(self.account());
        let signed = messages(&transaction, &prevouts)
            .zip(&spend.inputs)
            .map(|(message, input)| self.sign_message_at(input.place, &message));
        signed.collect()
    }

    /// Signs for the coin of a place what has been judged.
    pub(crate) fn sign_message_at(&self, place: KeyPlace, message: &Message) -> Signature {
        self.with_key(place, |key| {
            let signature = SECP256K1.sign_schnorr_no_aux_rand(message, key);
            // BIP 340 recommends it: a fault in the arithmetic could tell the key.
            SECP256K1
                .verify_schnorr(&signature, message, &key.x_only_public_key().0)
                .expect("the machine computes right");
            signature
        })
    }
}

/// Why signatures do not complete a spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnsignedFault {
    /// There are too few or too many.
    Count {
        /// Signatures there are.
        got: usize,
        /// Inputs there are.
        want: usize,
    },
    /// One is not of the input's key under this transaction.
    Signature {
        /// Which one, from 0.
        input: usize,
        /// Of how many.
        of: usize,
    },
}

impl std::error::Error for UnsignedFault {}

impl fmt::Display for UnsignedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnsignedFault::Count { got, want } => {
                write!(f, "{got} signatures for {want} inputs")
            }
            UnsignedFault::Signature { input, of } => {
                write!(f, "the signature for input {input} of {of} does not fit")
            }
        }
    }
}
