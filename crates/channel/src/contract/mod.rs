//! Contracts: what a channel knows of a kind beside its template.
//!
//! A kind of contract has two halves. Its *template* ([`tx::Template`]) is what stands in
//! commitments; signer and channel have it. Its *resolver* ([`Resolver`]) is what the channel does
//! with it: which messages add and end it, when it has to be taken to the chain, and how. All kinds
//! go the same ways through this crate, the HTLC ([`HtlcResolver`]) before all others.

mod htlc;
mod parked;
mod resolver;
mod take;

use std::fmt;
use std::sync::Arc;

use tx::{Contract, Kind, Templates};
use wire::Message;
use wire::amount::BlockHeight;
use wire::features::Features;

use crate::change::Change;
use crate::fault::Violation;
use crate::state::Dialects;

pub(crate) use htlc::EXPIRY_END;
pub use htlc::HtlcResolver;
pub use parked::{PARKED_MAX, PARKED_SAT_MIN, ParkedOffer, ParkedResolver};
pub use resolver::{Bounds, Deadline, Resolver, Said};
pub(crate) use take::blocks_of;
pub use take::{RACE_BLOCKS, Spot, Taking};

/// Kinds of contracts that one channel knows.
pub const RESOLVERS_MAX: usize = 32;

/// The kinds of contracts that a channel knows. There is always the HTLC.
#[derive(Clone, Debug)]
pub struct Resolvers(Arc<Vec<Arc<dyn Resolver>>>);

/// What both ends of a connection can do, contracts included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Met {
    pub(crate) dialects: Dialects,
    /// The places of resolvers whose feature both offer, a bit each.
    pub(crate) kinds: u32,
}

/// A saved channel has a contract of a kind that nobody has registered here: without its resolver
/// its money would be lost, so the channel does not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoResolver {
    /// None reads the message that has added it.
    Message {
        /// Its type.
        message_type: u16,
    },
    /// None is for its kind, or the terms are not of that kind.
    Kind {
        /// The kind.
        kind: Kind,
    },
}

impl std::error::Error for NoResolver {}

impl fmt::Display for NoResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message { message_type } => {
                write!(
                    f,
                    "a contract of message {message_type} is saved, and no resolver reads that"
                )
            }
            Self::Kind { kind } => {
                write!(f, "a contract of kind {} is saved, and no resolver reads it", kind.0)
            }
        }
    }
}

impl From<Dialects> for Met {
    /// Without any contract that has a feature.
    fn from(dialects: Dialects) -> Self {
        Self { dialects, kinds: 0 }
    }
}

impl Default for Resolvers {
    fn default() -> Self {
        Self::bolt2()
    }
}

impl Resolvers {
    /// Those of BOLT 2: the HTLC.
    pub fn bolt2() -> Self {
        Self(Arc::new(vec![Arc::new(HtlcResolver)]))
    }

    /// All that are here: the HTLC, and the parked contract.
    pub fn all() -> Self {
        Self(Arc::new(vec![Arc::new(HtlcResolver), Arc::new(ParkedResolver)]))
    }

    /// Adds one, in the place of whatever stood there for its kind before. False if there is no
    /// room: [`RESOLVERS_MAX`].
    #[must_use]
    pub fn register(&mut self, resolver: Arc<dyn Resolver>) -> bool {
        let all = Arc::make_mut(&mut self.0);
        if let Some(old) = all.iter_mut().find(|it| it.kind() == resolver.kind()) {
            *old = resolver;
        } else if all.len() < RESOLVERS_MAX {
            all.push(resolver);
        } else {
            return false;
        }
        true
    }

    /// Their templates, for the signer.
    pub fn templates(&self) -> Templates {
        let mut templates = Templates::default();
        for resolver in &*self.0 {
            templates.register(resolver.template());
        }
        templates
    }

    /// What both have offered in `init`.
    pub fn met(&self, local: &Features, remote: &Features) -> Met {
        let both = |bit: u16| [local, remote].iter().all(|it| it.offers_pair(bit.into()));
        let is_met = |it: &Arc<dyn Resolver>| it.feature().is_some_and(both);
        let met = self.0.iter().enumerate().filter(|(_, it)| is_met(it));
        let kinds = met.fold(0, |all, (at, _)| all | 1 << at);
        Met { dialects: Dialects::of(local, remote), kinds }
    }

    pub(crate) fn of(&self, kind: Kind) -> Option<&dyn Resolver> {
        self.0.iter().find(|it| it.kind() == kind).map(|it| &**it)
    }

    /// The resolver of something that is there: without one it would not be.
    pub(crate) fn known(&self, kind: Kind) -> &dyn Resolver {
        self.of(kind).expect("contracts without a resolver are not taken in")
    }

    /// Whether new contracts of a kind may be offered in a connection.
    pub(crate) fn is_met(&self, kind: Kind, met: &Met) -> bool {
        let at = self.0.iter().position(|it| it.kind() == kind);
        at.is_some_and(|at| self.0[at].feature().is_none() || met.kinds >> at & 1 == 1)
    }

    /// What a message says of a contract, and of which kind; nothing if it is about none.
    pub(crate) fn read(&self, message: &Message) -> Result<Option<(Kind, Said)>, Violation> {
        for resolver in &*self.0 {
            if let Some(said) = resolver.read(message)? {
                return Ok(Some((resolver.kind(), said)));
            }
        }
        Ok(None)
    }

    /// Whether a saved change can be taken in.
    pub fn judge(&self, change: &Change) -> Result<(), NoResolver> {
        if let Change::Sum(sum) = change {
            return sum.judge(self);
        }
        change.added().map_or(Ok(()), |message| self.judge_add(message))
    }

    /// Whether a message adds a contract of a kind that is known.
    pub(crate) fn judge_add(&self, message: &Message) -> Result<(), NoResolver> {
        let message_type = message.message_type();
        match self.read(message) {
            Ok(Some((_, Said::Add { .. }))) => Ok(()),
            Ok(Some((_, Said::End { .. } | Said::Ask { .. })) | None) | Err(_) => {
                Err(NoResolver::Message { message_type })
            }
        }
    }

    /// A contract by what is saved of it.
    pub(crate) fn contract(
        &self,
        kind: Kind,
        terms: &[u8],
    ) -> Result<Arc<dyn Contract>, NoResolver> {
        let read = self.of(kind).and_then(|it| it.template().read(terms).ok());
        read.ok_or(NoResolver::Kind { kind })
    }
}

impl Deadline {
    /// From when on the payer can have it back, if the commitment was in this block.
    pub fn lapses(self, parent: BlockHeight) -> Option<BlockHeight> {
        match self {
            Deadline::None => None,
            Deadline::At(height) => Some(height),
            Deadline::After(blocks) => Some(BlockHeight(parent.0.saturating_add(blocks.0))),
        }
    }

    /// The height that is known before anything is on the chain.
    pub const fn height(self) -> Option<BlockHeight> {
        match self {
            Deadline::At(height) => Some(height),
            Deadline::None | Deadline::After(_) => None,
        }
    }
}
