//! `commitment_signed` and `revoke_and_ack`: one signature, one revocation.

use signer::{ChannelAnswer, ChannelOp, ChannelRefusal};
use tx::Side;
use wire::key::Point;
use wire::{CommitmentSigned, RevokeAndAck};

use super::{AskId, Event, Link, Live, Outcome, next};
use crate::change::Change;
use crate::fault::Violation;
use crate::ledger::{As, Step};

impl Live {
    /// Signs what is not signed, if there is something and it is our turn. Whoever runs the channel
    /// calls it when nothing else is waiting, so that what came together is signed together.
    pub fn commit(&self) -> Outcome {
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
        outcome.link.advancing = Some(self.ask(outcome, op));
    }

    /// Our next commitment, which the peer has signed, when it was received before a crash.
    pub(super) fn advance_owed(&self, outcome: &mut Outcome) {
        let Some((signature, stages)) = self.local.received.clone() else { return };
        let (number, point) = (next(self.local.number), self.local.points[1]);
        let meaning = self.meaning(self.setup.side, As::Signed, number, point);
        let op = ChannelOp::Advance { meaning, secrets: self.secrets(), signature, stages };
        outcome.link.advancing = Some(self.ask(outcome, op));
    }

    pub(super) fn receive_signed(&self, said: &CommitmentSigned) -> Result<Outcome, Violation> {
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
        outcome.link.advancing = Some(self.ask(&mut outcome, op));
        Ok(outcome)
    }

    pub(super) fn receive_revoke(&self, said: &RevokeAndAck) -> Result<Outcome, Violation> {
        let is_due = self.remote.unrevoked < self.remote.number && self.link.signing.is_none();
        if !is_due || self.link.revoking.is_some() {
            return Err(Violation::NothingToRevoke);
        }
        let (secret, number) = (said.per_commitment_secret, self.remote.unrevoked);
        let mut outcome = self.nothing();
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
        let Link { signing, advancing, revoking, .. } = self.link;
        let is_revoking = revoking.filter(|it| it.0 == asked);
        if signing != Some(asked) && advancing != Some(asked) && is_revoking.is_none() {
            return Ok(self.nothing());
        }
        match answer {
            Ok(ChannelAnswer::RemoteSigned { signature, stages }) => {
                Ok(self.signed(CommitmentSigned {
                    channel_id: self.channel_id,
                    signature,
                    htlc_signature: stages,
                    funding_txid: None,
                    extension: Default::default(),
                }))
            }
            Ok(ChannelAnswer::Advanced { secret: Some(secret), next }) => {
                let revoke = RevokeAndAck {
                    channel_id: self.channel_id,
                    per_commitment_secret: secret,
                    next_per_commitment_point: next,
                    extension: Default::default(),
                };
                Ok(self.advanced(revoke, next))
            }
            Ok(ChannelAnswer::Done) => {
                let (_, secret, next) = revoking.expect("it is what was asked");
                let mut outcome = self.nothing().save(Change::Revoked { secret, next });
                self.tell_acked(self.setup.side.other(), &mut outcome);
                outcome.link.revoking = None;
                Ok(outcome)
            }
            Ok(
                ChannelAnswer::Advanced { secret: None, .. }
                | ChannelAnswer::Keys(_)
                | ChannelAnswer::LocalSigned { .. },
            ) => Err(Violation::Signer { why: "it answers something else".to_owned() }),
            Err(refusal) => Err(Violation::Signer { why: refusal.to_string() }),
        }
    }

    fn signed(&self, signed: CommitmentSigned) -> Outcome {
        let mut outcome = self.nothing().send(signed);
        outcome.link.signing = None;
        self.say_unsaid(&mut outcome);
        outcome
    }

    fn advanced(&self, revoke: RevokeAndAck, next: Point) -> Outcome {
        let mut outcome = self.nothing();
        // If nothing was received since, this is what the peer has not heard the first time.
        let is_new = self.local.received.is_some() && next_is_new(self, next);
        if is_new {
            outcome = outcome.save(Change::Advanced { next });
            self.tell_acked(self.setup.side, &mut outcome);
        }
        outcome.link.advancing = None;
        outcome.send(revoke)
    }

    /// What becomes irrevocable with a revocation of `by`.
    fn tell_acked(&self, by: Side, outcome: &mut Outcome) {
        for (id, entry) in self.ledger.entries() {
            let is_offered = id.offered_by == by && entry.added == Step::AckCommitted;
            let ends = entry.removed.filter(|it| it.step == Step::AckCommitted);
            if is_offered && by != self.setup.side {
                outcome.tell(Event::Offered(*id));
            } else if ends.is_some() && id.offered_by != by {
                let end = self.contracts.get(id).and_then(|it| it.end.clone());
                let end = end.expect("it has an end since that was proposed");
                outcome.tell(Event::Over { id: *id, end });
            }
        }
    }
}

/// Whether a point is that of a commitment that we have not heard of.
fn next_is_new(live: &Live, next: Point) -> bool {
    live.local.points[1] != next
}
