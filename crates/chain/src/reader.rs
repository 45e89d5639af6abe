//! One user: how far it has heard, and what it watches.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use bitcoin::{OutPoint, ScriptBuf, Transaction};

use crate::{
    api::{BlockRef, Found, FoundIn, Height, Watch},
    fault::Fault,
};

/// Watches of one user.
pub const WATCHES_MAX: usize = 1_000_000;

/// A user's end.
pub(crate) struct Reader {
    /// The last block that it has heard of.
    pub(crate) cursor: BlockRef,
    spends: BTreeSet<OutPoint>,
    pays: BTreeSet<ScriptBuf>,
    /// Searches in blocks up to the cursor, for watches that came later.
    pub(crate) searches: VecDeque<Search>,
}

/// Looks for some watches in blocks of the past.
pub(crate) struct Search {
    pub(crate) next: Height,
    pub(crate) last: Height,
    pub(crate) watches: BTreeSet<Watch>,
}

/// A block's transactions, ready to be looked through by many.
pub(crate) struct Scanned {
    pub(crate) block: BlockRef,
    pub(crate) transactions: Vec<Arc<Transaction>>,
}

impl Reader {
    pub(crate) const fn new(cursor: BlockRef) -> Self {
        Self { cursor, spends: BTreeSet::new(), pays: BTreeSet::new(), searches: VecDeque::new() }
    }

    /// Watches from a height on; blocks up to the cursor are searched. To watch again changes
    /// nothing.
    pub(crate) fn watch(&mut self, watch: Watch, from: Height) -> Result<(), Fault> {
        let (have, max) = (self.spends.len() + self.pays.len(), WATCHES_MAX);
        if have >= max {
            return Err(Fault::Full { have, max });
        }
        let is_new = match &watch {
            Watch::Spend(outpoint) => self.spends.insert(*outpoint),
            Watch::Pay(script) => self.pays.insert(script.clone()),
        };
        if !is_new {
            return Ok(());
        }
        if from <= self.cursor.height {
            let last = self.cursor.height;
            // Watches that come together are searched together.
            match self.searches.back_mut() {
                Some(search) if (search.next, search.last) == (from, last) => {
                    search.watches.insert(watch);
                }
                _ => {
                    let watches = BTreeSet::from([watch]);
                    self.searches.push_back(Search { next: from, last, watches });
                }
            }
        }
        Ok(())
    }

    pub(crate) fn unwatch(&mut self, watch: &Watch) {
        match watch {
            Watch::Spend(outpoint) => self.spends.remove(outpoint),
            Watch::Pay(script) => self.pays.remove(script),
        };
        for search in &mut self.searches {
            search.watches.remove(watch);
        }
        self.searches.retain(|search| !search.watches.is_empty());
    }

    pub(crate) fn watches(&self) -> usize {
        self.spends.len() + self.pays.len()
    }

    /// The next block that it needs; its searches come first.
    pub(crate) fn needs(&self, tip: Height) -> Option<Height> {
        match self.searches.front() {
            Some(search) => Some(search.next),
            None => (self.cursor.height < tip).then_some(Height(self.cursor.height.0 + 1)),
        }
    }

    /// Nothing above this height is in the chain any more.
    pub(crate) fn cut(&mut self, above: Height) {
        for search in &mut self.searches {
            search.last = search.last.min(above);
        }
    }

    /// All that a block has of what is watched.
    pub(crate) fn find(&self, block: &Scanned) -> Vec<Found> {
        find(block, |watch| match watch {
            Wanted::Spend(outpoint) => self.spends.contains(outpoint),
            Wanted::Pay(script) => self.pays.contains(script),
        })
    }
}

impl Search {
    pub(crate) fn find(&self, block: &Scanned) -> Vec<Found> {
        let mut spends = BTreeSet::new();
        let mut pays = BTreeMap::new();
        for watch in &self.watches {
            match watch {
                Watch::Spend(outpoint) => {
                    spends.insert(*outpoint);
                }
                Watch::Pay(script) => {
                    pays.insert(script.as_script(), ());
                }
            }
        }
        find(block, |watch| match watch {
            Wanted::Spend(outpoint) => spends.contains(outpoint),
            Wanted::Pay(script) => pays.contains_key(script.as_script()),
        })
    }
}

enum Wanted<'a> {
    Spend(&'a OutPoint),
    Pay(&'a ScriptBuf),
}

fn find(block: &Scanned, wanted: impl Fn(Wanted<'_>) -> bool) -> Vec<Found> {
    let mut found = Vec::new();
    for (position, transaction) in (0_u32..).zip(&block.transactions) {
        let mut add = |watch, part| {
            let transaction = Arc::clone(transaction);
            found.push(Found { watch, transaction, position, part });
        };
        for (at, input) in (0_u32..).zip(&transaction.input) {
            if wanted(Wanted::Spend(&input.previous_output)) {
                add(Watch::Spend(input.previous_output), FoundIn::Input(at));
            }
        }
        for (at, output) in (0_u32..).zip(&transaction.output) {
            if wanted(Wanted::Pay(&output.script_pubkey)) {
                add(Watch::Pay(output.script_pubkey.clone()), FoundIn::Output(at));
            }
        }
    }
    found
}
