//! Runs worlds: `leyden-sim COUNT [--from SEED]`, towns alone by `leyden-sim --towns COUNT`.
//!
//! One with a trace: `leyden-sim --seed SEED`, `leyden-sim --blocks SEED` for one of blocks,
//! `leyden-sim --town SEED` for a town.

use std::{
    io::Write as _,
    num::NonZero,
    ops::Range,
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use sim::{Broken, Outcome, Table, blocks, town};

const USAGE: &str = "usage: leyden-sim COUNT [--from SEED] | leyden-sim --towns COUNT [--from SEED]
       leyden-sim --seed SEED | leyden-sim --blocks SEED | leyden-sim --town SEED";
/// How often a run says how far it is.
const TELL_SECONDS: u64 = 5;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let number = |word: &str| word.parse::<u64>().ok();
    let many = |kinds, count: &str, from: Option<&str>| {
        let from = from.map_or_else(|| Some(fresh()), number)?;
        run_many(kinds, number(count)?, from)
    };
    let done = match words[..] {
        ["--seed", seed] => number(seed).map(replay),
        ["--blocks", seed] => number(seed).map(replay_blocks),
        ["--town", seed] => number(seed).map(replay_town),
        ["--towns", count] => many(&[TOWNS], count, None),
        ["--towns", count, "--from", seed] => many(&[TOWNS], count, Some(seed)),
        [count] => many(&[NODES, BLOCKS, TOWNS], count, None),
        [count, "--from", seed] => many(&[NODES, BLOCKS, TOWNS], count, Some(seed)),
        _ => None,
    };
    done.unwrap_or_else(|| {
        eprintln!("{USAGE}");
        ExitCode::from(2)
    })
}

/// Another base each time: each run sees new worlds.
fn fresh() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_nanos() as u64 % 1_000_000_000_000
}

fn replay(seed: u64) -> ExitCode {
    let Outcome { trace, broken, received, notes, .. } = sim::run(seed, true);
    tell(seed, &trace, broken, &format!("{received} of {notes} notes came"))
}

fn replay_blocks(seed: u64) -> ExitCode {
    let blocks::Outcome { trace, broken, found, paid, .. } = blocks::run(seed, true);
    tell(seed, &trace, broken, &format!("{found} things were found, {paid} payments confirmed"))
}

fn replay_town(seed: u64) -> ExitCode {
    let town::Outcome { trace, broken, sums, .. } = town::run(seed, true);
    tell(seed, &trace, broken, &format!("{sums:?}"))
}

fn tell(seed: u64, trace: &[String], broken: Option<Broken>, well: &str) -> ExitCode {
    let mut out = std::io::stdout().lock();
    for line in trace {
        // A reader that has gone wants no more.
        if writeln!(out, "{line}").is_err() {
            return ExitCode::FAILURE;
        }
    }
    match broken {
        Some(broken) => {
            println!("BROKEN {broken}");
            ExitCode::FAILURE
        }
        None => {
            println!("seed {seed}: every rule was kept; {well}");
            ExitCode::SUCCESS
        }
    }
}

/// How the world of a seed went.
struct Went {
    table: Table,
    broken: Option<Broken>,
    /// What it has to show.
    sums: Vec<(&'static str, u64)>,
}

/// A kind of worlds.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    /// Runs one again.
    word: &'static str,
    run: fn(u64) -> Went,
}

const NODES: Kind = Kind {
    name: "worlds of nodes",
    word: "--seed",
    run: |seed| {
        let Outcome { table, broken, received, .. } = sim::run(seed, false);
        Went { table, broken, sums: vec![("notes received", received)] }
    },
};

const BLOCKS: Kind = Kind {
    name: "worlds of blocks",
    word: "--blocks",
    run: |seed| {
        let blocks::Outcome { table, broken, found, paid, .. } = blocks::run(seed, false);
        Went { table, broken, sums: vec![("things found", found), ("payments confirmed", paid)] }
    },
};

const TOWNS: Kind = Kind {
    name: "towns",
    word: "--town",
    run: |seed| {
        let town::Outcome { table, broken, sums, .. } = town::run(seed, false);
        let town::Sums { opened, paid, failed, forced } = sums;
        let sums = vec![
            ("channels opened", opened),
            ("payments made", paid),
            ("that came to nothing", failed),
            ("ends by force", forced),
        ];
        Went { table, broken, sums }
    },
};

/// What all worlds of a kind have shown.
#[derive(Default)]
struct Sum {
    table: Table,
    failed: u64,
    sums: Vec<(&'static str, u64)>,
    /// How long they took, one after the other.
    time: Duration,
}

impl Sum {
    /// Whether a rule was broken.
    fn add(&mut self, kind: Kind, seed: u64) -> bool {
        let begin = Instant::now();
        let Went { table, broken, sums } = (kind.run)(seed);
        let (time, failed) = (begin.elapsed(), u64::from(broken.is_some()));
        if let Some(broken) = &broken {
            println!("BROKEN {broken}\n       replay: ./dev sim {} {seed}", kind.word);
        }
        self.join(Self { table, failed, sums, time });
        broken.is_some()
    }

    fn join(&mut self, other: Self) {
        if !other.table.is_blank() {
            self.table.add(&other.table);
        }
        match self.sums.is_empty() {
            true => self.sums = other.sums,
            false => {
                let both = self.sums.iter_mut().zip(other.sums);
                both.for_each(|((_, sum), (_, more))| *sum += more);
            }
        }
        self.failed += other.failed;
        self.time += other.time;
    }

    fn show(&self, kind: Kind, count: u64) {
        println!("{}", self.table);
        self.table.empty().iter().for_each(|cell| println!("NEVER {cell}"));
        let (faults, seconds, failed) = (self.table.sum(), self.time.as_secs(), self.failed);
        let sums = self.sums.iter().map(|(what, sum)| format!(", {sum} {what}"));
        let sums: String = sums.collect();
        let never = self.table.empty().len();
        let name = kind.name;
        println!(
            "{count} {name} in {seconds} s: {failed} broken, {faults} faults{sums}, \
             {never} cells never hit\n"
        );
    }
}

/// Worlds that several threads run, each with what it has summed up.
struct Run<'a> {
    kinds: &'a [Kind],
    seeds: Range<u64>,
    next: AtomicU64,
    failed: AtomicU64,
}

impl Run<'_> {
    fn work(&self) -> Vec<Sum> {
        let mut told = Instant::now();
        let mut sums: Vec<Sum> = self.kinds.iter().map(|_| Sum::default()).collect();
        loop {
            let seed = self.next.fetch_add(1, Ordering::Relaxed);
            if !self.seeds.contains(&seed) {
                return sums;
            }
            for (kind, sum) in self.kinds.iter().zip(&mut sums) {
                let failed = sum.add(*kind, seed);
                self.failed.fetch_add(u64::from(failed), Ordering::Relaxed);
            }
            if told.elapsed().as_secs() >= TELL_SECONDS {
                told = Instant::now();
                let (done, count) =
                    (seed - self.seeds.start + 1, self.seeds.end - self.seeds.start);
                println!("… {done} of {count}, {} broken", self.failed.load(Ordering::Relaxed));
            }
        }
    }
}

/// Nothing, if there are no such worlds. Each seed is a world of each kind.
fn run_many(kinds: &[Kind], count: u64, from: u64) -> Option<ExitCode> {
    let seeds = from..from.checked_add(count)?;
    if seeds.is_empty() {
        return None;
    }
    let names: Vec<_> = kinds.iter().map(|kind| kind.name).collect();
    println!("{count} each of {} from seed {from}", names.join(", "));
    let run =
        Run { kinds, seeds: seeds.clone(), next: AtomicU64::new(from), failed: AtomicU64::new(0) };
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    let parts: Vec<Vec<Sum>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(|| run.work())).collect();
        workers.into_iter().map(|it| it.join().expect("no world panics")).collect()
    });
    let mut sums: Vec<Sum> = kinds.iter().map(|_| Sum::default()).collect();
    for part in parts {
        sums.iter_mut().zip(part).for_each(|(sum, more)| sum.join(more));
    }
    println!("\nfault × effect: how often each fault struck at each effect\n");
    kinds.iter().zip(&sums).for_each(|(kind, sum)| sum.show(*kind, count));
    let is_well = |sum: &Sum| sum.failed == 0 && sum.table.empty().is_empty();
    Some(match sums.iter().all(is_well) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
