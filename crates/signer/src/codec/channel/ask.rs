//! Questions about channels: an arm to write, and one to read.

use tx::Templates;
use wire::bigsize;
use wire::id::ChannelKey;
use wire::lease::LeaseEpoch;
use wire::reader::Reader;

use super::super::{Malformed, Read, RecordFlaw, Writer, spend};
use super::terms::SIDES;
use super::{SIGNATURE_BYTES, each, end, filled, length, list, meaning, terms, value, written};
use crate::api::Ask;
use crate::channel::{ChannelAsk, ChannelOp, SetUp, SignClaims, SignClose, SignStages};

/// The record of the channel's key.
const K: u64 = 0;
/// The record of the lease.
const L: u64 = 14;

pub(crate) fn write(to: Writer, lease: LeaseEpoch, ask: &ChannelAsk) -> Writer {
    let to = to.kind(ask.op.topic().into()).record(K, &ask.channel.0);
    write_op(to, &ask.op).epoch(L, lease)
}

fn write_op(to: Writer, op: &ChannelOp) -> Writer {
    match op {
        ChannelOp::Keys => to,
        ChannelOp::SetUp(setup) => {
            let mut all = Vec::new();
            terms::write(&setup.terms, &mut all);
            let to = to.record(2, &[setup.side as u8]).record(4, &all);
            to.record(6, &setup.pushed.0.to_be_bytes())
        }
        ChannelOp::SignRemote { meaning, secrets } => {
            to.record(2, &meaning::write(meaning)).record(4, &write_secrets(secrets))
        }
        ChannelOp::Advance { meaning, secrets, signature, stages } => {
            let to = to.record(2, &meaning::write(meaning)).record(4, &write_secrets(secrets));
            to.record(6, signature.bytes()).record(8, &written(stages))
        }
        ChannelOp::Revoked { number, secret } | ChannelOp::CheckSecret { number, secret } => {
            to.record(2, &number.0.to_be_bytes()).record(4, &secret.0)
        }
        ChannelOp::SignLocal { meaning } => to.record(2, &meaning::write(meaning)),
        ChannelOp::SignClose(ask) => {
            let to = to.record(2, &end::write_close(&ask.close));
            to.record(4, &all([&ask.ours], spend::write_payee))
        }
        ChannelOp::SignClaims(ask) => to
            .record(2, &all(&ask.claims, end::write_claim))
            .record(4, &all(&ask.parents, end::write_parent))
            .record(6, &all(&ask.coins, spend::write_input))
            .record(8, &all([&ask.to], spend::write_payee))
            .record(10, &ask.fee.0.to_be_bytes())
            .record(12, &ask.lock_time.0.to_be_bytes()),
        ChannelOp::SignStages(ask) => to
            .record(2, &all(&ask.stages, end::write_staged))
            .record(4, &all(&ask.coins, spend::write_input))
            .record(6, &all(&ask.change, |place, to| spend::write_place(*place, to)))
            .record(8, &ask.fee.0.to_be_bytes()),
    }
}

/// Nothing if no question about channels has this kind.
pub(crate) fn read(from: Read<'_>, templates: &Templates) -> Result<Option<Ask>, Malformed> {
    let known: &[u64] = match from.kind {
        16 => &[K, L],
        32 => &[K, 2, 4, 6, L],
        33 | 35 | 48 | 49 => &[K, 2, 4, L],
        34 => &[K, 2, 4, 6, 8, L],
        36 => &[K, 2, L],
        50 => &[K, 2, 4, 6, 8, 10, 12, L],
        51 => &[K, 2, 4, 6, 8, L],
        _ => return Ok(None),
    };
    let from = from.only(known)?;
    let meaning = || filled(&from, 2, |bytes| meaning::read(bytes, templates));
    let secrets = || filled(&from, 4, read_secrets);
    let op = match from.kind {
        16 => ChannelOp::Keys,
        32 => ChannelOp::SetUp(Box::new(SetUp {
            side: from.choice(2, 0, &SIDES)?,
            terms: filled(&from, 4, terms::read)?,
            pushed: value(&from, 6)?,
        })),
        33 => ChannelOp::SignRemote { meaning: meaning()?, secrets: secrets()? },
        34 => ChannelOp::Advance {
            meaning: meaning()?,
            secrets: secrets()?,
            signature: value(&from, 6)?,
            stages: list(&from, 8, SIGNATURE_BYTES)?,
        },
        35 => ChannelOp::Revoked { number: value(&from, 2)?, secret: value(&from, 4)? },
        36 => ChannelOp::SignLocal { meaning: meaning()? },
        48 => ChannelOp::CheckSecret { number: value(&from, 2)?, secret: value(&from, 4)? },
        49 => ChannelOp::SignClose(Box::new(SignClose {
            close: filled(&from, 2, end::read_close)?,
            ours: filled(&from, 4, spend::read_payee)?,
        })),
        50 => ChannelOp::SignClaims(Box::new(SignClaims {
            claims: each(&from, 2, |bytes| end::read_claim(bytes, templates))?,
            parents: each(&from, 4, end::read_parent)?,
            coins: each(&from, 6, spend::read_input)?,
            to: filled(&from, 8, spend::read_payee)?,
            fee: value(&from, 10)?,
            lock_time: value(&from, 12)?,
        })),
        _ => ChannelOp::SignStages(Box::new(SignStages {
            stages: each(&from, 2, end::read_staged)?,
            coins: each(&from, 4, spend::read_input)?,
            change: match from.bytes(6)? {
                [] => None,
                _ => Some(filled(&from, 6, spend::read_place)?),
            },
            fee: value(&from, 8)?,
        })),
    };
    let ask = Box::new(ChannelAsk { channel: ChannelKey(*from.array(K)?), op });
    Ok(Some(Ask::Channel { lease: from.epoch(L)?, ask }))
}

/// Entry behind entry.
fn all<'a, T: 'a>(
    entries: impl IntoIterator<Item = &'a T>,
    write: impl Fn(&T, &mut Vec<u8>),
) -> Vec<u8> {
    let mut to = Vec::new();
    entries.into_iter().for_each(|entry| write(entry, &mut to));
    to
}

fn write_secrets(secrets: &[Vec<u8>]) -> Vec<u8> {
    let mut to = Vec::with_capacity(secrets.iter().map(|it| it.len() + 1).sum());
    for secret in secrets {
        bigsize::write(secret.len() as u64, &mut to);
        to.extend(secret);
    }
    to
}

fn read_secrets(from: &mut Reader<'_>) -> Result<Vec<Vec<u8>>, RecordFlaw> {
    let mut all = Vec::new();
    while !from.is_empty() {
        let len = length(from)?;
        all.push(from.take(len)?.to_vec());
    }
    Ok(all)
}
