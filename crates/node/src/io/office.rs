//! The post office as a service: its links, its log, and whoever calls.

use std::{
    collections::BTreeMap,
    fmt, io,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    },
    time::Duration,
};

use bus::{Frame, Hub, Input, Kind, LinkId, Waker};
use peer::desk::Token;
use tracing::{error, info, warn};
use wire::{features::Features, tick::Tick};
use zeroize::Zeroizing;

use super::{
    clock,
    reach::{At, Service, pass_on},
    stop::Stop,
};
use crate::{
    services::{
        clerk::{Clerk, Out, Record},
        post::{CallId, Change, Command, Effect, Event, Failure, Post},
        post::{Received, Refusal, Reply, State},
        saved::ChangeFault,
    },
    store::{Core, Durable, Log, LogFault, Restored, StoreFault, Write, Writer},
};

/// Whose changes ours are.
pub const POST: Core = Core("post");
/// Until the log has said why it is broken.
const LAST_WORDS_MAX: Duration = Duration::from_secs(1);
/// Calls that wait to be looked at.
const CALLS_MAX: usize = 256;
/// Calls looked at in one round.
const CALLS_PER_ROUND: usize = 64;

/// What happens with a reply.
pub type Answer = Box<dyn FnOnce(Result<Reply, Refusal>) + Send>;

/// Calls the office from any thread.
#[derive(Clone)]
pub struct Bell {
    calls: SyncSender<(Command, Answer)>,
    waker: Waker,
}

/// Why an office cannot go on.
#[derive(Debug)]
pub enum OfficeFault {
    /// The system says no.
    Io(io::Error),
    /// The store cannot be used.
    Store(Arc<StoreFault>),
    /// What it holds cannot be read.
    Saved(ChangeFault),
    /// Nothing can be saved.
    Log(LogFault),
    /// The node itself cannot go on.
    Failure(Box<Failure>),
}

/// The office and all it needs.
pub struct Office {
    hub: Hub,
    clerk: Clerk,
    log: Writer,
    durable: Receiver<Durable>,
    calls: Receiver<(Command, Answer)>,
    waiting: BTreeMap<CallId, Answer>,
    last_call: CallId,
    tell: Box<dyn Fn(Event) + Send>,
    sockets: Service<Token>,
    signer: Service<Token>,
    now: Tick,
    stopping: bool,
}

impl Bell {
    /// Calls; the answer is given to `answer` on the office's thread, which must not wait.
    pub fn call(&self, command: Command, answer: Answer) -> Result<(), Refusal> {
        let full = Refusal::Busy { have: CALLS_MAX, max: CALLS_MAX };
        self.calls.try_send((command, answer)).map_err(|_| full)?;
        self.waker.wake();
        Ok(())
    }
}

impl Office {
    /// Opens with what was saved.
    pub fn open(
        mut hub: Hub,
        saved: Restored,
        log: &Log,
        features: Features,
        sockets: At,
        signer: At,
        tell: Box<dyn Fn(Event) + Send>,
    ) -> Result<(Self, Bell), OfficeFault> {
        let state = restore(saved)?;
        let post = Post::open(state, features, clock::dice());
        let sockets = Service::reach(&mut hub, sockets, "sockets").map_err(OfficeFault::Io)?;
        let signer = Service::reach(&mut hub, signer, "signer").map_err(OfficeFault::Io)?;
        let (calls_in, calls) = sync_channel(CALLS_MAX);
        let (told, durable) = std::sync::mpsc::channel();
        let log = log.writer(pass_on(told, hub.waker()));
        let bell = Bell { calls: calls_in, waker: hub.waker() };
        let office = Self {
            hub,
            clerk: Clerk::new(post),
            log,
            durable,
            calls,
            waiting: BTreeMap::new(),
            last_call: CallId(0),
            tell,
            sockets,
            signer,
            now: clock::now(),
            stopping: false,
        };
        Ok((office, bell))
    }

    /// Works until it is told to stop, or cannot go on.
    pub fn run(mut self, stop: &Stop) -> Result<(), OfficeFault> {
        let mut inputs = Vec::new();
        while !stop.is_set() && !self.stopping {
            self.now = clock::now();
            if self.clerk.wake_at().is_some_and(|at| at <= self.now) {
                self.clerk.post().wake(self.now);
            }
            self.settle()?;
            let wait = self.clerk.wake_at();
            let wait = wait.map(|at| Duration::from_millis(at.since(self.now).0 + 1));
            self.hub.poll(wait, &mut inputs).map_err(OfficeFault::Io)?;
            self.now = clock::now();
            for input in inputs.drain(..) {
                self.take(input)?;
            }
        }
        self.settle()?;
        self.hub.flush();
        Ok(())
    }

    fn take(&mut self, input: Input) -> Result<(), OfficeFault> {
        match input {
            Input::LinkUp { link, name, standing } => {
                info!(link = link.0, name, "link up");
                if self.sockets.is(link, standing) {
                    self.sockets.link = Some(link);
                    self.clerk.post().holder_came(self.now);
                } else if self.signer.is(link, standing) {
                    self.signer.link = Some(link);
                    self.clerk.post().signer_came();
                }
            }
            Input::LinkDown { link, .. } => {
                info!(link = link.0, "link down");
                if self.sockets.link == Some(link) {
                    self.sockets.went();
                    self.clerk.post().holder_went(self.now);
                } else if self.signer.link == Some(link) {
                    self.signer.went();
                    self.clerk.post().signer_went();
                }
            }
            Input::Frame { link, frame } => self.on_frame(link, frame),
            Input::Denied { link, topic } => warn!(link = link.0, topic, "nobody may ask us"),
            Input::Woken => self.woken()?,
            Input::Room { .. } | Input::Ready { .. } => {}
        }
        self.settle()
    }

    fn on_frame(&mut self, link: LinkId, mut frame: Frame) {
        if self.sockets.link == Some(link) {
            match frame.kind {
                Kind::Answer => {
                    let Some(token) = self.sockets.asked.remove(&frame.id) else { return };
                    match peer::holder::Answer::decode(frame.topic, &frame.payload) {
                        Ok(answer) => self.clerk.post().holder_answered(token, answer, self.now),
                        Err(fault) => self.misunderstood(link, &fault),
                    }
                }
                Kind::Event => match peer::holder::Event::decode(frame.topic, &frame.payload) {
                    Ok(event) => self.clerk.post().holder_told(event, self.now),
                    Err(fault) => self.misunderstood(link, &fault),
                },
                Kind::Ask => {}
            }
        } else if self.signer.link == Some(link)
            && let Some(token) = self.signer.asked.remove(&frame.id)
        {
            let answer = signer::Answer::decode(&mut frame.payload).ok();
            self.clerk.post().signer_answered(token, answer);
        }
    }

    /// A service of another version speaks: without it is better than with half of it.
    fn misunderstood(&mut self, link: LinkId, fault: &peer::Malformed) {
        error!(link = link.0, %fault, "the sockets speak another language");
        self.hub.close(link);
    }

    fn woken(&mut self) -> Result<(), OfficeFault> {
        loop {
            match self.durable.try_recv() {
                Ok(Durable::Through(ticket)) => self.clerk.durable(ticket),
                Ok(Durable::Failed(fault)) => return Err(OfficeFault::Store(fault)),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        for _ in 0..CALLS_PER_ROUND {
            let Ok((command, answer)) = self.calls.try_recv() else { return Ok(()) };
            self.last_call = CallId(self.last_call.0 + 1);
            self.waiting.insert(self.last_call, answer);
            self.clerk.post().call(self.last_call, command, self.now);
        }
        // There may be more.
        self.hub.waker().wake();
        Ok(())
    }

    /// Saves what is to be saved, and does what may be done.
    fn settle(&mut self) -> Result<(), OfficeFault> {
        while let Some(out) = self.clerk.poll() {
            match out {
                Out::Save { ticket, records } => {
                    let mut batch = Vec::new();
                    records.into_iter().for_each(|record| put(record, &mut batch));
                    let given = self.log.append(batch).map_err(|fault| self.why(fault))?;
                    assert_eq!(given, ticket, "the log and the clerk count alike");
                }
                Out::Do(effect) => self.perform(effect)?,
                Out::AskSockets(token, ask) => {
                    self.sockets.unsent.push_back((token, ask.topic(), ask.encode()));
                }
                Out::AskSigner(token, ask) => {
                    let payload = Zeroizing::new(ask.encode());
                    self.signer.unsent.push_back((token, ask.topic(), payload));
                }
            }
        }
        self.sockets.send(&mut self.hub);
        self.signer.send(&mut self.hub);
        Ok(())
    }

    /// A log that is broken has said why, or is about to.
    fn why(&self, fault: LogFault) -> OfficeFault {
        while fault == LogFault::Broken
            && let Ok(news) = self.durable.recv_timeout(LAST_WORDS_MAX)
        {
            if let Durable::Failed(fault) = news {
                return OfficeFault::Store(fault);
            }
        }
        OfficeFault::Log(fault)
    }

    fn perform(&mut self, effect: Effect) -> Result<(), OfficeFault> {
        match effect {
            Effect::Saved { connection, seq } => self.clerk.post().saved(connection, seq),
            Effect::Reply { call, reply } => {
                if let Some(answer) = self.waiting.remove(&call) {
                    answer(reply);
                }
            }
            Effect::Tell(event) => (self.tell)(event),
            Effect::Stop => self.stopping = true,
            Effect::Fail(failure) => return Err(OfficeFault::Failure(Box::new(failure))),
        }
        Ok(())
    }
}

fn restore(saved: Restored) -> Result<State, OfficeFault> {
    let mut state = match saved.snapshot {
        Some(bytes) => State::decode(&bytes).map_err(OfficeFault::Saved)?,
        None => State::default(),
    };
    for (_, bytes) in saved.changes {
        if let Some(change) = Change::decode(&bytes).map_err(OfficeFault::Saved)? {
            state.evolve(&change);
        }
    }
    Ok(state)
}

/// A message is kept as who said it, then its bytes.
fn put(record: Record, batch: &mut Vec<Write>) {
    match record {
        Record::Change { bytes, message } => {
            batch.push(Write::Change { core: POST, bytes });
            if let Some(Received { node, bytes }) = message {
                let entry = [&node.serialize()[..], &bytes].concat();
                batch.push(Write::Archive { core: POST, key: b"received".to_vec(), entry });
            }
        }
        Record::Snapshot(bytes) => batch.push(Write::Snapshot { core: POST, bytes }),
    }
}

impl fmt::Display for OfficeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(fault) => fault.fmt(f),
            Self::Store(fault) => fault.fmt(f),
            Self::Saved(fault) => fault.fmt(f),
            Self::Log(fault) => fault.fmt(f),
            Self::Failure(failure) => failure.fmt(f),
        }
    }
}

impl std::error::Error for OfficeFault {}
