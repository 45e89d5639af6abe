//! A block among others.

use std::sync::Arc;

use bitcoin::{Block, Work};

/// A block, and where it is.
#[derive(Clone, Debug)]
pub struct Node {
    /// The block.
    pub block: Arc<Block>,
    /// How many blocks are before it.
    pub height: u32,
    /// Its work, and that of all before it.
    pub work: Work,
    /// The median time of it and the ten before it.
    pub median: u32,
    /// How many blocks were known before it came.
    pub order: u64,
    /// Whether it can be in the active chain.
    pub standing: Standing,
}

/// Whether a block can be in the active chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing speaks against it.
    Good,
    /// It breaks a rule.
    Refused,
    /// Somebody wants it out.
    Invalidated,
}

impl Node {
    pub(super) fn first(block: Arc<Block>) -> Self {
        let (work, median) = (block.header.work(), block.header.time);
        Self { block, height: 0, work, median, order: 0, standing: Standing::Good }
    }
}
