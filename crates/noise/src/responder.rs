//! The socket side of a handshake that came in. It never sees the identity key, and it does not
//! need the key holder for act three: a connection opens while the key holder sleeps again.

use std::collections::VecDeque;
use std::fmt::{Debug, Display};
use std::mem;

use secp256k1::PublicKey;
use static_assertions::assert_not_impl_any;

use crate::act::{ACT1_BYTES, ACT3_BYTES, Act, Act1, Act3, ActMessage, Gather};
use crate::api::{Answer, Ask, Effect};
use crate::fault::Fault;
use crate::half_open::HalfOpen;

assert_not_impl_any!(Responder: Clone, Copy, Debug, Display);

/// Answers a call: tell it the socket's bytes and the key holder's answers, do its effects.
///
/// [`Effect::Done`] comes with act three; [`Ask::Verify`] before it lets the key holder check in
/// its own time who connected. [`Responder::is_verified`] says whether it has. That guards against
/// mistakes on the way; why not against a lying socket side, see [`HalfOpen`].
///
/// Every fault but [`Fault::Unasked`] ends the handshake: the connection is to be closed, without
/// another byte.
pub struct Responder {
    state: State,
    effects: VecDeque<Effect>,
}

enum State {
    AwaitingAct1(Gather<ACT1_BYTES>),
    Responding,
    AwaitingAct3(Gather<ACT3_BYTES>, HalfOpen),
    Verifying(PublicKey),
    Verified,
    Over,
}

impl Responder {
    /// Waits for act one.
    pub fn new() -> Responder {
        let state = State::AwaitingAct1(Gather::new(Act::One));
        Responder { state, effects: VecDeque::new() }
    }

    /// Takes bytes that came from the socket, and returns how many. The rest is not part of the
    /// handshake, or not yet: offer it again after the next answer, or to the transport when done.
    pub fn handle_bytes(&mut self, input: &[u8]) -> Result<usize, Fault> {
        self.on_bytes(input).or_else(|fault| self.fail(fault))
    }

    /// Takes the key holder's answer. One that was not asked for changes nothing.
    pub fn handle_answer(&mut self, answer: Answer) -> Result<(), Fault> {
        match (&self.state, answer) {
            (State::Responding, Answer::Responded { act2, half_open }) => {
                self.state = State::AwaitingAct3(Gather::new(Act::Three), half_open);
                self.effects.push_back(Effect::Send(ActMessage::Two(act2)));
                Ok(())
            }
            (State::Verifying(claimed), Answer::Verified { remote }) if *claimed == remote => {
                self.state = State::Verified;
                Ok(())
            }
            (State::Verifying(claimed), Answer::Verified { remote }) => {
                let (claimed, verified) = (claimed.serialize(), remote.serialize());
                self.fail(Fault::WrongIdentity { claimed, verified })
            }
            (State::Responding | State::Verifying(_), Answer::Refused(fault)) => self.fail(fault),
            (state, answer) => Err(Fault::Unasked { state: state.name(), answer: answer.name() }),
        }
    }

    /// What to do next, in order.
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// The connection has ended: a fault unless act three had come.
    pub fn end(&mut self) -> Result<(), Fault> {
        match &self.state {
            State::AwaitingAct1(gather) => self.fail(gather.cut()),
            State::Responding => self.fail(Fault::Unanswered { state: self.state.name() }),
            State::AwaitingAct3(gather, _) => self.fail(gather.cut()),
            State::Verifying(_) | State::Verified => Ok(()),
            State::Over => Err(Fault::Over),
        }
    }

    /// Whether the key holder has confirmed who connected.
    pub fn is_verified(&self) -> bool {
        matches!(self.state, State::Verified)
    }

    /// Where the handshake stands, for logs.
    pub fn state(&self) -> &'static str {
        self.state.name()
    }

    fn on_bytes(&mut self, input: &[u8]) -> Result<usize, Fault> {
        match &mut self.state {
            State::Responding | State::Verifying(_) | State::Verified => Ok(0),
            State::AwaitingAct1(gather) => {
                let (taken, act1) = gather.take(input)?;
                if let Some(bytes) = act1 {
                    let act1 = Act1::parse(bytes)?;
                    self.state = State::Responding;
                    self.effects.push_back(Effect::Ask(Ask::Respond { act1 }));
                }
                Ok(taken)
            }
            State::AwaitingAct3(gather, _) => {
                let (taken, act3) = gather.take(input)?;
                if let Some(bytes) = act3 {
                    self.on_act3(Act3::parse(bytes)?)?;
                }
                Ok(taken)
            }
            State::Over => Err(Fault::Over),
        }
    }

    fn on_act3(&mut self, act3: Act3) -> Result<(), Fault> {
        let State::AwaitingAct3(_, half_open) = mem::replace(&mut self.state, State::Over) else {
            unreachable!("act three has just been gathered");
        };
        let (remote, transport) = half_open.finish(&act3)?;
        self.state = State::Verifying(remote);
        self.effects.push_back(Effect::Ask(Ask::Verify { act3 }));
        self.effects.push_back(Effect::Done { remote, transport });
        Ok(())
    }

    fn fail<T>(&mut self, fault: Fault) -> Result<T, Fault> {
        self.state = State::Over;
        self.effects.clear();
        Err(fault)
    }
}

impl Default for Responder {
    fn default() -> Responder {
        Responder::new()
    }
}

impl State {
    fn name(&self) -> &'static str {
        match self {
            State::AwaitingAct1(_) => "awaiting act one",
            State::Responding => "responding",
            State::AwaitingAct3(..) => "awaiting act three",
            State::Verifying(_) => "verifying",
            State::Verified => "verified",
            State::Over => "over",
        }
    }
}
