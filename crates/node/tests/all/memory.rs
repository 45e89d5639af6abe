//! What a holder of sockets never has in its memory, in whatever state.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use apart::{IDENTITY, Process, Secrets, Subscriber, WAIT, entropy};
use bus::Caller;
use peer::{
    Epoch,
    desk::News,
    holder::{Answer, Ask},
};

use crate::handover::CHILD;

const SEED: u8 = 91;

struct World {
    secrets: Secrets,
    signer: Process,
    sockets: Process,
    /// Where the links are, whoever listens there.
    first: Option<Process>,
    subscriber: Subscriber,
    others: Process,
    their_signer: Process,
    their_subscriber: Subscriber,
}

impl World {
    fn new() -> Self {
        let (signer, their_signer) = (Process::signer(&CHILD, SEED), Process::signer(&CHILD, 92));
        let sockets = Process::sockets(&CHILD, &signer);
        let others = Process::sockets(&CHILD, &their_signer);
        let subscriber = Subscriber::new(&sockets.path("node"), 1);
        let their_subscriber = Subscriber::new(&others.path("node"), 1);
        let secrets = Secrets::of_entropy(&entropy(SEED));
        Self {
            secrets,
            signer,
            sockets,
            first: None,
            subscriber,
            others,
            their_signer,
            their_subscriber,
        }
    }

    fn assert_clean(&self, state: &str) {
        let found = self.secrets.found_in(self.sockets.id()).expect("it runs");
        assert!(found.is_empty(), "{state}: the sockets' memory has {found:?}");
    }

    fn status(&self) -> peer::holder::Status {
        let at = self.first.as_ref().unwrap_or(&self.sockets).path("client");
        let mut caller = Caller::connect(&at).expect("it listens");
        let ask = Ask::Status;
        let frame = caller.ask(ask.topic(), &ask.encode(), WAIT).expect("it answers");
        let Ok(Answer::Status(status)) = Answer::decode(frame.topic, &frame.payload) else {
            panic!("a status")
        };
        status
    }

    fn turn(&mut self) -> Vec<News> {
        self.their_subscriber.turn(Duration::from_millis(1));
        self.subscriber.turn(Duration::from_millis(5))
    }

    fn until_open(&mut self) -> wire::id::ConnectionId {
        let end = Instant::now() + WAIT;
        loop {
            assert!(Instant::now() < end, "it never opened");
            for news in self.turn() {
                if let News::Opened(opened) = news {
                    return opened.connection;
                }
            }
        }
    }
}

#[test]
fn the_sockets_have_no_key_in_any_state() {
    let mut world = World::new();
    let in_signer = world.secrets.found_in(world.signer.id()).expect("it runs");
    assert!(in_signer.contains(&IDENTITY.to_owned()), "the search finds nothing");
    world.assert_clean("idle");

    // Shaking hands: somebody has sent act one, has act two, and says no more.
    let mut half_open = half_open(&world);
    while world.status().handshakes == 0 {
        world.turn();
    }
    world.assert_clean("shaking hands as responder");

    // Calling somebody who says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("bound");
    let remote = world.their_signer.node();
    world.subscriber.desk.ask(Ask::Dial { remote, address }).expect("the link is up");
    while world.status().handshakes < 2 {
        world.turn();
    }
    world.assert_clean("shaking hands as initiator");

    // Both roles of an open connection, with messages.
    let (ours, theirs) = (world.sockets.listening(), world.others.listening());
    let us = world.signer.node();
    world.their_subscriber.desk.ask(Ask::Dial { remote: us, address: ours }).expect("up");
    let accepted = world.until_open();
    world.subscriber.desk.ask(Ask::Dial { remote, address: theirs }).expect("the link is up");
    let dialed = world.until_open();
    for id in [accepted, dialed] {
        world.subscriber.desk.send(id, vec![0x81, 1, 2, 3]).expect("it is open");
    }
    for _ in 0..20 {
        world.turn();
    }
    world.assert_clean("delegated");

    // A client has the keys of one, and then the sockets have them again.
    let mut client = Caller::connect(&world.sockets.path("client")).expect("it listens");
    let mut ask = |ask: Ask| {
        let topic = ask.topic();
        let frame = client.ask(topic, &ask.encode(), WAIT).expect("it answers");
        Answer::decode(frame.topic, &frame.payload).expect("an answer")
    };
    let epoch = Epoch(9);
    let Answer::Reclaimed(back) = ask(Ask::Reclaim { connection: dialed, epoch }) else {
        panic!("it was delegated")
    };
    world.assert_clean("tunnel");
    let owner = client::Owner::reclaimed(dialed, epoch, back);
    let delegate = owner.delegate().ok().expect("nothing was sent");
    assert!(matches!(ask(delegate), Answer::Done));
    world.assert_clean("delegated again");

    let next = Process::successor(&CHILD, &world.signer, &world.sockets).expect("it can");
    world.first = Some(std::mem::replace(&mut world.sockets, next));
    world.turn();
    world.assert_clean("taken over");
    half_open.write_all(&[0]).ok();
    world.signer.kill();
    for _ in 0..20 {
        world.turn();
    }
    assert!(!world.status().key_holder);
    world.assert_clean("without a signer");
}

/// A handshake with the sockets whose act three never comes.
fn half_open(world: &World) -> TcpStream {
    let mut stream = TcpStream::connect(world.sockets.listening()).expect("it listens");
    let identity = noise::IdentityKey::take(&mut [77; 32]).expect("a key");
    let mut exchange = noise::Exchange::new();
    let mut core = noise::Initiator::new(world.signer.node());
    while let Some(effect) = core.poll() {
        match effect {
            noise::Effect::Ask(ask) => {
                let answer = exchange.answer(ask, &identity, || {
                    noise::EphemeralKey::take(&mut [78; 32]).expect("a key")
                });
                core.handle_answer(answer).expect("asked for");
            }
            noise::Effect::Send(act) => stream.write_all(act.bytes()).expect("it reads"),
            noise::Effect::Done { .. } => panic!("not yet"),
        }
    }
    stream.set_read_timeout(Some(WAIT)).expect("a socket");
    stream.read_exact(&mut [0; 50]).expect("act two");
    stream
}
