//! The loop of a service: its links, and whatever other descriptors it has, in one wait.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    mem::MaybeUninit,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::{
    event::{EventfdFlags, Timespec, epoll, eventfd},
    io::{Errno, read, write},
};
use zeroize::Zeroize as _;

use crate::{
    frame::Frame,
    grant::Grant,
    link::{Broken, Link, NotSent, Received},
    listener::{ListenFault, Listener},
};

/// Links of one hub.
pub const LINKS_MAX: usize = 256;
/// Links of one listening path, so that those who come there do not lock out those of another.
pub const LINKS_PER_LISTENER_MAX: usize = 64;
/// Descriptors that are looked at in one round.
const EVENTS_MAX: usize = 512;
/// Bytes taken from one link in one round, so that none starves the others.
const TAKEN_BYTES_MAX: usize = 256 << 10;
const READ_BYTES: usize = 64 << 10;
/// A standing link that is down is tried again after this time, then after twice the last.
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(1);
/// A path at which the system lets nobody connect is left alone for so long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

const LINK: u64 = 1 << 63;
const LISTENER: u64 = 1 << 62;
const WAKER: u64 = u64::MAX;

/// Names a link; never used again by its hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// Names a link that is made again whenever it goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Standing(usize);

/// Names a descriptor of the service's own; below 2^62.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub u64);

/// What to wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// Something to read, or the end.
    pub read: bool,
    /// Room to write.
    pub write: bool,
}

/// What has happened.
#[derive(Debug)]
pub enum Input {
    /// A link is up.
    LinkUp {
        /// Its number.
        link: LinkId,
        /// The name in its grant.
        name: String,
        /// Which standing link it is, if it is one.
        standing: Option<Standing>,
    },
    /// A link is down.
    LinkDown {
        /// Its number.
        link: LinkId,
        /// The rule that the other side broke, if it did.
        broken: Option<Broken>,
        /// Our questions that will have no answer.
        unanswered: Vec<u64>,
    },
    /// A frame came.
    Frame {
        /// Over this link.
        link: LinkId,
        /// The frame.
        frame: Frame,
    },
    /// A link asked what it may not, and was told so. It is said once for each link.
    Denied {
        /// Its number.
        link: LinkId,
        /// The topic.
        topic: u16,
    },
    /// A link that was full has room again.
    Room {
        /// Its number.
        link: LinkId,
    },
    /// A descriptor of the service's own is ready.
    Ready {
        /// Which.
        key: Key,
        /// There is something to read, or the end.
        readable: bool,
        /// There is room to write.
        writable: bool,
        /// The other side is gone: it is reported until the descriptor is closed.
        over: bool,
    },
    /// A [`Waker`] was used.
    Woken,
}

/// Ends a hub's wait, from any thread.
#[derive(Clone)]
pub struct Waker(Arc<OwnedFd>);

/// All descriptors of one service.
pub struct Hub {
    epoll: OwnedFd,
    waker: Waker,
    listeners: Vec<Listener>,
    /// Listeners that are left alone, and until when.
    paused: BTreeMap<usize, Instant>,
    links: BTreeMap<LinkId, Open>,
    standing: Vec<Stand>,
    last: LinkId,
    inputs: VecDeque<Input>,
    ready: Vec<(u64, epoll::EventFlags)>,
    buffer: Vec<u8>,
}

struct Open {
    link: Link,
    stream: UnixStream,
    origin: Origin,
    waits_to_write: bool,
    told_denied: bool,
}

/// Where a link comes from.
#[derive(Clone, Copy)]
enum Origin {
    Pair,
    Listener(usize),
    Standing(Standing),
}

struct Stand {
    path: PathBuf,
    grant: Grant,
    link: Option<LinkId>,
    next: Instant,
    pause: Duration,
    since: Instant,
}

impl Waker {
    /// The hub's next wait, or the present one, ends at once.
    pub fn wake(&self) {
        // A counter that is full wakes as well.
        write(&*self.0, &1_u64.to_ne_bytes()).ok();
    }
}

impl Hub {
    /// Without links.
    pub fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let waker = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        epoll::add(&epoll, &waker, epoll::EventData::new_u64(WAKER), epoll::EventFlags::IN)?;
        Ok(Self {
            epoll,
            waker: Waker(Arc::new(waker)),
            listeners: Vec::new(),
            paused: BTreeMap::new(),
            links: BTreeMap::new(),
            standing: Vec::new(),
            last: LinkId(0),
            inputs: VecDeque::new(),
            ready: Vec::new(),
            buffer: vec![0; READ_BYTES],
        })
    }

    /// Wakes this hub from elsewhere.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Lets others connect at a path.
    pub fn listen(&mut self, path: &Path, grant: Grant) -> Result<(), ListenFault> {
        let listener = Listener::bind(path, grant)?;
        let io = |fault| ListenFault::Io { path: path.to_owned(), fault };
        self.add_listener(listener).map_err(io)
    }

    /// Lets others connect where another process listened.
    pub fn add_listener(&mut self, listener: Listener) -> io::Result<()> {
        let key = LISTENER | self.listeners.len() as u64;
        let data = epoll::EventData::new_u64(key);
        epoll::add(&self.epoll, &listener, data, epoll::EventFlags::IN)?;
        self.listeners.push(listener);
        Ok(())
    }

    /// The listening paths.
    pub fn listeners(&mut self) -> &mut [Listener] {
        &mut self.listeners
    }

    /// One end of a pair, whose other end another thread has.
    pub fn adopt(&mut self, stream: UnixStream, grant: Grant) -> io::Result<LinkId> {
        stream.set_nonblocking(true)?;
        self.open(stream, grant, Origin::Pair)
    }

    /// A link to whoever listens at a path, made again whenever it goes down.
    pub fn stand(&mut self, path: &Path, grant: Grant) -> Standing {
        let (path, next) = (path.to_owned(), Instant::now());
        let stand = Stand { path, grant, link: None, next, pause: RETRY_MIN, since: next };
        self.standing.push(stand);
        Standing(self.standing.len() - 1)
    }

    /// Waits for a descriptor of the service's own.
    pub fn watch(&self, fd: impl AsFd, key: Key, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, fd, epoll::EventData::new_u64(key.0), interest.flags())?)
    }

    /// Waits for something else of it.
    pub fn rewatch(&self, fd: impl AsFd, key: Key, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, fd, epoll::EventData::new_u64(key.0), interest.flags())?)
    }

    /// Waits for it no more. Needed only if the descriptor lives on.
    pub fn unwatch(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, fd)?)
    }

    /// Asks; the answer will have this number.
    pub fn ask(&mut self, link: LinkId, topic: u16, payload: &[u8]) -> Result<u64, NotSent> {
        self.link(link)?.ask(topic, payload)
    }

    /// Answers.
    pub fn answer(
        &mut self,
        link: LinkId,
        id: u64,
        topic: u16,
        payload: &[u8],
    ) -> Result<(), NotSent> {
        self.link(link)?.answer(id, topic, payload)
    }

    /// Tells.
    pub fn event(&mut self, link: LinkId, topic: u16, payload: &[u8]) -> Result<(), NotSent> {
        self.link(link)?.event(topic, payload)
    }

    /// Bytes that a link takes at present.
    pub fn room(&self, link: LinkId) -> usize {
        self.links.get(&link).map_or(0, |open| open.link.room())
    }

    /// All links that are up.
    pub fn links(&self) -> Vec<LinkId> {
        self.links.keys().copied().collect()
    }

    /// Ends a link.
    pub fn close(&mut self, link: LinkId) {
        self.down(link, None);
    }

    /// Writes what is queued, waits, and takes what comes.
    pub fn poll(&mut self, timeout: Option<Duration>, inputs: &mut Vec<Input>) -> io::Result<()> {
        self.flush();
        let retry = self.stand_up();
        let resume = self.resume();
        let timeout = if self.inputs.is_empty() {
            timeout.into_iter().chain(retry).chain(resume).min()
        } else {
            Some(Duration::ZERO)
        };
        self.wait(timeout)?;
        let ready = std::mem::take(&mut self.ready);
        for (data, flags) in &ready {
            self.on_ready(*data, *flags);
        }
        self.ready = ready;
        self.ready.clear();
        inputs.extend(self.inputs.drain(..));
        Ok(())
    }

    /// Writes what is queued, as far as the sockets take it.
    pub fn flush(&mut self) {
        let ids: Vec<_> = self.links.keys().copied().collect();
        for id in ids {
            self.write(id);
        }
    }

    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = timeout.map(|time| Timespec {
            tv_sec: time.as_secs().min(3_600) as i64,
            // Never a little too early: that would make a loop that does not wait.
            tv_nsec: time.subsec_nanos().into(),
        });
        let mut room = [MaybeUninit::<epoll::Event>::uninit(); EVENTS_MAX];
        match epoll::wait(&self.epoll, &mut room, timeout.as_ref()) {
            Ok((events, _)) => {
                let ready = events.iter().map(|event| (event.data.u64(), event.flags));
                self.ready.extend(ready);
                Ok(())
            }
            Err(Errno::INTR) => Ok(()),
            Err(fault) => Err(fault.into()),
        }
    }

    fn on_ready(&mut self, data: u64, flags: epoll::EventFlags) {
        use epoll::EventFlags as Flags;
        let readable = flags.intersects(Flags::IN | Flags::HUP | Flags::ERR | Flags::RDHUP);
        let writable = flags.intersects(Flags::OUT | Flags::HUP | Flags::ERR);
        if data == WAKER {
            let mut count = [0; 8];
            // Another wake may have emptied it.
            read(&*self.waker.0, &mut count).ok();
            self.inputs.push_back(Input::Woken);
        } else if data & LINK != 0 {
            let link = LinkId(data & !LINK);
            if writable {
                self.write(link);
            }
            if readable {
                self.read(link);
            }
        } else if data & LISTENER != 0 {
            self.accept((data & !LISTENER) as usize);
        } else {
            let over = flags.intersects(Flags::HUP | Flags::ERR);
            self.inputs.push_back(Input::Ready { key: Key(data), readable, writable, over });
        }
    }

    fn accept(&mut self, at: usize) {
        // Who comes in crowds is let in over several rounds.
        for _ in 0..LINKS_PER_LISTENER_MAX {
            let Some(listener) = self.listeners.get(at) else { return };
            let grant = listener.grant().clone();
            match listener.accept() {
                Ok(Some(stream)) if self.has_room_at(at) => {
                    // What cannot be watched is closed: the other side sees that.
                    self.open(stream, grant, Origin::Listener(at)).ok();
                }
                // Closed, which the other side sees as well.
                Ok(_) => {}
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => return,
                Err(fault) if fault.kind() == io::ErrorKind::ConnectionAborted => {}
                // Whoever waits there would be reported again at once, and for ever.
                Err(_) => return self.pause(at),
            }
        }
    }

    fn has_room_at(&self, at: usize) -> bool {
        let here = |open: &&Open| matches!(open.origin, Origin::Listener(from) if from == at);
        self.links.len() < LINKS_MAX
            && self.links.values().filter(here).count() < LINKS_PER_LISTENER_MAX
    }

    fn pause(&mut self, at: usize) {
        if self.listen_at(at, Interest::default()).is_ok() {
            self.paused.insert(at, Instant::now() + ACCEPT_PAUSE);
        }
    }

    /// Goes back to the listeners whose pause is over; says when to come again.
    fn resume(&mut self) -> Option<Duration> {
        let now = Instant::now();
        let over = self.paused.iter().filter(|(_, until)| **until <= now);
        for at in over.map(|(at, _)| *at).collect::<Vec<_>>() {
            let resumed = self.listen_at(at, Interest { read: true, write: false });
            match resumed {
                Ok(()) => self.paused.remove(&at),
                Err(_) => self.paused.insert(at, now + ACCEPT_PAUSE),
            };
        }
        self.paused.values().min().map(|until| until.saturating_duration_since(now))
    }

    fn listen_at(&self, at: usize, interest: Interest) -> io::Result<()> {
        let Some(listener) = self.listeners.get(at) else { return Ok(()) };
        let data = epoll::EventData::new_u64(LISTENER | at as u64);
        Ok(epoll::modify(&self.epoll, listener, data, interest.flags())?)
    }

    fn open(&mut self, stream: UnixStream, grant: Grant, origin: Origin) -> io::Result<LinkId> {
        let link = LinkId(self.last.0 + 1);
        let data = epoll::EventData::new_u64(LINK | link.0);
        epoll::add(&self.epoll, &stream, data, epoll::EventFlags::IN)?;
        self.last = link;
        let name = grant.name().to_owned();
        let (waits_to_write, told_denied) = (false, false);
        let open = Open { link: Link::new(grant), stream, origin, waits_to_write, told_denied };
        self.links.insert(link, open);
        self.inputs.push_back(Input::LinkUp { link, name, standing: origin.standing() });
        Ok(link)
    }

    /// Tries the standing links that are down; says when to try again.
    fn stand_up(&mut self) -> Option<Duration> {
        let now = Instant::now();
        for at in 0..self.standing.len() {
            let stand = &mut self.standing[at];
            if stand.link.is_some() || stand.next > now {
                continue;
            }
            stand.next = now + stand.pause;
            stand.pause = (stand.pause * 2).min(RETRY_MAX);
            let (path, grant) = (stand.path.clone(), stand.grant.clone());
            if let Ok(stream) = UnixStream::connect(path)
                && stream.set_nonblocking(true).is_ok()
                && let Ok(link) = self.open(stream, grant, Origin::Standing(Standing(at)))
            {
                let stand = &mut self.standing[at];
                (stand.link, stand.pause, stand.since) = (Some(link), RETRY_MIN, now);
            }
        }
        let down = self.standing.iter().filter(|stand| stand.link.is_none());
        down.map(|stand| stand.next.saturating_duration_since(now)).min()
    }

    fn read(&mut self, id: LinkId) {
        let mut taken = 0;
        while taken < TAKEN_BYTES_MAX {
            let Some(open) = self.links.get_mut(&id) else { return };
            let got = match read(&open.stream, &mut self.buffer[..]) {
                Ok(0) => return self.down(id, None),
                Ok(got) => got,
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => continue,
                Err(_) => return self.down(id, None),
            };
            taken += got;
            let done = Self::take(open, id, &self.buffer[..got], &mut self.inputs);
            self.buffer[..got].zeroize();
            if let Err(broken) = done {
                return self.down(id, Some(broken));
            }
            if got < READ_BYTES {
                return;
            }
        }
    }

    fn take(
        open: &mut Open,
        link: LinkId,
        mut bytes: &[u8],
        inputs: &mut VecDeque<Input>,
    ) -> Result<(), Broken> {
        while let Some(received) = open.link.receive(&mut bytes)? {
            match received {
                Received::Frame(frame) => inputs.push_back(Input::Frame { link, frame }),
                Received::Denied(topic) if !open.told_denied => {
                    open.told_denied = true;
                    inputs.push_back(Input::Denied { link, topic });
                }
                Received::Denied(_) => {}
            }
        }
        if open.link.has_room_again() {
            inputs.push_back(Input::Room { link });
        }
        Ok(())
    }

    fn write(&mut self, id: LinkId) {
        let Some(open) = self.links.get_mut(&id) else { return };
        let mut blocked = false;
        while let Some(bytes) = open.link.front() {
            match write(&open.stream, bytes) {
                Ok(written) => open.link.advance(written),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    blocked = true;
                    break;
                }
                Err(_) => return self.down(id, None),
            }
        }
        if blocked != open.waits_to_write {
            open.waits_to_write = blocked;
            let interest = Interest { read: true, write: blocked };
            let data = epoll::EventData::new_u64(LINK | id.0);
            if epoll::modify(&self.epoll, &open.stream, data, interest.flags()).is_err() {
                return self.down(id, None);
            }
        }
        if open.link.has_room_again() {
            self.inputs.push_back(Input::Room { link: id });
        }
    }

    fn link(&mut self, id: LinkId) -> Result<&mut Link, NotSent> {
        self.links.get_mut(&id).map(|open| &mut open.link).ok_or(NotSent::NoLink)
    }

    fn down(&mut self, link: LinkId, broken: Option<Broken>) {
        let Some(open) = self.links.remove(&link) else { return };
        if let Some(stand) =
            open.origin.standing().and_then(|Standing(at)| self.standing.get_mut(at))
        {
            // At once: whoever listened may have been replaced. But not again and again.
            stand.link = None;
            stand.next = (stand.since + RETRY_MIN).max(Instant::now());
        }
        let unanswered = open.link.unanswered().collect();
        self.inputs.push_back(Input::LinkDown { link, broken, unanswered });
    }
}

impl Origin {
    const fn standing(self) -> Option<Standing> {
        match self {
            Self::Standing(standing) => Some(standing),
            Self::Pair | Self::Listener(_) => None,
        }
    }
}

impl Interest {
    fn flags(self) -> epoll::EventFlags {
        let mut flags = epoll::EventFlags::empty();
        flags.set(epoll::EventFlags::IN, self.read);
        flags.set(epoll::EventFlags::OUT, self.write);
        flags
    }
}
