//! The handshakes under way: in memory, a few seconds each, never more than fit.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Display};

use noise::{Answer, Ask, EphemeralKey, Exchange, Fault, IdentityKey};
use static_assertions::assert_not_impl_any;
use wire::tick::{Millis, Tick};

use crate::api::{ConnectionId, Refusal};
use crate::secret::burning;

assert_not_impl_any!(Handshakes: Clone, Copy, Debug, Display);

/// How long a handshake may take from its first question. Then it is wiped.
pub const HANDSHAKE_MS_MAX: Millis = Millis(10_000);
/// Connections that are remembered at once, under way or just answered.
pub const HANDSHAKES_MAX: usize = 16_384;

/// Names a link to the signer. The shell gives each link a number of its own and never the same one
/// again: so no link can meddle with another one's connections, nor with those before a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// A connection, of whichever link.
type Place = (LinkId, ConnectionId);

/// What is remembered of connections. A connection that has had its answers is remembered as spent
/// until its time is over, or until its room is needed.
#[derive(Default)]
pub(crate) struct Handshakes {
    known: BTreeMap<Place, Known>,
    /// All of `known`: the spent ones first, and each kind from the oldest on.
    order: BTreeSet<(Stage, Tick, Place)>,
}

struct Known {
    began: Tick,
    /// Nothing once it is spent.
    exchange: Option<Exchange>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Spent,
    UnderWay,
}

impl Known {
    fn stage(&self) -> Stage {
        if self.exchange.is_some() { Stage::UnderWay } else { Stage::Spent }
    }
}

impl Handshakes {
    /// One step of one handshake. What is refused changes nothing, except for an act that is bad:
    /// that is an answer too, and the only one.
    pub(crate) fn answer(
        &mut self,
        place: Place,
        ask: Ask,
        key: &IdentityKey,
        now: Tick,
        ephemeral: impl FnOnce() -> EphemeralKey,
    ) -> Result<Answer, Refusal> {
        let (began, mut exchange) = match self.take(place) {
            Some(Known { exchange: Some(exchange), began }) => (Some(began), exchange),
            Some(spent) => {
                self.put(place, spent);
                return Ok(Answer::Refused(Fault::NotNow { state: "spent", ask: ask.name() }));
            }
            None => {
                if let Ask::Dial { .. } | Ask::Respond { .. } = ask {
                    self.make_room(place)?;
                }
                (None, Exchange::new())
            }
        };
        let answer = burning(|| exchange.answer(ask, key, ephemeral));
        let (began, exchange) = match (&answer, began) {
            (Answer::Dialed { .. } | Answer::Responded { .. }, _) => (now, Some(exchange)),
            (Answer::Refused(Fault::NotNow { .. }), Some(began)) => (began, Some(exchange)),
            (Answer::Refused(Fault::NotNow { .. }), None) => return Ok(answer),
            (Answer::Finished { .. } | Answer::Verified { .. } | Answer::Refused(_), began) => {
                (began.unwrap_or(now), None)
            }
        };
        self.put(place, Known { began, exchange });
        Ok(answer)
    }

    /// Wipes what is kept of a connection, but not that it was there.
    pub(crate) fn forget(&mut self, place: Place) {
        if let Some(known) = self.take(place) {
            self.put(place, Known { exchange: None, ..known });
        }
    }

    /// Forgets all connections of a link.
    pub(crate) fn unlink(&mut self, link: LinkId) {
        let range = (link, ConnectionId(0))..=(link, ConnectionId(u64::MAX));
        let gone: Vec<Place> = self.known.range(range).map(|(place, _)| *place).collect();
        for place in gone {
            self.take(place);
        }
    }

    /// Forgets every connection whose time is over.
    pub(crate) fn expire(&mut self, now: Tick) {
        for stage in [Stage::Spent, Stage::UnderWay] {
            while let Some((began, place)) = self.oldest(stage)
                && now.since(began) >= HANDSHAKE_MS_MAX
            {
                self.take(place);
            }
        }
    }

    /// When the next handshake's time is over.
    pub(crate) fn next_expiry(&self) -> Option<Tick> {
        self.oldest(Stage::UnderWay).map(|(began, _)| began + HANDSHAKE_MS_MAX)
    }

    /// How many handshakes are under way.
    pub(crate) fn under_way(&self) -> usize {
        self.known.values().filter(|known| known.stage() == Stage::UnderWay).count()
    }

    /// Room for one more: the oldest spent connection makes it.
    fn make_room(&mut self, (_, connection): Place) -> Result<(), Refusal> {
        let have = self.known.len();
        if have < HANDSHAKES_MAX {
            return Ok(());
        }
        let (_, spent) = self.oldest(Stage::Spent).ok_or(Refusal::Busy {
            connection,
            have,
            max: HANDSHAKES_MAX,
        })?;
        self.take(spent);
        Ok(())
    }

    fn oldest(&self, stage: Stage) -> Option<(Tick, Place)> {
        let start = (stage, Tick(0), (LinkId(0), ConnectionId(0)));
        let (found, began, place) = self.order.range(start..).next()?;
        (*found == stage).then_some((*began, *place))
    }

    fn take(&mut self, place: Place) -> Option<Known> {
        let known = self.known.remove(&place)?;
        self.order.remove(&(known.stage(), known.began, place));
        Some(known)
    }

    fn put(&mut self, place: Place, known: Known) {
        self.order.insert((known.stage(), known.began, place));
        self.known.insert(place, known);
    }
}
