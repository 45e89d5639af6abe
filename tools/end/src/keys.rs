//! The one who has the key, in a thread of its own.

use std::{
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

use noise::{EphemeralKey, Exchange, IdentityKey, PublicKey};

use crate::{Answer, Ask};

type Question = (Ask, Sender<Answer>);

/// Reaches the thread that has a node's key. Only questions go there and only answers come back.
#[derive(Clone)]
pub struct KeyHolder {
    node: PublicKey,
    calls: Sender<Receiver<Question>>,
}

/// The questions about one connection.
pub struct Call {
    questions: Sender<Question>,
}

impl KeyHolder {
    /// Draws a key that nobody else has and starts the thread that keeps it.
    pub fn start() -> Self {
        let key = draw(IdentityKey::take);
        let node = key.public();
        let (calls, incoming) = channel::<Receiver<Question>>();
        thread::spawn(move || {
            for call in incoming {
                answer_call(&call, &key);
            }
        });
        Self { node, calls }
    }

    /// The id of the node.
    pub const fn node(&self) -> PublicKey {
        self.node
    }

    /// Opens the line for one handshake.
    pub fn call(&self) -> Call {
        let (questions, incoming) = channel();
        self.calls.send(incoming).expect("the key holder's thread lives as long as `self`");
        Call { questions }
    }
}

impl Call {
    /// Asks, and waits for the answer.
    pub fn ask(&mut self, ask: Ask) -> Answer {
        let (answers, answer) = channel();
        self.questions.send((ask, answers)).expect("the key holder's thread waits for questions");
        answer.recv().expect("the key holder's thread answers each question")
    }
}

fn answer_call(questions: &Receiver<Question>, key: &IdentityKey) {
    let mut exchange = Exchange::new();
    for (ask, answers) in questions {
        let answer = exchange.answer(ask, key, || draw(EphemeralKey::take));
        // Who asked may have given up meanwhile; then nobody wants the answer.
        answers.send(answer).ok();
    }
}

/// Draws 32 bytes until they are a key, which they almost always are.
fn draw<K>(take: impl Fn(&mut [u8; 32]) -> Result<K, noise::Fault>) -> K {
    loop {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).expect("every system we run on has a source of randomness");
        if let Ok(key) = take(&mut bytes) {
            return key;
        }
    }
}
