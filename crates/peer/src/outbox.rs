//! Messages to the peer come in order, once, and from the owner in force.

use crate::api::{Epoch, OutSeq, Refusal};

/// Who owns the keys, and what it has sent.
#[derive(Clone, Copy, Default)]
pub(crate) struct Lease {
    epoch: Epoch,
    sent: OutSeq,
}

impl Lease {
    /// The first owner's, or any other's at its start.
    pub(crate) const fn new(epoch: Epoch) -> Self {
        Self { epoch, sent: OutSeq(0) }
    }

    /// The epoch in force.
    pub(crate) const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The last message that the owner in force has sent.
    pub(crate) const fn last(&self) -> OutSeq {
        self.sent
    }

    /// What one owner of a socket tells the next.
    pub(crate) const fn restored(epoch: Epoch, sent: OutSeq) -> Self {
        Self { epoch, sent }
    }

    /// Refuses everyone but the owner.
    pub(crate) fn judge(&self, epoch: Epoch) -> Result<(), Refusal> {
        match epoch == self.epoch {
            true => Ok(()),
            false => Err(Refusal::StaleEpoch { got: epoch, have: self.epoch }),
        }
    }

    /// Refuses a message that is not the owner's next.
    pub(crate) fn judge_message(&self, epoch: Epoch, seq: OutSeq) -> Result<(), Refusal> {
        self.judge(epoch)?;
        let want = OutSeq(self.sent.0 + 1);
        match seq == want {
            true => Ok(()),
            false => Err(Refusal::OutOfSequence { got: seq, want }),
        }
    }

    /// The message has gone out.
    pub(crate) const fn sent(&mut self, seq: OutSeq) {
        self.sent = seq;
    }

    /// The lease of a later owner.
    pub(crate) fn pass_on(&self, to: Epoch) -> Result<Self, Refusal> {
        match to > self.epoch {
            true => Ok(Self::new(to)),
            false => Err(Refusal::StaleEpoch { got: to, have: self.epoch }),
        }
    }
}
