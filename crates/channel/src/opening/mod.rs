//! Opening, version 1 (BOLT 2): from `open_channel` to the first commitments. One file a state.
//!
//! Nothing is saved before both first commitments are signed: whoever loses the connection begins
//! again. What is saved then is a [`Begun`], before the acceptor sends `funding_signed` and before
//! the opener's funding is published.

mod acceptor;
mod judge;
mod opener;

use signer::{ChannelAsk, ChannelOp, KeyPlace, ShownKeys};
use tx::{Form, Meaning, Party, Side};
use wire::Message;
use wire::amount::{BlockCount, CsvDelay, FeeratePerKw, HtlcCount, Msat, Sat};
use wire::features::{Feature, Features};
use wire::id::{ChainHash, ChannelKey, CommitmentNumber};
use wire::key::Point;
use wire::list::Script;

use crate::begun::FundingOutput;
use crate::bolt2::Taken;

pub use acceptor::{Accepting, Answering};
pub use judge::Unfit;
pub use opener::{Created, Funding, Proposed};

/// A channel that holds more is large (BOLT 2).
pub const FUNDING_SMALL_MAX: Sat = Sat((1 << 24) - 1);

/// What we want of channels, whoever opens them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// On which chain.
    pub chain: ChainHash,
    /// The smallest channel.
    pub funding_min: Sat,
    /// The largest channel, with peers that support large ones: see [`Policy::towards`].
    pub funding_max: Sat,
    /// The least that our peer may offer.
    pub htlc_minimum: Msat,
    /// So much of a channel, in hundredths, our peer may have under way.
    pub in_flight_percent: u8,
    /// So many HTLCs of our peer's at a time.
    pub htlcs_max: HtlcCount,
    /// So much of a channel, in thousandths, our peer keeps.
    pub reserve_permille: u16,
    /// Of our own commitments.
    pub dust_limit: Sat,
    /// So long our peer waits for its own money.
    pub delay: CsvDelay,
    /// The longest that we wait for ours.
    pub delay_max: CsvDelay,
    /// So deep the funding must be.
    pub minimum_depth: BlockCount,
    /// Whether the peer is trusted with channels that are used before their funding confirms.
    pub zero_conf: bool,
    /// Whether we say at once where our money shall go in the end, and hold to it.
    pub upfront: bool,
    /// The least rate at which we accept a channel.
    pub feerate_min: FeeratePerKw,
    /// The greatest.
    pub feerate_max: FeeratePerKw,
}

/// What both sides have agreed on, all but the funding transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// Our name of the channel.
    pub key: ChannelKey,
    /// Which side we are.
    pub side: Side,
    /// The type of the channel.
    pub form: Form,
    /// Its bits, as both have sent them.
    pub channel_type: Features,
    /// Whether the world shall know of it.
    pub announce: bool,
    /// How much.
    pub funding: Sat,
    /// What of it the opener gives to the acceptor.
    pub pushed: Msat,
    /// The first rate.
    pub feerate: FeeratePerKw,
    /// Our keys and limits.
    pub local: Party,
    /// The peer's.
    pub remote: Party,
    /// What we take.
    pub local_taken: Taken,
    /// What the peer takes.
    pub remote_taken: Taken,
    /// Our points of the commitments 0 and 1.
    pub local_points: [Point; 2],
    /// The peer's point of its commitment 0.
    pub remote_point: Point,
    /// How deep the funding must be for us.
    pub minimum_depth: BlockCount,
    /// Where our money goes when the channel ends.
    pub home: Home,
    /// Where the peer's money goes, if it has said so; else empty.
    pub remote_script: Script,
}

/// A place of our wallet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// For the signer.
    pub place: KeyPlace,
    /// For everybody else.
    pub script: Script,
}

/// What is to be done during an opening.
#[derive(Clone, Debug)]
pub enum Move {
    /// Send this to the peer.
    Send(Box<Message>),
    /// Ask the signer, in this order.
    Ask(Box<ChannelAsk>),
}

impl Policy {
    /// What we take in a channel of this size.
    fn taken(&self, funding: Sat, peer_dust: Sat) -> Taken {
        let reserve = Sat(funding.0.saturating_mul(self.reserve_permille.into()) / 1_000);
        let in_flight = u128::from(funding.0) * 1_000 * u128::from(self.in_flight_percent) / 100;
        Taken {
            htlc_minimum: self.htlc_minimum,
            in_flight_max: Msat(in_flight.try_into().unwrap_or(u64::MAX)),
            htlcs_max: self.htlcs_max,
            reserve: reserve.max(self.dust_limit).max(peer_dust),
        }
    }
}

impl Policy {
    /// The same towards a peer, by what both have offered in `init`: with whom
    /// `option_support_large_channel` is not agreed on there are no large channels.
    pub fn towards(&self, local: &Features, remote: &Features) -> Self {
        let is_large = [local, remote].iter().all(|it| it.offers(Feature::SupportLargeChannel));
        let max = if is_large { self.funding_max } else { self.funding_max.min(FUNDING_SMALL_MAX) };
        Self { funding_max: max, ..self.clone() }
    }

    /// What is said of where our money shall go in the end.
    fn upfront(&self, home: &Home) -> Script {
        if self.upfront { home.script.clone() } else { Script::new() }
    }
}

impl Agreed {
    /// The terms, now that the funding is known.
    fn terms(&self, outpoint: bitcoin::OutPoint) -> tx::Terms {
        let funding = tx::Funding { outpoint, value: self.funding };
        let (opener, acceptor) = match self.side {
            Side::Opener => (self.local, self.remote),
            Side::Acceptor => (self.remote, self.local),
        };
        tx::Terms { form: self.form, funding, opener, acceptor }
    }

    /// The output script that funds it.
    pub fn funding_script(&self) -> bitcoin::ScriptBuf {
        tx::funding(&self.terms(bitcoin::OutPoint::null())).to_p2wsh()
    }

    /// The first commitment of a side.
    fn first(&self, owner: Side) -> Meaning {
        let all = self.funding.to_msat().expect("it was judged");
        let is_ours = owner == self.side;
        Meaning {
            owner,
            number: CommitmentNumber(0),
            point: if is_ours { self.local_points[0] } else { self.remote_point },
            feerate: self.feerate,
            to_opener: Msat(all.0 - self.pushed.0),
            to_acceptor: self.pushed,
            contracts: Vec::new(),
        }
    }

    pub(crate) fn set_up(&self, funding: FundingOutput) -> signer::SetUp {
        let terms = self.terms(funding.outpoint());
        signer::SetUp { side: self.side, terms, pushed: self.pushed }
    }

    fn ask(&self, op: ChannelOp) -> Move {
        Move::Ask(Box::new(ChannelAsk { channel: self.key, op }))
    }
}

/// The party that we are, as our signer shows it.
fn local_party(keys: &ShownKeys, dust_limit: Sat, delay: CsvDelay) -> Party {
    Party { funding_key: keys.funding_key, keys: keys.basepoints, dust_limit, delay }
}

/// The bits of a channel's type: it must have them, whoever has it.
fn type_of(form: Form, variation: Variation) -> Features {
    let basic = Features::default().and_required(Feature::StaticRemotekey);
    let formed = match form {
        Form::StaticRemoteKey => basic,
        Form::Anchors => basic.and_required(Feature::Anchors),
    };
    let aliased = if variation.alias { formed.and_required(Feature::ScidAlias) } else { formed };
    if variation.zero_conf { aliased.and_required(Feature::Zeroconf) } else { aliased }
}

/// What a type may say beside its form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Variation {
    /// The channel is known by aliases only.
    pub alias: bool,
    /// The channel is used before its funding confirms.
    pub zero_conf: bool,
}
