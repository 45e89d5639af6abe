//! The handshake: all of BOLT 8's vectors, by operation and split through the cores.

use noise::{Act, Act1, Act2, Act3, Fault, Part, Reader, Sealed, Transport};

use crate::parties::{
    Split, dialed, ephemeral, identity, initiate_directly, respond_directly, responded, states,
};
use crate::vectors::{
    ACT1, ACT2, ACT3, CK_ACT2, H_ACT2, INITIATOR, INITIATOR_EPHEMERAL, INITIATOR_KEY, RESPONDER,
    RESPONDER_KEY, TEMP_K2, array, bytes, opened_initiator, opened_responder,
};

/// Whole, in bytes, and cut at places that fit nothing.
const PIECES: [usize; 5] = [1_000, 1, 7, 33, 49];

#[test]
fn initiator_vectors_by_operation() {
    for case in INITIATOR {
        let Ok(act2) = bytes(case.act2).try_into() else { continue };
        assert_eq!(
            initiate_directly(act2),
            case.want.map(|()| opened_initiator()),
            "{}",
            case.name
        );
    }
}

#[test]
fn initiator_vectors_through_the_cores() {
    for case in INITIATOR {
        for piece in PIECES {
            let got = Split::initiator().run(&bytes(case.act2), piece);
            assert_eq!(got, case.want.map(|()| opened_initiator()), "{} by {piece}", case.name);
        }
    }
}

#[test]
fn responder_vectors_by_operation() {
    for case in RESPONDER {
        let act3 = if case.act3.is_empty() { ACT3 } else { case.act3 };
        let (Ok(act1), Ok(act3)) = (bytes(case.act1).try_into(), bytes(act3).try_into()) else {
            continue;
        };
        let want = case.want.map(|()| opened_responder());
        assert_eq!(respond_directly(act1, act3), want, "{}", case.name);
    }
}

#[test]
fn responder_vectors_through_the_cores() {
    for case in RESPONDER {
        for piece in PIECES {
            let stream = [bytes(case.act1), bytes(case.act3)].concat();
            let got = Split::responder().run(&stream, piece);
            assert_eq!(got, case.want.map(|()| opened_responder()), "{} by {piece}", case.name);
        }
    }
}

#[test]
fn a_failing_responder_has_sent_act_two_only_if_act_one_was_good() {
    for case in RESPONDER {
        let mut split = Split::responder();
        let stream = [bytes(case.act1), bytes(case.act3)].concat();
        let _ = split.feed(&stream, 1_000);
        let want = if case.act1 == ACT1 { bytes(ACT2) } else { Vec::new() };
        assert_eq!(split.sent, want, "{}", case.name);
    }
}

#[test]
fn the_half_open_responder_holds_the_values_of_the_vectors() {
    let (act2, half_open, _) = responded();
    assert_eq!(act2.bytes(), &array(ACT2));
    let exported = half_open.export();
    let want = bytes(&format!("01{CK_ACT2}{H_ACT2}{TEMP_K2}{}", "22".repeat(32)));
    assert_eq!(exported.as_bytes().as_slice(), want);
}

#[test]
fn a_carried_half_open_finishes_like_the_one_that_stayed() {
    let (_, half_open, _) = responded();
    let carried = noise::HalfOpen::import(half_open.export().as_bytes()).ok().unwrap();
    let (_, transport) = carried.finish(&Act3::parse(array(ACT3)).unwrap()).ok().unwrap();
    assert_eq!(transport.export().as_bytes(), states().1.export().as_bytes());
}

#[test]
fn every_cut_of_an_act_names_its_bytes() {
    for got in 0..50 {
        let want = Err(Fault::Cut { act: Act::Two, got, want: 50 });
        assert_eq!(Split::initiator().run(&bytes(ACT2)[..got], 3), want);
        let want = Err(Fault::Cut { act: Act::One, got, want: 50 });
        assert_eq!(Split::responder().run(&bytes(ACT1)[..got], 3), want);
    }
    let stream = [bytes(ACT1), bytes(ACT3)].concat();
    for got in 0..66 {
        let want = Err(Fault::Cut { act: Act::Three, got, want: 66 });
        assert_eq!(Split::responder().run(&stream[..50 + got], 3), want);
    }
}

#[test]
fn every_flipped_bit_of_an_act_is_refused() {
    for bit in 0..50 * 8 {
        let flipped = |act: &str| {
            let mut act = array::<50>(act);
            act[bit / 8] ^= 1 << (bit % 8);
            act
        };
        // Only the prefix of a key can change into another good point, which no tag then fits.
        let fault = initiate_directly(flipped(ACT2)).unwrap_err();
        assert!(fits(fault, Act::Two, &[Sealed::ActTwo], bit / 8), "act 2, bit {bit}: {fault}");
        let fault = respond_directly(flipped(ACT1), array(ACT3)).unwrap_err();
        assert!(fits(fault, Act::One, &[Sealed::ActOne], bit / 8), "act 1, bit {bit}: {fault}");
    }
    for bit in 0..66 * 8 {
        let mut act = array::<66>(ACT3);
        act[bit / 8] ^= 1 << (bit % 8);
        let fault = respond_directly(array(ACT1), act).unwrap_err();
        let sealed = if bit / 8 < 50 { Sealed::ActThreeKey } else { Sealed::ActThreeEnd };
        assert!(fits(fault, Act::Three, &[sealed], bit / 8), "act 3, bit {bit}: {fault}");
    }
}

/// Whether a damaged byte of an act got the fault it deserves.
fn fits(fault: Fault, act: Act, tags: &[Sealed], byte: usize) -> bool {
    let point = act != Act::Three && (1..34).contains(&byte);
    if let Fault::Version { act: named, .. } = fault {
        return named == act && byte == 0;
    }
    if let Fault::Point { act: named, .. } = fault {
        return named == act && point;
    }
    byte > 0 && tags.iter().any(|sealed| fault == Fault::Mac { sealed: *sealed })
}

#[test]
fn a_version_is_refused_with_its_first_byte() {
    for got in 1..=u8::MAX {
        let fault = |act| Err(Fault::Version { act, got, want: 0 });
        assert_eq!(Split::initiator().feed(&[got], 1), fault(Act::Two));
        assert_eq!(Split::responder().feed(&[got], 1), fault(Act::One));
        let stream = [bytes(ACT1), vec![got]].concat();
        assert_eq!(Split::responder().feed(&stream, 1), fault(Act::Three));
        assert_eq!(Act1::parse([got; 50]).map(|_| Vec::new()), fault(Act::One));
        assert_eq!(Act2::parse([got; 50]).map(|_| Vec::new()), fault(Act::Two));
        assert_eq!(Act3::parse([got; 66]).map(|_| Vec::new()), fault(Act::Three));
    }
}

#[test]
fn bytes_behind_an_act_are_left_to_the_transport() {
    let (mut initiator, mut responder): (Transport, Transport) =
        (states().0.into(), states().1.into());
    let (mut hello, mut welcome) = (Vec::new(), Vec::new());
    initiator.encrypt(b"hello", &mut hello).unwrap();
    responder.encrypt(b"welcome", &mut welcome).unwrap();
    for piece in PIECES {
        let mut split = Split::initiator();
        let rest = split.feed(&[bytes(ACT2), welcome.clone()].concat(), piece).unwrap();
        assert_eq!(rest, welcome);
        assert_eq!(first_message(split.done.unwrap().1.into(), &rest), b"welcome");

        let mut split = Split::responder();
        let rest = split.feed(&[bytes(ACT1), bytes(ACT3), hello.clone()].concat(), piece).unwrap();
        assert_eq!(rest, hello);
        assert_eq!(first_message(split.done.unwrap().1.into(), &rest), b"hello");
    }
}

fn first_message(mut transport: Transport, mut stream: &[u8]) -> Vec<u8> {
    let mut reader = Reader::new();
    reader.read(&mut transport, &mut stream).unwrap().unwrap().to_vec()
}

#[test]
fn a_handshake_with_the_wrong_node_fails_at_act_one() {
    let (_, act1) = dialed();
    let stranger = identity([0x33; 32]);
    let got = noise::keyholder::respond(&act1, &stranger, ephemeral([0x44; 32]));
    assert_eq!(got.err(), Some(Fault::Mac { sealed: Sealed::ActOne }));
}

#[test]
fn a_replayed_act_one_does_not_open_a_second_connection() {
    let (_, act1) = dialed();
    let key = identity(RESPONDER_KEY);
    let again = noise::keyholder::respond(&act1, &key, ephemeral([0x55; 32]));
    let (_, half_open, verifier) = again.ok().unwrap();
    let act3 = Act3::parse(array(ACT3)).unwrap();
    let want = Fault::Mac { sealed: Sealed::ActThreeKey };
    assert_eq!(half_open.finish(&act3).err(), Some(want));
    assert_eq!(verifier.verify(&act3).err(), Some(want));
}

#[test]
fn the_identity_key_is_refused_as_ephemeral_key() {
    let (_, act1) = dialed();
    let got = noise::keyholder::respond(&act1, &identity(RESPONDER_KEY), ephemeral(RESPONDER_KEY));
    assert_eq!(got.err(), Some(Fault::IdentityAsEphemeral));
}

#[test]
fn a_node_can_call_itself() {
    let key = || identity(INITIATOR_KEY);
    let (dial, act1) = noise::keyholder::dial(&key().public(), ephemeral(INITIATOR_EPHEMERAL));
    let (act2, half_open, _) =
        noise::keyholder::respond(&act1, &key(), ephemeral([0x66; 32])).ok().unwrap();
    let (act3, state) = dial.finish(&act2, &key()).ok().unwrap();
    let (remote, _) = half_open.finish(&act3).ok().unwrap();
    assert_eq!(remote, key().public());
    assert_eq!(Transport::from(state).due(), Ok((Part::Header, 18)));
}
