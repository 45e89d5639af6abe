//! Somebody wants to close: contracts come to their ends, and no new one is taken.

use bitcoin::Script;
use bitcoin::opcodes::all::{OP_PUSHDATA1, OP_RETURN};
use wire::list::Script as ScriptBuf;
use wire::{Message, Shutdown as ShutdownSaid};

use super::{Channel, Dialects, Event, Outcome, State};
use crate::change::Change;
use crate::fault::{Refusal, Violation};

/// Bytes that `OP_RETURN` may push, by the short and by the long opcode.
const SHORT_PUSH: core::ops::RangeInclusive<usize> = 6..=75;
const LONG_PUSH: core::ops::RangeInclusive<usize> = 76..=80;

/// Who wants to close.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shutdown {
    /// We do.
    pub local: bool,
    /// The peer does, and its money shall go there.
    pub remote: Option<ScriptBuf>,
}

impl Channel {
    /// Whoever owns the channel wants it closed, together with the peer.
    pub fn close(&self) -> Result<Outcome, Refusal> {
        match &self.state {
            State::Funding | State::Normal => {
                let mut outcome = self.nothing().save(Change::Shutdown);
                outcome.tell(Event::Closing);
                Ok(outcome)
            }
            State::Shutdown(_) | State::Negotiating(_) => Ok(self.nothing()),
            State::Failing(_) | State::Done => Err(Refusal::Closed),
        }
    }

    /// `shutdown`. We want the same from then on.
    pub(super) fn receive_shutdown(&self, said: &ShutdownSaid) -> Result<Outcome, Violation> {
        let script = &said.scriptpubkey;
        self.judge_script(script)?;
        let known = match &self.state {
            State::Shutdown(Shutdown { remote, .. }) => remote.as_ref(),
            State::Negotiating(negotiating) => Some(&negotiating.remote),
            State::Funding | State::Normal | State::Failing(_) | State::Done => None,
        };
        if known.is_some() && self.link.heard_shutdown {
            return Err(Violation::Unexpected { message: "shutdown" });
        }
        let mut outcome = self.nothing();
        if known != Some(script) {
            outcome = outcome.save(Change::ShutdownHeard { script: script.clone() });
        }
        if matches!(self.state, State::Funding | State::Normal) {
            outcome.tell(Event::Closing);
        }
        outcome.link.heard_shutdown = true;
        Ok(outcome)
    }

    /// Says that we want to close, once the peer has all our updates in a commitment.
    pub(super) fn say_shutdown(&self) -> Option<Outcome> {
        let wants = match &self.state {
            State::Shutdown(_) | State::Negotiating(_) => true,
            State::Funding | State::Normal | State::Failing(_) | State::Done => false,
        };
        let has_signed = self.link.signing.is_none() && !self.link.unsaid;
        let is_clean = has_signed && !self.ledger.has_proposed(self.setup.side);
        if !wants || !is_clean || !self.is_up() || self.link.said_shutdown {
            return None;
        }
        let home = &self.begun.agreed().home.script;
        if !is_closing_script(home, self.link.dialects) {
            // The peer does not know such a script, and would hang up each time.
            return None;
        }
        let said = ShutdownSaid {
            channel_id: self.channel_id,
            scriptpubkey: home.clone(),
            extension: Default::default(),
        };
        let mut outcome = self.nothing().send(Message::from(said));
        outcome.link.said_shutdown = true;
        Some(outcome)
    }

    /// Whether both want to close and nothing is under way any more.
    pub(crate) fn is_empty(&self) -> bool {
        self.ledger.is_quiet()
            && self.local.received.is_none()
            && self.remote.number == self.remote.unrevoked
    }
}

/// Whether money may be sent there by a closing transaction (BOLT 2): what everybody relays.
pub fn is_closing_script(script: &Script, dialects: Dialects) -> bool {
    let bytes = script.as_bytes();
    if script.is_p2wpkh() || script.is_p2wsh() {
        return true;
    }
    if let Some(version) = script.witness_version() {
        return dialects.any_segwit && version.to_num() > 0;
    }
    let pushed = match bytes {
        [first, len, data @ ..] if *first == OP_RETURN.to_u8() => match data {
            [long, rest @ ..] if *len == OP_PUSHDATA1.to_u8() => {
                usize::from(*long) == rest.len() && LONG_PUSH.contains(&rest.len())
            }
            _ => usize::from(*len) == data.len() && SHORT_PUSH.contains(&data.len()),
        },
        _ => false,
    };
    dialects.simple_close && pushed
}
