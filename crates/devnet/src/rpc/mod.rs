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

pub use server::{Access, CLIENTS_MAX, Server};

/// The names of all methods.
pub fn methods() -> impl Iterator<Item = &'static str> {
    table::names()
}
