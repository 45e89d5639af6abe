//! Ending a channel: cooperative closes, and what is taken on chain.
//!
//! **No signature for a claim takes the funding.** [`SignClaims`] and [`SignStages`] build each
//! digest over the script of what is claimed (BIP 143). None of these scripts is that of the
//! funding: the funding key signs here for an anchor only, and a signature over an anchor's script
//! is good for nothing that wants two of two. No other key of ours stands in the funding. A claim
//! of the funding's outpoint is refused on top of that. So only three questions sign for the
//! funding: the two for commitments, and [`SignClose`], whose balances are those of both sides'
//! newest commitments.
//!
//! **No money is burnt by amounts that are lies.** A signature of segwit version 0 covers the
//! amount of its own input only. Whoever asks several times, each time with one true amount, could
//! put the signatures together to a transaction whose fee nobody has judged. So what is claimed is
//! read from the transactions that hold it: outpoints are their ids. Coins of the wallet need none,
//! since a signature of taproot covers all amounts.
//!
//! Claims are judged each time, and change nothing. The first close does: from then on no new
//! commitment is signed or taken. A close cannot be revoked, so it would be an old state with which
//! the peer takes back what it has paid since. Further closes of the same balances are signed,
//! since fees are negotiated, and our newest commitment can still be published.

mod claims;
mod close;
mod flaw;

use bitcoin::{ScriptBuf, Transaction};
use tx::{Claim, Close, Staged};
use wire::amount::{LockTime, Sat};

use crate::account::{KEY_INDEX_MAX, KeyPlace, WalletKey};
use crate::policy::{Destinations, PLACE_STEP_MAX, Policy};
use crate::spend::{Payee, SpendInput};

pub use flaw::EndFlaw;

/// The highest fee of a close that we pay, in hundredths of what we have.
pub const CLOSE_FEE_PERCENT_MAX: u64 = 10;
/// The highest fee of claims that can wait, in hundredths of what they hold: our own balance. Of a
/// commitment that an anchor has mined, in hundredths of all that it holds for us.
pub const CLAIM_FEE_PERCENT_MAX: u64 = 25;
/// The highest fee of claims that the peer can take first, in hundredths of what they hold. Too
/// low a fee loses everything.
pub const RACED_FEE_PERCENT_MAX: u64 = 75;
/// A fee up to here is never too high: small sums pay as much as great ones.
pub const END_FEE_FLOOR_SAT: Sat = Sat(10_000);

/// A cooperative close to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignClose {
    /// What it means.
    pub close: Close,
    /// Where our output goes. Also if it is left out.
    pub ours: Payee,
}

/// Outputs of one channel to be taken, with coins that pay for it: one output gets all that is
/// left. An anchor of ours with coins is the child that pays for a commitment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignClaims {
    /// What is taken.
    pub claims: Vec<Claim>,
    /// The transactions that hold it, whole.
    pub parents: Vec<Transaction>,
    /// What else is spent.
    pub coins: Vec<SpendInput>,
    /// Who gets it.
    pub to: Payee,
    /// What it costs.
    pub fee: Sat,
    /// Not in a block before; claims may have it wait longer.
    pub lock_time: LockTime,
}

/// Second stages of our newest commitment to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignStages {
    /// Which ones, all of the same lock time.
    pub stages: Vec<Staged>,
    /// What pays for them, with anchors.
    pub coins: Vec<SpendInput>,
    /// Where what is left of the coins comes back to.
    pub change: Option<KeyPlace>,
    /// What it costs.
    pub fee: Sat,
}

/// The wallet of the same signer: money of channels comes back to it, and its coins pay for that.
#[derive(Clone, Copy)]
pub struct Money<'a> {
    /// Its keys.
    pub wallet: &'a WalletKey,
    /// Which other scripts its owner has allowed: only those that are listed by name.
    pub policy: &'a Policy,
}

impl Money<'_> {
    /// The script of a destination that is ours, or that the owner has listed. That anybody may be
    /// paid is said of payments that people make: it does not let a channel end in foreign hands.
    fn script(&self, to: &Payee, coins: &[SpendInput]) -> Result<ScriptBuf, EndFlaw> {
        match (to, &self.policy.destinations) {
            (Payee::Ours(place), _) => self.place(*place, coins),
            (Payee::Script(script), Destinations::Listed(listed)) => {
                let stranger = EndFlaw::Destination { listed: listed.len() };
                let is_good = listed.contains(script) && !script.is_op_return();
                is_good.then(|| script.clone()).ok_or(stranger)
            }
            (Payee::Script(_), Destinations::Any) => Err(EndFlaw::Destination { listed: 0 }),
        }
    }

    /// A place of the wallet, not further away than anybody would look for it.
    fn place(&self, place: KeyPlace, coins: &[SpendInput]) -> Result<ScriptBuf, EndFlaw> {
        let furthest = coins.iter().map(|it| it.place.index.number()).max().unwrap_or(0);
        let max = furthest.saturating_add(PLACE_STEP_MAX).min(KEY_INDEX_MAX);
        let got = place.index.number();
        if got > max {
            return Err(EndFlaw::Place { got, max });
        }
        Ok(self.wallet.account().script(place))
    }

    fn coins(&self, coins: &[SpendInput]) -> Vec<tx::Coin> {
        let coin = |it: &SpendInput| tx::Coin {
            outpoint: it.outpoint,
            value: Sat(it.amount.to_sat()),
            script: self.wallet.account().script(it.place),
            sequence: it.sequence,
        };
        coins.iter().map(coin).collect()
    }
}

/// So many hundredths of it.
fn percent(of: Sat, percent: u64) -> Sat {
    let part = u128::from(of.0) * u128::from(percent) / 100;
    Sat(u64::try_from(part).unwrap_or(u64::MAX))
}

/// Whether a fee is at most a part of what is at stake, or small in itself.
fn judge_fee(got: Sat, part: Sat, stake: Sat) -> Result<(), EndFlaw> {
    let max = part.max(END_FEE_FLOOR_SAT);
    if got > max {
        return Err(EndFlaw::Fee { got, max, stake });
    }
    Ok(())
}
