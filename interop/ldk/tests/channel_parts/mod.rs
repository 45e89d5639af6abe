//! Payments both ways over a channel with LDK, by the dice.

pub mod nonsense;

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::hashes::{Hash as _, sha256};
use channel::{ContractId, End, Event, Offer, Refusal};
use interop_ldk::channel::{CAPACITY, Happened, PUSHED, World, policy};
use lightning::types::payment::{PaymentHash, PaymentPreimage};
use tx::{Form, Side};
use wire::amount::{BlockHeight, FeeratePerKw, Msat, Sat};
use wire::dice::Dice;
use wire::id::{self, OnionHash};
use wire::list::Blob;

/// Things that happen until as many HTLCs as wanted have come to their end.
const ACTIONS_MAX: usize = 200_000;
/// `BADONION|PERM|5`, invalid_onion_hmac.
const BAD_HMAC: u16 = 0xc005;

/// What became of payments.
#[derive(Debug, Default)]
pub struct Score {
    /// Ours that LDK took, failed, and found malformed.
    pub ours: [usize; 3],
    /// LDK's that we took, and that failed.
    pub theirs: [usize; 2],
    /// New rates.
    pub fees: usize,
    /// Lost connections.
    pub lost: usize,
    /// Restarts of our side.
    pub crashes: usize,
    /// Times at which everything was at rest, and both sides had the same.
    pub quiet: usize,
    /// Of these, with HTLCs under way.
    pub quiet_with_htlcs: usize,
}

/// A channel and its payments.
pub struct Traffic {
    pub world: World,
    capacity: Sat,
    dice: Dice,
    pub score: Score,
    /// Payments to LDK: what it has decided, if it has.
    ours: BTreeMap<PaymentHash, Option<bool>>,
    ours_by_id: BTreeMap<ContractId, PaymentHash>,
    /// Payments to LDK that it could take.
    claimable: Vec<(PaymentHash, PaymentPreimage)>,
    /// Payments of LDK, by their hash: what opens them, and what we have decided.
    theirs: BTreeMap<PaymentHash, (id::PaymentPreimage, Option<bool>)>,
    /// HTLCs of LDK's that we could end.
    offered: BTreeMap<ContractId, PaymentHash>,
    over: BTreeSet<ContractId>,
}

impl Traffic {
    /// Payments over a new channel.
    pub fn new(form: Form, by_us: bool, seed: u64) -> Self {
        Self::with(form, by_us, seed, (CAPACITY, PUSHED))
    }

    /// The same over a channel of this size.
    pub fn with(form: Form, by_us: bool, seed: u64, size: (Sat, Msat)) -> Self {
        Self {
            world: World::open_with(form, by_us, policy(), size),
            capacity: size.0,
            dice: Dice::new(seed),
            score: Score::default(),
            ours: BTreeMap::new(),
            ours_by_id: BTreeMap::new(),
            claimable: Vec::new(),
            theirs: BTreeMap::new(),
            offered: BTreeMap::new(),
            over: BTreeSet::new(),
        }
    }

    /// HTLCs that have come to their end.
    pub fn over(&self) -> usize {
        self.over.len()
    }

    /// So many things happen.
    pub fn some(&mut self, actions: usize) {
        for _ in 0..actions {
            self.act();
            self.listen();
        }
    }

    /// Runs until so many HTLCs are over, and then until all are.
    pub fn run(&mut self, htlcs: usize) {
        for _ in 0..ACTIONS_MAX {
            if self.over() >= htlcs {
                return self.finish();
            }
            self.act();
            self.listen();
        }
        panic!("only {} HTLCs of {htlcs} are over: {:?}", self.over(), self.score);
    }

    /// Both offer as much as they may, again and again, and nobody refuses anything.
    pub fn run_at_limits(&mut self, rounds: usize) {
        for _ in 0..rounds {
            if let Some(most) = self.most() {
                self.offer(most, false);
                self.rest();
            }
            let limit = self.world.theirs.limit().unwrap_or(Msat(0));
            if limit >= Msat(1_000) {
                self.pay(limit);
                self.rest();
            }
            for _ in 0..self.dice.below(4) {
                self.end_one();
                self.decide_one();
            }
            if self.dice.one_in(4) {
                self.change_rate();
            }
            self.rest();
        }
        self.finish();
    }

    /// The most that we can offer now: one msat more is refused.
    fn most(&self) -> Option<Msat> {
        let (hash, secret) = self.world.theirs.invoice();
        let (onion, _) = self.world.theirs.onion(Msat(1_000), (hash, secret));
        let may = |amount| {
            let offer = Offer {
                amount: Msat(amount),
                payment_hash: id::PaymentHash(hash.0),
                cltv_expiry: BlockHeight(500),
                onion: onion.clone(),
                path_key: None,
            };
            self.world.ours.channel().send_add(offer).is_ok()
        };
        let (mut least, mut most) = (1_000, self.capacity.0 * 1_000);
        while most - least > 1 {
            let middle = least.midpoint(most);
            *(if may(middle) { &mut least } else { &mut most }) = middle;
        }
        may(least).then_some(Msat(least))
    }

    /// Everything comes to its end, and both sides have the same.
    fn finish(&mut self) {
        for _ in 0..ACTIONS_MAX {
            self.rest();
            if self.offered.is_empty() && self.claimable.is_empty() {
                break;
            }
            self.end_one();
            self.decide_one();
        }
        self.rest();
        let (.., pending) = self.world.ours.balances();
        assert_eq!(pending, 0);
    }

    /// Everything that is under way arrives; then both sides have the same.
    fn rest(&mut self) {
        self.world.settle();
        self.listen();
        self.world.assert_same();
        self.score.quiet += 1;
        self.score.quiet_with_htlcs += usize::from(self.world.ours.balances().2 > 0);
    }

    fn act(&mut self) {
        match self.dice.below(64) {
            0..=5 => self.offer_one(),
            6..=11 => self.pay_one(),
            12..=16 => self.end_one(),
            17..=21 => self.decide_one(),
            22..=34 => _ = self.world.carry(true),
            35..=47 => _ = self.world.carry(false),
            48..=60 => _ = self.world.ours.step(),
            61 if self.dice.one_in(4) => self.change_rate(),
            62 if self.dice.one_in(4) => self.reconnect(),
            63 if self.dice.one_in(6) => self.rest(),
            63 if self.dice.one_in(60) => self.world.mine(),
            _ => {}
        }
        if self.world.theirs.wants_away {
            self.reconnect();
        }
    }

    fn amount(&mut self) -> Msat {
        let amount = match self.dice.below(4) {
            0 => 1_000 + self.dice.below(900_000),
            1 => 340_000 + self.dice.below(2_000_000),
            _ => 1_000_000 + self.dice.below(self.capacity.0 as usize * 20),
        };
        Msat(amount as u64)
    }

    fn offer_one(&mut self) {
        let amount = self.amount();
        let is_bad = self.dice.one_in(12);
        self.offer(amount, is_bad);
    }

    fn offer(&mut self, amount: Msat, is_bad: bool) {
        let (hash, secret) = self.world.theirs.invoice();
        let (mut onion, cltv_expiry) = self.world.theirs.onion(amount, (hash, secret));
        if is_bad {
            let at = 1 + 33 + self.dice.below(1_300);
            onion.0[at] ^= 1;
        }
        let offer = Offer {
            amount,
            payment_hash: id::PaymentHash(hash.0),
            cltv_expiry: BlockHeight(cltv_expiry.0),
            onion,
            path_key: None,
        };
        match self.world.ours.offer(offer) {
            Ok(id) => {
                self.ours.insert(hash, is_bad.then_some(false));
                self.ours_by_id.insert(id, hash);
            }
            Err(
                Refusal::NotConnected
                | Refusal::NotEnough { .. }
                | Refusal::TooMany { .. }
                | Refusal::TooMuchInFlight { .. }
                | Refusal::TooMuchDust { .. }
                | Refusal::Fee { .. }
                | Refusal::NotUsable,
            ) => {}
            Err(other) => panic!("{other}"),
        }
    }

    fn pay_one(&mut self) {
        let amount = self.amount();
        self.pay(amount);
    }

    fn pay(&mut self, amount: Msat) {
        let preimage = self.dice.array();
        let hash = PaymentHash(sha256::Hash::hash(&preimage).to_byte_array());
        self.theirs.insert(hash, (id::PaymentPreimage(preimage), None));
        self.world.theirs.pay(amount, hash);
    }

    /// We end one of LDK's HTLCs.
    fn end_one(&mut self) {
        let at = self.dice.below(self.offered.len().max(1));
        let Some((&id, &hash)) = self.offered.iter().nth(at) else { return };
        let (preimage, decided) = self.theirs.get_mut(&hash).expect("LDK has made it");
        let (end, paid) = match self.dice.below(8) {
            0 => {
                let (sha256_of_onion, failure_code) = (OnionHash([1; 32]), BAD_HMAC);
                (End::Malformed { sha256_of_onion, failure_code }, false)
            }
            1 | 2 => (End::Failed(Blob(self.dice.bytes(600))), false),
            _ => (End::Fulfilled(*preimage), true),
        };
        *decided = Some(paid);
        self.world.ours.end(id.id, end).unwrap_or_else(|no| panic!("{no}"));
        self.offered.remove(&id);
    }

    /// LDK takes or fails one of our payments.
    fn decide_one(&mut self) {
        if self.claimable.is_empty() {
            return;
        }
        let (hash, preimage) = self.claimable.swap_remove(self.dice.below(self.claimable.len()));
        let takes = !self.dice.one_in(3);
        self.ours.insert(hash, Some(takes));
        match takes {
            true => self.world.theirs.claim(preimage),
            false => self.world.theirs.fail(hash),
        }
    }

    fn change_rate(&mut self) {
        let rate = 253 + self.dice.below(3_000) as u32;
        match self.world.ours.side() {
            Side::Opener => {
                let set = self.world.ours.set_fee(FeeratePerKw(rate));
                self.score.fees += usize::from(set.is_ok());
            }
            Side::Acceptor => {
                self.world.theirs.set_rate(rate);
                self.score.fees += 1;
            }
        }
    }

    fn reconnect(&mut self) {
        let crash = self.dice.one_in(3);
        self.score.lost += 1;
        self.score.crashes += usize::from(crash);
        self.world.disconnect(crash);
        // While nobody is connected, things are decided.
        if self.dice.one_in(2) {
            self.listen();
            self.end_one();
            self.decide_one();
        }
        self.world.connect();
    }

    fn listen(&mut self) {
        assert_eq!(self.world.ours.broken, None, "{:?}", self.score);
        assert_eq!(self.world.theirs.complaints, Vec::<String>::new(), "{:?}", self.score);
        while let Some(event) = self.world.ours.told.pop_front() {
            self.hear_ours(event);
        }
        while let Some(event) = self.world.theirs.told.pop_front() {
            self.hear_theirs(event);
        }
    }

    fn hear_ours(&mut self, event: Event) {
        match event {
            Event::Up | Event::Usable => {}
            Event::Refused { .. }
            | Event::TakenBack { .. }
            | Event::Closing
            | Event::Failing(_)
            | Event::NeedsCoins
            | Event::Opened(..)
            | Event::Asked(_)
            | Event::Done => panic!("{event:?}"),
            Event::Offered(id) => {
                let known = &self.world.ours.channel().contracts()[&id];
                let hash = PaymentHash(known.htlc().expect("it is one").payment_hash.0);
                self.offered.insert(id, hash);
            }
            Event::Fulfilled(id, _) => {
                let hash = self.ours_by_id[&id];
                assert_eq!(self.ours[&hash], Some(true), "it has decided so");
            }
            Event::Over { id, end } => {
                let is_new = self.over.insert(id);
                self.offered.remove(&id);
                self.world.ours.heard(id);
                if id.offered_by != self.world.ours.side() || !is_new {
                    return;
                }
                let paid = matches!(end, End::Fulfilled(_));
                // LDK fails some by itself, when it has offered others meanwhile.
                let decided = self.ours[&self.ours_by_id[&id]];
                assert_eq!(decided.unwrap_or(false), paid, "{end:?}");
                let kind = match end {
                    End::Fulfilled(_) => 0,
                    End::Failed(_) => 1,
                    End::Malformed { .. } => 2,
                    End::Opened(_) | End::Cancelled(_) => panic!("{end:?} of an HTLC"),
                };
                self.score.ours[kind] += 1;
            }
        }
    }

    fn hear_theirs(&mut self, event: Happened) {
        match event {
            Happened::Claimable(hash, preimage) => self.claimable.push((hash, preimage)),
            Happened::Claimed(hash) => assert_eq!(self.ours[&hash], Some(true)),
            Happened::Sent(hash) => {
                assert_eq!(self.theirs[&hash].1, Some(true));
                self.score.theirs[0] += 1;
            }
            Happened::Failed(hash) => {
                // If we have decided nothing, it did not leave LDK.
                assert_ne!(self.theirs[&hash].1, Some(true));
                self.score.theirs[1] += usize::from(self.theirs[&hash].1 == Some(false));
            }
            Happened::Ready => {}
            Happened::Closed(why) => panic!("LDK has closed the channel: {why}"),
        }
    }
}
