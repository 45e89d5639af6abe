//! Why a source does not take a transaction, read once from Bitcoin Core's words.

use std::fmt;

use bitcoin::{Amount, Denomination};

use super::api::PublishAnswer;

/// So much of a source's own words is kept.
pub const REASON_CHARS_MAX: usize = 200;

/// Why a source does not take a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It pays too little for the source's memory, or for any.
    FeeTooLow {
        /// What it pays and what it would have to, if the source has said so.
        fees: Option<TooLittle>,
    },
    /// Another one spends the same, and this one does not pay enough to replace it.
    Conflict {
        /// What it pays and what it would have to, if the source has said so.
        fees: Option<TooLittle>,
    },
    /// It would replace too many others.
    ReplacesTooMany,
    /// It replaces another one and spends what is not confirmed itself.
    AddsUnconfirmed,
    /// What it spends is unknown or spent.
    InputsMissing,
    /// Its lock time is not over.
    NotFinal,
    /// The lock time of one of its inputs is not over.
    NotFinalBip68,
    /// It spends a coinbase that is too young.
    Immature,
    /// An output is not worth spending.
    Dust,
    /// It may be valid; nodes do not relay it.
    NonStandard {
        /// The source's words.
        text: Text,
    },
    /// A script or signature says no.
    Script {
        /// The source's words.
        text: Text,
    },
    /// It breaks a rule of consensus.
    Invalid {
        /// The source's words.
        text: Text,
    },
    /// Too many unconfirmed transactions hang together.
    TooLongChain,
    /// It pays more than the source's own limit.
    TooDear,
    /// The two do not fit together.
    Package {
        /// The source's words.
        text: Text,
    },
    /// Words that we do not know.
    Unknown {
        /// The source's words.
        text: Text,
    },
}

/// A fee, and the one that was needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLittle {
    /// What there is.
    pub got: Amount,
    /// What there must be.
    pub min: Amount,
}

/// A source's own words: printable, and not too many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(Box<str>);

/// What can be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cure {
    /// Nothing: it is tried again with the next block, or later.
    Wait,
    /// Another one with a higher fee, or a child that pays. It is tried again later.
    RaiseFee,
    /// Make another one, if nobody may have this one. It is tried again with another source only.
    GiveUp,
    /// A person. It is tried again later.
    Look,
}

/// What words mean. The first row whose words are in the text counts.
const MEANINGS: &[(&str, Kind)] = &[
    ("txn-already-in-mempool", Kind::Known),
    ("txn-same-nonwitness-data-in-mempool", Kind::Known),
    ("txn-already-known", Kind::Confirmed),
    ("already in utxo set", Kind::Confirmed),
    ("already in block chain", Kind::Confirmed),
    ("mempool min fee not met", Kind::FeeTooLow),
    ("min relay fee not met", Kind::FeeTooLow),
    ("mempool full", Kind::FeeTooLow),
    ("too many potential replacements", Kind::ReplacesTooMany),
    ("replacement-adds-unconfirmed", Kind::AddsUnconfirmed),
    ("new transaction cannot have mempool ancestors", Kind::AddsUnconfirmed),
    ("package RBF failed: package must be 1-parent-1-child", Kind::Package),
    ("package RBF failed", Kind::Conflict),
    ("insufficient fee", Kind::Conflict),
    ("replacement-failed", Kind::Conflict),
    ("txn-mempool-conflict", Kind::Conflict),
    ("bip125-replacement-disallowed", Kind::Conflict),
    ("inputs-missingorspent", Kind::InputsMissing),
    ("missing-inputs", Kind::InputsMissing),
    ("Missing inputs", Kind::InputsMissing),
    ("Inputs missing or spent", Kind::InputsMissing),
    ("non-BIP68-final", Kind::NotFinalBip68),
    ("non-final", Kind::NotFinal),
    ("premature-spend-of-coinbase", Kind::Immature),
    ("too-large-cluster", Kind::TooLongChain),
    ("too-long-mempool-chain", Kind::TooLongChain),
    ("package-mempool-limits", Kind::TooLongChain),
    ("would have too many ancestors", Kind::TooLongChain),
    ("would exceed descendant count limit", Kind::TooLongChain),
    ("TRUC-violation", Kind::NonStandard),
    ("missing-ephemeral-spends", Kind::Dust),
    ("unspent-dust", Kind::Dust),
    ("script-verify-flag", Kind::Script),
    ("bad-txns-nonstandard-inputs", Kind::NonStandard),
    ("bad-witness-nonstandard", Kind::NonStandard),
    ("bad-txns-too-many-sigops", Kind::NonStandard),
    ("bad-txns-spends-conflicting-tx", Kind::Invalid),
    ("bad-txns-", Kind::Invalid),
    ("max feerate exceeded", Kind::TooDear),
    ("max-fee-exceeded", Kind::TooDear),
    ("Fee exceeds maximum configured", Kind::TooDear),
    ("package-", Kind::Package),
    ("conflict-in-package", Kind::Package),
    ("scriptsig-", Kind::NonStandard),
    ("bare-multisig", Kind::NonStandard),
    ("multi-op-return", Kind::NonStandard),
];

/// Words too short to be looked for: the text must begin with them, and a comma or nothing follow.
const SHORT_MEANINGS: &[(&str, Kind)] = &[
    ("dust", Kind::Dust),
    ("version", Kind::NonStandard),
    ("tx-size", Kind::NonStandard),
    ("tx-size-small", Kind::NonStandard),
    ("scriptpubkey", Kind::NonStandard),
    ("datacarrier", Kind::NonStandard),
    ("coinbase", Kind::Invalid),
    ("bad-cb-length", Kind::Invalid),
];

#[derive(Clone, Copy)]
enum Kind {
    Known,
    Confirmed,
    FeeTooLow,
    Conflict,
    ReplacesTooMany,
    AddsUnconfirmed,
    InputsMissing,
    NotFinal,
    NotFinalBip68,
    Immature,
    Dust,
    NonStandard,
    Script,
    Invalid,
    TooLongChain,
    TooDear,
    Package,
}

impl PublishAnswer {
    /// What Bitcoin Core means by not taking a transaction: `sendrawtransaction`'s message,
    /// `testmempoolaccept`'s `reject-reason`, or an error of `submitpackage`.
    pub fn parse(text: &str) -> Self {
        let head = text.split(',').next().unwrap_or_default().trim();
        let short = SHORT_MEANINGS.iter().find(|(words, _)| *words == head);
        let meaning = short.or_else(|| MEANINGS.iter().find(|(words, _)| text.contains(words)));
        let kept = || Text::new(text);
        Self::Refused(match meaning.map(|(_, kind)| *kind) {
            Some(Kind::Known) => return Self::Known,
            Some(Kind::Confirmed) => return Self::Confirmed,
            Some(Kind::FeeTooLow) => Reason::FeeTooLow { fees: fees(text) },
            Some(Kind::Conflict) => Reason::Conflict { fees: fees(text) },
            Some(Kind::ReplacesTooMany) => Reason::ReplacesTooMany,
            Some(Kind::AddsUnconfirmed) => Reason::AddsUnconfirmed,
            Some(Kind::InputsMissing) => Reason::InputsMissing,
            Some(Kind::NotFinal) => Reason::NotFinal,
            Some(Kind::NotFinalBip68) => Reason::NotFinalBip68,
            Some(Kind::Immature) => Reason::Immature,
            Some(Kind::Dust) => Reason::Dust,
            Some(Kind::NonStandard) => Reason::NonStandard { text: kept() },
            Some(Kind::Script) => Reason::Script { text: kept() },
            Some(Kind::Invalid) => Reason::Invalid { text: kept() },
            Some(Kind::TooLongChain) => Reason::TooLongChain,
            Some(Kind::TooDear) => Reason::TooDear,
            Some(Kind::Package) => Reason::Package { text: kept() },
            None => Reason::Unknown { text: kept() },
        })
    }
}

/// The two numbers of `… 110 < 200`: satoshis, or bitcoins if there is a point in them.
fn fees(text: &str) -> Option<TooLittle> {
    let (left, right) = text.split_once(" < ")?;
    let (got, min) = (left.split(' ').next_back()?, right.split([' ', ')']).next()?);
    let amount = |text: &str| {
        let unit = if text.contains('.') { Denomination::Bitcoin } else { Denomination::Satoshi };
        Amount::from_str_in(text, unit).ok()
    };
    Some(TooLittle { got: amount(got)?, min: amount(min)? })
}

impl Reason {
    /// What can be done about it.
    pub const fn cure(&self) -> Cure {
        match self {
            Self::FeeTooLow { .. } | Self::Conflict { .. } => Cure::RaiseFee,
            Self::AddsUnconfirmed
            | Self::InputsMissing
            | Self::NotFinal
            | Self::NotFinalBip68
            | Self::Immature
            | Self::TooLongChain => Cure::Wait,
            Self::Dust | Self::NonStandard { .. } | Self::Script { .. } | Self::Invalid { .. } => {
                Cure::GiveUp
            }
            Self::ReplacesTooMany | Self::TooDear | Self::Package { .. } | Self::Unknown { .. } => {
                Cure::Look
            }
        }
    }
}

impl Text {
    /// The beginning of what somebody else has said.
    pub fn new(text: &str) -> Self {
        let printable = |c: char| if c.is_control() { ' ' } else { c };
        Self(text.chars().take(REASON_CHARS_MAX).map(printable).collect())
    }

    /// The words.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fees = |f: &mut fmt::Formatter<'_>, fees: &Option<TooLittle>| match fees {
            Some(TooLittle { got, min }) => write!(f, ": {got}, at least {min}"),
            None => Ok(()),
        };
        match self {
            Self::FeeTooLow { fees: known } => {
                f.write_str("its fee is too low")?;
                fees(f, known)
            }
            Self::Conflict { fees: known } => {
                f.write_str("another one spends the same and pays more")?;
                fees(f, known)
            }
            Self::ReplacesTooMany => f.write_str("it would replace too many others"),
            Self::AddsUnconfirmed => f.write_str("it replaces, and spends what is not confirmed"),
            Self::InputsMissing => f.write_str("what it spends is unknown or spent"),
            Self::NotFinal => f.write_str("its lock time is not over"),
            Self::NotFinalBip68 => f.write_str("the lock time of an input is not over"),
            Self::Immature => f.write_str("it spends a coinbase that is too young"),
            Self::Dust => f.write_str("an output is dust"),
            Self::NonStandard { text } => write!(f, "nobody relays it: {text}"),
            Self::Script { text } => write!(f, "a script says no: {text}"),
            Self::Invalid { text } => write!(f, "it is invalid: {text}"),
            Self::TooLongChain => f.write_str("too many unconfirmed ones hang together"),
            Self::TooDear => f.write_str("its fee is above the source's own limit"),
            Self::Package { text } => write!(f, "the two do not fit together: {text}"),
            Self::Unknown { text } => write!(f, "refused: {text}"),
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
