//! A holder on its way to the process that takes over.

use std::{collections::VecDeque, sync::Arc};

use wire::{id::ConnectionId, reader::Reader, tick::Tick};
use zeroize::Zeroizing;

use super::{Entry, Event, Holder, events::Pending};
use crate::{
    api::Epoch,
    bytes::{Malformed, Put, Take},
    connection::{Connection, Terms},
};

/// The layout that [`Holder::freeze`] writes, and the only one that [`Holder::thaw`] reads.
pub const FROZEN_VERSION: u8 = 1;

/// All of a holder, as bytes. They hold the keys of its connections.
pub struct Frozen {
    /// The bytes.
    pub bytes: Zeroizing<Vec<u8>>,
    /// The connections in them, in order: their sockets go beside them.
    pub connections: Vec<ConnectionId>,
}

impl Holder {
    /// Ends the holder here. Its effects must have been done, after [`Holder::end_unsettled`].
    /// Whoever listened subscribes again where it wakes up.
    pub fn freeze(self) -> Frozen {
        let mut bytes = Zeroizing::new(Vec::with_capacity(self.connections.len() * 512));
        let to = &mut *bytes;
        to.u8(FROZEN_VERSION);
        to.u64(self.instance);
        to.u64(self.epoch.0);
        to.u64(self.last.0);
        let mut connections = Vec::new();
        let mut frozen = Zeroizing::new(Vec::new());
        for (id, entry) in self.connections {
            let Entry { connection, address, outbound, of_client, pending, .. } = *entry;
            let Ok(()) = connection.freeze(&mut frozen) else { continue };
            to.flag(true);
            to.u64(id.0);
            to.address(address);
            to.flag(outbound);
            to.flag(of_client);
            put_events(&pending.into_events(), to);
            to.run(&frozen);
            frozen.iter_mut().for_each(|byte| *byte = 0);
            frozen.clear();
            connections.push(id);
        }
        to.flag(false);
        Frozen { bytes, connections }
    }

    /// Goes on with what [`Holder::freeze`] wrote, as its only owner.
    pub fn thaw(
        bytes: &[u8],
        terms: Terms,
        connections_max: usize,
        now: Tick,
    ) -> Result<(Self, Vec<ConnectionId>), Malformed> {
        let mut reader = Reader::new(bytes);
        let from = &mut reader;
        match Take::u8(from)? {
            FROZEN_VERSION => {}
            got => return Err(Malformed::Kind { what: "a holder's state", got: got.into() }),
        }
        let instance = from.u64()?;
        let mut holder = Self::new(terms, instance, connections_max);
        holder.epoch = Epoch(from.count()?);
        holder.last = ConnectionId(from.count()?);
        let mut connections = Vec::new();
        while from.flag()? {
            let id = ConnectionId(from.u64()?);
            // They rise, and no later one takes their place.
            if id > holder.last || connections.last().is_some_and(|before| *before >= id) {
                return Err(Malformed::Kind { what: "a connection's number", got: id.0 });
            }
            let (address, outbound) = (from.address()?, from.flag()?);
            let (of_client, pending) = (from.flag()?, take_events(from)?);
            let mut frozen = Reader::new(from.run()?);
            let connection = Connection::thaw(&mut frozen, Arc::clone(&holder.terms), now)?;
            frozen.end()?;
            if connection.is_tunnel() {
                holder.alone.insert(id, now);
            }
            holder.admit(id, connection, address, outbound, now);
            if let Some(entry) = holder.connections.get_mut(&id) {
                // Behind those from before comes what was read on the way.
                let before = Pending::new(pending);
                let read = std::mem::replace(&mut entry.pending, before).into_events();
                read.into_iter().for_each(|event| entry.pending.push_back(event));
                entry.of_client = of_client;
            }
            connections.push(id);
        }
        reader.end()?;
        Ok((holder, connections))
    }
}

fn put_events(events: &VecDeque<Event>, to: &mut Vec<u8>) {
    to.u32(events.len() as u32);
    for event in events {
        let mut payload = Vec::new();
        event.encode(&mut payload);
        to.u16(event.topic());
        to.run(&payload);
    }
}

fn take_events(from: &mut Reader<'_>) -> Result<VecDeque<Event>, Malformed> {
    let count = Take::u32(from)?;
    (0..count).map(|_| Event::decode(Take::u16(from)?, from.run()?)).collect()
}
