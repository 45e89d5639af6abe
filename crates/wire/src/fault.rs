//! What can be wrong with bytes that claim to be a Lightning message.

use core::fmt;

use crate::hex::Hex;

/// Why a message was refused. Nothing of a refused message is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Fewer than the two bytes of the message type.
    NoType {
        /// Bytes that were there.
        have: usize,
    },
    /// More bytes than a Lightning message may have.
    TooLong(TooLong),
    /// Bytes for a message that has a row in the table: it is made from its own value.
    Named {
        /// The type.
        message_type: u16,
    },
    /// BOLT 1: "upon receiving a message of _even_, unknown type: MUST close the connection."
    UnknownEven {
        /// The type we do not know.
        message_type: u16,
    },
    /// One field of a known message is wrong.
    Field {
        /// The message, by its BOLT name.
        message: &'static str,
        /// The field or TLV record, by its BOLT name; `extension` for what follows the fields.
        field: &'static str,
        /// What is wrong with it.
        broke: Broke,
    },
}

/// A message that no transport can carry: the only thing that can be wrong with one of our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// Bytes that were there, or would be written.
    pub have: usize,
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broke {
    /// The bytes end too early.
    Short {
        /// Bytes that the field needs.
        need: usize,
        /// Bytes that are left.
        have: usize,
    },
    /// Bytes are left over after a value that should fill its record.
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// A number that could have been written shorter.
    NotMinimal {
        /// The number.
        value: u64,
        /// Bytes it took.
        took: usize,
        /// Bytes that are enough.
        enough: usize,
    },
    /// TLV records out of order: BOLT 1 wants strictly increasing types.
    TlvOrder {
        /// Type of the record before.
        after: u64,
        /// Type of this record.
        got: u64,
    },
    /// The same TLV record twice.
    TlvTwice {
        /// Its type.
        record: u64,
    },
    /// An even TLV record that we do not know.
    UnknownEvenTlv {
        /// Its type.
        record: u64,
    },
    /// An unknown record under a number that belongs to the BOLTs.
    ReservedTlv {
        /// Its type.
        record: u64,
        /// The first number that is free.
        min: u64,
    },
    /// 33 bytes that are no compressed point on the curve.
    NotOnCurve {
        /// The bytes.
        bytes: Box<[u8; 33]>,
    },
    /// A signature half that is not below the order of the curve.
    SignatureOverflow {
        /// `r` or `s`.
        half: char,
    },
    /// Text that is not UTF-8.
    NotUtf8 {
        /// Bytes that are fine.
        valid: usize,
        /// Bytes in all.
        of: usize,
    },
    /// A host name that is too long.
    LongHostname {
        /// Its bytes.
        bytes: usize,
        /// At most so many.
        max: usize,
    },
    /// A byte that may not stand in a host name.
    NotInHostname {
        /// The byte.
        byte: u8,
        /// Where it stands.
        at: usize,
    },
    /// A byte that must be 0 or 1.
    NotBool {
        /// The byte.
        got: u8,
    },
    /// A list that does not hold a whole number of items.
    NotWhole {
        /// Bytes of the list.
        bytes: usize,
        /// Bytes of an item.
        unit: usize,
    },
    /// An encoding of a gossip list other than the one BOLT 7 has left.
    UnknownEncoding {
        /// The encoding byte.
        got: u8,
        /// The one we know.
        known: u8,
    },
    /// An address descriptor of a type we do not know, where one must be understood.
    UnknownAddress {
        /// Its type byte.
        got: u8,
    },
}

/// No message is longer, its type included (BOLT 8).
pub const MESSAGE_BYTES_MAX: usize = 65_535;

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoType { have } => write!(f, "no message type: 2 bytes needed, {have} there"),
            Self::TooLong(fault) => fmt::Display::fmt(fault, f),
            Self::Named { message_type } => {
                write!(f, "message type {message_type} has a value of its own")
            }
            Self::UnknownEven { message_type } => {
                write!(f, "unknown even message type {message_type}")
            }
            Self::Field { message, field, broke } => write!(f, "{message}.{field}: {broke}"),
        }
    }
}

impl fmt::Display for Broke {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { need, have } => write!(f, "{need} bytes needed, {have} left"),
            Self::Trailing { bytes } => write!(f, "{bytes} bytes left over"),
            Self::NotMinimal { value, took, enough } => {
                write!(f, "{value} written in {took} bytes where {enough} are enough")
            }
            Self::TlvOrder { after, got } => write!(f, "record {got} after record {after}"),
            Self::TlvTwice { record } => write!(f, "record {record} twice"),
            Self::UnknownEvenTlv { record } => write!(f, "unknown even record {record}"),
            Self::ReservedTlv { record, min } => {
                write!(f, "record {record} belongs to the BOLTs, others begin at {min}")
            }
            Self::NotOnCurve { bytes } => {
                write!(f, "{} is no point on the curve", Hex(bytes.as_slice()))
            }
            Self::SignatureOverflow { half } => {
                write!(f, "{half} of the signature is not below the curve order")
            }
            Self::NotUtf8 { valid, of } => write!(f, "not UTF-8 after {valid} of {of} bytes"),
            Self::LongHostname { bytes, max } => {
                write!(f, "host name of {bytes} bytes, at most {max}")
            }
            Self::NotInHostname { byte, at } => {
                write!(f, "byte 0x{byte:02x} at {at} may not stand in a host name")
            }
            Self::NotBool { got } => write!(f, "{got} where only 0 or 1 may be"),
            Self::NotWhole { bytes, unit } => {
                write!(f, "{bytes} bytes are no whole number of items of {unit} bytes")
            }
            Self::UnknownEncoding { got, known } => {
                write!(f, "list encoding {got}, only {known} is known")
            }
            Self::UnknownAddress { got } => write!(f, "unknown address type {got}"),
        }
    }
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message of {} bytes, at most {MESSAGE_BYTES_MAX}", self.have)
    }
}

impl From<TooLong> for Fault {
    fn from(fault: TooLong) -> Self {
        Self::TooLong(fault)
    }
}

impl core::error::Error for Fault {}
impl core::error::Error for TooLong {}
impl core::error::Error for Broke {}
