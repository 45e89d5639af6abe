//! A target for what `peer` reads of other services: frames of the bus, and a holder that another
//! process has frozen.

use noise::IdentityKey;
use peer::{
    Epoch, Malformed, OutSeq, Seq, Terms,
    holder::{Answer, Ask, AskId, Effect, Event, Holder, Link},
};
use wire::{
    custom::NOTE,
    id::ConnectionId,
    tick::{Millis, Tick},
};

const NODE: Link = Link(1);
const CLIENT: Link = Link(2);
const NOW: Tick = Tick(1 << 40);
/// Connections of a thawed holder that are made use of.
const USED_MAX: usize = 8;

/// Bytes of another service, in two ways: as a frame whose topic is the first byte, and as a whole
/// frozen holder. What is accepted as a frame is written again to the byte. What is accepted as a
/// holder works, and can be frozen again.
pub fn holder(data: &[u8]) {
    if let [topic, payload @ ..] = data {
        frames(u16::from(*topic), payload);
    }
    if let Some((holder, connections)) = refused(thaw(data)) {
        drive(holder, &connections);
    }
}

fn frames(topic: u16, payload: &[u8]) {
    if let Some(ask) = refused(Ask::decode(topic, payload)) {
        assert_eq!((ask.topic(), &ask.encode()[..]), (topic, payload));
    }
    if let Some(answer) = refused(Answer::decode(topic, payload)) {
        assert_eq!((answer.topic(), &answer.encode()[..]), (topic, payload));
    }
    if let Some(event) = refused(Event::decode(topic, payload)) {
        let mut written = Vec::new();
        event.encode(&mut written);
        assert_eq!((event.topic(), &written[..]), (topic, payload));
    }
}

fn refused<T>(read: Result<T, Malformed>) -> Option<T> {
    read.map_err(|malformed| assert!(!malformed.to_string().is_empty())).ok()
}

fn thaw(data: &[u8]) -> Result<(Holder, Vec<ConnectionId>), Malformed> {
    let terms = Terms { routed: vec![NOTE.first..=NOTE.last], custom: true, ..Terms::default() };
    Holder::thaw(data, terms, 100, NOW)
}

/// Everything that is asked of a holder, and what happens to it.
fn drive(mut holder: Holder, connections: &[ConnectionId]) {
    settle(&mut holder);
    let remote = IdentityKey::take(&mut [2; 32]).expect("a key").public();
    let address = "10.0.0.1:9735".parse().expect("an address");
    let asks = [Ask::Subscribe { epoch: Epoch(9) }, Ask::Dial { remote, address }, Ask::Status];
    let mut asked = 0;
    let mut ask = |holder: &mut Holder, link, ask| {
        asked += 1;
        holder.ask(link, AskId(asked), ask, NOW);
        settle(holder);
    };
    asks.into_iter().for_each(|each| ask(&mut holder, NODE, each));
    holder.accepted(address, NOW);
    settle(&mut holder);
    let frozen = again(holder);
    // Only a number that has just passed its limit is refused.
    let mut holder = match thaw(&frozen) {
        Ok((holder, _)) => holder,
        Err(malformed) => return assert!(matches!(malformed, Malformed::Kind { .. })),
    };
    ask(&mut holder, NODE, Ask::Subscribe { epoch: Epoch(u64::MAX) });
    for connection in connections.iter().copied().take(USED_MAX) {
        holder.bytes(connection, &[0x5a; 40], NOW);
        holder.written(connection, 3, NOW);
        settle(&mut holder);
        for (link, each) in uses(connection) {
            ask(&mut holder, link, each);
        }
    }
    holder.wake(NOW + Millis(40_000));
    settle(&mut holder);
    holder.link_went(CLIENT, NOW);
    let first = connections.first().copied().unwrap_or(ConnectionId(1));
    ask(&mut holder, NODE, Ask::Close { connection: first });
    again(holder);
}

fn uses(connection: ConnectionId) -> Vec<(Link, Ask)> {
    let (epoch, up, bytes) = (Epoch(u64::MAX), Epoch(1), vec![1, 2, 3]);
    let message = [&NOTE.first.to_be_bytes()[..], b"note"].concat();
    vec![
        (NODE, Ask::Acknowledge { marks: vec![(connection, Seq(1))] }),
        (NODE, Ask::Send { connection, epoch, seq: OutSeq(1), message }),
        (NODE, Ask::Ping { connection }),
        (CLIENT, Ask::Attach { connection, epoch: up, offset: 0 }),
        (CLIENT, Ask::Credit { connection, epoch: up, offset: 1 }),
        (CLIENT, Ask::Pass { connection, epoch: up, offset: 0, bytes }),
        (CLIENT, Ask::Reclaim { connection, epoch }),
        (NODE, Ask::List { after: None, max: 3 }),
    ]
}

/// Does what the holder wants done, and tells what it has to tell.
fn settle(holder: &mut Holder) {
    while let Some(effect) = holder.poll() {
        if let Effect::Answer { answer, .. } = effect {
            let topic = answer.topic();
            assert!(refused(Answer::decode(topic, &answer.encode())).is_some());
        }
    }
    while let Some((_, event)) = holder.next_event(|_| true) {
        event.encode(&mut Vec::new());
    }
}

/// Freezes a holder as its shell does.
fn again(mut holder: Holder) -> Vec<u8> {
    holder.end_unsettled(NOW);
    settle(&mut holder);
    holder.freeze().bytes.to_vec()
}
