//! What happens, for whoever listens.

use std::sync::Arc;

use tokio::sync::broadcast;
use wire::{Hex, Network};

use super::{Events, chain, channels as paths, routes};
use crate::{
    api,
    services::{channels, post::Event, treasury},
};

/// Events that a slow listener may be behind.
const EVENTS_KEPT: usize = 1_024;

/// Hears what a service has to tell.
pub type Tell<E> = Box<dyn Fn(E) + Send>;

/// Those who put events in.
pub struct Tellers {
    /// For the post office.
    pub post: Tell<Event>,
    /// For the treasury.
    pub treasury: Tell<treasury::Event>,
    /// For the channels.
    pub channels: Tell<channels::Event>,
}

/// A channel for events, and those who put them in.
pub fn events(network: Network) -> (Events, Tellers) {
    let (events, _) = broadcast::channel(EVENTS_KEPT);
    let [of_post, of_treasury, of_channels] = [events.clone(), events.clone(), events.clone()];
    let post = move |event| {
        // Nobody may be listening.
        of_post.send(Arc::new(api::Event::from(&event))).ok();
    };
    let treasury = move |event| {
        of_treasury.send(Arc::new(chain::event(&event, network))).ok();
    };
    let channels = move |event| {
        of_channels.send(Arc::new(paths::event(&event))).ok();
    };
    let (post, treasury) = (Box::new(post), Box::new(treasury));
    (events, Tellers { post, treasury, channels: Box::new(channels) })
}

impl From<&Event> for api::Event {
    fn from(event: &Event) -> Self {
        match event {
            Event::PeerConnected(peer) => Self::PeerConnected { peer: routes::peer(peer) },
            Event::PeerDisconnected { node, connection, why } => Self::PeerDisconnected {
                node: node.to_string(),
                connection: connection.0,
                why: why.clone(),
            },
            Event::Message { node, connection, seq, bytes } => {
                let (head, payload) = bytes.split_at(wire::TYPE_BYTES.min(bytes.len()));
                let message_type = head.first_chunk().copied().map_or(0, u16::from_be_bytes);
                Self::Message {
                    node: node.to_string(),
                    connection: connection.0,
                    seq: seq.0,
                    message_type,
                    payload: Hex(payload).to_string(),
                }
            }
            Event::Complaint { node, fails, text } => {
                Self::Complaint { node: node.to_string(), fails: *fails, text: text.clone() }
            }
            Event::Signer { reachable } => Self::Signer { reachable: *reachable },
            Event::Sockets { reachable } => Self::Sockets { reachable: *reachable },
        }
    }
}
