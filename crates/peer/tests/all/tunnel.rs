//! The keys change hands: between us and a client, at any byte, with exactly one owner.

use noise::{Effect as NoiseEffect, PublicKey, Reader, Responder, Transport, TransportState};
use peer::{Connection, Delegation, Epoch, Event, OutSeq, Refusal, Seq, limits};
use wire::{Body as _, Init, Message, Unnamed, dice::Dice, features::Features, tick::Tick};

use crate::pair::{NOTE, Pair, Side, key, terms};

/// A stand-in for a whole peer: it shakes hands by itself and says what it is told.
pub struct Script {
    transport: Transport,
}

impl Script {
    /// Plays B against `pair.a`, whose first act is on the wire.
    pub fn answering(pair: &mut Pair) -> Self {
        let mut core = Responder::new();
        let act1 = std::mem::take(&mut pair.a.wire);
        core.handle_bytes(&act1).expect("act one");
        let mut done = None;
        while done.is_none() {
            while let Some(effect) = core.poll() {
                match effect {
                    NoiseEffect::Ask(ask) => {
                        core.handle_answer(pair.b.answer(ask)).expect("asked for");
                    }
                    NoiseEffect::Send(act) => {
                        pair.a.connection.handle_bytes(act.bytes(), pair.now);
                    }
                    NoiseEffect::Done { transport, .. } => done = Some(transport),
                }
            }
            pair.a.run(pair.now);
            let rest = std::mem::take(&mut pair.a.wire);
            core.handle_bytes(&rest).expect("act three");
        }
        Self { transport: done.expect("the loop ends with it").into() }
    }

    pub fn say(&mut self, pair: &mut Pair, message: &Message) {
        let mut record = Vec::new();
        self.transport.encrypt(&message.encode().expect("short"), &mut record).expect("short");
        pair.a.connection.handle_bytes(&record, pair.now);
    }
}

/// A client with a key of its own, a host that has its socket, and the peer at the other end.
struct World {
    now: Tick,
    host: Side,
    peer: Side,
    /// The transport, while the client has it.
    keys: Option<(Transport, Reader)>,
    epoch: u64,
    /// Ciphertext that the client has decrypted, and that it has sent.
    read: u64,
    written: u64,
    init: Option<Box<Init>>,
    heard: Vec<String>,
}

impl World {
    /// The client dials through the host; both `init`s are through in the end.
    fn new() -> Self {
        let now = Tick(5);
        let mut world = Self {
            now,
            host: Side::new(Connection::tunnel(Epoch(1), terms()), 1),
            peer: Side::new(Connection::accept(terms(), now), 2),
            keys: None,
            epoch: 1,
            read: 0,
            written: 0,
            init: None,
            heard: Vec::new(),
        };
        world.shake_hands();
        world.say(&Init::offering(Features::NONE).into());
        world.run();
        assert!(world.peer.is_ready() && world.init.is_some());
        world.peer.connection.subscribe();
        world
    }

    fn shake_hands(&mut self) {
        let mut core = noise::Initiator::new(Self::remote());
        while self.keys.is_none() {
            while let Some(effect) = core.poll() {
                match effect {
                    NoiseEffect::Ask(ask) => {
                        core.handle_answer(self.host.answer(ask)).expect("asked for");
                    }
                    NoiseEffect::Send(act) => self.pass(act.bytes()),
                    NoiseEffect::Done { transport, .. } => {
                        self.keys = Some((transport.into(), Reader::new()));
                    }
                }
            }
            self.carry();
            if self.keys.is_none() {
                let bytes = self.take_tunnelled();
                let taken = core.handle_bytes(&bytes).expect("act two");
                assert_eq!(taken, bytes.len(), "the responder waits for act three");
                self.read += taken as u64;
            }
        }
    }

    fn remote() -> PublicKey {
        key(2).public()
    }

    fn pass(&mut self, bytes: &[u8]) {
        let epoch = Epoch(self.epoch);
        self.host.connection.pass(epoch, self.written, bytes).expect("ours, and next");
        self.written += bytes.len() as u64;
    }

    fn say(&mut self, message: &Message) {
        let (transport, _) = self.keys.as_mut().expect("the client has the keys");
        let mut record = Vec::new();
        transport.encrypt(&message.encode().expect("short"), &mut record).expect("short");
        self.pass(&record);
    }

    /// Says a note, whoever has the keys.
    fn note(&mut self, text: &str) {
        match self.keys {
            None => self.host.note(text, self.now).expect("delegated"),
            Some(_) => {
                self.say(&Unnamed::new(NOTE, text.into()).map(Message::Unknown).expect("odd"))
            }
        }
    }

    /// Moves bytes between host and peer.
    fn carry(&mut self) {
        loop {
            self.host.run(self.now);
            self.peer.run(self.now);
            let (there, back) =
                (std::mem::take(&mut self.host.wire), std::mem::take(&mut self.peer.wire));
            if there.is_empty() && back.is_empty() {
                return;
            }
            self.peer.connection.handle_bytes(&there, self.now);
            self.host.connection.handle_written(there.len(), self.now);
            self.host.connection.handle_bytes(&back, self.now);
            self.peer.connection.handle_written(back.len(), self.now);
        }
    }

    fn take_tunnelled(&mut self) -> Vec<u8> {
        let mut next = self.read;
        let mut all = Vec::new();
        for (offset, bytes) in self.host.tunnelled.drain(..) {
            assert_eq!(offset, next, "nothing is missing and nothing comes twice");
            next += bytes.len() as u64;
            all.extend(bytes);
        }
        all
    }

    /// Moves bytes, and lets the client read at most `most` of what came through the tunnel.
    fn run_some(&mut self, most: usize) {
        self.carry();
        let bytes = self.take_tunnelled();
        let Some((transport, reader)) = &mut self.keys else {
            assert!(bytes.is_empty(), "nothing is tunnelled while the host has the keys");
            return;
        };
        let mut input = &bytes[..most.min(bytes.len())];
        let taken = input.len() as u64;
        while !input.is_empty() {
            let Some(plaintext) = reader.read(transport, &mut input).expect("true bytes") else {
                continue;
            };
            if plaintext[..2] == Init::TYPE.to_be_bytes() {
                self.init = Some(Box::new(Init::read_body(&plaintext[2..]).expect("an init")));
            } else {
                self.heard.push(String::from_utf8_lossy(&plaintext[2..]).into_owned());
            }
        }
        self.read += taken;
        let whole = self.read - reader.unread().len() as u64;
        // What the client did not take stays with the host, which sends it again.
        self.host.connection.attach(Epoch(self.epoch), self.read).expect("kept");
        self.host.connection.credit(Epoch(self.epoch), whole, self.now).expect("the owner");
    }

    fn run(&mut self) {
        self.run_some(usize::MAX);
        self.run_some(usize::MAX);
    }

    fn delegation(&mut self) -> Delegation {
        let (transport, reader) = self.keys.take().expect("the client has the keys");
        Delegation {
            epoch: Epoch(self.epoch + 1),
            remote: Self::remote(),
            state: transport.into_state().expect("it lives"),
            rx_offset: self.read - reader.unread().len() as u64,
            tx_offset: self.written,
            init: self.init.clone(),
        }
    }

    /// The client goes away; the host goes on in its name.
    fn delegate(&mut self) {
        self.host.run(self.now);
        self.host.tunnelled.clear();
        let delegation = self.delegation();
        assert_eq!(self.host.connection.delegate(delegation, self.now), Ok(()));
        self.epoch += 1;
        self.host.count_anew();
        self.host.connection.subscribe();
    }

    /// The client is back and takes the keys.
    fn reclaim(&mut self) {
        self.host.run(self.now);
        self.heard.extend(self.host.notes());
        self.host.events.clear();
        let reclaimed = self.host.connection.reclaim(Epoch(self.epoch + 1)).expect("delegated");
        self.epoch += 1;
        (self.read, self.written) = (reclaimed.rx_offset, reclaimed.tx_offset);
        self.keys = Some((reclaimed.state.into(), Reader::new()));
    }
}

#[test]
fn a_client_talks_through_its_host() {
    let mut world = World::new();
    world.note("from the client");
    world.peer.note("to the client", world.now).expect("open");
    world.run();
    assert_eq!(world.peer.notes(), ["from the client"]);
    assert_eq!(world.heard, ["to the client"]);
}

#[test]
fn the_keys_go_to_and_fro_at_any_byte() {
    for seed in 0..20 {
        let mut world = World::new();
        let mut dice = Dice::new(seed);
        let (mut there, mut back, mut switches) = (Vec::new(), Vec::new(), 0);
        for number in 0..700 {
            let text = format!("{number}{}", "x".repeat(dice.below(90)));
            if dice.one_in(2) {
                world.note(&text);
                there.push(text);
            } else {
                world.peer.note(&text, world.now).expect("open");
                back.push(text);
            }
            if dice.one_in(3) {
                world.run_some(dice.below(200));
            }
            if dice.one_in(9) {
                world.carry();
                match world.keys {
                    Some(_) => world.delegate(),
                    None => world.reclaim(),
                }
                switches += 1;
            }
            let saved = world.peer.notes().len() as u64;
            world.peer.connection.acknowledge(Seq(saved), world.now).expect("delivered");
        }
        if world.keys.is_none() {
            world.carry();
            world.reclaim();
        }
        world.run();
        assert_eq!(world.peer.notes(), there, "seed {seed}");
        assert_eq!(world.heard, back, "seed {seed}");
        assert!(switches > 40, "{switches}");
    }
}

#[test]
fn a_delegation_that_does_not_fit_is_refused() {
    let mut world = World::new();
    world.peer.note("unread", world.now).expect("open");
    world.carry();
    let (read, written) = (world.read, world.written);
    let unread = world.take_tunnelled().len() as u64;
    let mut host = world.host.connection;
    let mut bad = |epoch: u64, rx_offset: u64, tx_offset: u64| {
        let state = TransportState::import(&some_state()).expect("plausible");
        let remote = World::remote();
        let epoch = Epoch(epoch);
        let init = None;
        let delegation = Delegation { epoch, remote, state, rx_offset, tx_offset, init };
        host.delegate(delegation, world.now).expect_err("it must be refused")
    };
    let stale = Refusal::StaleEpoch { got: Epoch(1), have: Epoch(1) };
    assert_eq!(bad(1, read, written), stale);
    let sent = |got| Refusal::WrongOffset { direction: "send", got, min: written, max: written };
    assert_eq!(bad(2, read, written + 1), sent(written + 1));
    assert_eq!(bad(2, read, written - 1), sent(written - 1));
    let (min, max) = (read, read + unread);
    let received = |got| Refusal::WrongOffset { direction: "receive", got, min, max };
    assert_eq!(bad(2, min - 1, written), received(min - 1));
    assert_eq!(bad(2, max + 1, written), received(max + 1));
    assert_eq!((host.state(), host.epoch()), ("tunnel", Epoch(1)), "nothing has changed");
}

fn some_state() -> Vec<u8> {
    let keys: Vec<u8> = (1..=128).collect();
    [&[1][..], &keys[..64], &[0, 0], &keys[64..], &[0, 0], &[0, 0]].concat()
}

#[test]
fn only_the_owner_speaks() {
    let mut world = World::new();
    let (now, written) = (world.now, world.written);
    let host = &mut world.host.connection;
    let stale = Refusal::StaleEpoch { got: Epoch(0), have: Epoch(1) };
    assert_eq!(host.pass(Epoch(0), written, b"x"), Err(stale.clone()));
    assert_eq!(host.credit(Epoch(0), 0, now), Err(stale.clone()));
    let refusal = host.send(Epoch(1), OutSeq(1), &[0x81, 1], now);
    assert_eq!(refusal, Err(Refusal::NotNow { asked: "send", state: "tunnel" }));
    assert!(host.reclaim(Epoch(9)).is_err());
    let gap = Refusal::WrongOffset { direction: "send", got: written + 5, min: 0, max: written };
    assert_eq!(host.pass(Epoch(1), written + 5, b"x"), Err(gap));
    assert_eq!(host.attach(Epoch(0), 0), Err(stale));
    // Bytes that have come through before are dropped.
    assert_eq!(host.pass(Epoch(1), written - 1, b"x"), Ok(()));
    assert!(host.poll().is_none());

    world.delegate();
    let host = &mut world.host.connection;
    let refusal = host.pass(Epoch(1), written, b"x");
    assert_eq!(refusal, Err(Refusal::NotNow { asked: "pass bytes", state: "open" }));
    let stale = Refusal::StaleEpoch { got: Epoch(1), have: Epoch(2) };
    assert_eq!(host.send(Epoch(1), OutSeq(1), &[0x81, 1], now), Err(stale));
    let stale = Refusal::StaleEpoch { got: Epoch(2), have: Epoch(2) };
    assert_eq!(host.reclaim(Epoch(2)).err(), Some(stale));
    assert_eq!(host.state(), "open");
}

#[test]
fn a_client_that_stays_away_stops_the_peer() {
    let mut world = World::new();
    let note = "x".repeat(60_000);
    let mut sent = 0;
    while world.host.connection.wants_bytes(world.now) {
        world.peer.note(&note, world.now).expect("open");
        world.carry();
        sent += 1;
        assert!(sent < 10);
    }
    world.peer.note("and one more", world.now).expect("open");
    world.carry();
    let kept: usize = world.host.tunnelled.iter().map(|(_, bytes)| bytes.len()).sum();
    assert_eq!(kept, limits::TUNNEL_BYTES_MAX, "full to the byte, the rest is held");
    world.run();
    world.run();
    assert_eq!(world.heard.len(), sent + 1, "and nothing is lost");
}

#[test]
fn a_delegation_before_init_lets_the_host_say_it() {
    let mut world = World::new();
    // Another connection, handed over straight after the handshake.
    world.host = Side::new(Connection::tunnel(Epoch(1), terms()), 1);
    world.peer = Side::new(Connection::accept(terms(), world.now), 2);
    (world.keys, world.init) = (None, None);
    (world.epoch, world.read, world.written) = (1, 0, 0);
    world.shake_hands();
    world.delegate();
    world.carry();
    assert!(world.host.is_ready() && world.peer.is_ready());
}

#[test]
fn a_pong_to_an_earlier_owner_does_no_harm() {
    let mut world = World::new();
    world.delegate();
    for _ in 0..3 {
        world.host.connection.ping(world.now).expect("open");
        // The ping is on its way while the keys go to the client and back.
        world.reclaim();
        world.delegate();
    }
    world.host.connection.ping(world.now).expect("open");
    world.carry();
    assert_eq!(world.host.closed, None);
    let pongs = world.host.events.iter().filter(|event| matches!(event, Event::Pong { .. }));
    assert_eq!(pongs.count(), 1, "only the owner's own");
}

#[test]
fn messages_are_numbered_through_all_owners() {
    let mut world = World::new();
    world.delegate();
    world.peer.note("one", world.now).expect("open");
    world.carry();
    world.reclaim();
    world.peer.note("for the client", world.now).expect("open");
    world.run();
    world.delegate();
    world.peer.note("two", world.now).expect("open");
    world.carry();
    let second = |event: &Event| matches!(event, Event::Message { seq: Seq(2), .. });
    // A subscriber that knows the first must not take the second for it.
    assert_eq!(world.host.events.iter().filter(|event| second(event)).count(), 1);
}

#[test]
fn nothing_is_reclaimed_before_both_inits() {
    let now = Tick(5);
    let mut pair = Pair::new(terms(), terms());
    let mut silent = Script::answering(&mut pair);
    let refused = pair.a.connection.reclaim(Epoch(1)).err();
    let state = "waiting for init";
    assert_eq!(refused, Some(Refusal::NotNow { asked: "reclaim", state }));
    silent.say(&mut pair, &Init::offering(Features::NONE).into());
    pair.a.run(now);
    assert!(pair.a.connection.reclaim(Epoch(1)).is_ok());
}
