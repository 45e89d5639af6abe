//! Onions: peeled with the node's key, and nothing else learned from it.

use bitcoin::hashes::{Hash as _, HashEngine as _, Hmac, HmacEngine, sha256};
use secp256k1::{PublicKey, SECP256K1, SecretKey};
use signer::{Answer, Ask, NodeKey, Peel, Signer, topic};
use sphinx::{
    AssociatedData, BadOnion, Culprit, Failure, Hop, Hops, Layer, Onion, OnionFlaw, Peeled,
    RecordAt, ReturnKeys, SessionKey,
};
use wire::dice::Dice;
use wire::id::{FailureCode, OnionHash, OnionPacket, PaymentHash};
use wire::list::Blob;
use wire::tick::Tick;

use crate::memory::{Needle, found_in_freed_blocks, found_on_dead_stack};
use crate::parties::{
    LINK, alice, ask_over_bytes, bob, bob_id, channels, node_key, step, wallet_key,
};
use crate::vectors::{OZONE_12, VOID_24, bytes};

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

pub fn asks() -> Vec<Ask> {
    let packet = onion(&[node_key(VOID_24).id(), bob_id()], 7).packet;
    [DATA, AssociatedData::Message].map(|data| ask(&packet, data)).into()
}

fn ask(packet: &OnionPacket, associated_data: AssociatedData) -> Ask {
    Ask::PeelOnion { packet: Box::new(*packet), associated_data }
}

fn keys() -> ReturnKeys {
    ReturnKeys::take(&mut [6; 64])
}

/// One of each kind of what can come of an onion.
pub fn answers() -> Vec<Answer> {
    let packet = onion(&[bob_id()], 7).packet;
    let sha256_of_onion = OnionHash([3; 32]);
    let flaws =
        [OnionFlaw::Version { got: 9, want: 0 }, OnionFlaw::Key { prefix: 5 }, OnionFlaw::Hmac];
    let culprits = [None, Some(RecordAt { record: 300, offset: 7 })].map(Culprit);
    let mut all = vec![
        Peel::Layer { layer: Layer::Final { payload: vec![1; 1_265] }, keys: keys() },
        Peel::Layer { layer: Layer::Forward { payload: vec![2; 40], next: packet }, keys: keys() },
    ];
    all.extend(culprits.map(|culprit| {
        let failure = Failure::InvalidOnionPayload { culprit };
        Peel::BadPayload { failure, keys: keys() }
    }));
    all.extend(flaws.map(|flaw| Peel::Bad(BadOnion { flaw, sha256_of_onion })));
    all.into_iter().map(Answer::Peeled).collect()
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

#[test]
fn signers_peel_for_whoever_asks_over_a_link() {
    let (mut first, mut last) = (alice(), bob());
    let onion = onion(&[first.node_id(), last.node_id()], 7);
    let peel = |signer: &mut Signer, packet: &OnionPacket| {
        let answer = ask_over_bytes(signer, LINK, &ask(packet, DATA), 0, 1);
        let name = answer.name();
        let Answer::Peeled(peel) = answer else { panic!("{name}") };
        peel
    };
    let Peel::Layer { layer: Layer::Forward { payload, next }, keys } =
        peel(&mut first, &onion.packet)
    else {
        panic!("a hop behind")
    };
    assert_eq!(payload, [10; 40]);
    // The keys that came over the link fail the payment, as a hop and as the one that is passed.
    let Peel::Layer { layer, keys: of_last } = peel(&mut last, &next) else { panic!("its own") };
    assert_eq!(layer, Layer::Final { payload: vec![11; 40] });
    let reason = of_last.fail(&Failure::MppTimeout).unwrap();
    let returned = onion.origin.read(&keys.pass_back(reason)).unwrap();
    assert_eq!((returned.hop, returned.failure), (1, Failure::MppTimeout));
    // A bad one is answered, not refused: it names what is wrong, and the onion.
    let Peel::Bad(bad) = peel(&mut last, &onion.packet) else { panic!("it is not for it") };
    assert_eq!(bad, last_bad(&onion.packet));
    let pending = last.decide(LINK, ask(&next, DATA), Tick(0), || panic!("drawn"));
    assert!(pending.unsaved().is_none());
    assert_eq!(ask(&next, DATA).topic(), topic::PEEL_ONION);
}

fn last_bad(packet: &OnionPacket) -> BadOnion {
    node_key(OZONE_12).peel(packet, &DATA).map(|_| ()).unwrap_err()
}

/// Payloads that no hop can read are made by whoever pays: there are keys to say so.
#[test]
fn a_payload_that_cannot_be_cut_out_is_answered_with_its_failure() {
    let mut signer = alice();
    let packet = unreadable(&signer.node_id());
    let answer = ask_over_bytes(&mut signer, LINK, &ask(&packet, DATA), 0, 1);
    let Answer::Peeled(Peel::BadPayload { failure, keys }) = answer else { panic!("it is bad") };
    assert_eq!(failure, Failure::InvalidOnionPayload { culprit: Culprit(None) });
    let shared = shared(&signer.node_id(), 7);
    let mut written = [0; 64];
    keys.write(&mut written);
    assert_eq!(written, [hmac(b"um", &shared), hmac(b"ammag", &shared)].as_flattened());
}

/// An onion for one hop that says that its payload has one byte.
fn unreadable(node: &PublicKey) -> OnionPacket {
    let mut packet = *onion(&[*node], 7).packet;
    // The first byte under the layer is the payload's length: 40 becomes 1.
    packet.0[34] ^= 40 ^ 1;
    let payloads = packet.0[34..1_334].to_vec();
    let sealed = [&payloads[..], &[3; 32]].concat();
    packet.0[1_334..].copy_from_slice(&hmac(&hmac(b"mu", &shared(node, 7)), &sealed));
    packet
}

#[test]
fn the_layout_of_onions_is_frozen() {
    let packet = OnionPacket([9; 1_366]);
    let nines = "09".repeat(1_366);
    let want = format!("010d 02fd0556 {nines} 0420 {}", "03".repeat(32));
    assert_eq!(ask(&packet, DATA).encode(), bytes(&want.replace(' ', "")));
    let want = format!("010d 02fd0556 {nines} 0400");
    let message = ask(&packet, AssociatedData::Message);
    assert_eq!(message.encode(), bytes(&want.replace(' ', "")));
    let (keys_hex, hash) = ("06".repeat(64), "03".repeat(32));
    let next = Box::new(packet);
    let failure = Failure::InvalidOnionPayload { culprit: Culprit(None) };
    let bad = |flaw| Peel::Bad(BadOnion { flaw, sha256_of_onion: OnionHash([3; 32]) });
    let answers = [
        (
            Peel::Layer { layer: Layer::Final { payload: vec![5; 2] }, keys: keys() },
            format!("011e 0240 {keys_hex} 0402 0505 0600"),
        ),
        (
            Peel::Layer { layer: Layer::Forward { payload: vec![5], next }, keys: keys() },
            format!("011e 0240 {keys_hex} 0401 05 06fd0556 {nines}"),
        ),
        (Peel::BadPayload { failure, keys: keys() }, format!("011f 0240 {keys_hex} 0402 4016")),
        (bad(OnionFlaw::Version { got: 7, want: 0 }), format!("0120 0220 {hash} 0402 0007")),
        (bad(OnionFlaw::Key { prefix: 8 }), format!("0120 0220 {hash} 0402 0108")),
        (bad(OnionFlaw::Hmac), format!("0120 0220 {hash} 0402 0200")),
    ];
    for (peel, want) in answers {
        assert_eq!(Answer::Peeled(peel).encode().bytes(), bytes(&want.replace(' ', "")));
    }
    // A failure that nobody makes of an onion, and that nobody could read.
    let failure = Failure::Other { code: FailureCode(0x0fff), data: Blob(vec![1; 9_000]) };
    let frame = Answer::Peeled(Peel::BadPayload { failure, keys: keys() }).encode();
    assert!(frame.bytes().ends_with(&[4, 2, 0x0f, 0xff]));
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

#[test]
fn keys_for_failures_are_wiped_on_their_way() {
    let mut signer = Signer::new(node_key(VOID_24), wallet_key(VOID_24), channels(VOID_24));
    let onion = onion(&[signer.node_id(), bob_id()], 7);
    let shared = shared(&signer.node_id(), 7);
    let of = |kind: &[u8]| hmac(kind, &shared);
    let needles = needles(&[shared, of(b"rho"), of(b"mu"), of(b"um"), of(b"ammag")]);
    let asked = ask(&onion.packet, DATA);
    let mut frame = None;
    let mut answer = || {
        frame = Some(signer.answer(LINK, asked.clone(), Tick(0), || panic!("drawn")).encode());
    };
    assert_eq!(found_in_freed_blocks(needles, &mut answer), 0, "asked");
    assert_eq!(found_on_dead_stack(needles, answer), 0, "asked");
    let frame = frame.unwrap();
    let mut carried = frame.bytes().to_vec();
    assert!(carried.windows(32).any(|piece| piece == of(b"um")));
    let mut answer = None;
    let mut decode = || answer = Some(Answer::decode(&mut carried));
    assert_eq!(found_on_dead_stack(needles, &mut decode), 0, "carried");
    assert!(matches!(answer.take(), Some(Ok(Answer::Peeled(Peel::Layer { .. })))));
    let mut carried = frame.bytes().to_vec();
    let found = found_in_freed_blocks(needles, || {
        assert!(Answer::decode(&mut carried).is_ok());
        drop(frame);
    });
    assert_eq!(found, 0, "dropped");
    assert!(carried.iter().all(|byte| *byte == 0));
}
