//! Carries asks, answers and events between services.
//!
//! *What it is for.* The signer, the holder of sockets and the node are services that only speak
//! through links. A link is a Unix stream socket: a pair of them between threads, a path between
//! two processes, so one process and many run the same code. Each listening path has a
//! [`Grant`]: a name, and the questions that who connects there may ask. A service is one thread
//! around one [`Hub`].
//!
//! *What it never does.* It leaves the machine: whoever connects must be the same user. It does not
//! know what a question means, and keeps no bytes of one longer than needed: they may be keys.
//!
//! Where to start: [`Hub`] for the loop, [`Link`] for the rules of a link.

mod caller;
mod frame;
mod grant;
mod hub;
mod link;
mod listener;

pub use caller::{CallFault, Caller};
pub use frame::{DENIED, FRAME_BYTES_MAX, Frame, FrameFault, Kind};
pub use grant::Grant;
pub use hub::{
    Hub, Input, Interest, Key, LINKS_MAX, LINKS_PER_LISTENER_MAX, LinkId, Standing, Waker,
};
pub use link::{ASKS_MAX, Broken, Link, NotSent, QUEUE_BYTES_MAX};
pub use listener::{ListenFault, Listener};
