//! Channels that pay, lose their connection, close and cheat.

mod changes;
mod halves;
mod ledger;
mod live;
mod opening;
