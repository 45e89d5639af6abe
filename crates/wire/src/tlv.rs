//! TLV streams: the part of a message that may grow.

use core::fmt;

use crate::{bigsize, dice::Dice, fault::Broke, field::Value, hex::Hex, reader::Reader};

/// Types below this belong to the BOLTs, the others to whoever picks them.
pub const CUSTOM_RECORD_MIN: u64 = 1 << 16;

/// A record that stands in a stream, checked for order and length but not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its type.
    pub number: u64,
    /// What is in it.
    pub value: &'a [u8],
}

/// Walks through a stream record by record; after a fault it must not be asked again.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    left: Reader<'a>,
    last: Option<u64>,
}

impl<'a> Records<'a> {
    /// Starts at the first record.
    pub const fn new(stream: Reader<'a>) -> Self {
        Self { left: stream, last: None }
    }

    /// The next record, if there is one.
    #[inline]
    pub fn next_record(&mut self) -> Result<Option<Record<'a>>, Broke> {
        if self.left.is_empty() {
            return Ok(None);
        }
        let number = bigsize::read(&mut self.left)?;
        match self.last {
            Some(last) if number == last => return Err(Broke::TlvTwice { record: number }),
            Some(last) if number < last => {
                return Err(Broke::TlvOrder { after: last, got: number });
            }
            _ => self.last = Some(number),
        }
        let len = bigsize::read(&mut self.left)?;
        let have = self.left.len();
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let value = self.left.take(len).map_err(|_| Broke::Short { need: len, have })?;
        Ok(Some(Record { number, value }))
    }
}

/// Appends one record.
#[inline]
pub fn write_record<V: Value>(number: u64, value: &V, to: &mut Vec<u8>) {
    bigsize::write(number, to);
    bigsize::write(value.size() as u64, to);
    value.write(to);
}

/// Bytes that [`write_record`] appends.
#[inline]
pub fn record_size<V: Value>(number: u64, value: &V) -> usize {
    let len = value.size();
    bigsize::size(number) + bigsize::size(len as u64) + len
}

/// Reads a record's value; refuses one that does not fill the record.
#[inline]
pub fn read_value<V: Value>(value: &[u8]) -> Result<V, Broke> {
    let mut from = Reader::new(value);
    let read = V::read(&mut from)?;
    from.end()?;
    Ok(read)
}

fn record_bytes(record: Record<'_>) -> usize {
    let len = record.value.len();
    bigsize::size(record.number) + bigsize::size(len as u64) + len
}

/// What may follow the fields of a message.
pub trait Extension: Sized {
    /// Reads to the end of the message. `known` takes a record, or says that it does not know it.
    fn read<E: From<Broke>>(
        from: &mut Reader<'_>,
        known: impl FnMut(Record<'_>) -> Result<bool, E>,
    ) -> Result<Self, E>;
    /// Appends what stands before the known record `number`, and skips what bears that number.
    fn write_before(&self, at: &mut usize, number: u64, to: &mut Vec<u8>);
    /// Appends what stands behind the last known record.
    fn write_rest(&self, at: usize, to: &mut Vec<u8>);
    /// Bytes without the known records.
    fn size(&self) -> usize;
    /// The unknown records in it, where there can be some.
    fn unknown_mut(&mut self) -> Option<&mut Unknown>;
    /// Any such value, for tests.
    fn generate(dice: &mut Dice) -> Self;
}

/// The odd records of a stream that its message does not name, kept for whoever subscribes.
///
/// They are held as one run of bytes, so that a message full of tiny records costs no more memory
/// than it has bytes. To find one takes as long as there are others before it; to insert one, as
/// long as there are others.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Unknown {
    raw: Vec<u8>,
}

impl Unknown {
    /// No record.
    pub const NONE: Self = Self { raw: Vec::new() };

    /// The record of this number.
    pub fn find(&self, number: u64) -> Option<&[u8]> {
        let record = self.iter().find(|record| record.number >= number)?;
        (record.number == number).then_some(record.value)
    }

    /// All records in order.
    pub fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        let mut records = Records::new(Reader::new(&self.raw));
        core::iter::from_fn(move || records.next_record().expect("held records are well formed"))
    }

    /// Adds a record, or replaces it. An even one is refused: the other side would have to
    /// understand it. One that belongs to the BOLTs is refused too. Both need a line in the table.
    pub fn insert(&mut self, number: u64, value: &[u8]) -> Result<(), Broke> {
        if number.is_multiple_of(2) {
            return Err(Broke::UnknownEvenTlv { record: number });
        }
        if number < CUSTOM_RECORD_MIN {
            return Err(Broke::ReservedTlv { record: number, min: CUSTOM_RECORD_MIN });
        }
        let record = Record { number, value };
        let mut raw = Vec::with_capacity(self.raw.len() + record_bytes(record));
        let mut at = 0;
        self.write_before(&mut at, number, &mut raw);
        push_record(record, &mut raw);
        self.write_rest(at, &mut raw);
        self.raw = raw;
        Ok(())
    }
}

impl fmt::Debug for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|record| (record.number, Hex(record.value)))).finish()
    }
}

fn push_record(record: Record<'_>, to: &mut Vec<u8>) {
    bigsize::write(record.number, to);
    bigsize::write(record.value.len() as u64, to);
    to.extend_from_slice(record.value);
}

impl Extension for Unknown {
    // BOLT 1: "if `type` is unknown: if `type` is even: MUST fail to parse the `tlv_stream`;
    // otherwise, if `type` is odd: MUST discard the next `length` bytes." We set them aside.
    #[inline]
    fn read<E: From<Broke>>(
        from: &mut Reader<'_>,
        mut known: impl FnMut(Record<'_>) -> Result<bool, E>,
    ) -> Result<Self, E> {
        let mut records = Records::new(Reader::new(from.rest()));
        let mut raw = Vec::new();
        while let Some(record) = records.next_record()? {
            if known(record)? {
                continue;
            }
            if record.number.is_multiple_of(2) && !crate::planted::accepts_unknown_even() {
                return Err(Broke::UnknownEvenTlv { record: record.number }.into());
            }
            if raw.capacity() == 0 {
                raw.reserve_exact(record_bytes(record) + records.left.len());
            }
            push_record(record, &mut raw);
        }
        Ok(Self { raw })
    }

    #[inline]
    fn write_before(&self, at: &mut usize, number: u64, to: &mut Vec<u8>) {
        while *at < self.raw.len() {
            let mut left = Records::new(Reader::new(&self.raw[*at..]));
            let record = left.next_record().expect("held records are well formed");
            let next = self.raw.len() - left.left.len();
            match record {
                Some(record) if record.number < number => {
                    to.extend_from_slice(&self.raw[*at..next]);
                }
                Some(record) if record.number == number => {}
                _ => return,
            }
            *at = next;
        }
    }

    #[inline]
    fn write_rest(&self, at: usize, to: &mut Vec<u8>) {
        if at < self.raw.len() {
            to.extend_from_slice(&self.raw[at..]);
        }
    }

    #[inline]
    fn size(&self) -> usize {
        self.raw.len()
    }

    fn unknown_mut(&mut self) -> Option<&mut Unknown> {
        Some(self)
    }

    fn generate(dice: &mut Dice) -> Self {
        let mut unknown = Self::NONE;
        if dice.one_in(4) {
            for _ in 0..dice.below(4) {
                let number = (dice.number() | 1).max(CUSTOM_RECORD_MIN * 2 + 1);
                unknown.insert(number, &dice.bytes(40)).expect("an odd number");
            }
        }
        unknown
    }
}

/// What follows the fields of a signed gossip message: signed with the rest, so kept to the byte.
///
/// BOLT 7: the signature covers "the entire message following the `signature` field, including
/// any future fields appended to the end".
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Excess(pub Vec<u8>);

impl fmt::Debug for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Hex(&self.0), f)
    }
}

impl Extension for Excess {
    #[inline]
    fn read<E: From<Broke>>(
        from: &mut Reader<'_>,
        _: impl FnMut(Record<'_>) -> Result<bool, E>,
    ) -> Result<Self, E> {
        Ok(Self(from.rest().to_vec()))
    }

    #[inline]
    fn write_before(&self, _: &mut usize, _: u64, _: &mut Vec<u8>) {}

    #[inline]
    fn write_rest(&self, _: usize, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.0);
    }

    #[inline]
    fn size(&self) -> usize {
        self.0.len()
    }

    fn unknown_mut(&mut self) -> Option<&mut Unknown> {
        None
    }

    fn generate(dice: &mut Dice) -> Self {
        Self(if dice.one_in(4) { dice.bytes(60) } else { Vec::new() })
    }
}
