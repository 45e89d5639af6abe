//! The wallet as bytes: a snapshot, and one change after another.
//!
//! Each begins with a version. Numbers are big-endian; a list stands behind its length (4 bytes),
//! and so does what has no length of its own. What is written is read again to the byte.

use std::{collections::BTreeMap, sync::Arc};

use bitcoin::{
    BlockHash, Network, OutPoint, ScriptBuf, Transaction, Txid, absolute::LOCK_TIME_THRESHOLD,
    bip32::Xpub, consensus, hashes::Hash as _,
};
use chain::{BlockRef, Height, Watch};
use signer::{Account, Branch, KeyIndex};
use wire::reader::Reader;

use crate::{
    api::{DraftId, Holder, Lock},
    book::{Book, Entry, Ghost, Rescan},
    change::{Change, Made, Plan},
    fault::RestoreFault,
    wallet::is_possible,
};

/// The layout that is written, and the only one that is read.
pub const WALLET_VERSION: u8 = 2;

const NETWORKS: [Network; 5] =
    [Network::Bitcoin, Network::Testnet, Network::Testnet4, Network::Signet, Network::Regtest];

type Fallible<T> = Result<T, RestoreFault>;

impl Book {
    pub(crate) fn encode(&self, network: Network) -> Vec<u8> {
        let mut to = Writer::begin();
        let number = NETWORKS.iter().position(|listed| *listed == network).unwrap_or_default();
        to.byte(number as u8);
        to.0.extend(self.account.fingerprint.as_bytes());
        to.0.extend(self.account.xpub.encode());
        to.block(&self.birthday);
        to.block(&self.cursor);
        to.u32(self.used[0]).u32(self.used[1]).u32(self.handed);
        to.u64(self.next_draft.0).u64(self.next_seen);
        to.list(self.transactions.values(), |to, entry| {
            to.transaction(&entry.transaction);
            to.option(entry.block.as_ref(), Writer::block);
            to.u64(entry.seen).option(entry.made.as_ref(), Writer::made);
        });
        to.list(&self.locks, |to, (outpoint, lock)| {
            to.outpoint(outpoint).lock(lock);
        });
        to.list(&self.drafts, |to, (id, plan)| {
            to.u64(id.0).plan(plan);
        });
        to.list(&self.searches, |to, (watch, from)| {
            to.watch(watch).u32(from.0);
        });
        to.option(self.rescan.as_ref(), |to, rescan| {
            to.u32(rescan.of).u32(rescan.found);
        });
        to.list(&self.ghosts, |to, ghost| {
            to.0.extend(ghost.txid.as_byte_array());
            to.list(&ghost.spends, |to, outpoint| {
                to.outpoint(outpoint);
            });
        });
        to.0
    }

    /// Reads what was written for this account on this network.
    pub(crate) fn decode(bytes: &[u8], account: &Account, network: Network) -> Fallible<Self> {
        let mut from = open(bytes)?;
        let got = from.choice("network", &NETWORKS)?;
        let fingerprint = (*from.0.array()?).into();
        let xpub = Xpub::decode(from.0.array::<78>()?)
            .map_err(|_| RestoreFault::Malformed { what: "extended public key" })?;
        if (Account { xpub, fingerprint }) != *account {
            return Err(RestoreFault::Account { got: fingerprint, want: account.fingerprint });
        }
        if got != network {
            return Err(RestoreFault::Network { got, want: network });
        }
        let mut book = Self::blank(*account, from.block()?);
        book.cursor = from.block()?;
        book.used = [from.count()?, from.count()?];
        book.handed = from.count()?;
        book.next_draft = DraftId(from.u64()?);
        book.next_seen = from.u64()?;
        book.transactions = from.map(|from| {
            let transaction = from.transaction()?;
            let block = from.option(Bytes::block)?;
            let (seen, made) = (from.u64()?, from.option(Bytes::made)?);
            Ok((transaction.compute_txid(), Entry { transaction, block, seen, made }))
        })?;
        book.locks = from.map(|from| Ok((from.outpoint()?, from.lock()?)))?;
        book.drafts = from.map(|from| Ok((DraftId(from.u64()?), from.plan()?)))?;
        book.searches = from.map(|from| Ok((from.watch()?, Height(from.u32()?))))?;
        let rescan = |from: &mut Bytes<'_>| Ok(Rescan { of: from.u32()?, found: from.u32()? });
        book.rescan = from.option(rescan)?;
        let ghost = |from: &mut Bytes<'_>| {
            Ok(Ghost { txid: from.txid()?, spends: from.list(Bytes::outpoint)? })
        };
        book.ghosts = from.list(ghost)?.into();
        from.0.end()?;
        book.complete();
        Ok(book)
    }
}

impl Change {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut to = Writer::begin();
        match self {
            Self::Connected { block, transactions } => {
                to.byte(0).block(block);
                to.list(transactions, |to, transaction| to.transaction(transaction));
            }
            Self::Disconnected { block, cursor } => {
                to.byte(1).block(block);
                to.block(cursor);
            }
            Self::Found { block, transactions } => {
                to.byte(2).block(block);
                to.list(transactions, |to, transaction| to.transaction(transaction));
            }
            Self::Searched { watch } => {
                to.byte(3).watch(watch);
            }
            Self::Handed { index } => {
                to.byte(4).u32(index.number());
            }
            Self::Locked { outpoint, lock } => {
                to.byte(5).outpoint(outpoint).lock(lock);
            }
            Self::Unlocked { outpoint } => {
                to.byte(6).outpoint(outpoint);
            }
            Self::Drafted { id, plan } => {
                to.byte(7).u64(id.0).plan(plan);
            }
            Self::GivenUp { id } => {
                to.byte(8).u64(id.0);
            }
            Self::Published { transaction } => to.byte(9).transaction(transaction),
            Self::Forgotten { txid } => to.byte(10).0.extend(txid.as_byte_array()),
            Self::Rescan { from } => {
                to.byte(11).u32(from.0);
            }
        }
        to.0
    }

    pub(crate) fn decode(bytes: &[u8]) -> Fallible<Self> {
        let mut from = open(bytes)?;
        let change = match from.byte()? {
            0 => Self::Connected { block: from.block()?, transactions: from.transactions()? },
            1 => Self::Disconnected { block: from.block()?, cursor: from.block()? },
            2 => Self::Found { block: from.block()?, transactions: from.transactions()? },
            3 => Self::Searched { watch: from.watch()? },
            4 => Self::Handed { index: from.index()? },
            5 => Self::Locked { outpoint: from.outpoint()?, lock: from.lock()? },
            6 => Self::Unlocked { outpoint: from.outpoint()? },
            7 => Self::Drafted { id: DraftId(from.u64()?), plan: from.plan()? },
            8 => Self::GivenUp { id: DraftId(from.u64()?) },
            9 => Self::Published { transaction: from.transaction()? },
            10 => Self::Forgotten { txid: from.txid()? },
            11 => Self::Rescan { from: Height(from.u32()?) },
            got => return Err(RestoreFault::Choice { what: "change", got, max: 11 }),
        };
        from.0.end()?;
        Ok(change)
    }
}

/// Appends.
struct Writer(Vec<u8>);

impl Writer {
    fn begin() -> Self {
        Self(vec![WALLET_VERSION])
    }

    fn byte(&mut self, byte: u8) -> &mut Self {
        self.0.push(byte);
        self
    }

    fn u32(&mut self, number: u32) -> &mut Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    fn u64(&mut self, number: u64) -> &mut Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.u32(u32::try_from(bytes.len()).expect("no transaction is so long")).0.extend(bytes);
    }

    fn block(&mut self, block: &BlockRef) {
        self.u32(block.height.0).0.extend(block.hash.as_byte_array());
    }

    fn outpoint(&mut self, outpoint: &OutPoint) -> &mut Self {
        self.0.extend(outpoint.txid.as_byte_array());
        self.u32(outpoint.vout)
    }

    fn transaction(&mut self, transaction: &Transaction) {
        self.bytes(&consensus::serialize(transaction));
    }

    fn watch(&mut self, watch: &Watch) -> &mut Self {
        match watch {
            Watch::Spend(outpoint) => self.byte(0).outpoint(outpoint),
            Watch::Pay(script) => {
                self.byte(1).bytes(script.as_bytes());
                self
            }
        }
    }

    fn lock(&mut self, lock: &Lock) {
        match lock.holder {
            Holder::Draft(id) => self.byte(0).u64(id.0),
            Holder::User(user) => self.byte(1).u64(user.into()),
        };
        self.option(lock.until.as_ref(), |to, until| {
            to.u32(until.0);
        });
    }

    fn made(&mut self, made: &Made) {
        self.option(made.elastic.as_ref(), |to, elastic| {
            to.u32(*elastic);
        });
        self.byte(u8::from(made.is_fixed));
    }

    fn plan(&mut self, plan: &Plan) {
        self.0.extend(plan.txid.as_byte_array());
        self.list(&plan.inputs, |to, outpoint| {
            to.outpoint(outpoint);
        });
        self.option(plan.change.as_ref(), |to, index| {
            to.u32(index.number());
        });
        self.option(plan.replaces.as_ref(), |to, txid| to.0.extend(txid.as_byte_array()));
        self.made(&plan.made);
    }

    fn option<T>(&mut self, value: Option<&T>, write: impl FnOnce(&mut Self, &T)) {
        self.byte(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn list<T>(&mut self, all: impl IntoIterator<Item = T>, write: impl Fn(&mut Self, T)) {
        let at = self.0.len();
        self.u32(0);
        let mut count = 0_u32;
        for each in all {
            write(self, each);
            count += 1;
        }
        self.0[at..at + 4].copy_from_slice(&count.to_be_bytes());
    }
}

/// Reads.
struct Bytes<'a>(Reader<'a>);

fn open(bytes: &[u8]) -> Fallible<Bytes<'_>> {
    let mut from = Bytes(Reader::new(bytes));
    match from.byte()? {
        WALLET_VERSION => Ok(from),
        got => Err(RestoreFault::Version { got, want: WALLET_VERSION }),
    }
}

impl<'a> Bytes<'a> {
    fn byte(&mut self) -> Fallible<u8> {
        let [byte] = *self.0.array()?;
        Ok(byte)
    }

    fn u32(&mut self) -> Fallible<u32> {
        Ok(u32::from_be_bytes(*self.0.array()?))
    }

    fn u64(&mut self) -> Fallible<u64> {
        Ok(u64::from_be_bytes(*self.0.array()?))
    }

    /// A number of places: one more than the greatest index at most.
    fn count(&mut self) -> Fallible<u32> {
        let count = self.u32()?;
        KeyIndex::new(count.saturating_sub(1))
            .map_err(|_| RestoreFault::Malformed { what: "number of addresses" })?;
        Ok(count)
    }

    fn index(&mut self) -> Fallible<KeyIndex> {
        KeyIndex::new(self.u32()?).map_err(|_| RestoreFault::Malformed { what: "index" })
    }

    fn bytes(&mut self) -> Fallible<&'a [u8]> {
        let length = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
        Ok(self.0.take(length)?)
    }

    fn block(&mut self) -> Fallible<BlockRef> {
        let height = Height(self.u32()?);
        if height.0 >= LOCK_TIME_THRESHOLD {
            return Err(RestoreFault::Malformed { what: "height" });
        }
        Ok(BlockRef { height, hash: BlockHash::from_byte_array(*self.0.array()?) })
    }

    fn txid(&mut self) -> Fallible<Txid> {
        Ok(Txid::from_byte_array(*self.0.array()?))
    }

    fn outpoint(&mut self) -> Fallible<OutPoint> {
        Ok(OutPoint { txid: self.txid()?, vout: self.u32()? })
    }

    fn transaction(&mut self) -> Fallible<Arc<Transaction>> {
        let malformed = RestoreFault::Malformed { what: "transaction" };
        match consensus::deserialize(self.bytes()?) {
            Ok(transaction) if is_possible(&transaction) => Ok(Arc::new(transaction)),
            Ok(_) | Err(_) => Err(malformed),
        }
    }

    fn transactions(&mut self) -> Fallible<Vec<Arc<Transaction>>> {
        self.list(Self::transaction)
    }

    fn watch(&mut self) -> Fallible<Watch> {
        match self.byte()? {
            0 => Ok(Watch::Spend(self.outpoint()?)),
            1 => Ok(Watch::Pay(ScriptBuf::from_bytes(self.bytes()?.to_vec()))),
            got => Err(RestoreFault::Choice { what: "watch", got, max: 1 }),
        }
    }

    fn lock(&mut self) -> Fallible<Lock> {
        let (tag, number) = (self.byte()?, self.u64()?);
        let holder = match tag {
            0 => Holder::Draft(DraftId(number)),
            1 => {
                let user = u32::try_from(number);
                Holder::User(user.map_err(|_| RestoreFault::Malformed { what: "user" })?)
            }
            got => return Err(RestoreFault::Choice { what: "holder", got, max: 1 }),
        };
        let until = self.option(|from| Ok(Height(from.u32()?)))?;
        Ok(Lock { holder, until })
    }

    fn made(&mut self) -> Fallible<Made> {
        let elastic = self.option(Self::u32)?;
        Ok(Made { elastic, is_fixed: self.choice("fixed", &[false, true])? })
    }

    fn plan(&mut self) -> Fallible<Plan> {
        Ok(Plan {
            txid: self.txid()?,
            inputs: self.list(Self::outpoint)?,
            change: self.option(Self::index)?,
            replaces: self.option(Self::txid)?,
            made: self.made()?,
        })
    }

    fn choice<T: Copy>(&mut self, what: &'static str, table: &[T]) -> Fallible<T> {
        let got = self.byte()?;
        let max = table.len() as u8 - 1;
        let found = table.get(usize::from(got)).copied();
        found.ok_or(RestoreFault::Choice { what, got, max })
    }

    fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Fallible<T>) -> Fallible<Option<T>> {
        match self.choice("presence", &[false, true])? {
            true => read(self).map(Some),
            false => Ok(None),
        }
    }

    fn list<T>(&mut self, read: impl Fn(&mut Self) -> Fallible<T>) -> Fallible<Vec<T>> {
        // Nothing is reserved for a length that may be a lie.
        let count = self.u32()?;
        (0..count).map(|_| read(self)).collect()
    }

    fn map<K: Ord, V>(
        &mut self,
        read: impl Fn(&mut Self) -> Fallible<(K, V)>,
    ) -> Fallible<BTreeMap<K, V>> {
        Ok(self.list(read)?.into_iter().collect())
    }
}

/// Both branches have a number in `used`.
const _: () = assert!(Branch::ALL.len() == 2);
