//! One payment channel from its opening to its last confirmed spend (BOLT 2, 3, 5).
//!
//! *What it is for.* A [`Channel`] takes messages, commands, blocks and the signer's answers, and
//! says what is to be saved, sent, asked and published; its [`Ledger`] knows who has what in each
//! commitment that either side could publish.
//!
//! *What it never does.* It holds no key and signs nothing; it has no socket, disk or clock.

mod begun;
mod bolt2;
mod change;
mod contract;
mod fault;
mod ledger;
mod onchain;
mod opening;
mod planted;
mod points;
mod state;
mod sum;
mod trace;

pub use begun::{Begun, FundingOutput};
pub use bolt2::{DUST_MSAT_MAX, Limits, Offer, Taken};
pub use change::{Change, End};
pub use contract::{
    Bounds, Deadline, HtlcResolver, Met, NoResolver, PARKED_MAX, PARKED_SAT_MIN, ParkedOffer,
    ParkedResolver, RACE_BLOCKS, RESOLVERS_MAX, Resolver, Resolvers, Said, Spot, Taking,
};
pub use fault::{Refusal, Remedy, Violation};
pub use ledger::{As, ContractId, Entry, Gone, Ledger, Removal, Step, View};
pub use onchain::{CoinOffer, DEEP_BLOCKS, EndedBy, FINAL_BLOCKS, SECURITY_DELAY_BLOCKS, Wanted};
pub use opening::{
    Accepting, Agreed, Answering, Created, FUNDING_SMALL_MAX, Funding, Home, Move, Policy,
    Proposed, Unfit, Variation,
};
pub use state::{
    AskId, CLOSING_BLOCKS_MAX, Channel, Dialects, Effect, Event, FUNDING_BLOCKS_MAX, Failing,
    Known, Negotiating, Now, Outcome, Ready, Shutdown, State, Why, is_closing_script,
};
pub use sum::Sum;
