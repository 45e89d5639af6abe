//! What is asked of another service is answered, whatever becomes of it.

use std::{os::unix::net::UnixStream, time::Duration};

use bus::{FRAME_BYTES_MAX, Grant, Hub, Input, NotSent};
use node::io::reach::{At, Service};
use zeroize::Zeroizing;

#[test]
fn a_question_that_cannot_be_sent_is_given_back() {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let (mut hub, mut other) = (Hub::new().expect("a hub"), Hub::new().expect("a hub"));
    other.adopt(theirs, Grant::nothing("us")).expect("a link");
    let mut service = Service::reach(&mut hub, At::Pair(ours), "it").expect("a link");
    let question = |token: u8, bytes| (token, 1, Zeroizing::new(vec![0; bytes]));
    // Before it is there.
    service.unsent.push_back(question(1, 5));
    assert_eq!(service.send(&mut hub), [(1, NotSent::NoLink)]);
    let mut inputs = Vec::new();
    let mut rounds = 0..100;
    while service.link.is_none() {
        rounds.next().expect("it comes up");
        other.poll(Some(Duration::from_millis(10)), &mut inputs).expect("it works");
        inputs.clear();
        hub.poll(Some(Duration::from_millis(10)), &mut inputs).expect("it works");
        for input in inputs.drain(..) {
            if let Input::LinkUp { link, standing, .. } = input
                && service.is(link, standing)
            {
                service.link = Some(link);
            }
        }
    }
    // One that is too long for any link, between two that are not.
    let got = FRAME_BYTES_MAX + 1;
    for (token, bytes) in [(2, 5), (3, got), (4, 5)] {
        service.unsent.push_back(question(token, bytes));
    }
    let why = NotSent::TooLong { got, max: FRAME_BYTES_MAX };
    assert_eq!(service.send(&mut hub), [(3, why)]);
    assert_eq!(service.asked.values().copied().collect::<Vec<_>>(), [2, 4]);
    assert!(service.unsent.is_empty());
}
