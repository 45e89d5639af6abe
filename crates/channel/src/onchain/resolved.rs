//! How contracts end on the chain.

use bitcoin::{OutPoint, Witness};
use tx::Purpose;
use wire::id::PaymentPreimage;
use wire::list::Blob;

use super::ended::{Ended, EndedBy, Says};
use super::seen::Spend;
use super::{DEEP_BLOCKS, FINAL_BLOCKS};
use crate::change::{Change, End};
use crate::ledger::ContractId;
use crate::state::{Channel, Event, Outcome};

impl Channel {
    /// Tells what has become of contracts: preimages at once, the rest when it is deep.
    pub(super) fn resolve(&self, ended: &Ended) -> Outcome {
        let mut outcome = self.nothing();
        let mut ends = Vec::new();
        for (id, known) in &self.contracts {
            let spend = self.spend_of(ended, *id);
            let shown = spend.and_then(|it| self.preimage_in(it, *id));
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
                (None, Some(_)) => continue,
            };
            if self.depth_of(height) >= DEEP_BLOCKS {
                ends.push((*id, self.end_of(*id, spend.is_some(), shown)));
            }
        }
        for (id, end) in ends {
            outcome.tell(Event::Over { id, end: end.clone() });
            outcome.changes.push(Change::Resolved { id, end });
        }
        outcome
    }

    /// How a contract has ended.
    fn end_of(&self, id: ContractId, has_spend: bool, shown: Option<PaymentPreimage>) -> End {
        let known = self.contracts.get(&id);
        let learned = known.and_then(|it| it.preimage);
        let ended = known.and_then(|it| it.end.clone());
        match (shown, has_spend, ended) {
            (Some(preimage), _, _) => End::Fulfilled(preimage),
            // It was spent without its secret: whoever has offered it has it back.
            (None, true, _) => End::Failed(Blob(Vec::new())),
            (None, false, Some(end)) => end,
            (None, false, None) => match learned {
                Some(preimage) => End::Fulfilled(preimage),
                None => End::Failed(Blob(Vec::new())),
            },
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

    /// Whether nothing can change any more that would concern us.
    pub(super) fn is_final(&self, ended: &Ended) -> bool {
        let is_deep = self.depth_of(ended.height) >= FINAL_BLOCKS;
        let is_known = ended.by == EndedBy::Both || ended.says.is_some();
        let spends = self.seen.spends().values();
        let mut depths = spends.map(|it| self.depth_of(it.height) >= FINAL_BLOCKS);
        let is_looked_for = ended.wants().is_some();
        let is_open = self.jobs(ended).iter().any(|it| self.is_worth_it(it));
        let all_deep = depths.all(|it| it);
        is_deep && (is_known || !is_looked_for) && !is_open && all_deep && self.contracts.is_empty()
    }
}
