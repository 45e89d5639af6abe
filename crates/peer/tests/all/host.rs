//! A holder, the peers at the other ends of its wires, its key holder, and whoever asks it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use noise::{EphemeralKey, Exchange};
use peer::{
    Connection, Epoch, Malformed, Seq, Why,
    holder::{Answer, Ask, AskId, Denial, Effect, Event, Holder, Link},
};
use wire::{
    id::ConnectionId,
    tick::{Millis, Tick},
};

use crate::pair::{Side, key, terms};

/// The subscriber, as long as a test says nothing else.
pub const NODE: Link = Link(1);
/// Somebody who takes keys.
pub const CLIENT: Link = Link(2);
/// Its name for those that take over.
pub const INSTANCE: u64 = 77;
/// The key of the holder's node.
const OURS: u8 = 1;

pub struct Host {
    pub holder: Holder,
    pub now: Tick,
    pub peers: BTreeMap<ConnectionId, Side>,
    exchanges: BTreeMap<ConnectionId, Exchange>,
    /// Questions to the key holder are answered at once, unless this holds them.
    pub key_holder_sleeps: bool,
    pub unanswered: VecDeque<(ConnectionId, noise::Ask)>,
    pub answers: BTreeMap<(Link, AskId), Answer>,
    pub events: Vec<(Link, Event)>,
    pub closed: BTreeMap<ConnectionId, Why>,
    pub calls: Vec<ConnectionId>,
    /// Links that have no room.
    pub deaf: BTreeSet<Link>,
    /// Peers read nothing.
    pub peers_are_deaf: bool,
    last_ask: u64,
}

impl Host {
    /// Nobody subscribes, and the key holder is there.
    pub fn new(connections_max: usize) -> Self {
        let mut holder = Holder::new(terms(), INSTANCE, connections_max);
        holder.key_holder_came();
        Self {
            holder,
            now: Tick(1_000),
            peers: BTreeMap::new(),
            exchanges: BTreeMap::new(),
            key_holder_sleeps: false,
            unanswered: VecDeque::new(),
            answers: BTreeMap::new(),
            events: Vec::new(),
            closed: BTreeMap::new(),
            calls: Vec::new(),
            deaf: BTreeSet::new(),
            peers_are_deaf: false,
            last_ask: 0,
        }
    }

    /// One peer that is open, and a subscriber of epoch 1 that knows it.
    pub fn open() -> (Self, ConnectionId) {
        let mut host = Self::new(10);
        host.subscribe(NODE, 1).expect("the first");
        let id = host.peer(2);
        assert!(host.opened(NODE, id), "{:?}", host.events);
        host.events.clear();
        (host, id)
    }

    /// A subscriber, and a peer that has called: who it was, the key holder has still to say.
    pub fn unverified() -> (Self, ConnectionId) {
        let mut host = Self::new(10);
        host.subscribe(NODE, 1).expect("the first");
        host.key_holder_sleeps = true;
        let id = host.peer(2);
        let (_, respond) = host.unanswered.pop_front().expect("asked");
        let answer = host.key_holder_answers(id, respond);
        host.holder.answered(id, answer, host.now);
        host.run();
        (host, id)
    }

    /// Somebody with this key calls.
    pub fn peer(&mut self, byte: u8) -> ConnectionId {
        let address = "10.0.0.9:4000".parse().expect("an address");
        let id = self.holder.accepted(address, self.now);
        let remote = key(OURS).public();
        let side = Side::new(Connection::dial(remote, terms(), self.now), byte);
        self.peers.insert(id, side);
        self.run();
        if let Some(side) = self.peers.get_mut(&id) {
            side.connection.subscribe();
        }
        id
    }

    /// A call of the holder's is answered.
    pub fn answer_call(&mut self, id: ConnectionId, byte: u8) {
        let side = Side::new(Connection::accept(terms(), self.now), byte);
        self.peers.insert(id, side);
        self.holder.connected(id, self.now);
        self.run();
        if let Some(side) = self.peers.get_mut(&id) {
            side.connection.subscribe();
        }
    }

    pub fn ask_later(&mut self, link: Link, ask: Ask) -> AskId {
        self.last_ask += 1;
        let id = AskId(self.last_ask);
        self.holder.ask(link, id, ask, self.now);
        self.run();
        id
    }

    pub fn answer(&mut self, link: Link, id: AskId) -> Option<Answer> {
        self.answers.remove(&(link, id))
    }

    /// Asks what is answered at once.
    pub fn ask(&mut self, link: Link, ask: Ask) -> Answer {
        let id = self.ask_later(link, ask);
        self.answer(link, id).expect("answered at once")
    }

    /// Asks what is only done or refused.
    pub fn order(&mut self, link: Link, ask: Ask) -> Result<(), Denial> {
        match self.ask(link, ask) {
            Answer::Done => Ok(()),
            Answer::Refused(denial) => Err(denial),
            Answer::Subscribed { .. }
            | Answer::Dialing { .. }
            | Answer::Ponged { .. }
            | Answer::Listed(_)
            | Answer::Status(_) => panic!("an answer to another question"),
            Answer::Reclaimed(_) => Ok(()),
        }
    }

    pub fn subscribe(&mut self, link: Link, epoch: u64) -> Result<(), Denial> {
        match self.ask(link, Ask::Subscribe { epoch: Epoch(epoch) }) {
            Answer::Subscribed { holder, .. } => {
                assert_eq!(holder, INSTANCE);
                Ok(())
            }
            Answer::Refused(denial) => Err(denial),
            Answer::Done
            | Answer::Dialing { .. }
            | Answer::Ponged { .. }
            | Answer::Reclaimed(_)
            | Answer::Listed(_)
            | Answer::Status(_) => panic!("an answer to another question"),
        }
    }

    pub fn acknowledge(&mut self, link: Link, id: ConnectionId, seq: u64) -> Result<(), Denial> {
        self.order(link, Ask::Acknowledge { marks: vec![(id, Seq(seq))] })
    }

    /// A peer says something.
    pub fn hear(&mut self, id: ConnectionId, text: &str) {
        let peer = self.peers.get_mut(&id).expect("it is there");
        peer.note(text, self.now).expect("open");
        self.run();
    }

    /// Whether a link was told that a connection can be used.
    pub fn opened(&self, link: Link, id: ConnectionId) -> bool {
        self.events.iter().any(|(to, event)| {
            *to == link && matches!(event, Event::Opened(opened) if opened.connection == id)
        })
    }

    /// The notes that a link was told, with their numbers.
    pub fn notes(&self, link: Link) -> Vec<(u64, String)> {
        let told = self.events.iter().filter(|(to, _)| *to == link);
        told.filter_map(|(_, event)| match event {
            Event::Message { seq, bytes, .. } => {
                Some((seq.0, String::from_utf8_lossy(&bytes[2..]).into_owned()))
            }
            Event::Opened(_)
            | Event::Caught
            | Event::Complaint { .. }
            | Event::Closed { .. }
            | Event::Tunnel { .. } => None,
        })
        .collect()
    }

    /// The ciphertext that a link was told, which must be without a gap.
    pub fn tunnelled(&mut self, link: Link, from: u64) -> Vec<u8> {
        let mut all = Vec::new();
        for (to, event) in &self.events {
            if let Event::Tunnel { offset, bytes, .. } = event
                && *to == link
            {
                assert_eq!(*offset, from + all.len() as u64, "without a gap");
                all.extend(bytes);
            }
        }
        self.events.retain(|(to, _)| *to != link);
        all
    }

    pub fn key_holder_answers(&mut self, id: ConnectionId, ask: noise::Ask) -> noise::Answer {
        let exchange = self.exchanges.entry(id).or_default();
        let draw = || EphemeralKey::take(&mut [0x33; 32]).expect("a key");
        exchange.answer(ask, &key(OURS), draw)
    }

    /// The key holder answers all that waits.
    pub fn wake_key_holder(&mut self) {
        self.key_holder_sleeps = false;
        while let Some((id, ask)) = self.unanswered.pop_front() {
            let answer = self.key_holder_answers(id, ask);
            self.holder.answered(id, answer, self.now);
        }
        self.run();
    }

    /// Does all there is to do.
    pub fn run(&mut self) {
        loop {
            let mut moved = false;
            while let Some(effect) = self.holder.poll() {
                self.perform(effect);
                moved = true;
            }
            let deaf = &self.deaf;
            if let Some(told) = self.holder.next_event(|link: Link| !deaf.contains(&link)) {
                self.events.push(told);
                moved = true;
            }
            moved |= self.carry();
            if !moved {
                return;
            }
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Connect { connection, .. } => self.calls.push(connection),
            Effect::Write { connection, bytes } => {
                assert!(!self.closed.contains_key(&connection), "nothing follows a close");
                let Some(peer) = self.peers.get_mut(&connection) else { return };
                if !self.peers_are_deaf {
                    peer.connection.handle_bytes(&bytes, self.now);
                    self.holder.written(connection, bytes.len(), self.now);
                }
            }
            Effect::Close { connection, why } => {
                self.closed.insert(connection, why);
                if let Some(mut peer) = self.peers.remove(&connection) {
                    peer.connection.handle_closed();
                }
            }
            Effect::AskKeyHolder { connection, ask } if self.key_holder_sleeps => {
                self.unanswered.push_back((connection, ask));
            }
            Effect::AskKeyHolder { connection, ask } => {
                let answer = self.key_holder_answers(connection, ask);
                self.holder.answered(connection, answer, self.now);
            }
            Effect::Forget { connection } => drop(self.exchanges.remove(&connection)),
            Effect::Answer { link, id, answer } => {
                let before = self.answers.insert((link, id), answer);
                assert!(before.is_none(), "one answer for each question");
            }
        }
    }

    fn carry(&mut self) -> bool {
        let mut moved = false;
        for (id, peer) in &mut self.peers {
            peer.run(self.now);
            if peer.closed.is_some() && peer.wire.is_empty() {
                self.holder.closed(*id, self.now);
                moved = true;
            }
            if peer.wire.is_empty() || !self.holder.wants_bytes(*id, self.now) {
                continue;
            }
            let bytes: Vec<u8> = peer.wire.drain(..peer.wire.len().min(40_000)).collect();
            self.holder.bytes(*id, &bytes, self.now);
            peer.connection.handle_written(bytes.len(), self.now);
            moved = true;
        }
        moved
    }

    /// Lets time pass; everybody is woken when it is due.
    pub fn pass(&mut self, span: Millis) {
        let end = self.now + span;
        while self.now < end {
            let peers = self.peers.values().filter_map(|peer| peer.connection.wake_at(self.now));
            let next = peers.chain(self.holder.wake_at()).min().unwrap_or(end);
            self.now = next.clamp(self.now + Millis(1), end);
            self.holder.wake(self.now);
            for peer in self.peers.values_mut() {
                peer.connection.handle_wake(self.now);
            }
            self.run();
        }
    }

    /// Ends the holder, and gives its bytes.
    pub fn freeze(&mut self) -> Vec<u8> {
        self.holder.end_unsettled(self.now);
        self.run();
        let holder = std::mem::replace(&mut self.holder, Holder::new(terms(), 0, 0));
        holder.freeze().bytes.to_vec()
    }

    /// Another process takes over; all links must be made anew.
    pub fn hand_over(&mut self) -> Result<Vec<ConnectionId>, Malformed> {
        let bytes = self.freeze();
        let (holder, connections) = Holder::thaw(&bytes, terms(), 10, self.now)?;
        self.holder = holder;
        self.holder.key_holder_came();
        self.run();
        Ok(connections)
    }
}
