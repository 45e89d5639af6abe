//! What is asked of a holder, and how it answers.

use wire::{id::ConnectionId, tick::Tick};

use super::{Answer, Ask, AskId, Call, Callee, Client, Denial, Effect, Holder, Link};
use super::{Status, Summary};
use crate::{
    api::{Epoch, Refusal, Why},
    connection::Connection,
    limits::{CONNECT_MAX, LISTED_MAX, PINGS_MAX},
    tunnel::Delegation,
};

impl Holder {
    /// A question of a link. The answer is an effect; a pong takes its time.
    pub fn ask(&mut self, link: Link, id: AskId, ask: Ask, now: Tick) {
        let answer = match ask {
            Ask::Subscribe { epoch } => self.subscribe(link, epoch),
            Ask::Dial { remote, address } => self.call(Callee::Node(remote), address, now),
            Ask::Tunnel { address, epoch } => {
                self.call(Callee::Tunnel { link, epoch }, address, now)
            }
            Ask::Close { connection } => self.close(link, connection, now),
            Ask::Send { connection, epoch, seq, message } => {
                self.judged(link, connection, now, |it| it.send(epoch, seq, &message, now))
            }
            Ask::Ping { connection } => return self.ping(link, id, connection, now),
            Ask::Acknowledge { .. } if !self.subscribed(link) => Err(Denial::NotSubscribed),
            Ask::Acknowledge { marks } => {
                // One that is over has nothing left to acknowledge.
                let refused = marks.into_iter().filter_map(|(connection, seq)| {
                    self.touch(connection, now, |it| it.acknowledge(seq, now))?.err()
                });
                // All are tried before the first refusal is told.
                refused.reduce(|first, _| first).map_or(Ok(Answer::Done), |no| Err(no.into()))
            }
            Ask::Delegate { connection, delegation } => {
                self.delegate(link, connection, delegation, now)
            }
            Ask::Reclaim { connection, epoch } => self.reclaim(link, connection, epoch, now),
            Ask::Attach { connection, epoch, offset } => {
                self.attach(link, connection, epoch, offset, now)
            }
            Ask::Credit { connection, epoch, offset } => {
                self.credit(link, connection, epoch, offset, now)
            }
            Ask::Pass { connection, epoch, offset, bytes } => {
                self.judged(link, connection, now, |it| it.pass(epoch, offset, &bytes))
            }
            Ask::List { after, max } => Ok(self.list(after, max)),
            Ask::Status => Ok(Answer::Status(self.status())),
        };
        self.reply(link, id, answer.unwrap_or_else(Answer::Refused));
    }

    /// A question that cannot be read.
    pub fn ask_malformed(&mut self, link: Link, id: AskId) {
        self.reply(link, id, Answer::Refused(Denial::Malformed));
    }

    /// How much there is of everything.
    pub fn status(&self) -> Status {
        Status {
            connections: self.connections.len() as u64,
            handshakes: self.handshakes as u64,
            unanswered: self.asks.len() as u64,
            key_holder: self.key_holder,
        }
    }

    fn subscribed(&self, link: Link) -> bool {
        self.subscriber.as_ref().is_some_and(|subscriber| subscriber.link == link)
    }

    /// A connection belongs to the subscriber, or to the client that has taken it; if that one's
    /// link is down, to any link but the subscriber's: what a client knows, its epoch tells.
    fn owned(&self, link: Link, id: ConnectionId) -> Result<(), Denial> {
        let unknown = Denial::Unknown { connection: id };
        let of_client = self.connections.get(&id).ok_or(unknown)?.of_client;
        let is_owner = match self.clients.get(&id) {
            Some(client) => client.link == link,
            None => of_client != self.subscribed(link),
        };
        is_owner.then_some(()).ok_or(Denial::NotYours { connection: id })
    }

    fn judged(
        &mut self,
        link: Link,
        id: ConnectionId,
        now: Tick,
        act: impl FnOnce(&mut Connection) -> Result<(), Refusal>,
    ) -> Result<Answer, Denial> {
        self.owned(link, id)?;
        let done = self.touch(id, now, act).ok_or(Denial::Unknown { connection: id })?;
        done.map(|()| Answer::Done).map_err(Denial::from)
    }

    fn call(
        &mut self,
        to: Callee,
        address: core::net::SocketAddr,
        now: Tick,
    ) -> Result<Answer, Denial> {
        let (have, max) = (self.size(), self.connections_max);
        if have >= max {
            return Err(Denial::Full { what: "connections", have, max });
        }
        let connection = self.next_id();
        self.calls.insert(connection, Call { to, address, until: now + CONNECT_MAX });
        self.effects.push_back(Effect::Connect { connection, address });
        Ok(Answer::Dialing { connection })
    }

    fn close(&mut self, link: Link, id: ConnectionId, now: Tick) -> Result<Answer, Denial> {
        if let Some(call) = self.calls.get(&id) {
            let is_caller = match call.to {
                Callee::Tunnel { link: caller, .. } => caller == link,
                Callee::Node(_) => self.subscribed(link),
            };
            if !is_caller {
                return Err(Denial::NotYours { connection: id });
            }
        }
        if let Some(call) = self.calls.remove(&id) {
            self.effects.push_back(Effect::Close { connection: id, why: Why::Local });
            self.call_failed(id, &call, Why::Local);
            return Ok(Answer::Done);
        }
        self.owned(link, id)?;
        let closed = self.touch(id, now, Connection::close);
        closed.map(|()| Answer::Done).ok_or(Denial::Unknown { connection: id })
    }

    fn ping(&mut self, link: Link, ask: AskId, id: ConnectionId, now: Tick) {
        let have = self.pings.get(&id).map_or(0, Vec::len);
        if have >= PINGS_MAX {
            let full = Denial::Full { what: "pings", have, max: PINGS_MAX };
            return self.reply(link, ask, Answer::Refused(full));
        }
        match self.judged(link, id, now, |connection| connection.ping(now)) {
            Ok(_) => self.pings.entry(id).or_default().push((link, ask)),
            Err(denial) => self.reply(link, ask, Answer::Refused(denial)),
        }
    }

    fn delegate(
        &mut self,
        link: Link,
        id: ConnectionId,
        delegation: Delegation,
        now: Tick,
    ) -> Result<Answer, Denial> {
        let delegated = self.judged(link, id, now, |it| it.delegate(delegation, now))?;
        self.alone.remove(&id);
        Ok(delegated)
    }

    /// Only what the client has been told can have been read by it.
    fn credit(
        &mut self,
        link: Link,
        id: ConnectionId,
        epoch: Epoch,
        offset: u64,
        now: Tick,
    ) -> Result<Answer, Denial> {
        self.owned(link, id)?;
        let told = self.clients.get(&id).map_or(0, |client| client.told);
        if offset > told {
            let (direction, min) = ("receive", 0);
            return Err(Refusal::WrongOffset { direction, got: offset, min, max: told }.into());
        }
        self.judged(link, id, now, |it| it.credit(epoch, offset, now))
    }

    /// The client listens before it gets the keys: what comes next is for it.
    fn reclaim(
        &mut self,
        link: Link,
        id: ConnectionId,
        epoch: Epoch,
        now: Tick,
    ) -> Result<Answer, Denial> {
        if self.clients.get(&id).is_some_and(|client| client.link != link) {
            return Err(Denial::NotYours { connection: id });
        }
        let before = self.clients.insert(id, Client::new(link, 0));
        let reclaimed = self.touch(id, now, |connection| connection.reclaim(epoch));
        match reclaimed {
            Some(Ok(reclaimed)) => {
                if let Some(entry) = self.connections.get_mut(&id) {
                    entry.taken(id);
                }
                if let Some(client) = self.clients.get_mut(&id) {
                    client.told = reclaimed.rx_offset;
                }
                self.refuse_pings(id);
                self.note_due(id);
                Ok(Answer::Reclaimed(reclaimed))
            }
            refused => {
                self.restore_client(id, before);
                let unknown = Denial::Unknown { connection: id };
                Err(refused.and_then(Result::err).map_or(unknown, Denial::from))
            }
        }
    }

    fn attach(
        &mut self,
        link: Link,
        id: ConnectionId,
        epoch: Epoch,
        offset: u64,
        now: Tick,
    ) -> Result<Answer, Denial> {
        self.owned(link, id)?;
        let before = self.clients.insert(id, Client::new(link, offset));
        let attached = self.judged(link, id, now, |connection| connection.attach(epoch, offset));
        match attached {
            Ok(_) => {
                self.alone.remove(&id);
            }
            Err(_) => self.restore_client(id, before),
        }
        attached
    }

    fn restore_client(&mut self, id: ConnectionId, before: Option<Client>) {
        match before {
            Some(client) => self.clients.insert(id, client),
            None => self.clients.remove(&id),
        };
    }

    fn list(&self, after: Option<ConnectionId>, max: u16) -> Answer {
        let from = after.map_or(0, |after| after.0.saturating_add(1));
        let max = usize::from(max).min(LISTED_MAX);
        let behind = self.connections.range(ConnectionId(from)..).take(max);
        let lines = behind.map(|(id, entry)| Summary {
            connection: *id,
            remote: entry.connection.remote(),
            address: entry.address,
            outbound: entry.outbound,
            state: entry.connection.state().to_owned(),
        });
        Answer::Listed(lines.collect())
    }
}
