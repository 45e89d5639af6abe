//! Which peers are connected, and which are to be.

use std::net::SocketAddr;

use noise::PublicKey;
use peer::{
    desk::Token,
    holder::{Answer, Ask, Opened},
};
use wire::{
    Body as _, Init,
    features::{Feature, Features},
    id::ConnectionId,
    tick::{Millis, Tick},
};

use super::{CallId, Change, Event, Passed, Post, Refusal, Reply};

/// A peer that is wanted is called again after this time,
pub const RETRY_MIN: Millis = Millis(1_000);
/// or after twice the last one, up to this time.
pub const RETRY_MAX: Millis = Millis(60_000);
/// Two calls that cross each other are told from a peer that calls again by this.
const CROSSING_MAX: Millis = Millis(5_000);

/// A connected peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerLine {
    /// Its connection.
    pub connection: ConnectionId,
    /// Its id.
    pub node: PublicKey,
    /// The address of the other end.
    pub address: SocketAddr,
    /// Whether we called.
    pub outbound: bool,
    /// What both will use.
    pub features: Vec<Feature>,
    /// Since when.
    pub since: Tick,
}

/// An attempt to reach a peer.
pub(super) struct Try {
    pub(super) address: SocketAddr,
    stage: Stage,
    /// How long to wait after the next failure.
    pause: Millis,
    /// Who wants to know.
    pub(super) calls: Vec<CallId>,
}

enum Stage {
    Waiting(Tick),
    Asked(Token),
    Dialing(ConnectionId),
}

impl Post {
    /// All connected peers, by connection.
    pub fn peers(&self) -> impl Iterator<Item = &PeerLine> {
        self.peers.values()
    }

    pub(super) fn next_try(&self) -> Option<Tick> {
        let due = self.tries.values().filter_map(|each| match each.stage {
            Stage::Waiting(at) => Some(at),
            Stage::Asked(_) | Stage::Dialing(_) => None,
        });
        due.min().filter(|_| self.desk.is_up())
    }

    /// The connections that were there before us are known now: what is missing is called.
    pub(super) fn caught(&mut self, now: Tick) {
        self.is_caught = true;
        // What became of calls while nobody listened is not told any more.
        let dialing = self.tries.iter();
        let dialing = dialing.filter(|(_, each)| matches!(each.stage, Stage::Dialing(_)));
        for node in dialing.map(|(node, _)| *node).collect::<Vec<_>>() {
            self.try_failed(node, "the sockets were gone for a moment", now);
        }
        let missing = self.state.wanted.iter();
        let missing = missing.filter(|(node, _)| !self.by_node.contains_key(node));
        for (node, address) in missing.map(|(node, at)| (*node, *at)).collect::<Vec<_>>() {
            self.try_again(node, address, now);
        }
        let known = &self.peers;
        let holder = self.desk.holder();
        let over = self
            .state
            .marks
            .keys()
            .filter(|(at, id)| Some(*at) != holder || !known.contains_key(id));
        for (holder, connection) in over.copied().collect::<Vec<_>>() {
            self.save(Change::Ended { holder, connection }, None);
        }
        self.dial_due(now);
    }

    /// Gives up calling a peer, and whatever is under way to it. Who asked for it is still to hear.
    pub(super) fn abandon(&mut self, node: &PublicKey) -> Option<Try> {
        let attempt = self.tries.remove(node)?;
        if let Stage::Dialing(connection) = attempt.stage {
            self.desk.ask(Ask::Close { connection });
        }
        Some(attempt)
    }

    /// Calls a peer as soon as that is possible.
    pub(super) fn try_again(&mut self, node: PublicKey, address: SocketAddr, now: Tick) {
        let (stage, pause, calls) = (Stage::Waiting(now), RETRY_MIN, Vec::new());
        let attempt = self.tries.entry(node).or_insert(Try { address, stage, pause, calls });
        attempt.address = address;
    }

    pub(super) fn dial_due(&mut self, now: Tick) {
        let due = self.tries.iter().filter(|(_, each)| match each.stage {
            Stage::Waiting(at) => at <= now,
            Stage::Asked(_) | Stage::Dialing(_) => false,
        });
        for node in due.map(|(node, _)| *node).collect::<Vec<_>>() {
            let attempt = self.tries.get_mut(&node).expect("found above");
            let ask = Ask::Dial { remote: node, address: attempt.address };
            // Without sockets it waits for `caught`.
            if let Some(token) = self.desk.ask(ask) {
                attempt.stage = Stage::Asked(token);
            }
        }
    }

    /// An answer to a call of ours, if it is one.
    pub(super) fn dial_answered(
        &mut self,
        token: Token,
        answer: Option<&Answer>,
        now: Tick,
    ) -> bool {
        let is_it = |each: &Try| matches!(each.stage, Stage::Asked(asked) if asked == token);
        let Some((node, attempt)) = self.tries.iter_mut().find(|(_, each)| is_it(each)) else {
            if let Some(Answer::Dialing { connection }) = answer {
                // It was given up before it had a number.
                self.desk.ask(Ask::Close { connection: *connection });
            }
            return false;
        };
        let node = *node;
        match answer {
            Some(Answer::Dialing { connection }) => attempt.stage = Stage::Dialing(*connection),
            Some(Answer::Refused(denial)) => {
                let why = denial.to_string();
                self.try_failed(node, &why, now);
            }
            _ => self.try_failed(node, "the sockets are gone", now),
        }
        true
    }

    pub(super) fn opened(&mut self, opened: Opened, now: Tick) {
        let Opened { connection, remote, address, outbound, init, .. } = opened;
        let Ok(init) = Init::read_body(&init) else {
            // The holder has read it with the same code.
            self.desk.ask(Ask::Close { connection });
            return;
        };
        let features = self.features.negotiate(&init.all_features()).unwrap_or_default();
        let both = Features::optional(&features);
        let peer = PeerLine { connection, node: remote, address, outbound, features, since: now };
        let other = self.by_node.get(&remote).and_then(|id| self.peers.get(id));
        if let Some(other) = other.filter(|other| self.keeps_other(other, &peer)).cloned() {
            self.desk.ask(Ask::Close { connection });
            return self.met(&other);
        }
        let before = self.by_node.insert(remote, connection);
        self.peers.insert(connection, peer.clone());
        if let Some(before) = before {
            self.desk.ask(Ask::Close { connection: before });
        }
        self.pass_peer(connection, remote, both);
        self.met(&peer);
        self.tell(Event::PeerConnected(peer));
    }

    /// A peer is connected, whoever called: those who asked for it hear so, and from now on it is
    /// to stay connected.
    fn met(&mut self, peer: &PeerLine) {
        let Some(Try { address, calls, .. }) = self.tries.remove(&peer.node) else { return };
        if !calls.is_empty() && self.state.wanted.get(&peer.node) != Some(&address) {
            self.save(Change::Wanted { node: peer.node, address }, None);
        }
        for call in calls {
            self.reply(call, Ok(Reply::Peer(peer.clone())));
        }
    }

    /// Of two connections to one peer the newer one stays: the older may be dead without our
    /// knowing. But when two calls have crossed, both ends must choose the same one: that of the
    /// lower id.
    fn keeps_other(&self, other: &PeerLine, newer: &PeerLine) -> bool {
        let crossing =
            other.outbound != newer.outbound && newer.since.since(other.since) <= CROSSING_MAX;
        let Some(node) = self.state.node else { return false };
        let outbound_stays = node.serialize() < newer.node.serialize();
        crossing && other.outbound == outbound_stays
    }

    pub(super) fn closed(&mut self, connection: ConnectionId, why: &str, now: Tick) {
        let dialing = |each: &Try| matches!(each.stage, Stage::Dialing(id) if id == connection);
        let attempt = self.tries.iter().find(|(_, each)| dialing(each));
        if let Some(node) = attempt.map(|(node, _)| *node) {
            self.try_failed(node, why, now);
        }
        let Some(peer) = self.peers.remove(&connection) else { return };
        if let Some(holder) = self.desk.holder()
            && self.state.marks.contains_key(&(holder, connection))
        {
            self.save(Change::Ended { holder, connection }, None);
        }
        let node = peer.node;
        self.passed.push_back(Passed::Went { connection });
        self.tell(Event::PeerDisconnected { node, connection, why: why.to_owned() });
        if self.by_node.get(&node) == Some(&connection) {
            self.by_node.remove(&node);
            if let Some(address) = self.state.wanted.get(&node).copied() {
                self.try_again(node, address, now + RETRY_MIN);
            }
        }
    }

    /// A call came to nothing: who asked for it is told, and who is wanted is called again.
    fn try_failed(&mut self, node: PublicKey, why: &str, now: Tick) {
        let Some(mut attempt) = self.tries.remove(&node) else { return };
        for call in std::mem::take(&mut attempt.calls) {
            self.reply(call, Err(Refusal::Unavailable { why: why.to_owned() }));
        }
        if self.state.wanted.contains_key(&node) && !self.by_node.contains_key(&node) {
            let jitter = self.dice.below(attempt.pause.0 as usize / 4 + 1) as u64;
            attempt.stage = Stage::Waiting(now + Millis(attempt.pause.0 + jitter));
            attempt.pause = Millis((attempt.pause.0 * 2).min(RETRY_MAX.0));
            self.tries.insert(node, attempt);
        }
    }
}
