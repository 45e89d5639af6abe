//! Channels that pay, lose their connection, close and cheat.

mod changes;
mod closing;
mod halves;
mod ledger;
mod live;
mod onchain;
mod opening;
mod reestablish;
mod town;
