//! One channel between LDK's `ChannelManager` and ours, in one thread and without sockets.
//!
//! Messages go over as bytes: what one side encodes the other decodes. [`World`] has both sides,
//! the chain that both follow, and what is on the wire; whoever runs it says when something moves.

mod chain;
mod cheat;
mod ldk_disk;
mod money;
mod onions;
mod our_disk;
mod our_signer;
mod ours;
mod pairs;
mod parts;
mod purse;
mod theirs;
mod world;

pub use chain::Chain;
pub use cheat::OldMonitor;
pub use ldk_disk::LdkSaves;
pub use money::{BOTH, Deal, Who};
pub use onions::Onions;
pub use our_disk::OurDisk;
pub use ours::{KEY, Ours, policy};
pub use pairs::{Ldks, TXID, Twins};
pub use theirs::{Happened, Theirs, Wants};
pub use world::{CAPACITY, PUSHED, World};
