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
//! that it died before it could say `mine`: then the sockets are its own. Who hears nothing at all
//! makes sure that `yours` cannot come any more, and gives up. So there is one owner.

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
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{MemfdFlags, memfd_create},
    io::{Errno, pread, pwrite, retry_on_intr},
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType,
        accept_with, bind, connect, listen, recvmsg, sendmsg, shutdown, socket_with,
        sockopt::{Timeout, set_socket_timeout, socket_peercred},
    },
    process::geteuid,
};
use tracing::{info, warn};
use wire::{bigsize, id::ConnectionId, reader::Reader};
use zeroize::Zeroizing;

use super::{
    LINGER_MAX, LISTENERS, SignerAt, Sockets, connections_max, signing::Question, socket::Socket,
};
use crate::io::{clock, stop::Stop};

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
/// Sockets that listen for peers, in one plan.
const LISTENERS_MAX: usize = 64;
/// Paths of the bus, in one plan.
const PATHS_MAX: usize = 64;
/// While old sockets write their last, a stop is noticed after this time.
const LINGER_TURN: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

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
    /// The path is ours to remove.
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
                // First: what is not ready by now never will be, and gives up even without `mine`.
                shutdown(&other, Shutdown::Read).ok();
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

    /// Paths and connections live on in the other process; nobody is answered here any more. What
    /// was closing before is not known there: it stays until [`Sockets::linger`].
    fn let_go(&mut self) {
        self.sockets.retain(|_, socket| socket.closing && !socket.unsent().is_empty());
        self.listeners.clear();
        for listener in self.hub.listeners() {
            listener.disown();
        }
        if let Some(mut door) = self.handover.take() {
            door.owned = false;
        }
        // Should there be no other loop, the links of this one end a little later.
        if let Ok(without_links) = Hub::new() {
            self.hub = without_links;
        }
    }

    /// After a handover: writes what is left for sockets that were closing.
    pub(super) fn linger(&mut self, stop: &Stop) {
        let until = clock::now() + LINGER_MAX;
        while !self.sockets.is_empty() && clock::now() < until && !stop.is_set() {
            let waiting = self.sockets.values();
            let mut waiting: Vec<_> =
                waiting.map(|socket| PollFd::new(socket, PollFlags::OUT)).collect();
            match poll(&mut waiting, Some(&LINGER_TURN)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return,
            }
            self.sockets.retain(|_, it| it.flush().is_ok() && !it.unsent().is_empty());
        }
    }

    /// The paths are this process's now.
    fn own_paths(&mut self) {
        for listener in self.hub.listeners() {
            listener.own();
        }
        if let Some(door) = &mut self.handover {
            door.owned = true;
        }
    }

    /// Whoever was subscribed is told by the end of its link, and comes again.
    fn take_back(&mut self) {
        for link in self.holder_links() {
            self.hub.close(link);
        }
        self.asked.clear();
        self.waiting.retain(|question| matches!(question, Question::Forget { .. }));
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
    let mut sockets = assemble(plan, fds, terms, signer, grants)?;
    send(&other, READY, &[], &[]).map_err(io("it went away"))?;
    hear_yours(&other)?;
    sockets.own_paths();
    Ok(sockets)
}

/// Waits for the word that makes the sockets ours. Without it they are the other's.
fn hear_yours(other: &OwnedFd) -> Result<(), TakeOverFault> {
    let (mut reset, mut too_late) = (false, false);
    loop {
        let fault = match receive(other, 0) {
            Ok(packet) if packet.kind == YOURS => return Ok(()),
            Ok(_) => return Err(TakeOverFault::Refused { why: "it goes on itself".to_owned() }),
            Err(fault) => fault,
        };
        let kind = fault.kind();
        if kind == io::ErrorKind::ConnectionReset && !reset {
            // It has gone and left our `ready` unread. What it said before is still to be read.
            reset = true;
        } else if kind == io::ErrorKind::UnexpectedEof && !too_late {
            // It died before it could say that it goes on.
            return Ok(());
        } else if kind == io::ErrorKind::WouldBlock && !too_late {
            // From here on it cannot say `yours`; just now it may have.
            too_late = true;
            let what = "the handover cannot be ended";
            shutdown(other, Shutdown::Read)
                .map_err(|fault| TakeOverFault::Io { what, fault: fault.into() })?;
        } else {
            return Err(TakeOverFault::Io { what: "it does not answer", fault });
        }
    }
}

/// All of it, ready to run; but nothing is ours yet. Whoever drops it leaves the other's paths.
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
    let door = Door { socket, path: plan.door, owned: false };
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
    let plan = Plan::decode(&bytes).ok_or_else(|| damaged("the plan cannot be read"))?;
    plan.judge().map_err(|why| TakeOverFault::Damaged { why })?;
    Ok(plan)
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

    /// No more than this process can have. Asking how much that is raises the limit, too, before
    /// the descriptors come.
    fn judge(&self) -> Result<(), String> {
        let counts = [
            ("listening sockets", self.listeners, LISTENERS_MAX),
            ("paths", self.paths.len(), PATHS_MAX),
            ("connections", self.peers, connections_max()),
        ];
        let wrong = counts.into_iter().find(|(_, have, max)| have > max);
        wrong.map_or(Ok(()), |(what, have, max)| Err(format!("{have} {what}, at most {max}")))
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
    retry_on_intr(|| sendmsg(to, &parts, &mut control, SendFlags::NOSIGNAL))?;
    Ok(())
}

/// The next packet, with at most so many descriptors.
fn receive(from: &OwnedFd, fds_max: usize) -> io::Result<Packet> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut buffer = [0; PACKET_BYTES];
    let parts = &mut [io::IoSliceMut::new(&mut buffer)];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let got = retry_on_intr(|| recvmsg(from, parts, &mut control, flags))?.bytes;
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
