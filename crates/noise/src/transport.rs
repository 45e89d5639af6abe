//! Messages after the handshake: two directions, each with its own keys.

use std::fmt::{Debug, Display};

use static_assertions::assert_not_impl_any;

use crate::cipher::{BadMac, Cipher};
use crate::fault::{Death, Fault, Part, Sealed};
use crate::state::{Chain, Rest, TransportState};
use crate::symmetric::hkdf;
use crate::wiped::Wiped;

assert_not_impl_any!(Direction: Clone, Copy, Debug, Display);
assert_not_impl_any!(Live: Clone, Copy, Debug, Display);
assert_not_impl_any!(Transport: Clone, Copy, Debug, Display);

/// Bytes of a Poly1305 tag.
pub const TAG_BYTES: usize = 16;
/// Bytes of an encrypted length and its tag.
pub const HEADER_BYTES: usize = 2 + TAG_BYTES;
/// Bytes of the longest message.
// BOLT 8: "The *maximum* size of _any_ Lightning message MUST NOT exceed `65535` bytes."
pub const MESSAGE_BYTES_MAX: usize = 65_535;
/// Bytes of the shortest message: BOLT 1 begins each with a type of two bytes.
pub const MESSAGE_BYTES_MIN: usize = 2;
/// Bytes of the longest body with its tag.
pub const BODY_BYTES_MAX: usize = MESSAGE_BYTES_MAX + TAG_BYTES;
/// Bytes of the longest message on the wire.
pub const WIRE_BYTES_MAX: usize = HEADER_BYTES + BODY_BYTES_MAX;
/// A key rotates when its nonce reaches this number.
pub const ROTATE_AT: u16 = 1_000;
/// The greatest nonce that is ever used or seen.
pub const NONCE_MAX: u16 = ROTATE_AT - 1;

// BOLT 8: "for a total maximum packet length of `2 + 16 + 65535 + 16` = `65569` bytes."
const _: () = assert!(WIRE_BYTES_MAX == 65_569 && MESSAGE_BYTES_MAX == u16::MAX as usize);
const _: () = assert!(ROTATE_AT.is_multiple_of(2), "a message never straddles a rotation");

/// The length of a message whose header has been read: 2 to 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BodyLen(u16);

impl BodyLen {
    /// Bytes of the message.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Bytes of the message and its tag: what [`Transport::decrypt_body`] wants.
    pub const fn with_tag(self) -> usize {
        self.0 as usize + TAG_BYTES
    }

    pub(crate) fn new(length: u16) -> BodyLen {
        assert!(usize::from(length) >= MESSAGE_BYTES_MIN, "the caller has refused shorter ones");
        BodyLen(length)
    }
}

/// The keys of a connection that is open. Exactly one party owns them at any time. Wiped when
/// dropped.
pub struct Transport {
    live: Box<Wiped<Live>>,
}

pub(crate) struct Live {
    pub(crate) send: Direction,
    pub(crate) receive: Direction,
    due: Due,
}

/// What the receiving direction waits for.
#[derive(Clone, Copy)]
enum Due {
    Header,
    Body(BodyLen),
    Dead(Death),
}

impl Transport {
    /// Encrypts `message` and appends its 18 + length + 16 bytes to `out`. A refusal changes
    /// nothing.
    pub fn encrypt(&mut self, message: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let length = sendable(message.len())?;
        let start = out.len();
        out.reserve(HEADER_BYTES + message.len() + TAG_BYTES);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&[0; TAG_BYTES]);
        out.extend_from_slice(message);
        out.extend_from_slice(&[0; TAG_BYTES]);
        let (header, body) = out[start..].split_at_mut(HEADER_BYTES);
        self.live.send.seal(header);
        self.live.send.seal(body);
        #[cfg(feature = "planted")]
        crate::planted::sent(&mut self.live);
        Ok(())
    }

    /// Decrypts a header: how long the message is that follows.
    pub fn decrypt_header(&mut self, header: &[u8; HEADER_BYTES]) -> Result<BodyLen, Fault> {
        match self.live.due {
            Due::Header => {}
            Due::Body(_) => {
                return Err(Fault::OutOfTurn { got: Part::Header, want: Part::Body });
            }
            Due::Dead(cause) => return Err(Fault::Dead { cause }),
        }
        let rn = self.live.receive.chain.n;
        let [high, low, tag @ ..] = header;
        let mut length = [*high, *low];
        if let Err(BadMac) = self.live.receive.open(&mut length, tag) {
            return Err(self.die(Sealed::Header { rn }));
        }
        let length = u16::from_be_bytes(length);
        let got = usize::from(length);
        if got < MESSAGE_BYTES_MIN {
            self.live.due = Due::Dead(Death::TooShort { got });
            return Err(Fault::TooShortReceived { got, min: MESSAGE_BYTES_MIN });
        }
        self.live.due = Due::Body(BodyLen::new(length));
        Ok(BodyLen::new(length))
    }

    /// Decrypts a body in place and returns the message, which is `body` without its tag. `body`
    /// must have [`BodyLen::with_tag`] bytes. If it is forged, its content is unspecified after.
    pub fn decrypt_body<'a>(&mut self, body: &'a mut [u8]) -> Result<&'a mut [u8], Fault> {
        let length = match self.live.due {
            Due::Header => return Err(Fault::OutOfTurn { got: Part::Body, want: Part::Header }),
            Due::Body(length) => length,
            Due::Dead(cause) => return Err(Fault::Dead { cause }),
        };
        if body.len() != length.with_tag() {
            let (part, got, want) = (Part::Body, body.len(), length.with_tag());
            return Err(Fault::RecordBytes { part, got, want });
        }
        let rn = self.live.receive.chain.n;
        let (message, tag) = body.split_last_chunk_mut().expect("16 bytes and more, just compared");
        if let Err(BadMac) = self.live.receive.open(message, tag) {
            return Err(self.die(Sealed::Body { rn }));
        }
        self.live.due = Due::Header;
        #[cfg(feature = "planted")]
        crate::planted::received(&mut self.live);
        Ok(message)
    }

    /// Which record is due, and how many bytes it has.
    pub fn due(&self) -> Result<(Part, usize), Fault> {
        match self.live.due {
            Due::Header => Ok((Part::Header, HEADER_BYTES)),
            Due::Body(length) => Ok((Part::Body, length.with_tag())),
            Due::Dead(cause) => Err(Fault::Dead { cause }),
        }
    }

    /// Gives the state away. A transport that has died is worth nothing to anybody.
    pub fn into_state(self) -> Result<TransportState, Fault> {
        let pending = match self.live.due {
            Due::Header => None,
            Due::Body(length) => Some(length),
            Due::Dead(cause) => return Err(Fault::Dead { cause }),
        };
        let (send, receive) =
            (self.live.send.chain.duplicate(), self.live.receive.chain.duplicate());
        Ok(TransportState::new(Rest { send, receive, pending }))
    }

    #[cold]
    fn die(&mut self, sealed: Sealed) -> Fault {
        self.live.due = Due::Dead(Death::Mac(sealed));
        Fault::Mac { sealed }
    }
}

impl From<TransportState> for Transport {
    /// Resumes where the last owner stopped.
    fn from(state: TransportState) -> Transport {
        let Rest { send, receive, pending } = state.rest();
        let (send, receive) = (Direction::new(send), Direction::new(receive));
        let due = pending.map_or(Due::Header, Due::Body);
        Transport { live: Box::new(Wiped::new(Live { send, receive, due })) }
    }
}

/// One direction, with its expanded key at hand. Its nonce is 0 to 999 whenever anybody looks.
pub(crate) struct Direction {
    pub(crate) chain: Chain,
    cipher: Cipher,
}

impl Direction {
    fn new(chain: &Chain) -> Direction {
        Direction { cipher: Cipher::new(&chain.k), chain: chain.duplicate() }
    }

    /// Seals a record whose last 16 bytes are room for the tag.
    #[inline]
    fn seal(&mut self, record: &mut [u8]) {
        #[cfg(feature = "planted")]
        self.rotate_if_due();
        let (plaintext, tag) = record.split_at_mut(record.len() - TAG_BYTES);
        tag.copy_from_slice(&self.cipher.seal(self.chain.n, &[], plaintext));
        self.advance();
    }

    /// Opens a record in place. A tag that does not fit advances nothing.
    #[inline]
    fn open(&mut self, ciphertext: &mut [u8], tag: &[u8; TAG_BYTES]) -> Result<(), BadMac> {
        #[cfg(feature = "planted")]
        self.rotate_if_due();
        self.cipher.open(self.chain.n, &[], ciphertext, tag)?;
        self.advance();
        Ok(())
    }

    #[inline]
    fn advance(&mut self) {
        self.chain.n += 1;
        #[cfg(feature = "planted")]
        if crate::planted::lazy_rotation_on_export() {
            return;
        }
        self.rotate_if_due();
    }

    // BOLT 8: "This can be properly accounted for by rotating the key once the nonce dedicated
    // to it reaches 1000."
    #[inline]
    fn rotate_if_due(&mut self) {
        if self.chain.n == ROTATE_AT {
            self.rotate();
        }
    }

    #[cold]
    fn rotate(&mut self) {
        // BOLT 8: "`ck', k' = HKDF(ck, k)`"
        let (ck, k) = hkdf(&self.chain.ck, self.chain.k.bytes());
        self.cipher.rekey(&k);
        self.chain = Chain { k, ck, n: 0 };
    }
}

fn sendable(bytes: usize) -> Result<u16, Fault> {
    if bytes < MESSAGE_BYTES_MIN {
        return Err(Fault::TooShort { got: bytes, min: MESSAGE_BYTES_MIN });
    }
    u16::try_from(bytes).map_err(|_| Fault::TooLong { got: bytes, max: MESSAGE_BYTES_MAX })
}
