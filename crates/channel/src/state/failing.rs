//! A channel that ends on the chain, by our own commitment or by what the peer publishes.

use std::fmt;
use std::sync::Arc;

use signer::ChannelOp;
use tx::{Side, funding_witness};
use wire::amount::BlockHeight;
use wire::key::Signature;
use wire::list::Blob;
use wire::{Error, Message, Warning};

use super::{Channel, Effect, Event, Outcome, State};
use crate::change::Change;
use crate::fault::{Remedy, Violation};
use crate::ledger::{As, ContractId};

/// Bytes of a peer's complaint that are kept.
pub(crate) const COMPLAINT_BYTES_MAX: usize = 500;

/// A channel that ends on the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failing {
    /// The first reason.
    pub why: Why,
    /// We know of commitments of ours that are newer than what we have: ours must not be published.
    pub is_behind: bool,
}

/// Why a channel fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Whoever owns it wants it.
    Wanted,
    /// The peer has broken a rule.
    Violation(String),
    /// The peer says that it has failed.
    Error(String),
    /// A contract has to be taken on the chain, or it is lost.
    Deadline {
        /// Which.
        id: ContractId,
        /// Its lock.
        expiry: BlockHeight,
    },
    /// We have forgotten what we once knew: the peer or our signer has shown it.
    Behind(String),
    /// The peer's commitment, or a close, is in the chain.
    Spent,
    /// The funding never came.
    Unfunded,
    /// The funding was spent by nothing that we know of.
    Unknown,
}

impl Channel {
    /// Whoever owns the channel wants its end on the chain.
    pub fn fail(&self) -> Outcome {
        self.fail_for(Why::Wanted)
    }

    /// What is done about a violation.
    pub fn violated(&self, violation: &Violation) -> Outcome {
        let text = violation.to_string();
        match violation.remedy() {
            Remedy::Warning => {
                let data = Blob(text.into_bytes());
                let (channel_id, extension) = (self.channel_id, Default::default());
                let mut outcome = self.nothing();
                if let Violation::ClosingFee { .. } = violation {
                    outcome.changes.extend(self.begins_to_wait());
                }
                outcome = outcome.send(Message::from(Warning { channel_id, data, extension }));
                outcome.effects.push(Effect::Hangup);
                outcome
            }
            Remedy::Error => self.fail_for(Why::Violation(text)),
            Remedy::Wait => self.fail_for(Why::Behind(text)),
        }
    }

    pub(crate) fn fail_for(&self, why: Why) -> Outcome {
        let is_about_peer = matches!(why, Why::Violation(_) | Why::Error(_));
        // A close that both have signed is cheaper, and no contract is left that could be lost.
        if self.state == State::Done || is_about_peer && self.is_closed() {
            return self.nothing();
        }
        if let State::Failing(failing) = &self.state {
            let is_new = matches!(why, Why::Behind(_)) && !failing.is_behind;
            let nothing = self.nothing();
            return if is_new { nothing.save(Change::Failing(why)) } else { nothing };
        }
        let is_peers = matches!(why, Why::Violation(_) | Why::Error(_));
        let is_closed = matches!(&self.state, State::Negotiating(it) if it.closed.is_some());
        if is_peers && is_closed {
            // A peer that has closed knows of no channel any more, and says so. The close is signed
            // by both: nothing that a peer says makes a commitment better than that.
            return self.nothing();
        }
        let mut outcome = self.nothing();
        if self.link.phase != super::Phase::Gone && !matches!(why, Why::Error(_)) {
            outcome = outcome.send(self.error(&why));
        }
        outcome.tell(Event::Failing(why.clone()));
        outcome.link = outcome.link.lost();
        outcome.save(Change::Failing(why))
    }

    pub(super) fn receive_error(&self, said: &Error) -> Outcome {
        let said = &said.data.0[..said.data.0.len().min(COMPLAINT_BYTES_MAX)];
        self.fail_for(Why::Error(String::from_utf8_lossy(said).escape_debug().to_string()))
    }

    /// The peer may think that the channel is as before.
    pub(super) fn receive_failing(&self, why: &Why, message: &Message) -> Outcome {
        let is_hello = matches!(message, Message::ChannelReestablish(_));
        match is_hello {
            true => self.nothing().send(self.error(why)),
            false => self.nothing(),
        }
    }

    /// What is said of a channel that is over.
    pub(super) fn why_done(&self) -> Why {
        match self.ended {
            Some(_) => Why::Spent,
            None => Why::Unfunded,
        }
    }

    /// A connection is there, and the channel has failed: nothing else is said of it any more.
    pub(crate) fn greet_failing(&self, why: &Why) -> Outcome {
        self.nothing().send(self.error(why))
    }

    fn is_closed(&self) -> bool {
        matches!(&self.state, State::Negotiating(it) if it.closed.is_some())
    }

    fn error(&self, why: &Why) -> Message {
        let data = Blob(why.to_string().into_bytes());
        Error { channel_id: self.channel_id, data, extension: Default::default() }.into()
    }

    /// Asks for our commitment, if that is to be published and was not yet.
    pub(super) fn pursue_failing(&self, failing: &Failing) -> Outcome {
        let mut outcome = self.nothing();
        let is_asked = self.link.publishing.is_some() || self.link.advancing.is_some();
        if failing.is_behind || is_asked {
            return outcome;
        }
        if let Some(commitment) = &self.link.published {
            return self.pursue_child(commitment);
        }
        if self.local.received.is_some() {
            // The signer may have given up the one before already.
            self.advance_owed(&mut outcome);
            return outcome;
        }
        let meaning =
            self.meaning(self.setup.side, As::Settled, self.local.number, self.local.points[0]);
        outcome.link.publishing = Some(self.ask(&mut outcome, ChannelOp::SignLocal { meaning }));
        outcome
    }

    /// Our signer has signed our own commitment.
    pub(crate) fn local_signed(&self, signature: Signature) -> Outcome {
        let meaning =
            self.meaning(self.setup.side, As::Settled, self.local.number, self.local.points[0]);
        let mut transaction = meaning.build(&self.setup.terms).transaction;
        let [opener, acceptor] = match self.setup.side {
            Side::Opener => [&signature, &self.local.signature],
            Side::Acceptor => [&self.local.signature, &signature],
        };
        transaction.input[0].witness = funding_witness(&self.setup.terms, opener, acceptor);
        let mut outcome = self.nothing();
        outcome.link.publishing = None;
        outcome.link.published = Some(Arc::new(transaction.clone()));
        outcome.effects.push(Effect::Publish(vec![transaction]));
        outcome
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Wanted => f.write_str("closed by its owner"),
            Why::Violation(text) => f.write_str(text),
            Why::Error(text) => write!(f, "the peer says: {text}"),
            Why::Deadline { id, expiry } => {
                write!(f, "HTLC {} must be settled before height {expiry}", id.id)
            }
            Why::Behind(text) => write!(f, "please publish your commitment: {text}"),
            Why::Spent => f.write_str("the funding was spent"),
            Why::Unknown => f.write_str("the funding was spent otherwise: money may be lost"),
            Why::Unfunded => f.write_str("the funding did not come"),
        }
    }
}
