//! Scripts and signatures without the kernel: the few kinds that worlds without channels spend.

use std::sync::LazyLock;

use bitcoin::{
    ScriptBuf, TapSighashType, Transaction, TxIn, TxOut, Witness, XOnlyPublicKey,
    opcodes::all::OP_PUSHNUM_1,
    script::Builder,
    secp256k1::{Message, Secp256k1, VerifyOnly},
    sighash::{Prevouts, SighashCache},
    taproot::Signature,
};

use super::fault::TxFault;

static SECP: LazyLock<Secp256k1<VerifyOnly>> = LazyLock::new(Secp256k1::verification_only);

fn truth() -> ScriptBuf {
    Builder::new().push_opcode(OP_PUSHNUM_1).into_script()
}

/// The script of an output that anyone can spend: P2WSH of `OP_TRUE`.
pub fn anyone() -> ScriptBuf {
    ScriptBuf::new_p2wsh(&truth().wscript_hash())
}

/// What unlocks such an output.
pub fn anyone_witness() -> Witness {
    Witness::from_slice(&[truth().into_bytes()])
}

/// Whether all inputs of a transaction are unlocked, given the outputs that it spends, in its
/// order: those that [`anyone`] can spend, and those of taproot that are spent by their key.
/// Every other kind is refused. What this accepts the kernel accepts.
pub fn verify(tx: &Transaction, spent: &[TxOut]) -> Result<(), TxFault> {
    let mut cache = SighashCache::new(tx);
    let (anyone, witness) = (anyone(), anyone_witness());
    for (index, input) in tx.input.iter().enumerate() {
        let holds = spent.get(index).is_some_and(|output| {
            input.script_sig.is_empty()
                && match output.script_pubkey == anyone {
                    true => input.witness == witness,
                    false => by_key(&mut cache, index, input, spent, output).is_some(),
                }
        });
        if !holds {
            return Err(TxFault::Script { input: index });
        }
    }
    Ok(())
}

/// Nothing, unless it is an output of taproot and this its key's signature.
fn by_key(
    cache: &mut SighashCache<&Transaction>,
    index: usize,
    input: &TxIn,
    spent: &[TxOut],
    output: &TxOut,
) -> Option<()> {
    let script = output.script_pubkey.as_bytes();
    if !output.script_pubkey.is_p2tr() || input.witness.len() != 1 {
        return None;
    }
    let key = XOnlyPublicKey::from_slice(&script[2..]).ok()?;
    let bytes = input.witness.nth(0)?;
    let Signature { signature, sighash_type } = Signature::from_slice(bytes).ok()?;
    // The usual kind is not named.
    if bytes.len() == 65 && sighash_type == TapSighashType::Default {
        return None;
    }
    let prevouts = Prevouts::All(spent);
    let hash = cache.taproot_key_spend_signature_hash(index, &prevouts, sighash_type).ok()?;
    SECP.verify_schnorr(&signature, &Message::from(hash), &key).ok()
}
