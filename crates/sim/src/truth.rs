//! What is true in a world, seen from above, and what must never be.

use std::collections::{BTreeMap, BTreeSet};

use node::services::{
    clerk::Record,
    post::{Change, State},
};
use noise::PublicKey;
use peer::{Epoch, Seq, holder};
use wire::id::ConnectionId;

use crate::net::{Side, WireId};

/// Messages of the tests: odd and custom.
pub(crate) const NOTE: u16 = wire::custom::NOTE.first;

/// A rule that was broken.
pub(crate) type Broken = String;

/// One direction of a wire, named by who sends.
pub(crate) type Stream = (WireId, Side);

/// A note's number in the whole world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NoteId(pub(crate) u64);

/// One attempt to send a note.
pub(crate) type Place = (Stream, usize);

/// Whether the holder has taken a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Unknown,
    Sent,
    Refused,
}

#[derive(Default)]
struct Flow {
    /// Ciphertext, in order, whoever made it.
    bytes: Vec<u8>,
    written: u64,
    sent: Vec<(NoteId, Fate)>,
    /// How many of those have been received, or never will be.
    got: usize,
    /// Notes that a client was given and a node may have saved as well.
    twice: BTreeSet<NoteId>,
}

/// One machine's disk.
#[derive(Default)]
pub(crate) struct Disk {
    pub(crate) snapshot: Option<Vec<u8>>,
    pub(crate) changes: Vec<Vec<u8>>,
    /// The sum of both.
    pub(crate) state: State,
    /// The last message of each connection that is durable, even of those that are over.
    durable: BTreeMap<(u64, ConnectionId), Seq>,
    /// Whom it was ever told to stay connected with: somebody may hang up the moment after.
    wanted: BTreeSet<PublicKey>,
}

/// Everything that is checked.
#[derive(Default)]
pub(crate) struct Truth {
    flows: BTreeMap<Stream, Flow>,
    /// Which wire a connection is, by its holder.
    wires: BTreeMap<(Side, u64, ConnectionId), WireId>,
    owners: BTreeMap<(Side, u64, ConnectionId, Epoch), u64>,
    newest: BTreeMap<(Side, u64, ConnectionId), Epoch>,
    places: BTreeMap<NoteId, Vec<Place>>,
    pub(crate) notes: u64,
    pub(crate) received: u64,
}

/// The text of a note: all that it needs to be known again.
pub(crate) fn note(id: NoteId, length: usize) -> Vec<u8> {
    let mut bytes = NOTE.to_be_bytes().to_vec();
    bytes.extend(id.0.to_be_bytes());
    bytes.extend((0..length).map(|at| (id.0 as usize + at) as u8));
    bytes
}

/// A note in a trace.
pub(crate) fn shown(bytes: &[u8]) -> String {
    id_of(bytes).map_or_else(|_| "no note".to_owned(), |NoteId(id)| format!("note {id}"))
}

fn id_of(bytes: &[u8]) -> Result<NoteId, Broken> {
    let (head, rest) = bytes.split_at_checked(10).ok_or("a note is cut")?;
    let id = u64::from_be_bytes(head[2..].try_into().expect("eight bytes"));
    match bytes == note(NoteId(id), rest.len()) {
        true => Ok(NoteId(id)),
        false => Err(format!("note {id} has changed on its way")),
    }
}

impl Truth {
    /// A holder has a connection over this wire.
    pub(crate) fn named(&mut self, side: Side, holder: u64, id: ConnectionId, wire: WireId) {
        self.wires.insert((side, holder, id), wire);
    }

    pub(crate) fn wire(&self, side: Side, holder: u64, id: ConnectionId) -> Result<WireId, Broken> {
        let wire = self.wires.get(&(side, holder, id));
        wire.copied().ok_or_else(|| format!("{side:?} speaks of connection {id}, which never was"))
    }

    /// A key has made these bytes of a stream. The same bytes may be made again; others would need
    /// the same key and nonce a second time.
    pub(crate) fn encrypted(
        &mut self,
        stream: Stream,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), Broken> {
        let flow = self.flows.entry(stream).or_default();
        let at = offset as usize;
        if at > flow.bytes.len() {
            return Err(format!("{stream:?}: bytes from {at} on, {} were made", flow.bytes.len()));
        }
        let known = bytes.len().min(flow.bytes.len() - at);
        if flow.bytes[at..at + known] != bytes[..known] {
            return Err(format!("{stream:?}: a nonce was used twice, at byte {at}"));
        }
        flow.bytes.extend_from_slice(&bytes[known..]);
        Ok(())
    }

    /// A holder writes to a socket.
    pub(crate) fn written(&mut self, stream: Stream, bytes: &[u8]) -> Result<(), Broken> {
        let flow = self.flows.entry(stream).or_default();
        let offset = flow.written;
        flow.written += bytes.len() as u64;
        self.encrypted(stream, offset, bytes)
    }

    /// A holder acts for somebody, in the name of this epoch.
    pub(crate) fn acted(
        &mut self,
        side: Side,
        holder: u64,
        id: ConnectionId,
        epoch: Epoch,
        who: u64,
    ) -> Result<(), Broken> {
        let owner = *self.owners.entry((side, holder, id, epoch)).or_insert(who);
        if owner != who {
            let epoch = epoch.0;
            return Err(format!("connection {id} has two owners in epoch {epoch}: {owner}, {who}"));
        }
        let newest = self.newest.entry((side, holder, id)).or_insert(epoch);
        if *newest > epoch {
            return Err(format!("connection {id}: {epoch:?} acts after {newest:?}"));
        }
        *newest = epoch;
        Ok(())
    }

    /// A note is on its way to a holder, or to the peer.
    pub(crate) fn sends(
        &mut self,
        side: Side,
        holder: u64,
        id: ConnectionId,
        message: &[u8],
    ) -> Result<Place, Broken> {
        let stream = (self.wire(side, holder, id)?, side);
        let note = id_of(message)?;
        let flow = self.flows.entry(stream).or_default();
        let place = (stream, flow.sent.len());
        flow.sent.push((note, Fate::Unknown));
        self.places.entry(note).or_default().push(place);
        Ok(place)
    }

    pub(crate) fn fate(&mut self, (stream, at): Place, fate: Fate) -> Result<(), Broken> {
        let entry = self.flows.get_mut(&stream).and_then(|flow| flow.sent.get_mut(at));
        let Some((note, known)) = entry else { return Ok(()) };
        *known = fate;
        let note = *note;
        let places = self.places.get(&note).into_iter().flatten();
        let fates = places.filter_map(|(stream, at)| self.flows.get(stream)?.sent.get(*at));
        match fates.filter(|(_, fate)| *fate == Fate::Sent).count() {
            0 | 1 => Ok(()),
            many => Err(format!("{note:?} was sent {many} times")),
        }
    }

    /// A client was given this note, which its node may have saved.
    pub(crate) fn given(
        &mut self,
        side: Side,
        holder: u64,
        id: ConnectionId,
        message: &[u8],
    ) -> Result<(), Broken> {
        let stream = (self.wire(side, holder, id)?, side.other());
        let note = id_of(message)?;
        self.flows.entry(stream).or_default().twice.insert(note);
        Ok(())
    }

    /// A note is safe with whom it was for.
    pub(crate) fn got(
        &mut self,
        side: Side,
        holder: u64,
        id: ConnectionId,
        message: &[u8],
    ) -> Result<(), Broken> {
        let stream = (self.wire(side, holder, id)?, side.other());
        let note = id_of(message)?;
        let flow = self.flows.entry(stream).or_default();
        let places = self.places.get(&note).into_iter().flatten();
        let mut places = places.filter(|(over, _)| *over == stream);
        let Some((_, at)) = places.clone().find(|(_, at)| *at >= flow.got).copied() else {
            return match places.next().is_some() && flow.twice.remove(&note) {
                true => Ok(()),
                false => Err(format!("{note:?} came twice over {stream:?}, or was never sent")),
            };
        };
        let between = &flow.sent[flow.got..at];
        if let Some((lost, _)) = between.iter().find(|(_, fate)| *fate == Fate::Sent) {
            return Err(format!("{note:?} came over {stream:?}, and {lost:?} before it did not"));
        }
        flow.got = at + 1;
        self.received += 1;
        Ok(())
    }

    /// In a world at rest nothing is on its way over a wire that lives.
    pub(crate) fn at_rest(&self, wire: WireId) -> Result<(), Broken> {
        for side in [Side::A, Side::B] {
            let Some(flow) = self.flows.get(&(wire, side)) else { continue };
            let left = flow.sent[flow.got..].iter().find(|(_, fate)| *fate != Fate::Refused);
            if let Some((note, _)) = left {
                return Err(format!("{note:?} was sent over {wire:?} by {side:?} and never came"));
            }
        }
        Ok(())
    }
}

impl Disk {
    /// A batch is durable: what it says of notes.
    pub(crate) fn commit(
        &mut self,
        side: Side,
        records: &[Record],
        truth: &mut Truth,
    ) -> Result<(), Broken> {
        for record in records {
            match record {
                Record::Snapshot(bytes) => {
                    self.snapshot = Some(bytes.clone());
                    self.changes.clear();
                    let sum = State::decode(bytes).map_err(|fault| fault.to_string())?;
                    if sum != self.state {
                        return Err("a snapshot is not the sum of its changes".to_owned());
                    }
                }
                Record::Change { bytes, message } => {
                    self.changes.push(bytes.clone());
                    let change = Change::decode(bytes).map_err(|fault| fault.to_string())?;
                    let change = change.ok_or("a change that its own version passes over")?;
                    self.state.evolve(&change);
                    self.wanted.extend(self.state.wanted.keys());
                    if let (Change::Received { holder, connection, seq }, Some(message)) =
                        (&change, message)
                    {
                        self.durable.insert((*holder, *connection), *seq);
                        truth.got(side, *holder, *connection, &message.bytes)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// What a node starts from.
    pub(crate) fn restore(&self) -> Result<State, Broken> {
        let mut state = State::default();
        if let Some(bytes) = &self.snapshot {
            state = State::decode(bytes).map_err(|fault| fault.to_string())?;
        }
        for bytes in &self.changes {
            let change = Change::decode(bytes).map_err(|fault| fault.to_string())?;
            state.evolve(&change.ok_or("a change that its own version passes over")?);
        }
        match state == self.state {
            true => Ok(state),
            false => Err("what is restored is not what was saved".to_owned()),
        }
    }

    /// A question may leave only when its cause is durable.
    pub(crate) fn allows(&self, ask: &holder::Ask, holder: Option<u64>) -> Result<(), Broken> {
        match ask {
            holder::Ask::Subscribe { epoch } if *epoch > self.state.epoch => {
                Err(format!("{epoch:?} subscribes, {:?} is durable", self.state.epoch))
            }
            holder::Ask::Acknowledge { marks } => {
                for (id, seq) in marks {
                    let holder = holder.ok_or("marks for a holder that nobody knows")?;
                    if !self.has(holder, *id, *seq) {
                        return Err(format!("{seq:?} of connection {id} is not durable"));
                    }
                }
                Ok(())
            }
            holder::Ask::Subscribe { .. }
            | holder::Ask::Dial { .. }
            | holder::Ask::Tunnel { .. }
            | holder::Ask::Close { .. }
            | holder::Ask::Send { .. }
            | holder::Ask::Ping { .. }
            | holder::Ask::Delegate { .. }
            | holder::Ask::Reclaim { .. }
            | holder::Ask::Attach { .. }
            | holder::Ask::Credit { .. }
            | holder::Ask::Pass { .. }
            | holder::Ask::List { .. }
            | holder::Ask::Status => Ok(()),
        }
    }

    /// Whether a message is durable.
    pub(crate) fn has(&self, holder: u64, id: ConnectionId, seq: Seq) -> bool {
        self.durable.get(&(holder, id)).is_some_and(|durable| *durable >= seq)
    }

    /// Whether it was saved that a peer is to stay connected.
    pub(crate) fn has_wanted(&self, node: &PublicKey) -> bool {
        self.wanted.contains(node)
    }
}
