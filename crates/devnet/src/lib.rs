//! An embedded regtest chain, validated by Bitcoin Core's own consensus code.
//!
//! *What it is for.* Tests and the simulator, in memory, and the demonstration, on disk: blocks on
//! request, test money, reorgs, a mempool with the policy that Lightning relies on, and enough of
//! bitcoind's JSON-RPC for clients that know nothing of us. *What it never does.* It has no peers
//! and no other network than regtest.
//!
//! Where to start: [`Devnet`]. The chain of its own, without the kernel, is [`ledger::Ledger`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

mod bank;
mod dice;
mod fault;
mod folder;
mod journal;
mod kernel;
pub mod ledger;
pub mod mempool;
mod miner;
pub mod rpc;
mod world;

pub use bank::Bank;
pub use fault::Fault;
pub use kernel::{Kernel, Kind, Reason, Verdict};
pub use miner::Miner;
pub use world::{Clock, Devnet, MINED_MAX, Mined};

/// A devnet that several have: a server, a miner, a test.
pub type Shared = Arc<Mutex<Devnet>>;

/// The devnet itself. Whoever panicked with it has left it whole: every act refuses before it
/// changes anything.
pub fn lock(shared: &Shared) -> MutexGuard<'_, Devnet> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
