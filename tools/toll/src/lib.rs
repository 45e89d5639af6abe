//! A contract of somebody else's: whoever shows a word of 16 bytes is paid, and the payer has its
//! money back some time after a commitment is in the chain.
//!
//! *What it is for.* It shows what a new kind of contract takes, and that neither `channel` nor
//! `signer` has to be touched for it: [`TollTemplate`] is registered with both, [`TollResolver`]
//! with the channel.
//!
//! *What it never does.* It has no second stage: each side takes its output with any transaction,
//! and what its owner could take of a revoked commitment waits long enough to be punished.

mod resolver;
mod template;

pub use resolver::{FEATURE, MESSAGES, TOLL_SAT_MAX, TOLL_SAT_MIN, TOLLS_MAX, TollResolver};
pub use template::{TOLL, Toll, TollTemplate, WAIT_BLOCKS_MAX, WORD_BYTES, hash_of};
