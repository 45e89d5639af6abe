//! Both want to close and nothing is under way: one transaction, signed by both.
//!
//! `closing_signed`: the opener pays, says a fee and what it would take; one that the other side
//! takes as well ends it. `closing_complete` is in `simple.rs`.

use std::sync::Arc;

use bitcoin::secp256k1::{Message as Digest, SECP256K1};
use bitcoin::{OutPoint, Transaction};
use signer::{ChannelOp, Payee, SignClose};
use tx::{Close, ClosingOutputs, Side, funding_witness};
use wire::amount::{BlockCount, BlockHeight, FeeratePerKw, Sat};
use wire::id::FeeRange;
use wire::key::Signature;
use wire::list::Script;
use wire::{ClosingSigned, Message};

use super::link::{Closing, Purpose};
use super::{Channel, Dialects, Effect, Outcome, State, Why};
use crate::change::Change;
use crate::fault::Violation;

/// What spends the funding weighs, beside its outputs' transaction: two signatures and a script.
const WITNESS_WEIGHT: u64 = 224;
/// The least rate that anybody relays.
const RATE_MIN: FeeratePerKw = FeeratePerKw(253);
/// So long a peer may say nothing to our fee, or fees that we do not take (BOLT 2: "a reasonable
/// amount of time").
pub const CLOSING_BLOCKS_MAX: BlockCount = BlockCount(144);
/// The opener takes so many times the fee that it finds right.
const FEE_SPREAD: u64 = 3;

/// Both want to close.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiating {
    /// Where the peer's money shall go.
    pub remote: Script,
    /// Signed by both: it is on its way into the chain.
    pub closed: Option<Box<Transaction>>,
}

impl Channel {
    #[allow(clippy::wildcard_enum_match_arm, reason = "each other message is as unexpected")]
    pub(super) fn receive_closing(
        &self,
        negotiating: &Negotiating,
        message: &Message,
    ) -> Result<Outcome, Violation> {
        let is_begun = self.link.said_shutdown && self.link.heard_shutdown;
        match (self.link.dialects.simple_close, message) {
            (false, Message::ClosingSigned(said)) if is_begun => {
                self.receive_closing_signed(negotiating, said)
            }
            (true, Message::ClosingComplete(said)) if is_begun => {
                self.receive_closing_complete(said)
            }
            (true, Message::ClosingSig(said)) if is_begun => {
                self.receive_closing_sig(negotiating, said)
            }
            (_, other) => Err(Violation::Unexpected { message: other.name() }),
        }
    }

    /// Says a fee, if that is for us to do.
    pub(super) fn pursue_closing(&self, negotiating: &Negotiating) -> Outcome {
        let mut outcome = self.nothing();
        if let Some(closed) = negotiating.closed.as_deref().filter(|_| !self.has_published()) {
            // It may not have been handed out before a restart.
            outcome.link.published = Some(Arc::new(closed.clone()));
            outcome.effects.push(Effect::Publish(vec![closed.clone()]));
            return outcome;
        }
        if let Some(blocks) = self.disagrees_since(negotiating)
            && blocks >= CLOSING_BLOCKS_MAX
        {
            let BlockCount(blocks) = blocks;
            return self.fail_for(Why::Violation(format!("no closing fee within {blocks} blocks")));
        }
        let is_begun = self.link.said_shutdown && self.link.heard_shutdown;
        if !self.is_up() || !is_begun || self.link.closing.is_some() {
            return outcome;
        }
        let Dialects { simple_close, .. } = self.link.dialects;
        if simple_close {
            self.propose_complete(negotiating, &mut outcome);
        } else if self.setup.side == Side::Opener && self.link.offered.local.is_none() {
            let (fee, _) = self.fees(negotiating);
            let close = self.signed_close(negotiating, fee, self.setup.side);
            self.ask_close(close, Purpose::Offer, &mut outcome);
        }
        outcome
    }

    fn receive_closing_signed(
        &self,
        negotiating: &Negotiating,
        said: &ClosingSigned,
    ) -> Result<Outcome, Violation> {
        let fee = said.fee_satoshis;
        // Who signs leaves out what is dust to itself: that may be either's.
        let [peer, side] = [self.setup.side.other(), self.setup.side];
        let closes = [peer, side].map(|it| self.signed_close(negotiating, fee, it));
        let is_signed = |it: &Close| self.is_closing_signed(it, &said.signature);
        let Some(close) = closes.into_iter().find(is_signed) else {
            return Err(Violation::ClosingSignature { fee });
        };
        let mut outcome = self.nothing();
        outcome.link.offered.remote = Some(fee);
        let (_, FeeRange { min_fee_satoshis: min, max_fee_satoshis: max }) = self.fees(negotiating);
        if fee >= min && fee <= max {
            let theirs = said.signature;
            let is_said = self.link.offered.local == Some(fee);
            self.ask_close(close, Purpose::Settle { theirs, is_said }, &mut outcome);
            return Ok(outcome);
        }
        let range = said.fee_range.as_ref();
        let overlaps =
            range.is_none_or(|it| it.min_fee_satoshis <= max && min <= it.max_fee_satoshis);
        if self.link.offered.local.is_some() && range.is_some() && overlaps {
            return Err(Violation::ClosingFeeAgain { got: fee, min, max });
        }
        let next = self.counter(fee, (min, max), range).filter(|_| overlaps);
        let next = next.ok_or(Violation::ClosingFee { got: fee, min, max })?;
        let close = self.signed_close(negotiating, next, side);
        self.ask_close(close, Purpose::Offer, &mut outcome);
        Ok(outcome)
    }

    /// For so long the peer has said no fee that we take, since we waited for one first.
    fn disagrees_since(&self, negotiating: &Negotiating) -> Option<BlockCount> {
        let since = self.waits_since.filter(|_| negotiating.closed.is_none())?;
        Some(BlockCount(self.now.tip.0.saturating_sub(since.0)))
    }

    /// We have said a fee, or do not take that of the peer: it may think about it, but not for
    /// ever. Each connection is a new try, so the time runs from the first of them on.
    pub(super) fn begins_to_wait(&self) -> Option<Change> {
        let is_new = self.waits_since.is_none() && self.now.tip > BlockHeight(0);
        let is_legacy = !self.link.dialects.simple_close;
        let is_open = matches!(&self.state, State::Negotiating(it) if it.closed.is_none());
        (is_new && is_legacy && is_open).then_some(Change::Waits { since: self.now.tip })
    }

    /// What we say to a fee that we do not take: halfway, as far as we go. Nothing if the peer does
    /// not come nearer, or we cannot.
    fn counter(&self, fee: Sat, (min, max): (Sat, Sat), range: Option<&FeeRange>) -> Option<Sat> {
        let is_between = |it: Sat, a: Sat, b: Sat| it > a.min(b) && it < a.max(b);
        let Some(local) = self.link.offered.local else {
            // The first is one that the peer takes, too, if it has said what it takes.
            let min = range.map_or(min, |it| it.min_fee_satoshis.max(min));
            let max = range.map_or(max, |it| it.max_fee_satoshis.min(max));
            return (min <= max).then(|| fee.clamp(min, max));
        };
        if self.link.offered.remote.is_some_and(|before| !is_between(fee, local, before)) {
            return None;
        }
        let next = Sat(u64::midpoint(local.0, fee.0)).clamp(min, max);
        is_between(next, local, fee).then_some(next)
    }

    /// The fee that we find right, and what we would take.
    fn fees(&self, negotiating: &Negotiating) -> (Sat, FeeRange) {
        let close = self.signed_close(negotiating, Sat(0), self.setup.side);
        let weight = self.closing_weight(&close);
        let [ideal, least] =
            [self.closing_rate(), RATE_MIN].map(|it| u64::from(it.0) * weight / 1_000);
        let have = self.ledger.free(Side::Opener).floor_to_sat().0;
        let max = match self.setup.side {
            Side::Opener => ideal.saturating_mul(FEE_SPREAD).min(have),
            Side::Acceptor => have,
        };
        let range = FeeRange { min_fee_satoshis: Sat(least.min(max)), max_fee_satoshis: Sat(max) };
        (Sat(ideal.min(max)), range)
    }

    pub(super) fn closing_rate(&self) -> FeeratePerKw {
        self.now.calm.max(RATE_MIN)
    }

    /// What a closing transaction weighs with its signatures.
    pub(super) fn closing_weight(&self, close: &Close) -> u64 {
        let built = close.build(&self.setup.terms);
        built.map_or(0, |it| it.weight().to_wu()) + WITNESS_WEIGHT
    }

    /// A close as `closing_signed` of one side means it.
    fn signed_close(&self, negotiating: &Negotiating, fee: Sat, signer: Side) -> Close {
        let dust_limit = self.setup.terms.party(signer).dust_limit;
        self.close_with(negotiating, fee, ClosingOutputs::Signed { dust_limit })
    }

    pub(super) fn close_with(
        &self,
        negotiating: &Negotiating,
        fee: Sat,
        dialect: ClosingOutputs,
    ) -> Close {
        let local = Some(self.begun.agreed().home.script.clone());
        let remote = Some(negotiating.remote.clone());
        let (opener_script, acceptor_script) = match self.setup.side {
            Side::Opener => (local, remote),
            Side::Acceptor => (remote, local),
        };
        let [to_opener, to_acceptor] =
            [Side::Opener, Side::Acceptor].map(|side| self.ledger.free(side));
        Close { to_opener, to_acceptor, opener_script, acceptor_script, fee, dialect }
    }

    /// Whether the peer has signed this.
    pub(super) fn is_closing_signed(&self, close: &Close, signature: &Signature) -> bool {
        let terms = &self.setup.terms;
        let key = terms.party(self.setup.side.other()).funding_key;
        close.build(terms).is_some_and(|it| {
            let digest = Digest::from_digest(Close::digest(terms, &it));
            SECP256K1.verify_ecdsa(&digest, &signature.ecdsa(), key.key()).is_ok()
        })
    }

    pub(crate) fn ask_close(&self, close: Close, purpose: Purpose, outcome: &mut Outcome) {
        let ours = Payee::Ours(self.begun.agreed().home.place);
        let sign = SignClose { close: close.clone(), ours };
        let asked = self.ask(outcome, ChannelOp::SignClose(Box::new(sign)));
        outcome.link.closing = Some(Box::new(Closing { asked, close, purpose }));
    }

    /// Our signer has signed a closing transaction.
    pub(crate) fn closing_signed(&self, closing: &Closing, signature: Signature) -> Outcome {
        let State::Negotiating(negotiating) = &self.state else { return self.nothing() };
        let mut outcome = self.nothing();
        (outcome.link.closing, outcome.link.shown_again) = (None, 0);
        match &closing.purpose {
            Purpose::Offer => {
                outcome.link.offered.local = Some(closing.close.fee);
                outcome.changes.extend(self.begins_to_wait());
                outcome.send(self.closing_message(negotiating, closing.close.fee, signature))
            }
            Purpose::Settle { theirs, is_said } => {
                let fee = closing.close.fee;
                let mut outcome = self.closed(&closing.close, signature, *theirs, outcome);
                if !is_said {
                    outcome.link.offered.local = Some(fee);
                    outcome = outcome.send(self.closing_message(negotiating, fee, signature));
                }
                outcome
            }
            Purpose::Complete(complete) => self.completing(complete, closing, signature, outcome),
            Purpose::Answer(answer) => self.answer_complete(answer, closing, signature, outcome),
        }
    }

    fn closing_message(
        &self,
        negotiating: &Negotiating,
        fee_satoshis: Sat,
        signature: Signature,
    ) -> ClosingSigned {
        let (_, range) = self.fees(negotiating);
        ClosingSigned {
            channel_id: self.channel_id,
            fee_satoshis,
            signature,
            fee_range: Some(range),
            extension: Default::default(),
        }
    }

    /// Both have signed it.
    pub(super) fn closed(
        &self,
        close: &Close,
        ours: Signature,
        theirs: Signature,
        outcome: Outcome,
    ) -> Outcome {
        let Some(mut transaction) = close.build(&self.setup.terms) else { return outcome };
        let [opener, acceptor] = match self.setup.side {
            Side::Opener => [&ours, &theirs],
            Side::Acceptor => [&theirs, &ours],
        };
        transaction.input[0].witness = funding_witness(&self.setup.terms, opener, acceptor);
        let mut outcome = outcome.save(Change::Closed(Box::new(transaction.clone())));
        outcome.link.published = Some(Arc::new(transaction.clone()));
        outcome.effects.push(Effect::Publish(vec![transaction]));
        outcome
    }

    const fn has_published(&self) -> bool {
        self.link.published.is_some()
    }

    /// What the channel lives in.
    pub fn funding(&self) -> OutPoint {
        self.setup.terms.funding.outpoint
    }
}
