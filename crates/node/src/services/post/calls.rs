//! What people and programs ask of a node.

use std::{collections::BTreeMap, fmt, net::SocketAddr};

use noise::PublicKey;
use peer::{
    OutSeq,
    desk::{NotTaken, Token},
    holder::{Answer, Ask},
};
use signer::MessageSignature;
use wire::{
    id::ConnectionId,
    tick::{Millis, Tick},
};

use super::{Change, Effect, Event, Failure, PeerLine, Post};

/// Names a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Who is this, and how is it?
    Info,
    /// Who is connected?
    Peers,
    /// Connect to a node, and stay connected.
    Connect {
        /// Its id.
        node: PublicKey,
        /// Where it listens.
        address: SocketAddr,
    },
    /// Hang up, and do not call again.
    Disconnect {
        /// Whom.
        node: PublicKey,
    },
    /// How long does it take to answer?
    Ping {
        /// Who.
        node: PublicKey,
    },
    /// Send a message.
    Message {
        /// To whom.
        node: PublicKey,
        /// The message, its type in front.
        bytes: Vec<u8>,
    },
    /// Sign a message for people.
    Sign {
        /// Its bytes.
        message: Vec<u8>,
    },
    /// End the node.
    Stop,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To [`Command::Info`].
    Info(Info),
    /// To [`Command::Peers`].
    Peers(Vec<PeerLine>),
    /// To [`Command::Connect`].
    Peer(PeerLine),
    /// To [`Command::Ping`].
    Pong {
        /// After this time.
        after: Millis,
    },
    /// To [`Command::Sign`].
    Signed(MessageSignature),
    /// It is done.
    Done,
}

/// How a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Its id, once its signer has said so.
    pub node: Option<PublicKey>,
    /// Where peers can call.
    pub listening: Vec<SocketAddr>,
    /// Connected peers.
    pub peers: usize,
    /// Whether the signer can be reached.
    pub signer: bool,
    /// Whether the sockets can be reached.
    pub sockets: bool,
}

/// Why a command was refused. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// That peer is not connected.
    NotConnected {
        /// Which.
        node: PublicKey,
    },
    /// It is ourselves.
    Ourselves,
    /// Somebody who is needed for it is not there, or says no.
    Unavailable {
        /// In words.
        why: String,
    },
    /// Too many wait.
    Busy {
        /// Messages that wait.
        have: usize,
        /// How many may.
        max: usize,
    },
    /// Nobody could carry it, or sign it.
    TooLong {
        /// Its bytes.
        got: usize,
        /// The most there may be.
        max: usize,
    },
    /// It is not allowed.
    Denied {
        /// In words.
        why: String,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConnected { node } => write!(f, "no connection to {node}"),
            Self::Ourselves => f.write_str("this is our own id"),
            Self::Unavailable { why } | Self::Denied { why } => f.write_str(why),
            Self::TooLong { got, max } => write!(f, "a message of {got} bytes, at most {max}"),
            Self::Busy { have, max } => write!(f, "{have} messages wait, at most {max}"),
        }
    }
}

/// Calls that wait for somebody.
#[derive(Default)]
pub(super) struct Calls {
    pub(super) sends: BTreeMap<(ConnectionId, OutSeq), CallId>,
    pings: BTreeMap<Token, CallId>,
    signs: BTreeMap<Token, Option<CallId>>,
}

impl Post {
    /// A call; its reply is an effect.
    pub fn call(&mut self, call: CallId, command: Command, now: Tick) {
        match command {
            Command::Info => {
                let info = self.info();
                self.reply(call, Ok(Reply::Info(info)));
            }
            Command::Peers => {
                let peers = self.by_node.values().filter_map(|id| self.peers.get(id));
                let peers = peers.cloned().collect();
                self.reply(call, Ok(Reply::Peers(peers)));
            }
            Command::Connect { node, address } => self.connect(call, node, address, now),
            Command::Disconnect { node } => self.disconnect(call, node),
            Command::Ping { node } => self.ping(call, node),
            Command::Message { node, bytes } => self.message(call, node, bytes),
            // Asked with more, the signer would take us for somebody who cannot speak.
            Command::Sign { message } if message.len() > signer::MESSAGE_BYTES_MAX => {
                let (got, max) = (message.len(), signer::MESSAGE_BYTES_MAX);
                self.reply(call, Err(Refusal::TooLong { got, max }));
            }
            Command::Sign { message } => {
                let ask = signer::Ask::SignMessage { message };
                self.ask_signer(ask, Some(call));
            }
            Command::Stop => {
                self.reply(call, Ok(Reply::Done));
                self.act(Effect::Stop);
            }
        }
        self.hear(now);
    }

    fn info(&self) -> Info {
        let (signer, sockets) = (self.signer, self.desk.is_up());
        let listening = self.desk.listening().to_vec();
        Info { node: self.state.node, listening, peers: self.by_node.len(), signer, sockets }
    }

    fn connect(&mut self, call: CallId, node: PublicKey, address: SocketAddr, now: Tick) {
        if self.state.node == Some(node) {
            return self.reply(call, Err(Refusal::Ourselves));
        }
        if let Some(peer) = self.peer(&node).cloned() {
            if self.state.wanted.get(&node) != Some(&address) {
                self.save(Change::Wanted { node, address }, None);
            }
            return self.reply(call, Ok(Reply::Peer(peer)));
        }
        if !self.desk.is_up() {
            let why = "the sockets cannot be reached".to_owned();
            return self.reply(call, Err(Refusal::Unavailable { why }));
        }
        self.abandon(&node).into_iter().flat_map(|each| each.calls).for_each(|before| {
            let why = "another call has taken its place".to_owned();
            let reply = Err(Refusal::Unavailable { why });
            self.steps.push_back(super::Step::Do(Effect::Reply { call: before, reply }));
        });
        self.try_again(node, address, now);
        if let Some(attempt) = self.tries.get_mut(&node) {
            attempt.calls.push(call);
        }
        self.dial_due(now);
    }

    fn disconnect(&mut self, call: CallId, node: PublicKey) {
        let attempt = self.abandon(&node);
        let peer = self.peer(&node).map(|peer| peer.connection);
        let wanted = self.state.wanted.contains_key(&node);
        if attempt.is_none() && peer.is_none() && !wanted {
            return self.reply(call, Err(Refusal::NotConnected { node }));
        }
        for waiting in attempt.into_iter().flat_map(|each| each.calls) {
            let why = "told to hang up meanwhile".to_owned();
            self.reply(waiting, Err(Refusal::Unavailable { why }));
        }
        if wanted {
            self.save(Change::Unwanted { node }, None);
        }
        if let Some(connection) = peer {
            // From here on it is not connected, though its end is still to be told.
            self.by_node.remove(&node);
            self.desk.ask(Ask::Close { connection });
        }
        self.reply(call, Ok(Reply::Done));
    }

    fn ping(&mut self, call: CallId, node: PublicKey) {
        let Some(connection) = self.peer(&node).map(|peer| peer.connection) else {
            return self.reply(call, Err(Refusal::NotConnected { node }));
        };
        match self.desk.ask(Ask::Ping { connection }) {
            Some(token) => {
                self.calls.pings.insert(token, call);
            }
            None => {
                let why = "the sockets cannot be reached".to_owned();
                self.reply(call, Err(Refusal::Unavailable { why }));
            }
        }
    }

    fn message(&mut self, call: CallId, node: PublicKey, bytes: Vec<u8>) {
        let (got, max) = (bytes.len(), noise::MESSAGE_BYTES_MAX);
        if got > max {
            return self.reply(call, Err(Refusal::TooLong { got, max }));
        }
        let Some(connection) = self.peer(&node).map(|peer| peer.connection) else {
            return self.reply(call, Err(Refusal::NotConnected { node }));
        };
        match self.desk.send(connection, bytes) {
            Ok(seq) => {
                self.calls.sends.insert((connection, seq), call);
            }
            Err(NotTaken::Unknown) => self.reply(call, Err(Refusal::NotConnected { node })),
            Err(NotTaken::Full { have, max }) => {
                self.reply(call, Err(Refusal::Busy { have, max }));
            }
        }
    }

    fn peer(&self, node: &PublicKey) -> Option<&PeerLine> {
        self.peers.get(self.by_node.get(node)?)
    }

    /// The holder has answered something that the desk does not deal with itself.
    pub(super) fn answered(&mut self, token: Token, answer: Option<Answer>, now: Tick) {
        if self.dial_answered(token, answer.as_ref(), now) {
            return;
        }
        let Some(call) = self.calls.pings.remove(&token) else { return };
        let reply = match answer {
            Some(Answer::Ponged { after }) => Ok(Reply::Pong { after }),
            Some(Answer::Refused(denial)) => Err(Refusal::Unavailable { why: denial.to_string() }),
            _ => Err(Refusal::Unavailable { why: "the sockets are gone".to_owned() }),
        };
        self.reply(call, reply);
    }

    /// The link to the signer is up.
    pub fn signer_came(&mut self) {
        self.signer = true;
        self.tell(Event::Signer { reachable: true });
        self.ask_signer(signer::Ask::NodeId, None);
    }

    /// The link to the signer is down.
    pub fn signer_went(&mut self) {
        self.signer = false;
        self.to_signer.clear();
        for (_, call) in std::mem::take(&mut self.calls.signs) {
            if let Some(call) = call {
                self.signer_is_away(call);
            }
        }
        self.tell(Event::Signer { reachable: false });
    }

    /// The signer has answered; nothing, if it has not understood or may not be asked that.
    pub fn signer_answered(&mut self, token: Token, answer: Option<signer::Answer>) {
        let Some(call) = self.calls.signs.remove(&token) else { return };
        match (call, answer) {
            (None, Some(signer::Answer::NodeId { node })) => self.named(node),
            (Some(call), Some(signer::Answer::Signed { signature })) => {
                self.reply(call, Ok(Reply::Signed(signature)));
            }
            (Some(call), Some(signer::Answer::Refused(refusal))) => {
                self.reply(call, Err(Refusal::Denied { why: refusal.to_string() }));
            }
            (Some(call), _) => {
                let why = "the signer does not do this for us".to_owned();
                self.reply(call, Err(Refusal::Denied { why }));
            }
            (None, _) => {}
        }
    }

    fn named(&mut self, got: PublicKey) {
        match self.state.node {
            None => self.save(Change::Named { node: got }, None),
            Some(want) if want != got => self.fail(Failure::OtherNode { got, want }),
            Some(_) => {}
        }
    }

    fn ask_signer(&mut self, ask: signer::Ask, call: Option<CallId>) {
        if !self.signer {
            if let Some(call) = call {
                self.signer_is_away(call);
            }
            return;
        }
        self.next_signer_token += 1;
        let token = Token(self.next_signer_token);
        self.calls.signs.insert(token, call);
        self.to_signer.push_back((token, ask));
    }

    fn signer_is_away(&mut self, call: CallId) {
        let why = "the signer cannot be reached".to_owned();
        self.reply(call, Err(Refusal::Unavailable { why }));
    }
}
