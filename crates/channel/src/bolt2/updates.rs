//! `update_*`: what either side proposes.

use std::sync::Arc;

use wire::amount::{BlockHeight, FeeratePerKw, Msat};
use wire::id::{ChannelId, HtlcId, OnionPacket, PaymentHash};
use wire::key::Point;
use wire::{Message, UpdateAddHtlc, UpdateFee};

use super::limits::RATES;
use crate::change::{Change, End};
use crate::contract::{EXPIRY_END, Met, Said};
use crate::fault::{Refusal, Violation};
use crate::ledger::{ContractId, Step};
use crate::state::{Channel, Event, Outcome, Shutdown, State};
use tx::{Contract, HTLC, Kind, Placed, Side};

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
        self.must_be_usable()?;
        if offer.amount == Msat(0) {
            return Err(Refusal::Zero);
        }
        if offer.cltv_expiry >= EXPIRY_END {
            return Err(Refusal::Expiry { got: offer.cltv_expiry, end: EXPIRY_END });
        }
        self.offer(HTLC, |channel_id, id| {
            Message::from(UpdateAddHtlc {
                channel_id,
                id,
                amount_msat: offer.amount,
                payment_hash: offer.payment_hash,
                cltv_expiry: offer.cltv_expiry,
                onion_routing_packet: offer.onion,
                path_key: offer.path_key,
                extension: Default::default(),
            })
        })
    }

    /// Offers a contract of any kind that is known here, by the message that its resolver reads:
    /// `write` has it, for this channel and this number.
    pub fn offer(
        &self,
        kind: Kind,
        write: impl FnOnce(ChannelId, HtlcId) -> Message,
    ) -> Result<(ContractId, Outcome), Refusal> {
        self.must_be_usable()?;
        if !self.may_offer(kind) {
            return Err(Refusal::NotNegotiated { kind });
        }
        let (by, next) = (self.setup.side, self.ledger.next_of(self.setup.side, kind));
        let message = write(self.channel_id, next);
        let no = Refusal::NoOffer { message: message.name() };
        let Ok(Some((of, Said::Add { id, amount, contract }))) = self.resolvers.read(&message)
        else {
            return Err(no);
        };
        if (of, id) != (kind, next) {
            return Err(no);
        }
        if amount == Msat(0) {
            return Err(Refusal::Zero);
        }
        contract.fits(&self.setup.terms, by).map_err(Refusal::Contract)?;
        let placed = Placed { offered_by: by, amount, contract };
        self.judge_add(&placed).map_err(|excess| excess.refusal(amount))?;
        self.judge_dust(&placed)?;
        let change = Change::Added { by, add: Box::new(message.clone()) };
        Ok((ContractId { offered_by: by, kind, id }, self.say_now(change, message)))
    }

    /// `update_fulfill_htlc`, `update_fail_htlc` or `update_fail_malformed_htlc`. It may be given
    /// while nobody is connected: it is said once the peer is there.
    pub fn send_end(&self, id: HtlcId, end: End) -> Result<Outcome, Refusal> {
        self.end(ContractId::htlc(self.setup.side.other(), id), end)
    }

    /// The same for a contract of any kind that the peer has offered.
    pub fn end(&self, contract: ContractId, end: End) -> Result<Outcome, Refusal> {
        let ContractId { offered_by, kind, id } = contract;
        if matches!(self.state, State::Failing(_)) {
            return self.learn(contract, &end);
        }
        if self.state == State::Done || offered_by == self.setup.side || !self.can_end(contract) {
            // What has ended on the chain stays in the ledger.
            return Err(Refusal::NoSuchHtlc { id });
        }
        if end.secret().is_some_and(|it| !self.opens(contract, it)) {
            return Err(Refusal::WrongPreimage { id });
        }
        let message = self.end_message(contract, &end).ok_or(Refusal::WrongEnd { kind })?;
        Ok(self.say_now(Change::Ended { id: contract, end }, message))
    }

    /// Asks the peer to give back a contract of ours. It need not.
    pub fn ask_back(&self, contract: ContractId) -> Result<Outcome, Refusal> {
        let ContractId { offered_by, kind, id } = contract;
        self.must_be_up()?;
        if offered_by != self.setup.side || !self.can_end(contract) {
            return Err(Refusal::NoSuchHtlc { id });
        }
        let message = self.resolvers.known(kind).ask(self.channel_id, id);
        Ok(self.nothing().send(message.ok_or(Refusal::WrongEnd { kind })?))
    }

    /// On the chain a secret is worth as much as in a message.
    fn learn(&self, id: ContractId, end: &End) -> Result<Outcome, Refusal> {
        let Some(secret) = end.secret() else { return Ok(self.nothing()) };
        let is_in = self.ledger.entries().get(&id).is_some_and(|it| it.added == Step::Acked);
        let is_in = is_in && id.offered_by != self.setup.side;
        // BOLT 5: what the peer could still do without is not taken.
        let Some(known) = self.contracts.get(&id).filter(|_| is_in) else {
            return Err(Refusal::NoSuchHtlc { id: id.id });
        };
        if !self.opens(id, secret) {
            return Err(Refusal::WrongPreimage { id: id.id });
        }
        let is_new = known.secret.is_none();
        let change = Change::Learned { id, secret: secret.to_vec() };
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
            // With nothing under way no update may follow a `shutdown`; and the peer may know
            // before us that what is ending is over.
            State::Shutdown(_) => self.ledger.entries().values().any(|it| it.removed.is_none()),
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

    /// A message about a contract, or about nothing that is known here.
    pub(crate) fn receive_contract(&self, message: &Message) -> Result<Outcome, Violation> {
        let unexpected = Violation::Unexpected { message: message.name() };
        let (kind, said) = self.resolvers.read(message)?.ok_or(unexpected.clone())?;
        let name = |offered_by, id| ContractId { offered_by, kind, id };
        match said {
            Said::Add { id, amount, contract } => {
                if matches!(self.state, State::Shutdown(Shutdown { remote: Some(_), .. })) {
                    return Err(unexpected);
                }
                let id = name(self.setup.side.other(), id);
                self.receive_add(id, (amount, contract), message)
            }
            Said::End { id, end } => self.receive_end(name(self.setup.side, id), end),
            Said::Ask { id } => {
                let contract = name(self.setup.side.other(), id);
                let mut outcome = self.nothing();
                // It may have ended in the meantime.
                if self.can_end(contract) {
                    outcome.tell(Event::Asked(contract));
                }
                Ok(outcome)
            }
        }
    }

    fn receive_add(
        &self,
        contract: ContractId,
        (amount, terms): (Msat, Arc<dyn Contract>),
        message: &Message,
    ) -> Result<Outcome, Violation> {
        let ContractId { offered_by: by, kind, id } = contract;
        let want = self.ledger.next_of(by, kind);
        if self.is_repeated(contract) {
            return Ok(self.nothing());
        }
        if !self.may_offer(kind) {
            return Err(Violation::NotNegotiated { kind });
        }
        if id != want {
            return Err(Violation::HtlcId { got: id, want });
        }
        let min = self.limits.local.htlc_minimum.max(Msat(1));
        if amount < min {
            return Err(Violation::HtlcTooSmall { got: amount, min });
        }
        terms.fits(&self.setup.terms, by).map_err(Violation::Contract)?;
        let placed = Placed { offered_by: by, amount, contract: terms };
        self.judge_add(&placed).map_err(|excess| excess.violation(amount))?;
        Ok(self.nothing().save(Change::Added { by, add: Box::new(message.clone()) }))
    }

    /// Whether contracts of a kind may be offered in this connection.
    fn may_offer(&self, kind: Kind) -> bool {
        let met = Met { dialects: self.link.dialects, kinds: self.link.kinds };
        self.resolvers.is_met(kind, &met)
    }

    /// Whether an offer of the peer is known from a connection before: it may be said again as long
    /// as the peer has not given up all commitments that lack it (BOLT 2).
    fn is_repeated(&self, id: ContractId) -> bool {
        let entry = self.ledger.entries().get(&id);
        self.link.is_again && entry.is_some_and(|it| it.added < Step::Acked)
    }

    fn receive_end(&self, id: ContractId, end: End) -> Result<Outcome, Violation> {
        if !self.can_end(id) {
            return Err(Violation::NoSuchHtlc { id: id.id });
        }
        if end.secret().is_some_and(|it| !self.opens(id, it)) {
            return Err(Violation::WrongPreimage { id: id.id });
        }
        let shown = Event::shown(id, &end);
        let mut outcome = self.nothing().save(Change::Ended { id, end });
        if let Some(event) = shown {
            outcome.tell(event);
        }
        Ok(outcome)
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

    pub(super) fn end_message(&self, id: ContractId, end: &End) -> Option<Message> {
        self.resolvers.known(id.kind).end(self.channel_id, id.id, end)
    }

    pub(super) fn fee_message(&self, feerate_per_kw: FeeratePerKw) -> UpdateFee {
        let (channel_id, extension) = (self.channel_id, Default::default());
        UpdateFee { channel_id, feerate_per_kw, extension }
    }

    fn opens(&self, id: ContractId, secret: &[u8]) -> bool {
        self.ledger.entries().get(&id).is_some_and(|it| it.contract.is_opened_by(secret))
    }

    fn must_be_up(&self) -> Result<(), Refusal> {
        if self.is_up() { Ok(()) } else { Err(Refusal::NotConnected) }
    }

    fn must_be_usable(&self) -> Result<(), Refusal> {
        self.must_be_up()?;
        if self.state == State::Normal { Ok(()) } else { Err(Refusal::NotUsable) }
    }
}
