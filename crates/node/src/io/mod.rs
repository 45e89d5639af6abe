//! The world outside: sockets, clock, dice.

pub mod clock;
pub mod office;
pub mod signer;
pub mod sockets;
pub mod stop;
