//! The rows of BOLT 4.

use bitcoin::hashes::{Hash as _, sha256};
use sphinx::{
    AssociatedData, Failure, FinalPayload, ForwardPayload, Layer, Origin, ReturnKeys, Returned,
    Sealed, SharedSecret,
};
use wire::{
    amount::{BlockHeight, Msat},
    id::{OnionPacket, Scid},
    list::Blob,
};

use crate::{
    rows::{
        AMMAG, DATA, ONION, PAYLOADS, REASON, SHARED, TRACED, TRACED_HMAC, TRACED_MESSAGE, UM,
        array, bytes, node, onion,
    },
    world::layer,
};

/// The keys of a hop, made of its row's shared secret.
fn return_keys(hop: usize) -> ReturnKeys {
    let mut packet = OnionPacket(array(ONION));
    for at in 0..hop {
        let Layer::Forward { next, .. } = layer(&packet, &DATA, &node(at)) else {
            panic!("final at {at}")
        };
        packet = *next;
    }
    let sealed = Sealed::parse(&packet).unwrap();
    let shared = SharedSecret::take(&mut array(SHARED[hop]));
    sealed.peel(&DATA, &shared).ok().unwrap().return_keys
}

fn written(keys: &ReturnKeys) -> [u8; 64] {
    let mut to = [0; 64];
    keys.write(&mut to);
    to
}

#[test]
fn we_make_the_onion() {
    assert_eq!(onion().packet.0, array(ONION));
}

#[test]
fn each_hop_finds_its_payload() {
    let mut packet = OnionPacket(array(ONION));
    for (hop, want) in PAYLOADS.iter().enumerate() {
        match layer(&packet, &DATA, &node(hop)) {
            Layer::Forward { payload, next } => {
                assert_eq!((payload, hop < 4), (bytes(want), true));
                packet = *next;
            }
            Layer::Final { payload } => assert_eq!((payload, hop), (bytes(want), 4)),
        }
    }
}

#[test]
fn the_payloads_mean_what_they_say() {
    let forward = ForwardPayload::parse(&bytes(PAYLOADS[0])).unwrap();
    let (amt_to_forward, outgoing_cltv_value) = (Msat(15_000), BlockHeight(1_500));
    let short_channel_id = Scid(1);
    assert_eq!(forward, ForwardPayload { amt_to_forward, outgoing_cltv_value, short_channel_id });
    assert_eq!(forward.encode(), bytes(PAYLOADS[0]));
    // The second one has an odd record that nobody knows.
    let forward = ForwardPayload::parse(&bytes(PAYLOADS[1])).unwrap();
    assert_eq!((forward.amt_to_forward, forward.short_channel_id), (Msat(14_000), Scid(2)));
    let last = FinalPayload::parse(&bytes(PAYLOADS[4])).unwrap();
    assert_eq!((last.amt_to_forward, last.total_msat()), (Msat(10_000), Msat(10_000)));
    assert_eq!(last.outgoing_cltv_value, BlockHeight(1_000));
    let secret = last.payment_data.unwrap().payment_secret;
    assert_eq!(secret.0[..4], [0x24, 0xa3, 0x35, 0x62]);
}

#[test]
fn keys_of_failures_follow_from_the_shared_secrets() {
    let origin = onion().origin;
    for (hop, ammag) in AMMAG.iter().enumerate() {
        let keys = written(&return_keys(hop));
        assert_eq!(keys[32..], bytes(ammag));
        assert_eq!(keys, written(&origin.keys()[hop]));
    }
    assert_eq!(written(&return_keys(4))[..32], bytes(UM));
}

#[test]
fn a_failure_comes_back_as_in_the_row() {
    let mut reason = return_keys(4).fail(&Failure::TemporaryNodeFailure).unwrap();
    for hop in (0..4).rev() {
        reason = return_keys(hop).pass_back(reason);
    }
    assert_eq!(reason, Blob(bytes(REASON)));
    let returned = onion().origin.read(&reason).unwrap();
    assert_eq!(returned, Returned { hop: 4, failure: Failure::TemporaryNodeFailure });
}

#[test]
fn a_failure_comes_back_as_in_the_trace() {
    let mut reason = bytes(TRACED_HMAC);
    reason.extend_from_slice(&320u16.to_be_bytes());
    reason.extend_from_slice(&bytes(TRACED_MESSAGE));
    reason.extend_from_slice(&[128; 300]);
    reason.extend_from_slice(&704u16.to_be_bytes());
    reason.resize(reason.len() + 704, 0);
    let mut reason = Blob(reason);
    for (hop, want) in (0..5).rev().zip(TRACED) {
        reason = return_keys(hop).pass_back(reason);
        assert_eq!(sha256::Hash::hash(&reason.0).to_byte_array(), array(want), "hop {hop}");
    }
    let (htlc_msat, height) = (Msat(100), BlockHeight(800_000));
    let failure = Failure::IncorrectOrUnknownPaymentDetails { htlc_msat, height };
    let kept = (0..5).map(return_keys).collect();
    let origin = Origin::new(kept).unwrap();
    assert_eq!(origin.read(&reason), Ok(Returned { hop: 4, failure }));
}

#[test]
fn an_onion_of_a_payment_is_none_of_a_message() {
    let packet = OnionPacket(array(ONION));
    crate::world::bad(&packet, &AssociatedData::Message, &node(0));
}
