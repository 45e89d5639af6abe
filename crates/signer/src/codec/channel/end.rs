//! What ends a channel, as bytes: closes, claims and second stages.

use bitcoin::consensus::{deserialize, serialize};
use bitcoin::{ScriptBuf, Transaction, TxIn, Witness};
use tx::{At, Claim, Claimed, Close, ClosingOutputs, Staged, Templates};
use wire::amount::{LockTime, Msat, Sat};
use wire::bigsize;
use wire::field::Field as _;
use wire::id::CommitmentNumber;
use wire::key::{Point, Signature};
use wire::reader::Reader;

use super::super::spend;
use super::meaning::{read_placed, write_placed};
use super::terms::SIDES;
use super::{RecordFlaw, chosen, length};

pub(super) fn write_close(close: &Close) -> Vec<u8> {
    let mut to = Vec::new();
    close.to_opener.write(&mut to);
    close.to_acceptor.write(&mut to);
    for script in [&close.opener_script, &close.acceptor_script] {
        to.push(u8::from(script.is_some()));
        script.iter().for_each(|script| spend::write_script(script, &mut to));
    }
    close.fee.write(&mut to);
    match close.dialect {
        ClosingOutputs::Signed { dust_limit } => {
            to.push(0);
            dust_limit.write(&mut to);
        }
        ClosingOutputs::Complete { closer, lock_time } => {
            to.extend([1, closer as u8]);
            lock_time.write(&mut to);
        }
    }
    to
}

pub(super) fn read_close(from: &mut Reader<'_>) -> Result<Close, RecordFlaw> {
    Ok(Close {
        to_opener: Msat::read(from)?,
        to_acceptor: Msat::read(from)?,
        opener_script: read_script(from)?,
        acceptor_script: read_script(from)?,
        fee: Sat::read(from)?,
        dialect: match chosen(from, &[false, true])? {
            false => ClosingOutputs::Signed { dust_limit: Sat::read(from)? },
            true => {
                let closer = chosen(from, &SIDES)?;
                ClosingOutputs::Complete { closer, lock_time: LockTime::read(from)? }
            }
        },
    })
}

fn read_script(from: &mut Reader<'_>) -> Result<Option<ScriptBuf>, RecordFlaw> {
    let is_there = chosen(from, &[false, true])?;
    Ok(is_there.then(|| spend::read_script(from)).transpose()?)
}

pub(super) fn write_claim(claim: &Claim, to: &mut Vec<u8>) {
    spend::write_outpoint(&claim.outpoint, to);
    claim.value.write(to);
    to.push(claim.claimer as u8);
    match &claim.what {
        Claimed::Delayed(at) => write_at(0, at, to),
        Claimed::ToRemote => to.push(1),
        Claimed::Anchor => to.push(2),
        Claimed::Contract { at, placed, secret } => {
            write_at(3, at, to);
            write_placed(placed, to);
            write_secret(secret.as_deref(), to);
        }
        Claimed::RevokedDelayed(at) => write_at(4, at, to),
        Claimed::RevokedContract { at, placed } => {
            write_at(5, at, to);
            write_placed(placed, to);
        }
        Claimed::OwnContract { at, placed, secret } => {
            write_at(6, at, to);
            write_placed(placed, to);
            write_secret(secret.as_deref(), to);
        }
    }
}

pub(super) fn read_claim(
    from: &mut Reader<'_>,
    templates: &Templates,
) -> Result<Claim, RecordFlaw> {
    let (outpoint, value) = (spend::read_outpoint(from)?, Sat::read(from)?);
    let (claimer, [what]) = (chosen(from, &SIDES)?, *from.array()?);
    let what = match what {
        0 => Claimed::Delayed(read_at(from)?),
        1 => Claimed::ToRemote,
        2 => Claimed::Anchor,
        3 => {
            let (at, placed) = (read_at(from)?, read_placed(from, templates)?);
            Claimed::Contract { at, placed, secret: read_secret(from)? }
        }
        4 => Claimed::RevokedDelayed(read_at(from)?),
        5 => {
            let at = read_at(from)?;
            Claimed::RevokedContract { at, placed: read_placed(from, templates)? }
        }
        6 => {
            let (at, placed) = (read_at(from)?, read_placed(from, templates)?);
            Claimed::OwnContract { at, placed, secret: read_secret(from)? }
        }
        got => return Err(RecordFlaw::Choice { got, min: 0, max: 6 }),
    };
    Ok(Claim { outpoint, value, claimer, what })
}

/// What is claimed, and of which commitment.
fn write_at(what: u8, at: &At, to: &mut Vec<u8>) {
    to.push(what);
    at.number.write(to);
    at.point.write(to);
}

fn read_at(from: &mut Reader<'_>) -> Result<At, RecordFlaw> {
    Ok(At { number: CommitmentNumber::read(from)?, point: Point::read(from)? })
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

/// Without witnesses: the id says nothing of them, and they are most of a sweep.
pub(super) fn write_parent(parent: &Transaction, to: &mut Vec<u8>) {
    let bare = |input: &TxIn| TxIn { witness: Witness::new(), ..input.clone() };
    let input = parent.input.iter().map(bare).collect();
    let bytes = serialize(&Transaction { input, ..parent.clone() });
    bigsize::write(bytes.len() as u64, to);
    to.extend(bytes);
}

pub(super) fn read_parent(from: &mut Reader<'_>) -> Result<Transaction, RecordFlaw> {
    let len = length(from)?;
    let parent: Result<Transaction, _> = deserialize(from.take(len)?);
    let bare = parent.ok().filter(|it| it.input.iter().all(|input| input.witness.is_empty()));
    bare.ok_or(RecordFlaw::Transaction)
}

pub(super) fn write_staged(staged: &Staged, to: &mut Vec<u8>) {
    bigsize::write(staged.contract as u64, to);
    staged.signature.write(to);
    write_secret(staged.secret.as_deref(), to);
}

pub(super) fn read_staged(from: &mut Reader<'_>) -> Result<Staged, RecordFlaw> {
    let (contract, signature) = (length(from)?, Signature::read(from)?);
    Ok(Staged { contract, signature, secret: read_secret(from)? })
}
