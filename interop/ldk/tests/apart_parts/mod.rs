//! A link to the holder of the sockets, for whoever waits for each answer.

use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use apart::{Process, WAIT};

use bus::{CallFault, Caller, Kind};
use client::Owner;
use noise::{Effect as NoiseEffect, Initiator, PublicKey};
use peer::{
    Epoch,
    holder::{Answer, Ask, Event},
};
use wire::id::ConnectionId;

/// A link to the holder of the sockets.
pub struct Desk {
    caller: Caller,
}

impl Desk {
    pub fn reach(path: &Path) -> Self {
        Self { caller: Caller::connect(path).expect("it listens") }
    }

    pub fn ask(&mut self, ask: Ask) -> Answer {
        let topic = ask.topic();
        let frame = self.caller.ask(topic, &ask.encode(), WAIT).expect("every ask is answered");
        Answer::decode(frame.topic, &frame.payload).expect("an answer")
    }

    /// Asks, and does not care for the answer.
    pub fn send(&mut self, ask: Ask) {
        self.caller.send(ask.topic(), &ask.encode()).expect("there is room");
    }

    /// The next event, if one comes in time. Answers that nobody waits for are dropped.
    pub fn event(&mut self, wait: Duration) -> Option<Event> {
        loop {
            match self.caller.next(wait) {
                Ok(frame) if frame.kind == Kind::Event => {
                    return Some(Event::decode(frame.topic, &frame.payload).expect("an event"));
                }
                Ok(_) => {}
                Err(CallFault::Io(fault)) if is_late(&fault) => return None,
                Err(fault) => panic!("{fault}"),
            }
        }
    }

    /// The next event that has come already.
    pub fn waiting(&mut self) -> Option<Event> {
        self.event(Duration::from_millis(1))
    }

    /// Shakes hands through the sockets with the signer's key.
    pub fn tunnel(
        &mut self,
        signer: &Process,
        remote: PublicKey,
        address: SocketAddr,
    ) -> (Owner, ConnectionId) {
        let epoch = Epoch(1);
        let Answer::Dialing { connection } = self.ask(Ask::Tunnel { address, epoch }) else {
            panic!("there is room for a connection")
        };
        let mut keys = Caller::connect(&signer.path("sockets")).expect("the signer listens");
        let mut core = Initiator::new(remote);
        let (mut read, mut written) = (0, 0);
        loop {
            while let Some(effect) = core.poll() {
                match effect {
                    NoiseEffect::Ask(ask) => {
                        let ask = signer::Ask::Handshake { connection, ask };
                        let answer = keys.ask(ask.topic(), &ask.encode(), WAIT);
                        let mut payload = answer.expect("it answers").payload.to_vec();
                        match signer::Answer::decode(&mut payload) {
                            Ok(signer::Answer::Handshake { answer, .. }) => {
                                core.handle_answer(answer).expect("asked for");
                            }
                            _ => panic!("the signer says something else"),
                        }
                    }
                    NoiseEffect::Send(act) => {
                        let bytes = act.bytes().to_vec();
                        let pass = |bytes| Ask::Pass { connection, epoch, offset: written, bytes };
                        // The socket may not be connected yet.
                        let end = Instant::now() + WAIT;
                        while let Answer::Refused(why) = self.ask(pass(bytes.clone())) {
                            assert!(Instant::now() < end, "{why}");
                            std::thread::sleep(Duration::from_millis(5));
                        }
                        written += bytes.len() as u64;
                    }
                    NoiseEffect::Done { remote, transport } => {
                        let owner =
                            Owner::opened(connection, epoch, remote, transport, read, written);
                        return (owner, connection);
                    }
                }
            }
            if let Some(Event::Tunnel { bytes, .. }) = self.event(WAIT) {
                let taken = core.handle_bytes(&bytes).expect("act two");
                read += taken as u64;
                assert_eq!(taken, bytes.len(), "LDK waits for act three");
            }
        }
    }

    /// Works for an owner until the peer has said something of this type.
    pub fn until_message(&mut self, owner: &mut Owner, message_type: u16) -> Vec<u8> {
        let end = Instant::now() + WAIT;
        loop {
            assert!(Instant::now() < end, "it never came");
            while let Some(ask) = owner.poll() {
                let is_pass = matches!(ask, Ask::Pass { .. });
                assert!(matches!(self.ask(ask), Answer::Done));
                if is_pass {
                    owner.answered().expect("true bytes");
                }
            }
            if let Some(event) = self.event(Duration::from_millis(5)) {
                owner.handle(&event).expect("true bytes");
            }
            while let Some(message) = owner.message() {
                if message[..2] == message_type.to_be_bytes() {
                    return message;
                }
            }
        }
    }
}

fn is_late(fault: &std::io::Error) -> bool {
    matches!(fault.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}
