//! Transactions that wait for a block, under the policy that Lightning relies on.

mod chunks;
mod judge;
mod package;
mod policy;
mod refusal;
mod replace;
mod standard;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bitcoin::{Amount, OutPoint, Transaction, Txid, Wtxid};

use crate::ledger::{Coin, Ledger, Step, View};
pub use judge::Plan;
pub use package::{PACKAGE_TXS_MAX, PackageFault, Part};
pub use policy::{Policy, Rate};
pub use refusal::{Refusal, Truc};
pub use standard::is_anchor;

/// Transactions in the mempool.
pub const ENTRIES_MAX: usize = 50_000;
/// Transactions that hang together.
pub const CLUSTER_MAX: usize = 64;
/// Virtual bytes of transactions that hang together.
pub const CLUSTER_BYTES_MAX: u64 = 101_000;
/// Clusters that a replacement touches.
pub const REPLACED_CLUSTERS_MAX: usize = 100;
/// Virtual bytes of a transaction of version 3.
pub const TRUC_BYTES_MAX: u64 = 10_000;
/// Virtual bytes of one with a parent in the mempool.
pub const TRUC_CHILD_BYTES_MAX: u64 = 1_000;
/// A transaction of version 3 and its ancestors, or its descendants.
pub const TRUC_FAMILY_MAX: usize = 2;

/// A transaction that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The transaction.
    pub tx: Arc<Transaction>,
    /// Its id.
    pub txid: Txid,
    /// Its id with witnesses.
    pub wtxid: Wtxid,
    /// What it leaves for the miner.
    pub fee: Amount,
    /// Its weight in bytes, signature operations counted in.
    pub vbytes: u64,
    /// What its signature operations cost.
    pub sigops: u64,
    /// When it came, in seconds since 1970, if somebody had a clock.
    pub time: u64,
    /// The height of the chain then.
    pub height: u32,
    /// How many came before.
    pub order: u64,
    /// What it spends of others that wait.
    pub parents: BTreeSet<Txid>,
    /// Who spends of it.
    pub children: BTreeSet<Txid>,
}

/// Transactions that wait for a block.
#[derive(Clone, Debug, Default)]
pub struct Mempool {
    policy: Policy,
    entries: BTreeMap<Txid, Entry>,
    spenders: BTreeMap<OutPoint, Txid>,
    came: u64,
}

impl Mempool {
    /// An empty one.
    pub fn new(policy: Policy) -> Self {
        Self { policy, ..Self::default() }
    }

    /// Its numbers.
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Changes its numbers. Who waits stays.
    pub const fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// All that wait.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many have ever come.
    pub const fn sequence(&self) -> u64 {
        self.came
    }

    /// One that waits.
    pub fn entry(&self, txid: &Txid) -> Option<&Entry> {
        self.entries.get(txid)
    }

    /// Who spends an output.
    pub fn spender(&self, outpoint: &OutPoint) -> Option<&Entry> {
        self.entries.get(self.spenders.get(outpoint)?)
    }

    /// All that one spends of, and itself.
    pub fn ancestors(&self, txid: &Txid) -> BTreeSet<Txid> {
        self.reach([*txid], |entry| Box::new(entry.parents.iter()))
    }

    /// All that spend of one, and itself.
    pub fn descendants(&self, txid: &Txid) -> BTreeSet<Txid> {
        self.reach([*txid], |entry| Box::new(entry.children.iter()))
    }

    /// All that hang together with these.
    fn cluster(&self, from: impl IntoIterator<Item = Txid>) -> BTreeSet<Txid> {
        self.reach(from, |entry| Box::new(entry.parents.iter().chain(&entry.children)))
    }

    fn reach<'a>(
        &'a self,
        from: impl IntoIterator<Item = Txid>,
        next: impl Fn(&'a Entry) -> Box<dyn Iterator<Item = &'a Txid> + 'a>,
    ) -> BTreeSet<Txid> {
        let mut found = BTreeSet::new();
        let mut open: Vec<Txid> = from.into_iter().collect();
        while let Some(txid) = open.pop() {
            if let Some(entry) = self.entries.get(&txid)
                && found.insert(txid)
            {
                open.extend(next(entry));
            }
        }
        found
    }

    /// The coin at an outpoint for somebody who wants to spend it next, spent by another one that
    /// waits or not.
    pub fn coin(&self, ledger: &Ledger, outpoint: &OutPoint) -> Option<Coin> {
        if let Some(entry) = self.entries.get(&outpoint.txid) {
            let output = entry.tx.output.get(outpoint.vout as usize)?.clone();
            let spendable = !crate::ledger::is_unspendable(&output);
            let height = ledger.height() + 1;
            return spendable.then_some(Coin { output, height, coinbase: false });
        }
        ledger.coin(outpoint).cloned()
    }

    /// Takes a transaction in, and out what it replaces.
    pub fn submit(&mut self, ledger: &Ledger, tx: Transaction, time: u64) -> Result<Plan, Refusal> {
        let plan = self.judge(ledger, &tx)?;
        self.carry_out(&plan, tx, ledger.height(), time);
        Ok(plan)
    }

    fn carry_out(&mut self, plan: &Plan, tx: Transaction, height: u32, time: u64) {
        for txid in &plan.replaces {
            self.remove(txid);
        }
        let (txid, wtxid) = (plan.txid, plan.wtxid);
        for outpoint in tx.input.iter().map(|input| input.previous_output) {
            self.spenders.insert(outpoint, txid);
        }
        // After a reorg a child may be here before its parent.
        let children: BTreeSet<Txid> = (0..tx.output.len() as u32)
            .filter_map(|vout| self.spenders.get(&OutPoint { txid, vout }))
            .copied()
            .collect();
        for (relatives, up) in [(&plan.parents, false), (&children, true)] {
            for relative in relatives {
                if let Some(entry) = self.entries.get_mut(relative) {
                    let kin = if up { &mut entry.parents } else { &mut entry.children };
                    kin.insert(txid);
                }
            }
        }
        let entry = Entry {
            tx: Arc::new(tx),
            txid,
            wtxid,
            fee: plan.fee,
            vbytes: plan.vbytes,
            sigops: plan.sigops,
            time,
            height,
            order: self.came,
            parents: plan.parents.clone(),
            children,
        };
        self.came += 1;
        self.entries.insert(txid, entry);
    }

    /// Takes one out. Those that spend of it lose a parent.
    fn remove(&mut self, txid: &Txid) -> Option<Entry> {
        let entry = self.entries.remove(txid)?;
        for outpoint in entry.tx.input.iter().map(|input| input.previous_output) {
            if self.spenders.get(&outpoint) == Some(txid) {
                self.spenders.remove(&outpoint);
            }
        }
        for parent in &entry.parents {
            if let Some(parent) = self.entries.get_mut(parent) {
                parent.children.remove(txid);
            }
        }
        for child in &entry.children {
            if let Some(child) = self.entries.get_mut(child) {
                child.parents.remove(txid);
            }
        }
        Some(entry)
    }

    /// Follows the chain: what is in blocks leaves, with all that conflicts with it; what is in
    /// blocks no more comes back, and all that is not valid any more leaves.
    pub fn follow(&mut self, ledger: &Ledger, step: &Step, time: u64) {
        for tx in step.come.iter().flat_map(|block| &block.txdata) {
            self.remove(&tx.compute_txid());
            for input in &tx.input {
                if let Some(txid) = self.spenders.get(&input.previous_output).copied() {
                    for txid in self.descendants(&txid) {
                        self.remove(&txid);
                    }
                }
            }
        }
        if !step.gone.is_empty() {
            self.come_back(ledger, step, time);
        }
    }

    fn come_back(&mut self, ledger: &Ledger, step: &Step, time: u64) {
        let blocks = step.gone.iter().rev().flat_map(|block| block.txdata.iter().skip(1));
        let now = (time, ledger.height());
        let mut all: Vec<_> = blocks.map(|tx| (tx.clone(), now)).collect();
        let mut entries: Vec<Entry> = std::mem::take(&mut self.entries).into_values().collect();
        entries.sort_by_key(|entry| entry.order);
        all.extend(entries.into_iter().map(|entry| {
            let came = (entry.time, entry.height);
            (Transaction::clone(&entry.tx), came)
        }));
        self.spenders.clear();
        for (tx, (time, height)) in all {
            // What is in the chain again, or fits no more, stays out.
            if let Ok(plan) = self.judge_again(ledger, &tx) {
                self.carry_out(&plan, tx, height, time);
            }
        }
    }

    /// What goes into the next block, parents first, and their fees.
    pub fn choose(&self, room: Room) -> (Vec<Arc<Transaction>>, Amount) {
        let mut entries: Vec<&Entry> = self.entries.values().collect();
        entries.sort_by_key(|entry| entry.order);
        let (mut chosen, mut room, mut fees) = (BTreeSet::new(), room, Amount::ZERO);
        let mut transactions = Vec::new();
        for entry in entries {
            let weight = entry.tx.weight().to_wu();
            let fits = weight <= room.weight && entry.sigops <= room.sigops;
            if fits && entry.parents.is_subset(&chosen) {
                room.weight -= weight;
                room.sigops -= entry.sigops;
                fees += entry.fee;
                chosen.insert(entry.txid);
                transactions.push(Arc::clone(&entry.tx));
            }
        }
        (transactions, fees)
    }
}

/// What a block has left for transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Weight.
    pub weight: u64,
    /// Cost of signature operations.
    pub sigops: u64,
}

impl Room {
    /// A block with nothing but its coinbase.
    pub const BLOCK: Self = Self { weight: 4_000_000 - 8_000, sigops: 80_000 - 400 };
}
