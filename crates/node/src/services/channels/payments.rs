//! Payments of one hop: the preimage is in the onion (keysend), and whoever receives takes it.

use bitcoin::hashes::{Hash as _, sha256};
use channel::{ContractId, End, Offer, Refusal as ChannelNo};
use noise::PublicKey;
use signer::{Answer, Ask, Peel};
use sphinx::{
    AssociatedData, Failure, FinalPayload, Hop, Hops, Instruction, Layer, Origin,
    RETURN_KEYS_BYTES, ReturnKeys, SessionKey,
};
use wire::{
    UpdateAddHtlc,
    amount::{BlockHeight, Msat},
    id::{PaymentHash, PaymentPreimage},
    tick::Millis,
};

use super::{
    Asked, AttemptId, CallId, Change, ChannelName, Channels, Effect, Event, Payment, PaymentId,
    PaymentLine, Progress, Refusal, Reply, ReturnBytes, calls::line_of,
};
use crate::services::treasury::PaymentName;

/// So many blocks from now a payment of ours comes back.
pub const EXPIRY_BLOCKS: u32 = 42;
/// So many blocks must be left for us to take one.
pub const FINAL_BLOCKS_MIN: u32 = 18;
/// Whoever pays hears by then how it is, though it may be under way still.
pub const PAYING_MAX: Millis = Millis(30_000);

/// An offer that is ready to be made, and what reads its failure.
struct Wrapped {
    offer: Offer,
    keys: ReturnBytes,
}

impl Channels {
    /// Pays a peer over a channel with it.
    pub(super) fn pay(
        &mut self,
        call: CallId,
        node: PublicKey,
        amount: Msat,
        name: Option<PaymentName>,
    ) {
        if let Some(name) = &name
            && let Some((id, before)) = self.paid_before(name)
        {
            let had = (before.amount, before.node);
            if had != (amount, node) {
                let refusal = Refusal::NameTaken { name: name.clone(), had };
                return self.reply(call, Err(refusal));
            }
            return self.wait_for(call, id);
        }
        match self.try_to_pay(node, amount, name) {
            Ok(id) => self.wait_for(call, id),
            Err(refusal) => self.reply(call, Err(refusal)),
        }
    }

    /// The payment of this name that was made, or may still be. One that has failed leaves its name
    /// free.
    fn paid_before(&self, name: &PaymentName) -> Option<(PaymentId, &Payment)> {
        let is_it = |it: &Payment| {
            it.name.as_ref() == Some(name) && !matches!(it.progress, Progress::Failed(_))
        };
        let found = self.state.payments.iter().rev().find(|(_, payment)| is_it(payment));
        found.map(|(id, payment)| (*id, payment))
    }

    fn try_to_pay(
        &mut self,
        node: PublicKey,
        amount: Msat,
        name: Option<PaymentName>,
    ) -> Result<PaymentId, Refusal> {
        let Some(now) = self.now else { return Err(Refusal::NoChain) };
        let drawn = self.draw().zip(self.draw());
        let (preimage, session) = drawn.ok_or(Refusal::NoRandomness)?;
        let expiry = BlockHeight(now.tip.0.saturating_add(EXPIRY_BLOCKS));
        let wrapped = wrap(node, amount, expiry, PaymentPreimage(preimage), session)?;
        let (mut last, mut have) = (None, 0);
        let names: Vec<_> =
            self.live().map(|(name, _)| *name).filter(|it| it.node == node).collect();
        for channel in names {
            have += 1;
            match self.state.channels[&channel].channel.send_add(wrapped.offer.clone()) {
                Ok((contract, outcome)) => {
                    let (id, hash) = (self.state.next_payment, wrapped.offer.payment_hash);
                    let created = self.unix;
                    self.save(Change::Paying { id, node, amount, hash, created, name });
                    let (attempt, keys) = (AttemptId(0), wrapped.keys);
                    let htlc = contract.id;
                    self.save(Change::Attempt { id, attempt, channel, htlc, keys });
                    self.take(channel, &outcome);
                    self.tell_payment(id);
                    return Ok(id);
                }
                Err(ChannelNo::NotUsable | ChannelNo::NotConnected | ChannelNo::Closed) => {}
                Err(refusal) => last = Some(Refusal::Channel(refusal)),
            }
        }
        Err(last.unwrap_or(Refusal::NoChannel { node, have }))
    }

    /// Answers now if it is over, else when it is.
    fn wait_for(&mut self, call: CallId, id: PaymentId) {
        let Some(payment) = self.state.payments.get(&id) else { return };
        let line = line_of(id, payment);
        match line.progress {
            Progress::Pending => {
                self.paying.entry(id).or_default().push((call, self.clock + PAYING_MAX));
            }
            Progress::Paid(_) | Progress::Failed(_) => {
                self.reply(call, Ok(Reply::Payment(Box::new(line))));
            }
        }
    }

    pub(super) fn lose_patience_with_payments(&mut self) {
        let (now, mut late) = (self.clock, Vec::new());
        for (id, calls) in &mut self.paying {
            late.extend(calls.extract_if(.., |(_, until)| *until <= now).map(|it| (*id, it.0)));
        }
        self.paying.retain(|_, calls| !calls.is_empty());
        for (id, call) in late {
            if let Some(payment) = self.state.payments.get(&id) {
                let line = Box::new(line_of(id, payment));
                self.reply(call, Ok(Reply::Payment(line)));
            }
        }
    }

    /// Payments of which the HTLC was never saved: the process ended before.
    pub(super) fn forget_unsent(&mut self) {
        let is_unsent = |it: &Payment| {
            let Some(attempt) = &it.attempt else { return true };
            let channel = self.state.channels.get(&attempt.channel).map(|held| &held.channel);
            let was_added = channel.is_some_and(|it| it.ledger().next_id(it.side()) > attempt.htlc);
            !was_added
        };
        let pending = |it: &Payment| !it.incoming && it.progress == Progress::Pending;
        let unsent = self.state.payments.iter().filter(|(_, it)| pending(it) && is_unsent(it));
        for id in unsent.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.payment_failed(id, "it was never sent".to_owned());
        }
    }

    /// The peer has shown the preimage of a payment of ours.
    pub(super) fn fulfilled(&mut self, name: ChannelName, id: ContractId, got: PaymentPreimage) {
        let Some(payment) = self.state.carried(&name, false, id.id) else { return };
        let is_new = matches!(
            self.state.payments.get(&payment).map(|it| &it.progress),
            Some(Progress::Pending)
        );
        if is_new {
            self.save(Change::Paid { id: payment, preimage: got });
            self.payment_changed(payment);
        }
    }

    /// An HTLC is in no commitment any more.
    pub(super) fn payment_over(&mut self, name: ChannelName, id: ContractId, end: &End) {
        if id.offered_by != self.state.channels[&name].channel.side() {
            return;
        }
        let Some(payment) = self.state.carried(&name, false, id.id) else { return };
        match end {
            End::Fulfilled(preimage) => self.fulfilled(name, id, *preimage),
            End::Failed(reason) => {
                let why = self.reason(payment, reason);
                self.payment_failed(payment, why);
            }
            End::Malformed { failure_code, .. } => {
                let why = format!("the peer could not read the onion (code {failure_code:#06x})");
                self.payment_failed(payment, why);
            }
            // No HTLC ends so.
            End::Opened(_) | End::Cancelled(_) => {}
        }
    }

    /// Our signer has not signed an HTLC: it was in no commitment, and its number is free again.
    pub(super) fn payment_taken_back(&mut self, name: ChannelName, id: ContractId, why: &str) {
        if let Some(payment) = self.state.carried(&name, false, id.id) {
            self.payment_failed(payment, format!("our signer does not sign it: {why}"));
        }
    }

    fn reason(&self, id: PaymentId, reason: &wire::list::Blob) -> String {
        let attempt = self.state.payments.get(&id).and_then(|it| it.attempt.as_ref());
        let Some(ReturnBytes(mut bytes)) = attempt.and_then(|it| it.keys) else {
            return "it failed".to_owned();
        };
        let origin = Origin::new(vec![ReturnKeys::take(&mut bytes)]);
        match origin.map(|origin| origin.read(reason)) {
            Ok(Ok(returned)) => format!("the peer says: {}", returned.failure.name()),
            Ok(Err(_)) | Err(_) => "it failed, and nobody can read why".to_owned(),
        }
    }

    fn payment_failed(&mut self, id: PaymentId, why: String) {
        let before = self.state.payments.get(&id).map(|it| &it.progress);
        if before == Some(&Progress::Pending) {
            self.save(Change::Failed { id, why });
            self.payment_changed(id);
        }
    }

    fn payment_changed(&mut self, id: PaymentId) {
        self.tell_payment(id);
        for (call, _) in self.paying.remove(&id).unwrap_or_default() {
            self.wait_for(call, id);
        }
    }

    fn tell_payment(&mut self, id: PaymentId) {
        let line: Option<PaymentLine> = self.state.payments.get(&id).map(|it| line_of(id, it));
        if let Some(line) = line {
            self.act(Effect::Tell(Event::Payment(Box::new(line))));
        }
    }

    /// A peer's HTLC is in every commitment: its onion is looked at.
    pub(super) fn offered(&mut self, name: ChannelName, id: ContractId) {
        let Some(add) = self.added(&name, id) else { return };
        if self.now.is_none() {
            self.unpeeled.insert((name, id));
            return;
        }
        let (packet, payment_hash) = (add.onion_routing_packet.clone(), add.payment_hash);
        let associated_data = AssociatedData::Payment(payment_hash);
        self.ask(Asked::Peel(name, id), Ask::PeelOnion { packet, associated_data });
    }

    fn added(&self, name: &ChannelName, id: ContractId) -> Option<&UpdateAddHtlc> {
        let known = self.state.channels.get(name)?.channel.contracts().get(&id)?;
        known.htlc().filter(|_| known.end.is_none())
    }

    /// The signer has taken our layer off.
    pub(super) fn peeled(&mut self, name: ChannelName, id: ContractId, answer: Option<Answer>) {
        let Some(add) = self.added(&name, id) else { return };
        let end = match answer {
            Some(Answer::Peeled(Peel::Layer { keys, .. }))
                if self.state.channels[&name].channel.is_too_dusty(id) =>
            {
                failed(&keys, &Failure::TemporaryNodeFailure)
            }
            Some(Answer::Peeled(Peel::Layer { layer, keys })) => match self.judge(add, layer) {
                Ok(preimage) => End::Fulfilled(preimage),
                Err(failure) => failed(&keys, &failure),
            },
            Some(Answer::Peeled(Peel::BadPayload { failure, keys })) => failed(&keys, &failure),
            Some(Answer::Peeled(Peel::Bad(bad))) => {
                let (sha256_of_onion, failure_code) = (bad.sha256_of_onion, bad.code().0);
                End::Malformed { sha256_of_onion, failure_code }
            }
            // A signer that does not peel leaves it under way until it is too late.
            _ => return,
        };
        let (amount, hash) = (add.amount_msat, add.payment_hash);
        let outcome = match self.state.channels[&name].channel.send_end(id.id, end.clone()) {
            Ok(outcome) => outcome,
            // It is over meanwhile.
            Err(_) => return,
        };
        // After a crash it may have been taken before, and not answered.
        let is_new = self.state.carried(&name, true, id.id).is_none();
        if let End::Fulfilled(preimage) = end
            && is_new
        {
            let (payment, created, htlc) = (self.state.next_payment, self.unix, id.id);
            let channel = name;
            let id = payment;
            self.save(Change::Received { id, channel, htlc, amount, hash, preimage, created });
            // Saved with it, or not at all.
            self.take(name, &outcome);
            return self.tell_payment(payment);
        }
        self.take(name, &outcome);
    }

    /// Whether it is a payment to us as we take it: what opens it, or what to answer.
    fn judge(&self, add: &UpdateAddHtlc, layer: Layer) -> Result<PaymentPreimage, Failure> {
        let said = match layer.read() {
            Ok(Instruction::Receive(said)) => said,
            Ok(Instruction::Forward { .. }) => return Err(Failure::UnknownNextPeer),
            Err(bad) => return Err(bad.failure()),
        };
        let height = self.now.unwrap_or_default().tip;
        let (htlc_msat, cltv_expiry) = (add.amount_msat, add.cltv_expiry);
        let unknown = Failure::IncorrectOrUnknownPaymentDetails { htlc_msat, height };
        if said.amt_to_forward > htlc_msat {
            return Err(Failure::FinalIncorrectHtlcAmount { incoming_htlc_amt: htlc_msat });
        }
        if said.outgoing_cltv_value > cltv_expiry {
            return Err(Failure::FinalIncorrectCltvExpiry { cltv_expiry });
        }
        if cltv_expiry.0 < height.0.saturating_add(FINAL_BLOCKS_MIN) {
            return Err(unknown);
        }
        match said.keysend_preimage {
            Some(preimage) if hash_of(&preimage) == add.payment_hash => Ok(preimage),
            Some(_) | None => Err(unknown),
        }
    }
}

fn hash_of(preimage: &PaymentPreimage) -> PaymentHash {
    PaymentHash(sha256::Hash::hash(&preimage.0).to_byte_array())
}

fn failed(keys: &ReturnKeys, failure: &Failure) -> End {
    let reason = keys.fail(failure).or_else(|_| keys.fail(&Failure::TemporaryNodeFailure));
    End::Failed(reason.expect("a failure without data has room"))
}

/// The offer of a payment whose preimage is in its onion.
fn wrap(
    node: PublicKey,
    amount: Msat,
    cltv_expiry: BlockHeight,
    preimage: PaymentPreimage,
    mut session: [u8; 32],
) -> Result<Wrapped, Refusal> {
    let payload = FinalPayload {
        amt_to_forward: amount,
        outgoing_cltv_value: cltv_expiry,
        payment_data: None,
        payment_metadata: None,
        keysend_preimage: Some(preimage),
    };
    let hop = Hop { node: node.into(), payload: payload.encode() };
    let hops = Hops::new(vec![hop]).expect("one hop has room");
    let payment_hash = hash_of(&preimage);
    // No number of 2^127 is none.
    let session = SessionKey::take(&mut session).map_err(|_| Refusal::NoRandomness)?;
    let onion = hops.wrap(session, &AssociatedData::Payment(payment_hash));
    let mut keys = [0; RETURN_KEYS_BYTES];
    for of_hop in onion.origin.keys() {
        of_hop.write(&mut keys);
    }
    let offer = Offer { amount, payment_hash, cltv_expiry, onion: onion.packet, path_key: None };
    Ok(Wrapped { offer, keys: ReturnBytes(keys) })
}
