//! Export and import: a connection that moved says the same bytes as one that stayed.

use noise::{Transport, TransportState};

use crate::parties::transports;

/// Messages around both rotations, where an owner changes.
fn positions() -> impl Iterator<Item = usize> {
    (0..3).chain(498..=502).chain(998..=1_002)
}

fn moved(transport: Transport) -> Transport {
    let exported = transport.into_state().ok().unwrap().export();
    let state = TransportState::import(exported.as_bytes()).ok().unwrap();
    let again = state.export();
    assert_eq!(again.as_bytes(), exported.as_bytes(), "byte for byte");
    TransportState::import(again.as_bytes()).ok().unwrap().into()
}

/// Sends message `at`; the receiver may move between header and body.
fn pass(
    sender: &mut Transport,
    mut receiver: Transport,
    at: usize,
    moving: bool,
) -> (Vec<u8>, Transport) {
    let message = format!("message {at}");
    let mut wire = Vec::new();
    sender.encrypt(message.as_bytes(), &mut wire).unwrap();
    let (header, body) = wire.split_first_chunk().unwrap();
    let length = receiver.decrypt_header(header).unwrap();
    assert_eq!(usize::from(length.get()), message.len());
    if moving {
        receiver = moved(receiver);
    }
    assert_eq!(receiver.decrypt_body(&mut body.to_vec()).unwrap(), message.as_bytes());
    (wire, receiver)
}

/// Runs past the second rotation; whoever `moves` says moves before message n, or inside it.
fn run(moves: impl Fn(usize) -> [bool; 3]) -> Vec<Vec<u8>> {
    let (mut sender, mut receiver) = transports();
    let mut wires = Vec::new();
    for at in 0..=1_005 {
        let [move_sender, move_receiver, inside] = moves(at);
        if move_sender {
            sender = moved(sender);
        }
        if move_receiver {
            receiver = moved(receiver);
        }
        let (wire, same) = pass(&mut sender, receiver, at, inside);
        receiver = same;
        wires.push(wire);
        // A word back now and then, so that the other direction is not at zero.
        if at % 7 == 0 {
            let (wire, same) = pass(&mut receiver, sender, at, inside);
            sender = same;
            wires.push(wire);
        }
    }
    wires
}

#[test]
fn moving_at_a_position_changes_no_byte() {
    let stayed = run(|_| [false; 3]);
    for position in positions() {
        assert!(run(|at| [at == position, false, false]) == stayed, "sender before {position}");
        assert!(run(|at| [false, at == position, false]) == stayed, "receiver before {position}");
        assert!(run(|at| [false, false, at == position]) == stayed, "inside {position}");
    }
}

#[test]
fn moving_always_changes_no_byte() {
    assert!(run(|_| [true; 3]) == run(|_| [false; 3]));
}
