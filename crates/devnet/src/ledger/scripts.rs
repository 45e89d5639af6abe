//! Scripts and signatures, run by Bitcoin Core's interpreter. That is a function without state.

use bitcoin::{Transaction, TxOut, consensus::serialize};
use bitcoinkernel as kernel;

use super::fault::TxFault;

/// Whether all scripts of a transaction hold, given the outputs that it spends, in its order.
pub fn verify(tx: &Transaction, spent: &[TxOut]) -> Result<(), TxFault> {
    check(tx, spent).map_err(|input| TxFault::Script { input })
}

fn check(tx: &Transaction, spent: &[TxOut]) -> Result<(), usize> {
    let theirs = kernel::Transaction::new(&serialize(tx)).map_err(|_| 0_usize)?;
    let mut scripts = Vec::with_capacity(spent.len());
    let mut outputs = Vec::with_capacity(spent.len());
    for (input, output) in spent.iter().enumerate() {
        let script =
            kernel::ScriptPubkey::new(output.script_pubkey.as_bytes()).map_err(|_| input)?;
        let value = i64::try_from(output.value.to_sat()).map_err(|_| input)?;
        outputs.push(kernel::TxOut::new(&script, value));
        scripts.push((script, value));
    }
    let data = kernel::PrecomputedTransactionData::new(&theirs, &outputs).map_err(|_| 0_usize)?;
    for (input, (script, value)) in scripts.iter().enumerate() {
        let flags = Some(kernel::VERIFY_ALL);
        kernel::verify(script, Some(*value), &theirs, input, flags, &data).map_err(|_| input)?;
    }
    Ok(())
}
