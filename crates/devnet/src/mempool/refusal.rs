//! Why a transaction does not come into the mempool.

use std::fmt;

use bitcoin::{Amount, Txid};

use crate::ledger::TxFault;

/// Why a transaction does not come into the mempool. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It can be in no block, or in none yet.
    Consensus(TxFault),
    /// It is a coinbase.
    Coinbase,
    /// Its version means nothing.
    Version {
        /// Its version.
        got: i32,
        /// The lowest.
        min: i32,
        /// The highest.
        max: i32,
    },
    /// It weighs too much.
    Weight {
        /// Its weight.
        got: u64,
        /// The most.
        max: u64,
    },
    /// A script that unlocks is too long.
    ScriptSigSize {
        /// Which input.
        input: usize,
        /// Its bytes.
        got: usize,
        /// The most.
        max: usize,
    },
    /// A script that unlocks does more than push.
    ScriptSigNotPushOnly {
        /// Which input.
        input: usize,
    },
    /// A script that locks is of no known kind.
    ScriptPubkey {
        /// Which output.
        output: usize,
    },
    /// It carries too much data.
    DataCarrier {
        /// Bytes of all scripts that are data.
        got: usize,
        /// The most.
        max: usize,
    },
    /// More outputs are dust than one.
    ManyDust {
        /// How many.
        got: usize,
        /// How many may be.
        max: usize,
        /// What the smallest of them has.
        value: Amount,
        /// What it must have to be none.
        min: Amount,
    },
    /// One output is dust, and it pays a fee: that is allowed without a fee only.
    PaidDust {
        /// What the output has.
        value: Amount,
        /// What it must have to be none.
        min: Amount,
        /// The fee.
        fee: Amount,
    },
    /// It leaves dust of its parent unspent.
    DustLeft {
        /// Whose dust.
        parent: Txid,
    },
    /// It is so short that it could pass for two hashes.
    TooSmall {
        /// Its bytes without witnesses.
        got: usize,
        /// The fewest.
        min: usize,
    },
    /// It is here.
    Known,
    /// It is here with other witnesses.
    OtherWitness,
    /// It is in the chain.
    Confirmed,
    /// It spends an output of a kind that nobody uses.
    InputKind {
        /// Which input.
        input: usize,
    },
    /// It has more signature operations outside of witnesses than is good.
    InputSigops {
        /// How many.
        got: usize,
        /// How many may be.
        max: usize,
    },
    /// A witness has what nobody needs.
    Witness {
        /// Which input.
        input: usize,
    },
    /// Its signature operations cost too much.
    Sigops {
        /// Their cost.
        got: u64,
        /// The most.
        max: u64,
    },
    /// Its fee is too low.
    RelayFee {
        /// The fee.
        got: Amount,
        /// The lowest.
        min: Amount,
    },
    /// It breaks a rule of version 3.
    Truc(Truc),
    /// It conflicts with too many clusters.
    ManyReplaced {
        /// How many.
        got: usize,
        /// How many may be.
        max: usize,
    },
    /// It spends what it replaces.
    SpendsReplaced {
        /// Which one.
        parent: Txid,
    },
    /// It pays less than all that it replaces, and its own relay.
    ReplacementFee {
        /// The fee.
        got: Amount,
        /// The lowest.
        min: Amount,
    },
    /// It pays more, but makes the mempool worse: miners would take what it replaces first.
    ReplacementRate {
        /// Its fee for 1,000 vbytes.
        got: Amount,
        /// That of what it replaces.
        min: Amount,
    },
    /// A package that replaces something is more than a parent and a child.
    PackageFamily {
        /// Its transactions, and those above it that wait.
        got: usize,
        /// How many there must be.
        max: usize,
    },
    /// Too many transactions hang together.
    ClusterCount {
        /// How many.
        got: usize,
        /// How many may be.
        max: usize,
    },
    /// What hangs together is too long.
    ClusterBytes {
        /// Virtual bytes.
        got: u64,
        /// The most.
        max: u64,
    },
    /// The mempool is full.
    Full {
        /// How many are in it.
        have: usize,
        /// How many may be.
        max: usize,
    },
}

/// Rules of version 3 (BIP 431).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truc {
    /// It and its parent must both have version 3, or neither.
    Mixed {
        /// The parent.
        parent: Txid,
    },
    /// It is too long.
    Bytes {
        /// Virtual bytes.
        got: u64,
        /// The most.
        max: u64,
    },
    /// It has more than one ancestor.
    Ancestors {
        /// How many, and itself.
        got: usize,
        /// How many may be.
        max: usize,
    },
    /// Its parent has another child, and that cannot be evicted for it.
    Descendants {
        /// How many, and the parent.
        got: usize,
        /// How many may be.
        max: usize,
    },
}

impl Refusal {
    /// What Bitcoin Core calls it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Consensus(TxFault::NotFinal { .. }) => "non-final",
            Self::Consensus(TxFault::Locked { .. }) => "non-BIP68-final",
            Self::Consensus(TxFault::Script { .. }) => "mempool-script-verify-flag-failed",
            Self::Consensus(fault) => fault.word_in_block(),
            Self::Coinbase => "coinbase",
            Self::Version { .. } => "version",
            Self::Weight { .. } => "tx-size",
            Self::ScriptSigSize { .. } => "scriptsig-size",
            Self::ScriptSigNotPushOnly { .. } => "scriptsig-not-pushonly",
            Self::ScriptPubkey { .. } => "scriptpubkey",
            Self::DataCarrier { .. } => "datacarrier",
            Self::ManyDust { .. } | Self::PaidDust { .. } => "dust",
            Self::DustLeft { .. } => "missing-ephemeral-spends",
            Self::TooSmall { .. } => "tx-size-small",
            Self::Known => "txn-already-in-mempool",
            Self::OtherWitness => "txn-same-nonwitness-data-in-mempool",
            Self::Confirmed => "txn-already-known",
            Self::InputKind { .. } | Self::InputSigops { .. } => "bad-txns-nonstandard-inputs",
            Self::Witness { .. } => "bad-witness-nonstandard",
            Self::Sigops { .. } => "bad-txns-too-many-sigops",
            Self::RelayFee { .. } => "min relay fee not met",
            Self::Truc(_) => "TRUC-violation",
            Self::ManyReplaced { .. } => "too many potential replacements",
            Self::SpendsReplaced { .. } => "bad-txns-spends-conflicting-tx",
            Self::ReplacementFee { .. } => "insufficient fee",
            Self::ReplacementRate { .. } => "replacement-failed",
            Self::PackageFamily { .. } => "package RBF failed",
            Self::ClusterCount { .. } | Self::ClusterBytes { .. } => "too-large-cluster",
            Self::Full { .. } => "mempool full",
        }
    }

    /// What to do about it.
    pub const fn cure(&self) -> &'static str {
        match self {
            Self::Consensus(fault) => cure_of(fault),
            Self::Coinbase => "only a block brings one",
            Self::Version { .. } => "use version 2, or 3 for a package of two",
            Self::Weight { .. } | Self::Truc(Truc::Bytes { .. }) => "split it",
            Self::ScriptSigSize { .. } => "use a witness",
            Self::ScriptSigNotPushOnly { .. } => "push data only",
            Self::ScriptPubkey { .. } => "wrap the script in P2WSH or P2TR",
            Self::DataCarrier { .. } => "carry less data",
            Self::ManyDust { .. } => "raise the outputs, or leave them out",
            Self::PaidDust { .. } => "raise the output, or pay by a child that spends it",
            Self::DustLeft { .. } => "spend the parent's dust, too",
            Self::TooSmall { .. } => "add an output",
            Self::Known | Self::Confirmed => "nothing is left to do",
            Self::OtherWitness => "wait for the one that is here",
            Self::InputKind { .. } => "mine a block with it, nobody relays it",
            Self::InputSigops { .. } | Self::Sigops { .. } => "spend fewer outputs at once",
            Self::Witness { .. } => "leave out of the witness what is not needed",
            Self::RelayFee { .. } => "raise the fee, or send it with a child that pays",
            Self::Truc(Truc::Mixed { .. }) => "give both the same version",
            Self::Truc(Truc::Ancestors { .. } | Truc::Descendants { .. }) => "wait for a block",
            Self::ManyReplaced { .. } => "spend fewer outputs that others spend",
            Self::SpendsReplaced { .. } => "do not spend what it replaces",
            Self::ReplacementFee { .. } | Self::ReplacementRate { .. } => "raise the fee",
            Self::PackageFamily { .. } => "send one parent and one child",
            Self::ClusterCount { .. } | Self::ClusterBytes { .. } => "wait for a block",
            Self::Full { .. } => "mine a block",
        }
    }
}

const fn cure_of(fault: &TxFault) -> &'static str {
    match fault {
        TxFault::NoInputs => "spend something",
        TxFault::NoOutputs => "pay something",
        TxFault::Oversize { .. } => "split it",
        TxFault::OutputTooLarge { .. } | TxFault::OutputsTooLarge { .. } => "pay less",
        TxFault::InputTwice { .. } => "spend it once",
        TxFault::CoinbaseScript { .. } | TxFault::NullInput => "only a block brings one",
        TxFault::MissingInput { .. } => "send its parent first, or look who has spent it",
        TxFault::Immature { .. } | TxFault::NotFinal { .. } | TxFault::Locked { .. } => {
            "wait for more blocks"
        }
        TxFault::BelowOut { .. } => "pay less than it spends",
        TxFault::Script { .. } => "sign it anew: key, amount, script and sighash must all fit",
    }
}

impl fmt::Display for Refusal {
    /// As bitcoind: the word first, then what is wrong.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, ", self.word())?;
        match self {
            Self::Consensus(fault) => write!(f, "{fault}"),
            Self::Coinbase => write!(f, "a coinbase alone"),
            Self::Version { got, min, max } => write!(f, "version {got}, {min} to {max}"),
            Self::Weight { got, max } => write!(f, "weight {got}, at most {max}"),
            Self::ScriptSigSize { input, got, max } => {
                write!(f, "input {input} unlocks with {got} bytes, at most {max}")
            }
            Self::ScriptSigNotPushOnly { input } => {
                write!(f, "input {input} unlocks with more than pushes")
            }
            Self::ScriptPubkey { output } => write!(f, "output {output} is of no known kind"),
            Self::DataCarrier { got, max } => write!(f, "{got} bytes of data, at most {max}"),
            Self::ManyDust { got, max, value, min } => {
                write!(f, "{got} outputs are dust, at most {max}: {value}, at least {min}")
            }
            Self::PaidDust { value, min, fee } => {
                write!(f, "an output of {value}, at least {min} with a fee of {fee}")
            }
            Self::DustLeft { parent } => write!(f, "dust of {parent} stays unspent"),
            Self::TooSmall { got, min } => write!(f, "{got} bytes, at least {min}"),
            Self::Known => write!(f, "it is here"),
            Self::OtherWitness => write!(f, "it is here with other witnesses"),
            Self::Confirmed => write!(f, "it is in the chain"),
            Self::InputKind { input } => {
                write!(f, "input {input} spends an output of no known kind")
            }
            Self::InputSigops { got, max } => {
                write!(f, "{got} signature operations outside of witnesses, at most {max}")
            }
            Self::Witness { input } => write!(f, "the witness of input {input}"),
            Self::Sigops { got, max } => write!(f, "signatures cost {got}, at most {max}"),
            Self::RelayFee { got, min } | Self::ReplacementFee { got, min } => {
                write!(f, "{} < {} sat", got.to_sat(), min.to_sat())
            }
            Self::Truc(truc) => write!(f, "{truc}"),
            Self::ManyReplaced { got, max } => {
                write!(f, "conflicts with {got} clusters, at most {max}")
            }
            Self::SpendsReplaced { parent } => write!(f, "it spends {parent}, which it replaces"),
            Self::ReplacementRate { got, min } => {
                write!(f, "{} sat for 1000 vbytes, above {}", got.to_sat(), min.to_sat())
            }
            Self::PackageFamily { got, max } => {
                write!(f, "{got} transactions with those above them, not {max}")
            }
            Self::ClusterCount { got, max } => {
                write!(f, "{got} transactions hang together, at most {max}")
            }
            Self::ClusterBytes { got, max } => {
                write!(f, "{got} vbytes hang together, at most {max}")
            }
            Self::Full { have, max } => write!(f, "{have} transactions, at most {max}"),
        }?;
        write!(f, "; {}", self.cure())
    }
}

impl std::error::Error for Refusal {}

impl fmt::Display for Truc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mixed { parent } => write!(f, "one of it and its parent {parent} has version 3"),
            Self::Bytes { got, max } => write!(f, "{got} vbytes, at most {max}"),
            Self::Ancestors { got, max } => write!(f, "{got} with its ancestors, at most {max}"),
            Self::Descendants { got, max } => {
                write!(f, "{got} with its parent and siblings, at most {max}")
            }
        }
    }
}
