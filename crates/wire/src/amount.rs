//! Money, fees and time as the messages carry them.

use crate::field::numbers;

numbers! {
    /// Thousandths of a satoshi.
    Msat(u64) " msat";
    /// Satoshis.
    Sat(u64) " sat";
    /// Fee rate in satoshis for 1,000 units of weight.
    FeeratePerKw(u32) " sat/kw";
    /// Parts of a million of an amount.
    Millionths(u32) " ppm";
    /// Fixed part of a routing fee.
    BaseFee(u32) " msat";
    /// A block's height, or an absolute lock by it.
    BlockHeight(u32) "";
    /// A number of blocks.
    BlockCount(u32) " blocks";
    /// A relative lock in blocks (`to_self_delay`).
    CsvDelay(u16) " blocks";
    /// What a hop wants between its two locks (`cltv_expiry_delta`).
    CltvDelta(u16) " blocks";
    /// Seconds since 1970.
    Timestamp(u32) " s";
    /// A span of seconds.
    Seconds(u32) " s";
    /// A transaction's lock time.
    LockTime(u32) "";
    /// A number of HTLCs.
    HtlcCount(u16) " HTLCs";
    /// A number of bytes.
    ByteCount(u16) " bytes";
}

impl Sat {
    /// All the bitcoin there will ever be.
    pub const MAX_MONEY: Self = Self(21_000_000 * 100_000_000);

    /// The same amount in thousandths, if it fits.
    pub const fn to_msat(self) -> Option<Msat> {
        match self.0.checked_mul(1_000) {
            Some(msat) => Some(Msat(msat)),
            None => None,
        }
    }
}

impl Msat {
    /// The whole satoshis in it.
    pub const fn floor_to_sat(self) -> Sat {
        Sat(self.0 / 1_000)
    }
}
