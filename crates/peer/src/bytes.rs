//! How values stand in what one service sends another: big-endian, lengths in front.

use core::fmt;
use core::net::{IpAddr, SocketAddr};

use noise::PublicKey;
use wire::{fault::Broke, key::Point, reader::Reader, tick::Tick};

/// More than anything can be counted to.
const COUNT_MAX: u64 = 1 << 62;

/// Why bytes of another service cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// They end too early, go on too long, or hold a key that is none.
    Bytes(Broke),
    /// A number that stands for nothing.
    Kind {
        /// What it was to be.
        what: &'static str,
        /// The number.
        got: u64,
    },
    /// Keys that no transport has.
    Keys(noise::Fault),
    /// Text that is not UTF-8.
    Text,
    /// An `init` that no peer can have sent.
    Init(wire::Fault),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(broke) => broke.fmt(f),
            Self::Kind { what, got } => write!(f, "{what} of kind {got}"),
            Self::Keys(fault) => fault.fmt(f),
            Self::Text => f.write_str("text that is not UTF-8"),
            Self::Init(fault) => fault.fmt(f),
        }
    }
}

impl core::error::Error for Malformed {}

impl From<Broke> for Malformed {
    fn from(broke: Broke) -> Self {
        Self::Bytes(broke)
    }
}

/// Appends values.
pub(crate) trait Put {
    fn u8(&mut self, value: u8);
    fn u16(&mut self, value: u16);
    fn u32(&mut self, value: u32);
    fn u64(&mut self, value: u64);
    fn run(&mut self, bytes: &[u8]);
    fn numbers<const N: usize>(&mut self, values: [u64; N]) {
        for value in values {
            self.u64(value);
        }
    }
    fn flag(&mut self, value: bool) {
        self.u8(value.into());
    }
    fn tick(&mut self, tick: Tick) {
        self.u64(tick.0);
    }
    fn maybe<T>(&mut self, value: Option<T>, put: impl FnOnce(&mut Self, T)) {
        self.flag(value.is_some());
        if let Some(value) = value {
            put(self, value);
        }
    }
    fn key(&mut self, key: &PublicKey);
    fn address(&mut self, address: SocketAddr);
}

impl Put for Vec<u8> {
    fn u8(&mut self, value: u8) {
        self.push(value);
    }
    fn u16(&mut self, value: u16) {
        self.extend_from_slice(&value.to_be_bytes());
    }
    fn u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_be_bytes());
    }
    fn u64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_be_bytes());
    }
    fn run(&mut self, bytes: &[u8]) {
        self.u32(u32::try_from(bytes.len()).expect("runs are limited to some megabytes"));
        self.extend_from_slice(bytes);
    }
    fn key(&mut self, key: &PublicKey) {
        self.extend_from_slice(&key.serialize());
    }
    fn address(&mut self, address: SocketAddr) {
        match address.ip() {
            IpAddr::V4(ip) => {
                self.u8(4);
                self.extend_from_slice(&ip.octets());
            }
            IpAddr::V6(ip) => {
                self.u8(6);
                self.extend_from_slice(&ip.octets());
            }
        }
        self.u16(address.port());
    }
}

/// Takes values off the front.
pub(crate) trait Take<'a> {
    fn u8(&mut self) -> Result<u8, Malformed>;
    fn u16(&mut self) -> Result<u16, Malformed>;
    fn u32(&mut self) -> Result<u32, Malformed>;
    fn u64(&mut self) -> Result<u64, Malformed>;
    /// A number that only counts up: one that nobody can have reached is refused, so that the next
    /// one is a number, too.
    fn count(&mut self) -> Result<u64, Malformed> {
        match self.u64()? {
            count if count <= COUNT_MAX => Ok(count),
            got => Err(Malformed::Kind { what: "a count", got }),
        }
    }
    fn run(&mut self) -> Result<&'a [u8], Malformed>;
    fn flag(&mut self) -> Result<bool, Malformed> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            got => Err(Malformed::Kind { what: "a flag", got: got.into() }),
        }
    }
    fn tick(&mut self) -> Result<Tick, Malformed> {
        self.u64().map(Tick)
    }
    fn maybe<T>(
        &mut self,
        take: impl FnOnce(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Option<T>, Malformed> {
        if self.flag()? { take(self).map(Some) } else { Ok(None) }
    }
    fn key(&mut self) -> Result<PublicKey, Malformed>;
    fn address(&mut self) -> Result<SocketAddr, Malformed>;
    fn text(&mut self) -> Result<String, Malformed> {
        let text = core::str::from_utf8(self.run()?).map_err(|_| Malformed::Text)?;
        Ok(text.to_owned())
    }
}

impl<'a> Take<'a> for Reader<'a> {
    fn u8(&mut self) -> Result<u8, Malformed> {
        let [byte] = *self.array()?;
        Ok(byte)
    }
    fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_be_bytes(*self.array()?))
    }
    fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_be_bytes(*self.array()?))
    }
    fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_be_bytes(*self.array()?))
    }
    fn run(&mut self) -> Result<&'a [u8], Malformed> {
        let need = Take::u32(self)?;
        Ok(self.take(need as usize)?)
    }
    fn key(&mut self) -> Result<PublicKey, Malformed> {
        Ok(*Point::parse(self.array()?)?.key())
    }
    fn address(&mut self) -> Result<SocketAddr, Malformed> {
        let ip: IpAddr = match Take::u8(self)? {
            4 => (*self.array::<4>()?).into(),
            6 => (*self.array::<16>()?).into(),
            got => return Err(Malformed::Kind { what: "an address", got: got.into() }),
        };
        Ok(SocketAddr::new(ip, Take::u16(self)?))
    }
}
