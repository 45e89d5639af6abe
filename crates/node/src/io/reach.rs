//! The end of a link to another service, and what was asked over it.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::mpsc::Sender,
};

use bus::{Grant, Hub, LinkId, NotSent, Standing, Waker};
use tracing::error;
use zeroize::Zeroizing;

use crate::store::Durable;

/// How to reach another service.
pub enum At {
    /// In another process, at this path.
    Path(PathBuf),
    /// In this one, over this end of a pair.
    Pair(UnixStream),
}

/// Another service, and what it was asked.
pub(super) struct Service<T> {
    standing: Option<Standing>,
    /// The link of a pair, which does not come back.
    pair: Option<LinkId>,
    pub(super) link: Option<LinkId>,
    pub(super) asked: BTreeMap<u64, T>,
    /// Questions that the link had no room for.
    pub(super) unsent: VecDeque<(T, u16, Zeroizing<Vec<u8>>)>,
}

impl<T: Copy> Service<T> {
    pub(super) fn reach(hub: &mut Hub, at: At, name: &str) -> io::Result<Self> {
        let (mut standing, mut pair) = (None, None);
        match at {
            At::Path(path) => standing = Some(hub.stand(&path, Grant::nothing(name))),
            At::Pair(stream) => pair = Some(hub.adopt(stream, Grant::nothing(name))?),
        }
        Ok(Self { standing, pair, link: None, asked: BTreeMap::new(), unsent: VecDeque::new() })
    }

    pub(super) fn is(&self, link: LinkId, standing: Option<Standing>) -> bool {
        self.pair == Some(link) || standing.is_some() && self.standing == standing
    }

    pub(super) fn went(&mut self) {
        self.link = None;
        self.asked.clear();
        self.unsent.clear();
    }

    /// Sends as much as the link takes.
    pub(super) fn send(&mut self, hub: &mut Hub) {
        let Some(link) = self.link else { return self.unsent.clear() };
        while let Some((token, topic, payload)) = self.unsent.front() {
            match hub.ask(link, *topic, payload) {
                Ok(id) => {
                    self.asked.insert(id, *token);
                }
                Err(NotSent::Full { .. } | NotSent::Unanswered { .. } | NotSent::NoLink) => return,
                Err(fault @ (NotSent::NotAsked { .. } | NotSent::TooLong { .. })) => {
                    error!(%fault, "a question that cannot be asked");
                }
            }
            self.unsent.pop_front();
        }
    }
}

/// Tells a service what the log tells, and wakes it.
pub(super) fn pass_on(told: Sender<Durable>, waker: Waker) -> impl Fn(Durable) + Send {
    move |durable| {
        // An office that has ended wants to know nothing any more.
        told.send(durable).ok();
        waker.wake();
    }
}
