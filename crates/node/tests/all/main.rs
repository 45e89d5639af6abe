//! Whole nodes on this machine, and what they survive.

mod aliases;
mod bank;
mod bitcoind;
#[path = "../../../chain/tests/all/blocks.rs"]
mod blocks;
mod channels;
mod channels_file;
mod clerk;
#[cfg(feature = "devnet")]
mod devnet;
mod flood;
mod gate;
mod handover;
mod http;
mod leases;
mod memory;
mod nodes;
mod onions;
mod openings;
mod pair;
mod party;
#[cfg(feature = "planted")]
mod planted;
#[cfg(feature = "planted")]
#[path = "../../../chain/tests/all/plants.rs"]
mod plants;
mod purse;
mod rates;
mod reach;
mod source;
mod store;
mod sums;
mod takeover;
mod treasury;
mod view_file;
mod views;
