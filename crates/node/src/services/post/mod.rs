//! The post office of a node: it keeps connections to the peers that are wanted, saves what they
//! say before the holder of the sockets may forget it, and sends what it is told to send.
//!
//! Poll shape around a state that is the sum of its changes: [`Post::poll`] gives steps, in order.
//! What follows a [`Step::Save`] leaves only when that change is durable; the shell sees to it with
//! a [`Gate`](crate::services::gate::Gate).

mod calls;
mod change;
mod passing;
mod peers;

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
};

use noise::PublicKey;
use peer::{
    OutSeq, Seq,
    desk::{Desk, News, Token},
    holder::{Answer, Ask},
};
use wire::{dice::Dice, features::Features, id::ConnectionId, lease::LeaseEpoch, tick::Tick};

pub use calls::{CallId, Command, Info, Refusal, Reply};
pub use change::{Change, State};
pub use passing::{Passed, Wish};
pub use peers::{PeerLine, RETRY_MAX, RETRY_MIN};

/// What the shell is to do next.
#[derive(Debug)]
pub enum Step {
    /// Give this to the log.
    Save {
        /// The change.
        change: Change,
        /// A message that is kept with it.
        message: Option<Received>,
    },
    /// Do this once all that was given to the log before is durable.
    Do(Effect),
}

/// A message of a peer, for the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Who said it.
    pub node: PublicKey,
    /// Its type in front.
    pub bytes: Vec<u8>,
}

/// What leaves the post office.
#[derive(Debug)]
pub enum Effect {
    /// The messages of a connection up to this one are durable: tell [`Post::saved`].
    Saved {
        /// Over which connection they came.
        connection: ConnectionId,
        /// The last one's number.
        seq: Seq,
    },
    /// Tell whoever asked.
    Reply {
        /// Which call.
        call: CallId,
        /// How it went.
        reply: Result<Reply, Refusal>,
    },
    /// Tell whoever listens.
    Tell(Event),
    /// Everything is saved: stop.
    Stop,
    /// This cannot go on.
    Fail(Failure),
}

/// Why a node must stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The signer has the key of another node.
    OtherNode {
        /// The signer's.
        got: PublicKey,
        /// The one that this state belongs to.
        want: PublicKey,
    },
    /// Another node uses the same sockets.
    Superseded {
        /// In the holder's words.
        why: String,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherNode { got, want } => {
                write!(f, "the signer has the key of {got}, this directory belongs to {want}")
            }
            Self::Superseded { why } => write!(f, "another node uses these sockets: {why}"),
        }
    }
}

/// What listeners are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A peer can be talked to.
    PeerConnected(PeerLine),
    /// A peer is gone.
    PeerDisconnected {
        /// Which one.
        node: PublicKey,
        /// Over which connection.
        connection: ConnectionId,
        /// Why.
        why: String,
    },
    /// A peer has said something, and it is saved.
    Message {
        /// Who.
        node: PublicKey,
        /// Over which connection.
        connection: ConnectionId,
        /// The message's number there.
        seq: Seq,
        /// Its type in front.
        bytes: Vec<u8>,
    },
    /// A peer complains.
    Complaint {
        /// Who.
        node: PublicKey,
        /// An `error`, not a `warning`.
        fails: bool,
        /// Its words.
        text: String,
    },
    /// The signer can be reached, or not.
    Signer {
        /// It can.
        reachable: bool,
    },
    /// The sockets can be reached, or not.
    Sockets {
        /// They can.
        reachable: bool,
    },
}

/// A post office.
pub struct Post {
    state: State,
    features: Features,
    desk: Desk,
    dice: Dice,
    signer: bool,
    peers: BTreeMap<ConnectionId, PeerLine>,
    by_node: BTreeMap<PublicKey, ConnectionId>,
    tries: BTreeMap<PublicKey, peers::Try>,
    calls: calls::Calls,
    next_signer_token: u64,
    to_signer: VecDeque<(Token, signer::Ask)>,
    steps: VecDeque<Step>,
    /// Whether there is anybody for messages about channels.
    has_channels: bool,
    /// And who. It need not be saved: nobody who has asked a process asks the next one.
    lease: LeaseEpoch,
    passed: VecDeque<Passed>,
    /// The connections that were there before us are known.
    is_caught: bool,
}

impl Post {
    /// Opens for one more time, with what was saved. `features` are those of our `init`.
    pub fn open(state: State, features: Features, dice: Dice) -> Self {
        let epoch = peer::Epoch(state.epoch.0.saturating_add(1));
        #[cfg(feature = "planted")]
        let epoch = match crate::planted::two_owners_after_crash() {
            true => peer::Epoch(state.epoch.0.max(1)),
            false => epoch,
        };
        let mut post = Self {
            desk: Desk::new(epoch, state.marks.clone()),
            state,
            features,
            dice,
            signer: false,
            peers: BTreeMap::new(),
            by_node: BTreeMap::new(),
            tries: BTreeMap::new(),
            calls: calls::Calls::default(),
            next_signer_token: 0,
            to_signer: VecDeque::new(),
            steps: VecDeque::new(),
            has_channels: false,
            lease: LeaseEpoch(0),
            passed: VecDeque::new(),
            is_caught: false,
        };
        post.save(Change::Booted { epoch }, None);
        post
    }

    /// The next step, in order.
    pub fn poll(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    /// The next question for the holder of the sockets. Behind the same barrier as the steps.
    pub fn poll_holder(&mut self) -> Option<(Token, Ask)> {
        self.desk.poll()
    }

    /// The next question for the signer, likewise.
    pub fn poll_signer(&mut self) -> Option<(Token, signer::Ask)> {
        self.to_signer.pop_front()
    }

    /// When to call [`Post::wake`] at the latest.
    pub fn wake_at(&self) -> Option<Tick> {
        self.next_try()
    }

    /// Time has passed.
    pub fn wake(&mut self, now: Tick) {
        self.dial_due(now);
        self.hear(now);
    }

    /// What is saved, for a snapshot.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// Which holder has the sockets, once it has said so.
    pub const fn holder(&self) -> Option<u64> {
        self.desk.holder()
    }

    /// The link to the holder is up.
    pub fn holder_came(&mut self, now: Tick) {
        self.desk.link_came();
        self.tell(Event::Sockets { reachable: true });
        self.hear(now);
    }

    /// The link to the holder is down.
    pub fn holder_went(&mut self, now: Tick) {
        self.desk.link_went();
        self.tell(Event::Sockets { reachable: false });
        self.hear(now);
    }

    /// The holder has answered.
    pub fn holder_answered(&mut self, token: Token, answer: Answer, now: Tick) {
        self.desk.answered(token, answer);
        self.hear(now);
    }

    /// The holder tells something.
    pub fn holder_told(&mut self, event: peer::holder::Event, now: Tick) {
        self.desk.event(event);
        self.hear(now);
    }

    /// The messages up to this one are durable.
    pub fn saved(&mut self, connection: ConnectionId, seq: Seq) {
        self.desk.saved(connection, seq);
    }

    /// Takes what the desk has to tell.
    fn hear(&mut self, now: Tick) {
        while let Some(news) = self.desk.news() {
            match news {
                News::Caught => self.caught(now),
                News::Opened(opened) => self.opened(opened, now),
                News::Closed { connection, text, .. } => self.closed(connection, &text, now),
                News::Message { connection, seq, bytes } => {
                    self.received(connection, seq, bytes);
                }
                News::Complaint { connection, channel_id, fails, text } => {
                    self.pass_complaint(connection, channel_id, fails, &text);
                    if let Some(peer) = self.peers.get(&connection) {
                        let node = peer.node;
                        self.tell(Event::Complaint { node, fails, text });
                    }
                }
                News::Sent { connection, seq } => self.sent(connection, seq, Ok(Reply::Done)),
                News::NotSent { connection, seq, why } => {
                    self.sent(connection, seq, Err(Refusal::Unavailable { why }));
                }
                News::Answered { token, answer } => self.answered(token, answer, now),
                News::Behind { have } => self.behind(have),
                News::Superseded { why } => self.fail(Failure::Superseded { why }),
            }
        }
    }

    /// The sockets have seen a later start than this log, which was put back or is a copy.
    fn behind(&mut self, have: peer::Epoch) {
        let Some(epoch) = have.0.checked_add(1).map(peer::Epoch) else {
            let why = format!("after {have:?} there is none");
            return self.fail(Failure::Superseded { why });
        };
        self.save(Change::Booted { epoch }, None);
        self.desk.raise(epoch);
    }

    fn received(&mut self, connection: ConnectionId, seq: Seq, bytes: Vec<u8>) {
        let (Some(peer), Some(holder)) = (self.peers.get(&connection), self.desk.holder()) else {
            return;
        };
        let node = peer.node;
        if passing::is_of_channels(&bytes) {
            return self.pass(holder, connection, seq, bytes);
        }
        let message = Received { node, bytes: bytes.clone() };
        #[cfg(feature = "planted")]
        if crate::planted::acknowledge_before_save() {
            self.desk.saved(connection, seq);
        }
        self.save(Change::Received { holder, connection, seq }, Some(message));
        self.act(Effect::Saved { connection, seq });
        self.tell(Event::Message { node, connection, seq, bytes });
    }

    fn sent(&mut self, connection: ConnectionId, seq: OutSeq, how: Result<Reply, Refusal>) {
        if let Some(call) = self.calls.sends.remove(&(connection, seq)) {
            self.reply(call, how);
        }
    }

    fn save(&mut self, change: Change, message: Option<Received>) {
        self.state.evolve(&change);
        self.steps.push_back(Step::Save { change, message });
    }

    fn act(&mut self, effect: Effect) {
        self.steps.push_back(Step::Do(effect));
    }

    fn tell(&mut self, event: Event) {
        self.act(Effect::Tell(event));
    }

    fn reply(&mut self, call: CallId, reply: Result<Reply, Refusal>) {
        self.act(Effect::Reply { call, reply });
    }

    fn fail(&mut self, failure: Failure) {
        self.act(Effect::Fail(failure));
    }
}
