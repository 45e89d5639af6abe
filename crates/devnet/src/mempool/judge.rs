//! Whether a transaction comes in. The order of questions is Bitcoin Core's, so that one with two
//! faults is refused for the same one.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{Amount, OutPoint, Transaction, TxOut, Txid, Wtxid};

use super::{
    CLUSTER_BYTES_MAX, CLUSTER_MAX, ENTRIES_MAX, Mempool, TRUC_BYTES_MAX, TRUC_CHILD_BYTES_MAX,
    TRUC_FAMILY_MAX,
    refusal::{Refusal, Truc},
    standard,
};
use crate::ledger::{self, Coin, Ledger, TxFault, View};

/// What taking a transaction in would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
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
    /// What it spends of others that wait.
    pub parents: BTreeSet<Txid>,
    /// Who leaves for it.
    pub replaces: BTreeSet<Txid>,
}

/// How strictly it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// A transaction by itself.
    Alone,
    /// One of a package: fees are asked of all together.
    Packed,
    /// One that was in a block: it comes back, whatever policy says.
    Again,
}

/// Coins that one transaction spends.
struct Gathered<'a> {
    coins: BTreeMap<OutPoint, Coin>,
    ledger: &'a Ledger,
}

impl View for Gathered<'_> {
    fn coin(&self, outpoint: &OutPoint) -> Option<&Coin> {
        self.coins.get(outpoint)
    }

    fn time_before(&self, height: u32) -> u32 {
        self.ledger.time_before(height)
    }
}

/// What a weight is in bytes when signature operations count.
fn vbytes(weight: u64, sigops: u64) -> u64 {
    const BYTES_PER_SIGOP: u64 = 20;
    weight.max(sigops * BYTES_PER_SIGOP).div_ceil(4)
}

impl Mempool {
    /// Whether a transaction would come in, and what that would do.
    pub fn judge(&self, ledger: &Ledger, tx: &Transaction) -> Result<Plan, Refusal> {
        self.judge_as(ledger, tx, Mode::Alone)
    }

    pub(super) fn judge_again(&self, ledger: &Ledger, tx: &Transaction) -> Result<Plan, Refusal> {
        self.judge_as(ledger, tx, Mode::Again)
    }

    pub(super) fn judge_as(
        &self,
        ledger: &Ledger,
        tx: &Transaction,
        mode: Mode,
    ) -> Result<Plan, Refusal> {
        let place = ledger.next_place();
        ledger::transaction(tx).map_err(Refusal::Consensus)?;
        if tx.is_coinbase() {
            return Err(Refusal::Coinbase);
        }
        standard::alone(tx, self.policy())?;
        ledger::absolute(tx, place).map_err(Refusal::Consensus)?;
        let (txid, wtxid) = (tx.compute_txid(), tx.compute_wtxid());
        if let Some(entry) = self.entry(&txid) {
            let same = entry.wtxid == wtxid;
            return Err(if same { Refusal::Known } else { Refusal::OtherWitness });
        }
        let view = self.gather(ledger, tx, &txid)?;
        ledger::relative(tx, &view, place).map_err(Refusal::Consensus)?;
        let fee = ledger::spend(tx, &view, place.height).map_err(Refusal::Consensus)?;
        let spent: Vec<Coin> =
            tx.input.iter().map(|input| view.coins[&input.previous_output].clone()).collect();
        standard::spending(tx, &spent)?;
        let sigops = ledger::sigops_cost(tx, &view);
        let mut plan = Plan {
            txid,
            wtxid,
            fee,
            vbytes: vbytes(tx.weight().to_wu(), sigops),
            sigops,
            parents: self.parents(tx),
            replaces: BTreeSet::new(),
        };
        self.ask_fees(tx, &plan, mode)?;
        let mut conflicts = self.conflicts(tx);
        if mode != Mode::Again {
            conflicts.extend(self.truc(tx, &plan, &conflicts, mode)?);
        }
        self.ask_replacement(&mut plan, &conflicts, mode)?;
        if mode != Mode::Again {
            self.ask_dust_left(tx, &plan)?;
        }
        let outputs: Vec<TxOut> = spent.into_iter().map(|coin| coin.output).collect();
        ledger::verify(tx, &outputs).map_err(Refusal::Consensus)?;
        Ok(plan)
    }

    fn gather<'a>(
        &self,
        ledger: &'a Ledger,
        tx: &Transaction,
        txid: &Txid,
    ) -> Result<Gathered<'a>, Refusal> {
        let mut coins = BTreeMap::new();
        for outpoint in tx.input.iter().map(|input| input.previous_output) {
            let Some(coin) = self.coin(ledger, &outpoint) else {
                let mut outputs =
                    (0..tx.output.len() as u32).map(|vout| OutPoint { txid: *txid, vout });
                if outputs.any(|outpoint| ledger.coin(&outpoint).is_some()) {
                    return Err(Refusal::Confirmed);
                }
                return Err(Refusal::Consensus(TxFault::MissingInput { outpoint }));
            };
            coins.insert(outpoint, coin);
        }
        Ok(Gathered { coins, ledger })
    }

    fn parents(&self, tx: &Transaction) -> BTreeSet<Txid> {
        let parents = tx.input.iter().map(|input| input.previous_output.txid);
        parents.filter(|txid| self.entry(txid).is_some()).collect()
    }

    fn conflicts(&self, tx: &Transaction) -> BTreeSet<Txid> {
        let inputs = tx.input.iter();
        inputs.filter_map(|input| Some(self.spender(&input.previous_output)?.txid)).collect()
    }

    fn ask_fees(&self, tx: &Transaction, plan: &Plan, mode: Mode) -> Result<(), Refusal> {
        if plan.fee != Amount::ZERO
            && let Some((value, min)) = standard::dust(tx, self.policy()).next()
        {
            return Err(Refusal::PaidDust { value, min, fee: plan.fee });
        }
        if plan.sigops > standard::SIGOPS_COST_MAX {
            return Err(Refusal::Sigops { got: plan.sigops, max: standard::SIGOPS_COST_MAX });
        }
        let (got, min) = (plan.fee, self.policy().relay.fee(plan.vbytes));
        if mode == Mode::Alone && got < min {
            return Err(Refusal::RelayFee { got, min });
        }
        Ok(())
    }

    /// Version 3 (BIP 431). Answers with a sibling that must go.
    fn truc(
        &self,
        tx: &Transaction,
        plan: &Plan,
        conflicts: &BTreeSet<Txid>,
        mode: Mode,
    ) -> Result<Option<Txid>, Refusal> {
        const VERSION: i32 = 3;
        let truc = tx.version.0 == VERSION;
        let mixed = |entry: &&super::Entry| (entry.tx.version.0 == VERSION) != truc;
        let mut parents = plan.parents.iter().filter_map(|txid| self.entry(txid));
        if let Some(entry) = parents.find(mixed) {
            return Err(Refusal::Truc(Truc::Mixed { parent: entry.txid }));
        }
        if !truc {
            return Ok(None);
        }
        let too_long = |max| {
            let got = plan.vbytes;
            if got > max { Err(Refusal::Truc(Truc::Bytes { got, max })) } else { Ok(()) }
        };
        too_long(TRUC_BYTES_MAX)?;
        let above: usize = plan.parents.iter().map(|txid| self.ancestors(txid).len()).sum();
        let (got, max) = (above + 1, TRUC_FAMILY_MAX);
        if got > max {
            return Err(Refusal::Truc(Truc::Ancestors { got, max }));
        }
        let Some(parent) = plan.parents.first() else { return Ok(None) };
        too_long(TRUC_CHILD_BYTES_MAX)?;
        let mut family = self.descendants(parent);
        family.remove(parent);
        let got = family.len() + 2;
        match family.first() {
            None => Ok(None),
            Some(_) if family.iter().any(|txid| conflicts.contains(txid)) => Ok(None),
            // The only child without a second parent makes room, if it is outbid by one alone.
            Some(sibling)
                if mode == Mode::Alone
                    && family.len() == 1
                    && self.ancestors(sibling).len() == max =>
            {
                Ok(Some(*sibling))
            }
            Some(_) => Err(Refusal::Truc(Truc::Descendants { got, max })),
        }
    }

    pub(super) fn ask_cluster(&self, plan: &Plan) -> Result<(), Refusal> {
        if self.len() >= ENTRIES_MAX {
            return Err(Refusal::Full { have: self.len(), max: ENTRIES_MAX });
        }
        // Without those that leave: what hung together by them may hang together no more.
        let mut cluster = BTreeSet::new();
        let mut open: Vec<Txid> = plan.parents.iter().copied().collect();
        while let Some(txid) = open.pop() {
            if !plan.replaces.contains(&txid)
                && let Some(entry) = self.entry(&txid)
                && cluster.insert(txid)
            {
                open.extend(entry.parents.iter().chain(&entry.children));
            }
        }
        let (got, max) = (cluster.len() + 1, CLUSTER_MAX);
        if got > max {
            return Err(Refusal::ClusterCount { got, max });
        }
        let others = cluster.iter().filter_map(|txid| self.entry(txid));
        let got = plan.vbytes + others.map(|entry| entry.vbytes).sum::<u64>();
        if got > CLUSTER_BYTES_MAX {
            return Err(Refusal::ClusterBytes { got, max: CLUSTER_BYTES_MAX });
        }
        Ok(())
    }

    fn ask_dust_left(&self, tx: &Transaction, plan: &Plan) -> Result<(), Refusal> {
        for parent in plan.parents.iter().filter_map(|txid| self.entry(txid)) {
            let dusty = (0..)
                .zip(&parent.tx.output)
                .filter(|(_, output)| output.value < standard::dust_limit(output, self.policy()));
            for (vout, _) in dusty {
                let outpoint = OutPoint { txid: parent.txid, vout };
                if !tx.input.iter().any(|input| input.previous_output == outpoint) {
                    return Err(Refusal::DustLeft { parent: parent.txid });
                }
            }
        }
        Ok(())
    }
}
