//! Why a channel is not ended like that, as numbers and ids: see `refusal.rs`.

use bitcoin::{OutPoint, Txid};
use tx::{ClaimFault, Kind};
use wire::amount::{LockTime, Msat, Sat};
use wire::id::CommitmentNumber;

use super::super::Malformed;
use super::refusal::{Numbers, Parts, plus};
use super::terms::SIDES;
use crate::channel::EndFlaw;

/// The first number of these.
pub(super) const FIRST: u8 = 30;
/// The last.
pub(super) const LAST: u8 = 73;

pub(super) fn parts(flaw: &EndFlaw) -> Parts {
    let n = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let (number, numbers) = match *flaw {
        EndFlaw::NoWallet => (30, [0; 3]),
        EndFlaw::UnderWay { contracts } => (31, [n(contracts), 0, 0]),
        EndFlaw::NotOpen => (32, [0; 3]),
        EndFlaw::Unrevoked { number, newest } => (33, [number.0, newest.0, 0]),
        EndFlaw::Differ { local, remote } => (34, [local.0, remote.0, 0]),
        EndFlaw::Balance { side, got, want } => (35, [side as u64, got.0, want.0]),
        EndFlaw::Nothing { fee, has } => (36, [fee.0, has.0, 0]),
        EndFlaw::DustLimit { got, want: [opener, acceptor] } => (37, [got.0, opener.0, acceptor.0]),
        EndFlaw::LeftOut { got, dust } => (38, [got.0, dust.0, 0]),
        EndFlaw::Dust { got, min } => (39, [got.0, min.0, 0]),
        EndFlaw::OtherScript => (40, [0; 3]),
        EndFlaw::Destination { listed } => (41, [n(listed), 0, 0]),
        EndFlaw::Place { got, max } => (42, [got.into(), max.into(), 0]),
        EndFlaw::Fee { got, max, stake } => (43, [got.0, max.0, stake.0]),
        EndFlaw::NotClosing => (44, [0; 3]),
        EndFlaw::NotRevoked { number, unrevoked } => (45, [number.0, unrevoked.0, 0]),
        EndFlaw::NotOurs { want } => (46, [want as u64, 0, 0]),
        EndFlaw::Shown { got, max } => (47, [n(got), n(max), 0]),
        EndFlaw::NotShown { outpoint, shown } => return of(48, outpoint, [n(shown), 0]),
        EndFlaw::NotThere { outpoint, got, have } => {
            return of(49, outpoint, [got.0, plus(have.map(|it| it.0))]);
        }
        EndFlaw::Claim(fault) => return parts_of_claim(&fault),
    };
    (number, numbers, None)
}

fn parts_of_claim(fault: &ClaimFault) -> Parts {
    let n = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let (number, numbers) = match *fault {
        ClaimFault::NoWay { kind, has_secret } => (60, [kind.0.into(), has_secret.into(), 0]),
        ClaimFault::Funding { outpoint } => return of(61, outpoint, [0; 2]),
        ClaimFault::Inputs { got, min, max } => (62, [n(got), n(min), n(max)]),
        ClaimFault::Twice { outpoint } => return of(63, outpoint, [0; 2]),
        ClaimFault::NotTaproot { outpoint } => return of(64, outpoint, [0; 2]),
        ClaimFault::Waits { outpoint, got, min } => {
            return of(65, outpoint, [got.into(), min.into()]);
        }
        ClaimFault::TooMuch { got, max } => (66, [got.0, max.0, 0]),
        ClaimFault::Short { spent, fee, min } => (67, [spent.0, fee.0, min.0]),
        ClaimFault::Fee { got, want } => (68, [got.0, want.0, 0]),
        ClaimFault::Weight { got, max } => (69, [got, max, 0]),
        ClaimFault::LockTimes { got, want } => (70, [got.0.into(), want.0.into(), 0]),
        ClaimFault::NoStage { contract, of } => (71, [n(contract), n(of), 0]),
        ClaimFault::Signatures { got, want } => (72, [n(got), n(want), 0]),
        ClaimFault::BadSignature { input, of } => (73, [n(input), n(of), 0]),
    };
    (number, numbers, None)
}

/// About an output: its number comes first, its transaction is the id.
fn of(number: u8, outpoint: OutPoint, [first, second]: [u64; 2]) -> Parts {
    let ids = Some([outpoint.txid; 2]);
    (number, [outpoint.vout.into(), first, second], ids)
}

/// Reads it; nothing if no flaw has this number.
pub(super) fn read(
    number: u8,
    numbers: &Numbers<'_>,
    txid: impl Fn() -> Result<Txid, Malformed>,
) -> Result<Option<EndFlaw>, Malformed> {
    let n = |at: usize| numbers.all[at];
    let outpoint = || Ok(OutPoint { txid: txid()?, vout: numbers.fit(0)? });
    let commitment = |at| CommitmentNumber(n(at));
    Ok(Some(match number {
        30 => EndFlaw::NoWallet,
        31 => EndFlaw::UnderWay { contracts: numbers.fit(0)? },
        32 => EndFlaw::NotOpen,
        33 => EndFlaw::Unrevoked { number: commitment(0), newest: commitment(1) },
        34 => EndFlaw::Differ { local: Msat(n(0)), remote: Msat(n(1)) },
        35 => {
            let side = numbers.listed(&SIDES)?;
            EndFlaw::Balance { side, got: Msat(n(1)), want: Msat(n(2)) }
        }
        36 => EndFlaw::Nothing { fee: Sat(n(0)), has: Msat(n(1)) },
        37 => EndFlaw::DustLimit { got: Sat(n(0)), want: [Sat(n(1)), Sat(n(2))] },
        38 => EndFlaw::LeftOut { got: Sat(n(0)), dust: Sat(n(1)) },
        39 => EndFlaw::Dust { got: Sat(n(0)), min: Sat(n(1)) },
        40 => EndFlaw::OtherScript,
        41 => EndFlaw::Destination { listed: numbers.fit(0)? },
        42 => EndFlaw::Place { got: numbers.fit(0)?, max: numbers.fit(1)? },
        43 => EndFlaw::Fee { got: Sat(n(0)), max: Sat(n(1)), stake: Sat(n(2)) },
        44 => EndFlaw::NotClosing,
        45 => EndFlaw::NotRevoked { number: commitment(0), unrevoked: commitment(1) },
        46 => EndFlaw::NotOurs { want: numbers.listed(&SIDES)? },
        47 => EndFlaw::Shown { got: numbers.fit(0)?, max: numbers.fit(1)? },
        48 => EndFlaw::NotShown { outpoint: outpoint()?, shown: numbers.fit(1)? },
        49 => {
            let have = n(2).checked_sub(1).map(Sat);
            EndFlaw::NotThere { outpoint: outpoint()?, got: Sat(n(1)), have }
        }
        _ => return Ok(read_claim(number, numbers, txid)?.map(EndFlaw::Claim)),
    }))
}

fn read_claim(
    number: u8,
    numbers: &Numbers<'_>,
    txid: impl Fn() -> Result<Txid, Malformed>,
) -> Result<Option<ClaimFault>, Malformed> {
    let n = |at: usize| numbers.all[at];
    let outpoint = || Ok(OutPoint { txid: txid()?, vout: numbers.fit(0)? });
    Ok(Some(match number {
        60 => {
            let has_secret = numbers.fit::<u8>(1)? == 1;
            ClaimFault::NoWay { kind: Kind(numbers.fit(0)?), has_secret }
        }
        61 => ClaimFault::Funding { outpoint: outpoint()? },
        62 => {
            let (got, min, max) = (numbers.fit(0)?, numbers.fit(1)?, numbers.fit(2)?);
            ClaimFault::Inputs { got, min, max }
        }
        63 => ClaimFault::Twice { outpoint: outpoint()? },
        64 => ClaimFault::NotTaproot { outpoint: outpoint()? },
        65 => {
            let (got, min) = (numbers.fit(1)?, numbers.fit(2)?);
            ClaimFault::Waits { outpoint: outpoint()?, got, min }
        }
        66 => ClaimFault::TooMuch { got: Sat(n(0)), max: Sat(n(1)) },
        67 => {
            let (spent, fee, min) = (Sat(n(0)), Sat(n(1)), Sat(n(2)));
            ClaimFault::Short { spent, fee, min }
        }
        68 => ClaimFault::Fee { got: Sat(n(0)), want: Sat(n(1)) },
        69 => ClaimFault::Weight { got: n(0), max: n(1) },
        70 => {
            let (got, want) = (LockTime(numbers.fit(0)?), LockTime(numbers.fit(1)?));
            ClaimFault::LockTimes { got, want }
        }
        71 => {
            let (contract, of) = (numbers.fit(0)?, numbers.fit(1)?);
            ClaimFault::NoStage { contract, of }
        }
        72 => {
            let (got, want) = (numbers.fit(0)?, numbers.fit(1)?);
            ClaimFault::Signatures { got, want }
        }
        73 => {
            let (input, of) = (numbers.fit(0)?, numbers.fit(1)?);
            ClaimFault::BadSignature { input, of }
        }
        _ => return Ok(None),
    }))
}
