//! A commitment that was given up is published: whoever does that loses everything.

use super::*;

const AMOUNTS: [Msat; 3] = [Msat(60_000_000), Msat(70_000_000), Msat(80_000_000)];

/// So long whoever is cheated sees nothing: the first locks are over, the delays are not.
const AWAY_BLOCKS: [u32; 3] = [0, 3, 110];

/// Contracts of both, of which the cheat can open one.
fn contracts(scene: &mut Scene) -> [Vec<Contract>; 2] {
    BOTH.map(|by| AMOUNTS.map(|amount| scene.offer(by, amount)).to_vec())
}

/// What there was is over, and something else has come.
fn go_on(scene: &mut Scene, contracts: &[Vec<Contract>; 2]) {
    for (at, contract) in contracts.iter().flatten().enumerate() {
        match at % 2 {
            0 => scene.take(contract),
            _ => scene.give_back(contract),
        }
        scene.rest();
    }
    for by in BOTH {
        scene.offer(by, AMOUNTS[0]);
    }
}

#[test]
fn ldk_publishes_what_it_has_revoked_and_we_take_all() {
    for form in FORMS {
        for opener in BOTH {
            for away in AWAY_BLOCKS {
                println!("{form:?} by {opener:?}, away for {away}");
                let mut scene = Scene::new(form, opener);
                let mut contracts = contracts(&mut scene);
                let deal = scene.deal();
                scene.world.disconnect(false);
                // LDK knows what opens one, and we have not heard of it yet.
                let known = contracts[0].remove(0);
                scene.take(&known);
                let old = scene.world.theirs.monitor_bytes();
                scene.world.connect();
                scene.rest();
                go_on(&mut scene, &contracts);
                scene.world.cheat_by_ldk(&old);
                scene.world.sees[0] = away == 0;
                for _ in 0..away {
                    scene.world.mine();
                }
                scene.world.sees[0] = true;
                scene.world.show();
                scene.rest();
                scene.finish();
                assert!(scene.is_done);
                let stages = scene.stages(&deal);
                let want = if away > 3 { 4..=4 } else { usize::from(away > 0)..=1 };
                assert!(want.contains(&stages), "{stages} second stages of LDK's");
                deal.assert_punished(&scene.world, Who::Us);
            }
        }
    }
}

#[test]
fn we_publish_what_we_have_revoked_and_ldk_takes_all() {
    for form in FORMS {
        for opener in BOTH {
            for away in AWAY_BLOCKS {
                println!("{form:?} by {opener:?}, LDK is away for {away}");
                let mut scene = Scene::new(form, opener);
                let contracts = contracts(&mut scene);
                let deal = scene.deal();
                let mut twin = scene.world.ours.twin();
                let known = &contracts[1][0];
                let end = End::Fulfilled(id::PaymentPreimage(known.preimage.0));
                twin.end(known.id.id, end).unwrap_or_else(|no| panic!("{no}"));
                go_on(&mut scene, &contracts);
                scene.world.cheat_by_us(twin);
                scene.world.sees[1] = away == 0;
                for _ in 0..away {
                    scene.world.mine();
                }
                scene.world.sees[1] = true;
                scene.world.show();
                scene.rest();
                scene.finish();
                let stages = scene.stages(&deal);
                let want = if away > 3 { 4..=4 } else { usize::from(away > 0)..=1 };
                assert!(want.contains(&stages), "{stages} second stages of ours");
                deal.assert_punished(&scene.world, Who::Ldk);
            }
        }
    }
}
