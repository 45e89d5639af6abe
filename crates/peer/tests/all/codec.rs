//! What crosses the bus between a holder and whoever asks: every kind there and back, cut and
//! changed.

use noise::TransportState;
use peer::{
    Culprit, Delegation, Epoch, Malformed, OutSeq, Reclaimed, Seq,
    holder::{Answer, Ask, Denial, Event, Opened, Status, Summary},
};
use wire::{
    Init,
    dice::Dice,
    features::{Feature, Features},
    id::{ChannelId, ConnectionId},
    tick::Millis,
};

use crate::pair::{NOTE, key};

const ONE: ConnectionId = ConnectionId(1);
const FAR: ConnectionId = ConnectionId(u64::MAX);

pub fn some_state() -> TransportState {
    let keys: Vec<u8> = (1..=128).collect();
    let bytes = [&[1][..], &keys[..64], &[0, 0], &keys[64..], &[0, 0], &[0, 0]].concat();
    TransportState::import(&bytes).expect("plausible")
}

fn delegation(init: Option<Box<Init>>) -> Delegation {
    let (epoch, remote) = (Epoch(7), key(2).public());
    Delegation { epoch, remote, state: some_state(), rx_offset: 300, tx_offset: u64::MAX, init }
}

fn asks() -> Vec<Ask> {
    let four = "10.0.0.1:9735".parse().expect("an address");
    let six = "[2001:db8::7]:1".parse().expect("an address");
    let (remote, epoch) = (key(3).public(), Epoch(u64::MAX));
    let init = Init::offering(Features::optional(&[Feature::Anchors]));
    let message = [&NOTE.to_be_bytes()[..], b"hello"].concat();
    vec![
        Ask::Subscribe { epoch },
        Ask::Dial { remote, address: four },
        Ask::Dial { remote, address: six },
        Ask::Tunnel { address: six, epoch },
        Ask::Close { connection: FAR },
        Ask::Send { connection: ONE, epoch, seq: OutSeq(9), message },
        Ask::Send { connection: ONE, epoch, seq: OutSeq(0), message: Vec::new() },
        Ask::Ping { connection: ONE },
        Ask::Acknowledge { marks: Vec::new() },
        Ask::Acknowledge { marks: vec![(ONE, Seq(0)), (FAR, Seq(u64::MAX))] },
        Ask::Delegate { connection: ONE, delegation: delegation(None) },
        Ask::Delegate { connection: ONE, delegation: delegation(Some(Box::new(init))) },
        Ask::Reclaim { connection: ONE, epoch },
        Ask::Attach { connection: ONE, epoch, offset: 5 },
        Ask::Credit { connection: ONE, epoch, offset: u64::MAX },
        Ask::Pass { connection: ONE, epoch, offset: 5, bytes: vec![0; 70_000] },
        Ask::List { after: None, max: 0 },
        Ask::List { after: Some(FAR), max: u16::MAX },
        Ask::Status,
    ]
}

fn answers() -> Vec<Answer> {
    let address = "10.0.0.1:9735".parse().expect("an address");
    let line = |remote| Summary {
        connection: ONE,
        remote,
        address,
        outbound: true,
        state: "waiting for init".to_owned(),
    };
    let unsaved = vec![(Seq(3), vec![1, 2, 3]), (Seq(4), Vec::new())];
    let reclaimed = Reclaimed {
        remote: key(2).public(),
        state: some_state(),
        init: vec![0, 0, 0, 0].into(),
        rx_offset: 1,
        tx_offset: 2,
        unsaved,
    };
    let status = Status { connections: 1, handshakes: 2, unanswered: 3, key_holder: true };
    vec![
        Answer::Subscribed { holder: 77, listening: Vec::new() },
        Answer::Subscribed { holder: 77, listening: vec![address; 3] },
        Answer::Dialing { connection: FAR },
        Answer::Done,
        Answer::Ponged { after: Millis(12) },
        Answer::Reclaimed(reclaimed),
        Answer::Listed(Vec::new()),
        Answer::Listed(vec![line(None), line(Some(key(4).public()))]),
        Answer::Status(status),
        Answer::Refused(Denial::Malformed),
        Answer::Refused(Denial::StaleEpoch { got: Epoch(1), have: Epoch(u64::MAX) }),
        Answer::Refused(Denial::Full { what: "pings", have: 16, max: 16 }),
        Answer::Refused(Denial::Told("für niemanden".to_owned())),
    ]
}

fn events() -> Vec<Event> {
    let opened = Opened {
        connection: ONE,
        remote: key(2).public(),
        address: "[::1]:9735".parse().expect("an address"),
        outbound: false,
        epoch: Epoch(3),
        sent: OutSeq(2),
        init: vec![0, 0, 0, 1, 8],
    };
    let closed =
        |culprit| Event::Closed { connection: ONE, culprit, text: "it is over".to_owned() };
    let text = "no such channel".to_owned();
    vec![
        Event::Opened(opened),
        Event::Caught,
        Event::Message { connection: ONE, seq: Seq(1), bytes: vec![7; 65_535] },
        Event::Message { connection: ONE, seq: Seq(1), bytes: Vec::new() },
        Event::Complaint { connection: ONE, fails: true, channel_id: ChannelId([9; 32]), text },
        closed(Culprit::Local),
        closed(Culprit::Remote),
        closed(Culprit::Network),
        Event::Tunnel { connection: ONE, offset: 4, bytes: vec![1, 2, 3] },
    ]
}

/// One of the three kinds of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ask,
    Answer,
    Event,
}

/// A frame as bytes, and what may come behind its fixed part.
struct Sample {
    kind: Kind,
    topic: u16,
    bytes: Vec<u8>,
}

fn samples() -> Vec<Sample> {
    let mut all = Vec::new();
    for ask in asks() {
        all.push(Sample { kind: Kind::Ask, topic: ask.topic(), bytes: ask.encode().to_vec() });
    }
    for answer in answers() {
        let topic = answer.topic();
        all.push(Sample { kind: Kind::Answer, topic, bytes: answer.encode().to_vec() });
    }
    for event in events() {
        let mut bytes = Vec::new();
        event.encode(&mut bytes);
        all.push(Sample { kind: Kind::Event, topic: event.topic(), bytes });
    }
    all
}

/// Reads bytes as a frame, and writes again what was read.
fn again(kind: Kind, topic: u16, bytes: &[u8]) -> Result<(u16, Vec<u8>), Malformed> {
    Ok(match kind {
        Kind::Ask => {
            let ask = Ask::decode(topic, bytes)?;
            (ask.topic(), ask.encode().to_vec())
        }
        Kind::Answer => {
            let answer = Answer::decode(topic, bytes)?;
            (answer.topic(), answer.encode().to_vec())
        }
        Kind::Event => {
            let event = Event::decode(topic, bytes)?;
            let mut to = Vec::new();
            event.encode(&mut to);
            (event.topic(), to)
        }
    })
}

/// What is accepted is written again to the byte; what is refused says why.
fn judge(kind: Kind, topic: u16, bytes: &[u8]) -> bool {
    match again(kind, topic, bytes) {
        Ok((same, written)) => {
            assert_eq!(same, topic, "{kind:?}");
            assert_eq!(written, bytes, "{kind:?} of topic {topic}");
            true
        }
        Err(malformed) => {
            assert!(!malformed.to_string().is_empty());
            false
        }
    }
}

#[test]
fn every_kind_comes_back() {
    for Sample { kind, topic, bytes } in samples() {
        assert!(judge(kind, topic, &bytes), "{kind:?} of topic {topic}");
    }
    for event in events() {
        let mut bytes = Vec::new();
        event.encode(&mut bytes);
        assert_eq!(Event::decode(event.topic(), &bytes), Ok(event));
    }
}

#[test]
fn no_number_of_a_kind_is_free_twice() {
    let (mut asks, mut answers, mut events) = (vec![0; 40], vec![0; 40], vec![0; 40]);
    for Sample { kind, topic, .. } in samples() {
        let seen = match kind {
            Kind::Ask => &mut asks,
            Kind::Answer => &mut answers,
            Kind::Event => &mut events,
        };
        seen[usize::from(topic)] += 1;
    }
    // Every number up to the last has a sample here, so that a new kind is noticed.
    for (kind, seen, last) in
        [(Kind::Ask, asks, 14), (Kind::Answer, answers, 9), (Kind::Event, events, 6)]
    {
        assert!(seen[1..=last].iter().all(|count| *count > 0), "{kind:?}");
        assert_eq!(seen[last + 1..].iter().sum::<i32>(), 0, "{kind:?}");
        assert!(again(kind, last as u16 + 1, &[]).is_err(), "{kind:?}");
        assert!(again(kind, 0, &[]).is_err(), "{kind:?}");
        assert!(again(kind, u16::MAX, &[]).is_err(), "{kind:?}");
    }
}

#[test]
fn cut_anywhere() {
    for Sample { kind, topic, bytes } in samples() {
        let mut accepted = 0;
        let cuts = (0..bytes.len()).rev().take(200).chain(0..bytes.len().min(200));
        for cut in cuts {
            accepted += usize::from(judge(kind, topic, &bytes[..cut]));
        }
        // A frame whose end is free may be shorter; no other may.
        let is_free = match kind {
            Kind::Ask => [5, 12].contains(&topic),
            Kind::Answer => topic == 8,
            Kind::Event => [3, 6].contains(&topic),
        };
        assert!(is_free || accepted == 0, "{kind:?} of topic {topic}: {accepted} cuts accepted");
        if !is_free {
            let longer = [&bytes[..], &[0]].concat();
            assert!(!judge(kind, topic, &longer), "{kind:?} of topic {topic} with more behind it");
        }
    }
}

#[test]
fn changed_anywhere() {
    let samples = samples();
    let mut dice = Dice::new(11);
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..8_000 {
        let sample = &samples[dice.below(samples.len())];
        let mut bytes = sample.bytes[..sample.bytes.len().min(700)].to_vec();
        for _ in 0..=dice.below(3) {
            let at = dice.below(bytes.len() + 1);
            let byte = [0, 1, 2, 4, 6, 0x7f, 0x80, 0xff, dice.below(256) as u8][dice.below(9)];
            match dice.below(4) {
                0 => bytes.insert(at, byte),
                1 if at < bytes.len() => drop(bytes.remove(at)),
                2 => bytes.truncate(at),
                _ if at < bytes.len() => bytes[at] = byte,
                _ => {}
            }
        }
        let topic = if dice.one_in(6) { dice.below(17) as u16 } else { sample.topic };
        match judge(sample.kind, topic, &bytes) {
            true => accepted += 1,
            false => refused += 1,
        }
    }
    assert!(accepted > 500 && refused > 500, "{accepted} accepted, {refused} refused");
}

#[test]
fn lists_that_claim_too_much_set_nothing_aside() {
    let many = u32::MAX.to_be_bytes();
    assert!(Ask::decode(7, &many).is_err(), "marks");
    assert!(Answer::decode(6, &many).is_err(), "lines");
    assert!(Answer::decode(1, &[&[0; 8][..], &many].concat()).is_err(), "addresses");
    let max = peer::limits::MARKS_MAX as u32 + 1;
    let marks = vec![0; 16 * max as usize];
    assert!(Ask::decode(7, &[&max.to_be_bytes()[..], &marks].concat()).is_err());
}

#[test]
fn refusals_cross_as_their_words() {
    let refusals = [
        Denial::Unknown { connection: ONE },
        Denial::Connection(peer::Refusal::NotNow { asked: "send", state: "tunnel" }),
        Denial::Full { what: "connections", have: 3, max: 3 },
        Denial::Malformed,
    ];
    for denial in refusals {
        let words = denial.to_string();
        let answer = Answer::Refused(denial);
        let (topic, bytes) = (answer.topic(), answer.encode());
        let told = Answer::decode(topic, &bytes).expect("words");
        assert!(matches!(told, Answer::Refused(Denial::Told(text)) if text == words));
    }
}

/// A desk that starts behind goes on from the number.
#[test]
fn which_epoch_is_in_force_crosses_as_a_number() {
    let stale = Answer::Refused(Denial::StaleEpoch { got: Epoch(1), have: Epoch(1 << 40) });
    let (topic, bytes) = (stale.topic(), stale.encode());
    let Ok(Answer::Refused(Denial::StaleEpoch { got, have })) = Answer::decode(topic, &bytes)
    else {
        panic!("it is what it was")
    };
    assert_eq!((got, have), (Epoch(1), Epoch(1 << 40)));
}
