//! Whole nodes on this machine, and what they survive.

mod clerk;
mod nodes;
mod party;
#[cfg(feature = "planted")]
mod planted;
