//! How contracts end on the chain.

use bitcoin::{OutPoint, Witness};
use tx::Purpose;
use wire::amount::BlockHeight;

use super::ended::{Ended, EndedBy, Says};
use super::jobs::Job;
use super::seen::Spend;
use super::{DEEP_BLOCKS, FINAL_BLOCKS};
use crate::change::{Change, End};
use crate::ledger::ContractId;
use crate::planted;
use crate::state::{Channel, Effect, Event, Known, Outcome};

impl Channel {
    /// Tells what has become of contracts: preimages at once, the rest when it is deep.
    pub(super) fn resolve(&self, ended: &Ended, jobs: &[Job]) -> Outcome {
        let mut outcome = self.nothing();
        let mut ends = Vec::new();
        for (id, known) in &self.contracts {
            let spend = self.spend_of(ended, *id);
            let shown = spend.and_then(|it| self.secret_in(it, *id));
            let shown = shown.or_else(|| self.secret_of_cheat(ended, *id));
            let is_ours = id.offered_by == self.setup.side;
            let is_known = known.opened_by().is_some();
            if let Some(secret) = shown.filter(|_| is_ours && !is_known) {
                outcome.changes.push(Change::Learned { id: *id, secret: secret.to_vec() });
                let end = self.opened(*id, secret);
                outcome.effects.extend(end.and_then(|it| Event::shown(*id, &it)).map(Effect::Tell));
            }
            let height = match (spend, self.output_of(ended, *id)) {
                (Some(spend), _) => spend.height,
                // It has no output, so that of the commitment counts.
                (None, None) => ended.height,
                (None, Some(outpoint)) => {
                    match self.given_up(jobs, (outpoint, ended.height), *id) {
                        Some(height) => height,
                        None => continue,
                    }
                }
            };
            if self.depth_of(height) >= DEEP_BLOCKS {
                ends.push((*id, self.end_of(ended, *id, spend.is_some(), shown)));
            }
        }
        for (id, end) in ends {
            outcome.tell(Event::Over { id, end: end.clone() });
            outcome.changes.push(Change::Resolved { id, end });
        }
        outcome
    }

    /// From when on a contract that nobody takes counts as over: its lock, if we cannot take it, or
    /// if that would cost more than it holds.
    fn given_up(
        &self,
        jobs: &[Job],
        (outpoint, parent): (OutPoint, BlockHeight),
        id: ContractId,
    ) -> Option<BlockHeight> {
        let job = jobs.iter().find(|job| job.outpoint == outpoint);
        let lapses = self.deadline(self.ledger.entries().get(&id)?).lapses(parent)?;
        (!job.is_some_and(|it| self.is_worth_it(it))).then_some(lapses)
    }

    /// How a contract has ended.
    fn end_of(&self, ended: &Ended, id: ContractId, has_spend: bool, shown: Option<&[u8]>) -> End {
        let resolver = self.resolvers.known(id.kind);
        if let Some(end) = shown.and_then(|it| resolver.opened(it)) {
            return end;
        }
        let known = self.contracts.get(&id).and_then(Known::opened_by);
        let is_paid = ended.says.as_ref().is_some_and(|it| it.paid.contains(&id));
        let is_ours = id.offered_by == self.setup.side;
        let known = known.filter(|_| is_paid || is_ours && !has_spend);
        match known.and_then(|it| resolver.opened(it)) {
            // What was spent without its secret has come back, and what has no output is lost to
            // whoever was to be paid; but whoever has seen its secret owes it to whom it came from.
            Some(end) => end,
            None => resolver.returned(),
        }
    }

    /// Where a contract is in the commitment that is in the chain.
    fn output_of(&self, ended: &Ended, id: ContractId) -> Option<OutPoint> {
        let Says { built, ids, .. } = ended.says.as_ref()?;
        let hash = |id: &ContractId| self.contracts.get(id)?.htlc().map(|it| it.payment_hash);
        let is_same = |it: &ContractId| planted::knows_contracts_by_hash() && hash(it) == hash(&id);
        let at = ids.iter().position(|it| *it == id || is_same(it))?;
        let is_it =
            |purpose: &Purpose| matches!(purpose, Purpose::Contract { index, .. } if *index == at);
        let vout = built.outputs.iter().position(|it| is_it(&it.purpose))?;
        let txid = built.transaction.compute_txid();
        Some(OutPoint { txid, vout: u32::try_from(vout).ok()? })
    }

    fn spend_of(&self, ended: &Ended, id: ContractId) -> Option<&Spend> {
        self.seen.spend(&self.output_of(ended, id)?)
    }

    /// The secret with which it was taken.
    fn secret_in<'a>(&self, spend: &'a Spend, id: ContractId) -> Option<&'a [u8]> {
        let witness: &Witness = &spend.transaction.input.get(spend.input)?.witness;
        let contract = &self.ledger.entries().get(&id)?.contract;
        witness.iter().find(|it| contract.is_opened_by(it))
    }

    /// Which output of a revoked commitment is which contract is not kept. But a secret is true
    /// wherever it is shown.
    fn secret_of_cheat(&self, ended: &Ended, id: ContractId) -> Option<&[u8]> {
        let EndedBy::Revoked(_) = ended.by else { return None };
        self.seen.spends().values().find_map(|it| self.secret_in(it, id))
    }

    /// Whether nothing can change any more that would concern us.
    pub(super) fn is_final(&self, ended: &Ended, jobs: &[Job]) -> bool {
        let mut spends = self.seen.spends().values();
        self.depth_of(ended.height) >= FINAL_BLOCKS
            && self.contracts.is_empty()
            && ended.wants().is_none()
            && spends.all(|it| self.depth_of(it.height) >= FINAL_BLOCKS)
            && !jobs.iter().any(|it| self.is_worth_it(it))
    }
}
