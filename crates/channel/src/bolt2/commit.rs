//! `commitment_signed` and `revoke_and_ack`: one signature, one revocation.

use signer::{ChannelAnswer, ChannelOp, ChannelRefusal, EndFlaw};
use tx::Side;
use wire::key::Signature;
use wire::{CommitmentSigned, RevokeAndAck};

use crate::change::Change;
use crate::fault::Violation;
use crate::ledger::{As, Step};
use crate::planted;
use crate::state::{
    Advance, AskId, Asked, Channel, Effect, Event, Outcome, Phase, ShownFor, Why, next,
};

/// So often a signer is shown between two blocks what it has lost.
const SHOWN_AGAIN_MAX: u8 = 3;

impl Channel {
    /// Signs what is not signed, if there is something and it is our turn.
    pub(crate) fn commit(&self) -> Outcome {
        let is_free = self.link.signing.is_none() && self.local.received.is_none();
        let is_turn = self.remote.number == self.remote.unrevoked && !self.link.unsaid;
        let (peer, Some(point)) = (self.setup.side.other(), self.remote.points.1) else {
            return self.nothing();
        };
        if !self.is_up() || !is_free || !is_turn || !self.ledger.has_unsigned(self.setup.side) {
            return self.nothing();
        }
        // The draft of now is what is signed once the change is taken in.
        let meaning = self.meaning(peer, As::Draft, next(self.remote.number), point);
        let op = ChannelOp::SignRemote { meaning, secrets: self.secrets() };
        let mut outcome = self.nothing().save(Change::Signed);
        outcome.link.signing = Some(self.ask(&mut outcome, op));
        outcome.link.is_unsigned = true;
        outcome
    }

    /// The signature of the peer's newest commitment, once more.
    pub(super) fn sign_again(&self, outcome: &mut Outcome) {
        let (number, point) = (self.remote.number, self.remote.points.0);
        let meaning = self.meaning(self.setup.side.other(), As::Signed, number, point);
        let op = ChannelOp::SignRemote { meaning, secrets: self.secrets() };
        outcome.link.signing = Some(self.ask(outcome, op));
    }

    /// Our newest commitment, once more: the answer says again what we gave up for it.
    pub(super) fn advance_again(&self, outcome: &mut Outcome) {
        let (number, point) = (self.local.number, self.local.points[0]);
        let meaning = self.meaning(self.setup.side, As::Settled, number, point);
        let (signature, stages) = (self.local.signature, self.local.stages.clone());
        let op = ChannelOp::Advance { meaning, secrets: Vec::new(), signature, stages };
        outcome.link.advancing = Some((self.ask(outcome, op), Advance::Again));
    }

    /// Our next commitment, which the peer has signed, when it was received before a crash.
    pub(crate) fn advance_owed(&self, outcome: &mut Outcome) {
        let Some((signature, stages)) = self.local.received.clone() else { return };
        let (number, point) = (next(self.local.number), self.local.points[1]);
        let meaning = self.meaning(self.setup.side, As::Signed, number, point);
        let op = ChannelOp::Advance { meaning, secrets: self.secrets(), signature, stages };
        outcome.link.advancing = Some((self.ask(outcome, op), Advance::New));
    }

    pub(crate) fn receive_signed(&self, said: &CommitmentSigned) -> Result<Outcome, Violation> {
        let want = self.begun.funding().txid;
        if let Some(got) = said.funding_txid.filter(|it| *it != want) {
            return Err(Violation::OtherFunding { got, want });
        }
        if self.local.received.is_some() {
            return Err(Violation::SignedTwice);
        }
        if !self.ledger.has_unsigned(self.setup.side.other()) {
            return Err(Violation::NothingToSign);
        }
        let (signature, stages) = (said.signature, said.htlc_signature.clone());
        let (number, point) = (next(self.local.number), self.local.points[1]);
        // The draft of now is what is signed once the change is taken in.
        let meaning = self.meaning(self.setup.side, As::Draft, number, point);
        let secrets = self.secrets();
        let op = ChannelOp::Advance { meaning, secrets, signature, stages: stages.clone() };
        let mut outcome = self.nothing().save(Change::Received { signature, stages });
        outcome.link.advancing = Some((self.ask(&mut outcome, op), Advance::New));
        Ok(outcome)
    }

    pub(crate) fn receive_revoke(&self, said: &RevokeAndAck) -> Result<Outcome, Violation> {
        let is_due = self.remote.unrevoked < self.remote.number && self.link.signing.is_none();
        if !is_due || self.link.revoking.is_some() {
            return Err(Violation::NothingToRevoke);
        }
        let (secret, number) = (said.per_commitment_secret, self.remote.unrevoked);
        let mut outcome = self.nothing();
        if planted::believes_revocations() {
            let next = said.next_per_commitment_point;
            return Ok(outcome.save(Change::Revoked { secret, next }));
        }
        let asked = self.ask(&mut outcome, ChannelOp::Revoked { number, secret });
        outcome.link.revoking = Some((asked, secret, said.next_per_commitment_point));
        Ok(outcome)
    }

    /// The signer answers. An answer that nobody waits for was asked for before the connection was
    /// lost, and is left alone.
    pub fn answered(
        &self,
        asked: AskId,
        answer: Result<ChannelAnswer, ChannelRefusal>,
    ) -> Result<Outcome, Violation> {
        let Some(question) = self.link.question(asked) else { return Ok(self.nothing()) };
        match (question, answer) {
            (Asked::Sign, Ok(ChannelAnswer::RemoteSigned { signature, stages })) => {
                Ok(self.signed(signature, stages))
            }
            (Asked::Advance(why), Ok(ChannelAnswer::Advanced { secret: Some(secret), next })) => {
                let revoke = RevokeAndAck {
                    channel_id: self.channel_id,
                    per_commitment_secret: secret,
                    next_per_commitment_point: next,
                    extension: Default::default(),
                };
                Ok(self.advanced(why, revoke))
            }
            (Asked::Revoke(secret, next), Ok(ChannelAnswer::Done)) => {
                let mut outcome = self.nothing().save(Change::Revoked { secret, next });
                self.tell_acked(self.setup.side.other(), &mut outcome);
                outcome.link.revoking = None;
                Ok(outcome)
            }
            (Asked::Close(closing), Ok(ChannelAnswer::CloseSigned { signature })) => {
                Ok(self.closing_signed(&closing, signature))
            }
            (Asked::Publish, Ok(ChannelAnswer::LocalSigned { signature })) => {
                Ok(self.local_signed(signature))
            }
            (Asked::Check, Ok(ChannelAnswer::Checked { is_ours })) => self.checked(is_ours),
            (Asked::Bid(key), Ok(ChannelAnswer::InputsSigned { signatures })) => {
                Ok(self.bid_signed(&key, &signatures))
            }
            (Asked::Shown(shown_for), Ok(ChannelAnswer::Done)) => Ok(self.ask_again(&shown_for)),
            // It is about another question, or another channel.
            (question, Ok(_)) => Ok(self.not_signed(&question, "our signer says something else")),
            (question, Err(refusal)) => self.answered_no(&question, &refusal),
        }
    }

    /// Our signer does not take on what we offer, and we have never had its signature: nobody has
    /// it, so it can be taken back. The peer forgets what it has heard of it with the connection.
    /// Until then nothing is signed in it: the question stays as if it were not answered.
    fn take_back(&self, why: &str) -> Outcome {
        let side = self.setup.side;
        let is_new = |added| matches!(added, Step::Proposed | Step::Committed);
        let entries = self.ledger.entries().iter();
        let offered = entries.filter(|(id, it)| id.offered_by == side && is_new(it.added));
        let mut outcome = self.nothing().save(Change::TakenBack);
        for (id, _) in offered {
            outcome.tell(Event::TakenBack { id: *id, why: why.to_owned() });
        }
        outcome.effects.push(Effect::Hangup);
        outcome
    }

    /// Our signer refuses: it has looked at what the peer has signed or revoked, or at what we ask.
    fn answered_no(
        &self,
        question: &Asked,
        refusal: &ChannelRefusal,
    ) -> Result<Outcome, Violation> {
        if let Some(outcome) = self.shown_again(question, refusal) {
            return Ok(outcome);
        }
        let why = refusal.to_string();
        match (question, blame(refusal)) {
            (_, Blame::Us) => Err(Violation::Forgotten { why }),
            // What the peer has signed is none of ours: the one before stays.
            (Asked::Advance(Advance::New), Blame::Peer) => {
                let mut outcome = self.fail_for(Why::Violation(why));
                outcome.link.advancing = None;
                Ok(outcome.save(Change::Rejected))
            }
            (Asked::Revoke(..), Blame::Peer) => Err(Violation::Signer { why }),
            (Asked::Sign, Blame::Offer) if self.link.is_unsigned => Ok(self.take_back(&why)),
            (question, Blame::Peer | Blame::Signer | Blame::Offer) => {
                Ok(self.not_signed(question, &why))
            }
        }
    }

    /// Our signer does not wait for its disk when it is shown a secret, and has lost the last one
    /// in a crash: it is shown again, and asked again. One that has lost more, or loses it again
    /// and again, is waited for.
    fn shown_again(&self, question: &Asked, refusal: &ChannelRefusal) -> Option<Outcome> {
        use ChannelRefusal::{End, OutOfTurn};
        let (OutOfTurn { unrevoked: number, .. }
        | End(
            EndFlaw::NotRevoked { unrevoked: number, .. } | EndFlaw::Unrevoked { number, .. },
        )) = refusal
        else {
            return None;
        };
        let (number, secret) = (*number, self.remote.secrets.secret(*number)?);
        if self.link.shown_again >= SHOWN_AGAIN_MAX {
            return None;
        }
        let shown_for = match question {
            Asked::Sign => ShownFor::Sign,
            Asked::Close(_) => ShownFor::Close,
            Asked::Bid(key) => ShownFor::Bid(key.clone()),
            Asked::Advance(_)
            | Asked::Revoke(..)
            | Asked::Publish
            | Asked::Check
            | Asked::Shown(_) => return None,
        };
        let mut outcome = self.nothing();
        let asked = self.ask(&mut outcome, ChannelOp::Revoked { number, secret });
        outcome.link.showing = Some((asked, shown_for));
        outcome.link.shown_again += 1;
        Some(outcome)
    }

    /// It has seen it.
    fn ask_again(&self, shown_for: &ShownFor) -> Outcome {
        let mut outcome = self.nothing();
        outcome.link.showing = None;
        match (shown_for, &self.link.closing) {
            (ShownFor::Sign, _) => self.sign_again(&mut outcome),
            (ShownFor::Close, Some(closing)) => {
                self.ask_close(closing.close.clone(), closing.purpose.clone(), &mut outcome);
            }
            (ShownFor::Close, None) => {}
            (ShownFor::Bid(key), _) => {
                // It is thought of anew, now.
                outcome.link.bids.remove(key);
                outcome.link.at_rest = None;
            }
        }
        outcome
    }

    /// Our signer does not do what we ask, and that is not the peer's fault: everything waits, and
    /// people hear of it. With the next block it is asked again; what is between the peer and us
    /// is then begun anew, with another connection.
    fn not_signed(&self, question: &Asked, why: &str) -> Outcome {
        let mut outcome = match question {
            Asked::Bid(key) | Asked::Shown(ShownFor::Bid(key)) => self.bid_refused(key),
            Asked::Sign
            | Asked::Advance(_)
            | Asked::Revoke(..)
            | Asked::Close(_)
            | Asked::Publish
            | Asked::Check
            | Asked::Shown(ShownFor::Sign | ShownFor::Close) => self.nothing(),
        };
        if let Asked::Shown(_) = question {
            outcome.link.showing = None;
        }
        outcome.link.is_refused = true;
        let is_of_connection = matches!(
            question,
            Asked::Sign
                | Asked::Advance(_)
                | Asked::Revoke(..)
                | Asked::Check
                | Asked::Shown(ShownFor::Sign)
        );
        outcome.link.is_stalled |= is_of_connection;
        outcome.tell(Event::Refused { why: why.to_owned() });
        outcome
    }

    fn signed(&self, signature: Signature, htlc_signature: Vec<Signature>) -> Outcome {
        let mut outcome = self.nothing().send(CommitmentSigned {
            channel_id: self.channel_id,
            signature,
            htlc_signature,
            funding_txid: Some(self.begun.funding().txid),
            extension: Default::default(),
        });
        (outcome.link.signing, outcome.link.is_unsigned) = (None, false);
        outcome.link.shown_again = 0;
        if std::mem::take(&mut outcome.link.revokes_late) {
            self.advance_again(&mut outcome);
        }
        self.say_unsaid(&mut outcome);
        outcome
    }

    fn advanced(&self, why: Advance, revoke: RevokeAndAck) -> Outcome {
        let mut outcome = self.nothing();
        if why == Advance::New {
            outcome = outcome.save(Change::Advanced { next: revoke.next_per_commitment_point });
            self.tell_acked(self.setup.side, &mut outcome);
        }
        outcome.link.advancing = None;
        if self.link.phase == Phase::Waiting {
            self.greet(next(self.local.number), self.local.points[1], &mut outcome);
        }
        if !self.is_up() {
            return outcome;
        }
        if self.link.signing.is_some() {
            // What it is asked for was agreed on without this: the peer has to hear it before.
            outcome.link.revokes_late = true;
            return outcome;
        }
        outcome = outcome.send(revoke);
        if outcome.link.signs_again {
            self.commit_again(&mut outcome);
        }
        if why == Advance::Again {
            self.say_unsaid(&mut outcome);
        }
        outcome
    }

    /// What becomes irrevocable with a revocation of `by`.
    fn tell_acked(&self, by: Side, outcome: &mut Outcome) {
        for (id, entry) in self.ledger.entries() {
            let is_offered = id.offered_by == by && entry.added == Step::AckCommitted;
            let ends = entry.removed.filter(|it| it.step == Step::AckCommitted);
            if is_offered && by != self.setup.side {
                outcome.tell(Event::Offered(*id));
            } else if ends.is_some() && id.offered_by != by {
                // What the chain has ended before was told then.
                let end = self.contracts.get(id).and_then(|it| it.end.clone());
                end.into_iter().for_each(|end| outcome.tell(Event::Over { id: *id, end }));
            }
        }
    }
}

/// Whose fault a refusal of our signer is.
enum Blame {
    /// It remembers what we have forgotten.
    Us,
    /// What the peer has signed or shown is not right.
    Peer,
    /// It has forgotten what we know, or has other rules than we.
    Signer,
    /// It does not take on what is new, now or ever. What is there it goes on with.
    Offer,
}

fn blame(refusal: &ChannelRefusal) -> Blame {
    use ChannelRefusal as No;
    match refusal {
        No::Otherwise { .. } => Blame::Us,
        No::OutOfTurn { number, newest, .. } if newest.is_some_and(|newest| newest > *number) => {
            Blame::Us
        }
        No::BadSignature { .. }
        | No::StageCount { .. }
        | No::WrongSecret { .. }
        | No::Secret(_)
        | No::Money { .. }
        | No::Loss { .. }
        | No::FeeRate { .. }
        | No::Fee { .. }
        | No::Contracts { .. } => Blame::Peer,
        No::InFlight { .. } | No::Allowance { .. } | No::Expiry { .. } | No::Stale { .. } => {
            Blame::Offer
        }
        No::Unknown
        | No::AlreadySetUp
        | No::TooMany { .. }
        | No::Terms { .. }
        | No::ForeignKeys
        | No::WrongOwner { .. }
        | No::OutOfTurn { .. }
        | No::WrongPoint { .. }
        | No::Delay { .. }
        | No::Contract(_)
        | No::Closing
        | No::Shut
        | No::End(_) => Blame::Signer,
    }
}
