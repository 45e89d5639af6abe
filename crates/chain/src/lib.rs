//! The chain, as a node sees it: headers and reorgs, and what is watched in blocks.
//!
//! *What it is for.* Its users hear of each block and of all they watch in it, from where they
//! stopped hearing; a reorg takes back exactly what it took away. *What it never does.* It has no
//! socket: blocks are asked for, and answered by whatever source there is.
//!
//! Where to start: [`Chain`].

mod api;
mod chain;
mod fault;
mod headers;
mod reader;
mod rules;

pub use api::{Ask, BlockRef, Event, Found, FoundIn, Height, User, Watch};
pub use chain::Chain;
pub use fault::{BlockFault, Fault, HeaderFault};
pub use headers::{Change, HEADERS_MAX, Headers, REORG_BLOCKS_MAX};
pub use reader::WATCHES_MAX;
