//! Who may act for the channels of a node: one writer at a time, by a lease whose epoch rises.
//!
//! Whoever keeps something that only that one may move keeps the epoch in force, too. A claim takes
//! its place if it is higher; all else has to carry it, no other number.

use std::fmt;

/// Numbers those who have had the channels, one after the other. 0 is nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseEpoch(pub u64);

/// Somebody acts by a lease that is not the one in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaleLease {
    /// The epoch that he has.
    pub got: LeaseEpoch,
    /// The one in force.
    pub have: LeaseEpoch,
}

impl LeaseEpoch {
    /// The one after it; nothing if there is none.
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(next) => Some(Self(next)),
            None => None,
        }
    }

    /// Whether somebody who claims the channels by `got` takes them from this one.
    pub fn judge_claim(self, got: Self) -> Result<(), StaleLease> {
        if got > self { Ok(()) } else { Err(StaleLease { got, have: self }) }
    }

    /// Whether somebody with `got` is the one who has them.
    pub fn judge(self, got: Self) -> Result<(), StaleLease> {
        if got == self { Ok(()) } else { Err(StaleLease { got, have: self }) }
    }
}

impl fmt::Display for StaleLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a lease of epoch {}, the one in force has {}", self.got.0, self.have.0)
    }
}

impl std::error::Error for StaleLease {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_rises_and_all_else_is_the_same() {
        let have = LeaseEpoch(7);
        for (got, claims, acts) in [(6, false, false), (7, false, true), (8, true, false)] {
            let got = LeaseEpoch(got);
            let stale = StaleLease { got, have };
            assert_eq!(have.judge_claim(got), if claims { Ok(()) } else { Err(stale) });
            assert_eq!(have.judge(got), if acts { Ok(()) } else { Err(stale) });
        }
        assert_eq!(have.next(), Some(LeaseEpoch(8)));
        assert_eq!(LeaseEpoch(u64::MAX).next(), None);
    }
}
