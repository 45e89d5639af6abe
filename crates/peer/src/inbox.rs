//! Messages for a subscriber, kept until it has saved them.

use std::collections::VecDeque;

use crate::{
    api::{Refusal, Seq},
    limits::{INBOX_BYTES_MAX, INBOX_MESSAGES_MAX},
};

/// The messages that came in and are not acknowledged, in order.
#[derive(Default)]
pub(crate) struct Inbox {
    kept: VecDeque<Vec<u8>>,
    bytes: usize,
    /// The number of the last message that came.
    last: Seq,
    /// The number of the last one that the subscriber in force has been handed.
    delivered: Seq,
    /// The number of the last one that any subscriber has been handed.
    handed: Seq,
    subscribed: bool,
}

impl Inbox {
    /// What one owner kept for the next.
    pub(crate) fn restored(last: Seq, kept: VecDeque<Vec<u8>>) -> Self {
        let bytes = kept.iter().map(Vec::len).sum();
        // What the owner before has handed out may be acknowledged here.
        Self { kept, bytes, last, delivered: last, handed: last, subscribed: false }
    }

    /// Keeps a message.
    pub(crate) fn push(&mut self, message: &[u8]) {
        self.last = Seq(self.last.0 + 1);
        self.bytes += message.len();
        self.kept.push_back(message.to_vec());
    }

    /// Whether the next message must wait.
    pub(crate) fn is_full(&self) -> bool {
        self.kept.len() >= INBOX_MESSAGES_MAX
            || self.bytes + noise::MESSAGE_BYTES_MAX > INBOX_BYTES_MAX
    }

    /// A subscriber is there: it gets all that is kept.
    pub(crate) fn subscribe(&mut self) {
        self.subscribed = true;
        self.delivered = self.saved();
    }

    /// Nobody is there to get anything.
    pub(crate) const fn unsubscribe(&mut self) {
        self.subscribed = false;
    }

    /// Whether [`Inbox::deliver`] has something.
    pub(crate) fn has_mail(&self) -> bool {
        self.subscribed && self.delivered < self.last
    }

    /// The next message for the subscriber, which stays here until it is acknowledged.
    pub(crate) fn deliver(&mut self) -> Option<(Seq, &[u8])> {
        if !self.has_mail() {
            return None;
        }
        let at = self.delivered.0 - self.saved().0;
        self.delivered = Seq(self.delivered.0 + 1);
        self.handed = self.handed.max(self.delivered);
        let message = self.kept.get(at as usize).expect("what is undelivered is kept");
        Some((self.delivered, message))
    }

    /// Forgets all up to this one: they are saved. To acknowledge again is no fault.
    pub(crate) fn acknowledge(&mut self, up_to: Seq) -> Result<(), Refusal> {
        if up_to > self.handed {
            return Err(Refusal::NeverDelivered { got: up_to, last: self.handed });
        }
        while self.saved() < up_to {
            let message = self.kept.pop_front().expect("what is unsaved is kept");
            self.bytes -= message.len();
        }
        self.delivered = self.delivered.max(up_to);
        Ok(())
    }

    /// What is kept, in order, with its numbers.
    pub(crate) fn kept(&self) -> impl Iterator<Item = (Seq, &[u8])> {
        let numbers = self.saved().0 + 1..;
        numbers.zip(&self.kept).map(|(number, message)| (Seq(number), message.as_slice()))
    }

    /// The number of the last message that came.
    pub(crate) const fn last(&self) -> Seq {
        self.last
    }

    /// Gives memory back that is not needed at present.
    pub(crate) fn shrink(&mut self) {
        self.kept.shrink_to_fit();
    }

    /// The number of the last message that is saved.
    fn saved(&self) -> Seq {
        Seq(self.last.0 - self.kept.len() as u64)
    }
}
