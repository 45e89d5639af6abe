//! What a party can do with what it is given. These are limits to know, not features.

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, KeyInit, Nonce};
use noise::{Act3, SecretBytes};
use ring::digest::{SHA256, digest};
use secp256k1::SecretKey;
use secp256k1::ecdh::SharedSecret;

use crate::model::hkdf;
use crate::parties::{identity, responded};

#[test]
fn whoever_has_the_half_open_can_make_act_three_in_any_name() {
    let (_, half_open, verifier) = responded();
    let victim = identity([0x77; 32]).public();
    let exported: SecretBytes<129> = half_open.export();
    let field = |at: usize| &exported.as_bytes()[1 + 32 * at..33 + 32 * at];
    let (ck, h, temp_k2, e) = (field(0), field(1), field(2), field(3));

    let c = seal(temp_k2, 1, h, &victim.serialize());
    let h = digest(&SHA256, &[h, &c].concat());
    let se = SharedSecret::new(&victim, &SecretKey::from_slice(e).unwrap());
    let (_, temp_k3) = hkdf(ck, se.as_ref());
    let t = seal(&temp_k3, 0, h.as_ref(), &[]);
    let forged = [vec![0], c, t].concat().try_into().unwrap();

    assert_eq!(verifier.verify(&Act3::parse(forged).unwrap()), Ok(victim));
}

fn seal(key: &[u8], n: u8, aad: &[u8], msg: &[u8]) -> Vec<u8> {
    let cipher = ChaCha20Poly1305::new(&Key::try_from(key).unwrap());
    let nonce = Nonce::from([0, 0, 0, 0, n, 0, 0, 0, 0, 0, 0, 0]);
    cipher.encrypt(&nonce, Payload { msg, aad }).unwrap()
}
