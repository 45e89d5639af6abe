use node::services::post::{Command, Event, Refusal, Reply};

use crate::party::Party;

const NOTE: u16 = 33_281;

fn note(text: &str) -> Vec<u8> {
    [&NOTE.to_be_bytes()[..], text.as_bytes()].concat()
}

#[test]
fn two_nodes_connect_ping_and_talk() {
    let (alice, bob) = (Party::start(1), Party::start(2));
    let Ok(Reply::Peer(peer)) = alice.connect(&bob) else { panic!("not connected") };
    assert!(peer.outbound && peer.node == bob.id());
    bob.until_connected();
    assert!(matches!(alice.call(Command::Ping { node: bob.id() }), Ok(Reply::Pong { .. })));
    for number in 0..100 {
        let bytes = note(&number.to_string());
        let sent = alice.call(Command::Message { node: bob.id(), bytes: bytes.clone() });
        assert_eq!(sent, Ok(Reply::Done));
        let heard = bob.until(|event| {
            let Event::Message { bytes, node, .. } = event else { return None };
            Some((bytes, node))
        });
        assert_eq!(heard, (bytes, alice.id()));
    }
    assert_eq!(alice.call(Command::Disconnect { node: bob.id() }), Ok(Reply::Done));
    bob.until(|event| matches!(event, Event::PeerDisconnected { .. }).then_some(()));
    let again = alice.call(Command::Ping { node: bob.id() });
    assert_eq!(again, Err(Refusal::NotConnected { node: bob.id() }));
}

#[test]
fn a_node_that_was_down_calls_its_peers_again() {
    let (alice, bob) = (Party::start(3), Party::start(4));
    alice.connect(&bob).expect("bob listens");
    let alice = alice.again();
    bob.until_connected();
    alice.until_connected();
    let bob = bob.again();
    alice.until_connected();
    assert_eq!(alice.call(Command::Disconnect { node: bob.id() }), Ok(Reply::Done));
    let alice = alice.again();
    assert_eq!(alice.call(Command::Peers), Ok(Reply::Peers(vec![])));
}

#[test]
fn calls_that_come_to_nothing_say_why() {
    let (alice, bob) = (Party::start(5), Party::start(6));
    let ourselves = Command::Connect { node: alice.id(), address: alice.address() };
    assert_eq!(alice.call(ourselves), Err(Refusal::Ourselves));
    // Somebody else answers at that address: the handshake fails.
    let wrong = Command::Connect { node: alice.id(), address: alice.address() };
    let Err(Refusal::Unavailable { why }) = bob.call(Command::Connect {
        node: apart::seed(9).node_key(wire::Network::Regtest, signer::NodeIndex::FIRST).id(),
        address: alice.address(),
    }) else {
        panic!("it was somebody else")
    };
    assert!(!why.is_empty());
    assert!(bob.call(wrong).is_ok(), "nothing else was disturbed");
    alice.until_connected();
    let nobody = "127.0.0.1:1".parse().expect("an address");
    let refused = alice.call(Command::Connect { node: bob.id(), address: nobody });
    // Bob called us above, so we are connected already: that is the answer.
    assert!(matches!(refused, Ok(Reply::Peer(_))), "{refused:?}");
    let unknown = apart::seed(8).node_key(wire::Network::Regtest, signer::NodeIndex::FIRST).id();
    let Err(Refusal::Unavailable { why }) =
        alice.call(Command::Connect { node: unknown, address: nobody })
    else {
        panic!("nobody is there")
    };
    assert!(why.contains("cannot be reached"), "{why}");
}
