//! A wallet on a small chain, with a real signer: blocks come, go and come back.

// clippy knows tests by their attribute, and not the functions that serve them.
#![allow(clippy::unwrap_used)]

mod blocks;
mod bumps;
mod forgets;
mod model;
mod receives;
mod restores;
mod sends;
mod world;
