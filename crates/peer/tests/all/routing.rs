//! A message is kept until its subscriber has saved it, and sent once by whoever owns the keys.

use peer::{Epoch, Event, OutSeq, Refusal, Seq, limits};

use crate::pair::{NOTE, Pair};

#[test]
fn without_a_subscriber_messages_wait_in_order() {
    let mut pair = Pair::open();
    pair.b.connection.unsubscribe();
    for text in ["one", "two", "three"] {
        pair.a.note(text, pair.now).expect("open");
    }
    pair.run();
    assert!(pair.b.notes().is_empty());
    pair.b.connection.subscribe();
    pair.run();
    assert_eq!(pair.b.notes(), ["one", "two", "three"]);
    // The subscriber dies before it has saved the last one; the next one gets the rest.
    pair.b.connection.acknowledge(Seq(2), pair.now).expect("delivered");
    pair.b.connection.unsubscribe();
    pair.b.events.clear();
    pair.a.note("four", pair.now).expect("open");
    pair.run();
    pair.b.connection.subscribe();
    pair.run();
    assert_eq!(pair.b.notes(), ["three", "four"]);
    let seqs: Vec<u64> = (pair.b.events.iter())
        .map(|event| if let Event::Message { seq, .. } = event { seq.0 } else { 0 })
        .collect();
    assert_eq!(seqs, [3, 4]);
}

#[test]
fn acknowledging_again_is_fine_and_ahead_is_not() {
    let mut pair = Pair::open();
    pair.a.note("one", pair.now).expect("open");
    pair.run();
    assert_eq!(pair.b.connection.acknowledge(Seq(1), pair.now), Ok(()));
    assert_eq!(pair.b.connection.acknowledge(Seq(1), pair.now), Ok(()));
    let refusal = Refusal::NeverDelivered { got: Seq(2), last: Seq(1) };
    assert_eq!(pair.b.connection.acknowledge(Seq(2), pair.now), Err(refusal));
}

#[test]
fn a_subscriber_that_never_acknowledges_stops_the_peer() {
    let mut pair = Pair::open();
    let mut sent = 0;
    while pair.b.connection.wants_bytes(pair.now) {
        pair.a.note("again", pair.now).expect("open");
        sent += 1;
        pair.run();
        assert!(sent <= limits::INBOX_MESSAGES_MAX);
    }
    assert_eq!(pair.b.notes().len(), limits::INBOX_MESSAGES_MAX);
    // What comes nevertheless is held, and taken when there is room.
    pair.a.note("one more", pair.now).expect("open");
    pair.a.run(pair.now);
    let wire = std::mem::take(&mut pair.a.wire);
    pair.b.connection.handle_bytes(&wire, pair.now);
    pair.b.run(pair.now);
    assert_eq!(pair.b.notes().len(), limits::INBOX_MESSAGES_MAX);
    pair.b.connection.acknowledge(Seq(1), pair.now).expect("delivered");
    pair.b.run(pair.now);
    assert_eq!(pair.b.notes().last().map(String::as_str), Some("one more"));
    assert_eq!(pair.b.closed, None);
}

#[test]
fn messages_out_come_in_order_once_and_from_the_owner() {
    let mut pair = Pair::open();
    let note = [&NOTE.to_be_bytes()[..], b"hello"].concat();
    let b = &mut pair.b.connection;
    let (now, epoch) = (pair.now, Epoch(0));
    assert_eq!(b.send(epoch, OutSeq(1), &note, now), Ok(()));
    let again = Refusal::OutOfSequence { got: OutSeq(1), want: OutSeq(2) };
    assert_eq!(b.send(epoch, OutSeq(1), &note, now), Err(again));
    let ahead = Refusal::OutOfSequence { got: OutSeq(3), want: OutSeq(2) };
    assert_eq!(b.send(epoch, OutSeq(3), &note, now), Err(ahead));
    let stranger = Refusal::StaleEpoch { got: Epoch(1), have: Epoch(0) };
    assert_eq!(b.send(Epoch(1), OutSeq(2), &note, now), Err(stranger));
    // A refusal by the transport does not use the number up.
    assert!(b.send(epoch, OutSeq(2), &[1], now).is_err());
    assert_eq!(b.send(epoch, OutSeq(2), &note, now), Ok(()));
    pair.run();
    assert_eq!(pair.a.notes(), ["hello", "hello"]);
}
