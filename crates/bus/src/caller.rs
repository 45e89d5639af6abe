//! A link for a program that waits: it asks, and gets the answer.

use std::{
    collections::VecDeque,
    fmt, io,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    time::{Duration, Instant},
};

use zeroize::Zeroize as _;

use crate::{
    frame::{DENIED, Frame, Kind},
    grant::Grant,
    link::{Broken, Link, NotSent, Received},
};

/// One end of a link, on a socket that blocks. It answers nothing.
pub struct Caller {
    stream: UnixStream,
    link: Link,
    events: VecDeque<Frame>,
    answers: VecDeque<Frame>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum CallFault {
    /// The socket failed, or the time is over.
    Io(io::Error),
    /// The question was not taken.
    NotSent(NotSent),
    /// The other side broke a rule of links.
    Broken(Broken),
    /// The other side has closed the link.
    Closed,
    /// The bus has said no.
    Denied(String),
}

impl Caller {
    /// Connects to whoever listens at a path.
    pub fn connect(path: &Path) -> io::Result<Self> {
        UnixStream::connect(path).map(Self::over)
    }

    /// Uses one end of a pair.
    pub fn over(stream: UnixStream) -> Self {
        let link = Link::new(Grant::nothing("caller"));
        Self { stream, link, events: VecDeque::new(), answers: VecDeque::new() }
    }

    /// Asks, and waits at most so long for the answer. Events that come meanwhile are kept.
    pub fn ask(
        &mut self,
        topic: u16,
        payload: &[u8],
        timeout: Duration,
    ) -> Result<Frame, CallFault> {
        let id = self.send(topic, payload)?;
        let until = Instant::now() + timeout;
        loop {
            if let Some(at) = self.answers.iter().position(|answer| answer.id == id) {
                let answer = self.answers.remove(at).expect("found above");
                if answer.topic == DENIED {
                    let text = String::from_utf8_lossy(&answer.payload).into_owned();
                    return Err(CallFault::Denied(text));
                }
                return Ok(answer);
            }
            self.receive(until)?;
        }
    }

    /// Asks, and does not wait; the answer will have this number.
    pub fn send(&mut self, topic: u16, payload: &[u8]) -> Result<u64, CallFault> {
        let id = self.link.ask(topic, payload).map_err(CallFault::NotSent)?;
        while let Some(bytes) = self.link.front() {
            let written = self.stream.write(bytes).map_err(CallFault::Io)?;
            self.link.advance(written);
        }
        Ok(id)
    }

    /// The next answer to what was sent, or the next event; waits at most so long.
    pub fn next(&mut self, timeout: Duration) -> Result<Frame, CallFault> {
        let until = Instant::now() + timeout;
        loop {
            if let Some(frame) = self.answers.pop_front().or_else(|| self.events.pop_front()) {
                return Ok(frame);
            }
            self.receive(until)?;
        }
    }

    fn receive(&mut self, until: Instant) -> Result<(), CallFault> {
        let left = until.saturating_duration_since(Instant::now());
        self.stream
            .set_read_timeout(Some(left.max(Duration::from_millis(1))))
            .map_err(CallFault::Io)?;
        let mut buffer = [0; 16 << 10];
        let got = self.stream.read(&mut buffer).map_err(CallFault::Io)?;
        if got == 0 {
            return Err(CallFault::Closed);
        }
        let mut bytes = &buffer[..got];
        while let Some(received) = self.link.receive(&mut bytes).map_err(CallFault::Broken)? {
            if let Received::Frame(frame) = received {
                match frame.kind {
                    Kind::Answer => self.answers.push_back(frame),
                    Kind::Event => self.events.push_back(frame),
                    Kind::Ask => unreachable!("nothing is granted"),
                }
            }
        }
        buffer.zeroize();
        Ok(())
    }
}

impl fmt::Display for CallFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(fault) => fault.fmt(f),
            Self::NotSent(fault) => fault.fmt(f),
            Self::Broken(fault) => fault.fmt(f),
            Self::Closed => f.write_str("the other side has closed the link"),
            Self::Denied(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for CallFault {}
