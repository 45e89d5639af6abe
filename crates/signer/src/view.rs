//! The signer's own view of the chain: headers with their work, and transactions that were shown to
//! be in their blocks. Whoever asks for signatures may lie about the chain, but not cheaply.
//!
//! It is the sum of its changes ([`ViewChange`]), which are saved as [`journal`](crate::journal)
//! says.

use std::collections::BTreeMap;
use std::fmt;

use bitcoin::block::Header;
use bitcoin::{BlockHash, Network, Txid, Work};
use chain::{
    BlockRef, Change, Fault, HeaderFault, Headers, Height, Proof, ProofFault, RETARGET_BLOCKS,
};
use wire::tick::{Millis, Tick};

use crate::checkpoint::Checkpoint;

/// Headers in one question.
pub const VIEW_HEADERS_MAX: usize = 800;
/// Headers in all, the checkpoint included: 80 bytes each.
pub const VIEW_BLOCKS_MAX: usize = 2_000_000;
/// Transactions that are known to be in the chain.
pub const VIEW_PROVEN_MAX: usize = 100_000;
/// A header may be ahead of the signer's clock by so much.
pub const AHEAD_SECONDS_MAX: u32 = 2 * 60 * 60;

/// A block is younger than the median of so many before it.
const MEDIAN_BLOCKS: usize = 11;
/// BIP 94: the first block of a period is older than the one before it by no more than this.
const BACK_SECONDS_MAX: u32 = 600;

/// Seconds since 1970, as headers and clocks have them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(pub u32);

/// A span of seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seconds(pub u32);

impl UnixTime {
    /// How long ago `earlier` was; nothing if it is not past.
    pub const fn since(self, earlier: UnixTime) -> Seconds {
        Seconds(self.0.saturating_sub(earlier.0))
    }
}

/// What a signer has seen of the chain.
#[derive(Clone, Debug)]
pub struct View {
    pub(crate) headers: Headers,
    pub(crate) proven: BTreeMap<Txid, BlockRef>,
    /// When the newest header came. It is not saved: a signer that was away knows nothing.
    received: Option<Tick>,
}

/// One step of a view, to be saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ViewChange {
    /// Blocks left the chain, then others came.
    Headers(Vec<Change>),
    /// A transaction was shown to be in a block of the chain.
    Proven {
        /// Which transaction.
        txid: Txid,
        /// Which block.
        block: BlockRef,
    },
}

/// How much a signer has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViewStatus {
    /// The first block: nothing below it is known, nor can be told.
    pub first: BlockRef,
    /// The newest block.
    pub tip: BlockRef,
    /// The work of all blocks since the checkpoint.
    pub work: Work,
    /// The time that the newest block has in its header, in seconds since 1970.
    pub header_time: u32,
    /// How old that makes it by the signer's own clock; nothing if the signer has none.
    pub age: Option<Seconds>,
    /// How long ago the newest block came; nothing if it came before the signer started.
    pub received: Option<Millis>,
    /// Transactions that were shown to be in the chain, and still are.
    pub proven: usize,
}

/// A transaction is in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proven {
    /// Which.
    pub txid: Txid,
    /// The block that has it.
    pub block: BlockRef,
    /// Blocks from that one to the newest, both counted.
    pub confirmations: u32,
}

/// Why a view does not take something in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewFlaw {
    /// The headers are none of a chain that we know.
    Headers(HeaderFault),
    /// The headers would change too much.
    Chain(Fault),
    /// A header is older than the blocks below it allow.
    TooEarly {
        /// Where it would be.
        height: Height,
        /// Its time.
        got: UnixTime,
        /// The earliest that is allowed.
        min: UnixTime,
    },
    /// A header is further in the future than a clock may be wrong.
    TooLate {
        /// Where it would be.
        height: Height,
        /// Its time.
        got: UnixTime,
        /// The latest that is allowed.
        max: UnixTime,
    },
    /// There would be more headers than there is room for.
    TooManyBlocks {
        /// How many there would be.
        got: usize,
        /// How many there may be.
        max: usize,
    },
    /// A proof is of a block that is not in the chain.
    UnknownBlock {
        /// Which.
        block: BlockHash,
    },
    /// A proof shows nothing.
    Proof(ProofFault),
    /// As many transactions are proven as there may be.
    TooManyProven {
        /// How many.
        have: usize,
        /// How many there may be.
        max: usize,
    },
}

impl View {
    /// A view from the first block of a network on.
    pub fn genesis(network: Network) -> View {
        View::new(network, &Checkpoint::genesis(network))
    }

    /// A view from a checkpoint on, which is taken on trust.
    pub fn new(network: Network, checkpoint: &Checkpoint) -> View {
        View::on_trust(network, checkpoint.height(), *checkpoint.header())
    }

    /// The same, from where somebody began before.
    pub(crate) fn on_trust(network: Network, height: Height, header: Header) -> View {
        let headers = Headers::new(network, height, header);
        View { headers, proven: BTreeMap::new(), received: None }
    }

    /// The network.
    pub const fn network(&self) -> Network {
        self.headers.network()
    }

    /// The first block.
    pub const fn first(&self) -> BlockRef {
        self.headers.first()
    }

    /// The newest block.
    pub fn tip(&self) -> BlockRef {
        self.headers.tip()
    }

    /// The block at a height.
    pub fn at(&self, height: Height) -> Option<BlockRef> {
        self.headers.at(height)
    }

    /// What would change if these headers were taken in. Their times are compared with a clock if
    /// there is one.
    pub fn judge(
        &self,
        headers: &[Header],
        time: Option<UnixTime>,
    ) -> Result<ViewChange, ViewFlaw> {
        let (got, max) = (headers.len(), VIEW_HEADERS_MAX);
        if got > max {
            return Err(ViewFlaw::Headers(HeaderFault::TooMany { got, max }));
        }
        let (got, max) = (self.headers.count() + got, VIEW_BLOCKS_MAX);
        if got > max {
            return Err(ViewFlaw::TooManyBlocks { got, max });
        }
        let changes = self.headers.changes(headers).map_err(ViewFlaw::Headers)?;
        let changes = changes.map_err(ViewFlaw::Chain)?;
        self.judge_times(&changes, time)?;
        Ok(ViewChange::Headers(changes))
    }

    fn judge_times(&self, changes: &[Change], time: Option<UnixTime>) -> Result<(), ViewFlaw> {
        let gone = changes.iter().take_while(|it| **it == Change::Disconnected).count();
        let kept = self.headers.count() - gone;
        let newest = self.headers.iter().rev().skip(gone).take(MEDIAN_BLOCKS);
        let mut below: Vec<u32> = newest.map(|header| header.time).collect();
        below.reverse();
        // Of a chain that does not begin with the first block of all some may be unknown.
        let is_whole = self.headers.first().height == Height(0);
        let mut height = self.headers.first().height.0 + kept as u32;
        for change in changes {
            let Change::Connected(header) = change else { continue };
            let got = UnixTime(header.time);
            let window = &below[below.len().saturating_sub(MEDIAN_BLOCKS)..];
            let mut min = median(window, is_whole).map_or(0, |median| median.saturating_add(1));
            if self.network() == Network::Testnet4
                && height.is_multiple_of(RETARGET_BLOCKS)
                && let Some(parent) = window.last()
            {
                min = min.max(parent.saturating_sub(BACK_SECONDS_MAX));
            }
            if got.0 < min {
                let (height, min) = (Height(height), UnixTime(min));
                return Err(ViewFlaw::TooEarly { height, got, min });
            }
            let max = time.map(|time| UnixTime(time.0.saturating_add(AHEAD_SECONDS_MAX)));
            if let Some(max) = max.filter(|max| got > *max) {
                return Err(ViewFlaw::TooLate { height: Height(height), got, max });
            }
            below.push(header.time);
            height += 1;
        }
        Ok(())
    }

    /// What would change if this proof were taken in.
    pub fn judge_proof(&self, block: BlockHash, proof: &Proof) -> Result<ViewChange, ViewFlaw> {
        let found = self.headers.find(block).ok_or(ViewFlaw::UnknownBlock { block })?;
        let header = self.headers.header_at(found.height).expect("it was found there");
        proof.check(header.merkle_root).map_err(ViewFlaw::Proof)?;
        let txid = proof.transaction.compute_txid();
        let (have, max) = (self.proven.len(), VIEW_PROVEN_MAX);
        if have >= max && !self.proven.contains_key(&txid) {
            return Err(ViewFlaw::TooManyProven { have, max });
        }
        Ok(ViewChange::Proven { txid, block: found })
    }

    /// Takes a change in. Live running and restoring both go through here. Blocks that are replaced
    /// take what was proven with them.
    pub fn evolve(&mut self, change: &ViewChange) {
        match change {
            ViewChange::Headers(changes) => {
                let gone = changes.iter().take_while(|it| **it == Change::Disconnected).count();
                let (gone, come) = changes.split_at(gone);
                gone.iter().for_each(|change| self.headers.evolve(change));
                if !gone.is_empty() {
                    let headers = &self.headers;
                    self.proven.retain(|_, block| headers.has(*block));
                }
                come.iter().for_each(|change| self.headers.evolve(change));
            }
            ViewChange::Proven { txid, block } => {
                self.proven.insert(*txid, *block);
            }
        }
    }

    /// The newest block comes now.
    pub(crate) const fn received(&mut self, now: Tick) {
        self.received = Some(now);
    }

    /// Takes headers in, if with them there is more work.
    pub fn take(
        &mut self,
        headers: &[Header],
        now: Tick,
        time: Option<UnixTime>,
    ) -> Result<(), ViewFlaw> {
        let change = self.judge(headers, time)?;
        if !change.is_nothing() {
            self.received(now);
        }
        self.evolve(&change);
        Ok(())
    }

    /// Takes a proof in that a transaction is in a block.
    pub fn prove(&mut self, block: BlockHash, proof: &Proof) -> Result<Proven, ViewFlaw> {
        let change = self.judge_proof(block, proof)?;
        self.evolve(&change);
        let proven = self.proven(proof.transaction.compute_txid());
        Ok(proven.expect("it was just taken in"))
    }

    /// Where a transaction is, if that was shown.
    pub fn proven(&self, txid: Txid) -> Option<Proven> {
        self.proven.get(&txid).map(|block| self.proven_at(txid, *block))
    }

    fn proven_at(&self, txid: Txid, block: BlockRef) -> Proven {
        let confirmations = self.headers.tip().height.0 - block.height.0 + 1;
        Proven { txid, block, confirmations }
    }

    /// How much was seen, and how long ago.
    pub fn status(&self, now: Tick, time: Option<UnixTime>) -> ViewStatus {
        let tip = self.headers.tip();
        let header = self.headers.header_at(tip.height).expect("the tip is in the chain");
        ViewStatus {
            first: self.headers.first(),
            tip,
            work: self.headers.work(),
            header_time: header.time,
            age: time.map(|time| time.since(UnixTime(header.time))),
            received: self.received.map(|received| now.since(received)),
            proven: self.proven.len(),
        }
    }
}

impl ViewChange {
    /// Whether all stays as it is.
    pub fn is_nothing(&self) -> bool {
        matches!(self, ViewChange::Headers(changes) if changes.is_empty())
    }
}

/// The least that the median of the blocks below can be, if enough of them are known. `below` is as
/// many as are known, of `MEDIAN_BLOCKS`; of a whole chain there are no others.
fn median(below: &[u32], is_whole: bool) -> Option<u32> {
    let mut sorted = below.to_vec();
    sorted.sort_unstable();
    match is_whole {
        true => sorted.get(sorted.len() / 2).copied(),
        // Each that is unknown may be older than all others.
        false => sorted.get(sorted.len().checked_sub(MEDIAN_BLOCKS / 2 + 1)?).copied(),
    }
}

impl std::error::Error for ViewFlaw {}

impl fmt::Display for ViewFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ViewFlaw::Headers(fault) => fault.fmt(f),
            ViewFlaw::Chain(fault) => fault.fmt(f),
            ViewFlaw::TooEarly { height, got, min } => {
                let (got, min) = (got.0, min.0);
                write!(f, "the header for {height} is of {got}, {min} at the earliest")
            }
            ViewFlaw::TooLate { height, got, max } => {
                let (got, max) = (got.0, max.0);
                write!(f, "the header for {height} is of {got}, {max} at the latest")
            }
            ViewFlaw::TooManyBlocks { got, max } => write!(f, "{got} headers, {max} at most"),
            ViewFlaw::UnknownBlock { block } => write!(f, "block {block} is not in the chain"),
            ViewFlaw::Proof(fault) => fault.fmt(f),
            ViewFlaw::TooManyProven { have, max } => {
                write!(f, "{have} transactions are proven, {max} at most")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nobody can work for a header of these networks in a test, so it is asked for its time alone.
    #[test]
    fn on_the_fourth_test_network_a_period_begins_when_the_last_one_ends() {
        let rows = [(Network::Testnet4, Some(9_400)), (Network::Testnet, None)];
        for (network, min) in rows {
            let first = Height(3 * RETARGET_BLOCKS - 1);
            let header = Header { time: 10_000, ..*Checkpoint::genesis(network).header() };
            let view = View::on_trust(network, first, header);
            let next = |time| [Change::Connected(Header { time, ..header })];
            let judge = |time: u32| view.judge_times(&next(time), None);
            let flaw = min.map(|min| ViewFlaw::TooEarly {
                height: Height(first.0 + 1),
                got: UnixTime(9_399),
                min: UnixTime(min),
            });
            assert_eq!(judge(9_399).err(), flaw);
            assert_eq!(judge(9_400), Ok(()));
        }
    }
}
