//! Why a block or a transaction breaks consensus, with the two numbers that disagree.

use std::fmt;

use bitcoin::{Amount, BlockHash, CompactTarget, OutPoint, Txid, absolute, relative};

/// Why a block was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockFault {
    /// It is here already.
    Duplicate {
        /// Which it is.
        block: BlockHash,
    },
    /// It was refused before, or invalidated by hand.
    RefusedBefore {
        /// Which it is.
        block: BlockHash,
    },
    /// Nobody knows the block before it.
    ParentUnknown {
        /// The block that it wants to be behind.
        parent: BlockHash,
    },
    /// A block before it was refused.
    ParentRefused {
        /// The block that it wants to be behind.
        parent: BlockHash,
    },
    /// Its hash is above its target.
    NoWork {
        /// Its hash.
        got: BlockHash,
        /// Its target.
        max: CompactTarget,
    },
    /// Its target is not the one of this chain.
    WrongBits {
        /// What it claims.
        got: CompactTarget,
        /// What it must claim.
        want: CompactTarget,
    },
    /// It is not later than the median of the eleven blocks before it.
    TimeTooOld {
        /// Its time.
        got: u32,
        /// The earliest that it may have.
        min: u32,
    },
    /// It is from the future.
    TimeTooNew {
        /// Its time.
        got: u32,
        /// The latest that it may have.
        max: u32,
    },
    /// Its version is from before rules that are in force.
    Version {
        /// Its version.
        got: i32,
        /// The lowest.
        min: i32,
    },
    /// Its transactions are not those of its header.
    MerkleRoot,
    /// Its list of transactions has a twin with the same merkle root.
    MerkleTwins,
    /// It is too long without its witnesses, or has no transaction.
    Length {
        /// Bytes without witnesses, times four.
        got: u64,
        /// The most.
        max: u64,
    },
    /// It weighs too much.
    Weight {
        /// Its weight.
        got: u64,
        /// The most.
        max: u64,
    },
    /// Its first transaction is no coinbase.
    CoinbaseMissing,
    /// A later transaction is a coinbase.
    CoinbaseTwice {
        /// Which one.
        at: usize,
    },
    /// Its coinbase does not begin with its height.
    CoinbaseHeight {
        /// The height.
        want: u32,
    },
    /// Its coinbase takes more than subsidy and fees.
    CoinbaseAmount {
        /// What it takes.
        got: Amount,
        /// The most.
        max: Amount,
    },
    /// It has more signature operations than a block may have.
    Sigops {
        /// Their cost.
        got: u64,
        /// The most.
        max: u64,
    },
    /// It has witnesses and its coinbase no nonce for them.
    WitnessNonce {
        /// The items in the witness of the coinbase.
        got: usize,
    },
    /// Its witnesses are not those of its coinbase.
    WitnessCommitment,
    /// It has witnesses and no commitment to them.
    WitnessUnexpected,
    /// It makes a transaction anew whose outputs are unspent.
    Overwrites {
        /// Which one.
        txid: Txid,
    },
    /// One of its transactions is wrong.
    Transaction {
        /// Its place in the block.
        at: usize,
        /// What is wrong.
        fault: TxFault,
    },
}

/// Why a transaction can be in no block, or not in this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TxFault {
    /// It spends nothing.
    NoInputs,
    /// It pays nothing.
    NoOutputs,
    /// It is longer than a block.
    Oversize {
        /// Its weight without witnesses.
        got: u64,
        /// The most.
        max: u64,
    },
    /// An output is larger than all money.
    OutputTooLarge {
        /// The output's value.
        got: u64,
        /// All money.
        max: u64,
    },
    /// All outputs together are larger than all money.
    OutputsTooLarge {
        /// The sum so far.
        got: u64,
        /// All money.
        max: u64,
    },
    /// It spends an output twice.
    InputTwice {
        /// Which one.
        outpoint: OutPoint,
    },
    /// The script of a coinbase is too short or too long.
    CoinbaseScript {
        /// Its bytes.
        got: usize,
    },
    /// It has an input of a coinbase and is none.
    NullInput,
    /// What it spends does not exist, or not any more.
    MissingInput {
        /// Which output.
        outpoint: OutPoint,
    },
    /// It spends a coinbase too early.
    Immature {
        /// Blocks between the two.
        got: u32,
        /// The fewest.
        min: u32,
    },
    /// It pays more than it spends.
    BelowOut {
        /// The value of its inputs.
        spent: Amount,
        /// The value of its outputs.
        paid: Amount,
    },
    /// Its absolute lock is still locked.
    NotFinal {
        /// Its lock.
        lock: absolute::LockTime,
        /// The height that it would be in.
        height: u32,
        /// The median time before it.
        time: u32,
    },
    /// A relative lock is still locked.
    Locked {
        /// Which input.
        input: usize,
        /// Its lock.
        lock: relative::LockTime,
        /// The height that it would be in, or the median time before it.
        now: u32,
        /// The last height or time at which it is locked.
        until: u32,
    },
    /// A script or signature does not hold.
    Script {
        /// Which input.
        input: usize,
    },
}

impl BlockFault {
    /// What Bitcoin Core calls it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Duplicate { .. } => "duplicate",
            Self::RefusedBefore { .. } => "duplicate-invalid",
            Self::ParentUnknown { .. } => "prev-blk-not-found",
            Self::ParentRefused { .. } => "bad-prevblk",
            Self::NoWork { .. } => "high-hash",
            Self::WrongBits { .. } => "bad-diffbits",
            Self::TimeTooOld { .. } => "time-too-old",
            Self::TimeTooNew { .. } => "time-too-new",
            Self::Version { .. } => "bad-version",
            Self::MerkleRoot => "bad-txnmrklroot",
            Self::MerkleTwins => "bad-txns-duplicate",
            Self::Length { .. } => "bad-blk-length",
            Self::Weight { .. } => "bad-blk-weight",
            Self::CoinbaseMissing => "bad-cb-missing",
            Self::CoinbaseTwice { .. } => "bad-cb-multiple",
            Self::CoinbaseHeight { .. } => "bad-cb-height",
            Self::CoinbaseAmount { .. } => "bad-cb-amount",
            Self::Sigops { .. } => "bad-blk-sigops",
            Self::WitnessNonce { .. } => "bad-witness-nonce-size",
            Self::WitnessCommitment => "bad-witness-merkle-match",
            Self::WitnessUnexpected => "unexpected-witness",
            Self::Overwrites { .. } => "bad-txns-BIP30",
            Self::Transaction { fault, .. } => fault.word_in_block(),
        }
    }
}

impl TxFault {
    /// What Bitcoin Core calls it in a block.
    pub const fn word_in_block(&self) -> &'static str {
        match self {
            Self::NoInputs => "bad-txns-vin-empty",
            Self::NoOutputs => "bad-txns-vout-empty",
            Self::Oversize { .. } => "bad-txns-oversize",
            Self::OutputTooLarge { .. } => "bad-txns-vout-toolarge",
            Self::OutputsTooLarge { .. } => "bad-txns-txouttotal-toolarge",
            Self::InputTwice { .. } => "bad-txns-inputs-duplicate",
            Self::CoinbaseScript { .. } => "bad-cb-length",
            Self::NullInput => "bad-txns-prevout-null",
            Self::MissingInput { .. } => "bad-txns-inputs-missingorspent",
            Self::Immature { .. } => "bad-txns-premature-spend-of-coinbase",
            Self::BelowOut { .. } => "bad-txns-in-belowout",
            Self::NotFinal { .. } | Self::Locked { .. } => "bad-txns-nonfinal",
            Self::Script { .. } => "block-script-verify-flag-failed",
        }
    }
}

impl fmt::Display for BlockFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.word())?;
        match self {
            Self::Duplicate { block } => write!(f, "{block} is here already"),
            Self::RefusedBefore { block } => write!(f, "{block} was refused before"),
            Self::ParentUnknown { parent } => write!(f, "behind {parent}, which is unknown"),
            Self::ParentRefused { parent } => write!(f, "behind {parent}, which was refused"),
            Self::NoWork { got, max } => {
                write!(f, "hash {got}, at most target {:08x}", max.to_consensus())
            }
            Self::WrongBits { got, want } => {
                write!(f, "target {:08x}, not {:08x}", got.to_consensus(), want.to_consensus())
            }
            Self::TimeTooOld { got, min } => write!(f, "time {got}, at least {min}"),
            Self::TimeTooNew { got, max } => write!(f, "time {got}, at most {max}"),
            Self::Version { got, min } => write!(f, "version {got}, at least {min}"),
            Self::MerkleRoot => write!(f, "other transactions than its header's"),
            Self::MerkleTwins => write!(f, "transactions twice, behind the same merkle root"),
            Self::Length { got, max } => write!(f, "{got} without witnesses, 1 to {max}"),
            Self::Weight { got, max } => write!(f, "weight {got}, at most {max}"),
            Self::CoinbaseMissing => write!(f, "the first transaction is no coinbase"),
            Self::CoinbaseTwice { at } => write!(f, "transaction {at} is a coinbase, too"),
            Self::CoinbaseHeight { want } => {
                write!(f, "the coinbase does not begin with height {want}")
            }
            Self::CoinbaseAmount { got, max } => {
                write!(f, "the coinbase takes {got}, at most {max}")
            }
            Self::Sigops { got, max } => write!(f, "signatures cost {got}, at most {max}"),
            Self::WitnessNonce { got } => {
                write!(f, "{got} items in the witness of the coinbase, not 1 of 32 bytes")
            }
            Self::WitnessCommitment => write!(f, "other witnesses than its coinbase's"),
            Self::WitnessUnexpected => write!(f, "witnesses without a commitment"),
            Self::Overwrites { txid } => write!(f, "{txid} has outputs that are not spent yet"),
            Self::Transaction { at, fault } => write!(f, "transaction {at}: {fault}"),
        }
    }
}

impl std::error::Error for BlockFault {}

impl fmt::Display for TxFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoInputs => write!(f, "no inputs"),
            Self::NoOutputs => write!(f, "no outputs"),
            Self::Oversize { got, max } => write!(f, "weight {got}, at most {max}"),
            Self::OutputTooLarge { got, max } => write!(f, "an output of {got}, at most {max} sat"),
            Self::OutputsTooLarge { got, max } => write!(f, "outputs of {got}, at most {max} sat"),
            Self::InputTwice { outpoint } => write!(f, "{outpoint} is spent twice"),
            Self::CoinbaseScript { got } => {
                write!(f, "a coinbase's script of {got} bytes, 2 to 100")
            }
            Self::NullInput => write!(f, "an input that only a coinbase has"),
            Self::MissingInput { outpoint } => write!(f, "{outpoint} is unknown or spent"),
            Self::Immature { got, min } => {
                write!(f, "a coinbase spent after {got} blocks, at least {min}")
            }
            Self::BelowOut { spent, paid } => write!(f, "spends {spent}, pays {paid}"),
            Self::NotFinal { lock, height, time } => {
                write!(f, "locked until after {lock}, now height {height}, median time {time}")
            }
            Self::Locked { input, lock, now, until } => {
                write!(f, "input {input} is locked ({lock}) until after {until}, now {now}")
            }
            Self::Script { input } => write!(f, "the script of input {input} does not hold"),
        }
    }
}

impl std::error::Error for TxFault {}
