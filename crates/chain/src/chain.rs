//! The chain and its users.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use bitcoin::{Block, BlockHash, block::Header};

use crate::{
    api::{Ask, BlockRef, Event, Height, User, Watch},
    fault::{BlockFault, Fault, HeaderFault},
    headers::{Change, Headers, Verdict},
    reader::{Reader, Scanned},
};

/// Blocks asked for at once.
const ASKED_MAX: usize = 8;
/// Blocks kept for users that need them next.
const KEPT_MAX: usize = 16;

/// Follows a chain for its users.
///
/// Poll shape: ask what [`Chain::poll`] says and give the answers; save what [`Chain::change`]
/// gives before anything else is done; pass [`Chain::event`] on.
pub struct Chain {
    headers: Headers,
    readers: BTreeMap<User, Reader>,
    asked: BTreeSet<BlockRef>,
    kept: BTreeMap<Height, Arc<Scanned>>,
    asks: VecDeque<Ask>,
    events: VecDeque<(User, Event)>,
    changes: VecDeque<Change>,
}

impl Chain {
    /// Goes on with these headers. Users attach themselves again.
    pub const fn new(headers: Headers) -> Self {
        Self {
            headers,
            readers: BTreeMap::new(),
            asked: BTreeSet::new(),
            kept: BTreeMap::new(),
            asks: VecDeque::new(),
            events: VecDeque::new(),
            changes: VecDeque::new(),
        }
    }

    /// The headers.
    pub const fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The next question for the source.
    pub fn poll(&mut self) -> Option<Ask> {
        self.asks.pop_front()
    }

    /// The next thing to save, in order.
    pub fn change(&mut self) -> Option<Change> {
        self.changes.pop_front()
    }

    /// What a user hears next, in order.
    pub fn event(&mut self) -> Option<(User, Event)> {
        self.events.pop_front()
    }

    /// A user is there. It hears what comes behind its cursor, or behind the tip if it has none.
    /// If its last block is not in the chain any more it hears that first.
    pub fn attach(&mut self, user: User, cursor: Option<BlockRef>) -> Result<BlockRef, Fault> {
        let mut at = cursor.unwrap_or_else(|| self.headers.tip());
        let mut gone = Vec::new();
        while !self.headers.has(at) {
            let unknown = Fault::UnknownCursor { user, cursor: at };
            let before = self.headers.before_stale(at).ok_or(unknown)?;
            gone.push((user, Event::Disconnected { block: at, cursor: before }));
            at = before;
        }
        self.events.extend(gone);
        self.readers.insert(user, Reader::new(at));
        self.advance();
        Ok(at)
    }

    /// A user watches for something, from this height on.
    pub fn watch(&mut self, user: User, watch: Watch, from: Height) -> Result<(), Fault> {
        let min = Height(self.headers.first().height.0 + 1);
        let reader = self.readers.get_mut(&user).ok_or(Fault::UnknownUser { user })?;
        if from < min && from <= reader.cursor.height {
            return Err(Fault::TooOld { got: from, min });
        }
        reader.watch(watch, from)?;
        self.advance();
        Ok(())
    }

    /// It does not any more.
    pub fn unwatch(&mut self, user: User, watch: &Watch) {
        if let Some(reader) = self.readers.get_mut(&user) {
            reader.unwatch(watch);
        }
    }

    /// How much a user watches.
    pub fn watches(&self, user: User) -> usize {
        self.readers.get(&user).map_or(0, Reader::watches)
    }

    /// The source has another tip. It may be weaker than ours, or a lie.
    pub fn handle_tip(&mut self, hash: BlockHash) {
        if self.headers.tip().hash != hash {
            self.asks.push_back(Ask::Headers { locator: self.headers.locator() });
        }
    }

    /// The source has given headers.
    pub fn handle_headers(&mut self, headers: &[Header]) -> Result<Result<(), Fault>, HeaderFault> {
        let (above, headers) = match self.headers.judge(headers)? {
            Ok(Verdict::Adopt { above, headers }) => (above, headers),
            Ok(Verdict::Weaker) => return Ok(Ok(())),
            Err(fault) => return Ok(Err(fault)),
        };
        let more = headers.len() >= crate::headers::HEADERS_MAX / 2;
        while self.headers.tip().height > above {
            self.disconnect();
        }
        for header in headers {
            self.change_by(Change::Connected(header));
        }
        if more {
            self.asks.push_back(Ask::Headers { locator: self.headers.locator() });
        }
        self.advance();
        Ok(Ok(()))
    }

    fn disconnect(&mut self) {
        let block = self.headers.tip();
        self.change_by(Change::Disconnected);
        let tip = self.headers.tip();
        self.kept.remove(&block.height);
        self.asked.remove(&block);
        for (user, reader) in &mut self.readers {
            reader.cut(tip.height);
            if reader.cursor == block {
                reader.cursor = tip;
                self.events.push_back((*user, Event::Disconnected { block, cursor: tip }));
            }
        }
        self.end_searches();
    }

    fn change_by(&mut self, change: Change) {
        self.headers.evolve(&change);
        self.changes.push_back(change);
    }

    /// The source has given a block.
    pub fn handle_block(&mut self, block: Block) -> Result<(), BlockFault> {
        let got = block.block_hash();
        let asked = self.asked.iter().find(|asked| asked.hash == got).copied();
        let at = asked.ok_or(BlockFault::Unasked { got })?;
        if !block.check_merkle_root() {
            return Err(BlockFault::MerkleRoot { block: at });
        }
        if !block.check_witness_commitment() {
            return Err(BlockFault::Witness { block: at });
        }
        self.asked.remove(&at);
        let transactions = block.txdata.into_iter().map(Arc::new).collect();
        self.kept.insert(at.height, Arc::new(Scanned { block: at, transactions }));
        self.advance();
        Ok(())
    }

    /// The source cannot give what it was asked for, or has changed: all is asked again.
    pub fn handle_source_lost(&mut self) {
        self.asks.clear();
        self.asked.clear();
        self.asks.push_back(Ask::Headers { locator: self.headers.locator() });
        self.advance();
    }

    /// Tells what can be told, and asks for what is missing.
    fn advance(&mut self) {
        let tip = self.headers.tip().height;
        let users: Vec<User> = self.readers.keys().copied().collect();
        for user in users {
            while self.step(user, tip) {}
        }
        self.end_searches();
        let needed: BTreeSet<Height> =
            self.readers.values().filter_map(|reader| reader.needs(tip)).collect();
        let lowest = needed.first().copied();
        for from in needed {
            for height in from.0..=tip.0.min(from.0 + ASKED_MAX as u32 / 2) {
                self.ask(Height(height));
            }
        }
        while self.kept.len() > KEPT_MAX {
            // Whoever is furthest behind needs the lowest next.
            let is_needed = |height: &Height| Some(*height) >= lowest;
            let unneeded = self.kept.keys().find(|height| !is_needed(height)).copied();
            match unneeded {
                Some(height) => self.kept.remove(&height),
                None => self.kept.pop_last().map(|(_, block)| block),
            };
        }
    }

    fn ask(&mut self, height: Height) {
        if self.kept.contains_key(&height) || self.asked.len() >= ASKED_MAX {
            return;
        }
        if let Some(block) = self.headers.at(height)
            && self.asked.insert(block)
        {
            self.asks.push_back(Ask::Block { block });
        }
    }

    /// One block for one user, if it is there.
    fn step(&mut self, user: User, tip: Height) -> bool {
        let Some(reader) = self.readers.get_mut(&user) else { return false };
        let Some(scanned) = reader.needs(tip).and_then(|height| self.kept.get(&height)) else {
            return false;
        };
        let block = scanned.block;
        let Some(search) = reader.searches.front_mut() else {
            let found = reader.find(scanned);
            reader.cursor = block;
            self.events.push_back((user, Event::Connected { block, found }));
            return true;
        };
        let found = search.find(scanned);
        search.next = Height(search.next.0 + 1);
        if !found.is_empty() {
            self.events.push_back((user, Event::Found { block, found }));
        }
        end_searches(user, reader, &mut self.events);
        true
    }

    fn end_searches(&mut self) {
        for (user, reader) in &mut self.readers {
            end_searches(*user, reader, &mut self.events);
        }
    }
}

/// Says which searches are through.
fn end_searches(user: User, reader: &mut Reader, events: &mut VecDeque<(User, Event)>) {
    while let Some(search) = reader.searches.front()
        && search.next > search.last
    {
        let Some(search) = reader.searches.pop_front() else { return };
        let searched = |watch| (user, Event::Searched { watch });
        events.extend(search.watches.into_iter().map(searched));
    }
}
