//! Where a node can be reached (BOLT 7, `address descriptor`).

use core::fmt;

use crate::{
    dice::Dice,
    fault::Broke,
    field::{Field, Value},
    list::write_prefixed,
    reader::Reader,
};

/// One place to connect to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// Type 1.
    Ipv4 {
        /// The address.
        addr: [u8; 4],
        /// TCP port.
        port: u16,
    },
    /// Type 2.
    Ipv6 {
        /// The address.
        addr: [u8; 16],
        /// TCP port.
        port: u16,
    },
    /// Type 3, deprecated: dead services, kept so that signed gossip can be passed on.
    TorV2([u8; 12]),
    /// Type 4.
    TorV3 {
        /// Public key, checksum and version of the service.
        onion: [u8; 35],
        /// TCP port.
        port: u16,
    },
    /// Type 5.
    Dns {
        /// The host's name.
        hostname: Hostname,
        /// TCP port.
        port: u16,
    },
}

/// A host's name: at most 255 letters, digits, `.`, `-` and `_`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hostname(String);

/// Its length stands in one byte.
pub const HOSTNAME_BYTES_MAX: usize = 255;

impl Hostname {
    /// Refuses what no host is called.
    pub fn parse(bytes: &[u8]) -> Result<Self, Broke> {
        Self::judge(bytes).map(|name| Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    // BOLT 7: "`hostname` bytes MUST be ASCII characters." What is more, they end up in resolvers
    // and logs, so nothing passes that no host is called.
    fn judge(bytes: &[u8]) -> Result<&str, Broke> {
        let fine = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_".contains(byte);
        if bytes.len() > HOSTNAME_BYTES_MAX {
            let (bytes, max) = (bytes.len(), HOSTNAME_BYTES_MAX);
            return Err(Broke::LongHostname { bytes, max });
        }
        if let Some(at) = bytes.iter().position(|byte| !fine(byte)) {
            return Err(Broke::NotInHostname { byte: bytes[at], at });
        }
        Ok(core::str::from_utf8(bytes).expect("ASCII is UTF-8"))
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Address {
    /// Reads a descriptor; `None` if its type is not known, and then nothing is taken.
    fn read_known(from: &mut Reader<'_>) -> Result<Option<Self>, Broke> {
        let start = *from;
        let address = match *from.array()? {
            [1] => Self::Ipv4 { addr: *from.array()?, port: read_port(from)? },
            [2] => Self::Ipv6 { addr: *from.array()?, port: read_port(from)? },
            [3] => Self::TorV2(*from.array()?),
            [4] => Self::TorV3 { onion: *from.array()?, port: read_port(from)? },
            [5] => {
                let [len] = *from.array()?;
                let hostname = Hostname::parse(from.take(usize::from(len))?)?;
                Self::Dns { hostname, port: read_port(from)? }
            }
            [_] => {
                *from = start;
                return Ok(None);
            }
        };
        Ok(Some(address))
    }

    /// Passes over a descriptor, as strict as reading it, without keeping it.
    fn skip_known(from: &mut Reader<'_>) -> Result<bool, Broke> {
        let start = *from;
        let bytes = match *from.array()? {
            [1] => 6,
            [2] => 18,
            [3] => 12,
            [4] => 37,
            [5] => {
                let [len] = *from.array()?;
                Hostname::judge(from.take(usize::from(len))?)?;
                2
            }
            [_] => {
                *from = start;
                return Ok(false);
            }
        };
        from.take(bytes).map(|_| true)
    }
}

fn read_port(from: &mut Reader<'_>) -> Result<u16, Broke> {
    Ok(u16::from_be_bytes(*from.array()?))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipv4 { addr, port } => write!(f, "{}:{port}", core::net::Ipv4Addr::from(*addr)),
            Self::Ipv6 { addr, port } => write!(f, "[{}]:{port}", core::net::Ipv6Addr::from(*addr)),
            Self::TorV2(_) => f.write_str("tor-v2"),
            Self::TorV3 { onion, port } => write!(f, "{}.onion:{port}", Base32(onion)),
            Self::Dns { hostname, port } => write!(f, "{hostname}:{port}"),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// RFC 4648 base32 in lower case, as onion services are written; 35 bytes need no padding.
struct Base32<'a>(&'a [u8; 35]);

impl fmt::Display for Base32<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        for piece in self.0.as_chunks::<5>().0 {
            let word = piece.iter().fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
            for place in (0..8).rev() {
                let letter = LETTERS[(word >> (place * 5) & 31) as usize];
                write!(f, "{}", char::from(letter))?;
            }
        }
        Ok(())
    }
}

/// One address that fills its TLV record, as `init` tells a peer where it comes from.
impl Value for Address {
    fn read(from: &mut Reader<'_>) -> Result<Self, Broke> {
        let mut head = *from;
        match Self::read_known(from)? {
            Some(address) => Ok(address),
            None => Err(Broke::UnknownAddress { got: head.array::<1>()?[0] }),
        }
    }

    fn write(&self, to: &mut Vec<u8>) {
        let mut port_behind = |kind: u8, host: &[u8], port: &u16| {
            to.push(kind);
            to.extend_from_slice(host);
            to.extend_from_slice(&port.to_be_bytes());
        };
        match self {
            Self::Ipv4 { addr, port } => port_behind(1, addr, port),
            Self::Ipv6 { addr, port } => port_behind(2, addr, port),
            Self::TorV2(service) => {
                to.push(3);
                to.extend_from_slice(service);
            }
            Self::TorV3 { onion, port } => port_behind(4, onion, port),
            Self::Dns { hostname, port } => {
                to.push(5);
                to.push(hostname.0.len() as u8);
                to.extend_from_slice(hostname.0.as_bytes());
                to.extend_from_slice(&port.to_be_bytes());
            }
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Ipv4 { .. } => 7,
            Self::Ipv6 { .. } => 19,
            Self::TorV2(_) => 13,
            Self::TorV3 { .. } => 38,
            Self::Dns { hostname, .. } => 4 + hostname.0.len(),
        }
    }

    fn generate(dice: &mut Dice) -> Self {
        let port = dice.throw() as u16;
        match dice.below(5) {
            0 => Self::Ipv4 { addr: dice.array(), port },
            1 => Self::Ipv6 { addr: dice.array(), port },
            2 => Self::TorV2(dice.array()),
            3 => Self::TorV3 { onion: dice.array(), port },
            _ => {
                let letters = (0..dice.below(30)).map(|_| b"abz019.-_"[dice.below(9)]);
                Self::Dns { hostname: Hostname(letters.map(char::from).collect()), port }
            }
        }
    }
}

/// The addresses of a `node_announcement`, checked, and held as the bytes that were signed.
///
/// BOLT 7: the receiver "SHOULD ignore the first `address descriptor` that does NOT match the
/// types defined above": from there on the bytes are kept but not read.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    raw: Vec<u8>,
}

impl Addresses {
    /// These addresses.
    pub fn new(addresses: &[Address]) -> Self {
        let mut raw = Vec::with_capacity(addresses.iter().map(Value::size).sum());
        addresses.iter().for_each(|address| address.write(&mut raw));
        Self { raw }
    }

    /// The addresses that can be read, in order.
    pub fn iter(&self) -> impl Iterator<Item = Address> {
        let mut left = Reader::new(&self.raw);
        core::iter::from_fn(move || match left.is_empty() {
            true => None,
            false => Address::read_known(&mut left).expect("held addresses are well formed"),
        })
    }
}

impl fmt::Debug for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Field for Addresses {
    fn read(from: &mut Reader<'_>) -> Result<Self, Broke> {
        let raw = from.prefixed()?;
        let mut left = Reader::new(raw);
        while !left.is_empty() && Address::skip_known(&mut left)? {}
        Ok(Self { raw: raw.to_vec() })
    }

    fn write(&self, to: &mut Vec<u8>) {
        write_prefixed(&self.raw, to);
    }

    fn size(&self) -> usize {
        2 + self.raw.len()
    }

    fn generate(dice: &mut Dice) -> Self {
        let addresses: Vec<_> = (0..dice.below(5)).map(|_| Value::generate(dice)).collect();
        let mut all = Self::new(&addresses);
        if dice.one_in(6) {
            all.raw.push(6 + dice.below(250) as u8);
            all.raw.extend(dice.bytes(20));
        }
        all
    }
}
