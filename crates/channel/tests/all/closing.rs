//! Closing together: in both dialects, with contracts under way, through lost connections.

use std::collections::VecDeque;

use bitcoin::Transaction;
use channel::{Dialects, End, Event, Refusal, State};
use tx::{Form, Side};
use wire::amount::{FeeratePerKw, Msat};
use wire::dice::Dice;
use wire::id::{CommitmentNumber, PerCommitmentSecret};
use wire::list::Blob;
use wire::{Error, Message};

use crate::halves::{CAPACITY, Half, first_sent, home, pair};
use crate::live::{act, end_of_any, offer, reconnect_as, settle, two};

const SIMPLE: Dialects = Dialects { any_segwit: true, simple_close: true };
const LEGACY: Dialects = Dialects { any_segwit: true, simple_close: false };

fn now(calm: u32) -> channel::Now {
    channel::Now { calm: FeeratePerKw(calm), urgent: FeeratePerKw(calm), ..Default::default() }
}

fn close(end: &mut Half) {
    let outcome = end.live.close().unwrap_or_else(|no| panic!("{no}"));
    end.take(outcome);
}

/// What each output of a close pays to whom, and what is left for the miner.
fn paid(transaction: &Transaction) -> ([u64; 2], u64) {
    let to = |at: u8| {
        let script = home(at).script;
        let outputs = transaction.output.iter().filter(|it| it.script_pubkey == script);
        outputs.map(|it| it.value.to_sat()).sum()
    };
    let paid = [to(1), to(2)];
    let all: u64 = transaction.output.iter().map(|it| it.value.to_sat()).sum();
    assert_eq!(all, paid.iter().sum::<u64>(), "nobody else is paid");
    (paid, CAPACITY.0 - all)
}

fn closed(ends: &[Half; 2]) -> [Vec<Transaction>; 2] {
    ends.each_ref().map(|end| {
        assert!(matches!(end.live.state(), State::Negotiating(it) if it.closed.is_some()));
        end.published.clone()
    })
}

#[test]
fn the_opener_pays_for_closing_signed() {
    for (form, wants) in [(Form::Anchors, 0), (Form::StaticRemoteKey, 1)] {
        let mut ends = pair(form);
        ends[0].live.at(now(2_000));
        ends[1].live.at(now(1_000));
        reconnect_as(&mut ends, None, LEGACY);
        settle(&mut ends);
        close(&mut ends[wants]);
        settle(&mut ends);
        let [first, second] = closed(&ends);
        assert_eq!(first, second);
        let ([opener, acceptor], fee) = paid(&first[0]);
        assert_eq!(acceptor, 900_000);
        assert_eq!(opener, CAPACITY.0 - 900_000 - fee);
        let weight = first[0].weight().to_wu();
        assert!((weight * 2..weight * 2 + 20).contains(&fee), "{fee} for {weight}");
    }
}

#[test]
fn whoever_wants_a_close_pays_for_it() {
    let mut ends = pair(Form::Anchors);
    ends[0].live.at(now(2_000));
    ends[1].live.at(now(1_000));
    reconnect_as(&mut ends, None, SIMPLE);
    settle(&mut ends);
    close(&mut ends[0]);
    settle(&mut ends);
    let [mut first, mut second] = closed(&ends);
    let key = |it: &Transaction| it.compute_txid();
    first.sort_by_key(key);
    second.sort_by_key(key);
    assert_eq!(first, second);
    let mut rows: Vec<_> = first.iter().map(paid).collect();
    rows.sort_by_key(|row| row.1);
    let [([opener, acceptor], cheap), ([payer, other], dear)] = rows[..] else {
        panic!("each side has a close of its own")
    };
    // The acceptor pays half as much for its own.
    assert_eq!((opener, acceptor), (1_100_000, 900_000 - cheap));
    assert_eq!((payer, other), (1_100_000 - dear, 900_000));
    assert!(dear.abs_diff(cheap * 2) < 2, "{dear} {cheap}");
}

#[test]
fn contracts_end_before_the_channel_does() {
    for dialects in [LEGACY, SIMPLE] {
        let mut ends = pair(Form::Anchors);
        reconnect_as(&mut ends, None, dialects);
        settle(&mut ends);
        let mut dice = Dice::new(5);
        let (id, outcome) =
            ends[0].live.send_add(offer(&mut dice)).unwrap_or_else(|no| panic!("{no}"));
        ends[0].take(outcome);
        close(&mut ends[0]);
        settle(&mut ends);
        // The update is signed for, then both have said that they want to close.
        assert!(
            ends[1].told.contains(&Event::Offered(id)) && ends[1].told.contains(&Event::Closing)
        );
        assert!(ends.iter().all(|it| matches!(it.live.state(), State::Shutdown(_))));
        for end in &ends {
            assert_eq!(end.live.send_add(offer(&mut dice)).err(), Some(Refusal::NotUsable));
        }
        let end = ends[1].live.send_end(id.id, End::Failed(Blob(vec![1])));
        ends[1].take(end.unwrap_or_else(|no| panic!("{no}")));
        settle(&mut ends);
        closed(&ends);
    }
}

#[test]
fn an_add_after_a_shutdown_is_a_violation() {
    let mut ends = pair(Form::Anchors);
    reconnect_as(&mut ends, None, LEGACY);
    settle(&mut ends);
    let mut dice = Dice::new(5);
    // The peer's add crosses our shutdown: that is no fault of anybody's.
    let (_, add) = ends[1].live.send_add(offer(&mut dice)).unwrap_or_else(|no| panic!("{no}"));
    let said = first_sent(&add);
    close(&mut ends[0]);
    let shutdown = ends[0].live.drive();
    ends[0].take(shutdown);
    assert!(ends[0].live.receive(&said).is_ok());
    // Behind the peer's own it is.
    close(&mut ends[1]);
    settle_messages(&mut ends, |it| matches!(it, Message::Shutdown(_)));
    let no = ends[0].live.receive(&said).expect_err("it has said that it wants to close");
    assert_eq!(no.to_string(), "update_add_htlc at this time");
}

/// Lets only some messages through.
fn settle_messages(ends: &mut [Half; 2], wanted: impl Fn(&Message) -> bool) {
    for at in [0, 1] {
        let drive = ends[at].live.drive();
        ends[at].take(drive);
        let (end, peer) = two(ends, at);
        end.flush(&mut peer.inbox);
        peer.inbox.retain(&wanted);
        peer.hear();
    }
}

#[test]
fn closes_survive_lost_connections_and_crashes() {
    for seed in 0..60 {
        let mut dice = Dice::new(seed);
        let dialects = if dice.one_in(2) { LEGACY } else { SIMPLE };
        let mut ends = pair(if dice.one_in(2) { Form::Anchors } else { Form::StaticRemoteKey });
        for end in &mut ends {
            end.live.at(now(300 + dice.below(3_000) as u32));
        }
        reconnect_as(&mut ends, None, dialects);
        settle(&mut ends);
        for _ in 0..dice.below(20) {
            let at = dice.below(2);
            act(&mut ends[at], &mut dice);
        }
        if dice.one_in(2) {
            settle(&mut ends);
        }
        close(&mut ends[dice.below(2)]);
        for _ in 0..300 {
            let at = dice.below(2);
            let (end, peer) = two(&mut ends, at);
            match dice.below(14) {
                0..=2 => end.flush(&mut peer.inbox),
                3..=5 => end.answer(),
                6..=8 => end.hear(),
                9..=10 => {
                    let drive = end.live.drive();
                    end.take(drive);
                }
                11 => {
                    if let Some(outcome) = end_of_any(end, &mut dice) {
                        end.take(outcome);
                    }
                }
                _ if dice.one_in(5) => {
                    let crashed = dice.one_in(2).then_some(at);
                    reconnect_as(&mut ends, crashed, dialects);
                }
                _ => {}
            }
        }
        // What nobody has saved that it wants to close is as if nobody had said it.
        close(&mut ends[0]);
        for _ in 0..50 {
            for end in &mut ends {
                while let Some(outcome) = end_of_any(end, &mut dice) {
                    end.take(outcome);
                }
            }
            settle(&mut ends);
        }
        reconnect_as(&mut ends, None, dialects);
        settle(&mut ends);
        let [first, second] = closed(&ends);
        assert!(first.iter().any(|it| second.contains(it)), "seed {seed}");
        for side in [Side::Opener, Side::Acceptor] {
            let have = ends[0].live.ledger().free(side);
            assert_eq!(have, ends[1].live.ledger().free(side), "seed {seed}");
            assert!(have > Msat(0));
        }
    }
}

#[test]
fn a_peer_that_has_forgotten_a_closed_channel_does_not_undo_the_close() {
    let mut ends = pair(Form::Anchors);
    reconnect_as(&mut ends, None, LEGACY);
    settle(&mut ends);
    close(&mut ends[0]);
    settle(&mut ends);
    let [closed, _] = closed(&ends);
    let end = &mut ends[1];
    end.published.clear();
    // After a restart it says where it stands, and hears that there is no such channel, in the
    // words that LDK has for that.
    end.crash();
    let hello = end.live.connected(LEGACY);
    end.take(hello);
    let Message::ChannelReestablish(mut said) = first_sent(&ends[0].live.connected(LEGACY)) else {
        panic!("it says where it stands")
    };
    said.next_commitment_number = CommitmentNumber(0);
    said.next_revocation_number = CommitmentNumber(0);
    said.your_last_per_commitment_secret = PerCommitmentSecret([1; 32]);
    let end = &mut ends[1];
    let unlike = end.live.receive(&said.into()).expect_err("it stands elsewhere");
    let outcome = end.live.violated(&unlike);
    end.take(outcome);
    let (channel_id, data) = (end.live.channel_id(), Blob(b"no such channel".to_vec()));
    let error = Error { channel_id, data, extension: Default::default() };
    let outcome = end.live.receive(&error.into()).unwrap_or_else(|no| panic!("{no}"));
    end.take(outcome);
    for _ in 0..5 {
        let drive = end.live.drive();
        end.take(drive);
        end.flush(&mut VecDeque::new());
        end.answer();
    }
    assert!(matches!(end.live.state(), State::Negotiating(it) if it.closed.is_some()));
    assert_eq!(end.published, closed, "the close is published again, and no commitment");
    // Whoever owns the channel may still want it.
    let outcome = end.live.fail();
    assert!(!outcome.changes.is_empty());
}
