//! Connections between houses: what is on its way arrives in its order, until a cut at any byte.

use std::collections::{BTreeMap, VecDeque};

use node::services::channels;
use wire::{
    Message,
    id::ConnectionId,
    tick::{Millis, Tick},
};

use super::{Happening, World, keys};

/// What a message costs on the wire besides its own bytes.
const FRAME_BYTES: usize = 34;

/// All pairs of houses, and what connects them.
#[derive(Default)]
pub(crate) struct Roads {
    pairs: Vec<Pair>,
    wires: BTreeMap<ConnectionId, Wire>,
    last: u64,
}

struct Pair {
    ends: [usize; 2],
    current: Option<ConnectionId>,
}

/// One connection.
struct Wire {
    pair: usize,
    ends: [usize; 2],
    /// What is on its way to each end, and what it says.
    queues: [VecDeque<(Vec<u8>, Message)>; 2],
    /// When the last of it arrives.
    last: [Tick; 2],
    /// Which end has it.
    known: [bool; 2],
    broken: bool,
}

impl Roads {
    pub(crate) fn new(houses: usize) -> Self {
        let all = (0..houses).flat_map(|one| (0..one).map(move |other| [other, one]));
        let pairs = all.map(|ends| Pair { ends, current: None }).collect();
        Self { pairs, ..Self::default() }
    }

    pub(crate) fn count(&self) -> usize {
        self.pairs.len()
    }

    /// The connections that a house has, or is about to have.
    pub(crate) fn of(&self, house: usize) -> Vec<ConnectionId> {
        let mine = self.pairs.iter().filter(|pair| pair.ends.contains(&house));
        mine.filter_map(|pair| pair.current).collect()
    }
}

impl World {
    /// Both dial.
    pub(super) fn join(&mut self, pair: usize) {
        let ends = self.roads.pairs[pair].ends;
        if self.roads.pairs[pair].current.is_some() {
            return;
        }
        if ends.iter().any(|house| self.houses[*house].office.is_none()) {
            let at = self.agenda.now + Millis(700);
            return self.at(at, Happening::Join { pair });
        }
        self.roads.last += 1;
        let id = ConnectionId(self.roads.last);
        let last = [self.soon(60), self.soon(60)];
        for (end, at) in last.into_iter().enumerate() {
            self.at(at, Happening::Came { id, end });
        }
        let (queues, known) = (Default::default(), [false; 2]);
        let wire = Wire { pair, ends, queues, last, known, broken: false };
        self.roads.wires.insert(id, wire);
        self.roads.pairs[pair].current = Some(id);
    }

    /// One end has the connection.
    pub(super) fn came(&mut self, id: ConnectionId, end: usize) {
        let Some(wire) = self.roads.wires.get_mut(&id).filter(|wire| !wire.broken) else { return };
        let (house, peer) = (wire.ends[end], wire.ends[1 - end]);
        let Some(office) = &mut self.houses[house].office else { return };
        wire.known[end] = true;
        let node = keys::known(peer).node;
        office.channels.peer_came(id, node, channels::features(), false);
        self.note(|| format!("{house}: connected with {peer}"));
    }

    pub(super) fn send(
        &mut self,
        house: usize,
        id: ConnectionId,
        bytes: Vec<u8>,
        message: Message,
    ) {
        let soon = self.soon(30);
        let Some(wire) = self.roads.wires.get_mut(&id).filter(|wire| !wire.broken) else { return };
        let to = usize::from(wire.ends[0] == house);
        wire.queues[to].push_back((bytes, message));
        wire.last[to] = wire.last[to].max(soon);
        let at = wire.last[to];
        self.at(at, Happening::Deliver { id, to });
    }

    pub(super) fn deliver(&mut self, id: ConnectionId, to: usize) {
        let Some(wire) = self.roads.wires.get_mut(&id) else { return };
        let house = wire.ends[to];
        let Some((bytes, message)) = wire.queues[to].pop_front().filter(|_| wire.known[to]) else {
            return;
        };
        let Some(office) = &mut self.houses[house].office else { return };
        // As the post office passes them.
        if let Message::Error(said) = &message {
            let text = String::from_utf8_lossy(&said.data.0).into_owned();
            office.channels.complaint(id, said.channel_id, true, &text);
        } else if let Message::Warning(said) = &message {
            let text = String::from_utf8_lossy(&said.data.0).into_owned();
            office.channels.complaint(id, said.channel_id, false, &text);
        } else {
            office.channels.message(id, &bytes);
        }
        self.note(|| format!("{house}: hears {}", message.name()));
    }

    /// A connection breaks: of what is on its way some bytes arrive. One end may have said to let
    /// all arrive that it has sent.
    pub(super) fn cut(&mut self, id: ConnectionId, hung_up_by: Option<usize>) {
        let Some(wire) = self.roads.wires.get_mut(&id).filter(|wire| !wire.broken) else { return };
        wire.broken = true;
        for to in 0..2 {
            if hung_up_by == Some(wire.ends[1 - to]) {
                continue;
            }
            let on_its_way = wire.queues[to].iter().map(|(it, _)| it.len() + FRAME_BYTES);
            let mut left = self.dice.below(on_its_way.sum::<usize>() + 1);
            let mut whole = 0;
            for (bytes, _) in &wire.queues[to] {
                let Some(less) = left.checked_sub(bytes.len() + FRAME_BYTES) else { break };
                (left, whole) = (less, whole + 1);
            }
            wire.queues[to].truncate(whole);
        }
        let (pair, last, ends) = (wire.pair, wire.last, wire.ends);
        self.roads.pairs[pair].current = None;
        for (end, last) in last.into_iter().enumerate() {
            let at = last.max(self.agenda.now) + Millis(self.dice.below(800) as u64);
            self.at(at, Happening::Lost { id, end });
        }
        let at = self.agenda.now + Millis(50 + self.dice.below(2_000) as u64);
        self.at(at, Happening::Join { pair });
        self.note(|| format!("cut between {} and {}", ends[0], ends[1]));
    }

    /// One end sees that a connection is gone.
    pub(super) fn lost(&mut self, id: ConnectionId, end: usize) {
        let Some(wire) = self.roads.wires.get_mut(&id) else { return };
        let house = wire.ends[end];
        if std::mem::take(&mut wire.known[end])
            && let Some(office) = &mut self.houses[house].office
        {
            office.channels.peer_went(id);
        }
        let wire = &self.roads.wires[&id];
        if wire.known == [false; 2] {
            self.roads.wires.remove(&id);
        }
    }

    /// A house knows of no connection any more, and nobody has told its peers.
    pub(super) fn forget_roads(&mut self, house: usize) {
        for id in self.roads.of(house) {
            self.cut(id, None);
        }
        for wire in self.roads.wires.values_mut() {
            for end in 0..2 {
                if wire.ends[end] == house {
                    wire.known[end] = false;
                    wire.queues[end].clear();
                }
            }
        }
    }
}
