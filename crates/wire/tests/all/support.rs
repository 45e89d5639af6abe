//! What several tests need.

use wire::{Message, dice::Dice};

/// Bytes from hex; spaces are for the reader.
pub fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    assert_eq!(digits.len() % 2, 0, "{text}: half a byte");
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

/// Some messages of every type, each with its bytes.
pub fn samples(each: usize, seed: u64) -> impl Iterator<Item = (Message, Vec<u8>)> {
    let mut dice = Dice::new(seed);
    Message::ALL.iter().flat_map(move |(message_type, name)| {
        (0..each)
            .map(|_| {
                let message = Message::generate(*message_type, &mut dice).expect("it is listed");
                let bytes = message.encode().unwrap_or_else(|fault| panic!("{name}: {fault}"));
                (message, bytes)
            })
            .collect::<Vec<_>>()
    })
}

/// Changes a few bytes: flips, overwrites, cuts, doubles, inserts.
pub fn mutate(bytes: &mut Vec<u8>, dice: &mut Dice) {
    for _ in 0..=dice.below(3) {
        let at = dice.below(bytes.len());
        match dice.below(6) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, dice.throw() as u8),
            2 => bytes.extend_from_slice(&dice.bytes(12)),
            3 if !bytes.is_empty() => bytes[at] ^= 1 << dice.below(8),
            4 if !bytes.is_empty() => bytes[at] = [0, 1, 2, 0xfc, 0xfd, 0xfe, 0xff][dice.below(7)],
            _ if !bytes.is_empty() => drop(bytes.remove(at)),
            _ => {}
        }
    }
}
