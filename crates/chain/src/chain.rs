//! The chain and its users.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque, btree_map},
    ops::Range,
    sync::Arc,
};

use bitcoin::{Block, BlockHash, Transaction, block::Header};

use crate::{
    api::{Ask, BlockRef, Event, Found, Height, User, Watch},
    fault::{BlockFault, Fault, HeaderFault},
    headers::{Change, Headers, Verdict},
    index::{Hit, Index},
    rules,
    search::{Searcher, Searches},
};

/// Users.
pub const USERS_MAX: usize = 65_536;
/// Watches of one user.
pub const WATCHES_MAX: usize = 1_000_000;
/// Bytes of a script that is watched: a longer one can never be spent.
pub const SCRIPT_BYTES_MAX: usize = 10_000;
/// Blocks asked for at once, for each reason to ask.
const LANE_BLOCKS: u32 = 5;
/// Who is so near to the tip does not wait for those who are further back.
const NEAR_BLOCKS: u32 = 144;
/// Blocks asked for at once: for users near the tip, for those far from it, and for searches.
const ASKED_MAX: usize = 3 * LANE_BLOCKS as usize;
/// Blocks kept for those who need them next.
const KEPT_MAX: usize = ASKED_MAX + 1;

/// Follows a chain for its users.
///
/// Poll shape: ask what [`Chain::poll`] says and give the answers; save what [`Chain::change`]
/// gives before anything else is done; pass [`Chain::event`] on.
///
/// Each block is read once for all users who are at the same place and all searches. Users near
/// the tip come first; of those further back the last one, which takes the others along.
pub struct Chain {
    headers: Headers,
    readers: BTreeMap<User, Reader>,
    /// Who has heard of blocks up to a height.
    places: BTreeMap<Height, BTreeSet<User>>,
    index: Index,
    searches: Searches,
    asked: BTreeSet<BlockRef>,
    /// Blocks that the source does not have: not asked for until somebody says so.
    missing: BTreeSet<BlockRef>,
    kept: BTreeMap<Height, Kept>,
    /// There may be something to tell, or to ask for.
    is_stirred: bool,
    /// Headers are to be asked for, behind what is our chain by then.
    wants_headers: bool,
    asks: VecDeque<Ask>,
    events: VecDeque<(User, Event)>,
    changes: VecDeque<Change>,
}

/// A user's end.
struct Reader {
    /// The last block that it has heard of.
    cursor: BlockRef,
    watches: usize,
}

/// A block, ready to be told to many.
struct Kept {
    block: BlockRef,
    transactions: Vec<Arc<Transaction>>,
    hits: Vec<Hit>,
    /// [`Index::additions`] when it was looked through.
    additions: u64,
}

impl Chain {
    /// Goes on with these headers. Users attach themselves again.
    pub fn new(headers: Headers) -> Self {
        Self {
            headers,
            readers: BTreeMap::new(),
            places: BTreeMap::new(),
            index: Index::default(),
            searches: Searches::default(),
            asked: BTreeSet::new(),
            missing: BTreeSet::new(),
            kept: BTreeMap::new(),
            is_stirred: false,
            wants_headers: false,
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
        self.advance();
        if std::mem::take(&mut self.wants_headers) {
            return Some(Ask::Headers { locator: self.headers.locator() });
        }
        self.asks.pop_front()
    }

    /// The next thing to save, in order.
    pub fn change(&mut self) -> Option<Change> {
        self.changes.pop_front()
    }

    /// What a user hears next, in order.
    pub fn event(&mut self) -> Option<(User, Event)> {
        self.advance();
        self.events.pop_front()
    }

    /// A user is there. It hears what comes behind its cursor, or behind the tip if it has none.
    /// If its last block is not in the chain any more it hears that first. It watches nothing: what
    /// it wants to hear of in the very next block it watches before the chain is polled again.
    pub fn attach(&mut self, user: User, cursor: Option<BlockRef>) -> Result<BlockRef, Fault> {
        let mut at = cursor.unwrap_or_else(|| self.headers.tip());
        let mut gone = Vec::new();
        while !self.headers.has(at) {
            let unknown = Fault::UnknownCursor { user, cursor: at };
            let before = self.headers.before_stale(at).ok_or(unknown)?;
            gone.push((user, Event::Disconnected { block: at, cursor: before }));
            at = before;
        }
        let (have, max) = (self.readers.len(), USERS_MAX);
        if have >= max && !self.readers.contains_key(&user) {
            return Err(Fault::TooManyUsers { have, max });
        }
        self.detach(user);
        self.events.extend(gone);
        self.readers.insert(user, Reader { cursor: at, watches: 0 });
        self.places.entry(at.height).or_default().insert(user);
        self.is_stirred = true;
        Ok(at)
    }

    /// A user is gone, with all that it watches.
    pub fn detach(&mut self, user: User) {
        let Some(reader) = self.readers.remove(&user) else { return };
        self.displace(user, reader.cursor.height);
        self.events.retain(|(whose, _)| *whose != user);
        if reader.watches > 0 {
            self.index.remove_all(user);
            self.searches.remove_all(user);
        }
        self.is_stirred = true;
    }

    fn displace(&mut self, user: User, height: Height) {
        if let Some(users) = self.places.get_mut(&height) {
            users.remove(&user);
            if users.is_empty() {
                self.places.remove(&height);
            }
        }
    }

    /// A user watches for something, from this height on. It hears when all blocks up to its cursor
    /// have been searched, at once if there are none. To watch again from further back searches
    /// what is before; else it changes nothing.
    pub fn watch(&mut self, user: User, watch: Watch, from: Height) -> Result<(), Fault> {
        let min = Height(self.headers.first().height.0 + 1);
        let reader = self.readers.get_mut(&user).ok_or(Fault::UnknownUser { user })?;
        let last = reader.cursor.height;
        if from < min && from <= last {
            return Err(Fault::TooOld { got: from, min });
        }
        if let Watch::Pay(script) = &watch
            && script.len() > SCRIPT_BYTES_MAX
        {
            return Err(Fault::ScriptTooLong { got: script.len(), max: SCRIPT_BYTES_MAX });
        }
        let (have, max) = (reader.watches, WATCHES_MAX);
        if have >= max {
            return Err(Fault::Full { have, max });
        }
        // What comes behind the cursor is heard anyway.
        let next = Height(last.0.saturating_add(1));
        let first = from.min(next);
        let before = self.index.insert(user, &watch, first);
        reader.watches += usize::from(before.is_none());
        let end = before.unwrap_or(next).min(next);
        if first < end {
            self.searches.add(user, watch, first, Height(end.0 - 1));
            self.is_stirred = true;
        } else if before.is_none() || !self.searches.has(user, &watch) {
            self.events.push_back((user, Event::Searched { watch }));
        }
        Ok(())
    }

    /// It does not any more.
    pub fn unwatch(&mut self, user: User, watch: &Watch) {
        if let Some(reader) = self.readers.get_mut(&user)
            && self.index.remove(user, watch)
        {
            reader.watches -= 1;
            self.searches.remove(user, watch);
            // Whoever watches it anew must not take this for the answer.
            let searched =
                |event: &Event| matches!(event, Event::Searched { watch: it } if it == watch);
            self.events.retain(|(whose, event)| *whose != user || !searched(event));
        }
    }

    /// How much a user watches.
    pub fn watches(&self, user: User) -> usize {
        self.readers.get(&user).map_or(0, |reader| reader.watches)
    }

    /// The source has another tip. It may be weaker than ours, or a lie.
    pub fn handle_tip(&mut self, hash: BlockHash) {
        if self.headers.tip().hash != hash {
            self.wants_headers = true;
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
        self.wants_headers |= more;
        self.is_stirred = true;
        Ok(Ok(()))
    }

    fn disconnect(&mut self) {
        let block = self.headers.tip();
        self.change_by(Change::Disconnected);
        let tip = self.headers.tip();
        self.kept.remove(&block.height);
        self.asked.remove(&block);
        self.missing.remove(&block);
        self.asks.retain(|ask| *ask != Ask::Block { block });
        let users = self.places.remove(&block.height).unwrap_or_default();
        for user in &users {
            if let Some(reader) = self.readers.get_mut(user) {
                reader.cursor = tip;
            }
            self.events.push_back((*user, Event::Disconnected { block, cursor: tip }));
        }
        if !users.is_empty() {
            self.places.entry(tip.height).or_default().extend(users);
        }
        let through = self.searches.cut(tip.height);
        self.tell_searched(through);
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
        if !rules::has_its_witnesses(&block) {
            return Err(BlockFault::Witness { block: at });
        }
        self.asked.remove(&at);
        let transactions: Vec<_> = block.txdata.into_iter().map(Arc::new).collect();
        let (hits, additions) = (self.index.scan(&transactions), self.index.additions());
        self.kept.insert(at.height, Kept { block: at, transactions, hits, additions });
        self.is_stirred = true;
        Ok(())
    }

    /// The source does not have a block that it was asked for. Only those who need it next wait for
    /// it, until [`Chain::ask_again`]. Says where it is, if it was asked for.
    pub fn handle_no_block(&mut self, hash: BlockHash) -> Option<BlockRef> {
        let block = self.asked.iter().find(|asked| asked.hash == hash).copied()?;
        self.asked.remove(&block);
        self.missing.insert(block);
        self.is_stirred = true;
        Some(block)
    }

    /// The source may have this block by now.
    pub fn ask_again(&mut self, block: BlockRef) {
        self.is_stirred |= self.missing.remove(&block);
    }

    /// Blocks that are needed and that the source does not have, the lowest first.
    pub fn missing(&self) -> impl Iterator<Item = BlockRef> {
        self.missing.iter().copied()
    }

    /// The source cannot give what it was asked for, or has changed: all is asked again.
    pub fn handle_source_lost(&mut self) {
        self.asks.clear();
        self.asked.clear();
        self.missing.clear();
        self.wants_headers = true;
        self.is_stirred = true;
    }

    /// Tells what can be told, and asks for what is missing.
    fn advance(&mut self) {
        if !std::mem::take(&mut self.is_stirred) {
            return;
        }
        // Upwards, so that who has heard of one block is there for the next.
        for height in self.kept.keys().copied().collect::<Vec<_>>() {
            self.tell_block(height);
        }
        while let Some((height, _)) = self.searches.needs()
            && self.kept.contains_key(&height)
        {
            self.search_block(height);
        }
        let lanes = self.lanes();
        self.forget_unneeded(&lanes[2]);
        for height in lanes.iter().flat_map(|lane| lane.clone()) {
            self.ask(Height(height));
        }
        while self.kept.len() > KEPT_MAX {
            let is_needed = |height: &Height| lanes.iter().any(|lane| lane.contains(&height.0));
            let unneeded = self.kept.keys().find(|height| !is_needed(height)).copied();
            match unneeded {
                Some(height) => self.kept.remove(&height),
                None => self.kept.pop_last().map(|(_, block)| block),
            };
        }
    }

    /// The blocks that are needed next: near the tip, far from it, and in the past.
    fn lanes(&self) -> [Range<u32>; 3] {
        let tip = self.headers.tip().height.0;
        let near = Height(tip.saturating_sub(NEAR_BLOCKS));
        // Who waits for a block that nobody has does not hold up those further on.
        let behind = |places: btree_map::Range<'_, Height, BTreeSet<User>>, end: u32| {
            let first = places
                .map(|(height, _)| height.0 + 1)
                .find(|next| !self.is_missing(Height(*next)))
                .unwrap_or(end);
            first..end.min(first + LANE_BLOCKS)
        };
        let searched = self
            .searches
            .needs()
            .map_or(0..0, |(first, last)| first.0..(last.0 + 1).min(first.0 + LANE_BLOCKS));
        let (last, first) = (self.places.range(..near), self.places.range(near..));
        [behind(first, tip + 1), behind(last, tip + 1), searched]
    }

    fn is_missing(&self, height: Height) -> bool {
        !self.missing.is_empty()
            && self.headers.at(height).is_some_and(|block| self.missing.contains(&block))
    }

    /// Nobody waits any more for what nobody needs.
    fn forget_unneeded(&mut self, searched: &Range<u32>) {
        let (places, missing) = (&self.places, &mut self.missing);
        missing.retain(|block| {
            let height = block.height.0;
            let before = Height(height.saturating_sub(LANE_BLOCKS))..Height(height);
            searched.contains(&height) || places.range(before).next().is_some()
        });
    }

    fn ask(&mut self, height: Height) {
        if self.kept.contains_key(&height) || self.asked.len() >= ASKED_MAX {
            return;
        }
        if let Some(block) = self.headers.at(height)
            && !self.missing.contains(&block)
            && self.asked.insert(block)
        {
            self.asks.push_back(Ask::Block { block });
        }
    }

    /// One block, if it is there, for all who need it next.
    fn tell_block(&mut self, height: Height) {
        let Some(before) = height.0.checked_sub(1).map(Height) else { return };
        if !self.places.contains_key(&before) {
            return;
        }
        let Some(kept) = self.looked_through(height) else { return };
        let (block, found) = (kept.block, self.found_in(height));
        let Some(users) = self.places.remove(&before) else { return };
        let mut found = found;
        for user in &users {
            if let Some(reader) = self.readers.get_mut(user) {
                reader.cursor = block;
            }
            let found = found.remove(user).unwrap_or_default();
            self.events.push_back((*user, Event::Connected { block, found }));
        }
        self.places.entry(height).or_default().extend(users);
    }

    /// One block of the past, for all who search there.
    fn search_block(&mut self, height: Height) {
        let Some(kept) = self.looked_through(height) else { return };
        let block = kept.block;
        for (user, mut found) in self.found_in(height) {
            found.retain(|found| self.searches.wants(user, &found.watch, height));
            if !found.is_empty() {
                self.events.push_back((user, Event::Found { block, found }));
            }
        }
        let through = self.searches.pass(height);
        self.tell_searched(through);
    }

    /// A block, with all that it has of what is watched now.
    fn looked_through(&mut self, height: Height) -> Option<&Kept> {
        let kept = self.kept.get_mut(&height)?;
        #[cfg(feature = "planted")]
        if crate::planted::watch_misses_what_is_kept() {
            return Some(kept);
        }
        if kept.additions != self.index.additions() {
            kept.hits = self.index.scan(&kept.transactions);
            kept.additions = self.index.additions();
        }
        Some(kept)
    }

    /// What it has for whom, in its order.
    fn found_in(&self, height: Height) -> BTreeMap<User, Vec<Found>> {
        let mut all: BTreeMap<User, Vec<Found>> = BTreeMap::new();
        let Some(kept) = self.kept.get(&height) else { return all };
        for Hit { watch, position, part } in &kept.hits {
            let Some(transaction) = kept.transactions.get(*position as usize) else { continue };
            for user in self.index.users(watch) {
                let (watch, transaction) = (watch.clone(), Arc::clone(transaction));
                let found = Found { watch, transaction, position: *position, part: *part };
                all.entry(user).or_default().push(found);
            }
        }
        all
    }

    fn tell_searched(&mut self, through: Vec<Searcher>) {
        let searched = |(user, watch)| (user, Event::Searched { watch });
        self.events.extend(through.into_iter().map(searched));
    }
}
