//! One end of a Lightning connection on a blocking socket, its keys in another thread.
//!
//! *What it is for.* The interop tests: the smallest shell around `noise` and `wire`
//! that speaks with real peers. *What it never does.* It is no part of a node.

mod keys;

pub use keys::{Call, KeyHolder};

use std::{
    error::Error,
    fmt,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use noise::{
    Effect, Initiator, PublicKey, Reader, Responder, STATE_BYTES, SecretBytes, Transport,
    TransportState,
};
use wire::Message;

/// A peer that says nothing for so long has failed.
pub const SILENCE_MS_MAX: u64 = 20_000;

/// Bytes taken from the socket at once.
const READ_BYTES: usize = 16_384;

/// Why an end gave up.
#[derive(Debug)]
pub enum Fault {
    /// The socket failed, or the peer was silent.
    Io(io::Error),
    /// The transport was refused.
    Noise(noise::Fault),
    /// A message was refused.
    Wire(wire::Fault),
    /// The peer closed the connection.
    Closed,
}

/// An open connection.
pub struct End {
    stream: TcpStream,
    remote: PublicKey,
    transport: Transport,
    reader: Reader,
    unread: Vec<u8>,
    sent_bytes: usize,
}

/// A connection at rest, on its way to another owner. The keys in it are wiped when dropped.
pub struct Resting {
    stream: TcpStream,
    remote: PublicKey,
    state: SecretBytes<STATE_BYTES>,
    unread: Vec<u8>,
    sent_bytes: usize,
}

impl End {
    /// Connects to the node `remote` and shakes hands.
    pub fn dial(at: SocketAddr, remote: PublicKey, keys: &KeyHolder) -> Result<Self, Fault> {
        let mut stream = TcpStream::connect(at)?;
        prepare(&stream)?;
        let mut core = Initiator::new(remote);
        let mut call = keys.call();
        let mut input = Input::default();
        loop {
            while let Some(effect) = core.poll() {
                match effect {
                    Effect::Ask(ask) => core.handle_answer(call.ask(ask))?,
                    Effect::Send(act) => stream.write_all(act.bytes())?,
                    Effect::Done { remote, transport } => {
                        return Self::open(stream, remote, transport, input.left);
                    }
                }
            }
            input.more(&mut stream)?;
            let taken = core.handle_bytes(&input.left)?;
            input.left.drain(..taken);
        }
    }

    /// Shakes hands with whoever has connected. Act three is finished here, without the key; the
    /// key holder then confirms who it was.
    pub fn answer(mut stream: TcpStream, keys: &KeyHolder) -> Result<Self, Fault> {
        prepare(&stream)?;
        let mut core = Responder::new();
        let mut call = keys.call();
        let mut input = Input::default();
        let mut done = None;
        while !core.is_verified() {
            input.more(&mut stream)?;
            let taken = core.handle_bytes(&input.left)?;
            input.left.drain(..taken);
            while let Some(effect) = core.poll() {
                match effect {
                    Effect::Ask(ask) => core.handle_answer(call.ask(ask))?,
                    Effect::Send(act) => stream.write_all(act.bytes())?,
                    Effect::Done { remote, transport } => done = Some((remote, transport)),
                }
            }
        }
        let (remote, transport) = done.expect("a responder is verified after it is done");
        Self::open(stream, remote, transport, input.left)
    }

    fn open(
        stream: TcpStream,
        remote: PublicKey,
        state: TransportState,
        unread: Vec<u8>,
    ) -> Result<Self, Fault> {
        let transport = Transport::from(state);
        Ok(Self { stream, remote, transport, reader: Reader::new(), unread, sent_bytes: 0 })
    }

    /// The node at the other end.
    pub const fn remote(&self) -> PublicKey {
        self.remote
    }

    /// Ciphertext bytes sent since the handshake.
    pub const fn sent_bytes(&self) -> usize {
        self.sent_bytes
    }

    /// Sends a message.
    pub fn send(&mut self, message: &Message) -> Result<(), Fault> {
        let plaintext = message.encode().map_err(wire::Fault::from)?;
        let mut record = Vec::new();
        self.transport.encrypt(&plaintext, &mut record)?;
        self.stream.write_all(&record)?;
        self.sent_bytes += record.len();
        Ok(())
    }

    /// Waits for a message.
    pub fn receive(&mut self) -> Result<Message, Fault> {
        loop {
            if let Some(message) = self.receive_some(READ_BYTES)? {
                return Ok(message);
            }
        }
    }

    /// Takes at most so many bytes of ciphertext, waiting if there are none; returns a message if
    /// that completed one.
    pub fn receive_some(&mut self, bytes_max: usize) -> Result<Option<Message>, Fault> {
        if self.unread.is_empty() {
            self.unread.resize(READ_BYTES, 0);
            let got = self.stream.read(&mut self.unread);
            self.unread.truncate(*got.as_ref().unwrap_or(&0));
            if got? == 0 {
                return Err(Fault::Closed);
            }
        }
        let offered = bytes_max.min(self.unread.len());
        let mut input = &self.unread[..offered];
        let message = match self.reader.read(&mut self.transport, &mut input)? {
            Some(plaintext) => Some(Message::decode(plaintext)?),
            None => None,
        };
        let taken = offered - input.len();
        self.unread.drain(..taken);
        Ok(message)
    }

    /// Puts the connection to rest, at whatever byte it stands: its keys become bytes.
    pub fn rest(self) -> Result<Resting, Fault> {
        let Self { stream, remote, transport, reader, unread, sent_bytes } = self;
        let unread = [reader.unread(), &unread].concat();
        let state = transport.into_state()?.export();
        Ok(Resting { stream, remote, state, unread, sent_bytes })
    }
}

impl Resting {
    /// Goes on from the bytes, as their only owner.
    pub fn wake(self) -> Result<End, Fault> {
        let Self { stream, remote, state, unread, sent_bytes } = self;
        let state = TransportState::import(state.as_bytes())?;
        let mut end = End::open(stream, remote, state, unread)?;
        end.sent_bytes = sent_bytes;
        Ok(end)
    }
}

/// Bytes that came during the handshake.
#[derive(Default)]
struct Input {
    left: Vec<u8>,
}

impl Input {
    fn more(&mut self, stream: &mut TcpStream) -> Result<(), Fault> {
        let mut piece = [0; 128];
        match stream.read(&mut piece)? {
            0 => Err(Fault::Closed),
            got => {
                self.left.extend_from_slice(&piece[..got]);
                Ok(())
            }
        }
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_millis(SILENCE_MS_MAX)))?;
    stream.set_write_timeout(Some(Duration::from_millis(SILENCE_MS_MAX)))
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(fault) => fault.fmt(f),
            Self::Noise(fault) => fault.fmt(f),
            Self::Wire(fault) => fault.fmt(f),
            Self::Closed => f.write_str("the peer closed the connection"),
        }
    }
}

impl Error for Fault {}

impl From<io::Error> for Fault {
    fn from(fault: io::Error) -> Self {
        Self::Io(fault)
    }
}

impl From<noise::Fault> for Fault {
    fn from(fault: noise::Fault) -> Self {
        Self::Noise(fault)
    }
}

impl From<wire::Fault> for Fault {
    fn from(fault: wire::Fault) -> Self {
        Self::Wire(fault)
    }
}
