//! The rules of a link, without its socket.
//!
//! Whoever asks may have [`ASKS_MAX`] questions unanswered, and may not have more: so whoever is
//! asked can always take what comes, and its answers always have room. A question counts until the
//! socket has taken its answer, so that nobody piles up answers by not reading them. What has no
//! such bound, asks and events, must fit a queue. Two services that ask each other cannot stop each
//! other that way.

use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
};

use zeroize::Zeroizing;

use crate::{
    frame::{DENIED, Decoder, FRAME_BYTES_MAX, Frame, FrameFault, Kind, head},
    grant::Grant,
};

/// Questions of one side whose answer the other side's socket has not taken yet.
pub const ASKS_MAX: usize = 1_024;
/// Bytes that wait for the socket; then no more asks and events are taken.
pub const QUEUE_BYTES_MAX: usize = 1 << 20;
/// Small frames share a piece of this size.
const PIECE_BYTES: usize = 32 << 10;

/// Why a frame was not taken. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSent {
    /// There is no such link any more.
    NoLink,
    /// Too much waits.
    Full {
        /// Bytes that wait.
        have: usize,
        /// How many may.
        max: usize,
    },
    /// Too many questions have no answer.
    Unanswered {
        /// How many.
        have: usize,
        /// How many may.
        max: usize,
    },
    /// An answer to what was not asked, or was answered already.
    NotAsked {
        /// The question's number.
        id: u64,
    },
    /// A payload longer than any may be.
    TooLong {
        /// Its bytes.
        got: usize,
        /// The most they may be.
        max: usize,
    },
}

/// The other side broke a rule; the link is of no use any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// Bytes that are no frame.
    Frame(FrameFault),
    /// More questions than may be unanswered, or their answers unread.
    TooManyAsks {
        /// How many may.
        max: usize,
    },
    /// Questions are numbered upwards.
    AskNumber {
        /// The number.
        got: u64,
        /// The last one.
        last: u64,
    },
    /// An answer to nothing.
    NotAsked {
        /// The number.
        got: u64,
    },
}

/// One end of a link.
pub struct Link {
    grant: Grant,
    decoder: Decoder,
    out: VecDeque<Zeroizing<Vec<u8>>>,
    /// Bytes of the first piece that are written.
    written: usize,
    queued: usize,
    /// Bytes that the socket has taken since the link began.
    passed: u64,
    /// Somebody was told that it is full.
    refused: bool,
    last_asked: u64,
    unanswered: BTreeSet<u64>,
    last_heard: u64,
    /// Questions that we have not answered.
    owed: BTreeSet<u64>,
    /// Answers that the socket has not taken whole, by the byte of the link at which each ends.
    untaken: VecDeque<u64>,
}

/// What a link has received.
pub(crate) enum Received {
    Frame(Frame),
    Denied(u16),
}

impl Link {
    /// A fresh link, on which the other side may ask what is granted.
    pub fn new(grant: Grant) -> Self {
        Self {
            grant,
            decoder: Decoder::default(),
            out: VecDeque::new(),
            written: 0,
            queued: 0,
            passed: 0,
            refused: false,
            last_asked: 0,
            unanswered: BTreeSet::new(),
            last_heard: 0,
            owed: BTreeSet::new(),
            untaken: VecDeque::new(),
        }
    }

    /// What the other side may ask.
    pub const fn grant(&self) -> &Grant {
        &self.grant
    }

    /// Bytes that may be queued.
    pub const fn room(&self) -> usize {
        QUEUE_BYTES_MAX.saturating_sub(self.queued)
    }

    /// Our questions that have no answer.
    pub fn unanswered(&self) -> impl Iterator<Item = u64> {
        self.unanswered.iter().copied()
    }

    pub(crate) fn ask(&mut self, topic: u16, payload: &[u8]) -> Result<u64, NotSent> {
        let (have, max) = (self.unanswered.len(), ASKS_MAX);
        if have >= max {
            self.refused = true;
            return Err(NotSent::Unanswered { have, max });
        }
        self.judge(payload)?;
        self.last_asked += 1;
        self.unanswered.insert(self.last_asked);
        self.push(Kind::Ask, self.last_asked, topic, payload);
        Ok(self.last_asked)
    }

    pub(crate) fn event(&mut self, topic: u16, payload: &[u8]) -> Result<(), NotSent> {
        self.judge(payload)?;
        self.push(Kind::Event, 0, topic, payload);
        Ok(())
    }

    pub(crate) fn answer(&mut self, id: u64, topic: u16, payload: &[u8]) -> Result<(), NotSent> {
        if payload.len() > FRAME_BYTES_MAX {
            return Err(NotSent::TooLong { got: payload.len(), max: FRAME_BYTES_MAX });
        }
        if !self.owed.remove(&id) {
            return Err(NotSent::NotAsked { id });
        }
        self.push_answer(id, topic, payload);
        Ok(())
    }

    /// The question counts on, until this is written.
    fn push_answer(&mut self, id: u64, topic: u16, payload: &[u8]) {
        self.push(Kind::Answer, id, topic, payload);
        self.untaken.push_back(self.passed + self.queued as u64);
    }

    fn judge(&mut self, payload: &[u8]) -> Result<(), NotSent> {
        let (got, max) = (payload.len(), FRAME_BYTES_MAX);
        if got > max {
            return Err(NotSent::TooLong { got, max });
        }
        if self.room() == 0 {
            self.refused = true;
            return Err(NotSent::Full { have: self.queued, max: QUEUE_BYTES_MAX });
        }
        Ok(())
    }

    fn push(&mut self, kind: Kind, id: u64, topic: u16, payload: &[u8]) {
        let head = head(kind, id, topic, payload.len());
        let bytes = head.len() + payload.len();
        let fits = |piece: &Zeroizing<Vec<u8>>| piece.capacity() - piece.len() >= bytes;
        if !self.out.back().is_some_and(fits) {
            // A piece that grows would leave copies of keys behind.
            self.out.push_back(Zeroizing::new(Vec::with_capacity(bytes.max(PIECE_BYTES))));
        }
        let piece = self.out.back_mut().expect("one was just put there");
        piece.extend_from_slice(&head);
        piece.extend_from_slice(payload);
        self.queued += bytes;
    }

    /// The bytes to write next.
    pub(crate) fn front(&self) -> Option<&[u8]> {
        self.out.front().map(|piece| &piece[self.written..])
    }

    /// So many of them are written.
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.written += bytes;
        self.queued -= bytes;
        self.passed += bytes as u64;
        while self.untaken.front().is_some_and(|end| *end <= self.passed) {
            self.untaken.pop_front();
        }
        if self.out.front().is_some_and(|piece| piece.len() == self.written) {
            self.out.pop_front();
            self.written = 0;
        }
    }

    /// Whether there is room again after somebody was refused; says so once.
    pub(crate) fn has_room_again(&mut self) -> bool {
        let again = self.refused
            && self.queued <= QUEUE_BYTES_MAX / 2
            && self.unanswered.len() <= ASKS_MAX / 2;
        self.refused &= !again;
        again
    }

    /// Takes bytes from the front of `input`; returns what is complete. Nothing means that all is
    /// used up.
    pub(crate) fn receive(&mut self, input: &mut &[u8]) -> Result<Option<Received>, Broken> {
        let Some(frame) = self.decoder.next(input).map_err(Broken::Frame)? else {
            return Ok(None);
        };
        match frame.kind {
            Kind::Ask => self.asked(frame).map(Some),
            Kind::Answer if self.unanswered.remove(&frame.id) => Ok(Some(Received::Frame(frame))),
            Kind::Answer => Err(Broken::NotAsked { got: frame.id }),
            Kind::Event => Ok(Some(Received::Frame(frame))),
        }
    }

    fn asked(&mut self, frame: Frame) -> Result<Received, Broken> {
        if frame.id <= self.last_heard {
            return Err(Broken::AskNumber { got: frame.id, last: self.last_heard });
        }
        if self.owed.len() + self.untaken.len() >= ASKS_MAX {
            return Err(Broken::TooManyAsks { max: ASKS_MAX });
        }
        self.last_heard = frame.id;
        if self.grant.allows(frame.topic) {
            self.owed.insert(frame.id);
            return Ok(Received::Frame(frame));
        }
        let text = format!("the link '{}' may not ask topic {}", self.grant.name(), frame.topic);
        self.push_answer(frame.id, DENIED, text.as_bytes());
        Ok(Received::Denied(frame.topic))
    }
}

impl fmt::Display for NotSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLink => f.write_str("the link is down"),
            Self::Full { have, max } => write!(f, "{have} bytes wait, at most {max}"),
            Self::Unanswered { have, max } => write!(f, "{have} questions wait, at most {max}"),
            Self::NotAsked { id } => write!(f, "question {id} was not asked, or is answered"),
            Self::TooLong { got, max } => write!(f, "a payload of {got} bytes, at most {max}"),
        }
    }
}

impl std::error::Error for NotSent {}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(fault) => fault.fmt(f),
            Self::TooManyAsks { max } => {
                write!(f, "more than {max} questions unanswered, or answers unread")
            }
            Self::AskNumber { got, last } => write!(f, "question {got} after question {last}"),
            Self::NotAsked { got } => write!(f, "an answer to question {got}, which nobody asked"),
        }
    }
}

impl std::error::Error for Broken {}
