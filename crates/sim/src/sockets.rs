//! The holder of the sockets of a machine.

use std::collections::BTreeMap;

use noise::Fault as NoiseFault;
use peer::{
    Culprit, Epoch,
    holder::{self, AskId, Effect, Holder, Link},
};
use wire::{
    id::ConnectionId,
    tick::{Millis, Tick},
};

use crate::{
    faults::Point,
    links::{Between, Frame, Role},
    net::{Side, WireId},
    truth::{Broken, Fate, Place, shown},
    world::{Happening, World, terms},
};

/// The process of a holder.
pub(crate) struct Host {
    pub(crate) holder: Holder,
    pub(crate) instance: u64,
    pub(crate) wires: BTreeMap<ConnectionId, WireId>,
    pub(crate) alarm: Option<Tick>,
    /// Questions to the signer.
    asked: BTreeMap<u64, ConnectionId>,
    asks: u64,
    /// Notes whose answer is not given yet.
    sends: BTreeMap<(Link, AskId), Sending>,
}

/// A note, and in whose name it is sent.
struct Sending {
    place: Option<Place>,
    connection: ConnectionId,
    epoch: Epoch,
    who: u64,
}

/// Connections of one holder.
const CONNECTIONS_MAX: usize = 50;

impl Host {
    pub(crate) fn new(instance: u64) -> Self {
        Self {
            holder: Holder::new(terms(), instance, CONNECTIONS_MAX),
            instance,
            wires: BTreeMap::new(),
            alarm: None,
            asked: BTreeMap::new(),
            asks: 0,
            sends: BTreeMap::new(),
        }
    }
}

impl World {
    /// Does something to a holder that lives.
    pub(crate) fn with_holder(&mut self, side: Side, act: impl FnOnce(&mut Holder, Tick)) {
        let now = self.agenda.now;
        if let Some(host) = &mut self.machine_mut(side).host {
            act(&mut host.holder, now);
            self.drive_later(side, Role::Sockets);
        }
    }

    /// Does what a holder wants done, until it wants nothing more or dies of it.
    pub(crate) fn drive_sockets(&mut self, side: Side) -> Result<(), Broken> {
        let now = self.agenda.now;
        self.with_holder_due(side, now);
        loop {
            let Some(host) = &mut self.machine_mut(side).host else { return Ok(()) };
            if let Some(effect) = host.holder.poll() {
                self.sockets_effect(side, effect)?;
                continue;
            }
            let rooms: Vec<_> = (0..4).map(|link| self.has_room(side, link)).collect();
            let Some(host) = &mut self.machine_mut(side).host else { return Ok(()) };
            let room = |link: Link| rooms[link.0 as usize];
            let Some((link, event)) = host.holder.next_event(room) else { break };
            self.sockets_tell(side, link, &event);
        }
        self.read_again(side);
        let Some(host) = &mut self.machine_mut(side).host else { return Ok(()) };
        if let Some(at) = host.holder.wake_at()
            && host.alarm.is_none_or(|set| at < set)
        {
            host.alarm = Some(at);
            self.at(at.max(now + Millis(1)), Happening::Drive { side, role: Role::Sockets });
        }
        Ok(())
    }

    fn with_holder_due(&mut self, side: Side, now: Tick) {
        if let Some(host) = &mut self.machine_mut(side).host {
            if host.alarm.is_some_and(|at| at <= now) {
                host.alarm = None;
            }
            if host.holder.wake_at().is_some_and(|at| at <= now) {
                host.holder.wake(now);
            }
        }
    }

    fn sockets_effect(&mut self, side: Side, effect: Effect) -> Result<(), Broken> {
        let point = match &effect {
            Effect::Connect { .. } => Point::Connect,
            Effect::Write { .. } => Point::Write,
            Effect::Close { .. } => Point::Close,
            Effect::AskKeyHolder { .. } => Point::SocketsAsk,
            Effect::Forget { .. } => Point::Forget,
            Effect::Answer { .. } => Point::Answer,
        };
        let before = self.dice.one_in(2);
        if before {
            self.strike(side, point);
        }
        if self.lives(side, Role::Sockets) {
            self.sockets_do(side, effect)?;
        }
        if !before {
            self.strike(side, point);
        }
        Ok(())
    }

    fn sockets_do(&mut self, side: Side, effect: Effect) -> Result<(), Broken> {
        match effect {
            Effect::Connect { connection, .. } => self.call(side, connection),
            Effect::Write { connection, bytes } => return self.write(side, connection, &bytes),
            Effect::Close { connection, why } => {
                self.note(|| format!("{side:?} closes {connection}: {why}"));
                if why.culprit() == Culprit::Remote {
                    return Err(format!(
                        "{side:?} blames the peer of connection {connection}: {why}"
                    ));
                }
                self.close_socket(side, connection);
            }
            Effect::AskKeyHolder { connection, ask } => {
                self.sockets_ask(
                    side,
                    Some(connection),
                    &signer::Ask::Handshake { connection, ask },
                );
            }
            Effect::Forget { connection } => {
                self.sockets_ask(side, None, &signer::Ask::Forget { connection });
            }
            Effect::Answer { link, id, answer } => {
                let mut fate = Fate::Sent;
                if let holder::Answer::Refused(denial) = &answer {
                    fate = Fate::Refused;
                    let link = between(link);
                    self.note(|| format!("{side:?} Sockets refuse {link:?}: {denial}"));
                }
                let Some(host) = &mut self.machine_mut(side).host else { return Ok(()) };
                let instance = host.instance;
                if let Some(Sending { place, connection, epoch, who }) =
                    host.sends.remove(&(link, id))
                {
                    if let Some(place) = place {
                        self.truth.fate(place, fate)?;
                    }
                    if fate == Fate::Sent {
                        self.truth.acted(side, instance, connection, epoch, who)?;
                    }
                }
                let (topic, payload) = (answer.topic(), answer.encode().to_vec());
                let frame = Frame::Answer { id: id.0, topic, payload };
                self.post(side, between(link), frame, Millis(0));
            }
        }
        Ok(())
    }

    fn sockets_ask(&mut self, side: Side, about: Option<ConnectionId>, ask: &signer::Ask) {
        let Some(host) = &mut self.machine_mut(side).host else { return };
        host.asks += 1;
        let id = host.asks;
        if let Some(connection) = about {
            host.asked.insert(id, connection);
        }
        let frame = Frame::Ask { id, topic: ask.topic(), payload: ask.encode() };
        self.post(side, Between::SocketsSigner, frame, Millis(0));
    }

    /// The link to the signer has gone: nothing is answered any more.
    pub(crate) fn sockets_unasked(&mut self, side: Side) {
        if let Some(host) = &mut self.machine_mut(side).host {
            host.asked.clear();
        }
    }

    pub(crate) fn sockets_answered(&mut self, side: Side, frame: Frame) -> Result<(), Broken> {
        let Frame::Answer { id, mut payload, .. } = frame else { return Ok(()) };
        let Some(host) = &mut self.machine_mut(side).host else { return Ok(()) };
        let Some(about) = host.asked.remove(&id) else { return Ok(()) };
        let answer = match signer::Answer::decode(&mut payload) {
            Ok(signer::Answer::Handshake { connection, answer }) if connection == about => answer,
            _ => noise::Answer::Refused(NoiseFault::Denied),
        };
        self.with_holder(side, |holder, now| holder.answered(about, answer, now));
        Ok(())
    }

    pub(crate) fn sockets_asked(
        &mut self,
        side: Side,
        between: Between,
        frame: Frame,
    ) -> Result<(), Broken> {
        let Frame::Ask { id, topic, payload } = frame else { return Ok(()) };
        let (link, id) = (Link(between.number()), AskId(id));
        let ask = holder::Ask::decode(topic, &payload).map_err(|fault| fault.to_string())?;
        let who = self.incarnation(side, between.asker());
        let Some(host) = &mut self.machine_mut(side).host else { return Ok(()) };
        let instance = host.instance;
        let mut sending = None;
        if let holder::Ask::Send { connection, epoch, message, .. } = &ask
            && host.wires.contains_key(connection)
        {
            self.note(|| format!("{side:?} sends {} over {connection}", shown(message)));
            let place = Some(self.truth.sends(side, instance, *connection, message)?);
            sending = Some(Sending { place, connection: *connection, epoch: *epoch, who });
        }
        if let holder::Ask::Pass { connection, epoch, .. } = &ask {
            sending = Some(Sending { place: None, connection: *connection, epoch: *epoch, who });
        }
        if let Some(sending) = sending
            && let Some(host) = &mut self.machine_mut(side).host
        {
            host.sends.insert((link, id), sending);
        }
        self.with_holder(side, |holder, now| holder.ask(link, id, ask, now));
        Ok(())
    }

    fn sockets_tell(&mut self, side: Side, link: Link, event: &holder::Event) {
        let before = self.dice.one_in(2);
        if before {
            self.strike(side, Point::Event);
        }
        if !self.lives(side, Role::Sockets) {
            return;
        }
        let mut payload = Vec::new();
        event.encode(&mut payload);
        let frame = Frame::Event { topic: event.topic(), payload };
        self.post(side, between(link), frame, Millis(0));
        if !before {
            self.strike(side, Point::Event);
        }
    }

    /// Another process goes on with the sockets; or the one that began with it does, if that other
    /// one has failed.
    pub(crate) fn hand_over(&mut self, side: Side) -> Result<(), Broken> {
        self.with_holder(side, Holder::end_unsettled);
        while let Some(effect) =
            self.machine_mut(side).host.as_mut().and_then(|host| host.holder.poll())
        {
            self.sockets_do(side, effect)?;
        }
        let now = self.agenda.now;
        let Some(host) = self.machine_mut(side).host.take() else { return Ok(()) };
        let Host { holder, instance, wires, sends, .. } = host;
        let frozen = holder.freeze();
        let thawed = Holder::thaw(&frozen.bytes, terms(), CONNECTIONS_MAX, now);
        let (holder, connections) = thawed.map_err(|fault| fault.to_string())?;
        if connections != frozen.connections {
            return Err("a handover has lost connections".to_owned());
        }
        self.note(|| format!("{side:?} hands {} connections over", connections.len()));
        let fresh = Host::new(instance);
        self.machine_mut(side).host = Some(Host { holder, wires, sends, ..fresh });
        self.unlink_all(side, Role::Sockets);
        self.drive_later(side, Role::Sockets);
        Ok(())
    }
}

fn between(link: Link) -> Between {
    let all = crate::links::LINKS;
    *all.iter().find(|each| each.number() == link.0).expect("the world names its links")
}
