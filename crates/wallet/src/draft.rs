//! Spends, from the wish to the signed transaction.

use std::collections::BTreeSet;

use bdk_wallet::{
    coin_selection::{BranchAndBoundCoinSelection, SingleRandomDraw},
    error::CreateTxError,
};
use bitcoin::{Amount, FeeRate, OutPoint, ScriptBuf, Transaction, Txid, Weight};
use secp256k1::schnorr::Signature;
use signer::{
    Account, Branch, FEE_RATE_FLAGGED_SAT_PER_VB_MAX, FEE_RATE_SAT_PER_VB_MAX, KeyIndex, KeyPlace,
    Payee, Policy, SPEND_INPUTS_MAX, Spend, SpendInput, SpendOutput, UnsignedFault,
};

use crate::{
    api::{Coin, DraftId, Order, Recipient, Wanted},
    change::{Change, Made, Plan},
    draw::Draw,
    fault::Refusal,
    wallet::{Wallet, plus},
};

/// The lowest fee that is relayed.
pub const FEE_RATE_MIN: FeeRate = FeeRate::BROADCAST_MIN;

/// Bytes of an output of ours.
const OUTPUT_BYTES: u64 = 8 + 1 + 34;
/// What an input of ours weighs once it is signed.
const INPUT_WEIGHT: Weight = Weight::from_wu(4 * 41 + 66);

/// A spend that waits for its signatures. Its coins are kept until [`Wallet::published`] or
/// [`Wallet::give_up`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    id: DraftId,
    account: Account,
    spend: Spend,
    txid: Txid,
    fee: Amount,
    replaces: Option<Txid>,
}

impl Draft {
    /// Its number.
    pub const fn id(&self) -> DraftId {
        self.id
    }

    /// What it means.
    pub const fn spend(&self) -> &Spend {
        &self.spend
    }

    /// The question that goes to the signer.
    pub fn ask(&self) -> signer::Ask {
        signer::Ask::SignSpend { spend: self.spend.clone() }
    }

    /// What the transaction will be called.
    pub const fn txid(&self) -> Txid {
        self.txid
    }

    /// The transaction, without its signatures.
    pub fn transaction(&self) -> Transaction {
        self.spend.transaction(&self.account)
    }

    /// What it costs.
    pub const fn fee(&self) -> Amount {
        self.fee
    }

    /// The spend of ours that it replaces, if it does.
    pub const fn replaces(&self) -> Option<Txid> {
        self.replaces
    }

    /// The signed transaction, for [`Wallet::published`].
    pub fn finish(&self, signatures: &[Signature]) -> Result<Transaction, UnsignedFault> {
        self.spend.signed(&self.account, signatures)
    }
}

/// What is to be built, after everything simple was judged.
pub(crate) struct Job {
    /// Outputs of which the amount is known.
    pub(crate) fixed: Vec<(ScriptBuf, Amount)>,
    /// Who gets what is left.
    pub(crate) rest: ScriptBuf,
    /// All free coins go into it.
    pub(crate) is_all: bool,
    pub(crate) rate: FeeRate,
    pub(crate) allow_high_fee: bool,
    pub(crate) is_fixed: bool,
    pub(crate) change: Option<KeyIndex>,
}

impl Wallet {
    /// Drafts a payment. `draw` is drawn with randomness: which coins are taken, and where the
    /// change stands, should be nobody's guess.
    pub fn send(&mut self, order: &Order, draw: [u8; 32]) -> Result<Draft, Refusal> {
        let to = self.recipient(&order.to)?;
        check_rate(order.fee_rate, order.allow_high_fee)?;
        let (got, max) = (order.reserve, Amount::MAX_MONEY);
        if got > max {
            return Err(Refusal::TooMuch { got, max });
        }
        let index = self.book.free_change()?;
        let change = self.book.script(KeyPlace { branch: Branch::Change, index });
        let mut job = Job {
            fixed: Vec::new(),
            rest: change.clone(),
            is_all: false,
            rate: order.fee_rate,
            allow_high_fee: order.allow_high_fee,
            is_fixed: order.is_fixed,
            change: Some(index),
        };
        match order.amount {
            Wanted::Exactly(amount) => {
                check_amount(&to, amount)?;
                job.fixed.push((to, amount));
            }
            Wanted::All => {
                job.is_all = true;
                if order.reserve > Amount::ZERO {
                    let least = change.minimal_non_dust();
                    job.fixed.push((change, order.reserve.max(least)));
                }
                job.rest = to;
            }
        }
        let spend = self.build(&job, order.reserve, draw)?;
        self.draft(&job, spend, None)
    }

    fn recipient(&self, to: &Recipient) -> Result<ScriptBuf, Refusal> {
        match to {
            Recipient::Script(script) => Ok(script.clone()),
            Recipient::Address(address) => {
                let want = self.network();
                let shown = address.clone().assume_checked_ref().to_string();
                let ours = address.clone().require_network(want);
                let ours = ours.map_err(|_| Refusal::Network { address: shown, want })?;
                Ok(ours.script_pubkey())
            }
        }
    }

    /// Chooses coins, twice if the first choice would use up the reserve.
    fn build(&mut self, job: &Job, reserve: Amount, draw: [u8; 32]) -> Result<Spend, Refusal> {
        let free: Vec<Coin> = self.coins().into_iter().filter(Coin::is_free).collect();
        let spend = self.choose(job, &free, job.is_all, reserve, draw)?;
        if job.is_all || kept(&spend, &free, &job.rest, &self.book.account) >= reserve {
            return Ok(spend);
        }
        // Pending change does not count, unless it goes through this transaction.
        let spend = self.choose(job, &free, true, reserve, draw)?;
        if kept(&spend, &free, &job.rest, &self.book.account) >= reserve {
            return Ok(spend);
        }
        let need = job.fixed.iter().map(|(_, amount)| *amount).sum();
        let fee = fee(&spend);
        Err(Refusal::Reserve { have: sum(&free), need, fee, reserve })
    }

    fn choose(
        &mut self,
        job: &Job,
        free: &[Coin],
        is_all: bool,
        reserve: Amount,
        draw: [u8; 32],
    ) -> Result<Spend, Refusal> {
        // A coin that costs more than it is worth would only make it dearer.
        let costs = job.rate.fee_wu(INPUT_WEIGHT).unwrap_or(Amount::MAX);
        let mut taken: Vec<&Coin> = free.iter().filter(|coin| coin.amount > costs).collect();
        let (count, max) = (taken.len(), SPEND_INPUTS_MAX);
        let too_many = Refusal::TooManyCoins { have: count, max };
        if count > max && job.is_all {
            return Err(too_many);
        }
        taken.sort_by_key(|coin| std::cmp::Reverse((coin.amount, coin.outpoint)));
        let against = self.against_ghosts(free);
        taken.retain(|coin| !against.contains(coin));
        taken.truncate(max - against.len());
        taken.extend(&against);
        let spare = self.all_but(&taken);
        let mut builder = self.ledger.bdk.build_tx().coin_selection(selection());
        builder.set_recipients(job.fixed.clone());
        builder.drain_to(job.rest.clone()).fee_rate(job.rate).unspendable(spare);
        for coin in &against {
            let chosen = builder.add_utxo(coin.outpoint);
            chosen.expect("the ledger has every coin");
        }
        if is_all {
            builder.drain_wallet();
        }
        let have = sum(free);
        let need: Amount = job.fixed.iter().map(|(_, amount)| *amount).sum();
        let refused = |error| {
            // All else that can be wrong was looked at before.
            let needed =
                if let CreateTxError::CoinSelection(short) = error { short.needed } else { need };
            match count > max && needed <= have {
                true => too_many,
                false => not_enough(have, need, needed, reserve, job.is_all),
            }
        };
        let psbt = builder.finish_with_aux_rand(&mut Draw::new(draw)).map_err(refused)?;
        let spend = self.meaning(&psbt.unsigned_tx, job.allow_high_fee);
        if job.is_all && !psbt.unsigned_tx.output.iter().any(|o| o.script_pubkey == job.rest) {
            return Err(not_enough(have, need, need + fee(&spend), reserve, true));
        }
        Ok(spend)
    }

    /// Coins of which a spend takes one for each spend that was given up and could still be mined.
    /// Then only one of the two can be.
    fn against_ghosts<'a>(&self, free: &'a [Coin]) -> Vec<&'a Coin> {
        let unspent: BTreeSet<OutPoint> =
            self.ledger.unspent().map(|output| output.outpoint).collect();
        let mut taken: Vec<&Coin> = Vec::new();
        for ghost in &self.book.ghosts {
            let is_of_it = |coin: &&Coin| ghost.spends.contains(&coin.outpoint);
            let is_possible = ghost.spends.iter().all(|outpoint| unspent.contains(outpoint));
            if is_possible && !taken.iter().any(&is_of_it) {
                let coins = free.iter().filter(is_of_it);
                taken.extend(coins.max_by_key(|coin| coin.amount));
            }
        }
        taken
    }

    /// Coins that a spend may not have, if it may have these.
    pub(crate) fn all_but(&self, taken: &[&Coin]) -> Vec<OutPoint> {
        let taken: BTreeSet<OutPoint> = taken.iter().map(|coin| coin.outpoint).collect();
        let all = self.ledger.unspent().map(|output| output.outpoint);
        all.filter(|outpoint| !taken.contains(outpoint)).collect()
    }

    /// The spend that makes just this transaction.
    pub(crate) fn meaning(&self, transaction: &Transaction, allow_high_fee: bool) -> Spend {
        let input = |input: &bitcoin::TxIn| {
            let outpoint = input.previous_output;
            let known = "only coins of ours are chosen";
            SpendInput {
                outpoint,
                amount: self.book.output(&outpoint).expect(known).value,
                place: self.book.place(&outpoint).expect(known),
                sequence: input.sequence,
            }
        };
        let output = |output: &bitcoin::TxOut| SpendOutput {
            amount: output.value,
            to: match self.book.places.get(&output.script_pubkey) {
                Some(place) => Payee::Ours(*place),
                None => Payee::Script(output.script_pubkey.clone()),
            },
        };
        Spend {
            version: transaction.version,
            lock_time: transaction.lock_time,
            inputs: transaction.input.iter().map(input).collect(),
            outputs: transaction.output.iter().map(output).collect(),
            allow_high_fee,
        }
    }

    /// Keeps the coins of a spend that the signer will not refuse.
    pub(crate) fn draft(
        &mut self,
        job: &Job,
        spend: Spend,
        replaces: Option<Txid>,
    ) -> Result<Draft, Refusal> {
        let account = self.book.account;
        // Which rights the signer's owner gives, only the signer knows.
        let policy = Policy { high_fees: true, ..Policy::default() };
        let fee = policy.judge(&account, &spend).map_err(Refusal::Signer)?;
        self.room_for_locks(spend.inputs.len())?;
        let transaction = spend.transaction(&account);
        let is_rest = |output: &bitcoin::TxOut| output.script_pubkey == job.rest;
        let elastic = transaction.output.iter().position(is_rest);
        let made = Made { elastic: elastic.map(|at| at as u32), is_fixed: job.is_fixed };
        let inputs: Vec<OutPoint> = spend.inputs.iter().map(|input| input.outpoint).collect();
        let (id, txid) = (self.book.next_draft, transaction.compute_txid());
        let plan = Plan { txid, inputs, change: job.change, replaces, made };
        self.apply(Change::Drafted { id, plan });
        Ok(Draft { id, account, spend, txid, fee, replaces })
    }
}

/// How coins are chosen: without change if that can be, and else by chance.
pub(crate) fn selection() -> BranchAndBoundCoinSelection {
    BranchAndBoundCoinSelection::new(OUTPUT_BYTES, SingleRandomDraw)
}

pub(crate) fn check_rate(got: FeeRate, allow_high_fee: bool) -> Result<(), Refusal> {
    if got < FEE_RATE_MIN {
        return Err(Refusal::FeeRateLow { got, min: FEE_RATE_MIN });
    }
    let max = match allow_high_fee {
        true => FEE_RATE_FLAGGED_SAT_PER_VB_MAX,
        false => FEE_RATE_SAT_PER_VB_MAX,
    };
    let max = FeeRate::from_sat_per_kwu(max * 250);
    if got > max { Err(Refusal::FeeRateHigh { got, max }) } else { Ok(()) }
}

fn check_amount(to: &ScriptBuf, got: Amount) -> Result<(), Refusal> {
    let max = Amount::MAX_MONEY;
    if got > max {
        return Err(Refusal::TooMuch { got, max });
    }
    if got == Amount::ZERO {
        return Err(Refusal::Zero);
    }
    let min = to.minimal_non_dust();
    if got < min { Err(Refusal::Dust { got, min }) } else { Ok(()) }
}

pub(crate) fn sum(coins: &[Coin]) -> Amount {
    coins.iter().fold(Amount::ZERO, |sum, coin| plus(sum, coin.amount))
}

pub(crate) fn fee(spend: &Spend) -> Amount {
    let spent: Amount = spend.inputs.iter().map(|input| input.amount).sum();
    let paid: Amount = spend.outputs.iter().map(|output| output.amount).sum();
    spent.checked_sub(paid).unwrap_or_default()
}

/// What stays ours: confirmed coins that are not spent, and what comes back.
fn kept(spend: &Spend, free: &[Coin], change: &ScriptBuf, account: &Account) -> Amount {
    let spent = |coin: &Coin| spend.inputs.iter().any(|input| input.outpoint == coin.outpoint);
    let coins = free.iter().filter(|coin| coin.height.is_some() && !spent(coin));
    let back = spend.transaction(account).output;
    let back = back.iter().filter(|output| output.script_pubkey == *change).map(|o| o.value);
    coins.map(|coin| coin.amount).chain(back).fold(Amount::ZERO, plus)
}

fn not_enough(
    have: Amount,
    need: Amount,
    needed: Amount,
    reserve: Amount,
    is_all: bool,
) -> Refusal {
    let fee = needed.checked_sub(need).unwrap_or_default();
    // The reserve is one of the amounts that are needed.
    match is_all && reserve > Amount::ZERO {
        true => Refusal::Reserve { have, need: Amount::ZERO, fee, reserve },
        false => Refusal::NotEnough { have, need, fee },
    }
}
