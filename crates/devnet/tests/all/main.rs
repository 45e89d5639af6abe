//! A chain that is validated by Bitcoin Core's kernel, our own beside it, and who asks them.

mod acceptance;
mod beside;
mod client;
mod faults;
mod light;
mod plain;
mod purse;
mod refusals;
mod server;
mod world;
