//! Tolls between two channels with true signers, on a chain with real rules.

mod flow;
// What the tests of `channel` run channels with.
#[allow(dead_code, reason = "tolls need a part of it")]
#[allow(unexpected_cfgs, reason = "bugs are planted in `channel` alone")]
#[path = "../../../../crates/channel/tests/all/halves.rs"]
mod halves;
mod onchain;
mod refused;
#[allow(dead_code, reason = "tolls need a part of it")]
#[path = "../../../../crates/channel/tests/all/town.rs"]
mod town;
