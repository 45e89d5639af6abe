//! What leaves a post office, and when.

use node::services::{
    clerk::{Clerk, Out, SNAPSHOT_EVERY},
    gate::Ticket,
    post::{CallId, Change, Command, Effect, Event, Post, Reply, State},
};
use noise::{IdentityKey, PublicKey};
use peer::{
    Epoch, OutSeq, Seq,
    desk::Token,
    holder::{self, Answer, Ask, Opened},
};
use wire::{Body as _, Init, dice::Dice, features::Features, id::ConnectionId, tick::Tick};

const NOW: Tick = Tick(1);
const HOLDER: u64 = 77;
const ONE: ConnectionId = ConnectionId(1);

fn somebody() -> PublicKey {
    IdentityKey::take(&mut [3; 32]).expect("a key").public()
}

fn open(state: State) -> Clerk {
    Clerk::new(Post::open(state, Features::NONE, Dice::new(1)))
}

/// All that leaves at present; what is to be saved apart.
fn leaves(clerk: &mut Clerk) -> (Vec<Ticket>, Vec<Out>) {
    let (mut saves, mut others) = (Vec::new(), Vec::new());
    while let Some(out) = clerk.poll() {
        match out {
            Out::Save { ticket, .. } => saves.push(ticket),
            Out::Do(_) | Out::AskSockets(..) | Out::AskSigner(..) => others.push(out),
        }
    }
    (saves, others)
}

/// Makes all durable that is to be saved, and gives what leaves then.
fn saved(clerk: &mut Clerk) -> Vec<Out> {
    let (saves, mut others) = leaves(clerk);
    if let Some(last) = saves.last() {
        clerk.durable(*last);
    }
    others.extend(leaves(clerk).1);
    others
}

fn ask_of(out: &Out) -> Option<(Token, &Ask)> {
    match out {
        Out::AskSockets(token, ask) => Some((*token, ask)),
        Out::Do(_) | Out::Save { .. } | Out::AskSigner(..) => None,
    }
}

/// A clerk that has one connection with somebody.
fn connected() -> Clerk {
    let mut clerk = open(State::default());
    clerk.post().holder_came(NOW);
    let outs = saved(&mut clerk);
    let (token, ask) = outs.iter().find_map(ask_of).expect("it subscribes");
    assert!(matches!(ask, Ask::Subscribe { epoch: Epoch(1) }));
    let answer = Answer::Subscribed { holder: HOLDER, listening: Vec::new() };
    clerk.post().holder_answered(token, answer, NOW);
    let mut init = Vec::new();
    Init::offering(Features::NONE).write_body(&mut init);
    let opened = Opened {
        connection: ONE,
        remote: somebody(),
        address: "10.0.0.1:9735".parse().expect("an address"),
        outbound: false,
        epoch: Epoch(1),
        sent: OutSeq(0),
        init,
    };
    clerk.post().holder_told(holder::Event::Opened(opened), NOW);
    clerk.post().holder_told(holder::Event::Caught, NOW);
    saved(&mut clerk);
    clerk
}

fn message(clerk: &mut Clerk, seq: u64) {
    let event = holder::Event::Message { connection: ONE, seq: Seq(seq), bytes: vec![0x81, 1, 5] };
    clerk.post().holder_told(event, NOW);
}

#[test]
fn nothing_leaves_before_its_cause_is_durable() {
    let mut clerk = open(State::default());
    clerk.post().holder_came(NOW);
    let (saves, others) = leaves(&mut clerk);
    assert_eq!((saves, others.len()), (vec![Ticket(1)], 0), "the epoch is not durable");
    clerk.durable(Ticket(1));
    assert!(leaves(&mut clerk).1.iter().any(|out| ask_of(out).is_some()));
}

#[test]
fn a_message_is_acknowledged_when_it_is_durable() {
    let mut clerk = connected();
    message(&mut clerk, 1);
    message(&mut clerk, 2);
    let (saves, others) = leaves(&mut clerk);
    assert!(others.is_empty() && !saves.is_empty());
    let acknowledged = |outs: &[Out]| {
        let asks = outs.iter().filter_map(ask_of);
        let marks = asks.filter_map(|(_, ask)| {
            if let Ask::Acknowledge { marks } = ask { marks.last().copied() } else { None }
        });
        marks.map(|(_, seq)| seq).max()
    };
    let (first, last) = (saves[0], *saves.last().expect("two"));
    clerk.durable(first);
    assert!(acknowledged(&leaves(&mut clerk).1) <= Some(Seq(1)), "the second is not durable");
    clerk.durable(last);
    assert_eq!(acknowledged(&leaves(&mut clerk).1), Some(Seq(2)));
}

#[test]
fn each_start_is_another_owner() {
    let mut state = State::default();
    for epoch in 1..4 {
        let clerk = open(state);
        state = clerk.state().clone();
        assert_eq!(state.epoch, Epoch(epoch));
    }
}

#[test]
fn a_repeated_message_is_told_once() {
    let mut clerk = connected();
    for seq in [1, 1, 2, 1, 2] {
        message(&mut clerk, seq);
    }
    let told = saved(&mut clerk);
    let told =
        told.iter().filter(|out| matches!(out, Out::Do(Effect::Tell(Event::Message { .. }))));
    assert_eq!(told.count(), 2);
}

#[test]
fn a_snapshot_takes_the_place_of_changes() {
    let mut clerk = connected();
    let mut snapshots = 0;
    for seq in 1..=SNAPSHOT_EVERY {
        message(&mut clerk, seq);
        while let Some(out) = clerk.poll() {
            let Out::Save { records, ticket } = out else { continue };
            let snapshot = records.iter().find_map(|record| match record {
                node::services::clerk::Record::Snapshot(bytes) => Some(bytes.clone()),
                node::services::clerk::Record::Change { .. } => None,
            });
            if let Some(bytes) = snapshot {
                snapshots += 1;
                assert_eq!(State::decode(&bytes).as_ref(), Ok(clerk.state()));
            }
            clerk.durable(ticket);
        }
    }
    assert_eq!(snapshots, 1);
}

#[test]
fn who_called_first_does_not_matter_for_staying_connected() {
    // A call of ours is under way when the peer calls us.
    let mut clerk = connected();
    let other = IdentityKey::take(&mut [4; 32]).expect("a key").public();
    let address = "10.0.0.9:9735".parse().expect("an address");
    clerk.post().call(CallId(1), Command::Connect { node: other, address }, NOW);
    saved(&mut clerk);
    let mut init = Vec::new();
    Init::offering(Features::NONE).write_body(&mut init);
    let opened = Opened {
        connection: ConnectionId(5),
        remote: other,
        address: "10.0.0.9:50000".parse().expect("an address"),
        outbound: false,
        epoch: Epoch(1),
        sent: OutSeq(0),
        init,
    };
    clerk.post().holder_told(holder::Event::Opened(opened), NOW);
    let outs = saved(&mut clerk);
    let replied = outs.iter().any(|out| {
        matches!(out, Out::Do(Effect::Reply { call: CallId(1), reply: Ok(Reply::Peer(_)) }))
    });
    assert!(replied);
    assert_eq!(clerk.state().wanted.get(&other), Some(&address));
}

#[test]
fn every_change_reads_as_it_was_written_and_no_cut_one_does() {
    let address = "[2001:db8::1]:9735".parse().expect("an address");
    let (holder, connection, node) = (HOLDER, ONE, somebody());
    let changes = [
        Change::Booted { epoch: Epoch(9) },
        Change::Named { node },
        Change::Wanted { node, address },
        Change::Unwanted { node },
        Change::Received { holder, connection, seq: Seq(3) },
        Change::Ended { holder, connection },
    ];
    for change in changes {
        let bytes = change.encode();
        assert_eq!(Change::decode(&bytes), Ok(Some(change.clone())));
        for end in 1..bytes.len() {
            assert!(Change::decode(&bytes[..end]).is_err(), "{change:?} cut at {end}");
        }
    }
    // An unknown odd record is passed over, an unknown even one is not.
    assert_eq!(Change::decode(&[101, 1, 0]), Ok(None));
    assert!(Change::decode(&[100, 1, 0]).is_err());
}
