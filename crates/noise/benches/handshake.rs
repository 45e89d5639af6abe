//! Whole handshakes, both sides on one core, against the bare arithmetic they cannot do without.
//!
//! The *bare* work of both sides together, on inputs of the same size:
//!
//! | work | initiator | responder |
//! |---|---|---|
//! | ECDH | 3 | 3 |
//! | making a public key | 1 | 1 |
//! | reading a point | 1 | 2 |
//! | HKDF with 64 bytes out | 4 | 4 |
//! | SHA-256 of 65, 65, 48, 65, 48, 81 bytes | 1 each | 1 each |
//!
//! Identity keys are at hand, ephemeral keys are made for each handshake. No state machine, no
//! wiping, no allocation, no copying of bytes into acts; and none of the AEAD records, four a side,
//! that a handshake needs too: they count against us.

use std::hint::black_box;

use noise::keyholder;
use noise::{
    Ask, Effect, EphemeralKey, Exchange, IdentityKey, Initiator, PublicKey, Responder,
    TransportState,
};
use paired::Target;
use ring::digest::{Context, SHA256};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use secp256k1::SecretKey;
use secp256k1::ecdh::SharedSecret;

const BENCH: &str = "handshake";
const HASHED_BYTES: [usize; 6] = [33, 33, 16, 33, 16, 49];

fn main() {
    let parties = Parties::new();
    let ratio = paired::compare(bare, || parties.shake_hands());
    ratio.report(BENCH, "both-sides-of-bare", Target::AtLeast(0.80));
    let per_second = 1e9 / ratio.den;
    paired::report(BENCH, "per-core", per_second, "1/s", Target::Report, 1e9, ratio.den);
    let ratio = paired::compare(bare, || parties.shake_hands_split());
    ratio.report(BENCH, "split-and-verified-of-bare", Target::Report);
}

struct Parties {
    initiator: IdentityKey,
    responder: IdentityKey,
}

impl Parties {
    fn new() -> Parties {
        let identity = |byte| IdentityKey::take(&mut [byte; 32]).expect("a good key");
        Parties { initiator: identity(1), responder: identity(2) }
    }

    /// By operation; the verifier is made, as always, and not used.
    fn shake_hands(&self) {
        let remote = black_box(self.responder.public());
        let (dial, act1) = keyholder::dial(&remote, ephemeral(3));
        let responded = keyholder::respond(&act1, &self.responder, ephemeral(4));
        let (act2, half_open, verifier) = responded.expect("a good act");
        let finished = dial.finish(&act2, &self.initiator);
        let (act3, initiator) = finished.expect("a good act");
        let (remote, responder) = half_open.finish(&act3).expect("a good act");
        black_box((initiator, responder, verifier, remote));
    }

    /// Through both cores and both exchanges, the responder verified once more by its key holder.
    fn shake_hands_split(&self) {
        let mut initiator = Initiator::new(black_box(self.responder.public()));
        let mut responder = Responder::new();
        let mut keys = [Exchange::new(), Exchange::new()];
        let mut done: [Option<TransportState>; 2] = [None, None];
        let mut wires = [Vec::with_capacity(128), Vec::with_capacity(128)];
        for _ in 0..3 {
            while let Some(effect) = initiator.poll() {
                match effect {
                    Effect::Ask(ask) => {
                        let answer = answer(&mut keys[0], ask, &self.initiator, 3);
                        initiator.handle_answer(answer).expect("a good answer");
                    }
                    Effect::Send(act) => wires[0].extend_from_slice(act.bytes()),
                    Effect::Done { transport, .. } => done[0] = Some(transport),
                }
            }
            let taken = responder.handle_bytes(&wires[0]).expect("a good act");
            wires[0].drain(..taken);
            while let Some(effect) = responder.poll() {
                match effect {
                    Effect::Ask(ask) => {
                        let answer = answer(&mut keys[1], ask, &self.responder, 4);
                        responder.handle_answer(answer).expect("a good answer");
                    }
                    Effect::Send(act) => wires[1].extend_from_slice(act.bytes()),
                    Effect::Done { transport, .. } => done[1] = Some(transport),
                }
            }
            let taken = initiator.handle_bytes(&wires[1]).expect("a good act");
            wires[1].drain(..taken);
        }
        assert!(responder.is_verified() && done.iter().all(Option::is_some));
        black_box(done);
    }
}

fn answer(exchange: &mut Exchange, ask: Ask, key: &IdentityKey, byte: u8) -> noise::Answer {
    exchange.answer(ask, key, || ephemeral(byte))
}

fn ephemeral(byte: u8) -> EphemeralKey {
    EphemeralKey::take(&mut black_box([byte; 32])).expect("a good key")
}

/// Everything of the table above, and nothing else.
fn bare() {
    let keys = [1, 2, 3, 4].map(|byte| SecretKey::from_slice(&[byte; 32]).expect("a good key"));
    let [initiator, responder, e_initiator, e_responder] = black_box(keys);
    let statics = static_points();
    let made = [e_initiator, e_responder].map(|key| PublicKey::from_secret_key_global(&key));
    let read = |point: &PublicKey| PublicKey::from_slice(&black_box(point.serialize()));
    let read_points = [made[0], made[1], statics[0]].map(|point| read(&point).expect("a point"));

    let mut ck = [7; 32];
    for (key, point) in [
        (e_initiator, statics[1]),
        (responder, read_points[0]),
        (e_responder, read_points[0]),
        (e_initiator, read_points[1]),
        (initiator, read_points[1]),
        (e_responder, read_points[2]),
    ] {
        let shared = SharedSecret::new(&black_box(point), &black_box(key));
        ck = hkdf(&ck, shared.as_ref());
    }
    for _ in 0..2 {
        ck = hkdf(&ck, &[]);
    }
    let mut h = ck;
    for _ in 0..2 {
        for bytes in HASHED_BYTES {
            h = sha256(&h, &[9; 64][..bytes]);
        }
    }
    black_box((ck, h));
}

fn static_points() -> [PublicKey; 2] {
    static POINTS: std::sync::LazyLock<[PublicKey; 2]> = std::sync::LazyLock::new(|| {
        [1, 2].map(|byte| {
            let key = SecretKey::from_slice(&[byte; 32]).expect("a good key");
            PublicKey::from_secret_key_global(&key)
        })
    });
    black_box(*POINTS)
}

fn hkdf(salt: &[u8; 32], ikm: &[u8]) -> [u8; 32] {
    let mut out = [0; 64];
    let prk = Salt::new(HKDF_SHA256, black_box(salt)).extract(black_box(ikm));
    let okm = prk.expand(&[], Both).expect("64 bytes are few");
    okm.fill(&mut out).expect("64 bytes are 64 bytes");
    *black_box(out).first_chunk().expect("64 bytes hold 32")
}

fn sha256(h: &[u8; 32], data: &[u8]) -> [u8; 32] {
    let mut sha = Context::new(&SHA256);
    sha.update(black_box(h));
    sha.update(black_box(data));
    *sha.finish().as_ref().first_chunk().expect("32 bytes")
}

struct Both;

impl KeyType for Both {
    fn len(&self) -> usize {
        64
    }
}
