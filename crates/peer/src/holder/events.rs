//! What the subscriber and the clients are told, as fast as their links take it.

use std::collections::VecDeque;

use wire::{id::ConnectionId, tick::Tick};

use super::{Answer, AskId, Denial, Event, Link, Opened};
use super::{Client, Due, Effect, Entry, Holder, Subscriber};
use crate::{
    api::{self as single, Culprit, Epoch, Refusal, Why},
    limits::COMPLAINTS_MAX,
};

/// Whether a link takes one more event.
pub trait Room: Fn(Link) -> bool {}

impl<F: Fn(Link) -> bool> Room for F {}

impl Holder {
    /// The next thing to tell, to a link that has room for it.
    pub fn next_event(&mut self, room: impl Room) -> Option<(Link, Event)> {
        self.next_for_client(&room).or_else(|| {
            let link = self.subscriber.as_ref()?.link;
            if !room(link) {
                return None;
            }
            self.next_for_subscriber().map(|event| (link, event))
        })
    }

    fn next_for_client(&mut self, room: &impl Room) -> Option<(Link, Event)> {
        let waits = |client: &Client| !client.pending.is_empty() && room(client.link);
        let (id, client) = self.clients.iter_mut().find(|(_, client)| waits(client))?;
        let (id, link) = (*id, client.link);
        let event = client.pending.pop_front()?;
        if let Event::Tunnel { offset, bytes, .. } = &event {
            client.told = offset + bytes.len() as u64;
        }
        if client.pending.is_empty() && !self.connections.contains_key(&id) {
            self.clients.remove(&id);
        }
        Some((link, event))
    }

    fn next_for_subscriber(&mut self) -> Option<Event> {
        while let Some(due) = self.due.pop_front() {
            match due {
                Due::Caught => return Some(Event::Caught),
                Due::Gone(id) => {
                    let event = self.gone.get_mut(&id).and_then(VecDeque::pop_front);
                    if event.is_some() {
                        self.due.push_front(Due::Gone(id));
                        return event;
                    }
                    self.gone.remove(&id);
                }
                Due::Connection(id) => {
                    let Some(entry) = self.connections.get_mut(&id) else { continue };
                    let event = entry.next_event(id);
                    entry.due = entry.has_news();
                    if entry.due {
                        self.due.push_back(Due::Connection(id));
                    }
                    if event.is_some() {
                        return event;
                    }
                }
            }
        }
        self.due.shrink_to(DUE_KEPT);
        None
    }

    /// Somebody listens from here on, in the name of this epoch.
    pub(super) fn subscribe(&mut self, link: Link, epoch: Epoch) -> Result<Answer, Denial> {
        let other = self.subscriber.as_ref().is_some_and(|it| it.link != link);
        if epoch < self.epoch || (epoch == self.epoch && other) {
            return Err(Denial::StaleEpoch { got: epoch, have: self.epoch });
        }
        self.unsubscribe();
        self.epoch = epoch;
        self.subscriber = Some(Subscriber { link });
        let ids: Vec<_> = self.connections.keys().copied().collect();
        for id in ids {
            self.claim_if_open(id);
            self.note_due(id);
        }
        self.due.push_back(Due::Caught);
        Ok(Answer::Subscribed { holder: self.instance, listening: self.listening.clone() })
    }

    /// Nobody listens; what comes is kept.
    pub(super) fn unsubscribe(&mut self) {
        if self.subscriber.take().is_none() {
            return;
        }
        self.due.clear();
        self.gone.clear();
        for entry in self.connections.values_mut() {
            (entry.due, entry.told) = (false, false);
            entry.connection.unsubscribe();
        }
    }

    /// A connection that can be used belongs to the subscriber, unless a client brought it.
    pub(super) fn claim_if_open(&mut self, id: ConnectionId) {
        let epoch = self.epoch;
        let Some(entry) = self.connections.get_mut(&id) else { return };
        if self.subscriber.is_some()
            && !entry.of_client
            && entry.connection.is_settled()
            && entry.connection.epoch() < epoch
        {
            entry.connection.claim(epoch).expect("open, and of a lower epoch");
        }
    }

    /// Puts a connection in the line of those that have something to tell.
    pub(super) fn note_due(&mut self, id: ConnectionId) {
        if self.subscriber.is_some()
            && let Some(entry) = self.connections.get_mut(&id)
            && !entry.due
            && entry.has_news()
        {
            entry.due = true;
            self.due.push_back(Due::Connection(id));
        }
    }

    /// A connection has told something.
    pub(super) fn heard(&mut self, id: ConnectionId, event: single::Event) {
        let Some(entry) = self.connections.get_mut(&id) else { return };
        match event {
            // Seen by `settle`, which runs after all that a connection tells.
            single::Event::Ready { .. } | single::Event::Verified => {}
            single::Event::Message { seq, bytes } => {
                entry.pending.push_back(Event::Message { connection: id, seq, bytes });
            }
            single::Event::Warning { channel_id, text } => {
                entry.complain(Event::Complaint { connection: id, fails: false, channel_id, text });
            }
            single::Event::Error { channel_id, text } => {
                entry.complain(Event::Complaint { connection: id, fails: true, channel_id, text });
            }
            single::Event::Pong { after } => {
                for (link, ask) in self.pings.remove(&id).unwrap_or_default() {
                    self.reply(link, ask, Answer::Ponged { after });
                }
            }
        }
    }

    /// Whoever waits for a pong of a connection that is over.
    pub(super) fn refuse_pings(&mut self, id: ConnectionId) {
        for (link, ask) in self.pings.remove(&id).unwrap_or_default() {
            let refusal = Refusal::NotNow { asked: "ping", state: "closed" };
            self.reply(link, ask, Answer::Refused(refusal.into()));
        }
    }

    pub(super) fn reply(&mut self, link: Link, id: AskId, answer: Answer) {
        self.effects.push_back(Effect::Answer { link, id, answer });
    }

    /// A connection is over: whoever knows of it hears the rest, and why.
    pub(super) fn tell_end(&mut self, id: ConnectionId, entry: Entry, why: &Why) {
        self.end_client(id, why);
        let known = entry.told || entry.outbound || !entry.pending.is_empty();
        if self.subscriber.is_none() || !known {
            return;
        }
        let mut pending = entry.pending.into_events();
        pending.push_back(closed(id, why));
        self.gone.insert(id, pending);
        self.due.push_back(Due::Gone(id));
    }

    /// A call came to nothing.
    pub(super) fn tell_failed_call(&mut self, id: ConnectionId, caller: Option<Link>, why: &Why) {
        if let Some(link) = caller {
            self.clients.insert(id, Client::new(link, 0));
            return self.end_client(id, why);
        }
        if self.subscriber.is_some() {
            self.gone.insert(id, VecDeque::from([closed(id, why)]));
            self.due.push_back(Due::Gone(id));
        }
    }

    fn end_client(&mut self, id: ConnectionId, why: &Why) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.pending.push_back(closed(id, why));
        }
    }
}

/// What waits to be told. Almost always nothing, and then it takes almost nothing.
#[derive(Default)]
#[expect(clippy::box_collection, reason = "8 bytes instead of 32, many thousand times")]
pub(super) struct Pending(Option<Box<VecDeque<Event>>>);

impl Pending {
    pub(super) fn new(events: VecDeque<Event>) -> Self {
        Self((!events.is_empty()).then(|| Box::new(events)))
    }

    pub(super) fn into_events(self) -> VecDeque<Event> {
        self.0.map(|events| *events).unwrap_or_default()
    }

    fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |events| events.len())
    }

    fn front(&self) -> Option<&Event> {
        self.0.as_ref()?.front()
    }

    fn pop_front(&mut self) -> Option<Event> {
        let events = self.0.as_mut()?;
        let event = events.pop_front();
        if events.is_empty() {
            self.0 = None;
        }
        event
    }

    pub(super) fn push_back(&mut self, event: Event) {
        self.0.get_or_insert_default().push_back(event);
    }
}

/// So long a line of those that have something to tell keeps its memory.
const DUE_KEPT: usize = 64;

fn closed(connection: ConnectionId, why: &Why) -> Event {
    Event::Closed { connection, culprit: why.culprit(), text: why.to_string() }
}

impl Entry {
    fn has_news(&self) -> bool {
        let settled = self.connection.is_settled();
        !self.pending.is_empty() || (settled && (!self.told || self.connection.has_mail()))
    }

    fn next_event(&mut self, id: ConnectionId) -> Option<Event> {
        // A client has taken the connection away; it may have brought it back since.
        if matches!(self.pending.front(), Some(Event::Closed { .. })) {
            return self.pending.pop_front();
        }
        if !self.told && self.connection.is_settled() {
            self.told = true;
            self.connection.subscribe();
            return Some(self.opened(id));
        }
        if let Some(event) = self.pending.pop_front() {
            return Some(event);
        }
        match self.connection.deliver()? {
            single::Effect::Tell(single::Event::Message { seq, bytes }) => {
                Some(Event::Message { connection: id, seq, bytes })
            }
            single::Effect::Tell(_)
            | single::Effect::Ask(_)
            | single::Effect::Write(_)
            | single::Effect::Tunnel { .. }
            | single::Effect::Close(_) => unreachable!("only messages are delivered"),
        }
    }

    fn opened(&self, connection: ConnectionId) -> Event {
        Event::Opened(Opened {
            connection,
            remote: self.connection.remote().expect("known since the handshake"),
            address: self.address,
            outbound: self.outbound,
            epoch: self.connection.epoch(),
            sent: self.connection.sent(),
            init: self.connection.init().unwrap_or_default().to_vec(),
        })
    }

    fn complain(&mut self, complaint: Event) {
        if self.pending.len() < COMPLAINTS_MAX {
            self.pending.push_back(complaint);
        }
    }

    /// A client takes the connection away.
    pub(super) fn taken(&mut self, id: ConnectionId) {
        self.of_client = true;
        if self.told {
            self.told = false;
            let text = "its client has taken it over".to_owned();
            let culprit = Culprit::Local;
            self.pending.push_back(Event::Closed { connection: id, culprit, text });
        }
    }
}

impl Holder {
    /// Whatever cannot travel to another process is ended: calls, and all that waits for the key
    /// holder. The peers call again, and so do we.
    pub fn end_unsettled(&mut self, now: Tick) {
        for (id, call) in std::mem::take(&mut self.calls) {
            self.effects.push_back(Effect::Close { connection: id, why: Why::Handover });
            self.call_failed(id, &call, Why::Handover);
        }
        let waiting = self.connections.iter();
        let waiting = waiting.filter(|(_, entry)| entry.connection.needs_key_holder());
        for id in waiting.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.touch(id, now, |connection| connection.close_because(Why::Handover));
        }
    }
}
