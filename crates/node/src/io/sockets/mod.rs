//! The holder of sockets as a service: no key, no disk, one thread.

mod handover;
mod signing;
mod socket;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    net::SocketAddr,
    os::fd::OwnedFd,
    path::PathBuf,
    time::Duration,
};

use bus::{Frame, Grant, Hub, Input, Interest, Key, Kind, LinkId, Standing};
use peer::{
    Terms,
    holder::{self, AskId, Effect, Holder, Link, topic},
};
use tracing::{debug, info, warn};
use wire::{
    id::ConnectionId,
    tick::{Millis, Tick},
};

use super::{clock, stop::Stop};
use signing::Question;
use socket::Socket;

pub use handover::{TakeOverFault, take_over};

/// A socket that is to be closed waits so long for what is not written.
const LINGER_MAX: Millis = Millis(2_000);
/// Peers accepted in one round, so that they do not starve those that are there.
const ACCEPTED_MAX: usize = 64;
/// After the system has refused a descriptor, no peer is accepted for so long.
const NO_DESCRIPTORS_PAUSE: Millis = Millis(200);
/// Bytes read from one socket in one round.
const READ_BYTES: usize = 64 << 10;
/// An event is told when its link has room for the longest one.
const EVENT_ROOM: usize = 2 * noise::MESSAGE_BYTES_MAX;
/// Keys of listening sockets start here; those of peers' sockets are their connections' numbers.
const LISTENERS: u64 = 1 << 61;

/// What the node may ask of the sockets: all that needs no keys.
pub fn for_node() -> Grant {
    let grant = Grant::nothing("node").and(topic::SUBSCRIBE..=topic::DIAL);
    grant.and(topic::CLOSE..=topic::ACKNOWLEDGE).and(topic::LIST..=topic::STATUS)
}

/// What a client may ask of the sockets: to carry its ciphertext, to take its keys and to give them
/// back, and to send in its name.
pub fn for_client() -> Grant {
    let grant = Grant::nothing("client").and(topic::TUNNEL..=topic::SEND);
    grant.and(topic::DELEGATE..=topic::STATUS)
}

/// How to reach the signer.
pub enum SignerAt {
    /// In another process, at this path.
    Path(PathBuf),
    /// In this one, over this end of a pair.
    Pair(std::os::unix::net::UnixStream),
}

/// A holder of sockets and its descriptors.
pub struct Sockets {
    hub: Hub,
    terms: Terms,
    holder: Holder,
    sockets: BTreeMap<ConnectionId, Socket>,
    listeners: Vec<OwnedFd>,
    accepting: bool,
    /// No peers are accepted before.
    pause_until: Option<Tick>,
    standing: Option<Standing>,
    signer: Option<LinkId>,
    /// Questions to the signer, by their number on the link.
    asked: BTreeMap<u64, Question>,
    /// Questions that its link does not take at present.
    waiting: VecDeque<Question>,
    /// Sockets with bytes to write.
    dirty: BTreeSet<ConnectionId>,
    /// Sockets that are not read, until their connection wants bytes again.
    paused: BTreeSet<ConnectionId>,
    /// Sockets that close when everything is written, or at this time.
    lingering: VecDeque<(Tick, ConnectionId)>,
    buffer: Vec<u8>,
    now: Tick,
    handover: Option<handover::Door>,
    handed_over: bool,
}

impl Sockets {
    /// Holds nothing yet.
    pub fn new(mut hub: Hub, terms: Terms, signer: SignerAt) -> io::Result<Self> {
        let instance = u64::from_be_bytes(clock::drawn());
        let holder = Holder::new(terms.clone(), instance, connections_max());
        let (mut standing, mut link) = (None, None);
        match signer {
            SignerAt::Path(path) => standing = Some(hub.stand(&path, Grant::nothing("signer"))),
            SignerAt::Pair(stream) => link = Some(hub.adopt(stream, Grant::nothing("signer"))?),
        }
        Ok(Self {
            hub,
            terms,
            holder,
            sockets: BTreeMap::new(),
            listeners: Vec::new(),
            accepting: true,
            pause_until: None,
            standing,
            signer: link,
            asked: BTreeMap::new(),
            waiting: VecDeque::new(),
            dirty: BTreeSet::new(),
            paused: BTreeSet::new(),
            lingering: VecDeque::new(),
            buffer: vec![0; READ_BYTES],
            now: clock::now(),
            handover: None,
            handed_over: false,
        })
    }

    /// Lets peers connect, and says where.
    pub fn listen(&mut self, address: SocketAddr) -> io::Result<SocketAddr> {
        let fd = socket::listen_at(address)?;
        let bound = socket::address_of(&fd)?;
        self.add_listener(fd)?;
        Ok(bound)
    }

    fn add_listener(&mut self, fd: OwnedFd) -> io::Result<()> {
        let key = Key(LISTENERS + self.listeners.len() as u64);
        self.hub.watch(&fd, key, Interest { read: true, write: false })?;
        self.listeners.push(fd);
        let bound = self.listeners.iter().map(socket::address_of);
        let bound: Vec<_> = bound.collect::<io::Result<_>>()?;
        self.holder.listening_at(bound);
        Ok(())
    }

    /// Wakes this service.
    pub fn waker(&self) -> bus::Waker {
        self.hub.waker()
    }

    /// Where peers can connect.
    pub fn listening(&self) -> io::Result<Vec<SocketAddr>> {
        self.listeners.iter().map(socket::address_of).collect()
    }

    /// Holds sockets until it is told to stop, or another process has taken over.
    pub fn run(&mut self, stop: &Stop) -> io::Result<()> {
        let mut inputs = Vec::new();
        while !stop.is_set() && !self.handed_over {
            self.now = clock::now();
            if self.holder.wake_at().is_some_and(|at| at <= self.now) {
                self.holder.wake(self.now);
            }
            self.drive();
            self.tend()?;
            let wait = self.next_wake().map(|at| Duration::from_millis(at.since(self.now).0));
            self.hub.poll(wait, &mut inputs)?;
            self.now = clock::now();
            for input in inputs.drain(..) {
                // What came behind it is the successor's: whoever asked sees its link end.
                if self.handed_over {
                    break;
                }
                self.take(input);
            }
        }
        if self.handed_over {
            self.linger(stop);
            return Ok(());
        }
        self.drive();
        self.hub.flush();
        Ok(())
    }

    fn next_wake(&self) -> Option<Tick> {
        let linger = self.lingering.front().map(|(at, _)| *at);
        // Half a millisecond late is better than a wait of nothing, many times.
        let holder = self.holder.wake_at().map(|at| at + Millis(1));
        [holder, linger, self.pause_until].into_iter().flatten().min()
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::LinkUp { link, name, standing } => {
                info!(link = link.0, name, "link up");
                if standing.is_some() && standing == self.standing || self.signer == Some(link) {
                    self.signer = Some(link);
                    self.holder.key_holder_came();
                }
            }
            Input::LinkDown { link, broken, .. } => {
                match broken {
                    Some(broken) => warn!(link = link.0, %broken, "link closed"),
                    None => info!(link = link.0, "link down"),
                }
                if self.signer == Some(link) {
                    self.signer = None;
                    self.asked.clear();
                    // Whoever waited is asked for again, or is over.
                    self.waiting.clear();
                    self.holder.key_holder_went(self.now);
                }
                self.holder.link_went(Link(link.0), self.now);
            }
            Input::Frame { link, frame } => self.on_frame(link, &frame),
            Input::Denied { link, topic } => {
                warn!(link = link.0, topic, "a link asked what it may not");
            }
            Input::Ready { key, readable, writable, over } => {
                self.on_ready(key, readable, writable, over);
            }
            Input::Room { link } if self.signer == Some(link) => self.ask_waiting(),
            // Events are offered in every round.
            Input::Room { .. } | Input::Woken => {}
        }
    }

    fn on_frame(&mut self, link: LinkId, frame: &Frame) {
        match frame.kind {
            Kind::Ask => {
                let (link, id) = (Link(link.0), AskId(frame.id));
                match holder::Ask::decode(frame.topic, &frame.payload) {
                    Ok(ask) => self.holder.ask(link, id, ask, self.now),
                    Err(malformed) => {
                        warn!(link = link.0, %malformed, "not a question");
                        self.holder.ask_malformed(link, id);
                    }
                }
            }
            Kind::Answer => self.on_answer(frame),
            Kind::Event => {}
        }
    }

    fn on_ready(&mut self, key: Key, readable: bool, writable: bool, over: bool) {
        if key.0 >= LISTENERS {
            if handover::Door::is(key) {
                return self.hand_over();
            }
            return self.accept((key.0 - LISTENERS) as usize);
        }
        let id = ConnectionId(key.0);
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        if socket.connecting {
            return self.on_connected(id);
        }
        if writable {
            self.dirty.insert(id);
        }
        if readable {
            self.read(id, over);
        }
    }

    fn on_connected(&mut self, id: ConnectionId) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        socket.connecting = false;
        match socket.outcome() {
            Ok(()) => {
                self.paused.insert(id);
                self.holder.connected(id, self.now);
            }
            Err(fault) => self.call_failed(id, &fault),
        }
    }

    fn call_failed(&mut self, id: ConnectionId, fault: &io::Error) {
        debug!(connection = id.0, %fault, "a call failed");
        self.sockets.remove(&id);
        self.holder.call_refused(id, fault.to_string());
    }

    fn read(&mut self, id: ConnectionId, over: bool) {
        if !self.holder.wants_bytes(id, self.now) {
            if over {
                // It is not read, but would be reported for ever.
                return self.gone(id);
            }
            self.paused.insert(id);
            return;
        }
        let Some(socket) = self.sockets.get(&id) else { return };
        match socket.read(&mut self.buffer) {
            Ok(None) => {}
            Ok(Some(0)) | Err(_) => self.gone(id),
            Ok(Some(got)) => {
                self.holder.bytes(id, &self.buffer[..got], self.now);
                if !self.holder.wants_bytes(id, self.now) {
                    self.paused.insert(id);
                }
            }
        }
    }

    fn gone(&mut self, id: ConnectionId) {
        self.sockets.remove(&id);
        self.holder.closed(id, self.now);
    }

    fn accept(&mut self, at: usize) {
        for _ in 0..ACCEPTED_MAX {
            if !self.holder.has_room() || self.pause_until.is_some() {
                return;
            }
            let Some(listener) = self.listeners.get(at) else { return };
            match socket::accept_from(listener) {
                Ok((fd, address)) => {
                    let id = self.holder.accepted(address, self.now);
                    self.admit(id, Socket::new(fd, Vec::new(), false));
                }
                Err(fault) if is_out_of_descriptors(&fault) => {
                    warn!(%fault, "no more peers are accepted for a moment");
                    self.pause_until = Some(self.now + NO_DESCRIPTORS_PAUSE);
                }
                Err(_) => return,
            }
        }
    }

    fn admit(&mut self, id: ConnectionId, socket: Socket) {
        match socket.enter(&self.hub, Key(id.0)) {
            Ok(()) => {
                self.sockets.insert(id, socket);
                self.paused.insert(id);
                self.dirty.insert(id);
            }
            Err(fault) => {
                warn!(%fault, "a socket cannot be watched");
                self.holder.closed(id, self.now);
            }
        }
    }

    /// Does what the holder wants done, and tells what it has to tell, as long as there is any.
    fn drive(&mut self) {
        loop {
            let mut idle = true;
            while let Some(effect) = self.holder.poll() {
                idle = false;
                self.perform(effect);
            }
            let hub = &self.hub;
            let room = |link: Link| hub.room(LinkId(link.0)) >= EVENT_ROOM;
            if let Some((link, event)) = self.holder.next_event(room) {
                idle = false;
                let mut payload = Vec::new();
                event.encode(&mut payload);
                // A link that went down between is told of by its own input.
                self.hub.event(LinkId(link.0), event.topic(), &payload).ok();
            }
            if idle && self.dirty.is_empty() {
                return;
            }
            if idle {
                for id in std::mem::take(&mut self.dirty) {
                    self.flush(id);
                }
            }
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Connect { connection, address } => match Socket::connect(address) {
                Ok(socket) => self.admit(connection, socket),
                Err(fault) => self.call_failed(connection, &fault),
            },
            Effect::Write { connection, bytes } => {
                if let Some(socket) = self.sockets.get_mut(&connection) {
                    socket.push(bytes);
                    self.dirty.insert(connection);
                }
            }
            Effect::Close { connection, why } => {
                info!(connection = connection.0, %why, "connection closed");
                if let Some(socket) = self.sockets.get_mut(&connection) {
                    socket.closing = true;
                    self.lingering.push_back((self.now + LINGER_MAX, connection));
                    self.dirty.insert(connection);
                }
            }
            Effect::AskKeyHolder { connection, ask } => {
                self.ask_signer(Question::Handshake { connection, ask });
            }
            Effect::Forget { connection } => {
                self.ask_signer(Question::Forget { connection });
            }
            Effect::Answer { link, id, answer } => {
                let topic = answer.topic();
                let sent = self.hub.answer(LinkId(link.0), id.0, topic, &answer.encode());
                if let Err(fault) = sent {
                    debug!(link = link.0, %fault, "no answer");
                }
            }
        }
    }

    fn flush(&mut self, id: ConnectionId) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        if socket.connecting {
            return;
        }
        match socket.flush() {
            Ok(written) if written > 0 => self.holder.written(id, written, self.now),
            Ok(_) => {}
            Err(_) => return self.gone(id),
        }
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        if socket.closing && socket.unsent().is_empty() {
            self.sockets.remove(&id);
            return;
        }
        let wants_bytes = self.holder.wants_bytes(id, self.now);
        if socket.watch(&self.hub, Key(id.0), wants_bytes).is_err() {
            self.gone(id);
        }
    }

    /// What has to be looked at in every round.
    fn tend(&mut self) -> io::Result<()> {
        while let Some((at, id)) = self.lingering.front().copied()
            && (at <= self.now || !self.sockets.contains_key(&id))
        {
            self.lingering.pop_front();
            self.sockets.remove(&id);
        }
        self.watch_paused();
        if self.pause_until.is_some_and(|until| until <= self.now) {
            self.pause_until = None;
        }
        let accepting = self.holder.has_room() && self.pause_until.is_none();
        if accepting != self.accepting {
            self.accepting = accepting;
            for (at, fd) in self.listeners.iter().enumerate() {
                let key = Key(LISTENERS + at as u64);
                self.hub.rewatch(fd, key, Interest { read: accepting, write: false })?;
            }
        }
        Ok(())
    }

    /// Sockets whose reading stopped or begins: their connections are asked again.
    fn watch_paused(&mut self) {
        for id in std::mem::take(&mut self.paused) {
            let wants_bytes = self.holder.wants_bytes(id, self.now);
            let Some(socket) = self.sockets.get_mut(&id) else { continue };
            if socket.watch(&self.hub, Key(id.0), wants_bytes).is_err() {
                self.gone(id);
            } else if !wants_bytes {
                self.paused.insert(id);
            }
        }
    }
}

/// Descriptors of the process, less some for links, listeners and files.
fn connections_max() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    /// All links that the hub takes, and some files.
    const KEPT: u64 = bus::LINKS_MAX as u64 + 128;
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.or(limit.current).unwrap_or(u64::MAX);
    // Without leave to raise it, what we have must do.
    let raised =
        setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: limit.maximum });
    let have = if raised.is_ok() { most } else { limit.current.unwrap_or(1_024) };
    usize::try_from(have.saturating_sub(KEPT)).unwrap_or(usize::MAX)
}

fn is_out_of_descriptors(fault: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = fault.raw_os_error();
    [Errno::MFILE, Errno::NFILE, Errno::NOMEM].iter().any(|each| errno == Some(each.raw_os_error()))
}
