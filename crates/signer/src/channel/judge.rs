//! What of a commitment must hold before it is agreed on.

use std::collections::BTreeMap;

use tx::{Commitment, Contract, Kind, Meaning, Output, Placed, Purpose, Side, Terms};
use wire::amount::{CsvDelay, FeeratePerKw, Msat, Sat};
use wire::id::CommitmentNumber;

use super::ChannelRefusal as No;
use super::SetUp;
use super::memory::Memory;

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
    pub(super) fn judge(&self) -> Result<(), No> {
        let terms = &self.terms;
        if terms.funding.value > Sat::MAX_MONEY {
            let (got, limit) = (terms.funding.value.0, Sat::MAX_MONEY.0);
            return Err(No::Terms { term: "funding_satoshis", got, limit });
        }
        let all = terms.funding.value.to_msat().expect("all money fits");
        if self.pushed > all {
            return Err(No::Terms { term: "push_msat", got: self.pushed.0, limit: all.0 });
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
    pub(super) fn judge(&self, meaning: &Meaning, secrets: &[Vec<u8>]) -> Result<(), No> {
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
        self.no_loss(meaning, secrets)
    }

    /// Our money leaves by contracts only, and what they do not pay comes back.
    fn no_loss(&self, meaning: &Meaning, secrets: &[Vec<u8>]) -> Result<(), No> {
        let side = self.setup.side;
        let before = self.newest(meaning.owner);
        let [opener, acceptor] = self.setup.first();
        let first = if side == Side::Opener { opener } else { acceptor };
        let had = before.map_or(first, |it| free(&it.meaning, side));
        let mut offered: BTreeMap<_, (i64, &Placed)> = BTreeMap::new();
        let old = before.map_or(&[][..], |it| &it.meaning.contracts);
        for (sign, placed) in
            old.iter().map(|it| (-1, it)).chain(meaning.contracts.iter().map(|it| (1, it)))
        {
            if placed.offered_by == side {
                offered.entry(key(placed)).or_insert((0, placed)).0 += sign;
            }
        }
        let mut want = i128::from(had.0);
        for (change, placed) in offered.into_values() {
            let amount = i128::from(placed.amount.0);
            let is_opened = || secrets.iter().any(|it| placed.contract.is_opened_by(it));
            if change > 0 || !is_opened() {
                want -= i128::from(change) * amount;
            }
        }
        let got = free(meaning, side);
        match i128::from(got.0) < want {
            true => Err(No::Loss { got, want: Msat(want.try_into().unwrap_or(u64::MAX)) }),
            false => Ok(()),
        }
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
fn key(placed: &Placed) -> (Msat, Kind, Vec<u8>) {
    let contract: &dyn Contract = &*placed.contract;
    (placed.amount, contract.kind(), contract.terms())
}
