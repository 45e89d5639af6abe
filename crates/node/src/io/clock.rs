//! The clock and the dice of this machine.

use noise::EphemeralKey;
use rustix::time::{ClockId, clock_gettime};
use signer::UnixTime;
use wire::{dice::Dice, tick::Tick};

/// Milliseconds since the machine started: the same for every process on it, and never back.
pub fn now() -> Tick {
    let time = clock_gettime(ClockId::Monotonic);
    Tick(time.tv_sec as u64 * 1_000 + time.tv_nsec as u64 / 1_000_000)
}

/// What people's clocks show.
pub fn unix_time() -> UnixTime {
    let seconds = clock_gettime(ClockId::Realtime).tv_sec;
    UnixTime(u32::try_from(seconds.max(0)).unwrap_or(u32::MAX))
}

/// A key for one handshake.
pub fn ephemeral() -> EphemeralKey {
    loop {
        // Zero, or at least the order of the curve: about once in 2^127 draws.
        if let Ok(key) = EphemeralKey::take(&mut drawn()) {
            return key;
        }
    }
}

/// Bytes that nobody can guess.
pub fn drawn<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("every system we run on has a source of randomness");
    bytes
}

/// Dice for what need not be secret, such as pauses.
pub fn dice() -> Dice {
    Dice::new(u64::from_be_bytes(drawn()))
}
