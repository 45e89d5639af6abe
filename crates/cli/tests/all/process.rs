//! Processes of `leyden`, which end with the test.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

pub const WAIT: Duration = Duration::from_secs(60);

/// A folder with a passphrase in it.
pub struct Place(place::Place);

impl Place {
    pub fn new() -> Self {
        let place = place::Place::new();
        fs::write(place.at("passphrase"), "correct horse\n").expect("a file");
        Self(place)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn at(&self, name: &str) -> String {
        self.0.at(name).display().to_string()
    }
}

pub fn leyden(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leyden"));
    command.args(words).stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LEYDEN_")) {
        command.env_remove(name);
    }
    command
}

/// Runs to the end.
pub fn run(words: &[&str]) -> Output {
    leyden(words).output().expect("the binary is built")
}

/// What it answers in JSON, or its refusal.
pub fn json(words: &[&str]) -> Result<Value, Value> {
    let words: Vec<_> = ["--json"].iter().chain(words).copied().collect();
    let output = run(&words);
    let read = |bytes: &[u8]| -> Value {
        let text = String::from_utf8_lossy(bytes);
        let line = text.trim_end();
        assert!(!line.contains('\n'), "one value: {text}");
        serde_json::from_str(line).unwrap_or_else(|fault| panic!("{fault}: '{text}'"))
    };
    match output.status.success() {
        true => Ok(read(&output.stdout)),
        false => Err(read(&output.stderr)),
    }
}

/// A process that runs until it is told to stop.
pub struct Service {
    pub child: Child,
    pub ready: Value,
}

impl Service {
    /// Starts it, and waits until it says that it is ready.
    pub fn up(dir: &str, passphrase: &str, words: &[&str]) -> Self {
        Self::try_up(dir, passphrase, words).expect("it gets ready")
    }

    pub fn try_up(dir: &str, passphrase: &str, words: &[&str]) -> Option<Self> {
        let start =
            ["--json", "--dir", dir, "up", "--log", "warn", "--passphrase-file", passphrase];
        let words: Vec<_> = start.iter().chain(words).copied().collect();
        let mut child = leyden(&words).stdout(Stdio::piped()).spawn().expect("it is built");
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        out.read_line(&mut line).expect("it speaks");
        match serde_json::from_str(&line) {
            Ok(ready) => Some(Self { child, ready }),
            Err(_) => {
                child.wait().expect("it has ended");
                None
            }
        }
    }

    pub fn listening(&self) -> SocketAddr {
        self.ready["listening"][0].as_str().and_then(|at| at.parse().ok()).expect("it listens")
    }

    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is ours");
    }

    /// Waits until it has ended by itself.
    pub fn ended(&mut self) -> bool {
        let end = Instant::now() + WAIT;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                return status.success();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Tries until it is so.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + WAIT;
    while !is_so() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
