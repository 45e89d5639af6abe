//! What is measured.

pub mod crypto;
pub mod durable;
pub mod updates;
