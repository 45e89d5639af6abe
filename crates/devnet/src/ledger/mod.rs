//! A regtest chain of our own: blocks, the active chain among them, and the coins at its tip.
//!
//! It stands alone as a light chain that checks most of consensus ([`Ledger::offer`]), or beside
//! a validator as its index ([`Ledger::store`] and [`Ledger::follow`]). It has no clock, no disk
//! and no threads: what it is told is all that it knows. Scripts are run by the kernel's
//! interpreter; without the feature `kernel` only those of [`plain`] can be spent.

mod assemble;
mod coins;
mod fault;
mod locks;
pub mod plain;
mod rules;
#[cfg(feature = "kernel")]
mod scripts;
mod tree;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bitcoin::{
    Block, BlockHash, Network, OutPoint, Script, Transaction, Txid, Work, constants::genesis_block,
};

pub use assemble::{Draft, coinbase_commitment, grind};
use coins::Overlay;
pub(crate) use coins::is_unspendable;
pub use coins::{Coin, View};
pub use fault::{BlockFault, TxFault};
pub use locks::{Place, absolute, relative};
#[cfg(not(feature = "kernel"))]
pub use plain::verify;
pub use rules::{
    AHEAD_SECONDS_MAX, Care, HALVING_BLOCKS, MATURITY_BLOCKS, SIGOPS_COST_MAX, VERSION_MIN, bits,
    sigops_cost, spend, subsidy, transaction,
};
#[cfg(feature = "kernel")]
pub use scripts::verify;
pub use tree::{Node, Standing};

/// A block of the active chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockRef {
    /// How many blocks are before it.
    pub height: u32,
    /// Which it is.
    pub hash: BlockHash,
}

/// What has happened to the active chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Blocks that are in it no more, the newest first.
    pub gone: Vec<Arc<Block>>,
    /// Blocks that have come, the oldest first.
    pub come: Vec<Arc<Block>>,
}

/// Blocks, the active chain, and its coins.
#[derive(Clone, Debug)]
pub struct Ledger {
    nodes: BTreeMap<BlockHash, Node>,
    /// The active chain, from the first block on.
    active: Vec<BlockHash>,
    /// What each of its blocks has spent.
    undo: Vec<Vec<(OutPoint, Coin)>>,
    coins: BTreeMap<OutPoint, Coin>,
    /// Where the transactions of the active chain are.
    homes: BTreeMap<Txid, (u32, usize)>,
    /// Blocks that something speaks against.
    marked: BTreeSet<BlockHash>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new()
    }
}

impl Ledger {
    /// The chain of the first block alone.
    pub fn new() -> Self {
        let first = genesis_block(Network::Regtest);
        let hash = first.block_hash();
        let node = Node::first(Arc::new(first));
        Self {
            nodes: BTreeMap::from([(hash, node)]),
            active: vec![hash],
            undo: vec![Vec::new()],
            // Nobody can spend what the first block pays.
            coins: BTreeMap::new(),
            homes: BTreeMap::new(),
            marked: BTreeSet::new(),
        }
    }

    /// The newest block.
    pub fn tip(&self) -> BlockRef {
        let hash = *self.active.last().expect("the first block stays");
        BlockRef { height: self.height(), hash }
    }

    /// The height of the newest block.
    pub fn height(&self) -> u32 {
        (self.active.len() - 1) as u32
    }

    /// The block of the active chain at a height.
    pub fn at(&self, height: u32) -> Option<BlockHash> {
        self.active.get(height as usize).copied()
    }

    /// A block, in the active chain or not.
    pub fn node(&self, hash: &BlockHash) -> Option<&Node> {
        self.nodes.get(hash)
    }

    /// All blocks, in the order of their hashes.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = (&BlockHash, &Node)> {
        self.nodes.iter()
    }

    /// Whether a block is in the active chain.
    pub fn is_active(&self, hash: &BlockHash) -> bool {
        self.nodes.get(hash).is_some_and(|node| self.at(node.height) == Some(*hash))
    }

    /// All coins at the tip.
    pub const fn coins(&self) -> &BTreeMap<OutPoint, Coin> {
        &self.coins
    }

    /// A transaction of the active chain, and its block.
    pub fn transaction(&self, txid: &Txid) -> Option<(&Transaction, BlockRef)> {
        let (height, place) = *self.homes.get(txid)?;
        let hash = self.at(height)?;
        let tx = self.nodes.get(&hash)?.block.txdata.get(place)?;
        Some((tx, BlockRef { height, hash }))
    }

    /// Where the next block's transactions would be.
    pub fn next_place(&self) -> Place {
        Place { height: self.height() + 1, time: self.median_time(&self.tip().hash) }
    }

    /// The median time of a block and the ten before it.
    pub fn median_time(&self, hash: &BlockHash) -> u32 {
        self.nodes.get(hash).map_or(0, |node| node.median)
    }

    fn median_behind(&self, parent: &Node, time: u32) -> u32 {
        const BLOCKS: usize = 11;
        let mut times = vec![time];
        let mut at = Some(parent);
        while let Some(node) = at.filter(|_| times.len() < BLOCKS) {
            times.push(node.block.header.time);
            at = self.nodes.get(&node.block.header.prev_blockhash);
        }
        times.sort_unstable();
        times[times.len() / 2]
    }

    /// The block behind the tip with these transactions in this order, its work done. Its coinbase
    /// takes all that it may; `extra` tells it from others in its place.
    pub fn next_block(
        &self,
        to: &Script,
        time: u32,
        extra: u64,
        transactions: Vec<Transaction>,
    ) -> Result<Block, BlockFault> {
        let (parent, place) = (self.tip().hash, self.next_place());
        let reward = subsidy(place.height) + rules::fees(&transactions, place, self)?;
        let height = place.height;
        Ok(Draft { parent, height, time, to, reward, extra, transactions }.mine())
    }

    /// Offers a block to the light chain, which checks it. With `now`, also against the clock.
    pub fn offer(&mut self, block: Block, now: Option<u32>) -> Result<Step, BlockFault> {
        let hash = block.block_hash();
        rules::pow(&block.header)?;
        rules::alone(&block)?;
        self.is_new(&hash)?;
        let parent = self.parent(&block)?;
        let place = Place { height: parent.height + 1, time: parent.median };
        rules::header(&block.header, parent.median, now)?;
        rules::in_place(&block, place)?;
        self.insert(block);
        if self.work(&hash) <= self.work(&self.tip().hash) {
            return Ok(Step::default());
        }
        self.move_to(hash, Care::Full)
    }

    fn is_new(&self, hash: &BlockHash) -> Result<(), BlockFault> {
        if !self.nodes.contains_key(hash) {
            return Ok(());
        }
        let block = *hash;
        let refused = self.is_refused(hash);
        Err(if refused {
            BlockFault::RefusedBefore { block }
        } else {
            BlockFault::Duplicate { block }
        })
    }

    fn parent(&self, block: &Block) -> Result<&Node, BlockFault> {
        let parent = block.header.prev_blockhash;
        let node = self.nodes.get(&parent).ok_or(BlockFault::ParentUnknown { parent })?;
        if self.is_refused(&parent) {
            return Err(BlockFault::ParentRefused { parent });
        }
        Ok(node)
    }

    /// Whether a block, or one before it, was refused or invalidated.
    pub fn is_refused(&self, hash: &BlockHash) -> bool {
        self.marked.iter().any(|marked| self.is_behind(hash, marked))
    }

    /// The work of a block and all before it.
    pub fn work(&self, hash: &BlockHash) -> Option<Work> {
        self.nodes.get(hash).map(|node| node.work)
    }

    /// Keeps a block that somebody else has checked. The active chain stays as it is.
    pub fn store(&mut self, block: Block) -> Result<(), BlockFault> {
        if self.nodes.contains_key(&block.block_hash()) {
            return Ok(());
        }
        let parent = block.header.prev_blockhash;
        if !self.nodes.contains_key(&parent) {
            return Err(BlockFault::ParentUnknown { parent });
        }
        self.insert(block);
        Ok(())
    }

    fn insert(&mut self, block: Block) {
        let hash = block.block_hash();
        let parent = self.nodes.get(&block.header.prev_blockhash).expect("both callers have it");
        let node = Node {
            height: parent.height + 1,
            work: parent.work + block.header.work(),
            median: self.median_behind(parent, block.header.time),
            order: self.nodes.len() as u64,
            standing: Standing::Good,
            block: Arc::new(block),
        };
        self.nodes.insert(hash, node);
    }

    /// Makes a stored block the tip, as somebody else has decided: its scripts are not run again.
    pub fn follow(&mut self, tip: BlockHash) -> Result<Step, BlockFault> {
        if !self.nodes.contains_key(&tip) {
            return Err(BlockFault::ParentUnknown { parent: tip });
        }
        self.move_to(tip, Care::Trusting)
    }

    /// Notes what speaks against a block. The active chain stays as it is.
    pub fn mark(&mut self, hash: &BlockHash, standing: Standing) {
        if let Some(node) = self.nodes.get_mut(hash).filter(|node| node.height > 0) {
            node.standing = standing;
            match standing {
                Standing::Good => self.marked.remove(hash),
                Standing::Refused | Standing::Invalidated => self.marked.insert(*hash),
            };
        }
    }

    /// Takes that back, for a block and all before and behind it.
    pub fn unmark(&mut self, hash: &BlockHash) {
        let related =
            |other: &&BlockHash| self.is_behind(other, hash) || self.is_behind(hash, other);
        let related: Vec<BlockHash> = self.nodes.keys().filter(related).copied().collect();
        for hash in related {
            self.mark(&hash, Standing::Good);
        }
    }

    /// Takes a block and all behind it out, and goes to the best chain without them.
    pub fn invalidate(&mut self, hash: &BlockHash) -> Step {
        self.mark(hash, Standing::Invalidated);
        let mut step = Step::default();
        while self.height() > 0 && self.is_refused(&self.tip().hash) {
            step.gone.push(self.disconnect());
        }
        self.best_from(step)
    }

    /// Takes that back, and goes to the best chain with them.
    pub fn reconsider(&mut self, hash: &BlockHash) -> Step {
        self.unmark(hash);
        self.best_from(Step::default())
    }

    /// Whether a block is another one, or behind it.
    pub fn is_behind(&self, hash: &BlockHash, other: &BlockHash) -> bool {
        let Some(height) = self.nodes.get(other).map(|node| node.height) else { return false };
        let mut at = *hash;
        while let Some(node) = self.nodes.get(&at).filter(|node| node.height > height) {
            at = node.block.header.prev_blockhash;
        }
        at == *other
    }

    /// Goes to the chain with the most work that is not refused; of several, the one seen first.
    fn best_from(&mut self, mut step: Step) -> Step {
        loop {
            let tip = self.tip().hash;
            let worth = |node: &Node| (node.work, std::cmp::Reverse(node.order));
            let best = self.nodes.iter().filter(|(hash, _)| !self.is_refused(hash));
            let Some((&best, node)) = best.max_by_key(|(_, node)| worth(node)) else { return step };
            if Some(node.work) <= self.work(&tip) {
                return step;
            }
            // A branch that turns out to be bad is marked, and the next one is tried.
            if let Ok(next) = self.move_to(best, Care::Full) {
                step.gone.extend(next.gone);
                step.come.extend(next.come);
                return step;
            }
        }
    }

    /// Goes to a stored block. If one on the way is refused, all stays as it was.
    fn move_to(&mut self, tip: BlockHash, care: Care) -> Result<Step, BlockFault> {
        let (mut step, mut path, mut at) = (Step::default(), Vec::new(), tip);
        while !self.is_active(&at) {
            path.push(at);
            at = self
                .nodes
                .get(&at)
                .expect("all before a stored block is stored")
                .block
                .header
                .prev_blockhash;
        }
        while self.tip().hash != at {
            step.gone.push(self.disconnect());
        }
        for hash in path.into_iter().rev() {
            if let Err(fault) = self.connect(hash, care) {
                self.mark(&hash, Standing::Refused);
                for _ in &step.come {
                    self.disconnect();
                }
                for block in step.gone.iter().rev() {
                    self.connect(block.block_hash(), Care::Trusting)
                        .expect("it was connected a moment ago");
                }
                return Err(fault);
            }
            step.come.push(Arc::clone(&self.nodes[&hash].block));
        }
        Ok(step)
    }

    fn connect(&mut self, hash: BlockHash, care: Care) -> Result<(), BlockFault> {
        let block = Arc::clone(&self.nodes[&hash].block);
        let place = self.next_place();
        let mut overlay = Overlay::new(&*self);
        rules::connect(&block, place, care, &mut overlay)?;
        let (made, undo) = overlay.into_change();
        for (outpoint, _) in &undo {
            self.coins.remove(outpoint);
        }
        self.coins.extend(made);
        for (at, tx) in block.txdata.iter().enumerate() {
            self.homes.insert(tx.compute_txid(), (place.height, at));
        }
        self.undo.push(undo);
        self.active.push(hash);
        Ok(())
    }

    fn disconnect(&mut self) -> Arc<Block> {
        assert!(self.active.len() > 1, "the first block stays");
        let hash = self.active.pop().expect("there are two");
        let undo = self.undo.pop().expect("one for each block");
        let block = Arc::clone(&self.nodes[&hash].block);
        for tx in &block.txdata {
            let txid = tx.compute_txid();
            self.homes.remove(&txid);
            for vout in 0..tx.output.len() as u32 {
                self.coins.remove(&OutPoint { txid, vout });
            }
        }
        self.coins.extend(undo);
        block
    }
}

impl View for Ledger {
    fn coin(&self, outpoint: &OutPoint) -> Option<&Coin> {
        self.coins.get(outpoint)
    }

    fn time_before(&self, height: u32) -> u32 {
        self.at(height).map_or(0, |hash| self.median_time(&hash))
    }
}
