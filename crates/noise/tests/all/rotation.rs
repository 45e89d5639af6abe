//! Key rotation, beside the naive model.

use noise::{Reader, Transport};

use crate::dice::Dice;
use crate::messages::decrypt;
use crate::model::Model;
use crate::parties::{states, transports};

/// Both ends, and the model of each.
struct Pair {
    ends: [Transport; 2],
    models: [Model; 2],
    readers: [Reader; 2],
}

impl Pair {
    fn new() -> Pair {
        let ((one, two), (one_model, two_model)) = (transports(), states());
        Pair {
            ends: [one, two],
            models: [Model::import(one_model), Model::import(two_model)],
            readers: [Reader::new(), Reader::new()],
        }
    }

    /// Sends from one end to the other; the models do the same, and all must agree.
    fn send(&mut self, from: usize, message: &[u8]) {
        let mut wire = Vec::new();
        self.ends[from].encrypt(message, &mut wire).unwrap();
        assert_eq!(wire, self.models[from].encrypt(message));
        let to = 1 - from;
        assert_eq!(self.models[to].decrypt(&wire), message);
        let got = self.readers[to].read(&mut self.ends[to], &mut wire.as_slice()).unwrap();
        assert_eq!(got.as_deref(), Some(message));
    }

    /// Moves one end to another owner, through bytes.
    fn hand_over(&mut self, end: usize) {
        let (spare, _) = transports();
        let state = std::mem::replace(&mut self.ends[end], spare).into_state().ok().unwrap();
        let bytes = state.export();
        assert_eq!(bytes.as_bytes().as_slice(), self.models[end].canonical());
        let state = noise::TransportState::import(bytes.as_bytes()).ok().unwrap();
        self.ends[end] = state.into();
    }
}

#[test]
fn directions_rotate_independently() {
    let mut pair = Pair::new();
    for _ in 0..1_700 {
        pair.send(0, b"there");
    }
    for _ in 0..3 {
        pair.send(1, b"back");
    }
    for end in [0, 1] {
        pair.hand_over(end);
    }
    // Once more the other way round, so that each direction has rotated beside a busy one.
    for at in 0..1_700 {
        pair.send(1, b"back");
        if at % 500 == 499 {
            pair.send(0, b"there");
        }
    }
    pair.hand_over(0);
    pair.hand_over(1);
    pair.send(0, b"the last word");
    pair.send(1, b"is yours");
}

#[test]
fn random_traffic_agrees_with_the_model() {
    for seed in 0..3 {
        let mut dice = Dice::new(seed);
        let mut pair = Pair::new();
        let busier = dice.below(2);
        for _ in 0..2_200 {
            let from = if dice.below(4) == 0 { 1 - busier } else { busier };
            let length = 2 + dice.below(40);
            pair.send(from, &dice.bytes(length));
            if dice.below(50) == 0 {
                pair.hand_over(dice.below(2));
            }
        }
    }
}

#[test]
fn no_state_ever_shows_a_due_rotation() {
    let (mut sender, mut receiver) = transports();
    for at in 0..=1_001_u16 {
        let states = [sender, receiver].map(|end| end.into_state().ok().unwrap().export());
        let count = (2 * at % 1_000).to_be_bytes();
        assert_eq!(states[0].as_bytes()[65..67], count, "sn after {at} messages");
        assert_eq!(states[1].as_bytes()[131..133], count, "rn after {at} messages");
        [sender, receiver] = states
            .map(|bytes| noise::TransportState::import(bytes.as_bytes()).ok().unwrap().into());
        let mut wire = Vec::new();
        sender.encrypt(b"hello", &mut wire).unwrap();
        decrypt(&mut receiver, &wire).unwrap();
    }
}
