//! The three messages of the handshake, as bytes whose version has been checked.

use std::fmt;

use secp256k1::PublicKey;

use crate::fault::Fault;
use crate::transport::TAG_BYTES;

/// The only handshake version that exists.
pub const VERSION: u8 = 0;
/// Bytes of act one: version, ephemeral key, tag.
pub const ACT1_BYTES: usize = 1 + POINT_BYTES + TAG_BYTES;
/// Bytes of act two: version, ephemeral key, tag.
pub const ACT2_BYTES: usize = 1 + POINT_BYTES + TAG_BYTES;
/// Bytes of act three: version, encrypted static key with its tag, tag.
pub const ACT3_BYTES: usize = 1 + SEALED_POINT_BYTES + TAG_BYTES;

pub(crate) const POINT_BYTES: usize = secp256k1::constants::PUBLIC_KEY_SIZE;
pub(crate) const SEALED_POINT_BYTES: usize = POINT_BYTES + TAG_BYTES;

// BOLT 8: "* **Act One**: 50 bytes
//   * **Act Two**: 50 bytes
//   * **Act Three**: 66 bytes"
const _: () = assert!(ACT1_BYTES == 50 && ACT2_BYTES == 50 && ACT3_BYTES == 66);

/// Which of the three acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Initiator to responder: `-> e, es`.
    One,
    /// Responder to initiator: `<- e, ee`.
    Two,
    /// Initiator to responder: `-> s, se`.
    Three,
}

impl Act {
    /// How many bytes this act always has.
    pub const fn bytes(self) -> usize {
        match self {
            Act::One => ACT1_BYTES,
            Act::Two => ACT2_BYTES,
            Act::Three => ACT3_BYTES,
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Act::One => "act one",
            Act::Two => "act two",
            Act::Three => "act three",
        })
    }
}

/// Act one, its version checked and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Act1([u8; ACT1_BYTES]);

/// Act two, its version checked and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Act2([u8; ACT2_BYTES]);

/// Act three, its version checked and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Act3([u8; ACT3_BYTES]);

impl Act1 {
    /// The only door for foreign bytes; refuses an unknown version.
    pub fn parse(bytes: [u8; ACT1_BYTES]) -> Result<Act1, Fault> {
        check_version(Act::One, bytes[0]).map(|()| Act1(bytes))
    }

    /// The bytes as they stand on the wire.
    pub fn bytes(&self) -> &[u8; ACT1_BYTES] {
        &self.0
    }

    pub(crate) fn new(e: &[u8; POINT_BYTES], tag: &[u8; TAG_BYTES]) -> Act1 {
        Act1(join(e, tag))
    }

    pub(crate) fn split(&self) -> (&[u8; POINT_BYTES], &[u8; TAG_BYTES]) {
        split(&self.0)
    }
}

impl Act2 {
    /// The only door for foreign bytes; refuses an unknown version.
    pub fn parse(bytes: [u8; ACT2_BYTES]) -> Result<Act2, Fault> {
        check_version(Act::Two, bytes[0]).map(|()| Act2(bytes))
    }

    /// The bytes as they stand on the wire.
    pub fn bytes(&self) -> &[u8; ACT2_BYTES] {
        &self.0
    }

    pub(crate) fn new(e: &[u8; POINT_BYTES], tag: &[u8; TAG_BYTES]) -> Act2 {
        Act2(join(e, tag))
    }

    pub(crate) fn split(&self) -> (&[u8; POINT_BYTES], &[u8; TAG_BYTES]) {
        split(&self.0)
    }
}

impl Act3 {
    /// The only door for foreign bytes; refuses an unknown version.
    pub fn parse(bytes: [u8; ACT3_BYTES]) -> Result<Act3, Fault> {
        check_version(Act::Three, bytes[0]).map(|()| Act3(bytes))
    }

    /// The bytes as they stand on the wire.
    pub fn bytes(&self) -> &[u8; ACT3_BYTES] {
        &self.0
    }

    pub(crate) fn new(sealed_s: &[u8; SEALED_POINT_BYTES], tag: &[u8; TAG_BYTES]) -> Act3 {
        Act3(join(sealed_s, tag))
    }

    pub(crate) fn split(&self) -> (&[u8; SEALED_POINT_BYTES], &[u8; TAG_BYTES]) {
        split(&self.0)
    }
}

/// An act on its way to the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActMessage {
    /// Act one, from an initiator.
    One(Act1),
    /// Act two, from a responder.
    Two(Act2),
    /// Act three, from an initiator.
    Three(Act3),
}

impl ActMessage {
    /// The bytes to write.
    pub fn bytes(&self) -> &[u8] {
        match self {
            ActMessage::One(act) => act.bytes(),
            ActMessage::Two(act) => act.bytes(),
            ActMessage::Three(act) => act.bytes(),
        }
    }
}

/// Collects the `N` bytes of one act from pieces of any size, and never takes one byte more.
pub(crate) struct Gather<const N: usize> {
    act: Act,
    bytes: [u8; N],
    have: usize,
}

impl<const N: usize> Gather<N> {
    pub(crate) fn new(act: Act) -> Self {
        assert_eq!(act.bytes(), N, "an act is gathered in a buffer of its own size");
        Gather { act, bytes: [0; N], have: 0 }
    }

    /// Takes what is missing from the front of `input`: how much that was, and the act if it is
    /// complete. An unknown version is refused with its first byte, not with its last.
    pub(crate) fn take(&mut self, input: &[u8]) -> Result<(usize, Option<[u8; N]>), Fault> {
        let taken = input.len().min(N - self.have);
        self.bytes[self.have..self.have + taken].copy_from_slice(&input[..taken]);
        self.have += taken;
        if self.have > 0 {
            check_version(self.act, self.bytes[0])?;
        }
        Ok((taken, (self.have == N).then_some(self.bytes)))
    }

    /// What to say when the connection ends now.
    pub(crate) fn cut(&self) -> Fault {
        Fault::Cut { act: self.act, got: self.have, want: N }
    }
}

/// A compressed point from the wire.
pub(crate) fn parse_point(act: Act, bytes: &[u8; POINT_BYTES]) -> Result<PublicKey, Fault> {
    PublicKey::from_slice(bytes).map_err(|_| Fault::Point { act, prefix: bytes[0] })
}

fn check_version(act: Act, got: u8) -> Result<(), Fault> {
    // BOLT 8: "If `v` is an unrecognized handshake version, then the responder MUST
    // abort the connection attempt."
    if got == VERSION { Ok(()) } else { Err(Fault::Version { act, got, want: VERSION }) }
}

fn join<const N: usize, const P: usize>(payload: &[u8; P], tag: &[u8; TAG_BYTES]) -> [u8; N] {
    const { assert!(N == 1 + P + TAG_BYTES) };
    let mut bytes = [VERSION; N];
    bytes[1..1 + P].copy_from_slice(payload);
    bytes[1 + P..].copy_from_slice(tag);
    bytes
}

fn split<const N: usize, const P: usize>(bytes: &[u8; N]) -> (&[u8; P], &[u8; TAG_BYTES]) {
    const { assert!(N == 1 + P + TAG_BYTES) };
    let payload = bytes[1..].first_chunk().expect("1 + P + 16 bytes hold P after the first");
    let tag = bytes.last_chunk().expect("1 + P + 16 bytes end in 16");
    (payload, tag)
}
