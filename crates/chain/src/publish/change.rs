//! What a publisher saves. Its state is the sum of its changes; so is a snapshot.
//!
//! | record | name | value |
//! |---|---|---|
//! | 2 | published | key, from (4), cursor (36), transactions: length (BigSize) and bytes each |
//! | 4 | forgotten | key |
//! | 6 | searched | key |
//! | 8 | connected | block (36), spends |
//! | 10 | found | block (36), spends |
//! | 12 | disconnected | cursor (36) |
//! | 14 | taken | key |
//!
//! A key is user (4) and id (8); a block height (4) and hash (32); a spend key, transaction (1),
//! input (4) and spender (32).

use std::{collections::BTreeMap, sync::Arc};

use bitcoin::{BlockHash, OutPoint, Transaction, Txid, consensus, hashes::Hash as _};
use wire::{
    bigsize,
    fault::Broke,
    reader::Reader,
    saved::{self, ChangeFault},
};

use super::{
    api::{Key, PublicationId},
    package::{Package, PackageFault},
};
use crate::api::{BlockRef, Height, User};

/// One step of the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublishChange {
    /// A user publishes this.
    Published {
        /// Whose, and which.
        key: Key,
        /// The first block that can have something of it.
        from: Height,
        /// The last block that the publisher has heard of.
        cursor: BlockRef,
        /// What.
        package: Package,
    },
    /// Nobody wants it published any more.
    Forgotten {
        /// Whose, and which.
        key: Key,
    },
    /// All blocks up to the cursor have been looked through for it.
    Searched {
        /// Whose, and which.
        key: Key,
    },
    /// The chain has one block more.
    Connected {
        /// The block: the new cursor.
        block: BlockRef,
        /// What it has.
        spends: Vec<Spend>,
    },
    /// Something was found in a block of the past.
    Found {
        /// The block.
        block: BlockRef,
        /// What it has.
        spends: Vec<Spend>,
    },
    /// The newest block is in the chain no more, nor what was in it.
    Disconnected {
        /// The one before it: the new cursor.
        cursor: BlockRef,
    },
    /// A source has taken it. It is out in the world from now on, whatever another one says.
    Taken {
        /// Whose, and which.
        key: Key,
    },
}

/// What a publication's transaction spends was spent in a block, by itself or by another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spend {
    /// Whose, and which.
    pub key: Key,
    /// Which of its transactions.
    pub nth: u8,
    /// Which of that one's inputs. Its own spends are told of the first input only.
    pub input: u32,
    /// Who spends it.
    pub by: Txid,
}

/// Something published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// What.
    pub package: Package,
    /// The first block that can have something of it.
    pub from: Height,
    /// Whether all blocks up to the cursor have been looked through.
    pub searched: bool,
    /// Whether a source has ever taken it.
    pub taken: bool,
    /// How many were published before it: a later one may replace an earlier one.
    pub(crate) seq: u64,
    /// The ids of its transactions.
    pub(crate) txids: Vec<Txid>,
    /// Spends in blocks, by transaction and input.
    pub(crate) spends: BTreeMap<(u8, u32), (BlockRef, Txid)>,
}

/// Where a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// In no block.
    Pending,
    /// In this one.
    Confirmed(BlockRef),
    /// In none: another one is in this block, and spends what it or its parent spends.
    Replaced {
        /// The block.
        block: BlockRef,
        /// The other one.
        by: Txid,
    },
}

/// The sum of all changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublishState {
    /// The last block heard of, if something is published.
    pub cursor: Option<BlockRef>,
    /// All that is published.
    pub publications: BTreeMap<Key, Publication>,
    seqs: u64,
}

impl Publication {
    /// Where its transactions are.
    pub fn standings(&self) -> Vec<Standing> {
        let mut standings: Vec<Standing> = Vec::with_capacity(self.txids.len());
        for (nth, txid) in (0_u8..).zip(&self.txids) {
            let mut standing = Standing::Pending;
            for (block, by) in self.spends.range((nth, 0)..=(nth, u32::MAX)).map(|(_, it)| *it) {
                standing = match by == *txid {
                    true => Standing::Confirmed(block),
                    false => Standing::Replaced { block, by },
                };
                if by == *txid {
                    break;
                }
            }
            // A child is as impossible as its parent.
            if standing == Standing::Pending
                && let Some(parent @ Standing::Replaced { .. }) = standings.last()
            {
                standing = *parent;
            }
            standings.push(standing);
        }
        standings
    }

    /// What is still to be published.
    pub(crate) fn pending(&self) -> Option<Package> {
        let standings = self.standings();
        self.package.only(|nth| standings.get(nth) == Some(&Standing::Pending))
    }

    /// Where the last of it was settled, if all of it is.
    pub(crate) fn settled(&self) -> Option<Height> {
        let heights = self.standings().into_iter().map(|standing| match standing {
            Standing::Pending => None,
            Standing::Confirmed(block) | Standing::Replaced { block, .. } => Some(block.height),
        });
        heights.collect::<Option<Vec<Height>>>()?.into_iter().max()
    }

    /// All outputs that it spends.
    pub(crate) fn outpoints(&self) -> impl Iterator<Item = (u8, u32, OutPoint)> {
        (0_u8..).zip(self.package.transactions()).flat_map(|(nth, transaction)| {
            let inputs = (0_u32..).zip(&transaction.input);
            inputs.map(move |(input, it)| (nth, input, it.previous_output))
        })
    }

    /// Who has spent what one of its inputs spends.
    pub(crate) fn spender(&self, nth: u8, input: u32) -> Option<(BlockRef, Txid)> {
        let known = self.spends.get(&(nth, input)).copied();
        // Its own spends stand with the first input.
        known.or_else(|| {
            let first = self.spends.get(&(nth, 0)).copied();
            first.filter(|(_, by)| self.txids.get(usize::from(nth)) == Some(by))
        })
    }
}

impl PublishState {
    /// Takes a change in. Live running and restoring both go through here.
    pub fn evolve(&mut self, change: &PublishChange) {
        match change {
            PublishChange::Published { key, from, cursor, package } => {
                let seq = self.seqs;
                self.seqs += 1;
                self.cursor = Some(*cursor);
                let txids = package.transactions().iter().map(|it| it.compute_txid()).collect();
                let (package, spends) = (package.clone(), BTreeMap::new());
                let (from, searched, taken) = (*from, false, false);
                let publication =
                    Publication { package, from, searched, taken, seq, txids, spends };
                self.publications.insert(*key, publication);
            }
            PublishChange::Forgotten { key } => {
                self.publications.remove(key);
                if self.publications.is_empty() {
                    self.cursor = None;
                }
            }
            PublishChange::Searched { key } => {
                if let Some(publication) = self.publications.get_mut(key) {
                    publication.searched = true;
                }
            }
            PublishChange::Connected { block, spends } => {
                self.cursor = Some(*block);
                self.spent(*block, spends);
            }
            PublishChange::Found { block, spends } => self.spent(*block, spends),
            PublishChange::Disconnected { cursor } => {
                self.cursor = Some(*cursor);
                #[cfg(feature = "planted")]
                if crate::planted::reorg_leaves_it_confirmed() {
                    return;
                }
                for publication in self.publications.values_mut() {
                    publication.spends.retain(|_, (block, _)| block.height <= cursor.height);
                }
            }
            PublishChange::Taken { key } => {
                if let Some(publication) = self.publications.get_mut(key) {
                    publication.taken = true;
                }
            }
        }
    }

    fn spent(&mut self, block: BlockRef, spends: &[Spend]) {
        for Spend { key, nth, input, by } in spends {
            if let Some(publication) = self.publications.get_mut(key) {
                publication.spends.insert((*nth, *input), (block, *by));
            }
        }
    }

    /// The fewest changes that make this state.
    pub fn changes(&self) -> Vec<PublishChange> {
        let Some(cursor) = self.cursor else { return Vec::new() };
        let mut in_order: Vec<_> = self.publications.iter().collect();
        in_order.sort_by_key(|(_, publication)| publication.seq);
        let mut changes = Vec::new();
        let mut blocks: BTreeMap<BlockRef, Vec<Spend>> = BTreeMap::new();
        for (&key, publication) in in_order {
            let (from, package) = (publication.from, publication.package.clone());
            changes.push(PublishChange::Published { key, from, cursor, package });
            if publication.searched {
                changes.push(PublishChange::Searched { key });
            }
            if publication.taken {
                changes.push(PublishChange::Taken { key });
            }
            for (&(nth, input), &(block, by)) in &publication.spends {
                blocks.entry(block).or_default().push(Spend { key, nth, input, by });
            }
        }
        let found = |(block, spends)| PublishChange::Found { block, spends };
        changes.extend(blocks.into_iter().map(found));
        changes
    }

    /// A snapshot.
    pub fn encode(&self) -> Vec<u8> {
        saved::join(self.changes().iter().map(PublishChange::encode))
    }

    /// Reads what [`PublishState::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, ChangeFault> {
        let mut state = Self::default();
        for change in saved::split(bytes)? {
            if let Some(change) = PublishChange::decode(change)? {
                state.evolve(&change);
            }
        }
        Ok(state)
    }

    /// The same, whatever was published and forgotten before.
    pub fn is_as(&self, other: &Self) -> bool {
        self.changes() == other.changes()
    }
}

impl PublishChange {
    /// The bytes that are saved.
    pub fn encode(&self) -> Vec<u8> {
        let mut value = Vec::new();
        let record = match self {
            Self::Published { key, from, cursor, package } => {
                write_key(*key, &mut value);
                value.extend_from_slice(&from.0.to_be_bytes());
                write_block(*cursor, &mut value);
                for transaction in package.transactions() {
                    let bytes = consensus::serialize(transaction.as_ref());
                    bigsize::write(bytes.len() as u64, &mut value);
                    value.extend_from_slice(&bytes);
                }
                2
            }
            Self::Forgotten { key } => {
                write_key(*key, &mut value);
                4
            }
            Self::Searched { key } => {
                write_key(*key, &mut value);
                6
            }
            Self::Connected { block, spends } => {
                write_spends(*block, spends, &mut value);
                8
            }
            Self::Found { block, spends } => {
                write_spends(*block, spends, &mut value);
                10
            }
            Self::Disconnected { cursor } => {
                write_block(*cursor, &mut value);
                12
            }
            Self::Taken { key } => {
                write_key(*key, &mut value);
                14
            }
        };
        saved::write(record, &value)
    }

    /// Reads a saved change; nothing if it is one of a newer version that may be passed over.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, ChangeFault> {
        saved::read(bytes, |record, from| {
            Ok(Some(match record {
                2 => read_published(from)?,
                4 => Self::Forgotten { key: read_key(from)? },
                6 => Self::Searched { key: read_key(from)? },
                8 => Self::Connected { block: block(from)?, spends: read_spends(from)? },
                10 => Self::Found { block: block(from)?, spends: read_spends(from)? },
                12 => Self::Disconnected { cursor: block(from)? },
                14 => Self::Taken { key: read_key(from)? },
                _ => return Ok(None),
            }))
        })
    }
}

fn write_key(key: Key, to: &mut Vec<u8>) {
    to.extend_from_slice(&key.user.0.to_be_bytes());
    to.extend_from_slice(&key.id.0.to_be_bytes());
}

fn write_block(block: BlockRef, to: &mut Vec<u8>) {
    to.extend_from_slice(&block.height.0.to_be_bytes());
    to.extend_from_slice(block.hash.as_byte_array());
}

fn write_spends(block: BlockRef, spends: &[Spend], to: &mut Vec<u8>) {
    write_block(block, to);
    for Spend { key, nth, input, by } in spends {
        write_key(*key, to);
        to.push(*nth);
        to.extend_from_slice(&input.to_be_bytes());
        to.extend_from_slice(by.as_byte_array());
    }
}

fn read_published(from: &mut Reader<'_>) -> Result<PublishChange, ChangeFault> {
    let (key, height, cursor) = (read_key(from)?, Height(small(from)?), block(from)?);
    let mut transactions = Vec::new();
    while !from.is_empty() {
        let bytes = sized(from)?;
        let read: Result<Transaction, _> = consensus::deserialize(bytes);
        let got = || format!("{} bytes", bytes.len());
        let none = |_| ChangeFault::Meaningless { what: "transaction", got: got() };
        let read = read.map_err(none)?;
        transactions.push(Arc::new(read));
    }
    let none = |fault: PackageFault| ChangeFault::Meaningless {
        what: "publication",
        got: fault.to_string(),
    };
    let package = Package::new(transactions).map_err(none)?;
    Ok(PublishChange::Published { key, from: height, cursor, package })
}

fn read_key(from: &mut Reader<'_>) -> Result<Key, Broke> {
    let user = User(small(from)?);
    Ok(Key { user, id: PublicationId(u64::from_be_bytes(*from.array()?)) })
}

fn block(from: &mut Reader<'_>) -> Result<BlockRef, Broke> {
    let height = Height(small(from)?);
    Ok(BlockRef { height, hash: BlockHash::from_byte_array(*from.array()?) })
}

fn read_spends(from: &mut Reader<'_>) -> Result<Vec<Spend>, Broke> {
    let mut spends = Vec::new();
    while !from.is_empty() {
        let (key, [nth], input) = (read_key(from)?, *from.array()?, small(from)?);
        spends.push(Spend { key, nth, input, by: Txid::from_byte_array(*from.array()?) });
    }
    Ok(spends)
}

fn small(from: &mut Reader<'_>) -> Result<u32, Broke> {
    Ok(u32::from_be_bytes(*from.array()?))
}

fn sized<'a>(from: &mut Reader<'a>) -> Result<&'a [u8], Broke> {
    let len = bigsize::read(from)?;
    from.take(usize::try_from(len).unwrap_or(usize::MAX))
}
