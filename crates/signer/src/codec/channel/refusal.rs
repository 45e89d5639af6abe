//! Refusals about channels: each is a number, up to three numbers of its own, and up to two ids.
//! Those of [`EndFlaw`](crate::channel::EndFlaw) have a kind of their own, and stand in `flaw.rs`.
//!
//! Numbers that would not come back the same are refused. Names come from a table; one that is not
//! there arrives as the first.

use bitcoin::hashes::Hash as _;
use bitcoin::{OutPoint, Txid};
use tx::{Flaw, Kind, SecretFault, Side};
use wire::amount::{BlockHeight, CsvDelay, FeeratePerKw, Msat, Sat};
use wire::id::CommitmentNumber;

use super::super::{Malformed, Read, RecordFlaw, Writer};
use super::flaw;
use super::terms::SIDES;
use crate::channel::ChannelRefusal as No;
use crate::view::Seconds;

/// What refusals call terms of a channel.
const TERMS: [&str; 4] = ["a term", "funding_satoshis", "push_msat", "dust_limit_satoshis"];
/// What flaws call fields of a contract.
const FIELDS: [&str; 3] = ["a field", "cltv_expiry", "refund_delay"];

/// The kinds of answers.
const REFUSED: u64 = 27;
const END_REFUSED: u64 = 34;

/// A refusal in parts: its number where it is read, its numbers, its ids.
pub(super) type Parts = (u8, [u64; 3], Ids);
pub(super) type Ids = [Option<Txid>; 2];

fn parts(no: &No) -> Parts {
    let name = |table: &[&str], name| n(table.iter().position(|it| *it == name).unwrap_or(0));
    let (number, numbers) = match *no {
        No::Unknown => (0, [0; 3]),
        No::AlreadySetUp => (1, [0; 3]),
        No::TooMany { max } => (2, [n(max), 0, 0]),
        No::Terms { term, got, limit } => (3, [name(&TERMS, term), got, limit]),
        No::ForeignKeys => (4, [0; 3]),
        No::WrongOwner { want } => (5, [want as u64, 0, 0]),
        No::OutOfTurn { number, newest, unrevoked } => {
            (6, [number.0, plus(newest.map(|it| it.0)), unrevoked.0])
        }
        No::Otherwise { number, got, have } => {
            return (7, [number.0, 0, 0], [Some(got), Some(have)]);
        }
        No::WrongPoint { number } => (8, [number.0, 0, 0]),
        No::Money { got, want } => (9, [got.0, want.0, 0]),
        No::Loss { got, want } => (10, [got.0, want.0, 0]),
        No::FeeRate { got, min, max } => (11, [got, min, max].map(|it| it.0.into())),
        No::Fee { missing } => (12, [missing.0, 0, 0]),
        No::Contracts { got, max } => (13, [n(got), n(max), 0]),
        No::Delay { got, min, max } => (14, [got, min, max].map(|it| it.0.into())),
        No::Contract(Flaw::UnknownKind { kind }) => (15, [kind.0.into(), 0, 0]),
        No::Contract(Flaw::Length { got, want }) => (16, [n(got), n(want), 0]),
        No::Contract(Flaw::Value { field, got, max }) => (17, [name(&FIELDS, field), got, max]),
        No::Contract(Flaw::Least { field, got, min }) => (25, [name(&FIELDS, field), got, min]),
        No::Contract(Flaw::Form { kind }) => (26, [kind.0.into(), 0, 0]),
        No::BadSignature { number, stage } => (18, [number.0, plus(stage.map(n)), 0]),
        No::StageCount { got, want } => (19, [n(got), n(want), 0]),
        No::WrongSecret { number } => (20, [number.0, 0, 0]),
        No::Secret(SecretFault::NotDerived { number, conflicts }) => {
            (21, [number.0, conflicts.0, 0])
        }
        No::Secret(SecretFault::OutOfTurn { number, next }) => (22, [number.0, next.0, 0]),
        No::Closing => (23, [0; 3]),
        No::Shut => (24, [0; 3]),
        No::InFlight { got, max } => (27, [got.0, max.0, 0]),
        No::Expiry { got, min, max } => (28, [got, min, max].map(|it| it.0.into())),
        No::Stale { age, max } => (29, [age.0.into(), max.0.into(), 0]),
        No::Allowance { got, left, limit } => (30, [got.0, left.0, limit.0]),
        No::End(flaw) => return flaw::parts(&flaw),
    };
    (number, numbers, [None; 2])
}

pub(super) fn n(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// 0 for nothing; what there is is counted from 1.
pub(super) fn plus(number: Option<u64>) -> u64 {
    number.map_or(0, |number| number.saturating_add(1))
}

pub(crate) fn write(to: Writer, no: &No) -> Writer {
    let (number, numbers, ids) = parts(no);
    let numbers: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
    let kind = if let No::End(_) = no { END_REFUSED } else { REFUSED };
    let to = to.kind(kind).record(2, &[number]).record(4, &numbers);
    let ids: Vec<u8> = ids.iter().flatten().flat_map(|id| id.to_byte_array()).collect();
    if ids.is_empty() { to } else { to.record(6, &ids) }
}

pub(crate) fn read(from: &Read<'_>) -> Result<No, Malformed> {
    let ([number], numbers) = (*from.array(2)?, from.array::<24>(4)?);
    let (numbers, _) = numbers.as_chunks::<8>();
    let numbers = Numbers { from, all: [0, 1, 2].map(|at| u64::from_be_bytes(numbers[at])) };
    let no = match from.kind {
        END_REFUSED => No::End(flaw::read(number, &numbers)?),
        _ => read_no(number, &numbers)?,
    };
    // What it has no use for is nothing.
    let (_, all, ids) = parts(&no);
    match (all == numbers.all, ids == [None; 2] && from.bytes(6).is_ok()) {
        (true, false) => Ok(no),
        (false, _) | (_, true) => Err(from.flaw(4, RecordFlaw::Numbers)),
    }
}

fn read_no(number: u8, numbers: &Numbers<'_>) -> Result<No, Malformed> {
    let n = |at: usize| numbers.all[at];
    let commitment = |at| CommitmentNumber(n(at));
    Ok(match number {
        0 => No::Unknown,
        1 => No::AlreadySetUp,
        2 => No::TooMany { max: numbers.fit(0)? },
        3 => No::Terms { term: numbers.listed(&TERMS)?, got: n(1), limit: n(2) },
        4 => No::ForeignKeys,
        5 => No::WrongOwner { want: numbers.listed::<Side>(&SIDES)? },
        6 => {
            let newest = n(1).checked_sub(1).map(CommitmentNumber);
            No::OutOfTurn { number: commitment(0), newest, unrevoked: commitment(2) }
        }
        7 => {
            let (ids, _) = numbers.from.array::<64>(6)?.as_chunks::<32>();
            let [got, have] = [0, 1].map(|at| Txid::from_byte_array(ids[at]));
            No::Otherwise { number: commitment(0), got, have }
        }
        8 => No::WrongPoint { number: commitment(0) },
        9 => No::Money { got: Msat(n(0)), want: Msat(n(1)) },
        10 => No::Loss { got: Msat(n(0)), want: Msat(n(1)) },
        11 => {
            let rate = |at| numbers.fit(at).map(FeeratePerKw);
            No::FeeRate { got: rate(0)?, min: rate(1)?, max: rate(2)? }
        }
        12 => No::Fee { missing: Sat(n(0)) },
        13 => No::Contracts { got: numbers.fit(0)?, max: numbers.fit(1)? },
        14 => {
            let delay = |at| numbers.fit(at).map(CsvDelay);
            No::Delay { got: delay(0)?, min: delay(1)?, max: delay(2)? }
        }
        15 => No::Contract(Flaw::UnknownKind { kind: Kind(numbers.fit(0)?) }),
        16 => No::Contract(Flaw::Length { got: numbers.fit(0)?, want: numbers.fit(1)? }),
        17 => No::Contract(Flaw::Value { field: numbers.listed(&FIELDS)?, got: n(1), max: n(2) }),
        18 => {
            let stage = numbers.fit::<usize>(1)?.checked_sub(1);
            No::BadSignature { number: commitment(0), stage }
        }
        19 => No::StageCount { got: numbers.fit(0)?, want: numbers.fit(1)? },
        20 => No::WrongSecret { number: commitment(0) },
        21 => {
            let (number, conflicts) = (commitment(0), commitment(1));
            No::Secret(SecretFault::NotDerived { number, conflicts })
        }
        22 => No::Secret(SecretFault::OutOfTurn { number: commitment(0), next: commitment(1) }),
        23 => No::Closing,
        24 => No::Shut,
        25 => No::Contract(Flaw::Least { field: numbers.listed(&FIELDS)?, got: n(1), min: n(2) }),
        26 => No::Contract(Flaw::Form { kind: Kind(numbers.fit(0)?) }),
        27 => No::InFlight { got: Msat(n(0)), max: Msat(n(1)) },
        28 => {
            let height = |at| numbers.fit(at).map(BlockHeight);
            No::Expiry { got: height(0)?, min: height(1)?, max: height(2)? }
        }
        29 => No::Stale { age: Seconds(numbers.fit(0)?), max: Seconds(numbers.fit(1)?) },
        30 => No::Allowance { got: Msat(n(0)), left: Msat(n(1)), limit: Msat(n(2)) },
        got => return Err(numbers.no_choice(got, 30)),
    })
}

/// What stands behind a refusal's number.
pub(super) struct Numbers<'a> {
    from: &'a Read<'a>,
    pub(super) all: [u64; 3],
}

impl Numbers<'_> {
    pub(super) fn fit<T: TryFrom<u64>>(&self, at: usize) -> Result<T, Malformed> {
        T::try_from(self.all[at]).map_err(|_| self.from.flaw(4, RecordFlaw::Numbers))
    }

    /// The one of a table that the first number says.
    pub(super) fn listed<T: Copy>(&self, table: &[T]) -> Result<T, Malformed> {
        let at = self.fit::<usize>(0)?;
        table.get(at).copied().ok_or_else(|| self.from.flaw(4, RecordFlaw::Numbers))
    }

    /// The output whose transaction is the only id, and whose place there is the first number.
    pub(super) fn outpoint(&self) -> Result<OutPoint, Malformed> {
        let txid = Txid::from_byte_array(*self.from.array(6)?);
        Ok(OutPoint { txid, vout: self.fit(0)? })
    }

    pub(super) fn no_choice(&self, got: u8, max: u8) -> Malformed {
        self.from.flaw(2, RecordFlaw::Choice { got, min: 0, max })
    }
}
