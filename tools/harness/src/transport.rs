//! Targets for what `noise` reads: acts, records, and states that come from elsewhere.

use noise::{
    Answer, Effect, EphemeralKey, Exchange, Fault, HalfOpen, IdentityKey, Initiator, PublicKey,
    Reader, Responder, Transport, TransportState,
};

fn identity(byte: u8) -> IdentityKey {
    IdentityKey::take(&mut [byte; 32]).expect("small repeated bytes are a key")
}

fn ephemeral(byte: u8) -> EphemeralKey {
    EphemeralKey::take(&mut [byte; 32]).expect("small repeated bytes are a key")
}

/// A state that claims to be a transport's: what is accepted is written again to the byte, and it
/// works.
pub fn transport_state(data: &[u8]) {
    let Ok(state) = TransportState::import(data) else { return };
    assert_eq!(state.export().as_bytes().as_slice(), data);
    let state = TransportState::import(data).expect("it was accepted before");
    let mut transport = Transport::from(state);
    let mut record = Vec::new();
    transport.encrypt(b"two", &mut record).expect("a short message");
    let (part, bytes) = transport.due().expect("a fresh transport lives");
    let mut junk = vec![0; bytes];
    let header = junk.first_chunk().copied();
    let refused = match (part, header) {
        (noise::Part::Header, Some(header)) => transport.decrypt_header(&header).is_err(),
        _ => transport.decrypt_body(&mut junk).is_err(),
    };
    assert!(refused, "nobody has sealed these zeros");
    assert!(transport.into_state().is_err(), "a dead transport is worth nothing");
}

/// A state that claims to be half a handshake's.
pub fn half_open(data: &[u8]) {
    if let Ok(half_open) = HalfOpen::import(data) {
        assert_eq!(half_open.export().as_bytes().as_slice(), data);
    }
}

/// Bytes for both roles of a handshake. The first byte says how many belong to a good act before.
pub fn acts(data: &[u8]) {
    let Some((&[good, step], junk)) = data.split_first_chunk::<2>() else { return };
    let step = usize::from(step).max(1);
    let we = identity(1);
    initiator(&we, usize::from(good), junk, step);
    responder(&we, usize::from(good), junk, step);
}

/// Answers what the core asks, as long as it asks; tells what it sends.
fn serve(
    exchange: &mut Exchange,
    key: &IdentityKey,
    mut poll: impl FnMut(Option<Answer>) -> Result<Option<Effect>, Fault>,
) -> Vec<u8> {
    let (mut sent, mut answer) = (Vec::new(), None);
    while let Ok(Some(effect)) = poll(answer.take()) {
        match effect {
            Effect::Ask(ask) => answer = Some(exchange.answer(ask, key, || ephemeral(3))),
            Effect::Send(act) => sent.extend_from_slice(act.bytes()),
            Effect::Done { .. } => {}
        }
    }
    sent
}

fn initiator(key: &IdentityKey, good: usize, junk: &[u8], step: usize) {
    let remote = identity(2);
    let mut core = Initiator::new(remote.public());
    let mut exchange = Exchange::new();
    let act1 = serve(&mut exchange, key, |answer| {
        answer.map_or(Ok(()), |answer| core.handle_answer(answer))?;
        Ok(core.poll())
    });
    let mut act2 = respond_to(&act1, &remote);
    act2.truncate(good);
    act2.extend_from_slice(junk);
    for piece in act2.chunks(step) {
        if core.handle_bytes(piece).is_err() {
            assert!(core.handle_bytes(piece).is_err(), "what has failed stays failed");
        }
        serve(&mut exchange, key, |answer| {
            answer.map_or(Ok(()), |answer| core.handle_answer(answer))?;
            Ok(core.poll())
        });
    }
    core.end().ok();
}

fn respond_to(act1: &[u8], key: &IdentityKey) -> Vec<u8> {
    let mut core = Responder::new();
    assert_eq!(core.handle_bytes(act1), Ok(act1.len()), "a good act one");
    serve(&mut Exchange::new(), key, |answer| {
        answer.map_or(Ok(()), |answer| core.handle_answer(answer))?;
        Ok(core.poll())
    })
}

fn responder(key: &IdentityKey, good: usize, junk: &[u8], step: usize) {
    let (_, act1) = noise::keyholder::dial(&key.public(), ephemeral(4));
    let mut input = act1.bytes().to_vec();
    input.truncate(good);
    input.extend_from_slice(junk);
    let mut core = Responder::new();
    let mut exchange = Exchange::new();
    for piece in input.chunks(step) {
        if core.handle_bytes(piece).is_err() {
            assert!(core.handle_bytes(piece).is_err(), "what has failed stays failed");
        }
        serve(&mut exchange, key, |answer| {
            answer.map_or(Ok(()), |answer| core.handle_answer(answer))?;
            Ok(core.poll())
        });
    }
    core.end().ok();
}

/// Two ends of one connection.
fn connected() -> (Transport, Transport) {
    let (caller, called) = (identity(1), identity(2));
    let remote: PublicKey = called.public();
    let (dial, act1) = noise::keyholder::dial(&remote, ephemeral(3));
    let (act2, half_open, _) =
        noise::keyholder::respond(&act1, &called, ephemeral(4)).expect("a good act one");
    let (act3, ours) = dial.finish(&act2, &caller).expect("a good act two");
    let (_, theirs) = half_open.finish(&act3).expect("a good act three");
    (ours.into(), theirs.into())
}

/// A stream of records: each group of three bytes is a message's length and what happens to it,
/// and how large the pieces are in which it arrives.
pub fn record_stream(data: &[u8]) {
    let (mut ours, mut theirs) = connected();
    let mut reader = Reader::new();
    for (number, &[length, damage, step]) in data.as_chunks::<3>().0.iter().enumerate() {
        let message = vec![number as u8; usize::from(length) * 3 + 2];
        let mut record = Vec::new();
        ours.encrypt(&message, &mut record).expect("a message of 2 to 767 bytes");
        let damaged = damage >= 250;
        if damaged {
            let at = usize::from(step) * 7 % record.len();
            record[at] ^= 1 << (damage - 250);
        } else if damage >= 200 {
            let state = theirs.into_state().expect("it lives").export();
            theirs = TransportState::import(state.as_bytes()).expect("its own").into();
        }
        let mut got = Vec::new();
        for mut piece in record.chunks(usize::from(step).max(1)) {
            while !piece.is_empty() {
                match reader.read(&mut theirs, &mut piece) {
                    Ok(Some(message)) => got.push(message.to_vec()),
                    Ok(None) => {}
                    Err(_) => return assert!(damaged, "nothing was wrong with message {number}"),
                }
            }
        }
        assert!(!damaged && got == [message], "message {number} did not arrive as it was sent");
    }
}
