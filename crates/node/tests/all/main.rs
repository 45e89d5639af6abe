//! Whole nodes on this machine, and what they survive.

mod nodes;
mod party;
