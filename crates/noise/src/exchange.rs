//! The key holder's side of one handshake: each question answered once, in its order.

use std::fmt::{Debug, Display};
use std::mem;

use static_assertions::assert_not_impl_any;

use crate::api::{Answer, Ask};
use crate::fault::Fault;
use crate::half_open::Verifier;
use crate::keyholder::{self, Dial};
use crate::secret::{EphemeralKey, IdentityKey};

assert_not_impl_any!(Exchange: Clone, Copy, Debug, Display);

/// What a key holder remembers of one connection, in memory only. Wiped when dropped.
#[derive(Default)]
pub struct Exchange {
    state: State,
}

#[derive(Default)]
enum State {
    #[default]
    Fresh,
    Dialing(Dial),
    Responding(Verifier),
    Spent,
}

impl Exchange {
    /// An exchange in which nothing has been asked yet.
    pub fn new() -> Exchange {
        Exchange::default()
    }

    /// Answers `ask` as `key`. A question that is not due is refused and changes nothing; one that
    /// is due uses the state up, whatever the outcome. `ephemeral` is drawn once, for
    /// [`Ask::Dial`] or [`Ask::Respond`], and not at all for the others.
    pub fn answer(
        &mut self,
        ask: Ask,
        key: &IdentityKey,
        ephemeral: impl FnOnce() -> EphemeralKey,
    ) -> Answer {
        let answer = match (mem::replace(&mut self.state, State::Spent), ask) {
            (State::Fresh, Ask::Dial { remote }) => {
                let (dial, act1) = keyholder::dial(&remote, ephemeral());
                self.state = State::Dialing(dial);
                Ok(Answer::Dialed { act1 })
            }
            (State::Dialing(dial), Ask::Finish { act2 }) => dial
                .finish(&act2, key)
                .map(|(act3, transport)| Answer::Finished { act3, transport }),
            (State::Fresh, Ask::Respond { act1 }) => keyholder::respond(&act1, key, ephemeral())
                .map(|(act2, half_open, verifier)| {
                    self.state = State::Responding(verifier);
                    Answer::Responded { act2, half_open }
                }),
            (State::Responding(verifier), Ask::Verify { act3 }) => {
                verifier.verify(&act3).map(|remote| Answer::Verified { remote })
            }
            (state, ask) => {
                let fault = Fault::NotNow { state: state.name(), ask: ask.name() };
                self.state = state;
                Err(fault)
            }
        };
        answer.unwrap_or_else(Answer::Refused)
    }
}

impl State {
    fn name(&self) -> &'static str {
        match self {
            State::Fresh => "fresh",
            State::Dialing(_) => "dialing",
            State::Responding(_) => "responding",
            State::Spent => "spent",
        }
    }
}
