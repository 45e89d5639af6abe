//! Streams that arrive in pieces.

use noise::{Fault, Part, Reader, Sealed, Transport};

use crate::dice::Dice;
use crate::parties::{states, transports};

/// Messages of all kinds of length and their ciphertext in one stream.
fn stream(dice: &mut Dice, sender: &mut Transport, count: usize) -> (Vec<Vec<u8>>, Vec<u8>) {
    let mut wire = Vec::new();
    let messages = (0..count)
        .map(|_| {
            let length = [2, 3, 16, 17, 130, 1_450, 2 + dice.below(4_000)][dice.below(7)];
            let message = dice.bytes(length);
            sender.encrypt(&message, &mut wire).unwrap();
            message
        })
        .collect();
    (messages, wire)
}

fn read_all(
    reader: &mut Reader,
    transport: &mut Transport,
    mut input: &[u8],
    into: &mut Vec<Vec<u8>>,
) -> Result<(), Fault> {
    while let Some(message) = reader.read(transport, &mut input)? {
        into.push(message.to_vec());
    }
    assert!(input.is_empty(), "nothing is left once nothing is returned");
    Ok(())
}

#[test]
fn any_pieces_give_the_same_messages() {
    for seed in 0..20 {
        let mut dice = Dice::new(seed);
        let (mut sender, mut receiver) = transports();
        let (messages, wire) = stream(&mut dice, &mut sender, 60);
        let (mut reader, mut got, mut rest) = (Reader::new(), Vec::new(), wire.as_slice());
        while !rest.is_empty() {
            let most = [1, 2, 17, 19, 100, 10_000][dice.below(6)];
            let (piece, later) = rest.split_at((1 + dice.below(most)).min(rest.len()));
            read_all(&mut reader, &mut receiver, piece, &mut got).unwrap();
            if dice.below(4) == 0 {
                reader.shrink();
            }
            rest = later;
        }
        assert_eq!(got, messages, "seed {seed}");
        assert_eq!(reader.end(&receiver), Ok(()));
    }
}

#[test]
fn every_cut_of_a_message_names_its_bytes() {
    let (mut sender, _) = transports();
    let mut wire = Vec::new();
    sender.encrypt(b"hello", &mut wire).unwrap();
    for cut in 0..=wire.len() {
        let (_, mut receiver) = transports();
        let mut reader = Reader::new();
        let mut messages = Vec::new();
        read_all(&mut reader, &mut receiver, &wire[..cut], &mut messages).unwrap();
        let want = match cut {
            0 | 39 => Ok(()),
            1..18 => Err(Fault::CutMessage { part: Part::Header, got: cut, want: 18 }),
            _ => Err(Fault::CutMessage { part: Part::Body, got: cut - 18, want: 21 }),
        };
        assert_eq!(reader.end(&receiver), want, "cut at {cut}");
        assert_eq!(messages.len(), usize::from(cut == 39));
    }
}

#[test]
fn a_stream_is_handed_over_at_any_byte() {
    let mut dice = Dice::new(1);
    let (mut sender, _) = transports();
    let (messages, wire) = stream(&mut dice, &mut sender, 3);
    for cut in 0..=wire.len() {
        let (mut first, mut got) = (Transport::from(states().1), Vec::new());
        let mut reader = Reader::new();
        read_all(&mut reader, &mut first, &wire[..cut], &mut got).unwrap();
        let (unread, state) = (reader.unread().to_vec(), first.into_state().ok().unwrap());

        let (mut second, mut reader) = (Transport::from(state), Reader::new());
        read_all(&mut reader, &mut second, &unread, &mut got).unwrap();
        read_all(&mut reader, &mut second, &wire[cut..], &mut got).unwrap();
        assert_eq!(got, messages, "handed over at {cut}");
    }
}

#[test]
fn a_forged_stream_stays_closed() {
    let (mut sender, mut receiver) = transports();
    let mut wire = Vec::new();
    sender.encrypt(b"hello", &mut wire).unwrap();
    let last = wire.len() - 1;
    wire[last] ^= 1;
    let (mut reader, mut input) = (Reader::new(), wire.as_slice());
    let sealed = Sealed::Body { rn: 1 };
    assert_eq!(reader.read(&mut receiver, &mut input), Err(Fault::Mac { sealed }));
    let dead = Fault::Dead { cause: noise::Death::Mac(sealed) };
    for _ in 0..2 {
        assert_eq!(reader.read(&mut receiver, &mut wire.as_slice()), Err(dead));
        assert_eq!(reader.end(&receiver), Err(dead));
    }
}

#[test]
fn a_reader_that_is_given_another_transport_refuses() {
    let (mut sender, mut receiver) = transports();
    let mut wire = Vec::new();
    sender.encrypt(&[7; 100], &mut wire).unwrap();
    let mut reader = Reader::new();
    assert_eq!(reader.read(&mut receiver, &mut &wire[..18 + 50]), Ok(None));
    let (_, mut other) = transports();
    let want = Fault::RecordBytes { part: Part::Header, got: 50, want: 18 };
    assert_eq!(reader.read(&mut other, &mut &wire[68..]), Err(want));
    // The right one goes on as if nothing had been.
    let message = reader.read(&mut receiver, &mut &wire[68..]).unwrap();
    assert_eq!(message, Some([7; 100].as_mut_slice()));
    assert_eq!(reader.unread(), [0; 0], "what has been handed out is not ciphertext to carry on");
}

#[test]
fn random_bytes_never_panic() {
    let mut dice = Dice::new(3);
    for _ in 0..200 {
        let (_, mut receiver) = transports();
        let mut reader = Reader::new();
        let count = dice.below(200);
        let noise = dice.bytes(count);
        let got = reader.read(&mut receiver, &mut noise.as_slice());
        assert_eq!(got.is_err(), count >= 18);
    }
}
