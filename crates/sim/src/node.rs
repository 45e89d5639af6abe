//! The node of a machine: its post office, its disk and whoever calls.

use std::collections::{BTreeMap, VecDeque};

use node::services::{
    clerk::{Clerk, Out, Record},
    gate::Ticket,
    post::{CallId, Command, Effect, Event, Post, Reply},
};
use peer::{desk::Token, holder::Answer};
use wire::tick::{Millis, Tick};

use crate::{
    faults::Point,
    links::{Between, Frame, Role},
    net::Side,
    truth::{Broken, NoteId, note, shown},
    world::{ADDRESSES, Happening, World, terms},
};

/// What a node tells, in few words.
fn told(event: &Event) -> String {
    match event {
        Event::PeerConnected(peer) => format!("is connected over {}", peer.connection),
        Event::PeerDisconnected { connection, why, .. } => {
            format!("is disconnected from {connection}: {why}")
        }
        Event::Message { connection, .. } => format!("has a message over {connection}"),
        Event::Complaint { text, .. } => format!("hears a complaint: {text}"),
        Event::Signer { reachable: true } => "sees its signer".to_owned(),
        Event::Signer { reachable: false } => "misses its signer".to_owned(),
        Event::Sockets { reachable: true } => "sees its sockets".to_owned(),
        Event::Sockets { reachable: false } => "misses its sockets".to_owned(),
    }
}

/// The process of a node.
pub(crate) struct Office {
    pub(crate) clerk: Clerk,
    pub(crate) incarnation: u64,
    pub(crate) alarm: Option<Tick>,
    asks: u64,
    asked: BTreeMap<(Between, u64), Token>,
    batches: VecDeque<(Ticket, Vec<Record>)>,
    committing: bool,
    calls: u64,
    /// Calls that ask for a connection.
    connects: BTreeMap<CallId, noise::PublicKey>,
}

impl World {
    /// A node starts with what its disk holds.
    pub(crate) fn start_node(&mut self, side: Side) -> Result<(), Broken> {
        let state = self.machine(side).disk.restore()?;
        let dice = wire::dice::Dice::new(self.dice.throw());
        self.incarnations += 1;
        let office = Office {
            clerk: Clerk::new(Post::open(state, terms().features, dice)),
            incarnation: self.incarnations,
            alarm: None,
            asks: 0,
            asked: BTreeMap::new(),
            batches: VecDeque::new(),
            committing: false,
            calls: 0,
            connects: BTreeMap::new(),
        };
        self.machine_mut(side).office = Some(office);
        self.drive_later(side, Role::Node);
        Ok(())
    }

    pub(crate) fn with_node(&mut self, side: Side, act: impl FnOnce(&mut Clerk, Tick)) {
        let now = self.agenda.now;
        if let Some(office) = &mut self.machine_mut(side).office {
            act(&mut office.clerk, now);
            self.drive_later(side, Role::Node);
        }
    }

    /// Does what a node wants done, until it wants nothing more or dies of it.
    pub(crate) fn drive_node(&mut self, side: Side) -> Result<(), Broken> {
        let now = self.agenda.now;
        if let Some(office) = &mut self.machine_mut(side).office {
            if office.alarm.is_some_and(|at| at <= now) {
                office.alarm = None;
            }
            if office.clerk.wake_at().is_some_and(|at| at <= now) {
                office.clerk.post().wake(now);
            }
        }
        while let Some(out) =
            self.machine_mut(side).office.as_mut().and_then(|office| office.clerk.poll())
        {
            let point = match &out {
                Out::Save { .. } => Point::Save,
                Out::Do(Effect::Tell(_)) => Point::Tell,
                Out::Do(_) => Point::Reply,
                Out::AskSockets(..) => Point::NodeAsk,
                Out::AskSigner(..) => Point::NodeSign,
            };
            let before = self.dice.one_in(2);
            if before {
                self.strike(side, point);
            }
            if self.lives(side, Role::Node) {
                self.node_does(side, out)?;
            }
            if !before {
                self.strike(side, point);
            }
        }
        let Some(office) = &mut self.machine_mut(side).office else { return Ok(()) };
        if let Some(at) = office.clerk.wake_at()
            && office.alarm.is_none_or(|set| at < set)
        {
            office.alarm = Some(at);
            self.at(at.max(now + Millis(1)), Happening::Drive { side, role: Role::Node });
        }
        Ok(())
    }

    fn node_does(&mut self, side: Side, out: Out) -> Result<(), Broken> {
        match out {
            Out::Save { ticket, records } => {
                let late = Millis(1 + self.dice.below(25) as u64);
                let at = self.agenda.now + late;
                let Some(office) = &mut self.machine_mut(side).office else { return Ok(()) };
                office.batches.push_back((ticket, records));
                if !office.committing {
                    office.committing = true;
                    let incarnation = office.incarnation;
                    self.at(at, Happening::Commit { side, incarnation });
                }
                Ok(())
            }
            Out::Do(effect) => self.node_effect(side, effect),
            Out::AskSockets(token, ask) => {
                let holder = self.node_holder(side);
                self.machine(side).disk.allows(&ask, holder)?;
                self.node_asks(
                    side,
                    Between::NodeSockets,
                    token,
                    ask.topic(),
                    ask.encode().to_vec(),
                );
                Ok(())
            }
            Out::AskSigner(token, ask) => {
                self.node_asks(side, Between::NodeSigner, token, ask.topic(), ask.encode());
                Ok(())
            }
        }
    }

    fn node_holder(&self, side: Side) -> Option<u64> {
        self.machine(side).office.as_ref()?.clerk.holder()
    }

    fn node_asks(&mut self, side: Side, to: Between, token: Token, topic: u16, payload: Vec<u8>) {
        let Some(office) = &mut self.machine_mut(side).office else { return };
        office.asks += 1;
        let id = office.asks;
        office.asked.insert((to, id), token);
        self.post(side, to, Frame::Ask { id, topic, payload }, Millis(0));
    }

    /// A link has gone: what was asked over it is not answered any more.
    pub(crate) fn node_unasked(&mut self, side: Side, between: Between) {
        if let Some(office) = &mut self.machine_mut(side).office {
            office.asked.retain(|(over, _), _| *over != between);
        }
    }

    pub(crate) fn node_hears(
        &mut self,
        side: Side,
        between: Between,
        frame: Frame,
    ) -> Result<(), Broken> {
        let Some(office) = &mut self.machine_mut(side).office else { return Ok(()) };
        match frame {
            Frame::Answer { id, topic, mut payload } => {
                let Some(token) = office.asked.remove(&(between, id)) else { return Ok(()) };
                if between == Between::NodeSigner {
                    let answer = signer::Answer::decode(&mut payload).ok();
                    self.with_node(side, |clerk, _| clerk.post().signer_answered(token, answer));
                } else {
                    let answer = Answer::decode(topic, &payload).map_err(|it| it.to_string())?;
                    self.with_node(side, |clerk, now| {
                        clerk.post().holder_answered(token, answer, now);
                    });
                }
            }
            Frame::Event { topic, payload } => {
                let event = peer::holder::Event::decode(topic, &payload);
                let event = event.map_err(|fault| fault.to_string())?;
                self.with_node(side, |clerk, now| clerk.post().holder_told(event, now));
            }
            Frame::Ask { .. } => {}
        }
        Ok(())
    }

    fn node_effect(&mut self, side: Side, effect: Effect) -> Result<(), Broken> {
        match effect {
            Effect::Reply { call, reply } => {
                let Some(office) = &mut self.machine_mut(side).office else { return Ok(()) };
                let node = office.connects.remove(&call);
                if let (Some(node), Ok(Reply::Peer(_))) = (node, &reply)
                    && !self.machine(side).disk.has_wanted(&node)
                {
                    return Err(format!("{side:?} is told to stay connected, which is not saved"));
                }
                Ok(())
            }
            Effect::Tell(Event::Message { connection, seq, bytes, .. }) => {
                let holder = self.node_holder(side).ok_or("a message without a holder")?;
                self.note(|| format!("{side:?} has saved {} of {connection}", shown(&bytes)));
                match self.machine(side).disk.has(holder, connection, seq) {
                    true => Ok(()),
                    false => Err(format!("{side:?} tells of {seq:?}, which is not durable")),
                }
            }
            Effect::Tell(event) => {
                self.note(|| format!("{side:?} {}", told(&event)));
                Ok(())
            }
            Effect::Fail(failure) => Err(format!("{side:?} cannot go on: {failure}")),
            Effect::Saved { .. } | Effect::Stop => Ok(()),
        }
    }

    /// All batches that wait become durable with one commit.
    pub(crate) fn commit(&mut self, side: Side, incarnation: u64) -> Result<(), Broken> {
        let Some(office) = &mut self.machine_mut(side).office else { return Ok(()) };
        if office.incarnation != incarnation {
            return Ok(());
        }
        office.committing = false;
        let batches: Vec<_> = office.batches.drain(..).collect();
        if std::mem::take(&mut self.machine_mut(side).store_fails) {
            self.note(|| format!("{side:?} cannot save"));
            self.crash(side, Role::Node);
            return Ok(());
        }
        let last = batches.last().map(|(ticket, _)| *ticket);
        self.write_batches(side, batches)?;
        self.strike(side, Point::Commit);
        if let Some(last) = last
            && let Some(office) = &mut self.machine_mut(side).office
            && office.incarnation == incarnation
        {
            office.clerk.durable(last);
            self.drive_later(side, Role::Node);
        }
        Ok(())
    }

    fn write_batches(
        &mut self,
        side: Side,
        batches: Vec<(Ticket, Vec<Record>)>,
    ) -> Result<(), Broken> {
        let mut disk = std::mem::take(&mut self.machine_mut(side).disk);
        for (_, records) in &batches {
            disk.commit(side, records, &mut self.truth)?;
        }
        self.machine_mut(side).disk = disk;
        Ok(())
    }

    /// A node dies; the first of the batches under way may have reached the disk.
    pub(crate) fn end_node(&mut self, side: Side) -> Result<(), Broken> {
        let Some(mut office) = self.machine_mut(side).office.take() else { return Ok(()) };
        let kept = self.dice.below(office.batches.len() + 1);
        let batches = office.batches.drain(..kept).collect();
        self.write_batches(side, batches)
    }

    /// Somebody calls a node.
    pub(crate) fn call_node(&mut self, side: Side, command: Command) {
        let Some(office) = &mut self.machine_mut(side).office else { return };
        office.calls += 1;
        let call = CallId(office.calls);
        if let Command::Connect { node, .. } = &command {
            office.connects.insert(call, *node);
        }
        self.with_node(side, |clerk, now| clerk.post().call(call, command, now));
    }

    /// What people do with a node now and then.
    pub(crate) fn use_node(&mut self, side: Side) {
        let there = self.ids[side.other() as usize];
        let address = ADDRESSES[side.other() as usize];
        match self.dice.below(24) {
            0 => self.call_node(side, Command::Ping { node: there }),
            1 => self.call_node(side, Command::Sign { message: b"a word".to_vec() }),
            2 => self.call_node(side, Command::Peers),
            3 if self.dials(side) => {
                self.call_node(side, Command::Connect { node: there, address });
            }
            4 if self.dice.one_in(6) => self.call_node(side, Command::Disconnect { node: there }),
            5 => {
                let burst = self.dice.below(60);
                (0..burst).for_each(|_| self.send_note(side));
            }
            _ => self.send_note(side),
        }
    }

    pub(crate) fn fresh_note(&mut self) -> Vec<u8> {
        self.truth.notes += 1;
        let longest = if self.dice.one_in(50) { 6_000 } else { 200 };
        note(NoteId(self.truth.notes), self.dice.below(longest))
    }

    pub(crate) fn send_note(&mut self, side: Side) {
        let bytes = self.fresh_note();
        let node = self.ids[side.other() as usize];
        self.call_node(side, Command::Message { node, bytes });
    }

    /// Whether this node has a connection to the other.
    pub(crate) fn sees_peer(&mut self, side: Side) -> bool {
        let Some(office) = &mut self.machine_mut(side).office else { return false };
        office.clerk.post().peers().next().is_some()
    }
}
