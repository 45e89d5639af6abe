//! Failures on their way back, and what they say.

use std::collections::BTreeSet;

use sphinx::{
    Culprit, DisabledFlags, FAILURE_BYTES_MAX, Failure, FailureTooLong, Layer, Onion, REASON_BYTES,
    RecordAt, ReturnFault, ReturnKeys, Returned, flag,
};
use wire::{
    amount::{BlockHeight, Msat},
    dice::Dice,
    fault::Broke,
    id::{FailureCode, OnionHash},
    list::Blob,
};

use crate::{
    rows::bytes,
    world::{data, hmac, peel, route, session},
};

/// An onion, and the keys that its hops have found in it.
fn peeled(seed: u64, count: usize) -> (Onion, Vec<ReturnKeys>) {
    let mut dice = Dice::new(seed);
    let (nodes, hops) = route(&mut dice, count);
    let data = data(&mut dice);
    let onion = hops.wrap(session(&mut dice), &data);
    let mut packet = onion.packet.clone();
    let mut keys = Vec::new();
    for node in &nodes {
        let peeled = peel(&packet, &data, node).ok().unwrap();
        keys.push(peeled.return_keys);
        if let Layer::Forward { next, .. } = peeled.layer.unwrap() {
            packet = next;
        }
    }
    (onion, keys)
}

/// `reason` as it reaches the origin.
fn back(keys: &[ReturnKeys], from: usize, mut reason: Blob) -> Blob {
    for hop in keys[..from].iter().rev() {
        reason = hop.pass_back(reason);
    }
    reason
}

#[test]
fn the_origin_reads_who_failed_and_why() {
    for count in [1, 2, 7, 20] {
        let (onion, keys) = peeled(count as u64, count);
        let mut dice = Dice::new(9);
        for hop in 0..count {
            let failure = Failure::generate(&mut dice);
            let made = match keys[hop].fail(&failure) {
                Ok(made) => made,
                Err(FailureTooLong { got, max: 256 }) => {
                    assert!(got > 256);
                    continue;
                }
                Err(other) => panic!("{other}"),
            };
            assert_eq!(made.0.len(), REASON_BYTES);
            let returned = onion.origin.read(&back(&keys, hop, made));
            assert_eq!(returned, Ok(Returned { hop, failure }));
        }
    }
}

#[test]
fn a_failure_that_was_changed_is_nobodys() {
    let (onion, keys) = peeled(1, 3);
    let made = keys[2].fail(&Failure::MppTimeout).unwrap();
    let reason = back(&keys, 2, made.clone());
    for byte in 0..reason.0.len() {
        let mut changed = reason.clone();
        changed.0[byte] ^= 0x10;
        let nobody = ReturnFault::Nobodys { bytes: 292, hops: 3 };
        assert_eq!(onion.origin.read(&changed), Err(nobody));
    }
    // Nor does it come from a hop that has not passed it on.
    assert!(onion.origin.read(&made).is_err());
    let (other, _) = peeled(2, 3);
    assert!(other.origin.read(&reason).is_err());
}

#[test]
fn keys_behind_the_last_hop_are_believed_nothing() {
    // The loop runs on with keys of zeros; somebody may have made a failure with them.
    let (onion, keys) = peeled(3, 2);
    let nobody = ReturnKeys::take(&mut [0; 64]);
    let made = nobody.fail(&Failure::MppTimeout).unwrap();
    let bytes = made.0.len();
    let reason = back(&keys, 2, made);
    assert_eq!(onion.origin.read(&reason), Err(ReturnFault::Nobodys { bytes, hops: 2 }));
}

#[test]
fn a_hop_that_makes_nonsense_is_named() {
    let (onion, keys) = peeled(4, 2);
    let rows: [(&str, &[u8], ReturnFault); 3] = [
        (
            "no room for a code",
            &[0, 1, 0x40],
            ReturnFault::Garbled { hop: 1, broke: Broke::Short { need: 2, have: 1 } },
        ),
        (
            "shorter than it says",
            &[0, 9, 0x40, 0x0a],
            ReturnFault::Garbled { hop: 1, broke: Broke::Short { need: 9, have: 2 } },
        ),
        (
            "no length",
            &[],
            ReturnFault::Garbled { hop: 1, broke: Broke::Short { need: 2, have: 0 } },
        ),
    ];
    for (name, rest, want) in rows {
        let made = keys[1].pass_back(sealed(&keys[1], rest));
        assert_eq!(onion.origin.read(&back(&keys, 1, made)), Err(want), "{name}");
    }
}

/// An HMAC that fits, before bytes of our choice.
fn sealed(keys: &ReturnKeys, rest: &[u8]) -> Blob {
    let mut both = [0; 64];
    keys.write(&mut both);
    let hmac = hmac(&both[..32], &[rest]);
    Blob([&hmac, rest].concat())
}

#[test]
fn a_failure_without_padding_is_read_too() {
    let (onion, keys) = peeled(5, 2);
    let made = keys[1].pass_back(sealed(&keys[1], &[0, 2, 0, 23, 0, 0]));
    let want = Returned { hop: 1, failure: Failure::MppTimeout };
    assert_eq!(onion.origin.read(&back(&keys, 1, made)), Ok(want));
}

#[test]
fn what_is_too_long_to_be_read_by_others_is_not_made() {
    let (_, keys) = peeled(6, 1);
    let of = |bytes| Failure::TemporaryChannelFailure { channel_update: Blob(vec![1; bytes]) };
    assert_eq!(keys[0].fail(&of(252)).unwrap().0.len(), 292);
    let want = FailureTooLong { got: 257, max: FAILURE_BYTES_MAX };
    assert_eq!(keys[0].fail(&of(253)), Err(want));
    assert_eq!(want.to_string(), "a failure of 257 bytes, at most 256");
    let want = FailureTooLong { got: 70_004, max: FAILURE_BYTES_MAX };
    assert_eq!(keys[0].fail(&of(70_000)), Err(want), "nor does its length have room");
}

#[test]
fn keys_are_kept_and_taken_again() {
    let (onion, keys) = peeled(7, 3);
    let mut kept = [0; 64];
    keys[1].write(&mut kept);
    let again = ReturnKeys::take(&mut kept);
    assert_eq!(kept, [0; 64]);
    let reason = back(&keys, 1, again.fail(&Failure::ExpiryTooFar).unwrap());
    assert_eq!(onion.origin.read(&reason).unwrap().hop, 1);
}

/// Codes and layouts as the text of BOLT 4 has them.
fn rows() -> Vec<(u16, Failure, String)> {
    let hash = OnionHash([7; 32]);
    let sha = "07".repeat(32);
    let update = || Blob(vec![1, 2, 3]);
    let (htlc_msat, cltv_expiry) = (Msat(5), BlockHeight(6));
    let record = RecordAt { record: 0x1234, offset: 9 };
    let row = |code, failure, data: &str| (code, failure, String::from(data));
    vec![
        row(0x2002, Failure::TemporaryNodeFailure, ""),
        row(0x6002, Failure::PermanentNodeFailure, ""),
        row(0x6003, Failure::RequiredNodeFeatureMissing, ""),
        row(0xc004, Failure::InvalidOnionVersion { sha256_of_onion: hash }, &sha),
        row(0xc005, Failure::InvalidOnionHmac { sha256_of_onion: hash }, &sha),
        row(0xc006, Failure::InvalidOnionKey { sha256_of_onion: hash }, &sha),
        row(0x1007, Failure::TemporaryChannelFailure { channel_update: update() }, "0003010203"),
        row(0x4008, Failure::PermanentChannelFailure, ""),
        row(0x4009, Failure::RequiredChannelFeatureMissing, ""),
        row(0x400a, Failure::UnknownNextPeer, ""),
        row(
            0x100b,
            Failure::AmountBelowMinimum { htlc_msat, channel_update: update() },
            "00000000000000050003010203",
        ),
        row(
            0x100c,
            Failure::FeeInsufficient { htlc_msat, channel_update: update() },
            "00000000000000050003010203",
        ),
        row(
            0x100d,
            Failure::IncorrectCltvExpiry { cltv_expiry, channel_update: update() },
            "000000060003010203",
        ),
        row(0x100e, Failure::ExpiryTooSoon { channel_update: Blob(vec![]) }, "0000"),
        row(
            0x400f,
            Failure::IncorrectOrUnknownPaymentDetails { htlc_msat, height: cltv_expiry },
            "000000000000000500000006",
        ),
        row(18, Failure::FinalIncorrectCltvExpiry { cltv_expiry }, "00000006"),
        row(
            19,
            Failure::FinalIncorrectHtlcAmount { incoming_htlc_amt: htlc_msat },
            "0000000000000005",
        ),
        row(
            0x1014,
            Failure::ChannelDisabled { disabled_flags: DisabledFlags(0), channel_update: update() },
            "00000003010203",
        ),
        row(21, Failure::ExpiryTooFar, ""),
        row(0x4016, Failure::InvalidOnionPayload { culprit: Culprit(None) }, ""),
        row(0x4016, Failure::InvalidOnionPayload { culprit: Culprit(Some(record)) }, "fd12340009"),
        row(23, Failure::MppTimeout, ""),
        row(0xc018, Failure::InvalidOnionBlinding { sha256_of_onion: hash }, &sha),
    ]
}

#[test]
fn failures_are_written_as_bolt_4_has_them() {
    for (code, failure, data) in rows() {
        let want = [code.to_be_bytes().to_vec(), bytes(&data)].concat();
        assert_eq!(failure.code(), FailureCode(code), "{failure}");
        assert_eq!(failure.encode().as_ref(), Ok(&want), "{failure}");
        assert_eq!(Failure::decode(&want), Ok(failure.clone()));
        // BOLT 4: "MUST ignore any extra bytes in `failuremsg`."
        if code != 0x4016 || !data.is_empty() {
            let more = [want.clone(), vec![0xfd, 0x84, 0xd1, 0]].concat();
            assert_eq!(Failure::decode(&more), Ok(failure.clone()));
        }
        assert!(failure.to_string().starts_with(failure.name()));
    }
    let codes: BTreeSet<u16> = rows().into_iter().map(|(code, _, _)| code).collect();
    assert_eq!(codes.len(), 22, "all that BOLT 4 defines");
}

#[test]
fn a_code_is_kept_whatever_its_data() {
    for (code, failure, data) in rows() {
        let data = bytes(&data);
        for cut in 0..data.len() {
            let message = [&code.to_be_bytes(), &data[..cut]].concat();
            let read = Failure::decode(&message).unwrap();
            assert_eq!((read.code().0, read.encode()), (code, Ok(message)), "{failure}");
        }
    }
    let unknown = Failure::Other { code: FailureCode(0x7abc), data: Blob(vec![1]) };
    assert_eq!(Failure::decode(&[0x7a, 0xbc, 1]), Ok(unknown.clone()));
    assert!(unknown.has(flag::PERM) && unknown.has(flag::NODE) && !unknown.has(flag::BADONION));
    assert_eq!(Failure::decode(&[0x7a]), Err(Broke::Short { need: 2, have: 1 }));
}

#[test]
fn what_the_next_hop_could_not_read_is_passed_back_as_a_failure() {
    let hash = OnionHash([3; 32]);
    let of = |code| Failure::of_malformed(FailureCode(code), hash);
    assert_eq!(of(0xc005), Some(Failure::InvalidOnionHmac { sha256_of_onion: hash }));
    assert_eq!(of(0xc018), Some(Failure::InvalidOnionBlinding { sha256_of_onion: hash }));
    let data = Blob(vec![3; 32]);
    assert_eq!(of(0x8abc), Some(Failure::Other { code: FailureCode(0x8abc), data }));
    assert_eq!(of(0x4005), None, "BADONION is missing");
}

#[test]
fn generated_failures_are_read_as_they_were_written() {
    let mut dice = Dice::new(8);
    let mut names = BTreeSet::new();
    for _ in 0..2_000 {
        let failure = Failure::generate(&mut dice);
        names.insert(failure.name());
        if let Ok(message) = failure.encode() {
            assert_eq!(Failure::decode(&message), Ok(failure));
        }
    }
    assert_eq!(names.len(), 23, "each of them came");
}
