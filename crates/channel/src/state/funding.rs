//! Until the funding is deep enough for both.

use tx::Side;
use wire::amount::{BlockCount, BlockHeight};
use wire::id::{CommitmentNumber, Scid};
use wire::{ChannelReady, Message};

use super::{Channel, Event, Outcome, State};
use crate::change::Change;
use crate::fault::Violation;

/// So long the acceptor waits for the funding (BOLT 2).
pub const FUNDING_BLOCKS_MAX: BlockCount = BlockCount(2_016);

/// Who has said that the funding is deep enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// We have.
    pub local: bool,
    /// The peer has.
    pub remote: bool,
    /// The name that we have given to the channel, if any.
    pub local_alias: Option<Scid>,
    /// The name that the peer has given to the channel, if any.
    pub remote_alias: Option<Scid>,
}

impl Channel {
    /// Who has said that the funding is deep enough.
    pub const fn ready(&self) -> Ready {
        self.ready
    }

    /// The funding is deep enough for us: the peer is told, now or when it is there.
    pub fn deep(&self, alias: Option<Scid>) -> Outcome {
        if self.ready.local {
            return self.nothing();
        }
        let mut outcome = self.nothing().save(Change::Deep { alias });
        if self.is_up() {
            outcome = outcome.send(self.channel_ready(alias));
        }
        if self.ready.remote && self.state == State::Funding {
            outcome.tell(Event::Usable);
        }
        outcome
    }

    /// `channel_ready`. Once it has come, others change nothing but the name.
    pub(super) fn receive_ready(&self, said: &ChannelReady) -> Result<Outcome, Violation> {
        let alias = said.short_channel_id;
        if self.ready.remote && alias.is_none_or(|it| Some(it) == self.ready.remote_alias) {
            return Ok(self.nothing());
        }
        let point = said.second_per_commitment_point;
        let mut outcome = self.nothing().save(Change::Ready { point, alias });
        if self.ready.local && !self.ready.remote && self.state == State::Funding {
            outcome.tell(Event::Usable);
        }
        Ok(outcome)
    }

    /// After a reconnection: it may have been lost, as long as nothing was signed behind it.
    pub(crate) fn ready_again(&self, next: [CommitmentNumber; 2], outcome: &mut Outcome) {
        if self.ready.local && next == [CommitmentNumber(1); 2] {
            let message = self.channel_ready(self.ready.local_alias);
            outcome.effects.push(super::Effect::Send(Box::new(message)));
        }
    }

    /// The acceptor does not wait for ever: what it may lose is what was pushed, and that is not
    /// there before the funding is.
    pub(super) fn pursue_funding(&self) -> Outcome {
        let (tip, mut outcome) = (self.now.tip, self.nothing());
        let is_there = self.seen.funding().is_some() || self.ready.local;
        if self.setup.side == Side::Opener || is_there || tip == BlockHeight(0) {
            return outcome;
        }
        match self.waits_since {
            None => outcome.save(Change::Waits { since: tip }),
            Some(since) if tip.0 >= since.0.saturating_add(FUNDING_BLOCKS_MAX.0) => {
                outcome.tell(Event::Done);
                outcome.save(Change::Done)
            }
            Some(_) => outcome,
        }
    }

    fn channel_ready(&self, short_channel_id: Option<Scid>) -> Message {
        ChannelReady {
            channel_id: self.channel_id,
            second_per_commitment_point: self.begun.agreed().local_points[1],
            short_channel_id,
            extension: Default::default(),
        }
        .into()
    }
}
