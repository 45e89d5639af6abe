//! Why channels are not ended like that, in the parts of a refusal. What is new gets the number
//! behind the last one, whichever of the two it belongs to.

use bitcoin::OutPoint;
use tx::{ClaimFault, Kind};
use wire::amount::{LockTime, Msat, Sat};
use wire::id::CommitmentNumber;

use super::super::Malformed;
use super::refusal::{Numbers, Parts, n, plus};
use super::terms::SIDES;
use crate::channel::EndFlaw;

/// An outpoint is the first number and the first id.
const fn of((number, numbers): (u8, [u64; 2]), outpoint: OutPoint) -> Parts {
    let [first, second] = numbers;
    (number, [outpoint.vout as u64, first, second], [Some(outpoint.txid), None])
}

pub(super) fn parts(flaw: &EndFlaw) -> Parts {
    let (number, numbers) = match *flaw {
        EndFlaw::NoWallet => (0, [0; 3]),
        EndFlaw::UnderWay { contracts } => (1, [n(contracts), 0, 0]),
        EndFlaw::NotOpen => (2, [0; 3]),
        EndFlaw::Unrevoked { number, newest } => (3, [number.0, newest.0, 0]),
        EndFlaw::Differ { local, remote } => (4, [local.0, remote.0, 0]),
        EndFlaw::Balance { side, got, want } => (5, [side as u64, got.0, want.0]),
        EndFlaw::Nothing { fee, has } => (6, [fee.0, has.0, 0]),
        EndFlaw::DustLimit { got, want: [opener, acceptor] } => {
            (7, [got, opener, acceptor].map(|it| it.0))
        }
        EndFlaw::LeftOut { got, dust } => (8, [got.0, dust.0, 0]),
        EndFlaw::Dust { got, min } => (9, [got.0, min.0, 0]),
        EndFlaw::OtherScript => (10, [0; 3]),
        EndFlaw::Destination { listed } => (11, [n(listed), 0, 0]),
        EndFlaw::Place { got, max } => (12, [got.into(), max.into(), 0]),
        EndFlaw::Fee { got, max, stake } => (13, [got, max, stake].map(|it| it.0)),
        EndFlaw::NotClosing => (14, [0; 3]),
        EndFlaw::NotRevoked { number, unrevoked } => (15, [number.0, unrevoked.0, 0]),
        EndFlaw::NotOurs { want } => (16, [want as u64, 0, 0]),
        EndFlaw::Shown { got, max } => (17, [n(got), n(max), 0]),
        EndFlaw::NotShown { outpoint, shown } => return of((18, [n(shown), 0]), outpoint),
        EndFlaw::NotThere { outpoint, got, have } => {
            return of((19, [got.0, plus(have.map(|it| it.0))]), outpoint);
        }
        EndFlaw::Claim(fault) => return fault_parts(&fault),
    };
    (number, numbers, [None; 2])
}

fn fault_parts(fault: &ClaimFault) -> Parts {
    let (number, numbers) = match *fault {
        ClaimFault::NoWay { kind, has_secret } => (20, [kind.0.into(), has_secret.into(), 0]),
        ClaimFault::Funding { outpoint } => return of((21, [0; 2]), outpoint),
        ClaimFault::Inputs { got, min, max } => (22, [got, min, max].map(n)),
        ClaimFault::Twice { outpoint } => return of((23, [0; 2]), outpoint),
        ClaimFault::NotTaproot { outpoint } => return of((24, [0; 2]), outpoint),
        ClaimFault::Waits { outpoint, got, min } => {
            return of((25, [got.into(), min.into()]), outpoint);
        }
        ClaimFault::TooMuch { got, max } => (26, [got.0, max.0, 0]),
        ClaimFault::Short { spent, fee, min } => (27, [spent, fee, min].map(|it| it.0)),
        ClaimFault::Fee { got, want } => (28, [got.0, want.0, 0]),
        ClaimFault::Weight { got, max } => (29, [got, max, 0]),
        ClaimFault::LockTimes { got, want } => (30, [got.0.into(), want.0.into(), 0]),
        ClaimFault::NoStage { contract, of } => (31, [n(contract), n(of), 0]),
        ClaimFault::Signatures { got, want } => (32, [n(got), n(want), 0]),
        ClaimFault::BadSignature { input, of } => (33, [n(input), n(of), 0]),
    };
    (number, numbers, [None; 2])
}

pub(super) fn read(number: u8, numbers: &Numbers<'_>) -> Result<EndFlaw, Malformed> {
    let [a, b, c] = numbers.all;
    let at = CommitmentNumber;
    Ok(match number {
        0 => EndFlaw::NoWallet,
        1 => EndFlaw::UnderWay { contracts: numbers.fit(0)? },
        2 => EndFlaw::NotOpen,
        3 => EndFlaw::Unrevoked { number: at(a), newest: at(b) },
        4 => EndFlaw::Differ { local: Msat(a), remote: Msat(b) },
        5 => EndFlaw::Balance { side: numbers.listed(&SIDES)?, got: Msat(b), want: Msat(c) },
        6 => EndFlaw::Nothing { fee: Sat(a), has: Msat(b) },
        7 => EndFlaw::DustLimit { got: Sat(a), want: [Sat(b), Sat(c)] },
        8 => EndFlaw::LeftOut { got: Sat(a), dust: Sat(b) },
        9 => EndFlaw::Dust { got: Sat(a), min: Sat(b) },
        10 => EndFlaw::OtherScript,
        11 => EndFlaw::Destination { listed: numbers.fit(0)? },
        12 => EndFlaw::Place { got: numbers.fit(0)?, max: numbers.fit(1)? },
        13 => EndFlaw::Fee { got: Sat(a), max: Sat(b), stake: Sat(c) },
        14 => EndFlaw::NotClosing,
        15 => EndFlaw::NotRevoked { number: at(a), unrevoked: at(b) },
        16 => EndFlaw::NotOurs { want: numbers.listed(&SIDES)? },
        17 => EndFlaw::Shown { got: numbers.fit(0)?, max: numbers.fit(1)? },
        18 => EndFlaw::NotShown { outpoint: numbers.outpoint()?, shown: numbers.fit(1)? },
        19 => {
            let (outpoint, have) = (numbers.outpoint()?, c.checked_sub(1).map(Sat));
            EndFlaw::NotThere { outpoint, got: Sat(b), have }
        }
        _ => EndFlaw::Claim(read_fault(number, numbers)?),
    })
}

fn read_fault(number: u8, numbers: &Numbers<'_>) -> Result<ClaimFault, Malformed> {
    let [a, b, c] = numbers.all;
    Ok(match number {
        // What is neither 0 nor 1 does not come back the same.
        20 => ClaimFault::NoWay { kind: Kind(numbers.fit(0)?), has_secret: b != 0 },
        21 => ClaimFault::Funding { outpoint: numbers.outpoint()? },
        22 => {
            let (got, min, max) = (numbers.fit(0)?, numbers.fit(1)?, numbers.fit(2)?);
            ClaimFault::Inputs { got, min, max }
        }
        23 => ClaimFault::Twice { outpoint: numbers.outpoint()? },
        24 => ClaimFault::NotTaproot { outpoint: numbers.outpoint()? },
        25 => {
            let (outpoint, got) = (numbers.outpoint()?, numbers.fit(1)?);
            ClaimFault::Waits { outpoint, got, min: numbers.fit(2)? }
        }
        26 => ClaimFault::TooMuch { got: Sat(a), max: Sat(b) },
        27 => ClaimFault::Short { spent: Sat(a), fee: Sat(b), min: Sat(c) },
        28 => ClaimFault::Fee { got: Sat(a), want: Sat(b) },
        29 => ClaimFault::Weight { got: a, max: b },
        30 => {
            let time = |at| numbers.fit(at).map(LockTime);
            ClaimFault::LockTimes { got: time(0)?, want: time(1)? }
        }
        31 => ClaimFault::NoStage { contract: numbers.fit(0)?, of: numbers.fit(1)? },
        32 => ClaimFault::Signatures { got: numbers.fit(0)?, want: numbers.fit(1)? },
        33 => ClaimFault::BadSignature { input: numbers.fit(0)?, of: numbers.fit(1)? },
        got => return Err(numbers.no_choice(got, 33)),
    })
}
