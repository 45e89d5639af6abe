//! The signer of a machine.

use noise::EphemeralKey;
use signer::{Channels, LinkId, NodeIndex, NodeKey, Seed, Signer};
use wire::{Network, tick::Millis};

use crate::{
    faults::Point,
    links::{Between, Frame, Role},
    net::Side,
    world::World,
};

/// How the next answer goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    #[default]
    Well,
    Late(Millis),
    Twice,
    Never,
    Refuses,
}

/// A signer's process.
pub(crate) struct Keys {
    signer: Signer,
}

/// The key of a machine: the same whenever its signer starts.
pub(crate) fn key(side: Side) -> NodeKey {
    seed(side).node_key(Network::Regtest, NodeIndex::FIRST)
}

fn seed(side: Side) -> Seed {
    let mut entropy = [0x41 + side as u8; 32];
    Seed::take(&mut entropy).expect("32 bytes are a seed")
}

impl Keys {
    pub(crate) fn new(side: Side) -> Self {
        let network = Network::Regtest;
        let channels = Channels::bolt3(seed(side).channel_keys(network, NodeIndex::FIRST));
        Self { signer: Signer::new(key(side), seed(side).wallet_key(network), channels) }
    }
}

impl World {
    pub(crate) fn signer_asked(&mut self, side: Side, between: Between, frame: Frame) {
        let Frame::Ask { id, payload, .. } = frame else { return };
        let Ok(ask) = signer::Ask::decode(&payload) else { return };
        let forget = matches!(ask, signer::Ask::Forget { .. });
        let (now, mut dice) = (self.agenda.now, self.dice.clone());
        let Some(keys) = &mut self.machine_mut(side).keys else { return };
        let link = LinkId(between.number());
        let answer = keys.signer.answer(link, ask, now, || {
            loop {
                if let Ok(key) = EphemeralKey::take(&mut dice.array()) {
                    break key;
                }
            }
        });
        self.dice = dice;
        let (topic, mut payload) = (0, answer.encode().bytes().to_vec());
        self.strike(side, Point::SignerAnswer);
        if !self.lives(side, Role::Signer) {
            return;
        }
        let mut late = Millis(0);
        if !forget {
            match std::mem::take(&mut self.machine_mut(side).mood) {
                Mood::Well => {}
                Mood::Late(by) => late = by,
                Mood::Twice => {
                    let frame = Frame::Answer { id, topic, payload: payload.clone() };
                    self.post(side, between, frame, Millis(0));
                }
                Mood::Never => return,
                Mood::Refuses => {
                    let connection = wire::id::ConnectionId(0);
                    let refusal = signer::Refusal::Busy { connection, have: 0, max: 0 };
                    payload = signer::Answer::Refused(refusal).encode().bytes().to_vec();
                }
            }
        }
        self.post(side, between, Frame::Answer { id, topic, payload }, late);
    }

    pub(crate) fn signer_unlinked(&mut self, side: Side, between: Between) {
        if let Some(keys) = &mut self.machine_mut(side).keys {
            keys.signer.unlink(LinkId(between.number()));
        }
    }
}
