//! LDK against us with the signer in one process, the sockets in another, and here whoever
//! subscribes to the sockets and takes the keys away from them.

mod apart_parts;

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use apart::{Process, WAIT};
use apart_parts::Desk;
use client::Owner;
use end::{End, KeyHolder};
use interop_ldk::node::{ECHO, Node};
use peer::{
    Epoch, OutSeq,
    holder::{Answer, Ask, Event},
};
use wire::{Init, Message, custom, dice::Dice, features::Features, id::ConnectionId};

/// How a process of this program finds its role.
const CHILD: [&str; 3] = ["--exact", "apart_child", "--nocapture"];
/// Notes in each direction: six rotations of each key.
const NOTES: usize = 3_000;
/// At most so many notes are on their way to LDK.
const BURST_MAX: usize = 40;

/// One connection of ours, and who has its keys at present.
struct Party {
    node: Desk,
    client: Desk,
    connection: ConnectionId,
    epoch: u64,
    sent: u64,
    owner: Option<Owner>,
    /// The last message that the subscriber has seen.
    seen: u64,
    heard: Vec<Vec<u8>>,
    switches: usize,
}

impl Party {
    /// Subscribes, and waits for the first connection.
    fn new(process: &Process, dial: Option<(noise::PublicKey, SocketAddr)>) -> Self {
        let mut node = Desk::reach(&process.path("node"));
        let client = Desk::reach(&process.path("client"));
        let subscribed = node.ask(Ask::Subscribe { epoch: Epoch(1) });
        assert!(matches!(subscribed, Answer::Subscribed { .. }));
        if let Some((remote, address)) = dial {
            let dialing = node.ask(Ask::Dial { remote, address });
            assert!(matches!(dialing, Answer::Dialing { .. }));
        }
        let opened = loop {
            match node.event(WAIT).expect("somebody connects") {
                Event::Opened(opened) => break opened,
                Event::Closed { text, .. } => panic!("closed: {text}"),
                _ => {}
            }
        };
        let (connection, epoch) = (opened.connection, opened.epoch.0);
        let (owner, heard) = (None, Vec::new());
        Self { node, client, connection, epoch, sent: 0, owner, seen: 0, heard, switches: 0 }
    }

    /// Takes what has come, waiting a moment if there is nothing.
    fn hear(&mut self) {
        let moment = Duration::from_millis(1);
        while let Some(event) = self.node.event(moment) {
            self.on_event(event);
        }
        while let Some(event) = self.client.event(moment) {
            self.on_event(event);
        }
        self.work();
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Message { seq, bytes, connection } => {
                self.seen = seq.0;
                self.heard.push(bytes[2..].to_vec());
                self.node.send(Ask::Acknowledge { marks: vec![(connection, seq)] });
            }
            Event::Tunnel { .. } => {
                // What was still on its way when the keys went back is the host's again.
                if let Some(owner) = &mut self.owner {
                    owner.handle(&event).expect("true bytes");
                }
            }
            Event::Closed { culprit, text, .. } if text.contains("taken") => {
                assert_eq!(culprit, peer::Culprit::Local);
            }
            Event::Closed { text, .. } => panic!("closed: {text}"),
            Event::Opened(_) | Event::Caught | Event::Complaint { .. } => {}
        }
    }

    fn work(&mut self) {
        let Some(owner) = &mut self.owner else { return };
        while let Some(message) = owner.message() {
            if message[..2] == custom::NOTE.first.to_be_bytes() {
                self.heard.push(message[2..].to_vec());
            }
        }
        while let Some(ask) = owner.poll() {
            let is_pass = matches!(ask, Ask::Pass { .. });
            match self.client.ask(ask) {
                Answer::Refused(denial) => panic!("{denial}"),
                _ if is_pass => owner.answered().expect("true bytes"),
                _ => {}
            }
        }
    }

    fn note(&mut self, text: &[u8]) {
        let message = [&custom::NOTE.first.to_be_bytes()[..], text].concat();
        match &mut self.owner {
            Some(owner) => owner.send(&message).expect("little waits"),
            None => {
                self.sent += 1;
                let (connection, epoch, seq) =
                    (self.connection, Epoch(self.epoch), OutSeq(self.sent));
                // Whoever has had the keys speaks; before anybody had, the subscriber does.
                let desk = if self.switches == 0 { &mut self.node } else { &mut self.client };
                let sent = desk.ask(Ask::Send { connection, epoch, seq, message });
                assert!(matches!(sent, Answer::Done), "delegated");
            }
        }
    }

    /// Gives the keys to whoever does not have them.
    fn switch(&mut self) {
        self.switches += 1;
        let connection = self.connection;
        if self.owner.is_some() {
            self.work();
        }
        match self.owner.take() {
            Some(owner) => {
                self.epoch = owner.epoch().0 + 1;
                let ask = owner.delegate().ok().expect("all is answered");
                assert!(matches!(self.client.ask(ask), Answer::Done), "both agree");
                self.sent = 0;
            }
            None => {
                self.epoch += 1;
                let epoch = Epoch(self.epoch);
                let Answer::Reclaimed(mut back) =
                    self.client.ask(Ask::Reclaim { connection, epoch })
                else {
                    panic!("it was delegated")
                };
                // All that the subscriber was told before is here once this is answered.
                self.node.ask(Ask::Status);
                while let Some(event) = self.node.waiting() {
                    self.on_event(event);
                }
                back.unsaved.retain(|(seq, _)| seq.0 > self.seen);
                self.seen = back.unsaved.last().map_or(self.seen, |(seq, _)| seq.0);
                self.owner = Some(Owner::reclaimed(connection, epoch, back));
            }
        }
    }
}

fn exchange(mut party: Party, ldk: &Node, seed: u64) {
    let (begin, mut dice, mut sent) = (Instant::now(), Dice::new(seed), Vec::new());
    while party.heard.len() < NOTES {
        assert!(begin.elapsed() < 2 * WAIT, "{} of {NOTES} came", party.heard.len());
        while sent.len() < NOTES && sent.len() - party.heard.len() < BURST_MAX && !dice.one_in(9) {
            let text = [format!("{}: ", sent.len()).as_bytes(), &dice.bytes(400)].concat();
            party.note(&text);
            sent.push(text);
        }
        if dice.one_in(3) {
            party.switch();
        }
        party.hear();
    }
    for (number, (heard, sent)) in party.heard.iter().zip(&sent).enumerate() {
        assert_eq!(heard.strip_prefix(ECHO), Some(&sent[..]), "note {number}");
    }
    assert_eq!((party.heard.len(), ldk.received(), ldk.disconnected()), (NOTES, NOTES, 0));
    println!("{NOTES} notes each way, {} switches", party.switches);
    assert!(party.switches > 50, "{} switches", party.switches);
}

#[test]
fn we_dial_and_the_keys_move() {
    let ldk = Node::start(21);
    let signer = Process::signer(&CHILD, 31);
    let sockets = Process::sockets(&CHILD, &signer);
    let party = Party::new(&sockets, Some((ldk.id(), ldk.listen())));
    exchange(party, &ldk, 3);
}

#[test]
fn ldk_dials_and_the_keys_move() {
    let ldk = Node::start(22);
    let signer = Process::signer(&CHILD, 32);
    let sockets = Process::sockets(&CHILD, &signer);
    ldk.dial(signer.node(), sockets.listening());
    exchange(Party::new(&sockets, None), &ldk, 4);
}

/// LDK gives up on a peer that does not answer its ping by the next tick but a few. A control shows
/// that it does.
#[test]
fn pings_are_answered_while_the_signer_is_gone() {
    let ldk = Node::start(23);
    let at = ldk.listen();
    let mut signer = Process::signer(&CHILD, 33);
    let sockets = Process::sockets(&CHILD, &signer);
    let mut party = Party::new(&sockets, Some((ldk.id(), at)));
    signer.kill();
    // Says its init and then nothing: LDK pings it, too.
    let keys = KeyHolder::start();
    let mut silent = End::dial(at, ldk.id(), &keys).expect("LDK listens");
    silent.send(&Init::offering(Features::NONE).into()).expect("it reads");
    let begin = Instant::now();
    while ldk.disconnected() == 0 {
        assert!(begin.elapsed() < WAIT, "LDK has not given up on the silent one");
        party.hear();
    }
    let given_up_after = begin.elapsed();
    while begin.elapsed() < 3 * given_up_after {
        party.hear();
    }
    assert_eq!(ldk.disconnected(), 1, "the silent one only");
    party.note(b"still here");
    while party.heard.is_empty() {
        assert!(begin.elapsed() < WAIT, "no echo");
        party.hear();
    }
    drop(silent);
}

/// The client shakes hands itself through the sockets, dies with its keys, and calls again.
#[test]
fn a_client_that_lost_its_keys_redials() {
    let ldk = Node::start(24);
    let at = ldk.listen();
    let signer = Process::signer(&CHILD, 34);
    let sockets = Process::sockets(&CHILD, &signer);
    let mut desk = Desk::reach(&sockets.path("client"));
    let mut last = None;
    for life in 1..=3 {
        if let Some(connection) = last {
            // It has no keys any more; LDK takes no second connection of a node.
            assert!(matches!(desk.ask(Ask::Close { connection }), Answer::Done));
            while ldk.disconnected() < life - 1 {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        let (mut owner, connection) = desk.tunnel(&signer, ldk.id(), at);
        let init = Message::from(Init::offering(Features::NONE)).encode().expect("short");
        owner.send(&init).expect("little waits");
        let text = [&custom::NOTE.first.to_be_bytes()[..], b"life ", &[life as u8]].concat();
        owner.send(&text).expect("little waits");
        let echo = desk.until_message(&mut owner, custom::NOTE.first);
        assert_eq!(echo[2..], [ECHO, &text[2..]].concat());
        assert!(owner.init().is_some());
        // Keys and all are gone here.
        last = Some(connection);
    }
    assert_eq!(ldk.disconnected(), 2);
}

/// The body of a process that a test has started.
#[test]
fn apart_child() {
    apart::child();
}
