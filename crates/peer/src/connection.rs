//! The life of a connection: handshake, then with the keys here or with a client, then closed.

use std::{collections::VecDeque, ops::RangeInclusive, sync::Arc};

use noise::{Answer, Initiator, PublicKey, Responder};
use wire::{Init, custom::CUSTOM_MIN, features::Features, id::ChainHash, tick::Tick};

use crate::{
    api::{Culprit, Effect, Epoch, Event, OutSeq, Refusal, Seq, Why},
    limits::{HANDSHAKE_MAX, UNSENT_BYTES_MAX},
    live::{Live, Reclaimed},
    outbox::Lease,
    tunnel::{Delegation, Tunnel},
};

/// Bytes of a compressed point.
const POINT_BYTES: usize = 33;

/// What we offer to a peer, and what of its messages somebody here wants.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// The features in our `init`.
    pub features: Features,
    /// The chains in it.
    pub networks: Vec<ChainHash>,
    /// Types of messages that have a subscriber, or may get one.
    pub routed: Vec<RangeInclusive<u16>>,
    /// Odd custom messages go to the subscriber too, whatever they are.
    pub custom: bool,
}

impl Terms {
    pub(crate) fn init(&self) -> Init {
        let mut init = Init::offering(self.features.clone());
        init.networks = (!self.networks.is_empty()).then(|| self.networks.clone());
        init
    }

    pub(crate) fn takes(&self, message_type: u16) -> bool {
        let custom = self.custom && message_type >= CUSTOM_MIN && message_type % 2 == 1;
        custom || self.routed.iter().any(|range| range.contains(&message_type))
    }
}

/// One connection. Give it bytes, answers and the time; do its effects, in order.
///
/// Poll shape: after each call of a method that takes `now`, call [`Connection::poll`] until it has
/// nothing more, then sleep until [`Connection::wake_at`] or the next input.
pub struct Connection {
    pub(crate) state: State,
    pub(crate) terms: Arc<Terms>,
    pub(crate) lease: Lease,
    /// Bytes read, from the connection's first one on.
    pub(crate) rx: u64,
    /// Bytes that have come and must wait: for an answer, or for room.
    pub(crate) held: Vec<u8>,
    pub(crate) out: Out,
}

/// What is counted through all changes of owner, as long as the connection lives.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counts {
    /// Messages for the subscriber.
    pub(crate) messages: Seq,
    /// Our pings: a pong to an old one has another length than one to the next.
    pub(crate) pings: u16,
}

/// What goes out.
pub(crate) struct Out {
    pub(crate) effects: VecDeque<Effect>,
    /// Bytes given to the socket, from the first one on.
    pub(crate) tx: u64,
    /// Those of them that it has not taken yet.
    pub(crate) unsent: usize,
    /// Those of pongs, since everything was taken for the last time.
    pub(crate) unsent_pongs: usize,
    /// As bytes: whole keys take more room, and a root to read.
    pub(crate) remote: Option<[u8; POINT_BYTES]>,
}

pub(crate) enum State {
    Dialing { core: Box<Initiator>, since: Tick },
    Answering { core: Box<Responder>, since: Tick },
    Live(Box<Live>),
    Tunnel(Box<Tunnel>),
    Closed,
}

impl Connection {
    /// The socket is connected: call the node at the other end.
    pub fn dial(remote: PublicKey, terms: impl Into<Arc<Terms>>, now: Tick) -> Self {
        let core = Box::new(Initiator::new(remote));
        let mut connection = Self::new(State::Dialing { core, since: now }, terms.into());
        connection.shake(now);
        connection
    }

    /// Somebody has connected: wait for the first act.
    pub fn accept(terms: impl Into<Arc<Terms>>, now: Tick) -> Self {
        let core = Box::new(Responder::new());
        Self::new(State::Answering { core, since: now }, terms.into())
    }

    /// A client shakes hands itself, through us: ciphertext from the first byte on.
    pub fn tunnel(epoch: Epoch, terms: impl Into<Arc<Terms>>) -> Self {
        let mut connection =
            Self::new(State::Tunnel(Tunnel::new(0, Vec::new(), Counts::default())), terms.into());
        connection.lease = Lease::new(epoch);
        connection
    }

    fn new(state: State, terms: Arc<Terms>) -> Self {
        let effects = VecDeque::new();
        let out = Out { effects, tx: 0, unsent: 0, unsent_pongs: 0, remote: None };
        Self { state, terms, lease: Lease::default(), rx: 0, held: Vec::new(), out }
    }

    /// What to do next, in order.
    pub fn poll(&mut self) -> Option<Effect> {
        self.poll_without_mail().or_else(|| self.deliver())
    }

    /// What to do next, but for messages to the subscriber, who may not have room for them.
    pub fn poll_without_mail(&mut self) -> Option<Effect> {
        let next = self.out.effects.pop_front();
        if next.is_none() && matches!(&self.state, State::Live(live) if live.is_cold()) {
            // At rest it keeps nothing.
            self.out.effects = VecDeque::new();
        }
        next
    }

    /// The next message for the subscriber.
    pub fn deliver(&mut self) -> Option<Effect> {
        let State::Live(live) = &mut self.state else { return None };
        let (seq, message) = live.inbox().deliver()?;
        Some(Effect::Tell(Event::Message { seq, bytes: message.to_vec() }))
    }

    /// Whether [`Connection::deliver`] has something.
    pub fn has_mail(&self) -> bool {
        matches!(&self.state, State::Live(live) if live.has_mail())
    }

    /// When to call [`Connection::handle_wake`] at the latest.
    pub fn wake_at(&self, now: Tick) -> Option<Tick> {
        match &self.state {
            State::Dialing { since, .. } | State::Answering { since, .. } => {
                Some(*since + HANDSHAKE_MAX)
            }
            State::Live(live) => Some(live.wake_at(now)),
            State::Tunnel(_) | State::Closed => None,
        }
    }

    /// Where the connection stands, for logs and lists.
    pub const fn state(&self) -> &'static str {
        match &self.state {
            State::Dialing { .. } => "dialing",
            State::Answering { .. } => "answering",
            State::Live(live) => live.state(),
            State::Tunnel(_) => "tunnel",
            State::Closed => "closed",
        }
    }

    /// The owner in force.
    pub const fn epoch(&self) -> Epoch {
        self.lease.epoch()
    }

    /// The last message that this owner has sent.
    pub const fn sent(&self) -> OutSeq {
        self.lease.last()
    }

    /// The body of their `init`, once it has come and as long as the keys are here.
    pub fn init(&self) -> Option<&[u8]> {
        match &self.state {
            State::Live(live) if live.is_open() => Some(live.init()),
            State::Live(_)
            | State::Dialing { .. }
            | State::Answering { .. }
            | State::Tunnel(_)
            | State::Closed => None,
        }
    }

    /// Whether the identity key is still needed: for the handshake, or to say who connected.
    pub fn needs_key_holder(&self) -> bool {
        match &self.state {
            State::Dialing { .. } | State::Answering { .. } => true,
            State::Live(live) => live.is_unverified(),
            State::Tunnel(_) | State::Closed => false,
        }
    }

    /// Whether somebody else has the keys.
    pub(crate) const fn is_tunnel(&self) -> bool {
        matches!(self.state, State::Tunnel(_))
    }

    /// Whether only the key holder's word is missing, as to who connected.
    pub(crate) fn waits_for_verdict(&self) -> bool {
        matches!(&self.state, State::Live(live) if live.is_unverified())
    }

    /// Whether it still shakes hands.
    pub(crate) const fn is_shaking(&self) -> bool {
        matches!(self.state, State::Dialing { .. } | State::Answering { .. })
    }

    /// Whether it shakes hands and has sent something, which only the key holder that made it can
    /// go on with.
    pub(crate) const fn is_begun(&self) -> bool {
        self.is_shaking() && self.out.tx > 0
    }

    /// Whether messages can flow and it is certain who is at the other end.
    pub fn is_settled(&self) -> bool {
        matches!(&self.state, State::Live(live) if live.is_open() && !live.is_unverified())
    }

    /// The node at the other end, once the handshake is done.
    pub fn remote(&self) -> Option<PublicKey> {
        self.out.remote()
    }

    /// Whether the socket should be read at present. What comes nevertheless is held.
    pub fn wants_bytes(&self, now: Tick) -> bool {
        self.held.is_empty()
            && match &self.state {
                State::Dialing { .. } | State::Answering { .. } => true,
                State::Live(live) => !live.is_full(now, &self.out),
                State::Tunnel(tunnel) => tunnel.room() > 0,
                State::Closed => false,
            }
    }

    /// Takes bytes from the socket.
    pub fn handle_bytes(&mut self, bytes: &[u8], now: Tick) {
        if !self.held.is_empty() {
            self.held.extend_from_slice(bytes);
            return self.pump(now);
        }
        let taken = self.take_all(bytes, now);
        self.held.extend_from_slice(&bytes[taken..]);
    }

    /// Goes on with what had to wait.
    pub(crate) fn pump(&mut self, now: Tick) {
        if !self.held.is_empty() {
            let held = std::mem::take(&mut self.held);
            let taken = self.take_all(&held, now);
            self.held = held;
            self.held.drain(..taken);
        }
    }

    /// Takes what can be taken at present, and returns how much that was.
    fn take_all(&mut self, bytes: &[u8], now: Tick) -> usize {
        let mut input = bytes;
        loop {
            let before = input.len();
            let done = self.take_bytes(&mut input, now);
            self.rx += (before - input.len()) as u64;
            if let Err(why) = done {
                self.fail(why);
                return bytes.len();
            }
            if input.is_empty() || input.len() == before {
                return bytes.len() - input.len();
            }
        }
    }

    fn take_bytes(&mut self, input: &mut &[u8], now: Tick) -> Result<(), Why> {
        match &mut self.state {
            State::Dialing { core, .. } => {
                let taken = core.handle_bytes(input).map_err(Why::Noise)?;
                *input = &input[taken..];
                self.shake(now);
            }
            State::Answering { core, .. } => {
                let taken = core.handle_bytes(input).map_err(Why::Noise)?;
                *input = &input[taken..];
                self.shake(now);
            }
            State::Live(live) => live.read(input, &self.terms, now, &mut self.out)?,
            State::Tunnel(tunnel) => {
                let (taken, rest) = input.split_at(tunnel.room().min(input.len()));
                if !taken.is_empty() {
                    tunnel.push(taken);
                    let (offset, bytes) = (self.rx, taken.to_vec());
                    self.out.effects.push_back(Effect::Tunnel { offset, bytes });
                }
                *input = rest;
            }
            State::Closed => *input = &[],
        }
        Ok(())
    }

    /// Does what a handshake wants done; goes over to the messages when it is through.
    fn shake(&mut self, now: Tick) {
        loop {
            let effect = match &mut self.state {
                State::Dialing { core, .. } => core.poll(),
                State::Answering { core, .. } => core.poll(),
                State::Live(_) | State::Tunnel(_) | State::Closed => None,
            };
            match effect {
                None => return,
                Some(noise::Effect::Ask(ask)) => self.out.effects.push_back(Effect::Ask(ask)),
                Some(noise::Effect::Send(act)) => self.out.write(act.bytes().to_vec()),
                Some(noise::Effect::Done { remote, transport }) => {
                    let before = std::mem::replace(&mut self.state, State::Closed);
                    let unverified =
                        if let State::Answering { core, .. } = before { Some(core) } else { None };
                    self.out.remote = Some(remote.serialize());
                    let out = &mut self.out;
                    let live = Live::after_handshake(transport, unverified, &self.terms, now, out);
                    self.state = State::Live(Box::new(live));
                }
            }
        }
    }

    /// The key holder has answered. What was not asked for changes nothing.
    pub fn handle_answer(&mut self, answer: Answer, now: Tick) {
        let handled = match &mut self.state {
            State::Dialing { core, .. } => core.handle_answer(answer).map_err(Why::Noise),
            State::Answering { core, .. } => core.handle_answer(answer).map_err(Why::Noise),
            State::Live(live) => live.verified(answer, &mut self.out),
            State::Tunnel(_) | State::Closed => Ok(()),
        };
        match handled {
            Ok(()) | Err(Why::Noise(noise::Fault::Unasked { .. })) => self.shake(now),
            Err(why) => self.fail(why),
        }
        self.pump(now);
    }

    /// The socket has taken so many bytes.
    pub fn handle_written(&mut self, bytes: usize, now: Tick) {
        self.out.unsent = self.out.unsent.saturating_sub(bytes);
        if self.out.unsent == 0 {
            self.out.unsent_pongs = 0;
        }
        self.pump(now);
    }

    /// The socket is gone.
    pub fn handle_closed(&mut self) {
        self.fail(Why::RemoteClosed);
    }

    /// Time has passed.
    pub fn handle_wake(&mut self, now: Tick) {
        let done = match &mut self.state {
            State::Dialing { since, .. } | State::Answering { since, .. } => {
                match now >= *since + HANDSHAKE_MAX {
                    true => Err(Why::TimedOut { what: "end of the handshake", max: HANDSHAKE_MAX }),
                    false => Ok(()),
                }
            }
            State::Live(live) => live.wake(now, &mut self.out),
            State::Tunnel(_) | State::Closed => Ok(()),
        };
        match done {
            Ok(()) => self.pump(now),
            Err(why) => self.fail(why),
        }
    }

    /// Closes the connection.
    pub fn close(&mut self) {
        self.fail(Why::Local);
    }

    /// Closes the connection for a reason of the shell's.
    pub(crate) fn close_because(&mut self, why: Why) {
        self.fail(why);
    }

    /// Sends a message, its type in front, in the name of the owner `epoch`; numbered from 1.
    pub fn send(
        &mut self,
        epoch: Epoch,
        seq: OutSeq,
        message: &[u8],
        now: Tick,
    ) -> Result<(), Refusal> {
        let live = self.live("send")?;
        if !live.is_open() {
            return Err(Refusal::NotNow { asked: "send", state: live.state() });
        }
        self.lease.judge_message(epoch, seq)?;
        // Borrowed anew: the lease above and what goes out below are fields beside the state.
        let State::Live(live) = &mut self.state else { unreachable!("looked at above") };
        live.send(message, now, &mut self.out)?;
        self.lease.sent(seq);
        Ok(())
    }

    /// A subscriber is there: it gets what is kept, and then what comes.
    pub fn subscribe(&mut self) {
        if let State::Live(live) = &mut self.state {
            live.inbox().subscribe();
        }
    }

    /// The subscriber is gone; messages are kept for the next one.
    pub fn unsubscribe(&mut self) {
        if let State::Live(live) = &mut self.state {
            live.inbox().unsubscribe();
        }
    }

    /// Another owner sends from here on, numbered from 1 again; the last one's are refused.
    pub fn claim(&mut self, epoch: Epoch) -> Result<(), Refusal> {
        self.live("claim")?;
        self.lease = self.lease.pass_on(epoch)?;
        Ok(())
    }

    /// Asks the peer for a pong, which will be told.
    pub fn ping(&mut self, now: Tick) -> Result<(), Refusal> {
        let live = self.live("ping")?;
        if !live.is_open() {
            return Err(Refusal::NotNow { asked: "ping", state: live.state() });
        }
        let State::Live(live) = &mut self.state else { unreachable!("looked at above") };
        live.ping(now, &mut self.out);
        Ok(())
    }

    /// The subscriber has saved all messages up to this one.
    pub fn acknowledge(&mut self, up_to: Seq, now: Tick) -> Result<(), Refusal> {
        self.live("acknowledge")?.inbox().acknowledge(up_to)?;
        self.pump(now);
        Ok(())
    }

    /// A client hands the keys over. Refused unless it agrees with us on every byte.
    pub fn delegate(&mut self, delegation: Delegation, now: Tick) -> Result<(), Refusal> {
        let state = self.state();
        let State::Tunnel(tunnel) = &self.state else {
            return Err(Refusal::NotNow { asked: "delegate", state });
        };
        let lease = self.lease.pass_on(delegation.epoch)?;
        let (got, tx) = (delegation.tx_offset, self.out.tx);
        if got != tx {
            return Err(Refusal::WrongOffset { direction: "send", got, min: tx, max: tx });
        }
        let unread = tunnel.kept_from(delegation.rx_offset)?;
        self.rx = delegation.rx_offset;
        self.held.splice(..0, unread);
        let counts = tunnel.counts();
        self.lease = lease;
        self.out.remote = Some(delegation.remote.serialize());
        let live = Live::delegated(delegation, counts, &self.terms, now, &mut self.out);
        self.state = State::Live(Box::new(live));
        self.pump(now);
        Ok(())
    }

    /// A client takes the keys back, in place. What has come and is not read goes through the
    /// tunnel. Refused until both `init`s are through, for ours must not be sent twice, and until
    /// it is certain who is at the other end.
    pub fn reclaim(&mut self, epoch: Epoch) -> Result<Reclaimed, Refusal> {
        let live = self.live("reclaim")?;
        if !live.is_open() || live.is_unverified() {
            return Err(Refusal::NotNow { asked: "reclaim", state: live.state() });
        }
        let lease = self.lease.pass_on(epoch)?;
        // A peer without a name can only come from a handover that was not ours.
        let unnamed = Refusal::NotNow { asked: "reclaim", state: "without a name" };
        let remote = self.out.remote().ok_or(unnamed)?;
        let State::Live(live) = std::mem::replace(&mut self.state, State::Closed) else {
            unreachable!("looked at above")
        };
        let counts = live.counts();
        let (reclaimed, mut unread) = live.give_up(remote, self.rx, self.out.tx);
        self.lease = lease;
        self.rx += self.held.len() as u64;
        unread.append(&mut self.held);
        self.state = State::Tunnel(Tunnel::new(reclaimed.rx_offset, unread, counts));
        self.attach(epoch, reclaimed.rx_offset)?;
        Ok(reclaimed)
    }

    /// A client that had gone is back: it gets what is kept from this offset on.
    pub fn attach(&mut self, epoch: Epoch, offset: u64) -> Result<(), Refusal> {
        self.lease.judge(epoch)?;
        let bytes = self.in_tunnel("attach")?.kept_from(offset)?;
        if !bytes.is_empty() {
            self.out.effects.push_back(Effect::Tunnel { offset, bytes });
        }
        Ok(())
    }

    /// The client has read the ciphertext up to this offset and will not ask for it again. It
    /// counts whole records only: the rest of one must be there for whoever has the keys next.
    pub fn credit(&mut self, epoch: Epoch, offset: u64, now: Tick) -> Result<(), Refusal> {
        self.lease.judge(epoch)?;
        self.in_tunnel("credit")?.acknowledge(offset)?;
        self.pump(now);
        Ok(())
    }

    /// The client sends ciphertext, whose first byte has this offset. What it has sent before is
    /// dropped: it may not know that it came through.
    pub fn pass(&mut self, epoch: Epoch, offset: u64, bytes: &[u8]) -> Result<(), Refusal> {
        self.in_tunnel("pass bytes")?;
        self.lease.judge(epoch)?;
        let tx = self.out.tx;
        if offset > tx {
            return Err(Refusal::WrongOffset { direction: "send", got: offset, min: 0, max: tx });
        }
        let sent = usize::try_from(tx - offset).unwrap_or(usize::MAX);
        if let Some(bytes) = bytes.get(sent..)
            && !bytes.is_empty()
        {
            let unsent = self.out.unsent;
            if unsent > UNSENT_BYTES_MAX {
                return Err(Refusal::Congested { unsent, max: UNSENT_BYTES_MAX });
            }
            self.out.write(bytes.to_vec());
        }
        Ok(())
    }

    fn in_tunnel(&mut self, asked: &'static str) -> Result<&mut Tunnel, Refusal> {
        let state = self.state();
        if let State::Tunnel(tunnel) = &mut self.state {
            return Ok(tunnel);
        }
        Err(Refusal::NotNow { asked, state })
    }

    fn live(&mut self, asked: &'static str) -> Result<&mut Live, Refusal> {
        let state = self.state();
        if let State::Live(live) = &mut self.state {
            return Ok(live);
        }
        Err(Refusal::NotNow { asked, state })
    }

    fn fail(&mut self, why: Why) {
        let before = std::mem::replace(&mut self.state, State::Closed);
        if matches!(before, State::Closed) {
            return;
        }
        self.held = Vec::new();
        if let State::Live(mut live) = before {
            if why.culprit() == Culprit::Remote {
                live.farewell(&why, &mut self.out);
            }
            // Who listens hears all that was said, and then that it is over.
            while let Some((seq, message)) = live.inbox().deliver() {
                self.out.tell(Event::Message { seq, bytes: message.to_vec() });
            }
        }
        self.out.effects.push_back(Effect::Close(why));
    }
}

impl Out {
    pub(crate) fn write(&mut self, bytes: Vec<u8>) {
        self.tx += bytes.len() as u64;
        self.unsent += bytes.len();
        self.effects.push_back(Effect::Write(bytes));
    }

    /// The node at the other end.
    pub(crate) fn remote(&self) -> Option<PublicKey> {
        PublicKey::from_slice(self.remote.as_ref()?).ok()
    }
}
