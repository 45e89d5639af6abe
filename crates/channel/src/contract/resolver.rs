//! What a kind of contract has to say for itself.

use std::fmt;
use std::sync::Arc;

use tx::{Contract, Kind, Template};
use wire::Message;
use wire::amount::{BlockCount, BlockHeight, HtlcCount, Msat};
use wire::id::{ChannelId, HtlcId};
use wire::list::Blob;

use super::take::{Spot, Taking};
use crate::change::End;
use crate::fault::Violation;

/// What a channel does with contracts of one kind. It has no state: what there is of a contract is
/// the message that added it, which is saved as it crossed the wire, and its [`End`].
pub trait Resolver: fmt::Debug + Send + Sync {
    /// The kind.
    fn kind(&self) -> Kind;

    /// What of it stands in commitments.
    fn template(&self) -> Arc<dyn Template>;

    /// The pair of feature bits that both must offer in `init`, by its even bit. Nothing: everybody
    /// has it. Contracts that are there stay so when a peer comes back without it.
    fn feature(&self) -> Option<u16>;

    /// How much may be in it, beside what the channel's own limits say of all contracts.
    fn bounds(&self) -> Bounds {
        Bounds::default()
    }

    /// What a message says of a contract of this kind; nothing if it is about something else.
    /// Other kinds' messages come here too, so no two kinds may take the same one.
    fn read(&self, message: &Message) -> Result<Option<Said>, Violation>;

    /// The message that ends a contract; nothing if contracts of this kind do not end so.
    fn end(&self, channel: ChannelId, id: HtlcId, end: &End) -> Option<Message>;

    /// The message by which whoever pays asks for its money back, if there is one.
    fn ask(&self, _channel: ChannelId, _id: HtlcId) -> Option<Message> {
        None
    }

    /// How a contract ends that this secret has opened on the chain.
    fn opened(&self, secret: &[u8]) -> Option<End> {
        Some(End::Opened(secret.to_vec()))
    }

    /// How a contract ends whose money came back on the chain.
    fn returned(&self) -> End {
        End::Cancelled(Blob(Vec::new()))
    }

    /// When the payer can have its money back.
    fn deadline(&self, contract: &dyn Contract) -> Deadline;

    /// How one side takes an output on the chain, if it can. What follows from the locks of the
    /// template's ways is right for most.
    fn take(&self, spot: &Spot<'_>) -> Option<Taking> {
        spot.by_locks()
    }
}

/// What a message says of a contract.
#[derive(Clone, Debug)]
pub enum Said {
    /// Whoever says it offers one.
    Add {
        /// Counted up from 0 by each side and for each kind.
        id: HtlcId,
        /// How much.
        amount: Msat,
        /// Under which terms.
        contract: Arc<dyn Contract>,
    },
    /// Whoever says it ends one that the other has offered.
    End {
        /// Which.
        id: HtlcId,
        /// How.
        end: End,
    },
    /// Whoever says it asks for the end of one that it has offered. Nothing follows by itself.
    Ask {
        /// Which.
        id: HtlcId,
    },
}

/// What a contract may hold, and how many there may be of each side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The least.
    pub amount_min: Msat,
    /// The most.
    pub amount_max: Msat,
    /// Contracts of this kind that one side has offered.
    pub count_max: HtlcCount,
}

impl Default for Bounds {
    /// None but those of the channel.
    fn default() -> Self {
        Self { amount_min: Msat(0), amount_max: Msat(u64::MAX), count_max: HtlcCount(u16::MAX) }
    }
}

/// When the payer of a contract can have its money back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// Never by itself.
    None,
    /// From this height on: before that it is taken to the chain, if it must be.
    At(BlockHeight),
    /// So many blocks after a commitment with it is in the chain: before, nothing presses.
    After(BlockCount),
}
