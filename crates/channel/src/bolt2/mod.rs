//! How the two sides talk a channel through: BOLT 2's normal operation.

mod commit;
mod limits;
mod reestablish;
mod updates;

pub use limits::{DUST_MSAT_MAX, Limits, Taken};
pub use updates::Offer;
