//! Services of a node in processes of their own, for tests and benches.
//!
//! *What it is for.* What holds across processes is shown across processes: handovers, crashes,
//! what a memory has. *What it never does.* It is no part of a node.

mod memory;
mod process;
mod subscriber;

pub use memory::{IDENTITY, Secrets};
pub use place::Place;
pub use process::{Process, WAIT, child, entropy, seed};
pub use subscriber::Subscriber;
