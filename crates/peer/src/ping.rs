//! Keeping a connection alive, and noticing that it is not.

use wire::{
    Ping, Pong,
    amount::ByteCount,
    tick::{Millis, Tick},
};

use crate::{
    api::Why,
    limits::{PING_AFTER, PONG_MAX},
};

/// Our own pings.
pub(crate) struct Heart {
    heard: Tick,
    asked: Option<Asked>,
    pings: u16,
    /// Whoever had the keys before may have asked for a pong that is still on its way.
    strays: bool,
}

/// A pong of the peer.
pub(crate) enum Heard {
    /// It answers our ping, after this time.
    Answer(Millis),
    /// It answers somebody who had the keys before.
    Stray,
}

/// What one process tells the next: when the peer was heard, the ping that is unanswered with its
/// length, how many there were, and whether there may be strays.
pub(crate) type HeartParts = (Tick, Option<(Tick, u16)>, u16, bool);

#[derive(Clone, Copy)]
struct Asked {
    at: Tick,
    bytes: ByteCount,
}

/// Pongs are asked for in this many lengths, so that one to an old ping is noticed.
const LENGTHS: u16 = 16;

impl Heart {
    pub(crate) const fn new(now: Tick) -> Self {
        Self { heard: now, asked: None, pings: 0, strays: false }
    }

    /// That of a connection whose keys somebody else had before.
    pub(crate) const fn of_later_owner(pings: u16, now: Tick) -> Self {
        Self { heard: now, asked: None, pings, strays: true }
    }

    /// How many pings there were.
    pub(crate) const fn pings(&self) -> u16 {
        self.pings
    }

    /// The peer said something.
    pub(crate) const fn hear(&mut self, now: Tick) {
        self.heard = now;
    }

    /// We do not listen at present: what we asked for may have come.
    pub(crate) fn hold(&mut self, now: Tick) {
        self.heard = now;
        if let Some(asked) = &mut self.asked {
            asked.at = now;
        }
    }

    /// The peer answered: how long it took.
    pub(crate) fn pong(&mut self, pong: &Pong, now: Tick) -> Result<Heard, Why> {
        let got = pong.ignored.0.len();
        let want = self.asked.map(|asked| usize::from(asked.bytes.0));
        match self.asked {
            Some(asked) if want == Some(got) => {
                // Pongs come in the order of their pings: there are no strays behind this one.
                (self.asked, self.strays) = (None, false);
                Ok(Heard::Answer(now.since(asked.at)))
            }
            _ if self.strays => Ok(Heard::Stray),
            _ => Err(Why::WrongPong { got, want }),
        }
    }

    /// The ping that is due, if one is.
    pub(crate) fn beat(&mut self, now: Tick) -> Result<Option<Ping>, Why> {
        if let Some(asked) = self.asked {
            return match now < asked.at + PONG_MAX {
                true => Ok(None),
                false => Err(Why::TimedOut { what: "pong", max: PONG_MAX }),
            };
        }
        if now < self.heard + PING_AFTER {
            return Ok(None);
        }
        Ok(self.ask(now))
    }

    /// A ping, unless one is unanswered.
    pub(crate) fn ask(&mut self, now: Tick) -> Option<Ping> {
        if self.asked.is_some() {
            return None;
        }
        let bytes = ByteCount(self.pings % LENGTHS);
        self.pings = self.pings.wrapping_add(1);
        self.asked = Some(Asked { at: now, bytes });
        Some(Ping::new(bytes, 0))
    }

    pub(crate) fn parts(&self) -> HeartParts {
        let asked = self.asked.map(|asked| (asked.at, asked.bytes.0));
        (self.heard, asked, self.pings, self.strays)
    }

    pub(crate) fn from_parts((heard, asked, pings, strays): HeartParts) -> Self {
        let asked = asked.map(|(at, bytes)| Asked { at, bytes: ByteCount(bytes) });
        Self { heard, asked, pings, strays }
    }

    /// When to look again.
    pub(crate) fn next(&self) -> Tick {
        self.asked.map_or(self.heard + PING_AFTER, |asked| asked.at + PONG_MAX)
    }
}
