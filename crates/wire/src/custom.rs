//! The custom messages of Leyden: every number from 32,768 up that we ever send.
//!
//! All are odd, so that a peer that does not know them passes over them. Other projects' numbers
//! stand here too where they lie close: two meanings for one number would be read, not noticed.

/// Messages that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CustomRange {
    /// The first number, odd.
    pub first: u16,
    /// The last number, odd.
    pub last: u16,
    /// What they are for.
    pub purpose: &'static str,
}

/// The first number that is free for anyone (BOLT 1).
pub const CUSTOM_MIN: u16 = 32_768;

/// Between a client that has the keys and the host that has its sockets.
pub const CLIENT_HOST: CustomRange =
    CustomRange { first: 32_769, last: 33_023, purpose: "client and host" };

/// Contracts with a relative refund, in a channel.
pub const PARKED: CustomRange = CustomRange { first: 33_025, last: 33_279, purpose: "parked" };

/// A line of text between two ends that show or test the transport.
pub const NOTE: CustomRange = CustomRange { first: 33_281, last: 33_281, purpose: "note" };

/// Proof of reserve.
pub const RESERVE: CustomRange =
    CustomRange { first: 44_203, last: 44_209, purpose: "proof of reserve" };

/// All of them, by rising number.
pub const RANGES: &[CustomRange] = &[CLIENT_HOST, PARKED, NOTE, RESERVE];

impl CustomRange {
    /// Whether a message of this type belongs here.
    pub const fn holds(&self, message_type: u16) -> bool {
        message_type % 2 == 1 && self.first <= message_type && message_type <= self.last
    }
}

// Checked when this is compiled: odd, in range, rising and apart.
const _: () = {
    let mut last = CUSTOM_MIN - 1;
    let mut at = 0;
    while at < RANGES.len() {
        let range = RANGES[at];
        assert!(range.first % 2 == 1 && range.last % 2 == 1, "even: peers would hang up");
        assert!(last < range.first && range.first <= range.last, "ranges overlap");
        last = range.last;
        at += 1;
    }
};
