//! Signed messages: what others signed is verified here, and what is signed here is what they sign.

use signer::{MESSAGE_BYTES_MAX, MessageSignature, NodeKey, SIGNATURE_CHARS, SignatureFault};

use crate::parties::node_key;
use crate::vectors::{BTCEC, KEY_ONE, SIGNED, VOID_24, array, point};

const GOOD: &str = SIGNED[0].2;

fn key(hex: &str) -> NodeKey {
    NodeKey::take(&mut array(hex)).unwrap_or_else(|fault| panic!("{fault}"))
}

#[test]
fn signatures_of_others_name_their_node() {
    for (name, message, signature, node) in SIGNED {
        let signature: MessageSignature = signature.parse().unwrap();
        assert_eq!(signature.recover(message.as_bytes()), Ok(point(node)), "{name}");
        let changed = format!("{message} ");
        assert_ne!(signature.recover(changed.as_bytes()), Ok(point(node)), "{name}");
    }
}

#[test]
fn signatures_read_are_written_again() {
    for (name, _, text, _) in SIGNED {
        assert_eq!(text.parse::<MessageSignature>().unwrap().to_string(), *text, "{name}");
    }
}

#[test]
fn we_sign_as_ldk_does() {
    let (_, message, want, _) = SIGNED[3];
    assert_eq!(key(KEY_ONE).sign_message(message.as_bytes()).to_string(), want);
}

#[test]
fn we_sign_as_lnd_does() {
    for (secret, message, want) in BTCEC {
        let signature = key(secret).sign_message(message.as_bytes());
        assert_eq!(signature.bytes(), &array(want), "{message}");
        assert_eq!(signature.recover(message.as_bytes()), Ok(key(secret).id()), "{message}");
    }
}

#[test]
fn what_a_node_signs_names_it() {
    let key = node_key(VOID_24);
    for len in [0, 1, 100, MESSAGE_BYTES_MAX] {
        let message = vec![b'x'; len];
        let text = key.sign_message(&message).to_string();
        assert_eq!(text.len(), SIGNATURE_CHARS);
        assert_eq!(text.parse::<MessageSignature>().unwrap().recover(&message), Ok(key.id()));
    }
}

/// The good signature with one character replaced.
fn with(at: usize, char: char) -> String {
    GOOD.chars().enumerate().map(|(i, good)| if i == at { char } else { good }).collect()
}

#[test]
fn text_that_is_no_signature_is_refused() {
    let character = |char, at| SignatureFault::Character { char, at };
    let length = |got| SignatureFault::Length { got, want: SIGNATURE_CHARS };
    let cases = [
        ("nothing", String::new(), length(0)),
        ("one less", GOOD[..103].into(), length(103)),
        ("one more", format!("{GOOD}y"), length(105)),
        ("a group more", format!("{GOOD}yyyyyyyy"), length(112)),
        ("twice", GOOD.repeat(2), length(208)),
        ("not in the alphabet", with(0, 'l'), character('l', 0)),
        ("v", with(50, 'v'), character('v', 50)),
        ("two", with(103, '2'), character('2', 103)),
        ("zero", with(7, '0'), character('0', 7)),
        ("capital", with(8, 'G'), character('G', 8)),
        ("not ASCII", with(5, '🦀'), character('🦀', 5)),
        ("line end", format!("{GOOD}\n"), character('\n', 104)),
        ("nul", with(1, '\0'), character('\0', 1)),
        // `f` and `1` are in the alphabet: what is wrong with hex is its length.
        ("hex", "1f".repeat(65), length(130)),
    ];
    for (name, text, want) in cases {
        assert_eq!(text.parse::<MessageSignature>(), Err(want), "{name}");
    }
}

#[test]
fn bytes_that_are_no_signature_are_refused() {
    let good = *GOOD.parse::<MessageSignature>().unwrap().bytes();
    for got in (0..=255).filter(|got| !(31..=34).contains(got)) {
        let mut bytes = good;
        bytes[0] = got;
        let want = SignatureFault::Header { got, min: 31, max: 34 };
        assert_eq!(MessageSignature::from_bytes(&bytes), Err(want));
    }
    for half in [1, 33] {
        let mut bytes = good;
        bytes[half..half + 32].fill(0xff);
        assert_eq!(MessageSignature::from_bytes(&bytes), Err(SignatureFault::Overflow));
    }
    for half in [1, 33] {
        let mut bytes = good;
        bytes[half..half + 32].fill(0);
        let signature = MessageSignature::from_bytes(&bytes).unwrap();
        assert_eq!(signature.recover(b"hi"), Err(SignatureFault::Unrecoverable));
    }
}

#[test]
fn another_recovery_id_is_another_node_or_none() {
    let (_, message, text, node) = SIGNED[0];
    let good = *text.parse::<MessageSignature>().unwrap().bytes();
    for header in 31..=34 {
        let mut bytes = good;
        bytes[0] = header;
        let found = MessageSignature::from_bytes(&bytes).unwrap().recover(message.as_bytes());
        assert_eq!(found == Ok(point(node)), header == good[0], "{header}");
    }
}
