//! Whether what a peer proposes can be agreed on. The only doors from its messages to [`Agreed`].

use std::fmt;

use signer::ShownKeys;
use tx::{Basepoints, Form, Party, Side};
use wire::amount::{BlockCount, CsvDelay, FeeratePerKw, HtlcCount, Msat, Sat};
use wire::features::Features;
use wire::id::ChannelKey;
use wire::list::Script;
use wire::{AcceptChannel, OpenChannel};

use super::{Agreed, Home, Policy, Variation, local_party, type_of};
use crate::bolt2::Taken;
use crate::state::{Dialects, is_closing_script};

/// HTLCs of one side that a commitment has room for (BOLT 2).
const HTLCS_MAX: HtlcCount = HtlcCount(483);
/// The deepest that we let a peer wait.
const DEPTH_MAX: BlockCount = BlockCount(144);

/// Why a channel is not opened. Nothing was promised, nothing is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// A field has a value that cannot be, or that we do not agree to.
    Value {
        /// Its BOLT name.
        field: &'static str,
        /// What it says.
        got: u64,
        /// The least it may say.
        min: u64,
        /// The most it may say.
        max: u64,
    },
    /// It is for another chain.
    Chain,
    /// It has no type, or one that we do not have.
    Type,
    /// The type is not the one that was proposed.
    OtherType,
    /// It is about another channel.
    OtherChannel,
    /// The opener cannot pay for the first commitment.
    Fee {
        /// What it has.
        have: Msat,
        /// What it needs.
        need: Msat,
    },
    /// We do not trust the peer with a channel that is used before its funding confirms.
    ZeroConf,
    /// A world-wide channel cannot be known by aliases only.
    AnnouncedAlias,
    /// Where its money shall go when the channel closes is no place that everybody relays.
    Script,
    /// Neither side has more than its reserve.
    Reserve {
        /// The reserve.
        reserve: Sat,
    },
}

impl std::error::Error for Unfit {}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unfit::Value { field, got, min, max } => {
                write!(f, "{field} is {got}, and must be within {min} and {max}")
            }
            Unfit::Chain => f.write_str("the channel is for another chain"),
            Unfit::Type => f.write_str("channel_type is missing, or none that we have"),
            Unfit::OtherType => f.write_str("channel_type is not the one that was proposed"),
            Unfit::OtherChannel => f.write_str("temporary_channel_id is of another channel"),
            Unfit::Fee { have, need } => write!(f, "the opener has {have}, and needs {need}"),
            Unfit::ZeroConf => f.write_str("this peer is not trusted before the funding confirms"),
            Unfit::AnnouncedAlias => f.write_str("an announced channel has no aliases only"),
            Unfit::Script => f.write_str("upfront_shutdown_script is none that everybody relays"),
            Unfit::Reserve { reserve } => {
                write!(f, "neither side has more than its reserve of {reserve}")
            }
        }
    }
}

/// What both messages say of their sender.
struct Shown {
    party: Party,
    taken: Taken,
}

/// What a message says of its sender: both have the same fields.
macro_rules! said_of {
    ($said:ident, $delay:expr) => {
        Shown {
            party: Party {
                funding_key: $said.funding_pubkey,
                keys: Basepoints {
                    revocation: $said.revocation_basepoint,
                    payment: $said.payment_basepoint,
                    delayed_payment: $said.delayed_payment_basepoint,
                    htlc: $said.htlc_basepoint,
                },
                dust_limit: $said.dust_limit_satoshis,
                delay: $delay,
            },
            taken: Taken {
                htlc_minimum: $said.htlc_minimum_msat,
                in_flight_max: $said.max_htlc_value_in_flight_msat,
                htlcs_max: $said.max_accepted_htlcs,
                reserve: $said.channel_reserve_satoshis,
            },
        }
    };
}

impl Policy {
    /// Judges an `open_channel`: what would be agreed on if we accept.
    pub(super) fn judge_open(
        &self,
        said: &OpenChannel,
        key: ChannelKey,
        keys: &ShownKeys,
        home: &Home,
    ) -> Result<Agreed, Unfit> {
        if said.chain_hash != self.chain {
            return Err(Unfit::Chain);
        }
        let channel_type = said.channel_type.clone().ok_or(Unfit::Type)?;
        let (form, variation) = form_of(&channel_type).ok_or(Unfit::Type)?;
        let announce = said.channel_flags.announce_channel();
        if variation.alias && announce {
            return Err(Unfit::AnnouncedAlias);
        }
        if variation.zero_conf && !self.zero_conf {
            return Err(Unfit::ZeroConf);
        }
        let funding = said.funding_satoshis;
        within("funding_satoshis", funding.0, self.funding_min.0, self.funding_max.0)?;
        let all = funding.to_msat().ok_or(Unfit::Value {
            field: "funding_satoshis",
            got: funding.0,
            min: self.funding_min.0,
            max: Sat::MAX_MONEY.0,
        })?;
        within("push_msat", said.push_msat.0, 0, all.0)?;
        let rate = said.feerate_per_kw;
        within(
            "feerate_per_kw",
            rate.0.into(),
            self.feerate_min.0.into(),
            self.feerate_max.0.into(),
        )?;
        let shown = self.shown(said_of!(said, self.delay), funding, said.to_self_delay)?;
        let agreed = Agreed {
            key,
            side: Side::Acceptor,
            form,
            channel_type,
            announce,
            funding,
            pushed: said.push_msat,
            feerate: rate,
            local: local_party(keys, self.dust_limit, said.to_self_delay),
            remote: shown.party,
            local_taken: self.taken(funding, said.dust_limit_satoshis),
            remote_taken: shown.taken,
            local_points: keys.points,
            remote_point: said.first_per_commitment_point,
            minimum_depth: self.depth(variation),
            home: home.clone(),
            remote_script: upfront(said.upfront_shutdown_script.as_ref())?,
        };
        agreed.judge()?;
        Ok(agreed)
    }

    /// How deep the funding must be for us.
    const fn depth(&self, variation: Variation) -> BlockCount {
        if variation.zero_conf { BlockCount(0) } else { self.minimum_depth }
    }

    /// Judges an `accept_channel`: what both agree on.
    pub(super) fn judge_accept(
        &self,
        open: &OpenChannel,
        said: &AcceptChannel,
        (key, home): (ChannelKey, &Home),
        keys: &ShownKeys,
    ) -> Result<Agreed, Unfit> {
        if said.temporary_channel_id != open.temporary_channel_id {
            return Err(Unfit::OtherChannel);
        }
        let channel_type = said.channel_type.clone().ok_or(Unfit::Type)?;
        if Some(&channel_type) != open.channel_type.as_ref() {
            return Err(Unfit::OtherType);
        }
        let (form, variation) = form_of(&channel_type).ok_or(Unfit::Type)?;
        let depth_max = if variation.zero_conf { BlockCount(0) } else { DEPTH_MAX };
        within("minimum_depth", said.minimum_depth.0.into(), 0, depth_max.0.into())?;
        let shown = self.shown(
            said_of!(said, open.to_self_delay),
            open.funding_satoshis,
            said.to_self_delay,
        )?;
        // The reserve that we have asked for must not be dust to the peer.
        let dust = said.dust_limit_satoshis.0;
        within("dust_limit_satoshis", dust, 0, open.channel_reserve_satoshis.0)?;
        let agreed = Agreed {
            key,
            side: Side::Opener,
            form,
            channel_type,
            announce: open.channel_flags.announce_channel(),
            funding: open.funding_satoshis,
            pushed: open.push_msat,
            feerate: open.feerate_per_kw,
            local: local_party(keys, open.dust_limit_satoshis, said.to_self_delay),
            remote: shown.party,
            local_taken: Taken {
                reserve: open.channel_reserve_satoshis,
                ..self.taken(open.funding_satoshis, Sat(0))
            },
            remote_taken: shown.taken,
            local_points: keys.points,
            remote_point: said.first_per_commitment_point,
            minimum_depth: self.depth(variation),
            home: home.clone(),
            remote_script: upfront(said.upfront_shutdown_script.as_ref())?,
        };
        agreed.judge()?;
        Ok(agreed)
    }

    /// What both sides say of themselves in the same words.
    fn shown(&self, shown: Shown, funding: Sat, delay: CsvDelay) -> Result<Shown, Unfit> {
        let (dust, taken) = (shown.party.dust_limit, &shown.taken);
        within("dust_limit_satoshis", dust.0, signer::DUST_SAT_MIN.0, signer::DUST_SAT_MAX.0)?;
        within("to_self_delay", delay.0.into(), 1, self.delay_max.0.into())?;
        within("max_accepted_htlcs", taken.htlcs_max.0.into(), 1, HTLCS_MAX.0.into())?;
        let least = dust.max(self.dust_limit);
        // More than a fifth of the channel is nothing that anybody needs to be honest.
        let reserve = taken.reserve.0;
        within("channel_reserve_satoshis", reserve, least.0, (funding.0 / 5).max(least.0))?;
        let minimum = taken.htlc_minimum.0;
        within("htlc_minimum_msat", minimum, 0, funding.0.saturating_mul(100))?;
        let in_flight = taken.in_flight_max.0;
        within("max_htlc_value_in_flight_msat", in_flight, minimum.max(1), u64::MAX)?;
        Ok(shown)
    }
}

impl Agreed {
    /// Whether the first commitments can be.
    fn judge(&self) -> Result<(), Unfit> {
        let all = self.funding.to_msat().expect("it was judged");
        let have = Msat(all.0 - self.pushed.0);
        let need = Sat(self.form.fee(self.feerate, 0).0 + self.form.anchors().0);
        let need = need.to_msat().unwrap_or(Msat(u64::MAX));
        let left = have.0.checked_sub(need.0).ok_or(Unfit::Fee { have, need })?;
        let reserve = self.local_taken.reserve.max(self.remote_taken.reserve);
        let floor = reserve.to_msat().unwrap_or(Msat(u64::MAX));
        if left <= floor.0 && self.pushed <= floor {
            return Err(Unfit::Reserve { reserve });
        }
        Ok(())
    }
}

/// The form and the variation of a type that we have.
fn form_of(channel_type: &Features) -> Option<(Form, Variation)> {
    let forms = [Form::Anchors, Form::StaticRemoteKey];
    let kinds = forms.into_iter().flat_map(|form| {
        [(false, false), (false, true), (true, false), (true, true)]
            .map(|(alias, zero_conf)| (form, Variation { alias, zero_conf }))
    });
    kinds.into_iter().find(|(form, variation)| *channel_type == type_of(*form, *variation))
}

/// Where a peer says that its money shall go; nowhere in particular if it says nothing.
fn upfront(said: Option<&Script>) -> Result<Script, Unfit> {
    let script = said.cloned().unwrap_or_default();
    match script.is_empty() || is_closing_script(&script, Dialects::ALL) {
        true => Ok(script),
        false => Err(Unfit::Script),
    }
}

fn within(field: &'static str, got: u64, min: u64, max: u64) -> Result<(), Unfit> {
    match (min..=max).contains(&got) {
        true => Ok(()),
        false => Err(Unfit::Value { field, got, min, max }),
    }
}

/// Whether a rate is one that we would open a channel with.
pub(super) fn judge_rate(policy: &Policy, rate: FeeratePerKw) -> Result<(), Unfit> {
    let (min, max) = (policy.feerate_min.0.into(), policy.feerate_max.0.into());
    within("feerate_per_kw", rate.0.into(), min, max)
}
