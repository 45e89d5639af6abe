//! All that can be asked of a key holder about one connection, and all it can answer. Data only:
//! this is the contract that crosses a bus. Nothing in it names a point to multiply a key with.

use std::fmt::{Debug, Display};

use secp256k1::PublicKey;
use static_assertions::assert_not_impl_any;

use crate::act::{Act1, Act2, Act3, ActMessage};
use crate::fault::Fault;
use crate::half_open::HalfOpen;
use crate::state::TransportState;

assert_not_impl_any!(Answer: Clone, Copy, Debug, Display);
assert_not_impl_any!(Effect: Clone, Copy, Debug, Display);

/// A question to the key holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Make act one for a connection to `remote`.
    Dial {
        /// The node that is called.
        remote: PublicKey,
    },
    /// Check act two, make act three.
    Finish {
        /// What the responder sent.
        act2: Act2,
    },
    /// Check act one, make act two.
    Respond {
        /// What the initiator sent.
        act1: Act1,
    },
    /// Tell who connected.
    Verify {
        /// What the initiator sent.
        act3: Act3,
    },
}

/// What a key holder answers. It may hold secrets, so it can be neither copied nor printed.
pub enum Answer {
    /// To [`Ask::Dial`].
    Dialed {
        /// To be sent.
        act1: Act1,
    },
    /// To [`Ask::Finish`].
    Finished {
        /// To be sent.
        act3: Act3,
        /// The connection, open.
        transport: TransportState,
    },
    /// To [`Ask::Respond`].
    Responded {
        /// To be sent.
        act2: Act2,
        /// Finishes the handshake without the key holder.
        half_open: HalfOpen,
    },
    /// To [`Ask::Verify`].
    Verified {
        /// Who connected.
        remote: PublicKey,
    },
    /// To any question: no, and why.
    Refused(Fault),
}

/// What the socket side of a handshake wants done, in order.
pub enum Effect {
    /// Ask the key holder; hand the answer to `handle_answer`.
    Ask(Ask),
    /// Write the act to the socket.
    Send(ActMessage),
    /// The handshake is done. From here on the socket's bytes belong to the transport.
    Done {
        /// The node at the other end.
        remote: PublicKey,
        /// The connection, open.
        transport: TransportState,
    },
}

impl Ask {
    /// The question's name, for faults and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Ask::Dial { .. } => "dial",
            Ask::Finish { .. } => "finish",
            Ask::Respond { .. } => "respond",
            Ask::Verify { .. } => "verify",
        }
    }
}

impl Answer {
    /// The answer's name, for faults and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Answer::Dialed { .. } => "dialed",
            Answer::Finished { .. } => "finished",
            Answer::Responded { .. } => "responded",
            Answer::Verified { .. } => "verified",
            Answer::Refused(_) => "refused",
        }
    }
}
