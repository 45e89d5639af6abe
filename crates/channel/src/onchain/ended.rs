//! Which commitment has spent the funding, or which close.

use std::fmt;
use std::sync::Arc;

use bitcoin::Transaction;
use tx::{Commitment, Meaning, Side, Terms};
use wire::amount::BlockHeight;
use wire::id::CommitmentNumber;

use crate::ledger::{As, ContractId};
use crate::state::Channel;

/// The first byte of a commitment's sequence, and of its lock time (BOLT 3).
const SEQUENCE_BYTE: u32 = 0x80;
const LOCK_TIME_BYTE: u32 = 0x20;

/// Who has ended a channel on the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// Both, together.
    Both,
    /// We have published our newest commitment.
    Local,
    /// The peer has published one that it has not revoked.
    Remote,
    /// The peer has published one that it has revoked: all is ours.
    Revoked(CommitmentNumber),
    /// A commitment of the peer that we know nothing of: we have forgotten it. Or one of ours that
    /// is revoked, or nothing that could be.
    Unknown(CommitmentNumber),
}

impl fmt::Display for EndedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Both => f.write_str("both have closed it"),
            Self::Local => f.write_str("our commitment was published"),
            Self::Remote => f.write_str("the peer has published its commitment"),
            Self::Revoked(number) => {
                write!(
                    f,
                    "the peer has published state {number}, which it had revoked: all is ours"
                )
            }
            Self::Unknown(number) => {
                write!(
                    f,
                    "state {number} was published, of which we know nothing: money may be lost"
                )
            }
        }
    }
}

/// The spend of the funding.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) by: EndedBy,
    pub(crate) height: BlockHeight,
    pub(crate) transaction: Arc<Transaction>,
    /// What it says, if it is a commitment and that is known.
    pub(crate) says: Option<Says>,
}

/// What a commitment in the chain says.
#[derive(Clone, Debug)]
pub(crate) struct Says {
    pub(crate) meaning: Meaning,
    pub(crate) built: Commitment,
    /// The names of its contracts, in their order; none if it is revoked.
    pub(crate) ids: Vec<ContractId>,
    /// Those that are over in it, whoever was to be paid has the money.
    pub(crate) paid: Vec<ContractId>,
}

impl Channel {
    /// Looks at what has spent the funding.
    pub(crate) fn look_at_end(&self) -> Option<Ended> {
        let spend = self.seen.spend(&self.funding())?;
        let (height, transaction) = (spend.height, spend.transaction.clone());
        let ended = |by, says| Some(Ended { by, height, transaction: transaction.clone(), says });
        let Some(number) = number_of(&self.setup.terms, &transaction, spend.input) else {
            return ended(EndedBy::Both, None);
        };
        let txid = transaction.compute_txid();
        for (owner, which, of, point) in self.commitments() {
            if of != number {
                continue;
            }
            let meaning = self.meaning(owner, which, of, point);
            let built = meaning.build(&self.setup.terms);
            if built.transaction.compute_txid() == txid {
                let by = if owner == self.setup.side { EndedBy::Local } else { EndedBy::Remote };
                let view = self.ledger.view(owner, which);
                let ids = view.contracts.iter().map(|(id, _)| *id).collect();
                let paid = self.ledger.paid_in(owner, which);
                return ended(by, Some(Says { meaning, built, ids, paid }));
            }
        }
        match number < self.remote.unrevoked {
            true => ended(EndedBy::Revoked(number), None),
            false => ended(EndedBy::Unknown(number), None),
        }
    }

    /// All commitments that could be published and are not revoked.
    fn commitments(&self) -> Vec<(Side, As, CommitmentNumber, wire::key::Point)> {
        let (side, peer) = (self.setup.side, self.setup.side.other());
        let newest = self.remote.number;
        let mut all = vec![
            (side, As::Settled, self.local.number, self.local.points[0]),
            (peer, As::Signed, newest, self.remote.points.0),
        ];
        if let Some(point) = self.remote.before {
            let number = CommitmentNumber(newest.0.saturating_sub(1));
            all.push((peer, As::Settled, number, point));
        }
        all
    }
}

impl Ended {
    /// What a revoked commitment says, if that is it.
    pub(crate) fn recall(&mut self, terms: &Terms, meaning: Meaning) {
        let built = meaning.build(terms);
        let is_it = built.transaction.compute_txid() == self.transaction.compute_txid();
        match self.by {
            EndedBy::Revoked(number) if is_it && number == meaning.number => {
                let (ids, paid) = (Vec::new(), Vec::new());
                self.says = Some(Says { meaning, built, ids, paid });
            }
            EndedBy::Revoked(number) => self.by = EndedBy::Unknown(number),
            EndedBy::Both | EndedBy::Local | EndedBy::Remote | EndedBy::Unknown(_) => {}
        }
    }

    /// The revoked commitment that is to be looked up in the log.
    pub(crate) const fn wants(&self) -> Option<CommitmentNumber> {
        match (&self.by, &self.says) {
            (EndedBy::Revoked(number), None) => Some(*number),
            _ => None,
        }
    }
}

/// The number of a commitment, if it is one.
fn number_of(terms: &Terms, transaction: &Transaction, input: usize) -> Option<CommitmentNumber> {
    let sequence = transaction.input.get(input)?.sequence.0;
    let lock_time = transaction.lock_time.to_consensus_u32();
    if sequence >> 24 != SEQUENCE_BYTE || lock_time >> 24 != LOCK_TIME_BYTE {
        return None;
    }
    let low = |it: u32| u64::from(it & 0xff_ffff);
    let obscured = low(sequence) << 24 | low(lock_time);
    let zero = terms.obscured(CommitmentNumber(0)) & 0xffff_ffff_ffff;
    Some(CommitmentNumber(obscured ^ zero))
}
