//! How contracts end on the chain.

use bitcoin::{OutPoint, Witness};
use tx::Purpose;
use wire::amount::BlockHeight;
use wire::id::PaymentPreimage;
use wire::list::Blob;

use super::ended::{Ended, EndedBy, Says};
use super::jobs::Job;
use super::seen::Spend;
use super::{DEEP_BLOCKS, FINAL_BLOCKS};
use crate::change::{Change, End};
use crate::ledger::ContractId;
use crate::state::{Channel, Event, Outcome};

impl Channel {
    /// Tells what has become of contracts: preimages at once, the rest when it is deep.
    pub(super) fn resolve(&self, ended: &Ended, jobs: &[Job]) -> Outcome {
        let mut outcome = self.nothing();
        let mut ends = Vec::new();
        for (id, known) in &self.contracts {
            let spend = self.spend_of(ended, *id);
            let shown = spend.and_then(|it| self.preimage_in(it, *id));
            let shown = shown.or_else(|| self.preimage_of_cheat(ended, *id));
            let is_ours = id.offered_by == self.setup.side;
            let is_known = known.preimage.is_some() || matches!(known.end, Some(End::Fulfilled(_)));
            if let Some(preimage) = shown.filter(|_| is_ours && !is_known) {
                outcome.changes.push(Change::Learned { id: *id, preimage });
                outcome.tell(Event::Fulfilled(*id, preimage));
            }
            let height = match (spend, self.output_of(ended, *id)) {
                (Some(spend), _) => spend.height,
                // It has no output, so that of the commitment counts.
                (None, None) => ended.height,
                (None, Some(outpoint)) => match self.given_up(jobs, outpoint, *id) {
                    Some(height) => height,
                    None => continue,
                },
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
    fn given_up(&self, jobs: &[Job], outpoint: OutPoint, id: ContractId) -> Option<BlockHeight> {
        let job = jobs.iter().find(|job| job.outpoint == outpoint);
        let expiry = self.ledger.entries().get(&id)?.contract.order();
        (!job.is_some_and(|it| self.is_worth_it(it))).then_some(BlockHeight(expiry))
    }

    /// How a contract has ended.
    fn end_of(
        &self,
        ended: &Ended,
        id: ContractId,
        has_spend: bool,
        shown: Option<PaymentPreimage>,
    ) -> End {
        if let Some(preimage) = shown {
            return End::Fulfilled(preimage);
        }
        let known = self.contracts.get(&id);
        let said = known.and_then(|it| match it.end {
            Some(End::Fulfilled(preimage)) => Some(preimage),
            Some(End::Failed(_) | End::Malformed { .. }) | None => None,
        });
        let known = said.or(known.and_then(|it| it.preimage));
        let is_paid = ended.says.as_ref().is_some_and(|it| it.paid.contains(&id));
        let is_ours = id.offered_by == self.setup.side;
        match known {
            // What was spent without its secret has come back, and what has no output is lost to
            // whoever was to be paid; but whoever has seen its secret owes it to whom it came from.
            Some(preimage) if is_paid || is_ours && !has_spend => End::Fulfilled(preimage),
            Some(_) | None => End::Failed(Blob(Vec::new())),
        }
    }

    /// Where a contract is in the commitment that is in the chain.
    fn output_of(&self, ended: &Ended, id: ContractId) -> Option<OutPoint> {
        let Says { built, ids, .. } = ended.says.as_ref()?;
        let at = ids.iter().position(|it| *it == id)?;
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
    fn preimage_in(&self, spend: &Spend, id: ContractId) -> Option<PaymentPreimage> {
        let witness: &Witness = &spend.transaction.input.get(spend.input)?.witness;
        let contract = &self.ledger.entries().get(&id)?.contract;
        let secret = witness.iter().find(|it| contract.is_opened_by(it))?;
        Some(PaymentPreimage(secret.try_into().ok()?))
    }

    /// Which output of a revoked commitment is which contract is not kept. But a secret is true
    /// wherever it is shown.
    fn preimage_of_cheat(&self, ended: &Ended, id: ContractId) -> Option<PaymentPreimage> {
        let EndedBy::Revoked(_) = ended.by else { return None };
        self.seen.spends().values().find_map(|it| self.preimage_in(it, id))
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
