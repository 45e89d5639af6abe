//! Transactions that are shown to be in a block, to somebody who has only its header.

use bitcoin::{Block, Transaction, TxMerkleNode, Txid, hashes::Hash as _, hashes::HashEngine as _};

use crate::fault::ProofFault;

/// Steps from a transaction to the root: no block has more than 65,536 transactions.
pub const PROOF_STEPS_MAX: usize = 16;

/// Bytes of two hashes, of which a step makes one.
const PAIR_BYTES: usize = 64;

/// Shows that a transaction is in a block.
///
/// A step of the tree looks like a transaction of 64 bytes, and the other way round. So nothing of
/// that length is taken, and the coinbase is shown beside the transaction: whoever begins below the
/// transactions, or above them, is at another depth than it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The transaction. It needs no witnesses.
    pub transaction: Transaction,
    /// Its place in the block.
    pub position: u32,
    /// What stands beside it at each step, from the bottom up.
    pub steps: Vec<TxMerkleNode>,
    /// The first transaction of the block.
    pub coinbase: Transaction,
    /// What stands beside that one.
    pub coinbase_steps: Vec<TxMerkleNode>,
}

impl Proof {
    /// The proof for one of a block's transactions, if it has so many.
    pub fn of(block: &Block, position: u32) -> Option<Self> {
        let transaction = block.txdata.get(usize::try_from(position).ok()?)?;
        let coinbase = block.txdata.first()?;
        Some(Self {
            transaction: stripped(transaction),
            position,
            steps: steps(block, position),
            coinbase: stripped(coinbase),
            coinbase_steps: steps(block, 0),
        })
    }

    /// Whether it leads to the root that a header has.
    pub fn check(&self, want: TxMerkleNode) -> Result<(), ProofFault> {
        let (got, max) = (self.steps.len(), PROOF_STEPS_MAX);
        if got > max {
            return Err(ProofFault::TooDeep { got, max });
        }
        if self.coinbase_steps.len() != got {
            let coinbase = self.coinbase_steps.len();
            return Err(ProofFault::Depths { transaction: got, coinbase });
        }
        let last = (1 << got) - 1;
        if self.position > last {
            return Err(ProofFault::Position { got: self.position, max: last });
        }
        if !self.coinbase.is_coinbase() {
            return Err(ProofFault::NoCoinbase);
        }
        for transaction in [&self.transaction, &self.coinbase] {
            let bytes = transaction.base_size();
            if bytes == PAIR_BYTES {
                return Err(ProofFault::Ambiguous { bytes });
            }
        }
        let got = root(self.transaction.compute_txid(), self.position, &self.steps)?;
        if got != want {
            return Err(ProofFault::Root { got, want });
        }
        let got = root(self.coinbase.compute_txid(), 0, &self.coinbase_steps)?;
        if got != want { Err(ProofFault::Root { got, want }) } else { Ok(()) }
    }
}

fn stripped(transaction: &Transaction) -> Transaction {
    let mut transaction = transaction.clone();
    for input in &mut transaction.input {
        input.witness.clear();
    }
    transaction
}

fn above(left: TxMerkleNode, right: TxMerkleNode) -> TxMerkleNode {
    let mut engine = TxMerkleNode::engine();
    engine.input(left.as_byte_array());
    engine.input(right.as_byte_array());
    TxMerkleNode::from_engine(engine)
}

fn root(txid: Txid, position: u32, steps: &[TxMerkleNode]) -> Result<TxMerkleNode, ProofFault> {
    let mut node = TxMerkleNode::from_raw_hash(txid.to_raw_hash());
    for (step, beside) in (0_u32..).zip(steps) {
        let is_right = position >> step & 1 == 1;
        // The last of an odd row has itself on its right, and nothing has itself on its left.
        if is_right && *beside == node {
            return Err(ProofFault::Doubled { position, step });
        }
        node = if is_right { above(*beside, node) } else { above(node, *beside) };
    }
    Ok(node)
}

/// The last of an odd row stands beside itself.
fn steps(block: &Block, position: u32) -> Vec<TxMerkleNode> {
    let leaf = |each: &Transaction| TxMerkleNode::from_raw_hash(each.compute_txid().to_raw_hash());
    let mut row: Vec<TxMerkleNode> = block.txdata.iter().map(leaf).collect();
    let (mut at, mut steps) = (position as usize, Vec::new());
    while row.len() > 1 {
        let last = row.len() - 1;
        steps.push(row[(at ^ 1).min(last)]);
        row = row.chunks(2).map(|pair| above(pair[0], pair[pair.len() - 1])).collect();
        at /= 2;
    }
    steps
}
