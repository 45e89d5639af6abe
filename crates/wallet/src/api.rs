//! What is asked of the wallet, and what it says of itself.

use std::fmt;

use bitcoin::{Address, Amount, FeeRate, OutPoint, ScriptBuf, Txid, address::NetworkUnchecked};
use chain::{Height, Watch};
use signer::KeyPlace;

/// A spend that is drafted, and neither published nor given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DraftId(pub u64);

/// Whoever keeps a coin for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holder {
    /// A drafted spend.
    Draft(DraftId),
    /// Another part of the node, which has a number of its own.
    User(u32),
}

/// A coin is kept for somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    /// For whom.
    pub holder: Holder,
    /// From this block on for nobody any more.
    pub until: Option<Height>,
}

/// An output of ours that nothing spends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coin {
    /// Which one.
    pub outpoint: OutPoint,
    /// What it is worth.
    pub amount: Amount,
    /// Whose key spends it.
    pub place: KeyPlace,
    /// The block that has it; nothing if it is pending.
    pub height: Option<Height>,
    /// Blocks from that one to the newest, both counted.
    pub confirmations: u32,
    /// Whether it is of a coinbase that is too young to be spent.
    pub is_immature: bool,
    /// Whether the transaction is one that we have published, and hangs on nothing pending of
    /// others: nobody else can take it back.
    pub is_change: bool,
    /// For whom it is kept.
    pub lock: Option<Lock>,
}

impl Coin {
    /// Whether a new spend may have it: nobody keeps it, and nobody can take it back.
    pub const fn is_free(&self) -> bool {
        self.lock.is_none() && !self.is_immature && (self.height.is_some() || self.is_change)
    }
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// In blocks, and old enough. What is locked is in it, too.
    pub confirmed: Amount,
    /// In no block yet.
    pub pending: Amount,
    /// The part of it that comes back to us from spends of ours, and may be spent again.
    pub change: Amount,
    /// In blocks, but too young.
    pub immature: Amount,
    /// The part of all that which somebody keeps.
    pub locked: Amount,
    /// What a spend has to leave.
    pub reserve: Amount,
    /// What spends can have: confirmed coins and change, without what is locked and the reserve.
    /// Their fees come out of it.
    pub spendable: Amount,
}

/// A transaction that moves something of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Movement {
    /// Which one.
    pub txid: Txid,
    /// The block that has it; nothing if it is pending.
    pub height: Option<Height>,
    /// What it pays to us, our own change included.
    pub received: Amount,
    /// What it spends of ours.
    pub spent: Amount,
    /// What it costs, if we know all that it spends.
    pub fee: Option<Amount>,
    /// Whether it is one that we have published.
    pub is_made: bool,
}

/// Where a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// In no block yet.
    Pending,
    /// In the block at this height.
    Confirmed(Height),
    /// Another one counts instead of it, or of one that it hangs on.
    Replaced {
        /// The other one.
        by: Txid,
        /// The block that has that one; nothing if it is pending.
        height: Option<Height>,
    },
}

/// Who is paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// As people give it; it must be of our network.
    Address(Address<NetworkUnchecked>),
    /// As programs do.
    Script(ScriptBuf),
}

/// How much is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// So much, and the fee is added.
    Exactly(Amount),
    /// All that can be spent, and the fee is taken out of it.
    All,
}

/// What [`Wallet::send`](crate::Wallet::send) is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Who is paid.
    pub to: Recipient,
    /// How much.
    pub amount: Wanted,
    /// The fee.
    pub fee_rate: FeeRate,
    /// How much must stay ours, in confirmed coins and in what this spend returns: future channels
    /// will need it.
    pub reserve: Amount,
    /// A person has seen the fee and wants it, although it is high.
    pub allow_high_fee: bool,
    /// Somebody needs just this transaction, as who opens a channel does: it cannot be replaced.
    pub is_fixed: bool,
}

impl Order {
    /// Pays somebody, with nothing special about it.
    pub const fn new(to: Recipient, amount: Wanted, fee_rate: FeeRate) -> Self {
        let (allow_high_fee, is_fixed) = (false, false);
        Self { to, amount, fee_rate, reserve: Amount::ZERO, allow_high_fee, is_fixed }
    }
}

/// What [`Wallet::bump`](crate::Wallet::bump) is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bump {
    /// Which spend is replaced.
    pub txid: Txid,
    /// What the new one pays.
    pub fee_rate: FeeRate,
    /// A person has seen the fee and wants it, although it is high.
    pub allow_high_fee: bool,
    /// How much must stay ours, as in an [`Order`]. Where less was left before, no less may be.
    pub reserve: Amount,
}

impl Bump {
    /// Replaces a spend, with nothing special about it.
    pub const fn new(txid: Txid, fee_rate: FeeRate) -> Self {
        Self { txid, fee_rate, allow_high_fee: false, reserve: Amount::ZERO }
    }
}

/// What the wallet wants of the [`Chain`](chain::Chain).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// [`Chain::watch`](chain::Chain::watch).
    Watch {
        /// For what.
        watch: Watch,
        /// From which block on.
        from: Height,
    },
    /// [`Chain::unwatch`](chain::Chain::unwatch).
    Unwatch {
        /// For what not any more.
        watch: Watch,
    },
}

/// How far blocks of the past have been looked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Watches that are through.
    pub done: usize,
    /// Watches in all. It grows when more is found.
    pub of: usize,
    /// Transactions that were found and not known before.
    pub found: usize,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Draft(DraftId(number)) => write!(f, "draft {number}"),
            Self::User(number) => write!(f, "user {number}"),
        }
    }
}
