//! Where both sides say that they stand: what may be, what cannot be, and what was forgotten.

use std::collections::VecDeque;

use channel::{
    Change, Channel, Dialects, Effect, End, Event, Offer, Remedy, State, Violation, Why,
};
use tx::Form;
use wire::amount::Msat;
use wire::dice::Dice;
use wire::id::{CommitmentNumber, PerCommitmentSecret};
use wire::{ChannelReestablish, Message};

use crate::halves::{Half, begun_pair, first_sent, pair};
use crate::live::{end_of_any, hash_of, offer, preimage, reconnect, settle, two};

const NUMBERS: [u64; 9] = [0, 1, 2, 3, 4, 5, 6, u64::MAX - 1, u64::MAX];

fn payments(ends: &mut [Half; 2], count: usize) {
    let mut dice = Dice::new(3);
    for _ in 0..count {
        let outcome = ends[0].live.send_add(offer(&mut dice)).unwrap_or_else(|no| panic!("{no}")).1;
        ends[0].take(outcome);
        settle(ends);
        while let Some(outcome) = end_of_any(&ends[1], &mut dice) {
            ends[1].take(outcome);
        }
        settle(ends);
    }
}

fn hello(channel: &Channel) -> ChannelReestablish {
    let said = first_sent(&channel.connected(Dialects::default()));
    let Message::ChannelReestablish(said) = said else { panic!("it greets") };
    said
}

fn greet(end: &mut Half) {
    end.may_fail = true;
    let lost = end.live.disconnected();
    end.take(lost);
    let hello = end.live.connected(Dialects::default());
    end.take(hello);
}

#[test]
fn numbers_that_cannot_be_are_told_apart_and_harm_nobody() {
    let mut ends = pair(Form::Anchors);
    reconnect(&mut ends, None);
    settle(&mut ends);
    payments(&mut ends, 1);
    let said = hello(&ends[1].live);
    greet(&mut ends[0]);
    for commitment in NUMBERS {
        for revocation in NUMBERS {
            let mut said = said.clone();
            said.next_commitment_number = CommitmentNumber(commitment);
            said.next_revocation_number = CommitmentNumber(revocation);
            let message = Message::ChannelReestablish(said);
            match ends[0].live.receive(&message) {
                Ok(outcome) => {
                    assert!(outcome.changes.is_empty());
                    let asks = outcome.effects.iter().any(|it| matches!(it, Effect::Ask(..)));
                    // Either it is right, or our signer is asked whether that can be.
                    let is_right = (commitment, revocation) == (3, 2);
                    assert!((3..10).contains(&revocation) && asks || is_right);
                }
                Err(no) => assert_eq!(no.remedy(), Remedy::Error, "{no}"),
            }
        }
    }
    let mut lie = said;
    lie.your_last_per_commitment_secret = PerCommitmentSecret([7; 32]);
    let no = ends[0].live.receive(&Message::ChannelReestablish(lie));
    assert_eq!(no.err(), Some(Violation::FalseSecret { number: CommitmentNumber(2) }));
}

#[test]
fn whoever_forgot_waits_for_the_other_and_publishes_nothing() {
    let mut ends = pair(Form::Anchors);
    reconnect(&mut ends, None);
    settle(&mut ends);
    payments(&mut ends, 1);
    let yesterday: Vec<Change> = ends[0].log.clone();
    payments(&mut ends, 2);
    // The store is restored from yesterday, and the signer is asked only what the peer claims.
    let mut old = Channel::new(ends[0].live.begun().clone());
    yesterday.iter().for_each(|it| old.evolve(it));
    ends[0].live = old;
    ends[0].log = yesterday;
    let said = hello(&ends[1].live);
    greet(&mut ends[0]);
    ends[0].inbox.push_back(Message::ChannelReestablish(said));
    ends[0].hear();
    let mut sent = VecDeque::new();
    ends[0].flush(&mut sent);
    ends[0].answer();
    ends[0].flush(&mut sent);
    let State::Failing(failing) = ends[0].live.state() else { panic!("it has failed") };
    assert!(failing.is_behind && matches!(failing.why, Why::Behind(_)));
    assert!(matches!(sent.back(), Some(Message::Error(_))), "the peer is asked to publish");
    for _ in 0..5 {
        let drive = ends[0].live.drive();
        ends[0].take(drive);
        ends[0].flush(&mut sent);
        ends[0].answer();
    }
    assert!(ends[0].published.is_empty());
    // Nor if its owner wants it.
    let fail = ends[0].live.fail();
    ends[0].take(fail);
    let drive = ends[0].live.drive();
    assert!(drive.effects.is_empty() && drive.changes.is_empty());
}

#[test]
fn a_liar_does_not_keep_us_from_publishing() {
    let mut ends = pair(Form::Anchors);
    reconnect(&mut ends, None);
    settle(&mut ends);
    payments(&mut ends, 1);
    let mut said = hello(&ends[1].live);
    said.next_revocation_number = CommitmentNumber(9);
    said.your_last_per_commitment_secret = PerCommitmentSecret([9; 32]);
    greet(&mut ends[0]);
    ends[0].inbox.push_back(Message::ChannelReestablish(said));
    let mut sent = VecDeque::new();
    for _ in 0..5 {
        ends[0].hear();
        let drive = ends[0].live.drive();
        ends[0].take(drive);
        ends[0].flush(&mut sent);
        ends[0].answer();
    }
    assert!(matches!(ends[0].live.state(), State::Failing(it) if !it.is_behind));
    assert_eq!(ends[0].published.len(), 1);
    assert_eq!(ends[0].published[0].input[0].previous_output, ends[0].live.funding());
    assert_eq!(ends[0].published[0].input[0].witness.len(), 4);
}

#[test]
fn a_signer_that_remembers_more_than_the_store_stops_it() {
    let mut ends = pair(Form::Anchors);
    reconnect(&mut ends, None);
    settle(&mut ends);
    payments(&mut ends, 1);
    let yesterday: Vec<Change> = ends[0].log.clone();
    payments(&mut ends, 1);
    let mut old = Channel::new(ends[0].live.begun().clone());
    yesterday.iter().for_each(|it| old.evolve(it));
    ends[0].live = old;
    ends[0].may_fail = true;
    // Its owner wants it on the chain, before the peer could say anything.
    let fail = ends[0].live.fail();
    ends[0].take(fail);
    let mut sent = VecDeque::new();
    for _ in 0..5 {
        let drive = ends[0].live.drive();
        ends[0].take(drive);
        ends[0].flush(&mut sent);
        ends[0].answer();
    }
    assert!(ends[0].published.is_empty(), "that would be the revoked one");
    assert!(matches!(ends[0].live.state(), State::Failing(it) if it.is_behind));
}

#[test]
fn a_lost_channel_ready_is_said_again() {
    let mut ends = begun_pair(Form::Anchors);
    for at in [0, 1] {
        let deep = ends[at].live.deep(None);
        ends[at].take(deep);
    }
    reconnect(&mut ends, None);
    settle(&mut ends);
    assert!(ends.iter().all(|end| *end.live.state() == State::Normal));
    assert!(ends.iter().all(|end| end.told.contains(&Event::Usable)));
    // And once more, which changes nothing.
    reconnect(&mut ends, Some(0));
    settle(&mut ends);
    assert!(ends.iter().all(|end| *end.live.state() == State::Normal));
}

/// What a revocation frees is spent at once, and both are lost: they come again in this order.
#[test]
fn what_a_lost_revocation_frees_is_offered_behind_it() {
    let mut ends = pair(Form::Anchors);
    reconnect(&mut ends, None);
    settle(&mut ends);
    let mut dice = Dice::new(1);
    let payment_hash = hash_of(&preimage(1));
    let offer = Offer { amount: Msat(500_000_000), payment_hash, ..offer(&mut dice) };
    let (id, outcome) = ends[0].live.send_add(offer.clone()).unwrap_or_else(|no| panic!("{no}"));
    ends[0].take(outcome);
    settle(&mut ends);
    let end = ends[1].live.send_end(id.id, End::Fulfilled(preimage(1)));
    ends[1].take(end.unwrap_or_else(|no| panic!("{no}")));
    let is_over = |event: &Event| matches!(event, Event::Over { .. });
    let mut turns = 0..50;
    while !ends[1].told.iter().any(is_over) {
        turns.next().expect("it comes to its end");
        for at in [0, 1] {
            let (end, peer) = two(&mut ends, at);
            let drive = end.live.drive();
            end.take(drive);
            end.flush(&mut peer.inbox);
            end.answer();
            end.hear();
        }
    }
    // The last revocation is on its way, and is lost there.
    let more = Offer { amount: Msat(1_300_000_000), ..offer };
    let (id, outcome) = ends[1].live.send_add(more).unwrap_or_else(|no| panic!("{no}"));
    ends[1].take(outcome);
    ends[1].flush(&mut VecDeque::new());
    reconnect(&mut ends, None);
    settle(&mut ends);
    assert!(ends.iter().all(|end| end.live.is_up()));
    assert!(ends.iter().all(|end| end.live.contracts().contains_key(&id)));
}
