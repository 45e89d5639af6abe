//! What fits, what does not, and how that is said.

use sphinx::{
    HOPS_MAX, Hop, Hops, HopsFault, Layer, NoKey, Origin, OriginFault, PAYLOAD_BYTES_MAX,
    PAYLOADS_BYTES, SessionKey,
};
use wire::dice::Dice;

use crate::world::{data, hop, key, layer, session};

fn hops(sizes: &[usize]) -> Vec<Hop> {
    let mut dice = Dice::new(1);
    sizes.iter().map(|bytes| hop(&key(&mut dice), vec![7; *bytes])).collect()
}

#[test]
fn what_does_not_fit_is_refused_with_the_numbers() {
    let rows: [(&str, &[usize], Result<(), HopsFault>); 9] = [
        ("nobody", &[], Err(HopsFault::None)),
        ("the shortest", &[2], Ok(())),
        ("one byte", &[2, 1], Err(HopsFault::PayloadTooShort { hop: 1, got: 1, min: 2 })),
        ("no byte", &[0], Err(HopsFault::PayloadTooShort { hop: 0, got: 0, min: 2 })),
        ("the longest", &[1_265], Ok(())),
        ("longer", &[1_266], Err(HopsFault::PayloadsTooLong { got: 1_301, max: 1_300 })),
        ("two of them", &[1_231, 2], Err(HopsFault::PayloadsTooLong { got: 1_301, max: 1_300 })),
        ("all hops", &[15; 27], Ok(())),
        ("one more", &[2; 28], Err(HopsFault::TooMany { got: 28, max: 27 })),
    ];
    for (name, sizes, want) in rows {
        assert_eq!(Hops::new(hops(sizes)).map(|_| ()), want, "{name}");
    }
    assert_eq!((HOPS_MAX, PAYLOAD_BYTES_MAX), (27, 1_265));
}

#[test]
fn an_onion_can_be_filled_to_the_last_byte() {
    // The edges of the length's own length, and rooms that are full.
    let rows: [&[usize]; 7] =
        [&[1_265], &[252], &[253], &[1_230, 2], &[2, 1_230], &[252, 253, 692], &[15; 27]];
    for sizes in rows {
        let mut dice = Dice::new(1);
        let nodes: Vec<_> = sizes.iter().map(|_| key(&mut dice)).collect();
        let data = data(&mut dice);
        let onion = Hops::new(hops(sizes)).unwrap().wrap(session(&mut dice), &data);
        let mut packet = onion.packet;
        for (at, node) in nodes.iter().enumerate() {
            let layer = layer(&packet, &data, node);
            assert_eq!(layer.payload(), vec![7; sizes[at]], "{sizes:?}");
            match layer {
                Layer::Forward { next, .. } => packet = next,
                Layer::Final { .. } => assert_eq!(at, sizes.len() - 1),
            }
        }
    }
    let full: usize = [252 + 1, 253 + 3, 692 + 3].into_iter().map(|bytes| bytes + 32).sum();
    assert_eq!(full, PAYLOADS_BYTES);
}

#[test]
fn a_session_key_is_a_private_key() {
    for bytes in [[0; 32], [0xff; 32]] {
        assert_eq!(SessionKey::take(&mut { bytes }).err(), Some(NoKey));
    }
}

#[test]
fn an_origin_has_as_many_keys_as_an_onion_has_hops() {
    let keys = |count| {
        let take = |_| sphinx::ReturnKeys::take(&mut [5; 64]);
        Origin::new((0..count).map(take).collect()).map(|_| ()).err()
    };
    assert_eq!([keys(1), keys(27)], [None, None]);
    assert_eq!(keys(0), Some(OriginFault { got: 0, max: 27 }));
    assert_eq!(keys(28), Some(OriginFault { got: 28, max: 27 }));
}

#[test]
fn faults_have_words() {
    let rows = [
        (HopsFault::None, "0 hops, at least 1"),
        (HopsFault::TooMany { got: 28, max: 27 }, "28 hops, at most 27"),
        (
            HopsFault::PayloadTooShort { hop: 3, got: 1, min: 2 },
            "the payload of hop 3 has 1 bytes, at least 2",
        ),
        (
            HopsFault::PayloadsTooLong { got: 1_301, max: 1_300 },
            "the payloads need 1301 bytes, at most 1300",
        ),
    ];
    for (fault, want) in rows {
        assert_eq!(fault.to_string(), want);
    }
}
