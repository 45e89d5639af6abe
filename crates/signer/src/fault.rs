//! All that can be wrong with a seed, its file, its words and a message's signature. Each fault is
//! of whoever handed the bytes in, and carries the numbers that disagree; none carries a secret.

use std::fmt;

use bitcoin::Network;
use wire::Hex;

/// Why entropy was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeedFault {
    /// All of it is zeros: nothing was drawn, or it was taken before.
    Zeros {
        /// How many.
        bytes: usize,
    },
}

/// Why words were refused. The words themselves are not repeated: most of them are right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WordsFault {
    /// There are neither 12 nor 24.
    Count {
        /// Words there are.
        got: usize,
    },
    /// A word is not in BIP 39's English list.
    Unknown {
        /// Which one, from 1.
        word: usize,
        /// Of how many.
        of: usize,
    },
    /// Each word is known, but they do not belong together: one is another word, or they are in
    /// another order.
    Checksum,
}

/// Why an index was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexFault {
    /// The index.
    pub got: u32,
    /// The greatest there is.
    pub max: u32,
}

/// Why a passphrase was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassphraseFault {
    /// It protects nothing.
    Empty,
    /// It is longer than anybody types; probably another file.
    TooLong {
        /// Its bytes.
        got: usize,
        /// The most there may be.
        max: usize,
    },
}

/// Why a cost was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CostFault {
    /// Which number.
    pub what: &'static str,
    /// Its value.
    pub got: u32,
    /// Below it, guessing is too cheap.
    pub min: u32,
    /// Above it, a file could exhaust the machine that opens it.
    pub max: u32,
}

/// Why a seed file was not opened, or not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeedFileFault {
    /// It is another kind of file.
    Foreign {
        /// Its first bytes, zeros behind its end.
        got: [u8; 8],
    },
    /// Its layout has an unknown version.
    Version {
        /// The version.
        got: u8,
        /// The one we know.
        want: u8,
    },
    /// It was cut, or something follows it.
    Length {
        /// Bytes there are.
        got: usize,
        /// Bytes there must be.
        want: usize,
    },
    /// Its network has a number that we do not know.
    UnknownNetwork {
        /// The number.
        got: u8,
    },
    /// It is of another network.
    Network {
        /// The file's.
        got: Network,
        /// Ours.
        want: Network,
    },
    /// Its key would be too cheap to guess, or too dear to make.
    Cost(CostFault),
    /// There is no memory to stretch the passphrase in.
    Memory {
        /// How much it takes.
        kib: u32,
    },
    /// The tag does not fit: the passphrase is wrong, or the file was changed. These cannot be told
    /// apart, since whoever could tell would know more of the key than nothing.
    WrongPassphraseOrDamaged,
    /// The tag fits, but what it seals is not a seed that this version writes.
    Content {
        /// Bytes of entropy that it claims.
        length: u8,
    },
    /// Salt or nonce are zeros: nobody has drawn them.
    NotDrawn {
        /// Which one.
        field: &'static str,
    },
}

/// Why a message's signature was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureFault {
    /// A character is not of z-base-32.
    Character {
        /// The character.
        char: char,
        /// Where it stands, in characters from 0.
        at: usize,
    },
    /// There are too few or too many characters.
    Length {
        /// Characters there are.
        got: usize,
        /// Characters there must be.
        want: usize,
    },
    /// The first byte names no recovery id of a compressed key.
    Header {
        /// The byte.
        got: u8,
        /// The least there is.
        min: u8,
        /// The greatest there is.
        max: u8,
    },
    /// `r` or `s` is not below the order of the curve.
    Overflow,
    /// No key could have made it under this message.
    Unrecoverable,
}

impl std::error::Error for SeedFault {}
impl std::error::Error for WordsFault {}
impl std::error::Error for IndexFault {}
impl std::error::Error for PassphraseFault {}
impl std::error::Error for CostFault {}
impl std::error::Error for SeedFileFault {}
impl std::error::Error for SignatureFault {}

impl fmt::Display for SeedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SeedFault::Zeros { bytes } => write!(f, "all {bytes} bytes of the entropy are zeros"),
        }
    }
}

impl fmt::Display for WordsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WordsFault::Count { got } => write!(f, "{got} words, not 12 or 24"),
            WordsFault::Unknown { word, of } => {
                write!(f, "word {word} of {of} is not in BIP 39's English list")
            }
            WordsFault::Checksum => {
                write!(f, "the checksum does not fit: a word is another one, or out of its place")
            }
        }
    }
}

impl fmt::Display for IndexFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {}, {} at most", self.got, self.max)
    }
}

impl fmt::Display for PassphraseFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PassphraseFault::Empty => write!(f, "the passphrase is empty"),
            PassphraseFault::TooLong { got, max } => {
                write!(f, "a passphrase of {got} bytes, {max} at most")
            }
        }
    }
}

impl fmt::Display for CostFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CostFault { what, got, min, max } = self;
        write!(f, "{what}: {got}, at least {min} and at most {max}")
    }
}

impl fmt::Display for SeedFileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SeedFileFault::Foreign { got } => {
                write!(f, "not a seed file: it begins with {}", Hex(got))
            }
            SeedFileFault::Version { got, want } => {
                write!(f, "seed file of version {got}, only {want} is known")
            }
            SeedFileFault::Length { got, want } => {
                write!(f, "seed file of {got} bytes, not {want}")
            }
            SeedFileFault::UnknownNetwork { got } => {
                write!(f, "seed file of network number {got}, which is unknown")
            }
            SeedFileFault::Network { got, want } => {
                write!(f, "seed file of network {got}, not {want}")
            }
            SeedFileFault::Cost(fault) => write!(f, "seed file: {fault}"),
            SeedFileFault::Memory { kib } => {
                write!(f, "no {kib} KiB of memory to stretch the passphrase in")
            }
            SeedFileFault::WrongPassphraseOrDamaged => {
                write!(f, "the passphrase is wrong, or the seed file was changed; no one can tell")
            }
            SeedFileFault::Content { length } => {
                write!(f, "the seed file holds a seed of {length} bytes in an unknown form")
            }
            SeedFileFault::NotDrawn { field } => write!(f, "the {field} is all zeros"),
        }
    }
}

impl fmt::Display for SignatureFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SignatureFault::Character { char, at } => {
                write!(f, "{char:?} at {at} is not a character of z-base-32")
            }
            SignatureFault::Length { got, want } => write!(f, "{got} characters, not {want}"),
            SignatureFault::Header { got, min, max } => {
                write!(f, "header byte {got}, at least {min} and at most {max}")
            }
            SignatureFault::Overflow => {
                write!(f, "a half of the signature is not below the curve order")
            }
            SignatureFault::Unrecoverable => write!(f, "no key has made this signature"),
        }
    }
}
