//! Absolute and relative locks.

use bitcoin::{
    Transaction,
    absolute::{LOCK_TIME_THRESHOLD, LockTime},
    relative,
};

use super::{coins::View, fault::TxFault};

/// Where a transaction would be: the height of its block, and the median time before that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The height of its block.
    pub height: u32,
    /// The median time of the eleven blocks before.
    pub time: u32,
}

/// Seconds of a relative lock's unit of time, as a power of two (BIP 68).
const GRANULARITY_BITS: u32 = 9;

/// Whether a transaction's absolute lock is open at a place.
pub fn absolute(tx: &Transaction, place: Place) -> Result<(), TxFault> {
    let lock = tx.lock_time.to_consensus_u32();
    let now = if lock < LOCK_TIME_THRESHOLD { place.height } else { place.time };
    let unused = tx.input.iter().all(|input| !input.sequence.enables_absolute_lock_time());
    if tx.lock_time == LockTime::ZERO || lock < now || unused {
        return Ok(());
    }
    Err(TxFault::NotFinal { lock: tx.lock_time, height: place.height, time: place.time })
}

/// Whether all relative locks are open at a place, for inputs that a view knows (BIP 68).
pub fn relative(tx: &Transaction, view: &impl View, place: Place) -> Result<(), TxFault> {
    // Core compares the version without its sign.
    if (tx.version.0 as u32) < 2 {
        return Ok(());
    }
    for (index, input) in tx.input.iter().enumerate() {
        let Some(lock) = input.sequence.to_relative_lock_time() else { continue };
        let Some(coin) = view.coin(&input.previous_output) else {
            return Err(TxFault::MissingInput { outpoint: input.previous_output });
        };
        let (now, until) = match lock {
            relative::LockTime::Blocks(blocks) => {
                (place.height, i64::from(coin.height) + i64::from(blocks.value()) - 1)
            }
            relative::LockTime::Time(time) => {
                let began = view.time_before(coin.height.saturating_sub(1));
                let seconds = i64::from(time.value()) << GRANULARITY_BITS;
                (place.time, i64::from(began) + seconds - 1)
            }
        };
        if until >= i64::from(now) {
            let until = u32::try_from(until).unwrap_or(u32::MAX);
            return Err(TxFault::Locked { input: index, lock, now, until });
        }
    }
    Ok(())
}
