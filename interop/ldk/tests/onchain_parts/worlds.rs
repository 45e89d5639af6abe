//! Random lives of a channel with LDK, from its first payment to its last spend: messages wait and
//! are lost, we crash, blocks come and go, and somebody closes by force while all is under way.

use channel::As;
use tx::Side;
use wire::dice::Dice;

use super::*;

/// Below this a contract has no output here, and none is between both.
const DUST_MSAT_MAX: u64 = 300_000;
const LEAST_MSAT: usize = 5_000_000;
/// So long secrets are shown in time.
const LEARN_BLOCKS: usize = 15;
/// So long blocks go as well.
const REORG_BLOCKS: usize = 50;
/// After so many blocks of silence there is nothing to fight for.
const SILENCE_BLOCKS: usize = 130;
/// Worlds of each kind of channel.
const WORLDS: u64 = 8;

/// How a world ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    One(Who),
    Both,
    Silence,
}

/// A payment, as far as it is known to both.
#[derive(Clone, Debug)]
struct Payment {
    by: Who,
    amount: Msat,
    id: Option<ContractId>,
    preimage: Option<PaymentPreimage>,
    /// Whoever is paid has decided.
    is_decided: bool,
}

/// What one commitment would pay.
#[derive(Clone, Debug, PartialEq)]
struct Says {
    free: [Msat; 2],
    contracts: Vec<(ContractId, Msat)>,
}

struct Life {
    scene: Scene,
    dice: Dice,
    payments: BTreeMap<PaymentHash, Payment>,
    /// All commitments that could have been published since somebody wanted the end.
    says: Vec<Says>,
}

impl Life {
    fn amount(&mut self) -> Msat {
        let amount = match self.dice.below(5) {
            0 => 1_000 + self.dice.below(DUST_MSAT_MAX as usize - 1_000),
            _ => LEAST_MSAT + self.dice.below(100_000_000),
        };
        Msat(amount as u64)
    }

    fn pay(&mut self, by: Who) {
        let amount = self.amount();
        let world = &mut self.scene.world;
        match by {
            Who::Us => {
                let (hash, secret) = world.theirs.invoice();
                let (onion, cltv_expiry) = world.theirs.onion(amount, (hash, secret));
                let payment_hash = id::PaymentHash(hash.0);
                let offer = Offer { amount, payment_hash, cltv_expiry, onion, path_key: None };
                let Ok(id) = world.ours.offer(offer) else { return };
                let (id, preimage, is_decided) = (Some(id), None, false);
                self.payments.insert(hash, Payment { by, amount, id, preimage, is_decided });
            }
            Who::Ldk => {
                let preimage: [u8; 32] = self.dice.array();
                let hash = PaymentHash(sha256::Hash::hash(&preimage).to_byte_array());
                let preimage = Some(PaymentPreimage(preimage));
                let payment = Payment { by, amount, id: None, preimage, is_decided: false };
                self.payments.insert(hash, payment);
                world.theirs.pay(amount, hash);
            }
        }
    }

    /// Takes one, or gives it back.
    fn decide(&mut self, gives_back: bool) {
        self.listen();
        let open = self
            .payments
            .iter()
            .filter(|(_, it)| !it.is_decided && it.preimage.is_some() && it.id.is_some());
        let open: Vec<PaymentHash> = open.map(|(hash, _)| *hash).collect();
        if open.is_empty() {
            return;
        }
        let hash = open[self.dice.below(open.len())];
        let gives_back = gives_back && self.dice.one_in(3);
        let payment = self.payments.get_mut(&hash).expect("it is open");
        payment.is_decided = true;
        let preimage = payment.preimage.expect("it is known");
        let world = &mut self.scene.world;
        match (payment.by, gives_back) {
            (Who::Us, false) => world.theirs.claim(preimage),
            (Who::Us, true) => world.theirs.fail(hash),
            (Who::Ldk, is_back) => {
                let end = match is_back {
                    true => End::Failed(Blob(vec![1; 256])),
                    false => End::Fulfilled(id::PaymentPreimage(preimage.0)),
                };
                // What has ended on the chain by now cannot be ended.
                let _ = world.ours.end(payment.id.expect("it has come").id, end);
            }
        }
    }

    fn listen(&mut self) {
        self.scene.listen();
        for (hash, payment) in &mut self.payments {
            if payment.by == Who::Us && payment.preimage.is_none() {
                payment.preimage = self.scene.claimable.get(hash).copied();
            }
        }
        let contracts = self.scene.world.ours.channel().contracts();
        for id in &self.scene.offered {
            let Some(known) = contracts.get(id) else { continue };
            let hash = PaymentHash(known.htlc().expect("it is one").payment_hash.0);
            let payment = self.payments.get_mut(&hash).expect("LDK has made it");
            payment.id = Some(*id);
        }
    }

    fn act(&mut self) {
        match self.dice.below(32) {
            0 => self.pay(Who::Us),
            1 => self.pay(Who::Ldk),
            2 | 3 => self.decide(true),
            4..=11 => _ = self.scene.world.carry(true),
            12..=19 => _ = self.scene.world.carry(false),
            20..=30 => _ = self.scene.world.ours.step(),
            _ if self.dice.one_in(6) => {
                let crash = self.dice.one_in(3);
                self.scene.reconnect(crash);
            }
            _ => {}
        }
        if self.scene.world.theirs.wants_away {
            self.scene.reconnect(false);
        }
        self.listen();
    }

    /// What could be published now.
    fn look(&mut self) {
        let world = &self.scene.world;
        if world.chain.transaction(&world.ours.channel().funding().txid).is_none() {
            return;
        }
        let ours = world.ours.channel();
        let is_us = |side: Side| side == ours.side();
        for owner in [Side::Opener, Side::Acceptor] {
            for which in [As::Draft, As::Signed, As::Settled] {
                let view = ours.ledger().view(owner, which);
                let mut free = [Msat(0); 2];
                for side in [Side::Opener, Side::Acceptor] {
                    let who = if is_us(side) { Who::Us } else { Who::Ldk };
                    free[who as usize] = view.balance(side);
                }
                let contracts = view.contracts.iter().map(|(id, it)| (*id, it.amount)).collect();
                let says = Says { free, contracts };
                if !self.says.contains(&says) {
                    self.says.push(says);
                }
            }
        }
    }

    fn force(&mut self, by: Who) {
        let world = &mut self.scene.world;
        match by {
            Who::Us => world.ours.force_close(),
            Who::Ldk if world.theirs.balances().is_some() => world.theirs.force_close(),
            Who::Ldk => {}
        }
    }

    fn reorg(&mut self) {
        let depth = 1 + self.dice.below(3) as u32;
        self.scene.world.reorg(depth);
    }

    fn end(&mut self, ending: Ending) {
        self.look();
        match ending {
            Ending::One(who) => self.force(who),
            Ending::Both => BOTH.into_iter().for_each(|who| self.force(who)),
            Ending::Silence => {}
        }
        let is_online = ending != Ending::Silence && self.dice.one_in(2);
        if !is_online {
            self.scene.world.disconnect(false);
        }
        for round in 0..END_ROUNDS_MAX {
            self.look();
            if round < LEARN_BLOCKS {
                self.decide(false);
            }
            self.scene.rest();
            self.look();
            if self.dice.one_in(25) {
                self.scene.world.disconnect(true);
                self.scene.rest();
            }
            self.scene.world.mine();
            if round < REORG_BLOCKS && self.dice.one_in(20) {
                self.reorg();
            }
            self.scene.rest();
            let ours = self.scene.world.ours.channel();
            let is_done = *ours.state() == channel::State::Done;
            if is_done && self.scene.world.theirs.is_swept() {
                return self.scene.world.mine_many(2);
            }
            if round > SILENCE_BLOCKS && *ours.state() == channel::State::Normal {
                // There was nothing to fight for.
                self.force(Who::Us);
            }
        }
        let world = &mut self.scene.world;
        let refused = world.chain.refused();
        let ours = world.ours.channel();
        panic!("{ending:?} has no end: {:?} {:?} {refused:?}", ours.state(), ours.ended_by());
    }
}

/// Blocks until all is over.
const END_ROUNDS_MAX: usize = 900;

fn world(form: Form, opener: Who, seed: u64) {
    let scene = Scene::new(form, opener);
    let deal = scene.deal();
    let mut life =
        Life { scene, dice: Dice::new(seed), payments: BTreeMap::new(), says: Vec::new() };
    for _ in 0..300 + life.dice.below(300) {
        life.act();
    }
    let ending = match life.dice.below(6) {
        0 => Ending::Both,
        1 => Ending::Silence,
        2 | 3 => Ending::One(Who::Us),
        _ => Ending::One(Who::Ldk),
    };
    println!("{form:?} by {opener:?}, seed {seed}: {ending:?}");
    life.end(ending);
    life.scene.listen();
    let scene = &life.scene;
    let has_output = |amount: &Msat| amount.0 > DUST_MSAT_MAX;
    let of = |says: &Says| {
        let contracts = says.contracts.iter().filter(|(_, amount)| has_output(amount));
        contracts.copied().collect::<Vec<_>>()
    };
    let published = life.says.iter().find(|says| {
        let outputs: Vec<Msat> = of(says).iter().map(|(_, amount)| *amount).collect();
        deal.with(says.free).is_settled_by(&scene.world, &outputs)
    });
    let says = published.expect("it is a commitment of which we know");
    let us = scene.world.ours.side();
    let won = of(says).into_iter().map(|(id, amount)| {
        let by = if id.offered_by == us { Who::Us } else { Who::Ldk };
        let is_paid = *scene.over.get(&id).unwrap_or_else(|| panic!("{id:?} is not over"));
        (if is_paid { by.other() } else { by }, amount)
    });
    let won: Vec<_> = won.collect();
    deal.with(says.free).assert_settled(&scene.world, &won);
    for (hash, payment) in &life.payments {
        let Some(paid) = payment.id.and_then(|id| scene.over.get(&id)) else { continue };
        if !has_output(&payment.amount) {
            continue;
        }
        let theirs = match payment.by {
            Who::Us => scene.claimed.contains(hash),
            Who::Ldk => scene.sent.contains(hash),
        };
        // What LDK has claimed too late for any commitment it calls claimed all the same.
        assert!(theirs == *paid, "{payment:?}: we say paid: {paid}, LDK: {theirs}");
    }
}

fn worlds(form: Form, opener: Who) {
    for seed in 0..WORLDS {
        world(form, opener, seed);
    }
}

#[test]
fn both_have_what_is_theirs_however_ours_with_anchors_ends() {
    worlds(Form::Anchors, Who::Us);
}

#[test]
fn both_have_what_is_theirs_however_theirs_with_anchors_ends() {
    worlds(Form::Anchors, Who::Ldk);
}

#[test]
fn both_have_what_is_theirs_however_ours_without_anchors_ends() {
    worlds(Form::StaticRemoteKey, Who::Us);
}

#[test]
fn both_have_what_is_theirs_however_theirs_without_anchors_ends() {
    worlds(Form::StaticRemoteKey, Who::Ldk);
}
