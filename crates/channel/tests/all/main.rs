//! Channels that pay, lose their connection, close and cheat.

mod bargains;
mod changes;
mod closing;
mod ends;
mod halves;
mod ledger;
mod limits;
mod live;
mod onchain;
mod opening;
mod parked;
mod parting;
mod penalties;
#[cfg(feature = "planted")]
mod planted;
mod reestablish;
mod refused;
mod sentences;
mod signers;
mod town;
mod unfit;
mod worlds;
