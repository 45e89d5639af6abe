//! Onions as bytes: what is asked and answered about them.

use sphinx::{Failure, Layer, RETURN_KEYS_BYTES, ReturnKeys};
use wire::fault::Broke;
use wire::id::{FailureCode, OnionHash, OnionPacket, PaymentHash};
use zeroize::Zeroize as _;

use super::{Malformed, Read, RecordFlaw, Writer};
use crate::api::Ask;
use crate::onion::Peel;

/// A payload and a packet behind it are no longer than the packet that they came in, twice.
pub(super) const ANSWER_BYTES_MAX: usize = 2 * sphinx::ONION_BYTES;

pub(super) fn write_ask(to: Writer, packet: &OnionPacket, hash: &PaymentHash) -> Writer {
    to.record(2, &packet.0).record(4, &hash.0)
}

pub(super) fn read_ask(from: &Read<'_>) -> Result<Ask, Malformed> {
    let packet = Box::new(OnionPacket(*from.array(2)?));
    Ok(Ask::Peel { packet, payment_hash: PaymentHash(*from.array(4)?) })
}

pub(super) fn write_answer(to: Writer, peel: &Peel) -> Writer {
    match peel {
        Peel::Layer { layer, keys } => {
            let to = write_keys(to.kind(30), keys).record(4, layer.payload());
            match layer {
                Layer::Final { .. } => to,
                Layer::Forward { next, .. } => to.record(6, &next.0),
            }
        }
        Peel::BadPayload { failure, keys } => {
            // A payload's flaw has a record and a place, and no data of anybody's.
            let failure = failure.encode().unwrap_or_default();
            write_keys(to.kind(31), keys).record(4, &failure)
        }
        Peel::Bad { code, sha256_of_onion } => {
            to.kind(32).record(2, &sha256_of_onion.0).record(4, &code.0.to_be_bytes())
        }
    }
}

pub(super) fn read_answer(from: Read<'_>) -> Result<Peel, Malformed> {
    match from.kind {
        30 => {
            let from = from.only(&[2, 4, 6])?;
            let (keys, payload) = (read_keys(&from)?, from.bytes(4)?.to_vec());
            let layer = match from.bytes(6) {
                Ok(_) => Layer::Forward { payload, next: Box::new(OnionPacket(*from.array(6)?)) },
                Err(_) => Layer::Final { payload },
            };
            Ok(Peel::Layer { layer, keys })
        }
        31 => {
            let from = from.only(&[2, 4])?;
            let failure = Failure::decode(from.bytes(4)?);
            let flaw = |broke: Broke| from.flaw(4, RecordFlaw::Broke(broke));
            Ok(Peel::BadPayload { failure: failure.map_err(flaw)?, keys: read_keys(&from)? })
        }
        32 => {
            let from = from.only(&[2, 4])?;
            let sha256_of_onion = OnionHash(*from.array(2)?);
            let code = FailureCode(u16::from_be_bytes(*from.array(4)?));
            Ok(Peel::Bad { code, sha256_of_onion })
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
