//! After a reconnection: where both sides stand, and what is said again.

use wire::id::{CommitmentNumber, PerCommitmentSecret};
use wire::{ChannelReestablish, Message};

use super::{Effect, Event, Live, Outcome, Phase, next};
use crate::change::{Change, End};
use crate::fault::Violation;
use crate::ledger::Step;
use tx::Side;

impl Live {
    /// A connection is there: says where we stand.
    pub fn connected(&self) -> Outcome {
        let received = u64::from(self.local.received.is_some());
        let said = ChannelReestablish {
            channel_id: self.channel_id,
            next_commitment_number: CommitmentNumber(self.local.number.0 + received + 1),
            next_revocation_number: self.remote.unrevoked,
            your_last_per_commitment_secret: self
                .remote
                .secret
                .unwrap_or(PerCommitmentSecret([0; 32])),
            my_current_per_commitment_point: self.local.points[0],
            next_funding: None,
            my_current_funding_locked: None,
            extension: Default::default(),
        };
        let mut outcome = self.nothing().send(said);
        outcome.link.phase = Phase::Greeting;
        outcome
    }

    /// The connection is gone.
    pub fn disconnected(&self) -> Outcome {
        self.nothing().save(Change::Lost)
    }

    pub(super) fn receive_reestablish(
        &self,
        said: &ChannelReestablish,
    ) -> Result<Outcome, Violation> {
        let lost_commitment = self.has_lost_commitment(said.next_commitment_number)?;
        let lost_revocation = self.has_lost_revocation(said.next_revocation_number)?;
        let mut outcome = self.nothing();
        outcome.link.phase = Phase::Up;
        outcome.tell(Event::Up);
        if lost_revocation && !self.revoked_last {
            self.advance_again(&mut outcome);
        }
        if lost_commitment {
            self.say(Step::Committed, &mut outcome);
            self.sign_again(&mut outcome);
        }
        if lost_revocation && self.revoked_last {
            self.advance_again(&mut outcome);
        }
        if !lost_revocation {
            self.advance_owed(&mut outcome);
        }
        self.say_unsaid(&mut outcome);
        Ok(outcome)
    }

    /// Whether the peer has not heard our last `commitment_signed`.
    fn has_lost_commitment(&self, got: CommitmentNumber) -> Result<bool, Violation> {
        let newest = self.remote.number;
        let is_open = self.remote.unrevoked < newest;
        if got == next(newest) {
            Ok(false)
        } else if got == newest && is_open {
            Ok(true)
        } else if got < next(newest) {
            let want = if is_open { newest } else { next(newest) };
            Err(Violation::Behind { got, want })
        } else {
            Err(Violation::Ahead { got, want: next(newest) })
        }
    }

    /// Whether the peer has not heard our last `revoke_and_ack`.
    fn has_lost_revocation(&self, got: CommitmentNumber) -> Result<bool, Violation> {
        let given_up = self.local.number;
        if got == given_up {
            Ok(false)
        } else if next(got) == given_up {
            Ok(true)
        } else if got < given_up {
            Err(Violation::Behind { got, want: CommitmentNumber(given_up.0 - 1) })
        } else {
            Err(Violation::Ahead { got, want: given_up })
        }
    }

    /// Says what we have proposed and not said, unless a signature comes first.
    pub(super) fn say_unsaid(&self, outcome: &mut Outcome) {
        outcome.link.unsaid = outcome.link.signing.is_some();
        if !outcome.link.unsaid {
            self.say(Step::Proposed, outcome);
        }
    }

    /// Says what we have proposed and what stands at this step.
    fn say(&self, at: Step, outcome: &mut Outcome) {
        let side = self.setup.side;
        for (id, entry) in self.ledger.entries() {
            let known = self.contracts.get(id).expect("the ledger has it");
            let message: Option<Message> = if id.offered_by == side {
                (entry.added == at).then(|| (*known.add).clone().into())
            } else {
                let ends = entry.removed.is_some_and(|it| it.step == at);
                let end = |end: &End| self.end_message(id.id, end);
                known.end.as_ref().filter(|_| ends).map(end)
            };
            outcome.effects.extend(message.map(|it| Effect::Send(Box::new(it))));
        }
        if side == Side::Opener {
            let fees = self.ledger.rates_at(at).map(|rate| self.fee_message(rate).into());
            outcome.effects.extend(fees.map(|it| Effect::Send(Box::new(it))));
        }
    }
}
