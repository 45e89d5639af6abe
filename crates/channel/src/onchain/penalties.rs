//! Penalties near their deadline: one for each output (BOLT 5).
//!
//! A second stage with anchors can be made large and pay little, and whatever else spends that
//! contract has to pay for all of it to take its place. A penalty that takes everything could be
//! held up by one such contract until the cheat's balance is the cheat's again. So what is not in
//! a block when that is near is taken one by one, and at most the held up one is late: its second
//! stage can still be punished, from its own block on.

use std::cmp::Reverse;
use std::iter;

use tx::{Claim, Claimed};
use wire::amount::{BlockCount, Sat};

use super::bids::{BIDS_MAX, STEP_RATE, Work, claims};
use super::ended::Ended;
use super::jobs::{Job, What};
use crate::state::{Channel, Outcome};

/// So long before a deadline penalties are taken apart: what BOLT 5 calls `security_delay`, and
/// recommends.
pub const SECURITY_DELAY_BLOCKS: BlockCount = BlockCount(18);

impl Channel {
    /// Begins one bid for each of these penalties in place of one for all, which has paid so much
    /// if that is known. False if that is not wanted now, or cannot be paid for.
    pub(super) fn take_apart(
        &self,
        ended: &Ended,
        jobs: &[Job],
        paid: Option<Sat>,
        outcome: &mut Outcome,
    ) -> bool {
        let room = BIDS_MAX.saturating_sub(outcome.link.bids.len());
        if !self.is_pressing(jobs) || room < 2 {
            return false;
        }
        let mut jobs = jobs.to_vec();
        jobs.sort_by_key(|job| (Reverse(job.value), job.outpoint));
        let Some((first, fee)) = self.successor(ended, &jobs, paid) else { return false };
        let (first, rest) = jobs.split_at(first);
        // Of too many those of the least value stay together.
        let alone = if rest.len() < room { rest.len() } else { room - 2 };
        let (alone, together) = rest.split_at(alone);
        let parts = iter::once((first, fee))
            .chain(alone.chunks(1).map(|job| (job, Sat(0))))
            .chain((!together.is_empty()).then_some((together, Sat(0))));
        for (part, least) in parts {
            let key = part.iter().map(|job| job.outpoint).collect();
            self.bid(ended, (key, part), Vec::new(), least, outcome);
        }
        true
    }

    /// Whether these are several penalties that have waited for too long together.
    fn is_pressing(&self, jobs: &[Job]) -> bool {
        let [Job { deadline: Some(deadline), .. }, _, ..] = jobs else { return false };
        self.setup.terms.form.has_anchors()
            && jobs.iter().all(is_penalty)
            && self.now.tip.0.saturating_add(SECURITY_DELAY_BLOCKS.0) >= deadline.0
    }

    /// The first of these takes the place of the one for all, wherever that waits, so that there is
    /// room for the others: it pays more than that has paid. If one cannot, then the first two,
    /// four, …: how many, and what they pay. What was paid before a restart is not known; it is
    /// thought to be what would be paid now.
    fn successor(&self, ended: &Ended, jobs: &[Job], paid: Option<Sat>) -> Option<(usize, Sat)> {
        let deadline = jobs[0].deadline;
        let sized = |jobs: &[Job]| {
            let weight = self.weight(ended, &Work::Claims(claims(jobs)), &[])?;
            Some((weight, Sat(jobs.iter().map(|job| job.value.0).sum())))
        };
        let paid = match paid {
            Some(paid) => paid,
            None => {
                let (weight, value) = sized(jobs)?;
                self.fee(weight, value, deadline)
            }
        };
        let counts = iter::successors(Some(1), |count| Some(count * 2));
        counts.take_while(|count| *count < jobs.len()).find_map(|count| {
            let (weight, value) = sized(&jobs[..count])?;
            let fee = Sat(paid.0 + u64::from(STEP_RATE.0) * weight / 1_000 + 1);
            let most = Self::fee_max(value, deadline);
            let most = self.affordable(&Work::Claims(Vec::new()), most, value, &[]);
            (fee <= most).then_some((count, fee))
        })
    }
}

fn is_penalty(job: &Job) -> bool {
    match &job.what {
        What::Claim(Claim { what, .. }) => match what {
            Claimed::RevokedDelayed(_) | Claimed::RevokedContract { .. } => true,
            Claimed::Delayed(_)
            | Claimed::ToRemote
            | Claimed::Anchor
            | Claimed::Contract { .. }
            | Claimed::OwnContract { .. } => false,
        },
        What::Stage(_) => false,
    }
}
