//! Messages of peers on their way through all the parts, and to the disk.
//!
//! *Through*: a peer's message goes from socket to holder, over the bus to a subscriber, which
//! marks it saved and sends one back. Both subscribers, both holders and the wires between them
//! share the machine, so this is what one machine does for both ends. It is compared with the bare
//! noise of the same messages: each encrypted and decrypted once, there and back, in one thread.
//! A busy machine lowers these figures; `holder-cpu` stays what it is.
//!
//! *Saved*: peers send to a whole node as fast as it takes it, and what is counted is told only
//! after its commit is durable. A second node, under `strace`, says how many syncs that took.

mod shared;

use std::{
    collections::BTreeMap,
    env, fs,
    hint::black_box,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::channel,
    },
    thread,
    time::{Duration, Instant},
};

use apart::{Subscriber, WAIT};
use node::{
    roles::{self, Plan},
    services::post::Event,
};
use noise::{EphemeralKey, Exchange, IdentityKey, Initiator, PublicKey, Transport, keyholder};
use paired::Target;
use peer::desk::News;
use shared::World;
use signer::NodeIndex;
use wire::{Network, features::Features, id::ConnectionId};

const BENCH: &str = "relay";
const MESSAGE_BYTES: usize = 128;

const CONNECTIONS: usize = 50;
/// Messages under way over each connection.
const WINDOW: u64 = 20;
/// Messages there and back in one round.
const ROUND: u64 = 50_000;
const ROUNDS: usize = 7;

/// Peers that send to the node, and messages of each: less than a peer may send at once.
const PEERS: usize = 10;
const OF_EACH: usize = 10_000;
/// Where the node of another process keeps its files.
const NODE: &str = "LEYDEN_RELAY_NODE";
const SEED: u8 = 5;
/// So long the bare disk is measured.
const SYNCING: Duration = Duration::from_secs(1);

fn main() {
    apart::child();
    if let Some(dir) = env::var_os(NODE) {
        return be_node(PathBuf::from(dir));
    }
    through();
    saved();
}

/// The middle of several rounds, each with its bare noise beside it.
fn through() {
    let mut world = World::new();
    world.open(CONNECTIONS);
    let stop = AtomicBool::new(false);
    let World { here, there, holder, peers, .. } = &mut world;
    let both = [holder.id(), peers.id()];
    let cpu = || both.map(cpu_seconds).iter().sum::<f64>();
    let (mut rounds, before) = (Vec::new(), cpu());
    thread::scope(|scope| {
        scope.spawn(|| echo(here, &stop));
        let mut lines: BTreeMap<_, _> = there.desk.connections().map(|id| (id, 0)).collect();
        // The first one warms up.
        for number in 0..=ROUNDS {
            let round = (send_and_hear(there, &mut lines), bare_noise());
            eprintln!("round {number}: {:.0} a second", ROUND as f64 / round.0);
            rounds.push(round);
        }
        stop.store(true, Ordering::Relaxed);
    });
    // What one of the two has worked, and the rounds that it has worked for.
    let (cpu, of_rounds) = ((cpu() - before) / 2.0, rounds.len() as f64);
    rounds.remove(0);
    rounds.sort_by(|one, other| (one.1 / one.0).total_cmp(&(other.1 / other.0)));
    let (seconds, bare) = rounds[rounds.len() / 2];
    let count = ROUND as f64;
    let report = |figure: &str, value: f64, unit: &str, num: f64, den: f64| {
        paired::report(BENCH, figure, value, unit, Target::Report, num, den);
    };
    report("there-and-back", count / seconds, "1/s", count, seconds);
    report("of-bare-noise", bare / seconds, "x", bare / count * 1e9, seconds / count * 1e9);
    // In one thread without waiting, and its half of the noise, for one message in and one out.
    let (cpu, noise) = (cpu / of_rounds / count * 1e9, bare / 2.0 / count * 1e9);
    report("holder-cpu", cpu, "ns", cpu, 1.0);
    report("noise-of-holder-cpu", noise / cpu, "x", noise, cpu);
}

/// Seconds for which the threads of a process have run.
fn cpu_seconds(process: u32) -> f64 {
    let threads = fs::read_dir(format!("/proc/{process}/task")).expect("it runs");
    let nanos = threads.map(|thread| {
        let path = thread.expect("it runs").path().join("schedstat");
        let text = fs::read_to_string(path).expect("the kernel tells");
        let first = text.split_ascii_whitespace().next().expect("three numbers");
        first.parse::<f64>().expect("a number")
    });
    nanos.sum::<f64>() / 1e9
}

/// Sends back all that comes.
fn echo(here: &mut Subscriber, stop: &AtomicBool) {
    let begin = Instant::now();
    // Should the other thread fail, this one ends too.
    while !stop.load(Ordering::Relaxed) && begin.elapsed() < WAIT {
        for news in here.turn(Duration::from_millis(1)) {
            if let Some((connection, bytes)) = heard(here, news) {
                here.desk.send(connection, bytes).expect("few are under way");
            }
        }
    }
}

/// One round, in seconds. `lines` are the connections, with the messages under way over each.
fn send_and_hear(there: &mut Subscriber, lines: &mut BTreeMap<ConnectionId, u64>) -> f64 {
    let begin = Instant::now();
    let (mut sent, mut back) = (0, 0);
    while back < ROUND {
        assert!(begin.elapsed() < WAIT, "{back} of {ROUND} came back");
        for (connection, under_way) in &mut *lines {
            while *under_way < WINDOW && sent < ROUND {
                there.desk.send(*connection, message()).expect("few are under way");
                *under_way += 1;
                sent += 1;
            }
        }
        for news in there.turn(Duration::from_millis(1)) {
            if let Some((connection, bytes)) = heard(there, news) {
                assert_eq!(bytes.len(), MESSAGE_BYTES);
                *lines.get_mut(&connection).expect("it is open") -= 1;
                back += 1;
            }
        }
    }
    begin.elapsed().as_secs_f64()
}

/// A message, which is marked saved; nothing else of interest may happen.
fn heard(side: &mut Subscriber, news: News) -> Option<(ConnectionId, Vec<u8>)> {
    match news {
        News::Message { connection, seq, bytes } => {
            side.desk.saved(connection, seq);
            Some((connection, bytes))
        }
        News::Caught | News::Opened(_) | News::Sent { .. } | News::Answered { .. } => None,
        News::Closed { text, .. } | News::Complaint { text, .. } => panic!("closed: {text}"),
        News::NotSent { why, .. } | News::Superseded { why } => panic!("{why}"),
        News::Behind { have } => panic!("{have:?} was here before"),
    }
}

/// The noise of one round and nothing else, in seconds.
fn bare_noise() -> f64 {
    let (mut one, mut other) = transports();
    let (message, mut wire) = (message(), Vec::new());
    let begin = Instant::now();
    for _ in 0..ROUND {
        pass(&mut one, &mut other, &message, &mut wire);
        pass(&mut other, &mut one, &message, &mut wire);
    }
    begin.elapsed().as_secs_f64()
}

fn pass(from: &mut Transport, to: &mut Transport, message: &[u8], wire: &mut Vec<u8>) {
    wire.clear();
    from.encrypt(black_box(message), wire).expect("a good length");
    let (header, body) = wire.split_first_chunk_mut().expect("longer than a header");
    to.decrypt_header(header).expect("our own header");
    black_box(to.decrypt_body(body).expect("our own body"));
}

fn transports() -> (Transport, Transport) {
    let (dial, act1) = keyholder::dial(&identity(2).public(), ephemeral(3));
    let responded = keyholder::respond(&act1, &identity(2), ephemeral(4));
    let (act2, half_open, _) = responded.expect("good acts");
    let (act3, one) = dial.finish(&act2, &identity(1)).expect("good acts");
    let (_, other) = half_open.finish(&act3).expect("good acts");
    (one.into(), other.into())
}

fn identity(byte: u8) -> IdentityKey {
    IdentityKey::take(&mut [byte; 32]).expect("a good key")
}

fn ephemeral(byte: u8) -> EphemeralKey {
    EphemeralKey::take(&mut [byte; 32]).expect("a good key")
}

fn message() -> Vec<u8> {
    let mut message = vec![0x5a; MESSAGE_BYTES];
    message[..2].copy_from_slice(&wire::custom::NOTE.first.to_be_bytes());
    message
}

fn saved() {
    // On the disk where we were built, which is no memory.
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("relay-{}", std::process::id()));
    fs::create_dir_all(&dir).expect("a folder for the node");
    let count = (PEERS * OF_EACH) as f64;
    let exe = env::current_exe().expect("we run");
    let seconds = save_all(Command::new(&exe), &dir.join("alone")).expect("a node starts");
    let per_second = count / seconds;
    paired::report(BENCH, "saved", per_second, "1/s", Target::Report, count, seconds);

    let counted = dir.join("syncs");
    let mut strace = Command::new("strace");
    // Only these calls stop the node, not all of them.
    strace.args(["-f", "-c", "--seccomp-bpf", "-e", "trace=fsync,fdatasync", "-o"]);
    strace.arg(&counted).arg(&exe);
    match save_all(strace, &dir.join("counted")).map(|_| syncs(&counted)) {
        Some(syncs) => {
            let each = syncs / count;
            paired::report(BENCH, "syncs", each, "per-message", Target::Report, syncs, count);
        }
        None => eprintln!("no strace here: syncs are not counted"),
    }
    let (syncs, seconds) = bare_syncs(&dir.join("bare"));
    paired::report(BENCH, "disk", syncs / seconds, "syncs/s", Target::Report, syncs, seconds);
    fs::remove_dir_all(&dir).expect("it is ours");
}

/// Runs a node, sends it everything, and returns its seconds from the first message that was
/// durable to the last. Nothing, if the program cannot be run.
fn save_all(mut program: Command, dir: &Path) -> Option<f64> {
    fs::create_dir_all(dir).expect("a folder for the node");
    program.env(NODE, dir).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut node = Ended(program.spawn().ok()?);
    let mut says = BufReader::new(node.0.stdout.take().expect("piped")).lines();
    let address = says.next()?.expect("text").parse().expect("an address");
    let remote = apart::seed(SEED).node_key(Network::Regtest, NodeIndex::FIRST).id();
    let peers: Vec<_> = (0..PEERS).map(|at| dial(remote, address, 10 + at as u8)).collect();
    let senders: Vec<_> = peers.into_iter().map(|peer| thread::spawn(|| flood(peer))).collect();
    let seconds = says.next().expect("it tells when it is done").expect("text");
    senders.into_iter().for_each(|sender| drop(sender.join().expect("it has said why")));
    // It ends when nobody speaks to it any more.
    drop(node.0.stdin.take());
    assert!(node.0.wait().expect("it is ours").success(), "it ends well");
    Some(seconds.parse().expect("a number"))
}

/// A process that does not outlive us.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// The handshake of a peer without any of our services, so that it costs little.
fn dial(remote: PublicKey, address: SocketAddr, byte: u8) -> (TcpStream, Transport) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let (mut core, mut exchange) = (Initiator::new(remote), Exchange::new());
    loop {
        while let Some(effect) = core.poll() {
            match effect {
                noise::Effect::Ask(ask) => {
                    let answer = exchange.answer(ask, &identity(byte), || ephemeral(byte + 100));
                    core.handle_answer(answer).expect("asked for");
                }
                noise::Effect::Send(act) => stream.write_all(act.bytes()).expect("it reads"),
                noise::Effect::Done { transport, .. } => return (stream, transport.into()),
            }
        }
        let mut act = [0; noise::ACT2_BYTES];
        stream.read_exact(&mut act).expect("an act");
        core.handle_bytes(&act).expect("a good act");
    }
}

/// Says `init`, and then everything. Whoever hangs up before all is read may lose the rest.
fn flood((mut stream, mut transport): (TcpStream, Transport)) -> TcpStream {
    let init = wire::Init::offering(Features::optional(&[]));
    let init = wire::Message::from(init).encode().expect("short enough");
    let mut bytes = Vec::new();
    transport.encrypt(&init, &mut bytes).expect("short enough");
    for _ in 0..OF_EACH {
        transport.encrypt(&message(), &mut bytes).expect("short enough");
    }
    stream.write_all(&bytes).expect("it reads");
    stream
}

/// The node of another process: says where it listens, and how long it took to save everything.
fn be_node(dir: PathBuf) {
    let listen = vec!["127.0.0.1:0".parse().expect("an address")];
    let plan = Plan { listen, ..Plan::whole(dir, Network::Regtest, apart::seed(SEED)) };
    let (told, events) = channel();
    let tell = Box::new(move |event| {
        if matches!(event, Event::Message { .. }) {
            told.send(Instant::now()).ok();
        }
    });
    let running = roles::start(plan, tell).expect("it starts");
    println!("{}", running.listening[0]);
    let stop = running.stopper();
    thread::spawn(move || {
        std::io::stdin().read_to_end(&mut Vec::new()).ok();
        stop();
    });
    let mut times = events.iter().take(PEERS * OF_EACH);
    let first = times.next().expect("somebody speaks");
    let last = times.last().expect("somebody speaks");
    println!("{}", (last - first).as_secs_f64());
    running.wait().expect("it ends well");
}

/// Calls in what `strace -c` wrote: `% time, seconds, usecs/call, calls, …, syscall`.
fn syncs(file: &Path) -> f64 {
    let text = fs::read_to_string(file).expect("it was written");
    let lines = text.lines().filter(|line| line.ends_with("sync"));
    let calls = lines.map(|line| line.split_ascii_whitespace().nth(3).expect("four columns"));
    calls.map(|calls| calls.parse::<f64>().expect("a number")).sum()
}

/// What the disk does without us: so many syncs of a page each, in so many seconds.
fn bare_syncs(file: &Path) -> (f64, f64) {
    let mut file = fs::File::create(file).expect("a file");
    let (begin, mut syncs) = (Instant::now(), 0.0);
    while begin.elapsed() < SYNCING {
        file.write_all(&[0x5a; 4_096]).expect("room on the disk");
        file.sync_data().expect("a disk");
        syncs += 1.0;
    }
    (syncs, begin.elapsed().as_secs_f64())
}
