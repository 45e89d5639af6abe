//! Messages: BOLT 8's vectors in both roles, lengths, forgeries.

use noise::{Death, Fault, Part, Sealed, Transport, TransportState};

use crate::parties::transports;
use crate::vectors::{HELLO, RK, SK, bytes, state};

#[test]
fn hello_1001_times_as_initiator() {
    let (mut initiator, mut responder) = transports();
    check_hellos(&mut initiator, &mut responder);
}

#[test]
fn hello_1001_times_in_the_other_role() {
    // The vectors fix keys, not roles: a responder that sends with those keys sends those bytes.
    let import = |sk, rk| Transport::from(TransportState::import(&state(sk, rk)).ok().unwrap());
    check_hellos(&mut import(SK, RK), &mut import(RK, SK));
}

fn check_hellos(sender: &mut Transport, receiver: &mut Transport) {
    for at in 0..=1001 {
        let mut wire = Vec::new();
        sender.encrypt(b"hello", &mut wire).unwrap();
        if let Some((_, want)) = HELLO.iter().find(|(vector, _)| *vector == at) {
            assert_eq!(wire, bytes(want), "message {at}");
        }
        assert_eq!(decrypt(receiver, &wire), Ok(b"hello".to_vec()), "message {at}");
    }
}

#[test]
fn lengths_at_the_edges_arrive_whole_and_beyond_them_are_refused() {
    let (mut sender, mut receiver) = transports();
    for length in [2, 3, 255, 256, 65_534, 65_535] {
        let message = vec![0xa5; length];
        let mut wire = Vec::new();
        sender.encrypt(&message, &mut wire).unwrap();
        assert_eq!(wire.len(), 18 + length + 16);
        assert_eq!(decrypt(&mut receiver, &wire), Ok(message));
    }
    for (length, want) in [
        (0, Fault::TooShort { got: 0, min: 2 }),
        (1, Fault::TooShort { got: 1, min: 2 }),
        (65_536, Fault::TooLong { got: 65_536, max: 65_535 }),
        (65_536 + 2, Fault::TooLong { got: 65_538, max: 65_535 }),
        (131_072, Fault::TooLong { got: 131_072, max: 65_535 }),
    ] {
        let mut wire = b"kept".to_vec();
        assert_eq!(sender.encrypt(&vec![0; length], &mut wire), Err(want));
        assert_eq!(wire, b"kept", "a refusal writes nothing");
    }
    let mut wire = Vec::new();
    sender.encrypt(b"still in step", &mut wire).unwrap();
    assert_eq!(decrypt(&mut receiver, &wire), Ok(b"still in step".to_vec()));
}

#[test]
fn a_length_without_room_for_a_type_closes_the_direction() {
    for got in [0_u16, 1] {
        let (sender, mut receiver) = transports();
        let mut forger = crate::model::Model::import(sender.into_state().ok().unwrap());
        let header = forger.seal(&got.to_be_bytes()).try_into().unwrap();
        let got = usize::from(got);
        let want = Err(Fault::TooShortReceived { got, min: 2 });
        assert_eq!(receiver.decrypt_header(&header).map(|_| ()), want);
        let cause = Death::TooShort { got };
        assert_eq!(receiver.decrypt_body(&mut [0; 16]), Err(Fault::Dead { cause }));
        assert_eq!(receiver.into_state().err(), Some(Fault::Dead { cause }));
    }
}

#[test]
fn every_flipped_bit_of_a_message_kills_the_receiving_direction_only() {
    let (mut initiator, _) = transports();
    let mut good = Vec::new();
    initiator.encrypt(b"hello", &mut good).unwrap();
    for bit in 0..good.len() * 8 {
        let (_, mut receiver) = transports();
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let sealed = if bit / 8 < 18 { Sealed::Header { rn: 0 } } else { Sealed::Body { rn: 1 } };
        assert_eq!(decrypt(&mut receiver, &bad), Err(Fault::Mac { sealed }), "bit {bit}");
        // The right bytes come too late: it stays dead, in every call.
        let dead = Fault::Dead { cause: Death::Mac(sealed) };
        for _ in 0..2 {
            assert_eq!(decrypt(&mut receiver, &good), Err(dead));
            assert_eq!(receiver.decrypt_body(&mut good.clone()[18..]), Err(dead));
            assert_eq!(receiver.due(), Err(dead));
        }
        // The other direction can still say why.
        receiver.encrypt(b"error", &mut Vec::new()).unwrap();
        assert_eq!(receiver.into_state().err(), Some(dead));
    }
}

#[test]
fn records_out_of_turn_or_of_wrong_size_change_nothing() {
    let (mut sender, mut receiver) = transports();
    let mut wire = Vec::new();
    sender.encrypt(b"hello", &mut wire).unwrap();
    let header: [u8; 18] = *wire.first_chunk().unwrap();

    let early = Fault::OutOfTurn { got: Part::Body, want: Part::Header };
    assert_eq!(receiver.decrypt_body(&mut wire[18..]), Err(early));
    assert_eq!(receiver.decrypt_header(&header).unwrap().get(), 5);
    let again = Fault::OutOfTurn { got: Part::Header, want: Part::Body };
    assert_eq!(receiver.decrypt_header(&header), Err(again));
    for size in [0, 1, 15, 16, 20, 22, 70_000] {
        let wrong = Fault::RecordBytes { part: Part::Body, got: size, want: 21 };
        assert_eq!(receiver.decrypt_body(&mut vec![0; size]), Err(wrong));
    }
    assert_eq!(receiver.decrypt_body(&mut wire[18..]).unwrap(), b"hello");
}

#[test]
fn a_message_cannot_be_replayed_swapped_or_dropped() {
    let (mut sender, _) = transports();
    let messages = [b"first", b"other"].map(|message| {
        let mut wire = Vec::new();
        sender.encrypt(message, &mut wire).unwrap();
        wire
    });
    let (_, mut receiver) = transports();
    decrypt(&mut receiver, &messages[0]).unwrap();
    let want = Err(Fault::Mac { sealed: Sealed::Header { rn: 2 } });
    assert_eq!(decrypt(&mut receiver, &messages[0]), want);
    let (_, mut receiver) = transports();
    let want = Err(Fault::Mac { sealed: Sealed::Header { rn: 0 } });
    assert_eq!(decrypt(&mut receiver, &messages[1]), want);
    let (_, mut receiver) = transports();
    let mixed = [&messages[0][..18], &messages[1][18..]].concat();
    let want = Err(Fault::Mac { sealed: Sealed::Body { rn: 1 } });
    assert_eq!(decrypt(&mut receiver, &mixed), want);
}

#[test]
fn our_own_messages_do_not_decrypt() {
    let (mut sender, _) = transports();
    let mut wire = Vec::new();
    sender.encrypt(b"hello", &mut wire).unwrap();
    let want = Err(Fault::Mac { sealed: Sealed::Header { rn: 0 } });
    assert_eq!(decrypt(&mut sender, &wire), want, "reflected");
}

/// Decrypts one whole message.
pub fn decrypt(receiver: &mut Transport, wire: &[u8]) -> Result<Vec<u8>, Fault> {
    let (header, body) = wire.split_first_chunk().unwrap();
    receiver.decrypt_header(header)?;
    receiver.decrypt_body(&mut body.to_vec()).map(|message| message.to_vec())
}
