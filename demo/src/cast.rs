//! The processes of the demonstration, and what is typed to them.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use serde_json::Value;

/// Nothing in the demonstration takes as long as this.
pub const WAIT: Duration = Duration::from_secs(60);

/// Why the demonstration cannot go on.
pub type Failed = Box<dyn std::error::Error + Send + Sync>;

/// The binary, and the folder of a node.
#[derive(Clone)]
pub struct Leyden {
    binary: PathBuf,
    pub dir: PathBuf,
    passphrase: PathBuf,
}

/// A running process of `leyden`, ended with this.
pub struct Service {
    child: Child,
    pub ready: Value,
}

impl Leyden {
    /// The binary that was built beside this one.
    pub fn new(folder: &Path, name: &str) -> Result<Self, Failed> {
        let binary = std::env::current_exe()?.with_file_name("leyden");
        if !binary.exists() {
            return Err(format!("{} is not built; use ./dev demo", binary.display()).into());
        }
        let passphrase = folder.join("passphrase");
        fs::write(&passphrase, "a demonstration\n")?;
        Ok(Self { binary, dir: folder.join(name), passphrase })
    }

    /// The path of a link.
    pub fn link(&self, name: &str) -> String {
        format!("unix:{}", self.dir.join(name).display())
    }

    /// What people would type.
    pub fn typed(&self, words: &[&str]) -> String {
        let name = self.dir.file_name().unwrap_or_default().display();
        format!("leyden --dir {name} {}", words.join(" "))
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg("--json").arg("--dir").arg(&self.dir).args(words).stdin(Stdio::null());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LEYDEN_")) {
            command.env_remove(name);
        }
        command
    }

    /// Asks, and takes the answer, or the refusal.
    pub fn ask(&self, words: &[&str]) -> Result<Result<Value, String>, Failed> {
        let output = self.command(words).output()?;
        if output.status.success() {
            return Ok(Ok(serde_json::from_slice(&output.stdout)?));
        }
        let refused: Value = serde_json::from_slice(&output.stderr)?;
        Ok(Err(refused["error"].as_str().unwrap_or("no reason").to_owned()))
    }

    /// Asks what must work.
    pub fn must(&self, words: &[&str]) -> Result<Value, Failed> {
        self.ask(words)?.map_err(|error| format!("{}: {error}", self.typed(words)).into())
    }

    pub fn init(&self) -> Result<Value, Failed> {
        let file = self.passphrase.display().to_string();
        self.must(&["init", "--passphrase-file", &file])
    }

    /// Starts a process, and waits until it says that it is ready.
    pub fn up(&self, words: &[&str]) -> Result<Service, Failed> {
        let file = self.passphrase.display().to_string();
        let first = ["up", "--log", "error", "--api", "127.0.0.1:0", "--passphrase-file", &file];
        let mut command = self.command(&[&first, words].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let out = child.stdout.take().ok_or("piped")?;
        BufReader::new(out).read_line(&mut line)?;
        match serde_json::from_str(&line) {
            Ok(ready) => Ok(Service { child, ready }),
            Err(_) => {
                let mut why = String::new();
                child.stderr.take().ok_or("piped")?.read_to_string(&mut why)?;
                child.wait()?;
                Err(why.into())
            }
        }
    }

    /// Tries until it is so.
    pub fn until(&self, words: &[&str], is_so: impl Fn(&Value) -> bool) -> Result<(), Failed> {
        let end = Instant::now() + WAIT;
        while Instant::now() < end {
            if let Ok(answer) = self.ask(words)?
                && is_so(&answer)
            {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!("not in time: {}", self.typed(words)).into())
    }

    /// Listens to what happens, from now on.
    pub fn listen(&self) -> Result<Ear, Failed> {
        let mut child = self.command(&["events"]).stdout(Stdio::piped()).spawn()?;
        let out = child.stdout.take().ok_or("piped")?;
        let heard = Arc::new(Mutex::new(Heard::default()));
        let shared = Arc::clone(&heard);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let Ok(event) = serde_json::from_str(&line) else { continue };
                shared.lock().expect("nobody panics with it").take(&event);
            }
        });
        Ok(Ear { child, heard, reader: Some(reader) })
    }
}

impl Service {
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn listening(&self) -> Result<&str, Failed> {
        self.ready["listening"][0].as_str().ok_or_else(|| "it does not listen".into())
    }

    pub fn kill(&mut self) -> Result<(), Failed> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Waits until it has ended by itself.
    pub fn wait(&mut self) -> Result<(), Failed> {
        let end = Instant::now() + WAIT;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > end {
                return Err("a process has not ended".into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    pub fn runs(&mut self) -> Result<bool, Failed> {
        Ok(self.child.try_wait()?.is_none())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Hears what a node tells.
pub struct Ear {
    child: Child,
    heard: Arc<Mutex<Heard>>,
    reader: Option<JoinHandle<()>>,
}

/// Numbered messages that came.
#[derive(Clone, Default)]
pub struct Heard {
    pub numbers: BTreeSet<u64>,
    pub doubled: Vec<u64>,
    pub disconnects: Vec<String>,
    last: Option<Instant>,
    /// The longest time without a message between two of them.
    pub longest_gap: Duration,
}

impl Heard {
    fn take(&mut self, event: &Value) {
        if event["event"] == "peer_disconnected" {
            self.disconnects.push(event["why"].as_str().unwrap_or_default().to_owned());
        }
        let payload = event["payload"].as_str();
        let Some(number) = payload.and_then(|hex| u64::from_str_radix(hex, 16).ok()) else {
            return;
        };
        let now = Instant::now();
        if let Some(last) = self.last.replace(now) {
            self.longest_gap = self.longest_gap.max(now - last);
        }
        if !self.numbers.insert(number) {
            self.doubled.push(number);
        }
    }
}

impl Ear {
    pub fn heard(&self) -> Heard {
        self.heard.lock().expect("nobody panics with it").clone()
    }

    /// Forgets what it has heard.
    pub fn clear(&self) {
        *self.heard.lock().expect("nobody panics with it") = Heard::default();
    }

    /// Waits until so many messages have come.
    pub fn until(&self, count: usize) -> Result<Heard, Failed> {
        let end = Instant::now() + WAIT;
        loop {
            let heard = self.heard();
            if heard.numbers.len() >= count {
                return Ok(heard);
            }
            if Instant::now() > end {
                return Err(format!("{} of {count} messages came", heard.numbers.len()).into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if let Some(reader) = self.reader.take() {
            reader.join().ok();
        }
    }
}
