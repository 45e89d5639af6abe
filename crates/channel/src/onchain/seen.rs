//! What stands in blocks, and leaves with them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bitcoin::{OutPoint, Transaction, Txid};
use wire::amount::BlockHeight;

/// The transactions of a channel that are in blocks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    funding: Option<(BlockHeight, u32)>,
    spends: BTreeMap<OutPoint, Spend>,
}

/// Something was spent.
#[derive(Clone, Debug)]
pub(crate) struct Spend {
    pub(crate) height: BlockHeight,
    pub(crate) transaction: Arc<Transaction>,
    /// By which of its inputs.
    pub(crate) input: usize,
}

impl Seen {
    /// What was saved.
    pub(crate) const fn of(
        funding: Option<(BlockHeight, u32)>,
        spends: BTreeMap<OutPoint, Spend>,
    ) -> Self {
        Self { funding, spends }
    }

    /// Where the funding is, and at which place of its block.
    pub(crate) const fn funding_at(&self) -> Option<(BlockHeight, u32)> {
        self.funding
    }

    /// Where the funding is.
    pub(crate) fn funding(&self) -> Option<BlockHeight> {
        self.funding.map(|(height, _)| height)
    }

    /// Who has spent this.
    pub(crate) fn spend(&self, outpoint: &OutPoint) -> Option<&Spend> {
        self.spends.get(outpoint)
    }

    /// All that was spent.
    pub(crate) const fn spends(&self) -> &BTreeMap<OutPoint, Spend> {
        &self.spends
    }

    /// Whether this is known of already.
    pub(crate) fn has(
        &self,
        funding: OutPoint,
        height: BlockHeight,
        transaction: &Transaction,
    ) -> bool {
        let txid = transaction.compute_txid();
        if txid == funding.txid {
            return self.funding() == Some(height);
        }
        let spends = &mut self.spends.values();
        spends.any(|it| it.height == height && it.transaction.compute_txid() == txid)
    }

    /// Whether something would be lost with the block of this height.
    pub(crate) fn reaches(&self, height: BlockHeight) -> bool {
        self.funding().is_some_and(|it| it >= height)
            || self.spends.values().any(|it| it.height >= height)
    }

    /// All outputs of transactions that spend what is ours.
    pub(crate) fn outputs(&self) -> impl Iterator<Item = OutPoint> {
        let by_id: BTreeMap<Txid, u32> = self
            .spends
            .values()
            .map(|it| (it.transaction.compute_txid(), it.transaction.output.len() as u32))
            .collect();
        by_id
            .into_iter()
            .flat_map(|(txid, outputs)| (0..outputs).map(move |vout| OutPoint { txid, vout }))
    }

    /// A transaction is in a block: one that pays the funding, or spends what is ours.
    pub(crate) fn take(
        &mut self,
        funding: OutPoint,
        (height, position): (BlockHeight, u32),
        transaction: &Arc<Transaction>,
    ) {
        if transaction.compute_txid() == funding.txid {
            self.funding = Some((height, position));
        }
        let known: BTreeSet<Txid> =
            self.spends.values().map(|it| it.transaction.compute_txid()).collect();
        for (input, spent) in transaction.input.iter().enumerate() {
            let outpoint = spent.previous_output;
            if outpoint == funding || known.contains(&outpoint.txid) {
                let transaction = transaction.clone();
                self.spends.insert(outpoint, Spend { height, transaction, input });
            }
        }
    }

    /// The block of this height is gone, with all after it.
    pub(crate) fn forget(&mut self, height: BlockHeight) {
        self.funding = self.funding.filter(|(at, _)| *at < height);
        self.spends.retain(|_, spend| spend.height < height);
    }
}
