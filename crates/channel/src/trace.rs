//! What has to be kept of a channel's changes for as long as it lives: from it follows what each of
//! the peer's commitments has said, revoked ones too. All else of them goes with the next sum.
//!
//! A trace is a change as it is saved, or the record 1, an HTLC in short: side (1), amount (8),
//! hash (32), expiry (4).

use tx::Side;
use wire::amount::{BlockHeight, Msat};
use wire::field::Field as _;
use wire::id::{ChannelId, HtlcId, OnionPacket, PaymentHash};
use wire::list::Blob;
use wire::saved::{self, ChangeFault};
use wire::{Message, UpdateAddHtlc};

use crate::change::{Change, End};

const OFFER: u64 = 1;

impl Change {
    /// What has to be kept of it, if anything.
    pub fn trace(&self) -> Option<Vec<u8>> {
        match self {
            Change::Added { by, add } => {
                let Message::UpdateAddHtlc(add) = &**add else { return Some(self.encode()) };
                let mut to = vec![*by as u8];
                add.amount_msat.write(&mut to);
                add.payment_hash.write(&mut to);
                add.cltv_expiry.write(&mut to);
                Some(saved::write(OFFER, &to))
            }
            Change::Ended { id, end: End::Failed(_) | End::Malformed { .. } } => {
                let end = End::Failed(Blob(Vec::new()));
                Some(Change::Ended { id: *id, end }.encode())
            }
            Change::Received { signature, .. } => {
                Some(Change::Received { signature: *signature, stages: Vec::new() }.encode())
            }
            Change::Ended {
                end: End::Fulfilled(_) | End::Opened(_) | End::Cancelled(_), ..
            }
            | Change::Rate(_)
            | Change::Signed
            | Change::TakenBack
            | Change::Advanced { .. }
            | Change::Revoked { .. }
            | Change::Lost
            | Change::Ready { .. }
            | Change::Rejected => Some(self.encode()),
            Change::Heard(_)
            | Change::Deep { .. }
            | Change::Shutdown
            | Change::ShutdownHeard { .. }
            | Change::Closed(_)
            | Change::Failing(_)
            | Change::Learned { .. }
            | Change::InBlock { .. }
            | Change::BlockGone { .. }
            | Change::Resolved { .. }
            | Change::Done
            | Change::Waits { .. }
            | Change::Sum(_) => None,
        }
    }

    /// Reads what was kept, for [`Channel::recall`](crate::Channel::recall) and nothing else.
    pub fn read_trace(bytes: &[u8]) -> Result<Option<Self>, ChangeFault> {
        let offer = saved::read(bytes, |record, from| {
            if record != OFFER {
                // It is a change, and read as one.
                from.take(from.len())?;
                return Ok(Some(None));
            }
            let by = match *from.array()? {
                [0] => Side::Opener,
                [1] => Side::Acceptor,
                [got] => {
                    return Err(ChangeFault::Meaningless { what: "side", got: got.to_string() });
                }
            };
            let add = UpdateAddHtlc {
                channel_id: ChannelId([0; 32]),
                id: HtlcId(0),
                amount_msat: Msat::read(from)?,
                payment_hash: PaymentHash::read(from)?,
                cltv_expiry: BlockHeight::read(from)?,
                onion_routing_packet: Box::new(OnionPacket([0; 1_366])),
                path_key: None,
                extension: Default::default(),
            };
            Ok(Some(Some(Change::Added { by, add: Box::new(add.into()) })))
        })?;
        match offer.flatten() {
            Some(offer) => Ok(Some(offer)),
            None => Change::decode(bytes),
        }
    }
}
