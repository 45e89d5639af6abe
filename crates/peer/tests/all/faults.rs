//! Peers that break the rules, or are silent; each ends in its own reason.

use peer::{Culprit, Effect, Event, Terms, Why, limits};
use wire::{
    Body as _, Fault, Init, Message, Network, OpenChannel, Ping, Pong, Unnamed, Warning,
    amount::ByteCount,
    dice::Dice,
    features::{Feature, FeatureFault, Features},
    id::{ChainHash, ChannelId},
    list::Blob,
    tick::Millis,
    tlv::Unknown,
};

use crate::pair::{Pair, Side, terms};

/// What B makes of a message that A says, and what A hears back.
fn b_hears(message: &[u8]) -> (Side, Side) {
    let mut pair = Pair::open();
    pair.a.bytes(message, pair.now).expect("open");
    pair.run();
    (pair.a, pair.b)
}

fn refused(message: &[u8], want: &Why) {
    let (a, b) = b_hears(message);
    assert_eq!(b.closed.as_ref(), Some(want));
    assert_eq!(want.culprit(), Culprit::Remote);
    let words = want.to_string();
    let heard = a.events.iter().any(|event| {
        matches!(event, Event::Warning { text, .. } if *text == words || words.starts_with(text))
    });
    assert!(heard, "A is told why: {:?}", a.events);
}

#[test]
fn messages_that_close() {
    let unknown = [0x7f, 0xfe, 1, 2, 3];
    refused(&unknown, &Why::UnknownEven { message_type: 0x7ffe });
    let init = Init::offering(Features::NONE).encode().expect("short");
    refused(&init, &Why::InitTwice);
    let pong = Pong { ignored: Blob(vec![0; 3]), extension: Unknown::NONE };
    refused(&pong.encode().expect("short"), &Why::WrongPong { got: 3, want: None });
    let fault = Message::decode(&[0, 18, 0]).expect_err("half a ping");
    refused(&[0, 18, 0], &Why::Wire(fault));
}

#[test]
fn messages_that_do_not() {
    // Odd and unknown; gossip that nobody here reads; a range that nobody subscribed.
    for message in [vec![0x7f, 0xff, 1], vec![1, 2, 9], vec![0x80, 0x01]] {
        let (_, b) = b_hears(&message);
        assert_eq!(b.closed, None, "{message:02x?}");
        assert!(b.notes().is_empty());
    }
}

#[test]
fn channel_messages_without_channels_are_answered() {
    let mut open = OpenChannel::generate(&mut Dice::new(1));
    open.temporary_channel_id.0 = [7; 32];
    let (a, b) = b_hears(&open.encode().expect("short"));
    assert_eq!(b.closed, None);
    let want = Event::Error { channel_id: ChannelId([7; 32]), text: "no such channel".to_owned() };
    assert_eq!(a.events, [want]);
}

#[test]
fn complaints_are_told_cleaned() {
    let mut warning = Warning::new(ChannelId([9; 32]), "");
    warning.data = Blob(b"odd\x1b[2J\xff words".to_vec());
    let (_, b) = b_hears(&warning.encode().expect("short"));
    let text = "odd?[2J? words".to_owned();
    assert_eq!(b.events, [Event::Warning { channel_id: ChannelId([9; 32]), text }]);
    let mut long = Warning::new(ChannelId::ALL, "");
    long.data = Blob(vec![b'a'; 60_000]);
    let (_, b) = b_hears(&long.encode().expect("short"));
    assert!(matches!(&b.events[..], [Event::Warning { text, .. }] if text.len() == 400));
}

fn meeting(a: Terms, b: Terms) -> Option<Why> {
    let mut pair = Pair::new(a, b);
    pair.run();
    pair.b.closed
}

#[test]
fn features_and_chains_that_do_not_fit() {
    let with = |features| Terms { features, ..terms() };
    let required = with(Features::NONE.and_required(Feature::Splice));
    let fault = FeatureFault::NotOffered { feature: Feature::Splice };
    assert_eq!(meeting(required, terms()), Some(Why::Features(fault)));

    let lonely = with(Features::optional(&[Feature::Zeroconf]));
    let fault = FeatureFault::Needs { feature: Feature::Zeroconf, needs: Feature::ScidAlias };
    assert_eq!(meeting(lonely, terms()), Some(Why::Features(fault)));

    let elsewhere = Terms { networks: vec![ChainHash::of(Network::Signet)], ..terms() };
    assert_eq!(meeting(elsewhere, terms()), Some(Why::NoCommonChain));
    let unsaid = Terms { networks: vec![], ..terms() };
    assert_eq!(meeting(unsaid, terms()), None);
}

#[test]
fn a_first_message_that_is_not_init() {
    let mut pair = Pair::new(terms(), terms());
    pair.a.run(pair.now);
    // A is honest; B is a tunnel in somebody's hands and says a ping first.
    let mut script = crate::tunnel::Script::answering(&mut pair);
    script.say(&mut pair, &Ping::new(ByteCount(1), 0).into());
    pair.a.run(pair.now);
    assert_eq!(pair.a.closed, Some(Why::NoInit { message_type: 18 }));
}

#[test]
fn silence_in_every_state() {
    let timed_out = |what, max| Some(Why::TimedOut { what, max });
    // Nobody answers the first act; nobody sends one.
    let mut pair = Pair::new(terms(), terms());
    pair.a.run(pair.now);
    pair.a.wire.clear();
    pair.pass(limits::HANDSHAKE_MAX);
    assert_eq!(pair.a.closed, timed_out("end of the handshake", limits::HANDSHAKE_MAX));
    assert_eq!(pair.b.closed, timed_out("end of the handshake", limits::HANDSHAKE_MAX));

    // The handshake is through, but no init comes.
    let mut pair = Pair::new(terms(), terms());
    pair.a.run(pair.now);
    crate::tunnel::Script::answering(&mut pair);
    pair.pass(limits::INIT_MAX);
    assert_eq!(pair.a.closed, timed_out("init", limits::INIT_MAX));

    // A message begins and does not end.
    let mut pair = Pair::open();
    pair.a.note("half of it", pair.now).expect("open");
    pair.a.run(pair.now);
    pair.a.wire.truncate(20);
    pair.run();
    pair.b.connection.handle_wake(pair.now + Millis(limits::MESSAGE_MAX.0 - 1));
    pair.b.run(pair.now);
    assert_eq!(pair.b.closed, None);
    pair.b.connection.handle_wake(pair.now + limits::MESSAGE_MAX);
    pair.b.run(pair.now);
    assert_eq!(pair.b.closed, timed_out("end of a message", limits::MESSAGE_MAX));

    // A ping is not answered.
    let mut pair = Pair::open();
    pair.b.connection.handle_wake(pair.now + limits::PING_AFTER);
    pair.b.run(pair.now);
    assert!(!pair.b.wire.is_empty(), "a ping is on its way");
    let late = pair.now + limits::PING_AFTER + limits::PONG_MAX;
    pair.b.connection.handle_wake(late);
    pair.b.run(late);
    assert_eq!(pair.b.closed, timed_out("pong", limits::PONG_MAX));
}

#[test]
fn bytes_that_are_forged() {
    let mut pair = Pair::open();
    pair.a.note("true", pair.now).expect("open");
    pair.a.run(pair.now);
    pair.a.wire[30] ^= 1;
    pair.run();
    assert!(matches!(pair.b.closed, Some(Why::Noise(_))), "{:?}", pair.b.closed);
    assert!(pair.b.wire.is_empty(), "a transport that has failed says nothing more");
    assert!(pair.b.notes().is_empty());
}

#[test]
fn a_flood_is_slowed_down_not_swallowed() {
    let mut pair = Pair::open();
    let ping = Ping::new(ByteCount(65_535), 60_000);
    let mut sent = 0_u64;
    while pair.b.connection.wants_bytes(pair.now) {
        pair.a.say(&ping.clone().into(), pair.now).expect("open");
        pair.run();
        sent += 60_000;
        assert!(sent < 2 * limits::BURST_BYTES_MAX, "never slowed down");
    }
    assert!(sent + 200_000 > limits::BURST_BYTES_MAX, "slowed down after {sent} bytes");
    let at = pair.b.connection.wake_at(pair.now).expect("it goes on");
    assert!(at > pair.now && at < pair.now + Millis(1_000), "{at:?}");
    assert!(pair.b.connection.wants_bytes(at));
    assert_eq!(pair.b.closed, None);
}

#[test]
fn a_flood_of_small_messages_too() {
    let mut pair = Pair::open();
    for sent in 0.. {
        if !pair.b.connection.wants_bytes(pair.now) {
            assert!((limits::BURST_MESSAGES_MAX..limits::BURST_MESSAGES_MAX + 3).contains(&sent));
            break;
        }
        pair.a.say(&Ping::new(ByteCount(65_535), 0).into(), pair.now).expect("open");
        pair.run();
    }
}

#[test]
fn messages_too_long_or_too_short_are_not_sent() {
    let mut pair = Pair::open();
    assert!(pair.a.bytes(&vec![0x81; 65_536], pair.now).is_err());
    assert!(pair.a.bytes(&[0x81], pair.now).is_err());
    let fine = Unnamed::new(crate::pair::NOTE, vec![7; 65_533]).expect("odd");
    assert_eq!(pair.a.say(&Message::Unknown(fine), pair.now), Ok(()));
    pair.run();
    assert_eq!(pair.b.notes().len(), 1);
}

#[test]
fn whoever_sends_faster_than_the_socket_is_told() {
    let mut pair = Pair::open();
    let note = "x".repeat(60_000);
    let refusal = loop {
        if let Err(refusal) = pair.a.note(&note, pair.now) {
            break refusal;
        }
        while let Some(effect) = pair.a.connection.poll() {
            if let Effect::Write(bytes) = effect {
                pair.a.wire.extend(bytes);
            }
        }
    };
    assert!(refusal.to_string().contains("unsent"), "{refusal}");
    pair.run();
    assert_eq!(pair.a.note("again", pair.now), Ok(()));
}

#[test]
fn a_key_holder_that_refuses_or_answers_twice() {
    let mut pair = Pair::new(terms(), terms());
    pair.b.key_holder_sleeps = true;
    pair.run();
    let ask = pair.b.unanswered.pop_front().expect("asked");
    let answer = pair.b.answer(ask);
    pair.b.connection.handle_answer(answer, pair.now);
    let again = pair.b.answer(ask);
    assert!(matches!(again, noise::Answer::Refused(_)));
    // What comes a second time was not asked for and changes nothing.
    let stray = noise::Answer::Verified { remote: crate::pair::key(9).public() };
    pair.b.connection.handle_answer(stray, pair.now);
    pair.b.key_holder_sleeps = false;
    pair.run();
    assert!(pair.b.is_ready() && pair.b.closed.is_none());

    let mut pair = Pair::new(terms(), terms());
    pair.b.key_holder_sleeps = true;
    pair.run();
    let fault = noise::Fault::NotNow { state: "spent", ask: "respond" };
    pair.b.connection.handle_answer(noise::Answer::Refused(fault), pair.now);
    pair.b.run(pair.now);
    assert_eq!(pair.b.closed, Some(Why::Noise(fault)));
}

#[test]
fn reasons_read_as_sentences() {
    let rows = [
        (Why::NoInit { message_type: 18 }, "first message has type 18, init is 16"),
        (Why::TimedOut { what: "pong", max: limits::PONG_MAX }, "no pong within 30000 ms"),
        (Why::WrongPong { got: 3, want: Some(1) }, "pong of 3 bytes, 1 asked for"),
        (Why::Wire(Fault::UnknownEven { message_type: 4 }), "message: unknown even message type 4"),
    ];
    for (why, text) in rows {
        assert_eq!(why.to_string(), text);
    }
}
