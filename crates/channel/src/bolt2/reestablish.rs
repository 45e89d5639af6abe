//! After a reconnection: where both sides stand, and what is said again.

use bitcoin::secp256k1::{SECP256K1, SecretKey};
use signer::ChannelOp;
use tx::{SecretIndex, Side};
use wire::ChannelReestablish;
use wire::id::{CommitmentNumber, PerCommitmentSecret};
use wire::key::Point;

use crate::change::Change;
use crate::contract::Met;
use crate::fault::Violation;
use crate::ledger::Step;
use crate::planted;
use crate::state::{Advance, Channel, Effect, Event, Outcome, Phase, State, next};

const NO_SECRET: PerCommitmentSecret = PerCommitmentSecret([0; 32]);

impl Channel {
    /// A connection is there: says where we stand. If the peer has signed what our signer has not
    /// answered yet, that comes first: it may have, before a crash. A channel that fails stands
    /// nowhere any more, and says that instead. [`Resolvers::met`](crate::Resolvers::met) says what
    /// both can do.
    pub fn connected(&self, met: impl Into<Met>) -> Outcome {
        match &self.state {
            State::Failing(failing) => return self.greet_failing(&failing.why),
            State::Done => return self.nothing(),
            State::Funding | State::Normal | State::Shutdown(_) | State::Negotiating(_) => {}
        }
        let mut outcome = self.nothing();
        outcome.link.meet(Phase::Waiting, met.into());
        outcome.link.is_again = true;
        match self.local.received {
            Some(_) => self.advance_owed(&mut outcome),
            None => self.greet(self.local.number, self.local.points[0], &mut outcome),
        }
        outcome
    }

    /// Says where we stand, with this commitment of ours.
    pub(super) fn greet(&self, local: CommitmentNumber, point: Point, outcome: &mut Outcome) {
        let said = ChannelReestablish {
            channel_id: self.channel_id,
            next_commitment_number: next(local),
            next_revocation_number: self.remote.unrevoked,
            your_last_per_commitment_secret: self.last_secret().unwrap_or(NO_SECRET),
            my_current_per_commitment_point: point,
            next_funding: None,
            my_current_funding_locked: None,
            extension: Default::default(),
        };
        outcome.effects.push(Effect::Send(Box::new(said.into())));
        outcome.link.phase = Phase::Greeting;
    }

    /// The connection is gone.
    pub fn disconnected(&self) -> Outcome {
        self.nothing().save(Change::Lost)
    }

    /// A connection in which the channel was opened: there is nothing to say.
    pub fn opened_in(&self, met: impl Into<Met>) -> Outcome {
        let mut outcome = self.nothing();
        outcome.link.meet(Phase::Up, met.into());
        outcome.link.has_heard = true;
        outcome
    }

    pub(crate) fn receive_reestablish(
        &self,
        said: &ChannelReestablish,
    ) -> Result<Outcome, Violation> {
        let (got, secret) = (said.next_revocation_number, said.your_last_per_commitment_secret);
        let given_up = self.local.number;
        if got > given_up {
            let number = CommitmentNumber(got.0.saturating_sub(1));
            if SecretIndex::of(number).is_none() {
                // There are no such secrets, so our signer has nothing to look at.
                return Err(Violation::Ahead { got, want: given_up });
            }
            let mut outcome = self.nothing();
            let op = ChannelOp::CheckSecret { number, secret };
            outcome.link.checking = Some(self.ask(&mut outcome, op));
            return Ok(outcome);
        }
        let lost_revocation = next(got) == given_up;
        if got != given_up && !lost_revocation {
            let want = CommitmentNumber(given_up.0.saturating_sub(1));
            return Err(Violation::Behind { got, want });
        }
        self.judge_secret(got, &secret, lost_revocation)?;
        let lost_commitment = self.has_lost_commitment(said.next_commitment_number)?;
        let mut outcome = self.nothing();
        (outcome.link.phase, outcome.link.has_heard) = (Phase::Up, true);
        outcome.tell(Event::Up);
        let numbers = [next(self.local.number), said.next_commitment_number];
        self.ready_again(numbers, &mut outcome);
        if lost_revocation && !self.revoked_last {
            self.advance_again(&mut outcome);
            outcome.link.signs_again = lost_commitment;
        } else if lost_commitment {
            self.commit_again(&mut outcome);
        }
        if lost_revocation && self.revoked_last {
            self.advance_again(&mut outcome);
        }
        self.say_unsaid(&mut outcome);
        Ok(outcome)
    }

    /// Our newest signature, with all that it is for, once more.
    pub(super) fn commit_again(&self, outcome: &mut Outcome) {
        outcome.link.signs_again = false;
        if !planted::forgets_what_was_said() {
            self.say(Step::Committed, outcome);
        }
        self.sign_again(outcome);
    }

    /// Our signer says whether the peer knows a secret that we have no memory of giving up.
    pub(super) fn checked(&self, is_ours: bool) -> Result<Outcome, Violation> {
        match is_ours {
            true => Err(Violation::Forgotten { why: "we have lost our state".to_owned() }),
            false => Err(Violation::FalseSecret { number: self.local.number }),
        }
    }

    /// Whether it knows what we have given up last, as far as it has heard of it.
    fn judge_secret(
        &self,
        got: CommitmentNumber,
        secret: &PerCommitmentSecret,
        lost_revocation: bool,
    ) -> Result<(), Violation> {
        let [newest, before] = self.local.given_up;
        let is_known = match if lost_revocation { before } else { newest } {
            None => *secret == NO_SECRET,
            Some(point) => SecretKey::from_slice(&secret.0)
                .is_ok_and(|it| point == it.public_key(SECP256K1).into()),
        };
        match is_known {
            true => Ok(()),
            false => Err(Violation::FalseSecret { number: got }),
        }
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

    /// Says what we have proposed and not said, unless a signature comes first, or a revocation
    /// that is said again: what it frees may be in what we propose.
    pub(super) fn say_unsaid(&self, outcome: &mut Outcome) {
        let revokes = matches!(outcome.link.advancing, Some((_, Advance::Again)));
        outcome.link.unsaid = outcome.link.signing.is_some() || revokes;
        if !outcome.link.unsaid {
            self.say(Step::Proposed, outcome);
        }
    }

    /// Says what we have proposed and what stands at this step. Ends come first: an offer may spend
    /// what they give back.
    fn say(&self, at: Step, outcome: &mut Outcome) {
        let side = self.setup.side;
        let known = |id| self.contracts.get(id).expect("the ledger has it");
        let entries = || self.ledger.entries().iter();
        let ends = entries().filter_map(|(id, entry)| {
            let is_ours = id.offered_by != side && entry.removed.is_some_and(|it| it.step == at);
            let end = known(id).end.as_ref().filter(|_| is_ours)?;
            Some(self.end_message(*id, end).expect("it was judged before"))
        });
        let adds = entries().filter(|(id, entry)| id.offered_by == side && entry.added == at);
        let adds = adds.map(|(id, _)| (*known(id).add).clone());
        let fees = self.ledger.rates_at(at).filter(|_| side == Side::Opener);
        let fees = fees.map(|rate| self.fee_message(rate).into());
        let all = ends.chain(adds).chain(fees);
        outcome.effects.extend(all.map(|it| Effect::Send(Box::new(it))));
    }
}
