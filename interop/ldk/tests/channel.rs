//! A channel with LDK: opening, payments, fees, lost connections.

mod channel_parts;

use channel_parts::Traffic;
use channel_parts::nonsense::{self, Found};
use interop_ldk::channel::{CAPACITY, PUSHED, World, policy};
use tx::Form;
use wire::amount::{Msat, Sat};
use wire::dice::Dice;

const FORMS: [Form; 2] = [Form::Anchors, Form::StaticRemoteKey];

#[test]
fn a_channel_opens_whoever_opens_it() {
    for form in FORMS {
        for by_us in [true, false] {
            let world = World::open(form, by_us, policy());
            world.assert_same();
            let (ours, theirs, pending) = world.ours.balances();
            let opener = Msat(CAPACITY.0 * 1_000 - PUSHED.0);
            let want = if by_us { (opener, PUSHED) } else { (PUSHED, opener) };
            assert_eq!((ours, theirs, pending), (want.0, want.1, 0), "{form:?}, by us: {by_us}");
        }
    }
}

/// HTLCs of one run.
const HTLCS: usize = 1_000;

fn run(form: Form, by_us: bool, seed: u64) {
    let mut traffic = Traffic::new(form, by_us, seed);
    traffic.run(HTLCS);
    println!("{form:?}, by us: {by_us}: {:?}", traffic.score);
    let score = &traffic.score;
    assert!(score.ours.iter().chain(&score.theirs).all(|it| *it > 10), "{score:?}");
    assert!(score.fees > 10 && score.lost > 10 && score.crashes > 5, "{score:?}");
}

#[test]
fn payments_over_our_channel_with_anchors() {
    run(Form::Anchors, true, 1);
}

#[test]
fn payments_over_their_channel_with_anchors() {
    run(Form::Anchors, false, 2);
}

#[test]
fn payments_over_our_channel_without_anchors() {
    run(Form::StaticRemoteKey, true, 3);
}

#[test]
fn payments_over_their_channel_without_anchors() {
    run(Form::StaticRemoteKey, false, 4);
}

/// Runs over small channels, for each kind of channel.
const SEEDS: u64 = 3;
/// Sizes at which fees, reserves and dust matter.
const SMALL: (Sat, Msat) = (Sat(100_000), Msat(40_000_000));

#[test]
fn nobody_offers_what_the_other_refuses() {
    for seed in 0..SEEDS {
        for form in FORMS {
            for by_us in [true, false] {
                let mut traffic = Traffic::with(form, by_us, seed, SMALL);
                println!("{form:?}, by us: {by_us}, seed {seed}");
                traffic.run(HTLCS / 5);
            }
        }
    }
}

/// Openings of each kind.
const OPENINGS: u64 = 20;

#[test]
fn a_channel_opens_although_the_connection_is_lost() {
    for form in FORMS {
        for by_us in [true, false] {
            for seed in 0..OPENINGS {
                opens_by_dice(form, by_us, seed);
            }
        }
    }
}

/// Both have signed; now blocks and messages come in any order, and the connection is lost.
fn opens_by_dice(form: Form, by_us: bool, seed: u64) {
    let (mut world, mut dice) = (World::new(form, policy()), Dice::new(seed));
    world.propose(by_us, SMALL);
    world.settle();
    world.fund();
    world.settle();
    for _ in 0..80 {
        match dice.below(16) {
            0 | 1 => world.mine(),
            2..=6 => _ = world.carry(false),
            7..=11 => _ = world.carry(true),
            12..=14 => _ = world.ours.step(),
            _ => {
                world.disconnect(dice.one_in(2));
                world.connect();
            }
        }
    }
    world.settle();
    world.assert_same();
    assert!(world.is_up(), "{form:?}, by us: {by_us}, seed {seed}");
}

#[test]
fn each_offers_as_much_as_the_other_takes() {
    for form in FORMS {
        for by_us in [true, false] {
            for seed in 0..SEEDS {
                let mut traffic = Traffic::with(form, by_us, seed, SMALL);
                println!("{form:?}, by us: {by_us}, seed {seed}");
                traffic.run_at_limits(40);
            }
        }
    }
}

/// Channels in which something is changed, for each side that hears it.
const NONSENSE: u64 = 30;

#[test]
fn nonsense_is_noticed_by_whoever_hears_it() {
    for to_us in [true, false] {
        let mut found = Found::default();
        for seed in 0..NONSENSE {
            let mut dice = Dice::new(seed);
            let form = FORMS[dice.below(2)];
            let mut traffic = Traffic::new(form, dice.one_in(2), seed);
            traffic.some(100 + dice.below(200));
            while !nonsense::spoil(&mut traffic.world, to_us, &mut dice) {
                traffic.some(1);
            }
            match nonsense::settle(&mut traffic.world) {
                true => found.noticed += 1,
                false => {
                    traffic.world.assert_same();
                    found.harmless += 1;
                }
            }
        }
        println!("to us: {to_us}: {found:?}");
        assert!(found.noticed > 15, "to us: {to_us}: {found:?}");
    }
}
