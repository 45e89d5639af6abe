//! Several claims into one output.

use bitcoin::{Amount, ScriptBuf, TxOut};
use wire::amount::{LockTime, Sat};

use super::unsigned::{count, later, sum};
use super::{Claim, ClaimFault, Coin, Locks, Unsigned};
use crate::Terms;

/// Takes claims of one channel, and coins that pay for it, to one place. With an anchor alone and
/// coins it is the child that pays for a commitment.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// What is taken.
    pub claims: Vec<Claim>,
    /// What else is spent.
    pub coins: Vec<Coin>,
    /// Who gets all that is left.
    pub pays_to: ScriptBuf,
    /// What it costs.
    pub fee: Sat,
    /// Not in a block before; claims may have it wait longer.
    pub lock_time: LockTime,
}

impl Sweep {
    /// Builds it.
    pub fn build(&self, terms: &Terms) -> Result<Unsigned, ClaimFault> {
        self.build_with(&mut Locks::new(terms))
    }

    fn build_with(&self, locks: &mut Locks<'_>) -> Result<Unsigned, ClaimFault> {
        count(self.claims.len(), self.coins.len())?;
        let locks = self.claims.iter().map(|it| locks.of(it));
        let locks = locks.collect::<Result<Vec<_>, _>>()?;
        let (spent, fee) = (sum(&locks, &self.coins)?, self.fee);
        let min = Sat(self.pays_to.minimal_non_dust().to_sat());
        let left = spent.0.checked_sub(fee.0).filter(|left| *left >= min.0);
        let left = left.ok_or(ClaimFault::Short { spent, fee, min })?;
        let value = Amount::from_sat(left);
        let output = vec![TxOut { value, script_pubkey: self.pays_to.clone() }];
        let wanted = locks.iter().map(|it| it.lock_time);
        let lock_time = wanted.into_iter().try_fold(self.lock_time, later)?;
        Unsigned::new(locks, self.coins.clone(), output, lock_time)
    }

    /// What it weighs at most, signed: whatever its fee will be.
    pub fn weight_max(&self, terms: &Terms) -> Result<u64, ClaimFault> {
        self.weight_max_with(&mut Locks::new(terms))
    }

    /// The same, with keys that are derived already.
    pub fn weight_max_with(&self, locks: &mut Locks<'_>) -> Result<u64, ClaimFault> {
        let free = Self { fee: Sat(0), ..self.clone() };
        free.build_with(locks).map(|it| it.weight_max())
    }
}
