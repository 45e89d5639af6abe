//! The parked contract: an HTLC without a deadline, between the two ends of a channel alone.
//!
//! Whoever is paid ends it: with the preimage, or by giving it back. Whoever pays can ask for that
//! and no more: what it might take back by itself could not be sold
//! (`docs/decisions/0016-parked.md`). There is no onion, so it is never relayed.

use std::sync::Arc;

use tx::{Contract, Kind, PARKED, Parked, ParkedTemplate, Template};
use wire::amount::{BlockCount, CsvDelay, HtlcCount, Msat, Sat};
use wire::features::Feature;
use wire::id::{ChannelId, HtlcId, PaymentHash, PaymentPreimage};
use wire::list::Blob;
use wire::{AddParked, AskParked, CancelParked, Message, SettleParked};

use super::{Bounds, Deadline, Resolver, Said};
use crate::change::End;
use crate::fault::{Refusal, Violation};
use crate::ledger::ContractId;
use crate::state::{Channel, Outcome};

/// The least that is parked: what might have no output would be trusted for weeks.
pub const PARKED_SAT_MIN: Sat = Sat(1_000);
/// Parked contracts that one side has offered at a time.
pub const PARKED_MAX: HtlcCount = HtlcCount(60);

/// What a channel does with parked contracts.
#[derive(Clone, Copy, Debug)]
pub struct ParkedResolver;

/// A parked contract that we want to offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParkedOffer {
    /// How much.
    pub amount: Msat,
    /// Whoever shows its preimage is paid.
    pub payment_hash: PaymentHash,
    /// So long after a commitment is in the chain we take it back.
    pub refund_delay: CsvDelay,
}

impl Channel {
    /// `add_parked`.
    pub fn park(&self, offer: ParkedOffer) -> Result<(ContractId, Outcome), Refusal> {
        let ParkedOffer { amount: amount_msat, payment_hash, refund_delay } = offer;
        self.offer(PARKED, |channel_id, id| {
            let extension = Default::default();
            AddParked { channel_id, id, amount_msat, payment_hash, refund_delay, extension }.into()
        })
    }
}

impl Resolver for ParkedResolver {
    fn kind(&self) -> Kind {
        PARKED
    }

    fn template(&self) -> Arc<dyn Template> {
        Arc::new(ParkedTemplate)
    }

    fn feature(&self) -> Option<u16> {
        Some(Feature::Parked as u16)
    }

    fn bounds(&self) -> Bounds {
        let amount_min = Msat(PARKED_SAT_MIN.0 * 1_000);
        Bounds { amount_min, count_max: PARKED_MAX, ..Bounds::default() }
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "all others are about something else")]
    fn read(&self, message: &Message) -> Result<Option<Said>, Violation> {
        Ok(Some(match message {
            Message::AddParked(add) => {
                let (payment_hash, refund_delay) = (add.payment_hash, add.refund_delay);
                let contract = Arc::new(Parked { payment_hash, refund_delay });
                Said::Add { id: add.id, amount: add.amount_msat, contract }
            }
            Message::SettleParked(said) => {
                Said::End { id: said.id, end: End::Opened(said.payment_preimage.0.to_vec()) }
            }
            Message::CancelParked(said) => {
                Said::End { id: said.id, end: End::Cancelled(Blob(Vec::new())) }
            }
            Message::AskParked(said) => Said::Ask { id: said.id },
            _ => return Ok(None),
        }))
    }

    fn end(&self, channel_id: ChannelId, id: HtlcId, end: &End) -> Option<Message> {
        let extension = Default::default();
        match end {
            End::Opened(secret) => {
                let payment_preimage = PaymentPreimage(secret[..].try_into().ok()?);
                Some(SettleParked { channel_id, id, payment_preimage, extension }.into())
            }
            End::Cancelled(Blob(why)) if why.is_empty() => {
                Some(CancelParked { channel_id, id, extension }.into())
            }
            End::Cancelled(_) | End::Fulfilled(_) | End::Failed(_) | End::Malformed { .. } => None,
        }
    }

    fn ask(&self, channel_id: ChannelId, id: HtlcId) -> Option<Message> {
        Some(AskParked { channel_id, id, extension: Default::default() }.into())
    }

    fn deadline(&self, contract: &dyn Contract) -> Deadline {
        Deadline::After(BlockCount(contract.order()))
    }
}
