//! What a treasury saves. Its state is the sum of its changes; so is a snapshot.
//!
//! A block is its height (4) and its hash (32), a watch as `chain` writes it.
//!
//! | record | name | value |
//! |---|---|---|
//! | 2 | born | network as BOLT 7 has it (32), height (4), header (80) |
//! | 4 | connected | header (80) |
//! | 6 | disconnected | |
//! | 8 | heard | block (36), hits |
//! | 10 | unheard | the block before (36) |
//! | 12 | found | block (36), hits |
//! | 14 | watched | from (4), watch |
//! | 16 | unwatched | watch |
//! | 18 | searched | watch |
//! | 20 | account | fingerprint (4), extended public key (78) |
//! | 22 | named | name, block (4), amount (8; all bits if it is all), script, transactions |
//! | 24 | unnamed | name |
//! | 26 | left out | how many (8), watch |
//! | 28 | leased | epoch (8) |
//!
//! A hit is the transaction's id (32), whether it is an input (1) or an output (0), its number (4),
//! the length of the watch (4) and the watch. A name and a script stand behind their length (4); a
//! payment's transactions are their ids (32) and fees (8).

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{
    Amount, BlockHash, ScriptBuf, Txid,
    bip32::{Fingerprint, Xpub},
    block::Header,
    consensus::{deserialize, serialize},
    hashes::Hash as _,
};
use chain::{BlockRef, FoundIn, Headers, Height, Watch};
use signer::Account;
use wire::{Network, fault::Broke, id::ChainHash, lease::LeaseEpoch, reader::Reader};

use super::names::{Named, Ordered, PaymentName};
use crate::services::saved::{self, ChangeFault};

/// Hits that are kept for each watch, below those that a reorg can take; the oldest go first.
pub const HITS_MAX: usize = 1_000;
/// Hits that are kept in all. If there are more the oldest of the watch with the most go.
pub const HITS_ALL_MAX: usize = 500_000;

/// One step of the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Our chain begins.
    Born {
        /// On which network.
        network: ChainHash,
        /// The first block's place.
        height: Height,
        /// The first block.
        header: Header,
    },
    /// A step of the headers.
    Headers(chain::Change),
    /// People have heard of a block.
    Heard {
        /// Which.
        block: BlockRef,
        /// What was found in it.
        hits: Vec<(Watch, Hit)>,
    },
    /// People have heard that a block is gone.
    Unheard {
        /// The block before.
        cursor: BlockRef,
    },
    /// Something was found in a block of the past.
    Found {
        /// In which.
        block: BlockRef,
        /// What.
        hits: Vec<(Watch, Hit)>,
    },
    /// People watch something.
    Watched {
        /// What.
        watch: Watch,
        /// From this block on.
        from: Height,
    },
    /// Not any more.
    Unwatched {
        /// What.
        watch: Watch,
    },
    /// All blocks before have been looked through for it.
    Searched {
        /// For what.
        watch: Watch,
    },
    /// So many hits of a watch are not kept: in a sum only, else it follows from the others.
    LeftOut {
        /// Of which watch.
        watch: Watch,
        /// How many.
        count: u64,
    },
    /// The signer has said whose money the wallet's is.
    Account {
        /// All its addresses.
        account: Account,
    },
    /// A payment has a name, or other transactions than before.
    Named {
        /// The name.
        name: PaymentName,
        /// The payment.
        named: Named,
    },
    /// The name is free again.
    Unnamed {
        /// The name.
        name: PaymentName,
    },
    /// Somebody has the channels from here on.
    Leased {
        /// By which lease.
        epoch: LeaseEpoch,
    },
}

/// Something that was found for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// The transaction.
    pub txid: Txid,
    /// Which part of it.
    pub part: FoundIn,
}

/// The sum of all changes.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// On which network, and the headers. Nothing before the first start with a source.
    pub chain: Option<(ChainHash, Headers)>,
    /// The last block that people have heard of.
    pub cursor: Option<BlockRef>,
    /// What people watch.
    pub watches: BTreeMap<Watch, Watched>,
    /// The wallet's account, once the signer has said so.
    pub account: Option<Account>,
    /// Payments that have names.
    pub names: BTreeMap<PaymentName, Named>,
    /// Whoever has had the channels last.
    pub lease: LeaseEpoch,
    /// Watches with more hits than are kept of old ones.
    busy: BTreeSet<Watch>,
    /// Hits of all watches.
    hits: usize,
}

/// A watch of people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// From where it is still to be searched for; nothing if that is done.
    pub from: Option<Height>,
    /// What was found.
    pub hits: BTreeSet<(BlockRef, Hit)>,
    /// How many more were found, and are not kept: the oldest.
    pub left_out: u64,
}

impl Watched {
    /// Leaves the oldest out.
    fn leave_out(&mut self, count: usize) {
        for _ in 0..count {
            if self.hits.pop_first().is_some() {
                self.left_out += 1;
            }
        }
    }

    /// How many are more than are kept, now that people have heard of a block.
    fn too_many(&self, cursor: BlockRef) -> usize {
        let deep = cursor.height.0.saturating_sub(chain::REORG_BLOCKS_MAX);
        let is_deep = |(block, _): &&(BlockRef, Hit)| block.height.0 <= deep;
        self.hits.iter().take_while(is_deep).count().saturating_sub(HITS_MAX)
    }
}

impl State {
    /// Takes a change in. Live running and restoring both go through here.
    pub fn evolve(&mut self, change: &Change, network: Network) {
        match change {
            Change::Born { network: hash, height, header } => {
                self.chain = Some((*hash, Headers::new(network, *height, *header)));
            }
            Change::Headers(change) => {
                if let Some((_, headers)) = &mut self.chain {
                    headers.evolve(change);
                }
            }
            Change::Heard { block, hits } => {
                self.cursor = Some(*block);
                self.add(*block, hits);
                self.forget_old(*block);
            }
            Change::Unheard { cursor } => {
                self.cursor = Some(*cursor);
                for watched in self.watches.values_mut() {
                    let before = watched.hits.len();
                    watched.hits.retain(|(block, _)| block.height <= cursor.height);
                    self.hits -= before - watched.hits.len();
                }
            }
            Change::Found { block, hits } => {
                self.add(*block, hits);
                if let Some(cursor) = self.cursor {
                    self.forget_old(cursor);
                }
            }
            // To watch from further back keeps what was found.
            Change::Watched { watch, from } => {
                self.watches.entry(watch.clone()).or_default().from = Some(*from);
            }
            Change::Unwatched { watch } => {
                let gone = self.watches.remove(watch).unwrap_or_default();
                self.hits -= gone.hits.len();
                self.busy.remove(watch);
            }
            Change::LeftOut { watch, count } => {
                if let Some(watched) = self.watches.get_mut(watch) {
                    watched.left_out = *count;
                }
            }
            Change::Searched { watch } => {
                if let Some(watched) = self.watches.get_mut(watch) {
                    watched.from = None;
                }
            }
            Change::Account { account } => self.account = Some(*account),
            Change::Named { name, named } => {
                self.names.insert(name.clone(), named.clone());
            }
            Change::Unnamed { name } => {
                self.names.remove(name);
            }
            Change::Leased { epoch } => self.lease = *epoch,
        }
    }

    fn add(&mut self, block: BlockRef, hits: &[(Watch, Hit)]) {
        for (watch, hit) in hits {
            let Some(watched) = self.watches.get_mut(watch) else { continue };
            self.hits += usize::from(watched.hits.insert((block, *hit)));
            if watched.hits.len() > HITS_MAX {
                self.busy.insert(watch.clone());
            }
            if self.hits > HITS_ALL_MAX {
                self.make_room(watch);
            }
        }
    }

    /// The oldest hit of the watch with the most goes; of this one, if none has many.
    fn make_room(&mut self, watch: &Watch) {
        let many = |watch: &&Watch| self.watches.get(*watch).map_or(0, |it| it.hits.len());
        let most = self.busy.iter().max_by_key(many).unwrap_or(watch).clone();
        if let Some(watched) = self.watches.get_mut(&most) {
            watched.leave_out(1);
            self.hits -= 1;
        }
    }

    /// What no reorg can take is kept up to a number.
    fn forget_old(&mut self, cursor: BlockRef) {
        let (watches, all) = (&mut self.watches, &mut self.hits);
        self.busy.retain(|watch| {
            let Some(watched) = watches.get_mut(watch) else { return false };
            let count = watched.too_many(cursor);
            watched.leave_out(count);
            *all -= count;
            watched.hits.len() > HITS_MAX
        });
    }

    /// The fewest changes that make this state; the headers are handed in by whoever has them.
    pub fn changes(&self, headers: Option<(ChainHash, &Headers)>) -> Vec<Change> {
        let mut changes = Vec::new();
        changes.extend(self.account.map(|account| Change::Account { account }));
        let named = |(name, named): (&PaymentName, &Named)| Change::Named {
            name: name.clone(),
            named: named.clone(),
        };
        changes.extend(self.names.iter().map(named));
        if self.lease > LeaseEpoch(0) {
            changes.push(Change::Leased { epoch: self.lease });
        }
        if let Some((network, headers)) = headers {
            let mut all = headers.iter();
            if let Some(&header) = all.next() {
                changes.push(Change::Born { network, height: headers.first().height, header });
            }
            changes.extend(all.map(|header| Change::Headers(chain::Change::Connected(*header))));
        }
        let mut by_block: BTreeMap<BlockRef, Vec<(Watch, Hit)>> = BTreeMap::new();
        for (watch, watched) in &self.watches {
            let from = watched.from.unwrap_or(Height(0));
            changes.push(Change::Watched { watch: watch.clone(), from });
            if watched.from.is_none() {
                changes.push(Change::Searched { watch: watch.clone() });
            }
            if watched.left_out > 0 {
                let (watch, count) = (watch.clone(), watched.left_out);
                changes.push(Change::LeftOut { watch, count });
            }
            for (block, hit) in &watched.hits {
                by_block.entry(*block).or_default().push((watch.clone(), *hit));
            }
        }
        changes.extend(by_block.into_iter().map(|(block, hits)| Change::Found { block, hits }));
        changes.extend(self.cursor.map(|block| Change::Heard { block, hits: Vec::new() }));
        changes
    }
}

impl Change {
    /// The bytes that are saved.
    pub fn encode(&self) -> Vec<u8> {
        let (record, value) = match self {
            Self::Born { network, height, header } => {
                let parts = [&network.0[..], &height.0.to_be_bytes(), &serialize(header)];
                (2, parts.concat())
            }
            Self::Headers(chain::Change::Connected(header)) => (4, serialize(header)),
            Self::Headers(chain::Change::Disconnected) => (6, Vec::new()),
            Self::Heard { block, hits } => (8, with_hits(*block, hits)),
            Self::Unheard { cursor } => (10, block_bytes(*cursor)),
            Self::Found { block, hits } => (12, with_hits(*block, hits)),
            Self::Watched { watch, from } => {
                (14, [&from.0.to_be_bytes()[..], &watch_bytes(watch)].concat())
            }
            Self::Unwatched { watch } => (16, watch_bytes(watch)),
            Self::Searched { watch } => (18, watch_bytes(watch)),
            Self::Account { account } => {
                let parts = [&account.fingerprint.to_bytes()[..], &account.xpub.encode()];
                (20, parts.concat())
            }
            Self::Named { name, named } => (22, named_bytes(name, named)),
            Self::Unnamed { name } => (24, sized(name.as_str().as_bytes())),
            Self::Leased { epoch } => (28, epoch.0.to_be_bytes().to_vec()),
            Self::LeftOut { watch, count } => {
                (26, [&count.to_be_bytes()[..], &watch_bytes(watch)].concat())
            }
        };
        saved::write(record, &value)
    }

    /// Reads a saved change; nothing if it is one of a newer version that may be passed over.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, ChangeFault> {
        saved::read(bytes, |record, from| {
            Ok(Some(match record {
                2 => Self::Born {
                    network: ChainHash(*from.array()?),
                    height: height(from)?,
                    header: header(from)?,
                },
                4 => Self::Headers(chain::Change::Connected(header(from)?)),
                6 => Self::Headers(chain::Change::Disconnected),
                8 => Self::Heard { block: block(from)?, hits: hits(from)? },
                10 => Self::Unheard { cursor: block(from)? },
                12 => Self::Found { block: block(from)?, hits: hits(from)? },
                14 => Self::Watched { from: height(from)?, watch: watch(from)? },
                16 => Self::Unwatched { watch: watch(from)? },
                18 => Self::Searched { watch: watch(from)? },
                20 => Self::Account { account: account(from)? },
                22 => named(from)?,
                24 => Self::Unnamed { name: name(from)? },
                26 => {
                    let count = u64::from_be_bytes(*from.array()?);
                    Self::LeftOut { watch: watch(from)?, count }
                }
                28 => Self::Leased { epoch: LeaseEpoch(u64::from_be_bytes(*from.array()?)) },
                _ => return Ok(None),
            }))
        })
    }
}

fn block_bytes(block: BlockRef) -> Vec<u8> {
    [&block.height.0.to_be_bytes()[..], block.hash.as_byte_array()].concat()
}

fn watch_bytes(watch: &Watch) -> Vec<u8> {
    let mut to = Vec::new();
    watch.write(&mut to);
    to
}

fn with_hits(block: BlockRef, hits: &[(Watch, Hit)]) -> Vec<u8> {
    let mut to = block_bytes(block);
    for (watch, hit) in hits {
        let (kind, number) = match hit.part {
            FoundIn::Output(number) => (0, number),
            FoundIn::Input(number) => (1, number),
        };
        let watch = watch_bytes(watch);
        to.extend_from_slice(hit.txid.as_byte_array());
        to.push(kind);
        to.extend_from_slice(&number.to_be_bytes());
        to.extend_from_slice(&(watch.len() as u32).to_be_bytes());
        to.extend_from_slice(&watch);
    }
    to
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat()
}

fn named_bytes(name: &PaymentName, named: &Named) -> Vec<u8> {
    let mut to = sized(name.as_str().as_bytes());
    to.extend(named.at.0.to_be_bytes());
    to.extend(named.ordered.amount.map_or(u64::MAX, Amount::to_sat).to_be_bytes());
    to.extend(sized(named.ordered.to.as_bytes()));
    for (txid, fee) in &named.sent {
        to.extend_from_slice(txid.as_byte_array());
        to.extend(fee.to_sat().to_be_bytes());
    }
    to
}

fn name(from: &mut Reader<'_>) -> Result<PaymentName, ChangeFault> {
    let length = number(from)? as usize;
    let text = String::from_utf8_lossy(from.take(length)?).into_owned();
    let meaningless = |got: String| ChangeFault::Meaningless { what: "name", got };
    PaymentName::new(&text).map_err(|fault| meaningless(fault.to_string()))
}

fn named(from: &mut Reader<'_>) -> Result<Change, ChangeFault> {
    let (name, at) = (name(from)?, height(from)?);
    let wanted = amount(from)?;
    let length = number(from)? as usize;
    let to = ScriptBuf::from_bytes(from.take(length)?.to_vec());
    let mut sent = Vec::new();
    while !from.is_empty() {
        sent.push((Txid::from_byte_array(*from.array()?), amount(from)?));
    }
    let amount = Some(wanted).filter(|amount| amount.to_sat() < u64::MAX);
    Ok(Change::Named { name, named: Named { ordered: Ordered { to, amount }, at, sent } })
}

fn amount(from: &mut Reader<'_>) -> Result<Amount, Broke> {
    Ok(Amount::from_sat(u64::from_be_bytes(*from.array()?)))
}

fn number(from: &mut Reader<'_>) -> Result<u32, Broke> {
    Ok(u32::from_be_bytes(*from.array()?))
}

fn height(from: &mut Reader<'_>) -> Result<Height, Broke> {
    number(from).map(Height)
}

fn header(from: &mut Reader<'_>) -> Result<Header, ChangeFault> {
    let bytes: &[u8; Header::SIZE] = from.array()?;
    let got = |fault: bitcoin::consensus::encode::Error| fault.to_string();
    deserialize(bytes).map_err(|fault| ChangeFault::Meaningless { what: "header", got: got(fault) })
}

fn account(from: &mut Reader<'_>) -> Result<Account, ChangeFault> {
    let fingerprint = Fingerprint::from(*from.array::<4>()?);
    let xpub = Xpub::decode(from.array::<78>()?)
        .map_err(|fault| ChangeFault::Meaningless { what: "account", got: fault.to_string() })?;
    Ok(Account { xpub, fingerprint })
}

fn block(from: &mut Reader<'_>) -> Result<BlockRef, Broke> {
    let height = height(from)?;
    Ok(BlockRef { height, hash: BlockHash::from_byte_array(*from.array()?) })
}

fn watch(from: &mut Reader<'_>) -> Result<Watch, ChangeFault> {
    Watch::read(from.rest())
        .map_err(|fault| ChangeFault::Meaningless { what: "watch", got: fault.to_string() })
}

fn hits(from: &mut Reader<'_>) -> Result<Vec<(Watch, Hit)>, ChangeFault> {
    let mut hits = Vec::new();
    while !from.is_empty() {
        let txid = Txid::from_byte_array(*from.array()?);
        let [kind] = *from.array()?;
        let at = number(from)?;
        let part = if kind == 0 { FoundIn::Output(at) } else { FoundIn::Input(at) };
        let len = number(from)?;
        let mut of_watch = Reader::new(from.take(len as usize)?);
        let watch = watch(&mut of_watch)?;
        hits.push((watch, Hit { txid, part }));
    }
    Ok(hits)
}
