//! The keys of the money: BIP 86, one account of the seed.
//!
//! `m / 86' / coin' / 0' / branch / index`
//!
//! | step | value | what |
//! |---|---|---|
//! | purpose | 86 | taproot outputs with one key and no script |
//! | coin | 0 on mainnet, 1 on all others | SLIP 44 |
//! | account | 0 | the only one |
//! | branch | 0: received, 1: change | |
//! | index | 0 to [`KEY_INDEX_MAX`] | which output |
//!
//! This is the path that every other wallet searches for the same words, so the money outlives us:
//! see `docs/decisions/0011-wallet-keys.md`. The last two steps are not hardened, so that an
//! [`Account`], which is public, makes every address.

use std::fmt::{self, Debug, Display};

use bitcoin::bip32::{ChainCode, ChildNumber, Fingerprint, Xpriv, Xpub};
use bitcoin::key::{Keypair, TapTweak};
use bitcoin::{Network, NetworkKind, ScriptBuf, WitnessProgram, WitnessVersion};
use secp256k1::{SECP256K1, SecretKey};
use static_assertions::assert_not_impl_any;

use crate::derive::{coin, hardened, wipe};
use crate::fault::IndexFault;
use crate::secret::{Secret, burning};
use crate::seed::Seed;

assert_not_impl_any!(WalletKey: Clone, Copy, Debug, Display);

/// First step of the path, and the BIP that says what is below it.
pub const WALLET_PURPOSE: u32 = 86;
/// The greatest [`KeyIndex`]. BIP 32 has more, but an output beyond it would be lost to whoever has
/// only the words: nobody searches so far.
pub const KEY_INDEX_MAX: u32 = 999_999;

/// Scalar and chain code.
const SECRET_BYTES: usize = 64;

/// What an address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Branch {
    /// Others pay to it.
    Receive = 0,
    /// What is left of a spend comes back to it.
    Change = 1,
}

impl Branch {
    /// Both.
    pub const ALL: [Branch; 2] = [Branch::Receive, Branch::Change];
}

/// Which address of a branch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyIndex(u32);

impl KeyIndex {
    /// The first one.
    pub const FIRST: KeyIndex = KeyIndex(0);

    /// Refuses what nobody would find again.
    pub const fn new(index: u32) -> Result<KeyIndex, IndexFault> {
        if index > KEY_INDEX_MAX {
            return Err(IndexFault { got: index, max: KEY_INDEX_MAX });
        }
        Ok(KeyIndex(index))
    }

    /// The number.
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// Where a key of the account is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyPlace {
    /// Which branch.
    pub branch: Branch,
    /// Which one of it.
    pub index: KeyIndex,
}

impl KeyPlace {
    fn steps(self) -> [ChildNumber; 2] {
        [self.branch as u32, self.index.0].map(step_to)
    }
}

/// All addresses of an account, and none of its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// The account's extended public key, at `m/86'/coin'/0'`.
    pub xpub: Xpub,
    /// Whose it is: the fingerprint of the seed's master key.
    pub fingerprint: Fingerprint,
}

/// One branch of an account. Whoever makes many addresses of it takes the step to it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountBranch {
    branch: Branch,
    xpub: Xpub,
}

impl Account {
    /// One branch.
    pub fn branch(&self, branch: Branch) -> AccountBranch {
        AccountBranch { branch, xpub: below(&self.xpub, branch as u32) }
    }

    /// The script that pays to a place of this account.
    pub fn script(&self, place: KeyPlace) -> ScriptBuf {
        self.branch(place.branch).script(place.index)
    }
}

impl AccountBranch {
    /// Where an address of it is.
    pub const fn place(&self, index: KeyIndex) -> KeyPlace {
        KeyPlace { branch: self.branch, index }
    }

    /// The script that pays there: as [`Account::script`].
    pub fn script(&self, index: KeyIndex) -> ScriptBuf {
        ScriptBuf::new_p2tr(SECP256K1, below(&self.xpub, index.0).to_x_only_pub(), None)
    }
}

/// As long as every script of every account.
pub(crate) fn any_script() -> ScriptBuf {
    let program = WitnessProgram::new(WitnessVersion::V1, &[0; 32]);
    ScriptBuf::new_witness_program(&program.expect("taproot has 32 bytes"))
}

fn below(xpub: &Xpub, step: u32) -> Xpub {
    xpub.derive_pub(SECP256K1, &[step_to(step)]).expect("no step is hardened, and the depth fits")
}

fn step_to(number: u32) -> ChildNumber {
    ChildNumber::from_normal_idx(number).expect("below 2^31")
}

/// The account's private side. Wiped when dropped.
pub struct WalletKey {
    network: Network,
    account: Account,
    secret: Secret<SECRET_BYTES>,
}

impl Seed {
    /// The money of this seed on `network`.
    pub fn wallet_key(&self, network: Network) -> WalletKey {
        let seed = self.bip39_seed();
        burning(|| {
            let mut secret = Secret::zeros();
            let kind = NetworkKind::from(network);
            let mut master = Xpriv::new_master(kind, seed.bytes())
                .expect("a hash that is no key is as likely as guessing one");
            let path = [WALLET_PURPOSE, coin(network), 0].map(hardened);
            let mut child = master.derive_priv(SECP256K1, &path).expect("a depth of 3 fits");
            let (scalar, chain_code) = secret.as_mut().split_at_mut(32);
            scalar.copy_from_slice(&child.private_key[..]);
            chain_code.copy_from_slice(child.chain_code.as_bytes());
            let fingerprint = master.fingerprint(SECP256K1);
            let account = Account { xpub: Xpub::from_priv(SECP256K1, &child), fingerprint };
            wipe(&mut master);
            wipe(&mut child);
            WalletKey { network, account, secret }
        })
    }
}

impl WalletKey {
    /// Its network.
    pub const fn network(&self) -> Network {
        self.network
    }

    /// Its public side.
    pub const fn account(&self) -> &Account {
        &self.account
    }

    /// Does `work` with the private key of a place, tweaked as its output is, in a frame that is
    /// wiped.
    pub(crate) fn with_key<T>(&self, place: KeyPlace, work: impl FnOnce(&Keypair) -> T) -> T {
        burning(|| {
            let (scalar, chain_code) = self.secret.bytes().split_at(32);
            let chain_code: &[u8; 32] = chain_code.try_into().expect("half of 64 bytes");
            let mut parent = Xpriv {
                network: self.account.xpub.network,
                depth: self.account.xpub.depth,
                parent_fingerprint: self.account.xpub.parent_fingerprint,
                child_number: self.account.xpub.child_number,
                private_key: SecretKey::from_slice(scalar).expect("BIP 32 made it"),
                chain_code: ChainCode::from(*chain_code),
            };
            let mut child =
                parent.derive_priv(SECP256K1, &place.steps()).expect("a depth of 5 fits");
            let mut plain = child.to_keypair(SECP256K1);
            let mut tweaked = plain.tap_tweak(SECP256K1, None).to_keypair();
            let done = work(&tweaked);
            tweaked.non_secure_erase();
            plain.non_secure_erase();
            wipe(&mut child);
            wipe(&mut parent);
            done
        })
    }
}

impl Display for KeyPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.branch as u32, self.index.0)
    }
}
