//! The numbers of policy that bitcoind's settings change.

use bitcoin::Amount;

/// Fees, by size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(u64);

impl Rate {
    /// So many satoshis for 1,000 virtual bytes.
    pub const fn sat_per_kvb(sat: u64) -> Self {
        Self(sat)
    }

    /// Satoshis for 1,000 virtual bytes.
    pub const fn to_sat_per_kvb(self) -> u64 {
        self.0
    }

    /// What so many virtual bytes cost. Halves go up.
    pub fn fee(self, vbytes: u64) -> Amount {
        Amount::from_sat(self.0.saturating_mul(vbytes).div_ceil(1_000))
    }

    /// What somebody pays who pays this for so much.
    pub fn of(fee: Amount, vbytes: u64) -> Self {
        Self(fee.to_sat().saturating_mul(1_000) / vbytes.max(1))
    }
}

/// The numbers of policy that bitcoind's settings change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Below this nothing is relayed (`-minrelaytxfee`).
    pub relay: Rate,
    /// What a replacement pays besides (`-incrementalrelayfee`).
    pub increment: Rate,
    /// What spending an output costs, for it to be worth it (`-dustrelayfee`).
    pub dust: Rate,
    /// Bytes of all scripts that are data (`-datacarriersize`).
    pub data_bytes_max: usize,
}

impl Policy {
    /// As Bitcoin Core 30 and 31 come.
    pub const CORE_31: Self = Self {
        relay: Rate::sat_per_kvb(100),
        increment: Rate::sat_per_kvb(100),
        dust: Rate::sat_per_kvb(3_000),
        data_bytes_max: 100_000,
    };
}

impl Default for Policy {
    fn default() -> Self {
        Self::CORE_31
    }
}
