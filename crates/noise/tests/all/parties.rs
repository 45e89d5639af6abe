//! The four parties of the vectors, and ways to run them.

use noise::keyholder::{self, Dial};
use noise::{
    Act1, Act2, Act3, Answer, Ask, Effect, EphemeralKey, Exchange, Fault, HalfOpen, IdentityKey,
    Initiator, PublicKey, Responder, Transport, TransportState, Verifier,
};

use crate::vectors::{
    INITIATOR_EPHEMERAL, INITIATOR_KEY, RESPONDER_EPHEMERAL, RESPONDER_ID, RESPONDER_KEY, array,
};

/// What is left of a handshake that worked.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened {
    pub sent: Vec<u8>,
    pub remote: Vec<u8>,
    pub state: Vec<u8>,
}

impl Opened {
    pub fn new(sent: Vec<u8>, remote: PublicKey, transport: TransportState) -> Opened {
        let (remote, state) = (remote.serialize().to_vec(), transport.export().as_bytes().to_vec());
        Opened { sent, remote, state }
    }
}

pub fn identity(mut bytes: [u8; 32]) -> IdentityKey {
    IdentityKey::take(&mut bytes).unwrap()
}

pub fn ephemeral(mut bytes: [u8; 32]) -> EphemeralKey {
    EphemeralKey::take(&mut bytes).unwrap()
}

pub fn responder_id() -> PublicKey {
    PublicKey::from_slice(&array::<33>(RESPONDER_ID)).unwrap()
}

/// The initiator of the vectors after act one.
pub fn dialed() -> (Dial, Act1) {
    keyholder::dial(&responder_id(), ephemeral(INITIATOR_EPHEMERAL))
}

/// The responder of the vectors after act two.
pub fn responded() -> (Act2, HalfOpen, Verifier) {
    let (_, act1) = dialed();
    let key = identity(RESPONDER_KEY);
    keyholder::respond(&act1, &key, ephemeral(RESPONDER_EPHEMERAL))
        .map_err(|f| f.to_string())
        .unwrap()
}

/// Both states of the vectors' handshake: initiator, responder.
pub fn states() -> (TransportState, TransportState) {
    let (dial, _) = dialed();
    let (act2, half_open, _) = responded();
    let (act3, initiator) = dial.finish(&act2, &identity(INITIATOR_KEY)).ok().unwrap();
    let (_, responder) = half_open.finish(&act3).ok().unwrap();
    (initiator, responder)
}

/// Both ends of the vectors' connection: initiator, responder.
pub fn transports() -> (Transport, Transport) {
    let (initiator, responder) = states();
    (initiator.into(), responder.into())
}

/// The operations of the key holder alone, without cores.
pub fn initiate_directly(act2: [u8; 50]) -> Result<Opened, Fault> {
    let (dial, act1) = dialed();
    let act2 = Act2::parse(act2)?;
    let (act3, transport) = dial.finish(&act2, &identity(INITIATOR_KEY))?;
    let sent = [act1.bytes().as_slice(), act3.bytes().as_slice()].concat();
    Ok(Opened::new(sent, responder_id(), transport))
}

/// The operations of the key holder alone, without cores. The verifier must agree in everything.
pub fn respond_directly(act1: [u8; 50], act3: [u8; 66]) -> Result<Opened, Fault> {
    let act1 = Act1::parse(act1)?;
    let key = identity(RESPONDER_KEY);
    let (act2, half_open, verifier) =
        keyholder::respond(&act1, &key, ephemeral(RESPONDER_EPHEMERAL))?;
    let act3 = Act3::parse(act3)?;
    let verified = verifier.verify(&act3);
    let finished = half_open.finish(&act3);
    assert_eq!(finished.as_ref().map(|(remote, _)| *remote).map_err(|fault| *fault), verified);
    let (remote, transport) = finished?;
    Ok(Opened::new(act2.bytes().to_vec(), remote, transport))
}

/// A socket side core and its key holder, with what has come out so far.
pub struct Split<Core> {
    pub core: Core,
    pub exchange: Exchange,
    key: [u8; 32],
    ephemeral: [u8; 32],
    pub sent: Vec<u8>,
    pub done: Option<(PublicKey, TransportState)>,
}

/// What both cores have in common.
pub trait Core {
    fn handle_bytes(&mut self, input: &[u8]) -> Result<usize, Fault>;
    fn handle_answer(&mut self, answer: Answer) -> Result<(), Fault>;
    fn poll(&mut self) -> Option<Effect>;
    fn end(&mut self) -> Result<(), Fault>;
    fn state(&self) -> &'static str;
}

macro_rules! core {
    ($($name:ty),*) => {$(
        impl Core for $name {
            fn handle_bytes(&mut self, input: &[u8]) -> Result<usize, Fault> {
                <$name>::handle_bytes(self, input)
            }
            fn handle_answer(&mut self, answer: Answer) -> Result<(), Fault> {
                <$name>::handle_answer(self, answer)
            }
            fn poll(&mut self) -> Option<Effect> {
                <$name>::poll(self)
            }
            fn end(&mut self) -> Result<(), Fault> {
                <$name>::end(self)
            }
            fn state(&self) -> &'static str {
                <$name>::state(self)
            }
        }
    )*};
}

core!(Initiator, Responder);

impl Split<Initiator> {
    pub fn initiator() -> Self {
        Split::new(Initiator::new(responder_id()), INITIATOR_KEY, INITIATOR_EPHEMERAL)
    }
}

impl Split<Responder> {
    pub fn responder() -> Self {
        Split::new(Responder::new(), RESPONDER_KEY, RESPONDER_EPHEMERAL)
    }
}

impl<C: Core> Split<C> {
    fn new(core: C, key: [u8; 32], ephemeral: [u8; 32]) -> Self {
        Split { core, exchange: Exchange::new(), key, ephemeral, sent: Vec::new(), done: None }
    }

    /// Lets the key holder answer.
    pub fn ask(&mut self, ask: Ask) -> Answer {
        let drawn = self.ephemeral;
        self.exchange.answer(ask, &identity(self.key), || ephemeral(drawn))
    }

    /// Does all that the core wants done.
    pub fn settle(&mut self) -> Result<(), Fault> {
        while let Some(effect) = self.core.poll() {
            match effect {
                Effect::Ask(ask) => {
                    let answer = self.ask(ask);
                    self.core.handle_answer(answer)?;
                }
                Effect::Send(act) => self.sent.extend_from_slice(act.bytes()),
                Effect::Done { remote, transport } => self.done = Some((remote, transport)),
            }
        }
        Ok(())
    }

    /// Feeds a whole stream in pieces of `piece` bytes; returns what the core left over.
    pub fn feed(&mut self, stream: &[u8], piece: usize) -> Result<Vec<u8>, Fault> {
        self.settle()?;
        let mut waiting = Vec::new();
        for piece in stream.chunks(piece) {
            waiting.extend_from_slice(piece);
            loop {
                let taken = self.core.handle_bytes(&waiting)?;
                waiting.drain(..taken);
                self.settle()?;
                if taken == 0 {
                    break;
                }
            }
        }
        Ok(waiting)
    }

    /// Feeds a whole stream and ends the connection.
    pub fn run(mut self, stream: &[u8], piece: usize) -> Result<Opened, Fault> {
        self.feed(stream, piece)?;
        self.core.end()?;
        let (remote, transport) = self.done.unwrap();
        Ok(Opened::new(self.sent, remote, transport))
    }
}
