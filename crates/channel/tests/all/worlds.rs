//! Random lives of a channel, from its first payment to its last spend on a chain with real rules.
//!
//! Messages wait and are lost, disks lag, either side crashes, blocks come and go, one side is
//! away, cheats, or closes by force or together. In the end each side has at least what its last
//! state says, less fees, and no money came from nowhere.

use bitcoin::Transaction;
use channel::{
    As, Change, ContractId, Effect, EndedBy, Event, Met, Offer, ParkedOffer, Resolvers, State,
};
use tx::{Form, Side};
use wire::amount::{BlockHeight, CsvDelay};
use wire::dice::Dice;
use wire::features::{Feature, Features};

use crate::halves::{CAPACITY, Half};
use crate::live::{act, end_of_any, offer, reconnect_as, said_of, two};
use crate::onchain::keep;
use crate::town::Town;

/// What a side may lose to miners in one of these worlds: commitments, claims, second stages.
const FEES_SAT_MAX: u64 = 90_000;
/// Contracts below this may have no output in these worlds.
const DUST_MSAT_MAX: u64 = 5_000_000;

/// What both can do: at first, and in the end.
fn met(is_parked: bool, at_the_end: bool) -> Met {
    let mut features = Features::optional(&[Feature::ShutdownAnysegwit]);
    for (feature, has) in [(Feature::Parked, is_parked), (Feature::SimpleClose, at_the_end)] {
        features = if has { features.with_bit(feature as usize + 1) } else { features };
    }
    Resolvers::all().met(&features, &features)
}

/// How a world ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Together,
    Force(usize),
    Both,
    Cheat(usize),
    Silence,
}

fn any_ending(dice: &mut Dice) -> Ending {
    match dice.below(6) {
        0 => Ending::Together,
        1 => Ending::Both,
        2 => Ending::Silence,
        3 => Ending::Cheat(dice.below(2)),
        _ => Ending::Force(dice.below(2)),
    }
}

/// Some things happen between the two, one at a time.
fn live(town: &mut Town, dice: &mut Dice, is_parked: bool, steps: usize) {
    for _ in 0..steps {
        let at = dice.below(2);
        let height = town.height();
        let (end, peer) = two(&mut town.ends, at);
        match dice.below(15) {
            0..=2 if is_parked && dice.one_in(2) => park(end, dice),
            0..=2 => pay(end, dice, height),
            3..=6 => end.flush(&mut peer.inbox),
            7..=9 => end.answer(),
            10..=12 => end.hear(),
            13 => {
                let drive = end.live.drive();
                end.take(drive);
            }
            _ if dice.one_in(4) => {
                let crashed = dice.one_in(2).then_some(at);
                reconnect_as(&mut town.ends, crashed, met(is_parked, false));
                for at in [0, 1] {
                    town.tell_now(at);
                }
            }
            _ => {}
        }
    }
}

/// Offers something that has time, or ends something.
fn pay(end: &mut Half, dice: &mut Dice, height: u32) {
    if dice.one_in(2) {
        act(end, dice);
        return;
    }
    let mut offer = offer(dice);
    offer.cltv_expiry = BlockHeight(height + 30 + dice.below(40) as u32);
    if let Ok((_, outcome)) = end.live.send_add(offer) {
        end.take(outcome);
    }
}

/// Parks something, as long as there is room for it.
fn park(end: &mut Half, dice: &mut Dice) {
    let Offer { amount, payment_hash, .. } = offer(dice);
    let refund_delay = CsvDelay(144 + dice.below(3) as u16);
    if let Ok((_, outcome)) = end.live.park(ParkedOffer { amount, payment_hash, refund_delay }) {
        end.take(outcome);
    }
}

/// The least that a side has of all commitments that there are or will be, contracts of its own
/// offering not counted: what it must have in the end.
fn floor_of(end: &Half) -> u64 {
    let side = end.live.side();
    let ledger = end.live.ledger();
    let all = [Side::Opener, Side::Acceptor].into_iter().flat_map(|owner| {
        [As::Draft, As::Signed, As::Settled].map(|which| ledger.view(owner, which).balance(side).0)
    });
    all.min().unwrap_or(0) / 1_000
}

fn over(end: &Half) -> Vec<(ContractId, bool)> {
    let over = |event: &Event| {
        let Event::Over { id, end } = event else { return None };
        Some((*id, end.secret().is_some()))
    };
    end.told.iter().filter_map(over).collect()
}

fn amount_of(end: &Half, id: ContractId) -> u64 {
    let added = end.log.iter().find_map(|change| {
        let Change::Added { by, add } = change else { return None };
        let (name, amount, _) = said_of(*by, add);
        (name == id).then_some(amount.0)
    });
    added.unwrap_or(0)
}

fn end_it(town: &mut Town, ending: Ending, cheat: Option<Transaction>) {
    town.ends.iter_mut().for_each(|it| it.may_fail = true);
    let fail = |town: &mut Town, at: usize| {
        let fail = town.ends[at].live.fail();
        town.ends[at].take(fail);
    };
    match ending {
        Ending::Together => {
            if let Ok(close) = town.ends[0].live.close() {
                town.ends[0].take(close);
            }
        }
        Ending::Force(at) => fail(town, at),
        Ending::Both => {
            fail(town, 0);
            fail(town, 1);
        }
        Ending::Cheat(at) => {
            let cheat = cheat.expect("it was kept");
            // If the peer was faster, so be it.
            let _ = town.mempool.submit(&town.ledger, cheat, 0);
            town.sees[at] = false;
        }
        Ending::Silence => {
            for end in &mut town.ends {
                end.inbox.clear();
                end.waiting.retain(|it| !matches!(it, Effect::Send(_)));
                let lost = end.live.disconnected();
                end.take(lost);
            }
        }
    }
}

/// Blocks come and go until nothing is left to do.
fn wait(town: &mut Town, dice: &mut Dice, is_parked: bool, ending: Ending) {
    for round in 0..900 {
        // Whoever is paid shows what opens it, as long as that helps.
        if round < 3 {
            for end in &mut town.ends {
                for _ in 0..40 {
                    if let Some(outcome) = end_of_any(end, dice) {
                        end.take(outcome);
                    }
                }
            }
        }
        town.pump();
        if dice.one_in(25) {
            let at = dice.below(2);
            town.ends[at].crash();
            if ending != Ending::Silence {
                reconnect_as(&mut town.ends, None, met(is_parked, true));
            }
            for at in [0, 1] {
                town.tell_now(at);
            }
            town.pump();
        }
        town.mine();
        if dice.one_in(20) && town.height() > 130 {
            town.reorg(1 + dice.below(4) as u32, dice.one_in(2));
        }
        let cheats = |at: usize| ending == Ending::Cheat(at);
        let done = |at: usize| cheats(at) || *town.ends[at].live.state() == State::Done;
        if done(0) && done(1) {
            return;
        }
        let is_normal = |it: &Half| *it.live.state() == State::Normal;
        if ending == Ending::Silence && round > 120 && town.ends.iter().all(is_normal) {
            // There was nothing to fight for.
            end_it(town, Ending::Force(0), None);
        }
    }
    let states = town.ends.each_ref().map(|it| (it.live.state().clone(), it.live.ended_by()));
    panic!("{ending:?} has no end: {states:?} {:?}", town.refused);
}

fn world(seed: u64, is_parked: bool) -> EndedBy {
    let mut dice = Dice::new(seed);
    let is_old = dice.one_in(3) && !is_parked;
    let form = if is_old { Form::StaticRemoteKey } else { Form::Anchors };
    let mut town = match is_parked {
        true => crate::onchain::town_of(form, &Resolvers::all()),
        false => crate::onchain::town(form),
    };
    reconnect_as(&mut town.ends, None, met(is_parked, false));
    live(&mut town, &mut dice, is_parked, 150);
    let ending = any_ending(&mut dice);
    let cheat = match ending {
        Ending::Cheat(at) => {
            town.pump();
            Some(keep(&town, at, 12).commitment)
        }
        Ending::Together | Ending::Force(_) | Ending::Both | Ending::Silence => None,
    };
    live(&mut town, &mut dice, is_parked, 150);
    if let Ending::Cheat(_) = ending {
        // Both are honest so far, and quiet.
        town.pump();
    }
    // A force close may come in the middle of anything that is on its way.
    let floors = town.ends.each_ref().map(floor_of);
    let is_revoked = ending_is_cheat(&town, ending, cheat.as_ref());
    end_it(&mut town, ending, cheat);
    wait(&mut town, &mut dice, is_parked, ending);
    let has = [town.has(0), town.has(1)];
    let sum = has[0] + has[1];
    assert!(sum <= CAPACITY.0, "{seed} {ending:?}: {has:?}");
    for at in [0, 1] {
        if ending == Ending::Cheat(at) && is_revoked {
            continue;
        }
        assert!(
            has[at] + FEES_SAT_MAX >= floors[at],
            "{seed} {ending:?}: {at} has {} of at least {}",
            has[at],
            floors[at]
        );
    }
    if let (Ending::Cheat(at), true) = (ending, is_revoked) {
        assert!(has[1 - at] + FEES_SAT_MAX > CAPACITY.0, "{seed}: {has:?}");
    } else {
        let [first, second] = town.ends.each_ref().map(over);
        for (id, paid) in &first {
            let other = second.iter().find(|(of, _)| of == id);
            let is_cheat = matches!(ending, Ending::Cheat(_));
            // What has no output is lost to its payee, though the payer may have seen its secret.
            let may_differ = is_cheat || amount_of(&town.ends[0], *id) < DUST_MSAT_MAX;
            // What was never signed for the peer may have forgotten.
            let is_same = other.map_or(!paid, |(_, it)| it == paid);
            assert!(may_differ || is_same, "{seed} {ending:?}: {id:?} {paid} {other:?}");
        }
    }
    let by = town.ends.iter().find_map(|it| it.live.ended_by());
    by.expect("it has ended").0
}

/// Whether the kept commitment is revoked by now.
fn ending_is_cheat(town: &Town, ending: Ending, cheat: Option<&Transaction>) -> bool {
    let (Ending::Cheat(at), Some(cheat)) = (ending, cheat) else { return false };
    let revoked = |it: &Change| matches!(it, Change::Advanced { .. });
    let kept = keep(town, at, 12).commitment.compute_txid();
    kept != cheat.compute_txid() && town.ends[at].log.iter().any(revoked)
}

#[test]
fn everybody_has_what_is_theirs_however_it_ends() {
    every_end(&SEEDS, false);
}

#[test]
fn everybody_has_what_is_theirs_with_parked_contracts_too() {
    every_end(&PARKED_SEEDS, true);
}

fn every_end(seeds: &[u64], is_parked: bool) {
    let mut seen = std::collections::BTreeMap::new();
    for seed in seeds {
        let by = match world(*seed, is_parked) {
            EndedBy::Both => "both",
            EndedBy::Local => "local",
            EndedBy::Remote => "remote",
            EndedBy::Revoked(_) => "revoked",
            EndedBy::Unknown(_) => "unknown",
        };
        *seen.entry(by).or_insert(0) += 1;
    }
    println!("{seen:?}");
    for by in ["both", "local", "remote", "revoked"] {
        assert!(seen.contains_key(by), "no world was ended by {by}: {seen:?}");
    }
    assert!(!seen.contains_key("unknown"), "{seen:?}");
}

/// A few that show every end; `many_worlds` has the rest.
const SEEDS: [u64; 9] = [0, 4, 7, 9, 20, 26, 29, 31, 33];
const PARKED_SEEDS: [u64; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];

#[test]
#[ignore = "minutes: LEYDEN_WORLDS says how many, from LEYDEN_FROM on"]
fn many_worlds() {
    let number = |name: &str| std::env::var(name).ok().and_then(|it| it.parse().ok());
    let from = number("LEYDEN_FROM").unwrap_or(0);
    for seed in from..from + number("LEYDEN_WORLDS").unwrap_or(200) {
        for is_parked in [false, true] {
            println!("{seed} {is_parked} {:?}", world(seed, is_parked));
        }
    }
}
