//! What the channel does with it.

use std::sync::Arc;

use channel::{Bounds, Deadline, End, Resolver, Said, Violation};
use tx::{Contract, Flaw, Kind, Template};
use wire::amount::{BlockCount, HtlcCount, Msat, Sat};
use wire::custom::CustomRange;
use wire::id::{ChannelId, HtlcId};
use wire::list::Blob;
use wire::{Message, Unnamed};

use crate::template::{TOLL, Toll, TollTemplate, WORD_BYTES};

/// Both must offer it in `init`: the even bit of the pair.
pub const FEATURE: u16 = 900;
/// Its two messages.
pub const MESSAGES: CustomRange = CustomRange { first: 40_001, last: 40_003, purpose: "toll" };
/// The least that a toll holds.
pub const TOLL_SAT_MIN: Sat = Sat(1_000);
/// The most that a toll holds.
pub const TOLL_SAT_MAX: Sat = Sat(200_000);
/// Tolls that one side has offered at a time.
pub const TOLLS_MAX: HtlcCount = HtlcCount(3);

const OFFER: u16 = MESSAGES.first;
const END: u16 = MESSAGES.last;

/// What a channel does with [`Toll`]s.
///
/// | message | what follows the channel's id (32) and the toll's number (8) |
/// |---|---|
/// | 40001 offer | amount in msat (8), hash (20), wait (2) |
/// | 40003 end | the word (16), or nothing: it goes back |
#[derive(Clone, Copy, Debug)]
pub struct TollResolver;

impl TollResolver {
    /// The message that offers one: for [`channel::Channel::offer`].
    pub fn offer(channel: ChannelId, id: HtlcId, amount: Msat, toll: &Toll) -> Message {
        let amount = amount.0.to_be_bytes();
        message(OFFER, channel, id, &[&amount[..], &toll.terms()].concat())
    }
}

impl Resolver for TollResolver {
    fn kind(&self) -> Kind {
        TOLL
    }

    fn template(&self) -> Arc<dyn Template> {
        Arc::new(TollTemplate)
    }

    fn feature(&self) -> Option<u16> {
        Some(FEATURE)
    }

    fn bounds(&self) -> Bounds {
        let [amount_min, amount_max] =
            [TOLL_SAT_MIN, TOLL_SAT_MAX].map(|it| Msat(it.0.saturating_mul(1_000)));
        Bounds { amount_min, amount_max, count_max: TOLLS_MAX }
    }

    fn read(&self, message: &Message) -> Result<Option<Said>, Violation> {
        let Message::Unknown(unnamed) = message else { return Ok(None) };
        if !MESSAGES.holds(unnamed.message_type()) {
            return Ok(None);
        }
        let payload = unnamed.payload();
        let short = |want| Violation::Contract(Flaw::Length { got: payload.len(), want });
        let (_channel, rest) = payload.split_first_chunk::<32>().ok_or(short(40))?;
        let (id, rest) = rest.split_first_chunk().ok_or(short(40))?;
        let id = HtlcId(u64::from_be_bytes(*id));
        if unnamed.message_type() == END {
            let end = match rest.len() {
                0 => End::Cancelled(Blob(Vec::new())),
                WORD_BYTES => End::Opened(rest.to_vec()),
                _ => return Err(short(40 + WORD_BYTES)),
            };
            return Ok(Some(Said::End { id, end }));
        }
        let (amount, terms) = rest.split_first_chunk().ok_or(short(70))?;
        let contract = TollTemplate.read(terms).map_err(Violation::Contract)?;
        Ok(Some(Said::Add { id, amount: Msat(u64::from_be_bytes(*amount)), contract }))
    }

    fn end(&self, channel: ChannelId, id: HtlcId, end: &End) -> Option<Message> {
        match end {
            End::Opened(word) => Some(message(END, channel, id, word)),
            End::Cancelled(Blob(why)) if why.is_empty() => Some(message(END, channel, id, &[])),
            End::Cancelled(_) | End::Fulfilled(_) | End::Failed(_) | End::Malformed { .. } => None,
        }
    }

    fn deadline(&self, contract: &dyn Contract) -> Deadline {
        Deadline::After(BlockCount(contract.order()))
    }
}

fn message(message_type: u16, channel: ChannelId, id: HtlcId, rest: &[u8]) -> Message {
    let payload = [&channel.0[..], &id.0.to_be_bytes(), rest].concat();
    Message::Unknown(Unnamed::new(message_type, payload).expect("it is odd, and nobody else's"))
}
