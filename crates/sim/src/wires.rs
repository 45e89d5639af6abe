//! Bytes on their way between two sockets.

use wire::{id::ConnectionId, tick::Millis};

use crate::{
    net::{End, Side, Socket, Wire, WireId},
    truth::Broken,
    world::{ADDRESSES, Happening, World},
};

/// Bytes moved at once.
const PIECE_BYTES_MAX: usize = 700;

impl World {
    /// A holder calls the other machine.
    pub(crate) fn call(&mut self, side: Side, connection: ConnectionId) {
        let late = Millis(1 + self.dice.below(80) as u64);
        let at = self.agenda.now + late;
        self.at(at, Happening::Call { side, connection });
    }

    /// The call has come through: is somebody there?
    pub(crate) fn called(&mut self, side: Side, connection: ConnectionId) {
        let there = side.other();
        let Some(host) = &self.machine(side).host else { return };
        let instance = host.instance;
        let room = self.machine(there).host.as_ref().is_some_and(|host| host.holder.has_room());
        if !room {
            let why = "connection refused".to_owned();
            return self.with_holder(side, |holder, _| holder.call_refused(connection, why));
        }
        self.wires += 1;
        let id = WireId(self.wires);
        let mut accepted = ConnectionId(0);
        self.with_holder(there, |holder, now| {
            accepted = holder.accepted(ADDRESSES[side as usize], now);
        });
        let mut wire =
            Wire { ends: Default::default(), silent: false, stalled_until: self.agenda.now };
        wire.ends.insert(side, Socket::new(connection));
        wire.ends.insert(there, Socket::new(accepted));
        self.net.insert(id, wire);
        for (end, connection) in [(side, connection), (there, accepted)] {
            if let Some(host) = &mut self.machine_mut(end).host {
                host.wires.insert(connection, id);
                let instance = host.instance;
                self.truth.named(end, instance, connection, id);
            }
        }
        self.note(|| {
            format!("{side:?} {connection} is {there:?} {accepted}, {id:?} of {instance:x}")
        });
        self.with_holder(side, |holder, now| holder.connected(connection, now));
    }

    pub(crate) fn write(
        &mut self,
        side: Side,
        connection: ConnectionId,
        bytes: &[u8],
    ) -> Result<(), Broken> {
        let Some(id) = self.wire_of(side, connection) else { return Ok(()) };
        self.truth.written((id, side), bytes)?;
        if let Some(socket) = self.socket((id, side)) {
            socket.unsent.extend(bytes);
        }
        self.send_later((id, side));
        Ok(())
    }

    /// A holder has closed a socket: what was written goes out first.
    pub(crate) fn close_socket(&mut self, side: Side, connection: ConnectionId) {
        let Some(id) = self.wire_of(side, connection) else { return };
        if let Some(host) = &mut self.machine_mut(side).host {
            host.wires.remove(&connection);
        }
        if let Some(socket) = self.socket((id, side)) {
            socket.closing = true;
        }
        self.send_later((id, side));
    }

    fn send_later(&mut self, end: End) {
        let late = Millis(self.dice.below(12) as u64);
        let now = self.agenda.now;
        let Some(wire) = self.net.get_mut(&end.0) else { return };
        let at = (now + late).max(wire.stalled_until);
        let Some(socket) = wire.ends.get_mut(&end.1) else { return };
        if !socket.sending {
            socket.sending = true;
            self.at(at, Happening::Send { end });
        }
    }

    fn piece(&mut self) -> usize {
        match self.agenda.now < self.dribble_until {
            true => 1,
            false => 1 + self.dice.below(PIECE_BYTES_MAX),
        }
    }

    /// Some bytes arrive.
    pub(crate) fn sent(&mut self, end: End) {
        let (most, now) = (self.piece(), self.agenda.now);
        let Some(wire) = self.net.get_mut(&end.0) else { return };
        let (silent, stalled) = (wire.silent, wire.stalled_until);
        let Some(socket) = wire.ends.get_mut(&end.1) else { return };
        socket.sending = false;
        if stalled > now {
            return self.send_later(end);
        }
        let count = most.min(socket.unsent.len());
        let piece: Vec<u8> = socket.unsent.drain(..count).collect();
        let (more, closing) = (!socket.unsent.is_empty(), socket.closing);
        let connection = socket.connection;
        let far = (end.0, end.1.other());
        if !silent && let Some(other) = wire.ends.get_mut(&far.1) {
            other.unread.extend(&piece);
            other.ended |= closing && !more;
            self.read_later(far);
        }
        if count > 0 {
            self.with_holder(end.1, |holder, now| holder.written(connection, count, now));
        }
        if more {
            self.send_later(end);
        } else if closing && let Some(wire) = self.net.get_mut(&end.0) {
            wire.ends.remove(&end.1);
        }
    }

    fn read_later(&mut self, end: End) {
        let late = Millis(self.dice.below(8) as u64);
        let at = self.agenda.now + late;
        if let Some(socket) = self.socket(end)
            && !socket.reading
        {
            socket.reading = true;
            self.at(at, Happening::Read { end });
        }
    }

    /// A holder reads what has come, if it wants to.
    pub(crate) fn read(&mut self, end: End) {
        let (side, most, now) = (end.1, self.piece(), self.agenda.now);
        let Some(socket) = self.socket(end) else { return };
        socket.reading = false;
        let connection = socket.connection;
        let over = socket.ended && socket.unread.is_empty();
        let Some(host) = &self.machine(side).host else { return };
        if host.wires.get(&connection) != Some(&end.0) {
            return;
        }
        if over {
            self.drop_end(end);
            return self.with_holder(side, |holder, now| holder.closed(connection, now));
        }
        if !host.holder.wants_bytes(connection, now) {
            return;
        }
        let Some(socket) = self.socket(end) else { return };
        let count = most.min(socket.unread.len());
        let piece: Vec<u8> = socket.unread.drain(..count).collect();
        let more = !socket.unread.is_empty() || socket.ended;
        self.with_holder(side, |holder, now| holder.bytes(connection, &piece, now));
        if more {
            self.read_later(end);
        }
    }

    /// After anything that a holder has done it may want bytes again.
    pub(crate) fn read_again(&mut self, side: Side) {
        let Some(host) = &self.machine(side).host else { return };
        let ends: Vec<End> = host.wires.values().map(|id| (*id, side)).collect();
        for end in ends {
            let waits = self.socket(end).is_some_and(|it| !it.unread.is_empty() || it.ended);
            if waits {
                self.read_later(end);
            }
        }
    }

    /// The wire is cut: some of what was on its way arrives, and each end hears of it.
    pub(crate) fn cut_wire(&mut self, id: WireId) {
        let Some(wire) = self.net.get(&id) else { return };
        let sides: Vec<Side> = wire.ends.keys().copied().collect();
        for side in sides {
            let most = self.dice.below(PIECE_BYTES_MAX);
            let Some(wire) = self.net.get_mut(&id) else { return };
            let Some(socket) = wire.ends.get_mut(&side) else { continue };
            let count = most.min(socket.unsent.len());
            let piece: Vec<u8> = socket.unsent.drain(..count).collect();
            socket.unsent.clear();
            if let Some(other) = wire.ends.get_mut(&side.other()) {
                other.unread.extend(piece);
                other.ended = true;
            }
        }
        if let Some(wire) = self.net.get_mut(&id) {
            wire.silent = true;
        }
        for side in [Side::A, Side::B] {
            self.read_later((id, side));
        }
    }

    /// A machine's sockets die with their holder. The other ends hear so, or nothing.
    pub(crate) fn drop_sockets(&mut self, side: Side) {
        let ids: Vec<WireId> = self.net.keys().copied().collect();
        for id in ids {
            let told = !self.dice.one_in(4);
            let Some(wire) = self.net.get_mut(&id) else { continue };
            if wire.ends.remove(&side).is_none() {
                continue;
            }
            let silent = wire.silent;
            if let Some(other) = wire.ends.get_mut(&side.other()) {
                other.ended |= told && !silent;
                self.read_later((id, side.other()));
            }
        }
    }

    fn drop_end(&mut self, end: End) {
        if let Some(wire) = self.net.get_mut(&end.0) {
            wire.ends.remove(&end.1);
            if wire.ends.is_empty() {
                self.net.remove(&end.0);
            }
        }
    }

    fn socket(&mut self, end: End) -> Option<&mut Socket> {
        self.net.get_mut(&end.0)?.ends.get_mut(&end.1)
    }

    pub(crate) fn wire_of(&self, side: Side, connection: ConnectionId) -> Option<WireId> {
        self.machine(side).host.as_ref()?.wires.get(&connection).copied()
    }

    /// A wire between two that live, if there is one.
    pub(crate) fn some_wire(&mut self) -> Option<WireId> {
        let both = self.net.iter().filter(|(_, wire)| wire.ends.len() == 2 && !wire.silent);
        let ids: Vec<WireId> = both.map(|(id, _)| *id).collect();
        (!ids.is_empty()).then(|| ids[self.dice.below(ids.len())])
    }
}
