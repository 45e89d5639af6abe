//! All that the service remembers: the sum of its changes.

use std::{collections::BTreeMap, fmt};

use bitcoin::Transaction;
use chain::BlockRef;
use channel::{Channel, NoResolver};
use noise::PublicKey;
use signer::UnixTime;
use sphinx::RETURN_KEYS_BYTES;
use wire::{
    Hex,
    amount::Msat,
    id::{ChannelKey, HtlcId, PaymentHash, PaymentPreimage},
    lease::LeaseEpoch,
};

use super::Change;
use crate::services::treasury::PaymentName;

/// Payments that are kept; of those that are over the oldest go first.
pub const PAYMENTS_MAX: usize = 100_000;

/// Names a channel from its birth on: its id on the wire follows from its funding only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelName {
    /// The peer.
    pub node: PublicKey,
    /// Its key at the signer.
    pub key: ChannelKey,
}

/// Names a payment; they rise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PaymentId(pub u64);

/// Names a try of a payment, from 0 on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId(pub u32);

/// What reads a failure that comes back, as bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ReturnBytes(pub [u8; RETURN_KEYS_BYTES]);

/// The sum of all changes.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The last lease by which these channels were had.
    pub lease: LeaseEpoch,
    /// The last block that was heard of.
    pub cursor: Option<BlockRef>,
    /// All channels, those that are over too.
    pub channels: BTreeMap<ChannelName, Held>,
    /// All payments, in both directions.
    pub payments: BTreeMap<PaymentId, Payment>,
    /// The next one's number.
    pub next_payment: PaymentId,
    /// Payments by the HTLCs that carry them, and whether these are to us.
    by_htlc: BTreeMap<(ChannelName, bool, HtlcId), PaymentId>,
}

/// A channel, and what is known of it beside its own state.
#[derive(Clone, Debug)]
pub struct Held {
    /// The channel.
    pub channel: Box<Channel>,
    /// When both sides had their first commitments.
    pub created: UnixTime,
    /// What funds it, if we do.
    pub funding: Option<Box<Transaction>>,
    /// The block that has the funding, and its place there.
    pub confirmed: Option<(BlockRef, u32)>,
    /// The block in which the funding is spent, and by what.
    pub spent: Option<(BlockRef, Box<Transaction>)>,
    /// It is over, and deep in the chain.
    pub closed: bool,
}

/// A payment of one hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Who is at the other end.
    pub node: PublicKey,
    /// Whether it is to us.
    pub incoming: bool,
    /// How much.
    pub amount: Msat,
    /// Its hash.
    pub hash: PaymentHash,
    /// When.
    pub created: UnixTime,
    /// What people call it.
    pub name: Option<PaymentName>,
    /// The last HTLC that carries it.
    pub attempt: Option<Attempt>,
    /// How it is.
    pub progress: Progress,
}

/// One try of a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Which.
    pub id: AttemptId,
    /// Over which channel.
    pub channel: ChannelName,
    /// By which HTLC.
    pub htlc: HtlcId,
    /// Reads what comes back, if it is ours.
    pub keys: Option<ReturnBytes>,
}

/// How a payment is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is under way.
    Pending,
    /// It was paid.
    Paid(PaymentPreimage),
    /// It came to nothing, and costs nothing.
    Failed(String),
}

impl State {
    /// Whether a saved change can be taken in: its channel must know the kind of each contract.
    pub fn judge(&self, change: &Change) -> Result<(), NoResolver> {
        let Change::Live { name, change } = change else { return Ok(()) };
        let held = self.channels.get(name);
        held.map_or(Ok(()), |held| held.channel.resolvers().judge(change))
    }

    /// Takes a change in. A channel that runs has taken its own before: it does not come here.
    pub fn evolve(&mut self, change: &Change) {
        match change {
            Change::Begun { name, created, funding, begun } => {
                let held = Held {
                    channel: Box::new(Channel::new((**begun).clone())),
                    created: *created,
                    funding: funding.clone(),
                    confirmed: None,
                    spent: None,
                    closed: false,
                };
                self.channels.insert(*name, held);
            }
            Change::Live { name, change } => self.held(name, |held| held.channel.evolve(change)),
            Change::Confirmed { name, block, position } => {
                self.held(name, |held| held.confirmed = Some((*block, *position)));
            }
            Change::Unconfirmed { name } => self.held(name, |held| held.confirmed = None),
            Change::Spent { name, block, transaction } => {
                self.held(name, |held| held.spent = Some((*block, transaction.clone())));
            }
            Change::Unspent { name } => self.held(name, |held| held.spent = None),
            Change::Closed { name } => self.held(name, |held| held.closed = true),
            Change::Heard { block } => self.cursor = Some(*block),
            Change::Unheard { cursor } => self.cursor = Some(*cursor),
            Change::Leased { epoch } => self.lease = *epoch,
            Change::Paying { .. }
            | Change::Attempt { .. }
            | Change::Paid { .. }
            | Change::Failed { .. }
            | Change::Received { .. } => self.evolve_payment(change),
        }
    }

    fn evolve_payment(&mut self, change: &Change) {
        match change {
            Change::Paying { id, node, amount, hash, created, name } => {
                let payment = Payment {
                    node: *node,
                    incoming: false,
                    amount: *amount,
                    hash: *hash,
                    created: *created,
                    name: name.clone(),
                    attempt: None,
                    progress: Progress::Pending,
                };
                self.add_payment(*id, payment);
            }
            Change::Attempt { id, attempt, channel, htlc, keys } => {
                let (channel, keys) = (*channel, Some(*keys));
                self.by_htlc.insert((channel, false, *htlc), *id);
                let attempt = Attempt { id: *attempt, channel, htlc: *htlc, keys };
                self.payment(id, |payment| payment.attempt = Some(attempt));
            }
            Change::Paid { id, preimage } => {
                self.payment(id, |payment| payment.progress = Progress::Paid(*preimage));
            }
            Change::Failed { id, why } => {
                self.payment(id, |payment| payment.progress = Progress::Failed(why.clone()));
            }
            Change::Received { id, channel, htlc, amount, hash, preimage, created } => {
                let (channel, htlc) = (*channel, *htlc);
                self.by_htlc.insert((channel, true, htlc), *id);
                let payment = Payment {
                    node: channel.node,
                    incoming: true,
                    amount: *amount,
                    hash: *hash,
                    created: *created,
                    name: None,
                    attempt: Some(Attempt { id: AttemptId(0), channel, htlc, keys: None }),
                    progress: Progress::Paid(*preimage),
                };
                self.add_payment(*id, payment);
            }
            Change::Begun { .. }
            | Change::Live { .. }
            | Change::Confirmed { .. }
            | Change::Unconfirmed { .. }
            | Change::Spent { .. }
            | Change::Unspent { .. }
            | Change::Closed { .. }
            | Change::Heard { .. }
            | Change::Unheard { .. }
            | Change::Leased { .. } => {}
        }
    }

    fn add_payment(&mut self, id: PaymentId, payment: Payment) {
        self.payments.insert(id, payment);
        self.next_payment = PaymentId(id.0.saturating_add(1));
        if self.payments.len() > PAYMENTS_MAX {
            let is_over = |payment: &Payment| payment.progress != Progress::Pending;
            let oldest = self.payments.iter().find(|(_, payment)| is_over(payment));
            if let Some(id) = oldest.map(|(id, _)| *id)
                && let Some(Payment { incoming, attempt: Some(of), .. }) = self.payments.remove(&id)
            {
                let htlc = (of.channel, incoming, of.htlc);
                // An HTLC that was never signed leaves its number to the next.
                if self.by_htlc.get(&htlc) == Some(&id) {
                    self.by_htlc.remove(&htlc);
                }
            }
        }
    }

    /// A channel that does not exist has no changes; should it be so, they mean nothing.
    fn held(&mut self, name: &ChannelName, change: impl FnOnce(&mut Held)) {
        if let Some(held) = self.channels.get_mut(name) {
            change(held);
        }
    }

    fn payment(&mut self, id: &PaymentId, change: impl FnOnce(&mut Payment)) {
        if let Some(payment) = self.payments.get_mut(id) {
            change(payment);
        }
    }

    /// Funding transactions of ours that are in no block: they are owed to the chain.
    pub fn owed_fundings(&self) -> Vec<Transaction> {
        let owed = self.channels.values().filter(|held| held.confirmed.is_none() && !held.closed);
        owed.filter_map(|held| held.funding.as_deref().cloned()).collect()
    }

    /// The payment that an HTLC carries: one of ours, or of the peer's.
    pub fn carried(&self, channel: &ChannelName, incoming: bool, id: HtlcId) -> Option<PaymentId> {
        self.by_htlc.get(&(*channel, incoming, id)).copied()
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with {}", Hex(&self.key.0[..8]), self.node)
    }
}

impl fmt::Debug for ReturnBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("keys for failures")
    }
}
