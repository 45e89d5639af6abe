//! Values of varying length: blobs, scripts, texts and lists.

use core::fmt;

use crate::{
    bigsize,
    dice::Dice,
    fault::Broke,
    field::{Field, Fixed, Value, bytes},
    hex::Hex,
    id::{ChainHash, Scid, UpdateChecksums, UpdateTimestamps},
    key::Signature,
    reader::Reader,
};

/// Appends bytes behind their length of two bytes.
#[inline]
pub(crate) fn write_prefixed(bytes: &[u8], to: &mut Vec<u8>) {
    write_count(bytes.len(), to);
    to.extend_from_slice(bytes);
}

/// Appends a length or number of two bytes. `encode` refuses a message that is too long before
/// anything of it is written; whoever writes a part by hand has to look at its size first.
#[inline]
fn write_count(count: usize, to: &mut Vec<u8>) {
    let count = u16::try_from(count).expect("no list in a message has more than 65,535 bytes");
    to.extend_from_slice(&count.to_be_bytes());
}

/// Bytes that mean nothing to this crate.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Blob(pub Vec<u8>);

impl Blob {
    /// The text in it. BOLT 1 has `error` and `warning` carry any bytes: a peer's complaint must
    /// be heard whatever it is written in, so it is read as bytes and judged as text here.
    pub fn text(&self) -> Result<&str, Broke> {
        text(&self.0)
    }
}

/// Text, or why it is none.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, Broke> {
    core::str::from_utf8(bytes)
        .map_err(|fault| Broke::NotUtf8 { valid: fault.valid_up_to(), of: bytes.len() })
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Hex(&self.0), f)
    }
}

impl Field for Blob {
    #[inline]
    fn read(from: &mut Reader<'_>) -> Result<Self, Broke> {
        Ok(Self(from.prefixed()?.to_vec()))
    }

    #[inline]
    fn write(&self, to: &mut Vec<u8>) {
        write_prefixed(&self.0, to);
    }

    #[inline]
    fn size(&self) -> usize {
        2 + self.0.len()
    }

    fn generate(dice: &mut Dice) -> Self {
        Self(dice.bytes(300))
    }
}

/// A scriptpubkey.
pub type Script = bitcoin::ScriptBuf;

impl Field for Script {
    #[inline]
    fn read(from: &mut Reader<'_>) -> Result<Self, Broke> {
        Ok(Self::from_bytes(from.prefixed()?.to_vec()))
    }

    #[inline]
    fn write(&self, to: &mut Vec<u8>) {
        write_prefixed(self.as_bytes(), to);
    }

    #[inline]
    fn size(&self) -> usize {
        2 + self.len()
    }

    fn generate(dice: &mut Dice) -> Self {
        Self::from_bytes(dice.bytes(40))
    }
}

impl Value for Script {
    #[inline]
    fn read(from: &mut Reader<'_>) -> Result<Self, Broke> {
        Ok(Self::from_bytes(from.rest().to_vec()))
    }

    #[inline]
    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(self.as_bytes());
    }

    #[inline]
    fn size(&self) -> usize {
        self.len()
    }

    fn generate(dice: &mut Dice) -> Self {
        Field::generate(dice)
    }
}

bytes! {
    /// A node's name for people: 32 bytes, "a valid UTF-8 string, with any trailing-bytes equal to
    /// 0".
    Alias(32) own;
}

impl Alias {
    /// The name without the padding. Signed gossip is kept and passed on as it came, so text that
    /// is none is refused here, where somebody wants to show it.
    pub fn text(&self) -> Result<&str, Broke> {
        let end = self.0.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        text(&self.0[..end])
    }
}

impl fmt::Debug for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text() {
            Ok(text) => write!(f, "{text:?}"),
            Err(_) => fmt::Display::fmt(&Hex(&self.0), f),
        }
    }
}

/// Signatures behind their number, as `commitment_signed` carries those of the HTLCs.
impl Field for Vec<Signature> {
    fn read(from: &mut Reader<'_>) -> Result<Self, Broke> {
        let count = usize::from(u16::from_be_bytes(*from.array()?));
        let (pieces, _) = from.take(count * 64)?.as_chunks::<64>();
        let mut signatures = Self::with_capacity(count);
        for piece in pieces {
            signatures.push(Signature::parse(piece)?);
        }
        Ok(signatures)
    }

    fn write(&self, to: &mut Vec<u8>) {
        write_count(self.len(), to);
        self.iter().for_each(|signature| to.extend_from_slice(signature.bytes()));
    }

    fn size(&self) -> usize {
        2 + self.len() * 64
    }

    fn generate(dice: &mut Dice) -> Self {
        (0..dice.below(7)).map(|_| Field::generate(dice)).collect()
    }
}

/// The chains of `init`, one behind the other to the end of the record.
impl Value for Vec<ChainHash> {
    fn read(from: &mut Reader<'_>) -> Result<Self, Broke> {
        Ok(from.whole::<32>()?.iter().copied().map(ChainHash).collect())
    }

    fn write(&self, to: &mut Vec<u8>) {
        self.iter().for_each(|chain| to.extend_from_slice(&chain.0));
    }

    fn size(&self) -> usize {
        self.len() * 32
    }

    fn generate(dice: &mut Dice) -> Self {
        (0..dice.below(4)).map(|_| Field::generate(dice)).collect()
    }
}

/// The only encoding of gossip lists that BOLT 7 still allows: one item behind the other.
pub const UNCOMPRESSED: u8 = 0;

fn read_encoding(from: &mut Reader<'_>) -> Result<(), Broke> {
    match *from.array()? {
        [UNCOMPRESSED] => Ok(()),
        [got] => Err(Broke::UnknownEncoding { got, known: UNCOMPRESSED }),
    }
}

/// `encoded_short_ids`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScidList(pub Vec<Scid>);

impl Field for ScidList {
    fn read(from: &mut Reader<'_>) -> Result<Self, Broke> {
        let mut list = Reader::new(from.prefixed()?);
        read_encoding(&mut list)?;
        let scids = list.whole::<8>()?.iter().map(|bytes| Scid(u64::from_be_bytes(*bytes)));
        Ok(Self(scids.collect()))
    }

    fn write(&self, to: &mut Vec<u8>) {
        write_count(1 + self.0.len() * 8, to);
        to.push(UNCOMPRESSED);
        self.0.iter().for_each(|scid| to.extend_from_slice(&scid.0.to_be_bytes()));
    }

    fn size(&self) -> usize {
        3 + self.0.len() * 8
    }

    fn generate(dice: &mut Dice) -> Self {
        Self((0..dice.below(30)).map(|_| Field::generate(dice)).collect())
    }
}

/// `query_flags`: one BigSize for each asked channel. Held as it was read: a flag of one byte
/// would otherwise take eight.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct QueryFlags {
    raw: Vec<u8>,
}

impl fmt::Debug for QueryFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl QueryFlags {
    /// These flags.
    pub fn new(flags: impl IntoIterator<Item = u64>) -> Self {
        let mut raw = Vec::new();
        flags.into_iter().for_each(|flag| bigsize::write(flag, &mut raw));
        Self { raw }
    }

    /// The flags in order.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        let mut left = Reader::new(&self.raw);
        core::iter::from_fn(move || match left.is_empty() {
            true => None,
            false => Some(bigsize::read(&mut left).expect("held flags are well formed")),
        })
    }
}

impl Value for QueryFlags {
    fn read(from: &mut Reader<'_>) -> Result<Self, Broke> {
        read_encoding(from)?;
        let raw = from.rest();
        let mut flags = Reader::new(raw);
        while !flags.is_empty() {
            bigsize::read(&mut flags)?;
        }
        Ok(Self { raw: raw.to_vec() })
    }

    fn write(&self, to: &mut Vec<u8>) {
        to.push(UNCOMPRESSED);
        to.extend_from_slice(&self.raw);
    }

    fn size(&self) -> usize {
        1 + self.raw.len()
    }

    fn generate(dice: &mut Dice) -> Self {
        Self::new((0..dice.below(20)).map(|_| dice.number()).collect::<Vec<_>>())
    }
}

/// `query_option`: which extras a `query_channel_range` wants, one BigSize of bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryOption(pub u64);

impl Value for QueryOption {
    fn read(from: &mut Reader<'_>) -> Result<Self, Broke> {
        bigsize::read(from).map(Self)
    }

    fn write(&self, to: &mut Vec<u8>) {
        bigsize::write(self.0, to);
    }

    fn size(&self) -> usize {
        bigsize::size(self.0)
    }

    fn generate(dice: &mut Dice) -> Self {
        Self(dice.number())
    }
}

/// `timestamps_tlv`: for each channel of the reply, when its sides last updated it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimestampList(pub Vec<UpdateTimestamps>);

impl Value for TimestampList {
    fn read(from: &mut Reader<'_>) -> Result<Self, Broke> {
        read_encoding(from)?;
        read_rows(from).map(Self)
    }

    fn write(&self, to: &mut Vec<u8>) {
        to.push(UNCOMPRESSED);
        self.0.iter().for_each(|row| Field::write(row, to));
    }

    fn size(&self) -> usize {
        1 + self.0.len() * 8
    }

    fn generate(dice: &mut Dice) -> Self {
        Self((0..dice.below(9)).map(|_| Field::generate(dice)).collect())
    }
}

/// `checksums_tlv`: for each channel of the reply, what its sides last said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChecksumList(pub Vec<UpdateChecksums>);

impl Value for ChecksumList {
    fn read(from: &mut Reader<'_>) -> Result<Self, Broke> {
        read_rows(from).map(Self)
    }

    fn write(&self, to: &mut Vec<u8>) {
        self.0.iter().for_each(|row| Field::write(row, to));
    }

    fn size(&self) -> usize {
        self.0.len() * 8
    }

    fn generate(dice: &mut Dice) -> Self {
        Self((0..dice.below(9)).map(|_| Field::generate(dice)).collect())
    }
}

/// Rows of eight bytes to the end of the record.
fn read_rows<T: Fixed>(from: &mut Reader<'_>) -> Result<Vec<T>, Broke> {
    let rows = from.whole::<8>()?;
    // Not collected: behind a `Result` the number of rows is forgotten, and the list would grow by
    // doubling.
    let mut list = Vec::with_capacity(rows.len());
    for row in rows {
        list.push(T::read(&mut Reader::new(row))?);
    }
    Ok(list)
}
