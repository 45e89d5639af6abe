//! The shell: sockets, clock, dice and disk for the cores.
//!
//! *What it is for.* It runs the services of a process and joins them by links, so that the same
//! code is a node in one process or a suite of them. *What it never does.* It knows no rule of a
//! protocol; those are in the cores, and in [`services`], which are pure as well.
//!
//! Where to start: [`roles`].

#[cfg(all(feature = "planted", not(debug_assertions)))]
compile_error!("planted bugs are for tests, never for a release");

pub mod api;
pub mod io;
#[cfg(feature = "planted")]
mod planted;
pub mod roles;
pub mod services;
pub mod store;
