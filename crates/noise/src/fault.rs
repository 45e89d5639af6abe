//! All that can go wrong, each with its culprit and its numbers.

use std::fmt;

use crate::act::{Act, POINT_BYTES};

/// Why a handshake, a message or a stored state was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An act began with a version nobody knows.
    Version {
        /// The act.
        act: Act,
        /// Its first byte.
        got: u8,
        /// The byte it must be.
        want: u8,
    },
    /// The key in an act is not a compressed point of the curve.
    Point {
        /// The act.
        act: Act,
        /// The key's first byte (2 or 3 in a good one).
        prefix: u8,
    },
    /// A tag does not fit what it seals: forged, damaged, or made with another key.
    Mac {
        /// What was sealed.
        sealed: Sealed,
    },
    /// The connection ended inside an act.
    Cut {
        /// The act.
        act: Act,
        /// Bytes of it that had arrived.
        got: usize,
        /// Bytes it has.
        want: usize,
    },
    /// The connection ended inside a message.
    CutMessage {
        /// In which half of it.
        part: Part,
        /// Bytes of that half that had arrived.
        got: usize,
        /// Bytes it has.
        want: usize,
    },
    /// The peer's message has no room for its type.
    TooShortReceived {
        /// Its bytes.
        got: usize,
        /// The fewest there may be.
        min: usize,
    },
    /// The receiving direction has failed before and stays closed.
    Dead {
        /// What closed it.
        cause: Death,
    },
    /// A message of ours is longer than BOLT 8 allows; nothing changed.
    TooLong {
        /// Its bytes.
        got: usize,
        /// The most there may be.
        max: usize,
    },
    /// A message of ours has no room for its type; nothing changed.
    TooShort {
        /// Its bytes.
        got: usize,
        /// The fewest there may be.
        min: usize,
    },
    /// A header was offered where a body is due, or the other way round; nothing changed.
    OutOfTurn {
        /// What was offered.
        got: Part,
        /// What is due.
        want: Part,
    },
    /// A record was offered with the wrong number of bytes; nothing changed.
    RecordBytes {
        /// Which half of a message.
        part: Part,
        /// Bytes offered.
        got: usize,
        /// Bytes due.
        want: usize,
    },
    /// An answer came that the core had not asked for; nothing changed.
    Unasked {
        /// Where the core stands.
        state: &'static str,
        /// The answer's name.
        answer: &'static str,
    },
    /// The connection ended while the key holder was still to answer.
    Unanswered {
        /// Where the core stood.
        state: &'static str,
    },
    /// The handshake had already failed.
    Over,
    /// The key holder answers each question of a connection once, in order; nothing changed.
    NotNow {
        /// Where the exchange stands.
        state: &'static str,
        /// The question's name.
        ask: &'static str,
    },
    /// The key holder does not want this connection.
    Denied,
    /// The socket side and the key holder read different identities from the same act three.
    WrongIdentity {
        /// What the socket side read.
        claimed: [u8; POINT_BYTES],
        /// What the key holder read.
        verified: [u8; POINT_BYTES],
    },
    /// The identity key was handed in as ephemeral key, which would give it away.
    IdentityAsEphemeral,
    /// Bytes that came from a store or another machine are not what they should be.
    Stored {
        /// What was being read.
        stored: Stored,
        /// What is wrong with it.
        flaw: Flaw,
    },
}

/// Who has to mend a [`Fault`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Culprit {
    /// The other node, or somebody between us.
    Peer,
    /// Whoever holds the identity key, or the link to them.
    KeyHolder,
    /// The program that called us.
    Caller,
    /// Bytes that were stored or carried here.
    Stored,
}

/// What a tag seals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealed {
    /// Act one: the initiator does not know our static key.
    ActOne,
    /// Act two: the responder does not have the static key we dialled.
    ActTwo,
    /// Act three: the initiator's encrypted static key.
    ActThreeKey,
    /// Act three: the initiator does not have that static key.
    ActThreeEnd,
    /// A message's encrypted length.
    Header {
        /// The nonce it was due under.
        rn: u16,
    },
    /// A message's content.
    Body {
        /// The nonce it was due under.
        rn: u16,
    },
}

/// What closed a direction for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// A tag did not fit.
    Mac(Sealed),
    /// A length, sealed correctly, had no room for a message's type.
    TooShort {
        /// The length.
        got: usize,
    },
}

/// One of the two records that make a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The encrypted length and its tag.
    Header,
    /// The encrypted message and its tag.
    Body,
}

/// What was read from bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// An [`IdentityKey`](crate::IdentityKey).
    IdentityKey,
    /// An [`EphemeralKey`](crate::EphemeralKey).
    EphemeralKey,
    /// A [`HalfOpen`](crate::HalfOpen).
    HalfOpen,
    /// A [`TransportState`](crate::TransportState).
    TransportState,
}

/// What is wrong with bytes that were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// There are too few or too many.
    Length {
        /// Bytes there are.
        got: usize,
        /// Bytes there must be.
        want: usize,
    },
    /// Their layout has an unknown version.
    Version {
        /// The first byte.
        got: u8,
        /// The byte it must be.
        want: u8,
    },
    /// A private key is zero, or not below the order of the curve.
    Scalar,
    /// A secret is all zeros: a wiped value was stored.
    Zeros {
        /// The field.
        field: &'static str,
    },
    /// Two secrets are equal that HKDF derives apart.
    Equal {
        /// The one field.
        one: &'static str,
        /// The other field.
        other: &'static str,
    },
    /// A nonce is beyond the last one before a rotation.
    Nonce {
        /// `sn` or `rn`.
        field: &'static str,
        /// Its value.
        got: u16,
        /// The greatest there is.
        max: u16,
    },
    /// A sending nonce is odd, but a message is always sent whole.
    OddSend {
        /// The nonce.
        sn: u16,
    },
    /// By the receiving nonce a header has been read, but its length is missing or too small.
    NoPending {
        /// The nonce.
        rn: u16,
        /// The length found.
        pending: u16,
    },
    /// A length is pending, but by the receiving nonce no header has been read.
    StrayPending {
        /// The nonce.
        rn: u16,
        /// The length found.
        pending: u16,
    },
}

impl Fault {
    /// Who has to mend it.
    pub fn culprit(&self) -> Culprit {
        match self {
            Fault::Version { .. }
            | Fault::Point { .. }
            | Fault::Mac { .. }
            | Fault::Cut { .. }
            | Fault::CutMessage { .. }
            | Fault::TooShortReceived { .. }
            | Fault::Dead { .. } => Culprit::Peer,
            Fault::Unasked { .. }
            | Fault::Unanswered { .. }
            | Fault::Denied
            | Fault::WrongIdentity { .. } => Culprit::KeyHolder,
            Fault::TooLong { .. }
            | Fault::TooShort { .. }
            | Fault::OutOfTurn { .. }
            | Fault::RecordBytes { .. }
            | Fault::Over
            | Fault::NotNow { .. }
            | Fault::IdentityAsEphemeral => Culprit::Caller,
            Fault::Stored { .. } => Culprit::Stored,
        }
    }
}

impl std::error::Error for Fault {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.culprit())?;
        match self {
            Fault::Version { act, got, want } => write!(f, "{act} has version {got}, not {want}"),
            Fault::Point { act, prefix } => {
                write!(f, "the key in {act}, which begins with {prefix}, is no point of the curve")
            }
            Fault::Mac { sealed } => write!(f, "the tag of {sealed} does not fit"),
            Fault::Cut { act, got, want } => {
                write!(f, "the connection ended after {got} of the {want} bytes of {act}")
            }
            Fault::CutMessage { part, got, want } => {
                write!(f, "the connection ended after {got} of the {want} bytes of a {part}")
            }
            Fault::TooLong { got, max } => write!(f, "a message of {got} bytes, {max} at most"),
            Fault::TooShort { got, min } | Fault::TooShortReceived { got, min } => {
                write!(f, "a message of {got} bytes, {min} at least")
            }
            Fault::Dead { cause } => write!(f, "the receiving direction is closed: {cause}"),
            Fault::OutOfTurn { got, want } => write!(f, "a {got} came where a {want} is due"),
            Fault::RecordBytes { part, got, want } => {
                write!(f, "{got} bytes came where a {part} of {want} is due")
            }
            Fault::Unasked { state, answer } => {
                write!(f, "`{answer}` was not asked for by a core in state `{state}`")
            }
            Fault::Unanswered { state } => {
                write!(f, "the connection ended before the answer, in state `{state}`")
            }
            Fault::Over => write!(f, "the handshake had failed before"),
            Fault::NotNow { state, ask } => {
                write!(f, "`{ask}` is not due in an exchange in state `{state}`")
            }
            Fault::Denied => write!(f, "this connection is not wanted"),
            Fault::WrongIdentity { claimed, verified } => {
                write!(f, "act three is from {}, not from {}", Hex(verified), Hex(claimed))
            }
            Fault::IdentityAsEphemeral => write!(f, "the ephemeral key is the identity key"),
            Fault::Stored { stored, flaw } => write!(f, "{stored}: {flaw}"),
        }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Flaw::Length { got, want } => write!(f, "{got} bytes, not {want}"),
            Flaw::Version { got, want } => write!(f, "layout version {got}, not {want}"),
            Flaw::Scalar => write!(f, "the key is zero or not below the order of the curve"),
            Flaw::Zeros { field } => write!(f, "`{field}` is all zeros"),
            Flaw::Equal { one, other } => write!(f, "`{one}` and `{other}` are equal"),
            Flaw::Nonce { field, got, max } => write!(f, "`{field}` is {got}, {max} at most"),
            Flaw::OddSend { sn } => write!(f, "`sn` is {sn}, but messages are sent whole"),
            Flaw::NoPending { rn, pending } => {
                write!(f, "`rn` is {rn}, but the pending length is {pending}")
            }
            Flaw::StrayPending { rn, pending } => {
                write!(f, "`rn` is {rn}, but a length of {pending} is pending")
            }
        }
    }
}

impl fmt::Display for Culprit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Culprit::Peer => "peer",
            Culprit::KeyHolder => "key holder",
            Culprit::Caller => "caller",
            Culprit::Stored => "stored",
        })
    }
}

impl fmt::Display for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sealed::ActOne => write!(f, "act one"),
            Sealed::ActTwo => write!(f, "act two"),
            Sealed::ActThreeKey => write!(f, "the key in act three"),
            Sealed::ActThreeEnd => write!(f, "act three"),
            Sealed::Header { rn } => write!(f, "the header with nonce {rn}"),
            Sealed::Body { rn } => write!(f, "the body with nonce {rn}"),
        }
    }
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Death::Mac(sealed) => write!(f, "the tag of {sealed} did not fit"),
            Death::TooShort { got } => write!(f, "a message had {got} bytes"),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Header => "header",
            Part::Body => "body",
        })
    }
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stored::IdentityKey => "identity key",
            Stored::EphemeralKey => "ephemeral key",
            Stored::HalfOpen => "half-open handshake",
            Stored::TransportState => "transport state",
        })
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
