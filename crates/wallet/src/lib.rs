//! The money on the chain: coins, addresses, and spends that a signer signs.
//!
//! **What it is for.** A [`Wallet`] of one [`Account`](signer::Account) hears of blocks as a user
//! of a [`Chain`](chain::Chain), knows what is in them for it, and drafts spends. Whoever has the
//! keys is asked ([`Draft::ask`]), and what he answers completes the transaction
//! ([`Draft::finish`]).
//!
//! **What it never does.** It has no key, no socket, no disk, no clock and no chance of its own. It
//! never needs a whole block. What it refuses has changed nothing.
//!
//! Where to start: [`Wallet`].

mod api;
mod book;
mod bump;
mod change;
mod codec;
mod draft;
mod draw;
mod fault;
mod ledger;
mod wallet;

pub use api::{
    Balance, Bump, Coin, DraftId, Holder, Lock, Movement, Order, Progress, Recipient, Standing,
    Wanted, Wish,
};
pub use book::{GAP_ADDRESSES, GHOSTS_MAX};
pub use codec::WALLET_VERSION;
pub use draft::{Draft, FEE_RATE_MIN};
pub use fault::{Refusal, RestoreFault};
pub use wallet::{LOCKS_MAX, Wallet};
