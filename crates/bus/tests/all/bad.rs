//! Bytes that no bus sends.

use std::{io::Write as _, os::unix::net::UnixStream, time::Duration};

use bus::{ASKS_MAX, Broken, FRAME_BYTES_MAX, FrameFault, Hub, Input, Kind, NotSent};

use crate::links::{anything, until};

fn frame(kind: u8, id: u64, topic: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = ((11 + payload.len()) as u32).to_be_bytes().to_vec();
    bytes.push(kind);
    bytes.extend(id.to_be_bytes());
    bytes.extend(topic.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// What a hub says of a neighbour that writes these bytes.
fn verdict(bytes: &[u8]) -> Broken {
    let (mut bad, good) = UnixStream::pair().expect("a pair");
    let mut hub = Hub::new().expect("a hub");
    hub.adopt(good, anything()).expect("it can be watched");
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || bad.write_all(&bytes).map(|()| bad));
    let down = until(&mut hub, |input| matches!(input, Input::LinkDown { .. }));
    drop(writer.join());
    let Input::LinkDown { broken: Some(broken), .. } = down else { panic!("{down:?}") };
    broken
}

#[test]
fn bytes_that_are_no_frame_end_the_link() {
    let length = |got: u32| {
        let fault = FrameFault::Length { got: got.into(), max: FRAME_BYTES_MAX as u64 + 11 };
        (got.to_be_bytes().iter().copied().chain([0; 20]).collect::<Vec<_>>(), fault)
    };
    for (bytes, want) in [length(0), length(10), length(FRAME_BYTES_MAX as u32 + 12), length(!0)] {
        assert_eq!(verdict(&bytes), Broken::Frame(want));
    }
    for got in [0, 4, 255] {
        assert_eq!(verdict(&frame(got, 1, 1, b"")), Broken::Frame(FrameFault::Kind { got }));
    }
}

#[test]
fn the_rules_of_questions_hold() {
    let many: Vec<u8> = (1..=ASKS_MAX as u64 + 1).flat_map(|id| frame(1, id, 1, b"")).collect();
    assert_eq!(verdict(&many), Broken::TooManyAsks { max: ASKS_MAX });
    let twice = [frame(1, 5, 1, b""), frame(1, 5, 1, b"")].concat();
    assert_eq!(verdict(&twice), Broken::AskNumber { got: 5, last: 5 });
    assert_eq!(verdict(&frame(1, 0, 1, b"")), Broken::AskNumber { got: 0, last: 0 });
    assert_eq!(verdict(&frame(2, 9, 1, b"")), Broken::NotAsked { got: 9 });
}

/// An answer that nobody reads is still owed: there is no pile of them.
#[test]
fn whoever_does_not_read_its_answers_cannot_ask_on() {
    let many = ASKS_MAX as u64;
    let denied: Vec<u8> = (1..=many + 1).flat_map(|id| frame(1, id, 101, b"")).collect();
    assert_eq!(verdict(&denied), Broken::TooManyAsks { max: ASKS_MAX });

    let (mut deaf, good) = UnixStream::pair().expect("a pair");
    let mut hub = Hub::new().expect("a hub");
    hub.adopt(good, anything()).expect("it can be watched");
    let writer = std::thread::spawn(move || {
        // Slowly enough to be answered, so that few are unanswered at any time.
        for from in (1..20 * many).step_by(64) {
            let asks: Vec<u8> = (from..from + 64).flat_map(|id| frame(1, id, 1, b"")).collect();
            if deaf.write_all(&asks).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        deaf
    });
    let (mut inputs, mut answered, mut broken) = (Vec::new(), 0, None);
    while broken.is_none() && answered < 20 * many {
        hub.poll(Some(Duration::from_secs(5)), &mut inputs).expect("a hub waits");
        for input in inputs.drain(..) {
            if let Input::Frame { link, frame } = input {
                answered += 1;
                let given = hub.answer(link, frame.id, 1, &[7; 1_000]);
                assert!(matches!(given, Ok(()) | Err(NotSent::NoLink)), "{given:?}");
            } else if let Input::LinkDown { broken: why, .. } = input {
                broken = why;
            }
        }
    }
    drop(writer.join());
    assert_eq!(broken, Some(Broken::TooManyAsks { max: ASKS_MAX }), "{answered} answers");
}

#[test]
fn a_frame_may_come_byte_by_byte() {
    let (mut bad, good) = UnixStream::pair().expect("a pair");
    let mut hub = Hub::new().expect("a hub");
    hub.adopt(good, anything()).expect("it can be watched");
    let mut inputs = Vec::new();
    for byte in [frame(3, 0, 9, b"slowly"), frame(3, 0, 10, b"")].concat() {
        bad.write_all(&[byte]).expect("it is read");
        hub.poll(Some(Duration::from_secs(5)), &mut inputs).expect("a hub waits");
    }
    let frames = inputs.into_iter().filter_map(|input| {
        let Input::Frame { frame, .. } = input else { return None };
        Some((frame.kind, frame.topic, frame.payload.to_vec()))
    });
    let want = [(Kind::Event, 9, b"slowly".to_vec()), (Kind::Event, 10, Vec::new())];
    assert_eq!(frames.collect::<Vec<_>>(), want);
}
