//! Processes with one role each, and links to them.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use bus::{CallFault, Caller, Kind};
use client::Owner;
use node::roles::{self, LinkName, Plan, Roles};
use noise::{Effect as NoiseEffect, Initiator, PublicKey};
use peer::{
    Epoch,
    holder::{Answer, Ask, Event},
};
use signer::{NodeIndex, Seed};
use wire::{Network, id::ConnectionId};

pub const WAIT: Duration = Duration::from_secs(60);

const ROLE: &str = "LEYDEN_APART_ROLE";

/// A process of ours, which ends with the test.
pub struct Process {
    child: Child,
    folder: PathBuf,
    seed: u8,
}

impl Process {
    pub fn signer(seed: u8) -> Self {
        Self::start("signer", seed, None)
    }

    pub fn sockets(signer: &Self, seed: u8) -> Self {
        Self::start("sockets", seed, Some(signer.path("sockets")))
    }

    fn start(role: &str, seed: u8, signer: Option<PathBuf>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("leyden-apart-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).expect("a fresh folder");
        let mut command = Command::new(std::env::current_exe().expect("we run"));
        command.args(["--exact", "apart_child", "--nocapture"]).stdout(Stdio::null());
        command.env(ROLE, role).env("LEYDEN_APART_DIR", &folder);
        command.env("LEYDEN_APART_SEED", seed.to_string());
        if let Some(path) = signer {
            command.env("LEYDEN_APART_SIGNER", path);
        }
        let child = command.spawn().expect("it is built");
        let process = Self { child, folder, seed };
        let end = Instant::now() + WAIT;
        while !process.path("ready").exists() {
            assert!(Instant::now() < end, "the {role} never got ready");
            std::thread::sleep(Duration::from_millis(5));
        }
        process
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub fn listening(&self) -> SocketAddr {
        let text = fs::read_to_string(self.path("ready")).expect("it is ready");
        text.parse().expect("an address")
    }

    /// The id of the node whose signer it is.
    pub fn node(&self) -> PublicKey {
        seed(self.seed).node_key(Network::Regtest, NodeIndex::FIRST).id()
    }

    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is ours");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        fs::remove_dir_all(&self.folder).ok();
    }
}

fn seed(byte: u8) -> Seed {
    Seed::take(&mut [byte; 32]).expect("a seed")
}

/// The body of a process that a test has started; nothing for the test itself.
pub fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let folder = PathBuf::from(std::env::var_os("LEYDEN_APART_DIR").expect("given"));
    let byte = std::env::var("LEYDEN_APART_SEED").expect("given").parse().expect("a number");
    let is_signer = role == "signer";
    let links = match is_signer {
        true => vec![(LinkName::Sockets, folder.join("sockets"))],
        false => {
            vec![(LinkName::Node, folder.join("node")), (LinkName::Client, folder.join("client"))]
        }
    };
    let listen = "127.0.0.1:0".parse().expect("an address");
    let plan = Plan {
        dir: folder.clone(),
        network: Network::Regtest,
        roles: Roles { signer: is_signer, sockets: !is_signer, node: false },
        listen: if is_signer { Vec::new() } else { vec![listen] },
        links,
        signer: std::env::var_os("LEYDEN_APART_SIGNER").map(PathBuf::from),
        sockets: None,
        take_over: None,
        seed: is_signer.then(|| seed(byte)),
        store_pages_max: None,
    };
    let running = roles::start(plan, Box::new(|_| {})).expect("it starts");
    let at = running.listening.first().map(ToString::to_string).unwrap_or_default();
    fs::write(folder.join("making"), at).expect("a file");
    fs::rename(folder.join("making"), folder.join("ready")).expect("a file");
    // Whoever started it ends it; should that fail, it does not live for ever.
    std::thread::sleep(5 * WAIT);
    running.stop();
}

/// A link to the holder of the sockets.
pub struct Desk {
    caller: Caller,
}

impl Desk {
    pub fn reach(path: &Path) -> Self {
        Self { caller: Caller::connect(path).expect("it listens") }
    }

    pub fn ask(&mut self, ask: Ask) -> Answer {
        let topic = ask.topic();
        let frame = self.caller.ask(topic, &ask.encode(), WAIT).expect("every ask is answered");
        Answer::decode(frame.topic, &frame.payload).expect("an answer")
    }

    /// Asks, and does not care for the answer.
    pub fn send(&mut self, ask: Ask) {
        self.caller.send(ask.topic(), &ask.encode()).expect("there is room");
    }

    /// The next event, if one comes in time. Answers that nobody waits for are dropped.
    pub fn event(&mut self, wait: Duration) -> Option<Event> {
        loop {
            match self.caller.next(wait) {
                Ok(frame) if frame.kind == Kind::Event => {
                    return Some(Event::decode(frame.topic, &frame.payload).expect("an event"));
                }
                Ok(_) => {}
                Err(CallFault::Io(fault)) if is_late(&fault) => return None,
                Err(fault) => panic!("{fault}"),
            }
        }
    }

    /// The next event that has come already.
    pub fn waiting(&mut self) -> Option<Event> {
        self.event(Duration::from_millis(1))
    }

    /// Shakes hands through the sockets with the signer's key.
    pub fn tunnel(
        &mut self,
        signer: &Process,
        remote: PublicKey,
        address: SocketAddr,
    ) -> (Owner, ConnectionId) {
        let epoch = Epoch(1);
        let Answer::Dialing { connection } = self.ask(Ask::Tunnel { address, epoch }) else {
            panic!("there is room for a connection")
        };
        let mut keys = Caller::connect(&signer.path("sockets")).expect("the signer listens");
        let mut core = Initiator::new(remote);
        let (mut read, mut written) = (0, 0);
        loop {
            while let Some(effect) = core.poll() {
                match effect {
                    NoiseEffect::Ask(ask) => {
                        let ask = signer::Ask::Handshake { connection, ask };
                        let answer = keys.ask(ask.topic(), &ask.encode(), WAIT);
                        let mut payload = answer.expect("it answers").payload.to_vec();
                        match signer::Answer::decode(&mut payload) {
                            Ok(signer::Answer::Handshake { answer, .. }) => {
                                core.handle_answer(answer).expect("asked for");
                            }
                            _ => panic!("the signer says something else"),
                        }
                    }
                    NoiseEffect::Send(act) => {
                        let bytes = act.bytes().to_vec();
                        let pass = |bytes| Ask::Pass { connection, epoch, offset: written, bytes };
                        // The socket may not be connected yet.
                        let end = Instant::now() + WAIT;
                        while let Answer::Refused(why) = self.ask(pass(bytes.clone())) {
                            assert!(Instant::now() < end, "{why}");
                            std::thread::sleep(Duration::from_millis(5));
                        }
                        written += bytes.len() as u64;
                    }
                    NoiseEffect::Done { remote, transport } => {
                        let owner =
                            Owner::opened(connection, epoch, remote, transport, read, written);
                        return (owner, connection);
                    }
                }
            }
            if let Some(Event::Tunnel { bytes, .. }) = self.event(WAIT) {
                let taken = core.handle_bytes(&bytes).expect("act two");
                read += taken as u64;
                assert_eq!(taken, bytes.len(), "LDK waits for act three");
            }
        }
    }

    /// Works for an owner until the peer has said something of this type.
    pub fn until_message(&mut self, owner: &mut Owner, message_type: u16) -> Vec<u8> {
        let end = Instant::now() + WAIT;
        loop {
            assert!(Instant::now() < end, "it never came");
            while let Some(ask) = owner.poll() {
                let is_pass = matches!(ask, Ask::Pass { .. });
                assert!(matches!(self.ask(ask), Answer::Done));
                if is_pass {
                    owner.answered();
                }
            }
            if let Some(event) = self.event(Duration::from_millis(5)) {
                owner.handle(&event).expect("true bytes");
            }
            while let Some(message) = owner.message() {
                if message[..2] == message_type.to_be_bytes() {
                    return message;
                }
            }
        }
    }
}

fn is_late(fault: &std::io::Error) -> bool {
    matches!(fault.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}
