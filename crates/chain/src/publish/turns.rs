//! When what is published, which of several that spend the same, and what is told of it.

use super::*;

/// Behind every other key.
pub(super) const LAST: Key = Key { user: User(u32::MAX), id: PublicationId(u64::MAX) };

impl Publisher {
    /// Published at this time, or at once if it was to be earlier.
    pub(super) fn schedule(&mut self, key: Key, at: Tick) {
        let Some(publication) = self.state.publications.get(&key) else { return };
        let Some(life) = self.lives.get_mut(&key) else { return };
        if life.asked.is_some() {
            life.again = true;
            return;
        }
        let seq = publication.seq;
        if let Some(due) = life.due {
            if due <= at {
                return;
            }
            self.due.remove(&(due, seq, key));
        }
        life.due = Some(at);
        self.due.insert((at, seq, key));
    }

    pub(super) fn unschedule(&mut self, key: Key) {
        let Some(publication) = self.state.publications.get(&key) else { return };
        let due = self.lives.get_mut(&key).and_then(|life| life.due.take());
        if let Some(due) = due {
            self.due.remove(&(due, publication.seq, key));
        }
    }

    /// Asks for what is due.
    pub(super) fn dispatch(&mut self, now: Tick) {
        while self.asked.len() < ATTEMPTS_MAX
            && let Some(&(at, _, key)) = self.due.first()
            && at <= now
        {
            self.unschedule(key);
            let publication = self.state.publications.get(&key);
            if publication.and_then(Publication::pending).is_none() {
                continue;
            }
            let Some((places, package)) = self.in_place(key) else {
                self.schedule(key, now + Millis(REBROADCAST_MS));
                continue;
            };
            let attempt = Attempt(self.attempts);
            self.attempts += 1;
            self.asked.insert(attempt, (key, now + Millis(ATTEMPT_MS_MAX)));
            if let Some(life) = self.lives.get_mut(&key) {
                life.asked = Some(attempt);
                life.asked_for = places;
                life.told = true;
            }
            self.asks.push_back(Ask::Publish { attempt, package });
        }
    }

    /// Other publications with another transaction that spends the same as one of this.
    fn rivals(&self, key: Key) -> BTreeSet<Key> {
        let Some(this) = self.state.publications.get(&key) else { return BTreeSet::new() };
        let mut rivals = BTreeSet::new();
        for (nth, _, outpoint) in this.outpoints() {
            let txid = this.txids.get(usize::from(nth));
            let others = self.watched.get(&outpoint).map(|it| &it.by);
            for (other, nth, _) in others.into_iter().flatten() {
                let publication = self.state.publications.get(other);
                let other_txid = publication.and_then(|it| it.txids.get(usize::from(*nth)));
                if *other != key && other_txid != txid {
                    rivals.insert(*other);
                }
            }
        }
        rivals
    }

    fn seq(&self, key: Key) -> Option<u64> {
        self.state.publications.get(&key).map(|it| it.seq)
    }

    /// What of it is in no block, and has not lost its place to a later one that the source has.
    fn in_place(&self, key: Key) -> Option<(BTreeSet<u8>, Package)> {
        let publication = self.state.publications.get(&key)?;
        let standings = publication.standings();
        let mut places: BTreeSet<u8> = (0..).zip(&standings).map(|(nth, _)| nth).collect();
        places.retain(|nth| standings.get(usize::from(*nth)) == Some(&Standing::Pending));
        for (nth, _, outpoint) in publication.outpoints() {
            let txid = publication.txids.get(usize::from(nth));
            let by = self.watched.get(&outpoint).map(|it| &it.by);
            let takes = |(other, place, _): &(Key, u8, u32)| {
                let has_it = self.lives.get(other).is_some_and(|life| life.has(*place));
                let other = self.state.publications.get(other).filter(|_| has_it);
                other.is_some_and(|other| {
                    let place = usize::from(*place);
                    let pending = other.standings().get(place) == Some(&Standing::Pending);
                    other.seq > publication.seq && other.txids.get(place) != txid && pending
                })
            };
            if by.into_iter().flatten().any(takes) {
                // A child loses its place with its parent.
                places.retain(|place| *place < nth);
            }
        }
        let is_in = |nth: usize| places.iter().any(|it| usize::from(*it) == nth);
        let package = publication.package.only(is_in)?;
        Some((places, package))
    }

    /// The source has taken this one: earlier ones that spend the same have lost their place.
    /// What these had displaced has another chance.
    pub(super) fn rivals_stand_back(&mut self, key: Key, now: Tick) {
        let seq = self.seq(key);
        for rival in self.rivals(key) {
            if self.seq(rival) > seq {
                continue;
            }
            let Some((nth, transaction, by)) = self.clash(rival, key) else { continue };
            let Some(life) = self.lives.get_mut(&rival) else { continue };
            let has_lost = life.loses(nth);
            if !std::mem::replace(&mut life.replaced, true) {
                let event = PublishEvent::Replaced { transaction, by, block: None };
                self.events.push_back((rival, event));
            }
            if has_lost {
                self.earlier_come_back(rival, now);
            }
        }
    }

    /// This one has lost its place: earlier ones have another chance.
    pub(super) fn rivals_come_back(&mut self, key: Key, now: Tick) {
        self.come_back(self.rivals(key), now);
    }

    /// The same, only for those that were published before it.
    pub(super) fn earlier_come_back(&mut self, key: Key, now: Tick) {
        let (mut earlier, seq) = (self.rivals(key), self.seq(key));
        earlier.retain(|rival| self.seq(*rival) < seq);
        self.come_back(earlier, now);
    }

    fn come_back(&mut self, keys: BTreeSet<Key>, now: Tick) {
        for key in keys {
            if let Some(life) = self.lives.get_mut(&key) {
                life.replaced = false;
                self.schedule(key, now);
            }
        }
    }

    /// Two transactions in no block that spend the same: the first such one of a publication and
    /// its place, and one that the source has of another.
    fn clash(&self, one: Key, other: Key) -> Option<(u8, bitcoin::Txid, bitcoin::Txid)> {
        let life = self.lives.get(&other)?;
        let both = (self.state.publications.get(&one)?, self.state.publications.get(&other)?);
        let standings = [both.0.standings(), both.1.standings()];
        let pending =
            |one: usize, nth: u8| standings[one].get(usize::from(nth)) == Some(&Standing::Pending);
        let spent = |outpoint| {
            let mut inputs = both.1.outpoints();
            let (nth, ..) = inputs.find(|(_, _, it)| *it == outpoint)?;
            (pending(1, nth) && life.has(nth))
                .then(|| both.1.txids.get(usize::from(nth)).copied())?
        };
        both.0.outpoints().find_map(|(nth, _, outpoint)| {
            let by = spent(outpoint)?;
            let transaction = *both.0.txids.get(usize::from(nth))?;
            (pending(0, nth) && transaction != by).then_some((nth, transaction, by))
        })
    }

    /// What has changed in blocks since it stood like this.
    pub(super) fn tell(&mut self, key: Key, before: &[Standing]) {
        let Some(publication) = self.state.publications.get(&key) else { return };
        let after = publication.standings();
        let changed = before.iter().zip(&after).zip(&publication.txids);
        for ((before, after), &transaction) in changed {
            if before == after {
                continue;
            }
            let gone = match *before {
                Standing::Pending => None,
                Standing::Confirmed(block) => {
                    Some(PublishEvent::Unconfirmed { transaction, block })
                }
                Standing::Replaced { .. } => Some(PublishEvent::Restored { transaction }),
            };
            let come = match *after {
                Standing::Pending => None,
                Standing::Confirmed(block) => Some(PublishEvent::Confirmed { transaction, block }),
                Standing::Replaced { block, by } => {
                    let block = Some(block);
                    Some(PublishEvent::Replaced { transaction, by, block })
                }
            };
            let events = [gone, come].into_iter().flatten();
            self.events.extend(events.map(|event| (key, event)));
        }
    }

    /// What the source has said.
    pub(super) fn tell_said(&mut self, key: Key) {
        let event = match self.lives.get(&key).map(|life| &life.said) {
            Some(Said::Yes(_)) => PublishEvent::Accepted,
            Some(Said::No(reason)) => {
                let cure = reason.cure();
                PublishEvent::Refused { reason: reason.clone(), cure }
            }
            Some(Said::Nothing) | None => return,
        };
        self.events.push_back((key, event));
    }

    pub(super) fn tell_again(&mut self, key: Key) {
        let count = self.state.publications.get(&key).map_or(0, |it| it.txids.len());
        self.tell(key, &vec![Standing::Pending; count]);
        if self.state.publications.get(&key).and_then(Publication::pending).is_some() {
            self.tell_said(key);
        }
    }
}

impl Said {
    /// The other one is a yes to something that this one is no yes to.
    pub(super) fn lacks(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Yes(this), Self::Yes(other)) => !other.is_subset(this),
            (Self::No(_) | Self::Nothing, Self::Yes(_)) => true,
            (_, Self::No(_) | Self::Nothing) => false,
        }
    }
}

impl Life {
    /// The source has this one of its transactions, as far as it has said.
    fn has(&self, nth: u8) -> bool {
        matches!(&self.said, Said::Yes(places) if places.contains(&nth))
    }

    /// Which of its transactions the source has, if it says yes to what it was asked for last.
    pub(super) fn taken_now(&self, standings: &[Standing]) -> BTreeSet<u8> {
        let mut places = match &self.said {
            Said::Yes(places) => places.clone(),
            Said::No(_) | Said::Nothing => BTreeSet::new(),
        };
        // What is in a block was not asked for; what has lost its place was not either.
        places.retain(|nth| standings.get(usize::from(*nth)) != Some(&Standing::Pending));
        places.extend(&self.asked_for);
        places
    }

    /// Another one has the place of this transaction, and so of those behind it. Whether the source
    /// had one of them.
    fn loses(&mut self, nth: u8) -> bool {
        let Said::Yes(places) = &mut self.said else {
            self.said = Said::Nothing;
            return false;
        };
        let had = places.len();
        places.retain(|place| *place < nth);
        let has_lost = places.len() < had;
        if places.is_empty() {
            self.said = Said::Nothing;
        }
        has_lost
    }

    /// How long to wait after what the source has said.
    pub(super) fn pause(&self) -> Option<Millis> {
        #[cfg(feature = "planted")]
        if crate::planted::believes_the_source() && matches!(self.said, Said::Yes(_)) {
            return None;
        }
        let (first, max) = match self.cure() {
            None => (REBROADCAST_MS, REBROADCAST_MS_MAX),
            Some(Cure::GiveUp) => return None,
            Some(Cure::Wait | Cure::RaiseFee | Cure::Look) => (RETRY_MS, RETRY_MS_MAX),
        };
        let doubled = first.saturating_mul(1 << self.times.min(32));
        Some(Millis(doubled.min(max)))
    }

    /// What can be done about it, if the source has refused it.
    pub(super) const fn cure(&self) -> Option<Cure> {
        match &self.said {
            Said::No(reason) => Some(reason.cure()),
            Said::Nothing | Said::Yes(_) => None,
        }
    }
}

/// What all of a package weighs.
pub(super) fn weight(package: &Package) -> u64 {
    package.transactions().iter().map(|it| it.weight().to_wu()).sum()
}
