//! What a holder of sockets never has in its memory, in whatever state.

use std::{
    collections::{BTreeSet, HashMap},
    fs::File,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::FileExt as _,
    time::{Duration, Instant},
};

use apart::{Process, Subscriber, WAIT, entropy};
use bitcoin::{
    NetworkKind,
    bip32::{ChildNumber, Xpriv},
    secp256k1::Secp256k1,
};
use bus::Caller;
use peer::{
    Epoch,
    desk::News,
    holder::{Answer, Ask},
};

use crate::handover::CHILD;

const SEED: u8 = 91;

/// Everything from which the identity can be had, and the identity itself.
fn secrets() -> Vec<(String, Vec<u8>)> {
    let words = bip39::Mnemonic::from_entropy(&entropy(SEED)).expect("32 bytes are a seed");
    let text = words.words().collect::<Vec<_>>().join(" ");
    let stretched = words.to_seed_normalized("");
    let secp = Secp256k1::new();
    let master = Xpriv::new_master(NetworkKind::Main, &stretched).expect("a key");
    let mut secrets = vec![
        ("entropy".to_owned(), entropy(SEED).to_vec()),
        ("words".to_owned(), text.as_bytes()[..40].to_vec()),
        ("seed, first half".to_owned(), stretched[..32].to_vec()),
        ("seed, second half".to_owned(), stretched[32..].to_vec()),
    ];
    let path = [9735, 1, 0, 0].map(|step| ChildNumber::from_hardened_idx(step).expect("small"));
    for depth in 0..=path.len() {
        let key = master.derive_priv(&secp, &path[..depth].to_vec()).expect("a key");
        secrets.push((format!("key at depth {depth}"), key.private_key[..].to_vec()));
        secrets.push((format!("chain code at depth {depth}"), key.chain_code.to_bytes().to_vec()));
    }
    secrets
}

/// All that a process can write to, and of what it has read from files.
fn memory(process: &Process) -> Vec<Vec<u8>> {
    let folder = format!("/proc/{}", process.id());
    let maps = std::fs::read_to_string(format!("{folder}/maps")).expect("it runs");
    let memory = File::open(format!("{folder}/mem")).expect("it is ours");
    let mut areas = Vec::new();
    for line in maps.lines().filter(|line| !line.contains("[v")) {
        let mut fields = line.split(' ');
        let range = fields.next().and_then(|range| range.split_once('-')).expect("a range");
        let number = |text| u64::from_str_radix(text, 16).expect("a number");
        let (start, end) = (number(range.0), number(range.1));
        if fields.next().is_some_and(|flags| flags.starts_with("rw")) {
            let mut area = vec![0; (end - start) as usize];
            memory.read_exact_at(&mut area, start).expect("it is there");
            areas.push(area);
        }
    }
    assert!(areas.iter().map(Vec::len).sum::<usize>() > 100_000);
    areas
}

/// Which secrets a memory has: as they are, backwards as `libsecp256k1` computes with them, in
/// halves, or as text.
fn found(areas: &[Vec<u8>], secrets: &[(String, Vec<u8>)]) -> Vec<String> {
    let mut forms: HashMap<[u8; 8], Vec<(&str, Vec<u8>)>> = HashMap::new();
    for (name, secret) in secrets {
        let backwards: Vec<u8> = secret.iter().rev().copied().collect();
        let text: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        for form in [
            &secret[..16],
            &secret[secret.len() - 16..],
            &backwards[..16],
            &backwards[secret.len() - 16..],
            &text.as_bytes()[..32],
        ] {
            let head = *form.first_chunk().expect("long enough");
            forms.entry(head).or_default().push((name, form.to_vec()));
        }
    }
    let mut found = BTreeSet::new();
    for area in areas {
        for at in 0..area.len().saturating_sub(8) {
            let head: &[u8; 8] = area[at..].first_chunk().expect("eight are left");
            // Almost all of a memory is zeros.
            if head[0] == 0 && head[1] == 0 {
                continue;
            }
            for (name, form) in forms.get(head).into_iter().flatten() {
                if area[at..].starts_with(form) {
                    found.insert((*name).to_owned());
                }
            }
        }
    }
    found.into_iter().collect()
}

struct World {
    secrets: Vec<(String, Vec<u8>)>,
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
        let secrets = secrets();
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
        let found = found(&memory(&self.sockets), &self.secrets);
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
    let in_signer = found(&memory(&world.signer), &world.secrets);
    assert!(in_signer.contains(&"key at depth 4".to_owned()), "the search finds nothing");
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
