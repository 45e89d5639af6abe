//! Closing together, in the one dialect that LDK speaks without a flag for its compiler.

use channel::Dialects;
use wire::dice::Dice;

use super::*;

#[test]
fn a_channel_is_closed_whoever_wants_it() {
    for form in FORMS {
        for opener in BOTH {
            for wants in BOTH {
                let mut scene = Scene::new(form, opener);
                let deal = scene.deal();
                scene.close(wants);
                scene.rest();
                scene.finish();
                deal.assert_closed(&scene.world, opener);
                assert_eq!(scene.world.ours.broken, None);
                assert_eq!(scene.world.theirs.complaints, Vec::<String>::new());
            }
        }
    }
}

#[test]
fn both_say_what_they_can_do_and_a_simple_close_is_not_among_it() {
    let scene = Scene::new(Form::Anchors, Who::Us);
    let want = Dialects { any_segwit: true, simple_close: false };
    assert_eq!(scene.world.dialects(), want);
}

#[test]
fn contracts_end_before_the_channel_does() {
    for form in FORMS {
        for opener in BOTH {
            for seed in 0..6 {
                closes_by_dice(form, opener, seed);
            }
        }
    }
}

/// Contracts under way when somebody wants to close; then everything in any order.
fn closes_by_dice(form: Form, opener: Who, seed: u64) {
    let (mut scene, mut dice) = (Scene::new(form, opener), Dice::new(seed));
    let mut left = Vec::new();
    for _ in 0..1 + dice.below(3) {
        for by in BOTH {
            let amount = Msat(1_000 + dice.below(90_000_000) as u64);
            left.push(scene.offer(by, amount));
        }
    }
    let mut deal = scene.deal();
    let wants = BOTH[dice.below(2)];
    scene.close(wants);
    let mut also = dice.one_in(2);
    let all = left.clone();
    let mut ended = Vec::new();
    for _ in 0..3_000 {
        match dice.below(40) {
            0..=12 => _ = scene.world.carry(true),
            13..=25 => _ = scene.world.carry(false),
            26..=36 => _ = scene.world.ours.step(),
            37 if dice.one_in(4) => scene.reconnect(dice.one_in(2)),
            38 if also && scene.world.ours.is_usable() && wants == Who::Ldk => {
                (also, _) = (false, scene.close(Who::Us));
            }
            39 if !left.is_empty() => {
                let contract = left.swap_remove(dice.below(left.len()));
                let is_taken = dice.one_in(2);
                let won = if is_taken { contract.by.other() } else { contract.by };
                deal.won(won, contract.amount);
                match is_taken {
                    true => scene.take(&contract),
                    false => scene.give_back(&contract),
                }
                ended.push((contract, is_taken));
            }
            _ => {}
        }
        scene.listen();
        if scene.world.theirs.wants_away {
            scene.reconnect(false);
        }
    }
    scene.rest();
    assert_eq!(ended.len(), all.len());
    scene.finish();
    for (contract, is_taken) in &ended {
        scene.assert_over(contract, *is_taken);
    }
    // If LDK has closed and its last words were lost, it asks for our commitment instead.
    let is_together = deal.is_closed_together(&scene.world);
    if scene.has_forgotten() {
        assert!(scene.world.ours.broken.is_some());
    } else {
        assert!(is_together);
        assert_eq!(scene.world.ours.broken, None);
        assert_eq!(scene.world.theirs.complaints, Vec::<String>::new());
    }
    match is_together {
        true => deal.assert_closed(&scene.world, opener),
        false => deal.assert_settled(&scene.world, &[]),
    }
}

/// LDK has closed, and the connection is lost before we hear of it, or right after.
#[test]
fn a_connection_is_lost_at_the_end() {
    for form in FORMS {
        for opener in BOTH {
            for heard in [true, false] {
                for crash in [true, false] {
                    let mut scene = Scene::new(form, opener);
                    let deal = scene.deal();
                    scene.close(Who::Us);
                    while !scene.has_closed() {
                        scene.world.ours.pump();
                        let moved = [scene.world.carry(true), scene.world.carry(false)];
                        assert_ne!(moved, [false, false]);
                        scene.listen();
                    }
                    if heard {
                        scene.rest();
                    }
                    scene.reconnect(crash);
                    scene.rest();
                    assert!(scene.has_forgotten());
                    scene.finish();
                    println!("{form:?} {opener:?} {heard} {crash}");
                    assert!(!heard || deal.is_closed_together(&scene.world));
                    match deal.is_closed_together(&scene.world) {
                        true => deal.assert_closed(&scene.world, opener),
                        false => deal.assert_settled(&scene.world, &[]),
                    }
                }
            }
        }
    }
}

impl Scene {
    /// LDK has closed its channel.
    fn has_closed(&self) -> bool {
        self.world.theirs.balances().is_none()
    }

    /// LDK was asked for a channel that it has closed.
    fn has_forgotten(&self) -> bool {
        self.world.theirs.complaints.iter().any(|it| it.contains("No such channel"))
    }
}
