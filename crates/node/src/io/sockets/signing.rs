//! What the sockets ask the signer, and what waits until its link takes it.

use bus::{Frame, LinkId, NotSent};
use noise::Fault;
use tracing::warn;
use wire::id::ConnectionId;

use super::Sockets;

/// Questions that wait for the signer: each connection that shakes hands has one, and one more when
/// it is over.
const WAITING_MAX: usize = 16_384;

/// A question to the signer.
#[derive(Clone, Copy)]
pub(super) enum Question {
    /// A step of a handshake; the holder waits for the answer.
    Handshake { connection: ConnectionId, ask: noise::Ask },
    /// The connection is over; nobody waits.
    Forget { connection: ConnectionId },
}

impl Question {
    const fn ask(self) -> signer::Ask {
        match self {
            Self::Handshake { connection, ask } => signer::Ask::Handshake { connection, ask },
            Self::Forget { connection } => signer::Ask::Forget { connection },
        }
    }
}

impl Sockets {
    /// Asks in turn. Without a link nothing is lost: the holder asks again when there is one, and
    /// the signer forgets what belongs to a link that ends.
    pub(super) fn ask_signer(&mut self, question: Question) {
        let Some(link) = self.signer else { return };
        if self.waiting.is_empty() && self.put(link, question) {
            return;
        }
        if self.waiting.len() < WAITING_MAX {
            return self.waiting.push_back(question);
        }
        warn!(max = WAITING_MAX, "too many questions wait for the signer");
        self.deny(question);
    }

    /// Asks what has waited, as far as the link takes it.
    pub(super) fn ask_waiting(&mut self) {
        let Some(link) = self.signer else { return };
        while let Some(question) = self.waiting.front().copied()
            && self.put(link, question)
        {
            self.waiting.pop_front();
        }
    }

    /// Whether the question has to wait no longer.
    fn put(&mut self, link: LinkId, question: Question) -> bool {
        let ask = question.ask();
        match self.hub.ask(link, ask.topic(), &ask.encode()) {
            Ok(id) => {
                self.asked.insert(id, question);
                true
            }
            Err(NotSent::Full { .. } | NotSent::Unanswered { .. }) => false,
            // That is the next input, and then the holder asks again.
            Err(NotSent::NoLink) => true,
            Err(fault @ (NotSent::NotAsked { .. } | NotSent::TooLong { .. })) => {
                warn!(%fault, "the signer cannot be asked");
                self.deny(question);
                true
            }
        }
    }

    fn deny(&mut self, question: Question) {
        match question {
            Question::Handshake { connection, .. } => {
                let refused = noise::Answer::Refused(Fault::Denied);
                self.holder.answered(connection, refused, self.now);
            }
            // It forgets by itself, after a while.
            Question::Forget { .. } => {}
        }
    }

    /// The signer has answered. What cannot be read, or answers something else, is a no.
    pub(super) fn on_answer(&mut self, frame: &Frame) {
        let asked = self.asked.remove(&frame.id);
        // There is room for one more.
        self.ask_waiting();
        let Some(question) = asked else { return };
        let mut bytes = frame.payload.clone();
        match (question, signer::Answer::decode(&mut bytes)) {
            (
                Question::Handshake { connection, .. },
                Ok(signer::Answer::Handshake { connection: of, answer }),
            ) if of == connection => self.holder.answered(connection, answer, self.now),
            (Question::Forget { connection }, Ok(signer::Answer::Forgotten { connection: of }))
                if of == connection => {}
            (
                Question::Handshake { connection, .. } | Question::Forget { connection },
                Ok(signer::Answer::Refused(refusal)),
            ) => {
                warn!(connection = connection.0, %refusal, "the signer refuses");
                self.deny(question);
            }
            (Question::Handshake { connection, .. } | Question::Forget { connection }, _) => {
                warn!(connection = connection.0, "the signer has answered something else");
                self.deny(question);
            }
        }
    }
}
