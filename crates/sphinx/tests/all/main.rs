//! Onions: the rows of BOLT 4, and what must hold for every onion.

// clippy knows tests by their attribute, and not the functions that serve them.
#![allow(clippy::unwrap_used)]

mod failures;
mod hostile;
mod laws;
mod limits;
mod payloads;
#[cfg(feature = "planted")]
mod planted;
mod rows;
mod secrets;
mod vectors;
mod world;
