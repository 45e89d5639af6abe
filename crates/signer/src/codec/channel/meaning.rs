//! What a commitment means, as bytes.

use tx::{Kind, Meaning, Placed, Templates};
use wire::amount::{FeeratePerKw, Msat};
use wire::bigsize;
use wire::field::Field as _;
use wire::id::CommitmentNumber;
use wire::key::Point;
use wire::reader::Reader;

use super::terms::SIDES;
use super::{RecordFlaw, chosen, length};

/// All but its contracts.
pub(crate) fn write_head(meaning: &Meaning, to: &mut Vec<u8>) {
    to.push(meaning.owner as u8);
    meaning.number.write(to);
    meaning.point.write(to);
    meaning.feerate.write(to);
    bigsize::write(meaning.to_opener.0, to);
    bigsize::write(meaning.to_acceptor.0, to);
}

pub(crate) fn read_head(from: &mut Reader<'_>) -> Result<Meaning, RecordFlaw> {
    Ok(Meaning {
        owner: chosen(from, &SIDES)?,
        number: CommitmentNumber::read(from)?,
        point: Point::read(from)?,
        feerate: FeeratePerKw::read(from)?,
        to_opener: Msat(bigsize::read(from)?),
        to_acceptor: Msat(bigsize::read(from)?),
        contracts: Vec::new(),
    })
}

pub(crate) fn write_placed(placed: &Placed, to: &mut Vec<u8>) {
    let terms = placed.contract.terms();
    to.push(placed.offered_by as u8);
    bigsize::write(placed.amount.0, to);
    to.extend(placed.contract.kind().0.to_be_bytes());
    bigsize::write(terms.len() as u64, to);
    to.extend(terms);
}

pub(crate) fn read_placed(
    from: &mut Reader<'_>,
    templates: &Templates,
) -> Result<Placed, RecordFlaw> {
    let (offered_by, amount) = (chosen(from, &SIDES)?, Msat(bigsize::read(from)?));
    let kind = Kind(u16::from_be_bytes(*from.array()?));
    let terms = length(from)?;
    let contract = templates.read(kind, from.take(terms)?).map_err(RecordFlaw::Contract)?;
    Ok(Placed { offered_by, amount, contract })
}

/// The longest contract of BOLT 3: an HTLC of all the money there is.
const PLACED_BYTES: usize = 1 + 9 + 2 + 1 + 36;

pub(super) fn write(meaning: &Meaning) -> Vec<u8> {
    let mut to = Vec::with_capacity(64 + PLACED_BYTES * meaning.contracts.len());
    write_head(meaning, &mut to);
    meaning.contracts.iter().for_each(|placed| write_placed(placed, &mut to));
    to
}

pub(super) fn read(from: &mut Reader<'_>, templates: &Templates) -> Result<Meaning, RecordFlaw> {
    let mut meaning = read_head(from)?;
    meaning.contracts.reserve(from.len() / PLACED_BYTES);
    while !from.is_empty() {
        meaning.contracts.push(read_placed(from, templates)?);
    }
    Ok(meaning)
}
