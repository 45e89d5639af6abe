//! A thread for each client.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{
    envelope::{self, Reply},
    http::{NoRequest, Request, Wire},
};
use crate::{Shared, dice, fault::Fault};

/// Clients at once.
pub const CLIENTS_MAX: usize = 64;
/// The user that bitcoind writes into its cookie.
const COOKIE_USER: &str = "__cookie__";
/// Who guesses passwords waits.
const WRONG_DELAY: Duration = Duration::from_millis(250);

/// Who may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Whoever can read this file: a fresh password is in it for as long as the server runs.
    Cookie(PathBuf),
    /// Whoever knows these.
    Password {
        /// A name.
        user: String,
        /// And a password.
        password: String,
    },
}

/// bitcoind's JSON-RPC on this machine. It stops when dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    state: Arc<State>,
    listener: Option<JoinHandle<()>>,
    cookie: Option<PathBuf>,
}

#[derive(Debug)]
struct State {
    stopped: AtomicBool,
    /// What a client must send, word by word.
    authorization: String,
    clients: Mutex<Clients>,
}

#[derive(Debug, Default)]
struct Clients {
    next: u64,
    open: BTreeMap<u64, TcpStream>,
    threads: Vec<JoinHandle<()>>,
}

impl State {
    fn clients(&self) -> std::sync::MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }
}

impl Server {
    /// Serves a devnet on a port of 127.0.0.1; port 0 is any that is free.
    pub fn start(devnet: Shared, port: u16, access: Access) -> Result<Self, Fault> {
        Self::start_at(devnet, Ipv4Addr::LOCALHOST, port, access)
    }

    /// The same on another address of this machine, all of 127.0.0.0/8.
    pub fn start_at(
        devnet: Shared,
        ip: Ipv4Addr,
        port: u16,
        access: Access,
    ) -> Result<Self, Fault> {
        let at = SocketAddr::new(IpAddr::V4(ip), port);
        let failed = |error: &io::Error| Fault::Address { at, why: error.to_string() };
        if !ip.is_loopback() {
            return Err(failed(&io::Error::other("this server is for this machine only")));
        }
        let listener = TcpListener::bind(at).map_err(|error| failed(&error))?;
        let address = listener.local_addr().map_err(|error| failed(&error))?;
        let (words, cookie) = match access {
            Access::Password { user, password } => (format!("{user}:{password}"), None),
            Access::Cookie(path) => (write_cookie(&path)?, Some(path)),
        };
        let state = Arc::new(State {
            stopped: AtomicBool::new(false),
            authorization: base64(words.as_bytes()),
            clients: Mutex::default(),
        });
        let theirs = Arc::clone(&state);
        let listener = thread::Builder::new()
            .name("devnet rpc".to_owned())
            .spawn(move || listen(&listener, &devnet, &theirs))
            .map_err(|error| failed(&error))?;
        Ok(Self { address, state, listener: Some(listener), cookie })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::Release);
        // The listener wakes up by a client.
        TcpStream::connect(self.address).ok();
        if let Some(listener) = self.listener.take() {
            listener.join().ok();
        }
        let threads = {
            let mut clients = self.state.clients();
            for stream in clients.open.values() {
                stream.shutdown(Shutdown::Both).ok();
            }
            std::mem::take(&mut clients.threads)
        };
        for thread in threads {
            thread.join().ok();
        }
        if let Some(cookie) = &self.cookie {
            fs::remove_file(cookie).ok();
        }
    }
}

/// A fresh password in a file that only its owner can read.
fn write_cookie(path: &Path) -> Result<String, Fault> {
    let password: [u8; 32] = dice::bytes()?;
    let hex: String = password.iter().map(|byte| format!("{byte:02x}")).collect();
    let words = format!("{COOKIE_USER}:{hex}");
    let disk = |error| Fault::disk(path, &error);
    // A new file, so that nobody has it open already.
    fs::remove_file(path).ok();
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(disk)?;
    file.write_all(words.as_bytes()).map_err(disk)?;
    Ok(words)
}

fn listen(listener: &TcpListener, devnet: &Shared, state: &Arc<State>) {
    for stream in listener.incoming() {
        if state.is_stopped() {
            return;
        }
        match stream {
            Ok(stream) => admit(stream, devnet, state),
            // No more descriptors, perhaps: clients leave, and there are some again.
            Err(_) => thread::sleep(Duration::from_millis(50)),
        }
    }
}

fn admit(stream: TcpStream, devnet: &Shared, state: &Arc<State>) {
    let Ok(mut wire) = stream.try_clone().and_then(Wire::new) else { return };
    let mut clients = state.clients();
    clients.threads.retain(|thread| !thread.is_finished());
    if clients.open.len() >= CLIENTS_MAX {
        drop(clients);
        wire.reply(503, Some("Work queue depth exceeded\n"), false).ok();
        return;
    }
    let number = clients.next;
    clients.next += 1;
    clients.open.insert(number, stream);
    let (devnet, theirs) = (Arc::clone(devnet), Arc::clone(state));
    let thread = thread::Builder::new().name("devnet client".to_owned()).spawn(move || {
        serve(wire, &devnet, &theirs);
        theirs.clients().open.remove(&number);
    });
    match thread {
        Ok(thread) => clients.threads.push(thread),
        Err(_) => {
            clients.open.remove(&number);
        }
    }
}

fn serve(mut wire: Wire, devnet: &Shared, state: &State) {
    while !state.is_stopped() {
        match one(&mut wire, devnet, state) {
            Ok(true) => {}
            Ok(false) | Err(NoRequest::Gone) => return,
            Err(NoRequest::Refused(status)) => {
                wire.reply(status, None, false).ok();
                return;
            }
        }
    }
}

/// Serves one request. Whether the next one may follow.
fn one(wire: &mut Wire, devnet: &Shared, state: &State) -> Result<bool, NoRequest> {
    let request = wire.head()?;
    if let Some((status, body)) = refusal(&request, state) {
        // A short body is read, so that the answer does not get lost in a connection that breaks.
        // Nobody who may not ask sends a long one.
        if request.has_short_body() {
            wire.body(&request)?;
        }
        wire.reply(status, body, false)?;
        return Ok(false);
    }
    let body = wire.body(&request)?;
    let Reply { status, body } = envelope::answer(devnet, &body);
    wire.reply(status, body.as_deref(), request.keep_alive)?;
    Ok(request.keep_alive)
}

fn refusal(request: &Request, state: &State) -> Option<(u16, Option<&'static str>)> {
    if request.path != "/" {
        return Some((404, None));
    }
    if request.method != "POST" {
        return Some((405, Some("JSONRPC server handles only POST requests")));
    }
    let words = request.authorization.as_deref().and_then(|words| words.split_once(' '));
    let Some((scheme, words)) = words else { return Some((401, None)) };
    if scheme.eq_ignore_ascii_case("basic") && same(words.trim(), &state.authorization) {
        return None;
    }
    thread::sleep(WRONG_DELAY);
    Some((401, None))
}

/// Compares in a time that does not tell where two texts differ.
fn same(left: &str, right: &str) -> bool {
    let differ = left.bytes().zip(right.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b));
    left.len() == right.len() && differ == 0
}

/// As `Authorization` wants it (RFC 4648).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let sum = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let digit = DIGITS[(sum >> (18 - 6 * at) & 63) as usize] as char;
            out.push(if at > three.len() { '=' } else { digit });
        }
    }
    out
}
