//! Ends on the chain, with real rules and every script run: who publishes what, and what each side
//! has when everything is deep.

use std::collections::VecDeque;
use std::sync::Arc;

use bitcoin::Transaction;
use channel::{
    Channel, CoinOffer, ContractId, Effect, End, EndedBy, Event, Now, Offer, Resolvers, State,
};
use tx::{Form, Side};
use wire::amount::{BlockHeight, Msat};
use wire::dice::Dice;

use crate::halves::{CAPACITY, PUSHED, answer, channels_of, coin_place};
use crate::live::{hash_of, offer, preimage};
use crate::town::Town;

const FORMS: [Form; 2] = [Form::Anchors, Form::StaticRemoteKey];

/// A channel that can be used.
pub fn town(form: Form) -> Town {
    town_of(form, &Resolvers::bolt2())
}

/// The same, with these kinds of contracts.
pub fn town_of(form: Form, resolvers: &Resolvers) -> Town {
    let signers = [1, 2].map(|it| channels_of(it, resolvers.templates()));
    let mut town = Town::knowing(form, resolvers, signers);
    for at in [0, 1] {
        let deep = town.ends[at].live.deep(None);
        town.ends[at].take(deep);
    }
    town.pump();
    assert!(town.ends.iter().all(|it| *it.live.state() == State::Normal));
    town
}

pub fn fail(town: &mut Town, at: usize) {
    town.ends.iter_mut().for_each(|it| it.may_fail = true);
    let fail = town.ends[at].live.fail();
    town.ends[at].take(fail);
    // The peer is not there: it sees only the chain.
    town.ends[at].waiting.retain(|it| !matches!(it, Effect::Send(_)));
}

/// What each side has, all contracts back with whoever has offered them.
fn balances(town: &Town) -> [u64; 2] {
    let ledger = town.ends[0].live.ledger();
    let mut have = [Side::Opener, Side::Acceptor].map(|it| ledger.free(it).0);
    for (id, entry) in ledger.entries() {
        have[id.offered_by as usize] += entry.amount.0;
    }
    have.map(|it| it / 1_000)
}

#[test]
fn our_commitment_pays_both() {
    for form in FORMS {
        for at in [0, 1] {
            let mut town = town(form);
            fail(&mut town, at);
            town.pump();
            town.finish();
            let by = town.ends.each_ref().map(|it| it.live.ended_by().map(|(by, _)| by));
            let mut want = [Some(EndedBy::Remote); 2];
            want[at] = Some(EndedBy::Local);
            assert_eq!(by, want);
            let has = [town.has(0), town.has(1)];
            let want = [CAPACITY.0 - PUSHED.0 / 1_000, PUSHED.0 / 1_000];
            for at in [0, 1] {
                assert!(has[at] <= want[at] && has[at] + 6_000 > want[at], "{has:?} of {want:?}");
            }
            assert!(town.refused.iter().all(Vec::is_empty), "{:?}", town.refused);
        }
    }
}

fn contract(amount: u64, number: u64, expiry: u32) -> Offer {
    Offer {
        amount: Msat(amount),
        payment_hash: hash_of(&preimage(number)),
        cltv_expiry: BlockHeight(expiry),
        ..offer(&mut Dice::new(1))
    }
}

pub fn offered(town: &mut Town, at: usize, amount: u64, number: u64, blocks: u32) -> ContractId {
    let offer = contract(amount, number, town.height() + blocks);
    let (id, outcome) = town.ends[at].live.send_add(offer).unwrap_or_else(|no| panic!("{no}"));
    town.ends[at].take(outcome);
    town.pump();
    id
}

pub fn learn(town: &mut Town, id: ContractId, number: u64) {
    let at = 1 - id.offered_by as usize;
    let end = town.ends[at].live.send_end(id.id, End::Fulfilled(preimage(number)));
    town.ends[at].take(end.unwrap_or_else(|no| panic!("{no}")));
}

pub fn over(town: &Town, at: usize, id: ContractId) -> Option<bool> {
    town.ends[at].told.iter().find_map(|event| match event {
        Event::Over { id: of, end } if *of == id => Some(matches!(end, End::Fulfilled(_))),
        Event::Over { .. }
        | Event::Up
        | Event::Usable
        | Event::Offered(_)
        | Event::Fulfilled(..)
        | Event::Opened(..)
        | Event::Asked(_)
        | Event::Refused { .. }
        | Event::Closing
        | Event::Failing(_)
        | Event::NeedsCoins
        | Event::TakenBack { .. }
        | Event::Done => None,
    })
}

#[test]
fn a_claim_that_a_reorg_overtakes_at_the_signer_is_made_again() {
    let mut town = town(Form::Anchors);
    let before = balances(&town);
    fail(&mut town, 0);
    town.pump();
    town.mine();
    town.mine();
    let drive = town.ends[1].live.drive();
    town.ends[1].take(drive);
    town.ends[1].flush(&mut VecDeque::new());
    assert!(!town.ends[1].is_idle(), "the signer is asked for a claim");
    town.reorg(2, false);
    town.ends[1].answer();
    town.finish();
    let is_refused = |it: &Event| matches!(it, Event::Refused { .. });
    assert!(!town.ends[1].told.iter().any(is_refused), "{:?}", town.ends[1].told);
    assert!(town.has(1) + 6_000 > before[1], "{} of {before:?}", town.has(1));
}

#[test]
fn contracts_end_on_the_chain_as_they_would_have_between_both() {
    for form in FORMS {
        for at in [0, 1] {
            let mut town = town(form);
            // Each side offers one that is opened, one that is not, and one without an output.
            let mut ids = Vec::new();
            for by in [0, 1] {
                for (number, amount) in [(1, 60_000_000), (2, 70_000_000), (3, 100_000)] {
                    let number = number + 10 * by as u64;
                    ids.push((offered(&mut town, by, amount, number, 40), number));
                }
            }
            let before = balances(&town);
            fail(&mut town, at);
            for (id, number) in ids.iter().filter(|(_, number)| number % 10 == 1) {
                let failing = 1 - id.offered_by as usize == at;
                if failing {
                    learn(&mut town, *id, *number);
                }
            }
            town.pump();
            town.mine_many(2);
            // The peer learns a preimage after it has seen our commitment.
            for (id, number) in ids.iter().filter(|(_, number)| number % 10 == 1) {
                if 1 - id.offered_by as usize != at {
                    learn(&mut town, *id, *number);
                }
            }
            town.pump();
            town.finish();
            for (id, number) in &ids {
                for at in [0, 1] {
                    assert_eq!(over(&town, at, *id), Some(number % 10 == 1), "{number} for {at}");
                }
                let payer = id.offered_by as usize;
                let shown = Event::Fulfilled(*id, preimage(*number));
                assert_eq!(town.ends[payer].told.contains(&shown), number % 10 == 1);
            }
            let has = [town.has(0), town.has(1)];
            for at in [0, 1] {
                // What was opened crosses, and is as much both ways.
                let (has, want) = (has[at], before[at]);
                assert!(has <= want + 200 && has + 30_000 > want, "{form:?} {at}: {has} of {want}");
            }
        }
    }
}

/// What a cheat keeps: a commitment of its own, signed by both, that it will have revoked, and the
/// second stages of it.
pub struct Cheat {
    pub commitment: Transaction,
    pub stages: Vec<Transaction>,
}

/// Keeps the newest commitment of a side. Its signer is asked behind its back, and remembers
/// nothing of it.
pub fn keep(town: &Town, at: usize, lent: u32) -> Cheat {
    let end = &town.ends[at];
    let mut old = Channel::with(end.begun.clone(), end.live.resolvers().clone());
    end.log.iter().for_each(|it| old.evolve(it));
    let mut signer = end.signer.of_old(end.signer.log.len());
    let fail = old.fail();
    old.take(&fail);
    let mut published = Vec::new();
    let mut told = vec![old.drive()];
    let height = town.height();
    let (place, script) = coin_place(at as u8 + 1, lent);
    while let Some(outcome) = told.pop() {
        old.take(&outcome);
        for effect in outcome.effects {
            match effect {
                Effect::Ask(id, ask) => {
                    let answered = answer(&mut signer, &ask);
                    told.push(old.answered(id, answered).unwrap_or_else(|no| panic!("{no}")));
                }
                Effect::Publish(package) => published.extend(package),
                Effect::Borrow(wanted) => {
                    let outpoint = town.coin(at, lent);
                    let sequence = bitcoin::Sequence::ENABLE_RBF_NO_LOCKTIME;
                    let amount = bitcoin::Amount::from_sat(200_000);
                    let input = signer::SpendInput { outpoint, amount, place, sequence };
                    told.push(
                        old.lent(wanted.asked, vec![CoinOffer { input, script: script.clone() }]),
                    );
                }
                Effect::Send(_) | Effect::Tell(_) | Effect::Recall(_) | Effect::Hangup => {}
            }
        }
        // As if it were in a block, and every lock over.
        if told.is_empty() && old.ended_by().is_none() && !published.is_empty() {
            let found = [(1, Arc::new(published[0].clone()))];
            let now = Now { tip: BlockHeight(height + 2_000), ..Now::default() };
            old.at(now);
            let seen = old.block(BlockHeight(height + 1), &found);
            old.take(&seen);
            told.push(old.drive());
        }
    }
    let commitment = published.remove(0);
    let txid = commitment.compute_txid();
    let is_stage = |it: &Transaction| {
        // Its balance waits for the delay.
        it.input[0].previous_output.txid == txid && it.input[0].sequence.0 & 0xffff <= 1
    };
    let stages = published.into_iter().filter(is_stage).collect();
    Cheat { commitment, stages }
}

#[test]
fn a_revoked_commitment_costs_everything() {
    for form in FORMS {
        for at in [0, 1] {
            let mut town = town(form);
            for by in [0, 1] {
                offered(&mut town, by, 60_000_000, 1 + 10 * by as u64, 60);
                offered(&mut town, by, 70_000_000, 2 + 10 * by as u64, 90);
            }
            let cheat = keep(&town, at, 12);
            offered(&mut town, 0, 1_000_000, 5, 60);
            let (honest, all) = (1 - at, CAPACITY.0);
            town.ends.iter_mut().for_each(|it| it.may_fail = true);
            town.mempool
                .submit(&town.ledger, cheat.commitment, 0)
                .unwrap_or_else(|no| panic!("{no}"));
            town.mine();
            // The honest side notices at once, or after the cheat has taken what it could.
            town.pump();
            town.mine_many(1);
            town.sees[at] = false;
            for _ in 0..260 {
                town.mine();
                town.pump();
            }
            assert_eq!(*town.ends[honest].live.state(), State::Done, "{:?}", town.refused);
            let has = town.has(honest);
            assert!(has + 40_000 > all && has < all, "{form:?} {at}: {has} of {all}");
        }
    }
}

/// It is published, its owner does nothing more, and the other has everything in the end.
fn punished(town: &mut Town, at: usize, cheat: Cheat, what: &str) {
    town.ends.iter_mut().for_each(|it| it.may_fail = true);
    let taken = town.mempool.submit(&town.ledger, cheat.commitment, 0);
    taken.unwrap_or_else(|no| panic!("{no}"));
    town.mine();
    town.sees[at] = false;
    for _ in 0..110 {
        town.mine();
        town.pump();
    }
    let (honest, all) = (1 - at, CAPACITY.0);
    let by = town.ends[honest].live.ended_by().map(|(by, _)| by);
    assert!(matches!(by, Some(EndedBy::Revoked(_))), "{what}: {by:?}");
    assert_eq!(*town.ends[honest].live.state(), State::Done, "{:?}", town.refused);
    let has = town.has(honest);
    assert!(has + 40_000 > all && has < all, "{what}: {has} of {all}");
}

/// A revoked commitment of every age: from the first, when the peer had nothing to lose yet, to the
/// last but one. What the honest side knows of them is in its log only.
#[test]
fn a_revoked_commitment_costs_everything_however_old() {
    let form = Form::Anchors;
    for at in [0, 1] {
        // In another world each, for one of them can be published.
        for age in 0..8 {
            let mut town = town(form);
            let mut kept = Vec::new();
            for state in 0..5 {
                kept.push(keep(&town, at, 12));
                let by = state % 2;
                let id = offered(&mut town, by, 20_000_000, state as u64, 200);
                if state < 3 {
                    kept.push(keep(&town, at, 12));
                    learn(&mut town, id, state as u64);
                    town.pump();
                }
            }
            assert_eq!(kept.len(), 8);
            let cheat = kept.swap_remove(age);
            punished(&mut town, at, cheat, &format!("{at} {age}"));
        }
    }
}

/// The signer has lost the secret in a crash, and is shown it again before it has to punish.
#[test]
fn a_revoked_commitment_costs_everything_though_the_signer_forgot_its_secret() {
    for at in [0, 1] {
        let mut town = town(Form::Anchors);
        offered(&mut town, 0, 20_000_000, 1, 200);
        let cheat = keep(&town, at, 12);
        offered(&mut town, 1, 20_000_000, 2, 200);
        let honest = &mut town.ends[1 - at];
        honest.signer = honest.signer.without_last_revocation().expect("the cheat has revoked");
        punished(&mut town, at, cheat, &at.to_string());
    }
}

#[test]
fn second_stages_of_a_revoked_commitment_are_taken_back() {
    for form in FORMS {
        for at in [0, 1] {
            let mut town = town(form);
            let cheats = offered(&mut town, at, 60_000_000, 1, 60);
            offered(&mut town, at, 70_000_000, 2, 60);
            assert_eq!(cheats.offered_by as usize, at);
            let cheat = keep(&town, at, 12);
            assert!(!cheat.stages.is_empty());
            offered(&mut town, at, 1_000_000, 5, 90);
            let honest = 1 - at;
            town.ends.iter_mut().for_each(|it| it.may_fail = true);
            town.sees = [false; 2];
            town.mempool
                .submit(&town.ledger, cheat.commitment, 0)
                .unwrap_or_else(|no| panic!("{no}"));
            // The honest side is away, as long as it may be: shorter than the delay of the cheat.
            for _ in 0..70 {
                town.mine();
            }
            for stage in cheat.stages {
                town.mempool.submit(&town.ledger, stage, 0).unwrap_or_else(|no| panic!("{no}"));
            }
            for _ in 0..20 {
                town.mine();
            }
            town.sees[honest] = true;
            town.show(honest);
            town.pump();
            for _ in 0..260 {
                town.mine();
                town.pump();
            }
            assert_eq!(*town.ends[honest].live.state(), State::Done, "{:?}", town.refused);
            let (has, all) = (town.has(honest), CAPACITY.0);
            assert!(has + 40_000 > all && has < all, "{form:?} {at}: {has} of {all}");
        }
    }
}

#[test]
fn reorgs_change_nothing_in_the_end() {
    for seed in 0..4 {
        let mut dice = Dice::new(seed);
        let mut town = town(FORMS[dice.below(2)]);
        let at = dice.below(2);
        let mut ids = Vec::new();
        for by in [0, 1] {
            for number in [1, 2] {
                let number = number + 10 * by as u64;
                ids.push((offered(&mut town, by, 60_000_000, number, 30), number));
            }
        }
        let before = balances(&town);
        fail(&mut town, at);
        let both = dice.one_in(2);
        if both {
            fail(&mut town, 1 - at);
        }
        for (id, number) in &ids {
            if number % 10 == 1 {
                learn(&mut town, *id, *number);
            }
        }
        for _ in 0..400 {
            town.pump();
            // What a side knows of blocks is saved by now, and all else of the chain is forgotten.
            if dice.one_in(11) {
                let crashed = dice.below(2);
                town.ends[crashed].crash();
                town.tell_now(crashed);
            }
            town.mine();
            if dice.one_in(9) && town.height() > 130 {
                // Never as deep as what is believed.
                town.reorg(1 + dice.below(4) as u32, dice.one_in(2));
            }
            if town.is_done() {
                break;
            }
        }
        town.finish();
        let has = [town.has(0), town.has(1)];
        for at in [0, 1] {
            let (has, want) = (has[at], before[at]);
            assert!(has <= want + 200 && has + 60_000 > want, "{seed} {at}: {has} of {want}");
        }
        for (id, number) in &ids {
            for at in [0, 1] {
                assert_eq!(over(&town, at, *id), Some(number % 10 == 1), "{seed}");
            }
        }
    }
}

#[test]
fn an_offer_that_nobody_ends_goes_to_the_chain_and_comes_back() {
    let mut town = town(Form::Anchors);
    town.ends.iter_mut().for_each(|it| it.may_fail = true);
    let id = offered(&mut town, 0, 60_000_000, 1, 20);
    let expiry = town.height() + 20;
    while town.height() < expiry + 1 {
        town.mine();
        town.pump();
        assert_eq!(*town.ends[0].live.state(), State::Normal);
    }
    town.mine();
    town.pump();
    assert!(matches!(town.ends[0].live.state(), State::Failing(_)));
    town.finish();
    assert_eq!(over(&town, 0, id), Some(false));
}

#[test]
fn what_is_paid_to_us_goes_to_the_chain_before_its_lock() {
    let mut town = town(Form::Anchors);
    town.ends.iter_mut().for_each(|it| it.may_fail = true);
    let id = offered(&mut town, 0, 60_000_000, 1, 40);
    let expiry = town.height() + 40;
    // The peer is away when we learn the preimage.
    let lost = town.ends[1].live.disconnected();
    town.ends[1].take(lost);
    learn(&mut town, id, 1);
    while town.height() + 19 < expiry {
        town.mine();
        let drive = town.ends[1].live.drive();
        assert!(drive.changes.is_empty() && drive.effects.is_empty());
    }
    town.mine();
    town.pump();
    assert!(matches!(town.ends[1].live.state(), State::Failing(_)));
    town.finish();
    assert_eq!((over(&town, 0, id), over(&town, 1, id)), (Some(true), Some(true)));
}

#[test]
fn contracts_with_one_hash_end_each_for_itself() {
    for form in FORMS {
        let mut town = town(form);
        // The same hash and amount both ways. Who is paid the one opens it, the other is left.
        let left = offered(&mut town, 0, 60_000_000, 1, 40);
        let paid = offered(&mut town, 1, 60_000_000, 1, 50);
        fail(&mut town, 0);
        learn(&mut town, paid, 1);
        town.pump();
        town.finish();
        for at in [0, 1] {
            let ends = (over(&town, at, left), over(&town, at, paid));
            assert_eq!(ends, (Some(false), Some(true)), "{form:?} {at}");
        }
    }
}

#[test]
fn second_stages_of_one_deadline_and_two_locks_are_taken_apart() {
    let mut town = town(Form::Anchors);
    // One comes back from a height on, the other must be taken 12 blocks after that: at that
    // height both are wanted as soon.
    let back = offered(&mut town, 0, 60_000_000, 1, 30);
    let height = town.height() + 30;
    let paid = offered(&mut town, 1, 70_000_000, 2, 42);
    fail(&mut town, 0);
    town.pump();
    while town.height() < height - 1 {
        town.mine_many(1);
    }
    town.mine();
    learn(&mut town, paid, 2);
    town.pump();
    town.mine_many(8);
    assert_eq!((over(&town, 0, back), over(&town, 0, paid)), (Some(false), Some(true)));
    let refused = |it: &Event| matches!(it, Event::Refused { .. });
    assert!(!town.ends[0].told.iter().any(refused), "{:?}", town.ends[0].told);
    town.finish();
}
