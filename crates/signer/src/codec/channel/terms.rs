//! What a channel is about, as bytes.

use bitcoin::hashes::Hash as _;
use bitcoin::{OutPoint, Txid};
use tx::{Basepoints, Form, Funding, Party, Side, Terms};
use wire::amount::{CsvDelay, Sat};
use wire::field::Field as _;
use wire::key::Point;
use wire::reader::Reader;

use super::{RecordFlaw, chosen};

/// Sides by their bytes.
pub(crate) const SIDES: [Side; 2] = [Side::Opener, Side::Acceptor];
/// Forms by their bytes.
const FORMS: [Form; 2] = [Form::StaticRemoteKey, Form::Anchors];

pub(crate) fn write(terms: &Terms, to: &mut Vec<u8>) {
    to.push(terms.form as u8);
    to.extend(terms.funding.outpoint.txid.as_byte_array());
    to.extend(terms.funding.outpoint.vout.to_be_bytes());
    terms.funding.value.write(to);
    for party in [&terms.opener, &terms.acceptor] {
        party.funding_key.write(to);
        write_basepoints(&party.keys, to);
        party.dust_limit.write(to);
        party.delay.write(to);
    }
}

pub(crate) fn read(from: &mut Reader<'_>) -> Result<Terms, RecordFlaw> {
    let form = chosen(from, &FORMS)?;
    let txid = Txid::from_byte_array(*from.array()?);
    let outpoint = OutPoint { txid, vout: u32::from_be_bytes(*from.array()?) };
    let funding = Funding { outpoint, value: Sat::read(from)? };
    Ok(Terms { form, funding, opener: party(from)?, acceptor: party(from)? })
}

fn party(from: &mut Reader<'_>) -> Result<Party, RecordFlaw> {
    Ok(Party {
        funding_key: Point::read(from)?,
        keys: basepoints(from)?,
        dust_limit: Sat::read(from)?,
        delay: CsvDelay::read(from)?,
    })
}

pub(super) fn write_basepoints(keys: &Basepoints, to: &mut Vec<u8>) {
    for point in [&keys.revocation, &keys.payment, &keys.delayed_payment, &keys.htlc] {
        point.write(to);
    }
}

pub(super) fn basepoints(from: &mut Reader<'_>) -> Result<Basepoints, RecordFlaw> {
    Ok(Basepoints {
        revocation: Point::read(from)?,
        payment: Point::read(from)?,
        delayed_payment: Point::read(from)?,
        htlc: Point::read(from)?,
    })
}
