//! A channel whose first commitments are signed, and whose funding is on its way into the chain.

use bitcoin::OutPoint;
use signer::{ChannelAnswer, ChannelRefusal};
use tx::Side;
use wire::amount::BlockCount;
use wire::id::{ChannelId, CommitmentNumber, PerCommitmentSecret, Scid};
use wire::key::{Point, Signature};
use wire::{ChannelReady, ChannelReestablish, Message};

use crate::fault::Violation;
use crate::live::{Begun, Limits};
use crate::opening::{Agreed, channel_id};

/// From the first signatures to `channel_ready` of both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    agreed: Agreed,
    outpoint: OutPoint,
    /// The peer's, of our first commitment.
    signature: Signature,
    /// The funding is deep enough for us.
    is_deep: bool,
    /// The peer's point of its commitment 1: the funding is deep enough for it.
    remote_second: Option<Point>,
}

impl Opened {
    pub(crate) fn of(
        agreed: Agreed,
        outpoint: OutPoint,
        signature: Option<Signature>,
        answer: Result<ChannelAnswer, ChannelRefusal>,
    ) -> Result<Self, Violation> {
        let signer = |why: String| Violation::Signer { why };
        let signature = signature.ok_or(signer("the peer has not signed".to_owned()))?;
        match answer {
            Ok(ChannelAnswer::Advanced { secret: None, .. }) => {
                Ok(Self { agreed, outpoint, signature, is_deep: false, remote_second: None })
            }
            Ok(
                ChannelAnswer::Advanced { secret: Some(_), .. }
                | ChannelAnswer::Keys(_)
                | ChannelAnswer::Done
                | ChannelAnswer::RemoteSigned { .. }
                | ChannelAnswer::LocalSigned { .. },
            ) => Err(signer("it answers something else".to_owned())),
            Err(refusal) => Err(signer(refusal.to_string())),
        }
    }

    /// Where the money is, or will be.
    pub const fn outpoint(&self) -> OutPoint {
        self.outpoint
    }

    /// What both have agreed on.
    pub const fn agreed(&self) -> &Agreed {
        &self.agreed
    }

    /// The channel's name.
    pub fn channel_id(&self) -> ChannelId {
        let output = u16::try_from(self.outpoint.vout).expect("an output of two bytes");
        channel_id(self.outpoint.txid, output)
    }

    /// So deep the funding must be for us; our own funding we trust no more than others do.
    pub const fn minimum_depth(&self) -> BlockCount {
        self.agreed.minimum_depth
    }

    /// The funding is deep enough: the peer is told.
    pub fn deep(&mut self, alias: Option<Scid>) -> Message {
        self.is_deep = true;
        self.ready(alias)
    }

    /// `channel_ready` of the peer. Once it has come, others change nothing.
    pub fn receive(&mut self, said: &ChannelReady) -> Result<(), Violation> {
        if said.channel_id != self.channel_id() {
            return Err(Violation::Unexpected { message: "channel_ready" });
        }
        self.remote_second.get_or_insert(said.second_per_commitment_point);
        Ok(())
    }

    /// Both sides say that the channel can be used.
    pub fn begun(&self) -> Option<Begun> {
        let second = self.remote_second.filter(|_| self.is_deep)?;
        let agreed = &self.agreed;
        Some(Begun {
            key: agreed.key,
            channel_id: self.channel_id(),
            setup: agreed.set_up(self.outpoint),
            limits: Limits { local: agreed.local_taken, remote: agreed.remote_taken },
            feerate: agreed.feerate,
            local_points: agreed.local_points,
            remote_points: [agreed.remote_point, second],
            signature: self.signature,
        })
    }

    /// Where we stand, after a reconnection.
    pub fn reestablish(&self) -> ChannelReestablish {
        ChannelReestablish {
            channel_id: self.channel_id(),
            next_commitment_number: CommitmentNumber(1),
            next_revocation_number: CommitmentNumber(0),
            your_last_per_commitment_secret: PerCommitmentSecret([0; 32]),
            my_current_per_commitment_point: self.agreed.local_points[0],
            next_funding: None,
            my_current_funding_locked: None,
            extension: Default::default(),
        }
    }

    /// The peer says where it stands: `channel_ready` may have been lost.
    pub fn reestablished(
        &self,
        said: &ChannelReestablish,
        alias: Option<Scid>,
    ) -> Result<Option<Message>, Violation> {
        let (next, revoked) = (said.next_commitment_number, said.next_revocation_number);
        if next > CommitmentNumber(1) {
            return Err(Violation::Ahead { got: next, want: CommitmentNumber(1) });
        }
        if revoked > CommitmentNumber(0) {
            return Err(Violation::Ahead { got: revoked, want: CommitmentNumber(0) });
        }
        if next < CommitmentNumber(1) {
            return Err(Violation::Behind { got: next, want: CommitmentNumber(1) });
        }
        Ok(self.is_deep.then(|| self.ready(alias)))
    }

    /// Which side we are.
    pub const fn side(&self) -> Side {
        self.agreed.side
    }

    fn ready(&self, short_channel_id: Option<Scid>) -> Message {
        let channel_id = self.channel_id();
        let second_per_commitment_point = self.agreed.local_points[1];
        let extension = Default::default();
        ChannelReady { channel_id, second_per_commitment_point, short_channel_id, extension }.into()
    }
}
