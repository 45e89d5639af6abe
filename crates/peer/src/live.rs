//! While we have the keys: messages are read, answered or kept, and written.

use std::collections::VecDeque;

use noise::{PublicKey, Reader, Responder, Transport, TransportState};
use wire::{
    Body, Init, Message, Ping, Pong,
    id::{ChannelId, TemporaryChannelId},
    tick::Tick,
};

use crate::{
    api::{Effect, Event, Refusal, Seq, Why},
    connection::{Counts, Out, Terms},
    inbox::Inbox,
    limits::{
        BURST_BYTES_MAX, BURST_MESSAGES_MAX, COOL_AFTER, INIT_MAX, MESSAGE_MAX,
        RATE_BYTES_PER_S_MAX, RATE_MESSAGES_PER_S_MAX, UNSENT_BYTES_MAX, UNSENT_PONG_BYTES_MAX,
    },
    meter::Meter,
    ping::{Heard, Heart, HeartParts},
    tunnel::Delegation,
};

/// What a client gets back with the keys.
pub struct Reclaimed {
    /// The node at the other end.
    pub remote: PublicKey,
    /// The keys.
    pub state: TransportState,
    /// The body of their `init`.
    pub init: Box<[u8]>,
    /// Bytes that were decrypted; what came after them is sent through the tunnel.
    pub rx_offset: u64,
    /// Bytes that were sent.
    pub tx_offset: u64,
    /// Messages that nobody has acknowledged.
    pub unsaved: Vec<(Seq, Vec<u8>)>,
}

pub(crate) struct Live {
    keys: Keys,
    reader: Reader,
    /// When the first byte of an unfinished message came.
    unfinished: Option<Tick>,
    used: Tick,
    bytes: Meter<BURST_BYTES_MAX, RATE_BYTES_PER_S_MAX>,
    messages: Meter<BURST_MESSAGES_MAX, RATE_MESSAGES_PER_S_MAX>,
    talk: Talk,
    /// Lets the key holder confirm who connected, in its own time.
    unverified: Option<Box<Responder>>,
}

/// What is said, without how it is carried.
struct Talk {
    phase: Phase,
    heart: Heart,
    inbox: Inbox,
    /// The body of their `init`, for whoever comes to know this connection later.
    init: Box<[u8]>,
}

enum Phase {
    AwaitInit { since: Tick },
    Open,
}

/// The transport in use, or at rest in a tenth of the memory.
struct Keys {
    warm: Option<Transport>,
    cold: Option<TransportState>,
}

impl Live {
    /// The handshake is done: say `init` and wait for theirs.
    pub(crate) fn after_handshake(
        state: TransportState,
        unverified: Option<Box<Responder>>,
        terms: &Terms,
        now: Tick,
        out: &mut Out,
    ) -> Self {
        let mut live = Self::new(state, Phase::AwaitInit { since: now }, now);
        live.unverified = unverified;
        live.keys.send(&terms.init().into(), out);
        live
    }

    /// A client has handed the connection over.
    pub(crate) fn delegated(
        delegation: Delegation,
        counts: Counts,
        terms: &Terms,
        now: Tick,
        out: &mut Out,
    ) -> Self {
        let Delegation { state, init, .. } = delegation;
        let mut live = match init {
            None => Self::after_handshake(state, None, terms, now, out),
            Some(init) => {
                let mut live = Self::new(state, Phase::Open, now);
                live.talk.init = body_of(&init);
                live
            }
        };
        live.talk.heart = Heart::of_later_owner(counts.pings, now);
        live.talk.inbox = Inbox::restored(counts.messages, VecDeque::new());
        live
    }

    fn new(state: TransportState, phase: Phase, now: Tick) -> Self {
        let (heart, inbox) = (Heart::new(now), Inbox::default());
        let talk = Talk { phase, heart, inbox, init: Box::default() };
        Self {
            keys: Keys { warm: None, cold: Some(state) },
            reader: Reader::new(),
            unfinished: None,
            used: now,
            bytes: Meter::new(now),
            messages: Meter::new(now),
            talk,
            unverified: None,
        }
    }

    /// Whether its keys are at rest.
    pub(crate) const fn is_cold(&self) -> bool {
        self.keys.warm.is_none()
    }

    pub(crate) const fn state(&self) -> &'static str {
        match self.talk.phase {
            Phase::AwaitInit { .. } => "waiting for init",
            Phase::Open => "open",
        }
    }

    pub(crate) const fn is_open(&self) -> bool {
        matches!(self.talk.phase, Phase::Open)
    }

    /// Whether the socket should not be read at present.
    pub(crate) fn is_full(&self, now: Tick, out: &Out) -> bool {
        self.is_held(now)
            || out.unsent > UNSENT_BYTES_MAX
            || out.unsent_pongs > UNSENT_PONG_BYTES_MAX
    }

    /// Whether it is we who do not read: the peer could do nothing about it.
    fn is_held(&self, now: Tick) -> bool {
        self.talk.inbox.is_full() || self.full_until(now).is_some()
    }

    fn full_until(&self, now: Tick) -> Option<Tick> {
        self.bytes.full_until(now).max(self.messages.full_until(now))
    }

    /// Takes bytes from the front of `input` until it is empty or no more should be taken.
    pub(crate) fn read(
        &mut self,
        input: &mut &[u8],
        terms: &Terms,
        now: Tick,
        out: &mut Out,
    ) -> Result<(), Why> {
        while !input.is_empty() && !self.is_full(now, out) {
            let before = input.len();
            let read = self.reader.read(self.keys.warm(), input).map_err(Why::Noise)?;
            self.bytes.add((before - input.len()) as u64, now);
            self.used = now;
            match read {
                Some(message) => {
                    self.unfinished = None;
                    self.messages.add(1, now);
                    self.talk.heart.hear(now);
                    self.talk.on_message(message, terms, now, &mut self.keys, out)?;
                }
                None => {
                    self.unfinished.get_or_insert(now);
                }
            }
        }
        Ok(())
    }

    /// The key holder has confirmed who connected, or denies it.
    pub(crate) fn verified(&mut self, answer: noise::Answer, out: &mut Out) -> Result<(), Why> {
        // An answer that nobody waits for changes nothing.
        let Some(mut responder) = self.unverified.take() else { return Ok(()) };
        match responder.handle_answer(answer) {
            Ok(()) => out.tell(Event::Verified),
            Err(noise::Fault::Unasked { .. }) => self.unverified = Some(responder),
            Err(fault) => return Err(Why::Noise(fault)),
        }
        Ok(())
    }

    /// Sends a message that is already bytes.
    pub(crate) fn send(&mut self, message: &[u8], now: Tick, out: &mut Out) -> Result<(), Refusal> {
        if out.unsent > UNSENT_BYTES_MAX {
            return Err(Refusal::Congested { unsent: out.unsent, max: UNSENT_BYTES_MAX });
        }
        let mut record = Vec::new();
        self.keys.warm().encrypt(message, &mut record).map_err(Refusal::Noise)?;
        self.used = now;
        out.write(record);
        Ok(())
    }

    /// A last word to a peer that broke a rule. A transport that has failed has none.
    pub(crate) fn farewell(&mut self, why: &Why, out: &mut Out) {
        if !matches!(why, Why::Noise(_)) {
            let warning = wire::Warning::new(ChannelId::ALL, &why.to_string());
            self.keys.send(&warning.into(), out);
        }
    }

    /// The messages for the subscriber.
    pub(crate) const fn inbox(&mut self) -> &mut Inbox {
        &mut self.talk.inbox
    }

    /// What goes on counting when somebody else has had the keys.
    pub(crate) const fn counts(&self) -> Counts {
        Counts { messages: self.talk.inbox.last(), pings: self.talk.heart.pings() }
    }

    /// Whether [`Inbox::deliver`] has something.
    pub(crate) fn has_mail(&self) -> bool {
        self.talk.inbox.has_mail()
    }

    /// The body of their `init`; empty as long as it has not come.
    pub(crate) fn init(&self) -> &[u8] {
        &self.talk.init
    }

    /// Whether the key holder still has to say who connected.
    pub(crate) const fn is_unverified(&self) -> bool {
        self.unverified.is_some()
    }

    /// Sends a ping, unless one is on its way already: the pong to that one does as well.
    pub(crate) fn ping(&mut self, now: Tick, out: &mut Out) {
        if let Some(ping) = self.talk.heart.ask(now) {
            self.keys.send(&ping.into(), out);
            self.used = now;
        }
    }

    /// The earliest time at which something is due.
    pub(crate) fn wake_at(&self, now: Tick) -> Tick {
        let phase = match self.talk.phase {
            Phase::AwaitInit { since } => since + INIT_MAX,
            Phase::Open => self.talk.heart.next(),
        };
        let unfinished = self.unfinished.map(|since| since + MESSAGE_MAX);
        let cool = self.keys.warm.as_ref().map(|_| self.used + COOL_AFTER);
        let times = [unfinished, cool, self.full_until(now)];
        times.into_iter().flatten().fold(phase, Ord::min)
    }

    /// Does what is due.
    pub(crate) fn wake(&mut self, now: Tick, out: &mut Out) -> Result<(), Why> {
        if self.is_held(now) {
            self.talk.heart.hold(now);
            self.unfinished = self.unfinished.map(|_| now);
        }
        if let Some(since) = self.unfinished
            && now >= since + MESSAGE_MAX
        {
            return Err(Why::TimedOut { what: "end of a message", max: MESSAGE_MAX });
        }
        match self.talk.phase {
            Phase::AwaitInit { since } if now >= since + INIT_MAX => {
                return Err(Why::TimedOut { what: "init", max: INIT_MAX });
            }
            Phase::AwaitInit { .. } => {}
            Phase::Open => {
                if let Some(ping) = self.talk.heart.beat(now)? {
                    self.keys.send(&ping.into(), out);
                    self.used = now;
                }
            }
        }
        if now >= self.used + COOL_AFTER {
            self.reader.shrink();
            self.keys.cool();
            self.talk.inbox.shrink();
            out.effects.shrink_to_fit();
        }
        Ok(())
    }

    /// Gives the keys away, and what came but was not read.
    pub(crate) fn give_up(self, remote: PublicKey, rx: u64, tx: u64) -> (Reclaimed, Vec<u8>) {
        let unread = self.reader.unread().to_vec();
        let unsaved =
            self.talk.inbox.kept().map(|(seq, message)| (seq, message.to_vec())).collect();
        let rx_offset = rx - unread.len() as u64;
        let state = self.keys.into_state();
        let init = self.talk.init;
        (Reclaimed { remote, state, init, rx_offset, tx_offset: tx, unsaved }, unread)
    }
}

/// What there is to a connection while we have the keys, for the next process. Who connected is
/// settled, or it does not travel.
pub(crate) struct LiveParts {
    pub(crate) keys: TransportState,
    pub(crate) unread: Vec<u8>,
    pub(crate) unfinished: Option<Tick>,
    pub(crate) used: Tick,
    pub(crate) bytes: (u64, Tick),
    pub(crate) messages: (u64, Tick),
    /// Since when we wait for `init`.
    pub(crate) phase: Option<Tick>,
    pub(crate) heart: HeartParts,
    pub(crate) inbox: Inbox,
    pub(crate) init: Box<[u8]>,
}

impl Live {
    pub(crate) fn into_parts(self) -> LiveParts {
        let phase = match self.talk.phase {
            Phase::AwaitInit { since } => Some(since),
            Phase::Open => None,
        };
        LiveParts {
            unread: self.reader.unread().to_vec(),
            keys: self.keys.into_state(),
            unfinished: self.unfinished,
            used: self.used,
            bytes: self.bytes.parts(),
            messages: self.messages.parts(),
            phase,
            heart: self.talk.heart.parts(),
            inbox: self.talk.inbox,
            init: self.talk.init,
        }
    }

    pub(crate) fn from_parts(parts: LiveParts) -> Self {
        let phase = parts.phase.map_or(Phase::Open, |since| Phase::AwaitInit { since });
        let heart = Heart::from_parts(parts.heart);
        Self {
            keys: Keys { warm: None, cold: Some(parts.keys) },
            reader: Reader::new(),
            unfinished: parts.unfinished,
            used: parts.used,
            bytes: Meter::from_parts(parts.bytes),
            messages: Meter::from_parts(parts.messages),
            talk: Talk { phase, heart, inbox: parts.inbox, init: parts.init },
            unverified: None,
        }
    }
}

impl Keys {
    fn warm(&mut self) -> &mut Transport {
        let cold = self.cold.take();
        self.warm.get_or_insert_with(|| cold.expect("keys are warm or cold").into())
    }

    fn cool(&mut self) {
        let (warm, cold) = (self.warm.take(), self.cold.take());
        self.cold = Some(Self { warm, cold }.into_state());
    }

    fn into_state(self) -> TransportState {
        let warm = self.warm.map(|warm| {
            warm.into_state().expect("a transport that has failed has closed its connection")
        });
        warm.or(self.cold).expect("keys are warm or cold")
    }

    /// Sends a message of the connection's own.
    fn send(&mut self, message: &Message, out: &mut Out) {
        let plaintext = message.encode().expect("the connection's own messages are short enough");
        let mut record = Vec::new();
        self.warm().encrypt(&plaintext, &mut record).expect("2 to 65,535 bytes");
        out.write(record);
    }
}

impl Talk {
    fn on_message(
        &mut self,
        message: &[u8],
        terms: &Terms,
        now: Tick,
        keys: &mut Keys,
        out: &mut Out,
    ) -> Result<(), Why> {
        let (head, body) = message.split_first_chunk().expect("a transport delivers 2 bytes");
        let message_type = u16::from_be_bytes(*head);
        match (&self.phase, message_type) {
            (Phase::AwaitInit { .. }, Init::TYPE) => self.on_init(body, terms, out),
            (Phase::AwaitInit { .. }, _) => Err(Why::NoInit { message_type }),
            (Phase::Open, Init::TYPE) => Err(Why::InitTwice),
            (Phase::Open, Ping::TYPE) => {
                let ping = Ping::read_body(body).map_err(Why::Wire)?;
                if let Some(pong) = ping.pong() {
                    let before = out.unsent;
                    keys.send(&pong.into(), out);
                    out.unsent_pongs += out.unsent - before;
                }
                Ok(())
            }
            (Phase::Open, Pong::TYPE) => {
                let pong = Pong::read_body(body).map_err(Why::Wire)?;
                match self.heart.pong(&pong, now)? {
                    Heard::Answer(after) => out.tell(Event::Pong { after }),
                    Heard::Stray => {}
                }
                Ok(())
            }
            (Phase::Open, wire::Warning::TYPE) => {
                let warning = wire::Warning::read_body(body).map_err(Why::Wire)?;
                let text = clean(&warning.data.0);
                out.tell(Event::Warning { channel_id: warning.channel_id, text });
                Ok(())
            }
            (Phase::Open, wire::Error::TYPE) => {
                let error = wire::Error::read_body(body).map_err(Why::Wire)?;
                let text = clean(&error.data.0);
                out.tell(Event::Error { channel_id: error.channel_id, text });
                Ok(())
            }
            (Phase::Open, message_type) => self.route(message_type, message, terms, keys, out),
        }
    }

    fn on_init(&mut self, body: &[u8], terms: &Terms, out: &mut Out) -> Result<(), Why> {
        let init = Init::read_body(body).map_err(Why::Wire)?;
        terms.features.negotiate(&init.all_features()).map_err(Why::Features)?;
        if let Some(theirs) = &init.networks
            && !terms.networks.is_empty()
            && !theirs.iter().any(|chain| terms.networks.contains(chain))
        {
            return Err(Why::NoCommonChain);
        }
        self.phase = Phase::Open;
        self.init = body.into();
        let remote = out.remote().ok_or(Why::Handover)?;
        out.tell(Event::Ready { remote, init: Box::new(init) });
        Ok(())
    }

    fn route(
        &mut self,
        message_type: u16,
        message: &[u8],
        terms: &Terms,
        keys: &mut Keys,
        out: &mut Out,
    ) -> Result<(), Why> {
        if terms.takes(message_type) {
            self.inbox.push(message);
            return Ok(());
        }
        let known = Message::ALL.iter().any(|(number, _)| *number == message_type);
        match message_type {
            // BOLT 1: "SHOULD send `error` with the unknown `channel_id` in reply to messages of
            // type `32`-`255` related to unknown channels."
            32..=255 if known => {
                let error = wire::Error::new(channel_of(message_type, message), "no such channel");
                keys.send(&error.into(), out);
                Ok(())
            }
            // BOLT 1: "upon receiving a message of _even_, unknown type: MUST close the
            // connection."
            _ if !known && message_type.is_multiple_of(2) => Err(Why::UnknownEven { message_type }),
            _ => Ok(()),
        }
    }
}

fn body_of(init: &Init) -> Box<[u8]> {
    let mut body = Vec::with_capacity(init.body_size());
    init.write_body(&mut body);
    body.into()
}

/// The channel that a channel message is about: its first field, or the second when it opens one.
fn channel_of(message_type: u16, message: &[u8]) -> ChannelId {
    let start = wire::TYPE_BYTES + if message_type == wire::OpenChannel::TYPE { 32 } else { 0 };
    let id = message.get(start..).and_then(<[u8]>::first_chunk);
    id.map_or(ChannelId::ALL, |id| ChannelId(TemporaryChannelId(*id).0))
}

/// A complaint is kept to so many characters.
const COMPLAINT_CHARS_MAX: usize = 400;

// BOLT 1: "if `data` is not composed solely of printable ASCII characters: SHOULD NOT print out
// `data` verbatim."
fn clean(data: &[u8]) -> String {
    let printable = |byte: &u8| if (32..=126).contains(byte) { char::from(*byte) } else { '?' };
    data.iter().take(COMPLAINT_CHARS_MAX).map(printable).collect()
}

impl Out {
    pub(crate) fn tell(&mut self, event: Event) {
        self.effects.push_back(Effect::Tell(event));
    }
}
