//! Second stages: how the owner of a commitment takes a contract's output.

use bitcoin::sighash::SighashCache;
use bitcoin::{
    Amount, EcdsaSighashType, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness,
    absolute, hashes::Hash as _, transaction,
};
use wire::amount::Sat;

use crate::{Commitment, Meaning, Output, Purpose, Stage, Terms, script};

/// A second stage, not signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecondStage {
    /// Which of [`Meaning::contracts`] it is about.
    pub contract: usize,
    /// The transaction.
    pub transaction: Transaction,
    /// What the input spends.
    pub spends: Sat,
    /// The witness script of what it spends.
    pub script: ScriptBuf,
    /// How the other side signs it; the owner always signs all of it.
    pub other_sighash: EcdsaSighashType,
}

impl SecondStage {
    /// The digest that is signed.
    pub fn digest(&self, sighash: EcdsaSighashType) -> [u8; 32] {
        SighashCache::new(&self.transaction)
            .p2wsh_signature_hash(0, &self.script, Amount::from_sat(self.spends.0), sighash)
            .expect("it has an input 0")
            .to_byte_array()
    }
}

impl Commitment {
    /// The second stages, in the order of their outputs: that of `htlc_signature`s.
    pub fn second_stages<'a>(
        &'a self,
        terms: &'a Terms,
        meaning: &'a Meaning,
    ) -> impl Iterator<Item = SecondStage> + 'a {
        let txid = self.transaction.compute_txid();
        let delay = terms.party(meaning.owner).delay;
        let pays_to = script::revocable(&self.keys, delay).to_p2wsh();
        (0..).zip(&self.outputs).filter_map(move |(vout, output)| {
            let Purpose::Contract { index, stage: Some(stage) } = output.purpose else {
                return None;
            };
            let outpoint = OutPoint { txid, vout };
            Some(second_stage(terms, meaning, (outpoint, output), (index, stage), &pays_to))
        })
    }
}

fn second_stage(
    terms: &Terms,
    meaning: &Meaning,
    (outpoint, output): (OutPoint, &Output),
    (contract, stage): (usize, Stage),
    pays_to: &ScriptBuf,
) -> SecondStage {
    let fee = terms.form.second_stage_fee(meaning.feerate, stage.weight);
    let value = output.value.0.checked_sub(fee.0).expect("what does not pay for it is trimmed");
    let input = TxIn {
        previous_output: outpoint,
        script_sig: ScriptBuf::new(),
        sequence: Sequence(terms.form.sequence()),
        witness: Witness::new(),
    };
    let output_of = TxOut { value: Amount::from_sat(value), script_pubkey: pays_to.clone() };
    SecondStage {
        contract,
        transaction: Transaction {
            version: transaction::Version::TWO,
            lock_time: absolute::LockTime::from_consensus(stage.lock_time.0),
            input: vec![input],
            output: vec![output_of],
        },
        spends: output.value,
        script: output.script.clone().expect("contracts have a witness script"),
        other_sighash: terms.form.second_stage_sighash(),
    }
}
