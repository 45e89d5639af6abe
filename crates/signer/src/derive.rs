//! From the seed to keys: BIP 32, hardened at every step.
//!
//! `m / 9735' / coin' / family' / index'`
//!
//! | step | value | what |
//! |---|---|---|
//! | purpose | 9735 | Lightning's port |
//! | coin | 0 on mainnet, 1 on all others | SLIP 44 |
//! | family | 0: a node's identity, 1: its channels | what the key is for |
//! | index | 0 to 2^31 - 1 | which node of the installation |
//!
//! No BIP has the number 9735 and no other node that we know derives from it (LND: 1017). So words
//! that are carried over from another node never make *that* node here: the same identity in two
//! places, with two states of its channels, is how money is lost. A use that comes later gets a
//! family of its own and disturbs no other. All steps are hardened: no key, with whatever public
//! keys, tells anything about another. The test networks share their keys, as SLIP 44 has it.

use std::fmt::{Debug, Display};
use std::hint::black_box;

use bitcoin::bip32::{ChildNumber, Xpriv};
use bitcoin::{Network, NetworkKind};
use noise::{Fault, IdentityKey, PublicKey};
use secp256k1::{SECP256K1, SecretKey};
use static_assertions::assert_not_impl_any;

use crate::channel::ChannelKeys;
use crate::fault::IndexFault;
use crate::secret::{Secret, burning};
use crate::seed::Seed;

assert_not_impl_any!(NodeKey: Clone, Copy, Debug, Display);

/// First step of every path.
pub const PURPOSE: u32 = 9735;
/// The greatest [`NodeIndex`]; BIP 32 keeps the last bit for itself.
pub const NODE_INDEX_MAX: u32 = (1 << 31) - 1;

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Node = 0,
    Channels = 1,
}

/// Which node of an installation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIndex(u32);

impl NodeIndex {
    /// The only node of most installations.
    pub const FIRST: NodeIndex = NodeIndex(0);

    /// Refuses what BIP 32 has no room for.
    pub const fn new(index: u32) -> Result<NodeIndex, IndexFault> {
        if index > NODE_INDEX_MAX {
            return Err(IndexFault { got: index, max: NODE_INDEX_MAX });
        }
        Ok(NodeIndex(index))
    }
}

/// A node's identity: what it proves in handshakes, and signs messages with. Wiped when dropped.
pub struct NodeKey {
    identity: IdentityKey,
    /// The same key once more, since `noise` lets nobody sign with what it holds.
    scalar: Secret<32>,
}

impl Seed {
    /// The identity of a node on `network`.
    pub fn node_key(&self, network: Network, index: NodeIndex) -> NodeKey {
        let mut scalar = self.derive(path(network, Family::Node, index));
        NodeKey::take(scalar.as_mut()).expect("BIP 32 makes keys")
    }

    /// What the keys of a node's channels follow from.
    pub fn channel_keys(&self, network: Network, index: NodeIndex) -> ChannelKeys {
        ChannelKeys::new(self.derive(path(network, Family::Channels, index)))
    }

    fn derive(&self, path: [ChildNumber; 4]) -> Secret<32> {
        let seed = self.bip39_seed();
        burning(|| {
            let mut scalar = Secret::zeros();
            // The network is for the text form, which nobody makes here.
            let mut master = Xpriv::new_master(NetworkKind::Main, seed.bytes())
                .expect("a hash that is no key is as likely as guessing one");
            let mut child = master.derive_priv(SECP256K1, &path).expect("a depth of 4 fits");
            scalar.as_mut().copy_from_slice(&child.private_key[..]);
            wipe(&mut master);
            wipe(&mut child);
            scalar
        })
    }
}

impl NodeKey {
    /// The key of a node that was made elsewhere. `bytes` are zeros afterwards, whatever the
    /// outcome.
    pub fn take(bytes: &mut [u8; 32]) -> Result<NodeKey, Fault> {
        let mut scalar = Secret::zeros();
        scalar.as_mut().copy_from_slice(bytes);
        let identity = burning(|| IdentityKey::take(bytes))?;
        Ok(NodeKey { identity, scalar })
    }

    /// The node's id.
    pub fn id(&self) -> PublicKey {
        self.identity.public()
    }

    pub(crate) fn identity(&self) -> &IdentityKey {
        &self.identity
    }

    /// Does `work` with the private key, in a frame that is wiped.
    pub(crate) fn with_key<T>(&self, work: impl FnOnce(&SecretKey) -> T) -> T {
        burning(|| {
            let mut key =
                SecretKey::from_slice(self.scalar.bytes()).expect("`take` has checked it");
            let done = work(&key);
            key.non_secure_erase();
            done
        })
    }
}

fn path(network: Network, family: Family, index: NodeIndex) -> [ChildNumber; 4] {
    [PURPOSE, coin(network), family as u32, index.0].map(hardened)
}

/// SLIP 44's number of a network.
pub(crate) fn coin(network: Network) -> u32 {
    if network == Network::Bitcoin { 0 } else { 1 }
}

pub(crate) fn hardened(step: u32) -> ChildNumber {
    ChildNumber::from_hardened_idx(step).expect("all are below 2^31")
}

/// `Xpriv` wipes nothing by itself. Its copies inside of `bitcoin` are left to [`burning`].
pub(crate) fn wipe(key: &mut Xpriv) {
    key.private_key.non_secure_erase();
    key.chain_code = [0; 32].into();
    black_box(key);
}
