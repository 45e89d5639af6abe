//! Leyden and LDK, against each other.
//!
//! *What it is for.* Tests and benches that need a Lightning implementation which nobody here
//! wrote. *What it never does.* Nothing of it is part of a node.

pub mod channel;
pub mod codec;
pub mod exceptions;
pub mod node;
