//! What is taken on chain, as bytes: claims, second stages, and the signatures for them.

use bitcoin::consensus::{deserialize, serialize};
use bitcoin::hashes::Hash as _;
use bitcoin::{OutPoint, ScriptBuf, Transaction, Txid};
use secp256k1::schnorr;
use tx::{At, Claim, Claimed, InputSignature, Staged, Templates};
use wire::amount::{LockTime, Sat};
use wire::bigsize;
use wire::field::Field as _;
use wire::id::CommitmentNumber;
use wire::key::{Point, Signature};
use wire::list::Script;
use wire::reader::Reader;

use super::super::{Malformed, Read, RecordFlaw, Writer, spend};
use super::meaning::{read_placed, write_placed};
use super::terms::SIDES;
use super::{chosen, filled, length, value};
use crate::channel::{SignClaims, SignStages};
use crate::spend::{Payee, SpendInput};

pub(super) fn write(to: Writer, sign: &SignClaims) -> Writer {
    let to = to.record(2, &written(&sign.claims, write_claim));
    let to = to.record(4, &written(&sign.parents, |it, to| to.extend(serialize(it))));
    let to = to.record(6, &write_coins(&sign.coins)).record(8, &write_payee(&sign.to));
    let to = to.record(10, &sign.fee.0.to_be_bytes());
    to.record(12, &sign.lock_time.0.to_be_bytes())
}

pub(super) fn read(from: &Read<'_>, templates: &Templates) -> Result<SignClaims, Malformed> {
    Ok(SignClaims {
        claims: filled(from, 2, |from| each(from, |from| read_claim(from, templates)))?,
        parents: filled(from, 4, |from| each(from, read_transaction))?,
        coins: filled(from, 6, read_coins)?,
        to: filled(from, 8, read_payee)?,
        fee: value::<Sat>(from, 10)?,
        lock_time: value::<LockTime>(from, 12)?,
    })
}

pub(super) fn write_stages(to: Writer, sign: &SignStages) -> Writer {
    let mut change = Vec::new();
    sign.change.iter().for_each(|place| spend::write_place(*place, &mut change));
    let to = to.record(2, &written(&sign.stages, write_stage)).record(4, &write_coins(&sign.coins));
    to.record(6, &change).record(8, &sign.fee.0.to_be_bytes())
}

pub(super) fn read_stages(from: &Read<'_>) -> Result<SignStages, Malformed> {
    Ok(SignStages {
        stages: filled(from, 2, |from| each(from, read_stage))?,
        coins: filled(from, 4, read_coins)?,
        change: match from.bytes(6)? {
            [] => None,
            _ => Some(filled(from, 6, spend::read_place)?),
        },
        fee: value::<Sat>(from, 8)?,
    })
}

pub(super) fn write_payee(payee: &Payee) -> Vec<u8> {
    let mut to = Vec::new();
    match payee {
        Payee::Ours(place) => {
            to.push(0);
            spend::write_place(*place, &mut to);
        }
        Payee::Script(script) => {
            to.push(1);
            script.write(&mut to);
        }
    }
    to
}

pub(super) fn read_payee(from: &mut Reader<'_>) -> Result<Payee, RecordFlaw> {
    Ok(match chosen(from, &[false, true])? {
        false => Payee::Ours(spend::read_place(from)?),
        true => {
            let script: ScriptBuf = Script::read(from)?;
            Payee::Script(script)
        }
    })
}

pub(super) fn write_signatures(signatures: &[InputSignature]) -> Vec<u8> {
    let mut to = Vec::with_capacity(65 * signatures.len());
    for signature in signatures {
        match signature {
            InputSignature::Channel(signature) => {
                to.push(0);
                to.extend(signature.bytes());
            }
            InputSignature::Coin(signature) => {
                to.push(1);
                to.extend(signature.as_ref());
            }
        }
    }
    to
}

pub(super) fn read_signatures(from: &mut Reader<'_>) -> Result<Vec<InputSignature>, RecordFlaw> {
    let mut all = Vec::with_capacity(from.len() / 65);
    while !from.is_empty() {
        all.push(match chosen(from, &[false, true])? {
            false => InputSignature::Channel(Signature::read(from)?),
            true => {
                let signature = schnorr::Signature::from_slice(from.array::<64>()?);
                // Of 64 bytes each is one, as far as can be seen without the key.
                InputSignature::Coin(signature.map_err(|_| RecordFlaw::Numbers)?)
            }
        });
    }
    Ok(all)
}

/// Each behind its length.
fn written<T>(all: &[T], write: impl Fn(&T, &mut Vec<u8>)) -> Vec<u8> {
    let mut to = Vec::new();
    for one in all {
        let mut bytes = Vec::new();
        write(one, &mut bytes);
        bigsize::write(bytes.len() as u64, &mut to);
        to.extend(bytes);
    }
    to
}

fn each<T>(
    from: &mut Reader<'_>,
    read: impl Fn(&mut Reader<'_>) -> Result<T, RecordFlaw>,
) -> Result<Vec<T>, RecordFlaw> {
    let mut all = Vec::new();
    while !from.is_empty() {
        let len = length(from)?;
        let mut one = Reader::new(from.take(len)?);
        all.push(read(&mut one)?);
        one.end()?;
    }
    Ok(all)
}

fn write_claim(claim: &Claim, to: &mut Vec<u8>) {
    to.extend(claim.outpoint.txid.as_byte_array());
    to.extend(claim.outpoint.vout.to_be_bytes());
    claim.value.write(to);
    to.push(claim.claimer as u8);
    let at = |kind: u8, at: &At, to: &mut Vec<u8>| {
        to.push(kind);
        at.number.write(to);
        at.point.write(to);
    };
    match &claim.what {
        Claimed::Delayed(of) => at(0, of, to),
        Claimed::ToRemote => to.push(1),
        Claimed::Anchor => to.push(2),
        Claimed::Contract { at: of, placed, secret } => {
            at(3, of, to);
            write_placed(placed, to);
            write_secret(secret.as_deref(), to);
        }
        Claimed::RevokedDelayed(of) => at(4, of, to),
        Claimed::RevokedContract { at: of, placed } => {
            at(5, of, to);
            write_placed(placed, to);
        }
    }
}

fn read_claim(from: &mut Reader<'_>, templates: &Templates) -> Result<Claim, RecordFlaw> {
    let txid = Txid::from_byte_array(*from.array()?);
    let outpoint = OutPoint { txid, vout: u32::from_be_bytes(*from.array()?) };
    let (value, claimer) = (Sat::read(from)?, chosen(from, &SIDES)?);
    let at = |from: &mut Reader<'_>| -> Result<At, RecordFlaw> {
        Ok(At { number: CommitmentNumber::read(from)?, point: Point::read(from)? })
    };
    let what = match chosen(from, &[0, 1, 2, 3, 4, 5])? {
        0 => Claimed::Delayed(at(from)?),
        1 => Claimed::ToRemote,
        2 => Claimed::Anchor,
        3 => Claimed::Contract {
            at: at(from)?,
            placed: read_placed(from, templates)?,
            secret: read_secret(from)?,
        },
        4 => Claimed::RevokedDelayed(at(from)?),
        _ => Claimed::RevokedContract { at: at(from)?, placed: read_placed(from, templates)? },
    };
    Ok(Claim { outpoint, value, claimer, what })
}

fn write_stage(stage: &Staged, to: &mut Vec<u8>) {
    bigsize::write(stage.contract as u64, to);
    stage.signature.write(to);
    write_secret(stage.secret.as_deref(), to);
}

fn read_stage(from: &mut Reader<'_>) -> Result<Staged, RecordFlaw> {
    Ok(Staged {
        contract: length(from)?,
        signature: Signature::read(from)?,
        secret: read_secret(from)?,
    })
}

fn write_secret(secret: Option<&[u8]>, to: &mut Vec<u8>) {
    to.push(u8::from(secret.is_some()));
    if let Some(secret) = secret {
        bigsize::write(secret.len() as u64, to);
        to.extend(secret);
    }
}

fn read_secret(from: &mut Reader<'_>) -> Result<Option<Vec<u8>>, RecordFlaw> {
    if !chosen(from, &[false, true])? {
        return Ok(None);
    }
    let len = length(from)?;
    Ok(Some(from.take(len)?.to_vec()))
}

fn read_transaction(from: &mut Reader<'_>) -> Result<Transaction, RecordFlaw> {
    deserialize(from.rest()).map_err(|_| RecordFlaw::Transaction)
}

fn write_coins(coins: &[SpendInput]) -> Vec<u8> {
    let mut to = Vec::new();
    coins.iter().for_each(|coin| spend::write_input(coin, &mut to));
    to
}

fn read_coins(from: &mut Reader<'_>) -> Result<Vec<SpendInput>, RecordFlaw> {
    let mut coins = Vec::new();
    while !from.is_empty() {
        coins.push(spend::read_input(from)?);
    }
    Ok(coins)
}
