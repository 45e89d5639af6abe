//! What people watch: kept with what was found, until they say that it is enough.

use chain::{Chain, Event as Heard, Fault, Height, Watch};

use super::{Change, Event, Hit, PEOPLE, Treasury};

impl Treasury {
    /// Attaches people with their saved cursor and watches.
    pub(super) fn attach_people(&self, chain: &mut Chain) -> Result<(), Fault> {
        let cursor = self.state.cursor.unwrap_or(chain.headers().first());
        let cursor = chain.attach(PEOPLE, Some(cursor))?;
        let behind = Height(cursor.height.0.saturating_add(1));
        for (watch, watched) in &self.state.watches {
            chain.watch(PEOPLE, watch.clone(), watched.from.unwrap_or(behind))?;
        }
        Ok(())
    }

    pub(super) fn people_hear(&mut self, event: Heard) {
        match event {
            Heard::Connected { block, found } => {
                let hits = found.into_iter().map(hit).collect::<Vec<_>>();
                self.save(Change::Heard { block, hits: hits.clone() });
                self.tell(Event::Block(block));
                self.tell_found(block, hits);
            }
            Heard::Disconnected { block, cursor } => {
                let mut gone = Vec::new();
                for (watch, watched) in &self.state.watches {
                    let hits = watched.hits.iter().filter(|(at, _)| at.height > cursor.height);
                    gone.extend(hits.map(|(at, hit)| (*at, watch.clone(), *hit)));
                }
                self.save(Change::Unheard { cursor });
                for (block, watch, hit) in gone {
                    self.tell(Event::FoundGone { block, watch, hit });
                }
                self.tell(Event::BlockGone(block));
            }
            Heard::Found { block, found } => {
                // A search that a restart cut short finds the same once more.
                let known = |(watch, hit): &(Watch, Hit)| {
                    let watched = self.state.watches.get(watch);
                    watched.is_some_and(|watched| watched.hits.contains(&(block, *hit)))
                };
                let hits: Vec<_> = found.into_iter().map(hit).filter(|hit| !known(hit)).collect();
                if !hits.is_empty() {
                    self.save(Change::Found { block, hits: hits.clone() });
                    self.tell_found(block, hits);
                }
            }
            Heard::Searched { watch } => {
                // After a restart it is said again of each.
                let watched = self.state.watches.get(&watch);
                if watched.is_some_and(|watched| watched.from.is_some()) {
                    self.save(Change::Searched { watch });
                }
            }
        }
    }

    fn tell_found(&mut self, block: chain::BlockRef, hits: Vec<(Watch, Hit)>) {
        for (watch, hit) in hits {
            self.tell(Event::Found { block, watch, hit });
        }
    }
}

fn hit(found: chain::Found) -> (Watch, Hit) {
    let txid = found.transaction.compute_txid();
    (found.watch, Hit { txid, part: found.part })
}
