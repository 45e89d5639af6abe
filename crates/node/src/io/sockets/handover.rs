//! From one process that holds sockets to the next, without a connection noticing.
//!
//! Over a Unix socket that keeps packets apart:
//!
//! | who | what |
//! |---|---|
//! | new | `hello`, version |
//! | old | `no` and why; or `plan`: counts, and a memory file with all that is not a descriptor |
//! | old | descriptors, up to 253 with each packet |
//! | new | `ready`: everything is read, checked and watched |
//! | old | `yours`, and ends; or `mine`, and goes on |
//!
//! The new process touches no socket before `yours`. The old one goes on by itself when `ready` has
//! not come in time, and says `mine` first. Who hears neither, but that the other has gone, knows
//! that it died before it could say `mine`: then the sockets are its own. So there is one owner.

use std::{
    fmt, io,
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use bitcoin::hashes::{Hash as _, sha256};
use bus::{Grant, Hub, Interest, Key, Listener};
use peer::{Terms, holder::Holder};
use rustix::{
    fs::{MemfdFlags, memfd_create},
    io::{pread, pwrite},
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with,
        bind, connect, listen, recvmsg, sendmsg, socket_with,
        sockopt::{Timeout, set_socket_timeout, socket_peercred},
    },
    process::geteuid,
};
use tracing::{info, warn};
use wire::{bigsize, id::ConnectionId, reader::Reader};
use zeroize::Zeroizing;

use super::{LISTENERS, SignerAt, Sockets, connections_max, socket::Socket};
use crate::io::clock;

/// What both must speak.
pub const HANDOVER_VERSION: u16 = 1;
/// Descriptors with one packet.
const BATCH: usize = 253;
/// The new process says hello at once, or it is not one.
const HELLO_MAX: Duration = Duration::from_millis(250);
/// From `hello` to `ready`; then the old process goes on by itself.
const READY_MAX: Duration = Duration::from_secs(2);
/// From `ready` to `yours`; the old process has nothing to do in between.
const YOURS_MAX: Duration = Duration::from_secs(5);
const PACKET_BYTES: usize = 4_096;

const HELLO: u8 = 1;
const NO: u8 = 2;
const PLAN: u8 = 3;
const DESCRIPTORS: u8 = 4;
const READY: u8 = 5;
const YOURS: u8 = 6;
const MINE: u8 = 7;

/// Where the next process knocks.
pub(super) struct Door {
    socket: OwnedFd,
    path: PathBuf,
    owned: bool,
}

/// Why a process cannot take over. The other one has everything it had.
#[derive(Debug)]
pub enum TakeOverFault {
    /// The system, or the path.
    Io {
        /// With what.
        what: &'static str,
        /// Its reason.
        fault: io::Error,
    },
    /// The other process says no.
    Refused {
        /// Its words.
        why: String,
    },
    /// The other process has said something else.
    Unexpected {
        /// What was to come.
        want: &'static str,
    },
    /// What it handed over cannot be read.
    Damaged {
        /// Why.
        why: String,
    },
}

impl Door {
    fn bind(path: &Path) -> io::Result<Self> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        if knock(path).is_ok() {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "somebody listens there"));
        }
        match std::fs::remove_file(path) {
            Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
            _ => {}
        }
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        bind(&socket, &SocketAddrUnix::new(path)?)?;
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        listen(&socket, 1)?;
        Ok(Self { socket, path: path.to_owned(), owned: true })
    }

    const KEY: Key = Key(LISTENERS + (1 << 32));

    pub(super) fn is(key: Key) -> bool {
        key == Self::KEY
    }

    fn watch(&self, hub: &Hub) -> io::Result<()> {
        hub.watch(&self.socket, Self::KEY, Interest { read: true, write: false })
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if self.owned {
            std::fs::remove_file(&self.path).ok();
        }
    }
}

fn knock(path: &Path) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket)
}

/// What goes with the sockets: listeners first, then the door, the paths of the bus, the peers.
struct Plan {
    peers: usize,
    listeners: usize,
    paths: Vec<(PathBuf, String)>,
    door: PathBuf,
    state: Zeroizing<Vec<u8>>,
    unsent: Vec<Vec<u8>>,
}

impl Sockets {
    /// Lets another process take over, who knocks at this path.
    pub fn allow_take_over(&mut self, path: &Path) -> io::Result<()> {
        let door = Door::bind(path)?;
        door.watch(&self.hub)?;
        self.handover = Some(door);
        Ok(())
    }

    /// Somebody knocks.
    pub(super) fn hand_over(&mut self) {
        let Some(door) = &self.handover else { return };
        let Ok(other) = accept_with(&door.socket, SocketFlags::CLOEXEC) else { return };
        if !socket_peercred(&other).is_ok_and(|peer| peer.uid == geteuid()) {
            return warn!("another user wants to take over");
        }
        let started = Instant::now();
        match hear_hello(&other) {
            Ok(()) => {}
            Err(why) => {
                warn!(%why, "nobody takes over");
                send(&other, NO, why.as_bytes(), &[]).ok();
                return;
            }
        }
        self.holder.end_unsettled(self.now);
        self.drive();
        self.hub.flush();
        let terms = self.terms.clone();
        let empty = Holder::new(terms.clone(), 0, 0);
        let frozen = std::mem::replace(&mut self.holder, empty).freeze();
        let given = self.give(&other, &frozen.bytes, &frozen.connections, started);
        match given {
            Ok(()) => {
                info!(connections = frozen.connections.len(), "another process has taken over");
                self.handed_over = true;
                self.let_go();
            }
            Err(why) => {
                send(&other, MINE, &[], &[]).ok();
                warn!(why, "nobody took over; this process goes on");
                let now = clock::now();
                let (holder, _) = Holder::thaw(&frozen.bytes, terms, connections_max(), now)
                    .expect("these bytes were just written");
                self.holder = holder;
                self.take_back();
            }
        }
    }

    /// Shows everything to the other process, and waits until it is ready.
    fn give(
        &mut self,
        other: &OwnedFd,
        state: &[u8],
        peers: &[ConnectionId],
        started: Instant,
    ) -> Result<(), &'static str> {
        let plan = self.plan(state, peers);
        let bytes = plan.encode();
        let memory = memory_file(&bytes).map_err(|_| "no memory file")?;
        let sum = sha256::Hash::hash(&bytes).to_byte_array();
        let mut head = (bytes.len() as u64).to_be_bytes().to_vec();
        head.extend_from_slice(&sum);
        let deadline = |started: Instant| {
            let left = READY_MAX.checked_sub(started.elapsed()).ok_or("it took too long")?;
            set_socket_timeout(other, Timeout::Send, Some(left)).map_err(|_| "no time limit")?;
            set_socket_timeout(other, Timeout::Recv, Some(left)).map_err(|_| "no time limit")
        };
        deadline(started)?;
        send(other, PLAN, &head, &[memory.as_fd()]).map_err(|_| "it did not listen")?;
        let door = self.handover.as_ref().expect("somebody knocked at it");
        let mut fds: Vec<BorrowedFd<'_>> = self.listeners.iter().map(AsFd::as_fd).collect();
        fds.push(door.socket.as_fd());
        fds.extend(self.hub.listeners().iter().map(|listener| listener.as_fd()));
        fds.extend(peers.iter().map(|id| self.sockets[id].as_fd()));
        for batch in fds.chunks(BATCH) {
            deadline(started)?;
            send(other, DESCRIPTORS, &[], batch).map_err(|_| "it did not take the sockets")?;
        }
        deadline(started)?;
        match receive(other, 0) {
            Ok(packet) if packet.kind == READY && started.elapsed() < READY_MAX => {}
            Ok(_) => return Err("it was not ready in time"),
            Err(_) => return Err("it went away"),
        }
        send(other, YOURS, &[], &[]).map_err(|_| "it went away when it was ready")
    }

    fn plan(&mut self, state: &[u8], peers: &[ConnectionId]) -> Plan {
        let paths = self.hub.listeners().iter();
        let paths = paths.map(|at| (at.path().to_owned(), at.grant().name().to_owned())).collect();
        Plan {
            peers: peers.len(),
            listeners: self.listeners.len(),
            paths,
            door: self.handover.as_ref().map(|door| door.path.clone()).unwrap_or_default(),
            state: Zeroizing::new(state.to_vec()),
            unsent: peers.iter().map(|id| self.sockets[id].unsent().clone()).collect(),
        }
    }

    /// The paths live on, in the other process.
    fn let_go(&mut self) {
        self.sockets.clear();
        self.listeners.clear();
        for listener in self.hub.listeners() {
            listener.disown();
        }
        if let Some(door) = &mut self.handover {
            door.owned = false;
        }
    }

    /// Whoever was subscribed is told by the end of its link, and comes again.
    fn take_back(&mut self) {
        for link in self.holder_links() {
            self.hub.close(link);
        }
        self.asked.clear();
        if self.signer.is_some() {
            self.holder.key_holder_came();
        }
        let bound = self.listening().unwrap_or_default();
        self.holder.listening_at(bound);
        // Sockets of handshakes that were ended are closed by their own effects.
        self.paused.extend(self.sockets.keys().copied());
    }

    fn holder_links(&self) -> Vec<bus::LinkId> {
        let ours = self.hub.links();
        ours.into_iter().filter(|link| Some(*link) != self.signer).collect()
    }
}

/// Takes over from whoever holds the sockets now. `grants` says what the links of each name may.
pub fn take_over(
    path: &Path,
    terms: Terms,
    signer: SignerAt,
    grants: impl Fn(&str) -> Option<Grant>,
) -> Result<Sockets, TakeOverFault> {
    let io = |what| move |fault: io::Error| TakeOverFault::Io { what, fault };
    let other = knock(path).map_err(io("nobody holds sockets there"))?;
    set_socket_timeout(&other, Timeout::Recv, Some(YOURS_MAX))
        .map_err(|fault| io("no time limit")(fault.into()))?;
    let hello = HANDOVER_VERSION.to_be_bytes();
    send(&other, HELLO, &hello, &[]).map_err(io("it does not listen"))?;
    let head = receive(&other, 1).map_err(io("it does not answer"))?;
    let plan = match head.kind {
        PLAN => read_plan(head)?,
        NO => return Err(TakeOverFault::Refused { why: head.text() }),
        _ => return Err(TakeOverFault::Unexpected { want: "a plan" }),
    };
    let total = plan.listeners + 1 + plan.paths.len() + plan.peers;
    let mut fds = Vec::with_capacity(total);
    while fds.len() < total {
        let packet = receive(&other, BATCH).map_err(io("the sockets did not come"))?;
        if packet.kind != DESCRIPTORS || packet.fds.is_empty() {
            return Err(TakeOverFault::Unexpected { want: "sockets" });
        }
        fds.extend(packet.fds);
    }
    let sockets = assemble(plan, fds, terms, signer, grants)?;
    send(&other, READY, &[], &[]).map_err(io("it went away"))?;
    match receive(&other, 0) {
        Ok(packet) if packet.kind == YOURS => Ok(sockets),
        Ok(_) => {
            drop_unowned(sockets);
            Err(TakeOverFault::Refused { why: "it goes on itself".to_owned() })
        }
        // It died before it could say that it goes on.
        Err(fault) if fault.kind() == io::ErrorKind::UnexpectedEof => Ok(sockets),
        Err(fault) => {
            drop_unowned(sockets);
            Err(TakeOverFault::Io { what: "it does not answer", fault })
        }
    }
}

/// The paths are still the other's.
fn drop_unowned(mut sockets: Sockets) {
    sockets.let_go();
}

fn assemble(
    plan: Plan,
    fds: Vec<OwnedFd>,
    terms: Terms,
    signer: SignerAt,
    grants: impl Fn(&str) -> Option<Grant>,
) -> Result<Sockets, TakeOverFault> {
    let io = |fault| TakeOverFault::Io { what: "a socket cannot be watched", fault };
    let damaged = |why: String| TakeOverFault::Damaged { why };
    let now = clock::now();
    let (holder, peers) = Holder::thaw(&plan.state, terms.clone(), connections_max(), now)
        .map_err(|fault| damaged(fault.to_string()))?;
    if peers.len() != plan.peers || plan.unsent.len() != plan.peers {
        let (have, want) = (peers.len(), plan.peers);
        return Err(damaged(format!("{have} connections for {want} sockets")));
    }
    let hub = Hub::new().map_err(io)?;
    let mut sockets = Sockets::new(hub, terms, signer).map_err(io)?;
    sockets.holder = holder;
    let mut fds = fds.into_iter();
    for fd in fds.by_ref().take(plan.listeners) {
        sockets.add_listener(fd).map_err(io)?;
    }
    let socket = fds.next().expect("counted by the caller");
    let door = Door { socket, path: plan.door, owned: true };
    door.watch(&sockets.hub).map_err(io)?;
    sockets.handover = Some(door);
    for ((path, name), fd) in plan.paths.iter().zip(fds.by_ref()) {
        let grant = grants(name).ok_or_else(|| damaged(format!("no link is called '{name}'")))?;
        sockets.hub.add_listener(Listener::adopt(fd, path, grant)).map_err(io)?;
    }
    for ((id, fd), unsent) in peers.into_iter().zip(fds).zip(plan.unsent) {
        sockets.admit(id, Socket::new(fd, unsent, false));
    }
    Ok(sockets)
}

fn hear_hello(other: &OwnedFd) -> Result<(), String> {
    let limited = set_socket_timeout(other, Timeout::Recv, Some(HELLO_MAX));
    limited.map_err(|fault| fault.to_string())?;
    let packet = receive(other, 0).map_err(|_| "no hello".to_owned())?;
    match packet.bytes.first_chunk() {
        Some(version) if packet.kind == HELLO => match u16::from_be_bytes(*version) {
            HANDOVER_VERSION => Ok(()),
            got => Err(format!(
                "handover version {got}, this process speaks version {HANDOVER_VERSION}"
            )),
        },
        _ => Err("not a hello".to_owned()),
    }
}

fn read_plan(head: Packet) -> Result<Plan, TakeOverFault> {
    let damaged = |why: &str| TakeOverFault::Damaged { why: why.to_owned() };
    let mut from = Reader::new(&head.bytes);
    let (Ok(len), Ok(sum)) = (from.array::<8>(), from.array::<32>()) else {
        return Err(damaged("the plan is too short"));
    };
    let memory = head.fds.first().ok_or_else(|| damaged("the plan has no memory file"))?;
    let len = usize::try_from(u64::from_be_bytes(*len)).unwrap_or(usize::MAX);
    let bytes = read_memory(memory, len)
        .map_err(|fault| TakeOverFault::Io { what: "its memory cannot be read", fault })?;
    if sha256::Hash::hash(&bytes).as_byte_array() != sum {
        return Err(damaged("the checksum is wrong"));
    }
    Plan::decode(&bytes).ok_or_else(|| damaged("the plan cannot be read"))
}

impl Plan {
    fn encode(&self) -> Zeroizing<Vec<u8>> {
        let unsent: usize = self.unsent.iter().map(|each| each.len() + 9).sum();
        let paths = (self.paths.len() + 1) * 256;
        // All at once: bytes that grow leave copies of keys behind.
        let mut to = Zeroizing::new(Vec::with_capacity(self.state.len() + unsent + paths + 64));
        for number in [self.peers, self.listeners, self.paths.len()] {
            bigsize::write(number as u64, &mut to);
        }
        let mut run = |bytes: &[u8]| {
            bigsize::write(bytes.len() as u64, &mut to);
            to.extend_from_slice(bytes);
        };
        run(self.door.as_os_str().as_bytes());
        for (path, name) in &self.paths {
            run(path.as_os_str().as_bytes());
            run(name.as_bytes());
        }
        run(&self.state);
        self.unsent.iter().for_each(|each| run(each));
        to
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader::new(bytes);
        let mut number = || usize::try_from(bigsize::read(&mut from).ok()?).ok();
        let (peers, listeners, count) = (number()?, number()?, number()?);
        let mut run = || {
            let len = usize::try_from(bigsize::read(&mut from).ok()?).ok()?;
            from.take(len).ok()
        };
        let path = |bytes: &[u8]| PathBuf::from(std::ffi::OsStr::from_bytes(bytes));
        let door = path(run()?);
        let mut paths = Vec::new();
        for _ in 0..count {
            paths.push((path(run()?), String::from_utf8(run()?.to_vec()).ok()?));
        }
        let state = Zeroizing::new(run()?.to_vec());
        let mut unsent = Vec::new();
        for _ in 0..peers {
            unsent.push(run()?.to_vec());
        }
        from.end().ok()?;
        Some(Self { peers, listeners, paths, door, state, unsent })
    }
}

fn memory_file(bytes: &[u8]) -> io::Result<OwnedFd> {
    let file = memfd_create("leyden-handover", MemfdFlags::CLOEXEC)?;
    let mut at = 0;
    while at < bytes.len() {
        at += pwrite(&file, &bytes[at..], at as u64)?;
    }
    Ok(file)
}

fn read_memory(file: &OwnedFd, len: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let size = rustix::fs::fstat(file)?.st_size;
    if u64::try_from(size).ok() != Some(len as u64) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut bytes = Zeroizing::new(vec![0; len]);
    let mut at = 0;
    while at < len {
        match pread(file, &mut bytes[at..], at as u64)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            got => at += got,
        }
    }
    Ok(bytes)
}

struct Packet {
    kind: u8,
    bytes: Vec<u8>,
    fds: Vec<OwnedFd>,
}

impl Packet {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

fn send(to: &OwnedFd, kind: u8, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        assert!(control.push(SendAncillaryMessage::ScmRights(fds)), "a batch fits");
    }
    let parts = [io::IoSlice::new(std::slice::from_ref(&kind)), io::IoSlice::new(bytes)];
    sendmsg(to, &parts, &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// The next packet, with at most so many descriptors.
fn receive(from: &OwnedFd, fds_max: usize) -> io::Result<Packet> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut buffer = [0; PACKET_BYTES];
    let parts = &mut [io::IoSliceMut::new(&mut buffer)];
    let got = recvmsg(from, parts, &mut control, RecvFlags::CMSG_CLOEXEC)?.bytes;
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    let [kind, bytes @ ..] = &buffer[..got] else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    if fds.len() > fds_max {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(Packet { kind: *kind, bytes: bytes.to_vec(), fds })
}

impl fmt::Display for TakeOverFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { what, fault } => write!(f, "{what}: {fault}"),
            Self::Refused { why } => write!(f, "the process that holds the sockets says: {why}"),
            Self::Unexpected { want } => write!(f, "{want} did not come"),
            Self::Damaged { why } => write!(f, "what was handed over cannot be used: {why}"),
        }
    }
}

impl std::error::Error for TakeOverFault {}
