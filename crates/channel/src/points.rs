//! Points as they are saved: both coordinates (64 bytes), so that whoever reads one looks whether
//! it is on the curve, and draws no root. With many channels a start does little else.

use bitcoin::secp256k1::PublicKey;
use wire::Hex;
use wire::key::Point;
use wire::reader::Reader;
use wire::saved::ChangeFault;

/// Stands in front of both coordinates, and is not saved.
const UNCOMPRESSED: u8 = 4;

pub(crate) fn write_point(point: &Point, to: &mut Vec<u8>) {
    to.extend_from_slice(&point.key().serialize_uncompressed()[1..]);
}

pub(crate) fn read_point(from: &mut Reader<'_>) -> Result<Point, ChangeFault> {
    let mut bytes = [UNCOMPRESSED; 65];
    bytes[1..].copy_from_slice(from.array::<64>()?);
    let none = |_| ChangeFault::Meaningless { what: "point", got: Hex(&bytes[1..]).to_string() };
    PublicKey::from_slice(&bytes).map(Point::from).map_err(none)
}

pub(crate) fn write_maybe_point(point: Option<&Point>, to: &mut Vec<u8>) {
    to.push(u8::from(point.is_some()));
    point.iter().for_each(|point| write_point(point, to));
}
