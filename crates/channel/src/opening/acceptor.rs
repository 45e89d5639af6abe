//! The side that accepts: judges, promises, signs once the funding is named.

use signer::{ChannelAnswer, ChannelOp, ChannelRefusal, ShownKeys};
use tx::Side;
use wire::id::{ChannelKey, TemporaryChannelId};
use wire::key::Signature;
use wire::{AcceptChannel, FundingCreated, FundingSigned, OpenChannel};

use super::judge::Unfit;
use super::{Agreed, Home, Move, Policy};
use crate::begun::{Begun, FundingOutput};
use crate::fault::Violation;

/// `accept_channel` is sent: the funding is not known yet.
#[derive(Clone, Debug)]
pub struct Accepting {
    temporary: TemporaryChannelId,
    agreed: Agreed,
}

/// The funding is known; our signer signs for the peer, and looks at what the peer has signed.
#[derive(Clone, Debug)]
pub struct Answering {
    agreed: Agreed,
    funding: FundingOutput,
    /// The peer's, of our first commitment.
    theirs: Signature,
    /// Ours, of the peer's first commitment.
    ours: Option<Signature>,
}

impl Accepting {
    /// `open_channel`.
    pub fn new(
        policy: &Policy,
        key: ChannelKey,
        keys: &ShownKeys,
        home: &Home,
        said: &OpenChannel,
    ) -> Result<(Self, Move), Unfit> {
        let agreed = policy.judge_open(said, key, keys, home)?;
        let accept = AcceptChannel {
            temporary_channel_id: said.temporary_channel_id,
            dust_limit_satoshis: agreed.local.dust_limit,
            max_htlc_value_in_flight_msat: agreed.local_taken.in_flight_max,
            channel_reserve_satoshis: agreed.local_taken.reserve,
            htlc_minimum_msat: agreed.local_taken.htlc_minimum,
            minimum_depth: agreed.minimum_depth,
            to_self_delay: agreed.remote.delay,
            max_accepted_htlcs: agreed.local_taken.htlcs_max,
            funding_pubkey: keys.funding_key,
            revocation_basepoint: keys.basepoints.revocation,
            payment_basepoint: keys.basepoints.payment,
            delayed_payment_basepoint: keys.basepoints.delayed_payment,
            htlc_basepoint: keys.basepoints.htlc,
            first_per_commitment_point: keys.points[0],
            upfront_shutdown_script: Some(policy.upfront(home)),
            channel_type: Some(agreed.channel_type.clone()),
            extension: Default::default(),
        };
        let temporary = said.temporary_channel_id;
        Ok((Self { temporary, agreed }, Move::Send(Box::new(accept.into()))))
    }

    /// What both agree on.
    pub const fn agreed(&self) -> &Agreed {
        &self.agreed
    }

    /// `funding_created`: our signer is asked to set the channel up, to sign the peer's first
    /// commitment and to look at what the peer has signed of ours.
    pub fn receive(self, said: &FundingCreated) -> Result<(Answering, Vec<Move>), Violation> {
        if said.temporary_channel_id != self.temporary {
            return Err(Violation::Unexpected { message: "funding_created" });
        }
        let output = said.funding_output_index;
        let funding = FundingOutput { txid: said.funding_txid, output };
        let agreed = self.agreed;
        let (secrets, signature, stages) = (Vec::new, said.signature, Vec::new());
        let set_up = ChannelOp::SetUp(Box::new(agreed.set_up(funding)));
        let meaning = agreed.first(Side::Acceptor);
        let advance = ChannelOp::Advance { meaning, secrets: secrets(), signature, stages };
        let meaning = agreed.first(Side::Opener);
        let sign = ChannelOp::SignRemote { meaning, secrets: secrets() };
        let moves = [set_up, sign, advance].map(|op| agreed.ask(op));
        Ok((Answering { agreed, funding, theirs: signature, ours: None }, moves.to_vec()))
    }
}

impl Answering {
    /// The signer has signed the peer's first commitment.
    pub fn signed(&mut self, signature: Signature) {
        self.ours = Some(signature);
    }

    /// The signer has taken ours. What comes out is saved, and then `funding_signed` is sent.
    pub fn advanced(
        self,
        answer: Result<ChannelAnswer, ChannelRefusal>,
    ) -> Result<(Begun, Move), Violation> {
        let signature = self.ours.ok_or(Violation::Signer { why: "it has not signed".into() })?;
        let channel_id = self.funding.channel_id();
        let signed = FundingSigned { channel_id, signature, extension: Default::default() };
        let begun = Begun::of(self.agreed, self.funding, Some(self.theirs), answer)?;
        Ok((begun, Move::Send(Box::new(signed.into()))))
    }
}
