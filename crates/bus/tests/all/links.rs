use std::{
    os::unix::net::UnixStream,
    thread,
    time::{Duration, Instant},
};

use bus::{
    ASKS_MAX, CallFault, Caller, DENIED, Grant, Hub, Input, Kind, LinkId, ListenFault, NotSent,
    QUEUE_BYTES_MAX,
};

use place::Place;

const WAIT: Duration = Duration::from_secs(20);
const TOPIC: u16 = 7;

pub fn anything() -> Grant {
    Grant::nothing("friend").and(0..=100)
}

/// Runs a service that answers each question with itself, until its link is down.
fn echo(mut hub: Hub) -> thread::JoinHandle<usize> {
    thread::spawn(move || {
        let (mut inputs, mut answered) = (Vec::new(), 0);
        loop {
            hub.poll(Some(WAIT), &mut inputs).expect("a hub waits");
            for input in inputs.drain(..) {
                if let Input::LinkDown { .. } = input {
                    return answered;
                }
                if let Input::Frame { link, frame } = input {
                    answered += 1;
                    hub.answer(link, frame.id, frame.topic, &frame.payload).expect("asked");
                }
            }
        }
    })
}

fn pair() -> (Hub, LinkId, Hub, LinkId) {
    let (left, right) = UnixStream::pair().expect("a pair");
    let (mut a, mut b) = (Hub::new().expect("a hub"), Hub::new().expect("a hub"));
    let at_a = a.adopt(left, anything()).expect("it can be watched");
    let at_b = b.adopt(right, anything()).expect("it can be watched");
    (a, at_a, b, at_b)
}

/// Polls until `wanted` is there.
pub fn until(hub: &mut Hub, mut wanted: impl FnMut(&Input) -> bool) -> Input {
    let (mut inputs, end) = (Vec::new(), Instant::now() + WAIT);
    while Instant::now() < end {
        hub.poll(Some(Duration::from_millis(100)), &mut inputs).expect("a hub waits");
        if let Some(found) = inputs.drain(..).find(&mut wanted) {
            return found;
        }
    }
    panic!("it never came")
}

#[test]
fn a_question_is_answered_between_threads_and_over_a_path() {
    let place = Place::new();
    let (left, right) = UnixStream::pair().expect("a pair");
    let mut hub = Hub::new().expect("a hub");
    hub.adopt(right, anything()).expect("it can be watched");
    let service = echo(hub);
    let mut caller = Caller::over(left);
    assert_eq!(*caller.ask(TOPIC, b"hello", WAIT).expect("an answer").payload, b"hello");
    drop(caller);
    assert_eq!(service.join().expect("it ends"), 1);

    let mut hub = Hub::new().expect("a hub");
    hub.listen(&place.at("bus.sock"), anything()).expect("a fresh path");
    let service = echo(hub);
    let mut caller = Caller::connect(&place.at("bus.sock")).expect("it listens");
    let long = vec![9; 300_000];
    assert_eq!(*caller.ask(TOPIC, &long, WAIT).expect("an answer").payload, long);
    drop(caller);
    assert_eq!(service.join().expect("it ends"), 1);
    assert!(!place.at("bus.sock").exists(), "a hub that ends takes its path with it");
}

#[test]
fn what_is_not_granted_is_denied_in_an_answer_and_not_seen() {
    let (left, right) = UnixStream::pair().expect("a pair");
    let mut hub = Hub::new().expect("a hub");
    hub.adopt(right, Grant::nothing("sockets").and(2..=6)).expect("it can be watched");
    let service = echo(hub);
    let mut caller = Caller::over(left);
    for topic in [0, 1, 7, 500, DENIED] {
        match caller.ask(topic, b"sign this", WAIT) {
            Err(CallFault::Denied(text)) => {
                assert_eq!(text, format!("the link 'sockets' may not ask topic {topic}"));
            }
            other => panic!("topic {topic}: {other:?}"),
        }
    }
    assert!(caller.ask(2, b"", WAIT).is_ok(), "a denial does not end the link");
    drop(caller);
    assert_eq!(service.join().expect("it ends"), 1, "the service saw one question only");
}

/// Both ask as much as they may and answer all; both also tell. Neither may wait for ever.
#[test]
fn two_that_flood_each_other_do_not_stop_each_other() {
    const ASKS: usize = 20_000;
    let flood = |mut hub: Hub, link: LinkId| {
        move || {
            let (mut inputs, payload) = (Vec::new(), [5; 900]);
            let (mut asked, mut answers, mut answered, mut told) = (0, 0, 0, 0);
            let end = Instant::now() + WAIT * 3;
            while answers < ASKS || answered < ASKS {
                assert!(Instant::now() < end, "{answers} answers, {answered} answered");
                while asked < ASKS && hub.ask(link, TOPIC, &payload).is_ok() {
                    asked += 1;
                    told += usize::from(hub.event(link, TOPIC, &payload).is_ok());
                }
                hub.poll(Some(Duration::from_millis(50)), &mut inputs).expect("a hub waits");
                for input in inputs.drain(..) {
                    let Input::Frame { link, frame } = input else { continue };
                    match frame.kind {
                        Kind::Ask => {
                            answered += 1;
                            hub.answer(link, frame.id, TOPIC, &frame.payload).expect("asked");
                        }
                        Kind::Answer => answers += 1,
                        Kind::Event => {}
                    }
                }
            }
            // The last answers are still on their way.
            while hub.room(link) < QUEUE_BYTES_MAX {
                hub.poll(Some(Duration::from_millis(5)), &mut inputs).expect("a hub waits");
            }
            (told, hub)
        }
    };
    let (a, at_a, b, at_b) = pair();
    let a = thread::spawn(flood(a, at_a));
    let b = thread::spawn(flood(b, at_b));
    let (a, b) = (a.join().expect("it ends"), b.join().expect("it ends"));
    assert!(a.0 > 0 && b.0 > 0);
}

#[test]
fn a_full_queue_refuses_with_numbers_and_says_when_there_is_room() {
    let (mut a, at_a, mut b, _) = pair();
    let payload = vec![1; 60_000];
    let mut told = 0;
    let fault = loop {
        match a.event(at_a, TOPIC, &payload) {
            Ok(()) => told += 1,
            Err(fault) => break fault,
        }
    };
    let NotSent::Full { have, max } = fault else { panic!("{fault:?}") };
    assert!(have >= max && max == QUEUE_BYTES_MAX && told >= 17, "{have} {max} {told}");
    let mut heard = 0;
    let mut inputs = Vec::new();
    while heard < told {
        a.poll(Some(Duration::ZERO), &mut inputs).expect("a hub waits");
        b.poll(Some(Duration::from_millis(10)), &mut inputs).expect("a hub waits");
        heard += inputs.iter().filter(|input| matches!(input, Input::Frame { .. })).count();
        if inputs.iter().any(|input| matches!(input, Input::Room { .. })) {
            assert!(a.event(at_a, TOPIC, &payload).is_ok());
            return;
        }
        inputs.clear();
    }
    panic!("nobody said that there is room");
}

#[test]
fn questions_without_an_answer_are_bounded_and_told_when_the_link_goes() {
    let (mut a, at_a, b, _) = pair();
    for _ in 0..ASKS_MAX {
        a.ask(at_a, TOPIC, b"").expect("within the bound");
    }
    let fault = a.ask(at_a, TOPIC, b"").expect_err("one too many");
    assert_eq!(fault, NotSent::Unanswered { have: ASKS_MAX, max: ASKS_MAX });
    drop(b);
    let down = until(&mut a, |input| matches!(input, Input::LinkDown { .. }));
    let Input::LinkDown { unanswered, broken: None, .. } = down else { panic!("{down:?}") };
    assert_eq!(unanswered, (1..=ASKS_MAX as u64).collect::<Vec<_>>());
    assert_eq!(a.ask(at_a, TOPIC, b""), Err(NotSent::NoLink));
}

#[test]
fn an_answer_is_given_once_and_only_to_a_question() {
    let (mut a, at_a, mut b, _) = pair();
    a.ask(at_a, TOPIC, b"").expect("there is room");
    a.flush();
    let asked = until(&mut b, |input| matches!(input, Input::Frame { .. }));
    let Input::Frame { link, frame } = asked else { panic!("{asked:?}") };
    assert_eq!(b.answer(link, 2, TOPIC, b""), Err(NotSent::NotAsked { id: 2 }));
    assert_eq!(b.answer(link, frame.id, TOPIC, b""), Ok(()));
    assert_eq!(b.answer(link, frame.id, TOPIC, b""), Err(NotSent::NotAsked { id: 1 }));
}

#[test]
fn a_path_in_use_is_refused_and_one_left_behind_is_replaced() {
    let place = Place::new();
    let mut first = Hub::new().expect("a hub");
    first.listen(&place.at("bus.sock"), anything()).expect("a fresh path");
    let mut second = Hub::new().expect("a hub");
    let refused = second.listen(&place.at("bus.sock"), anything()).expect_err("in use");
    assert!(matches!(refused, ListenFault::InUse { .. }), "{refused}");
    // The way a process that was killed leaves it.
    for listener in first.listeners() {
        listener.disown();
    }
    drop(first);
    assert!(place.at("bus.sock").exists());
    second.listen(&place.at("bus.sock"), anything()).expect("nobody is there");
    let file = place.at("file");
    std::fs::write(&file, "mine").expect("a file");
    let refused = second.listen(&file, anything()).expect_err("not a socket");
    assert!(matches!(refused, ListenFault::NotASocket { .. }), "{refused}");
    let long = place.at(&"x".repeat(120));
    let refused = second.listen(&long, anything()).expect_err("too long");
    assert!(matches!(refused, ListenFault::PathTooLong { max: 107, .. }), "{refused}");
}

#[test]
fn only_the_owner_can_reach_a_path() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    let mut hub = Hub::new().expect("a hub");
    hub.listen(&place.at("bus.sock"), anything()).expect("a fresh path");
    let mode = std::fs::metadata(place.at("bus.sock")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_standing_link_comes_back() {
    let place = Place::new();
    let mut hub = Hub::new().expect("a hub");
    let standing = hub.stand(&place.at("bus.sock"), Grant::nothing("service"));
    for _ in 0..3 {
        let mut service = Hub::new().expect("a hub");
        service.listen(&place.at("bus.sock"), anything()).expect("a fresh path");
        let up = until(&mut hub, |input| matches!(input, Input::LinkUp { .. }));
        let Input::LinkUp { link, standing: which, .. } = up else { panic!("{up:?}") };
        assert_eq!(which, Some(standing));
        hub.ask(link, TOPIC, b"once more").expect("it is up");
        hub.flush();
        until(&mut service, |input| matches!(input, Input::Frame { .. }));
        drop(service);
        let down = until(&mut hub, |input| matches!(input, Input::LinkDown { .. }));
        let Input::LinkDown { unanswered, .. } = down else { panic!("{down:?}") };
        assert_eq!(unanswered, [1]);
    }
}

#[test]
fn a_waker_ends_the_wait_from_another_thread() {
    let mut hub = Hub::new().expect("a hub");
    let waker = hub.waker();
    let other = thread::spawn(move || waker.wake());
    until(&mut hub, |input| matches!(input, Input::Woken));
    other.join().expect("it ends");
}
