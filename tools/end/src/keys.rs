//! The one who has the key, in a thread of its own. Only bytes go there and come back: the same
//! that will go to a signer in another process, or on a phone.

use std::{
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::Instant,
};

use noise::{EphemeralKey, Fault, PublicKey};
use signer::{
    Answer, Ask, Channels, ConnectionId, Frame, LinkId, NodeIndex, NodeKey, Seed, Signer,
};
use wire::{Network, tick::Tick};

type Question = (Vec<u8>, Sender<Frame>);

/// Reaches the thread that has a node's key.
#[derive(Clone)]
pub struct KeyHolder {
    node: PublicKey,
    questions: Sender<Question>,
}

/// The questions about one connection.
pub struct Call<'a> {
    holder: &'a KeyHolder,
    connection: ConnectionId,
}

impl KeyHolder {
    /// Draws a seed that nobody else has and starts the thread that keeps its key.
    pub fn start() -> Self {
        Self::with(drawn_seed().node_key(Network::Regtest, NodeIndex::FIRST))
    }

    /// Starts the thread that keeps this key.
    pub fn with(key: NodeKey) -> Self {
        let node = key.id();
        let (questions, incoming) = channel();
        // Nobody asks for money here.
        let seed = drawn_seed();
        let channels = seed.channel_keys(Network::Regtest, NodeIndex::FIRST);
        let (wallet, channels) = (seed.wallet_key(Network::Regtest), Channels::bolt3(channels));
        thread::spawn(move || answer_all(&incoming, Signer::new(key, wallet, channels)));
        Self { node, questions }
    }

    /// The id of the node.
    pub const fn node(&self) -> PublicKey {
        self.node
    }

    /// Opens the line for one handshake, under a number that was not used before.
    pub fn call(&self) -> Call<'_> {
        let connection = ConnectionId(u64::from_be_bytes(drawn()));
        Call { holder: self, connection }
    }

    /// The text of a signature under a message for people.
    pub fn sign(&self, message: &[u8]) -> String {
        let answer = self.ask(&Ask::SignMessage { message: message.to_vec() });
        let Answer::Signed { signature } = answer else {
            panic!("a message of {} bytes is {}", message.len(), answer.name())
        };
        signature.to_string()
    }

    fn ask(&self, ask: &Ask) -> Answer {
        let (answers, answer) = channel();
        self.questions.send((ask.encode(), answers)).expect("the key holder's thread waits");
        let frame = answer.recv().expect("the key holder's thread answers each question");
        let mut bytes = frame.bytes().to_vec();
        Answer::decode(&mut bytes).expect("a signer's answers can be read")
    }
}

impl Call<'_> {
    /// Asks, and waits for the answer.
    pub fn ask(&mut self, ask: noise::Ask) -> noise::Answer {
        let connection = self.connection;
        let answer = self.holder.ask(&Ask::Handshake { connection, ask });
        if let Answer::Handshake { connection: about, answer } = answer
            && about == connection
        {
            return answer;
        }
        noise::Answer::Refused(Fault::Denied)
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.holder.ask(&Ask::Forget { connection: self.connection });
    }
}

fn answer_all(questions: &Receiver<Question>, mut signer: Signer) {
    let start = Instant::now();
    for (bytes, answers) in questions {
        let now = Tick(start.elapsed().as_millis() as u64);
        let ask = Ask::decode(&bytes).expect("only `KeyHolder` writes to this channel");
        let answer = signer.answer(LinkId(0), ask, now, ephemeral);
        // Who asked may have given up meanwhile; then nobody wants the answer.
        answers.send(answer.encode()).ok();
    }
}

fn ephemeral() -> EphemeralKey {
    loop {
        // Zero, or at least the order of the curve: about once in 2^127 draws.
        if let Ok(key) = EphemeralKey::take(&mut drawn()) {
            return key;
        }
    }
}

fn drawn_seed() -> Seed {
    loop {
        if let Ok(seed) = Seed::take(&mut drawn()) {
            break seed;
        }
    }
}

fn drawn<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("every system we run on has a source of randomness");
    bytes
}
