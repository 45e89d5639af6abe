//! The post office as a service: its links, its log, and whoever calls.

use std::{
    collections::BTreeMap,
    fmt, io,
    sync::{Arc, mpsc::Receiver},
    time::Duration,
};

use bus::{Frame, Hub, Input, Kind, LinkId, NotSent, Waker};
use peer::{desk::Token, holder::Denial};
use tracing::{error, info, warn};
use wire::{features::Features, tick::Tick};
use zeroize::Zeroizing;

use super::{
    bell::{self, Answer, Calls, SaveFault, Saver, Unheard},
    clock,
    reach::{At, Service},
    stop::Stop,
};
use crate::{
    services::{
        clerk::{Clerk, Out, Record},
        post::{CallId, Change, Command, Effect, Event, Failure, Post},
        post::{Passed, Received, Refusal, Reply, State, Wish},
        saved::ChangeFault,
    },
    store::{Core, Log, LogFault, Restored, StoreFault, Write},
};

/// Whose changes ours are.
pub const POST: Core = Core("post");
/// Calls looked at in one round.
const CALLS_PER_ROUND: usize = 64;

/// Calls the office from any thread.
pub type Bell = bell::Bell<Command, Result<Reply, Refusal>>;

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
    saver: Saver,
    calls: Calls<Command, Result<Reply, Refusal>>,
    waiting: BTreeMap<CallId, Answer<Result<Reply, Refusal>>>,
    last_call: CallId,
    tell: Box<dyn Fn(Event) + Send>,
    sockets: Service<Token>,
    signer: Service<Token>,
    channels: Option<ToChannels>,
    now: Tick,
    stopping: bool,
}

/// Those who have channels.
pub struct ToChannels {
    /// Tells them of peers.
    pub pass: Box<dyn Fn(Passed) + Send>,
    /// What they want.
    pub wishes: Receiver<Wish>,
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
        let (bell, calls) = bell::bell(hub.waker());
        let saver = Saver::new(log, hub.waker());
        let office = Self {
            hub,
            clerk: Clerk::new(post),
            saver,
            calls,
            waiting: BTreeMap::new(),
            last_call: CallId(0),
            tell,
            sockets,
            signer,
            channels: None,
            now: clock::now(),
            stopping: false,
        };
        Ok((office, bell))
    }

    /// There are those who have channels.
    pub fn serve_channels(&mut self, channels: ToChannels) {
        self.clerk.post().serve_channels();
        self.channels = Some(channels);
    }

    /// Wakes it.
    pub fn waker(&self) -> Waker {
        self.hub.waker()
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
        while let Some(ticket) = self.saver.told()? {
            self.clerk.durable(ticket);
        }
        if let Some(channels) = &self.channels {
            while let Ok(wish) = channels.wishes.try_recv() {
                self.clerk.post().wish(wish);
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
                    let given = self.saver.append(batch)?;
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
        while let Some(passed) = self.clerk.post().poll_passed() {
            if let Some(channels) = &self.channels {
                (channels.pass)(passed);
            }
        }
        self.send();
        Ok(())
    }

    /// Sends what was asked; what cannot be sent is answered here.
    fn send(&mut self) {
        for (token, why) in self.sockets.send(&mut self.hub) {
            if let NotSent::TooLong { got: have, max } = why {
                let denial = Denial::Full { what: "bytes", have, max };
                let answer = peer::holder::Answer::Refused(denial);
                self.clerk.post().holder_answered(token, answer, self.now);
                self.hub.waker().wake();
            }
        }
        for (token, why) in self.signer.send(&mut self.hub) {
            self.clerk.post().signer_answered(token, unsigned(&why));
            // Somebody may wait for what follows from that.
            self.hub.waker().wake();
        }
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

/// The answer to a question that could not be sent.
pub(super) fn unsigned(why: &NotSent) -> Option<signer::Answer> {
    match *why {
        NotSent::TooLong { got, max } => {
            Some(signer::Answer::Refused(signer::Refusal::MessageTooLong { got, max }))
        }
        NotSent::NoLink
        | NotSent::Full { .. }
        | NotSent::Unanswered { .. }
        | NotSent::NotAsked { .. } => None,
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

impl From<SaveFault> for OfficeFault {
    fn from(fault: SaveFault) -> Self {
        match fault {
            SaveFault::Store(fault) => Self::Store(fault),
            SaveFault::Log(fault) => Self::Log(fault),
        }
    }
}

impl From<Unheard> for Refusal {
    fn from(unheard: Unheard) -> Self {
        match unheard {
            Unheard::Full { max } => Self::Busy { have: max, max },
            Unheard::Ended => Self::Unavailable { why: unheard.to_string() },
        }
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
