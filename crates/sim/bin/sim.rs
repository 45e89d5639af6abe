//! Runs worlds: `leyden-sim COUNT [--from SEED]`, or `leyden-sim --seed SEED` for one with a trace.

use std::{
    io::Write as _,
    process::ExitCode,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use sim::{Outcome, Table};

const USAGE: &str = "usage: leyden-sim COUNT [--from SEED] | leyden-sim --seed SEED";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let number = |word: &str| word.parse::<u64>().ok();
    let done = match words[..] {
        ["--seed", seed] => number(seed).map(replay),
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
            println!("seed {seed}: every rule was kept; {received} of {notes} notes came");
            ExitCode::SUCCESS
        }
    }
}

/// Nothing, if there are no such worlds.
fn many(count: u64, from: u64) -> Option<ExitCode> {
    let seeds = from..from.checked_add(count)?;
    if seeds.is_empty() {
        return None;
    }
    println!("{count} worlds from seed {from}");
    let (begin, mut told) = (Instant::now(), Instant::now());
    let (mut table, mut failed, mut received) = (Table::default(), 0, 0);
    for seed in seeds {
        let outcome = sim::run(seed, false);
        table.add(&outcome.table);
        received += outcome.received;
        if let Some(broken) = outcome.broken {
            failed += 1;
            println!("BROKEN {broken}\n       replay: ./dev sim --seed {seed}");
        }
        if told.elapsed().as_secs() >= 5 {
            told = Instant::now();
            println!("… {} of {count}, {failed} broken", seed - from + 1);
        }
    }
    println!("\nfault × effect: how often each fault struck at each effect\n{table}");
    let empty = table.empty();
    empty.iter().for_each(|cell| println!("NEVER {cell}"));
    let seconds = begin.elapsed().as_secs();
    println!(
        "{count} worlds in {seconds} s: {failed} broken, {} faults, {received} notes received, {} \
         cells never hit",
        table.sum(),
        empty.len()
    );
    Some(match failed == 0 && empty.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
