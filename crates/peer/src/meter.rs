//! How much a peer may send: a bucket that leaks.

use wire::tick::{Millis, Tick};

/// Fills with what comes in, and leaks at a steady rate. Counted in thousandths.
pub(crate) struct Meter {
    burst: u64,
    rate_per_s: u64,
    level: u64,
    at: Tick,
}

impl Meter {
    /// Holds `burst`, leaks `rate_per_s`.
    pub(crate) const fn new(burst: u64, rate_per_s: u64, now: Tick) -> Self {
        Self { burst: burst * 1_000, rate_per_s, level: 0, at: now }
    }

    /// Something came in. It is never refused: it is here already. But see [`Meter::full_until`].
    pub(crate) const fn add(&mut self, amount: u64, now: Tick) {
        self.leak(now);
        self.level = self.level.saturating_add(amount.saturating_mul(1_000));
    }

    /// Until when no more should be taken, if that is not now.
    pub(crate) fn full_until(&self, now: Tick) -> Option<Tick> {
        let leaked = now.since(self.at).0.saturating_mul(self.rate_per_s);
        let over = self.level.saturating_sub(leaked).checked_sub(self.burst)?;
        (over > 0).then(|| now + Millis(over.div_ceil(self.rate_per_s)))
    }

    const fn leak(&mut self, now: Tick) {
        let leaked = now.since(self.at).0.saturating_mul(self.rate_per_s);
        self.level = self.level.saturating_sub(leaked);
        self.at = now;
    }
}
