//! Handovers that go wrong, and signers that answer late or beside the point.

use std::{
    io::Read as _,
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use apart::{Place, WAIT};
use bus::{Caller, Grant, Hub, Waker};
use node::io::{
    sockets::{self, SignerAt, Sockets, TakeOverFault},
    stop::Stop,
};
use peer::{
    Epoch, Terms,
    holder::{Answer, Ask},
};
use wire::{Network, id::ConnectionId};

const SOON: Duration = Duration::from_secs(5);

/// A holder of sockets in a thread.
struct Running {
    stop: Stop,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start(mut sockets: Sockets) -> Self {
        let (stop, waker) = (Stop::default(), sockets.waker());
        let told = stop.clone();
        let thread = thread::spawn(move || sockets.run(&told).expect("it goes on"));
        Self { stop, waker, thread: Some(thread) }
    }

    /// With the paths `node`, `client` and `door`.
    fn at(place: &Place, signer: SignerAt) -> Self {
        let mut hub = Hub::new().expect("a loop");
        hub.listen(&place.at("node"), sockets::for_node()).expect("a fresh path");
        hub.listen(&place.at("client"), sockets::for_client()).expect("a fresh path");
        let mut sockets = Sockets::new(hub, terms(), signer).expect("it can be made");
        sockets.listen("127.0.0.1:0".parse().expect("an address")).expect("a port is free");
        sockets.allow_take_over(&place.at("door")).expect("a fresh path");
        Self::start(sockets)
    }

    /// Ends by itself.
    fn wait(mut self) {
        self.thread.take().expect("once").join().expect("it does not panic");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.set(std::slice::from_ref(&self.waker));
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it does not panic");
        }
    }
}

fn terms() -> Terms {
    node::roles::terms(Network::Regtest)
}

fn no_signer(place: &Place) -> SignerAt {
    SignerAt::Path(place.at("signer"))
}

fn take_over(
    place: &Place,
    grants: impl Fn(&str) -> Option<Grant>,
) -> Result<Sockets, TakeOverFault> {
    sockets::take_over(&place.at("door"), terms(), no_signer(place), grants)
}

fn any_grant(name: &str) -> Option<Grant> {
    Some(Grant::nothing(name).and(1..=100))
}

/// Asks, and is answered.
fn ask(link: &mut Caller, ask: Ask) -> Answer {
    let topic = ask.topic();
    let answer = link.ask(topic, &ask.encode(), SOON).expect("an answer");
    Answer::decode(answer.topic, &answer.payload).expect("one of a holder")
}

fn assert_reachable(place: &Place) {
    for name in ["node", "client"] {
        let mut link = Caller::connect(&place.at(name)).expect("somebody listens");
        assert!(matches!(ask(&mut link, Ask::Status), Answer::Status(_)), "{name}");
    }
}

#[test]
fn a_take_over_that_fails_leaves_the_paths() {
    let place = Place::new();
    let old = Running::at(&place, no_signer(&place));
    // It does not know all links.
    let only_node = |name: &str| (name == "node").then(|| Grant::nothing(name));
    let fault = take_over(&place, only_node).err().expect("one link is unknown");
    assert_eq!(
        fault.to_string(),
        "what was handed over cannot be used: no link is called 'client'"
    );
    assert_reachable(&place);
    // It is not ready in time.
    let slow = |name: &str| {
        thread::sleep(Duration::from_millis(1_200));
        any_grant(name)
    };
    assert!(take_over(&place, slow).is_err());
    assert_reachable(&place);
    // Nothing is in the way of the next one.
    let new = Running::start(take_over(&place, any_grant).expect("it takes over"));
    old.wait();
    assert_reachable(&place);
    drop(new);
    assert!(!place.at("node").exists() && !place.at("door").exists(), "they were its own");
}

/// What lies behind a handover in the same round is not answered by an empty holder.
#[test]
fn a_question_behind_a_handover_is_not_answered() {
    let place = Place::new();
    let old = Running::at(&place, no_signer(&place));
    let mut link = Caller::connect(&place.at("node")).expect("somebody listens");
    assert!(matches!(ask(&mut link, Ask::Status), Answer::Status(_)));
    // Who knocks and is silent holds the old process up, so that both are in its next round.
    let silent = fake::knock(&place.at("door"));
    thread::sleep(Duration::from_millis(50));
    thread::scope(|scope| {
        let new = scope.spawn(|| take_over(&place, any_grant));
        thread::sleep(Duration::from_millis(80));
        let answer = link.ask(Ask::Status.topic(), &Ask::Status.encode(), SOON);
        assert!(answer.is_err(), "{answer:?}");
        assert!(new.join().expect("it does not panic").is_ok());
    });
    drop(silent);
    old.wait();
}

/// Nobody but the old process knows what a closed connection has not sent.
#[test]
fn what_a_closed_connection_has_not_sent_is_sent_after_a_handover() {
    const PIECE: usize = 512 << 10;
    let place = Place::new();
    let old = Running::at(&place, no_signer(&place));
    let peer = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = peer.local_addr().expect("it is bound");
    let mut client = Caller::connect(&place.at("client")).expect("somebody listens");
    let epoch = Epoch(1);
    let Answer::Dialing { connection } = ask(&mut client, Ask::Tunnel { address, epoch }) else {
        panic!("it does not call")
    };
    let (mut slow, _) = peer.accept().expect("a call");
    let (mut offset, end) = (0, Instant::now() + WAIT);
    loop {
        assert!(Instant::now() < end, "{offset} bytes, and still room");
        let bytes = vec![7; PIECE];
        let passed = ask(&mut client, Ask::Pass { connection, epoch, offset, bytes });
        if matches!(passed, Answer::Done) {
            offset += PIECE as u64;
        } else if offset > 0 {
            break;
        }
        // Otherwise it has not noticed yet that it is connected.
    }
    assert!(matches!(ask(&mut client, Ask::Close { connection }), Answer::Done));
    let new = Running::start(take_over(&place, any_grant).expect("it takes over"));
    let mut bytes = Vec::new();
    slow.read_to_end(&mut bytes).expect("a good end");
    assert_eq!(bytes.len() as u64, offset);
    old.wait();
    drop(new);
}

/// One side of a handover in which a test plays the other.
mod fake {
    use std::{
        io::IoSlice,
        mem::MaybeUninit,
        os::fd::{AsFd as _, OwnedFd},
    };

    use bitcoin::hashes::{Hash as _, sha256};
    use rustix::{
        fs::{MemfdFlags, memfd_create},
        io::write,
        net::{
            AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
            SocketAddrUnix, SocketFlags, SocketType, accept, bind, connect, listen, recv, sendmsg,
            socket_with,
        },
    };
    use wire::bigsize;

    use super::{Path, terms};

    fn socket() -> OwnedFd {
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None);
        socket.expect("a descriptor")
    }

    pub fn knock(path: &Path) -> OwnedFd {
        let socket = socket();
        let path = SocketAddrUnix::new(path).expect("short");
        connect(&socket, &path).expect("somebody is at the door");
        socket
    }

    /// An old process at this path.
    pub fn door(path: &Path) -> OwnedFd {
        let socket = socket();
        bind(&socket, &SocketAddrUnix::new(path).expect("short")).expect("a fresh path");
        listen(&socket, 1).expect("it is bound");
        socket
    }

    pub fn say(
        to: &OwnedFd,
        kind: u8,
        bytes: &[u8],
        fd: Option<&OwnedFd>,
    ) -> rustix::io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fds: Vec<_> = fd.into_iter().map(|fd| fd.as_fd()).collect();
        if !fds.is_empty() {
            assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
        }
        let parts = [IoSlice::new(std::slice::from_ref(&kind)), IoSlice::new(bytes)];
        sendmsg(to, &parts, &mut control, SendFlags::NOSIGNAL).map(drop)
    }

    /// Lets somebody knock, hears its hello, and shows a plan without connections.
    pub fn begin(door: &OwnedFd, path: &Path, listeners: u64) -> OwnedFd {
        let other = accept(door).expect("somebody knocks");
        recv(&other, &mut [0; 16][..], RecvFlags::empty()).expect("a hello");
        let holder = peer::holder::Holder::new(terms(), 1, 1);
        let mut plan = Vec::new();
        for count in [0, listeners, 0] {
            bigsize::write(count, &mut plan);
        }
        for run in [path.as_os_str().as_encoded_bytes(), &holder.freeze().bytes] {
            bigsize::write(run.len() as u64, &mut plan);
            plan.extend_from_slice(run);
        }
        let memory = memfd_create("plan", MemfdFlags::CLOEXEC).expect("a memory file");
        assert_eq!(write(&memory, &plan), Ok(plan.len()));
        let mut head = (plan.len() as u64).to_be_bytes().to_vec();
        head.extend(sha256::Hash::hash(&plan).to_byte_array());
        say(&other, 3, &head, Some(&memory)).expect("it listens");
        other
    }
}

#[test]
fn a_plan_of_endless_counts_is_refused() {
    for listeners in [65, 1 << 62, u64::MAX] {
        let place = Place::new();
        let path = place.at("door");
        let door = fake::door(&path);
        thread::scope(|scope| {
            let new = scope.spawn(|| take_over(&place, any_grant).err());
            let other = fake::begin(&door, &path, listeners);
            let fault = new.join().expect("it does not panic").expect("no such plan");
            let want = format!("{listeners} listening sockets, at most 64");
            assert_eq!(fault.to_string(), format!("what was handed over cannot be used: {want}"));
            drop(other);
        });
        assert!(path.exists(), "it is the other's");
    }
}

/// Lets somebody take over from an old process that ends like this, once it has given all.
fn after_all_is_given(end: impl FnOnce(std::os::fd::OwnedFd)) -> (Result<(), String>, bool) {
    let place = Place::new();
    let path = place.at("door");
    let door = fake::door(&path);
    let taken = thread::scope(|scope| {
        let new = scope.spawn(|| take_over(&place, any_grant));
        let other = fake::begin(&door, &path, 0);
        fake::say(&other, 4, &[], Some(&door)).expect("it listens");
        // Its `ready` lies there unread.
        thread::sleep(Duration::from_millis(300));
        end(other);
        new.join().expect("it does not panic")
    });
    (taken.map(drop).map_err(|fault| fault.to_string()), path.exists())
}

#[test]
fn the_last_word_decides_who_owns_the_sockets() {
    let ours = (Ok(()), false);
    let say = |kind| move |other| fake::say(&other, kind, &[], None).expect("it listens");
    assert_eq!(after_all_is_given(drop), ours, "it died");
    assert_eq!(after_all_is_given(say(6)), ours, "it has said `yours`, and died");
    let (taken, its_path_is_there) = after_all_is_given(say(7));
    let words = "the process that holds the sockets says: it goes on itself";
    assert_eq!((taken, its_path_is_there), (Err(words.to_owned()), true), "and gone");
    let (taken, its_path_is_there) = after_all_is_given(|other| {
        // Longer than anybody waits for it.
        thread::sleep(Duration::from_millis(5_500));
        assert!(fake::say(&other, 6, &[], None).is_err(), "too late to say `yours`");
    });
    assert!(taken.is_err() && its_path_is_there, "{taken:?}");
}

/// Signers that a test plays.
mod signer_answers {
    use std::collections::BTreeSet;

    use bus::{ASKS_MAX, Frame, Input, Kind, LinkId};
    use noise::IdentityKey;
    use peer::holder::Event;
    use signer::{Answer as Said, Refusal};

    use super::*;

    struct Fake {
        hub: Hub,
        node: Caller,
        _sockets: Running,
        _place: Place,
    }

    impl Fake {
        fn new() -> Self {
            let place = Place::new();
            let (ours, theirs) = UnixStream::pair().expect("a pair");
            let mut hub = Hub::new().expect("a loop");
            hub.adopt(ours, node::io::signer::for_sockets()).expect("it can be watched");
            let sockets = Running::at(&place, SignerAt::Pair(theirs));
            let mut node = Caller::connect(&place.at("node")).expect("somebody listens");
            ask(&mut node, Ask::Subscribe { epoch: Epoch(1) });
            Self { hub, node, _sockets: sockets, _place: place }
        }

        fn dial(&mut self, address: SocketAddr) -> ConnectionId {
            let remote = IdentityKey::take(&mut [3; 32]).expect("a key").public();
            let called = ask(&mut self.node, Ask::Dial { remote, address });
            let Answer::Dialing { connection } = called else { panic!("it does not call") };
            connection
        }

        /// What it is asked, for so long.
        fn asked(&mut self, wait: Duration) -> Vec<(LinkId, Frame)> {
            let mut inputs = Vec::new();
            self.hub.poll(Some(wait), &mut inputs).expect("a hub waits");
            let frames = inputs.into_iter().filter_map(|input| match input {
                Input::Frame { link, frame } if frame.kind == Kind::Ask => Some((link, frame)),
                Input::Frame { .. }
                | Input::LinkUp { .. }
                | Input::LinkDown { .. }
                | Input::Denied { .. }
                | Input::Room { .. }
                | Input::Ready { .. }
                | Input::Woken => None,
            });
            frames.collect()
        }

        fn say(&mut self, link: LinkId, frame: &Frame, said: Said) {
            let said = said.encode();
            self.hub.answer(link, frame.id, frame.topic, said.bytes()).expect("asked");
        }
    }

    /// Somebody who takes all calls, and says nothing.
    fn silent() -> (SocketAddr, JoinHandle<Vec<TcpStream>>, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let taking = listener.try_clone().expect("a descriptor");
        let calls = thread::spawn(move || taking.incoming().map_while(Result::ok).collect());
        (address, calls, listener)
    }

    #[test]
    fn questions_wait_while_the_signer_has_enough() {
        const MORE: usize = 60;
        let (address, _calls, _listener) = silent();
        let mut fake = Fake::new();
        let called: BTreeSet<_> = (0..ASKS_MAX + MORE).map(|_| fake.dial(address)).collect();
        let (mut waiting, mut heard) = (Vec::new(), BTreeSet::new());
        let end = Instant::now() + WAIT;
        while heard.len() < called.len() {
            assert!(Instant::now() < end, "{} of {} were asked", heard.len(), called.len());
            let asked = fake.asked(Duration::from_millis(200));
            // It says nothing until it has as many questions as it may have.
            let answers = asked.is_empty() || heard.len() > ASKS_MAX;
            for (link, frame) in asked {
                let ask = signer::Ask::decode(&frame.payload).expect("a question");
                if let signer::Ask::Handshake { connection, .. } = ask {
                    heard.insert(connection);
                }
                waiting.push((link, frame));
            }
            for (link, frame) in waiting.drain(..if answers { waiting.len() } else { 0 }) {
                let ask = signer::Ask::decode(&frame.payload).expect("a question");
                let said = if let signer::Ask::Handshake { connection, .. } = ask {
                    Said::Refused(Refusal::Busy { connection, have: 1, max: 1 })
                } else if let signer::Ask::Forget { connection } = ask {
                    Said::Forgotten { connection }
                } else {
                    panic!("asked for {}", ask.name())
                };
                fake.say(link, &frame, said);
            }
        }
        assert_eq!(heard, called);
    }

    #[test]
    fn forgotten_is_no_answer_to_a_handshake() {
        let (address, _calls, _listener) = silent();
        let mut fake = Fake::new();
        let connection = fake.dial(address);
        let (link, frame) = std::iter::from_fn(|| Some(fake.asked(SOON)))
            .find_map(|mut asked| asked.pop())
            .expect("it asks");
        fake.say(link, &frame, Said::Forgotten { connection });
        fake.hub.flush();
        loop {
            let told = fake.node.next(SOON).expect("it is told that the connection is over");
            let event = Event::decode(told.topic, &told.payload).expect("an event");
            if let Event::Closed { connection: over, .. } = event {
                return assert_eq!(over, connection);
            }
        }
    }

    #[test]
    fn a_question_in_disguise_ends_the_link() {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let mut hub = Hub::new().expect("a loop");
        hub.adopt(theirs, node::io::signer::for_sockets()).expect("it can be watched");
        let (stop, waker) = (Stop::default(), hub.waker());
        let told = stop.clone();
        let (seed, network) = (apart::seed(9), Network::Regtest);
        let key = seed.node_key(network, signer::NodeIndex::FIRST);
        let channels = seed.channel_keys(network, signer::NodeIndex::FIRST);
        let checkpoint = signer::Checkpoint::genesis(network);
        let nowhere = Path::new("nowhere");
        let opened = node::io::view_file::ViewFile::open(nowhere, network, &checkpoint);
        let (view, _) = opened.expect("it is not there");
        let opened = node::io::channels_file::ChannelsFile::open(nowhere, network, channels);
        let (channels_file, channels) = opened.expect("it is not there");
        let files = node::io::signer::SignerFiles { view, channels: channels_file };
        let core = signer::Signer::new(key, seed.wallet_key(network), channels);
        let service = thread::spawn(move || node::io::signer::run(hub, core, files, &told));
        let mut link = Caller::over(ours);
        let sign = signer::Ask::SignMessage { message: b"pay me".to_vec() };
        // By its own name it is denied, and the link lives.
        let denied = link.ask(sign.topic(), &sign.encode(), SOON);
        assert!(matches!(denied, Err(bus::CallFault::Denied(_))), "{denied:?}");
        // By the name of a handshake it passes the bus, and the signer sees through it.
        let seen = link.ask(*signer::topic::HANDSHAKE.start(), &sign.encode(), SOON);
        assert!(matches!(seen, Err(bus::CallFault::Closed)), "{seen:?}");
        stop.set(&[waker]);
        service.join().expect("it does not panic").expect("it goes on for others");
    }
}
