//! A holder on its way to another process, in all states; and clients whose links come and go.

use noise::{Reader, Transport};
use peer::{
    Epoch, OutSeq,
    holder::{Answer, Ask, Event, FROZEN_VERSION, Holder, Link},
    limits,
};
use wire::{
    Message, Ping, Warning, amount::ByteCount, dice::Dice, id::ChannelId, id::ConnectionId,
    tick::Millis,
};

use crate::{
    host::{CLIENT, Host, NODE},
    pair::{NOTE, terms},
};

const OTHER: Link = Link(3);

/// The keys of a connection, given to a client.
fn reclaim(host: &mut Host, link: Link, connection: ConnectionId, epoch: u64) -> (Transport, u64) {
    let answer = host.ask(link, Ask::Reclaim { connection, epoch: Epoch(epoch) });
    let Answer::Reclaimed(back) = answer else { panic!("it is refused") };
    (back.state.into(), back.rx_offset)
}

/// Three peers: one with mail and half a record, one whose client is away, one that complained.
fn busy() -> (Host, [ConnectionId; 3]) {
    let (mut host, one) = Host::open();
    let (two, three) = (host.peer(3), host.peer(4));
    for text in ["a", "b", "c"] {
        host.hear(one, text);
    }
    host.acknowledge(NODE, one, 1).expect("told");
    reclaim(&mut host, CLIENT, two, 5);
    host.holder.link_went(CLIENT, host.now);
    host.hear(two, "for the client");
    host.deaf.insert(NODE);
    let complaint = Warning::new(ChannelId([3; 32]), "too late");
    let peer = host.peers.get_mut(&three).expect("it is there");
    peer.say(&complaint.into(), host.now).expect("open");
    host.run();
    // Half a record, and then the holder changes.
    let peer = host.peers.get_mut(&one).expect("it is there");
    peer.note(&"x".repeat(500), host.now).expect("open");
    peer.run(host.now);
    let rest = peer.wire.split_off(200);
    let first = std::mem::replace(&mut peer.wire, rest);
    host.holder.bytes(one, &first, host.now);
    (host, [one, two, three])
}

#[test]
fn all_of_a_holder_travels() {
    let (mut host, [one, two, three]) = busy();
    for _ in 0..2 {
        let connections = host.hand_over().expect("just written");
        assert_eq!(connections, [one, two, three]);
    }
    host.deaf.clear();
    host.events.clear();
    host.subscribe(NODE, 1).expect("the same");
    let told: Vec<_> = host.notes(NODE);
    assert_eq!(told[..2], [(2, "b".to_owned()), (3, "c".to_owned())]);
    assert_eq!(told[2], (4, "x".repeat(500)), "the rest of the record came later");
    assert!(host.opened(NODE, one) && host.opened(NODE, three));
    let complains = |(to, event): &(Link, Event)| {
        *to == NODE && matches!(event, Event::Complaint { text, .. } if text == "too late")
    };
    assert!(host.events.iter().any(complains));
    let attach = Ask::Attach { connection: two, epoch: Epoch(5), offset: 0 };
    assert!(host.order(CLIENT, attach).is_err(), "what was read is not kept");
    assert_eq!(host.holder.accepted("1.2.3.4:5".parse().expect("it is one"), host.now).0, 4);
}

#[test]
fn a_tunnel_travels_with_what_its_client_has_not_read() {
    let (mut host, id) = Host::open();
    let (mut transport, offset) = reclaim(&mut host, CLIENT, id, 5);
    host.holder.link_went(CLIENT, host.now);
    host.hear(id, "one");
    host.hand_over().expect("just written");
    host.hear(id, "two");
    let epoch = Epoch(5);
    host.order(OTHER, Ask::Attach { connection: id, epoch, offset }).expect("the owner");
    let bytes = host.tunnelled(OTHER, offset);
    let (mut reader, mut input, mut notes) = (Reader::new(), &bytes[..], Vec::new());
    while !input.is_empty() {
        if let Some(note) = reader.read(&mut transport, &mut input).expect("true bytes") {
            notes.push(String::from_utf8_lossy(&note[2..]).into_owned());
        }
    }
    assert_eq!(notes, ["one", "two"]);
}

#[test]
fn what_waits_for_the_key_holder_does_not_travel() {
    let (mut host, one) = Host::open();
    host.key_holder_sleeps = true;
    let two = host.peer(3);
    let (remote, address) = (crate::pair::key(9).public(), "10.0.0.9:1".parse().expect("one"));
    host.ask(NODE, Ask::Dial { remote, address });
    assert_eq!(host.hand_over().expect("just written"), [one]);
    assert_eq!(host.closed.keys().copied().collect::<Vec<_>>(), [two, host.calls[0]]);
    assert!(host.holder.wants_bytes(one, host.now));
}

#[test]
fn frozen_bytes_that_are_cut_or_changed() {
    let (mut host, _) = busy();
    let good = host.freeze();
    let thaw = |bytes: &[u8]| Holder::thaw(bytes, terms(), 10, host.now);
    assert!(thaw(&good).is_ok());
    for cut in 0..good.len() {
        assert!(thaw(&good[..cut]).is_err(), "cut at {cut}");
    }
    assert!(thaw(&[&good[..], &[0]].concat()).is_err(), "more behind it");
    let newer = [&[FROZEN_VERSION + 1], &good[1..]].concat();
    assert!(thaw(&newer).is_err(), "another version");
    let mut dice = Dice::new(5);
    let (mut thawed, mut refused) = (0, 0);
    for _ in 0..3_000 {
        let mut bytes = good.clone();
        for _ in 0..=dice.below(3) {
            let at = 1 + dice.below(bytes.len() - 1);
            bytes[at] ^= 1 << dice.below(8);
        }
        match thaw(&bytes) {
            Ok((mut holder, connections)) => {
                thawed += 1;
                holder.ask(NODE, peer::holder::AskId(1), Ask::Status, host.now);
                for id in connections {
                    holder.bytes(id, &[7; 30], host.now);
                    holder.wake(host.now + Millis(50_000));
                }
                while holder.poll().is_some() || holder.next_event(|_| true).is_some() {}
            }
            Err(malformed) => {
                refused += 1;
                assert!(!malformed.to_string().is_empty());
            }
        }
    }
    assert!(thawed > 200 && refused > 200, "{thawed} thawed, {refused} refused");
    for length in 0..200 {
        let mut junk = vec![FROZEN_VERSION; length];
        dice.fill(junk.get_mut(1..).unwrap_or_default());
        assert!(thaw(&junk).is_err());
    }
}

/// A holder without connections, whose last one had this number.
fn empty(last: u64) -> Vec<u8> {
    let numbers = [77, 1, last].map(u64::to_be_bytes).concat();
    [&[FROZEN_VERSION][..], &numbers, &[0]].concat()
}

#[test]
fn frozen_numbers_at_their_end_are_refused() {
    let thaw = |bytes: &[u8]| Holder::thaw(bytes, terms(), 10, Host::new(1).now);
    assert!(thaw(&empty(7)).is_ok());
    let (mut host, _) = busy();
    let good = host.freeze();
    for at in 1..good.len() - 8 {
        let mut bytes = good.clone();
        bytes[at..at + 8].copy_from_slice(&u64::MAX.to_be_bytes());
        // Whatever is taken can be used.
        let Ok((mut holder, connections)) = thaw(&bytes) else { continue };
        for id in connections {
            holder.bytes(id, &[7; 30], host.now);
        }
        holder.accepted("1.2.3.4:5".parse().expect("an address"), host.now);
        while holder.poll().is_some() {}
    }
    assert!(thaw(&empty(u64::MAX)).is_err());
}

#[test]
fn frozen_connections_have_numbers_of_the_past() {
    let (mut host, id) = Host::open();
    let mut frozen = host.freeze();
    frozen[17..25].copy_from_slice(&(id.0 - 1).to_be_bytes());
    assert!(Holder::thaw(&frozen, terms(), 10, host.now).is_err());
}

#[test]
fn what_is_read_while_thawing_is_told() {
    let (mut host, id) = Host::open();
    let peer = host.peers.get_mut(&id).expect("it is there");
    let ping = Message::from(Ping::new(ByteCount(65_535), 0));
    for _ in 0..limits::BURST_MESSAGES_MAX + 5 {
        peer.say(&ping, host.now).expect("open");
        peer.run(host.now);
        peer.connection.handle_written(100, host.now);
    }
    peer.say(&Warning::new(ChannelId([3; 32]), "slower").into(), host.now).expect("open");
    host.peers.get_mut(&id).expect("it is there").run(host.now);
    let wire = std::mem::take(&mut host.peers.get_mut(&id).expect("it is there").wire);
    host.holder.bytes(id, &wire, host.now);
    let bytes = host.freeze();
    host.now = host.now + Millis(1_000);
    let (mut holder, _) = Holder::thaw(&bytes, terms(), 10, host.now).expect("just written");
    let subscribe = Ask::Subscribe { epoch: Epoch(1) };
    holder.ask(NODE, peer::holder::AskId(1), subscribe, host.now);
    let mut told = std::iter::from_fn(|| holder.next_event(|_| true));
    assert!(told.any(|(_, event)| matches!(event, Event::Complaint { .. })));
}

#[test]
fn a_link_that_is_gone_is_told_nothing() {
    let mut host = Host::new(10);
    let address = "10.0.0.9:4000".parse().expect("an address");
    host.ask(CLIENT, Ask::Tunnel { address, epoch: Epoch(1) });
    host.holder.link_went(CLIENT, host.now);
    host.holder.call_refused(host.calls[0], "nobody answers".to_owned());
    host.run();
    assert!(host.events.is_empty(), "{:?}", host.events);
}

#[test]
fn a_client_without_room_stops_its_peer() {
    let (mut host, connection) = Host::open();
    let (_, read) = reclaim(&mut host, CLIENT, connection, 5);
    host.deaf.insert(CLIENT);
    let (mut offset, epoch) = (read, Epoch(5));
    for _ in 0..60 {
        host.hear(connection, &"x".repeat(60_000));
        offset += 18 + 2 + 60_000 + 16;
        // Refused once the peer is stopped.
        host.order(CLIENT, Ask::Credit { connection, epoch, offset }).ok();
    }
    host.deaf.clear();
    host.run();
    let kept = host.tunnelled(CLIENT, read).len();
    assert!(kept <= 2 * limits::TUNNEL_BYTES_MAX, "{kept} bytes were kept");
}

#[test]
fn a_ping_is_answered_when_a_client_takes_over() {
    let (mut host, connection) = Host::open();
    host.peers_are_deaf = true;
    let id = host.ask_later(NODE, Ask::Ping { connection });
    reclaim(&mut host, CLIENT, connection, 5);
    host.peers_are_deaf = false;
    host.pass(Millis(1_000));
    assert!(host.answer(NODE, id).is_some());
}

#[test]
fn a_tunnel_without_a_client_ends() {
    let (mut host, connection) = Host::open();
    reclaim(&mut host, CLIENT, connection, 5);
    host.holder.link_went(CLIENT, host.now);
    for _ in 0..6 {
        host.hear(connection, &"x".repeat(60_000));
    }
    assert!(!host.holder.wants_bytes(connection, host.now), "it is full");
    for _ in 0..200 {
        host.now = host.now + Millis(3_600_000);
        host.holder.wake(host.now);
        host.run();
    }
    assert!(host.closed.contains_key(&connection));
}

#[test]
fn a_client_leaves_the_nodes_connections_alone() {
    let (mut host, connection) = Host::open();
    let (epoch, seq) = (Epoch(1), OutSeq(1));
    let message = [&NOTE.to_be_bytes()[..], b"whose?"].concat();
    let send = |message| Ask::Send { connection, epoch, seq, message };
    assert!(host.order(CLIENT, send(message.clone())).is_err());
    assert_eq!(host.order(NODE, send(message)), Ok(()), "and its numbers are its own");
    assert!(host.order(CLIENT, Ask::Close { connection }).is_err());
}

#[test]
fn a_client_leaves_other_clients_alone() {
    let (mut host, connection) = Host::open();
    let (_, read) = reclaim(&mut host, CLIENT, connection, 5);
    let (epoch, bytes) = (Epoch(5), vec![0; 5_000]);
    assert!(host.order(OTHER, Ask::Attach { connection, epoch, offset: read }).is_err());
    host.hear(connection, "for the first one");
    assert!(!host.tunnelled(CLIENT, read).is_empty(), "its link is up");
    assert!(host.order(OTHER, Ask::Pass { connection, epoch, offset: 0, bytes }).is_err());
    assert_eq!(host.closed.get(&connection), None);
}

#[test]
fn what_is_not_verified_is_not_reclaimed() {
    let (mut host, connection) = Host::unverified();
    assert!(host.order(CLIENT, Ask::Reclaim { connection, epoch: Epoch(5) }).is_err());
}
