//! One role in one process.

use std::{
    ffi::OsString,
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use node::roles::{self, LinkName, Plan, Roles, RunFault};
use noise::PublicKey;
use place::Place;
use signer::{NodeIndex, Seed};
use wire::Network;

/// Nothing here takes as long as this.
pub const WAIT: Duration = Duration::from_secs(60);

const ROLE: &str = "LEYDEN_APART_ROLE";
const FOLDER: &str = "LEYDEN_APART_FOLDER";
const SEED: &str = "LEYDEN_APART_SEED";
const SIGNER: &str = "LEYDEN_APART_SIGNER";
const TAKE_OVER: &str = "LEYDEN_APART_TAKE_OVER";

/// A process of ours, which ends with whoever has this.
pub struct Process {
    child: Child,
    command: Command,
    place: Place,
    seed: u8,
}

impl Process {
    /// The signer of a node of this seed. `arguments` make the program that
    /// runs call [`child`].
    pub fn signer(arguments: &[&str], seed: u8) -> Self {
        Self::start(arguments, "signer", seed, &[]).expect("a signer gets ready")
    }

    /// A holder of sockets that uses this signer.
    pub fn sockets(arguments: &[&str], signer: &Self) -> Self {
        let more = [(SIGNER, signer.path("sockets").into_os_string())];
        Self::start(arguments, "sockets", 0, &more).expect("a holder gets ready")
    }

    /// A holder of sockets that takes over from another; nothing if it could not.
    pub fn successor(arguments: &[&str], signer: &Self, before: &Self) -> Option<Self> {
        let more = [
            (SIGNER, signer.path("sockets").into_os_string()),
            (TAKE_OVER, before.path("door").into_os_string()),
        ];
        Self::start(arguments, "sockets", 0, &more)
    }

    fn start(arguments: &[&str], role: &str, seed: u8, more: &[(&str, OsString)]) -> Option<Self> {
        let place = Place::new();
        let mut command = Command::new(std::env::current_exe().expect("we run"));
        command.args(arguments).stdout(Stdio::null());
        command.env(ROLE, role).env(FOLDER, place.path()).env(SEED, seed.to_string());
        command.envs(more.iter().map(|(name, value)| (name, value)));
        let child = command.spawn().expect("this program can be started");
        let mut process = Self { child, command, place, seed };
        process.is_ready().then_some(process)
    }

    /// Kills it and starts it again, in the same folder. Whether it gets ready, or ends before.
    pub fn restart(&mut self) -> bool {
        self.kill();
        fs::remove_file(self.path("ready")).ok();
        self.child = self.command.spawn().expect("it could be started before");
        self.is_ready()
    }

    fn is_ready(&mut self) -> bool {
        let end = Instant::now() + WAIT;
        while !self.path("ready").exists() {
            if self.ended().is_some() {
                return false;
            }
            assert!(Instant::now() < end, "it never got ready");
            std::thread::sleep(Duration::from_millis(2));
        }
        true
    }

    /// Something in its folder: `node`, `client`, `sockets` are links, `door` is for a successor.
    pub fn path(&self, name: &str) -> PathBuf {
        self.place.at(name)
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where peers can call.
    pub fn listening(&self) -> SocketAddr {
        let text = fs::read_to_string(self.path("ready")).expect("it is ready");
        text.parse().expect("an address")
    }

    /// The id of the node whose signer it is.
    pub fn node(&self) -> PublicKey {
        seed(self.seed).node_key(Network::Regtest, NodeIndex::FIRST).id()
    }

    /// Whether it has ended, and if so, whether well.
    pub fn ended(&mut self) -> Option<bool> {
        let status = self.child.try_wait().expect("it is ours");
        status.map(|status| status.success())
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().expect("it is ours");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The entropy of a seed: of no other use, but different from what a memory has anyway.
pub fn entropy(byte: u8) -> [u8; 32] {
    wire::dice::Dice::new(byte.into()).array()
}

/// The seed with that entropy.
pub fn seed(byte: u8) -> Seed {
    Seed::take(&mut entropy(byte)).expect("a seed")
}

/// In a process that [`Process`] has started: plays its role, and does not return. In any other it
/// does nothing.
pub fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let failed = play(&role).err();
    if let Some(fault) = &failed {
        eprintln!("the {role}: {fault}");
    }
    std::process::exit(i32::from(failed.is_some()));
}

fn play(role: &str) -> Result<(), RunFault> {
    let given = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let folder = given(FOLDER).ok_or(RunFault::Plan("no folder"))?;
    let byte = std::env::var(SEED).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let is_signer = role == "signer";
    let links: &[(LinkName, &str)] = match is_signer {
        true => &[(LinkName::Sockets, "sockets"), (LinkName::Node, "node")],
        false => {
            &[(LinkName::Node, "node"), (LinkName::Client, "client"), (LinkName::Handover, "door")]
        }
    };
    let take_over = given(TAKE_OVER);
    let is_fresh = !is_signer && take_over.is_none();
    let plan = Plan {
        dir: folder.clone(),
        network: Network::Regtest,
        roles: Roles { signer: is_signer, sockets: !is_signer, node: false, devnet: false },
        listen: is_fresh.then(|| "127.0.0.1:0".parse().expect("an address")).into_iter().collect(),
        links: links.iter().map(|(name, file)| (*name, folder.join(file))).collect(),
        signer: given(SIGNER),
        sockets: None,
        take_over,
        seed: is_signer.then(|| seed(byte)),
        policy: signer::Policy::default(),
        checkpoint: signer::Checkpoint::built_in(Network::Regtest),
        chain: None,
        devnet: None,
        store: None,
        store_pages_max: None,
    };
    let running = roles::start(plan, Box::new(|_| {}))?;
    let at = running.listening.first().map(ToString::to_string).unwrap_or_default();
    let io = |fault| RunFault::Io { what: "its folder".to_owned(), fault };
    fs::write(folder.join("making"), at).map_err(io)?;
    fs::rename(folder.join("making"), folder.join("ready")).map_err(io)?;
    let stop = running.stopper();
    std::thread::spawn(move || {
        // Whoever started it ends it; should that fail, it does not live for ever.
        std::thread::sleep(10 * WAIT);
        stop();
    });
    running.wait()
}
