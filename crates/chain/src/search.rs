//! Searches in blocks of the past, all in one sweep.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::api::{Height, User, Watch};

/// Whose search, and for what.
pub(crate) type Searcher = (User, Watch);

/// What is looked for in the past, by whomever. Each block is read once for all who need it; who
/// comes in the middle of a sweep gets the rest of it, and the beginning with the next one.
#[derive(Default)]
pub(crate) struct Searches {
    now: Sweep,
    /// Blocks below this one are behind the sweep.
    next: Height,
    later: Sweep,
}

/// Some searches, each from a height up to another.
#[derive(Default)]
struct Sweep {
    ranges: BTreeMap<Arc<Searcher>, (Height, Height)>,
    by_first: BTreeSet<(Height, Arc<Searcher>)>,
    by_last: BTreeSet<(Height, Arc<Searcher>)>,
}

impl Searches {
    /// A search begins: from a height up to another. If the same is being searched for already, it
    /// is from the block behind these on, and goes on with that.
    pub(crate) fn add(&mut self, user: User, watch: Watch, first: Height, last: Height) {
        if self.now.is_empty() {
            self.next = first;
        }
        let searcher = Arc::new((user, watch));
        if last >= self.next {
            let end = self.now.end_of(&searcher).unwrap_or(last);
            self.now.insert(Arc::clone(&searcher), first.max(self.next), end);
        }
        if first < self.next {
            let before = last.min(Height(self.next.0 - 1));
            let end = self.later.end_of(&searcher).unwrap_or(before);
            self.later.insert(searcher, first, end);
        }
    }

    /// Nobody wants it any more.
    pub(crate) fn remove(&mut self, user: User, watch: &Watch) {
        if !self.is_empty() {
            let searcher = (user, watch.clone());
            self.now.remove(&searcher);
            self.later.remove(&searcher);
            self.turn();
        }
    }

    /// Nor anything of this user's.
    pub(crate) fn remove_all(&mut self, user: User) {
        self.now.remove_all(user);
        self.later.remove_all(user);
        self.turn();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.now.is_empty()
    }

    /// Whether this is being searched for.
    pub(crate) fn has(&self, user: User, watch: &Watch) -> bool {
        !self.is_empty() && {
            let searcher = (user, watch.clone());
            self.now.ranges.contains_key(&searcher) || self.later.ranges.contains_key(&searcher)
        }
    }

    /// The next block that is needed, and the last one that is.
    pub(crate) fn needs(&self) -> Option<(Height, Height)> {
        let (first, _) = self.now.by_first.first()?;
        let (last, _) = self.now.by_last.last()?;
        Some(((*first).max(self.next), *last))
    }

    /// Whether a user looks for this at a height, in the sweep that is there now.
    pub(crate) fn wants(&self, user: User, watch: &Watch, height: Height) -> bool {
        let range = self.now.ranges.get(&(user, watch.clone()));
        range.is_some_and(|(first, last)| (*first..=*last).contains(&height))
    }

    /// A block has been looked through. Who is through with all?
    pub(crate) fn pass(&mut self, height: Height) -> Vec<Searcher> {
        self.next = Height(height.0 + 1);
        let through = self.end_passed();
        self.turn();
        through
    }

    /// Nothing above this height is in the chain any more. Who is through with all?
    pub(crate) fn cut(&mut self, above: Height) -> Vec<Searcher> {
        let mut through = self.now.cut(above);
        through.extend(self.later.cut(above));
        let is_through = |searcher: &Arc<Searcher>| {
            !self.now.ranges.contains_key(searcher) && !self.later.ranges.contains_key(searcher)
        };
        through.retain(is_through);
        let mut through: BTreeSet<Searcher> =
            through.into_iter().map(Arc::unwrap_or_clone).collect();
        through.extend(self.end_passed());
        self.turn();
        through.into_iter().collect()
    }

    fn end_passed(&mut self) -> Vec<Searcher> {
        let mut through = Vec::new();
        while let Some((last, searcher)) = self.now.by_last.first()
            && *last < self.next
        {
            let searcher = Arc::clone(searcher);
            self.now.remove(&searcher);
            if !self.later.ranges.contains_key(&searcher) {
                through.push(Arc::unwrap_or_clone(searcher));
            }
        }
        through
    }

    /// The next sweep begins when one is through.
    fn turn(&mut self) {
        if self.now.is_empty() && !self.later.is_empty() {
            self.now = std::mem::take(&mut self.later);
            self.next = self.now.by_first.first().map_or(Height(0), |(first, _)| *first);
        }
    }
}

impl Sweep {
    fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    fn end_of(&self, searcher: &Searcher) -> Option<Height> {
        self.ranges.get(searcher).map(|(_, last)| *last)
    }

    fn insert(&mut self, searcher: Arc<Searcher>, first: Height, last: Height) {
        self.remove(&searcher);
        self.by_first.insert((first, Arc::clone(&searcher)));
        self.by_last.insert((last, Arc::clone(&searcher)));
        self.ranges.insert(searcher, (first, last));
    }

    fn remove(&mut self, searcher: &Searcher) {
        if let Some((searcher, (first, last))) = self.ranges.remove_entry(searcher) {
            let of_first = (first, searcher);
            self.by_first.remove(&of_first);
            self.by_last.remove(&(last, of_first.1));
        }
    }

    fn remove_all(&mut self, user: User) {
        self.ranges.retain(|searcher, _| searcher.0 != user);
        self.by_first.retain(|(_, searcher)| searcher.0 != user);
        self.by_last.retain(|(_, searcher)| searcher.0 != user);
    }

    /// Those that end earlier now.
    fn cut(&mut self, above: Height) -> Vec<Arc<Searcher>> {
        let mut cut = Vec::new();
        while let Some((last, searcher)) = self.by_last.last()
            && *last > above
        {
            let searcher = Arc::clone(searcher);
            let first = self.ranges.get(searcher.as_ref()).map(|(first, _)| *first);
            self.remove(&searcher);
            if let Some(first) = first
                && first <= above
            {
                self.insert(Arc::clone(&searcher), first, above);
            }
            cut.push(searcher);
        }
        cut
    }
}
