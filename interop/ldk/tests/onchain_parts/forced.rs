//! Closing by force, whoever does it: contracts end on the chain.

use super::*;

/// Below this a contract has no output.
const DUST: Msat = Msat(300_000);
const AMOUNTS: [Msat; 4] = [Msat(60_000_123), Msat(70_000_000), Msat(80_000_999), DUST];

/// So long one side sees no blocks, and still comes in time.
const AWAY_BLOCKS: u32 = 30;

/// Who publishes a commitment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    One(Who),
    Both,
}

#[test]
fn a_channel_without_contracts_pays_both() {
    for form in FORMS {
        for opener in BOTH {
            for how in [How::One(Who::Us), How::One(Who::Ldk), How::Both] {
                for online in [true, false] {
                    println!("{form:?} by {opener:?} {how:?} online: {online}");
                    let mut scene = Scene::new(form, opener);
                    let deal = scene.deal();
                    if !online {
                        scene.world.disconnect(false);
                    }
                    force(&mut scene, how);
                    scene.rest();
                    scene.finish();
                    assert!(scene.is_done);
                    deal.assert_settled(&scene.world, &[]);
                }
            }
        }
    }
}

fn force(scene: &mut Scene, how: How) {
    match how {
        How::One(Who::Us) => scene.world.ours.force_close(),
        How::One(Who::Ldk) => scene.world.theirs.force_close(),
        How::Both => {
            scene.world.ours.force_close();
            scene.world.theirs.force_close();
        }
    }
}

#[test]
fn contracts_end_on_the_chain() {
    for form in FORMS {
        for opener in BOTH {
            for how in [How::One(Who::Us), How::One(Who::Ldk), How::Both] {
                ends_on_chain(form, opener, how, None);
            }
            for who in BOTH {
                ends_on_chain(form, opener, How::One(who), Some(who.other()));
            }
        }
    }
}

/// Each side offers one that was opened before, one that is opened after a commitment is in a
/// block, one that never is, and one without an output.
fn ends_on_chain(form: Form, opener: Who, how: How, away: Option<Who>) {
    println!("{form:?} by {opener:?} {how:?}, away: {away:?}");
    let mut scene = Scene::new(form, opener);
    let contracts = BOTH.map(|by| AMOUNTS.map(|amount| scene.offer(by, amount)));
    let deal = scene.deal();
    scene.world.disconnect(false);
    for [before, ..] in &contracts {
        scene.take(before);
    }
    force(&mut scene, how);
    scene.rest();
    if let Some(who) = away {
        scene.world.sees[who as usize] = false;
    }
    scene.world.mine_many(2);
    // Whoever is there learns it at once: if one of the second stages of LDK's own commitment was
    // deep by then, LDK would take that once more, together with the new one, and so neither.
    let learn = |scene: &mut Scene, by: Who| {
        let of = contracts.iter().flatten().filter(|it| it.amount == AMOUNTS[1]);
        of.filter(|it| it.by.other() == by).for_each(|it| scene.take(it));
    };
    BOTH.into_iter().filter(|who| Some(*who) != away).for_each(|it| learn(&mut scene, it));
    scene.rest();
    if let Some(who) = away {
        scene.world.mine_many(AWAY_BLOCKS);
        scene.world.sees[who as usize] = true;
        scene.world.show();
        scene.rest();
        learn(&mut scene, who);
    }
    scene.rest();
    scene.finish();
    assert!(scene.is_done);
    let mut outputs = Vec::new();
    for [before, after, never, dust] in &contracts {
        let payee = before.by.other();
        outputs.extend([(payee, before.amount), (payee, after.amount), (never.by, never.amount)]);
        scene.assert_over(before, true);
        scene.assert_over(after, true);
        scene.assert_over(never, false);
        scene.assert_over(dust, false);
    }
    deal.assert_settled(&scene.world, &outputs);
}

#[test]
fn what_nobody_ends_goes_to_the_chain_in_time() {
    for form in FORMS {
        for opener in BOTH {
            for by in BOTH {
                for is_taken in [true, false] {
                    println!("{form:?} by {opener:?}, offered by {by:?}, taken: {is_taken}");
                    let mut scene = Scene::new(form, opener);
                    let contract = scene.offer(by, AMOUNTS[0]);
                    let deal = scene.deal();
                    scene.world.disconnect(false);
                    if is_taken {
                        scene.take(&contract);
                    }
                    scene.finish();
                    let won = if is_taken { by.other() } else { by };
                    scene.assert_over(&contract, is_taken);
                    deal.assert_settled(&scene.world, &[(won, contract.amount)]);
                }
            }
        }
    }
}

#[test]
fn ldk_publishes_what_it_has_though_we_have_signed_more() {
    for form in FORMS {
        for opener in BOTH {
            for heard in [true, false] {
                println!("{form:?} by {opener:?} heard: {heard}");
                let mut scene = Scene::new(form, opener);
                let kept = BOTH.map(|by| scene.offer(by, AMOUNTS[0]));
                let [_, theirs] = BOTH.map(|by| scene.offer(by, AMOUNTS[1]));
                let deal = scene.deal();
                let old = scene.world.theirs.monitor_bytes();
                // We take one of LDK's, and offer another; LDK does not hear that, or its answer
                // does not come to us: then what it publishes is not revoked, though it is old.
                scene.take(&theirs);
                let new = scene.only_signed(heard);
                match heard {
                    true => scene.world.cheat_by_ldk(&old),
                    false => {
                        scene.world.disconnect(false);
                        scene.world.theirs.force_close();
                    }
                }
                scene.rest();
                scene.finish();
                let (us, ldk) = (Who::Us, Who::Ldk);
                let back = kept.each_ref().map(|it| (it.by, it.amount));
                let outputs = [back[0], back[1], (us, AMOUNTS[1]), (us, AMOUNTS[1])];
                deal.assert_settled(&scene.world, &outputs);
                assert_eq!(scene.over.get(&theirs.id), Some(&true));
                assert_eq!(scene.over.get(&new), Some(&false), "{ldk:?} has never taken it");
            }
        }
    }
}

impl Scene {
    /// We offer something and sign for it. LDK hears it or not; its answer does not come.
    fn only_signed(&mut self, heard: bool) -> ContractId {
        let (hash, secret) = self.world.theirs.invoice();
        let (onion, cltv_expiry) = self.world.theirs.onion(AMOUNTS[2], (hash, secret));
        let (amount, payment_hash) = (AMOUNTS[2], id::PaymentHash(hash.0));
        let offer = Offer { amount, payment_hash, cltv_expiry, onion, path_key: None };
        let id = self.world.ours.offer(offer).unwrap_or_else(|no| panic!("{no}"));
        self.world.ours.pump();
        while heard && self.world.carry(false) {}
        id
    }
}
