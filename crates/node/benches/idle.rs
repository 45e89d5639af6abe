//! What a connection costs that says nothing: memory of the holder of sockets, and of the kernel.
//!
//! One holder has 18,000 connections over loopback, near to what one process may have descriptors
//! here (20,000); another holder has the other ends. *Delegated* means that the keys are in the
//! holder, and a node listens. Measured is `RssAnon`, all memory of the process that no file backs:
//! stacks, the allocator's own and what it cannot give back included.
//!
//! A connection that was quiet for 30 s is sent a ping, and has its keys warm for 5 s then. So the
//! figure with the target is taken after all have cooled and before the first ping; the figures
//! `with-pings` are what is seen while every connection is pinged in its turn.

mod shared;

use std::{
    fs,
    thread::sleep,
    time::{Duration, Instant},
};

use paired::Target;
use peer::limits::{COOL_AFTER, PING_AFTER};
use shared::World;

const BENCH: &str = "idle";
const CONNECTIONS: usize = 18_000;
const TARGET_BYTES: f64 = 1_024.0;
const PAGE_BYTES: f64 = 4_096.0;
/// Everything is looked at so often.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// So long after [`COOL_AFTER`] the last connection has cooled too,
const MARGIN: Duration = Duration::from_secs(1);
/// and then the lowest of so long a time counts.
const QUIET: Duration = Duration::from_secs(4);

fn main() {
    apart::child();
    let mut world = World::new();
    let before = Sample::take(&world);
    let begin = Instant::now();
    world.open(CONNECTIONS);

    sleep(Duration::from_millis(COOL_AFTER.0) + MARGIN);
    let quiet = watch(&world, QUIET);
    let first_ping = Duration::from_millis(PING_AFTER.0);
    if begin.elapsed() > first_ping {
        eprintln!("pings began before all was quiet: the figure has some warm keys in it");
    }
    let report = |figure: &str, bytes: f64, target| {
        let count = CONNECTIONS as f64;
        paired::report(BENCH, figure, bytes / count, "bytes", target, bytes, count);
    };
    report("user-bytes", lowest(&quiet) - before.anon, Target::AtMost(TARGET_BYTES));
    let last = quiet.last().expect("it was looked at");
    report("whole-resident", last.resident, Target::Report);
    report("user-bytes-of-callers", last.callers - before.callers, Target::Report);
    // Both ends are on this machine: half of it is the holder's, near enough.
    report("kernel-slab", (last.slab - before.slab) / 2.0, Target::Report);
    report("kernel-buffers", (last.buffers - before.buffers) / 2.0, Target::Report);

    sleep(first_ping.saturating_sub(begin.elapsed()));
    let pinged = watch(&world, first_ping);
    let mean = pinged.iter().map(|sample| sample.anon).sum::<f64>() / pinged.len() as f64;
    report("with-pings-mean", mean - before.anon, Target::Report);
    let most = pinged.iter().map(|sample| sample.anon).fold(0.0, f64::max);
    report("with-pings-most", most - before.anon, Target::Report);
    let after = &pinged[pinged.len() * 2 / 3..];
    report("between-pings", lowest(after) - before.anon, Target::Report);
}

/// Looks again and again.
fn watch(world: &World, time: Duration) -> Vec<Sample> {
    let begin = Instant::now();
    let mut samples = Vec::new();
    while begin.elapsed() < time {
        sleep(LOOK_EVERY);
        samples.push(Sample::take(world));
        let bytes = samples.last().map_or(0.0, |sample| sample.anon) / CONNECTIONS as f64;
        if samples.len() % 4 == 0 {
            eprintln!("{bytes:.0} bytes for each of all {CONNECTIONS} connections");
        }
    }
    samples
}

fn lowest(samples: &[Sample]) -> f64 {
    samples.iter().map(|sample| sample.anon).fold(f64::INFINITY, f64::min)
}

/// Bytes at one moment.
struct Sample {
    /// Of the holder.
    anon: f64,
    resident: f64,
    /// Of the holder of the other ends, which has called where the first one has answered.
    callers: f64,
    /// Of the kernel: what it has for sockets, their files and names, and to wait for them. That
    /// is all of its slab memory, so other work on the machine shows in it too.
    slab: f64,
    /// What is in the sockets' buffers.
    buffers: f64,
}

impl Sample {
    fn take(world: &World) -> Self {
        let status = format!("/proc/{}/status", world.holder.id());
        let callers = format!("/proc/{}/status", world.peers.id());
        Self {
            callers: 1_024.0 * number(&callers, "RssAnon:", 1),
            anon: 1_024.0 * number(&status, "RssAnon:", 1),
            resident: 1_024.0 * number(&status, "VmRSS:", 1),
            slab: 1_024.0 * number("/proc/meminfo", "Slab:", 1),
            buffers: PAGE_BYTES * number("/proc/net/sockstat", "TCP:", 10),
        }
    }
}

/// A word of the line that begins so.
fn number(file: &str, begin: &str, word: usize) -> f64 {
    let text = fs::read_to_string(file).expect("the kernel tells");
    let line = text.lines().find(|line| line.starts_with(begin)).expect("it tells that");
    let word = line.split_ascii_whitespace().nth(word).expect("a number behind its name");
    word.parse().expect("a number")
}
