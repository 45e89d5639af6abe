//! Lightning messages: bytes to values and back (BOLT 1, 2, 7, 9).
//!
//! *What it is for.* Every message that crosses a Lightning connection is declared once, in
//! `table.rs`; from there come its value, its codec, its debug text and a generator for tests.
//! Amounts, ids, keys and flags have a type each, and what is read is checked while it is read.
//!
//! *What it never does.* It opens no socket, keeps no state between messages, knows no rule of the
//! channel protocol, and holds no secret of ours. No bytes make it panic, and reading a message
//! allocates at most twice the message and 4 KiB.
//!
//! ```
//! use wire::{Message, Ping, amount::ByteCount};
//!
//! let ping = Message::from(Ping::new(ByteCount(4), 0));
//! let bytes = ping.encode()?;
//! assert_eq!(bytes, [0, 18, 0, 4, 0, 0]);
//! assert_eq!(Message::decode(&bytes)?, ping);
//! # Ok::<(), wire::Fault>(())
//! ```

pub mod address;
pub mod amount;
pub mod bigsize;
pub mod custom;
mod declare;
pub mod dice;
pub mod fault;
pub mod features;
pub mod field;
mod hex;
pub mod id;
pub mod key;
pub mod lease;
pub mod list;
mod message;
mod planted;
pub mod reader;
pub mod saved;
mod table;
pub mod tick;
pub mod tlv;

pub use bitcoin::Network;
pub use fault::{Broke, Fault, MESSAGE_BYTES_MAX, TooLong};
pub use hex::Hex;
pub use message::{Body, SHOWN_CHARS_MAX, TYPE_BYTES, Unnamed};
pub use table::*;
