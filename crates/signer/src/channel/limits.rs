//! What the owner of a signer lets its channels do, and what the signer sees of the world when it
//! judges what they take on. What only ends is not judged by any of this.

use bitcoin::Network;
use chain::Height;
use wire::amount::Msat;

use super::day::Day;
use crate::view::{Seconds, UnixTime};

/// So much of a channel, in hundredths, its opener may give away at once.
pub const PUSH_PERCENT_MAX: u8 = 50;
/// So much may be under way in a channel of what we offer: what a small channel holds.
pub const IN_FLIGHT_MSAT_MAX: Msat = Msat(16_777_216_000);
/// An HTLC that we offer expires so many blocks from the newest one at most.
pub const EXPIRY_BLOCKS_MAX: u32 = 2_016;
/// So much may leave all channels in a day: one bitcoin.
pub const DAY_MSAT_MAX: Msat = Msat(100_000_000_000);
/// With a newest block that is older, nothing new is taken on. On mainnet there is one in ten
/// minutes; that there is none for so long happens once in 10^15 times.
pub const HEADER_AGE_SECONDS_MAX: Seconds = Seconds(6 * 60 * 60);

/// What a signer's owner lets channels do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelLimits {
    /// So much of a channel, in hundredths, we may give away when we open it.
    pub push_percent_max: u8,
    /// So much may be under way in a channel of what we offer.
    pub in_flight_max: Msat,
    /// So much may leave all channels in a day, by what we offer in them.
    pub day_max: Msat,
    /// So old the newest block may be. Nothing if the network says it: a regtest chain grows when
    /// somebody wants it to, so there it may be of any age.
    pub header_age_max: Option<Seconds>,
}

impl Default for ChannelLimits {
    fn default() -> Self {
        Self {
            push_percent_max: PUSH_PERCENT_MAX,
            in_flight_max: IN_FLIGHT_MSAT_MAX,
            day_max: DAY_MSAT_MAX,
            header_age_max: None,
        }
    }
}

impl ChannelLimits {
    /// So old the newest block of a network may be.
    pub(crate) fn header_age_max_of(&self, network: Network) -> Option<Seconds> {
        let by_network = (network != Network::Regtest).then_some(HEADER_AGE_SECONDS_MAX);
        self.header_age_max.or(by_network)
    }
}

/// What a signer sees of the world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The newest block of its own view; nothing if nobody has shown it one.
    pub tip: Option<Height>,
    /// How old that is, and how old it may be, if it is older.
    pub stale: Option<(Seconds, Seconds)>,
    /// What time it is: by a clock, or else by the newest block.
    pub time: Option<UnixTime>,
}

/// By what is judged what a channel takes on. Whoever has no owner has no limits.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) limits: Option<&'a ChannelLimits>,
    pub(super) seen: Option<&'a Seen>,
    pub(super) day: &'a Day,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regtest_chain_may_rest_and_others_may_not() {
        let (limits, six_hours) = (ChannelLimits::default(), Some(HEADER_AGE_SECONDS_MAX));
        assert_eq!(limits.header_age_max_of(Network::Regtest), None);
        for network in [Network::Bitcoin, Network::Testnet, Network::Testnet4, Network::Signet] {
            assert_eq!(limits.header_age_max_of(network), six_hours);
        }
        let own = ChannelLimits { header_age_max: Some(Seconds(60)), ..limits };
        assert_eq!(own.header_age_max_of(Network::Regtest), Some(Seconds(60)));
        assert_eq!(own.header_age_max_of(Network::Bitcoin), Some(Seconds(60)));
    }
}
