//! What follows from an input.

use bitcoin::Transaction;
use signer::ChannelAsk;
use wire::Message;
use wire::id::{CommitmentNumber, PaymentPreimage};

use super::{AskId, Link, Why};
use crate::change::{Change, End};
use crate::ledger::ContractId;
use crate::onchain::Wanted;

/// What follows from an input: first the changes are saved, then the effects happen in their order.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// In their order.
    pub changes: Vec<Change>,
    /// In their order; none of them leaves the process before the changes are durable, but for
    /// those that [can wait](Change::can_wait).
    pub effects: Vec<Effect>,
    pub(crate) link: Link,
}

/// What a channel wants done.
#[derive(Clone, Debug)]
pub enum Effect {
    /// To the peer.
    Send(Box<Message>),
    /// To the signer.
    Ask(AskId, Box<ChannelAsk>),
    /// To whoever uses the channel.
    Tell(Event),
    /// Into the chain, together: what spends of another comes behind it.
    Publish(Vec<Transaction>),
    /// Look up in the log what a revoked commitment says
    /// ([`Channel::recall`](crate::Channel::recall)).
    Recall(CommitmentNumber),
    /// Coins of the wallet are needed to pay for what cannot pay by itself
    /// ([`Channel::lent`](crate::Channel::lent)).
    Borrow(Wanted),
    /// The connection is to be closed, after what was sent.
    Hangup,
}

/// What users hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Both sides have said where they stand.
    Up,
    /// The channel can be used.
    Usable,
    /// A contract that the peer offers is in every commitment: now it may be relied on.
    Offered(ContractId),
    /// The peer has shown the preimage of an HTLC of ours.
    Fulfilled(ContractId, PaymentPreimage),
    /// The peer has shown the secret of a contract of ours that is no HTLC.
    Opened(ContractId, Vec<u8>),
    /// The peer asks for the end of a contract that it has offered. It is not saved: whoever wants
    /// it asks again.
    Asked(ContractId),
    /// A contract is in no commitment any more.
    Over {
        /// Which.
        id: ContractId,
        /// How it ended.
        end: End,
    },
    /// A contract that we have offered is gone before it was in any commitment: our signer does not
    /// sign it. Its number is given to the next one.
    TakenBack {
        /// Which.
        id: ContractId,
        /// What our signer says.
        why: String,
    },
    /// Our signer does not sign what we want: the channel waits.
    Refused {
        /// Why.
        why: String,
    },
    /// No new contract is taken any more.
    Closing,
    /// The channel ends on the chain.
    Failing(Why),
    /// The wallet had no coins to lend: what is at stake waits.
    NeedsCoins,
    /// Everything is deep in the chain: the channel can be forgotten.
    Done,
}

impl Event {
    /// What is told of a contract of ours that ends so: its secret may be worth something at once.
    pub(crate) fn shown(id: ContractId, end: &End) -> Option<Self> {
        match end {
            End::Fulfilled(preimage) => Some(Self::Fulfilled(id, *preimage)),
            End::Opened(secret) => Some(Self::Opened(id, secret.clone())),
            End::Failed(_) | End::Malformed { .. } | End::Cancelled(_) => None,
        }
    }
}

impl Outcome {
    pub(crate) fn save(mut self, change: Change) -> Self {
        self.changes.push(change);
        self
    }

    pub(crate) fn send(mut self, message: impl Into<Message>) -> Self {
        self.effects.push(Effect::Send(Box::new(message.into())));
        self
    }

    pub(crate) fn tell(&mut self, event: Event) {
        self.effects.push(Effect::Tell(event));
    }
}
