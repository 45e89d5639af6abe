//! One step of the wallet. Its state is the sum of them.

use std::sync::Arc;

use bitcoin::{OutPoint, Transaction, Txid};
use chain::{BlockRef, Height, Watch};
use signer::KeyIndex;

use crate::api::{DraftId, Lock};

/// One step, to be saved before anything else is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// There is one block more, and it has these transactions of ours.
    Connected { block: BlockRef, transactions: Vec<Arc<Transaction>> },
    /// The newest block is gone.
    Disconnected { block: BlockRef, cursor: BlockRef },
    /// A block of the past has these transactions of ours.
    Found { block: BlockRef, transactions: Vec<Arc<Transaction>> },
    /// Blocks of the past have been looked through for this.
    Searched { watch: Watch },
    /// An address was given away.
    Handed { index: KeyIndex },
    /// A coin is kept.
    Locked { outpoint: OutPoint, lock: Lock },
    /// It is not any more.
    Unlocked { outpoint: OutPoint },
    /// A spend was drafted; its coins are kept.
    Drafted { id: DraftId, plan: Plan },
    /// It will not be.
    GivenUp { id: DraftId },
    /// A transaction is about to be published. If it was drafted, the draft is over.
    Published { transaction: Arc<Transaction> },
    /// A transaction, and what hangs on it, will never be in a block.
    Forgotten { txid: Txid },
    /// All blocks from here on are looked through again.
    Rescan { from: Height },
}

/// What is known of a spend before it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// What it will be called. Signatures do not change it.
    pub(crate) txid: Txid,
    /// What it spends.
    pub(crate) inputs: Vec<OutPoint>,
    /// Where it pays to us.
    pub(crate) change: Option<KeyIndex>,
    /// What it replaces.
    pub(crate) replaces: Option<Txid>,
    pub(crate) made: Made,
}

/// What a transaction of ours was made for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Made {
    /// The output that gets what is left, if there is one: a replacement takes its fee from it.
    pub(crate) elastic: Option<u32>,
    /// Somebody needs just this one.
    pub(crate) is_fixed: bool,
}
