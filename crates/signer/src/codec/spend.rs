//! The wallet's questions and answers as bytes. Lists are one record, entry behind entry.

use bitcoin::absolute::LockTime;
use bitcoin::bip32::Xpub;
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, Script, ScriptBuf, Sequence, Txid};
use secp256k1::schnorr::Signature;
use wire::fault::Broke;
use wire::reader::Reader;

use super::{Malformed, Read, RecordFlaw, Writer};
use crate::account::{Account, Branch, KeyIndex, KeyPlace};
use crate::policy::SpendFlaw;
use crate::spend::{Payee, Spend, SpendInput, SpendOutput};

/// Bytes of a Schnorr signature.
const SIGNATURE_BYTES: usize = 64;
/// The tag of an output that is ours, and of one that is not.
const PAYEES: [u8; 2] = [0, 1];

pub(super) fn write_account(to: Writer, account: &Account) -> Writer {
    to.record(2, &account.xpub.encode()).record(4, account.fingerprint.as_bytes())
}

pub(super) fn read_account(from: &Read<'_>) -> Result<Account, Malformed> {
    let xpub = from.array::<78>(2)?;
    let xpub = Xpub::decode(xpub).map_err(|_| from.flaw(2, RecordFlaw::Xpub))?;
    Ok(Account { xpub, fingerprint: (*from.array(4)?).into() })
}

pub(super) fn write_spend(to: Writer, spend: &Spend) -> Writer {
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    spend.inputs.iter().for_each(|input| write_input(input, &mut inputs));
    for output in &spend.outputs {
        outputs.extend(output.amount.to_sat().to_be_bytes());
        write_payee(&output.to, &mut outputs);
    }
    to.record(2, &spend.version.0.to_be_bytes())
        .record(4, &spend.lock_time.to_consensus_u32().to_be_bytes())
        .record(6, &inputs)
        .record(8, &outputs)
        .record(10, &[u8::from(spend.allow_high_fee)])
}

pub(super) fn read_spend(from: &Read<'_>) -> Result<Spend, Malformed> {
    let version = Version(i32::from_be_bytes(*from.array(2)?));
    let lock_time = LockTime::from_consensus(u32::from_be_bytes(*from.array(4)?));
    let (mut rest, mut inputs) = (Reader::new(from.bytes(6)?), Vec::new());
    while !rest.is_empty() {
        inputs.push(read_input(&mut rest).map_err(|flaw| from.flaw(6, flaw))?);
    }
    let (mut rest, mut outputs) = (Reader::new(from.bytes(8)?), Vec::new());
    while !rest.is_empty() {
        outputs.push(read_output(&mut rest).map_err(|flaw| from.flaw(8, flaw))?);
    }
    let allow_high_fee = from.choice(10, 0, &[false, true])?;
    Ok(Spend { version, lock_time, inputs, outputs, allow_high_fee })
}

pub(super) fn write_input(input: &SpendInput, to: &mut Vec<u8>) {
    write_outpoint(&input.outpoint, to);
    to.extend(input.amount.to_sat().to_be_bytes());
    write_place(input.place, to);
    to.extend(input.sequence.to_consensus_u32().to_be_bytes());
}

pub(super) fn read_input(from: &mut Reader<'_>) -> Result<SpendInput, RecordFlaw> {
    Ok(SpendInput {
        outpoint: read_outpoint(from)?,
        amount: read_amount(from)?,
        place: read_place(from)?,
        sequence: Sequence::from_consensus(u32::from_be_bytes(*from.array()?)),
    })
}

fn read_output(from: &mut Reader<'_>) -> Result<SpendOutput, RecordFlaw> {
    Ok(SpendOutput { amount: read_amount(from)?, to: read_payee(from)? })
}

pub(super) fn write_payee(payee: &Payee, to: &mut Vec<u8>) {
    match payee {
        Payee::Ours(place) => {
            to.push(PAYEES[0]);
            write_place(*place, to);
        }
        Payee::Script(script) => {
            to.push(PAYEES[1]);
            write_script(script, to);
        }
    }
}

pub(super) fn read_payee(from: &mut Reader<'_>) -> Result<Payee, RecordFlaw> {
    let [tag] = *from.array()?;
    match tag {
        0 => Ok(Payee::Ours(read_place(from)?)),
        1 => Ok(Payee::Script(read_script(from)?)),
        got => Err(RecordFlaw::Choice { got, min: PAYEES[0], max: PAYEES[1] }),
    }
}

/// What is longer than its length can say is cut, and the signer refuses both.
pub(super) fn write_script(script: &Script, to: &mut Vec<u8>) {
    let length = u16::try_from(script.len()).unwrap_or(u16::MAX);
    to.extend(length.to_be_bytes());
    to.extend(&script.as_bytes()[..usize::from(length)]);
}

pub(super) fn read_script(from: &mut Reader<'_>) -> Result<ScriptBuf, Broke> {
    Ok(ScriptBuf::from_bytes(from.prefixed()?.to_vec()))
}

pub(super) fn write_place(place: KeyPlace, to: &mut Vec<u8>) {
    to.push(place.branch as u8);
    to.extend(place.index.number().to_be_bytes());
}

pub(super) fn read_place(from: &mut Reader<'_>) -> Result<KeyPlace, RecordFlaw> {
    let [branch] = *from.array()?;
    let found = Branch::ALL.get(usize::from(branch)).copied();
    let branch = found.ok_or(RecordFlaw::Choice { got: branch, min: 0, max: 1 })?;
    let index = KeyIndex::new(u32::from_be_bytes(*from.array()?)).map_err(RecordFlaw::Index)?;
    Ok(KeyPlace { branch, index })
}

fn read_amount(from: &mut Reader<'_>) -> Result<Amount, RecordFlaw> {
    Ok(Amount::from_sat(u64::from_be_bytes(*from.array()?)))
}

/// A transaction's id as it is hashed, not as it is shown; then the output's number.
pub(super) fn write_outpoint(outpoint: &OutPoint, to: &mut Vec<u8>) {
    to.extend(outpoint.txid.as_byte_array());
    to.extend(outpoint.vout.to_be_bytes());
}

pub(super) fn read_outpoint(from: &mut Reader<'_>) -> Result<OutPoint, Broke> {
    let txid = Txid::from_byte_array(*from.array()?);
    Ok(OutPoint { txid, vout: u32::from_be_bytes(*from.array()?) })
}

pub(super) fn write_signatures(to: Writer, signatures: &[Signature]) -> Writer {
    let all: Vec<u8> = signatures.iter().flat_map(|signature| *signature.as_ref()).collect();
    to.record(2, &all)
}

pub(super) fn read_signatures(from: &Read<'_>) -> Result<Vec<Signature>, Malformed> {
    let whole = Reader::new(from.bytes(2)?).whole::<SIGNATURE_BYTES>();
    let whole = whole.map_err(|broke| from.flaw(2, RecordFlaw::Broke(broke)))?;
    let read = |bytes: &[u8; SIGNATURE_BYTES]| Signature::from_slice(bytes).expect("64 bytes");
    Ok(whole.iter().map(read).collect())
}

/// A flaw as its number in [`read_flaw`], its own numbers, and the coin that it is about.
fn flaw_parts(flaw: &SpendFlaw) -> (u8, [u64; 3], Option<OutPoint>) {
    let n = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let (number, numbers) = match *flaw {
        SpendFlaw::Inputs { got, min, max } => (0, [n(got), n(min), n(max)]),
        SpendFlaw::Outputs { got, min, max } => (1, [n(got), n(min), n(max)]),
        SpendFlaw::Version { got, want } => (2, [got.into(), want.into(), 0]),
        SpendFlaw::LockTime { got, times_from } => (3, [got.into(), times_from.into(), 0]),
        SpendFlaw::Sequence { input, got, min } => (4, [n(input), got.into(), min.into()]),
        SpendFlaw::Twice { outpoint } => return (5, [0; 3], Some(outpoint)),
        SpendFlaw::TooMuch { got, max } => (6, [got.to_sat(), max.to_sat(), 0]),
        SpendFlaw::ScriptLength { output, got, max } => (7, [n(output), n(got), n(max)]),
        SpendFlaw::Burned { output, got } => (8, [n(output), got.to_sat(), 0]),
        SpendFlaw::Dust { output, got, min } => (9, [n(output), got.to_sat(), min.to_sat()]),
        SpendFlaw::Short { inputs, outputs } => (10, [inputs.to_sat(), outputs.to_sat(), 0]),
        SpendFlaw::FeeRate { fee, got_sat_per_vb, max_sat_per_vb } => {
            (11, [fee.to_sat(), got_sat_per_vb, max_sat_per_vb])
        }
        SpendFlaw::FeeShare { fee, max, moved } => {
            (12, [fee.to_sat(), max.to_sat(), moved.to_sat()])
        }
        SpendFlaw::Destination { output, listed } => (13, [n(output), n(listed), 0]),
        SpendFlaw::ConsolidationFee { fee, max, moved } => {
            (14, [fee.to_sat(), max.to_sat(), moved.to_sat()])
        }
        SpendFlaw::Place { output, got, max } => (15, [n(output), got.into(), max.into()]),
        SpendFlaw::Uncommitted { output } => (16, [n(output), 0, 0]),
    };
    (number, numbers, None)
}

pub(super) fn write_flaw(to: Writer, flaw: &SpendFlaw) -> Writer {
    let (number, numbers, outpoint) = flaw_parts(flaw);
    let numbers: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
    let to = to.record(2, &[number]).record(4, &numbers);
    let Some(outpoint) = outpoint else { return to };
    let mut bytes = Vec::new();
    write_outpoint(&outpoint, &mut bytes);
    to.record(6, &bytes)
}

pub(super) fn read_flaw(from: &Read<'_>) -> Result<SpendFlaw, Malformed> {
    let ([number], numbers) = (*from.array(2)?, from.array::<24>(4)?);
    let (numbers, _) = numbers.as_chunks::<8>();
    let sat = |at: usize| Amount::from_sat(u64::from_be_bytes(numbers[at]));
    // What does not fit was not written by us; it is cut, as numbers of a refusal are.
    let small = |at: usize| u32::try_from(sat(at).to_sat()).unwrap_or(u32::MAX);
    let n = |at: usize| usize::try_from(sat(at).to_sat()).unwrap_or(usize::MAX);
    Ok(match number {
        0 => SpendFlaw::Inputs { got: n(0), min: n(1), max: n(2) },
        1 => SpendFlaw::Outputs { got: n(0), min: n(1), max: n(2) },
        2 => SpendFlaw::Version { got: small(0), want: small(1) },
        3 => SpendFlaw::LockTime { got: small(0), times_from: small(1) },
        4 => SpendFlaw::Sequence { input: n(0), got: small(1), min: small(2) },
        5 => {
            let mut bytes = Reader::new(from.array::<36>(6)?);
            let outpoint = read_outpoint(&mut bytes).expect("36 bytes are enough");
            SpendFlaw::Twice { outpoint }
        }
        6 => SpendFlaw::TooMuch { got: sat(0), max: sat(1) },
        7 => SpendFlaw::ScriptLength { output: n(0), got: n(1), max: n(2) },
        8 => SpendFlaw::Burned { output: n(0), got: sat(1) },
        9 => SpendFlaw::Dust { output: n(0), got: sat(1), min: sat(2) },
        10 => SpendFlaw::Short { inputs: sat(0), outputs: sat(1) },
        11 => SpendFlaw::FeeRate {
            fee: sat(0),
            got_sat_per_vb: sat(1).to_sat(),
            max_sat_per_vb: sat(2).to_sat(),
        },
        12 => SpendFlaw::FeeShare { fee: sat(0), max: sat(1), moved: sat(2) },
        13 => SpendFlaw::Destination { output: n(0), listed: n(1) },
        14 => SpendFlaw::ConsolidationFee { fee: sat(0), max: sat(1), moved: sat(2) },
        15 => SpendFlaw::Place { output: n(0), got: small(1), max: small(2) },
        16 => SpendFlaw::Uncommitted { output: n(0) },
        got => return Err(from.flaw(2, RecordFlaw::Choice { got, min: 0, max: 16 })),
    })
}
