//! One connection, while its keys are here.

use std::collections::VecDeque;

use noise::{PublicKey, Reader, Transport, TransportState};
use peer::{
    Delegation, Epoch, Reclaimed,
    holder::{Ask, Event},
};
use wire::{Body as _, Init, Message, Ping, TYPE_BYTES, id::ConnectionId};

use crate::fault::{Fault, NotTaken};

/// Ciphertext that the host has not answered for; then nothing more is taken.
pub const UNANSWERED_BYTES_MAX: usize = 1 << 20;

/// Reads and writes over one connection. The host may be gone for a time: what it has not answered
/// is asked again when it is back, and it drops what it had after all.
///
/// Poll shape: ask what [`Owner::poll`] says, in order; tell [`Owner::answered`] of each answer to
/// a pass, and [`Owner::handle_tunnel`] of each event; take what [`Owner::message`] has.
pub struct Owner {
    connection: ConnectionId,
    epoch: Epoch,
    remote: PublicKey,
    transport: Transport,
    reader: Reader,
    /// Ciphertext taken, and sent.
    read: u64,
    written: u64,
    /// Ciphertext that has come and waits until the host has answered for what we say to it.
    held: Vec<u8>,
    credited: u64,
    /// What the host has not answered for, with the offsets.
    unanswered: VecDeque<(u64, Vec<u8>)>,
    unanswered_bytes: usize,
    /// How many of those have been asked.
    asked: usize,
    init: Option<Box<Init>>,
    attach: Attach,
    messages: VecDeque<Vec<u8>>,
}

/// Whether the host knows where we are.
enum Attach {
    Done,
    Due,
    Asked,
}

impl Owner {
    /// Goes on with a connection whose keys the host has just given back.
    pub fn reclaimed(connection: ConnectionId, epoch: Epoch, back: Reclaimed) -> Self {
        let Reclaimed { remote, state, init, rx_offset, tx_offset, unsaved } = back;
        let mut owner = Self::opened(connection, epoch, remote, state, rx_offset, tx_offset);
        // The host has read it with the same code.
        owner.init = Init::read_body(&init).ok().map(Box::new);
        owner.messages = unsaved.into_iter().map(|(_, message)| message).collect();
        owner
    }

    /// Goes on after a handshake of its own through the host: `read` and `written` are the bytes
    /// of the handshake.
    pub fn opened(
        connection: ConnectionId,
        epoch: Epoch,
        remote: PublicKey,
        state: TransportState,
        read: u64,
        written: u64,
    ) -> Self {
        Self {
            connection,
            epoch,
            remote,
            transport: state.into(),
            reader: Reader::new(),
            read,
            written,
            held: Vec::new(),
            credited: read,
            unanswered: VecDeque::new(),
            unanswered_bytes: 0,
            asked: 0,
            init: None,
            attach: Attach::Done,
            messages: VecDeque::new(),
        }
    }

    /// Which connection it is, on its host.
    pub const fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// In whose name it speaks.
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What the peer has said of itself, once it has.
    pub fn init(&self) -> Option<&Init> {
        self.init.as_deref()
    }

    /// Whether the host has answered for all that was sent.
    pub fn is_settled(&self) -> bool {
        self.unanswered.is_empty()
    }

    /// What to ask of the host, in order.
    pub fn poll(&mut self) -> Option<Ask> {
        let (connection, epoch) = (self.connection, self.epoch);
        match self.attach {
            Attach::Due => {
                self.attach = Attach::Asked;
                return Some(Ask::Attach { connection, epoch, offset: self.read });
            }
            // Until it has answered it may be another host, whose connections are others.
            Attach::Asked => return None,
            Attach::Done => {}
        }
        if let Some((offset, bytes)) = self.unanswered.get(self.asked) {
            self.asked += 1;
            return Some(Ask::Pass { connection, epoch, offset: *offset, bytes: bytes.clone() });
        }
        let offset = self.whole();
        if offset > self.credited {
            self.credited = offset;
            return Some(Ask::Credit { connection, epoch, offset });
        }
        None
    }

    /// The next message of the peer, its type in front.
    pub fn message(&mut self) -> Option<Vec<u8>> {
        self.messages.pop_front()
    }

    /// The host has passed the oldest bytes on.
    pub fn answered(&mut self) -> Result<(), Fault> {
        if self.asked > 0
            && let Some((_, bytes)) = self.unanswered.pop_front()
        {
            self.asked -= 1;
            self.unanswered_bytes -= bytes.len();
        }
        self.pump()
    }

    /// The link to the host was down and is up again.
    pub fn link_came(&mut self) {
        (self.attach, self.asked, self.credited) = (Attach::Due, 0, 0);
        // It comes again.
        self.held = Vec::new();
    }

    /// The host has agreed to [`Ask::Attach`]. If it refuses, the connection is over.
    pub fn attached(&mut self) {
        self.attach = Attach::Done;
    }

    /// Ciphertext of the peer. What has come before is passed over.
    pub fn handle_tunnel(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Fault> {
        let want = self.read + self.held.len() as u64;
        if offset > want {
            return Err(Fault::Gap { got: offset, want });
        }
        let known = usize::try_from(want - offset).unwrap_or(usize::MAX);
        self.held.extend_from_slice(bytes.get(known..).unwrap_or_default());
        self.pump()
    }

    /// Reads on, unless too much waits for the host: a peer that only asks for pongs must not fill
    /// our memory. What is not read is not credited, and so the host stops.
    fn pump(&mut self) -> Result<(), Fault> {
        let held = std::mem::take(&mut self.held);
        let mut input = &held[..];
        while !input.is_empty() && self.unanswered_bytes < UNANSWERED_BYTES_MAX {
            let before = input.len();
            let read = self.reader.read(&mut self.transport, &mut input).map_err(Fault::Noise)?;
            self.read += (before - input.len()) as u64;
            if let Some(message) = read {
                let message = message.to_vec();
                self.hear(message)?;
            }
        }
        self.held = input.to_vec();
        Ok(())
    }

    /// An event of the host, if it is about this connection; whether it was.
    pub fn handle(&mut self, event: &Event) -> Result<bool, Fault> {
        match event {
            Event::Tunnel { connection, offset, bytes } if *connection == self.connection => {
                self.handle_tunnel(*offset, bytes).map(|()| true)
            }
            Event::Tunnel { .. }
            | Event::Opened(_)
            | Event::Caught
            | Event::Message { .. }
            | Event::Complaint { .. }
            | Event::Closed { .. } => Ok(false),
        }
    }

    fn hear(&mut self, message: Vec<u8>) -> Result<(), Fault> {
        let (head, body) = message.split_at(TYPE_BYTES);
        let message_type = u16::from_be_bytes(head.try_into().expect("two bytes"));
        match message_type {
            Init::TYPE => {
                let init = Init::read_body(body).map_err(Fault::Wire)?;
                self.init = Some(Box::new(init));
            }
            Ping::TYPE => {
                let ping = Ping::read_body(body).map_err(Fault::Wire)?;
                if let Some(pong) = ping.pong() {
                    let pong = Message::from(pong).encode().expect("a pong is short enough");
                    self.encrypt(&pong).map_err(Fault::Noise)?;
                }
            }
            _ => self.messages.push_back(message),
        }
        Ok(())
    }

    /// Sends a message, its type in front.
    pub fn send(&mut self, message: &[u8]) -> Result<(), NotTaken> {
        let (have, max) = (self.unanswered_bytes, UNANSWERED_BYTES_MAX);
        if have >= max {
            return Err(NotTaken::Full { have, max });
        }
        self.encrypt(message).map_err(NotTaken::Noise)
    }

    fn encrypt(&mut self, message: &[u8]) -> Result<(), noise::Fault> {
        let mut record = Vec::new();
        self.transport.encrypt(message, &mut record)?;
        let offset = self.written;
        self.written += record.len() as u64;
        self.unanswered_bytes += record.len();
        self.unanswered.push_back((offset, record));
        Ok(())
    }

    /// The end of the last whole record.
    fn whole(&self) -> u64 {
        self.read - self.reader.unread().len() as u64
    }

    /// Gives the keys to the host, which must have answered for all that was sent.
    pub fn delegate(self) -> Result<Ask, Box<Self>> {
        if !self.is_settled() {
            return Err(Box::new(self));
        }
        let (connection, rx_offset, tx_offset) = (self.connection, self.whole(), self.written);
        let epoch = Epoch(self.epoch.0 + 1);
        // What is held has not been read: the host keeps it, and reads it itself.
        let Self { remote, transport, init, .. } = self;
        let state = transport.into_state().expect("a transport that has failed told its fault");
        let delegation = Delegation { epoch, remote, state, rx_offset, tx_offset, init };
        Ok(Ask::Delegate { connection, delegation })
    }
}
