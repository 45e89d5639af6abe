//! The numbers and names of the questions about channels.

use core::ops::RangeInclusive;

use super::{ChannelAnswer, ChannelOp};

/// [`ChannelOp::Keys`]: tells public keys.
pub const CHANNEL_KEYS: u16 = 16;
/// What moves the memory of a signer. There is room for more.
pub const CHANNEL_RATCHETS: RangeInclusive<u16> = 32..=47;
/// Whose the channels are: [`Ask::Lease`](crate::Ask::Lease). A ratchet, too.
pub const LEASE: u16 = 47;
/// What is judged each time anew. It moves nothing, but that the first close shuts the channel.
pub const CHANNEL_REPEATABLE: RangeInclusive<u16> = 48..=63;

impl ChannelOp {
    /// The question's number on the bus.
    pub const fn topic(&self) -> u16 {
        match self {
            ChannelOp::Keys => CHANNEL_KEYS,
            ChannelOp::SetUp(_) => 32,
            ChannelOp::SignRemote { .. } => 33,
            ChannelOp::Advance { .. } => 34,
            ChannelOp::Revoked { .. } => 35,
            ChannelOp::SignLocal { .. } => 36,
            ChannelOp::CheckSecret { .. } => 48,
            ChannelOp::SignClose(_) => 49,
            ChannelOp::SignClaims(_) => 50,
            ChannelOp::SignStages(_) => 51,
        }
    }

    /// The question's name, for permissions, faults and logs.
    pub const fn name(&self) -> &'static str {
        match self {
            ChannelOp::Keys => "channel keys",
            ChannelOp::SetUp(_) => "set up",
            ChannelOp::SignRemote { .. } => "sign remote",
            ChannelOp::Advance { .. } => "advance",
            ChannelOp::Revoked { .. } => "revoked",
            ChannelOp::SignLocal { .. } => "sign local",
            ChannelOp::CheckSecret { .. } => "check secret",
            ChannelOp::SignClose(_) => "sign close",
            ChannelOp::SignClaims(_) => "sign claims",
            ChannelOp::SignStages(_) => "sign stages",
        }
    }
}

impl ChannelAnswer {
    /// The answer's name, for faults and logs.
    pub const fn name(&self) -> &'static str {
        match self {
            ChannelAnswer::Keys(_) => "channel keys",
            ChannelAnswer::Done => "done",
            ChannelAnswer::RemoteSigned { .. } => "remote signed",
            ChannelAnswer::Advanced { .. } => "advanced",
            ChannelAnswer::LocalSigned { .. } => "local signed",
            ChannelAnswer::Checked { .. } => "checked",
            ChannelAnswer::CloseSigned { .. } => "close signed",
            ChannelAnswer::InputsSigned { .. } => "inputs signed",
        }
    }
}
