//! Many connections in one place: who holds sockets, and has neither key nor database.
//!
//! Poll shape. The shell gives what happened by methods that take `now`, does the effects of
//! [`Holder::poll`], passes on the events of [`Holder::next_event`] as long as their link has room,
//! and comes back at [`Holder::wake_at`].

mod api;
mod asks;
mod codec;
mod events;
mod frozen;

use core::net::SocketAddr;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use noise::PublicKey;
use wire::{id::ConnectionId, tick::Tick};

use crate::{
    api::{self as single, Epoch, Why},
    connection::{Connection, Terms},
    limits::{CONNECT_MAX, HANDSHAKE_MAX, HANDSHAKES_MAX, KEY_HOLDER_AWAY_MAX, TUNNEL_ALONE_MAX},
};

pub use api::{Answer, Ask, AskId, Denial, Event, Link, Opened, Status, Summary};
pub use codec::topic;
pub use events::Room;
pub use frozen::{FROZEN_VERSION, Frozen};

/// What the shell is to do, in order.
pub enum Effect {
    /// Call this address; then [`Holder::connected`] or [`Holder::closed`].
    Connect {
        /// The connection it will be.
        connection: ConnectionId,
        /// Where.
        address: SocketAddr,
    },
    /// Write to a connection's socket, behind what was there; then [`Holder::written`].
    Write {
        /// Whose.
        connection: ConnectionId,
        /// Ciphertext, or an act.
        bytes: Vec<u8>,
    },
    /// Close a socket once everything before is written. Nothing follows for this connection.
    Close {
        /// Whose.
        connection: ConnectionId,
        /// Why, for the log.
        why: Why,
    },
    /// Ask the key holder; the answer goes to [`Holder::answered`].
    AskKeyHolder {
        /// For whom.
        connection: ConnectionId,
        /// What.
        ask: noise::Ask,
    },
    /// The key holder may forget this handshake.
    Forget {
        /// Whose.
        connection: ConnectionId,
    },
    /// Answer a question.
    Answer {
        /// To whom.
        link: Link,
        /// To which.
        id: AskId,
        /// With this.
        answer: Answer,
    },
}

/// Holds connections.
pub struct Holder {
    terms: Arc<Terms>,
    /// Names this holder, and those that take over from it.
    instance: u64,
    connections_max: usize,
    listening: Vec<SocketAddr>,
    last: ConnectionId,
    calls: BTreeMap<ConnectionId, Call>,
    connections: BTreeMap<ConnectionId, Box<Entry>>,
    /// Connections that are over, of which the subscriber has not heard all.
    gone: BTreeMap<ConnectionId, VecDeque<Event>>,
    /// What is told to whoever has the keys of a connection, and who that is.
    clients: BTreeMap<ConnectionId, Client>,
    pings: BTreeMap<ConnectionId, Vec<(Link, AskId)>>,
    /// Tunnels whose clients have gone, and when.
    alone: BTreeMap<ConnectionId, Tick>,
    wakes: BTreeSet<(Tick, ConnectionId)>,
    /// Questions to the key holder that have no answer yet.
    asks: BTreeMap<ConnectionId, Asked>,
    key_holder: bool,
    subscriber: Option<Subscriber>,
    /// The highest epoch of any subscriber.
    epoch: Epoch,
    due: VecDeque<Due>,
    handshakes: usize,
    effects: VecDeque<Effect>,
}

/// A call on its way.
struct Call {
    to: Callee,
    address: SocketAddr,
    until: Tick,
}

enum Callee {
    Node(PublicKey),
    Tunnel { link: Link, epoch: Epoch },
}

struct Entry {
    connection: Connection,
    address: SocketAddr,
    outbound: bool,
    shaking: bool,
    /// A client brought it, or took it over once: nobody else sends over it.
    of_client: bool,
    /// Whether the subscriber has been told that it is open.
    told: bool,
    /// Whether it stands in `due`.
    due: bool,
    /// When it is to be woken; it stands in `wakes` then.
    wake: Option<Tick>,
    /// What the subscriber is to be told before its mail.
    pending: events::Pending,
}

struct Client {
    link: Link,
    pending: VecDeque<Event>,
    /// The end of the ciphertext that it has been told.
    told: u64,
}

struct Subscriber {
    link: Link,
}

enum Due {
    Connection(ConnectionId),
    Gone(ConnectionId),
    Caught,
}

struct Asked {
    ask: noise::Ask,
    sent: bool,
    since: Tick,
}

impl Holder {
    /// Holds nothing yet. `instance` is drawn at random, so that no two holders share it.
    pub fn new(terms: Terms, instance: u64, connections_max: usize) -> Self {
        Self {
            terms: Arc::new(terms),
            instance,
            connections_max,
            listening: Vec::new(),
            last: ConnectionId(0),
            calls: BTreeMap::new(),
            connections: BTreeMap::new(),
            gone: BTreeMap::new(),
            clients: BTreeMap::new(),
            pings: BTreeMap::new(),
            alone: BTreeMap::new(),
            wakes: BTreeSet::new(),
            asks: BTreeMap::new(),
            key_holder: false,
            subscriber: None,
            epoch: Epoch(0),
            due: VecDeque::new(),
            handshakes: 0,
            effects: VecDeque::new(),
        }
    }

    /// Where peers can call, for whoever asks.
    pub fn listening_at(&mut self, addresses: Vec<SocketAddr>) {
        self.listening = addresses;
    }

    /// What to do next, in order.
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to call [`Holder::wake`] at the latest.
    pub fn wake_at(&self) -> Option<Tick> {
        let call = self.calls.values().map(|call| call.until).min();
        let ask = self.asks.values().filter_map(Asked::until).min();
        let wake = self.wakes.first().map(|(at, _)| *at);
        let alone = self.alone.values().map(|since| *since + TUNNEL_ALONE_MAX).min();
        [call, ask, wake, alone].into_iter().flatten().min()
    }

    /// Whether one more peer may connect at present.
    pub fn has_room(&self) -> bool {
        self.handshakes < HANDSHAKES_MAX && self.size() < self.connections_max
    }

    /// Connections in any state, those included of which somebody must still hear.
    pub fn size(&self) -> usize {
        self.connections.len() + self.calls.len() + self.gone.len()
    }

    /// Somebody has connected.
    pub fn accepted(&mut self, address: SocketAddr, now: Tick) -> ConnectionId {
        let id = self.next_id();
        let connection = Connection::accept(Arc::clone(&self.terms), now);
        self.admit(id, connection, address, false, now);
        id
    }

    /// A call has been answered.
    pub fn connected(&mut self, id: ConnectionId, now: Tick) {
        let Some(call) = self.calls.remove(&id) else { return };
        let terms = Arc::clone(&self.terms);
        let connection = match call.to {
            Callee::Node(remote) => Connection::dial(remote, terms, now),
            Callee::Tunnel { link, epoch } => {
                self.clients.insert(id, Client::new(link, 0));
                Connection::tunnel(epoch, terms)
            }
        };
        self.admit(id, connection, call.address, true, now);
    }

    /// A socket has taken so many bytes.
    pub fn written(&mut self, id: ConnectionId, bytes: usize, now: Tick) {
        self.touch(id, now, |connection| connection.handle_written(bytes, now));
    }

    /// A socket had bytes.
    pub fn bytes(&mut self, id: ConnectionId, bytes: &[u8], now: Tick) {
        self.touch(id, now, |connection| connection.handle_bytes(bytes, now));
    }

    /// A call has failed, for this reason.
    pub fn call_refused(&mut self, id: ConnectionId, reason: String) {
        if let Some(call) = self.calls.remove(&id) {
            self.call_failed(id, &call, Why::Unreachable { reason });
        }
    }

    /// A socket is gone.
    pub fn closed(&mut self, id: ConnectionId, now: Tick) {
        self.touch(id, now, Connection::handle_closed);
    }

    /// Whether a socket should be read at present.
    pub fn wants_bytes(&self, id: ConnectionId, now: Tick) -> bool {
        self.connections.get(&id).is_some_and(|entry| entry.connection.wants_bytes(now))
    }

    /// The key holder has answered.
    pub fn answered(&mut self, id: ConnectionId, answer: noise::Answer, now: Tick) {
        if self.asks.remove(&id).is_none() {
            return;
        }
        self.touch(id, now, |connection| connection.handle_answer(answer, now));
        let entry = self.connections.get(&id);
        if entry.is_some_and(|entry| entry.connection.waits_for_verdict())
            && !self.asks.contains_key(&id)
        {
            // It was an answer to something else, and there will be no other.
            let why = Why::Noise(noise::Fault::Denied);
            self.touch(id, now, |connection| connection.close_because(why));
        }
    }

    /// The key holder can be reached: whatever waited is asked.
    pub fn key_holder_came(&mut self) {
        self.key_holder = true;
        for (id, asked) in &mut self.asks {
            asked.sent = true;
            self.effects.push_back(Effect::AskKeyHolder { connection: *id, ask: asked.ask });
        }
    }

    /// The key holder cannot be reached, and has forgotten what was under way. First steps can be
    /// asked again, since no peer has seen an answer; others cannot.
    pub fn key_holder_went(&mut self, now: Tick) {
        self.key_holder = false;
        let mut lost = Vec::new();
        for (id, asked) in self.asks.iter_mut().filter(|(_, asked)| asked.sent) {
            match asked.ask {
                noise::Ask::Dial { .. } | noise::Ask::Respond { .. } => {
                    (asked.sent, asked.since) = (false, now);
                }
                noise::Ask::Finish { .. } | noise::Ask::Verify { .. } => lost.push(*id),
            }
        }
        // Handshakes that it was to finish, too.
        let begun = self.connections.iter().filter(|(_, entry)| entry.connection.is_begun());
        lost.extend(begun.map(|(id, _)| *id).filter(|id| !self.asks.contains_key(id)));
        for id in lost {
            self.touch(id, now, |connection| connection.close_because(Why::KeyHolderAway));
        }
    }

    /// A link is gone, and with it who listened there.
    pub fn link_went(&mut self, link: Link, now: Tick) {
        if self.subscriber.as_ref().is_some_and(|subscriber| subscriber.link == link) {
            self.unsubscribe();
        }
        let left = self.clients.extract_if(.., |_, client| client.link == link);
        let left: Vec<ConnectionId> = left.map(|(id, _)| id).collect();
        let tunnels = left.into_iter().filter(|id| {
            self.connections.get(id).is_some_and(|entry| entry.connection.is_tunnel())
        });
        self.alone.extend(tunnels.map(|id| (id, now)));
        let of_link =
            |call: &Call| matches!(call.to, Callee::Tunnel { link: of, .. } if of == link);
        for (id, _) in self.calls.extract_if(.., |_, call| of_link(call)) {
            self.effects.push_back(Effect::Close { connection: id, why: Why::Local });
        }
        for waiting in self.pings.values_mut() {
            waiting.retain(|(who, _)| *who != link);
        }
    }

    /// Time has passed.
    pub fn wake(&mut self, now: Tick) {
        while let Some((at, id)) = self.wakes.first().copied()
            && at <= now
        {
            self.wakes.pop_first();
            if let Some(entry) = self.connections.get_mut(&id) {
                entry.wake = None;
            }
            self.touch(id, now, |connection| connection.handle_wake(now));
        }
        let late = |until: Option<Tick>| until.is_some_and(|until| until <= now);
        let asks = self.asks.iter().filter(|(_, asked)| late(asked.until()));
        for id in asks.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.touch(id, now, |connection| connection.close_because(Why::KeyHolderAway));
        }
        let alone = self.alone.iter().filter(|(_, since)| **since + TUNNEL_ALONE_MAX <= now);
        for id in alone.map(|(id, _)| *id).collect::<Vec<_>>() {
            let why = Why::TimedOut { what: "client", max: TUNNEL_ALONE_MAX };
            self.touch(id, now, |connection| connection.close_because(why));
        }
        let calls = self.calls.iter().filter(|(_, call)| call.until <= now);
        for id in calls.map(|(id, _)| *id).collect::<Vec<_>>() {
            let call = self.calls.remove(&id).expect("found above");
            let why = Why::TimedOut { what: "connection", max: CONNECT_MAX };
            self.effects.push_back(Effect::Close { connection: id, why: why.clone() });
            self.call_failed(id, &call, why);
        }
    }

    const fn next_id(&mut self) -> ConnectionId {
        self.last = ConnectionId(self.last.0 + 1);
        self.last
    }

    fn admit(
        &mut self,
        id: ConnectionId,
        connection: Connection,
        address: SocketAddr,
        outbound: bool,
        now: Tick,
    ) {
        let entry = Entry {
            connection,
            address,
            outbound,
            shaking: false,
            of_client: self.clients.contains_key(&id),
            told: false,
            due: false,
            wake: None,
            pending: events::Pending::default(),
        };
        self.connections.insert(id, Box::new(entry));
        self.touch(id, now, |_| {});
    }

    /// Does something to a connection, and then all that follows from it.
    /// Nothing, if there is no such connection.
    fn touch<T>(
        &mut self,
        id: ConnectionId,
        now: Tick,
        act: impl FnOnce(&mut Connection) -> T,
    ) -> Option<T> {
        let entry = self.connections.get_mut(&id)?;
        let done = act(&mut entry.connection);
        while let Some(effect) =
            self.connections.get_mut(&id).and_then(|entry| entry.connection.poll_without_mail())
        {
            self.follow(id, effect, now);
        }
        self.settle(id, now);
        Some(done)
    }

    fn follow(&mut self, id: ConnectionId, effect: single::Effect, now: Tick) {
        match effect {
            single::Effect::Ask(ask) => {
                self.asks.insert(id, Asked { ask, sent: self.key_holder, since: now });
                if self.key_holder {
                    self.effects.push_back(Effect::AskKeyHolder { connection: id, ask });
                }
            }
            single::Effect::Write(bytes) => {
                self.effects.push_back(Effect::Write { connection: id, bytes });
            }
            single::Effect::Tunnel { offset, bytes } => {
                if let Some(client) = self.clients.get_mut(&id) {
                    client.pending.push_back(Event::Tunnel { connection: id, offset, bytes });
                }
            }
            single::Effect::Tell(event) => self.heard(id, event),
            single::Effect::Close(why) => self.over(id, why),
        }
    }

    /// Books what has changed about a connection.
    fn settle(&mut self, id: ConnectionId, now: Tick) {
        let Some(entry) = self.connections.get_mut(&id) else { return };
        let shaking = entry.connection.is_shaking();
        self.handshakes += usize::from(shaking);
        self.handshakes -= usize::from(entry.shaking);
        entry.shaking = shaking;
        // A wake that comes too early does no harm, and is set anew then.
        if let Some(at) = entry.connection.wake_at(now)
            && entry.wake.is_none_or(|set| at < set)
        {
            if let Some(set) = entry.wake.replace(at) {
                self.wakes.remove(&(set, id));
            }
            self.wakes.insert((at, id));
        }
        self.claim_if_open(id);
        self.note_due(id);
    }

    /// The connection is over.
    fn over(&mut self, id: ConnectionId, why: Why) {
        let Some(entry) = self.connections.remove(&id) else { return };
        if let Some(at) = entry.wake {
            self.wakes.remove(&(at, id));
        }
        self.handshakes -= usize::from(entry.shaking);
        let asked = self.asks.remove(&id).is_some_and(|asked| asked.sent);
        if asked || entry.shaking {
            self.effects.push_back(Effect::Forget { connection: id });
        }
        self.alone.remove(&id);
        self.refuse_pings(id);
        self.effects.push_back(Effect::Close { connection: id, why: why.clone() });
        self.tell_end(id, *entry, &why);
    }

    fn call_failed(&mut self, id: ConnectionId, call: &Call, why: Why) {
        let link = match call.to {
            Callee::Tunnel { link, .. } => Some(link),
            Callee::Node(_) => None,
        };
        self.tell_failed_call(id, link, &why);
    }
}

impl Client {
    /// A client that has read the ciphertext up to here.
    const fn new(link: Link, told: u64) -> Self {
        Self { link, pending: VecDeque::new(), told }
    }
}

impl Asked {
    /// Until when it waits: for a key holder that is away, or for its word on who connected. What
    /// else is asked ends with the handshake's own time.
    fn until(&self) -> Option<Tick> {
        match (self.sent, &self.ask) {
            (false, _) => Some(self.since + KEY_HOLDER_AWAY_MAX),
            (true, noise::Ask::Verify { .. }) => Some(self.since + HANDSHAKE_MAX),
            (true, _) => None,
        }
    }
}
