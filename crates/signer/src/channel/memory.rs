//! What a signer remembers of a channel: never signed twice for a number, never back.

use bitcoin::Txid;
use tx::{Meaning, RevokedSecrets, Side};
use wire::amount::FeeratePerKw;
use wire::id::{CommitmentNumber, PerCommitmentSecret};
use wire::key::Point;

use super::day::Ahead;
use super::{ChannelRefusal as No, SetUp, Spent};

/// A channel, as its signer knows it.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    pub(super) setup: SetUp,
    /// Our newest commitment that the peer has signed; all before it are revoked.
    pub(super) local: Option<Agreed>,
    /// The point of our commitment after that, if it is at hand.
    pub(super) next_point: Option<Point>,
    /// The peer's newest commitment that we have signed.
    pub(super) remote: Option<Agreed>,
    /// The points of the peer's commitments that are not revoked: of the newest, and before it.
    pub(super) points: [Option<(CommitmentNumber, Point)>; 2],
    pub(super) secrets: RevokedSecrets,
    /// How far what we offer in the peer's commitments is ahead of what we offer in ours.
    pub(super) ahead: Ahead,
    /// Our newest commitment was signed, to be published.
    pub(super) closing: bool,
    /// A close was signed: the balances stay.
    pub(super) shut: bool,
}

/// A commitment that is agreed on.
#[derive(Clone, Debug)]
pub(super) struct Agreed {
    pub(super) meaning: Meaning,
    pub(super) txid: Txid,
}

/// What an answer changes. It is saved before the answer is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelChange {
    /// A new channel.
    SetUp(Box<SetUp>),
    /// A commitment of the peer is signed.
    SignedRemote {
        /// What it means.
        meaning: Box<Meaning>,
        /// Its id.
        txid: Txid,
        /// What we offer in it.
        spent: Spent,
    },
    /// A commitment of ours is signed by the peer, and the one before is revoked.
    Advanced {
        /// What it means.
        meaning: Box<Meaning>,
        /// Its id.
        txid: Txid,
        /// The point of the one that will follow, if it is at hand. It is not saved: it can be had
        /// again.
        next: Option<Point>,
        /// What we offer in it.
        spent: Spent,
    },
    /// The peer has revoked a commitment.
    Revoked {
        /// Which one.
        number: CommitmentNumber,
        /// With this.
        secret: PerCommitmentSecret,
    },
    /// Our newest commitment is signed.
    Closing,
    /// A cooperative close is signed.
    Shut,
}

impl ChannelChange {
    /// Whether its answer may leave before it is saved. If it is lost in a crash the signer says
    /// that a secret is missing, and whoever asked shows it again.
    pub const fn can_wait(&self) -> bool {
        match self {
            Self::Revoked { .. } => true,
            Self::SetUp(_)
            | Self::SignedRemote { .. }
            | Self::Advanced { .. }
            | Self::Closing
            | Self::Shut => false,
        }
    }
}

impl Agreed {
    /// Whether it is the same transaction, second stages included: those follow from the rate.
    pub(super) fn is(&self, txid: Txid, rate: FeeratePerKw) -> bool {
        self.txid == txid && self.meaning.feerate == rate
    }
}

impl Memory {
    pub(super) fn new(setup: SetUp) -> Self {
        Self {
            setup,
            local: None,
            next_point: None,
            remote: None,
            points: [None; 2],
            secrets: RevokedSecrets::default(),
            ahead: Ahead::default(),
            closing: false,
            shut: false,
        }
    }

    /// Whether there may be commitments that are new.
    pub(super) const fn judge_open(&self) -> Result<(), No> {
        match (self.closing, self.shut) {
            (true, _) => Err(No::Closing),
            (false, true) => Err(No::Shut),
            (false, false) => Ok(()),
        }
    }

    /// The newest commitment of a side.
    pub(super) fn newest(&self, owner: Side) -> Option<&Agreed> {
        if owner == self.setup.side { self.local.as_ref() } else { self.remote.as_ref() }
    }

    pub(super) fn evolve(&mut self, change: &ChannelChange) {
        match change {
            ChannelChange::SetUp(_) => {}
            ChannelChange::SignedRemote { meaning, txid, spent } => {
                self.ahead.offer(true, spent.offered);
                self.points = [Some((meaning.number, meaning.point)), self.points[0]];
                self.remote = Some(Agreed { meaning: (**meaning).clone(), txid: *txid });
            }
            ChannelChange::Advanced { meaning, txid, next, spent } => {
                self.ahead.offer(false, spent.offered);
                self.local = Some(Agreed { meaning: (**meaning).clone(), txid: *txid });
                self.next_point = *next;
            }
            ChannelChange::Revoked { number, secret } => {
                // It is saved once more with the next change, if its own save was not waited for.
                if self.secrets.secret(*number) != Some(*secret) {
                    self.secrets.insert(*number, secret).expect("it was judged before");
                }
            }
            ChannelChange::Closing => self.closing = true,
            ChannelChange::Shut => self.shut = true,
        }
    }
}
