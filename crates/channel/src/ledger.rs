//! Who has what, now and in each commitment: two logs of updates that cross on the wire.
//!
//! An update is proposed by one side and passes four steps until no commitment without it can be
//! published any more. Which updates a commitment has follows from their steps alone
//! ([`As`]), so nothing is computed twice and no list of commitments is kept.
//!
//! | step | since |
//! |---|---|
//! | `Proposed` | `update_*` |
//! | `Committed` | the proposer's `commitment_signed` has it |
//! | `Revoked` | the other side's `revoke_and_ack` to that |
//! | `AckCommitted` | the other side's `commitment_signed` has it |
//! | `Acked` | the proposer's `revoke_and_ack` to that |

use std::collections::BTreeMap;
use std::sync::Arc;

use tx::{Contract, HTLC, Kind, Placed, Side};
use wire::amount::{FeeratePerKw, Msat, Sat};
use wire::id::HtlcId;

/// How far an update has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// No commitment has it.
    Proposed,
    /// The newest commitment of the other side has it.
    Committed,
    /// No commitment of the other side is without it.
    Revoked,
    /// The newest commitment of the proposer has it too.
    AckCommitted,
    /// No commitment is without it.
    Acked,
}

/// Which commitment of a side is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum As {
    /// The one that its peer would sign now.
    Draft,
    /// The newest one that its peer has signed.
    Signed,
    /// The oldest one that is not revoked: beside [`As::Signed`], or the same.
    Settled,
}

impl As {
    /// The step from which an update is in a commitment of `owner`.
    fn since(self, owner: Side, proposer: Side) -> Step {
        match (self, owner == proposer) {
            (As::Draft, false) => Step::Proposed,
            (As::Signed, false) => Step::Committed,
            (As::Settled, false) | (As::Draft, true) => Step::Revoked,
            (As::Signed, true) => Step::AckCommitted,
            (As::Settled, true) => Step::Acked,
        }
    }
}

/// Names a contract in a channel: each side counts its own of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContractId {
    /// Who pays.
    pub offered_by: Side,
    /// Of which kind.
    pub kind: Kind,
    /// Counted up from 0.
    pub id: HtlcId,
}

impl ContractId {
    /// The name of an HTLC.
    pub const fn htlc(offered_by: Side, id: HtlcId) -> Self {
        Self { offered_by, kind: HTLC, id }
    }
}

/// A contract under way.
#[derive(Clone, Debug)]
pub struct Entry {
    /// How much.
    pub amount: Msat,
    /// Under which terms.
    pub contract: Arc<dyn Contract>,
    /// How far it is in.
    pub added: Step,
    /// How far it is out, if somebody has begun with that.
    pub removed: Option<Removal>,
}

impl Entry {
    /// The same as commitments have it.
    pub fn placed(&self, id: ContractId) -> Placed {
        let (amount, contract) = (self.amount, self.contract.clone());
        Placed { offered_by: id.offered_by, amount, contract }
    }
}

/// The end of a contract, proposed by the side that is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removal {
    /// How far.
    pub step: Step,
    /// Whether the money goes to whoever was to be paid.
    pub paid: bool,
}

/// Who has what. Both sides have the same once nothing is under way.
#[derive(Clone, Debug)]
pub struct Ledger {
    capacity: Msat,
    /// What each side has beside all that it has offered, in msat. It may be below zero: whoever
    /// has money back in its peer's commitment may spend it, although its own lacks it yet.
    opener: i128,
    acceptor: i128,
    entries: BTreeMap<ContractId, Entry>,
    /// The number of the next contract of each side and kind, from 1 on.
    next: BTreeMap<(Side, Kind), HtlcId>,
    /// The rate in all commitments, then those on their way.
    rate: FeeratePerKw,
    rates: Vec<(Step, FeeratePerKw)>,
}

/// A ledger without what its channel begins with.
#[derive(Clone, Debug)]
pub(crate) struct LedgerSum {
    pub(crate) opener: i128,
    pub(crate) acceptor: i128,
    pub(crate) entries: Vec<(ContractId, EntrySum)>,
    pub(crate) next: BTreeMap<(Side, Kind), HtlcId>,
    pub(crate) rate: FeeratePerKw,
    pub(crate) rates: Vec<(Step, FeeratePerKw)>,
}

/// What is saved of an entry.
#[derive(Clone, Debug)]
pub(crate) struct EntrySum {
    pub(crate) amount: Msat,
    pub(crate) kind: Kind,
    pub(crate) terms: Vec<u8>,
    pub(crate) added: Step,
    pub(crate) removed: Option<Removal>,
}

/// What a commitment says of money.
#[derive(Clone, Debug)]
pub struct View {
    /// The opener's, before fees.
    pub to_opener: Msat,
    /// The acceptor's.
    pub to_acceptor: Msat,
    /// By which fees are reckoned.
    pub feerate: FeeratePerKw,
    /// The contracts in it.
    pub contracts: Vec<(ContractId, Placed)>,
}

impl View {
    /// What one side has.
    pub const fn balance(&self, side: Side) -> Msat {
        match side {
            Side::Opener => self.to_opener,
            Side::Acceptor => self.to_acceptor,
        }
    }
}

/// Something that left the ledger: no commitment has it any more.
#[derive(Clone, Debug)]
pub struct Gone {
    /// Which one.
    pub id: ContractId,
    /// How it ended.
    pub paid: bool,
}

impl Ledger {
    /// A channel with nothing but two balances. Nothing if the opener has not so much to give.
    pub fn new(capacity: Sat, pushed: Msat, rate: FeeratePerKw) -> Option<Self> {
        let capacity = capacity.to_msat()?;
        Some(Self {
            capacity,
            opener: capacity.0.checked_sub(pushed.0)?.into(),
            acceptor: pushed.0.into(),
            entries: BTreeMap::new(),
            next: BTreeMap::new(),
            rate,
            rates: Vec::new(),
        })
    }

    /// All that is saved of it.
    pub(crate) fn sum(&self) -> LedgerSum {
        let Self { opener, acceptor, rate, .. } = *self;
        let (next, rates) = (self.next.clone(), self.rates.clone());
        let entry = |(id, entry): (&ContractId, &Entry)| {
            let Entry { amount, contract, added, removed } = entry;
            let (kind, terms) = (contract.kind(), contract.terms());
            (*id, EntrySum { amount: *amount, kind, terms, added: *added, removed: *removed })
        };
        let entries = self.entries.iter().map(entry).collect();
        LedgerSum { opener, acceptor, entries, next, rate, rates }
    }

    /// What was saved of one with the same capacity.
    pub(crate) fn become_sum(
        &mut self,
        sum: LedgerSum,
        contract: impl Fn(Kind, &[u8]) -> Arc<dyn Contract>,
    ) {
        let LedgerSum { opener, acceptor, entries, next, rate, rates } = sum;
        let entry = |(id, sum): (ContractId, EntrySum)| {
            let EntrySum { amount, kind, terms, added, removed } = sum;
            (id, Entry { amount, contract: contract(kind, &terms), added, removed })
        };
        let (capacity, entries) = (self.capacity, entries.into_iter().map(entry).collect());
        *self = Self { capacity, opener, acceptor, entries, next, rate, rates };
    }

    /// The contracts that some commitment has or will have.
    pub const fn entries(&self) -> &BTreeMap<ContractId, Entry> {
        &self.entries
    }

    /// The number of the next HTLC that this side offers.
    pub fn next_id(&self, side: Side) -> HtlcId {
        self.next_of(side, HTLC)
    }

    /// The number of the next contract of a kind that this side offers.
    pub fn next_of(&self, side: Side, kind: Kind) -> HtlcId {
        self.next.get(&(side, kind)).copied().unwrap_or_default()
    }

    /// What a side has beside all that it has offered, whatever becomes of that.
    pub fn free(&self, side: Side) -> Msat {
        let free = match side {
            Side::Opener => self.opener,
            Side::Acceptor => self.acceptor,
        };
        Msat(free.try_into().unwrap_or(0))
    }

    /// What a commitment of `owner` says.
    pub fn view(&self, owner: Side, which: As) -> View {
        let [mut to_opener, mut to_acceptor] = [self.opener, self.acceptor];
        let mut give = |side: Side, amount: Msat| match side {
            Side::Opener => to_opener += i128::from(amount.0),
            Side::Acceptor => to_acceptor += i128::from(amount.0),
        };
        let mut contracts = Vec::with_capacity(self.entries.len());
        let mut inside = 0;
        for (id, entry) in &self.entries {
            let payer = id.offered_by;
            let removed = entry.removed.filter(|it| it.step >= which.since(owner, payer.other()));
            if entry.added < which.since(owner, payer) {
                give(payer, entry.amount);
            } else if let Some(removal) = removed {
                give(if removal.paid { payer.other() } else { payer }, entry.amount);
            } else {
                inside += entry.amount.0;
                contracts.push((*id, entry.placed(*id)));
            }
        }
        let [to_opener, to_acceptor] = [to_opener, to_acceptor].map(|it| {
            Msat(it.try_into().expect("nobody offers more than a commitment has for it"))
        });
        let total = to_opener.0 + to_acceptor.0 + inside;
        assert_eq!(total, self.capacity.0, "money is conserved");
        View { to_opener, to_acceptor, feerate: self.feerate(owner, which), contracts }
    }

    /// The contracts whose payees already have the money in a commitment of `owner`.
    pub fn paid_in(&self, owner: Side, which: As) -> Vec<ContractId> {
        let is_paid = |(id, entry): &(&ContractId, &Entry)| {
            let (payer, payee) = (id.offered_by, id.offered_by.other());
            let ends = |it: Removal| it.paid && it.step >= which.since(owner, payee);
            entry.added >= which.since(owner, payer) && entry.removed.is_some_and(ends)
        };
        self.entries.iter().filter(is_paid).map(|(id, _)| *id).collect()
    }

    /// The fee rate of a commitment of `owner`.
    pub fn feerate(&self, owner: Side, which: As) -> FeeratePerKw {
        let since = which.since(owner, Side::Opener);
        let newest = self.rates.iter().rev().find(|(step, _)| *step >= since);
        newest.map_or(self.rate, |(_, rate)| *rate)
    }

    /// The rates that are so far on their way, the newest last.
    pub fn rates_at(&self, at: Step) -> impl Iterator<Item = FeeratePerKw> {
        self.rates.iter().filter(move |(step, _)| *step == at).map(|(_, rate)| *rate)
    }

    /// Whether this side has proposed something that no commitment has.
    pub fn has_proposed(&self, by: Side) -> bool {
        let entry = |(id, entry): (&ContractId, &Entry)| match id.offered_by == by {
            true => entry.added == Step::Proposed,
            false => entry.removed.is_some_and(|it| it.step == Step::Proposed),
        };
        let has_rate = by == Side::Opener && self.rates.iter().any(|it| it.0 == Step::Proposed);
        has_rate || self.entries.iter().any(entry)
    }

    /// Whether there is no contract, and no rate on its way.
    pub fn is_quiet(&self) -> bool {
        self.entries.is_empty() && self.rates.is_empty()
    }

    /// A rate that some commitments have, or will have once they are revoked, and others not.
    pub fn rate_under_way(&self) -> Option<FeeratePerKw> {
        let signed = self.rates.iter().rev().find(|(step, _)| *step > Step::Proposed);
        signed.map(|(_, rate)| *rate)
    }

    /// Whether there is something that a signature of this side would add to its peer's commitment.
    pub fn has_unsigned(&self, by: Side) -> bool {
        let unsigned = |proposer: Side, step: Step| {
            step == if proposer == by { Step::Proposed } else { Step::Revoked }
        };
        let entry = |(id, entry): (&ContractId, &Entry)| {
            unsigned(id.offered_by, entry.added)
                || entry.removed.is_some_and(|it| unsigned(id.offered_by.other(), it.step))
        };
        self.entries.iter().any(entry)
            || self.rates.iter().any(|(step, _)| unsigned(Side::Opener, *step))
    }

    /// `update_add_htlc` and its like. Nothing if the side has not so much in its peer's next
    /// commitment: when its own gets the contract, it has all that this one has now.
    pub fn add(
        &mut self,
        by: Side,
        amount: Msat,
        contract: Arc<dyn Contract>,
    ) -> Option<ContractId> {
        let has = |view: &View| view.balance(by) >= amount;
        if self.free(by) < amount && !has(&self.view(by.other(), As::Draft)) {
            return None;
        }
        let kind = contract.kind();
        let id = self.next_of(by, kind);
        self.next.insert((by, kind), HtlcId(id.0.checked_add(1)?));
        *self.free_mut(by) -= i128::from(amount.0);
        let id = ContractId { offered_by: by, kind, id };
        self.entries.insert(id, Entry { amount, contract, added: Step::Proposed, removed: None });
        Some(id)
    }

    /// `update_fulfill_htlc` and its like. False if that contract cannot be ended now: only one
    /// that every commitment has, and once.
    pub fn remove(&mut self, id: ContractId, paid: bool) -> bool {
        match self.entries.get_mut(&id) {
            Some(Entry { added: Step::Acked, removed: removed @ None, .. }) => {
                *removed = Some(Removal { step: Step::Proposed, paid });
                true
            }
            Some(_) | None => false,
        }
    }

    /// `update_fee`.
    pub fn set_rate(&mut self, rate: FeeratePerKw) {
        match self.rates.last_mut() {
            Some((Step::Proposed, last)) => *last = rate,
            Some(_) | None => self.rates.push((Step::Proposed, rate)),
        }
    }

    /// `commitment_signed` of this side.
    pub fn sign(&mut self, by: Side) {
        self.pass(|proposer, step| match (step, proposer == by) {
            (Step::Proposed, true) => Step::Committed,
            (Step::Revoked, false) => Step::AckCommitted,
            _ => step,
        });
    }

    /// `revoke_and_ack` of this side. Returns what is over.
    pub fn revoke(&mut self, by: Side) -> Vec<Gone> {
        self.pass(|proposer, step| match (step, proposer == by) {
            (Step::Committed, false) => Step::Revoked,
            (Step::AckCommitted, true) => Step::Acked,
            _ => step,
        });
        while let Some(&(Step::Acked, rate)) = self.rates.first() {
            self.rate = rate;
            self.rates.remove(0);
        }
        let is_over = |_: &ContractId, entry: &mut Entry| {
            entry.removed.is_some_and(|it| it.step == Step::Acked)
        };
        let over: Vec<_> = self.entries.extract_if(.., is_over).collect();
        over.into_iter().map(|(id, entry)| self.settle(id, &entry)).collect()
    }

    /// The connection is gone, and with it what this side has proposed and not signed. What `by`'s
    /// peer has proposed, that peer says again itself.
    pub fn forget_unsigned(&mut self, by: Side) {
        self.drop_proposed(by);
        for (id, entry) in &mut self.entries {
            let is_new = |it: Removal| id.offered_by != by && it.step == Step::Proposed;
            entry.removed = entry.removed.filter(|it| !is_new(*it));
        }
        if by == Side::Opener {
            self.rates.retain(|(step, _)| *step != Step::Proposed);
        }
    }

    /// The newest `commitment_signed` of this side was never signed. All is as before it, but that
    /// what the side has offered, and no commitment has, is gone. Says what that was.
    pub fn take_back(&mut self, by: Side) -> Vec<ContractId> {
        // It signs when all that it has signed before is revoked, so nothing else has these steps.
        self.pass(|proposer, step| match (step, proposer == by) {
            (Step::Committed, true) => Step::Proposed,
            (Step::AckCommitted, false) => Step::Revoked,
            _ => step,
        });
        self.drop_proposed(by)
    }

    fn drop_proposed(&mut self, by: Side) -> Vec<ContractId> {
        let is_new = |id: &ContractId, entry: &mut Entry| {
            id.offered_by == by && entry.added == Step::Proposed
        };
        let new: Vec<_> = self.entries.extract_if(.., is_new).collect();
        for (id, entry) in &new {
            let next = self.next.get_mut(&(by, id.kind)).expect("it was counted");
            next.0 = next.0.min(id.id.0);
            *self.free_mut(by) += i128::from(entry.amount.0);
        }
        new.into_iter().map(|(id, _)| id).collect()
    }

    /// Moves the money of what is over.
    fn settle(&mut self, id: ContractId, entry: &Entry) -> Gone {
        let paid = entry.removed.is_some_and(|it| it.paid);
        let payee = if paid { id.offered_by.other() } else { id.offered_by };
        *self.free_mut(payee) += i128::from(entry.amount.0);
        Gone { id, paid }
    }

    const fn free_mut(&mut self, side: Side) -> &mut i128 {
        match side {
            Side::Opener => &mut self.opener,
            Side::Acceptor => &mut self.acceptor,
        }
    }

    fn pass(&mut self, step: impl Fn(Side, Step) -> Step) {
        for (id, entry) in &mut self.entries {
            entry.added = step(id.offered_by, entry.added);
            if let Some(removal) = &mut entry.removed {
                removal.step = step(id.offered_by.other(), removal.step);
            }
        }
        for (at, _) in &mut self.rates {
            *at = step(Side::Opener, *at);
        }
    }
}
