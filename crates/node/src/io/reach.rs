//! The end of a link to another service, and what was asked over it.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    os::unix::net::UnixStream,
    path::PathBuf,
};

use bus::{Grant, Hub, Input, LinkId, NotSent, Standing};
use tracing::{error, warn};
use zeroize::Zeroizing;

/// How to reach another service.
pub enum At {
    /// In another process, at this path.
    Path(PathBuf),
    /// In this one, over this end of a pair.
    Pair(UnixStream),
}

/// Another service, and what it was asked.
pub struct Service<T> {
    standing: Option<Standing>,
    /// The link of a pair, which does not come back.
    pair: Option<LinkId>,
    /// The link, while it is up.
    pub link: Option<LinkId>,
    /// Who waits for the answer to which question.
    pub asked: BTreeMap<u64, T>,
    /// Questions that the link had no room for.
    pub unsent: VecDeque<(T, u16, Zeroizing<Vec<u8>>)>,
}

/// What an input says of a service.
pub enum Heard<T> {
    /// It is there.
    Came,
    /// It is gone, with all that it was asked.
    Went,
    /// It has answered.
    Answered(T, Zeroizing<Vec<u8>>),
    /// Nothing.
    Nothing,
}

impl<T: Copy> Service<T> {
    /// Reaches it, now and again whenever it is there.
    pub fn reach(hub: &mut Hub, at: At, name: &str) -> io::Result<Self> {
        let (mut standing, mut pair) = (None, None);
        match at {
            At::Path(path) => standing = Some(hub.stand(&path, Grant::nothing(name))),
            At::Pair(stream) => pair = Some(hub.adopt(stream, Grant::nothing(name))?),
        }
        Ok(Self { standing, pair, link: None, asked: BTreeMap::new(), unsent: VecDeque::new() })
    }

    /// Whether this is its link.
    pub fn is(&self, link: LinkId, standing: Option<Standing>) -> bool {
        self.pair == Some(link) || standing.is_some() && self.standing == standing
    }

    /// Its link is gone, with all that was asked over it.
    pub fn went(&mut self) {
        self.link = None;
        self.asked.clear();
        self.unsent.clear();
    }

    /// Takes in what has happened on a link, for whoever has no other links.
    pub fn hear(&mut self, input: Input) -> Heard<T> {
        match input {
            Input::LinkUp { link, standing, .. } if self.is(link, standing) => {
                self.link = Some(link);
                Heard::Came
            }
            Input::LinkDown { link, .. } if self.link == Some(link) => {
                self.went();
                Heard::Went
            }
            Input::Frame { link, frame } if self.link == Some(link) => {
                let token = self.asked.remove(&frame.id);
                token.map_or(Heard::Nothing, |token| Heard::Answered(token, frame.payload))
            }
            Input::Denied { link, topic } => {
                warn!(link = link.0, topic, "nobody may ask us");
                Heard::Nothing
            }
            Input::LinkUp { .. }
            | Input::LinkDown { .. }
            | Input::Frame { .. }
            | Input::Room { .. }
            | Input::Ready { .. }
            | Input::Woken => Heard::Nothing,
        }
    }

    /// Sends as much as the link takes. What can never be sent is given back, and why: whoever
    /// asked waits for an answer.
    #[must_use]
    pub fn send(&mut self, hub: &mut Hub) -> Vec<(T, NotSent)> {
        let mut refused = Vec::new();
        let Some(link) = self.link else {
            refused.extend(self.unsent.drain(..).map(|(token, ..)| (token, NotSent::NoLink)));
            return refused;
        };
        while let Some((token, topic, payload)) = self.unsent.front() {
            match hub.ask(link, *topic, payload) {
                Ok(id) => {
                    self.asked.insert(id, *token);
                }
                Err(NotSent::Full { .. } | NotSent::Unanswered { .. } | NotSent::NoLink) => break,
                Err(fault @ (NotSent::NotAsked { .. } | NotSent::TooLong { .. })) => {
                    error!(%fault, "a question that cannot be asked");
                    refused.push((*token, fault));
                }
            }
            self.unsent.pop_front();
        }
        refused
    }
}
