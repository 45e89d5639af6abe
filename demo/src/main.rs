//! Shows on one machine what Leyden does so far: a node taken apart into processes, and what it
//! survives.

mod cast;
mod cheat;
mod lightning;
mod money;
mod scenes;
mod stage;

use std::{error::Error, io, process::ExitCode};

use stage::Stage;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let stay = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--stay"] => true,
        _ => {
            eprintln!("the demonstration takes --stay or nothing, not '{}'", words.join(" "));
            return ExitCode::from(2);
        }
    };
    let mut stage = Stage::new();
    match scenes::play(&mut stage, stay) {
        Ok(()) => ExitCode::SUCCESS,
        // Who has read enough may go.
        Err(fault) if is_broken_pipe(&*fault) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("the demonstration failed: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(fault: &(dyn Error + 'static)) -> bool {
    fault.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::BrokenPipe)
}
