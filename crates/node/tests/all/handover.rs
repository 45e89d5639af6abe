//! Sockets change hands between processes, and nobody at the other end notices.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use apart::{Process, Subscriber, WAIT};
use peer::{
    desk::{News, NotTaken},
    holder::Ask,
};
use wire::id::ConnectionId;

/// How a process of this program finds its role.
pub const CHILD: [&str; 3] = ["--exact", "handover::apart_child", "--nocapture"];

const CONNECTIONS: usize = 5_000;
/// Calls under way at once.
const CALLS_MAX: usize = 300;
/// Messages each way over each connection.
const MESSAGES: u64 = 6;
const NOTE: [u8; 2] = wire::custom::NOTE.first.to_be_bytes();

/// The body of a process that a test has started.
#[test]
fn apart_child() {
    apart::child();
}

/// One side of all connections.
struct Side {
    subscriber: Subscriber,
    /// What was sent and what came, for each connection of this side.
    lines: BTreeMap<ConnectionId, Line>,
    closed: Vec<String>,
}

#[derive(Default)]
struct Line {
    sent: u64,
    /// Messages of the other end, and which of its connections that is.
    heard: u64,
    other: Option<u64>,
}

impl Side {
    fn new(process: &Process) -> Self {
        let subscriber = Subscriber::new(&process.path("node"), 1);
        Self { subscriber, lines: BTreeMap::new(), closed: Vec::new() }
    }

    fn turn(&mut self) {
        for news in self.subscriber.turn(Duration::from_millis(1)) {
            match news {
                News::Opened(opened) => {
                    let known = self.lines.insert(opened.connection, Line::default());
                    assert!(known.is_none(), "a connection opens once");
                }
                News::Message { connection, seq, bytes } => {
                    self.hear(connection, &bytes);
                    self.subscriber.desk.saved(connection, seq);
                }
                News::Closed { text, .. } => self.closed.push(text),
                News::NotSent { why, .. } => panic!("not sent: {why}"),
                News::Caught | News::Sent { .. } | News::Answered { .. } => {}
                News::Complaint { text, .. } => panic!("a complaint: {text}"),
                News::Superseded { why } => panic!("{why}"),
                News::Behind { have } => panic!("{have:?} was here before"),
            }
        }
    }

    /// Messages say which connection they are of, and are numbered within it.
    fn hear(&mut self, connection: ConnectionId, bytes: &[u8]) {
        let numbers: Vec<u64> = bytes[2..]
            .chunks_exact(8)
            .map(|piece| u64::from_be_bytes(piece.try_into().expect("eight bytes")))
            .collect();
        let line = self.lines.get_mut(&connection).expect("it is open");
        assert_eq!(*line.other.get_or_insert(numbers[0]), numbers[0]);
        assert_eq!(numbers[1], line.heard, "none is lost, and none comes twice");
        line.heard += 1;
    }

    /// Sends the next message over some connections.
    fn say(&mut self, up_to: u64, most: usize) {
        let open = self.lines.iter_mut().filter(|(_, line)| line.sent < up_to);
        for (id, line) in open.take(most) {
            let message = [&NOTE[..], &id.0.to_be_bytes(), &line.sent.to_be_bytes()].concat();
            match self.subscriber.desk.send(*id, message) {
                Ok(_) => line.sent += 1,
                Err(NotTaken::Full { .. }) => return,
                Err(NotTaken::Unknown) => panic!("it is open"),
            }
        }
    }

    fn heard(&self) -> u64 {
        self.lines.values().map(|line| line.heard).sum()
    }
}

#[test]
fn five_thousand_connections_move_under_traffic() {
    let (ours, theirs) = (Process::signer(&CHILD, 1), Process::signer(&CHILD, 2));
    let mut old = Process::sockets(&CHILD, &ours);
    let peers = Process::sockets(&CHILD, &theirs);
    let (mut here, mut there) = (Side::new(&old), Side::new(&peers));
    let address = old.listening();
    let begin = Instant::now();
    let mut called = 0;
    while here.lines.len() < CONNECTIONS || there.lines.len() < CONNECTIONS {
        assert!(begin.elapsed() < 3 * WAIT, "{} are open", here.lines.len());
        while called < CONNECTIONS && called < there.lines.len() + CALLS_MAX {
            let dial = Ask::Dial { remote: ours.node(), address };
            assert!(there.subscriber.desk.ask(dial).is_some());
            called += 1;
        }
        here.turn();
        there.turn();
    }
    println!("{CONNECTIONS} connections after {:?}", begin.elapsed());

    // A part of the traffic, so that the rest goes on during the change.
    let (mut successor, mut rounds) = (None, 0);
    let want = CONNECTIONS as u64 * MESSAGES;
    while here.heard() < want || there.heard() < want || successor.is_none() {
        assert!(begin.elapsed() < 5 * WAIT, "{} and {} of {want}", here.heard(), there.heard());
        here.say(MESSAGES, 700);
        there.say(MESSAGES, 700);
        here.turn();
        there.turn();
        rounds += 1;
        if successor.is_none() && rounds == 8 {
            successor = Some(start_beside(&ours, &old, &mut here, &mut there));
        }
    }
    println!("{want} messages each way after {:?}", begin.elapsed());
    for side in [&here, &there] {
        assert_eq!(side.closed, [""; 0], "no connection has ended");
        assert!(side.lines.values().all(|line| line.heard == MESSAGES && line.other.is_some()));
    }
    assert_eq!((here.subscriber.lives, there.subscriber.lives), (2, 1));
    let end = Instant::now();
    while old.ended().is_none() {
        assert!(end.elapsed() < WAIT, "the old process is still there");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(old.ended(), Some(true));
    // Whoever calls now is answered by the successor.
    let before = there.lines.len();
    there.subscriber.desk.ask(Ask::Dial { remote: ours.node(), address }).expect("the link is up");
    while there.lines.len() == before {
        assert!(end.elapsed() < WAIT, "nobody answers");
        here.turn();
        there.turn();
    }
    assert_eq!((here.closed.len(), there.closed.len()), (0, 0));
}

/// Starts the successor while the traffic goes on.
fn start_beside(ours: &Process, old: &Process, here: &mut Side, there: &mut Side) -> Process {
    std::thread::scope(|scope| {
        let starting = scope.spawn(|| Process::successor(&CHILD, ours, old));
        while !starting.is_finished() {
            here.say(MESSAGES, 50);
            there.say(MESSAGES, 50);
            here.turn();
            there.turn();
        }
        starting.join().expect("it does not panic").expect("it takes over")
    })
}

/// What a process that wants the sockets may do wrong.
mod wrong {
    use std::{
        os::fd::OwnedFd,
        time::{Duration, Instant},
    };

    use apart::{Process, Subscriber, WAIT};
    use peer::{desk::News, holder::Ask};
    use rustix::net::{
        AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect,
        recv, send, socket_with,
        sockopt::{Timeout, set_socket_timeout},
    };

    use super::CHILD;

    fn knock(at: &Process) -> OwnedFd {
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None);
        let socket = socket.expect("a socket");
        let path = SocketAddrUnix::new(at.path("door")).expect("short");
        connect(&socket, &path).expect("somebody is at the door");
        set_socket_timeout(&socket, Timeout::Recv, Some(WAIT)).expect("a socket");
        socket
    }

    /// The kind of the next packet, and its bytes. Descriptors in it are dropped.
    fn packet(from: &OwnedFd) -> (u8, Vec<u8>) {
        let mut bytes = vec![0; 4_096];
        let got = recv(from, &mut bytes[..], RecvFlags::empty()).expect("it speaks").0;
        bytes.truncate(got);
        (bytes[0], bytes[1..].to_vec())
    }

    fn say(to: &OwnedFd, bytes: &[u8]) {
        send(to, bytes, SendFlags::NOSIGNAL).expect("it listens");
    }

    const HELLO: [u8; 3] = [1, 0, 1];

    /// Nothing is disturbed: the connection lives, and messages go both ways.
    fn assert_alive(here: &mut Subscriber, there: &mut Subscriber, what: &str) {
        let (end, mut heard) = (Instant::now() + WAIT, [false; 2]);
        let [ours, theirs] = [&*here, &*there].map(|side| side.desk.connections().next());
        let note = [&super::NOTE[..], what.as_bytes()].concat();
        here.desk.send(ours.expect("one"), note.clone()).expect("it is open");
        there.desk.send(theirs.expect("one"), note.clone()).expect("it is open");
        while heard != [true; 2] {
            assert!(Instant::now() < end, "{what}: nothing came");
            for (side, heard) in [&mut *here, &mut *there].into_iter().zip(&mut heard) {
                for news in side.turn(Duration::from_millis(2)) {
                    match news {
                        News::Message { connection, seq, bytes } => {
                            *heard |= bytes == note;
                            side.desk.saved(connection, seq);
                        }
                        News::Closed { text, .. } => panic!("{what}: {text}"),
                        News::NotSent { why, .. } => panic!("{what}: {why}"),
                        News::Caught
                        | News::Opened(_)
                        | News::Complaint { .. }
                        | News::Sent { .. }
                        | News::Answered { .. }
                        | News::Behind { .. }
                        | News::Superseded { .. } => {}
                    }
                }
            }
        }
    }

    #[test]
    fn a_handover_that_fails_changes_nothing() {
        let (ours, theirs) = (Process::signer(&CHILD, 3), Process::signer(&CHILD, 4));
        let (old, peers) = (Process::sockets(&CHILD, &ours), Process::sockets(&CHILD, &theirs));
        let mut here = Subscriber::new(&old.path("node"), 1);
        let mut there = Subscriber::new(&peers.path("node"), 1);
        let dial = Ask::Dial { remote: ours.node(), address: old.listening() };
        there.desk.ask(dial).expect("the link is up");
        let opened = |news: &News| matches!(news, News::Opened(_));
        assert!(there.until(opened).is_some() && here.until(opened).is_some());
        assert_alive(&mut here, &mut there, "before");

        let other = knock(&old);
        say(&other, &[1, 0, 99]);
        let (kind, words) = packet(&other);
        let words = String::from_utf8_lossy(&words).into_owned();
        assert_eq!((kind, &*words), (2, "handover version 99, this process speaks version 1"));
        assert_alive(&mut here, &mut there, "another version");

        let other = knock(&old);
        say(&other, b"GET / HTTP/1.1");
        assert_eq!(packet(&other), (2, b"not a hello".to_vec()));
        assert_alive(&mut here, &mut there, "not a hello");

        drop(knock(&old));
        assert_alive(&mut here, &mut there, "gone at once");

        // Connected, and silent.
        let silent = knock(&old);
        assert_alive(&mut here, &mut there, "silent");
        assert_eq!(packet(&silent).0, 2);

        let other = knock(&old);
        say(&other, &HELLO);
        assert_eq!(packet(&other).0, 3, "a plan");
        drop(other);
        assert_alive(&mut here, &mut there, "dead with the plan");

        // It has everything, and is never ready.
        let other = knock(&old);
        say(&other, &HELLO);
        let last = loop {
            match packet(&other).0 {
                3 | 4 => {}
                kind => break kind,
            }
        };
        assert_eq!(last, 7, "it goes on itself");
        // Too late.
        send(&other, &[5], SendFlags::NOSIGNAL).ok();
        assert_alive(&mut here, &mut there, "never ready");

        // After all of this it is still possible.
        let next = Process::successor(&CHILD, &ours, &old);
        assert!(next.is_some());
        assert_alive(&mut here, &mut there, "after a handover");
    }
}
