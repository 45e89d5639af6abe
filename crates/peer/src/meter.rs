//! How much a peer may send: a bucket that leaks.

use wire::tick::{Millis, Tick};

/// Fills with what comes in, and leaks at a steady rate. Counted in thousandths.
pub(crate) struct Meter<const BURST: u64, const RATE_PER_S: u64> {
    level: u64,
    at: Tick,
}

impl<const BURST: u64, const RATE_PER_S: u64> Meter<BURST, RATE_PER_S> {
    /// An empty one.
    pub(crate) const fn new(now: Tick) -> Self {
        Self { level: 0, at: now }
    }

    /// What one process tells the next.
    pub(crate) const fn parts(&self) -> (u64, Tick) {
        (self.level, self.at)
    }

    pub(crate) const fn from_parts((level, at): (u64, Tick)) -> Self {
        Self { level, at }
    }

    /// Something came in. It is never refused: it is here already. But see [`Meter::full_until`].
    pub(crate) const fn add(&mut self, amount: u64, now: Tick) {
        self.leak(now);
        self.level = self.level.saturating_add(amount.saturating_mul(1_000));
    }

    /// Until when no more should be taken, if that is not now.
    pub(crate) fn full_until(&self, now: Tick) -> Option<Tick> {
        let leaked = now.since(self.at).0.saturating_mul(RATE_PER_S);
        let over = self.level.saturating_sub(leaked).checked_sub(BURST * 1_000)?;
        (over > 0).then(|| now + Millis(over.div_ceil(RATE_PER_S)))
    }

    const fn leak(&mut self, now: Tick) {
        let leaked = now.since(self.at).0.saturating_mul(RATE_PER_S);
        self.level = self.level.saturating_sub(leaked);
        self.at = now;
    }
}
