//! What BOLT 5 says of an end on the chain, one by one: what is known, told, paid for and left
//! alone. That all money comes home shows `onchain`.

use std::collections::VecDeque;
use std::sync::Arc;

use bitcoin::{EcdsaSighashType, OutPoint, Transaction, TxIn};
use channel::{Change, Channel, Dialects, Effect, End, EndedBy, Event, Now, Refusal, State, Why};
use tx::{Form, Side};
use wire::amount::{BlockHeight, Msat};
use wire::{Message, Warning};

use crate::halves::{CAPACITY, Half, first_sent, funding, halves, home, open_as, policy, wanted};
use crate::live::{preimage, settle, two};
use crate::onchain::{Cheat, fail, keep, offered, over, town};
use crate::refused::{add, offer, stands, up};
use crate::town::Town;

fn failings(end: &Half) -> Vec<&Why> {
    let mut all = Vec::new();
    for event in &end.told {
        if let Event::Failing(why) = event {
            all.push(why);
        }
    }
    all
}

#[test]
fn an_end_that_the_chain_shows_first_is_told_once() {
    let mut town = town(Form::Anchors);
    fail(&mut town, 0);
    town.pump();
    town.mine_many(3);
    assert_eq!(failings(&town.ends[0]), [&Why::Wanted]);
    assert_eq!(failings(&town.ends[1]), [&Why::Spent]);
    assert!(matches!(town.ends[1].live.state(), State::Failing(_)));
    let no = town.ends[1].live.send_add(offer(1_000_000)).err();
    assert_eq!(no, Some(Refusal::NotUsable));
}

#[test]
fn an_end_that_nobody_knows_is_told_as_a_loss() {
    let mut town = town(Form::Anchors);
    offered(&mut town, 0, 60_000_000, 1, 200);
    // The acceptor's disk and signer are of before all that follows.
    let log = town.ends[1].log.clone();
    let old = town.ends[1].signer.of_old(town.ends[1].signer.log.len());
    for number in 2..4 {
        offered(&mut town, 0, 60_000_000, number, 200);
    }
    let mut live = Channel::new(town.ends[1].begun.clone());
    log.iter().for_each(|it| live.evolve(it));
    (town.ends[1].live, town.ends[1].log, town.ends[1].signer) = (live, log, old);
    town.tell_now(1);
    town.ends[1].told.clear();
    fail(&mut town, 0);
    town.pump();
    town.mine_many(4);
    assert!(matches!(town.ends[1].live.ended_by(), Some((EndedBy::Unknown(_), _))));
    assert_eq!(failings(&town.ends[1]), [&Why::Unknown]);
    // What pays to it alone is found all the same.
    town.mine_many(120);
    assert!(town.has(1) + 6_000 > 900_000, "{}", town.has(1));
}

/// We have signed the peer's next commitment, and it has not given up the one before.
#[test]
fn both_commitments_of_the_peer_are_expected() {
    for is_newest in [false, true] {
        let mut town = town(Form::Anchors);
        let first = offered(&mut town, 0, 60_000_000, 1, 200);
        let before = keep(&town, 1, 12).commitment;
        let id = add(&mut town.ends[0], 70_000_000);
        let drive = town.ends[0].live.drive();
        town.ends[0].take(drive);
        let (end, peer) = two(&mut town.ends, 0);
        end.flush(&mut peer.inbox);
        end.answer();
        end.flush(&mut peer.inbox);
        for _ in 0..2 {
            peer.hear();
        }
        peer.flush(&mut Default::default());
        peer.answer();
        let commitment = if is_newest {
            let newest = keep(&town, 1, 12).commitment;
            assert_ne!(newest, before);
            newest
        } else {
            before
        };
        town.ends[1].waiting.clear();
        town.ends.iter_mut().for_each(|it| it.may_fail = true);
        town.mine_with(vec![commitment]);
        let by = town.ends[0].live.ended_by().map(|(by, _)| by);
        assert_eq!(by, Some(EndedBy::Remote), "{is_newest}");
        // The second contract is in the newest only, and has nothing to wait for without it.
        for _ in 0..8 {
            town.mine_with(Vec::new());
            let drive = town.ends[0].live.drive();
            town.ends[0].take(drive);
        }
        town.ends[0].flush(&mut Default::default());
        assert_eq!(over(&town, 0, id), (!is_newest).then_some(false));
        assert_eq!(over(&town, 0, first), None);
    }
}

/// Children of our commitment, with what each pays.
fn children(end: &Half) -> Vec<u64> {
    let is_parent = |it: &&Transaction| it.input[0].previous_output == end.live.funding();
    let parent = end.published.iter().find(is_parent).expect("it is published");
    let txid = parent.compute_txid();
    let spends = |it: &&Transaction| it.input.iter().any(|it| it.previous_output.txid == txid);
    let fee = |child: &Transaction| {
        let anchors = child.input.iter().filter(|it| it.previous_output.txid == txid).count();
        assert_eq!(anchors, 1, "nothing else of it can be taken yet");
        let out: u64 = child.output.iter().map(|it| it.value.to_sat()).sum();
        330 + 200_000 * (child.input.len() as u64 - 1) - out
    };
    end.published.iter().filter(spends).map(fee).collect()
}

#[test]
fn a_child_pays_for_our_commitment_and_more_the_longer_it_waits() {
    let mut town = town(Form::Anchors);
    offered(&mut town, 0, 60_000_000, 1, 40);
    fail(&mut town, 0);
    town.pump();
    let fees = children(&town.ends[0]);
    let weight = town.ends[0].published[0].weight().to_wu();
    // Forty blocks before the lock that is 1,750 sat for each 1,000 units, of which the
    // commitment pays 1,000 itself.
    let [first] = fees[..] else { panic!("{fees:?}") };
    assert!(first * 1_000 > weight * 750, "{first} for {weight}");
    // Nobody mines it.
    for _ in 0..39 {
        town.mine_with(Vec::new());
        town.pump();
    }
    let fees = children(&town.ends[0]);
    assert!(fees.len() > 2, "{fees:?}");
    assert!(fees.windows(2).all(|it| it[1] * 4 >= it[0] * 5), "{fees:?}");
    assert!(fees[fees.len() - 1] > first * 4, "{fees:?}");
    assert!(town.refused[0].is_empty(), "{:?}", town.refused);
}

#[test]
fn what_has_no_output_is_over_when_the_commitment_is_deep() {
    for at in [0, 1] {
        let mut town = town(Form::Anchors);
        let ids = [0, 1].map(|by| offered(&mut town, by, 100_000, 1, 300));
        fail(&mut town, at);
        town.pump();
        for _ in 0..12 {
            town.mine();
            town.pump();
            for side in [0, 1] {
                let depth = town.ends[side]
                    .live
                    .ended_by()
                    .map_or(0, |(_, height)| town.height() + 1 - height.0);
                for id in ids {
                    let want = (depth >= 6).then_some(false);
                    assert_eq!(over(&town, side, id), want, "{at} {side} at {depth}");
                }
            }
        }
    }
}

/// A commitment that its owner will have revoked, with the second stages of contracts of `by`.
fn cheat(town: &mut Town, at: usize, by: usize) -> Cheat {
    let ids = [1, 2].map(|number| offered(town, by, 60_000_000 + number, number, 60));
    let len = town.ends[at].log.len();
    if by != at {
        for (id, number) in ids.into_iter().zip([1, 2]) {
            let learned = Change::Learned { id, secret: preimage(number).0.to_vec() };
            town.ends[at].log.push(learned);
        }
    }
    let cheat = keep(town, at, 12);
    town.ends[at].log.truncate(len);
    assert!(!cheat.stages.is_empty());
    offered(town, at, 1_000_000, 5, 190);
    town.ends.iter_mut().for_each(|it| it.may_fail = true);
    cheat
}

#[test]
fn penalties_are_made_anew_when_a_second_stage_comes_first() {
    let forms = [Form::Anchors, Form::StaticRemoteKey];
    for (form, by) in forms.into_iter().flat_map(|form| [(form, 0), (form, 1)]) {
        let mut town = town(form);
        let cheat = cheat(&mut town, 0, by);
        town.sees = [false; 2];
        // Until the locks are over; what a preimage opens needs no lock.
        for _ in 0..if by == 0 { 70 } else { 0 } {
            town.mine_with(Vec::new());
        }
        town.sees[1] = true;
        town.mine_with(vec![cheat.commitment.clone()]);
        town.pump();
        let txid = cheat.commitment.compute_txid();
        let takes = |it: &Transaction| it.input.iter().any(|it| it.previous_output.txid == txid);
        assert!(town.ends[1].published.iter().any(takes), "a penalty is on its way");
        // The next block has what the cheat has made instead.
        town.mine_with(cheat.stages.clone());
        town.pump();
        let stages: Vec<_> = cheat.stages.iter().map(Transaction::compute_txid).collect();
        let is_stage = |it: &TxIn| stages.contains(&it.previous_output.txid);
        let after = |it: &Transaction| it.input.iter().any(is_stage);
        assert!(town.ends[1].published.iter().any(after), "that is taken too");
        for number in [1, 2] {
            let preimage = preimage(number);
            let is_it = |it: &Event| matches!(it, Event::Fulfilled(_, it) if *it == preimage);
            // Whoever has offered it learns what has opened it.
            assert_eq!(town.ends[1].told.iter().any(is_it), by == 1, "{number}");
        }
        for _ in 0..110 {
            town.mine();
            town.pump();
        }
        assert_eq!(*town.ends[1].live.state(), State::Done, "{:?}", town.refused);
        let (has, all) = (town.has(1), CAPACITY.0);
        assert!(has + 40_000 > all && has < all, "{form:?} {by}: {has} of {all}");
    }
}

#[test]
fn second_stages_are_signed_for_what_they_are() {
    let forms = [Form::Anchors, Form::StaticRemoteKey];
    for (form, by) in forms.into_iter().flat_map(|form| [(form, 0), (form, 1)]) {
        let mut town = town(form);
        let Cheat { commitment, stages } = cheat(&mut town, 0, by);
        let txid = commitment.compute_txid();
        for stage in stages {
            let (ours, coins): (Vec<_>, Vec<_>) =
                stage.input.iter().partition(|it| it.previous_output.txid == txid);
            for input in ours {
                let last = |at: usize| input.witness.nth(at).and_then(<[u8]>::last).copied();
                let all = EcdsaSighashType::All as u8;
                let theirs = match form {
                    Form::Anchors => EcdsaSighashType::SinglePlusAnyoneCanPay as u8,
                    Form::StaticRemoteKey => all,
                };
                assert_eq!((last(1), last(2)), (Some(theirs), Some(all)));
            }
            // Without a fee of its own it needs coins.
            assert_eq!(coins.is_empty(), form == Form::StaticRemoteKey);
        }
    }
}

#[test]
fn a_contract_that_the_peer_is_not_bound_to_is_not_taken() {
    let mut ends = up();
    let id = add(&mut ends[0], 50_000_000);
    let commit = ends[0].live.drive();
    ends[0].take(commit);
    let (end, peer) = two(&mut ends, 0);
    end.flush(&mut peer.inbox);
    end.answer();
    end.flush(&mut peer.inbox);
    for _ in 0..2 {
        peer.hear();
    }
    peer.flush(&mut end.inbox);
    peer.answer();
    // It is in our commitment, and the peer has one without it.
    let failing = peer.live.fail();
    peer.take(failing);
    let paid = peer.live.send_end(id.id, End::Fulfilled(preimage(1)));
    assert_eq!(paid.err(), Some(Refusal::NoSuchHtlc { id: id.id }));
}

#[test]
fn what_is_too_near_to_its_lock_is_told_apart() {
    let mut ends = up();
    let id = add(&mut ends[0], 50_000_000);
    settle(&mut ends);
    // The lock is 500.
    for (tip, want) in [(0, false), (481, false), (482, true), (500, true), (u32::MAX, true)] {
        ends[1].live.at(Now { tip: BlockHeight(tip), ..Now::default() });
        assert_eq!(ends[1].live.is_too_late(id), want, "{tip}");
    }
    // That is when we would go to the chain with it.
    let paid = ends[1].live.send_end(id.id, End::Fulfilled(preimage(1)));
    ends[1].take(paid.unwrap_or_else(|no| panic!("{no}")));
    for (tip, fails) in [(481, false), (482, true)] {
        let mut live = ends[1].live.clone();
        live.at(Now { tip: BlockHeight(tip), ..Now::default() });
        let drive = live.drive();
        assert_eq!(drive.changes.iter().any(|it| matches!(it, Change::Failing(_))), fails);
    }
}

#[test]
fn a_channel_with_nothing_of_ours_is_not_forgotten() {
    let wanted = channel::Funding { pushed: Msat(0), ..wanted(Form::Anchors) };
    let mut ends = halves(open_as(&wanted, &[policy(), policy()], home(2), |_| funding()));
    let end = &mut ends[1];
    assert_eq!(end.live.ledger().free(Side::Acceptor), Msat(0));
    let deep = end.live.deep(None);
    end.take(deep);
    let failing = end.live.fail();
    end.take(failing);
    for tip in (100..6_000).step_by(100) {
        end.live.at(Now { tip: BlockHeight(tip), ..Now::default() });
        let drive = end.live.drive();
        end.take(drive);
        end.flush(&mut Default::default());
        end.answer();
        assert!(matches!(end.live.state(), State::Failing(_)), "{tip}");
    }
    let spend = |it: &Transaction| -> OutPoint { it.input[0].previous_output };
    assert_eq!(end.published.iter().map(spend).collect::<Vec<_>>(), [end.live.funding()]);
}

#[test]
fn a_channel_that_fails_says_that_and_hears_nothing_else() {
    let mut ends = up();
    let said = stands(&ends[1].live);
    let failing = ends[0].live.fail();
    let Message::Error(error) = first_sent(&failing) else { panic!("the peer is told") };
    ends[0].take(failing);
    assert!(ends[0].live.drive().effects.iter().any(|it| matches!(it, Effect::Ask(..))));
    let warning = Warning {
        channel_id: said.channel_id,
        data: wire::list::Blob(vec![1]),
        extension: Default::default(),
    };
    for message in [said.clone().into(), Message::from(warning), error.clone().into()] {
        let outcome = ends[0].live.receive(&message).unwrap_or_else(|no| panic!("{no}"));
        assert!(outcome.changes.is_empty());
        let is_hello = matches!(message, Message::ChannelReestablish(_));
        assert_eq!(outcome.effects.len(), usize::from(is_hello));
    }
    let lost = ends[0].live.disconnected();
    ends[0].take(lost);
    let hello = ends[0].live.connected(Dialects::ALL);
    assert_eq!(first_sent(&hello), error.into());
    assert_eq!(hello.effects.len(), 1);
}

/// The chain ends a channel while our signer looks at a commitment of the peer.
#[test]
fn what_was_asked_before_the_end_is_not_said_after_it() {
    let mut ends = up();
    add(&mut ends[0], 60_000_000);
    add(&mut ends[0], 50_000_000);
    let commit = ends[0].live.drive();
    ends[0].take(commit);
    // It waits for the signature.
    add(&mut ends[0], 40_000_000);
    ends[0].flush(&mut VecDeque::new());
    let spend = funding_spend(ends[0].live.funding());
    let block = ends[0].live.block(BlockHeight(500), &[(1, Arc::new(spend))]);
    ends[0].take(block);
    assert!(matches!(ends[0].live.state(), State::Failing(_)));
    let outcome = ends[0].judged().expect("it was asked").expect("it signs");
    assert!(outcome.effects.is_empty() && outcome.changes.is_empty(), "{outcome:?}");
}

#[test]
fn a_contract_that_has_ended_on_the_chain_is_not_ended_again() {
    let mut town = town(Form::Anchors);
    let id = offered(&mut town, 0, 60_000_000, 1, 20);
    fail(&mut town, 0);
    town.pump();
    town.finish();
    assert_eq!(*town.ends[1].live.state(), State::Done);
    let (id, reason) = (id.id, wire::list::Blob(vec![1]));
    for end in [End::Failed(reason), End::Fulfilled(preimage(1))] {
        let no = town.ends[1].live.send_end(id, end).err();
        assert_eq!(no, Some(Refusal::NoSuchHtlc { id }));
    }
}

/// What takes all of the money, by no rule of the channel.
fn funding_spend(previous_output: OutPoint) -> Transaction {
    Transaction {
        version: bitcoin::transaction::Version::TWO,
        lock_time: bitcoin::absolute::LockTime::ZERO,
        input: vec![TxIn { previous_output, ..Default::default() }],
        output: Vec::new(),
    }
}
