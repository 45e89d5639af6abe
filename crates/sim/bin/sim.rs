//! Runs worlds: `leyden-sim COUNT [--from SEED]`, or `leyden-sim --seed SEED` for one with a trace,
//! `leyden-sim --blocks SEED` for one of blocks.

use std::{
    io::Write as _,
    process::ExitCode,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use sim::{Broken, Outcome, Table, blocks, town};

const USAGE: &str =
    "usage: leyden-sim COUNT [--from SEED] | leyden-sim --seed SEED | leyden-sim --blocks SEED";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let number = |word: &str| word.parse::<u64>().ok();
    let done = match words[..] {
        ["--seed", seed] => number(seed).map(replay),
        ["--blocks", seed] => number(seed).map(replay_blocks),
        ["--town", seed] => number(seed).map(replay_town),
        ["--towns", count, "--from", seed] => {
            number(count).zip(number(seed)).map(|(count, seed)| towns(count, seed))
        }
        [count] => number(count).and_then(|count| many(count, fresh())),
        [count, "--from", seed] => {
            number(count).zip(number(seed)).and_then(|(count, seed)| many(count, seed))
        }
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

/// Towns alone.
fn towns(count: u64, from: u64) -> ExitCode {
    let (begin, mut table, mut failed) = (Instant::now(), Table::default(), 0);
    let mut slowest = (0, 0);
    for seed in from..from.saturating_add(count) {
        let one = Instant::now();
        let town = town::run(seed, false);
        slowest = slowest.max((one.elapsed().as_millis(), seed));
        table.add(&town.table);
        if let Some(broken) = town.broken {
            failed += 1;
            println!("BROKEN {broken}\n       replay: ./dev sim --town {seed}");
        }
    }
    println!("{table}");
    let empty = table.empty();
    empty.iter().for_each(|cell| println!("NEVER {cell}"));
    println!(
        "{count} towns in {} ms, {failed} broken, slowest {slowest:?}, {} cells never hit",
        begin.elapsed().as_millis(),
        empty.len()
    );
    match failed == 0 && empty.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
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

/// Nothing, if there are no such worlds. Each seed is two worlds: of nodes, and of blocks.
fn many(count: u64, from: u64) -> Option<ExitCode> {
    let seeds = from..from.checked_add(count)?;
    if seeds.is_empty() {
        return None;
    }
    println!("{count} worlds of nodes and as many of blocks from seed {from}");
    let (begin, mut told) = (Instant::now(), Instant::now());
    let (mut of_nodes, mut of_blocks, mut failed) = (Table::default(), Table::default(), 0);
    let (mut received, mut found, mut paid) = (0, 0, 0);
    for seed in seeds {
        let nodes = sim::run(seed, false);
        of_nodes.add(&nodes.table);
        received += nodes.received;
        let blocks = blocks::run(seed, false);
        of_blocks.add(&blocks.table);
        (found, paid) = (found + blocks.found, paid + blocks.paid);
        for (broken, word) in [(nodes.broken, "--seed"), (blocks.broken, "--blocks")] {
            if let Some(broken) = broken {
                failed += 1;
                println!("BROKEN {broken}\n       replay: ./dev sim {word} {seed}");
            }
        }
        if told.elapsed().as_secs() >= 5 {
            told = Instant::now();
            println!("… {} of {count}, {failed} broken", seed - from + 1);
        }
    }
    println!("\nfault × effect: how often each fault struck at each effect\n\n{of_nodes}");
    println!("{of_blocks}");
    let mut empty = of_nodes.empty();
    empty.extend(of_blocks.empty());
    empty.iter().for_each(|cell| println!("NEVER {cell}"));
    let (seconds, faults) = (begin.elapsed().as_secs(), of_nodes.sum() + of_blocks.sum());
    println!(
        "{count} worlds twice in {seconds} s: {failed} broken, {faults} faults, {received} notes \
         received, {found} things found, {paid} payments confirmed, {} cells never hit",
        empty.len()
    );
    Some(match failed == 0 && empty.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
