//! What miners take first, and what they earn by it.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, VecDeque},
};

use bitcoin::Txid;

/// A piece of a diagram: a fee for some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) fee: u64,
    pub(super) vbytes: u64,
}

/// What one transaction of a cluster is to the others.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) chunk: Chunk,
    pub(super) parents: BTreeSet<Txid>,
}

type Links = BTreeMap<Txid, Link>;

impl Chunk {
    const NONE: Self = Self { fee: 0, vbytes: 0 };

    const fn and(self, other: Self) -> Self {
        Self { fee: self.fee + other.fee, vbytes: self.vbytes + other.vbytes }
    }

    /// By fee for a byte.
    pub(super) fn rate_cmp(self, other: Self) -> Ordering {
        let left = u128::from(self.fee) * u128::from(other.vbytes);
        left.cmp(&(u128::from(other.fee) * u128::from(self.vbytes)))
    }
}

/// What miners take, the best first: of each cluster again and again those that, with all their
/// ancestors, pay most for a byte.
pub(super) fn chunks(mut links: Links) -> Vec<(Chunk, BTreeSet<Txid>)> {
    let mut chunks = Vec::new();
    while let Some(first) = links.keys().next().copied() {
        let mut cluster = take_cluster(&mut links, first);
        while !cluster.is_empty() {
            let best = densest(&cluster);
            chunks.push((sum(&cluster, &best), best.clone()));
            cluster.retain(|txid, _| !best.contains(txid));
        }
    }
    chunks.sort_by(|(left, _), (right, _)| right.rate_cmp(*left));
    chunks
}

fn take_cluster(links: &mut Links, first: Txid) -> Links {
    let mut near: BTreeMap<Txid, Vec<Txid>> = BTreeMap::new();
    for (txid, link) in links.iter() {
        for parent in link.parents.iter().filter(|parent| links.contains_key(*parent)) {
            near.entry(*txid).or_default().push(*parent);
            near.entry(*parent).or_default().push(*txid);
        }
    }
    let (mut cluster, mut open) = (Links::new(), vec![first]);
    while let Some(txid) = open.pop() {
        if let Some(link) = links.remove(&txid) {
            cluster.insert(txid, link);
            open.extend(near.get(&txid).into_iter().flatten());
        }
    }
    cluster
}

fn sum(links: &Links, txids: &BTreeSet<Txid>) -> Chunk {
    let chunks = txids.iter().filter_map(|txid| links.get(txid));
    chunks.fold(Chunk::NONE, |sum, link| sum.and(link.chunk))
}

/// Those that pay most for a byte, all their ancestors with them: begins with all, and asks for
/// better ones until there are none.
fn densest(links: &Links) -> BTreeSet<Txid> {
    let mut best: BTreeSet<Txid> = links.keys().copied().collect();
    loop {
        let at = sum(links, &best);
        match above(links, at).filter(|better| sum(links, better).rate_cmp(at).is_gt()) {
            Some(better) => best = better,
            None => return best,
        }
    }
}

/// Those that, ancestors with them, pay most above a rate, if any do: a maximum closure, found as a
/// minimum cut. The rows of the flow are the source, the sink, and each transaction.
fn above(links: &Links, rate: Chunk) -> Option<BTreeSet<Txid>> {
    const SOURCE: usize = 0;
    const SINK: usize = 1;
    let places: BTreeMap<Txid, usize> =
        links.keys().enumerate().map(|(at, txid)| (*txid, at + 2)).collect();
    let mut flow = Flow::new(links.len() + 2);
    for (txid, link) in links {
        let gain = i128::from(link.chunk.fee) * i128::from(rate.vbytes)
            - i128::from(rate.fee) * i128::from(link.chunk.vbytes);
        let place = places[txid];
        if gain > 0 {
            flow.set(SOURCE, place, gain);
        } else {
            flow.set(place, SINK, -gain);
        }
        for parent in link.parents.iter().filter_map(|parent| places.get(parent)) {
            flow.set(place, *parent, i128::MAX >> 1);
        }
    }
    while flow.push(SOURCE, SINK) {}
    let reached = flow.reached(SOURCE);
    let txids: BTreeSet<Txid> = places
        .into_iter()
        .filter(|(_, place)| reached[*place].is_some())
        .map(|(txid, _)| txid)
        .collect();
    (!txids.is_empty()).then_some(txids)
}

/// A flow through a few places.
struct Flow {
    places: usize,
    /// What can still flow from one place to another.
    rest: Vec<i128>,
}

impl Flow {
    fn new(places: usize) -> Self {
        Self { places, rest: vec![0; places * places] }
    }

    fn set(&mut self, from: usize, to: usize, most: i128) {
        self.rest[from * self.places + to] = most;
    }

    /// From where each place is reached, if it is.
    fn reached(&self, source: usize) -> Vec<Option<usize>> {
        let mut from = vec![None; self.places];
        from[source] = Some(source);
        let mut open = VecDeque::from([source]);
        while let Some(at) = open.pop_front() {
            let row = &self.rest[at * self.places..][..self.places];
            for (to, rest) in row.iter().enumerate() {
                if *rest > 0 && from[to].is_none() {
                    from[to] = Some(at);
                    open.push_back(to);
                }
            }
        }
        from
    }

    /// Lets more flow, if more can.
    fn push(&mut self, source: usize, sink: usize) -> bool {
        let from = self.reached(source);
        let mut path = Vec::new();
        let mut at = sink;
        while at != source {
            let Some(before) = from[at] else { return false };
            path.push((before, at));
            at = before;
        }
        let rest = path.iter().map(|(from, to)| self.rest[from * self.places + to]);
        let most = rest.min().unwrap_or(0);
        for (from, to) in path {
            self.rest[from * self.places + to] -= most;
            self.rest[to * self.places + from] += most;
        }
        most > 0
    }
}

/// Whether the second diagram is nowhere below the first, and somewhere above.
pub(super) fn improves(before: &[Chunk], after: &[Chunk]) -> bool {
    let (old, new) = (points(before), points(after));
    let all = || old.iter().chain(&new).map(|point| point.vbytes);
    let not_below = all().all(|vbytes| at(&new, vbytes) >= at(&old, vbytes));
    not_below && all().any(|vbytes| at(&new, vbytes) > at(&old, vbytes))
}

fn points(chunks: &[Chunk]) -> Vec<Chunk> {
    let sums = chunks.iter().scan(Chunk::NONE, |sum, chunk| {
        *sum = sum.and(*chunk);
        Some(*sum)
    });
    std::iter::once(Chunk::NONE).chain(sums).collect()
}

/// What so many bytes earn, in billionths of a satoshi. Behind the last point nothing is added.
fn at(points: &[Chunk], vbytes: u64) -> u128 {
    const BILLION: u128 = 1_000_000_000;
    let next = points.partition_point(|point| point.vbytes < vbytes);
    let fee = |point: &Chunk| u128::from(point.fee) * BILLION;
    match (next.checked_sub(1).and_then(|last| points.get(last)), points.get(next)) {
        (Some(from), Some(to)) => {
            let (rise, run) = (fee(to).saturating_sub(fee(from)), to.vbytes - from.vbytes);
            fee(from) + rise * u128::from(vbytes - from.vbytes) / u128::from(run.max(1))
        }
        (None, Some(point)) | (Some(point), None) => fee(point),
        (None, None) => 0,
    }
}
