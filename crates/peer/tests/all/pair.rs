//! Two connections, the wires between them, their key holders and a clock.

use std::collections::VecDeque;

use noise::{Answer, Ask, EphemeralKey, Exchange, IdentityKey};
use peer::{Connection, Effect, Event, OutSeq, Refusal, Terms, Why};
use wire::{
    Message, Network, Unnamed, custom,
    features::{Feature, Features},
    id::ChainHash,
    tick::{Millis, Tick},
};

/// The type of message that tests route.
pub const NOTE: u16 = custom::NOTE.first;

pub struct Side {
    pub connection: Connection,
    key: IdentityKey,
    exchange: Exchange,
    /// Questions are answered at once, unless this holds them.
    pub key_holder_sleeps: bool,
    pub unanswered: VecDeque<Ask>,
    pub wire: Vec<u8>,
    pub events: Vec<Event>,
    pub tunnelled: Vec<(u64, Vec<u8>)>,
    pub closed: Option<Why>,
    sent: u64,
}

pub struct Pair {
    pub a: Side,
    pub b: Side,
    pub now: Tick,
    /// Bytes that arrive at once.
    pub piece: usize,
}

pub fn terms() -> Terms {
    Terms {
        features: Features::optional(&[Feature::Anchors, Feature::ScidAlias]),
        networks: vec![ChainHash::of(Network::Regtest)],
        routed: vec![NOTE..=NOTE],
        custom: false,
    }
}

pub fn key(byte: u8) -> IdentityKey {
    IdentityKey::take(&mut [byte; 32]).expect("small repeated bytes are a key")
}

impl Side {
    pub fn new(connection: Connection, byte: u8) -> Self {
        Self {
            connection,
            key: key(byte),
            exchange: Exchange::new(),
            key_holder_sleeps: false,
            unanswered: VecDeque::new(),
            wire: Vec::new(),
            events: Vec::new(),
            tunnelled: Vec::new(),
            closed: None,
            sent: 0,
        }
    }

    /// Does what the connection wants done.
    pub fn run(&mut self, now: Tick) {
        while let Some(effect) = self.connection.poll() {
            assert!(self.closed.is_none(), "nothing follows a close");
            match effect {
                Effect::Ask(ask) if self.key_holder_sleeps => self.unanswered.push_back(ask),
                Effect::Ask(ask) => {
                    let answer = self.answer(ask);
                    self.connection.handle_answer(answer, now);
                }
                Effect::Write(bytes) => self.wire.extend(bytes),
                Effect::Tunnel { offset, bytes } => self.tunnelled.push((offset, bytes)),
                Effect::Tell(event) => self.events.push(event),
                Effect::Close(why) => self.closed = Some(why),
            }
        }
    }

    pub fn answer(&mut self, ask: Ask) -> Answer {
        let byte = self.key.public().serialize()[32] | 1;
        self.exchange.answer(ask, &self.key, || {
            EphemeralKey::take(&mut [byte; 32]).expect("small repeated bytes are a key")
        })
    }

    pub fn wake_key_holder(&mut self, now: Tick) {
        self.key_holder_sleeps = false;
        while let Some(ask) = self.unanswered.pop_front() {
            let answer = self.answer(ask);
            self.connection.handle_answer(answer, now);
            self.run(now);
        }
    }

    /// Sends the owner's next note.
    pub fn note(&mut self, text: &str, now: Tick) -> Result<(), Refusal> {
        let note = Unnamed::new(NOTE, text.into()).expect("odd");
        self.say(&Message::Unknown(note), now)
    }

    pub fn say(&mut self, message: &Message, now: Tick) -> Result<(), Refusal> {
        self.bytes(&message.encode().expect("it fits"), now)
    }

    pub fn bytes(&mut self, message: &[u8], now: Tick) -> Result<(), Refusal> {
        let (epoch, seq) = (self.connection.epoch(), OutSeq(self.sent + 1));
        self.connection.send(epoch, seq, message, now)?;
        self.sent += 1;
        Ok(())
    }

    /// A new owner counts from 1.
    pub fn count_anew(&mut self) {
        self.sent = 0;
    }

    pub fn notes(&self) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(&bytes[2..]).into_owned();
        let notes = self.events.iter().filter_map(|event| match event {
            Event::Message { bytes, .. } => Some(text(bytes)),
            Event::Ready { .. }
            | Event::Warning { .. }
            | Event::Error { .. }
            | Event::Pong { .. }
            | Event::Verified => None,
        });
        notes.collect()
    }

    pub fn is_ready(&self) -> bool {
        self.events.iter().any(|event| matches!(event, Event::Ready { .. }))
    }
}

impl Pair {
    /// A calls B; nothing has been sent.
    pub fn new(a: Terms, b: Terms) -> Self {
        let now = Tick(1_000);
        let remote = key(2).public();
        let a = Side::new(Connection::dial(remote, a, now), 1);
        let b = Side::new(Connection::accept(b, now), 2);
        Self { a, b, now, piece: usize::MAX }
    }

    /// Two ends that are ready, and subscribed.
    pub fn open() -> Self {
        let mut pair = Self::new(terms(), terms());
        pair.run();
        assert!(pair.a.is_ready() && pair.b.is_ready());
        pair.a.connection.subscribe();
        pair.b.connection.subscribe();
        pair.run();
        pair.a.events.clear();
        pair.b.events.clear();
        pair
    }

    /// Carries bytes to and fro until nothing moves.
    pub fn run(&mut self) {
        loop {
            self.a.run(self.now);
            self.b.run(self.now);
            let moved = carry(&mut self.a, &mut self.b, self.piece, self.now)
                | carry(&mut self.b, &mut self.a, self.piece, self.now);
            if !moved {
                return;
            }
        }
    }

    /// Lets time pass, waking each side when it wants to be woken.
    pub fn pass(&mut self, span: Millis) {
        let end = self.now + span;
        loop {
            let wakes = [&self.a, &self.b].map(|side| side.connection.wake_at(self.now));
            let next = wakes.into_iter().flatten().min().filter(|at| *at <= end);
            let Some(at) = next else { break };
            assert!(at >= self.now || at == self.now, "nothing is due in the past");
            self.now = at.max(self.now + Millis(1)).min(end);
            self.a.connection.handle_wake(self.now);
            self.b.connection.handle_wake(self.now);
            self.run();
            if self.now == end {
                return;
            }
        }
        self.now = end;
    }
}

fn carry(from: &mut Side, to: &mut Side, piece: usize, now: Tick) -> bool {
    let bytes = std::mem::take(&mut from.wire);
    if to.closed.is_some() || !to.connection.wants_bytes(now) {
        from.wire = bytes;
        return false;
    }
    for piece in bytes.chunks(piece.max(1)) {
        to.connection.handle_bytes(piece, now);
        to.run(now);
    }
    from.connection.handle_written(bytes.len(), now);
    !bytes.is_empty()
}
