//! `update_*`: what either side proposes.

use bitcoin::hashes::{Hash as _, sha256};
use wire::amount::{BlockHeight, FeeratePerKw, Msat};
use wire::id::{FailureCode, HtlcId, OnionPacket, PaymentHash, PaymentPreimage};
use wire::key::Point;
use wire::{
    Message, UpdateAddHtlc, UpdateFailHtlc, UpdateFailMalformedHtlc, UpdateFee, UpdateFulfillHtlc,
};

use super::limits::{EXPIRY_END, RATES};
use crate::change::{Change, End};
use crate::fault::{Refusal, Violation};
use crate::ledger::{ContractId, Step};
use crate::state::{Channel, Event, Outcome, State};
use tx::Side;

/// The bit of a failure code that says whose onion was bad (BOLT 4).
const BADONION: u16 = 0x8000;

/// An HTLC that we want to offer.
#[derive(Clone, Debug)]
pub struct Offer {
    /// How much.
    pub amount: Msat,
    /// Whoever shows its preimage is paid.
    pub payment_hash: PaymentHash,
    /// Then it comes back.
    pub cltv_expiry: BlockHeight,
    /// For the peer.
    pub onion: Box<OnionPacket>,
    /// Within a blinded route.
    pub path_key: Option<Point>,
}

impl Channel {
    /// `update_add_htlc`.
    pub fn send_add(&self, offer: Offer) -> Result<(ContractId, Outcome), Refusal> {
        self.must_be_up()?;
        if self.state != State::Normal {
            return Err(Refusal::NotUsable);
        }
        let side = self.setup.side;
        let id = self.ledger.next_id(side);
        let add = UpdateAddHtlc {
            channel_id: self.channel_id,
            id,
            amount_msat: offer.amount,
            payment_hash: offer.payment_hash,
            cltv_expiry: offer.cltv_expiry,
            onion_routing_packet: offer.onion,
            path_key: offer.path_key,
            extension: Default::default(),
        };
        if add.amount_msat == Msat(0) {
            return Err(Refusal::Zero);
        }
        if add.cltv_expiry >= EXPIRY_END {
            return Err(Refusal::Expiry { got: add.cltv_expiry, end: EXPIRY_END });
        }
        self.judge_add(side, &add).map_err(|excess| excess.refusal(&add))?;
        self.judge_dust(&add)?;
        let change = Change::Added { by: side, add: Box::new(add.clone()) };
        Ok((ContractId { offered_by: side, id }, self.say_now(change, add.into())))
    }

    /// `update_fulfill_htlc`, `update_fail_htlc` or `update_fail_malformed_htlc`. It may be given
    /// while nobody is connected: it is said once the peer is there.
    pub fn send_end(&self, id: HtlcId, end: End) -> Result<Outcome, Refusal> {
        let contract = ContractId { offered_by: self.setup.side.other(), id };
        if matches!(self.state, State::Failing(_)) {
            return self.learn(contract, &end);
        }
        if self.state == State::Done || !self.can_end(contract) {
            // What has ended on the chain stays in the ledger.
            return Err(Refusal::NoSuchHtlc { id });
        }
        if let End::Fulfilled(preimage) = &end
            && !self.opens(contract, preimage)
        {
            return Err(Refusal::WrongPreimage { id });
        }
        let message = self.end_message(id, &end);
        Ok(self.say_now(Change::Ended { id: contract, end }, message))
    }

    /// On the chain a preimage is worth as much as in a message.
    fn learn(&self, id: ContractId, end: &End) -> Result<Outcome, Refusal> {
        let End::Fulfilled(preimage) = end else { return Ok(self.nothing()) };
        let is_in = self.ledger.entries().get(&id).is_some_and(|it| it.added == Step::Acked);
        // BOLT 5: what the peer could still do without is not taken.
        let Some(known) = self.contracts.get(&id).filter(|_| is_in) else {
            return Err(Refusal::NoSuchHtlc { id: id.id });
        };
        if !self.opens(id, preimage) {
            return Err(Refusal::WrongPreimage { id: id.id });
        }
        let is_new = known.preimage.is_none();
        let change = Change::Learned { id, preimage: *preimage };
        Ok(if is_new { self.nothing().save(change) } else { self.nothing() })
    }

    /// `update_fee`.
    pub fn send_fee(&self, rate: FeeratePerKw) -> Result<Outcome, Refusal> {
        self.must_be_up()?;
        if self.setup.side != Side::Opener {
            return Err(Refusal::NotOpener);
        }
        let is_usable = match self.state {
            State::Normal => true,
            // With nothing under way no update may follow a `shutdown`.
            State::Shutdown(_) => !self.is_empty(),
            State::Funding | State::Negotiating(_) | State::Failing(_) | State::Done => false,
        };
        if !is_usable {
            return Err(Refusal::NotUsable);
        }
        let [min, max] = RATES;
        if rate < min || rate > max {
            return Err(Refusal::FeeRate { got: rate, min, max });
        }
        // BOLT 2 would allow it, but LDK forgets the one before, and then signs for a third one.
        if let Some(before) = self.ledger.rate_under_way() {
            return Err(Refusal::RateUnderWay { got: rate, before });
        }
        self.judge_rate(rate).map_err(|(have, need)| Refusal::Fee { have, need })?;
        Ok(self.say_now(Change::Rate(rate), self.fee_message(rate).into()))
    }

    pub(crate) fn receive_add(&self, add: &UpdateAddHtlc) -> Result<Outcome, Violation> {
        let by = self.setup.side.other();
        let want = self.ledger.next_id(by);
        if self.is_repeated(ContractId { offered_by: by, id: add.id }) {
            return Ok(self.nothing());
        }
        if add.id != want {
            return Err(Violation::HtlcId { got: add.id, want });
        }
        let min = self.limits.local.htlc_minimum.max(Msat(1));
        if add.amount_msat < min {
            return Err(Violation::HtlcTooSmall { got: add.amount_msat, min });
        }
        if add.cltv_expiry >= EXPIRY_END {
            return Err(Violation::Expiry { got: add.cltv_expiry, end: EXPIRY_END });
        }
        self.judge_add(by, add).map_err(|excess| excess.violation(add))?;
        Ok(self.nothing().save(Change::Added { by, add: Box::new(add.clone()) }))
    }

    /// Whether an offer of the peer is known from a connection before: it may be said again as long
    /// as the peer has not given up all commitments that lack it (BOLT 2).
    fn is_repeated(&self, id: ContractId) -> bool {
        let entry = self.ledger.entries().get(&id);
        self.link.is_again && entry.is_some_and(|it| it.added < Step::Acked)
    }

    pub(crate) fn receive_fulfill(&self, said: &UpdateFulfillHtlc) -> Result<Outcome, Violation> {
        let id = ContractId { offered_by: self.setup.side, id: said.id };
        if !self.can_end(id) {
            return Err(Violation::NoSuchHtlc { id: said.id });
        }
        if !self.opens(id, &said.payment_preimage) {
            return Err(Violation::WrongPreimage { id: said.id });
        }
        let end = End::Fulfilled(said.payment_preimage);
        let mut outcome = self.nothing().save(Change::Ended { id, end });
        outcome.tell(Event::Fulfilled(id, said.payment_preimage));
        Ok(outcome)
    }

    pub(crate) fn receive_fail(&self, said: &UpdateFailHtlc) -> Result<Outcome, Violation> {
        self.receive_end(said.id, End::Failed(said.reason.clone()))
    }

    pub(crate) fn receive_malformed(
        &self,
        said: &UpdateFailMalformedHtlc,
    ) -> Result<Outcome, Violation> {
        let FailureCode(failure_code) = said.failure_code;
        if failure_code & BADONION == 0 {
            return Err(Violation::FailureCode { got: failure_code });
        }
        let sha256_of_onion = said.sha256_of_onion;
        self.receive_end(said.id, End::Malformed { sha256_of_onion, failure_code })
    }

    fn receive_end(&self, id: HtlcId, end: End) -> Result<Outcome, Violation> {
        let contract = ContractId { offered_by: self.setup.side, id };
        match self.can_end(contract) {
            true => Ok(self.nothing().save(Change::Ended { id: contract, end })),
            false => Err(Violation::NoSuchHtlc { id }),
        }
    }

    pub(crate) fn receive_fee(&self, said: &UpdateFee) -> Result<Outcome, Violation> {
        if self.setup.side == Side::Opener {
            return Err(Violation::FeeByAcceptor);
        }
        let (got, [min, max]) = (said.feerate_per_kw, RATES);
        if got < min || got > max {
            return Err(Violation::FeeRate { got, min, max });
        }
        self.judge_rate(got)
            .map_err(|(have, need)| Violation::NotAffordable { got: need, have })?;
        Ok(self.nothing().save(Change::Rate(got)))
    }

    /// Saves an update of ours and says it, unless there is no connection, or a signature is on its
    /// way that does not have it: then it is said after that.
    fn say_now(&self, change: Change, message: Message) -> Outcome {
        let mut outcome = self.nothing().save(change);
        if self.link.signing.is_some() || self.link.unsaid {
            outcome.link.unsaid = true;
        } else if self.is_up() {
            outcome = outcome.send(message);
        }
        outcome
    }

    pub(super) fn end_message(&self, id: HtlcId, end: &End) -> Message {
        let channel_id = self.channel_id;
        match end {
            End::Fulfilled(preimage) => UpdateFulfillHtlc {
                channel_id,
                id,
                payment_preimage: *preimage,
                attribution_data: None,
                extension: Default::default(),
            }
            .into(),
            End::Failed(reason) => UpdateFailHtlc {
                channel_id,
                id,
                reason: reason.clone(),
                attribution_data: None,
                extension: Default::default(),
            }
            .into(),
            End::Malformed { sha256_of_onion, failure_code } => UpdateFailMalformedHtlc {
                channel_id,
                id,
                sha256_of_onion: *sha256_of_onion,
                failure_code: FailureCode(*failure_code),
                extension: Default::default(),
            }
            .into(),
        }
    }

    pub(super) fn fee_message(&self, feerate_per_kw: FeeratePerKw) -> UpdateFee {
        let (channel_id, extension) = (self.channel_id, Default::default());
        UpdateFee { channel_id, feerate_per_kw, extension }
    }

    fn opens(&self, id: ContractId, preimage: &PaymentPreimage) -> bool {
        let hash = sha256::Hash::hash(&preimage.0).to_byte_array();
        self.contracts.get(&id).is_some_and(|it| it.add.payment_hash.0 == hash)
    }

    fn must_be_up(&self) -> Result<(), Refusal> {
        if self.is_up() { Ok(()) } else { Err(Refusal::NotConnected) }
    }
}
