//! A message that we sign verifies in LDK, and one that LDK signs in ours.

use std::time::Duration;

use bitcoin::secp256k1::{PublicKey, Secp256k1, SecretKey};
use end::KeyHolder;
use lightning::util::message_signing as ldk;
use node::{
    roles::{self, Plan},
    services::post::{Command, Reply},
};
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

/// What `leyden verify` is shown in the tests of the binary: LDK has made it.
#[test]
fn the_row_that_the_binary_verifies_is_of_ldk() {
    let key = SecretKey::from_slice(&[0x11; 32]).expect("a key");
    assert_eq!(ldk::sign(b"signed by LDK", &key), ROW);
}

const ROW: &str = concat!(
    "rddkbfyfx9f748gcysrw8bm6tssysjcti6mrge9wswozwntrk36w",
    "ah6deap8894oww8w79m1mqmcs3koxtoqzprdmqfypfdjofdcxo3s"
);

/// The way of `leyden sign`, from the call of a running node to its signer and back.
#[test]
fn a_running_node_signs_what_ldk_verifies() {
    let place = apart::Place::new();
    let plan = Plan::whole(place.path().to_owned(), wire::Network::Regtest, apart::seed(7));
    let running = roles::start(plan, Box::new(|_| {})).expect("it starts");
    let bell = running.bell.clone().expect("a node");
    let call = |command| {
        let (told, reply) = std::sync::mpsc::channel();
        let answer = Box::new(move |reply| told.send(reply).expect("we wait"));
        bell.call(command, answer).expect("little waits");
        reply.recv_timeout(Duration::from_secs(60)).expect("each call is answered")
    };
    let signature = loop {
        // The signer's link takes a moment.
        match call(Command::Sign { message: b"by a node".to_vec() }) {
            Ok(Reply::Signed(signature)) => break signature.to_string(),
            _ => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let Ok(Reply::Info(info)) = call(Command::Info) else { panic!("it knows itself") };
    assert!(ldk::verify(b"by a node", &signature, &info.node.expect("its signer has said so")));
    running.stop();
    running.wait().expect("it ends well");
}
