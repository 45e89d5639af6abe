//! From the first byte to the last, when everybody behaves.

use peer::{Event, Refusal, Why, limits};
use wire::{Message, Ping, amount::ByteCount, tick::Millis};

use crate::pair::{Pair, key, terms};

#[test]
fn two_ends_get_ready() {
    for piece in [usize::MAX, 1, 7, 49, 51] {
        let mut pair = Pair::new(terms(), terms());
        pair.piece = piece;
        pair.run();
        assert!(pair.a.is_ready() && pair.b.is_ready(), "in pieces of {piece}");
        assert_eq!(pair.a.connection.remote(), Some(key(2).public()));
        assert_eq!(pair.b.connection.remote(), Some(key(1).public()));
        assert!(pair.b.events.contains(&Event::Verified), "the key holder knows who called");
        assert_eq!((pair.a.connection.state(), pair.b.connection.state()), ("open", "open"));
    }
}

#[test]
fn a_sleeping_key_holder_delays() {
    let mut pair = Pair::new(terms(), terms());
    pair.b.key_holder_sleeps = true;
    pair.run();
    assert_eq!(pair.b.unanswered.len(), 1);
    pair.pass(Millis(limits::HANDSHAKE_MAX.0 - 1));
    assert!(pair.b.closed.is_none());
    pair.b.wake_key_holder(pair.now);
    pair.run();
    assert!(pair.a.is_ready() && pair.b.is_ready());
}

#[test]
fn messages_flow_both_ways_past_rotations() {
    let mut pair = Pair::open();
    for number in 0..1_700 {
        pair.a.note(&format!("a{number}"), pair.now).expect("open");
        if number % 3 == 0 {
            pair.b.note(&format!("b{number}"), pair.now).expect("open");
        }
        pair.run();
        for side in [&mut pair.a, &mut pair.b] {
            let last = side.events.iter().rev().find_map(|event| match event {
                Event::Message { seq, .. } => Some(*seq),
                Event::Ready { .. }
                | Event::Warning { .. }
                | Event::Error { .. }
                | Event::Pong { .. }
                | Event::Verified => None,
            });
            if let Some(seq) = last {
                side.connection.acknowledge(seq, pair.now).expect("it was delivered");
            }
        }
    }
    let want: Vec<String> = (0..1_700).map(|number| format!("a{number}")).collect();
    assert_eq!(pair.b.notes(), want);
    assert_eq!(pair.a.notes().len(), 567);
}

#[test]
fn pings_are_answered_in_their_length() {
    let mut pair = Pair::open();
    for bytes in [0, 1, 65_531, 65_532, 65_535] {
        let before = pair.a.events.len();
        pair.a.say(&Ping::new(ByteCount(bytes), 3).into(), pair.now).expect("open");
        pair.a.connection.handle_written(0, pair.now);
        pair.b.run(pair.now);
        let wire = std::mem::take(&mut pair.a.wire);
        pair.a.run(pair.now);
        let wire = [wire, std::mem::take(&mut pair.a.wire)].concat();
        pair.b.connection.handle_bytes(&wire, pair.now);
        pair.b.run(pair.now);
        let want = if bytes < 65_532 { 18 + 2 + 2 + usize::from(bytes) + 16 } else { 0 };
        assert_eq!(pair.b.wire.len(), want, "{bytes} bytes asked for");
        // The pong was asked for behind A's back, so A must not see it.
        assert_eq!(pair.a.events.len(), before);
        pair = Pair::open();
    }
}

#[test]
fn silence_brings_a_ping_and_its_pong() {
    let mut pair = Pair::open();
    pair.pass(Millis(limits::PING_AFTER.0 + 10));
    let pongs = |events: &[Event]| {
        events.iter().filter(|event| matches!(event, Event::Pong { .. })).count()
    };
    assert_eq!((pongs(&pair.a.events), pongs(&pair.b.events)), (1, 1));
    pair.pass(Millis(100 * limits::PING_AFTER.0));
    assert!(pair.a.closed.is_none() && pair.b.closed.is_none());
    assert!(pongs(&pair.a.events) > 50, "{}", pongs(&pair.a.events));
    pair.a.note("still here", pair.now).expect("open");
    pair.run();
    assert_eq!(pair.b.notes(), ["still here"], "keys that have cooled work");
}

#[test]
fn closing() {
    let mut pair = Pair::open();
    pair.a.connection.close();
    pair.a.run(pair.now);
    assert_eq!(pair.a.closed, Some(Why::Local));
    pair.b.connection.handle_closed();
    pair.b.run(pair.now);
    assert_eq!(pair.b.closed, Some(Why::RemoteClosed));
    let refusal = pair.b.note("too late", pair.now);
    assert_eq!(refusal, Err(Refusal::NotNow { asked: "send", state: "closed" }));
    pair.b.connection.handle_closed();
    pair.b.connection.handle_wake(pair.now + Millis(1_000_000));
    pair.b.run(pair.now);
    assert_eq!(pair.b.connection.wake_at(pair.now), None);
}

#[test]
fn nothing_is_sent_before_both_inits() {
    let mut pair = Pair::new(terms(), terms());
    let early = pair.a.note("early", pair.now);
    assert_eq!(early, Err(Refusal::NotNow { asked: "send", state: "dialing" }));
    pair.a.run(pair.now);
    let message = Message::from(Ping::new(ByteCount(1), 0));
    assert!(pair.b.say(&message, pair.now).is_err());
}
