//! Whatever somebody sends, it is refused with what is wrong with it, and nothing panics.

use sphinx::{
    BadPayload, Culprit, Failure, FinalPayload, ForwardPayload, Instruction, Layer, ONION_BYTES,
    OnionFlaw, Origin, PayloadFlaw, RecordAt, ReturnKeys, Sealed, SharedSecret,
};
use wire::{
    dice::Dice,
    fault::Broke,
    id::{FailureCode, OnionHash, OnionPacket},
    list::Blob,
};

use crate::{
    rows::{DATA, ONION, array, bytes, node},
    world::{bad, crafted, data, key, layer, peel},
};

/// Random inputs of each kind.
const ROUNDS: usize = 3_000;

#[test]
fn an_onion_that_nobody_can_read_is_malformed() {
    let good = OnionPacket(array(ONION));
    let with = |at: usize, byte| {
        let mut packet = good;
        packet.0[at] = byte;
        packet
    };
    let rows = [
        ("version", with(0, 1), OnionFlaw::Version { got: 1, want: 0 }, 0xc004),
        ("key", with(1, 4), OnionFlaw::Key { prefix: 4 }, 0xc006),
        ("payloads", with(700, !good.0[700]), OnionFlaw::Hmac, 0xc005),
        ("hmac", with(1_365, !good.0[1_365]), OnionFlaw::Hmac, 0xc005),
    ];
    for (name, packet, flaw, code) in rows {
        let found = bad(&packet, &DATA, &node(0));
        let hash = bitcoin::hashes::Hash::hash(&packet.0);
        let hash: bitcoin::hashes::sha256::Hash = hash;
        let sha256_of_onion = OnionHash(*hash.as_ref());
        assert_eq!((found.flaw, found.code()), (flaw, FailureCode(code)), "{name}");
        assert_eq!(found.sha256_of_onion, sha256_of_onion, "{name}");
        let failure = Failure::of_malformed(found.code(), sha256_of_onion);
        assert_eq!(Some(found.failure()), failure, "{name}");
        assert!(found.to_string().starts_with(&format!("onion {sha256_of_onion}: ")));
    }
}

#[test]
fn a_version_is_refused_before_a_key_and_a_key_before_the_hmac() {
    let mut packet = OnionPacket([0xff; ONION_BYTES]);
    let flaw = |packet: &OnionPacket| bad(packet, &DATA, &node(0)).flaw;
    assert_eq!(flaw(&packet), OnionFlaw::Version { got: 0xff, want: 0 });
    packet.0[0] = 0;
    assert_eq!(flaw(&packet), OnionFlaw::Key { prefix: 0xff });
}

#[test]
fn a_layer_that_is_framed_badly_is_answered_under_its_keys() {
    let mut dice = Dice::new(1);
    let (node, ephemeral, data) = (key(&mut dice), key(&mut dice), data(&mut dice));
    let broke = PayloadFlaw::Broke;
    let short = |need, have| broke(Broke::Short { need, have });
    let rows: [(&str, &[u8], PayloadFlaw); 8] = [
        ("a legacy payload", &[0], PayloadFlaw::TooShort { got: 0, min: 2 }),
        ("reserved", &[1, 5], PayloadFlaw::TooShort { got: 1, min: 2 }),
        ("not minimal", &[0xfd, 0, 9], broke(Broke::NotMinimal { value: 9, took: 3, enough: 1 })),
        // Behind the 1,300 bytes there are as many of the stream.
        (
            "longer than a packet",
            &[0xfd, 0x04, 0xf2],
            PayloadFlaw::TooLong { got: 1_266, max: 1_265 },
        ),
        ("no HMAC", &[0xfd, 0x0a, 0x20], short(32, 5)),
        ("longer than all", &[0xfd, 0x0a, 0x26], short(2_598, 2_597)),
        ("more than memory", &[0xff; 9], short(usize::MAX, 2_591)),
        ("as long as may be", &[0xfd, 0x04, 0xf1, 1], PayloadFlaw::Missing),
    ];
    for (name, under, want) in rows {
        let peeled = peel(&crafted(&node, &data, &ephemeral, under), &data, &node).ok().unwrap();
        match peeled.layer {
            Ok(layer) => {
                assert_eq!((layer.payload().len(), want), (1_265, PayloadFlaw::Missing), "{name}");
            }
            Err(bad) => {
                assert_eq!(bad, BadPayload { at: None, flaw: want }, "{name}");
                let reason = peeled.return_keys.fail(&bad.failure()).unwrap();
                let origin = Origin::new(vec![peeled.return_keys]).unwrap();
                let failure = Failure::InvalidOnionPayload { culprit: Culprit(None) };
                assert_eq!(origin.read(&reason).unwrap().failure, failure, "{name}");
            }
        }
    }
}

#[test]
fn who_forwards_and_who_receives_is_what_the_onion_says_and_not_the_payload() {
    let mut dice = Dice::new(2);
    let (node, ephemeral, data) = (key(&mut dice), key(&mut dice), data(&mut dice));
    let (forward, last) = (bytes("02010104010206080000000000000003"), bytes("020101040102"));
    let under = |payload: &[u8], hmac: u8| {
        let under = [&[payload.len() as u8], payload, &[hmac; 32]].concat();
        layer(&crafted(&node, &data, &ephemeral, &under), &data, &node)
    };
    let misplaced = RecordAt { record: 6, offset: 6 };
    let missing = RecordAt { record: 6, offset: 6 };
    assert!(matches!(under(&last, 0).read(), Ok(Instruction::Receive(_))));
    assert!(matches!(under(&forward, 9).read(), Ok(Instruction::Forward { .. })));
    let want = BadPayload { at: Some(misplaced), flaw: PayloadFlaw::Misplaced };
    assert_eq!(under(&forward, 0).read(), Err(want));
    let want = BadPayload { at: Some(missing), flaw: PayloadFlaw::Missing };
    assert_eq!(under(&last, 9).read(), Err(want));
    assert_eq!(format!("{:?}", under(&last, 0)), "final, 6 bytes");
}

#[test]
fn random_packets_are_refused() {
    let mut dice = Dice::new(3);
    let node = key(&mut dice);
    for _ in 0..ROUNDS {
        let mut packet = OnionPacket(dice.array());
        let any = bad(&packet, &DATA, &node).flaw;
        assert!(matches!(any, OnionFlaw::Version { .. }) || packet.0[0] == 0);
        packet.0[0] = 0;
        packet.0[1] = 2 | packet.0[1] & 1;
        bad(&packet, &DATA, &node);
        if let Ok(sealed) = Sealed::parse(&packet) {
            assert!(sealed.peel(&DATA, &SharedSecret::take(&mut dice.array())).is_err());
        }
    }
}

#[test]
fn random_layers_are_read_or_refused() {
    let mut dice = Dice::new(4);
    let (node, ephemeral, data) = (key(&mut dice), key(&mut dice), data(&mut dice));
    let (mut read, mut framed) = (0, 0);
    for _ in 0..300 {
        let mut under: [u8; 1_300] = dice.array();
        if dice.one_in(2) {
            under[0] = dice.below(60) as u8;
            let zeros = usize::from(under[0]) + 1;
            under[zeros..zeros + 32].fill(0);
        }
        let packet = crafted(&node, &data, &ephemeral, &under);
        match peel(&packet, &data, &node).ok().unwrap().layer {
            Ok(layer) => {
                framed += 1;
                read += usize::from(layer.read().is_ok());
            }
            Err(bad) => assert!(!bad.to_string().is_empty()),
        }
    }
    assert!(framed > 100 && read == 0, "{framed} of 300 in frames, {read} read");
}

/// Payloads that are nearly good: records of ours with some bytes changed, cut and added.
#[test]
fn changed_payloads_are_read_or_refused() {
    let mut dice = Dice::new(5);
    let good = bytes("02010104010206080000000000000003fd012d02ffff");
    let (mut read, mut refused) = (0, 0);
    for _ in 0..ROUNDS {
        let mut payload = good.clone();
        for _ in 0..dice.below(3) {
            let at = dice.below(payload.len());
            payload[at] = dice.throw() as u8;
        }
        payload.truncate(if dice.one_in(4) { dice.below(payload.len()) } else { payload.len() });
        payload.extend_from_slice(&dice.bytes(6));
        for parsed in
            [ForwardPayload::parse(&payload).map(|_| ()), FinalPayload::parse(&payload).map(|_| ())]
        {
            match parsed {
                Ok(()) => read += 1,
                Err(bad) => {
                    refused += 1;
                    let offset = bad.at.map_or(0, |at| usize::from(at.offset));
                    assert!(offset <= payload.len() && !bad.to_string().is_empty());
                }
            }
        }
    }
    assert!(read > 100 && refused > 100, "{read} read, {refused} refused");
}

#[test]
fn random_reasons_are_nobodys() {
    let mut dice = Dice::new(6);
    let origin = (0..20).map(|_| ReturnKeys::take(&mut dice.array())).collect();
    let origin = Origin::new(origin).unwrap();
    for _ in 0..200 {
        assert!(origin.read(&Blob(dice.bytes(600))).is_err());
    }
    assert!(origin.read(&Blob(vec![0; 65_000])).is_err());
    for _ in 0..ROUNDS {
        let bytes = dice.bytes(80);
        match Failure::decode(&bytes) {
            Ok(failure) => assert_eq!(failure.encode().unwrap()[..2], bytes[..2]),
            Err(broke) => assert_eq!(broke, Broke::Short { need: 2, have: bytes.len() }),
        }
    }
}

#[test]
fn a_layer_shows_how_much_it_has_and_not_what() {
    let layer = Layer::Final { payload: vec![0x5a; 9] };
    assert_eq!(format!("{layer:?}"), "final, 9 bytes");
}
