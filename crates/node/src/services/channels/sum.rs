//! The state as a snapshot, and what is kept beside it: the fewest changes that make the state,
//! and of all before what says later what a revoked commitment has said.

use std::collections::BTreeMap;

use channel::Channel;
use tx::Meaning;
use wire::{bigsize, id::CommitmentNumber, lease::LeaseEpoch, saved};

use super::{Change, ChannelName, Held, Payment, PaymentId, Progress, State};
use crate::services::saved::ChangeFault;

impl State {
    /// The fewest changes that make it.
    pub fn encode(&self) -> Vec<u8> {
        let mut changes = Vec::new();
        for (name, held) in &self.channels {
            sum_of_channel(*name, held, |change| changes.push(change.encode()));
        }
        for (id, payment) in &self.payments {
            sum_of_payment(*id, payment, |change| changes.push(change.encode()));
        }
        if self.lease > LeaseEpoch(0) {
            changes.push(Change::Leased { epoch: self.lease }.encode());
        }
        changes.extend(self.cursor.map(|block| Change::Heard { block }.encode()));
        saved::join(changes)
    }

    /// Reads a snapshot.
    pub fn decode(snapshot: &[u8]) -> Result<Self, ChangeFault> {
        let mut state = Self::default();
        for bytes in saved::split(snapshot).map_err(ChangeFault::Damaged)? {
            if let Some(change) = Change::decode(bytes)? {
                let meaningless = |no: channel::NoResolver| ChangeFault::Meaningless {
                    what: "contract",
                    got: no.to_string(),
                };
                state.judge(&change).map_err(meaningless)?;
                state.evolve(&change);
            }
        }
        Ok(state)
    }
}

fn sum_of_channel(name: ChannelName, held: &Held, mut add: impl FnMut(Change)) {
    let Held { channel, created, funding, confirmed, spent, closed } = held;
    let begun = Box::new(channel.begun().clone());
    add(Change::Begun { name, created: *created, funding: funding.clone(), begun });
    let change = Box::new(channel::Change::Sum(Box::new(channel.sum())));
    add(Change::Live { name, change });
    if let Some((block, position)) = *confirmed {
        add(Change::Confirmed { name, block, position });
    }
    if let Some((block, transaction)) = spent {
        add(Change::Spent { name, block: *block, transaction: transaction.clone() });
    }
    if *closed {
        add(Change::Closed { name });
    }
}

fn sum_of_payment(id: PaymentId, payment: &Payment, mut add: impl FnMut(Change)) {
    let Payment { node, incoming, amount, hash, created, name, attempt, progress } = payment;
    let (amount, hash, created) = (*amount, *hash, *created);
    if let (true, Some(attempt), Progress::Paid(preimage)) = (incoming, attempt, progress) {
        let (channel, htlc, preimage) = (attempt.channel, attempt.htlc, *preimage);
        return add(Change::Received { id, channel, htlc, amount, hash, preimage, created });
    }
    add(Change::Paying { id, node: *node, amount, hash, created, name: name.clone() });
    if let Some(attempt) = attempt
        && let Some(keys) = attempt.keys
    {
        let (channel, htlc, attempt) = (attempt.channel, attempt.htlc, attempt.id);
        add(Change::Attempt { id, attempt, channel, htlc, keys });
    }
    match progress {
        Progress::Pending => {}
        Progress::Paid(preimage) => add(Change::Paid { id, preimage: *preimage }),
        Progress::Failed(why) => add(Change::Failed { id, why: why.clone() }),
    }
}

/// What has been saved of channels since the last snapshot, as far as it is kept for ever.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Past(BTreeMap<ChannelName, Vec<u8>>);

impl Past {
    /// This is saved.
    pub fn note(&mut self, change: &Change) {
        let Change::Live { name, change } = change else { return };
        if let Some(trace) = change.trace() {
            let to = self.0.entry(*name).or_default();
            bigsize::write(trace.len() as u64, to);
            to.extend(trace);
        }
    }

    /// For each channel the name of its list in the archive, and what comes behind that: with the
    /// next snapshot.
    pub fn take(&mut self) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
        std::mem::take(&mut self.0).into_iter().map(|(name, bytes)| (Self::key(&name), bytes))
    }

    /// The name of a channel's list in the archive.
    pub fn key(name: &ChannelName) -> Vec<u8> {
        [&name.node.serialize()[..], &name.key.0].concat()
    }

    /// What a commitment of the peer has said, by the entries of that list, the oldest first, and
    /// all that was saved since the last snapshot. Nothing if they do not know of it.
    pub fn recall<'a>(
        of: ChannelName,
        begun: channel::Begun,
        entries: impl Iterator<Item = &'a [u8]>,
        since: impl Iterator<Item = &'a [u8]>,
        number: CommitmentNumber,
    ) -> Option<Meaning> {
        let kept = entries.flat_map(|entry| saved::split(entry).unwrap_or_default());
        let kept = kept.filter_map(|bytes| channel::Change::read_trace(bytes).ok()?);
        let lived = since.filter_map(|bytes| {
            let Change::Live { name, change } = Change::decode(bytes).ok()?? else { return None };
            (name == of).then_some(*change)
        });
        Channel::recall(begun, kept.chain(lived), number)
    }
}
