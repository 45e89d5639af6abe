//! How a contract's output is taken.

use bitcoin::Sequence;
use tx::{Contract, Place, Way, Who};
use wire::amount::{BlockCount, BlockHeight};

/// After its lock a contract of ours can still be taken by whoever learns its secret: so soon we
/// want it.
pub const RACE_BLOCKS: BlockCount = BlockCount(12);

/// A contract's output in a commitment that is in the chain.
#[derive(Clone, Copy, Debug)]
pub struct Spot<'a> {
    /// Its terms.
    pub contract: &'a dyn Contract,
    /// Where it stands.
    pub place: Place<'a>,
    /// Whether the commitment is ours.
    pub is_own: bool,
    /// The block of the commitment.
    pub parent: BlockHeight,
    /// What may open it: secrets of all contracts that pay us, as far as we know them.
    pub secrets: &'a [Vec<u8>],
}

/// How we take it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taking {
    /// Through the second stage of our own commitment.
    pub staged: bool,
    /// With this secret. Nothing: we wait for the lock.
    pub secret: Option<Vec<u8>>,
    /// Then somebody else can take it as well.
    pub deadline: BlockHeight,
}

impl Spot<'_> {
    /// What follows from the locks: with a secret if we have it, and before the other can take it
    /// without one; else without, and soon, because the other may have the secret.
    pub fn by_locks(&self) -> Option<Taking> {
        let (us, them) = match self.is_own {
            true => (Who::Owner, Who::Other),
            false => (Who::Other, Who::Owner),
        };
        let ways = self.contract.ways(&self.place);
        let of = |who: Who, opened: bool| {
            ways.iter().find(move |it| it.who == who && it.wants_secret() == opened)
        };
        let is_opened = |it: &&Vec<u8>| self.contract.is_opened_by(it);
        let opened = of(us, true).zip(self.secrets.iter().find(is_opened));
        if let Some((way, secret)) = opened {
            let deadline = of(them, false).map_or(u32::MAX, |it| self.opens(it, false));
            let secret = Some(secret.clone());
            let deadline = BlockHeight(deadline);
            return Some(Taking { staged: way.staged, secret, deadline });
        }
        let way = of(us, false)?;
        let deadline = BlockHeight(self.opens(way, !way.staged).saturating_add(RACE_BLOCKS.0));
        Some(Taking { staged: way.staged, secret: None, deadline })
    }

    /// The block after which a way is open. What anybody could do in the next block waits for its
    /// lock alone; a claim of ours is made once its commitment is in the chain.
    fn opens(&self, way: &Way, is_claim: bool) -> u32 {
        let (lock, wait) = (way.lock_time.0, blocks_of(way.sequence));
        if lock > 0 && wait <= self.place.form.sequence() && !is_claim {
            return lock;
        }
        lock.max((self.parent.0.saturating_add(wait)).saturating_sub(1))
    }
}

/// For how many blocks an input waits.
pub(crate) fn blocks_of(sequence: Sequence) -> u32 {
    match sequence.to_relative_lock_time() {
        Some(bitcoin::relative::LockTime::Blocks(blocks)) => blocks.value().into(),
        Some(bitcoin::relative::LockTime::Time(_)) | None => 0,
    }
}
