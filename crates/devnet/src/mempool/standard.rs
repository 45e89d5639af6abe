//! What transactions look like that others relay. The numbers are those of Bitcoin Core 31.

use bitcoin::{Amount, Script, Transaction, TxOut, WitnessVersion, script::Instruction};

use super::{policy::Policy, refusal::Refusal};
use crate::ledger::{self, Coin};

/// What a transaction may weigh.
pub const WEIGHT_MAX: u64 = 400_000;
/// Bytes without witnesses.
pub const STRIPPED_BYTES_MIN: usize = 65;
/// Bytes of a script that unlocks.
pub const SCRIPT_SIG_BYTES_MAX: usize = 1_650;
/// Cost of all signature operations of a transaction.
pub const SIGOPS_COST_MAX: u64 = 16_000;
/// Signature operations outside of witnesses, where they are run (BIP 54).
pub const LEGACY_SIGOPS_MAX: usize = 2_500;
/// Signature operations of a script under a hash.
pub const P2SH_SIGOPS_MAX: usize = 15;
/// Versions.
pub const VERSIONS: std::ops::RangeInclusive<i32> = 1..=3;
/// Outputs that are dust, of a transaction without a fee.
pub const DUST_OUTPUTS_MAX: usize = 1;
/// Bytes of a script in a witness.
pub const WITNESS_SCRIPT_BYTES_MAX: usize = 3_600;
/// Items in the witness of such a script.
pub const WITNESS_ITEMS_MAX: usize = 100;
/// Bytes of such an item, also for a script of a Taproot output.
pub const WITNESS_ITEM_BYTES_MAX: usize = 80;

/// What a transaction must be by itself.
pub(super) fn alone(tx: &Transaction, policy: &Policy) -> Result<(), Refusal> {
    let (got, min, max) = (tx.version.0, *VERSIONS.start(), *VERSIONS.end());
    if !VERSIONS.contains(&got) {
        return Err(Refusal::Version { got, min, max });
    }
    let got = tx.weight().to_wu();
    if got > WEIGHT_MAX {
        return Err(Refusal::Weight { got, max: WEIGHT_MAX });
    }
    for (input, txin) in tx.input.iter().enumerate() {
        let got = txin.script_sig.len();
        if got > SCRIPT_SIG_BYTES_MAX {
            return Err(Refusal::ScriptSigSize { input, got, max: SCRIPT_SIG_BYTES_MAX });
        }
        if !txin.script_sig.is_push_only() {
            return Err(Refusal::ScriptSigNotPushOnly { input });
        }
    }
    let mut data = 0;
    for (output, txout) in tx.output.iter().enumerate() {
        match kind(&txout.script_pubkey) {
            None => return Err(Refusal::ScriptPubkey { output }),
            Some(Lock::Data) => data += txout.script_pubkey.len(),
            Some(Lock::Keys | Lock::ScriptHash | Lock::Witness | Lock::Anchor | Lock::Future) => {}
        }
        if data > policy.data_bytes_max {
            return Err(Refusal::DataCarrier { got: data, max: policy.data_bytes_max });
        }
    }
    let dust: Vec<_> = dust(tx, policy).collect();
    if let [_, (value, min), ..] = dust[..] {
        return Err(Refusal::ManyDust { got: dust.len(), max: DUST_OUTPUTS_MAX, value, min });
    }
    let got = tx.base_size();
    if got < STRIPPED_BYTES_MIN {
        return Err(Refusal::TooSmall { got, min: STRIPPED_BYTES_MIN });
    }
    Ok(())
}

/// What an output is locked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lock {
    /// P2PK, P2PKH, or up to three keys bare.
    Keys,
    /// P2SH.
    ScriptHash,
    /// P2WPKH, P2WSH, P2TR.
    Witness,
    /// Nothing: P2A.
    Anchor,
    /// A witness program that means nothing yet.
    Future,
    /// It cannot be spent.
    Data,
}

fn kind(script: &Script) -> Option<Lock> {
    if script.is_p2sh() {
        return Some(Lock::ScriptHash);
    }
    if let Some(version) = script.witness_version() {
        return program(script, version);
    }
    if script.is_op_return() {
        return Script::from_bytes(&script.as_bytes()[1..]).is_push_only().then_some(Lock::Data);
    }
    (script.is_p2pkh() || script.is_p2pk() || few_keys(script)).then_some(Lock::Keys)
}

fn program(script: &Script, version: WitnessVersion) -> Option<Lock> {
    if script.is_p2wpkh() || script.is_p2wsh() || script.is_p2tr() {
        return Some(Lock::Witness);
    }
    if is_anchor(script) {
        return Some(Lock::Anchor);
    }
    (version != WitnessVersion::V0).then_some(Lock::Future)
}

/// Whether anybody can spend an output, without a witness (P2A).
pub fn is_anchor(script: &Script) -> bool {
    let program = script.as_bytes().get(2..);
    script.witness_version() == Some(WitnessVersion::V1) && program == Some(&[0x4e, 0x73][..])
}

fn few_keys(script: &Script) -> bool {
    const KEYS_MAX: u8 = 3;
    let bytes = script.as_bytes();
    let keys = bytes.len().checked_sub(2).map(|at| bytes[at].wrapping_sub(0x50));
    script.is_multisig() && keys.is_some_and(|keys| (1..=KEYS_MAX).contains(&keys))
}

/// Outputs that cost more to spend than they have: their value, and what they would need.
pub(super) fn dust<'a>(
    tx: &'a Transaction,
    policy: &'a Policy,
) -> impl Iterator<Item = (Amount, Amount)> + 'a {
    tx.output.iter().filter_map(|output| {
        let min = dust_limit(output, policy);
        (output.value < min).then_some((output.value, min))
    })
}

/// Below this, an output is dust.
pub(super) fn dust_limit(output: &TxOut, policy: &Policy) -> Amount {
    /// Bytes of an input: outpoint, length, sequence, and a key with its signature.
    const INPUT_BYTES: u64 = 32 + 4 + 1 + 107 + 4;
    const WITNESS_INPUT_BYTES: u64 = 32 + 4 + 1 + 107 / 4 + 4;
    if ledger::is_unspendable(output) {
        return Amount::ZERO;
    }
    let witness = output.script_pubkey.is_witness_program();
    let input = if witness { WITNESS_INPUT_BYTES } else { INPUT_BYTES };
    policy.dust.fee(output.size() as u64 + input)
}

/// What a transaction must be with what it spends.
pub(super) fn spending(tx: &Transaction, spent: &[Coin]) -> Result<(), Refusal> {
    legacy_sigops(tx, spent)?;
    for (input, (txin, coin)) in tx.input.iter().zip(spent).enumerate() {
        match kind(&coin.output.script_pubkey) {
            None | Some(Lock::Future | Lock::Data) => return Err(Refusal::InputKind { input }),
            Some(Lock::ScriptHash) => {
                let redeem = redeem_script(&txin.script_sig).ok_or(Refusal::InputKind { input })?;
                let got = redeem.count_sigops();
                if got > P2SH_SIGOPS_MAX {
                    return Err(Refusal::InputSigops { got, max: P2SH_SIGOPS_MAX });
                }
            }
            Some(Lock::Keys | Lock::Witness | Lock::Anchor) => {}
        }
    }
    for (input, (txin, coin)) in tx.input.iter().zip(spent).enumerate() {
        if !txin.witness.is_empty() && !is_usual(txin, &coin.output.script_pubkey) {
            return Err(Refusal::Witness { input });
        }
    }
    Ok(())
}

fn legacy_sigops(tx: &Transaction, spent: &[Coin]) -> Result<(), Refusal> {
    let of = |(input, coin): (&bitcoin::TxIn, &Coin)| {
        let lock = &coin.output.script_pubkey;
        let redeem = redeem_script(&input.script_sig).filter(|_| lock.is_p2sh());
        let run = redeem.map_or_else(|| lock.count_sigops(), Script::count_sigops);
        input.script_sig.count_sigops() + run
    };
    let got: usize = tx.input.iter().zip(spent).map(of).sum();
    if got > LEGACY_SIGOPS_MAX {
        return Err(Refusal::InputSigops { got, max: LEGACY_SIGOPS_MAX });
    }
    Ok(())
}

fn redeem_script(unlock: &Script) -> Option<&Script> {
    match unlock.instructions().last()?.ok()? {
        Instruction::PushBytes(bytes) => Some(Script::from_bytes(bytes.as_bytes())),
        Instruction::Op(_) => None,
    }
}

/// Whether a witness has what it needs, and nothing besides.
fn is_usual(input: &bitcoin::TxIn, lock: &Script) -> bool {
    const ANNEX: u8 = 0x50;
    const LEAF_MASK: u8 = 0xfe;
    const TAPSCRIPT: u8 = 0xc0;
    let small = |item: &[u8]| item.len() <= WITNESS_ITEM_BYTES_MAX;
    if is_anchor(lock) {
        return false;
    }
    let nested = lock.is_p2sh();
    let lock = if nested { redeem_script(&input.script_sig) } else { Some(lock) };
    let Some(lock) = lock.filter(|lock| lock.is_witness_program()) else { return false };
    let items: Vec<&[u8]> = input.witness.iter().collect();
    if lock.is_p2wsh() {
        let Some((script, items)) = items.split_last() else { return false };
        return script.len() <= WITNESS_SCRIPT_BYTES_MAX
            && items.len() <= WITNESS_ITEMS_MAX
            && items.iter().all(|item| small(item));
    }
    if lock.is_p2tr() && !nested {
        return match &items[..] {
            [] => false,
            [_] => true,
            [.., last] if last.first() == Some(&ANNEX) => false,
            [.., _, []] => false,
            [items @ .., _, control] if control[0] & LEAF_MASK == TAPSCRIPT => {
                items.iter().all(|item| small(item))
            }
            [_, ..] => true,
        };
    }
    true
}
