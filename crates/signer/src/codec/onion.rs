//! Onions as bytes: what is asked and answered about them.

use sphinx::{
    AssociatedData, BadOnion, Failure, Layer, OnionFlaw, RETURN_KEYS_BYTES, ReturnKeys, VERSION,
};
use wire::id::{OnionHash, OnionPacket, PaymentHash};
use zeroize::Zeroize as _;

use super::{Malformed, Read, RecordFlaw, Writer};
use crate::api::Ask;
use crate::onion::Peel;

/// The bytes that stand in an answer beside keys, failures and hashes: there is room for them from
/// the beginning.
pub(super) fn layer_bytes(peel: &Peel) -> usize {
    match peel {
        Peel::Layer { layer: Layer::Final { payload }, .. } => payload.len(),
        Peel::Layer { layer: Layer::Forward { payload, next }, .. } => payload.len() + next.0.len(),
        Peel::BadPayload { .. } | Peel::Bad(_) => 0,
    }
}

pub(super) fn write_ask(to: Writer, packet: &OnionPacket, data: &AssociatedData) -> Writer {
    let to = to.record(2, &packet.0);
    match data {
        AssociatedData::Payment(hash) => to.record(4, &hash.0),
        AssociatedData::Message => to.record(4, &[]),
    }
}

pub(super) fn read_ask(from: &Read<'_>) -> Result<Ask, Malformed> {
    let packet = Box::new(OnionPacket(*from.array(2)?));
    let associated_data = match from.bytes(4)? {
        [] => AssociatedData::Message,
        _ => AssociatedData::Payment(PaymentHash(*from.array(4)?)),
    };
    Ok(Ask::PeelOnion { packet, associated_data })
}

pub(super) fn write_answer(to: Writer, peel: &Peel) -> Writer {
    match peel {
        Peel::Layer { layer, keys } => {
            let to = write_keys(to.kind(30), keys).record(4, layer.payload());
            match layer {
                Layer::Final { .. } => to.record(6, &[]),
                Layer::Forward { next, .. } => to.record(6, &next.0),
            }
        }
        Peel::BadPayload { failure, keys } => {
            // One that is too long for anybody to read says only what it is.
            let code = || failure.code().0.to_be_bytes().to_vec();
            let failure = failure.encode().unwrap_or_else(|_| code());
            write_keys(to.kind(31), keys).record(4, &failure)
        }
        Peel::Bad(BadOnion { flaw, sha256_of_onion }) => {
            let flaw = match *flaw {
                OnionFlaw::Version { got, .. } => [0, got],
                OnionFlaw::Key { prefix } => [1, prefix],
                OnionFlaw::Hmac => [2, 0],
            };
            to.kind(32).record(2, &sha256_of_onion.0).record(4, &flaw)
        }
    }
}

pub(super) fn read_answer(from: Read<'_>) -> Result<Peel, Malformed> {
    match from.kind {
        30 => {
            let from = from.only(&[2, 4, 6])?;
            let (keys, payload) = (read_keys(&from)?, from.bytes(4)?.to_vec());
            let layer = match from.bytes(6)? {
                [] => Layer::Final { payload },
                _ => Layer::Forward { payload, next: Box::new(OnionPacket(*from.array(6)?)) },
            };
            Ok(Peel::Layer { layer, keys })
        }
        31 => {
            let from = from.only(&[2, 4])?;
            let failure = Failure::decode(from.bytes(4)?);
            let failure = failure.map_err(|broke| from.flaw(4, RecordFlaw::Broke(broke)))?;
            Ok(Peel::BadPayload { failure, keys: read_keys(&from)? })
        }
        32 => {
            let from = from.only(&[2, 4])?;
            let flaw = match *from.array(4)? {
                [0, got] => OnionFlaw::Version { got, want: VERSION },
                [1, prefix] => OnionFlaw::Key { prefix },
                [2, 0] => OnionFlaw::Hmac,
                [2, _] => return Err(from.flaw(4, RecordFlaw::Numbers)),
                [got, _] => {
                    return Err(from.flaw(4, RecordFlaw::Choice { got, min: 0, max: 2 }));
                }
            };
            Ok(Peel::Bad(BadOnion { flaw, sha256_of_onion: OnionHash(*from.array(2)?) }))
        }
        got => Err(Malformed::Kind { got }),
    }
}

fn write_keys(to: Writer, keys: &ReturnKeys) -> Writer {
    let mut bytes = [0; RETURN_KEYS_BYTES];
    keys.write(&mut bytes);
    let to = to.record(2, &bytes);
    bytes.zeroize();
    to
}

fn read_keys(from: &Read<'_>) -> Result<ReturnKeys, Malformed> {
    let mut bytes = *from.array(2)?;
    Ok(ReturnKeys::take(&mut bytes))
}
