//! A connection on its way to another process that goes on with it: all there is, as bytes.
//!
//! The clock is the machine's, the same for both. What waits for the key holder does not travel,
//! and needs not: the peer dials again.

use std::{collections::VecDeque, sync::Arc};

use noise::{STATE_BYTES, TransportState};
use wire::{reader::Reader, tick::Tick};

use crate::{
    api::{Epoch, OutSeq, Seq},
    bytes::{Malformed, Put, Take},
    connection::{Connection, Counts, Out, State, Terms},
    inbox::Inbox,
    live::{Live, LiveParts},
    outbox::Lease,
    tunnel::Tunnel,
};

const LIVE: u8 = 1;
const TUNNEL: u8 = 2;

impl Connection {
    /// Writes all of the connection, keys included, and ends it here: from now on the bytes are the
    /// connection. What it wanted done must have been done; what the socket has not taken yet goes
    /// beside it. A connection that waits for the key holder, or is closed, is given back.
    pub fn freeze(self, to: &mut Vec<u8>) -> Result<(), Box<Self>> {
        assert!(self.out.effects.is_empty(), "effects are polled before a connection is frozen");
        if self.needs_key_holder() || matches!(self.state, State::Closed) {
            return Err(Box::new(self));
        }
        let Self { state, lease, rx, held, out, .. } = self;
        to.u64(lease.epoch().0);
        to.u64(lease.last().0);
        to.u64(out.tx);
        to.u64(out.unsent as u64);
        to.maybe(out.remote, |to, remote| to.extend_from_slice(&remote));
        match state {
            State::Live(live) => {
                let mut parts = live.into_parts();
                parts.unread.extend_from_slice(&held);
                to.u8(LIVE);
                to.u64(rx - (parts.unread.len() - held.len()) as u64);
                put_live(parts, to);
            }
            State::Tunnel(tunnel) => {
                to.u8(TUNNEL);
                to.u64(rx);
                let (start, mut kept, counts) = tunnel.into_parts();
                to.u64(start);
                to.u64(counts.messages.0);
                to.u16(counts.pings);
                to.run(kept.make_contiguous());
                to.run(&held);
            }
            State::Dialing { .. } | State::Answering { .. } | State::Closed => {
                unreachable!("given back above")
            }
        }
        Ok(())
    }

    /// Goes on with what [`Connection::freeze`] wrote, as its only owner. Nobody is subscribed.
    pub fn thaw(
        from: &mut Reader<'_>,
        terms: impl Into<Arc<Terms>>,
        now: Tick,
    ) -> Result<Self, Malformed> {
        let lease = Lease::restored(Epoch(from.count()?), OutSeq(from.count()?));
        let (tx, unsent) = (from.count()?, from.count()? as usize);
        let remote = from.maybe(|from| Ok(*from.array()?))?;
        let out = Out { effects: VecDeque::new(), tx, unsent, unsent_pongs: 0, remote };
        let kind = Take::u8(from)?;
        let rx = from.count()?;
        let (state, held) = match kind {
            LIVE => {
                let mut parts = take_live(from)?;
                let held = core::mem::take(&mut parts.unread);
                (State::Live(Box::new(Live::from_parts(parts))), held)
            }
            TUNNEL => {
                let start = from.count()?;
                let counts = Counts { messages: Seq(from.count()?), pings: Take::u16(from)? };
                let kept = from.run()?.to_vec();
                (State::Tunnel(Tunnel::new(start, kept, counts)), from.run()?.to_vec())
            }
            got => return Err(Malformed::Kind { what: "a connection", got: got.into() }),
        };
        let mut connection = Self { state, terms: terms.into(), lease, rx, held, out };
        connection.pump(now);
        Ok(connection)
    }
}

fn put_live(parts: LiveParts, to: &mut Vec<u8>) {
    let LiveParts { keys, unread, unfinished, used, bytes, messages, phase, heart, inbox, init } =
        parts;
    to.extend_from_slice(keys.export().as_bytes());
    to.run(&unread);
    to.maybe(unfinished, Put::tick);
    to.tick(used);
    for (level, at) in [bytes, messages] {
        to.u64(level);
        to.tick(at);
    }
    to.maybe(phase, Put::tick);
    let (heard, asked, pings, strays) = heart;
    to.tick(heard);
    to.maybe(asked, |to, (at, bytes)| {
        to.tick(at);
        to.u16(bytes);
    });
    to.u16(pings);
    to.flag(strays);
    to.u64(inbox.last().0);
    let kept: Vec<_> = inbox.kept().collect();
    to.u32(kept.len() as u32);
    for (_, message) in kept {
        to.run(message);
    }
    to.run(&init);
}

fn take_live(from: &mut Reader<'_>) -> Result<LiveParts, Malformed> {
    let keys = TransportState::import(from.take(STATE_BYTES)?).map_err(Malformed::Keys)?;
    let unread = from.run()?.to_vec();
    let unfinished = from.maybe(Take::tick)?;
    let used = from.tick()?;
    let bytes = (from.count()?, from.tick()?);
    let messages = (from.count()?, from.tick()?);
    let phase = from.maybe(Take::tick)?;
    let heard = from.tick()?;
    let asked = from.maybe(|from| Ok((from.tick()?, Take::u16(from)?)))?;
    let heart = (heard, asked, Take::u16(from)?, from.flag()?);
    let last = from.count()?;
    let mut kept = VecDeque::new();
    for _ in 0..Take::u32(from)? {
        kept.push_back(from.run()?.to_vec());
    }
    if kept.len() as u64 > last {
        return Err(Malformed::Kind { what: "a number of kept messages", got: kept.len() as u64 });
    }
    let inbox = Inbox::restored(Seq(last), kept);
    let init = from.run()?.into();
    Ok(LiveParts { keys, unread, unfinished, used, bytes, messages, phase, heart, inbox, init })
}
