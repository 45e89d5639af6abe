//! All that the wallet knows, as plain data: what it says of itself follows from this alone.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use bitcoin::{OutPoint, ScriptBuf, Transaction, TxOut, Txid};
use chain::{BlockRef, Height, REORG_BLOCKS_MAX, Watch};
use signer::{Account, AccountBranch, Branch, KEY_INDEX_MAX, KeyIndex, KeyPlace};

use crate::{
    api::{DraftId, Holder, Lock, Wish},
    change::{Change, Made, Plan},
    fault::Refusal,
};

/// Addresses that are watched behind the last one that was used: as many as every other wallet
/// looks at.
pub const GAP_ADDRESSES: u32 = 20;
/// Forgotten spends that are remembered until they are impossible; the oldest go first.
pub const GHOSTS_MAX: usize = 100;
/// Under so many blocks nothing comes back: the chain follows no deeper reorg.
const DEEP_BLOCKS: u32 = REORG_BLOCKS_MAX;

/// The sum of all changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Book {
    pub(crate) account: Account,
    /// They follow from the account.
    branches: [AccountBranch; 2],
    /// The block before the first that matters.
    pub(crate) birthday: BlockRef,
    /// The newest block that it has heard of.
    pub(crate) cursor: BlockRef,
    pub(crate) transactions: BTreeMap<Txid, Entry>,
    /// For each branch, how many places are used or before one that is. It never shrinks.
    pub(crate) used: [u32; 2],
    /// How many addresses were given away, or are before one that was.
    pub(crate) handed: u32,
    pub(crate) locks: BTreeMap<OutPoint, Lock>,
    pub(crate) drafts: BTreeMap<DraftId, Plan>,
    pub(crate) next_draft: DraftId,
    /// The order in which pending transactions were seen.
    pub(crate) next_seen: u64,
    /// Watches for which blocks of the past are being looked through, and from where on.
    pub(crate) searches: BTreeMap<Watch, Height>,
    pub(crate) rescan: Option<Rescan>,
    /// Spends that were given up, the oldest first.
    pub(crate) ghosts: VecDeque<Ghost>,
    /// Every place that is watched. It follows from `used`.
    pub(crate) places: BTreeMap<ScriptBuf, KeyPlace>,
    /// For each branch, how many these are.
    watched: [u32; 2],
    /// Places came within reach that a known transaction pays to. It is not saved.
    pub(crate) is_ledger_stale: bool,
    /// What the chain has not been told yet. It is not saved.
    pub(crate) wishes: VecDeque<Wish>,
}

/// A transaction that has to do with us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) transaction: Arc<Transaction>,
    /// The block that has it.
    pub(crate) block: Option<BlockRef>,
    /// When it was last seen outside of a block; 0 if never.
    pub(crate) seen: u64,
    /// Something, if we have made it.
    pub(crate) made: Option<Made>,
}

/// A spend that was signed and given up. Whoever has it nevertheless could still have it mined, as
/// long as nothing else spends one of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ghost {
    pub(crate) txid: Txid,
    /// Coins of ours.
    pub(crate) spends: Vec<OutPoint>,
}

/// All blocks from somewhere on are looked through again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rescan {
    pub(crate) of: u32,
    pub(crate) found: u32,
}

impl Book {
    pub(crate) fn new(account: Account, birthday: BlockRef) -> Self {
        let mut book = Self::blank(account, birthday);
        book.complete();
        book
    }

    /// One that watches nothing yet.
    pub(crate) fn blank(account: Account, birthday: BlockRef) -> Self {
        Self {
            account,
            branches: Branch::ALL.map(|branch| account.branch(branch)),
            birthday,
            cursor: birthday,
            transactions: BTreeMap::new(),
            used: [0; 2],
            handed: 0,
            locks: BTreeMap::new(),
            drafts: BTreeMap::new(),
            next_draft: DraftId(1),
            next_seen: 1,
            searches: BTreeMap::new(),
            rescan: None,
            ghosts: VecDeque::new(),
            places: BTreeMap::new(),
            watched: [0; 2],
            is_ledger_stale: false,
            wishes: VecDeque::new(),
        }
    }

    /// The output that an input spends, if it is known.
    pub(crate) fn output(&self, outpoint: &OutPoint) -> Option<&TxOut> {
        let entry = self.transactions.get(&outpoint.txid)?;
        entry.transaction.output.get(usize::try_from(outpoint.vout).ok()?)
    }

    /// Whose key spends an output, if it is ours.
    pub(crate) fn place(&self, outpoint: &OutPoint) -> Option<KeyPlace> {
        self.places.get(&self.output(outpoint)?.script_pubkey).copied()
    }

    /// The script of a place.
    pub(crate) fn script(&self, place: KeyPlace) -> ScriptBuf {
        self.branches[place.branch as usize].script(place.index)
    }

    /// For whom a coin is kept, now.
    pub(crate) fn lock(&self, outpoint: &OutPoint) -> Option<Lock> {
        let lock = self.locks.get(outpoint)?;
        let is_over = lock.until.is_some_and(|until| until <= self.cursor.height);
        (!is_over).then_some(*lock)
    }

    /// A place for change that no transaction and no draft has, and that is watched.
    pub(crate) fn free_change(&self) -> Result<KeyIndex, Refusal> {
        let held: BTreeSet<u32> =
            self.drafts.values().filter_map(|plan| plan.change).map(KeyIndex::number).collect();
        let first = self.used[Branch::Change as usize];
        let watched = first..first + GAP_ADDRESSES;
        let (have, max) = (held.len(), GAP_ADDRESSES as usize);
        let free = watched.into_iter().find(|index| !held.contains(index));
        KeyIndex::new(free.ok_or(Refusal::TooManyDrafts { have, max })?).map_err(Refusal::UsedUp)
    }

    /// Transactions that spend from this one, and from those, and so on; this one included.
    pub(crate) fn with_descendants(&self, txid: Txid) -> BTreeSet<Txid> {
        let (mut all, mut ahead) = (BTreeSet::from([txid]), vec![txid]);
        while let Some(parent) = ahead.pop() {
            for (child, entry) in &self.transactions {
                let spends =
                    entry.transaction.input.iter().any(|i| i.previous_output.txid == parent);
                if spends && all.insert(*child) {
                    ahead.push(*child);
                }
            }
        }
        all
    }

    /// Takes a change in. Live running and restoring both go through here.
    pub(crate) fn evolve(&mut self, change: &Change) {
        match change {
            Change::Connected { block, transactions } => {
                self.cursor = *block;
                self.found(*block, transactions);
                self.bury();
            }
            Change::Disconnected { block, cursor } => self.disconnected(*block, *cursor),
            Change::Found { block, transactions } => self.found(*block, transactions),
            Change::Searched { watch } => {
                self.searches.remove(watch);
                if self.searches.is_empty() {
                    self.rescan = None;
                }
            }
            Change::Handed { index } => self.handed = self.handed.max(index.number() + 1),
            Change::Locked { outpoint, lock } => {
                self.locks.insert(*outpoint, *lock);
            }
            Change::Unlocked { outpoint } => {
                self.locks.remove(outpoint);
            }
            Change::Drafted { id, plan } => {
                let lock = Lock { holder: Holder::Draft(*id), until: None };
                self.locks.extend(plan.inputs.iter().map(|outpoint| (*outpoint, lock)));
                self.drafts.insert(*id, plan.clone());
                self.next_draft = DraftId(id.0.saturating_add(1));
            }
            Change::GivenUp { id } => {
                self.end_draft(*id);
            }
            Change::Published { transaction } => self.published(transaction),
            Change::Forgotten { txid } => {
                for gone in self.with_descendants(*txid) {
                    self.haunted_by(gone);
                    self.remove(gone);
                }
            }
            Change::Rescan { from } => self.rescan_from(*from),
        }
    }

    fn found(&mut self, block: BlockRef, transactions: &[Arc<Transaction>]) {
        for transaction in transactions {
            let txid = transaction.compute_txid();
            // One that was given up is ours again: a reorg makes it wait, not vanish.
            let ghosts = self.ghosts.len();
            self.ghosts.retain(|ghost| ghost.txid != txid);
            let made = (self.ghosts.len() < ghosts).then(Made::default);
            self.unguard(txid);
            let known = self.transactions.get_mut(&txid);
            let is_new = known.is_none();
            match known {
                Some(entry) => {
                    entry.block = Some(block);
                    // A block may have other signatures than we have seen.
                    entry.transaction = Arc::clone(transaction);
                }
                None => {
                    let transaction = Arc::clone(transaction);
                    let entry = Entry { transaction, block: Some(block), seen: 0, made };
                    self.transactions.insert(txid, entry);
                }
            }
            if let Some(rescan) = self.rescan.as_mut().filter(|_| is_new) {
                rescan.found = rescan.found.saturating_add(1);
            }
            self.spent(transaction);
            if is_new {
                self.watch_outputs(txid, block.height);
            }
        }
    }

    fn disconnected(&mut self, block: BlockRef, cursor: BlockRef) {
        self.cursor = cursor;
        let seen = self.next_seen;
        let gone = |entry: &Entry| entry.block == Some(block);
        // A coinbase is worth nothing without its block, nor what only stood in something's way.
        let worthless = |entry: &Entry| {
            gone(entry) && (entry.transaction.is_coinbase() || !self.is_related(entry))
        };
        let worthless: Vec<Txid> = self
            .transactions
            .iter()
            .filter(|(_, entry)| worthless(entry))
            .map(|(txid, _)| *txid)
            .collect();
        for txid in worthless {
            self.remove(txid);
        }
        let mut pending = Vec::new();
        for entry in self.transactions.values_mut() {
            if gone(entry) {
                entry.block = None;
                entry.seen = seen;
                self.next_seen = seen.saturating_add(1);
                pending.push(entry.transaction.compute_txid());
            }
        }
        for txid in pending {
            self.guard(txid);
        }
        for from in self.searches.values_mut() {
            *from = (*from).min(Height(cursor.height.0 + 1));
        }
    }

    fn published(&mut self, transaction: &Arc<Transaction>) {
        let txid = transaction.compute_txid();
        self.ghosts.retain(|ghost| ghost.txid != txid);
        let draft = self.drafts.iter().find(|(_, plan)| plan.txid == txid).map(|(id, _)| *id);
        let made = draft.and_then(|id| self.end_draft(id)).map(|plan| plan.made);
        let seen = self.next_seen;
        self.next_seen = seen.saturating_add(1);
        let is_new = !self.transactions.contains_key(&txid);
        let entry = self.transactions.entry(txid).or_insert_with(|| {
            let transaction = Arc::clone(transaction);
            Entry { transaction, block: None, seen, made: None }
        });
        entry.seen = seen;
        entry.made = Some(made.unwrap_or_default());
        self.spent(transaction);
        if is_new {
            self.watch_outputs(txid, Height(self.cursor.height.0 + 1));
            self.guard(txid);
        }
    }

    /// Whether a transaction moves something of ours.
    pub(crate) fn is_related(&self, entry: &Entry) -> bool {
        let Transaction { input, output, .. } = &*entry.transaction;
        entry.made.is_some()
            || output.iter().any(|output| self.places.contains_key(&output.script_pubkey))
            || input.iter().any(|input| self.place(&input.previous_output).is_some())
    }

    /// What a pending transaction spends of others. Whoever else spends it in a block ends the
    /// transaction, and nobody would tell us.
    fn foreign_inputs(&self, txid: Txid) -> Vec<OutPoint> {
        let entry = self.transactions.get(&txid).filter(|entry| entry.block.is_none());
        let inputs = entry.into_iter().flat_map(|entry| &entry.transaction.input);
        let outpoints = inputs.map(|input| input.previous_output);
        outpoints.filter(|outpoint| self.place(outpoint).is_none()).collect()
    }

    fn guard(&mut self, txid: Txid) {
        let from = Height(self.cursor.height.0 + 1);
        for outpoint in self.foreign_inputs(txid) {
            self.wishes.push_back(Wish::Watch { watch: Watch::Spend(outpoint), from });
        }
    }

    /// It is pending no more.
    fn unguard(&mut self, txid: Txid) {
        let mut ended = self.foreign_inputs(txid);
        if ended.is_empty() {
            return;
        }
        for other in self.transactions.keys().filter(|other| **other != txid) {
            let shared = self.foreign_inputs(*other);
            ended.retain(|outpoint| !shared.contains(outpoint));
        }
        for watch in ended.into_iter().map(Watch::Spend) {
            self.searches.remove(&watch);
            self.wishes.push_back(Wish::Unwatch { watch });
        }
    }

    /// A spend of ours is given up, and may be out in the world.
    fn haunted_by(&mut self, txid: Txid) {
        let Some(entry) = self.transactions.get(&txid) else { return };
        let inputs = entry.transaction.input.iter().map(|input| input.previous_output);
        let spends: Vec<_> = inputs.filter(|outpoint| self.place(outpoint).is_some()).collect();
        if entry.made.is_some() && !spends.is_empty() {
            self.ghosts.push_back(Ghost { txid, spends });
        }
        if self.ghosts.len() > GHOSTS_MAX {
            self.ghosts.pop_front();
        }
    }

    /// What can never come back is forgotten: pending transactions, and given up ones, of which
    /// something is spent otherwise in a block so deep; and what is only there to say so.
    fn bury(&mut self) {
        let Some(deepest) = self.cursor.height.0.checked_sub(DEEP_BLOCKS) else { return };
        let pending = || self.transactions.iter().filter(|(_, entry)| entry.block.is_none());
        if pending().next().is_none() && self.ghosts.is_empty() {
            return;
        }
        let deep = |entry: &&Entry| entry.block.is_some_and(|it| it.height.0 <= deepest);
        let deep = || self.transactions.values().filter(deep);
        let inputs = |entry: &Entry| {
            let inputs = entry.transaction.input.iter().map(|input| input.previous_output);
            inputs.collect::<Vec<_>>()
        };
        let spent: BTreeSet<OutPoint> = deep().flat_map(inputs).collect();
        let is_spent = |outpoint: &OutPoint| spent.contains(outpoint);
        let ended = pending().filter(|(_, entry)| inputs(entry).iter().any(is_spent));
        let ended = ended.flat_map(|(txid, _)| self.with_descendants(*txid));
        let strangers = deep().filter(|entry| !self.is_related(entry));
        let strangers = strangers.map(|entry| entry.transaction.compute_txid());
        let gone: BTreeSet<Txid> = ended.chain(strangers).collect();
        self.ghosts.retain(|ghost| !ghost.spends.iter().any(is_spent));
        self.is_ledger_stale |= !gone.is_empty();
        for txid in gone {
            self.remove(txid);
        }
    }

    /// Pending spends of ours that hang on nothing of others: nobody but us can end them.
    pub(crate) fn own_pending(&self) -> BTreeSet<Txid> {
        let pending = |(_, entry): &(&Txid, &Entry)| entry.block.is_none() && entry.made.is_some();
        let mut own: BTreeSet<Txid> =
            self.transactions.iter().filter(pending).map(|(txid, _)| *txid).collect();
        loop {
            let is_firm = |txid: &Txid| {
                own.contains(txid)
                    || self.transactions.get(txid).is_some_and(|entry| entry.block.is_some())
            };
            let hangs = |txid: &&Txid| {
                let entry = self.transactions.get(*txid);
                let mut inputs = entry.into_iter().flat_map(|entry| &entry.transaction.input);
                inputs.any(|input| !is_firm(&input.previous_output.txid))
            };
            let Some(foreign) = own.iter().find(hangs).copied() else { return own };
            own.remove(&foreign);
        }
    }

    /// What is spent needs to be kept for nobody.
    fn spent(&mut self, transaction: &Transaction) {
        for input in &transaction.input {
            self.locks.remove(&input.previous_output);
        }
    }

    fn end_draft(&mut self, id: DraftId) -> Option<Plan> {
        let plan = self.drafts.remove(&id)?;
        let of_it = |lock: &Lock| lock.holder == Holder::Draft(id);
        self.locks.retain(|_, lock| !of_it(lock));
        Some(plan)
    }

    /// Watches the outputs of a transaction that is new, and places further ahead if it uses some.
    fn watch_outputs(&mut self, txid: Txid, from: Height) {
        let mut ahead: Vec<_> = self.ours_of(txid).into_iter().map(|own| (own, from)).collect();
        while !ahead.is_empty() {
            for (outpoint, from) in ahead.drain(..) {
                if let Some(place) = self.place(&outpoint) {
                    let used = &mut self.used[place.branch as usize];
                    *used = (*used).max(place.index.number() + 1);
                }
                self.search(Watch::Spend(outpoint), from);
            }
            let added: BTreeSet<ScriptBuf> = self.extend_places().into_iter().collect();
            // Transactions that are known may have paid there before anybody looked.
            let next = Height(self.cursor.height.0 + 1);
            for (txid, entry) in self.transactions.iter().filter(|_| !added.is_empty()) {
                let from = entry.block.map_or(next, |block| block.height);
                for (vout, output) in (0..).zip(&entry.transaction.output) {
                    if added.contains(&output.script_pubkey) {
                        self.is_ledger_stale = true;
                        ahead.push((OutPoint { txid: *txid, vout }, from));
                    }
                }
            }
            for script in added {
                self.search(Watch::Pay(script), from);
            }
        }
    }

    fn ours_of(&self, txid: Txid) -> Vec<OutPoint> {
        let outputs =
            self.transactions.get(&txid).map_or(0, |entry| entry.transaction.output.len() as u32);
        let outpoints = (0..outputs).map(|vout| OutPoint { txid, vout });
        outpoints.filter(|outpoint| self.place(outpoint).is_some()).collect()
    }

    /// A transaction that was never there, and what was watched of it.
    fn remove(&mut self, txid: Txid) {
        self.unguard(txid);
        for watch in self.ours_of(txid).into_iter().map(Watch::Spend) {
            self.searches.remove(&watch);
            self.wishes.push_back(Wish::Unwatch { watch });
        }
        self.transactions.remove(&txid);
    }

    /// Makes the places that are watched since more are used.
    fn extend_places(&mut self) -> Vec<ScriptBuf> {
        let mut added = Vec::new();
        for (nth, branch) in self.branches.iter().enumerate() {
            let want = self.used[nth] + GAP_ADDRESSES;
            let (have, want) = (self.watched[nth], want.min(KEY_INDEX_MAX + 1));
            self.watched[nth] = want.max(have);
            for index in have..want {
                let index = KeyIndex::new(index).expect("the range ends there");
                let script = branch.script(index);
                self.places.insert(script.clone(), branch.place(index));
                added.push(script);
            }
        }
        added
    }

    fn search(&mut self, watch: Watch, from: Height) {
        if from <= self.cursor.height {
            let before = self.searches.insert(watch.clone(), from);
            if before.is_none()
                && let Some(rescan) = &mut self.rescan
            {
                rescan.of = rescan.of.saturating_add(1);
            }
        }
        self.wishes.push_back(Wish::Watch { watch, from });
    }

    /// All that is watched.
    fn watches(&self) -> Vec<Watch> {
        let pays = self.places.keys().cloned().map(Watch::Pay);
        let ours = self.transactions.keys().flat_map(|txid| self.ours_of(*txid));
        let foreign: BTreeSet<OutPoint> =
            self.transactions.keys().flat_map(|txid| self.foreign_inputs(*txid)).collect();
        pays.chain(ours.chain(foreign).map(Watch::Spend)).collect()
    }

    fn rescan_from(&mut self, from: Height) {
        let watches = self.watches();
        self.searches = watches.iter().map(|watch| (watch.clone(), from)).collect();
        self.rescan = Some(Rescan { of: watches.len() as u32, found: 0 });
        for watch in watches {
            self.wishes.push_back(Wish::Unwatch { watch: watch.clone() });
            self.wishes.push_back(Wish::Watch { watch, from });
        }
    }

    /// A chain that knows nothing of us is told everything.
    pub(crate) fn wish_anew(&mut self) {
        let next = Height(self.cursor.height.0 + 1);
        let wish = |watch: Watch| {
            let from = self.searches.get(&watch).copied().unwrap_or(next);
            Wish::Watch { watch, from }
        };
        self.wishes = self.watches().into_iter().map(wish).collect();
    }

    /// After reading what was saved: what follows from it.
    pub(crate) fn complete(&mut self) {
        self.extend_places();
        self.wish_anew();
    }
}
