//! Our codec and LDK's give the same verdict and the same bytes again.

use std::collections::BTreeMap;

use interop_ldk::{
    codec::{BOTH_KNOW, Pairing},
    exceptions::{REWRITES, VERDICTS},
};
use wire::{Fault, Message, custom, dice::Dice};

/// Generated and mutated messages, over all types.
const MESSAGES: usize = 100_000;

#[derive(Default)]
struct Counts {
    accepted: usize,
    refused: usize,
    excepted: usize,
}

/// Changes a few bytes, with an eye for lengths, types and points.
fn mutate(body: &mut Vec<u8>, dice: &mut Dice) {
    for _ in 0..=dice.below(2) {
        let at = dice.below(body.len());
        match dice.below(8) {
            0 => body.truncate(at),
            1 => body.insert(at, dice.throw() as u8),
            2 => body.extend_from_slice(&dice.bytes(12)),
            3 => body.extend_from_slice(&[[1, 0], [3, 0], [2, 0], [200, 0]][dice.below(4)]),
            4 if !body.is_empty() => body[at] ^= 1 << dice.below(8),
            5 if !body.is_empty() => body[at] = [0, 1, 2, 0xfc, 0xfd, 0xfe, 0xff][dice.below(7)],
            6 if !body.is_empty() => drop(body.remove(at)),
            _ if body.len() >= 34 => {
                let at = dice.below(body.len() - 33);
                body[at..at + 33].copy_from_slice(&dice.array::<33>());
            }
            _ => {}
        }
    }
}

/// Most complaints are text, as in life; LDK accepts no other.
fn complain_in_words(message: &mut Message, dice: &mut Dice) {
    let data = match message {
        Message::Error(error) => &mut error.data.0,
        Message::Warning(warning) => &mut warning.data.0,
        _ => return,
    };
    if !dice.one_in(8) {
        data.iter_mut().for_each(|byte| *byte = b' ' + *byte % 95);
    }
}

fn compare(ldk: &Pairing, body: &[u8], counts: &mut Counts, excepted: &mut BTreeMap<&str, usize>) {
    let bytes = [&ldk.message_type.to_be_bytes(), body].concat();
    let ours = Message::decode(&bytes);
    let theirs = (ldk.again)(body);
    match (ours, theirs) {
        (Err(_), Err(_)) => counts.refused += 1,
        (Ok(message), Ok(again)) => {
            counts.accepted += 1;
            assert_eq!(message.encode().as_ref(), Ok(&bytes), "{}: ours again", ldk.name);
            same_bytes(ldk, message, &bytes, &again, excepted);
        }
        (ours, theirs) => {
            counts.excepted += 1;
            let fault: Option<Fault> = ours.err();
            let verdict = VERDICTS
                .iter()
                .find(|verdict| (verdict.holds)(ldk.message_type, &bytes, fault.as_ref()));
            let Some(verdict) = verdict else {
                let theirs = theirs.map(|_| "accepted");
                panic!("{}: ours {fault:?}, LDK {theirs:?}: {}", ldk.name, hex(&bytes))
            };
            *excepted.entry(verdict.name).or_default() += 1;
        }
    }
}

/// What LDK writes again is what we would write of what LDK kept.
fn same_bytes(
    ldk: &Pairing,
    mut message: Message,
    bytes: &[u8],
    again: &[u8],
    excepted: &mut BTreeMap<&str, usize>,
) {
    for rewrite in REWRITES {
        if (rewrite.apply)(&mut message) {
            *excepted.entry(rewrite.name).or_default() += 1;
        }
    }
    let want = message.encode().expect("it is no longer than it was");
    assert_eq!(hex(&want[2..]), hex(again), "{}: {}", ldk.name, hex(bytes));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn same_verdict_and_same_bytes() {
    let mut excepted = BTreeMap::new();
    println!("{:>28} {:>9} {:>9} {:>9}", "type", "accepted", "refused", "excepted");
    let each = MESSAGES.div_ceil(BOTH_KNOW.len());
    let mut total = 0;
    for ldk in BOTH_KNOW {
        let mut dice = Dice::new(u64::from(ldk.message_type));
        let mut counts = Counts::default();
        for round in 0..each {
            let mut message = Message::generate(ldk.message_type, &mut dice).expect("ours");
            complain_in_words(&mut message, &mut dice);
            let mut body = message.encode().expect("it fits").split_off(2);
            if round % 3 > 0 {
                mutate(&mut body, &mut dice);
            }
            compare(ldk, &body, &mut counts, &mut excepted);
        }
        let Counts { accepted, refused, excepted } = counts;
        println!("{:>28} {accepted:>9} {refused:>9} {excepted:>9}", ldk.name);
        assert!(accepted > each / 4 && refused > each / 50, "{}: lopsided", ldk.name);
        total += accepted + refused + excepted;
    }
    assert!(total >= MESSAGES);
    println!("{total} messages compared; exceptions used:");
    for (name, quote) in VERDICTS
        .iter()
        .map(|verdict| (verdict.name, verdict.quote))
        .chain(REWRITES.iter().map(|rewrite| (rewrite.name, rewrite.quote)))
    {
        println!("{:>9} × {name}. {quote}", excepted.get(name).unwrap_or(&0));
        assert!(excepted.contains_key(name), "an exception that nothing needs: {name}");
    }
}

#[test]
fn every_type_of_our_table_is_compared() {
    let bolts = Message::ALL.iter().copied().filter(|(number, _)| *number < custom::CUSTOM_MIN);
    let ours: BTreeMap<u16, &str> = bolts.collect();
    let theirs: BTreeMap<u16, &str> =
        BOTH_KNOW.iter().map(|ldk| (ldk.message_type, ldk.name)).collect();
    assert_eq!(ours, theirs);
}
