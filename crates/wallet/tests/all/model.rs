//! Anything may happen, in any order: a plain model that knows nothing of bdk says what there is.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction, Txid};
use chain::Height;
use signer::{Branch, KeyIndex, KeyPlace};
use wallet::{Balance, Draft, DraftId, Order, Refusal};

use crate::{
    blocks::stranger,
    world::{World, all, order, rate, sat},
};

/// What should be, as sets of whole transactions.
struct Model {
    /// All scripts that could ever be ours.
    ours: BTreeSet<ScriptBuf>,
    /// For each block, its transactions; coinbases are strangers'.
    chain: Vec<Vec<Transaction>>,
    /// What waits for a block, and whether we made it.
    pending: Vec<(Transaction, bool)>,
    drafts: BTreeMap<DraftId, (Draft, Option<Txid>)>,
    locks: BTreeMap<OutPoint, (u32, Option<Height>)>,
    /// Everything that we have published, ever.
    made: BTreeSet<Txid>,
}

impl Model {
    fn new(world: &World) -> Self {
        let mut ours = BTreeSet::new();
        for branch in Branch::ALL {
            for index in 0..400 {
                let index = KeyIndex::new(index).unwrap();
                ours.insert(world.wallet.account().script(KeyPlace { branch, index }));
            }
        }
        let (chain, pending) = (vec![Vec::new()], Vec::new());
        let (drafts, locks, made) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        Self { ours, chain, pending, drafts, locks, made }
    }

    /// Every coin: its amount, and whether it is confirmed.
    fn coins(&self) -> BTreeMap<OutPoint, (Amount, bool)> {
        let mut coins = BTreeMap::new();
        let confirmed = self.chain.iter().flatten().map(|each| (each, true));
        let pending = self.pending.iter().map(|(each, _)| (each, false));
        let all: Vec<_> = confirmed.chain(pending).collect();
        for (transaction, is_confirmed) in &all {
            let txid = transaction.compute_txid();
            for (vout, output) in (0..).zip(&transaction.output) {
                if self.ours.contains(&output.script_pubkey) {
                    coins.insert(OutPoint { txid, vout }, (output.value, *is_confirmed));
                }
            }
        }
        for input in all.iter().flat_map(|(transaction, _)| &transaction.input) {
            coins.remove(&input.previous_output);
        }
        coins
    }

    fn is_locked(&self, outpoint: &OutPoint, tip: Height) -> bool {
        let drafted = self
            .drafts
            .values()
            .any(|(draft, _)| draft.spend().inputs.iter().any(|input| input.outpoint == *outpoint));
        let kept = self.locks.get(outpoint);
        drafted || kept.is_some_and(|(_, until)| until.is_none_or(|until| until > tip))
    }

    fn balance(&self, reserve: Amount) -> Balance {
        let tip = Height(self.chain.len() as u32 - 1);
        let mut balance = Balance { reserve, ..Balance::default() };
        let own = self.own();
        for (outpoint, (amount, is_confirmed)) in self.coins() {
            let is_change = own.contains(&outpoint.txid);
            let is_locked = self.is_locked(&outpoint, tip);
            match is_confirmed {
                true => balance.confirmed += amount,
                false => balance.pending += amount,
            }
            if !is_confirmed && is_change {
                balance.change += amount;
            }
            if is_locked {
                balance.locked += amount;
            } else if is_confirmed || is_change {
                balance.spendable += amount;
            }
        }
        balance.spendable = balance.spendable.checked_sub(reserve).unwrap_or_default();
        balance
    }

    /// What we have made, and nothing pending of others stands behind.
    fn own(&self) -> BTreeSet<Txid> {
        let firm = self.chain.iter().flatten().map(Transaction::compute_txid);
        let (mut firm, mut own): (BTreeSet<Txid>, _) = (firm.collect(), BTreeSet::new());
        // Each time at least one more is known, or nothing changes any more.
        for _ in 0..=self.pending.len() {
            for (each, is_ours) in &self.pending {
                let mut inputs = each.input.iter().map(|input| input.previous_output.txid);
                if *is_ours && inputs.all(|parent| firm.contains(&parent)) {
                    firm.insert(each.compute_txid());
                    own.insert(each.compute_txid());
                }
            }
        }
        own
    }

    /// A transaction and all that hangs on it are pending no more.
    fn drop(&mut self, txid: Txid) {
        let mut gone = BTreeSet::from([txid]);
        loop {
            let before = gone.len();
            for (each, _) in &self.pending {
                if each.input.iter().any(|input| gone.contains(&input.previous_output.txid)) {
                    gone.insert(each.compute_txid());
                }
            }
            if gone.len() == before {
                break;
            }
        }
        self.pending.retain(|(each, _)| !gone.contains(&each.compute_txid()));
    }

    /// Some of what is pending, parents first.
    fn take_some(&mut self, world: &mut World) -> Vec<Transaction> {
        let mut taken: Vec<Transaction> = Vec::new();
        let mut left = Vec::new();
        for (each, is_ours) in std::mem::take(&mut self.pending) {
            let waits = |parent: &(Transaction, bool)| {
                let txid = parent.0.compute_txid();
                each.input.iter().any(|input| input.previous_output.txid == txid)
            };
            if left.iter().any(waits) || world.dice.one_in(3) {
                left.push((each, is_ours));
            } else {
                taken.push(each);
            }
        }
        self.pending = left;
        taken
    }

    /// Locks of coins that were spent are over.
    fn spent(&mut self, transaction: &Transaction) {
        for input in &transaction.input {
            self.locks.remove(&input.previous_output);
        }
    }
}

struct Run {
    world: World,
    model: Model,
    /// How often each thing came to pass, by its name.
    marks: BTreeMap<&'static str, u32>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let world = World::seeded(seed);
        let model = Model::new(&world);
        Self { world, model, marks: BTreeMap::new() }
    }

    fn mark(&mut self, name: &'static str) {
        *self.marks.entry(name).or_default() += 1;
    }

    fn check(&mut self) {
        let reserve = sat(self.world.dice.below(60_000) as u64);
        assert_eq!(self.world.wallet.balance(reserve), self.model.balance(reserve));
        let coins = self.world.wallet.coins();
        let coins: BTreeMap<_, _> = coins
            .iter()
            .map(|coin| (coin.outpoint, (coin.amount, coin.height.is_some())))
            .collect();
        assert_eq!(coins, self.model.coins());
        let ours = self.model.pending.iter().filter(|(_, is_ours)| *is_ours);
        let ours: BTreeSet<Txid> = ours.map(|(each, _)| each.compute_txid()).collect();
        let again: BTreeSet<Txid> =
            self.world.wallet.to_rebroadcast().iter().map(|each| each.compute_txid()).collect();
        assert_eq!(again, ours);
    }

    fn step(&mut self) {
        match self.world.dice.below(16) {
            0..=2 => self.block(),
            3 => self.reorg(),
            4..=6 => self.draft(),
            7..=9 => self.publish(),
            10 => self.give_up(),
            11 => self.bump(),
            12 => self.lock(),
            13 => self.forget(),
            14 => {
                self.mark("restart");
                self.world.restart();
            }
            _ if self.world.dice.one_in(3) => {
                self.mark("rescan");
                let tip = self.world.wallet.cursor().height.0;
                let from = Height(1 + self.world.dice.below(tip as usize) as u32);
                if from.0 <= tip {
                    self.world.wallet.rescan(from).unwrap();
                    self.world.settle();
                    assert_eq!(self.world.wallet.progress(), None);
                }
            }
            _ => self.world.fold(),
        }
        self.world.save();
        self.check();
    }

    fn block(&mut self) {
        let mut transactions = self.model.take_some(&mut self.world);
        for _ in 0..self.world.dice.below(3) {
            let gift = self.world.dice.below(90_000) as u64 + 400;
            transactions.push(self.world.gift(gift));
        }
        for each in &transactions {
            self.model.spent(each);
        }
        self.model.chain.push(transactions.clone());
        self.world.mine(transactions);
        self.mark("block");
    }

    fn reorg(&mut self) {
        let have = self.model.chain.len() - 1;
        let depth = (1 + self.world.dice.below(4)).min(have);
        if depth == 0 {
            return;
        }
        let gone: Vec<_> =
            self.model.chain.split_off(have + 1 - depth).into_iter().flatten().collect();
        let mut again: Vec<_> = gone
            .into_iter()
            .map(|each| {
                let is_ours = self.model.made.contains(&each.compute_txid());
                (each, is_ours)
            })
            .collect();
        // Parents first: what was in blocks is before what was in none.
        again.append(&mut self.model.pending);
        self.model.pending = again;
        let mut blocks = Vec::new();
        for _ in 0..=depth {
            let some = match self.world.dice.one_in(2) {
                true => self.model.take_some(&mut self.world),
                false => Vec::new(),
            };
            blocks.push(some.clone());
            self.model.chain.push(some);
        }
        self.world.reorg(depth, blocks);
        self.mark("reorg");
    }

    fn draft(&mut self) {
        let to = stranger(self.world.dice.throw());
        let (sats, rate) =
            (self.world.dice.below(150_000) as u64, 1 + self.world.dice.below(20) as u64);
        let reserve = match self.world.dice.one_in(3) {
            true => sat(self.world.dice.below(40_000) as u64),
            false => Amount::ZERO,
        };
        let order = match self.world.dice.one_in(4) {
            true => all(to.clone(), rate),
            false => order(to.clone(), sats, rate),
        };
        let order = Order { reserve, ..order };
        let spendable = self.model.balance(reserve).spendable;
        let before = self.world.wallet.snapshot();
        match self.world.send(&order) {
            Ok(draft) => {
                self.mark("draft");
                let paid = draft.spend().transaction(self.world.wallet.account()).output;
                let to = paid.iter().filter(|output| output.script_pubkey == to);
                let to: Amount = to.map(|output| output.value).sum();
                assert!(to + draft.fee() <= spendable, "{to} {} {spendable}", draft.fee());
                for input in &draft.spend().inputs {
                    let tip = self.world.wallet.cursor().height;
                    assert!(!self.model.is_locked(&input.outpoint, tip));
                    let (_, is_confirmed) = self.model.coins()[&input.outpoint];
                    assert!(is_confirmed || self.model.own().contains(&input.outpoint.txid));
                }
                self.model.drafts.insert(draft.id(), (draft, None));
            }
            Err(refusal) => {
                assert_eq!(self.world.wallet.snapshot(), before, "{refusal}");
                // There is no reason to refuse what is there, but for what it costs.
                if let Refusal::NotEnough { need, fee, .. } | Refusal::Reserve { need, fee, .. } =
                    refusal
                {
                    assert!(need + fee > spendable || need == Amount::ZERO, "{refusal}");
                    self.mark("refused");
                }
            }
        }
    }

    fn some_draft(&mut self) -> Option<DraftId> {
        let ids: Vec<_> = self.model.drafts.keys().copied().collect();
        ids.get(self.world.dice.below(ids.len().max(1))).copied()
    }

    fn publish(&mut self) {
        let Some(id) = self.some_draft() else { return };
        let (draft, replaces) = self.model.drafts.remove(&id).unwrap();
        let transaction = self.world.sign(&draft);
        let before = self.world.wallet.snapshot();
        match self.world.wallet.published(transaction.clone()) {
            Ok(()) => {
                self.world.settle();
                self.mark(if replaces.is_some() { "replaced" } else { "published" });
                self.model.spent(&transaction);
                if let Some(txid) = replaces {
                    self.model.drop(txid);
                }
                self.model.made.insert(transaction.compute_txid());
                self.model.pending.push((transaction, true));
            }
            Err(refusal) => {
                // Its coin went away meanwhile.
                // Or its parent was confirmed, and taken back, and is being replaced anew.
                let is_gone = matches!(
                    refusal,
                    Refusal::DoubleSpend { .. }
                        | Refusal::UnknownCoin { .. }
                        | Refusal::Locked { .. }
                );
                assert!(is_gone, "{refusal}");
                assert_eq!(self.world.wallet.snapshot(), before);
                self.world.wallet.give_up(id).unwrap();
                self.mark("too late");
            }
        }
    }

    fn give_up(&mut self) {
        let Some(id) = self.some_draft() else { return };
        self.model.drafts.remove(&id);
        self.world.wallet.give_up(id).unwrap();
        self.mark("given up");
    }

    fn bump(&mut self) {
        let ours: Vec<Txid> =
            self.model.pending.iter().filter(|(_, o)| *o).map(|(t, _)| t.compute_txid()).collect();
        let Some(txid) = ours.get(self.world.dice.below(ours.len().max(1))).copied() else {
            return;
        };
        let (rate, draw) = (rate(2 + self.world.dice.below(60) as u64), self.world.dice.array());
        let before = self.world.wallet.snapshot();
        match self.world.wallet.bump(&wallet::Bump::new(txid, rate), draw) {
            Ok(draft) => {
                self.mark("bump");
                self.model.drafts.insert(draft.id(), (draft, Some(txid)));
            }
            Err(refusal) => assert_eq!(self.world.wallet.snapshot(), before, "{refusal}"),
        }
    }

    fn lock(&mut self) {
        let coins: Vec<OutPoint> = self.model.coins().into_keys().collect();
        let Some(outpoint) = coins.get(self.world.dice.below(coins.len().max(1))).copied() else {
            return;
        };
        let tip = self.world.wallet.cursor().height;
        if self.model.locks.contains_key(&outpoint) && self.world.dice.one_in(2) {
            let user = self.model.locks[&outpoint].0;
            if self.world.wallet.unlock(outpoint, user).is_ok() {
                self.model.locks.remove(&outpoint);
                self.mark("unlocked");
            }
            return;
        }
        let until = match self.world.dice.one_in(2) {
            true => Some(Height(tip.0 + 1 + self.world.dice.below(5) as u32)),
            false => None,
        };
        match self.world.wallet.lock(outpoint, 1, until) {
            Ok(()) => {
                self.model.locks.insert(outpoint, (1, until));
                self.mark("locked");
            }
            Err(refusal) => assert!(matches!(refusal, Refusal::Locked { .. }), "{refusal}"),
        }
    }

    fn forget(&mut self) {
        let Some((each, _)) =
            self.model.pending.get(self.world.dice.below(self.model.pending.len().max(1)))
        else {
            return;
        };
        let txid = each.compute_txid();
        // What it replaced would be pending again; the model does not remember that.
        if self.marks.contains_key("replaced") {
            return;
        }
        self.world.wallet.forget(txid).unwrap();
        self.model.drop(txid);
        self.mark("forgotten");
    }
}

fn run(seeds: std::ops::Range<u64>, steps: usize) -> BTreeMap<&'static str, u32> {
    let mut marks: BTreeMap<&'static str, u32> = BTreeMap::new();
    for seed in seeds {
        let mut run = Run::new(seed);
        for _ in 0..steps {
            run.step();
        }
        for (name, count) in run.marks {
            *marks.entry(name).or_default() += count;
        }
    }
    marks
}

#[test]
fn whatever_happens_the_model_has_the_same() {
    let marks = run(0..6, 150);
    let names = [
        "block",
        "reorg",
        "draft",
        "refused",
        "published",
        "replaced",
        "given up",
        "bump",
        "locked",
        "unlocked",
        "forgotten",
        "restart",
        "rescan",
    ];
    for name in names {
        assert!(marks.get(name).is_some_and(|count| *count > 1), "{name}: {marks:?}");
    }
}

#[test]
#[ignore = "takes two minutes"]
fn whatever_happens_in_many_more_cases() {
    run(100..130, 200);
}
