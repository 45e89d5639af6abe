//! Contracts: one conditional output each. This is the open seam; [`Htlc`] is the first.

mod htlc;
mod parked;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bitcoin::{ScriptBuf, Sequence};
use wire::amount::LockTime;

use crate::{ContractKeys, Form, Side, Terms};

pub use htlc::{HTLC, Htlc, HtlcTemplate};
pub use parked::{PARKED, PARKED_BLOCKS_MAX, Parked, ParkedTemplate};

/// Names a kind of contract, in what is saved and in what the signer is asked. From 32,768 on they
/// are free for anyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(pub u16);

/// How contracts of a kind are read. A signer without the template refuses them.
pub trait Template: fmt::Debug + Send + Sync {
    /// The kind.
    fn kind(&self) -> Kind;
    /// Reads the terms that [`Contract::terms`] has written, and refuses all else.
    fn read(&self, terms: &[u8]) -> Result<Arc<dyn Contract>, Flaw>;
}

/// The terms of one contract, all but its amount: that is the channel's affair.
pub trait Contract: fmt::Debug + Send + Sync {
    /// The kind.
    fn kind(&self) -> Kind;
    /// The terms as they are saved, and shown to the signer.
    fn terms(&self) -> Vec<u8>;
    /// The witness script of its output.
    fn script(&self, place: &Place<'_>) -> ScriptBuf;
    /// What outputs of the same amount and script are ordered by: `cltv_expiry`.
    fn order(&self) -> u32;
    /// The second stage through which the owner of the commitment takes its output, if there is.
    fn stage(&self, form: Form, direction: Direction) -> Option<Stage>;
    /// All ways to spend its output.
    fn ways(&self, place: &Place<'_>) -> Vec<Way>;
    /// Whether this is the secret that [`Item::Secret`] stands for.
    fn is_opened_by(&self, secret: &[u8]) -> bool;
    /// Whether it may stand in a channel of these terms, paid by this side. Channel and signer ask
    /// each for itself before it is in a commitment. A way of the owner that is not staged must
    /// wait for the owner's delay at least: else nobody has the time to punish it.
    fn fits(&self, _terms: &Terms, _offered_by: Side) -> Result<(), Flaw> {
        Ok(())
    }
}

/// Contracts are the same if their kinds and terms are: of those a template makes one contract.
impl PartialEq for dyn Contract {
    fn eq(&self, other: &Self) -> bool {
        self.kind() == other.kind() && self.terms() == other.terms()
    }
}

impl Eq for dyn Contract {}

/// Where a contract's output stands.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The form of the commitment.
    pub form: Form,
    /// As the owner of the commitment sees it.
    pub direction: Direction,
    /// The keys of contracts in it.
    pub keys: &'a ContractKeys,
}

/// Which way the money goes, as the owner of a commitment sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// The owner pays.
    Offered,
    /// The owner is paid.
    Received,
}

/// A transaction that the owner of a commitment publishes to take an output, signed by both, so
/// that what it takes can still be taken away if the commitment was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// By which it pays, and by which outputs are trimmed.
    pub weight: u64,
    /// Not in a block before.
    pub lock_time: LockTime,
}

/// One way to spend a contract's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// For faults and logs.
    pub name: &'static str,
    /// Who can.
    pub who: Who,
    /// Through the second stage, or with any transaction.
    pub staged: bool,
    /// Not in a block before.
    pub lock_time: LockTime,
    /// Of the input.
    pub sequence: Sequence,
    /// The witness, all but the script that ends it.
    pub witness: Vec<Item>,
}

impl Way {
    /// Whether it takes what opens the contract.
    pub fn wants_secret(&self) -> bool {
        self.witness.iter().any(|it| matches!(it, Item::Secret(_)))
    }
}

/// Who may spend an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The owner of the commitment.
    Owner,
    /// Its peer.
    Other,
    /// Its peer, once the commitment is revoked.
    Punisher,
}

/// A piece of a witness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A signature under [`ContractKeys::owner`].
    OwnerSignature,
    /// A signature under [`ContractKeys::other`].
    OtherSignature,
    /// A signature under [`ContractKeys::revocation`].
    RevocationSignature,
    /// What opens the contract, of this many bytes.
    Secret(usize),
    /// These bytes.
    Bytes(Vec<u8>),
}

/// Why terms are not those of any contract of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Nobody has registered a template.
    UnknownKind {
        /// The kind.
        kind: Kind,
    },
    /// They are too short or too long.
    Length {
        /// Their bytes.
        got: usize,
        /// As many there should be.
        want: usize,
    },
    /// They say something that cannot be.
    Value {
        /// What it is about.
        field: &'static str,
        /// What it says.
        got: u64,
        /// The most it may say.
        max: u64,
    },
    /// It says less than it must in this channel.
    Least {
        /// What it is about.
        field: &'static str,
        /// What it says.
        got: u64,
        /// The least it may say.
        min: u64,
    },
    /// There are none of its kind in channels of this form.
    Form {
        /// The kind.
        kind: Kind,
    },
}

impl std::error::Error for Flaw {}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Flaw::UnknownKind { kind: Kind(kind) } => {
                write!(f, "contracts of kind {kind} are not known here")
            }
            Flaw::Length { got, want } => write!(f, "terms of {got} bytes, {want} are wanted"),
            Flaw::Value { field, got, max } => write!(f, "{field} is {got}, at most {max}"),
            Flaw::Least { field, got, min } => write!(f, "{field} is {got}, at least {min}"),
            Flaw::Form { kind: Kind(kind) } => {
                write!(f, "contracts of kind {kind} are not for channels of this form")
            }
        }
    }
}

/// The templates that somebody knows.
#[derive(Clone, Debug, Default)]
pub struct Templates(BTreeMap<Kind, Arc<dyn Template>>);

impl Templates {
    /// Those of BOLT 3: the HTLC.
    pub fn bolt3() -> Self {
        let mut templates = Self::default();
        templates.register(Arc::new(HtlcTemplate));
        templates
    }

    /// All that are here: the HTLC, and the parked contract.
    pub fn all() -> Self {
        let mut templates = Self::bolt3();
        templates.register(Arc::new(ParkedTemplate));
        templates
    }

    /// Adds one; returns what stood there for its kind before.
    pub fn register(&mut self, template: Arc<dyn Template>) -> Option<Arc<dyn Template>> {
        self.0.insert(template.kind(), template)
    }

    /// Reads a contract's terms.
    pub fn read(&self, kind: Kind, terms: &[u8]) -> Result<Arc<dyn Contract>, Flaw> {
        self.0.get(&kind).ok_or(Flaw::UnknownKind { kind })?.read(terms)
    }
}
