//! Deterministic worlds: two taken-apart nodes, a client, and everything that can go wrong.
//!
//! *What it is for.* One seed gives the time, the network, the order of everything and every
//! fault; the services in it are the real cores. After each step the [rules](Broken) are checked.
//! *What it never does.* It touches nothing outside: no clock, no socket, no disk.
//!
//! Where to start: [`run`].

#[cfg(all(feature = "planted", not(debug_assertions)))]
compile_error!("planted bugs are for tests, never for a release");

mod agenda;
pub mod blocks;
mod client;
mod faults;
mod keys;
mod links;
mod net;
mod node;
mod plan;
mod record;
mod sockets;
mod table;
pub mod town;
mod truth;
mod wires;
mod world;

pub use faults::{FAULTS, Fault, POINTS, Point};
pub use table::Table;
pub use world::{Outcome, run};

/// What was wrong with a world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// In which world.
    pub seed: u64,
    /// When, on its clock.
    pub at_ms: u64,
    /// Which rule, and how.
    pub rule: String,
}

impl core::fmt::Display for Broken {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "seed {} at {} ms: {}", self.seed, self.at_ms, self.rule)
    }
}

impl core::error::Error for Broken {}
