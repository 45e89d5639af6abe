//! A holder and whoever asks it: limits, owners, mail, key holders that fail, and changing hands.

use noise::{Fault, Reader, Transport};
use peer::{
    Delegation, Epoch, OutSeq, Refusal, Seq, Why,
    holder::{Answer, Ask, Denial, Event, Link, Summary},
    limits,
};
use wire::{Body as _, Message, Ping, amount::ByteCount, id::ConnectionId, tick::Millis};

use crate::{
    host::{CLIENT, Host, NODE},
    pair::{NOTE, key},
};

const OTHER: Link = Link(3);

fn note(text: &str) -> Vec<u8> {
    [&NOTE.to_be_bytes()[..], text.as_bytes()].concat()
}

fn send(connection: ConnectionId, epoch: u64, seq: u64, text: &str) -> Ask {
    let (epoch, seq, message) = (Epoch(epoch), OutSeq(seq), note(text));
    Ask::Send { connection, epoch, seq, message }
}

fn listed(host: &mut Host, after: Option<ConnectionId>, max: u16) -> Vec<Summary> {
    let answer = host.ask(NODE, Ask::List { after, max });
    let Answer::Listed(lines) = answer else { panic!("an answer to another question") };
    lines
}

fn reclaim(host: &mut Host, link: Link, connection: ConnectionId, epoch: u64) -> Keys {
    let answer = host.ask(link, Ask::Reclaim { connection, epoch: Epoch(epoch) });
    let Answer::Reclaimed(back) = answer else { panic!("it is refused") };
    let unsaved = back.unsaved.into_iter().map(|(seq, bytes)| (seq.0, bytes)).collect();
    let (read, written, transport) = (back.rx_offset, back.tx_offset, back.state.into());
    Keys { transport, reader: Reader::new(), read, written, unsaved, init: back.init }
}

/// What a client has of a connection.
struct Keys {
    transport: Transport,
    reader: Reader,
    read: u64,
    written: u64,
    unsaved: Vec<(u64, Vec<u8>)>,
    init: Box<[u8]>,
}

impl Keys {
    /// The notes in ciphertext.
    fn read(&mut self, bytes: &[u8]) -> Vec<String> {
        let (mut input, mut notes) = (bytes, Vec::new());
        self.read += bytes.len() as u64;
        while !input.is_empty() {
            let message = self.reader.read(&mut self.transport, &mut input).expect("true bytes");
            let text = message.map(|message| String::from_utf8_lossy(&message[2..]).into_owned());
            notes.extend(text);
        }
        notes
    }

    /// The question that passes a note on.
    fn pass(&mut self, connection: ConnectionId, epoch: u64, text: &str) -> Ask {
        let (mut bytes, offset) = (Vec::new(), self.written);
        self.transport.encrypt(&note(text), &mut bytes).expect("short");
        self.written += bytes.len() as u64;
        Ask::Pass { connection, epoch: Epoch(epoch), offset, bytes }
    }

    fn delegate(self, connection: ConnectionId, epoch: u64) -> Ask {
        let delegation = Delegation {
            epoch: Epoch(epoch),
            remote: key(2).public(),
            state: self.transport.into_state().expect("it lives"),
            rx_offset: self.read - self.reader.unread().len() as u64,
            tx_offset: self.written,
            init: Some(Box::new(wire::Init::read_body(&self.init).expect("an init"))),
        };
        Ask::Delegate { connection, delegation }
    }
}

#[test]
fn lists_come_in_pages() {
    let mut host = Host::new(5_000);
    let address = "10.0.0.9:4000".parse().expect("an address");
    let many = limits::LISTED_MAX + 5;
    for _ in 0..many {
        host.holder.accepted(address, host.now);
    }
    let first = listed(&mut host, None, u16::MAX);
    assert_eq!(first.len(), limits::LISTED_MAX);
    let second = listed(&mut host, first.last().map(|line| line.connection), u16::MAX);
    assert_eq!(second.len(), 5);
    assert_eq!(second[4].connection, ConnectionId(many as u64));
    assert!(listed(&mut host, Some(ConnectionId(u64::MAX)), 9).is_empty());
    assert!(listed(&mut host, None, 0).is_empty());
}

#[test]
fn no_more_connections_than_there_may_be() {
    let mut host = Host::new(3);
    host.subscribe(NODE, 1).expect("the first");
    let (remote, address) = (key(9).public(), "10.0.0.9:4000".parse().expect("an address"));
    assert!(matches!(host.ask(NODE, Ask::Dial { remote, address }), Answer::Dialing { .. }));
    let (a, _) = (host.peer(2), host.peer(3));
    assert!(!host.holder.has_room());
    let full = Denial::Full { what: "connections", have: 3, max: 3 };
    assert_eq!(host.order(NODE, Ask::Dial { remote, address }), Err(full.clone()));
    assert_eq!(host.order(CLIENT, Ask::Tunnel { address, epoch: Epoch(1) }), Err(full.clone()));
    // What is over counts as long as the subscriber has not heard of it.
    host.deaf.insert(NODE);
    host.holder.closed(a, host.now);
    assert_eq!(host.order(NODE, Ask::Dial { remote, address }), Err(full));
    host.deaf.clear();
    host.run();
    assert!(host.holder.has_room());
}

#[test]
fn a_call_is_answered_or_not() {
    let (mut host, _) = Host::open();
    let (remote, address) = (key(2).public(), "10.0.0.9:4000".parse().expect("an address"));
    for _ in 0..3 {
        host.ask(NODE, Ask::Dial { remote, address });
    }
    let calls = std::mem::take(&mut host.calls);
    host.answer_call(calls[0], 2);
    assert!(host.opened(NODE, calls[0]), "{:?}", host.events);
    host.order(NODE, send(calls[0], 1, 1, "hello")).expect("open");
    assert_eq!(host.peers[&calls[0]].notes(), ["hello"]);
    // Somebody else answers.
    host.answer_call(calls[1], 3);
    assert!(host.closed.contains_key(&calls[1]));
    host.pass(limits::CONNECT_MAX);
    let late = Why::TimedOut { what: "connection", max: limits::CONNECT_MAX };
    assert_eq!(host.closed.get(&calls[2]), Some(&late));
    let told = host.events.iter().filter(|(_, event)| matches!(event, Event::Closed { .. }));
    assert_eq!(told.count(), 2, "who asked for a call hears of its end");
    host.answer_call(calls[2], 2);
    assert_eq!(host.holder.size(), 2, "it is too late");
}

#[test]
fn so_many_pings_wait_and_no_more() {
    let (mut host, connection) = Host::open();
    let other = host.peer(3);
    host.peers_are_deaf = true;
    let ids: Vec<_> =
        (0..limits::PINGS_MAX).map(|_| host.ask_later(NODE, Ask::Ping { connection })).collect();
    let full = Denial::Full { what: "pings", have: limits::PINGS_MAX, max: limits::PINGS_MAX };
    assert_eq!(host.order(NODE, Ask::Ping { connection }), Err(full));
    host.holder.closed(connection, host.now);
    host.run();
    for id in ids {
        assert!(matches!(host.answer(NODE, id), Some(Answer::Refused(_))), "it is over");
    }
    let unknown = Denial::Unknown { connection };
    assert_eq!(host.order(NODE, Ask::Ping { connection }), Err(unknown));
    // Whoever is gone is told nothing.
    let id = host.ask_later(NODE, Ask::Ping { connection: other });
    host.holder.link_went(NODE, host.now);
    host.holder.closed(other, host.now);
    host.run();
    assert!(host.answer(NODE, id).is_none());
}

#[test]
fn one_pong_answers_all_that_wait() {
    let (mut host, connection) = Host::open();
    host.deaf.insert(NODE);
    host.pass(Millis(7));
    let id = host.ask_later(NODE, Ask::Ping { connection });
    assert!(matches!(host.answer(NODE, id), Some(Answer::Ponged { after: Millis(0) })));
}

#[test]
fn a_stale_subscriber_is_refused() {
    let (mut host, id) = Host::open();
    host.subscribe(OTHER, 5).expect("a later one");
    let stale = Denial::StaleEpoch { got: Epoch(4), have: Epoch(5) };
    assert_eq!(host.subscribe(NODE, 4), Err(stale));
    host.hear(id, "for the later one");
    assert_eq!(host.notes(OTHER), [(1, "for the later one".to_owned())], "it is still in force");
    assert!(host.notes(NODE).is_empty());
    // The one before speaks no more; the later one counts from 1.
    let not_yours = Denial::NotYours { connection: id };
    assert_eq!(host.order(NODE, send(id, 1, 1, "old")), Err(not_yours));
    assert_eq!(host.order(OTHER, send(id, 5, 1, "new")), Ok(()));
    assert_eq!(host.peers[&id].notes(), ["new"]);
    // Its end is none of the later one's business.
    host.holder.link_went(NODE, host.now);
    host.hear(id, "still here");
    assert_eq!(host.notes(OTHER).len(), 2);
    // A stale one is refused even when nobody listens.
    host.holder.link_went(OTHER, host.now);
    assert!(host.subscribe(NODE, 4).is_err());
    host.subscribe(NODE, 5).expect("the same one is back");
    assert_eq!(host.notes(NODE).len(), 2, "and gets what it has not acknowledged");
}

#[test]
fn a_second_owner_is_refused() {
    let (mut host, id) = Host::open();
    let stale =
        |got, have| -> Denial { Refusal::StaleEpoch { got: Epoch(got), have: Epoch(have) }.into() };
    let back = Ask::Reclaim { connection: id, epoch: Epoch(1) };
    assert_eq!(host.order(CLIENT, back), Err(stale(1, 1)));
    host.hear(id, "for the subscriber");
    assert_eq!(host.notes(NODE).len(), 1, "a refusal has changed nothing");
    let mut keys = reclaim(&mut host, CLIENT, id, 8);
    assert_eq!(keys.unsaved, [(1, note("for the subscriber"))]);
    assert!(matches!(&host.events[..], [.., (NODE, Event::Closed { .. })]), "it is told");
    // A second client, with and without a right epoch.
    let back = Ask::Reclaim { connection: id, epoch: Epoch(9) };
    let not_yours = Denial::NotYours { connection: id };
    assert_eq!(host.order(OTHER, back), Err(not_yours.clone()));
    let attach = |epoch, offset| Ask::Attach { connection: id, epoch: Epoch(epoch), offset };
    assert_eq!(host.order(OTHER, attach(8, keys.read)), Err(not_yours));
    let back = Ask::Reclaim { connection: id, epoch: Epoch(9) };
    let denial = host.order(CLIENT, back).expect_err("the keys are away");
    assert_eq!(denial, Refusal::NotNow { asked: "reclaim", state: "tunnel" }.into());
    // Once its link is down, whoever knows its epoch may attach.
    host.holder.link_went(CLIENT, host.now);
    assert_eq!(host.order(OTHER, attach(7, keys.read)), Err(stale(7, 8)));
    let denial = host.order(OTHER, attach(8, u64::MAX)).expect_err("from nowhere");
    assert!(matches!(denial, Denial::Connection(Refusal::WrongOffset { .. })), "{denial}");
    assert_eq!(host.order(CLIENT, attach(8, keys.read)), Ok(()), "it is back");
    host.events.clear();
    host.hear(id, "for the client");
    let bytes = host.tunnelled(CLIENT, keys.read);
    assert_eq!(keys.read(&bytes), ["for the client"], "and listens again");
    let ask = keys.pass(id, 8, "from the client");
    host.order(CLIENT, ask).expect("the owner");
    assert!(host.order(NODE, send(id, 1, 1, "from the node")).is_err());
    host.order(CLIENT, keys.delegate(id, 9)).expect("it agrees on every byte");
    let not_yours = Denial::NotYours { connection: id };
    assert_eq!(host.order(NODE, send(id, 1, 1, "from the node")), Err(not_yours));
    host.order(CLIENT, send(id, 9, 1, "in the client's name")).expect("the owner");
    assert_eq!(host.peers[&id].notes(), ["from the client", "in the client's name"]);
}

#[test]
fn what_never_came_is_not_acknowledged() {
    let (mut host, id) = Host::open();
    host.hear(id, "one");
    let never: Denial = Refusal::NeverDelivered { got: Seq(2), last: Seq(1) }.into();
    assert_eq!(host.acknowledge(NODE, id, 2), Err(never.clone()));
    assert_eq!(host.acknowledge(NODE, id, u64::MAX).map_err(drop), Err(()));
    host.holder.link_went(NODE, host.now);
    host.subscribe(NODE, 1).expect("the same");
    assert_eq!(host.notes(NODE).len(), 2, "the refusal has forgotten nothing: it comes again");
    assert_eq!(host.acknowledge(NODE, id, 1), Ok(()));
    assert_eq!(host.acknowledge(NODE, id, 1), Ok(()), "again is no fault");
    assert_eq!(host.acknowledge(NODE, ConnectionId(99), 1), Ok(()), "it is over");
    // The good of one question are taken, the first refusal is told.
    host.hear(id, "two");
    let marks = vec![(id, Seq(9)), (id, Seq(2))];
    assert!(host.order(NODE, Ask::Acknowledge { marks }).is_err());
    host.holder.link_went(NODE, host.now);
    host.events.clear();
    host.subscribe(NODE, 1).expect("the same");
    assert!(host.notes(NODE).is_empty());
}

#[test]
fn what_was_never_told_is_not_acknowledged() {
    let (mut host, id) = Host::open();
    host.holder.link_went(NODE, host.now);
    host.hear(id, "kept");
    assert!(host.acknowledge(NODE, id, 1).is_err(), "nobody was told");
    host.subscribe(NODE, 2).expect("a later one");
    assert_eq!(host.notes(NODE).len(), 1);
}

#[test]
fn only_the_subscriber_acknowledges() {
    let (mut host, id) = Host::open();
    host.deaf.insert(OTHER);
    host.hear(id, "saved by the old one only");
    host.subscribe(OTHER, 2).expect("a later one");
    assert!(host.acknowledge(NODE, id, 1).is_err(), "its place is taken");
    host.deaf.clear();
    host.run();
    assert_eq!(host.notes(OTHER).len(), 1);
}

#[test]
fn a_second_subscriber_of_one_epoch_is_refused() {
    let (mut host, id) = Host::open();
    host.order(NODE, send(id, 1, 1, "the first")).expect("the owner");
    assert!(host.subscribe(OTHER, 1).is_err(), "the first one's link is up");
    assert!(host.order(OTHER, send(id, 1, 2, "the second")).is_err());
}

#[test]
fn a_clients_connection_is_not_the_nodes() {
    let (mut host, id) = Host::open();
    let keys = reclaim(&mut host, CLIENT, id, 2);
    host.order(CLIENT, keys.delegate(id, 3)).expect("it agrees");
    host.subscribe(OTHER, 3).expect("the node has started twice since");
    assert!(host.order(OTHER, send(id, 3, 1, "from the node")).is_err());
}

#[test]
fn a_subscriber_that_never_acknowledges_stops_its_peer() {
    let (mut host, id) = Host::open();
    let many = limits::INBOX_MESSAGES_MAX + 500;
    for number in 0..many {
        let peer = host.peers.get_mut(&id).expect("it is there");
        peer.note(&number.to_string(), host.now).expect("open");
    }
    host.run();
    assert!(!host.holder.wants_bytes(id, host.now));
    let told = host.notes(NODE);
    assert_eq!(told.len(), limits::INBOX_MESSAGES_MAX);
    // Another one is not held up.
    let other = host.peer(3);
    host.hear(other, "another");
    assert_eq!(host.notes(NODE).last(), Some(&(1, "another".to_owned())));
    host.events.clear();
    host.acknowledge(NODE, id, told.len() as u64).expect("told");
    let rest: Vec<_> = host.notes(NODE).into_iter().map(|(_, text)| text).collect();
    let want: Vec<_> = (told.len()..many).map(|number| number.to_string()).collect();
    assert_eq!(rest, want, "nothing is lost, nothing comes twice");
}

#[test]
fn a_peer_that_is_stopped_is_not_given_up() {
    let (mut host, id) = Host::open();
    host.holder.link_went(NODE, host.now);
    for number in 0..=limits::INBOX_MESSAGES_MAX {
        let peer = host.peers.get_mut(&id).expect("it is there");
        peer.note(&number.to_string(), host.now).expect("open");
    }
    host.run();
    assert!(!host.holder.wants_bytes(id, host.now));
    host.pass(Millis(limits::PING_AFTER.0 + limits::PONG_MAX.0 + 10));
    assert_eq!(host.closed.get(&id), None);
    host.subscribe(NODE, 2).expect("a later one");
    assert_eq!(host.notes(NODE).len(), limits::INBOX_MESSAGES_MAX);
}

#[test]
fn a_subscriber_without_room_loses_nothing() {
    let (mut host, id) = Host::open();
    host.deaf.insert(NODE);
    for number in 0..300 {
        host.hear(id, &number.to_string());
    }
    assert!(host.notes(NODE).is_empty());
    host.holder.closed(id, host.now);
    host.run();
    assert_eq!(host.holder.size(), 1, "it has not heard all");
    host.deaf.clear();
    host.run();
    let texts: Vec<_> = host.notes(NODE).into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, (0..300).map(|number| number.to_string()).collect::<Vec<_>>());
    assert!(matches!(&host.events[..], [.., (NODE, Event::Closed { .. })]));
    assert_eq!(host.holder.size(), 0);
}

#[test]
fn a_peer_that_does_not_read_costs_little() {
    let (mut host, id) = Host::open();
    host.peers_are_deaf = true;
    let ping = Message::from(Ping::new(ByteCount(65_531), 0));
    let mut asked = 0;
    while host.holder.wants_bytes(id, host.now) && asked < 100 {
        host.peers.get_mut(&id).expect("it is there").say(&ping, host.now).expect("open");
        host.run();
        asked += 1;
    }
    assert!(asked <= 8, "{asked} pongs of 65,551 bytes are kept for it");
}

#[test]
fn a_key_holder_that_never_answers() {
    let mut host = Host::new(10);
    host.subscribe(NODE, 1).expect("the first");
    host.key_holder_sleeps = true;
    let id = host.peer(2);
    assert_eq!(host.unanswered.len(), 1);
    host.pass(Millis(limits::HANDSHAKE_MAX.0 - 1));
    assert_eq!(host.closed.get(&id), None);
    host.pass(Millis(1));
    let late = Why::TimedOut { what: "end of the handshake", max: limits::HANDSHAKE_MAX };
    assert_eq!(host.closed.get(&id), Some(&late));
    assert!(host.events.iter().all(|(_, event)| *event == Event::Caught), "it never was");
    // An answer that comes too late is for nobody.
    host.wake_key_holder();
    assert_eq!((host.holder.size(), host.holder.status().unanswered), (0, 0));
}

#[test]
fn a_key_holder_that_never_says_who_called() {
    let (mut host, id) = Host::unverified();
    assert!(matches!(host.unanswered.front(), Some((_, noise::Ask::Verify { .. }))));
    host.pass(Millis(600_000));
    assert!(host.closed.contains_key(&id), "{:?}", listed(&mut host, None, 9));
}

#[test]
fn a_key_holder_that_is_away() {
    let mut host = Host::new(10);
    host.subscribe(NODE, 1).expect("the first");
    host.holder.key_holder_went(host.now);
    let id = host.peer(2);
    assert_eq!((host.unanswered.len(), host.holder.status().unanswered), (0, 1));
    host.pass(Millis(limits::KEY_HOLDER_AWAY_MAX.0 - 1));
    host.holder.key_holder_came();
    host.run();
    assert!(host.opened(NODE, id), "it was back in time");

    // It goes away with a question, comes, goes; and then stays away.
    host.key_holder_sleeps = true;
    let id = host.peer(3);
    for _ in 0..3 {
        host.pass(Millis(1_000));
        host.unanswered.clear();
        host.holder.key_holder_went(host.now);
        host.run();
        host.holder.key_holder_came();
        host.run();
        assert_eq!(host.unanswered.len(), 1, "a first step is asked again");
    }
    host.holder.key_holder_went(host.now);
    host.pass(limits::KEY_HOLDER_AWAY_MAX);
    assert_eq!(host.closed.get(&id), Some(&Why::KeyHolderAway));
}

#[test]
fn a_key_holder_that_goes_away_in_the_middle() {
    // Act two is sent: only this key holder could go on.
    let (mut host, id) = Host::unverified();
    assert!(matches!(host.unanswered.front(), Some((_, noise::Ask::Verify { .. }))));
    host.holder.key_holder_went(host.now);
    host.run();
    assert_eq!(host.closed.get(&id), Some(&Why::KeyHolderAway));
}

#[test]
fn a_key_holder_that_answers_twice_or_says_no() {
    let (mut host, id) = Host::unverified();
    host.wake_key_holder();
    for _ in 0..2 {
        let stray = noise::Answer::Verified { remote: key(9).public() };
        host.holder.answered(id, stray, host.now);
        host.holder.answered(id, noise::Answer::Refused(Fault::Denied), host.now);
        host.run();
    }
    assert!(host.opened(NODE, id), "nobody waits for a second answer");

    host.key_holder_sleeps = true;
    let id = host.peer(3);
    host.holder.answered(id, noise::Answer::Refused(Fault::Denied), host.now);
    host.run();
    assert_eq!(host.closed.get(&id), Some(&Why::Noise(Fault::Denied)));
    host.holder.answered(ConnectionId(99), noise::Answer::Refused(Fault::Denied), host.now);

    // The peer that called is another one than the key holder says.
    let id = host.peer(4);
    host.unanswered.clear();
    host.key_holder_sleeps = false;
    host.holder.key_holder_went(host.now);
    host.holder.key_holder_came();
    host.key_holder_sleeps = true;
    host.run();
    let (_, respond) = host.unanswered.pop_front().expect("asked");
    let answer = host.key_holder_answers(id, respond);
    host.holder.answered(id, answer, host.now);
    host.run();
    let wrong = noise::Answer::Verified { remote: key(9).public() };
    host.holder.answered(id, wrong, host.now);
    host.run();
    assert!(matches!(host.closed.get(&id), Some(Why::Noise(Fault::WrongIdentity { .. }))));
}

#[test]
fn a_key_holder_that_answers_something_else() {
    let (mut host, id) = Host::unverified();
    let (_, act1) = noise::keyholder::dial(
        &key(5).public(),
        noise::EphemeralKey::take(&mut [7; 32]).expect("a key"),
    );
    host.holder.answered(id, noise::Answer::Dialed { act1 }, host.now);
    host.run();
    host.holder.key_holder_went(host.now);
    host.pass(Millis(600_000));
    assert!(host.closed.contains_key(&id), "{:?}", listed(&mut host, None, 9));
}
