//! What the owner of a signer lets its node do.

use bitcoin::Address;
use signer::{ChannelLimits, Destinations, Policy, Seconds};
use wire::Network;
use wire::amount::{Msat, Sat};

/// What the settings say of it. What they do not say is as the signer has it.
pub struct Said {
    /// Who may be paid beside us: anybody, if nobody is named.
    pub pay_only: Option<Vec<String>>,
    /// Whether the node may ask for high fees.
    pub high_fees: Option<bool>,
    /// So much of a channel, in hundredths, may be given away at once.
    pub push_percent: Option<u8>,
    /// So much of what we offer may be under way in a channel, in satoshis.
    pub in_flight: Option<u64>,
    /// So much may leave channels in a day, in satoshis.
    pub day_limit: Option<u64>,
    /// So old the newest block may be; 0 is any age.
    pub stale_hours: Option<u32>,
}

const PERCENT_MAX: u8 = 100;
const HOUR_SECONDS: u32 = 60 * 60;

impl Said {
    /// The signer's rules.
    pub fn judge(self, network: Network) -> Result<Policy, String> {
        let channels = self.channels()?;
        let high_fees = self.high_fees.unwrap_or(false);
        let policy = Policy { high_fees, channels, ..Policy::default() };
        let Some(list) = self.pay_only else { return Ok(policy) };
        let script = |text: &String| {
            let wrong =
                |why: String| format!("--pay-only takes addresses of {network}: '{text}': {why}");
            let address: Address<_> = text.trim().parse().map_err(|why| wrong(format!("{why}")))?;
            let address = address.require_network(network).map_err(|why| wrong(why.to_string()))?;
            Ok(address.script_pubkey())
        };
        let scripts = list.iter().map(script).collect::<Result<_, String>>()?;
        Ok(Policy { destinations: Destinations::Listed(scripts), ..policy })
    }

    fn channels(&self) -> Result<ChannelLimits, String> {
        let built_in = ChannelLimits::default();
        let push_percent_max = self.push_percent.unwrap_or(built_in.push_percent_max);
        if push_percent_max > PERCENT_MAX {
            return Err(format!("--push-percent is {push_percent_max}, at most {PERCENT_MAX}"));
        }
        let seconds = |hours: u32| match hours {
            0 => Seconds(u32::MAX),
            _ => Seconds(hours.saturating_mul(HOUR_SECONDS)),
        };
        Ok(ChannelLimits {
            push_percent_max,
            in_flight_max: amount("--in-flight", self.in_flight)?.unwrap_or(built_in.in_flight_max),
            day_max: amount("--day-limit", self.day_limit)?.unwrap_or(built_in.day_max),
            header_age_max: self.stale_hours.map(seconds),
        })
    }
}

fn amount(flag: &str, sat: Option<u64>) -> Result<Option<Msat>, String> {
    let Some(sat) = sat else { return Ok(None) };
    let (got, max) = (Sat(sat), Sat::MAX_MONEY);
    match got.to_msat().filter(|_| got <= max) {
        Some(amount) => Ok(Some(amount)),
        None => Err(format!("{flag} is {got}, and there are only {max}")),
    }
}
