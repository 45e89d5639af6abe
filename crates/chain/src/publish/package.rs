//! What is published: a transaction, or two of which one pays for the other.

use std::{fmt, sync::Arc};

use bitcoin::{Transaction, Txid, Weight};

/// Transactions of one publication.
pub const PACKAGE_TRANSACTIONS_MAX: usize = 2;
/// What all of them may weigh; nodes relay nothing heavier (Bitcoin Core: `MAX_PACKAGE_WEIGHT`).
pub const PACKAGE_WEIGHT_MAX: Weight = Weight::from_wu(404_000);

/// A transaction, or a parent and the child that pays for it. Only these can be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package(Vec<Arc<Transaction>>);

/// Why transactions are no package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackageFault {
    /// Too few or too many.
    Count {
        /// How many there are.
        got: usize,
        /// How many there may be.
        max: usize,
    },
    /// One spends nothing, or is a coinbase: nobody can publish it.
    NoInputs {
        /// Which one.
        transaction: Txid,
    },
    /// The second one spends nothing of the first.
    NoChild {
        /// The second one.
        transaction: Txid,
    },
    /// Nobody would relay so much.
    Heavy {
        /// What they weigh.
        got: Weight,
        /// What they may.
        max: Weight,
    },
}

impl Package {
    /// One transaction.
    pub fn single(transaction: Arc<Transaction>) -> Result<Self, PackageFault> {
        Self::new(vec![transaction])
    }

    /// A parent, and a child that pays for both.
    pub fn pair(parent: Arc<Transaction>, child: Arc<Transaction>) -> Result<Self, PackageFault> {
        Self::new(vec![parent, child])
    }

    /// The parent first.
    pub fn new(transactions: Vec<Arc<Transaction>>) -> Result<Self, PackageFault> {
        let (got, max) = (transactions.len(), PACKAGE_TRANSACTIONS_MAX);
        if got == 0 || got > max {
            return Err(PackageFault::Count { got, max });
        }
        let empty = |it: &&Arc<Transaction>| it.input.is_empty() || it.is_coinbase();
        if let Some(transaction) = transactions.iter().find(empty) {
            return Err(PackageFault::NoInputs { transaction: transaction.compute_txid() });
        }
        if let [parent, child] = &transactions[..] {
            let parent = parent.compute_txid();
            if !child.input.iter().any(|input| input.previous_output.txid == parent) {
                return Err(PackageFault::NoChild { transaction: child.compute_txid() });
            }
        }
        let got = transactions.iter().map(|it| it.weight()).sum();
        let max = PACKAGE_WEIGHT_MAX;
        if got > max {
            return Err(PackageFault::Heavy { got, max });
        }
        Ok(Self(transactions))
    }

    /// The transactions, the parent first.
    pub fn transactions(&self) -> &[Arc<Transaction>] {
        &self.0
    }

    /// Those of these places. A child without its parent is one by itself.
    pub(crate) fn only(&self, wanted: impl Fn(usize) -> bool) -> Option<Self> {
        let places = self.0.iter().enumerate().filter(|(nth, _)| wanted(*nth));
        let some: Vec<_> = places.map(|(_, transaction)| Arc::clone(transaction)).collect();
        (!some.is_empty()).then_some(Self(some))
    }
}

impl fmt::Display for PackageFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count { got, max } => write!(f, "{got} transactions, at least 1, at most {max}"),
            Self::NoInputs { transaction } => write!(f, "{transaction} spends nothing"),
            Self::NoChild { transaction } => {
                write!(f, "{transaction} spends nothing of the one before it")
            }
            Self::Heavy { got, max } => write!(f, "{got} weight units, at most {max}"),
        }
    }
}

impl std::error::Error for PackageFault {}
