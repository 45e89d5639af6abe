//! The side that opens: proposes, funds, signs first, publishes last.

use signer::{ChannelAnswer, ChannelOp, ChannelRefusal, ShownKeys};
use tx::{Form, Side};
use wire::amount::{FeeratePerKw, Msat, Sat};
use wire::id::{ChannelFlags, ChannelKey, TemporaryChannelId};
use wire::key::Signature;
use wire::{AcceptChannel, FundingCreated, FundingSigned, OpenChannel};

use super::judge::{Unfit, judge_rate};
use super::{Agreed, Home, Move, Policy, Variation, type_of};
use crate::begun::{Begun, FundingOutput};
use crate::fault::Violation;

/// What somebody wants to open.
#[derive(Clone, Debug)]
pub struct Funding {
    /// Our name of the channel.
    pub key: ChannelKey,
    /// Its name for the peer, until it is funded.
    pub temporary: TemporaryChannelId,
    /// How much.
    pub funding: Sat,
    /// What of it is given away at once.
    pub pushed: Msat,
    /// The first rate.
    pub feerate: FeeratePerKw,
    /// Which form.
    pub form: Form,
    /// Aliases only, or before it confirms.
    pub variation: Variation,
    /// Whether the world shall know of it.
    pub announce: bool,
    /// Where our money shall go in the end.
    pub home: Home,
}

/// `open_channel` is sent, and not answered.
#[derive(Clone, Debug)]
pub struct Proposed {
    policy: Policy,
    keys: ShownKeys,
    key: ChannelKey,
    home: Home,
    open: OpenChannel,
}

/// Both have agreed; the funding is known to us, and our signer is asked to sign for the peer.
#[derive(Clone, Debug)]
pub struct Created {
    temporary: TemporaryChannelId,
    agreed: Agreed,
    funding: FundingOutput,
    /// The peer's signature of our first commitment, while our signer looks at it.
    signature: Option<Signature>,
}

impl Proposed {
    /// Proposes a channel.
    pub fn new(policy: Policy, keys: ShownKeys, wanted: &Funding) -> Result<(Self, Move), Unfit> {
        judge_rate(&policy, wanted.feerate)?;
        let taken = policy.taken(wanted.funding, Sat(0));
        let open = OpenChannel {
            chain_hash: policy.chain,
            temporary_channel_id: wanted.temporary,
            funding_satoshis: wanted.funding,
            push_msat: wanted.pushed,
            dust_limit_satoshis: policy.dust_limit,
            max_htlc_value_in_flight_msat: taken.in_flight_max,
            channel_reserve_satoshis: taken.reserve,
            htlc_minimum_msat: taken.htlc_minimum,
            feerate_per_kw: wanted.feerate,
            to_self_delay: policy.delay,
            max_accepted_htlcs: taken.htlcs_max,
            funding_pubkey: keys.funding_key,
            revocation_basepoint: keys.basepoints.revocation,
            payment_basepoint: keys.basepoints.payment,
            delayed_payment_basepoint: keys.basepoints.delayed_payment,
            htlc_basepoint: keys.basepoints.htlc,
            first_per_commitment_point: keys.points[0],
            channel_flags: ChannelFlags(u8::from(wanted.announce)),
            upfront_shutdown_script: Some(policy.upfront(&wanted.home)),
            channel_type: Some(type_of(wanted.form, wanted.variation)),
            extension: Default::default(),
        };
        // Whatever we would refuse ourselves is not proposed.
        let trusting = Policy { zero_conf: true, ..policy.clone() };
        trusting.judge_open(&open, wanted.key, &keys, &wanted.home)?;
        let sent = Move::Send(Box::new(open.clone().into()));
        let home = wanted.home.clone();
        Ok((Self { policy, keys, key: wanted.key, home, open }, sent))
    }

    /// `accept_channel`: what both agree on. Now a transaction is wanted that pays to
    /// [`Agreed::funding_script`], signed and not published.
    pub fn accepted(&self, said: &AcceptChannel) -> Result<Agreed, Unfit> {
        self.policy.judge_accept(&self.open, said, (self.key, &self.home), &self.keys)
    }

    /// That transaction is there.
    pub fn funded(self, agreed: Agreed, funding: FundingOutput) -> (Created, Vec<Move>) {
        let set_up = ChannelOp::SetUp(Box::new(agreed.set_up(funding)));
        let meaning = agreed.first(Side::Acceptor);
        let sign = ChannelOp::SignRemote { meaning, secrets: Vec::new() };
        let moves = vec![agreed.ask(set_up), agreed.ask(sign)];
        let temporary = self.open.temporary_channel_id;
        (Created { temporary, agreed, funding, signature: None }, moves)
    }
}

impl Created {
    /// The signer has signed the peer's first commitment: the peer hears of the funding.
    pub fn signed(&self, signature: Signature) -> Move {
        let created = FundingCreated {
            temporary_channel_id: self.temporary,
            funding_txid: self.funding.txid,
            funding_output_index: self.funding.output,
            signature,
            extension: Default::default(),
        };
        Move::Send(Box::new(created.into()))
    }

    /// Whether the peer has signed our first commitment, as far as it says.
    pub const fn is_signed(&self) -> bool {
        self.signature.is_some()
    }

    /// `funding_signed`: our signer looks at the signature of our first commitment.
    pub fn receive(&mut self, said: &FundingSigned) -> Result<Move, Violation> {
        let is_ours = said.channel_id == self.funding.channel_id();
        if !is_ours || self.signature.is_some() {
            return Err(Violation::Unexpected { message: "funding_signed" });
        }
        self.signature = Some(said.signature);
        let meaning = self.agreed.first(Side::Opener);
        let (signature, stages) = (said.signature, Vec::new());
        let op = ChannelOp::Advance { meaning, secrets: Vec::new(), signature, stages };
        Ok(self.agreed.ask(op))
    }

    /// Our signer has taken it. What comes out is saved, and then the funding is published.
    pub fn advanced(
        self,
        answer: Result<ChannelAnswer, ChannelRefusal>,
    ) -> Result<Begun, Violation> {
        Begun::of(self.agreed, self.funding, self.signature, answer)
    }
}
