//! Questions and answers about channels as bytes. The kinds are those of the topics on the bus.
//!
//! `k` is record 0, the channel's key, 32 bytes. Record 14 is in each of them, though not in this
//! table: the epoch of the lease, 8 bytes. A side is 0 for the opener, 1 for the acceptor,
//! in one byte.
//!
//! | kind of ask | name | records |
//! |---|---|---|
//! | 16 | channel keys | k |
//! | 32 | set up | k, 2: side (1), 4: terms (395), 6: pushed (8) |
//! | 33 | sign remote | k, 2: meaning, 4: secrets |
//! | 34 | advance | k, 2: meaning, 4: secrets, 6: signature (64), 8: stages (64 each) |
//! | 35 | revoked | k, 2: number (8), 4: secret (32) |
//! | 36 | sign local | k, 2: meaning |
//! | 48 | check secret | k, 2: number (8), 4: secret (32) |
//! | 49 | sign close | k, 2: close, 4: payee of ours |
//! | 50 | sign claims | k, 2: claims, 4: parents, 6: inputs, 8: payee, 10: fee (8), |
//! | | | 12: lock time (4) |
//! | 51 | sign stages | k, 2: stages, 4: inputs, 6: place of the change, or empty, 8: fee (8) |
//!
//! Secrets are one behind the other, each behind its length (BigSize). So are parents: transactions
//! without their witnesses. Inputs, places and payees are those of spends, a payee is what stands
//! behind the amount of an output.
//!
//! | kind of answer | name | records |
//! |---|---|---|
//! | 22 | channel keys | 2: funding key (33), 4: basepoints (132), 6: points (66) |
//! | 23 | done | |
//! | 24 | remote signed | 2: signature (64), 4: stages (64 each) |
//! | 25 | advanced | 2: secret (32), or empty; 4: next point (33) |
//! | 26 | local signed | 2: signature (64) |
//! | 27 | channel refused | 2: why (1), 4: its three numbers (24), 6: its ids, if any (32 each) |
//! | 28 | checked | 2: ours (1) |
//! | 29 | close signed | 2: signature (64) |
//! | 33 | inputs signed | 2: signatures: each 0 of the channel, 1 of a coin (1), and itself (64) |
//! | 34 | end refused | as 27 |
//!
//! | value | layout |
//! |---|---|
//! | meaning | owner (1), number (8), point (33), rate (4), to opener (BigSize), to acceptor |
//! | | (BigSize), then its contracts |
//! | contract | who offers it (1), amount (BigSize), kind (2), its terms behind their length |
//! | | (BigSize) |
//! | close | to opener (8), to acceptor (8), the script of each: 0, or 1 and itself behind its |
//! | | length (2); fee (8); then 0 and a dust limit (8), or 1, the closer (1), a lock time (4) |
//! | claim | outpoint (36), value (8), claimer (1), what (1): 0 delayed and its commitment, 1 to |
//! | | remote, 2 anchor, 3 contract: its commitment, itself, its secret; 4 revoked delayed and |
//! | | its commitment, 5 revoked contract: its commitment, itself |
//! | commitment | number (8), point (33) |
//! | stage | which contract (BigSize), signature (64), secret |
//! | secret | 0, or 1 and the secret behind its length (BigSize) |
//! | terms | form: 0 static remote key, 1 anchors (1); outpoint (36), value (8), opener, acceptor |
//! | party | funding key (33), basepoints (132), dust limit (8), delay (2) |
//! | basepoints | revocation, payment, delayed payment, htlc (33 each) |
//!
//! A contract is read by the templates of whoever reads it. If they do not know it, the question is
//! one all the same, and gets a refusal: see [`Malformed::refusal`](super::Malformed::refusal).

pub(super) mod answer;
pub(super) mod ask;
mod end;
mod flaw;
pub(crate) mod meaning;
pub(super) mod refusal;
pub(crate) mod terms;

use wire::fault::Broke;
use wire::field::Field;
use wire::reader::Reader;

use super::{Malformed, Read, RecordFlaw};

const SIGNATURE_BYTES: usize = 64;
/// Bytes of the signature of an input, with the byte that says of what kind it is.
pub(super) const INPUT_SIGNATURE_BYTES: usize = 1 + SIGNATURE_BYTES;

/// A record that is filled by one value.
fn value<T: Field>(from: &Read<'_>, record: u64) -> Result<T, Malformed> {
    filled(from, record, |bytes| Ok(T::read(bytes)?))
}

/// A record that is filled by what `read` reads.
fn filled<T>(
    from: &Read<'_>,
    record: u64,
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, RecordFlaw>,
) -> Result<T, Malformed> {
    let mut bytes = Reader::new(from.bytes(record)?);
    let value = read(&mut bytes).and_then(|value| Ok(bytes.end().map(|()| value)?));
    value.map_err(|flaw| from.flaw(record, flaw))
}

/// All that a record has, entry behind entry.
fn each<T>(
    from: &Read<'_>,
    record: u64,
    read: impl Fn(&mut Reader<'_>) -> Result<T, RecordFlaw>,
) -> Result<Vec<T>, Malformed> {
    filled(from, record, |bytes| {
        let mut all = Vec::new();
        while !bytes.is_empty() {
            all.push(read(bytes)?);
        }
        Ok(all)
    })
}

/// All values that a record has, with room for them from the beginning.
fn list<T: Field>(from: &Read<'_>, record: u64, size: usize) -> Result<Vec<T>, Malformed> {
    filled(from, record, |bytes| {
        let mut all = Vec::with_capacity(bytes.len() / size);
        while !bytes.is_empty() {
            all.push(T::read(bytes)?);
        }
        Ok(all)
    })
}

fn written<T: Field>(values: &[T]) -> Vec<u8> {
    let mut to = Vec::with_capacity(values.iter().map(Field::size).sum());
    values.iter().for_each(|value| value.write(&mut to));
    to
}

/// One of a table, by its place there.
pub(crate) fn chosen<T: Copy>(from: &mut Reader<'_>, table: &[T]) -> Result<T, RecordFlaw> {
    let [got] = *from.array()?;
    let max = u8::try_from(table.len()).expect("tables are short") - 1;
    table.get(usize::from(got)).copied().ok_or(RecordFlaw::Choice { got, min: 0, max })
}

pub(crate) fn length(from: &mut Reader<'_>) -> Result<usize, Broke> {
    Ok(usize::try_from(wire::bigsize::read(from)?).unwrap_or(usize::MAX))
}
