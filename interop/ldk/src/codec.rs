//! LDK's codec, message by message, behind one door.

use std::hint::black_box;

use lightning::{
    ln::msgs::{self, DecodeError},
    util::ser::{LengthReadable, Writeable},
};
use wire::Body;

/// A message type that both sides know.
#[derive(Clone, Copy)]
pub struct Pairing {
    /// Its type.
    pub message_type: u16,
    /// Its BOLT name.
    pub name: &'static str,
    /// What LDK reads from a body, written by LDK again.
    pub again: fn(&[u8]) -> Result<Vec<u8>, DecodeError>,
    /// LDK's work on some bodies, to be timed.
    pub theirs: fn(&[Vec<u8>]) -> Timed,
    /// Our work on the same bodies.
    pub ours: fn(&[Vec<u8>]) -> Timed,
}

/// Work on some bodies: each is read, or each message is written, typed on both sides.
pub struct Timed {
    /// Reads each body.
    pub read: Box<dyn FnMut()>,
    /// Writes each message.
    pub write: Box<dyn FnMut()>,
}

fn read<T: LengthReadable>(body: &[u8]) -> Result<T, DecodeError> {
    let mut from = body;
    T::read_from_fixed_length_buffer(&mut from)
}

fn again<T: LengthReadable + Writeable>(body: &[u8]) -> Result<Vec<u8>, DecodeError> {
    read::<T>(body).map(|message| message.encode())
}

fn timed<T: 'static, F: 'static, B: 'static>(
    bodies: &[Vec<u8>],
    read: fn(&[u8]) -> Result<T, F>,
    write: fn(&T) -> B,
) -> Timed {
    let messages: Vec<T> = bodies.iter().filter_map(|body| read(body).ok()).collect();
    assert_eq!(messages.len(), bodies.len(), "chosen because both sides read them");
    let bodies = bodies.to_vec();
    Timed {
        read: Box::new(move || {
            for body in &bodies {
                black_box(read(black_box(body))).ok();
            }
        }),
        write: Box::new(move || {
            for message in &messages {
                black_box(write(black_box(message)));
            }
        }),
    }
}

const fn pair<L: LengthReadable + Writeable + 'static, O: Body + 'static>() -> Pairing {
    Pairing {
        message_type: O::TYPE,
        name: O::NAME,
        again: again::<L>,
        theirs: |bodies| timed(bodies, read::<L>, L::encode),
        ours: |bodies| timed(bodies, O::read_body, O::encode),
    }
}

/// Every type of our table: LDK knows them all.
pub const BOTH_KNOW: &[Pairing] = &[
    pair::<msgs::WarningMessage, wire::Warning>(),
    pair::<msgs::Stfu, wire::Stfu>(),
    pair::<msgs::PeerStorage, wire::PeerStorage>(),
    pair::<msgs::PeerStorageRetrieval, wire::PeerStorageRetrieval>(),
    pair::<msgs::Init, wire::Init>(),
    pair::<msgs::ErrorMessage, wire::Error>(),
    pair::<msgs::Ping, wire::Ping>(),
    pair::<msgs::Pong, wire::Pong>(),
    pair::<msgs::OpenChannel, wire::OpenChannel>(),
    pair::<msgs::AcceptChannel, wire::AcceptChannel>(),
    pair::<msgs::FundingCreated, wire::FundingCreated>(),
    pair::<msgs::FundingSigned, wire::FundingSigned>(),
    pair::<msgs::ChannelReady, wire::ChannelReady>(),
    pair::<msgs::Shutdown, wire::Shutdown>(),
    pair::<msgs::ClosingSigned, wire::ClosingSigned>(),
    pair::<msgs::ClosingComplete, wire::ClosingComplete>(),
    pair::<msgs::ClosingSig, wire::ClosingSig>(),
    pair::<msgs::UpdateAddHTLC, wire::UpdateAddHtlc>(),
    pair::<msgs::UpdateFulfillHTLC, wire::UpdateFulfillHtlc>(),
    pair::<msgs::UpdateFailHTLC, wire::UpdateFailHtlc>(),
    pair::<msgs::CommitmentSigned, wire::CommitmentSigned>(),
    pair::<msgs::RevokeAndACK, wire::RevokeAndAck>(),
    pair::<msgs::UpdateFee, wire::UpdateFee>(),
    pair::<msgs::UpdateFailMalformedHTLC, wire::UpdateFailMalformedHtlc>(),
    pair::<msgs::ChannelReestablish, wire::ChannelReestablish>(),
    pair::<msgs::ChannelAnnouncement, wire::ChannelAnnouncement>(),
    pair::<msgs::NodeAnnouncement, wire::NodeAnnouncement>(),
    pair::<msgs::ChannelUpdate, wire::ChannelUpdate>(),
    pair::<msgs::AnnouncementSignatures, wire::AnnouncementSignatures>(),
    pair::<msgs::QueryShortChannelIds, wire::QueryShortChannelIds>(),
    pair::<msgs::ReplyShortChannelIdsEnd, wire::ReplyShortChannelIdsEnd>(),
    pair::<msgs::QueryChannelRange, wire::QueryChannelRange>(),
    pair::<msgs::ReplyChannelRange, wire::ReplyChannelRange>(),
    pair::<msgs::GossipTimestampFilter, wire::GossipTimestampFilter>(),
];
