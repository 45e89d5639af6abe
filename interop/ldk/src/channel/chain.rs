//! The chain that both sides follow: the devnet's, with its mempool, and every script run by Core's
//! own interpreter. In the beginning there is money that anybody can spend.

use std::collections::BTreeMap;
use std::sync::Arc;

use bitcoin::{
    Amount, Block, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid,
    absolute::LockTime, transaction::Version,
};
use devnet::ledger::{Ledger, MATURITY_BLOCKS, plain};
use devnet::mempool::{Mempool, Policy, Room};
use wire::amount::Sat;

/// Beyond any clock of these tests, and not so far that it is no time.
const BLOCK_SECONDS: u32 = 600;

/// A light chain, and what waits for its next block.
pub struct Chain {
    ledger: Ledger,
    mempool: Mempool,
    /// All that was published: what is not in a block is tried again with each.
    published: Vec<Vec<Transaction>>,
    spent: u32,
    extra: u64,
}

impl Default for Chain {
    fn default() -> Self {
        Self::new()
    }
}

impl Chain {
    /// The chain of the first block alone.
    pub fn new() -> Self {
        let (ledger, mempool) = (Ledger::new(), Mempool::new(Policy::default()));
        Self { ledger, mempool, published: Vec::new(), spent: 0, extra: 0 }
    }

    /// The newest block's height.
    pub fn height(&self) -> u32 {
        self.ledger.height()
    }

    /// The block at a height.
    pub fn block(&self, height: u32) -> Arc<Block> {
        let hash = self.ledger.at(height).expect("it was mined");
        Arc::clone(&self.ledger.node(&hash).expect("it is there").block)
    }

    /// A transaction in a block.
    pub fn transaction(&self, txid: &Txid) -> Option<&Transaction> {
        self.ledger.transaction(txid).map(|(transaction, _)| transaction)
    }

    /// The coins that pay to a script.
    pub fn coins(&self, script: &ScriptBuf) -> BTreeMap<OutPoint, TxOut> {
        let coins = self.ledger.coins().iter();
        let coins = coins.filter(|(_, coin)| coin.output.script_pubkey == *script);
        coins.map(|(outpoint, coin)| (*outpoint, coin.output.clone())).collect()
    }

    /// Whether nobody has spent this.
    pub fn is_unspent(&self, outpoint: &OutPoint) -> bool {
        self.ledger.coins().contains_key(outpoint)
    }

    /// Blocks until something can be spent.
    pub fn first_blocks() -> u32 {
        MATURITY_BLOCKS + 10
    }

    /// A transaction whose output 0 pays so much to a script.
    pub fn pay(&mut self, to: ScriptBuf, value: Sat) -> Transaction {
        self.pay_all(vec![TxOut { value: Amount::from_sat(value.0), script_pubkey: to }])
    }

    /// A transaction with these outputs, and what is left behind them.
    pub fn pay_all(&mut self, mut output: Vec<TxOut>) -> Transaction {
        self.spent += 1;
        let coinbase = &self.block(self.spent).txdata[0];
        let previous_output = OutPoint { txid: coinbase.compute_txid(), vout: 0 };
        let input = TxIn {
            previous_output,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: plain::anyone_witness(),
        };
        let paid: Amount = output.iter().map(|it| it.value).sum();
        let value = coinbase.output[0].value - paid - Amount::from_sat(1_000);
        output.push(TxOut { value, script_pubkey: plain::anyone() });
        Transaction { version: Version::TWO, lock_time: LockTime::ZERO, input: vec![input], output }
    }

    /// Something is published. What is not final yet, or pays too little now, is tried again.
    /// False if it was published before.
    pub fn publish(&mut self, package: Vec<Transaction>) -> bool {
        // Some sign anew whenever they publish again.
        let txids =
            |it: &[Transaction]| it.iter().map(Transaction::compute_txid).collect::<Vec<_>>();
        if self.published.iter().any(|it| txids(it) == txids(&package)) {
            return false;
        }
        self.submit(&package);
        self.published.push(package);
        true
    }

    /// The word of the mempool, if it takes no part of it.
    fn submit(&mut self, package: &[Transaction]) {
        match package {
            [one] => _ = self.mempool.submit(&self.ledger, one.clone(), 0),
            all => {
                let taken = self.mempool.submit_package(&self.ledger, all, 0);
                taken.unwrap_or_else(|no| panic!("{no:?}"));
            }
        }
    }

    /// What the mempool says of all that was published and is in no block, if it refuses it.
    pub fn refused(&mut self) -> Vec<String> {
        let mut pool = self.mempool.clone();
        let all = self.published.iter().flatten();
        let all = all.filter(|it| self.ledger.transaction(&it.compute_txid()).is_none());
        let refused = all.filter_map(|it| pool.submit(&self.ledger, it.clone(), 0).err());
        refused.map(|it| it.to_string()).collect()
    }

    /// The next block.
    pub fn mine(&mut self) -> Arc<Block> {
        let published = std::mem::take(&mut self.published);
        for package in published {
            let is_in = |it: &Transaction| self.ledger.transaction(&it.compute_txid()).is_some();
            if !package.iter().all(is_in) {
                self.submit(&package);
            }
            self.published.push(package);
        }
        let (chosen, _) = self.mempool.choose(Room::BLOCK);
        let chosen = chosen.iter().map(|it| Transaction::clone(it)).collect();
        self.mine_with(chosen)
    }

    /// All blocks above this height go.
    pub fn unmine(&mut self, height: u32) {
        let hash = self.ledger.at(height + 1).expect("it is there");
        let step = self.ledger.invalidate(&hash);
        self.mempool.follow(&self.ledger, &step, 0);
    }

    /// The next block has these and no others.
    pub fn mine_with(&mut self, transactions: Vec<Transaction>) -> Arc<Block> {
        let genesis = bitcoin::constants::genesis_block(bitcoin::Network::Regtest);
        let time = genesis.header.time + BLOCK_SECONDS * (self.height() + 1);
        self.extra += 1;
        let block = self.ledger.next_block(&plain::anyone(), time, self.extra, transactions);
        let block = block.unwrap_or_else(|no| panic!("{no}"));
        let mut step = self.ledger.offer(block, None).unwrap_or_else(|no| panic!("{no}"));
        self.mempool.follow(&self.ledger, &step, 0);
        step.come.pop().expect("it is the next one")
    }
}
