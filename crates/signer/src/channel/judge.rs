//! What of a commitment must hold before it is agreed on.

use std::collections::{BTreeMap, BTreeSet};

use tx::{Commitment, Contract, HTLC, Kind, Meaning, Output, Placed, Purpose, Side, Terms};
use wire::amount::{BlockHeight, CsvDelay, FeeratePerKw, Msat, Sat};
use wire::id::CommitmentNumber;

use super::ChannelRefusal as No;
use super::limits::{EXPIRY_BLOCKS_MAX, Rules};
use super::memory::Memory;
use super::{SetUp, Spent};

/// Contracts of each side in one commitment (BOLT 2).
pub const CONTRACTS_MAX: usize = 483;
/// The least rate of a commitment: what nodes relay.
pub const COMMITMENT_RATE_MIN: FeeratePerKw = FeeratePerKw(250);
/// The greatest rate of a commitment: beyond it somebody burns money.
pub const COMMITMENT_RATE_MAX: FeeratePerKw = FeeratePerKw(500_000);
/// The least that a peer must wait for its own money: our time to punish.
pub const PEER_DELAY_MIN: CsvDelay = CsvDelay(144);
/// The longest that anybody waits for its own money.
pub const DELAY_MAX: CsvDelay = CsvDelay(2_016);
/// The least dust limit (BOLT 2).
pub const DUST_SAT_MIN: Sat = Sat(354);
/// The greatest dust limit: what is below goes to miners.
pub const DUST_SAT_MAX: Sat = Sat(10_000);

impl SetUp {
    /// Whether these are terms that we agree to.
    pub(super) fn judge(&self, rules: Rules<'_>) -> Result<(), No> {
        let terms = &self.terms;
        if terms.funding.value > Sat::MAX_MONEY {
            let (got, limit) = (terms.funding.value.0, Sat::MAX_MONEY.0);
            return Err(No::Terms { term: "funding_satoshis", got, limit });
        }
        let all = terms.funding.value.to_msat().expect("all money fits");
        if self.pushed > all {
            return Err(No::Terms { term: "push_msat", got: self.pushed.0, limit: all.0 });
        }
        if let (Side::Opener, Some(limits)) = (self.side, rules.limits) {
            let limit = u128::from(all.0) * u128::from(limits.push_percent_max) / 100;
            if u128::from(self.pushed.0) > limit {
                let limit = u64::try_from(limit).unwrap_or(u64::MAX);
                return Err(No::Terms { term: "push_msat", got: self.pushed.0, limit });
            }
        }
        for (side, min) in [(self.side, CsvDelay(1)), (self.side.other(), PEER_DELAY_MIN)] {
            let got = terms.party(side).delay;
            if got < min || got > DELAY_MAX {
                return Err(No::Delay { got, min, max: DELAY_MAX });
            }
            let dust = terms.party(side).dust_limit;
            let limit = dust.clamp(DUST_SAT_MIN, DUST_SAT_MAX);
            if dust != limit {
                return Err(No::Terms { term: "dust_limit_satoshis", got: dust.0, limit: limit.0 });
            }
        }
        Ok(())
    }

    /// What both sides have before the first contract.
    fn first(&self) -> [Msat; 2] {
        let all = self.terms.funding.value.to_msat().expect("it was judged");
        [Msat(all.0 - self.pushed.0), self.pushed]
    }
}

impl Memory {
    /// Whether `meaning` may follow what is agreed on.
    pub(super) fn judge(
        &self,
        meaning: &Meaning,
        secrets: &[Vec<u8>],
        rules: Rules<'_>,
    ) -> Result<Spent, No> {
        let (got, min, max) = (meaning.feerate, COMMITMENT_RATE_MIN, COMMITMENT_RATE_MAX);
        if got < min || got > max {
            return Err(No::FeeRate { got, min, max });
        }
        for side in [Side::Opener, Side::Acceptor] {
            let of = meaning.contracts.iter().filter(|it| it.offered_by == side).count();
            let max = if meaning.number == CommitmentNumber(0) { 0 } else { CONTRACTS_MAX };
            if of > max {
                return Err(No::Contracts { got: of, max });
            }
        }
        for placed in &meaning.contracts {
            let fits = placed.contract.fits(&self.setup.terms, placed.offered_by);
            fits.map_err(No::Contract)?;
        }
        conserved(meaning, &self.setup.terms)?;
        let ours = self.counted(self.setup.side, meaning);
        self.no_loss(meaning, secrets, &ours)?;
        self.judge_new(meaning, &ours, rules)?;
        self.judge_day(meaning, &ours, rules)
    }

    /// The contracts of a side: how many there are of each in the commitment before, and now.
    fn counted<'a>(&'a self, side: Side, meaning: &'a Meaning) -> Counted<'a> {
        let mut all = Counted::new();
        let before = self.newest(meaning.owner).map_or(&[][..], |it| &it.meaning.contracts);
        let of = |all: &'a [Placed]| all.iter().filter(move |it| it.offered_by == side).enumerate();
        for (place, placed) in of(before) {
            all.entry(key(placed)).or_insert(Counts::none(placed, place)).before += 1;
        }
        for (place, placed) in of(&meaning.contracts) {
            all.entry(key(placed)).or_insert(Counts::none(placed, place)).now += 1;
        }
        all
    }

    /// Our money leaves by contracts only, and what they do not pay comes back.
    fn no_loss(
        &self,
        meaning: &Meaning,
        secrets: &[Vec<u8>],
        ours: &Counted<'_>,
    ) -> Result<(), No> {
        let side = self.setup.side;
        let [opener, acceptor] = self.setup.first();
        let first = if side == Side::Opener { opener } else { acceptor };
        let had = self.newest(meaning.owner).map_or(first, |it| free(&it.meaning, side));
        let mut want = i128::from(had.0);
        let mut changed: Vec<_> = ours.values().filter(|it| it.now != it.before).collect();
        changed.sort_unstable_by_key(|it| it.place);
        let mut keys = Keys::new(secrets);
        for Counts { placed, before, now, place: _ } in changed {
            let (before, now) = (i128::from(*before), i128::from(*now));
            if now > before || !keys.open(placed) {
                want -= (now - before) * i128::from(placed.amount.0);
            }
        }
        let got = free(meaning, side);
        match i128::from(got.0) < want {
            true => Err(No::Loss { got, want: Msat(want.try_into().unwrap_or(u64::MAX)) }),
            false => Ok(()),
        }
    }

    /// What it takes on is within the limits of the owner. What is in a commitment already may stay
    /// and may end, whatever they are now: else nothing could come to its end.
    fn judge_new(&self, meaning: &Meaning, ours: &Counted<'_>, rules: Rules<'_>) -> Result<(), No> {
        let new = self.new_of(meaning.owner, ours);
        if let Some((age, max)) = rules.seen.and_then(|seen| seen.stale) {
            let theirs = self.counted(self.setup.side.other(), meaning);
            if !new.is_empty() || !self.new_of(meaning.owner, &theirs).is_empty() {
                return Err(No::Stale { age, max });
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        if let Some(limits) = rules.limits {
            let offered = ours.values().map(|it| u64::from(it.now) * it.placed.amount.0);
            let (got, max) = (Msat(offered.sum()), limits.in_flight_max);
            if got > max {
                return Err(No::InFlight { got, max });
            }
        }
        if let Some(tip) = rules.seen.and_then(|seen| seen.tip) {
            let min = BlockHeight(tip.0.saturating_add(1));
            let max = BlockHeight(tip.0.saturating_add(EXPIRY_BLOCKS_MAX));
            let expiries = new.iter().filter(|it| it.contract.kind() == HTLC);
            let mut expiries = expiries.map(|it| BlockHeight(it.contract.order()));
            if let Some(got) = expiries.find(|got| *got < min || *got > max) {
                return Err(No::Expiry { got, min, max });
            }
        }
        Ok(())
    }

    /// What we offer is within what may leave in a day; so is what an opener gives away at once.
    fn judge_day(
        &self,
        meaning: &Meaning,
        ours: &Counted<'_>,
        rules: Rules<'_>,
    ) -> Result<Spent, No> {
        let more = |it: &Counts<'_>| u64::from(it.now.saturating_sub(it.before));
        let is_first = meaning.number == CommitmentNumber(0);
        let offered = match is_first && self.setup.side == Side::Opener {
            true => self.setup.pushed,
            false => Msat(ours.values().map(|it| more(it) * it.placed.amount.0).sum()),
        };
        let time = rules.seen.and_then(|seen| seen.time);
        let Some((at, limits)) = time.zip(rules.limits).filter(|_| offered > Msat(0)) else {
            return Ok(Spent { offered, ..Default::default() });
        };
        let counted = self.ahead.counted(meaning.owner != self.setup.side, offered);
        let limit = limits.day_max;
        let left = Msat(limit.0.saturating_sub(rules.day.spent(at).0));
        match counted > left {
            true => Err(No::Allowance { got: counted, left, limit }),
            false => Ok(Spent { offered, counted, at }),
        }
    }

    /// Those of them that are in neither newest commitment. A contract comes into one after the
    /// other, and is judged when it comes into the first.
    fn new_of<'a>(&self, owner: Side, counted: &Counted<'a>) -> Vec<&'a Placed> {
        let more: Vec<_> = counted.iter().filter(|(_, it)| it.now > it.before).collect();
        let Some((_, one)) = more.first() else { return Vec::new() };
        let (side, mut elsewhere) = (one.placed.offered_by, BTreeMap::<Key, u32>::new());
        let amounts: BTreeSet<_> = more.iter().map(|(_, it)| it.placed.amount).collect();
        let there = self.newest(owner.other()).map_or(&[][..], |it| &it.meaning.contracts);
        let is_like = |it: &&Placed| it.offered_by == side && amounts.contains(&it.amount);
        for placed in there.iter().filter(is_like) {
            *elsewhere.entry(key(placed)).or_default() += 1;
        }
        let is_new =
            |(key, it): &(&Key, &Counts<'a>)| it.now > elsewhere.get(*key).copied().unwrap_or(0);
        more.into_iter().filter(is_new).map(|(_, it)| it.placed).collect()
    }
}

/// Contracts of one side.
type Counted<'a> = BTreeMap<Key, Counts<'a>>;

/// How many contracts there are that cannot be told from each other.
struct Counts<'a> {
    placed: &'a Placed,
    /// Where the first of them is among the contracts of this side.
    place: usize,
    before: u32,
    now: u32,
}

impl<'a> Counts<'a> {
    const fn none(placed: &'a Placed, place: usize) -> Self {
        Self { placed, place, before: 0, now: 0 }
    }
}

/// Secrets, each of which may open a contract. They mostly come in the order of their contracts:
/// who looks for each from where the last was finds it at once.
struct Keys<'a> {
    all: &'a [Vec<u8>],
    next: usize,
}

impl<'a> Keys<'a> {
    const fn new(all: &'a [Vec<u8>]) -> Self {
        Self { all, next: 0 }
    }

    /// Whether one of them opens it.
    fn open(&mut self, placed: &Placed) -> bool {
        let (before, after) = self.all.split_at(self.next);
        let mut ahead = after.iter().chain(before);
        let Some(found) = ahead.position(|it| placed.contract.is_opened_by(it)) else {
            return false;
        };
        // The same again may open another one like it.
        self.next = (self.next + found) % self.all.len();
        true
    }
}

/// Whether the opener pays enough. It pays at most what it has, and when both sides offer
/// contracts at once that may be less than the rate asks for: refused is only what nobody would
/// relay (BOLT 3).
pub(super) fn pays(meaning: &Meaning, terms: &Terms, built: &Commitment) -> Result<(), No> {
    let is_contract = |it: &&Output| matches!(it.purpose, Purpose::Contract { .. });
    let contracts = built.outputs.iter().filter(is_contract).count();
    let is_first = meaning.number == CommitmentNumber(0);
    let least = if is_first { meaning.feerate } else { COMMITMENT_RATE_MIN };
    let [all, least] = [meaning.feerate, least].map(|it| terms.form.fee(it, contracts));
    match built.unpaid.0.saturating_add(least.0) > all.0 {
        true => Err(No::Fee { missing: built.unpaid }),
        false => Ok(()),
    }
}

/// All money is somewhere, and nothing is more than all.
fn conserved(meaning: &Meaning, terms: &Terms) -> Result<(), No> {
    let want = terms.funding.value.to_msat().expect("it was judged");
    let amounts = meaning.contracts.iter().map(|it| it.amount);
    let mut got = 0u64;
    for amount in amounts.chain([meaning.to_opener, meaning.to_acceptor]) {
        got = got.checked_add(amount.0).ok_or(No::Money { got: Msat(u64::MAX), want })?;
    }
    if got != want.0 {
        return Err(No::Money { got: Msat(got), want });
    }
    Ok(())
}

/// What a side has beside contracts.
pub(super) const fn free(meaning: &Meaning, side: Side) -> Msat {
    match side {
        Side::Opener => meaning.to_opener,
        Side::Acceptor => meaning.to_acceptor,
    }
}

/// Contracts that cannot be told from each other are the same.
type Key = (Msat, Kind, Vec<u8>);

fn key(placed: &Placed) -> Key {
    let contract: &dyn Contract = &*placed.contract;
    (placed.amount, contract.kind(), contract.terms())
}
