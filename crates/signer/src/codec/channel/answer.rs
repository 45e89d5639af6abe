//! Answers about channels: an arm to write, and one to read.

use wire::field::Field as _;
use wire::id::PerCommitmentSecret;
use wire::key::Point;

use super::super::{Malformed, Read, Writer};
use super::{SIGNATURE_BYTES, claims, filled, list, terms, value, written};
use crate::channel::{ChannelAnswer, ShownKeys};

/// How many signatures it has: there is room for them from the beginning.
pub(crate) const fn signatures(answer: &ChannelAnswer) -> usize {
    match answer {
        ChannelAnswer::RemoteSigned { stages, .. } => 1 + stages.len(),
        ChannelAnswer::LocalSigned { .. } | ChannelAnswer::CloseSigned { .. } => 1,
        // Each has a byte before it.
        ChannelAnswer::InputsSigned { signatures } => 2 + signatures.len() + signatures.len() / 32,
        ChannelAnswer::Keys(_)
        | ChannelAnswer::Done
        | ChannelAnswer::Advanced { .. }
        | ChannelAnswer::Checked { .. } => 0,
    }
}

pub(crate) fn write(to: Writer, answer: &ChannelAnswer) -> Writer {
    match answer {
        ChannelAnswer::Keys(shown) => {
            let mut basepoints = Vec::new();
            terms::write_basepoints(&shown.basepoints, &mut basepoints);
            let to = to.kind(22).record(2, &shown.funding_key.bytes()).record(4, &basepoints);
            to.record(6, &written(&shown.points))
        }
        ChannelAnswer::Done => to.kind(23),
        ChannelAnswer::RemoteSigned { signature, stages } => {
            to.kind(24).record(2, signature.bytes()).record(4, &written(stages))
        }
        ChannelAnswer::Advanced { secret, next } => {
            let secret = secret.as_ref().map_or(&[][..], |secret| &secret.0);
            to.kind(25).record(2, secret).record(4, &next.bytes())
        }
        ChannelAnswer::LocalSigned { signature } => to.kind(26).record(2, signature.bytes()),
        ChannelAnswer::Checked { is_ours } => to.kind(28).record(2, &[u8::from(*is_ours)]),
        ChannelAnswer::CloseSigned { signature } => to.kind(29).record(2, signature.bytes()),
        ChannelAnswer::InputsSigned { signatures } => {
            to.kind(33).record(2, &claims::write_signatures(signatures))
        }
    }
}

pub(crate) fn read(from: Read<'_>) -> Result<ChannelAnswer, Malformed> {
    Ok(match from.kind {
        22 => {
            let from = from.only(&[2, 4, 6])?;
            ChannelAnswer::Keys(Box::new(ShownKeys {
                funding_key: value(&from, 2)?,
                basepoints: filled(&from, 4, terms::basepoints)?,
                points: filled(&from, 6, |bytes| Ok([Point::read(bytes)?, Point::read(bytes)?]))?,
            }))
        }
        23 => from.only(&[]).map(|_| ChannelAnswer::Done)?,
        24 => {
            let from = from.only(&[2, 4])?;
            let stages = list(&from, 4, SIGNATURE_BYTES)?;
            ChannelAnswer::RemoteSigned { signature: value(&from, 2)?, stages }
        }
        25 => {
            let from = from.only(&[2, 4])?;
            let secret: Option<PerCommitmentSecret> = match from.bytes(2)? {
                [] => None,
                _ => Some(value(&from, 2)?),
            };
            ChannelAnswer::Advanced { secret, next: value(&from, 4)? }
        }
        26 => ChannelAnswer::LocalSigned { signature: value(&from.only(&[2])?, 2)? },
        28 => ChannelAnswer::Checked { is_ours: from.only(&[2])?.choice(2, 0, &[false, true])? },
        29 => ChannelAnswer::CloseSigned { signature: value(&from.only(&[2])?, 2)? },
        33 => {
            let signatures = filled(&from.only(&[2])?, 2, claims::read_signatures)?;
            ChannelAnswer::InputsSigned { signatures }
        }
        got => return Err(Malformed::Kind { got }),
    })
}
