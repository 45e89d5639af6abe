//! Laws that hold for every message in the table.

use wire::{
    Fault, Message, Ping, TooLong, Unnamed, amount::ByteCount, custom, dice::Dice, id::ChannelId,
};

use crate::support::{hex, mutate, samples};

const EACH: usize = if cfg!(debug_assertions) { 60 } else { 600 };

#[test]
fn written_and_read_again() {
    for (message, bytes) in samples(EACH, 1) {
        assert_eq!(Message::decode(&bytes).as_ref(), Ok(&message));
        assert_eq!(bytes[..2], message.message_type().to_be_bytes());
        assert!(!format!("{message:?}").is_empty());
    }
}

#[test]
fn cut_at_every_byte() {
    for (message, bytes) in samples(4, 2) {
        for cut in 0..bytes.len() {
            // A cut between two records, or in bytes that are kept as they are, leaves a message.
            if let Ok(shorter) = Message::decode(&bytes[..cut]) {
                assert_eq!(shorter.encode().as_deref(), Ok(&bytes[..cut]), "{message:?}");
            }
        }
    }
}

#[test]
fn mutated() {
    let mut dice = Dice::new(3);
    let (mut accepted, mut refused) = (0, 0);
    for (_, mut bytes) in samples(EACH, 4) {
        mutate(&mut bytes, &mut dice);
        match Message::decode(&bytes) {
            Ok(message) => {
                accepted += 1;
                assert_eq!(message.encode(), Ok(bytes), "what is accepted is kept to the byte");
            }
            Err(fault) => {
                refused += 1;
                assert!(!fault.to_string().is_empty());
            }
        }
    }
    assert!(accepted > 100 && refused > 100, "{accepted} accepted, {refused} refused: too tame");
}

#[test]
fn noise_of_every_length() {
    let mut dice = Dice::new(5);
    for (message_type, _) in Message::ALL {
        for len in 0..400 {
            let mut bytes = message_type.to_be_bytes().to_vec();
            bytes.resize(2 + len, 0);
            dice.fill(&mut bytes[2..]);
            if let Ok(message) = Message::decode(&bytes) {
                assert_eq!(message.encode(), Ok(bytes));
            }
        }
    }
}

#[test]
fn types_are_listed_once_and_named_as_the_bolts_do() {
    let mut types: Vec<u16> = Message::ALL.iter().map(|(number, _)| *number).collect();
    types.sort_unstable();
    types.dedup();
    assert_eq!(types.len(), Message::ALL.len());
    for (number, name) in Message::ALL {
        let message = Message::generate(*number, &mut Dice::new(6)).expect("it is listed");
        assert_eq!((message.message_type(), message.name()), (*number, *name));
    }
}

#[test]
fn unknown_odd_messages_are_kept() {
    let bytes = hex("8201 68656c6c6f");
    let message = Message::decode(&bytes).expect("odd");
    let Message::Unknown(note) = &message else { panic!("{message:?} is not in the table") };
    assert!(custom::NOTE.holds(note.message_type()));
    assert_eq!(note.payload(), b"hello");
    assert_eq!(message.encode(), Ok(bytes));
}

#[test]
fn what_nobody_could_read_is_not_made() {
    let even = Unnamed::new(32_770, vec![]);
    assert_eq!(even, Err(Fault::UnknownEven { message_type: 32_770 }));
}

#[test]
fn over_long_messages_are_refused_both_ways() {
    let most = Message::from(Ping::new(ByteCount(0), 65_535 - 6));
    assert_eq!(most.encode().map(|bytes| bytes.len()), Ok(65_535));
    let more = Message::from(Ping::new(ByteCount(0), 65_535 - 5));
    let fault = TooLong { have: 65_536 };
    let mut untouched = vec![1, 2, 3];
    assert_eq!(more.encode_into(&mut untouched), Err(fault));
    assert_eq!(untouched, [1, 2, 3]);
    assert_eq!(Message::decode(&vec![0; 65_536]), Err(fault.into()));
}

#[test]
fn pongs_are_as_long_as_asked() {
    for bytes in [0, 1, 65_531] {
        let pong = Ping::new(ByteCount(bytes), 0).pong().expect("below the limit");
        assert_eq!(pong.ignored.0.len(), usize::from(bytes));
        assert!(Message::from(pong).encode().is_ok());
    }
    assert_eq!(Ping::new(ByteCount(65_532), 0).pong(), None);
    assert_eq!(Ping::new(ByteCount(65_535), 0).pong(), None);
}

#[test]
fn unknown_records_keep_their_place_among_known_ones() {
    // `networks` is 1, `remote_addr` is 3: unknown records stand before, between and behind.
    let networks = format!("01 20 {}", "00".repeat(32));
    let address = "03 07 01 7f000001 2607";
    let bytes = hex(&format!("0010 0000 0000 {networks} {address} 05 00 fe00010001 02 abcd"));
    let Ok(Message::Init(mut init)) = Message::decode(&bytes) else { panic!("init") };
    assert_eq!(Message::from(init.clone()).encode().as_ref(), Ok(&bytes));

    init.extension.insert(65_539, b"three").expect("odd");
    init.extension.insert(65_537, b"one").expect("odd");
    let records = "05 00 fe00010001 03 6f6e65 fe00010003 05 7468726565";
    let want = hex(&format!("0010 0000 0000 {networks} {address} {records}"));
    assert_eq!(Message::from(init.clone()).encode(), Ok(want));
    (init.networks, init.remote_addr) = (None, None);
    let want = hex(&format!("0010 0000 0000 {records}"));
    assert_eq!(Message::from(init).encode(), Ok(want));
}

#[test]
fn secrets_do_not_reach_debug_text() {
    // Where each message carries what must not be printed, behind the type.
    for (message_type, place) in [(130, 42..74), (133, 34..66), (136, 50..82)] {
        let message = Message::generate(message_type, &mut Dice::new(7)).expect("it is listed");
        let bytes = message.encode().expect("it fits");
        let shown = format!("{message:?}");
        let secret = wire::Hex(&bytes[place][..4]).to_string();
        assert!(!shown.contains(&secret) && shown.contains("(…)"), "{shown}");
    }
}

#[test]
fn all_channels_is_all_zero() {
    assert_eq!(ChannelId::ALL.0, [0; 32]);
}
