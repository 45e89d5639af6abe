//! `bdk_wallet`, told what the book says: it knows which transactions count, and chooses coins.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use bdk_wallet::{
    ChangeSet, LoadParams, LocalOutput, Update,
    chain::{
        BlockId, ConfirmationBlockTime, DescriptorExt, DescriptorId, TxUpdate, keychain_txout,
        local_chain,
    },
};
use bitcoin::{Network, OutPoint, Transaction, Txid, constants::genesis_block};
use chain::{BlockRef, Height};
use miniscript::descriptor::{Descriptor, DescriptorPublicKey};
use signer::{Account, Branch};

use crate::book::{Book, Entry, GAP_ADDRESSES};

/// A cache of what follows from the book.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) bdk: bdk_wallet::Wallet,
    network: Network,
    roots: [Root; 2],
    /// Our outputs that nothing spends, once somebody has asked for them.
    unspent: OnceLock<Vec<LocalOutput>>,
}

/// A branch as bdk names it.
#[derive(Clone, Debug)]
struct Root {
    branch: Branch,
    id: DescriptorId,
    descriptor: Descriptor<DescriptorPublicKey>,
}

/// A transaction that counts.
pub(crate) struct Canonical {
    pub(crate) txid: Txid,
    pub(crate) transaction: Arc<Transaction>,
    pub(crate) height: Option<Height>,
}

impl Ledger {
    /// Made anew of everything.
    pub(crate) fn new(book: &Book, network: Network) -> Self {
        Self::of(book, network, Branch::ALL.map(|branch| Root::new(&book.account, network, branch)))
    }

    fn of(book: &Book, network: Network, roots: [Root; 2]) -> Self {
        let mut indexer = keychain_txout::ChangeSet::default();
        for Root { branch, id, .. } in &roots {
            if let Some(last) = book.used[*branch as usize].checked_sub(1) {
                indexer.last_revealed.insert(*id, last);
            }
            // To derive them again would be most of the work of a start.
            let places = book.places.iter().filter(|(_, place)| place.branch == *branch);
            let scripts = places.map(|(script, place)| (place.index.number(), script.clone()));
            indexer.spk_cache.insert(*id, scripts.collect());
        }
        let [receive, change] = roots.each_ref().map(|root| Some(root.descriptor.clone()));
        let first = (0, Some(genesis_block(network).block_hash()));
        let known = ChangeSet {
            descriptor: receive,
            change_descriptor: change,
            network: Some(network),
            local_chain: local_chain::ChangeSet { blocks: BTreeMap::from([first]) },
            indexer,
            ..ChangeSet::default()
        };
        let bdk = LoadParams::new()
            // What the book watches, and nothing else.
            .lookahead(GAP_ADDRESSES)
            .use_spk_cache(true)
            .load_wallet_no_persist(known)
            .expect("the descriptors are made of a key and fixed words")
            .expect("it has descriptors");
        let mut ledger = Self { bdk, network, roots, unspent: OnceLock::new() };
        ledger.add(book, book.transactions.values());
        ledger
    }

    /// Some entries are new, or in blocks that are new.
    pub(crate) fn add<'a>(&mut self, book: &Book, entries: impl Iterator<Item = &'a Entry>) {
        let mut tip = self.bdk.latest_checkpoint();
        let mut tx_update = TxUpdate::<ConfirmationBlockTime>::default();
        for entry in entries {
            // A block without any of ours changes nothing of what counts.
            self.unspent.take();
            let txid = entry.transaction.compute_txid();
            tx_update.txs.push(Arc::clone(&entry.transaction));
            // bdk has the first block of all already, and pays nobody of ours.
            if let Some(block) = entry.block.filter(|block| block.height.0 > 0) {
                let block_id = block_id(block);
                tip = tip.insert(block_id);
                let anchor = ConfirmationBlockTime { block_id, confirmation_time: 0 };
                tx_update.anchors.insert((anchor, txid));
            }
            if entry.seen > 0 {
                tx_update.seen_ats.insert((txid, entry.seen));
            }
        }
        if book.cursor.height.0 > 0 {
            tip = tip.insert(block_id(book.cursor));
        }
        let update = Update { tx_update, chain: Some(tip), ..Update::default() };
        self.bdk.apply_update(update).expect("it is on top of the blocks that are there");
        // What would be saved is in the book already.
        self.bdk.take_staged();
    }

    /// Something is gone.
    pub(crate) fn renew(&mut self, book: &Book) {
        *self = Self::of(book, self.network, self.roots.clone());
    }

    pub(crate) const fn network(&self) -> Network {
        self.network
    }

    /// Our outputs that nothing spends, in their order.
    pub(crate) fn unspent(&self) -> impl Iterator<Item = &LocalOutput> {
        self.unspent.get_or_init(|| self.bdk.list_unspent().collect()).iter()
    }

    /// All transactions that count.
    pub(crate) fn canonical(&self) -> impl Iterator<Item = Canonical> + '_ {
        self.bdk.transactions().map(|each| Canonical {
            txid: each.tx_node.txid,
            transaction: Arc::clone(&each.tx_node.tx),
            height: each.chain_position.confirmation_height_upper_bound().map(Height),
        })
    }

    /// What spends an output, of all that counts.
    pub(crate) fn spender(&self, outpoint: &OutPoint) -> Option<Txid> {
        let spends = |each: &Canonical| {
            each.transaction.input.iter().any(|input| input.previous_output == *outpoint)
        };
        self.canonical().find(spends).map(|each| each.txid)
    }
}

impl Root {
    fn new(account: &Account, network: Network, branch: Branch) -> Self {
        let coin = if network == Network::Bitcoin { 0 } else { 1 };
        let Account { xpub, fingerprint } = account;
        let (purpose, step) = (signer::WALLET_PURPOSE, branch as u32);
        let text = format!("tr([{fingerprint}/{purpose}'/{coin}'/0']{xpub}/{step}/*)");
        let descriptor: Descriptor<DescriptorPublicKey> =
            text.parse().expect("it is made of a key and fixed words");
        Self { branch, id: descriptor.descriptor_id(), descriptor }
    }
}

fn block_id(block: BlockRef) -> BlockId {
    BlockId { height: block.height.0, hash: block.hash }
}
