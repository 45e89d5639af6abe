//! How much may be under way, and what must stay.

use tx::{Placed, Side};
use wire::UpdateAddHtlc;
use wire::amount::{BlockHeight, FeeratePerKw, HtlcCount, Msat, Sat};

use crate::fault::{Refusal, Violation};
use crate::ledger::{As, View};
use crate::state::{Channel, contract_of};

/// Locks from here on are times and no heights.
pub(super) const EXPIRY_END: BlockHeight = BlockHeight(500_000_000);
/// The rates of commitments that we agree to, as the signer has them.
pub(super) const RATES: [FeeratePerKw; 2] =
    [signer::COMMITMENT_RATE_MIN, signer::COMMITMENT_RATE_MAX];
/// The opener keeps so many times the fee, and room for one more output: else a rising rate or a
/// payment to it would find it without means.
const FEE_SPIKE: u64 = 2;

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
    TooMany { max: HtlcCount },
    InFlight { got: Msat, max: Msat },
    Balance { have: Msat, need: Msat },
    Fee { have: Msat, need: Msat },
}

impl Channel {
    /// Whether `by` may offer one more contract.
    pub(super) fn judge_add(&self, by: Side, add: &UpdateAddHtlc) -> Result<(), Excess> {
        let is_ours = by == self.setup.side;
        let taken = if is_ours { &self.limits.remote } else { &self.limits.local };
        if add.amount_msat < taken.htlc_minimum {
            return Err(Excess::TooSmall { min: taken.htlc_minimum });
        }
        let (peer, mut offered, mut count) = (by.other(), add.amount_msat, 1);
        let view = self.ledger.view(peer, As::Draft);
        for (_, placed) in view.contracts.iter().filter(|(id, _)| id.offered_by == by) {
            offered.0 = offered.0.saturating_add(placed.amount.0);
            count += 1;
        }
        if count > usize::from(taken.htlcs_max.0) {
            return Err(Excess::TooMany { max: taken.htlcs_max });
        }
        if offered > taken.in_flight_max {
            return Err(Excess::InFlight { got: offered, max: taken.in_flight_max });
        }
        self.judge_balance(by, is_ours, add, taken.reserve)
    }

    /// What is left must pay fees and stay above the reserve.
    fn judge_balance(
        &self,
        by: Side,
        is_ours: bool,
        add: &UpdateAddHtlc,
        reserve: Sat,
    ) -> Result<(), Excess> {
        let reserve = Msat(reserve.0.saturating_mul(1_000));
        let need = Msat(add.amount_msat.0.saturating_add(reserve.0));
        let placed = Placed { offered_by: by, amount: add.amount_msat, contract: contract_of(add) };
        for owner in self.judged(is_ours) {
            let view = self.ledger.view(owner, As::Draft);
            let have = self.counted(by, &view, is_ours);
            if have < need {
                let have = Msat(have.0.saturating_sub(reserve.0));
                return Err(Excess::Balance { have, need: add.amount_msat });
            }
            let costs = self.costs(owner, view.feerate, &placed, is_ours && by == Side::Opener);
            let (opener, kept) = match by {
                Side::Opener => (Msat(have.0 - add.amount_msat.0), reserve),
                Side::Acceptor => (view.to_opener, Msat(0)),
            };
            let need = Msat(costs.0.saturating_mul(1_000).saturating_add(kept.0));
            if opener < need {
                return Err(Excess::Fee { have: opener, need });
            }
        }
        Ok(())
    }

    /// In whose commitments an update must be affordable. What a peer proposes counts in ours only:
    /// of what we have proposed meanwhile it has not heard. What we propose has to fit in both.
    fn judged(&self, is_ours: bool) -> Vec<Side> {
        if is_ours { vec![Side::Opener, Side::Acceptor] } else { vec![self.setup.side] }
    }

    /// What a side has for an update. Of our own money we do not count on what may still be taken
    /// back; the peer may.
    fn counted(&self, by: Side, view: &View, is_ours: bool) -> Msat {
        let have = view.balance(by);
        if is_ours { have.min(self.ledger.free(by)) } else { have }
    }

    /// Fee and anchors of a commitment with one more contract, with a margin if it is our own.
    fn costs(&self, owner: Side, rate: FeeratePerKw, more: &Placed, with_margin: bool) -> Sat {
        let terms = &self.setup.terms;
        let view = self.ledger.view(owner, As::Draft);
        let all = view.contracts.iter().map(|(_, placed)| placed).chain([more]);
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
        let is_ours = self.setup.side == Side::Opener;
        for owner in self.judged(is_ours) {
            let view = self.ledger.view(owner, As::Draft);
            let placed = view.contracts.iter().map(|(_, placed)| placed);
            let outputs = placed.filter(|it| !it.is_trimmed(terms, owner, rate)).count();
            let costs = terms.form.fee(rate, outputs).0 + terms.form.anchors().0;
            let have = self.counted(Side::Opener, &view, is_ours);
            let need = Msat((costs + self.reserve_of(Side::Opener).0).saturating_mul(1_000));
            if have < need {
                return Err((have, need));
            }
        }
        Ok(())
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
    pub(super) fn refusal(self, add: &UpdateAddHtlc) -> Refusal {
        match self {
            Excess::TooSmall { min } => Refusal::TooSmall { got: add.amount_msat, min },
            Excess::TooMany { max } => Refusal::TooMany { max },
            Excess::InFlight { got, max } => Refusal::TooMuchInFlight { got, max },
            Excess::Balance { have, need } => Refusal::NotEnough { have, need },
            Excess::Fee { have, need } => Refusal::Fee { have, need },
        }
    }

    pub(super) fn violation(self, add: &UpdateAddHtlc) -> Violation {
        match self {
            Excess::TooSmall { min } => Violation::HtlcTooSmall { got: add.amount_msat, min },
            Excess::TooMany { max } => Violation::TooManyHtlcs { max },
            Excess::InFlight { got, max } => Violation::TooMuchInFlight { got, max },
            Excess::Balance { have, need } | Excess::Fee { have, need } => {
                Violation::NotAffordable { got: need, have }
            }
        }
    }
}
