//! What the chain says of a channel, and what is done about it (BOLT 5).
//!
//! | file | what |
//! |---|---|
//! | `seen.rs` | what stands in blocks, and leaves with them |
//! | `ended.rs` | which commitment has spent the funding, or which close |
//! | `jobs.rs` | what we can take of it: from which block on, until when |
//! | `bids.rs` | the transactions that take it, and what they pay |
//! | `penalties.rs` | near their deadline penalties are taken apart |
//! | `resolved.rs` | how contracts end there |
//! | `deadline.rs` | when a contract has to be taken to the chain |
//!
//! What is to be done follows from what is in blocks, so a reorg needs nothing of its own: what is
//! seen no more is to be done again.

mod bids;
mod deadline;
mod ended;
mod jobs;
mod penalties;
mod resolved;
mod seen;

pub(crate) use bids::Bids;
pub use bids::{CoinOffer, Wanted};
pub(crate) use ended::Ended;
pub use ended::EndedBy;
pub use penalties::SECURITY_DELAY_BLOCKS;
pub(crate) use seen::{Seen, Spend};

use std::sync::Arc;

use bitcoin::Transaction;
use chain::Watch;
use tx::Meaning;
use wire::amount::{BlockCount, BlockHeight};
use wire::id::CommitmentNumber;

use crate::begun::Begun;
use crate::change::Change;
use crate::contract::Resolvers;
use crate::ledger::As;
use crate::planted;
use crate::state::{Channel, Event, Outcome, State, Why};

/// From here on a reorg is not expected: what is so deep is believed.
pub const DEEP_BLOCKS: BlockCount = BlockCount(6);
/// From here on nothing is looked at any more (BOLT 5).
pub const FINAL_BLOCKS: BlockCount = BlockCount(100);

impl Channel {
    /// A block is in the chain: of its transactions those that were watched for.
    pub fn block(&self, height: BlockHeight, found: &[(u32, Arc<Transaction>)]) -> Outcome {
        let mut outcome = self.nothing();
        for (position, transaction) in found {
            let (position, transaction) = (*position, transaction.clone());
            let is_named = transaction.compute_txid() == self.begun.funding().txid;
            if is_named && !self.begun.is_funded_by(&transaction) {
                // It holds something else than was agreed on: the funding never comes.
                continue;
            }
            if self.seen.has(self.funding(), height, &transaction) {
                continue;
            }
            outcome = outcome.save(Change::InBlock { height, position, transaction });
        }
        outcome
    }

    /// The block of this height is in the chain no more, nor any after it.
    pub fn unblock(&self, height: BlockHeight) -> Outcome {
        match self.seen.reaches(height) {
            true => self.nothing().save(Change::BlockGone { height }),
            false => self.nothing(),
        }
    }

    /// What has to be looked for in blocks, now and after a restart.
    pub fn watches(&self) -> Vec<Watch> {
        let funding = Watch::Pay(self.begun.agreed().funding_script());
        let spend = Watch::Spend(self.funding());
        let spent = self.seen.outputs().filter(|_| !planted::forgets_watches()).map(Watch::Spend);
        [funding, spend].into_iter().chain(spent).collect()
    }

    /// How deep the funding is.
    pub fn depth(&self) -> BlockCount {
        self.seen.funding().map_or(BlockCount(0), |height| self.depth_of(height))
    }

    /// Who has ended the channel on the chain, and in which block.
    pub fn ended_by(&self) -> Option<(EndedBy, BlockHeight)> {
        self.ended.as_ref().map(|it| (it.by, it.height))
    }

    pub(crate) fn depth_of(&self, height: BlockHeight) -> BlockCount {
        BlockCount((self.now.tip.0 + 1).saturating_sub(height.0))
    }

    /// A revoked commitment is in the chain: what it says, from the log of this channel.
    /// Nothing if the log does not know of it.
    pub fn recall(
        begun: Begun,
        changes: impl IntoIterator<Item = Change>,
        number: CommitmentNumber,
    ) -> Option<Meaning> {
        Self::recall_with(begun, Resolvers::bolt2(), changes, number)
    }

    /// The same, with these kinds of contracts: [`Channel::resolvers`].
    pub fn recall_with(
        begun: Begun,
        resolvers: Resolvers,
        changes: impl IntoIterator<Item = Change>,
        number: CommitmentNumber,
    ) -> Option<Meaning> {
        let mut channel = Self::with(begun, resolvers);
        let mut changes = changes.into_iter();
        while channel.remote.number < number {
            channel.restore(&changes.next()?).ok()?;
        }
        let (peer, point) = (channel.setup.side.other(), channel.remote.points.0);
        Some(channel.meaning(peer, As::Signed, number, point))
    }

    /// What was asked for by [`Effect::Recall`](crate::Effect::Recall).
    pub fn recalled(&mut self, meaning: Meaning) {
        self.link.at_rest = None;
        if let Some(ended) = &mut self.ended {
            ended.recall(&self.setup.terms, meaning);
        }
    }

    /// Users hear of an end that the chain is the first to show, and of one that may cost them.
    fn tell_end(&self, by: EndedBy, outcome: &mut Outcome) {
        outcome.link.told_end = Some(by);
        let is_first = matches!(&self.state, State::Failing(it) if it.why == Why::Spent);
        match by {
            EndedBy::Unknown(_) => outcome.tell(Event::Failing(Why::Unknown)),
            EndedBy::Remote | EndedBy::Revoked(_) if is_first => {
                outcome.tell(Event::Failing(Why::Spent));
            }
            EndedBy::Both | EndedBy::Local | EndedBy::Remote | EndedBy::Revoked(_) => {}
        }
    }

    /// What is to be done on the chain now.
    pub(crate) fn pursue_chain(&self) -> Outcome {
        let is_at_rest = self.link.at_rest == Some(self.now.tip);
        let Some(ended) = self.ended.as_ref().filter(|_| !is_at_rest) else {
            return self.nothing();
        };
        let mut outcome = self.pursue_end(ended);
        if self.link.told_end != Some(ended.by) {
            self.tell_end(ended.by, &mut outcome);
        }
        if outcome.changes.is_empty() && outcome.effects.is_empty() {
            // Nothing comes of looking again before something is new.
            outcome.link.at_rest = Some(self.now.tip);
        }
        outcome
    }

    fn pursue_end(&self, ended: &Ended) -> Outcome {
        let jobs = self.jobs(ended);
        let outcome = self.resolve(ended, &jobs);
        if !outcome.changes.is_empty() {
            return outcome;
        }
        if self.state != State::Done && self.is_final(ended, &jobs) {
            let mut outcome = self.nothing().save(Change::Done);
            outcome.tell(Event::Done);
            return outcome;
        }
        self.pursue_jobs(ended, jobs)
    }
}
