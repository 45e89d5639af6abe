//! How the demonstration looks.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use crate::cast::Failed;

/// Longer than this, and it is shown that something is going on.
const PROGRESS_AFTER: Duration = Duration::from_millis(700);

/// Prints. The scenes are numbered.
pub struct Stage {
    scenes: usize,
    live: bool,
}

impl Stage {
    pub fn new() -> Self {
        Self { scenes: 0, live: io::stdout().is_terminal() }
    }

    /// A new scene.
    pub fn scene(&mut self, title: &str) -> io::Result<()> {
        self.scenes += 1;
        let mut to = io::stdout().lock();
        writeln!(to, "\n{}. {title}", self.scenes)
    }

    /// A line of text.
    pub fn say(&self, line: &str) -> io::Result<()> {
        match line {
            "" => writeln!(io::stdout().lock()),
            _ => writeln!(io::stdout().lock(), "   {line}"),
        }
    }

    /// Something and what it is.
    pub fn show(&self, name: &str, value: &str) -> io::Result<()> {
        self.say(&format!("{name:<22} {value}"))
    }

    /// What could be typed to see the same.
    pub fn typed(&self, command: &str) -> io::Result<()> {
        self.say(&format!("$ {command}"))
    }

    /// Does something that takes a while; a terminal shows that it goes on.
    pub fn wait<T: Send>(
        &self,
        what: &str,
        work: impl FnOnce() -> Result<T, Failed> + Send,
    ) -> Result<T, Failed> {
        let begin = Instant::now();
        std::thread::scope(|scope| {
            let working = scope.spawn(work);
            while !working.is_finished() {
                std::thread::sleep(Duration::from_millis(20));
                if self.live && begin.elapsed() > PROGRESS_AFTER {
                    let seconds = begin.elapsed().as_secs_f32();
                    let mut to = io::stdout().lock();
                    write!(to, "\r   … {what}, {seconds:.1} s ")?;
                    to.flush()?;
                }
            }
            if self.live && begin.elapsed() > PROGRESS_AFTER {
                write!(io::stdout().lock(), "\r{:70}\r", "")?;
            }
            working.join().map_err(|_| "a thread panicked")?
        })
    }
}
