//! Where blocks are, by their hashes.

use std::collections::BTreeMap;

use bitcoin::{BlockHash, hashes::Hash as _};

/// So many at least are found at once: no reorg goes deeper.
const RECENT_MIN: usize = 4_096;

/// Finds a block's place in a chain that is kept elsewhere. Old blocks take eight bytes each.
#[derive(Clone, Debug)]
pub(crate) struct Hashes {
    recent: BTreeMap<BlockHash, u32>,
    /// The beginnings of hashes, in order, and places.
    old: Vec<(u32, u32)>,
}

impl Hashes {
    pub(crate) fn new(first: BlockHash) -> Self {
        Self { recent: BTreeMap::from([(first, 0)]), old: Vec::new() }
    }

    /// The next block.
    pub(crate) fn push(&mut self, hash: BlockHash, place: u32) {
        self.recent.insert(hash, place);
        if self.recent.len() >= 2 * RECENT_MIN.max(self.old.len() / 16) {
            let newest = place.saturating_sub(RECENT_MIN as u32);
            let old = self.recent.extract_if(.., |_, place| *place <= newest);
            self.old.extend(old.map(|(hash, place)| (head(hash), place)));
            self.old.sort_unstable();
        }
    }

    /// The last block is gone.
    pub(crate) fn pop(&mut self, hash: BlockHash, place: u32) {
        if self.recent.remove(&hash).is_none() {
            self.old.retain(|(_, it)| *it != place);
        }
    }

    /// The place of a block. `at` says which is at a place.
    pub(crate) fn find(
        &self,
        hash: BlockHash,
        at: impl Fn(u32) -> Option<BlockHash>,
    ) -> Option<u32> {
        if let Some(place) = self.recent.get(&hash) {
            return Some(*place);
        }
        let head = head(hash);
        let from = self.old.partition_point(|(it, _)| *it < head);
        let alike = self.old.iter().skip(from).take_while(|(it, _)| *it == head);
        alike.map(|(_, place)| *place).find(|place| at(*place) == Some(hash))
    }
}

/// The end of a hash has its zeros, the beginning is random.
fn head(hash: BlockHash) -> u32 {
    let [a, b, c, d, ..] = hash.to_byte_array();
    u32::from_be_bytes([a, b, c, d])
}
