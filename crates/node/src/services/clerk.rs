//! The post office behind its barrier: what it does leaves only when the cause is saved.
//!
//! Poll shape. The shell gives what happened to [`Clerk::post`], gives what [`Clerk::poll`] wants
//! saved to the log in order, and says when that is durable.

use peer::{desk::Token, holder};
use wire::tick::Tick;

use super::{
    gate::{Barrier, Next, Ticket},
    post::{Effect, Post, Received, State, Step},
};

/// After so many changes their sum is saved instead.
pub const SNAPSHOT_EVERY: u64 = 1_000;

/// What the shell is to do, in order.
pub enum Out {
    /// Save all of this or nothing of it; then [`Clerk::durable`].
    Save {
        /// Names it. They count from 1.
        ticket: Ticket,
        /// What is saved.
        records: Vec<Record>,
    },
    /// Do this.
    Do(Effect),
    /// Ask the holder of the sockets.
    AskSockets(Token, holder::Ask),
    /// Ask the signer.
    AskSigner(Token, signer::Ask),
}

/// One thing to save.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A change, as bytes, and a message that is kept with it.
    Change {
        /// The change.
        bytes: Vec<u8>,
        /// The message.
        message: Option<Received>,
    },
    /// The sum of all changes so far, as bytes.
    Snapshot(Vec<u8>),
}

/// A post office, and what waits for its causes.
pub struct Clerk {
    post: Post,
    barrier: Barrier<Record, Out>,
    changes: u64,
}

impl Clerk {
    /// Works for this post office.
    pub fn new(post: Post) -> Self {
        Self { post, barrier: Barrier::default(), changes: 0 }
    }

    /// The post office, to be told what has happened.
    pub const fn post(&mut self) -> &mut Post {
        &mut self.post
    }

    /// What is saved, or about to be.
    pub const fn state(&self) -> &State {
        self.post.state()
    }

    /// Which holder has the sockets, once it has said so.
    pub const fn holder(&self) -> Option<u64> {
        self.post.holder()
    }

    /// When to call [`Post::wake`] at the latest.
    pub fn wake_at(&self) -> Option<Tick> {
        self.post.wake_at()
    }

    /// All that was to be saved is durable up to this ticket.
    pub fn durable(&mut self, through: Ticket) {
        self.barrier.durable(through);
    }

    /// What to do next, in order.
    pub fn poll(&mut self) -> Option<Out> {
        loop {
            #[cfg(feature = "planted")]
            if crate::planted::acknowledge_before_save()
                && let Some((token, ask)) = self.post.poll_holder()
            {
                return Some(Out::AskSockets(token, ask));
            }
            while let Some(step) = self.post.poll() {
                match step {
                    Step::Save { change, message } => {
                        self.changes += 1;
                        self.barrier.save(Record::Change { bytes: change.encode(), message });
                    }
                    Step::Do(effect) => {
                        self.barrier.hold(Out::Do(effect));
                    }
                }
            }
            if self.changes >= SNAPSHOT_EVERY {
                self.changes = 0;
                self.barrier.save(Record::Snapshot(self.post.state().encode()));
            }
            match self.barrier.release() {
                // What is told to the post office may make it go on.
                Some(Next::Do(Out::Do(Effect::Saved { connection, seq }))) => {
                    self.post.saved(connection, seq);
                }
                Some(Next::Save { ticket, records }) => return Some(Out::Save { ticket, records }),
                Some(Next::Do(out)) => return Some(out),
                // Only now: one question acknowledges all that has become durable.
                None if self.hold_asks() => {}
                None => return None,
            }
        }
    }

    /// Questions go behind all that was to be saved before. Whether there were any.
    fn hold_asks(&mut self) -> bool {
        let mut any = false;
        while let Some((token, ask)) = self.post.poll_holder() {
            self.barrier.hold(Out::AskSockets(token, ask));
            any = true;
        }
        while let Some((token, ask)) = self.post.poll_signer() {
            self.barrier.hold(Out::AskSigner(token, ask));
            any = true;
        }
        any
    }
}
