//! How much may be under way, and what must stay.

use tx::{Placed, Side};
use wire::amount::{FeeratePerKw, HtlcCount, Msat, Sat};

use crate::fault::{Refusal, Violation};
use crate::ledger::{As, ContractId, Entry, Step, View};
use crate::state::Channel;

/// The rates of commitments that we agree to, as the signer has them.
pub(super) const RATES: [FeeratePerKw; 2] =
    [signer::COMMITMENT_RATE_MIN, signer::COMMITMENT_RATE_MAX];
/// The opener keeps so many times the fee, and room for one more output: else a rising rate or a
/// payment to it would find it without means.
const FEE_SPIKE: u64 = 2;

/// So much may be in contracts without an output, in each commitment: when that is published it
/// goes to miners (BOLT 2: `max_dust_htlc_exposure_msat`).
pub const DUST_MSAT_MAX: Msat = Msat(50_000_000);

/// What one side takes, and what it wants the other to keep: from `open_channel` or
/// `accept_channel`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// `htlc_minimum_msat`.
    pub htlc_minimum: Msat,
    /// `max_htlc_value_in_flight_msat`.
    pub in_flight_max: Msat,
    /// `max_accepted_htlcs`.
    pub htlcs_max: HtlcCount,
    /// `channel_reserve_satoshis`: what the other side keeps.
    pub reserve: Sat,
}

/// What both sides take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What we take.
    pub local: Taken,
    /// What the peer takes.
    pub remote: Taken,
}

/// What would break a limit, whoever offers: the numbers of a refusal or a violation.
pub(super) enum Excess {
    TooSmall { min: Msat },
    TooLarge { max: Msat },
    TooMany { max: HtlcCount },
    InFlight { got: Msat, max: Msat },
    Balance { have: Msat, need: Msat },
    Fee { have: Msat, need: Msat },
}

impl Channel {
    /// Whether `by` may offer one more contract.
    pub(super) fn judge_add(&self, add: &Placed) -> Result<(), Excess> {
        let by = add.offered_by;
        let is_ours = by == self.setup.side;
        let taken = if is_ours { &self.limits.remote } else { &self.limits.local };
        let kind = add.contract.kind();
        let bounds = self.resolvers.known(kind).bounds();
        let min = taken.htlc_minimum.max(bounds.amount_min);
        if add.amount < min {
            return Err(Excess::TooSmall { min });
        }
        if add.amount > bounds.amount_max {
            return Err(Excess::TooLarge { max: bounds.amount_max });
        }
        let (peer, mut offered, mut count, mut alike) = (by.other(), add.amount, 1, 1);
        let view = self.ledger.view(peer, As::Draft);
        for (id, placed) in view.contracts.iter().filter(|(id, _)| id.offered_by == by) {
            offered.0 = offered.0.saturating_add(placed.amount.0);
            count += 1;
            alike += usize::from(id.kind == kind);
        }
        if alike > usize::from(bounds.count_max.0) {
            return Err(Excess::TooMany { max: bounds.count_max });
        }
        if count > usize::from(taken.htlcs_max.0) {
            return Err(Excess::TooMany { max: taken.htlcs_max });
        }
        if offered > taken.in_flight_max {
            return Err(Excess::InFlight { got: offered, max: taken.in_flight_max });
        }
        self.judge_balance(add, taken.reserve)
    }

    /// Whether a contract of ours would be too much of what could go to miners.
    pub(super) fn judge_dust(&self, add: &Placed) -> Result<(), Refusal> {
        let (got, max) = (self.dust_with(add, |_| true), DUST_MSAT_MAX);
        if got > max { Err(Refusal::TooMuchDust { got, max }) } else { Ok(()) }
    }

    /// Whether a contract of the peer is too much of what could go to miners. BOLT 2: it should be
    /// failed, and its preimage not be shown. It is no fault of the peer, who has other limits.
    pub fn is_too_dusty(&self, id: ContractId) -> bool {
        let Some(entry) = self.ledger.entries().get(&id) else { return false };
        // What the peer has offered after it counts for that.
        let is_before = |it: &ContractId| it.offered_by != id.offered_by || *it < id;
        self.dust_with(&entry.placed(id), is_before) > DUST_MSAT_MAX
    }

    /// The most that miners would have of a commitment with this contract too, when all that is
    /// under way is in it; nothing if the contract has an output in both.
    fn dust_with(&self, more: &Placed, counts: impl Fn(&ContractId) -> bool) -> Msat {
        let dust = |owner: Side| {
            let rate = self.ledger.feerate(owner, As::Draft);
            let is_dust = |it: &Placed| it.is_trimmed(&self.setup.terms, owner, rate);
            if !is_dust(more) {
                return 0;
            }
            let others = self.ledger.entries().iter().filter(|(id, _)| counts(id));
            let others = others.map(|(id, entry)| entry.placed(*id)).filter(is_dust);
            others.map(|it| it.amount.0).sum::<u64>() + more.amount.0
        };
        Msat(dust(Side::Opener).max(dust(Side::Acceptor)))
    }

    /// What is left must pay fees and stay above the reserve: of our own means in both commitments,
    /// of the peer's in ours, which is the next that it signs.
    fn judge_balance(&self, add: &Placed, reserve: Sat) -> Result<(), Excess> {
        let Placed { offered_by: by, amount, .. } = *add;
        let is_ours = by == self.setup.side;
        let reserve = Msat(reserve.0.saturating_mul(1_000));
        let need = Msat(amount.0.saturating_add(reserve.0));
        for owner in self.owners(by) {
            let view = self.ledger.view(owner, As::Draft);
            let have = self.means(by, &view);
            if have < need {
                let have = Msat(have.0.saturating_sub(reserve.0));
                return Err(Excess::Balance { have, need: amount });
            }
            let costs = self.costs(owner, &view, add, is_ours && by == Side::Opener);
            let (opener, kept) = match by {
                Side::Opener => (Msat(have.0 - amount.0), reserve),
                Side::Acceptor => (view.to_opener, Msat(0)),
            };
            let need = Msat(costs.0.saturating_mul(1_000).saturating_add(kept.0));
            if opener < need {
                return Err(Excess::Fee { have: opener, need });
            }
        }
        Ok(())
    }

    /// In whose commitments an update of this side must be affordable. What the peer proposes now
    /// comes into its own commitment after all that it has proposed before: that is no draft yet.
    fn owners(&self, by: Side) -> impl Iterator<Item = Side> {
        let ours = self.setup.side;
        [ours, ours.other()].into_iter().take(if by == ours { 2 } else { 1 })
    }

    /// What a side has in a commitment. Of our own we do not count on what may still be taken back
    /// because it is not in all commitments; a peer may.
    fn means(&self, by: Side, view: &View) -> Msat {
        let have = view.balance(by);
        if by == self.setup.side { have.min(self.ledger.free(by)) } else { have }
    }

    /// Fee and anchors of a commitment with one more contract, with a margin if it is our own.
    fn costs(&self, owner: Side, view: &View, more: &Placed, with_margin: bool) -> Sat {
        let (terms, rate) = (&self.setup.terms, view.feerate);
        let known = view.contracts.iter().filter(|(id, _)| self.is_known(more.offered_by, *id));
        let all = known.map(|(_, placed)| placed).chain([more]);
        let outputs = all.filter(|it| !it.is_trimmed(terms, owner, rate)).count();
        let fee = match with_margin {
            true => FEE_SPIKE * terms.form.fee(rate, outputs + 1).0,
            false => terms.form.fee(rate, outputs).0,
        };
        Sat(fee + terms.form.anchors().0)
    }

    /// Whether the opener can pay a rate.
    pub(super) fn judge_rate(&self, rate: FeeratePerKw) -> Result<(), (Msat, Msat)> {
        let terms = &self.setup.terms;
        for owner in self.owners(Side::Opener) {
            let view = self.ledger.view(owner, As::Draft);
            let by = Side::Opener;
            let known = view.contracts.iter().filter(|(id, _)| self.is_known(by, *id));
            let placed = known.map(|(_, placed)| placed);
            let outputs = placed.filter(|it| !it.is_trimmed(terms, owner, rate)).count();
            let costs = terms.form.fee(rate, outputs).0 + terms.form.anchors().0;
            let have = self.means(Side::Opener, &view);
            let need = Msat((costs + self.reserve_of(Side::Opener).0).saturating_mul(1_000));
            if have < need {
                return Err((have, need));
            }
        }
        Ok(())
    }

    /// Whether whoever proposes something has heard of a contract: we have, and a peer has of its
    /// own, and of those that it has signed for. What it says now it may be saying again, after a
    /// reconnection, and have proposed before it heard of the others.
    fn is_known(&self, by: Side, id: ContractId) -> bool {
        let is_signed = |it: &Entry| matches!(it.added, Step::AckCommitted | Step::Acked);
        by == self.setup.side
            || id.offered_by == by
            || self.ledger.entries().get(&id).is_some_and(is_signed)
    }

    /// What a side must keep: what the other has asked for.
    fn reserve_of(&self, side: Side) -> Sat {
        match side == self.setup.side {
            true => self.limits.remote.reserve,
            false => self.limits.local.reserve,
        }
    }
}

impl Excess {
    pub(super) fn refusal(self, got: Msat) -> Refusal {
        match self {
            Excess::TooSmall { min } => Refusal::TooSmall { got, min },
            Excess::TooLarge { max } => Refusal::TooLarge { got, max },
            Excess::TooMany { max } => Refusal::TooMany { max },
            Excess::InFlight { got, max } => Refusal::TooMuchInFlight { got, max },
            Excess::Balance { have, need } => Refusal::NotEnough { have, need },
            Excess::Fee { have, need } => Refusal::Fee { have, need },
        }
    }

    pub(super) fn violation(self, got: Msat) -> Violation {
        match self {
            Excess::TooSmall { min } => Violation::HtlcTooSmall { got, min },
            Excess::TooLarge { max } => Violation::TooLarge { got, max },
            Excess::TooMany { max } => Violation::TooManyHtlcs { max },
            Excess::InFlight { got, max } => Violation::TooMuchInFlight { got, max },
            Excess::Balance { have, need } | Excess::Fee { have, need } => {
                Violation::NotAffordable { got: need, have }
            }
        }
    }
}
