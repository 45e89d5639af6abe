//! Onions: peeled with the node's key, and nothing else learned from it.

use bitcoin::hashes::{Hash as _, HashEngine as _, Hmac, HmacEngine, sha256};
use secp256k1::{PublicKey, SECP256K1, SecretKey};
use signer::NodeKey;
use sphinx::{
    AssociatedData, BadOnion, Failure, Hop, Hops, Layer, Onion, OnionFlaw, Peeled, SessionKey,
};
use wire::dice::Dice;
use wire::id::{OnionPacket, PaymentHash};

use crate::memory::{Needle, found_in_freed_blocks, found_on_dead_stack};
use crate::parties::{alice, bob_id, node_key, step};
use crate::vectors::{OZONE_12, VOID_24};

const DATA: AssociatedData = AssociatedData::Payment(PaymentHash([3; 32]));

fn onion(nodes: &[PublicKey], session: u8) -> Onion {
    let hops = nodes.iter().zip(10u8..);
    let hops = hops.map(|(node, byte)| Hop { node: (*node).into(), payload: vec![byte; 40] });
    let session = SessionKey::take(&mut [session; 32]).unwrap();
    Hops::new(hops.collect()).unwrap().wrap(session, &DATA)
}

fn flaw(key: &NodeKey, packet: &OnionPacket, data: &AssociatedData) -> OnionFlaw {
    key.peel(packet, data).map(|_| ()).unwrap_err().flaw
}

/// What the first hop of [`onion`] shares with its maker, computed from the other end.
fn shared(node: &PublicKey, session: u8) -> [u8; 32] {
    let session = SecretKey::from_slice(&[session; 32]).unwrap();
    secp256k1::ecdh::SharedSecret::new(node, &session).secret_bytes()
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut engine = HmacEngine::<sha256::Hash>::new(key);
    engine.input(message);
    Hmac::from_engine(engine).to_byte_array()
}

#[test]
fn nodes_peel_one_after_the_other_and_fail_what_they_have_peeled() {
    let (first, last) = (node_key(VOID_24), node_key(OZONE_12));
    let onion = onion(&[first.id(), last.id()], 7);
    let Peeled { return_keys, layer } = first.peel(&onion.packet, &DATA).ok().unwrap();
    let Ok(Layer::Forward { payload, next }) = layer else { panic!("{layer:?}") };
    assert_eq!(payload, [10; 40]);
    let at_last = last.peel(&next, &DATA).ok().unwrap();
    assert_eq!(at_last.layer, Ok(Layer::Final { payload: vec![11; 40] }));
    let reason = at_last.return_keys.fail(&Failure::MppTimeout).unwrap();
    let returned = onion.origin.read(&return_keys.pass_back(reason)).unwrap();
    assert_eq!((returned.hop, returned.failure), (1, Failure::MppTimeout));
    let again = first.peel(&onion.packet, &DATA).ok().unwrap();
    assert_eq!(again.layer, Ok(Layer::Forward { payload, next }), "the same as before");
}

#[test]
fn an_onion_for_another_node_or_payment_is_refused() {
    let (node, other) = (node_key(VOID_24), node_key(OZONE_12));
    let onion = onion(&[node.id()], 7);
    assert_eq!(flaw(&other, &onion.packet, &DATA), OnionFlaw::Hmac);
    let elsewhere = AssociatedData::Payment(PaymentHash([4; 32]));
    for data in [elsewhere, AssociatedData::Message] {
        assert_eq!(flaw(&node, &onion.packet, &data), OnionFlaw::Hmac);
    }
    let mut packet = *onion.packet;
    packet.0[0] = 1;
    assert_eq!(flaw(&node, &packet, &DATA), OnionFlaw::Version { got: 1, want: 0 });
    packet.0[..2].copy_from_slice(&[0, 5]);
    assert_eq!(flaw(&node, &packet, &DATA), OnionFlaw::Key { prefix: 5 });
}

/// Whoever has seen act one wants the secret that follows from its point and the node's key.
#[test]
fn the_point_of_a_handshake_gets_no_answer_in_an_onion() {
    let dial = noise::Ask::Dial { remote: bob_id() };
    let noise::Answer::Dialed { act1 } = step(&mut alice(), 1, dial, 0) else { panic!("no act 1") };
    let bob = node_key(OZONE_12);
    let good = onion(&[bob.id()], 7);
    let mut dice = Dice::new(1);
    let hash = |packet: &OnionPacket| sha256::Hash::hash(&packet.0).to_byte_array();
    for _ in 0..200 {
        let mut packet = *good.packet;
        packet.0[1..34].copy_from_slice(&act1.bytes()[1..34]);
        dice.fill(&mut packet.0[34..]);
        let bad = bob.peel(&packet, &DATA).map(|_| ()).unwrap_err();
        // All of the answer follows from the question.
        let BadOnion { flaw, sha256_of_onion } = bad;
        assert_eq!((flaw, sha256_of_onion.0), (OnionFlaw::Hmac, hash(&packet)));
    }
}

#[test]
fn what_is_answered_is_not_the_shared_secret() {
    let node = node_key(VOID_24);
    let onion = onion(&[node.id(), bob_id()], 7);
    let shared = shared(&node.id(), 7);
    let peeled = node.peel(&onion.packet, &DATA).ok().unwrap();
    let mut keys = [0; 64];
    peeled.return_keys.write(&mut keys);
    assert_eq!(keys[..32], hmac(b"um", &shared));
    assert_eq!(keys[32..], hmac(b"ammag", &shared));
    let Ok(Layer::Forward { next, .. }) = peeled.layer else { panic!("a hop behind") };
    for answered in [&keys[..], &next.0] {
        assert!(!answered.windows(8).any(|piece| shared.windows(8).any(|s| s == piece)));
    }
}

fn needles(secrets: &[[u8; 32]]) -> &'static [Needle] {
    let mut all: Vec<Needle> = Vec::new();
    for secret in secrets {
        let mut backwards = *secret;
        backwards.reverse();
        for secret in [secret, &backwards] {
            all.extend(secret.as_chunks().0);
        }
    }
    Vec::leak(all)
}

#[test]
fn peeling_leaves_no_secret_behind() {
    let scalar = [0x5c; 32];
    let node = NodeKey::take(&mut { scalar }).ok().unwrap();
    let id = SecretKey::from_slice(&scalar).unwrap().public_key(SECP256K1);
    assert_eq!(node.id(), id);
    let onion = onion(&[id, bob_id()], 7);
    let shared = shared(&id, 7);
    let of = |kind: &[u8]| hmac(kind, &shared);
    let needles = needles(&[scalar, shared, of(b"rho"), of(b"mu"), of(b"um"), of(b"ammag")]);
    let mut bad = *onion.packet;
    bad.0[40] ^= 1;
    for (name, packet) in [("good", &*onion.packet), ("bad", &bad)] {
        let peel = || drop(std::hint::black_box(node.peel(packet, &DATA)));
        assert_eq!(found_in_freed_blocks(needles, peel), 0, "{name}");
        assert_eq!(found_on_dead_stack(needles, peel), 0, "{name}");
    }
    // The keys that were answered are wiped by whoever lets go of them.
    let peeled = node.peel(&onion.packet, &DATA).ok().unwrap();
    let mut keys = [0; 64];
    peeled.return_keys.write(&mut keys);
    assert_eq!(keys[..32], of(b"um"));
    assert_eq!(found_in_freed_blocks(needles, || drop(peeled)), 0);
}
