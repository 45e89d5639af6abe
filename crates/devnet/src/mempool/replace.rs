//! Who makes room for whom.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{Amount, Txid};

use super::{
    Mempool, REPLACED_CLUSTERS_MAX, Rate,
    chunks::{Chunk, Link, chunks, improves},
    judge::{Mode, Plan},
    refusal::Refusal,
};

impl Mempool {
    /// Whether all that conflicts with a transaction makes room for it: everything is replaceable,
    /// if somebody pays for it and the mempool is better afterwards.
    pub(super) fn ask_replacement(
        &self,
        plan: &mut Plan,
        conflicts: &BTreeSet<Txid>,
        mode: Mode,
    ) -> Result<(), Refusal> {
        if mode == Mode::Again {
            // What is here already was confirmed earlier.
            return match conflicts.first() {
                Some(first) => Err(Refusal::SpendsReplaced { parent: *first }),
                None => Ok(()),
            };
        }
        let (got, max) = (self.clusters(conflicts), REPLACED_CLUSTERS_MAX);
        if got > max {
            return Err(Refusal::ManyReplaced { got, max });
        }
        plan.replaces = conflicts.iter().flat_map(|txid| self.descendants(txid)).collect();
        let alone = mode == Mode::Alone && !conflicts.is_empty();
        if alone {
            self.ask_price(&plan.replaces, plan.fee, plan.vbytes)?;
        }
        self.ask_cluster(plan)?;
        if alone {
            self.ask_diagram(&plan.replaces, std::slice::from_ref(plan))?;
        }
        let above = plan.parents.iter().flat_map(|parent| self.ancestors(parent));
        match above.into_iter().find(|txid| conflicts.contains(txid)) {
            Some(parent) => Err(Refusal::SpendsReplaced { parent }),
            None => Ok(()),
        }
    }

    fn clusters(&self, of: &BTreeSet<Txid>) -> usize {
        let (mut seen, mut count) = (BTreeSet::new(), 0);
        for txid in of {
            if !seen.contains(txid) {
                seen.extend(self.cluster([*txid]));
                count += 1;
            }
        }
        count
    }

    /// Whether a package may take the place of others: a parent and a child with nobody above
    /// them, of which the child pays.
    pub(super) fn ask_package(&self, plans: &[Plan]) -> Result<(), Refusal> {
        const FAMILY_MAX: usize = 2;
        let replaces: BTreeSet<Txid> =
            plans.iter().flat_map(|plan| plan.replaces.iter().copied()).collect();
        let (Some(parent), false) = (plans.first(), replaces.is_empty()) else { return Ok(()) };
        let above = plans.iter().flat_map(|plan| &plan.parents);
        let above = above.filter(|txid| self.entry(txid).is_some()).count();
        let (got, max) = (plans.len() + above, FAMILY_MAX);
        if got != max {
            return Err(Refusal::PackageFamily { got, max });
        }
        let (got, max) = (self.clusters(&replaces), REPLACED_CLUSTERS_MAX);
        if got > max {
            return Err(Refusal::ManyReplaced { got, max });
        }
        let fee: Amount = plans.iter().map(|plan| plan.fee).sum();
        let vbytes = plans.iter().map(|plan| plan.vbytes).sum();
        self.ask_price(&replaces, fee, vbytes)?;
        let both = Chunk { fee: fee.to_sat(), vbytes };
        let first = Chunk { fee: parent.fee.to_sat(), vbytes: parent.vbytes };
        if both.rate_cmp(first).is_le() {
            let (got, min) = (rate(fee, vbytes), rate(parent.fee, parent.vbytes));
            return Err(Refusal::ReplacementRate { got, min });
        }
        self.ask_diagram(&replaces, plans)
    }

    /// Whether so much pays for all that leaves, and for relaying so many bytes.
    fn ask_price(
        &self,
        replaces: &BTreeSet<Txid>,
        fee: Amount,
        vbytes: u64,
    ) -> Result<(), Refusal> {
        let gone = replaces.iter().filter_map(|txid| self.entry(txid));
        let theirs: Amount = gone.map(|entry| entry.fee).sum();
        let min = theirs + self.policy().increment.fee(vbytes);
        if fee < min { Err(Refusal::ReplacementFee { got: fee, min }) } else { Ok(()) }
    }

    /// Whether miners earn more with these than without, whatever room they have: for no number of
    /// bytes less, for some of them more.
    fn ask_diagram(&self, replaces: &BTreeSet<Txid>, plans: &[Plan]) -> Result<(), Refusal> {
        let above = plans.iter().flat_map(|plan| &plan.parents);
        let near = self.cluster(replaces.iter().chain(above).copied());
        let before: BTreeMap<Txid, Link> =
            near.iter().filter_map(|txid| Some((*txid, self.link(txid)?))).collect();
        let mut after = before.clone();
        after.retain(|txid, _| !replaces.contains(txid));
        for plan in plans {
            let chunk = Chunk { fee: plan.fee.to_sat(), vbytes: plan.vbytes };
            after.insert(plan.txid, Link { chunk, parents: plan.parents.clone() });
        }
        let sums = |links| chunks(links).into_iter().map(|(chunk, _)| chunk).collect::<Vec<_>>();
        if improves(&sums(before), &sums(after)) {
            return Ok(());
        }
        let gone = replaces.iter().filter_map(|txid| self.entry(txid));
        let min = gone.map(|entry| rate(entry.fee, entry.vbytes)).max().unwrap_or(Amount::ZERO);
        let fee = plans.iter().map(|plan| plan.fee).sum();
        let got = rate(fee, plans.iter().map(|plan| plan.vbytes).sum());
        Err(Refusal::ReplacementRate { got, min })
    }

    /// What a miner takes together with a transaction: its bytes and its fee.
    pub fn chunk(&self, txid: &Txid) -> (u64, Amount) {
        let near = self.cluster([*txid]);
        let links = near.iter().filter_map(|txid| Some((*txid, self.link(txid)?))).collect();
        let chunk = chunks(links).into_iter().find(|(_, txids)| txids.contains(txid));
        chunk.map_or((0, Amount::ZERO), |(sum, _)| (sum.vbytes, Amount::from_sat(sum.fee)))
    }

    fn link(&self, txid: &Txid) -> Option<Link> {
        let entry = self.entry(txid)?;
        let chunk = Chunk { fee: entry.fee.to_sat(), vbytes: entry.vbytes };
        Some(Link { chunk, parents: entry.parents.clone() })
    }
}

/// For 1,000 virtual bytes.
fn rate(fee: Amount, vbytes: u64) -> Amount {
    Amount::from_sat(Rate::of(fee, vbytes).to_sat_per_kvb())
}
