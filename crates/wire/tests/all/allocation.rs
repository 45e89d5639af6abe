//! Reading any bytes allocates at most twice the message and 4 KiB.

use wire::{Message, dice::Dice};

use crate::support::{mutate, samples};

const SPARE_BYTES_MAX: u64 = 4_096;

fn stays_within_bounds(bytes: &[u8]) {
    let usage = counting::measure(|| drop(Message::decode(bytes)));
    let bound = 2 * bytes.len() as u64 + SPARE_BYTES_MAX;
    let used = usage.allocated_bytes;
    assert!(used <= bound, "{used} bytes allocated for {}: {:02x?}…", bytes.len(), &bytes[..2]);
}

#[test]
fn of_ordinary_and_mutated_messages() {
    let mut dice = Dice::new(1);
    for (_, mut bytes) in samples(30, 1) {
        stays_within_bounds(&bytes);
        mutate(&mut bytes, &mut dice);
        stays_within_bounds(&bytes);
    }
}

/// The worst that a peer can put into 65,535 bytes: as many as possible of the smallest thing.
#[test]
fn of_the_fullest_messages() {
    let fill = |head: &[u8], item: &[u8], at_len: Option<usize>| {
        let mut bytes = head.to_vec();
        while bytes.len() + item.len() <= 65_535 {
            bytes.extend_from_slice(item);
        }
        if let Some(at) = at_len {
            let len = u16::try_from(bytes.len() - at - 2).expect("a message's worth");
            bytes[at..at + 2].copy_from_slice(&len.to_be_bytes());
        }
        stays_within_bounds(&bytes);
        bytes
    };
    // Unknown records: empty ones under rising odd types, three bytes of type each.
    let mut records = vec![0, 18, 0, 0, 0, 0];
    for number in (0xfd_u16..).step_by(2).take(16_000) {
        records.extend_from_slice(&[0xfd, (number >> 8) as u8, number as u8, 0]);
    }
    stays_within_bounds(&records);
    assert!(Message::decode(&records).is_ok());

    // Query flags of one byte, behind a list of one channel.
    let mut flags = [&[1, 5][..], &[0; 32], &[0, 1, 0], &[1, 0xfd]].concat();
    let flag_bytes = 65_535 - flags.len() - 2;
    flags.extend_from_slice(&(flag_bytes as u16).to_be_bytes());
    flags.resize(65_535, 0);
    stays_within_bounds(&flags);
    assert!(Message::decode(&flags).is_ok());

    // Addresses of seven bytes; lists of short channel ids; HTLC signatures; chains.
    let mut node = vec![1, 1];
    node.resize(2 + 64 + 2 + 4 + 33 + 3 + 32 + 2, 0);
    let at = node.len() - 2;
    assert!(Message::decode(&fill(&node, &[1, 127, 0, 0, 1, 38, 7], Some(at))).is_ok());
    let query = [&[1, 5][..], &[0; 32], &[0, 0], &[0]].concat();
    assert!(Message::decode(&fill(&query, &[0; 8], Some(34))).is_ok());
    let mut commitment = vec![0, 132];
    commitment.resize(2 + 32 + 64 + 2, 0);
    let signatures = (65_535 - commitment.len()) / 64;
    commitment[98..100].copy_from_slice(&(signatures as u16).to_be_bytes());
    assert!(Message::decode(&fill(&commitment, &[1; 64], None)).is_ok());
    let mut init = vec![0, 16, 0, 0, 0, 0, 1, 0xfd];
    let chains = (65_535 - init.len() - 2) / 32 * 32;
    init.extend_from_slice(&(chains as u16).to_be_bytes());
    init.resize(init.len() + chains, 7);
    stays_within_bounds(&init);
    assert!(Message::decode(&init).is_ok());
}

/// Each list one item longer than a doubling would be content with, and an unknown record behind.
#[test]
fn of_lists_that_would_just_not_fit() {
    let reply = |first: usize, second: usize| {
        let mut bytes = [&[1, 8][..], &[0; 32], &[0; 8], &[1], &[0, 1, 0]].concat();
        for (record, zero, rows) in [(1, 1, first), (3, 0, second)] {
            bytes.push(record);
            wire::bigsize::write((zero + rows * 8) as u64, &mut bytes);
            bytes.resize(bytes.len() + zero + rows * 8, 0);
        }
        [&bytes[..], &[5, 0]].concat()
    };
    for rows in [513, 1_025, 2_049, 4_001] {
        for bytes in [reply(rows, rows), reply(rows, 0), reply(0, rows)] {
            stays_within_bounds(&bytes);
            assert!(Message::decode(&bytes).is_ok(), "{rows} rows");
        }
    }
    for items in [257_usize, 513, 1_000] {
        let mut init = vec![0, 16, 0, 0, 0, 0, 1, 0xfd];
        init.extend_from_slice(&((items * 32) as u16).to_be_bytes());
        init.resize(init.len() + items * 32, 7);
        init.extend_from_slice(&[5, 0]);
        stays_within_bounds(&init);
        assert!(Message::decode(&init).is_ok());
    }
}

/// A length field may promise what it likes.
#[test]
fn of_lengths_that_lie() {
    for (message_type, _) in Message::ALL {
        let mut bytes = message_type.to_be_bytes().to_vec();
        bytes.resize(100, 0xff);
        stays_within_bounds(&bytes);
        bytes.resize(60_000, 0xff);
        stays_within_bounds(&bytes);
    }
}
