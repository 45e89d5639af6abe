//! A message that we sign verifies in LDK, and one that LDK signs in ours.

use bitcoin::secp256k1::{PublicKey, Secp256k1, SecretKey};
use end::KeyHolder;
use lightning::util::message_signing as ldk;
use signer::{MessageSignature, NodeKey};
use wire::dice::Dice;

/// Messages of each kind.
const ROUNDS: usize = 200;

fn messages(seed: u64) -> impl Iterator<Item = Vec<u8>> {
    let mut dice = Dice::new(seed);
    let edges = [vec![], b"hello".to_vec(), "Grüße ⚡".into(), vec![0; 65_535]];
    edges.into_iter().chain((0..ROUNDS).map(move |_| dice.bytes(2_000)))
}

#[test]
fn our_signature_verifies_in_ldk() {
    let keys = KeyHolder::start();
    let stranger = KeyHolder::start().node();
    for message in messages(9) {
        let signature = keys.sign(&message);
        assert!(ldk::verify(&message, &signature, &keys.node()), "{signature}");
        assert!(!ldk::verify(&message, &signature, &stranger));
    }
}

#[test]
fn a_signature_of_ldk_is_attributed_by_ours() {
    let mut dice = Dice::new(2);
    let secp = Secp256k1::new();
    for message in messages(9) {
        let key = SecretKey::from_slice(&dice.array::<32>()).expect("almost every number is");
        let text = ldk::sign(&message, &key);
        let signature: MessageSignature = text.parse().expect("104 characters");
        let node = PublicKey::from_secret_key(&secp, &key);
        assert_eq!(signature.recover(&message), Ok(node));
        assert_eq!(signature.to_string(), text);
    }
}

#[test]
fn both_sign_alike() {
    let mut dice = Dice::new(3);
    for message in messages(9) {
        let bytes = dice.array::<32>();
        let key = NodeKey::take(&mut bytes.clone()).expect("almost every number is one");
        let theirs = SecretKey::from_slice(&bytes).expect("the same number");
        assert_eq!(KeyHolder::with(key).sign(&message), ldk::sign(&message, &theirs));
    }
}
