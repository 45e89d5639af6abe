//! The world outside: sockets, clock, dice.

pub mod bell;
pub mod bitcoind;
pub mod channels;
pub mod channels_file;
pub mod clock;
pub mod devnet;
pub mod folder_lock;
pub mod http;
pub mod journal_file;
pub mod office;
pub mod reach;
pub mod seed_file;
pub mod signer;
pub mod sockets;
pub mod stop;
pub mod treasury;
pub mod view_file;
