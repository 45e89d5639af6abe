//! One node in this process: a thread for each service, a folder of its own.

use std::{
    net::SocketAddr,
    path::Path,
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use apart::{Place, WAIT, seed};

use node::{
    roles::{self, Plan, Running},
    services::post::{Command, Event, Refusal, Reply},
};
use noise::PublicKey;
use wire::Network;

pub struct Party {
    pub running: Option<Running>,
    pub place: Place,
    pub events: Receiver<Event>,
    pub seed: u8,
}

pub fn plan(dir: &Path, byte: u8) -> Plan {
    let listen = vec!["127.0.0.1:0".parse().expect("an address")];
    Plan { listen, ..Plan::whole(dir.to_owned(), Network::Regtest, seed(byte)) }
}

impl Party {
    pub fn start(byte: u8) -> Self {
        let place = Place::new();
        let plan = plan(place.path(), byte);
        Self::with(plan, place, byte)
    }

    pub fn with(plan: Plan, place: Place, seed: u8) -> Self {
        let (told, events) = channel();
        let tell = Box::new(move |event| {
            told.send(event).ok();
        });
        let running = roles::start(plan, tell).expect("it starts");
        let party = Self { running: Some(running), place, events, seed };
        let end = Instant::now() + WAIT;
        while party.info().is_none_or(|info| info.node.is_none() || !info.sockets) {
            assert!(Instant::now() < end, "it never got ready");
            std::thread::sleep(Duration::from_millis(5));
        }
        party
    }

    /// Ends it, and starts it again with what it has saved.
    pub fn again(mut self) -> Self {
        let address = self.address();
        self.stop();
        let mut plan = plan(self.place.path(), self.seed);
        plan.listen = vec![address];
        let place = std::mem::replace(&mut self.place, Place::new());
        Self::with(plan, place, self.seed)
    }

    pub fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
            running.wait().expect("it ends well");
        }
    }

    pub fn id(&self) -> PublicKey {
        self.info().and_then(|info| info.node).expect("it is ready")
    }

    pub fn address(&self) -> SocketAddr {
        self.running.as_ref().expect("it runs").listening[0]
    }

    pub fn call(&self, command: Command) -> Result<Reply, Refusal> {
        let (told, reply) = channel();
        let bell = self.running.as_ref().and_then(|running| running.bell.as_ref());
        let answer = Box::new(move |reply| {
            told.send(reply).ok();
        });
        bell.expect("it has a node").call(command, answer)?;
        reply.recv_timeout(WAIT).expect("every call is answered")
    }

    pub fn info(&self) -> Option<node::services::post::Info> {
        let Ok(Reply::Info(info)) = self.call(Command::Info) else { return None };
        Some(info)
    }

    pub fn peers(&self) -> Vec<PublicKey> {
        let Ok(Reply::Peers(peers)) = self.call(Command::Peers) else { return Vec::new() };
        peers.iter().map(|peer| peer.node).collect()
    }

    pub fn connect(&self, other: &Self) -> Result<Reply, Refusal> {
        self.call(Command::Connect { node: other.id(), address: other.address() })
    }

    /// Waits for an event.
    pub fn until<T>(&self, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
        let end = Instant::now() + WAIT;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let event = self.events.recv_timeout(left).expect("it never came");
            if let Some(found) = wanted(event) {
                return found;
            }
        }
    }

    pub fn until_connected(&self) {
        self.until(|event| matches!(event, Event::PeerConnected(_)).then_some(()));
    }
}

impl Drop for Party {
    fn drop(&mut self) {
        self.stop();
    }
}
