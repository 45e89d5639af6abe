//! A connection with LDK whose keys go to and fro between a host and its client, in both roles.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

use end::{Call, KeyHolder};
use interop_ldk::node::{ECHO, Node};
use noise::{Reader, Transport};
use peer::{Connection, Delegation, Effect, Epoch, Event, OutSeq, Terms};
use wire::{
    Init, Message, Unnamed, custom,
    dice::Dice,
    features::{Feature, Features},
    id::ChainHash,
    tick::Tick,
};

/// Notes in each direction: six rotations of each key.
const NOTES: usize = 3_000;
/// At most so many notes are on their way to LDK.
const BURST_MAX: usize = 40;
/// The whole exchange takes a second or two.
const EXCHANGE_MS_MAX: u64 = 60_000;

/// Our end: a host that is a [`Connection`], and a client that has the keys when the host has not.
struct Party<'a> {
    core: Connection,
    stream: TcpStream,
    call: Call<'a>,
    start: Instant,
    client: Option<(Transport, Reader)>,
    epoch: u64,
    sent: u64,
    read: u64,
    written: u64,
    init: Option<Box<Init>>,
    heard: Vec<Vec<u8>>,
    pings: usize,
}

fn terms() -> Terms {
    Terms {
        features: Features::optional(&[Feature::Anchors, Feature::ScidAlias]),
        networks: vec![ChainHash::of(wire::Network::Regtest)],
        routed: vec![custom::NOTE.first..=custom::NOTE.last],
        custom: false,
    }
}

impl<'a> Party<'a> {
    fn new(stream: TcpStream, core: Connection, keys: &'a KeyHolder) -> Self {
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(Duration::from_millis(2))).expect("a socket");
        let (call, start) = (keys.call(), Instant::now());
        let mut party = Self {
            core,
            stream,
            call,
            start,
            client: None,
            epoch: 0,
            sent: 0,
            read: 0,
            written: 0,
            init: None,
            heard: Vec::new(),
            pings: 0,
        };
        while party.init.is_none() {
            party.step();
        }
        party.core.subscribe();
        party
    }

    fn now(&self) -> Tick {
        Tick(self.start.elapsed().as_millis() as u64)
    }

    /// Does what the core wants done, then takes what the socket has.
    fn step(&mut self) {
        self.run();
        let now = self.now();
        if !self.core.wants_bytes(now) {
            return;
        }
        let mut piece = [0; 4_096];
        match self.stream.read(&mut piece) {
            Ok(0) => panic!("LDK has hung up"),
            Ok(got) => self.core.handle_bytes(&piece[..got], now),
            Err(fault) if fault.kind() == ErrorKind::WouldBlock => self.core.handle_wake(now),
            Err(fault) => panic!("{fault}"),
        }
        self.run();
    }

    fn run(&mut self) {
        while let Some(effect) = self.core.poll() {
            let now = self.now();
            match effect {
                Effect::Ask(ask) => {
                    let answer = self.call.ask(ask);
                    self.core.handle_answer(answer, now);
                }
                Effect::Write(bytes) => {
                    self.stream.write_all(&bytes).expect("LDK reads");
                    self.core.handle_written(bytes.len(), now);
                }
                Effect::Tunnel { offset, bytes } => self.client_reads(offset, &bytes),
                Effect::Tell(Event::Ready { init, .. }) => self.init = Some(init),
                Effect::Tell(Event::Message { seq, bytes }) => {
                    self.heard.push(bytes[2..].to_vec());
                    self.core.acknowledge(seq, now).expect("just delivered");
                }
                Effect::Tell(_) => {}
                Effect::Close(why) => panic!("closed: {why}"),
            }
        }
    }

    fn client_reads(&mut self, offset: u64, bytes: &[u8]) {
        assert_eq!(offset, self.read, "nothing is missing and nothing comes twice");
        let (mut transport, mut reader) = self.client.take().expect("tunnelled to a client");
        let (mut input, mut pongs) = (bytes, Vec::new());
        while !input.is_empty() {
            let read = reader.read(&mut transport, &mut input).expect("true bytes");
            let Some(plaintext) = read else { continue };
            match Message::decode(plaintext).expect("LDK's messages") {
                Message::Ping(ping) => pongs.extend(ping.pong()),
                Message::Unknown(echo) => self.heard.push(echo.payload().to_vec()),
                other => panic!("LDK said {other:?}"),
            }
        }
        self.read += bytes.len() as u64;
        let whole = self.read - reader.unread().len() as u64;
        self.core.credit(Epoch(self.epoch), whole, self.now()).expect("the owner");
        self.client = Some((transport, reader));
        for pong in pongs {
            self.pings += 1;
            self.send(&pong.into());
        }
    }

    /// Sends a message, whoever has the keys.
    fn send(&mut self, message: &Message) {
        let plaintext = message.encode().expect("short");
        let (now, epoch) = (self.now(), Epoch(self.epoch));
        match &mut self.client {
            Some((transport, _)) => {
                let mut record = Vec::new();
                transport.encrypt(&plaintext, &mut record).expect("short");
                self.core.pass(epoch, self.written, &record).expect("ours, and next");
                self.written += record.len() as u64;
            }
            None => {
                self.sent += 1;
                self.core.send(epoch, OutSeq(self.sent), &plaintext, now).expect("delegated");
            }
        }
    }

    /// Gives the keys to whoever does not have them.
    fn switch(&mut self) {
        self.run();
        match self.client.take() {
            None => {
                let reclaimed = self.core.reclaim(Epoch(self.epoch + 1)).expect("delegated");
                assert!(reclaimed.unsaved.is_empty());
                (self.read, self.written) = (reclaimed.rx_offset, reclaimed.tx_offset);
                self.client = Some((reclaimed.state.into(), Reader::new()));
            }
            Some((transport, reader)) => {
                let delegation = Delegation {
                    epoch: Epoch(self.epoch + 1),
                    remote: self.core.remote().expect("since the handshake"),
                    state: transport.into_state().expect("it lives"),
                    rx_offset: self.read - reader.unread().len() as u64,
                    tx_offset: self.written,
                    init: self.init.clone(),
                };
                let now = self.now();
                self.core.delegate(delegation, now).expect("both agree on every byte");
                self.core.subscribe();
                self.sent = 0;
            }
        }
        self.epoch += 1;
        self.run();
    }
}

fn exchange(mut party: Party<'_>, ldk: &Node, seed: u64) {
    let mut dice = Dice::new(seed);
    let (mut sent, mut switches) = (Vec::new(), 0);
    while party.heard.len() < NOTES {
        assert!(party.start.elapsed() < Duration::from_millis(EXCHANGE_MS_MAX), "too slow");
        while sent.len() < NOTES && sent.len() - party.heard.len() < BURST_MAX && !dice.one_in(9) {
            let text = [format!("{}: ", sent.len()).as_bytes(), &dice.bytes(400)].concat();
            let note = Unnamed::new(custom::NOTE.first, text.clone()).expect("odd");
            party.send(&Message::Unknown(note));
            sent.push(text);
        }
        if dice.one_in(4) {
            party.switch();
            switches += 1;
        }
        party.step();
    }
    for (number, (heard, sent)) in party.heard.iter().zip(&sent).enumerate() {
        assert_eq!(heard.strip_prefix(ECHO), Some(&sent[..]), "note {number}");
    }
    assert_eq!((party.heard.len(), ldk.received(), ldk.disconnected()), (NOTES, NOTES, 0));
    println!("{NOTES} notes each way, {switches} switches, {} pings at the client", party.pings);
    assert!(switches > 50, "{switches} switches");
}

#[test]
fn we_dial_and_the_keys_move() {
    let (ldk, keys) = (Node::start(11), KeyHolder::start());
    let stream = TcpStream::connect(ldk.listen()).expect("LDK listens");
    let core = Connection::dial(ldk.id(), terms(), Tick(0));
    exchange(Party::new(stream, core, &keys), &ldk, 1);
}

#[test]
fn ldk_dials_and_the_keys_move() {
    let (ldk, keys) = (Node::start(12), KeyHolder::start());
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    ldk.dial(keys.node(), listener.local_addr().expect("it is bound"));
    let (stream, _) = listener.accept().expect("LDK dials");
    let core = Connection::accept(terms(), Tick(0));
    exchange(Party::new(stream, core, &keys), &ldk, 2);
}
