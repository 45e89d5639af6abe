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

/// A log that was put back, or a copy: the sockets know of a later start.
#[test]
fn who_starts_behind_takes_a_later_epoch_once_it_is_durable() {
    let mut clerk = open(State::default());
    clerk.post().holder_came(NOW);
    let outs = saved(&mut clerk);
    let (token, _) = outs.iter().find_map(ask_of).expect("it subscribes");
    let (got, have) = (Epoch(1), Epoch(7));
    let refused = Answer::Refused(holder::Denial::StaleEpoch { got, have });
    clerk.post().holder_answered(token, refused, NOW);
    let (saves, others) = leaves(&mut clerk);
    assert!(others.is_empty(), "not before it is durable");
    clerk.durable(*saves.last().expect("it saves"));
    let outs = leaves(&mut clerk).1;
    let (_, ask) = outs.iter().find_map(ask_of).expect("it subscribes again");
    assert!(matches!(ask, Ask::Subscribe { epoch: Epoch(8) }));
    assert_eq!(clerk.state().epoch, Epoch(8));
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

fn replies(outs: &[Out]) -> Vec<u64> {
    let call = |out: &Out| match out {
        Out::Do(Effect::Reply { call, .. }) => Some(call.0),
        Out::Do(_) | Out::Save { .. } | Out::AskSockets(..) | Out::AskSigner(..) => None,
    };
    outs.iter().filter_map(call).collect()
}

/// A clerk that is calling somebody else, over connection 9.
fn calling(clerk: &mut Clerk) -> PublicKey {
    let node = IdentityKey::take(&mut [4; 32]).expect("a key").public();
    let address = "10.0.0.9:9735".parse().expect("an address");
    clerk.post().call(CallId(7), Command::Connect { node, address }, NOW);
    let outs = saved(clerk);
    let dial = outs.iter().filter_map(ask_of).find(|(_, ask)| matches!(ask, Ask::Dial { .. }));
    let token = dial.expect("it calls").0;
    let answer = Answer::Dialing { connection: ConnectionId(9) };
    clerk.post().holder_answered(token, answer, NOW);
    saved(clerk);
    node
}

#[test]
fn a_call_that_ended_while_nobody_listened_is_over() {
    let mut clerk = connected();
    calling(&mut clerk);
    clerk.post().holder_went(NOW);
    clerk.post().holder_came(NOW);
    let outs = saved(&mut clerk);
    let token = outs.iter().find_map(ask_of).expect("it subscribes").0;
    let answer = Answer::Subscribed { holder: HOLDER, listening: Vec::new() };
    clerk.post().holder_answered(token, answer, NOW);
    clerk.post().holder_told(holder::Event::Caught, NOW);
    assert_eq!(replies(&saved(&mut clerk)), [7], "whoever asked for it is told");
}

#[test]
fn a_peer_that_is_wanted_is_called_again_after_its_sockets_were_gone() {
    let mut clerk = connected();
    let address = "10.0.0.1:9735".parse().expect("an address");
    clerk.post().call(CallId(1), Command::Connect { node: somebody(), address }, NOW);
    saved(&mut clerk);
    // Its connection ends, it is called again, and the link breaks meanwhile.
    let text = "gone".to_owned();
    let closed = |connection| {
        let culprit = peer::Culprit::Network;
        holder::Event::Closed { connection, culprit, text: text.clone() }
    };
    clerk.post().holder_told(closed(ONE), NOW);
    let mut now = NOW;
    for _ in 0..3 {
        now = clerk.wake_at().expect("it calls again");
        clerk.post().wake(now);
        let outs = saved(&mut clerk);
        let token = outs.iter().find_map(ask_of).expect("it calls").0;
        clerk.post().holder_answered(token, Answer::Dialing { connection: ConnectionId(2) }, now);
        saved(&mut clerk);
        clerk.post().holder_went(now);
        clerk.post().holder_came(now);
        let outs = saved(&mut clerk);
        let token = outs.iter().find_map(ask_of).expect("it subscribes").0;
        let answer = Answer::Subscribed { holder: HOLDER + now.0, listening: Vec::new() };
        clerk.post().holder_answered(token, answer, now);
        clerk.post().holder_told(holder::Event::Caught, now);
        saved(&mut clerk);
    }
    assert!(clerk.wake_at().is_some_and(|at| at > now));
}

#[test]
fn who_hangs_up_during_a_call_ends_it() {
    let closes = |outs: &[Out], wanted: u64| {
        let mut asks = outs.iter().filter_map(ask_of);
        asks.any(|(_, ask)| matches!(ask, Ask::Close { connection } if connection.0 == wanted))
    };
    let mut clerk = connected();
    let node = calling(&mut clerk);
    clerk.post().call(CallId(8), Command::Disconnect { node }, NOW);
    let outs = saved(&mut clerk);
    assert!(closes(&outs, 9));
    assert_eq!(replies(&outs), [7, 8]);

    // Before the call has a number.
    let address = "10.0.0.9:9735".parse().expect("an address");
    clerk.post().call(CallId(9), Command::Connect { node, address }, NOW);
    let outs = saved(&mut clerk);
    let token = outs.iter().find_map(ask_of).expect("it calls").0;
    clerk.post().call(CallId(10), Command::Disconnect { node }, NOW);
    saved(&mut clerk);
    let answer = Answer::Dialing { connection: ConnectionId(11) };
    clerk.post().holder_answered(token, answer, NOW);
    assert!(closes(&saved(&mut clerk), 11));
}

#[test]
fn what_is_too_long_is_refused_before_anybody_is_asked() {
    let mut clerk = connected();
    clerk.post().signer_came();
    saved(&mut clerk);
    let node = somebody();
    let message = vec![7; signer::MESSAGE_BYTES_MAX + 1];
    let bytes = vec![0x81; noise::MESSAGE_BYTES_MAX + 1];
    clerk.post().call(CallId(1), Command::Sign { message }, NOW);
    clerk.post().call(CallId(2), Command::Message { node, bytes }, NOW);
    let outs = saved(&mut clerk);
    assert_eq!((replies(&outs), outs.len()), (vec![1, 2], 2));
    // The longest go.
    let message = vec![7; signer::MESSAGE_BYTES_MAX];
    let bytes = vec![0x81; noise::MESSAGE_BYTES_MAX];
    clerk.post().call(CallId(3), Command::Sign { message }, NOW);
    clerk.post().call(CallId(4), Command::Message { node, bytes }, NOW);
    let outs = saved(&mut clerk);
    assert!(outs.iter().any(|out| matches!(out, Out::AskSigner(..))));
    assert!(outs.iter().any(|out| ask_of(out).is_some()));
}
