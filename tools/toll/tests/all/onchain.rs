//! Tolls that end on the chain: every script is run by real rules.

use bitcoin::Transaction;
use channel::{Effect, End, EndedBy, Event};
use tx::Form;

use crate::flow::{AMOUNT, WORD, end_it, offer, over, toll, town};
use crate::halves::{CAPACITY, PUSHED, answer};
use crate::town::Town;

const FORMS: [Form; 2] = [Form::Anchors, Form::StaticRemoteKey];
/// What a side may lose to miners here.
const FEES_SAT_MAX: u64 = 12_000;

fn fail(town: &mut Town, at: usize) {
    town.ends.iter_mut().for_each(|it| it.may_fail = true);
    let fail = town.ends[at].live.fail();
    town.ends[at].take(fail);
    // The peer is not there: it sees only the chain.
    town.ends[at].waiting.retain(|it| !matches!(it, Effect::Send(_)));
}

/// What each side must have, if the opener has lost so much.
fn assert_has(town: &Town, lost: u64) {
    let pushed = PUSHED.0 / 1_000;
    let want = [CAPACITY.0 - pushed - lost, pushed + lost];
    for at in [0, 1] {
        let has = town.has(at);
        assert!(has <= want[at] && has + FEES_SAT_MAX > want[at], "{at}: {has} of {}", want[at]);
    }
}

#[test]
fn the_payee_takes_it_by_its_word() {
    for form in FORMS {
        for closer in [0, 1] {
            let mut town = town(form);
            let id = offer(&mut town.ends[0], toll());
            town.pump();
            fail(&mut town, closer);
            end_it(&mut town.ends[1], id, End::Opened(WORD.to_vec()));
            town.pump();
            town.finish();
            let want = [EndedBy::Local, EndedBy::Remote];
            let by = town.ends[closer].live.ended_by().map(|(by, _)| by);
            assert_eq!(by, Some(want[0]));
            for end in &town.ends {
                assert_eq!(over(end, id), Some(&End::Opened(WORD.to_vec())));
            }
            // The payer has read the word in the chain.
            assert!(town.ends[0].told.contains(&Event::Opened(id, WORD.to_vec())));
            assert_has(&town, AMOUNT.0 / 1_000);
            assert!(town.refused.iter().all(Vec::is_empty), "{:?}", town.refused);
        }
    }
}

#[test]
fn the_payer_has_it_back_after_its_wait() {
    for form in FORMS {
        for closer in [0, 1] {
            let mut town = town(form);
            let id = offer(&mut town.ends[0], toll());
            town.pump();
            fail(&mut town, closer);
            town.pump();
            town.mine_many(1);
            let (_, height) = town.ends[0].live.ended_by().expect("it is in a block");
            // Not before.
            while town.height() < height.0 + u32::from(toll().wait.0) - 1 {
                town.mine_many(1);
            }
            assert!(town.ends.iter().all(|end| over(end, id).is_none()));
            town.finish();
            for end in &town.ends {
                assert!(matches!(over(end, id), Some(End::Cancelled(_))));
            }
            assert_has(&town, 0);
            assert!(town.refused.iter().all(Vec::is_empty), "{:?}", town.refused);
        }
    }
}

/// The newest commitment of a side, signed by both; nobody learns of it.
fn keep(town: &Town, at: usize) -> Transaction {
    let end = &town.ends[at];
    let mut old = end.live.clone();
    let mut signer = end.signer.of_old(end.signer.log.len());
    let fail = old.fail();
    old.take(&fail);
    let drive = old.drive();
    old.take(&drive);
    for effect in drive.effects {
        if let Effect::Ask(id, ask) = effect {
            let answered = answer(&mut signer, &ask);
            let signed = old.answered(id, answered).unwrap_or_else(|no| panic!("{no}"));
            for effect in signed.effects {
                if let Effect::Publish(mut package) = effect {
                    return package.remove(0);
                }
            }
        }
    }
    panic!("it is signed");
}

#[test]
fn a_revoked_toll_is_taken_by_whoever_was_cheated() {
    for form in FORMS {
        for cheat in [0, 1] {
            for payer in [0, 1] {
                let mut town = town(form);
                let id = offer(&mut town.ends[payer], toll());
                town.pump();
                let kept = keep(&town, cheat);
                end_it(&mut town.ends[1 - payer], id, End::Opened(WORD.to_vec()));
                town.pump();
                town.ends.iter_mut().for_each(|it| it.may_fail = true);
                town.sees[cheat] = false;
                town.mempool.submit(&town.ledger, kept, 0).unwrap_or_else(|no| panic!("{no}"));
                let honest = 1 - cheat;
                for round in 0..300 {
                    town.mine();
                    town.pump();
                    // Long before the cheat could take any of it.
                    if round == 12 {
                        assert!(town.has(honest) + FEES_SAT_MAX > CAPACITY.0);
                    }
                    if *town.ends[honest].live.state() == channel::State::Done {
                        break;
                    }
                }
                let by = town.ends[honest].live.ended_by().map(|(by, _)| by);
                assert!(matches!(by, Some(EndedBy::Revoked(_))), "{by:?}");
                let has = town.has(honest);
                assert!(has + FEES_SAT_MAX > CAPACITY.0, "{form:?} {cheat} {payer}: {has}");
                assert_eq!(town.has(cheat), 0);
            }
        }
    }
}

#[test]
fn a_restart_in_the_middle_of_a_force_close_changes_nothing() {
    for closer in [0, 1] {
        for is_paid in [true, false] {
            let mut town = town(Form::Anchors);
            let id = offer(&mut town.ends[0], toll());
            town.pump();
            fail(&mut town, closer);
            town.pump();
            for round in 0..20 {
                town.mine_many(1);
                if round == 3 && is_paid {
                    end_it(&mut town.ends[1], id, End::Opened(WORD.to_vec()));
                    town.pump();
                }
                for at in [0, 1] {
                    town.ends[at].crash();
                    town.tell_now(at);
                }
                town.pump();
            }
            town.finish();
            let is_back = matches!(over(&town.ends[0], id), Some(End::Cancelled(_)));
            assert_eq!(is_back, !is_paid);
            assert_has(&town, if is_paid { AMOUNT.0 / 1_000 } else { 0 });
        }
    }
}
