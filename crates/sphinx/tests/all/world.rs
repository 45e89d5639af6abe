//! Nodes, hops and onions of tests.

use bitcoin::hashes::{Hash as _, HashEngine as _, Hmac, HmacEngine, sha256};
use chacha20::{
    ChaCha20,
    cipher::{KeyIvInit as _, StreamCipher as _},
};
use secp256k1::{SECP256K1, SecretKey};
use sphinx::{
    AssociatedData, BadOnion, Hop, Hops, Layer, PAYLOAD_BYTES_MIN, PAYLOADS_BYTES, Peeled, Sealed,
    SessionKey, SharedSecret,
};
use wire::{
    dice::Dice,
    id::{OnionPacket, PaymentHash},
};

/// Bytes that each hop needs besides its payload: a length of one byte, and an HMAC.
const AROUND: usize = 1 + 32;

pub fn key(dice: &mut Dice) -> SecretKey {
    SecretKey::from_slice(&dice.array::<32>()).unwrap()
}

pub fn session(dice: &mut Dice) -> SessionKey {
    SessionKey::take(&mut dice.array()).unwrap()
}

pub fn data(dice: &mut Dice) -> AssociatedData {
    AssociatedData::Payment(PaymentHash(dice.array()))
}

pub fn hop(node: &SecretKey, payload: Vec<u8>) -> Hop {
    Hop { node: node.public_key(SECP256K1).into(), payload }
}

/// Private keys, and as many hops with payloads that share out the room: at times all of it.
pub fn route(dice: &mut Dice, count: usize) -> (Vec<SecretKey>, Hops) {
    let nodes: Vec<SecretKey> = (0..count).map(|_| key(dice)).collect();
    let mut room = PAYLOADS_BYTES - count * (AROUND + 2 + PAYLOAD_BYTES_MIN);
    let mut payloads = Vec::new();
    for left in (1..=count).rev() {
        let more = if left == 1 && dice.one_in(2) { room } else { dice.below(room / left + 1) };
        room -= more;
        let mut payload = vec![0; PAYLOAD_BYTES_MIN + more];
        dice.fill(&mut payload);
        payloads.push(payload);
    }
    let hops = nodes.iter().zip(payloads).map(|(node, payload)| hop(node, payload)).collect();
    (nodes, Hops::new(hops).unwrap())
}

/// What whoever has `node` makes of a packet.
pub fn peel(
    packet: &OnionPacket,
    data: &AssociatedData,
    node: &SecretKey,
) -> Result<Peeled, BadOnion> {
    let sealed = Sealed::parse(packet)?;
    sealed.peel(data, &SharedSecret::between(node, sealed.ephemeral()))
}

pub fn layer(packet: &OnionPacket, data: &AssociatedData, node: &SecretKey) -> Layer {
    match peel(packet, data, node) {
        Ok(peeled) => peeled.layer.unwrap(),
        Err(bad) => panic!("{bad}"),
    }
}

/// A packet whose HMAC fits and under whose layer stands what we like, made without the crate.
pub fn crafted(
    node: &SecretKey,
    data: &AssociatedData,
    ephemeral: &SecretKey,
    under: &[u8],
) -> OnionPacket {
    let point = ephemeral.public_key(SECP256K1).serialize();
    let shared = secp256k1::ecdh::SharedSecret::new(&node.public_key(SECP256K1), ephemeral);
    let (rho, mu) = (hmac(b"rho", &[shared.as_ref()]), hmac(b"mu", &[shared.as_ref()]));
    let mut payloads = [0; PAYLOADS_BYTES];
    payloads[..under.len()].copy_from_slice(under);
    ChaCha20::new(&rho.into(), &[0; 12].into()).apply_keystream(&mut payloads);
    let bound_to = match data {
        AssociatedData::Payment(hash) => &hash.0[..],
        AssociatedData::Message => &[],
    };
    let tag = hmac(&mu, &[&payloads, bound_to]);
    OnionPacket([&[0], &point[..], &payloads, &tag].concat().try_into().unwrap())
}

pub fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut engine = HmacEngine::<sha256::Hash>::new(key);
    parts.iter().for_each(|part| engine.input(part));
    Hmac::from_engine(engine).to_byte_array()
}

/// What is wrong with a packet.
pub fn bad(packet: &OnionPacket, data: &AssociatedData, node: &SecretKey) -> BadOnion {
    match peel(packet, data, node) {
        Ok(peeled) => panic!("peeled: {:?}", peeled.layer),
        Err(bad) => bad,
    }
}
