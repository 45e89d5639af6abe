//! All integration tests of `signer`, in one binary: one link, one allocator that watches.

// clippy knows tests by their attribute, and not the functions that serve them.
#![allow(clippy::unwrap_used)]

mod accounts;
mod allowances;
mod channel_codec;
mod channel_journals;
mod channel_keys;
mod channels;
mod checkpoints;
mod claims;
mod closes;
mod codec;
mod derivation;
mod end_codec;
mod files;
mod fundings;
mod handshakes;
mod journals;
mod leases;
mod limits;
mod memory;
mod messages;
mod onions;
mod parties;
mod seeds;
mod spends;
mod vectors;
mod views;
mod wiped;
