//! bitcoind's JSON-RPC, as much of it as Lightning nodes and wallets ask.

mod args;
mod chain;
mod envelope;
mod fault;
mod http;
mod json;
mod pool;
mod server;
mod show;
mod table;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Devnet;
pub use server::{Access, CLIENTS_MAX, Server};

/// A devnet that several have: a server, a miner, a test.
pub type Shared = Arc<Mutex<Devnet>>;

/// The names of all methods.
pub fn methods() -> impl Iterator<Item = &'static str> {
    table::names()
}

/// The devnet itself. One who panicked has changed nothing halfway: each act refuses first.
pub fn lock(shared: &Shared) -> MutexGuard<'_, Devnet> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
