//! BOLT 1 framing: a type of two bytes, then what the table says.

use core::fmt::{self, Write as _};

use crate::{
    amount::ByteCount,
    dice::Dice,
    fault::{Broke, Fault, MESSAGE_BYTES_MAX, TooLong},
    features::Features,
    hex::Hex,
    id::ChannelId,
    list::Blob,
    table::{Error, Init, Message, Ping, Pong, Warning},
    tlv::Unknown,
};

/// Bytes of the message type.
pub const TYPE_BYTES: usize = 2;

/// An odd message that the table does not name, kept to the byte.
#[derive(Clone, PartialEq, Eq)]
pub struct Unnamed {
    pub(crate) message_type: u16,
    pub(crate) payload: Vec<u8>,
}

/// Where a record of an extension broke, on its way out of the decoder.
pub(crate) struct InRecord(pub &'static str, pub Broke);

impl From<Broke> for InRecord {
    fn from(broke: Broke) -> Self {
        Self("extension", broke)
    }
}

/// One message of the table, without the type in front.
pub trait Body: Sized {
    /// The type of this message.
    const TYPE: u16;
    /// Its BOLT name.
    const NAME: &'static str;
    /// Reads what follows the type; refuses everything that is not exactly this message.
    fn read_body(body: &[u8]) -> Result<Self, Fault>;
    /// Appends what follows the type.
    fn write_body(&self, to: &mut Vec<u8>);
    /// Bytes that [`Body::write_body`] appends at most.
    fn body_size(&self) -> usize;
    /// Any such message, for tests.
    fn generate(dice: &mut Dice) -> Self;

    /// The bytes of the message, its type in front.
    #[inline]
    fn encode(&self) -> Result<Vec<u8>, TooLong> {
        let size = sized(self.body_size())?;
        let mut bytes = Vec::with_capacity(size);
        bytes.extend_from_slice(&Self::TYPE.to_be_bytes());
        self.write_body(&mut bytes);
        Ok(bytes)
    }
}

/// The size of a message whose body has this size, if a transport can carry it.
#[inline]
fn sized(body: usize) -> Result<usize, TooLong> {
    match TYPE_BYTES + body {
        size @ ..=MESSAGE_BYTES_MAX => Ok(size),
        have => Err(TooLong { have }),
    }
}

/// A message is shown up to so many characters: a peer chooses how long it is, and logs are read.
pub const SHOWN_CHARS_MAX: usize = 4_000;

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cut = Cut { to: f, left: SHOWN_CHARS_MAX };
        match write!(cut, "{:?}", self.body()) {
            Err(fmt::Error) if cut.left == 0 => cut.to.write_str("…"),
            other => other,
        }
    }
}

/// Stops after so many characters.
struct Cut<'a, 'b> {
    to: &'a mut fmt::Formatter<'b>,
    left: usize,
}

impl fmt::Write for Cut<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let (end, more) = match text.char_indices().nth(self.left) {
            Some((end, _)) => (end, true),
            None => (text.len(), false),
        };
        self.left -= text[..end].chars().count();
        self.to.write_str(&text[..end])?;
        if more { Err(fmt::Error) } else { Ok(()) }
    }
}

impl Message {
    /// Reads a whole message, as the transport delivers it.
    pub fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        if bytes.len() > MESSAGE_BYTES_MAX {
            return Err(TooLong { have: bytes.len() }.into());
        }
        let (head, body) = bytes.split_first_chunk().ok_or(Fault::NoType { have: bytes.len() })?;
        Self::read_body(u16::from_be_bytes(*head), body)
    }

    /// The bytes of the message; refuses one that no transport could carry.
    pub fn encode(&self) -> Result<Vec<u8>, TooLong> {
        let mut bytes = Vec::new();
        self.encode_into(&mut bytes)?;
        Ok(bytes)
    }

    /// Appends the bytes of the message; a refusal appends nothing.
    pub fn encode_into(&self, to: &mut Vec<u8>) -> Result<(), TooLong> {
        to.reserve(sized(self.body_size())?);
        to.extend_from_slice(&self.message_type().to_be_bytes());
        self.write_body(to);
        Ok(())
    }
}

impl Unnamed {
    /// A message of a type that the table does not name; an even one is refused, since the other
    /// side would have to know it.
    pub fn new(message_type: u16, payload: Vec<u8>) -> Result<Self, Fault> {
        if named(message_type) {
            return Err(Fault::Named { message_type });
        }
        if message_type.is_multiple_of(2) {
            return Err(Fault::UnknownEven { message_type });
        }
        Ok(Self { message_type, payload })
    }

    /// Its type.
    pub const fn message_type(&self) -> u16 {
        self.message_type
    }

    /// What follows the type.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    pub(crate) fn read(message_type: u16, payload: &[u8]) -> Result<Self, Fault> {
        match message_type.is_multiple_of(2) {
            true => Err(Fault::UnknownEven { message_type }),
            false => Ok(Self { message_type, payload: payload.to_vec() }),
        }
    }
}

fn named(message_type: u16) -> bool {
    Message::ALL.iter().any(|(number, _)| *number == message_type)
}

impl fmt::Debug for Unnamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.message_type, Hex(&self.payload))
    }
}

impl Init {
    /// Says what we can, for the given features.
    pub fn offering(features: Features) -> Self {
        Self {
            globalfeatures: Features::NONE,
            features,
            networks: None,
            remote_addr: None,
            extension: Unknown::NONE,
        }
    }

    /// BOLT 1: "MUST combine (bitwise OR) the two feature bitmaps into one logical `features` map."
    pub fn all_features(&self) -> Features {
        self.features.union(&self.globalfeatures)
    }
}

impl Ping {
    /// A ping that is `ignored` bytes longer than it must be.
    pub fn new(num_pong_bytes: ByteCount, ignored: u16) -> Self {
        let ignored = Blob(vec![0; usize::from(ignored)]);
        Self { num_pong_bytes, ignored, extension: Unknown::NONE }
    }

    /// The pong it asks for. BOLT 1: no answer at all to 65,532 bytes or more, and the ping is
    /// then a way to hide traffic.
    pub fn pong(&self) -> Option<Pong> {
        let bytes = usize::from(self.num_pong_bytes.0);
        (self.num_pong_bytes < Self::UNANSWERED)
            .then(|| Pong { ignored: Blob(vec![0; bytes]), extension: Unknown::NONE })
    }

    /// A ping for this many bytes or more gets no answer.
    pub const UNANSWERED: ByteCount = ByteCount(65_532);
}

impl Warning {
    /// A warning about one channel, or about none in particular.
    pub fn new(channel_id: ChannelId, text: &str) -> Self {
        Self { channel_id, data: Blob(text.into()), extension: Unknown::NONE }
    }
}

impl Error {
    /// Fails one channel, or all of them.
    pub fn new(channel_id: ChannelId, text: &str) -> Self {
        Self { channel_id, data: Blob(text.into()), extension: Unknown::NONE }
    }
}
