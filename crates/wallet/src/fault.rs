//! Why the wallet refuses, with the numbers that disagree. What is refused has changed nothing.

use std::fmt;

use bitcoin::{Amount, FeeRate, Network, OutPoint, Txid, bip32::Fingerprint};
use chain::{BlockRef, Height};
use signer::{IndexFault, SpendFlaw};
use wire::fault::Broke;

use crate::api::{DraftId, Holder};

/// Why something is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The address is not one of our network.
    Network {
        /// The address.
        address: String,
        /// Our network.
        want: Network,
    },
    /// Nothing would be paid.
    Zero,
    /// More would be paid than there is in the world.
    TooMuch {
        /// How much.
        got: Amount,
        /// All bitcoins.
        max: Amount,
    },
    /// So little is not relayed.
    Dust {
        /// How much.
        got: Amount,
        /// The least.
        min: Amount,
    },
    /// There is not so much.
    NotEnough {
        /// What can be spent.
        have: Amount,
        /// What would be paid.
        need: Amount,
        /// What it would cost.
        fee: Amount,
    },
    /// There is so much, but then the reserve would not be left.
    Reserve {
        /// What can be spent, the reserve included.
        have: Amount,
        /// What would be paid.
        need: Amount,
        /// What it would cost.
        fee: Amount,
        /// What must be left.
        reserve: Amount,
    },
    /// So low a fee is not relayed.
    FeeRateLow {
        /// The rate.
        got: FeeRate,
        /// The least.
        min: FeeRate,
    },
    /// So high a fee is a mistake.
    FeeRateHigh {
        /// The rate.
        got: FeeRate,
        /// The most; with the flag it is more.
        max: FeeRate,
    },
    /// There are more coins than fit into one transaction.
    TooManyCoins {
        /// How many there are.
        have: usize,
        /// How many fit.
        max: usize,
    },
    /// The signer would refuse it.
    Signer(SpendFlaw),
    /// This is no coin of ours, or it is spent.
    UnknownCoin {
        /// Which.
        outpoint: OutPoint,
    },
    /// Somebody else keeps the coin.
    Locked {
        /// Which.
        outpoint: OutPoint,
        /// Who.
        holder: Holder,
    },
    /// Something else spends the coin.
    DoubleSpend {
        /// Which.
        outpoint: OutPoint,
        /// What spends it.
        by: Txid,
    },
    /// There is no such draft.
    UnknownDraft {
        /// Which.
        draft: DraftId,
    },
    /// There is no such transaction.
    UnknownTransaction {
        /// Which.
        txid: Txid,
    },
    /// The transaction has nothing of ours.
    Unrelated {
        /// Which.
        txid: Txid,
    },
    /// An input has no signature.
    Unsigned {
        /// Which, from 0.
        input: usize,
        /// Of how many.
        of: usize,
    },
    /// The transaction is in a block.
    Confirmed {
        /// Which.
        txid: Txid,
        /// Where.
        height: Height,
    },
    /// The transaction is not one that we have made.
    NotOurs {
        /// Which.
        txid: Txid,
    },
    /// What the transaction spends will never be there: another one was made instead of its parent.
    Orphaned {
        /// Which.
        txid: Txid,
    },
    /// Somebody needs just this transaction.
    Fixed {
        /// Which.
        txid: Txid,
    },
    /// Its replacement would pay too low a rate.
    ReplacementRate {
        /// The rate.
        got: FeeRate,
        /// The least: a satoshi for each virtual byte above what is replaced.
        min: FeeRate,
    },
    /// Its replacement would pay too small a fee: it must be what all that is replaced has paid,
    /// and its own way through the network besides (rules 3 and 4 of BIP 125).
    ReplacementFee {
        /// The fee.
        got: Amount,
        /// The least.
        min: Amount,
    },
    /// There are as many locks as there may be.
    TooManyLocks {
        /// How many there are.
        have: usize,
        /// How many there may be.
        max: usize,
    },
    /// So many drafts wait for signatures that more change would be beyond what others look at.
    TooManyDrafts {
        /// How many wait.
        have: usize,
        /// How many may.
        max: usize,
    },
    /// All addresses are used.
    UsedUp(IndexFault),
    /// A block is not behind the one before it.
    Gap {
        /// The block.
        got: BlockRef,
        /// The newest that we have heard of.
        cursor: BlockRef,
    },
    /// The past does not reach so far.
    TooLate {
        /// Where it would begin.
        got: Height,
        /// The newest block.
        max: Height,
    },
}

/// Why a saved wallet does not come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestoreFault {
    /// The wallet does not match the seed.
    Account {
        /// Whose the wallet is.
        got: Fingerprint,
        /// Whose the seed is.
        want: Fingerprint,
    },
    /// It is of another network.
    Network {
        /// The wallet's.
        got: Network,
        /// Ours.
        want: Network,
    },
    /// The layout has an unknown version.
    Version {
        /// The version.
        got: u8,
        /// The one we know.
        want: u8,
    },
    /// The bytes are cut, or something follows them.
    Broke(Broke),
    /// A number stands for nothing.
    Choice {
        /// What it would tell.
        what: &'static str,
        /// The number.
        got: u8,
        /// The greatest there is.
        max: u8,
    },
    /// A piece is not what it should be.
    Malformed {
        /// Which piece.
        what: &'static str,
    },
    /// A change does not follow from what is before it.
    Change {
        /// Which one, from 0.
        change: usize,
        /// Why.
        why: Box<Refusal>,
    },
}

impl From<Broke> for RestoreFault {
    fn from(broke: Broke) -> Self {
        Self::Broke(broke)
    }
}

impl std::error::Error for Refusal {}
impl std::error::Error for RestoreFault {}

/// In satoshis for a virtual byte, to two places.
struct Rate(FeeRate);

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hundredths = u128::from(self.0.to_sat_per_kwu()) * 4 / 10;
        write!(f, "{}.{:02} sat/vB", hundredths / 100, hundredths % 100)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network { address, want } => write!(f, "{address} is no address of {want}"),
            Self::Zero => write!(f, "nothing would be paid: 0 BTC"),
            Self::TooMuch { got, max } => write!(f, "{got}, there are {max} in all"),
            Self::Dust { got, min } => write!(f, "{got} is dust, at least {min}"),
            Self::NotEnough { have, need, fee } => {
                write!(f, "{have} can be spent, {need} and a fee of {fee} are needed")
            }
            Self::Reserve { have, need, fee, reserve } => write!(
                f,
                "of {have}, {reserve} stay for channels; {need} and a fee of {fee} are needed"
            ),
            Self::FeeRateLow { got, min } => {
                write!(f, "a fee of {}, at least {}", Rate(*got), Rate(*min))
            }
            Self::FeeRateHigh { got, max } => {
                write!(f, "a fee of {}, at most {}", Rate(*got), Rate(*max))
            }
            Self::TooManyCoins { have, max } => {
                write!(f, "{have} coins, {max} fit into one transaction")
            }
            Self::Signer(flaw) => write!(f, "the signer would refuse it: {flaw}"),
            Self::UnknownCoin { outpoint } => write!(f, "{outpoint} is no coin of ours"),
            Self::Locked { outpoint, holder } => write!(f, "{outpoint} is kept by {holder}"),
            Self::DoubleSpend { outpoint, by } => write!(f, "{outpoint} is spent by {by}"),
            Self::UnknownDraft { draft: DraftId(number) } => {
                write!(f, "there is no draft {number}")
            }
            Self::UnknownTransaction { txid } => write!(f, "there is no transaction {txid}"),
            Self::Unrelated { txid } => write!(f, "transaction {txid} has nothing of ours"),
            Self::Unsigned { input, of } => write!(f, "input {input} of {of} is not signed"),
            Self::Confirmed { txid, height } => write!(f, "{txid} is in the block at {height}"),
            Self::NotOurs { txid } => write!(f, "we have not made {txid}"),
            Self::Orphaned { txid } => write!(f, "what {txid} spends will never be there"),
            Self::Fixed { txid } => write!(f, "somebody needs {txid} as it is"),
            Self::ReplacementRate { got, min } => {
                write!(f, "a replacement at {}, at least {}", Rate(*got), Rate(*min))
            }
            Self::ReplacementFee { got, min } => {
                write!(f, "a replacement with a fee of {got}, at least {min}")
            }
            Self::TooManyLocks { have, max } => write!(f, "{have} locks, at most {max}"),
            Self::TooManyDrafts { have, max } => write!(f, "{have} drafts, at most {max}"),
            Self::UsedUp(fault) => write!(f, "all addresses are used: {fault}"),
            Self::Gap { got, cursor } => write!(f, "{got} does not follow {cursor}"),
            Self::TooLate { got, max } => write!(f, "from {got} on, the newest block is {max}"),
        }
    }
}

impl fmt::Display for RestoreFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account { got, want } => {
                write!(f, "a wallet that does not match the seed: it is of {got}, not of {want}")
            }
            Self::Network { got, want } => write!(f, "a wallet of {got}, not of {want}"),
            Self::Version { got, want } => {
                write!(f, "a wallet of version {got}, only {want} is known")
            }
            Self::Broke(broke) => write!(f, "a wallet that is damaged: {broke}"),
            Self::Choice { what, got, max } => write!(f, "{what} {got}, at most {max}"),
            Self::Malformed { what } => write!(f, "a wallet with a {what} that is none"),
            Self::Change { change, why } => write!(f, "change {change} cannot be: {why}"),
        }
    }
}
