//! An embedded regtest chain, validated by Bitcoin Core's own consensus code.
//!
//! *What it is for.* Tests and the simulator, in memory, and the demonstration, on disk: blocks on
//! request, test money, reorgs, a mempool with the policy that Lightning relies on, and enough of
//! bitcoind's JSON-RPC for clients that know nothing of us. *What it never does.* It has no peers
//! and no other network than regtest.
//!
//! Where to start: `Devnet`. The chain of its own, without the kernel, is [`ledger::Ledger`]; with
//! its [`mempool`] it is all that there is without the feature `kernel`.

pub mod ledger;
pub mod mempool;

#[cfg(feature = "kernel")]
mod bank;
#[cfg(feature = "kernel")]
mod dice;
#[cfg(feature = "kernel")]
mod fault;
#[cfg(feature = "kernel")]
mod folder;
#[cfg(feature = "kernel")]
mod journal;
#[cfg(feature = "kernel")]
mod kernel;
#[cfg(feature = "kernel")]
mod miner;
#[cfg(feature = "kernel")]
pub mod rpc;
#[cfg(feature = "kernel")]
mod world;

#[cfg(feature = "kernel")]
pub use {
    bank::Bank,
    fault::Fault,
    kernel::{Kernel, Kind, Reason, Verdict},
    miner::Miner,
    world::{Clock, Devnet, MINED_MAX, Mined, Shared, lock},
};
