//! Who has the keys of a connection whose socket is elsewhere.
//!
//! *What it is for.* A phone or a browser tab owns a connection that a host carries: ciphertext
//! comes and goes through the host, byte by byte accounted for, and the keys move to the host and
//! back. *What it never does.* It has no socket, and it never uses keys that it has given away.
//!
//! Where to start: [`Owner`].

mod fault;
mod owner;

pub use fault::{Fault, NotTaken};
pub use owner::{Owner, UNANSWERED_BYTES_MAX};
