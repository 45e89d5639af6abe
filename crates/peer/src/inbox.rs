//! Messages for a subscriber, kept until it has saved them.

use std::collections::VecDeque;

use crate::{
    api::{Refusal, Seq},
    limits::{INBOX_BYTES_MAX, INBOX_MESSAGES_MAX},
};

/// The messages that came in and are not acknowledged, in order.
#[derive(Default)]
pub(crate) struct Inbox {
    kept: VecDeque<(Seq, Vec<u8>)>,
    bytes: usize,
    last: Seq,
}

impl Inbox {
    /// Keeps a message; gives it its number.
    pub(crate) fn push(&mut self, message: &[u8]) -> Seq {
        self.last = Seq(self.last.0 + 1);
        self.bytes += message.len();
        self.kept.push_back((self.last, message.to_vec()));
        self.last
    }

    /// Whether the next message must wait.
    pub(crate) fn is_full(&self) -> bool {
        self.kept.len() >= INBOX_MESSAGES_MAX
            || self.bytes + noise::MESSAGE_BYTES_MAX > INBOX_BYTES_MAX
    }

    /// Forgets all up to this one: they are saved. To acknowledge again is no fault.
    pub(crate) fn acknowledge(&mut self, up_to: Seq) -> Result<(), Refusal> {
        if up_to > self.last {
            return Err(Refusal::NeverDelivered { got: up_to, last: self.last });
        }
        while let Some((seq, message)) = self.kept.front()
            && *seq <= up_to
        {
            self.bytes -= message.len();
            self.kept.pop_front();
        }
        Ok(())
    }

    /// What is kept, in order, for a subscriber that is new.
    pub(crate) fn kept(&self) -> impl Iterator<Item = (Seq, &[u8])> {
        self.kept.iter().map(|(seq, message)| (*seq, message.as_slice()))
    }
}
