//! Cooperative closes, in both dialects.

use bitcoin::opcodes::all::OP_RETURN;
use bitcoin::sighash::SighashCache;
use bitcoin::{
    Amount, EcdsaSighashType, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness, absolute,
    hashes::Hash as _, transaction,
};
use wire::amount::{LockTime, Msat, Sat};

use crate::{Side, Terms, script};

/// What a cooperative close means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// What the opener has.
    pub to_opener: Msat,
    /// What the acceptor has.
    pub to_acceptor: Msat,
    /// Where the opener's money goes, if its output is not left out.
    pub opener_script: Option<ScriptBuf>,
    /// Where the acceptor's money goes, if its output is not left out.
    pub acceptor_script: Option<ScriptBuf>,
    /// What it costs.
    pub fee: Sat,
    /// Who pays that, and how the transaction looks.
    pub dialect: ClosingOutputs,
}

/// The two ways in which closes are agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosingOutputs {
    /// `closing_signed`: the opener pays; outputs below this limit of the signing side are dropped.
    Signed {
        /// `dust_limit_satoshis` of whoever signs.
        dust_limit: Sat,
    },
    /// `closing_complete`: whoever wants it pays, and chooses the lock time.
    Complete {
        /// Who pays.
        closer: Side,
        /// From the message.
        lock_time: LockTime,
    },
}

impl Close {
    /// Builds it; nothing if whoever pays has less than the fee, or no output is left.
    pub fn build(&self, terms: &Terms) -> Option<Transaction> {
        let (payer, lock_time, sequence) = match self.dialect {
            ClosingOutputs::Signed { .. } => (Side::Opener, LockTime(0), Sequence::MAX),
            ClosingOutputs::Complete { closer, lock_time } => {
                (closer, lock_time, Sequence::ENABLE_RBF_NO_LOCKTIME)
            }
        };
        let mut output = Vec::with_capacity(2);
        for side in [Side::Opener, Side::Acceptor] {
            let (balance, script) = match side {
                Side::Opener => (self.to_opener, &self.opener_script),
                Side::Acceptor => (self.to_acceptor, &self.acceptor_script),
            };
            let fee = if side == payer { self.fee.0 } else { 0 };
            let value = balance.floor_to_sat().0.checked_sub(fee)?;
            let Some(script_pubkey) = script.clone() else { continue };
            if let Some(value) = self.value(value, &script_pubkey) {
                output.push(TxOut { value: Amount::from_sat(value), script_pubkey });
            }
        }
        output.sort_by(|a, b| (a.value, &a.script_pubkey).cmp(&(b.value, &b.script_pubkey)));
        let input = TxIn {
            previous_output: terms.funding.outpoint,
            script_sig: ScriptBuf::new(),
            sequence,
            witness: Witness::new(),
        };
        (!output.is_empty()).then(|| Transaction {
            version: transaction::Version::TWO,
            lock_time: absolute::LockTime::from_consensus(lock_time.0),
            input: vec![input],
            output,
        })
    }

    /// What an output holds, if there is one.
    fn value(&self, value: u64, script: &ScriptBuf) -> Option<u64> {
        match self.dialect {
            ClosingOutputs::Signed { dust_limit } => (value >= dust_limit.0).then_some(value),
            ClosingOutputs::Complete { .. } => {
                let burns = script.as_bytes().first() == Some(&OP_RETURN.to_u8());
                Some(if burns { 0 } else { value })
            }
        }
    }

    /// The digest that both sides sign.
    pub fn digest(terms: &Terms, transaction: &Transaction) -> [u8; 32] {
        let value = Amount::from_sat(terms.funding.value.0);
        SighashCache::new(transaction)
            .p2wsh_signature_hash(0, &script::funding(terms), value, EcdsaSighashType::All)
            .expect("it has an input 0")
            .to_byte_array()
    }
}
