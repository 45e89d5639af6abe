//! A signer that is not as it should be: the channel waits and says so, nobody loses anything, and
//! all goes on when the signer is right again.

use channel::{ContractId, Dialects, Event, Now, State};
use signer::{ChannelAnswer, ChannelRefusal};
use tx::{Form, Side};
use wire::amount::{BlockHeight, FeeratePerKw, Msat};
use wire::dice::Dice;

use crate::halves::{Half, answer, pair};
use crate::live::{end_of_any, offer, reconnect, reconnect_as, two};

/// What a signer does to a question.
type Does = fn(&mut Half, Result<ChannelAnswer, ChannelRefusal>) -> Asked;
type Asked = Result<ChannelAnswer, ChannelRefusal>;

/// Lets both go on for a while; the signer of one does something to its question of this number.
/// How many it was asked.
fn turns(ends: &mut [Half; 2], at: usize, spoils: Option<(usize, Does)>) -> usize {
    let mut asked = 0;
    for _ in 0..40 {
        for which in [0, 1] {
            let (end, peer) = two(ends, which);
            end.flush(&mut peer.inbox);
            if let Some((id, ask)) = end.asked.pop_front() {
                let mut answered = answer(&mut end.signer, &ask);
                if which == at {
                    if let Some((_, does)) = spoils.filter(|(number, _)| *number == asked) {
                        answered = does(end, answered);
                    }
                    asked += 1;
                }
                let outcome = end.live.answered(id, answered);
                let outcome = outcome.unwrap_or_else(|no| panic!("{which}: {no}"));
                end.take(outcome);
            }
            end.hear();
            let drive = end.live.drive();
            end.take(drive);
        }
    }
    asked
}

/// A payment, ended again, while a signer does that to one question.
fn pays(at: usize, number: usize, does: Does) -> (Vec<Event>, [Half; 2]) {
    let mut ends = pair(Form::Anchors);
    let mut dice = Dice::new(number as u64);
    let outcome = ends[0].live.send_add(offer(&mut dice)).unwrap_or_else(|no| panic!("{no}")).1;
    ends[0].take(outcome);
    let first = turns(&mut ends, at, Some((number, does)));
    if let Some(outcome) = end_of_any(&ends[1], &mut dice) {
        ends[1].take(outcome);
        turns(&mut ends, at, number.checked_sub(first).map(|left| (left, does)));
    }
    let told = ends[at].told.clone();
    (told, ends)
}

/// A block comes, both have another connection, and the payment is over.
fn goes_on(mut ends: [Half; 2], at: usize, what: &str) {
    for end in &mut ends {
        assert_eq!(*end.live.state(), State::Normal, "{what}");
        assert!(end.published.is_empty() && !end.hung_up, "{what}");
        end.live.at(Now { tip: BlockHeight(7), ..Default::default() });
    }
    turns(&mut ends, at, None);
    assert!(ends[at].hung_up, "{what}: it begins anew");
    for _ in 0..3 {
        reconnect(&mut ends, None);
        turns(&mut ends, at, None);
        if let Some(outcome) = end_of_any(&ends[1], &mut Dice::new(1)) {
            ends[1].take(outcome);
            turns(&mut ends, at, None);
        }
    }
    for end in &ends {
        assert_eq!(*end.live.state(), State::Normal, "{what}");
        assert!(end.live.contracts().is_empty(), "{what}: it is over");
    }
}

fn is_refused(told: &[Event]) -> bool {
    told.iter().any(|event| matches!(event, Event::Refused { .. }))
}

#[test]
fn what_was_not_asked_is_no_answer() {
    let mut seen = 0;
    for at in [0, 1] {
        for number in 0..6 {
            let (told, ends) = pays(at, number, |_, right| match right {
                // What is said about another channel, or to another question.
                Ok(ChannelAnswer::Done) => Ok(ChannelAnswer::Checked { is_ours: true }),
                Ok(_) | Err(_) => Ok(ChannelAnswer::Done),
            });
            if is_refused(&told) {
                seen += 1;
                goes_on(ends, at, &format!("{at}, question {number}"));
            }
        }
    }
    assert!(seen >= 10, "only {seen} questions were spoiled");
}

#[test]
fn a_signer_that_has_forgotten_the_channel_is_waited_for() {
    let forgets: [Does; 2] =
        [|_, _| Err(ChannelRefusal::Unknown), |_, _| Err(ChannelRefusal::Closing)];
    for does in forgets {
        for at in [0, 1] {
            let (told, ends) = pays(at, 1, does);
            assert!(is_refused(&told), "{told:?}");
            goes_on(ends, at, "what it has forgotten");
        }
    }
}

/// What it has forgotten it would sign otherwise, so nothing is asked of it that it must remember.
#[test]
fn a_signer_of_yesterday_is_waited_for() {
    for at in [0, 1] {
        let mut ends = pair(Form::Anchors);
        let mut dice = Dice::new(4);
        let yesterday = ends[at].signer.log.len();
        for _ in 0..2 {
            let outcome = ends[0].live.send_add(offer(&mut dice));
            ends[0].take(outcome.unwrap_or_else(|no| panic!("{no}")).1);
            turns(&mut ends, at, None);
        }
        let old = ends[at].signer.of_old(yesterday);
        let right = std::mem::replace(&mut ends[at].signer, old);
        let outcome = end_of_any(&ends[1], &mut dice).expect("there are two");
        ends[1].take(outcome);
        turns(&mut ends, at, None);
        assert!(is_refused(&ends[at].told), "{:?}", ends[at].told);
        ends[at].signer = right;
        let outcome = end_of_any(&ends[1], &mut dice);
        if let Some(outcome) = outcome {
            ends[1].take(outcome);
        }
        goes_on(ends, at, "yesterday's");
    }
}

/// It is shown again what it had lost, and nobody hears of it.
#[test]
fn a_signer_that_lost_a_revocation_in_a_crash_goes_on() {
    for at in [0, 1] {
        let mut ends = pair(Form::Anchors);
        let mut dice = Dice::new(5);
        for _ in 0..4 {
            let outcome = ends[0].live.send_add(offer(&mut dice));
            ends[0].take(outcome.unwrap_or_else(|no| panic!("{no}")).1);
            turns(&mut ends, at, None);
            let lost = ends[at].signer.without_last_revocation();
            ends[at].signer = lost.expect("the peer has revoked something");
            let outcome = end_of_any(&ends[1], &mut dice).expect("there is one");
            ends[1].take(outcome);
            turns(&mut ends, at, None);
        }
        assert!(!is_refused(&ends[at].told), "{:?}", ends[at].told);
        for end in &ends {
            assert!(!end.hung_up && *end.live.state() == State::Normal);
            assert!(end.live.contracts().is_empty(), "all is over");
        }
    }
}

/// The same, when both close and the signer wants to know that nothing else can come.
#[test]
fn a_signer_that_lost_a_revocation_in_a_crash_closes() {
    for at in [0, 1] {
        let mut ends = pair(Form::Anchors);
        let mut dice = Dice::new(6);
        let outcome = ends[0].live.send_add(offer(&mut dice));
        ends[0].take(outcome.unwrap_or_else(|no| panic!("{no}")).1);
        turns(&mut ends, at, None);
        let outcome = end_of_any(&ends[1], &mut dice).expect("there is one");
        ends[1].take(outcome);
        turns(&mut ends, at, None);
        let lost = ends[at].signer.without_last_revocation();
        ends[at].signer = lost.expect("the peer has revoked something");
        let (tip, rate) = (BlockHeight(6), FeeratePerKw(1_000));
        ends.iter_mut().for_each(|end| end.live.at(Now { tip, urgent: rate, calm: rate }));
        reconnect_as(&mut ends, None, Dialects::ALL);
        turns(&mut ends, at, None);
        let outcome = ends[0].live.close().unwrap_or_else(|no| panic!("{no}"));
        ends[0].take(outcome);
        turns(&mut ends, at, None);
        assert!(!is_refused(&ends[at].told), "{:?}", ends[at].told);
        for end in &ends {
            assert!(!end.published.is_empty(), "{at}: {:?}", end.live.state());
        }
    }
}

/// A signature that has to wait for the signer comes before the revocation that was asked for after
/// it: the peer would take the one for what follows from the other.
#[test]
fn what_was_agreed_on_first_is_said_first() {
    let mut refused = 0;
    for at in [0, 1] {
        for number in 0..6 {
            let mut ends = pair(Form::Anchors);
            let mut dice = Dice::new(number as u64);
            for end in &mut ends {
                let outcome = end.live.send_add(offer(&mut dice));
                end.take(outcome.unwrap_or_else(|no| panic!("{no}")).1);
            }
            let refuses: Does = |_, right| match right {
                Ok(ChannelAnswer::RemoteSigned { .. }) => Err(ChannelRefusal::Closing),
                Ok(_) | Err(_) => right,
            };
            turns(&mut ends, at, Some((number, refuses)));
            refused += usize::from(is_refused(&ends[at].told));
            for end in &mut ends {
                end.live.at(Now { tip: BlockHeight(7), ..Default::default() });
            }
            turns(&mut ends, at, None);
            for _ in 0..3 {
                reconnect(&mut ends, None);
                turns(&mut ends, at, None);
                for which in [0, 1] {
                    if let Some(outcome) = end_of_any(&ends[which], &mut dice) {
                        ends[which].take(outcome);
                        turns(&mut ends, at, None);
                    }
                }
            }
            for end in &ends {
                assert_eq!(*end.live.state(), State::Normal, "{at}, question {number}");
                assert!(end.live.contracts().is_empty(), "{at}, question {number}");
            }
        }
    }
    assert!(refused >= 4, "only {refused} signatures were refused");
}

/// Offers that our signer does not take on are gone at once and cost nothing, what was said beside
/// them is said again, and the next offer has their number.
#[test]
fn an_offer_that_our_signer_does_not_take_on_is_taken_back() {
    for at in [0, 1] {
        let mut ends = pair(Form::Anchors);
        let mut dice = Dice::new(7);
        // The peer has one under way, which ends with the same signature.
        let outcome = ends[1 - at].live.send_add(offer(&mut dice));
        ends[1 - at].take(outcome.unwrap_or_else(|no| panic!("{no}")).1);
        turns(&mut ends, at, None);
        let end = end_of_any(&ends[at], &mut dice).expect("there is one");
        ends[at].take(end);
        ends[at].signer.policy.channels.in_flight_max = Msat(1_000);
        let (free, commitments) = (balances(&ends[at]), ends[at].signer.log.len());
        let mut offered = Vec::new();
        for _ in 0..2 {
            let (id, outcome) =
                ends[at].live.send_add(offer(&mut dice)).unwrap_or_else(|no| panic!("{no}"));
            ends[at].take(outcome);
            offered.push(id);
        }
        turns(&mut ends, at, None);
        let back = |event: &Event| {
            let Event::TakenBack { id, why } = event else { return None };
            Some((*id, why.contains("of ours would be under way")))
        };
        let told: Vec<_> = ends[at].told.iter().filter_map(back).collect();
        assert_eq!(told, [(offered[0], true), (offered[1], true)]);
        assert!(ends[at].hung_up && !is_refused(&ends[at].told));
        assert_eq!((balances(&ends[at]), ends[at].signer.log.len()), (free, commitments));
        // It comes back from its log the same, and goes on.
        reconnect(&mut ends, (at == 1).then_some(at));
        turns(&mut ends, at, None);
        for end in &ends {
            assert_eq!(*end.live.state(), State::Normal);
            assert!(end.live.contracts().is_empty(), "the peer's has ended, ours never was");
        }
        ends[at].signer.policy = signer::Policy::default();
        let (id, outcome) =
            ends[at].live.send_add(offer(&mut dice)).unwrap_or_else(|no| panic!("{no}"));
        ends[at].take(outcome);
        turns(&mut ends, at, None);
        assert_eq!(id, offered[0]);
        assert!(ends[1 - at].told.contains(&Event::Offered(id)));
    }
}

fn balances(end: &Half) -> [Msat; 2] {
    [Side::Opener, Side::Acceptor].map(|side| {
        let ours = end.live.ledger().entries().iter().filter(|(id, _)| id.offered_by == side);
        Msat(end.live.ledger().free(side).0 + ours.map(|(_, it)| it.amount.0).sum::<u64>())
    })
}

/// The first has said an offer, and asks for a signature that its owner does not want.
fn asked_for_too_much(seed: u64) -> ([Half; 2], ContractId) {
    let mut ends = pair(Form::Anchors);
    let offered = ends[0].live.send_add(offer(&mut Dice::new(seed)));
    let (id, outcome) = offered.unwrap_or_else(|no| panic!("{no}"));
    ends[0].take(outcome);
    let commit = ends[0].live.drive();
    ends[0].take(commit);
    let (end, peer) = two(&mut ends, 0);
    end.flush(&mut peer.inbox);
    ends[0].signer.policy.channels.in_flight_max = Msat(0);
    (ends, id)
}

/// The signer was slow, and the connection lost meanwhile: we know that the peer has no signature.
#[test]
fn an_offer_is_taken_back_in_another_connection() {
    let (mut ends, id) = asked_for_too_much(9);
    reconnect(&mut ends, None);
    turns(&mut ends, 0, None);
    let told = &ends[0].told;
    assert!(told.iter().any(|it| matches!(it, Event::TakenBack { id: of, .. } if *of == id)));
    assert!(ends[0].hung_up && !is_refused(told));
    reconnect(&mut ends, None);
    turns(&mut ends, 0, None);
    for end in &ends {
        assert_eq!(*end.live.state(), State::Normal);
        assert!(end.live.is_up() && end.live.contracts().is_empty());
    }
}

/// After a crash nobody knows whether the peer has such a signature: what is refused then waits.
#[test]
fn what_may_have_been_signed_is_not_taken_back() {
    let (mut ends, _) = asked_for_too_much(8);
    reconnect(&mut ends, Some(0));
    turns(&mut ends, 0, None);
    let told = &ends[0].told;
    assert!(is_refused(told) && !told.iter().any(|it| matches!(it, Event::TakenBack { .. })));
    ends[0].signer.policy = signer::Policy::default();
    goes_on(ends, 0, "its owner allows it");
}

/// What the peer offers waits as long as our signer takes on nothing, and the channel stays.
#[test]
fn what_the_peer_offers_to_a_stale_signer_waits() {
    let (told, ends) = pays(1, 0, |_, _| {
        let (age, max) = (signer::Seconds(2), signer::Seconds(1));
        Err(ChannelRefusal::Stale { age, max })
    });
    assert!(is_refused(&told), "{told:?}");
    goes_on(ends, 1, "a block has come");
}
