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
        let bytes = ByteCount(self.pings % LENGTHS);
        self.pings = self.pings.wrapping_add(1);
        self.asked = Some(Asked { at: now, bytes });
        Ok(Some(Ping::new(bytes, 0)))
    }

    /// When to look again.
    pub(crate) fn next(&self) -> Tick {
        self.asked.map_or(self.heard + PING_AFTER, |asked| asked.at + PONG_MAX)
    }
}
