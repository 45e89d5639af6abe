//! Cores of the node's own, and what holds their effects back. Pure: the simulator runs them too.

pub mod channels;
pub mod clerk;
pub mod gate;
pub mod post;
pub mod treasury;

pub use wire::saved;
