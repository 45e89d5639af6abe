//! What may have left our channels within a day.
//!
//! Each of our offers counts when it comes into the first commitment, and stays counted, whatever
//! becomes of it: one that comes back may have been paid in a commitment that is not revoked yet,
//! and its day may be over while that of others is not. What both sides' commitments of a channel
//! have offered in all their time is compared, so that an offer that comes into one after the other
//! counts once, and one that is made again after it was paid counts again.

use std::collections::BTreeMap;

use wire::amount::Msat;

use crate::view::UnixTime;

/// Hours that count beside the one that has begun, so it is a day at least.
pub(super) const DAY_HOURS: u32 = 24;
/// What is remembered: those, and the one that has begun.
pub(super) const HOURS_MAX: usize = 25;
const HOUR_SECONDS: u32 = 60 * 60;

/// What was counted, by the hours since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Day {
    pub(super) hours: BTreeMap<u32, Msat>,
}

/// What a commitment offers that the one before it did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// All of it.
    pub offered: Msat,
    /// What of it was not offered in the commitments of the other side before.
    pub counted: Msat,
    /// When.
    pub at: UnixTime,
}

impl Day {
    /// What was counted within a day of `at`.
    pub(super) fn spent(&self, at: UnixTime) -> Msat {
        // What a clock that is put back has left in the future counts, too.
        let from = (at.0 / HOUR_SECONDS).saturating_sub(DAY_HOURS);
        let sum = self.hours.range(from..).fold(0, |sum: u64, (_, it)| sum.saturating_add(it.0));
        Msat(sum)
    }

    /// Counts it, and forgets what counts no more.
    pub(super) fn count(&mut self, spent: &Spent) {
        if spent.counted == Msat(0) {
            return;
        }
        let now = spent.at.0 / HOUR_SECONDS;
        self.hours = self.hours.split_off(&now.saturating_sub(DAY_HOURS));
        // As if it were now: a day after a clock was wrong all is well again.
        let ahead = self.hours.split_off(&now);
        let sum = ahead.values().fold(spent.counted.0, |sum, it| sum.saturating_add(it.0));
        self.hours.insert(now, Msat(sum));
    }
}

/// How far the offers in the peer's commitments are ahead of those in ours, in millisatoshis: the
/// sums of all that ever came new into them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ahead(pub(super) i64);

impl Ahead {
    /// What counts of `offered`, which comes new into a commitment of the peer, or of ours. The
    /// greater of both sums is what may have left: only one of the commitments comes into a block.
    pub(super) fn counted(self, is_remote: bool, offered: Msat) -> Msat {
        let behind = if is_remote { self.0.saturating_neg() } else { self.0 };
        Msat(offered.0.saturating_sub(u64::try_from(behind).unwrap_or(0)))
    }

    pub(super) fn offer(&mut self, is_remote: bool, offered: Msat) {
        let offered = i64::try_from(offered.0).unwrap_or(i64::MAX);
        // At both ends it is nearer to nothing than it should be, so more is counted.
        self.0 = match is_remote {
            true => self.0.saturating_add(offered),
            false => self.0.saturating_sub(offered),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(day: &mut Day, hour: u32, msat: u64) {
        let at = UnixTime(hour * HOUR_SECONDS + 7);
        day.count(&Spent { offered: Msat(msat), counted: Msat(msat), at });
        assert!(day.hours.len() <= HOURS_MAX);
    }

    fn spent(day: &Day, hour: u32) -> u64 {
        day.spent(UnixTime(hour * HOUR_SECONDS)).0
    }

    #[test]
    fn a_day_is_over_after_a_day() {
        let mut day = Day::default();
        for hour in 100..200 {
            counted(&mut day, hour, 1);
            assert_eq!(spent(&day, hour), u64::from((hour - 99).min(25)));
        }
        assert_eq!((spent(&day, 223), spent(&day, 224)), (1, 0));
        counted(&mut day, 300, 0);
        assert_eq!(day.hours.len(), HOURS_MAX, "nothing is no reason to save something");
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing_back() {
        let mut day = Day::default();
        counted(&mut day, 1_000, 5);
        assert_eq!(spent(&day, 100), 5);
        counted(&mut day, 100, 3);
        assert_eq!((spent(&day, 100), spent(&day, 124), spent(&day, 125)), (8, 8, 0));
        counted(&mut day, 100, u64::MAX);
        assert_eq!(spent(&day, 100), u64::MAX);
    }

    #[test]
    fn the_greater_of_both_sums_counts() {
        let mut ahead = Ahead::default();
        let mut offer = |is_remote, msat| {
            let counted = ahead.counted(is_remote, Msat(msat));
            ahead.offer(is_remote, Msat(msat));
            counted.0
        };
        // First theirs, then ours: once.
        assert_eq!((offer(true, 5), offer(false, 5)), (5, 0));
        // Theirs again and again, while ours has the first: each time.
        assert_eq!((offer(true, 5), offer(true, 5)), (5, 5));
        // Ours again and again: from where it is ahead.
        assert_eq!((offer(false, 5), offer(false, 6), offer(false, 1)), (0, 1, 1));
        assert_eq!((offer(true, 1), offer(true, 2)), (0, 1));
    }

    #[test]
    fn at_its_ends_more_counts_and_not_less() {
        for (is_remote, end) in [(true, i64::MAX), (false, i64::MIN)] {
            let mut ahead = Ahead(end);
            ahead.offer(is_remote, Msat(u64::MAX));
            assert_eq!(ahead.0, end);
            assert_eq!(ahead.counted(is_remote, Msat(7)), Msat(7));
        }
    }
}
