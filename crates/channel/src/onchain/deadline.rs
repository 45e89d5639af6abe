//! When a contract has to be taken to the chain.

use wire::amount::{BlockCount, BlockHeight};

use crate::contract::Deadline;
use crate::ledger::{ContractId, Entry, Step};
use crate::planted;
use crate::state::{Channel, Why};
use tx::Side;

/// So long we wait, after its lock, for the peer to give back what we have offered.
pub const OFFERED_GRACE_BLOCKS: BlockCount = BlockCount(2);
/// So long before its lock we take what is paid to us to the chain, if the peer does not give it.
pub const FULFILLED_MARGIN_BLOCKS: BlockCount = BlockCount(18);

impl Channel {
    /// The contract that cannot wait for the peer any longer.
    pub(crate) fn overdue(&self) -> Option<Why> {
        let tip = self.now.tip;
        let is_due = |(id, entry): &(&ContractId, &Entry)| {
            let Some(BlockHeight(expiry)) = self.deadline(entry).height() else { return false };
            let is_ours = id.offered_by == self.setup.side;
            // What is in no commitment cannot be taken, and what has no output need not be.
            let is_in = entry.added > Step::Proposed && self.has_output(entry, **id);
            let limit = match is_ours {
                true => expiry.saturating_add(OFFERED_GRACE_BLOCKS.0),
                false => expiry.saturating_sub(FULFILLED_MARGIN_BLOCKS.0),
            };
            is_in
                && tip.0 >= limit + planted::late_blocks()
                && (is_ours || self.is_paid_to_us(**id))
        };
        let (id, entry) = self.ledger.entries().iter().find(is_due)?;
        Some(Why::Deadline { id: *id, expiry: self.deadline(entry).height()? })
    }

    /// When the payer of a contract can have its money back.
    pub(crate) fn deadline(&self, entry: &Entry) -> Deadline {
        let contract = &*entry.contract;
        self.resolvers.known(contract.kind()).deadline(contract)
    }

    /// Whether a contract of the peer is so near to its lock that it should be failed: once its
    /// preimage is shown it would have to be taken to the chain at once (BOLT 2).
    pub fn is_too_late(&self, id: ContractId) -> bool {
        let entry = self.ledger.entries().get(&id);
        let expiry = entry.and_then(|it| self.deadline(it).height());
        expiry.is_some_and(|it| self.now.tip.0 >= it.0.saturating_sub(FULFILLED_MARGIN_BLOCKS.0))
    }

    /// Whether we have shown what opens it.
    fn is_paid_to_us(&self, id: ContractId) -> bool {
        self.contracts
            .get(&id)
            .is_some_and(|it| it.end.as_ref().is_some_and(|end| end.secret().is_some()))
    }

    fn has_output(&self, entry: &Entry, id: ContractId) -> bool {
        let placed = entry.placed(id);
        [Side::Opener, Side::Acceptor].into_iter().any(|owner| {
            let rate = self.ledger.feerate(owner, crate::ledger::As::Signed);
            !placed.is_trimmed(&self.setup.terms, owner, rate)
        })
    }
}
