//! One payment channel from its opening to its last confirmed spend (BOLT 2, 3, 5).
//!
//! *What it is for.* A [`Live`] channel takes messages, commands and the signer's answers, and says
//! what is to be saved, sent and asked; its [`Ledger`] knows who has what in each commitment that
//! either side could publish. Closing and the chain are not there yet.
//!
//! *What it never does.* It holds no key and signs nothing; it has no socket, disk or clock.

mod change;
mod fault;
mod ledger;
mod live;
mod opened;
mod opening;

pub use change::{Change, End};
pub use fault::{Refusal, Remedy, Violation};
pub use ledger::{As, ContractId, Entry, Gone, Ledger, Removal, Step, View};
pub use live::{AskId, Begun, Effect, Event, Known, Limits, Live, Offer, Outcome, Taken};
pub use opened::Opened;
pub use opening::{
    Accepting, Agreed, Answering, Created, Funding, Move, Policy, Proposed, Unfit, channel_id,
};
