//! What a fuzzer may feed: one function per target, shared by libFuzzer and the replay test.
//!
//! For: `./dev fuzz` (in `fuzz/`, with libFuzzer) and `./dev test` (every kept input, on stable).
//!
//! Never: a target that needs more than bytes, or one that reaches for clock, disk or dice. The
//! same input has to give the same run.

mod codec;
mod engine;
mod holder;
mod keys;
mod money;
mod onion;
mod transport;

pub use codec::{addresses, bigsize, features, message, message_of, tlv_stream};
pub use engine::{channel, opening};
pub use holder::holder;
pub use keys::{
    change_bytes, empty_channels, seed_file, signer_answer, signer_ask, signer_channels,
};
pub use money::{account, genesis, signer_view, wallet};
pub use onion::onion;
pub use transport::{acts, half_open, record_stream, transport_state};

/// A target: panics when `data` shows a bug.
pub type Target = fn(&[u8]);

/// Every target by the name of its binary in `fuzz/` and of its folder in `fuzz/corpus/`.
pub const TARGETS: &[(&str, Target)] = &[
    ("acts", acts),
    ("addresses", addresses),
    ("bigsize", bigsize),
    ("channel", channel),
    ("features", features),
    ("half_open", half_open),
    ("holder", holder),
    ("message", message),
    ("message_of", message_of),
    ("onion", onion),
    ("opening", opening),
    ("record_stream", record_stream),
    ("seed_file", seed_file),
    ("signer_answer", signer_answer),
    ("signer_ask", signer_ask),
    ("signer_channels", signer_channels),
    ("signer_view", signer_view),
    ("tlv_stream", tlv_stream),
    ("transport_state", transport_state),
    ("wallet", wallet),
];
