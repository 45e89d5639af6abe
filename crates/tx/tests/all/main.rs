//! What BOLT 3 says, byte by byte, and what must hold for every channel.

mod claims;
mod closes;
mod keys;
mod parked;
mod secrets;
mod vectors;
