//! How long nobody serves while sockets move from one process to the next.
//!
//! Measured from outside: a peer sends a ping every millisecond over one of 10,000 connections, and
//! the pause is the longest time between two pongs around the move, less the usual one. The pong
//! before it is the old process's last, the one behind it the new process's first.

mod shared;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread::{scope, sleep},
    time::{Duration, Instant},
};

use apart::{Process, Subscriber, WAIT};
use paired::Target;
use peer::{
    desk::News,
    holder::{Answer, Ask},
};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv,
    send, socket_with,
};
use shared::World;

const BENCH: &str = "handover";
const CONNECTIONS: usize = 10_000;
const MOVES: usize = 3;
const TARGET_MS: f64 = 200.0;
/// From one pong to the next ping.
const PING_EVERY: Duration = Duration::from_millis(1);
/// What is usual is seen before each move and after it.
const AROUND: Duration = Duration::from_millis(1_500);

fn main() {
    apart::child();
    let mut world = World::new();
    world.open(CONNECTIONS);
    let (mut pauses, mut back) = (Vec::new(), Vec::new());
    let mut newest: Option<Process> = None;
    for number in 1..=MOVES {
        let moved = move_once(&mut world);
        eprintln!("move {number}: {:.1} ms, then {:.1} ms", moved.pause_ms, moved.back_ms);
        pauses.push(moved.pause_ms);
        back.push(moved.back_ms);
        // The folder of the first one stays: all paths are in it.
        let mut old = newest.replace(moved.next);
        until_ended(old.as_mut().unwrap_or(&mut world.holder));
    }
    assert!(world.peers.ended().is_none(), "the peers are where they were");
    let report = |figure: &str, value: f64, unit: &str, target| {
        paired::report(BENCH, figure, value, unit, target, value, 1.0);
    };
    report("pause", middle(&pauses), "ms", Target::AtMost(TARGET_MS));
    let longest = pauses.iter().copied().fold(0.0, f64::max);
    report("pause-longest", longest, "ms", Target::Report);
    report("subscriber-back", middle(&back), "ms", Target::Report);
    let (bytes, count) = (state_bytes(&world.holder), CONNECTIONS as f64);
    paired::report(BENCH, "state", bytes / count, "bytes", Target::Report, bytes, count);
}

/// How a move went.
struct Moved {
    next: Process,
    /// Nobody served for so long.
    pause_ms: f64,
    /// From the last pong of the old process until the subscriber knew all connections again.
    back_ms: f64,
}

fn move_once(world: &mut World) -> Moved {
    let World { here, there, holder, ours, .. } = world;
    let stop = AtomicBool::new(false);
    let (next, pongs, caught) = scope(|scope| {
        let pongs = scope.spawn(|| ping(there, &stop));
        let caught = scope.spawn(|| follow(here, &stop));
        sleep(AROUND);
        let next = Process::successor(&[], ours, holder);
        sleep(AROUND);
        stop.store(true, Ordering::Relaxed);
        let caught = caught.join().expect("it has said why");
        (next, pongs.join().expect("it has said why"), caught)
    });
    let next = next.expect("the next process has said why it cannot take over");
    let gap = |pair: &[Instant]| (pair[1] - pair[0]).as_secs_f64() * 1e3;
    let usual = middle(&pongs.windows(2).map(gap).collect::<Vec<_>>());
    let longest = pongs.windows(2).max_by(|one, other| gap(one).total_cmp(&gap(other)));
    let longest = longest.expect("there were pongs");
    let back_ms = (caught - longest[0]).as_secs_f64() * 1e3;
    Moved { next, pause_ms: gap(longest) - usual, back_ms }
}

/// Sends pings over one connection, and says when their pongs came.
fn ping(there: &mut Subscriber, stop: &AtomicBool) -> Vec<Instant> {
    let connection = there.desk.connections().next().expect("many are open");
    let (begin, mut pongs) = (Instant::now(), Vec::new());
    while !stop.load(Ordering::Relaxed) {
        there.desk.ask(Ask::Ping { connection }).expect("the link is up");
        let before = pongs.len();
        while pongs.len() == before {
            assert!(begin.elapsed() < WAIT, "pongs come no more");
            for news in there.turn(Duration::from_millis(5)) {
                if is_answer(&news) {
                    pongs.push(Instant::now());
                }
            }
        }
        sleep(PING_EVERY);
    }
    pongs
}

/// Listens as a node does; says when it knew all connections again.
fn follow(here: &mut Subscriber, stop: &AtomicBool) -> Instant {
    let (begin, mut caught) = (Instant::now(), None);
    loop {
        assert!(begin.elapsed() < WAIT, "the subscriber never came back");
        for news in here.turn(Duration::from_millis(5)) {
            if matches!(news, News::Caught) {
                caught = Some(Instant::now());
            }
            is_answer(&news);
        }
        if let Some(caught) = caught
            && stop.load(Ordering::Relaxed)
        {
            return caught;
        }
    }
}

/// Whether it is a pong, as the answer to a ping. No connection may end, and no link of the peers.
fn is_answer(news: &News) -> bool {
    match news {
        News::Answered { answer: Some(Answer::Ponged { .. }), .. } => true,
        News::Answered { .. } => panic!("not a pong"),
        News::Caught | News::Opened(_) | News::Sent { .. } => false,
        News::Closed { text, .. } | News::Complaint { text, .. } => panic!("closed: {text}"),
        News::NotSent { why, .. } | News::Superseded { why } => panic!("{why}"),
        News::Behind { have } => panic!("{have:?} was here before"),
        News::Message { .. } => panic!("nobody has sent anything"),
    }
}

fn until_ended(process: &mut Process) {
    let begin = Instant::now();
    while process.ended().is_none() {
        assert!(begin.elapsed() < WAIT, "the old process is still there");
        sleep(Duration::from_millis(5));
    }
    assert_eq!(process.ended(), Some(true), "it ends well");
}

/// Bytes that are handed over beside the sockets: what the holder says to a process that knocks,
/// says hello and goes away. It goes on by itself then.
fn state_bytes(first: &Process) -> f64 {
    const HELLO: [u8; 3] = [1, 0, 1];
    const PLAN: u8 = 3;
    let kind = SocketType::SEQPACKET;
    let socket = socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None);
    let socket = socket.expect("a socket");
    let path = SocketAddrUnix::new(first.path("door")).expect("short");
    connect(&socket, &path).expect("somebody is at the door");
    send(&socket, &HELLO, SendFlags::NOSIGNAL).expect("it listens");
    let mut packet = [0; 64];
    recv(&socket, &mut packet[..], RecvFlags::empty()).expect("it speaks");
    assert_eq!(packet[0], PLAN, "it shows what there is");
    let bytes = packet[1..].first_chunk().expect("64 bytes hold 9");
    u64::from_be_bytes(*bytes) as f64
}

/// The median of an odd number of values.
fn middle(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
