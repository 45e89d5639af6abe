//! A client, its host and a peer: keys, bytes and links that come and go.

use client::{Fault, NotTaken, Owner, UNANSWERED_BYTES_MAX};
use noise::{Answer, EphemeralKey, Exchange, IdentityKey};
use peer::{Connection, Effect, Epoch, Event, Terms, holder::Ask};
use wire::{custom::NOTE, dice::Dice, id::ConnectionId, tick::Tick};

const NOW: Tick = Tick(9);

struct Side {
    connection: Connection,
    key: IdentityKey,
    exchange: Exchange,
    wire: Vec<u8>,
    heard: Vec<Vec<u8>>,
    tunnelled: Vec<(u64, Vec<u8>)>,
    sent: u64,
}

fn terms() -> Terms {
    Terms { routed: vec![NOTE.first..=NOTE.last], ..Terms::default() }
}

fn note(text: &[u8]) -> Vec<u8> {
    [&NOTE.first.to_be_bytes()[..], text].concat()
}

impl Side {
    fn new(connection: Connection, byte: u8) -> Self {
        let key = IdentityKey::take(&mut [byte; 32]).expect("a key");
        let (exchange, wire, heard) = (Exchange::new(), Vec::new(), Vec::new());
        Self { connection, key, exchange, wire, heard, tunnelled: Vec::new(), sent: 0 }
    }

    fn answer(&mut self, ask: noise::Ask) -> Answer {
        let byte = self.key.public().serialize()[32] | 1;
        self.exchange.answer(ask, &self.key, || EphemeralKey::take(&mut [byte; 32]).expect("a key"))
    }

    fn run(&mut self) {
        while let Some(effect) = self.connection.poll() {
            match effect {
                Effect::Ask(ask) => {
                    let answer = self.answer(ask);
                    self.connection.handle_answer(answer, NOW);
                }
                Effect::Write(bytes) => self.wire.extend(bytes),
                Effect::Tunnel { offset, bytes } => self.tunnelled.push((offset, bytes)),
                Effect::Tell(Event::Message { seq, bytes }) => {
                    self.heard.push(bytes);
                    self.connection.acknowledge(seq, NOW).expect("delivered");
                }
                Effect::Tell(_) => {}
                Effect::Close(why) => panic!("closed: {why}"),
            }
        }
    }

    fn say(&mut self, text: &[u8]) {
        self.sent += 1;
        let (epoch, seq) = (self.connection.epoch(), peer::OutSeq(self.sent));
        self.connection.send(epoch, seq, &note(text), NOW).expect("open");
    }
}

/// A host and a peer with an open connection.
struct Pair {
    host: Side,
    peer: Side,
}

impl Pair {
    fn open() -> Self {
        let remote = IdentityKey::take(&mut [2; 32]).expect("a key").public();
        let host = Side::new(Connection::dial(remote, terms(), NOW), 1);
        let peer = Side::new(Connection::accept(terms(), NOW), 2);
        let mut pair = Self { host, peer };
        pair.carry();
        pair.host.connection.subscribe();
        pair.peer.connection.subscribe();
        pair
    }

    fn carry(&mut self) {
        loop {
            self.host.run();
            self.peer.run();
            let there = std::mem::take(&mut self.host.wire);
            let back = std::mem::take(&mut self.peer.wire);
            if there.is_empty() && back.is_empty() {
                return;
            }
            self.peer.connection.handle_bytes(&there, NOW);
            self.host.connection.handle_written(there.len(), NOW);
            self.host.connection.handle_bytes(&back, NOW);
            self.peer.connection.handle_written(back.len(), NOW);
        }
    }

    fn reclaim(&mut self) -> Owner {
        self.host.run();
        let epoch = Epoch(self.host.connection.epoch().0 + 1);
        let reclaimed = self.host.connection.reclaim(epoch).expect("open");
        Owner::reclaimed(ConnectionId(1), epoch, reclaimed)
    }

    /// Asks the host what the client has to ask; whether the answers come back.
    fn ask(&mut self, owner: &mut Owner, answers: bool) {
        while let Some(ask) = owner.poll() {
            let host = &mut self.host.connection;
            match ask {
                Ask::Pass { epoch, offset, bytes, .. } => {
                    host.pass(epoch, offset, &bytes).expect("the owner");
                    if answers {
                        owner.answered().expect("true bytes");
                    }
                }
                Ask::Credit { epoch, offset, .. } => {
                    host.credit(epoch, offset, NOW).expect("the owner");
                }
                Ask::Attach { epoch, offset, .. } => {
                    host.attach(epoch, offset).expect("the owner");
                    owner.attached();
                }
                Ask::Subscribe { .. }
                | Ask::Dial { .. }
                | Ask::Tunnel { .. }
                | Ask::Close { .. }
                | Ask::Send { .. }
                | Ask::Ping { .. }
                | Ask::Acknowledge { .. }
                | Ask::Delegate { .. }
                | Ask::Reclaim { .. }
                | Ask::List { .. }
                | Ask::Status => panic!("a client asks no more than this"),
            }
        }
    }

    fn hear(&mut self, owner: &mut Owner, heard: &mut Vec<Vec<u8>>) {
        self.carry();
        for (offset, bytes) in std::mem::take(&mut self.host.tunnelled) {
            owner.handle_tunnel(offset, &bytes).expect("true bytes");
        }
        while let Some(message) = owner.message() {
            heard.push(message);
        }
    }

    fn delegate(&mut self, owner: Owner) {
        let Ok(Ask::Delegate { delegation, .. }) = owner.delegate() else {
            panic!("the host has answered for everything")
        };
        self.host.connection.delegate(delegation, NOW).expect("both agree");
        self.host.connection.subscribe();
        self.host.sent = 0;
    }
}

/// Links break at any time: answers are lost, events come twice, and nothing else does.
#[test]
fn nothing_is_lost_or_doubled_over_a_bad_link() {
    for seed in 0..30 {
        let (mut pair, mut dice) = (Pair::open(), Dice::new(seed));
        let (mut there, mut back, mut heard) = (Vec::new(), Vec::new(), Vec::new());
        for turn in 0..12 {
            let mut owner = pair.reclaim();
            for number in 0..20 {
                let text = [&[turn, number][..], &dice.bytes(60)].concat();
                if dice.one_in(2) {
                    owner.send(&note(&text)).expect("little waits");
                    there.push(note(&text));
                } else {
                    pair.peer.say(&text);
                    back.push(note(&text));
                }
                let answers = !dice.one_in(4);
                pair.ask(&mut owner, answers);
                if !answers {
                    owner.link_came();
                }
                if dice.one_in(3) {
                    pair.hear(&mut owner, &mut heard);
                }
            }
            pair.ask(&mut owner, true);
            pair.hear(&mut owner, &mut heard);
            pair.ask(&mut owner, true);
            pair.delegate(owner);
            pair.carry();
        }
        assert_eq!(pair.peer.heard, there, "seed {seed}");
        assert_eq!(heard, back, "seed {seed}");
    }
}

#[test]
fn a_gap_is_a_fault_and_a_repetition_is_not() {
    let mut pair = Pair::open();
    let mut owner = pair.reclaim();
    pair.peer.say(b"one");
    pair.carry();
    let (offset, bytes) = pair.host.tunnelled.remove(0);
    let want = Fault::Gap { got: offset + 1, want: offset };
    assert_eq!(owner.handle_tunnel(offset + 1, &bytes), Err(want));
    for _ in 0..2 {
        assert_eq!(owner.handle_tunnel(offset, &bytes), Ok(()));
    }
    assert_eq!(owner.message(), Some(note(b"one")));
    assert_eq!(owner.message(), None);
    let mut forged = bytes.clone();
    forged[3] ^= 1;
    let after = offset + bytes.len() as u64;
    assert!(matches!(owner.handle_tunnel(after, &forged), Err(Fault::Noise(_))));
}

#[test]
fn what_the_host_does_not_answer_for_is_bounded_and_keeps_the_keys_here() {
    let mut pair = Pair::open();
    let mut owner = pair.reclaim();
    let long = note(&[7; 60_000]);
    let mut taken = 0;
    let refused = loop {
        match owner.send(&long) {
            Ok(()) => taken += 1,
            Err(refused) => break refused,
        }
    };
    assert!(matches!(refused, NotTaken::Full { max: UNANSWERED_BYTES_MAX, .. }));
    assert!((17..=18).contains(&taken), "{taken}");
    assert!(owner.send(&[0; 70_000]).is_err());
    let mut owner = *owner.delegate().err().expect("the host has not answered");
    pair.ask(&mut owner, true);
    assert!(matches!(owner.send(&vec![1; 70_000]), Err(NotTaken::Noise(_))));
    pair.delegate(owner);
    pair.carry();
    assert_eq!(pair.peer.heard.len(), taken);
}

#[test]
fn after_the_link_was_down_nothing_is_sent_before_the_host_agrees() {
    let mut pair = Pair::open();
    let mut owner = pair.reclaim();
    owner.send(&note(b"waits")).expect("little waits");
    owner.link_came();
    assert!(matches!(owner.poll(), Some(Ask::Attach { offset, .. }) if offset > 0));
    assert!(owner.poll().is_none());
    owner.attached();
    assert!(matches!(owner.poll(), Some(Ask::Pass { .. })));
}

#[test]
fn a_peer_that_asks_for_pongs_only_fills_nothing() {
    let mut pair = Pair::open();
    let mut owner = pair.reclaim();
    let ping = wire::Message::from(wire::Ping::new(wire::amount::ByteCount(65_531), 0));
    let ping = ping.encode().expect("short");
    let mut heard = Vec::new();
    for _ in 0..200 {
        pair.peer.sent += 1;
        let (epoch, seq) = (pair.peer.connection.epoch(), peer::OutSeq(pair.peer.sent));
        pair.peer.connection.send(epoch, seq, &ping, NOW).expect("open");
        pair.hear(&mut owner, &mut heard);
    }
    let waits = |owner: &mut Owner| {
        let mut bytes = 0;
        while let Some(ask) = owner.poll() {
            if let Ask::Pass { bytes: some, .. } = ask {
                bytes += some.len();
            }
        }
        bytes
    };
    let bytes = waits(&mut owner);
    assert!(bytes < UNANSWERED_BYTES_MAX + 70_000, "{bytes} bytes of pongs wait");
    // The rest follows as the host answers.
    let mut all = bytes;
    for _ in 0..300 {
        owner.answered().expect("true bytes");
        all += waits(&mut owner);
    }
    assert!(all > 200 * 65_531, "{all}");
}
