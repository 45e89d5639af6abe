//! What holds for every onion.

use secp256k1::{SECP256K1, Scalar, SecretKey};
use sphinx::{AssociatedData, Hops, Layer, ONION_BYTES, OnionFlaw, Sealed, SharedSecret};
use wire::{dice::Dice, id::OnionPacket};

use crate::world::{bad, data, hmac, hop, key, layer, route, session};

/// Routes of each length.
const ROUNDS: u64 = 4;
/// The longest route that is tried.
const COUNT_MAX: usize = 20;

/// All packets of an onion, in the order in which hops see them.
fn packets(first: &OnionPacket, data: &AssociatedData, nodes: &[SecretKey]) -> Vec<OnionPacket> {
    let mut seen = vec![*first];
    for node in &nodes[..nodes.len() - 1] {
        match layer(seen.last().unwrap(), data, node) {
            Layer::Forward { next, .. } => seen.push(*next),
            Layer::Final { .. } => panic!("final after {} of {}", seen.len(), nodes.len()),
        }
    }
    seen
}

#[test]
fn every_hop_finds_its_own_payload_and_the_last_one_the_end() {
    for count in 1..=COUNT_MAX {
        for round in 0..ROUNDS {
            let mut dice = Dice::new(round << 8 | count as u64);
            let (nodes, hops) = route(&mut dice, count);
            let data = data(&mut dice);
            let onion = hops.wrap(session(&mut dice), &data);
            let packets = packets(&onion.packet, &data, &nodes);
            for (at, (packet, node)) in packets.iter().zip(&nodes).enumerate() {
                let layer = layer(packet, &data, node);
                assert_eq!(layer.payload(), hops.hops()[at].payload, "hop {at} of {count}");
                assert_eq!(matches!(layer, Layer::Final { .. }), at == count - 1);
            }
        }
    }
}

#[test]
fn only_the_hop_itself_can_peel_and_only_for_its_payment() {
    let mut dice = Dice::new(1);
    let (nodes, hops) = route(&mut dice, 5);
    let data = data(&mut dice);
    let onion = hops.wrap(session(&mut dice), &data);
    let packets = packets(&onion.packet, &data, &nodes);
    for (at, packet) in packets.iter().enumerate() {
        for other in (0..5).filter(|other| *other != at) {
            assert_eq!(bad(packet, &data, &nodes[other]).flaw, OnionFlaw::Hmac);
        }
        let elsewhere = crate::world::data(&mut dice);
        for other in [elsewhere, AssociatedData::Message] {
            assert_eq!(bad(packet, &other, &nodes[at]).flaw, OnionFlaw::Hmac);
        }
    }
}

#[test]
fn a_bit_that_is_flipped_is_seen() {
    let mut dice = Dice::new(2);
    let (nodes, hops) = route(&mut dice, 3);
    let data = data(&mut dice);
    let onion = hops.wrap(session(&mut dice), &data);
    for (packet, node) in packets(&onion.packet, &data, &nodes).iter().zip(&nodes) {
        // All bits of version and key, and one of each other byte.
        let everywhere = (0..34 * 8).chain((34..ONION_BYTES).map(|byte| byte * 8 + dice.below(8)));
        for bit in everywhere.collect::<Vec<_>>() {
            let mut changed = *packet;
            changed.0[bit / 8] ^= 1 << (bit % 8);
            let flaw = bad(&changed, &data, node).flaw;
            match bit / 8 {
                0 => assert_eq!(flaw, OnionFlaw::Version { got: changed.0[0], want: 0 }),
                1..34 => assert!(!matches!(flaw, OnionFlaw::Version { .. }), "{flaw:?}"),
                _ => assert_eq!(flaw, OnionFlaw::Hmac, "bit {bit}"),
            }
        }
    }
}

#[test]
fn packets_of_an_onion_have_nothing_in_common() {
    let mut dice = Dice::new(3);
    let (nodes, hops) = route(&mut dice, 20);
    let data = data(&mut dice);
    let onion = hops.wrap(session(&mut dice), &data);
    let packets = packets(&onion.packet, &data, &nodes);
    let mut pieces: Vec<&[u8]> = packets
        .iter()
        .flat_map(|packet| packet.0[1..].as_chunks::<13>().0)
        .map(|p| &p[..])
        .collect();
    let all = pieces.len();
    pieces.sort_unstable();
    pieces.dedup();
    assert_eq!(pieces.len(), all, "20 packets of 105 pieces each");
}

#[test]
fn an_onion_is_a_function_of_what_it_is_made_of() {
    let mut dice = Dice::new(4);
    let (_, hops) = route(&mut dice, 4);
    let (data, other) = (data(&mut dice), data(&mut dice));
    let onion = |dice: &Dice, data| hops.wrap(session(&mut dice.clone()), data).packet;
    assert!(onion(&dice, &data) == onion(&dice, &data));
    assert!(onion(&dice, &data) != onion(&dice, &other));
    assert!(onion(&dice, &data) != onion(&Dice::new(5), &data));
}

#[test]
fn a_route_may_come_by_a_node_again() {
    let mut dice = Dice::new(6);
    let (node, data) = (key(&mut dice), data(&mut dice));
    let hops = (0..3u8).map(|at| hop(&node, vec![at; 40])).collect();
    let onion = Hops::new(hops).unwrap().wrap(session(&mut dice), &data);
    let nodes = vec![node; 3];
    for (at, packet) in packets(&onion.packet, &data, &nodes).iter().enumerate() {
        assert_eq!(layer(packet, &data, &node).payload(), [at as u8; 40]);
    }
}

/// What a key holder will do behind a blinded path; the crate has no part in it but the point.
#[test]
fn an_onion_for_a_blinded_node_is_peeled_with_its_point_multiplied() {
    let mut dice = Dice::new(7);
    let (node, path_key, data) = (key(&mut dice), key(&mut dice), data(&mut dice));
    // BOLT 4: "Tweak `public_key` by multiplying by HMAC256("blinded_node_id", blinding_ss)."
    let public = |key: &SecretKey| key.public_key(SECP256K1);
    let blinding = secp256k1::ecdh::SharedSecret::new(&public(&path_key), &node);
    let tweak = hmac(b"blinded_node_id", &[blinding.as_ref()]);
    let tweak = Scalar::from_be_bytes(tweak).unwrap();
    let blinded = node.mul_tweak(&tweak).unwrap();
    let after = key(&mut dice);
    let hops = vec![hop(&blinded, vec![1; 9]), hop(&after, vec![2; 9])];
    let onion = Hops::new(hops).unwrap().wrap(session(&mut dice), &data);
    assert_eq!(bad(&onion.packet, &data, &node).flaw, OnionFlaw::Hmac);
    let sealed = Sealed::parse(&onion.packet).unwrap();
    let point = sealed.ephemeral().key().mul_tweak(SECP256K1, &tweak).unwrap();
    let shared = SharedSecret::between(&node, &point.into());
    let found = sealed.peel(&data, &shared).ok().unwrap().layer.unwrap();
    let Layer::Forward { payload, next } = found else { panic!("final") };
    assert_eq!(payload, [1; 9]);
    assert_eq!(layer(&next, &data, &after), Layer::Final { payload: vec![2; 9] });
}
