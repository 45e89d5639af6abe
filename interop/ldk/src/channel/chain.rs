//! The chain that both sides follow: our light one, with money that anybody can spend.

use std::sync::Arc;

use bitcoin::{
    Amount, Block, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, absolute::LockTime,
    transaction::Version,
};
use devnet::ledger::{Ledger, MATURITY_BLOCKS, plain};
use wire::amount::Sat;

/// Beyond any clock of these tests, and not so far that it is no time.
const BLOCK_SECONDS: u32 = 600;

/// A light chain, and what waits for its next block.
pub struct Chain {
    ledger: Ledger,
    pool: Vec<Transaction>,
    spent: u32,
}

impl Default for Chain {
    fn default() -> Self {
        Self::new()
    }
}

impl Chain {
    /// The chain of the first block alone.
    pub fn new() -> Self {
        Self { ledger: Ledger::new(), pool: Vec::new(), spent: 0 }
    }

    /// The newest block's height.
    pub fn height(&self) -> u32 {
        self.ledger.height()
    }

    /// Blocks until something can be spent.
    pub fn first_blocks() -> u32 {
        MATURITY_BLOCKS + 1
    }

    /// A transaction whose output 0 pays so much to a script.
    pub fn pay(&mut self, to: ScriptBuf, value: Sat) -> Transaction {
        self.spent += 1;
        let hash = self.ledger.at(self.spent).expect("there are blocks enough");
        let block = &self.ledger.node(&hash).expect("it is in the chain").block;
        let coinbase = &block.txdata[0];
        let previous_output = OutPoint { txid: coinbase.compute_txid(), vout: 0 };
        let input = TxIn {
            previous_output,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: plain::anyone_witness(),
        };
        let fee = Amount::from_sat(1_000);
        let change = coinbase.output[0].value - Amount::from_sat(value.0) - fee;
        Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![input],
            output: vec![
                TxOut { value: Amount::from_sat(value.0), script_pubkey: to },
                TxOut { value: change, script_pubkey: plain::anyone() },
            ],
        }
    }

    /// Something is published: it is in the next block.
    pub fn publish(&mut self, tx: Transaction) {
        let txid = tx.compute_txid();
        let is_known = self.pool.iter().any(|it| it.compute_txid() == txid)
            || self.ledger.transaction(&txid).is_some();
        if !is_known {
            self.pool.push(tx);
        }
    }

    /// The next block.
    pub fn mine(&mut self) -> Arc<Block> {
        let pool = std::mem::take(&mut self.pool);
        let genesis = bitcoin::constants::genesis_block(bitcoin::Network::Regtest);
        let time = genesis.header.time + BLOCK_SECONDS * (self.height() + 1);
        let block = self.ledger.next_block(&plain::anyone(), time, 0, pool);
        let block = block.unwrap_or_else(|no| panic!("{no}"));
        let mut step = self.ledger.offer(block, None).unwrap_or_else(|no| panic!("{no}"));
        step.come.pop().expect("it is the next one")
    }
}
