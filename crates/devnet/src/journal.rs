//! A devnet on disk: one file of all that has come, in its order. The kernel's own files can lag
//! behind when the process is killed; what they lack is handed in again from here.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use bitcoin::{
    Block, BlockHash, Transaction,
    consensus::{deserialize, serialize},
    hashes::{Hash, sha256d},
};

use crate::fault::Fault;

const MAGIC: [u8; 8] = *b"leydev\x00\x01";
/// Kind, and length of what follows.
const HEAD_BYTES: usize = 5;
const SUM_BYTES: usize = 4;
/// A block, and some room.
const BODY_BYTES_MAX: usize = 4_100_000;

/// Something that has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Block(Block),
    Transaction(Transaction),
    Invalidated(BlockHash),
    Reconsidered(BlockHash),
}

/// The file.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    path: PathBuf,
}

impl Journal {
    /// Opens it, and reads all that is in it. A torn end is cut off.
    pub(crate) fn open(path: &Path) -> Result<(Self, Vec<Record>), Fault> {
        let disk = |error| Fault::disk(path, &error);
        let options =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = options.map_err(disk)?;
        file.try_lock().map_err(|error| Fault::disk(path, &error.into()))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(disk)?;
        let (records, end) = read(&bytes)?;
        if end == 0 {
            file.set_len(0).map_err(disk)?;
            file.seek(SeekFrom::Start(0)).map_err(disk)?;
            file.write_all(&MAGIC).map_err(disk)?;
        } else {
            file.set_len(end).map_err(disk)?;
            file.seek(SeekFrom::Start(end)).map_err(disk)?;
        }
        Ok((Self { file, path: path.to_owned() }, records))
    }

    /// Adds something. It is there when the process is killed; a power cut may take it.
    pub(crate) fn append(&mut self, record: &Record) -> Result<(), Fault> {
        let (kind, body) = match record {
            Record::Block(block) => (b'b', serialize(block)),
            Record::Transaction(tx) => (b't', serialize(tx)),
            Record::Invalidated(hash) => (b'i', hash.to_byte_array().to_vec()),
            Record::Reconsidered(hash) => (b'r', hash.to_byte_array().to_vec()),
        };
        let length = u32::try_from(body.len()).expect("what the kernel takes is shorter");
        let mut bytes = vec![kind];
        bytes.extend(length.to_le_bytes());
        bytes.extend(&body);
        bytes.extend(&sum(&bytes));
        self.file.write_all(&bytes).map_err(|error| Fault::disk(&self.path, &error))
    }
}

fn sum(bytes: &[u8]) -> [u8; SUM_BYTES] {
    let hash = sha256d::Hash::hash(bytes).to_byte_array();
    [hash[0], hash[1], hash[2], hash[3]]
}

/// All records, and where they end.
fn read(bytes: &[u8]) -> Result<(Vec<Record>, u64), Fault> {
    if bytes.len() < MAGIC.len() {
        return if MAGIC.starts_with(bytes) {
            Ok((Vec::new(), 0))
        } else {
            Err(Fault::Journal { at: 0, why: "no file of a devnet" })
        };
    }
    if !bytes.starts_with(&MAGIC) {
        return Err(Fault::Journal { at: 0, why: "no file of a devnet, or of another version" });
    }
    let (mut records, mut at) = (Vec::new(), MAGIC.len());
    while let Some(next) = record(&bytes[at..]) {
        let (length, record) = next.map_err(|why| Fault::Journal { at: at as u64, why })?;
        records.push(record);
        at += length;
    }
    Ok((records, at as u64))
}

/// The first record and its length, if all of it is there.
fn record(bytes: &[u8]) -> Option<Result<(usize, Record), &'static str>> {
    let (kind, head) = (bytes.first()?, bytes.get(1..HEAD_BYTES)?);
    let length = u32::from_le_bytes(head.try_into().ok()?) as usize;
    if length > BODY_BYTES_MAX {
        return Some(Err("a record longer than any block"));
    }
    let end = HEAD_BYTES + length;
    let (body, tail) = (bytes.get(HEAD_BYTES..end)?, bytes.get(end..end + SUM_BYTES)?);
    if tail != sum(&bytes[..end]) {
        let last = bytes.len() == end + SUM_BYTES;
        return if last { None } else { Some(Err("a record's sum is wrong")) };
    }
    let hash = || body.try_into().ok().map(BlockHash::from_byte_array);
    let record = match kind {
        b'b' => deserialize(body).ok().map(Record::Block),
        b't' => deserialize(body).ok().map(Record::Transaction),
        b'i' => hash().map(Record::Invalidated),
        b'r' => hash().map(Record::Reconsidered),
        _ => None,
    };
    Some(record.map(|record| (end + SUM_BYTES, record)).ok_or("a record of no known kind"))
}
