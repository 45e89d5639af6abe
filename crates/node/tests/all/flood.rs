//! Ten thousand callers at once, of whom none means it.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use apart::{Process, Subscriber, WAIT};
use peer::{
    desk::News,
    holder::{Answer, Ask},
    limits::HANDSHAKES_MAX,
};
use rustix::{
    fd::OwnedFd,
    net::{AddressFamily, SocketFlags, SocketType, connect, socket_with},
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

use crate::handover::CHILD;

const CALLERS: usize = 10_000;

/// The body of the process that calls: it says `CALLED` when all calls are out, and holds them
/// until it is killed.
#[test]
fn calling_child() {
    let Ok(at) = std::env::var("LEYDEN_FLOOD") else { return };
    let at: SocketAddr = at.parse().expect("an address");
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most }).expect("up to the most");
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let calls: Vec<OwnedFd> = (0..CALLERS)
        .map(|_| {
            let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None);
            let socket = socket.expect("a descriptor");
            // It is answered later, or never.
            connect(&socket, &at).ok();
            socket
        })
        .collect();
    println!("CALLED {}", calls.len());
    std::thread::sleep(2 * WAIT);
}

#[test]
fn ten_thousand_callers_disturb_nobody() {
    let (ours, theirs) = (Process::signer(&CHILD, 5), Process::signer(&CHILD, 6));
    let (sockets, peers) = (Process::sockets(&CHILD, &ours), Process::sockets(&CHILD, &theirs));
    let mut here = Subscriber::new(&sockets.path("node"), 1);
    let mut there = Subscriber::new(&peers.path("node"), 1);
    let dial = || Ask::Dial { remote: ours.node(), address: sockets.listening() };
    let opened = |news: &News| matches!(news, News::Opened(_));
    there.desk.ask(dial()).expect("the link is up");
    assert!(there.until(opened).is_some() && here.until(opened).is_some());

    let mut calling = call_often(sockets.listening());
    // As many shake hands as may; who is connected is served as before, and quickly.
    let mut slowest = Duration::ZERO;
    let mut handshakes = 0;
    for _ in 0..40 {
        let begin = Instant::now();
        let connection = here.desk.connections().next().expect("it lives");
        let token = here.desk.ask(Ask::Ping { connection }).expect("the link is up");
        let ponged = here.until(|news| match news {
            News::Answered { token: of, answer } => {
                assert!(*of != token || matches!(answer, Some(Answer::Ponged { .. })));
                *of == token
            }
            News::Closed { text, .. } => panic!("{text}"),
            News::Caught
            | News::Opened(_)
            | News::Message { .. }
            | News::Complaint { .. }
            | News::Sent { .. }
            | News::NotSent { .. }
            | News::Behind { .. }
            | News::Superseded { .. } => false,
        });
        assert!(ponged.is_some());
        slowest = slowest.max(begin.elapsed());
        here.desk.ask(Ask::Status).expect("the link is up");
        here.until(|news| {
            if let News::Answered { answer: Some(Answer::Status(status)), .. } = news {
                handshakes = handshakes.max(status.handshakes);
            }
            matches!(news, News::Answered { .. })
        });
        there.turn(Duration::from_millis(2));
    }
    println!("{handshakes} shake hands, the slowest ping took {slowest:?}");
    assert!(handshakes <= HANDSHAKES_MAX as u64);
    assert!(handshakes > HANDSHAKES_MAX as u64 / 2);
    assert!(slowest < WAIT / 4);

    calling.kill().expect("it runs");
    calling.wait().expect("it is ours");
    // One more peer gets in, once those that hung up have been noticed.
    let end = Instant::now() + WAIT;
    there.desk.ask(dial()).expect("the link is up");
    while !there.turn(Duration::from_millis(5)).iter().any(opened) {
        assert!(Instant::now() < end, "nobody gets in any more");
        if here
            .turn(Duration::from_millis(5))
            .iter()
            .any(|news| matches!(news, News::Closed { .. }))
        {
            panic!("who was connected has lost its connection");
        }
    }
}

/// A process that has called and waits.
fn call_often(at: SocketAddr) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("we run"));
    command.args(["--exact", "flood::calling_child", "--nocapture"]).stdout(Stdio::piped());
    let mut calling = command.env("LEYDEN_FLOOD", at.to_string()).spawn().expect("it is built");
    let mut said = String::new();
    let mut out = calling.stdout.take().expect("piped");
    while !said.contains("CALLED") {
        let mut piece = [0; 256];
        let got = out.read(&mut piece).expect("it speaks");
        assert!(got > 0, "{said}");
        said.push_str(&String::from_utf8_lossy(&piece[..got]));
    }
    calling
}

/// Bytes that are no handshake, in every size, and none at all.
#[test]
fn callers_that_say_nonsense_are_gone_and_nobody_else_is() {
    let ours = Process::signer(&CHILD, 7);
    let sockets = Process::sockets(&CHILD, &ours);
    let mut here = Subscriber::new(&sockets.path("node"), 1);
    for size in [1, 49, 50, 51, 66, 1_000, 100_000] {
        let mut stream = TcpStream::connect(sockets.listening()).expect("it listens");
        stream.set_read_timeout(Some(WAIT)).expect("a socket");
        stream.write_all(&vec![0x16; size]).ok();
        if size >= 50 {
            // Closed, or reset because there was more to read.
            let got = stream.read(&mut [0; 100]);
            assert!(matches!(got, Ok(0) | Err(_)), "{size} bytes are answered with {got:?}");
        }
    }
    here.desk.ask(Ask::Status).expect("the link is up");
    let status = here.until(|news| matches!(news, News::Answered { .. }));
    assert!(status.is_some(), "it goes on");
}
