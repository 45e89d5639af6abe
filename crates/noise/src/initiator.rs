//! The socket side of a handshake that we began. It never sees a key of ours.

use std::collections::VecDeque;
use std::fmt::{Debug, Display};

use secp256k1::PublicKey;
use static_assertions::assert_not_impl_any;

use crate::act::{ACT2_BYTES, Act, Act2, ActMessage, Gather};
use crate::api::{Answer, Ask, Effect};
use crate::fault::Fault;

assert_not_impl_any!(Initiator: Clone, Copy, Debug, Display);

/// Dials `remote`: tell it the socket's bytes and the key holder's answers, do its effects.
///
/// Every fault but [`Fault::Unasked`] ends the handshake: the connection is to be closed, without
/// another byte.
pub struct Initiator {
    remote: PublicKey,
    state: State,
    effects: VecDeque<Effect>,
}

enum State {
    Dialing,
    AwaitingAct2(Gather<ACT2_BYTES>),
    Finishing,
    Done,
    Over,
}

impl Initiator {
    /// Begins a handshake with the node `remote`.
    pub fn new(remote: PublicKey) -> Initiator {
        let effects = VecDeque::from([Effect::Ask(Ask::Dial { remote })]);
        Initiator { remote, state: State::Dialing, effects }
    }

    /// Takes bytes that came from the socket, and returns how many. The rest is not part of the
    /// handshake, or not yet: offer it again after the next answer, or to the transport when done.
    pub fn handle_bytes(&mut self, input: &[u8]) -> Result<usize, Fault> {
        self.on_bytes(input).or_else(|fault| self.fail(fault))
    }

    /// Takes the key holder's answer. One that was not asked for changes nothing.
    pub fn handle_answer(&mut self, answer: Answer) -> Result<(), Fault> {
        match (&self.state, answer) {
            (State::Dialing, Answer::Dialed { act1 }) => {
                let next = State::AwaitingAct2(Gather::new(Act::Two));
                self.go(next, [Effect::Send(ActMessage::One(act1))]);
                Ok(())
            }
            (State::Finishing, Answer::Finished { act3, transport }) => {
                let send = Effect::Send(ActMessage::Three(act3));
                self.go(State::Done, [send, Effect::Done { remote: self.remote, transport }]);
                Ok(())
            }
            (State::Dialing | State::Finishing, Answer::Refused(fault)) => self.fail(fault),
            (state, answer) => Err(Fault::Unasked { state: state.name(), answer: answer.name() }),
        }
    }

    /// What to do next, in order.
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// The connection has ended: a fault unless the handshake was done.
    pub fn end(&mut self) -> Result<(), Fault> {
        match &self.state {
            State::Dialing | State::Finishing => {
                self.fail(Fault::Unanswered { state: self.state.name() })
            }
            State::AwaitingAct2(gather) => self.fail(gather.cut()),
            State::Done => Ok(()),
            State::Over => Err(Fault::Over),
        }
    }

    /// Where the handshake stands, for logs.
    pub fn state(&self) -> &'static str {
        self.state.name()
    }

    fn on_bytes(&mut self, input: &[u8]) -> Result<usize, Fault> {
        match &mut self.state {
            State::Dialing | State::Finishing | State::Done => Ok(0),
            State::AwaitingAct2(gather) => {
                let (taken, act2) = gather.take(input)?;
                if let Some(bytes) = act2 {
                    let act2 = Act2::parse(bytes)?;
                    self.go(State::Finishing, [Effect::Ask(Ask::Finish { act2 })]);
                }
                Ok(taken)
            }
            State::Over => Err(Fault::Over),
        }
    }

    fn go<const N: usize>(&mut self, next: State, effects: [Effect; N]) {
        self.state = next;
        self.effects.extend(effects);
    }

    fn fail<T>(&mut self, fault: Fault) -> Result<T, Fault> {
        self.state = State::Over;
        self.effects.clear();
        Err(fault)
    }
}

impl State {
    fn name(&self) -> &'static str {
        match self {
            State::Dialing => "dialing",
            State::AwaitingAct2(_) => "awaiting act two",
            State::Finishing => "finishing",
            State::Done => "done",
            State::Over => "over",
        }
    }
}
