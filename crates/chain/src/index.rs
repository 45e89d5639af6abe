//! All that is watched, by whomever, so that a block is looked through once for everybody.

use std::{collections::BTreeMap, sync::Arc};

use bitcoin::{OutPoint, Script, ScriptBuf, Transaction, hashes::Hash as _};

use crate::api::{FoundIn, Height, User, Watch};

/// Bits of the filter for each watch: one lookup in sixteen is in vain.
const FILTER_BITS: usize = 16;
const FILTER_BITS_MIN: usize = 1 << 16;

/// Who watches what.
#[derive(Default)]
pub(crate) struct Index {
    spends: BTreeMap<OutPoint, Users>,
    pays: BTreeMap<ScriptBuf, Users>,
    filter: Filter,
    /// How often something was added.
    additions: u64,
}

/// Nearly always it is one. Each has all blocks looked through from a height on.
enum Users {
    One(User, Height),
    Many(BTreeMap<User, Height>),
}

/// Something that somebody watches for.
pub(crate) struct Hit {
    pub(crate) watch: Watch,
    pub(crate) position: u32,
    pub(crate) part: FoundIn,
}

impl Index {
    /// A user watches for this in all blocks from a height on. From where it did so before.
    pub(crate) fn insert(&mut self, user: User, watch: &Watch, from: Height) -> Option<Height> {
        let before = match watch {
            Watch::Spend(outpoint) => insert(&mut self.spends, outpoint, user, from),
            Watch::Pay(script) => insert(&mut self.pays, script, user, from),
        };
        if before.is_none() {
            self.additions += 1;
            if self.filter.has_room() {
                self.filter.add(mark_of(watch));
            } else {
                self.rebuild();
            }
        }
        before
    }

    /// Whether it was there.
    pub(crate) fn remove(&mut self, user: User, watch: &Watch) -> bool {
        match watch {
            Watch::Spend(outpoint) => remove(&mut self.spends, outpoint, user),
            Watch::Pay(script) => remove(&mut self.pays, script, user),
        }
    }

    /// All that a user watches.
    pub(crate) fn remove_all(&mut self, user: User) {
        self.spends.retain(|_, users| !users.remove(user));
        self.pays.retain(|_, users| !users.remove(user));
    }

    /// Who watches this.
    pub(crate) fn users(&self, watch: &Watch) -> impl Iterator<Item = User> {
        let users = match watch {
            Watch::Spend(outpoint) => self.spends.get(outpoint),
            Watch::Pay(script) => self.pays.get(script),
        };
        let (one, many) = match users {
            Some(Users::One(user, _)) => (Some(*user), None),
            Some(Users::Many(users)) => (None, Some(users)),
            None => (None, None),
        };
        one.into_iter().chain(many.into_iter().flat_map(BTreeMap::keys).copied())
    }

    /// What was looked through before this has changed may lack something.
    pub(crate) const fn additions(&self) -> u64 {
        self.additions
    }

    /// All that a block has of what is watched, in its order.
    pub(crate) fn scan(&self, transactions: &[Arc<Transaction>]) -> Vec<Hit> {
        let mut hits = Vec::new();
        for (position, transaction) in (0_u32..).zip(transactions) {
            for (at, input) in (0_u32..).zip(&transaction.input) {
                let outpoint = &input.previous_output;
                if self.filter.may_have(spend_mark(outpoint)) && self.spends.contains_key(outpoint)
                {
                    let (watch, part) = (Watch::Spend(*outpoint), FoundIn::Input(at));
                    hits.push(Hit { watch, position, part });
                }
            }
            for (at, output) in (0_u32..).zip(&transaction.output) {
                let script = output.script_pubkey.as_script();
                if self.filter.may_have(pay_mark(script)) && self.pays.contains_key(script) {
                    let watch = Watch::Pay(output.script_pubkey.clone());
                    hits.push(Hit { watch, position, part: FoundIn::Output(at) });
                }
            }
        }
        hits
    }

    fn rebuild(&mut self) {
        let mut filter = Filter::for_watches(2 * (self.spends.len() + self.pays.len()));
        self.spends.keys().for_each(|outpoint| filter.add(spend_mark(outpoint)));
        self.pays.keys().for_each(|script| filter.add(pay_mark(script)));
        self.filter = filter;
    }
}

fn insert<K: Ord + Clone>(
    map: &mut BTreeMap<K, Users>,
    key: &K,
    user: User,
    from: Height,
) -> Option<Height> {
    match map.get_mut(key) {
        Some(users) => users.insert(user, from),
        None => {
            map.insert(key.clone(), Users::One(user, from));
            None
        }
    }
}

fn remove<K: Ord>(map: &mut BTreeMap<K, Users>, key: &K, user: User) -> bool {
    let Some(users) = map.get_mut(key) else { return false };
    let had = users.has(user);
    if users.remove(user) {
        map.remove(key);
    }
    had
}

impl Users {
    fn has(&self, user: User) -> bool {
        match self {
            Self::One(one, _) => *one == user,
            Self::Many(many) => many.contains_key(&user),
        }
    }

    /// From where this user watched it before.
    fn insert(&mut self, user: User, from: Height) -> Option<Height> {
        match self {
            Self::One(one, known) if *one == user => {
                let before = *known;
                *known = before.min(from);
                Some(before)
            }
            Self::One(one, known) => {
                *self = Self::Many(BTreeMap::from([(*one, *known), (user, from)]));
                None
            }
            Self::Many(many) => {
                let before = many.get(&user).copied();
                many.insert(user, before.map_or(from, |before| before.min(from)));
                before
            }
        }
    }

    /// Whether nobody is left.
    fn remove(&mut self, user: User) -> bool {
        match self {
            Self::One(one, _) => *one == user,
            Self::Many(many) => {
                many.remove(&user);
                many.is_empty()
            }
        }
    }
}

/// Says of most that is not watched that it is not, from memory that stays in the cache. What was
/// taken away stays in it until it is made anew.
#[derive(Default)]
struct Filter {
    words: Vec<u64>,
    added: usize,
}

impl Filter {
    fn for_watches(count: usize) -> Self {
        let bits = (count * FILTER_BITS).next_power_of_two().max(FILTER_BITS_MIN);
        Self { words: vec![0; bits / 64], added: 0 }
    }

    const fn has_room(&self) -> bool {
        self.added * FILTER_BITS < self.words.len() * 64
    }

    fn add(&mut self, mark: u64) {
        let (word, bit) = self.place(mark);
        if let Some(word) = self.words.get_mut(word) {
            *word |= bit;
            self.added += 1;
        }
    }

    fn may_have(&self, mark: u64) -> bool {
        let (word, bit) = self.place(mark);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    /// The number of words is a power of two.
    const fn place(&self, mark: u64) -> (usize, u64) {
        let word = (mark >> 6) as usize & self.words.len().wrapping_sub(1);
        (word, 1 << (mark & 63))
    }
}

fn mark_of(watch: &Watch) -> u64 {
    match watch {
        Watch::Spend(outpoint) => spend_mark(outpoint),
        Watch::Pay(script) => pay_mark(script),
    }
}

/// An id is as good as random.
fn spend_mark(outpoint: &OutPoint) -> u64 {
    let [first, ..] = outpoint.txid.as_byte_array().as_chunks::<8>().0 else { return 0 };
    u64::from_le_bytes(*first).wrapping_add(u64::from(outpoint.vout).wrapping_mul(SPREAD))
}

/// So is the end of most scripts; other ends are spread.
fn pay_mark(script: &Script) -> u64 {
    let bytes = script.as_bytes();
    let last = match bytes.last_chunk::<8>() {
        Some(last) => u64::from_le_bytes(*last),
        None => bytes.iter().fold(0, |mark, byte| mark << 8 | u64::from(*byte)),
    };
    let mixed = (last ^ bytes.len() as u64).wrapping_mul(SPREAD);
    mixed ^ mixed >> 32
}

/// Odd, and its bits look random.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
