//! A client of machine A: it takes the keys of a connection, uses them, and gives them back.

use client::Owner;
use peer::{
    Epoch,
    holder::{Answer, Ask, Event},
};
use wire::{
    id::ConnectionId,
    tick::{Millis, Tick},
};

use crate::{
    faults::Point,
    links::{Between, Frame, Role},
    net::Side,
    truth::{Broken, NOTE},
    world::World,
};

/// The process of a client.
#[derive(Default)]
pub(crate) struct Client {
    owner: Option<Owner>,
    /// What was asked of the holder, and not answered.
    asked: std::collections::BTreeMap<u64, Asked>,
    asks: u64,
    since: Tick,
    /// The holder of its connection.
    holder: u64,
    /// It takes nothing more.
    pub(crate) retires: bool,
}

enum Asked {
    Reclaim(ConnectionId, Epoch),
    Pass,
    Attach,
    Other,
}

/// Nodes' epochs count their starts; those of clients begin here.
const EPOCHS_FROM: u64 = 1_000;

impl World {
    /// The client does something, if it can.
    pub(crate) fn use_client(&mut self) -> Result<(), Broken> {
        let side = Side::A;
        if !self.machine(side).links[&Between::ClientSockets].up {
            return Ok(());
        }
        let (now, rest) = (self.agenda.now, self.dice.below(4_000) as u64);
        let Some(client) = &mut self.machine_mut(side).client else { return Ok(()) };
        match client.owner.take() {
            Some(owner) if client.retires || now.since(client.since) > Millis(rest) => {
                match owner.delegate() {
                    Ok(ask) => {
                        self.note(|| "the client gives the keys back".to_owned());
                        self.client_asks(ask, Asked::Other)?;
                    }
                    Err(owner) => client.owner = Some(*owner),
                }
            }
            Some(mut owner) => {
                let message = self.fresh_note();
                if owner.send(&message).is_ok() {
                    self.client_sends(owner.connection(), &message)?;
                }
                if let Some(client) = &mut self.machine_mut(side).client {
                    client.owner = Some(owner);
                }
            }
            None if client.retires || !client.asked.is_empty() => {}
            None => self.client_reclaims()?,
        }
        self.drive_client()
    }

    fn client_reclaims(&mut self) -> Result<(), Broken> {
        let Some(host) = &self.machine(Side::A).host else { return Ok(()) };
        let Some(connection) = host.wires.keys().next_back().copied() else { return Ok(()) };
        self.client_epochs += 2;
        let epoch = Epoch(EPOCHS_FROM + self.client_epochs);
        self.client_asks(Ask::Reclaim { connection, epoch }, Asked::Reclaim(connection, epoch))
    }

    fn client_sends(&mut self, connection: ConnectionId, message: &[u8]) -> Result<(), Broken> {
        let instance = self.machine(Side::A).client.as_ref().ok_or("it sends")?.holder;
        // Its ciphertext exists now. Whether it ever leaves is another matter: nothing of this
        // connection comes behind it if it does not.
        self.truth.sends(Side::A, instance, connection, message).map(|_| ())
    }

    /// Asks what the client's owner has to ask.
    pub(crate) fn drive_client(&mut self) -> Result<(), Broken> {
        loop {
            let Some(client) = &mut self.machine_mut(Side::A).client else { return Ok(()) };
            let Some(ask) = client.owner.as_mut().and_then(Owner::poll) else { return Ok(()) };
            let asked = if matches!(ask, Ask::Pass { .. }) {
                Asked::Pass
            } else if matches!(ask, Ask::Attach { .. }) {
                Asked::Attach
            } else {
                Asked::Other
            };
            self.client_asks(ask, asked)?;
        }
    }

    fn client_asks(&mut self, ask: Ask, asked: Asked) -> Result<(), Broken> {
        let side = Side::A;
        if let Ask::Pass { connection, offset, bytes, .. } = &ask {
            let holder = self.machine(side).client.as_ref().ok_or("it asks")?.holder;
            let wire = self.truth.wire(side, holder, *connection)?;
            self.truth.encrypted((wire, side), *offset, bytes)?;
        }
        self.strike(side, Point::ClientAsk);
        let Some(client) = &mut self.machine_mut(side).client else { return Ok(()) };
        client.asks += 1;
        let id = client.asks;
        client.asked.insert(id, asked);
        let frame = Frame::Ask { id, topic: ask.topic(), payload: ask.encode().to_vec() };
        self.post(side, Between::ClientSockets, frame, Millis(0));
        Ok(())
    }

    pub(crate) fn client_linked(&mut self, side: Side) {
        if let Some(client) = &mut self.machine_mut(side).client
            && let Some(owner) = &mut client.owner
        {
            owner.link_came();
        }
    }

    pub(crate) fn client_unlinked(&mut self, side: Side) {
        if let Some(client) = &mut self.machine_mut(side).client {
            client.asked.clear();
        }
    }

    pub(crate) fn client_hears(&mut self, side: Side, frame: Frame) -> Result<(), Broken> {
        let now = self.agenda.now;
        let instance = self.machine(side).host.as_ref().map(|host| host.instance);
        let Some(client) = &mut self.machine_mut(side).client else { return Ok(()) };
        match frame {
            Frame::Answer { id, topic, payload } => {
                let answer = Answer::decode(topic, &payload).map_err(|fault| fault.to_string())?;
                let asked = client.asked.remove(&id);
                match (asked, answer) {
                    (Some(Asked::Reclaim(connection, epoch)), Answer::Reclaimed(reclaimed)) => {
                        let unsaved: Vec<_> =
                            reclaimed.unsaved.iter().map(|(_, bytes)| bytes.clone()).collect();
                        client.owner = Some(Owner::reclaimed(connection, epoch, reclaimed));
                        client.since = now;
                        client.holder = instance.ok_or("an answer of nobody")?;
                        self.note(|| format!("the client has the keys of {connection}"));
                        for bytes in unsaved {
                            let instance = instance.ok_or("an answer of nobody")?;
                            self.truth.given(side, instance, connection, &bytes)?;
                        }
                    }
                    (Some(Asked::Pass | Asked::Attach | Asked::Other), Answer::Refused(denial)) => {
                        self.note(|| format!("the client is refused: {denial}"));
                        client_gives_up(self, side);
                    }
                    (Some(Asked::Attach), _) => {
                        if let Some(owner) = &mut client.owner {
                            owner.attached();
                        }
                    }
                    (Some(Asked::Pass), _) => {
                        if let Some(owner) = &mut client.owner {
                            owner.answered().map_err(|fault| format!("the client: {fault}"))?;
                        }
                    }
                    _ => {}
                }
            }
            Frame::Event { topic, payload } => {
                let event = Event::decode(topic, &payload).map_err(|fault| fault.to_string())?;
                if let Some(owner) = &mut client.owner {
                    owner.handle(&event).map_err(|fault| format!("the client: {fault}"))?;
                    if let Event::Closed { connection, .. } = event
                        && connection == owner.connection()
                    {
                        client.owner = None;
                    }
                }
            }
            Frame::Ask { .. } => {}
        }
        self.client_reads(side)?;
        self.drive_client()
    }

    fn client_reads(&mut self, side: Side) -> Result<(), Broken> {
        loop {
            let Some(client) = &mut self.machine_mut(side).client else { return Ok(()) };
            let Some(owner) = &mut client.owner else { return Ok(()) };
            let connection = owner.connection();
            let Some(message) = owner.message() else { return Ok(()) };
            if message[..2] == NOTE.to_be_bytes() {
                let instance = client.holder;
                self.truth.got(side, instance, connection, &message)?;
            }
        }
    }
}

/// A connection whose bytes are not passed is of no use.
fn client_gives_up(world: &mut World, side: Side) {
    if let Some(client) = &mut world.machine_mut(side).client {
        client.owner = None;
    }
    world.drive_later(side, Role::Client);
}
