//! Questions about channels: an arm to write, and one to read.

use tx::Templates;
use wire::bigsize;
use wire::id::ChannelKey;
use wire::reader::Reader;

use super::super::{Malformed, Read, RecordFlaw, Writer};
use super::terms::SIDES;
use super::{SIGNATURE_BYTES, claims, close, filled, length, list, meaning, terms, value, written};
use crate::channel::{ChannelAsk, ChannelOp, SetUp, SignClose};

/// The record of the channel's key.
const K: u64 = 0;

pub(crate) fn write(to: Writer, ask: &ChannelAsk) -> Writer {
    let to = to.kind(ask.op.topic().into()).record(K, &ask.channel.0);
    match &ask.op {
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
        ChannelOp::Revoked { number, secret } => {
            to.record(2, &number.0.to_be_bytes()).record(4, &secret.0)
        }
        ChannelOp::SignLocal { meaning } => to.record(2, &meaning::write(meaning)),
        ChannelOp::CheckSecret { number, secret } => {
            to.record(2, &number.0.to_be_bytes()).record(4, &secret.0)
        }
        ChannelOp::SignClose(sign) => {
            to.record(2, &close::write(&sign.close)).record(4, &claims::write_payee(&sign.ours))
        }
        ChannelOp::SignClaims(sign) => claims::write(to, sign),
        ChannelOp::SignStages(sign) => claims::write_stages(to, sign),
    }
}

/// Nothing if no question about channels has this kind.
pub(crate) fn read(from: Read<'_>, templates: &Templates) -> Result<Option<ChannelAsk>, Malformed> {
    let known: &[u64] = match from.kind {
        16 => &[K],
        32 => &[K, 2, 4, 6],
        33 | 35 | 48 | 49 => &[K, 2, 4],
        34 | 51 => &[K, 2, 4, 6, 8],
        50 => &[K, 2, 4, 6, 8, 10, 12],
        36 => &[K, 2],
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
        48 => ChannelOp::CheckSecret { number: value(&from, 2)?, secret: value(&from, 4)? },
        49 => {
            let (close, ours) =
                (filled(&from, 2, close::read)?, filled(&from, 4, claims::read_payee)?);
            ChannelOp::SignClose(Box::new(SignClose { close, ours }))
        }
        50 => ChannelOp::SignClaims(Box::new(claims::read(&from, templates)?)),
        51 => ChannelOp::SignStages(Box::new(claims::read_stages(&from)?)),
        _ => ChannelOp::SignLocal { meaning: meaning()? },
    };
    Ok(Some(ChannelAsk { channel: ChannelKey(*from.array(K)?), op }))
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
