//! Who is connected, and to which channel a message goes.

use channel::Dialects;
use noise::PublicKey;
use wire::{
    Error, Message, Warning,
    features::Features,
    id::{ChannelId, ConnectionId, TemporaryChannelId},
};

use super::{ChannelName, Channels, Effect};

/// Messages of a peer that wait for a channel's turn, while our signer looks at something.
pub const HELD_MESSAGES_MAX: usize = 1_024;

/// A connected peer.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its id.
    pub node: PublicKey,
    /// What both can do.
    pub features: Features,
}

impl Channels {
    /// A peer can be talked to. One that was connected before this process had it is hung up on, if
    /// there is a channel with it: what was said there is not known.
    pub fn peer_came(
        &mut self,
        connection: ConnectionId,
        node: PublicKey,
        features: Features,
        is_old: bool,
    ) {
        let has_channel = |(name, _): (&ChannelName, _)| name.node == node;
        if is_old && self.live().any(has_channel) {
            let lease = self.lease.epoch();
            return self.act_leased(Effect::Hangup { lease, connection });
        }
        if let Some(before) = self.by_node.insert(node, connection)
            && before != connection
        {
            self.lose_peer(before);
            self.by_node.insert(node, connection);
        }
        self.peers.insert(connection, Peer { node, features });
        let names: Vec<_> =
            self.live().map(|(name, _)| *name).filter(|it| it.node == node).collect();
        for name in names {
            let dialects = self.dialects(connection);
            let outcome = self.state.channels[&name].channel.connected(dialects);
            self.lane(&name).connection = Some(connection);
            self.take(name, &outcome);
            self.tell_channel(&name);
        }
    }

    /// What both ends of a connection can do.
    pub(super) fn dialects(&self, connection: ConnectionId) -> Dialects {
        let features = self.peers.get(&connection).map(|peer| &peer.features);
        features.map_or_else(Dialects::default, |both| Dialects::of(both, both))
    }

    /// A connection is gone, or is not used any more.
    pub fn peer_went(&mut self, connection: ConnectionId) {
        self.unsay(connection);
        self.lose_peer(connection);
    }

    fn lose_peer(&mut self, connection: ConnectionId) {
        let Some(peer) = self.peers.remove(&connection) else { return };
        if self.by_node.get(&peer.node) == Some(&connection) {
            self.by_node.remove(&peer.node);
        }
        self.lose_openings(connection);
        let here = self.lanes.iter().filter(|(_, lane)| lane.connection == Some(connection));
        for name in here.map(|(name, _)| *name).collect::<Vec<_>>() {
            let lane = self.lane(&name);
            lane.connection = None;
            lane.inbox.clear();
            let outcome = self.state.channels[&name].channel.disconnected();
            self.take(name, &outcome);
            self.tell_channel(&name);
        }
    }

    /// A peer has said something.
    pub fn message(&mut self, connection: ConnectionId, bytes: &[u8]) {
        let Some(peer) = self.peers.get(&connection) else { return };
        let node = peer.node;
        if self.lease.is_full() {
            return self.hang_up(connection);
        }
        let message = match Message::decode(bytes) {
            Ok(message) => message,
            Err(fault) => {
                let warning = Warning::new(ChannelId::ALL, &fault.to_string());
                self.say(connection, &warning.into());
                return self.hang_up(connection);
            }
        };
        match route(&message) {
            Route::Open => self.asked_to_open(connection, node, message),
            Route::Temporary(id) => self.opening_said(connection, id, message),
            Route::Channel(id) => match self.by_id.get(&id).copied() {
                Some(name) if name.node == node => self.lane_said(name, connection, message),
                Some(_) | None => {
                    if let Some(message) = self.opening_heard(connection, id, message) {
                        self.no_such_channel(connection, id, &message);
                    }
                }
            },
            Route::Nobody => {}
        }
    }

    /// A peer complains. An `error` fails one channel, or all that it has with us.
    pub fn complaint(&mut self, connection: ConnectionId, id: ChannelId, fails: bool, text: &str) {
        let Some(node) = self.peers.get(&connection).map(|peer| peer.node) else { return };
        if !fails {
            return;
        }
        self.lose_opening(connection, id, text);
        let mine = self.live().filter(|(name, held)| {
            let is_meant = id == ChannelId::ALL || held.channel.channel_id() == id;
            name.node == node && is_meant
        });
        for name in mine.map(|(name, _)| *name).collect::<Vec<_>>() {
            let error = Error::new(self.state.channels[&name].channel.channel_id(), text);
            self.lane_said(name, connection, error.into());
        }
    }

    // BOLT 1: "SHOULD send `error` with the unknown `channel_id` in reply to messages of type
    // `32`-`255` related to unknown channels."
    fn no_such_channel(&mut self, connection: ConnectionId, id: ChannelId, message: &Message) {
        let text = format!("{}: no such channel", message.name());
        self.say(connection, &Error::new(id, &text).into());
    }

    pub(super) fn say(&mut self, connection: ConnectionId, message: &Message) {
        if !self.peers.contains_key(&connection) {
            return;
        }
        // What we make fits: its lists have limits, and texts are cut.
        if let Ok(bytes) = message.encode() {
            let lease = self.lease.epoch();
            self.act_leased(Effect::Send { lease, connection, bytes });
        }
    }

    /// Hangs up, and hears nothing of it any more.
    pub(super) fn hang_up(&mut self, connection: ConnectionId) {
        let lease = self.lease.epoch();
        self.act_leased(Effect::Hangup { lease, connection });
        self.lose_peer(connection);
    }
}

/// Whom a message is for.
enum Route {
    Open,
    Temporary(TemporaryChannelId),
    Channel(ChannelId),
    Nobody,
}

#[allow(clippy::wildcard_enum_match_arm, reason = "all other messages are of no channel")]
fn route(message: &Message) -> Route {
    match message {
        Message::OpenChannel(_) => Route::Open,
        Message::AcceptChannel(said) => Route::Temporary(said.temporary_channel_id),
        Message::FundingCreated(said) => Route::Temporary(said.temporary_channel_id),
        Message::FundingSigned(said) => Route::Channel(said.channel_id),
        Message::ChannelReady(said) => Route::Channel(said.channel_id),
        Message::Shutdown(said) => Route::Channel(said.channel_id),
        Message::ClosingSigned(said) => Route::Channel(said.channel_id),
        Message::ClosingComplete(said) => Route::Channel(said.channel_id),
        Message::ClosingSig(said) => Route::Channel(said.channel_id),
        Message::UpdateAddHtlc(said) => Route::Channel(said.channel_id),
        Message::UpdateFulfillHtlc(said) => Route::Channel(said.channel_id),
        Message::UpdateFailHtlc(said) => Route::Channel(said.channel_id),
        Message::UpdateFailMalformedHtlc(said) => Route::Channel(said.channel_id),
        Message::UpdateFee(said) => Route::Channel(said.channel_id),
        Message::CommitmentSigned(said) => Route::Channel(said.channel_id),
        Message::RevokeAndAck(said) => Route::Channel(said.channel_id),
        Message::ChannelReestablish(said) => Route::Channel(said.channel_id),
        _ => Route::Nobody,
    }
}
