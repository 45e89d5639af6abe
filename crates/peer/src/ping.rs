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
}

#[derive(Clone, Copy)]
struct Asked {
    at: Tick,
    bytes: ByteCount,
}

/// Pongs are asked for in this many lengths, so that one to an old ping is noticed.
const LENGTHS: u16 = 16;

impl Heart {
    pub(crate) const fn new(now: Tick) -> Self {
        Self { heard: now, asked: None, pings: 0 }
    }

    /// The peer said something.
    pub(crate) const fn hear(&mut self, now: Tick) {
        self.heard = now;
    }

    /// The peer answered: how long it took.
    pub(crate) fn pong(&mut self, pong: &Pong, now: Tick) -> Result<Millis, Why> {
        let got = pong.ignored.0.len();
        let want = self.asked.map(|asked| usize::from(asked.bytes.0));
        match self.asked {
            Some(asked) if want == Some(got) => {
                self.asked = None;
                Ok(now.since(asked.at))
            }
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

    /// What one process tells the next.
    pub(crate) fn parts(&self) -> (Tick, Option<(Tick, u16)>, u16) {
        (self.heard, self.asked.map(|asked| (asked.at, asked.bytes.0)), self.pings)
    }

    pub(crate) fn from_parts((heard, asked, pings): (Tick, Option<(Tick, u16)>, u16)) -> Self {
        let asked = asked.map(|(at, bytes)| Asked { at, bytes: ByteCount(bytes) });
        Self { heard, asked, pings }
    }

    /// When to look again.
    pub(crate) fn next(&self) -> Tick {
        self.asked.map_or(self.heard + PING_AFTER, |asked| asked.at + PONG_MAX)
    }
}
