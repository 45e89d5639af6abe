//! Channels that pay, lose their connection, close and cheat.

mod ledger;
mod live;
