//! The chain of headers with the most work, and what became of others.

use std::collections::BTreeMap;

use bitcoin::{BlockHash, Network, Work, block::Header};

use crate::{
    api::{BlockRef, Height},
    fault::{Fault, HeaderFault},
    first::{FirstFault, judge_first},
    hashes::Hashes,
    rules::Below,
};

/// At most so many blocks are replaced by others. More, and somebody must look.
pub const REORG_BLOCKS_MAX: u32 = 288;
/// Headers read at once.
pub const HEADERS_MAX: usize = 2_000;

/// One step of the chain, to be saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// One header more.
    Connected(Header),
    /// The newest header is in the chain no more.
    Disconnected,
}

/// Headers from a first block on. The sum of its changes.
///
/// They take 80 bytes each, and about eight more to find one by its hash: 80 MB for 900,000.
#[derive(Clone, Debug)]
pub struct Headers {
    pub(crate) network: Network,
    first: BlockRef,
    /// That of the first block in front.
    pub(crate) chain: Vec<Header>,
    tip: BlockHash,
    hashes: Hashes,
    /// Of all blocks behind the first.
    work: Option<Work>,
    /// Blocks that were in the chain: where they were, and behind which block.
    pub(crate) stale: BTreeMap<BlockHash, (Height, BlockHash)>,
}

/// What headers would do to the chain.
pub(crate) enum Verdict {
    /// Nothing: it has as much work without them.
    Weaker,
    /// Blocks above this height go, and these come.
    Adopt { above: Height, headers: Vec<Header> },
}

impl Headers {
    /// A chain that begins with this block, which [`judge_first`](crate::judge_first) has judged.
    pub fn new(network: Network, height: Height, first: Header) -> Self {
        let hash = first.block_hash();
        Self {
            network,
            first: BlockRef { height, hash },
            chain: vec![first],
            tip: hash,
            hashes: Hashes::new(hash),
            work: None,
            stale: BTreeMap::new(),
        }
    }

    /// The first block.
    pub const fn first(&self) -> BlockRef {
        self.first
    }

    /// Whether the first block may be one, for whoever has read it from a disk.
    pub fn judge_first(&self) -> Result<BlockHash, FirstFault> {
        judge_first(self.network, self.first.height, &self.chain[0])
    }

    /// Whose chain it is.
    pub const fn network(&self) -> Network {
        self.network
    }

    /// The newest block.
    pub fn tip(&self) -> BlockRef {
        let height = Height(self.first.height.0 + self.chain.len() as u32 - 1);
        BlockRef { height, hash: self.tip }
    }

    /// All headers, the first one in front.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Header> {
        self.chain.iter()
    }

    /// The block at a height.
    pub fn at(&self, height: Height) -> Option<BlockRef> {
        let hash = hash_at(&self.chain, self.tip, self.offset(height)?)?;
        Some(BlockRef { height, hash })
    }

    fn offset(&self, height: Height) -> Option<usize> {
        Some(height.0.checked_sub(self.first.height.0)? as usize)
    }

    /// How many blocks there are, the first one included.
    pub fn count(&self) -> usize {
        self.chain.len()
    }

    /// The work of the whole chain, the first block included. What is before that counts nothing.
    pub fn work(&self) -> Work {
        let first = self.chain[0].work();
        self.work.map_or(first, |work| work + first)
    }

    /// Where a block of the chain is.
    pub fn find(&self, hash: BlockHash) -> Option<BlockRef> {
        self.height_of(hash).map(|height| BlockRef { height, hash })
    }

    /// The header at a height.
    pub fn header_at(&self, height: Height) -> Option<&Header> {
        self.chain.get(self.offset(height)?)
    }

    /// Whether a block is in the chain.
    pub fn has(&self, block: BlockRef) -> bool {
        self.at(block.height) == Some(block)
    }

    /// Where a block is.
    pub fn height_of(&self, hash: BlockHash) -> Option<Height> {
        let at = |offset: u32| hash_at(&self.chain, self.tip, offset as usize);
        let offset = self.hashes.find(hash, at)?;
        Some(Height(self.first.height.0 + offset))
    }

    /// The block before one that was in the chain and is not any more.
    pub(crate) fn before_stale(&self, block: BlockRef) -> Option<BlockRef> {
        let (height, parent) = *self.stale.get(&block.hash)?;
        (height == block.height)
            .then_some(BlockRef { height: Height(height.0.checked_sub(1)?), hash: parent })
    }

    /// Blocks of the chain, the newest first, ever further apart.
    pub fn locator(&self) -> Vec<BlockHash> {
        let (mut locator, mut step, mut at) = (Vec::new(), 1, self.tip().height.0);
        while at > self.first.height.0 {
            locator.extend(self.at(Height(at)).map(|block| block.hash));
            if locator.len() > 10 {
                step *= 2;
            }
            at = at.saturating_sub(step).max(self.first.height.0);
        }
        locator.push(self.first.hash);
        locator
    }

    /// Looks at headers that a source has given.
    pub(crate) fn judge(&self, headers: &[Header]) -> Result<Result<Verdict, Fault>, HeaderFault> {
        let (got, max) = (headers.len(), HEADERS_MAX);
        if got > max {
            return Err(HeaderFault::TooMany { got, max });
        }
        // What we have already says nothing new.
        let known =
            headers.iter().take_while(|header| self.height_of(header.block_hash()).is_some());
        let headers = &headers[known.count()..];
        let Some(head) = headers.first() else { return Ok(Ok(Verdict::Weaker)) };
        let parent = head.prev_blockhash;
        let above = self.height_of(parent).ok_or(HeaderFault::Unconnected { parent })?;
        let mut before = self.header_at(above).expect("its height is known");
        let kept = &self.chain[..=self.offset(above).expect("its height is known")];
        let mut parent = parent;
        for ((at, height), header) in (above.0 + 1..).enumerate().zip(headers) {
            if header.prev_blockhash != parent {
                return Err(HeaderFault::Broken { height: Height(height) });
            }
            let below = Below::new(self.network, self.first.height, kept, &headers[..at]);
            parent = below.check(before, header, Height(height))?;
            before = header;
        }
        let ours = self.work_above(above);
        let theirs = headers.iter().map(Header::work).reduce(|sum, work| sum + work);
        if theirs <= ours {
            return Ok(Ok(Verdict::Weaker));
        }
        let depth = self.tip().height.0 - above.0;
        if depth > REORG_BLOCKS_MAX {
            return Ok(Err(Fault::TooDeep { got: depth, max: REORG_BLOCKS_MAX }));
        }
        Ok(Ok(Verdict::Adopt { above, headers: headers.to_vec() }))
    }

    /// What would change if headers were taken in that a source has given: nothing if there is as
    /// much work without them, else blocks leave and then others come.
    pub fn changes(&self, headers: &[Header]) -> Result<Result<Vec<Change>, Fault>, HeaderFault> {
        let (above, headers) = match self.judge(headers)? {
            Ok(Verdict::Adopt { above, headers }) => (above, headers),
            Ok(Verdict::Weaker) => return Ok(Ok(Vec::new())),
            Err(fault) => return Ok(Err(fault)),
        };
        let gone = (above.0..self.tip().height.0).map(|_| Change::Disconnected);
        Ok(Ok(gone.chain(headers.into_iter().map(Change::Connected)).collect()))
    }

    fn work_above(&self, height: Height) -> Option<Work> {
        let above = (height.0 - self.first.height.0) as usize + 1;
        self.chain[above..].iter().map(Header::work).reduce(|sum, work| sum + work)
    }

    /// Takes a change in. Live running and restoring both go through here.
    pub fn evolve(&mut self, change: &Change) {
        match change {
            Change::Connected(header) => self.push(*header, header.block_hash()),
            Change::Disconnected => {
                let block = self.tip();
                // The first block is never replaced: nothing we know is behind another one.
                if block.hash != self.first.hash
                    && let Some(header) = self.chain.pop()
                {
                    self.hashes.pop(block.hash, self.chain.len() as u32);
                    self.tip = header.prev_blockhash;
                    let rest = self.work.filter(|_| self.chain.len() > 1);
                    self.work = rest.map(|sum| sum - header.work());
                    self.stale.insert(block.hash, (block.height, header.prev_blockhash));
                }
            }
        }
    }

    pub(crate) fn push(&mut self, header: Header, hash: BlockHash) {
        if self.chain.len() == self.chain.capacity() {
            // Doubling would be much for what lives for years.
            self.chain.reserve_exact((self.chain.len() / 8).max(2_048));
        }
        let offset = self.chain.len() as u32;
        let work = header.work();
        self.work = Some(self.work.map_or(work, |sum| sum + work));
        self.chain.push(header);
        self.tip = hash;
        self.hashes.push(hash, offset);
        self.stale.remove(&hash);
        let oldest = self.tip().height.0.saturating_sub(2 * REORG_BLOCKS_MAX);
        if self.stale.len() > 2 * REORG_BLOCKS_MAX as usize {
            self.stale.retain(|_, (height, _)| height.0 > oldest);
        }
    }
}

/// The hash of a block stands in the one behind it.
fn hash_at(chain: &[Header], tip: BlockHash, offset: usize) -> Option<BlockHash> {
    match chain.get(offset + 1) {
        Some(behind) => Some(behind.prev_blockhash),
        None => (offset + 1 == chain.len()).then_some(tip),
    }
}
