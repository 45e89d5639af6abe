//! The HTLC of BOLT 2.

use std::sync::Arc;

use tx::{Contract, HTLC, Htlc, HtlcTemplate, Kind, Template};
use wire::amount::BlockHeight;
use wire::id::{ChannelId, FailureCode, HtlcId, PaymentPreimage};
use wire::list::Blob;
use wire::{Message, UpdateAddHtlc, UpdateFailHtlc, UpdateFailMalformedHtlc, UpdateFulfillHtlc};

use super::{Deadline, Resolver, Said};
use crate::change::End;
use crate::fault::Violation;

/// Locks from here on are times and no heights.
pub(crate) const EXPIRY_END: BlockHeight = BlockHeight(500_000_000);
/// The bit of a failure code that says whose onion was bad (BOLT 4).
const BADONION: u16 = 0x8000;

/// What a channel does with HTLCs.
#[derive(Clone, Copy, Debug)]
pub struct HtlcResolver;

impl Resolver for HtlcResolver {
    fn kind(&self) -> Kind {
        HTLC
    }

    fn template(&self) -> Arc<dyn Template> {
        Arc::new(HtlcTemplate)
    }

    fn feature(&self) -> Option<u16> {
        None
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "all others are about something else")]
    fn read(&self, message: &Message) -> Result<Option<Said>, Violation> {
        Ok(Some(match message {
            Message::UpdateAddHtlc(add) => added(add)?,
            Message::UpdateFulfillHtlc(said) => {
                Said::End { id: said.id, end: End::Fulfilled(said.payment_preimage) }
            }
            Message::UpdateFailHtlc(said) => {
                Said::End { id: said.id, end: End::Failed(said.reason.clone()) }
            }
            Message::UpdateFailMalformedHtlc(said) => {
                let FailureCode(failure_code) = said.failure_code;
                if failure_code & BADONION == 0 {
                    return Err(Violation::FailureCode { got: failure_code });
                }
                let sha256_of_onion = said.sha256_of_onion;
                Said::End { id: said.id, end: End::Malformed { sha256_of_onion, failure_code } }
            }
            _ => return Ok(None),
        }))
    }

    fn end(&self, channel_id: ChannelId, id: HtlcId, end: &End) -> Option<Message> {
        Some(match end {
            End::Fulfilled(preimage) => UpdateFulfillHtlc {
                channel_id,
                id,
                payment_preimage: *preimage,
                attribution_data: None,
                extension: Default::default(),
            }
            .into(),
            End::Failed(reason) => UpdateFailHtlc {
                channel_id,
                id,
                reason: reason.clone(),
                attribution_data: None,
                extension: Default::default(),
            }
            .into(),
            End::Malformed { sha256_of_onion, failure_code } => UpdateFailMalformedHtlc {
                channel_id,
                id,
                sha256_of_onion: *sha256_of_onion,
                failure_code: FailureCode(*failure_code),
                extension: Default::default(),
            }
            .into(),
            End::Opened(_) | End::Cancelled(_) => return None,
        })
    }

    fn opened(&self, secret: &[u8]) -> Option<End> {
        Some(End::Fulfilled(PaymentPreimage(secret.try_into().ok()?)))
    }

    fn returned(&self) -> End {
        End::Failed(Blob(Vec::new()))
    }

    fn deadline(&self, contract: &dyn Contract) -> Deadline {
        Deadline::At(BlockHeight(contract.order()))
    }
}

fn added(add: &UpdateAddHtlc) -> Result<Said, Violation> {
    if add.cltv_expiry >= EXPIRY_END {
        return Err(Violation::Expiry { got: add.cltv_expiry, end: EXPIRY_END });
    }
    let contract = Htlc { payment_hash: add.payment_hash, cltv_expiry: add.cltv_expiry };
    Ok(Said::Add { id: add.id, amount: add.amount_msat, contract: Arc::new(contract) })
}
