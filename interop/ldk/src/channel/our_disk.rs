//! Where our node saves, if it does: in the store of a real one.

use bitcoin::secp256k1::{PublicKey, SECP256K1, SecretKey};
use channel::Begun;
use node::io::channels::CHANNELS;
use node::services::channels::{Change, ChannelName};
use node::store::{Batch, Store, Write};
use signer::UnixTime;

use super::ours::KEY;

/// What a node has saved, and what it is about to.
pub struct OurDisk {
    store: Store,
    name: ChannelName,
    unsaved: Batch,
    /// There is something in `unsaved` that cannot wait.
    is_due: bool,
    commits: u64,
}

impl OurDisk {
    /// In a store that nobody else has.
    pub fn new(store: Store) -> Self {
        let key = SecretKey::from_slice(&[9; 32]).expect("below the order");
        let node = PublicKey::from_secret_key(SECP256K1, &key);
        let name = ChannelName { node, key: KEY };
        Self { store, name, unsaved: Vec::new(), is_due: false, commits: 0 }
    }

    /// The channel begins.
    pub(super) fn begin(&mut self, begun: Begun) {
        let begun = Box::new(begun);
        self.note(&Change::Begun { name: self.name, created: UnixTime(0), funding: None, begun });
    }

    /// The channel has changed.
    pub(super) fn changed(&mut self, change: channel::Change) {
        self.note(&Change::Live { name: self.name, change: Box::new(change) });
    }

    fn note(&mut self, change: &Change) {
        self.is_due |= !change.can_wait();
        self.unsaved.push(Write::Change { core: CHANNELS, bytes: change.encode() });
    }

    /// What has changed and cannot wait is durable when this returns, with all before it: as in a
    /// node that has no time for itself.
    pub fn commit(&mut self) {
        if std::mem::take(&mut self.is_due) {
            let batch = std::mem::take(&mut self.unsaved);
            self.store.commit(&[batch]).expect("the disk has room");
            self.commits += 1;
        }
    }

    /// How often something was made durable.
    pub const fn commits(&self) -> u64 {
        self.commits
    }
}
