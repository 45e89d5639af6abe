//! One connection to a peer, from the first byte to the last.
//!
//! *What it is for.* It shakes hands (asking the key holder), agrees on features, keeps the
//! connection alive, bounds what a peer may cost, keeps each message until its subscriber has saved
//! it, and lets the keys of the transport change hands: between this side and a client that is
//! sometimes away.
//!
//! *What it never does.* It has no socket and no clock (poll shape: bytes, answers and the time in,
//! effects out), never sees the identity key, and knows no rule of a channel.
//!
//! Where to start: [`Connection`]; its states are in `connection.rs`, what happens while we have
//! the keys in `live.rs`, while a client has them in `tunnel.rs`.

mod api;
mod bytes;
mod connection;
pub mod desk;
mod frozen;
pub mod holder;
mod inbox;
pub mod limits;
mod live;
mod meter;
mod outbox;
mod ping;
mod tunnel;

pub use api::{Culprit, Effect, Epoch, Event, OutSeq, Refusal, Seq, Why};
pub use bytes::Malformed;
pub use connection::{Connection, Terms};
pub use live::Reclaimed;
pub use tunnel::Delegation;
