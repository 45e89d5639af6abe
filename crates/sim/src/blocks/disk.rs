//! What a node has saved, and what is to be true of it.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{Network, Transaction, Txid};
use chain::{BlockRef, Height, PublishChange, PublishState, Watch};
use node::services::{
    saved,
    treasury::{Change, Hit, Saved, SavedWallet, State},
};

pub(crate) use crate::record::{Core, Record};

/// A rule that was broken.
pub(crate) type Broken = String;

/// A sum, and the changes since then.
type Kept = (Option<Vec<u8>>, Vec<Vec<u8>>);

/// What is durable.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    cores: BTreeMap<Core, Kept>,
}

/// What people want to be watched, as far as they know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    Yes(Height),
    No,
    /// They asked, and nobody has replied yet, or ever will.
    Unknown(Height),
}

/// What people, wallet and source know of each other.
#[derive(Default)]
pub(crate) struct Truth {
    pub(crate) wants: BTreeMap<Watch, Want>,
    /// What was told, and is not gone.
    pub(crate) told: BTreeSet<(BlockRef, Watch, Hit)>,
    /// What people were told to be on its way.
    pub(crate) sent: BTreeSet<Txid>,
    /// All that was ever published.
    pub(crate) published: BTreeMap<Txid, Transaction>,
    /// What a source has refused for ever.
    pub(crate) refused: BTreeSet<Txid>,
    pub(crate) found: u64,
}

fn own(bytes: &[u8]) -> Result<Change, Broken> {
    let change = Change::decode(bytes).map_err(|fault| fault.to_string())?;
    change.ok_or_else(|| "a change that its own version passes over".to_owned())
}

impl Disk {
    pub(crate) fn commit(&mut self, records: &[Record], truth: &mut Truth) -> Result<(), Broken> {
        for record in records {
            match record {
                Record::Snapshot(core, bytes) => {
                    self.cores.insert(*core, (Some(bytes.clone()), Vec::new()));
                }
                Record::Change(core, bytes) => {
                    self.cores.entry(*core).or_default().1.push(bytes.clone());
                    if *core == Core::Treasury {
                        truth.saved(&own(bytes)?);
                    }
                }
            }
        }
        Ok(())
    }

    fn of(&self, core: Core) -> Kept {
        self.cores.get(&core).cloned().unwrap_or_default()
    }

    /// What people's part of it is.
    pub(crate) fn state(&self) -> Result<State, Broken> {
        let (snapshot, changes) = self.of(Core::Treasury);
        let snapshot = snapshot.unwrap_or_default();
        let mut state = State::default();
        let of_snapshot = saved::split(&snapshot).map_err(|fault| fault.to_string())?;
        for bytes in of_snapshot.into_iter().chain(changes.iter().map(|it| &it[..])) {
            state.evolve(&own(bytes)?, Network::Regtest);
        }
        Ok(state)
    }

    pub(crate) fn published(&self) -> Result<PublishState, Broken> {
        let (snapshot, changes) = self.of(Core::Publisher);
        let mut state = PublishState::decode(&snapshot.unwrap_or_default())
            .map_err(|fault| fault.to_string())?;
        for bytes in changes {
            let change = PublishChange::decode(&bytes).map_err(|fault| fault.to_string())?;
            state.evolve(&change.ok_or("a change that its own version passes over")?);
        }
        Ok(state)
    }

    /// What a node starts from.
    pub(crate) fn restore(&self) -> Result<Saved, Broken> {
        let (snapshot, changes) = self.of(Core::Wallet);
        let wallet = SavedWallet { snapshot, changes };
        Ok(Saved { own: self.state()?, publisher: self.published()?, wallet, owed: Vec::new() })
    }
}

impl Truth {
    fn saved(&mut self, change: &Change) {
        match change {
            Change::Unheard { cursor } => {
                self.told.retain(|(block, ..)| block.height <= cursor.height);
            }
            Change::Unwatched { watch } => self.told.retain(|(_, told, _)| told != watch),
            Change::Born { .. }
            | Change::Headers(_)
            | Change::Heard { .. }
            | Change::Found { .. }
            | Change::Watched { .. }
            | Change::Searched { .. }
            | Change::LeftOut { .. }
            | Change::Account { .. }
            | Change::Named { .. }
            | Change::Unnamed { .. }
            | Change::Leased { .. } => {}
        }
    }

    /// People hear of something.
    pub(crate) fn tell(&mut self, block: BlockRef, watch: Watch, hit: Hit) -> Result<(), Broken> {
        self.found += 1;
        match self.told.insert((block, watch.clone(), hit)) {
            true => Ok(()),
            false => Err(format!("{watch:?} was told twice to be found in {block}")),
        }
    }

    /// A node starts with this: has it lost anything?
    pub(crate) fn starts(&mut self, state: &State) -> Result<(), Broken> {
        for (watch, want) in &mut self.wants {
            let is_watched = state.watches.contains_key(watch);
            match *want {
                Want::Yes(_) if !is_watched => return Err(format!("{watch:?} was lost")),
                Want::No if is_watched => return Err(format!("{watch:?} has come back")),
                Want::Yes(_) | Want::No => {}
                // Either may be.
                Want::Unknown(from) => *want = if is_watched { Want::Yes(from) } else { Want::No },
            }
        }
        Ok(())
    }
}
