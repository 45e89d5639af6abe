//! One ask, answer or event as bytes: `length (4) | kind (1) | id (8) | topic (2) | payload`, the
//! numbers big-endian, the length that of all behind it.

use std::fmt;

use zeroize::Zeroizing;

/// Bytes of the longest payload.
pub const FRAME_BYTES_MAX: usize = 4 << 20;
/// The topic of an answer by which the bus itself says no.
pub const DENIED: u16 = u16::MAX;

pub(crate) const HEAD_BYTES: usize = 4 + REST_BYTES;
const REST_BYTES: usize = 1 + 8 + 2;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A question; an answer of the same id will come.
    Ask,
    /// The answer.
    Answer,
    /// News, without a question.
    Event,
}

/// One message between services. The payload may hold keys; it is wiped when dropped.
pub struct Frame {
    /// What it is.
    pub kind: Kind,
    /// Of an ask its number on the link, from 1 on; of an answer that of its ask; of an event 0.
    pub id: u64,
    /// What it is about, in the numbers of the service's contract.
    pub topic: u16,
    /// The rest, which the bus does not read.
    pub payload: Zeroizing<Vec<u8>>,
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameFault {
    /// Shorter than its head, or longer than any may be.
    Length {
        /// The length in front.
        got: u64,
        /// The most it may be.
        max: u64,
    },
    /// Neither ask, answer nor event.
    Kind {
        /// The byte.
        got: u8,
    },
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, id, topic, payload } = self;
        write!(f, "{kind:?} {id} on topic {topic}, {} bytes", payload.len())
    }
}

impl fmt::Display for FrameFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { got, max } => {
                write!(f, "a frame of {got} bytes, {REST_BYTES} to {max} may be")
            }
            Self::Kind { got } => write!(f, "a frame of kind {got}"),
        }
    }
}

impl std::error::Error for FrameFault {}

pub(crate) fn head(kind: Kind, id: u64, topic: u16, payload: usize) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..4].copy_from_slice(&((REST_BYTES + payload) as u32).to_be_bytes());
    head[4] = match kind {
        Kind::Ask => 1,
        Kind::Answer => 2,
        Kind::Event => 3,
    };
    head[5..13].copy_from_slice(&id.to_be_bytes());
    head[13..].copy_from_slice(&topic.to_be_bytes());
    head
}

/// Frames out of a stream that comes in pieces of any size.
#[derive(Default)]
pub(crate) struct Decoder {
    head: Vec<u8>,
    frame: Option<(Frame, usize)>,
}

impl Decoder {
    /// Takes from the front of `input` what the next frame needs; returns the frame once it is
    /// complete. Nothing means that `input` is used up.
    pub(crate) fn next(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, FrameFault> {
        if self.frame.is_none() {
            let missing = HEAD_BYTES - self.head.len();
            let (taken, rest) = input.split_at(missing.min(input.len()));
            self.head.extend_from_slice(taken);
            *input = rest;
            let Some(head) = self.head.first_chunk() else { return Ok(None) };
            self.frame = Some(begin(head)?);
            self.head.clear();
        }
        let Some((mut frame, len)) = self.frame.take() else { return Ok(None) };
        let missing = len - frame.payload.len();
        let (taken, rest) = input.split_at(missing.min(input.len()));
        frame.payload.extend_from_slice(taken);
        *input = rest;
        if frame.payload.len() == len {
            return Ok(Some(frame));
        }
        self.frame = Some((frame, len));
        Ok(None)
    }
}

fn begin(head: &[u8; HEAD_BYTES]) -> Result<(Frame, usize), FrameFault> {
    let [a, b, c, d, kind, rest @ ..] = *head;
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    let max = FRAME_BYTES_MAX + REST_BYTES;
    if !(REST_BYTES..=max).contains(&length) {
        return Err(FrameFault::Length { got: length as u64, max: max as u64 });
    }
    let kind = match kind {
        1 => Kind::Ask,
        2 => Kind::Answer,
        3 => Kind::Event,
        got => return Err(FrameFault::Kind { got }),
    };
    let [id @ .., t, u] = rest;
    let len = length - REST_BYTES;
    // All at once: a payload that grows would leave copies of keys behind.
    let payload = Zeroizing::new(Vec::with_capacity(len));
    let frame =
        Frame { kind, id: u64::from_be_bytes(id), topic: u16::from_be_bytes([t, u]), payload };
    Ok((frame, len))
}
