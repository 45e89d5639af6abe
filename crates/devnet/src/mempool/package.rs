//! Transactions that come together: what one lacks in fees another one pays.

use std::collections::BTreeSet;

use bitcoin::{Amount, Transaction, Txid, Wtxid};

use super::{
    Mempool,
    judge::{Mode, Plan},
    refusal::Refusal,
};
use crate::ledger::Ledger;

/// Transactions of a package.
pub const PACKAGE_TXS_MAX: usize = 25;
/// Their weight.
pub const PACKAGE_WEIGHT_MAX: u64 = 404_000;

/// Why a package is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackageFault {
    /// It has too many transactions, or none.
    Count {
        /// How many.
        got: usize,
        /// How many may be.
        max: usize,
    },
    /// It weighs too much.
    Weight {
        /// Its weight.
        got: u64,
        /// The most.
        max: u64,
    },
    /// A transaction is in it twice.
    Twice,
    /// A child is before its parent.
    Unsorted,
    /// Two of it spend the same.
    Conflict,
    /// It is not one child with its parents.
    Shape,
}

impl PackageFault {
    /// What Bitcoin Core calls it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Count { .. } => "package-too-many-transactions",
            Self::Weight { .. } => "package-too-large",
            Self::Twice => "package-contains-duplicates",
            Self::Unsorted => "package-not-sorted",
            Self::Conflict => "conflict-in-package",
            Self::Shape => "package-not-child-with-parents",
        }
    }
}

/// What became of one transaction of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its id.
    pub txid: Txid,
    /// Its id with witnesses.
    pub wtxid: Wtxid,
    /// What became of it. Nothing, if an earlier one was refused.
    pub result: Option<Result<Plan, Refusal>>,
    /// What paid for it: its fees with those of others, and their bytes.
    pub paid: Option<(Amount, u64, Vec<Wtxid>)>,
}

/// Whether transactions are a package.
pub fn check(txs: &[Transaction]) -> Result<(), PackageFault> {
    let (got, max) = (txs.len(), PACKAGE_TXS_MAX);
    if got > max || got == 0 {
        return Err(PackageFault::Count { got, max });
    }
    let got = txs.iter().map(|tx| tx.weight().to_wu()).sum();
    if txs.len() > 1 && got > PACKAGE_WEIGHT_MAX {
        return Err(PackageFault::Weight { got, max: PACKAGE_WEIGHT_MAX });
    }
    let mut later: BTreeSet<Txid> = txs.iter().map(Transaction::compute_txid).collect();
    if later.len() != txs.len() {
        return Err(PackageFault::Twice);
    }
    let mut spent = BTreeSet::new();
    for tx in txs {
        if tx.input.iter().any(|input| later.contains(&input.previous_output.txid)) {
            return Err(PackageFault::Unsorted);
        }
        later.remove(&tx.compute_txid());
    }
    for tx in txs {
        // One that spends the same twice by itself is refused for that.
        if tx.input.iter().any(|input| spent.contains(&input.previous_output)) {
            return Err(PackageFault::Conflict);
        }
        spent.extend(tx.input.iter().map(|input| input.previous_output));
    }
    Ok(())
}

/// Whether the last of a package spends of all others.
pub fn is_child_with_parents(txs: &[Transaction]) -> bool {
    let Some((child, parents)) = txs.split_last() else { return false };
    let spends: BTreeSet<Txid> =
        child.input.iter().map(|input| input.previous_output.txid).collect();
    parents.iter().all(|parent| spends.contains(&parent.compute_txid()))
}

impl Mempool {
    /// What would become of transactions, each with those before it.
    pub fn judge_package(
        &self,
        ledger: &Ledger,
        txs: &[Transaction],
    ) -> Result<Vec<Part>, PackageFault> {
        check(txs)?;
        let mut pool = self.clone();
        let mut parts = Vec::with_capacity(txs.len());
        let mut refused = false;
        for tx in txs {
            let mut part = Part::of(tx);
            if !refused {
                let result = pool.submit(ledger, tx.clone(), 0);
                refused = result.is_err();
                part.result = Some(result);
            }
            parts.push(part);
        }
        Ok(parts)
    }

    /// Takes in what can stand alone, and then the rest, if together they pay enough. What is
    /// refused by itself for more than its fee is refused.
    pub fn submit_package(
        &mut self,
        ledger: &Ledger,
        txs: &[Transaction],
        time: u64,
    ) -> Result<Vec<Part>, PackageFault> {
        check(txs)?;
        if !is_child_with_parents(txs) {
            return Err(PackageFault::Shape);
        }
        let mut parts: Vec<Part> = txs.iter().map(Part::of).collect();
        let mut rest = Vec::new();
        for (at, tx) in txs.iter().enumerate() {
            let result = self.submit(ledger, tx.clone(), time);
            // A child whose parent waits for it finds an input missing.
            let orphan = !rest.is_empty() && at + 1 == txs.len();
            match &result {
                Err(refusal) if orphan || waits(refusal) => rest.push(at),
                Ok(_) | Err(_) => {}
            }
            parts[at].result = Some(result);
        }
        if rest.len() > 1 {
            self.submit_rest(ledger, txs, time, &rest, &mut parts);
        }
        Ok(parts)
    }

    fn submit_rest(
        &mut self,
        ledger: &Ledger,
        txs: &[Transaction],
        time: u64,
        rest: &[usize],
        parts: &mut [Part],
    ) {
        let mut pool = self.clone();
        let mut plans: Vec<Plan> = Vec::new();
        for &at in rest {
            let judged = pool.judge_as(ledger, &txs[at], Mode::Packed);
            match judged {
                Ok(plan) => {
                    pool.carry_out(&plan, txs[at].clone(), ledger.height(), time);
                    plans.push(plan);
                }
                Err(refusal) => {
                    parts[at].result = Some(Err(refusal));
                    return;
                }
            }
        }
        let fee: Amount = plans.iter().map(|plan| plan.fee).sum();
        let vbytes = plans.iter().map(|plan| plan.vbytes).sum();
        let min = self.policy().relay.fee(vbytes);
        let relayed = if fee < min { Err(Refusal::RelayFee { got: fee, min }) } else { Ok(()) };
        if let Err(refusal) = relayed.and_then(|()| self.ask_package(&plans)) {
            for &at in rest {
                parts[at].result = Some(Err(refusal.clone()));
            }
            return;
        }
        *self = pool;
        let wtxids: Vec<Wtxid> = plans.iter().map(|plan| plan.wtxid).collect();
        for (&at, plan) in rest.iter().zip(plans) {
            parts[at].result = Some(Ok(plan));
            parts[at].paid = Some((fee, vbytes, wtxids.clone()));
        }
    }
}

/// Whether somebody else's fee could change it.
const fn waits(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::RelayFee { .. } | Refusal::ReplacementFee { .. } | Refusal::ReplacementRate { .. }
    )
}

impl Part {
    fn of(tx: &Transaction) -> Self {
        let (txid, wtxid) = (tx.compute_txid(), tx.compute_wtxid());
        Self { txid, wtxid, result: None, paid: None }
    }
}
