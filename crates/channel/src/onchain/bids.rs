//! The transactions that take what is ours, and what they pay.
//!
//! What can wait is taken together and cheaply. What somebody else can take as well is taken alone
//! or with its like, and pays more the nearer that is. A transaction of ours is replaced when it
//! should pay a quarter more, when somebody else has taken a part of it, and when it is a penalty
//! for several outputs whose deadline is near (`penalties.rs`).

use std::collections::BTreeMap;

use bitcoin::{OutPoint, Transaction, TxOut};
use signer::{
    CLAIM_FEE_PERCENT_MAX, ChannelOp, END_FEE_FLOOR_SAT, Payee, RACED_FEE_PERCENT_MAX, SignClaims,
    SignStages, SpendInput,
};
use tx::{Claim, Coin, InputSignature, Staged, Stages, Sweep, Unsigned};
use wire::amount::{BlockHeight, FeeratePerKw, LockTime, Sat};
use wire::list::Script;

use super::ended::{Ended, Says};
use super::jobs::{Job, What};
use crate::ledger::As;
use crate::state::{AskId, Channel, Effect, Event, Outcome};

/// The least rate that is relayed.
const RATE_MIN: FeeratePerKw = FeeratePerKw(253);
/// So much more a replacement pays at least, by each unit of weight: what everybody asks for.
pub(super) const STEP_RATE: FeeratePerKw = FeeratePerKw(253);
/// A coin of the wallet in a transaction, and a change.
const COIN_WEIGHT: u64 = 230;
const CHANGE_WEIGHT: u64 = 172;
/// A second stage with anchors, a coin that pays for it, and what is left of that.
const STAGE_WEIGHT: u64 = 1_110;
/// The child of a commitment: its anchor, a coin, and one output.
const CHILD_WEIGHT: u64 = 760;
/// Transactions that one channel has on their way at a time.
pub(super) const BIDS_MAX: usize = 200;

/// A coin of the wallet, lent to a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoinOffer {
    /// For the signer.
    pub input: SpendInput,
    /// What it pays to.
    pub script: Script,
}

/// Coins that a channel wants to borrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Names the question.
    pub asked: AskId,
    /// At least so much together, at any number of coins.
    pub value: Sat,
}

/// Our transactions on their way, by what they take.
pub(crate) type Bids = BTreeMap<Vec<OutPoint>, Bid>;

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct Bid {
    pub(crate) work: Work,
    pub(crate) fee: Sat,
    pub(crate) asked: Option<AskId>,
    /// The newest block when it was made.
    pub(crate) since: BlockHeight,
    /// What pays for it.
    pub(crate) coins: Vec<CoinOffer>,
    /// The signer does not want it.
    pub(crate) is_refused: bool,
}

/// What a bid does.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// Coins are asked for.
    Coins(Vec<Job>),
    /// The signer is asked, or has answered.
    Claims(Vec<Claim>),
    /// The same, for second stages.
    Stages(Vec<Staged>),
    /// The same, for the child of our commitment: it is published together with that.
    Child(Claim, Box<Transaction>),
}

impl Channel {
    /// Looks after all that can be taken now.
    pub(super) fn pursue_jobs(&self, ended: &Ended, jobs: Vec<Job>) -> Outcome {
        let mut outcome = self.nothing();
        if let Some(number) = ended.wants() {
            if !self.link.is_recalling {
                outcome.link.is_recalling = true;
                outcome.effects.push(Effect::Recall(number));
            }
            return outcome;
        }
        let jobs: Vec<Job> = jobs.into_iter().filter(|it| self.is_due(it)).collect();
        let open =
            |key: &[OutPoint]| key.iter().all(|it| jobs.iter().any(|job| job.outpoint == *it));
        outcome.link.bids.retain(|key, _| open(key));
        let bids = outcome.link.bids.clone();
        for (key, bid) in &bids {
            let of: Vec<Job> =
                jobs.iter().filter(|job| key.contains(&job.outpoint)).cloned().collect();
            if bid.asked.is_none() && bid.since < self.now.tip {
                self.raise(ended, key, bid, &of, &mut outcome);
            }
        }
        let is_taken = |job: &Job| bids.keys().any(|key| key.contains(&job.outpoint));
        let left = jobs.iter().filter(|job| !is_taken(job) && self.is_worth_it(job)).cloned();
        for group in self.groups(left) {
            if outcome.link.bids.len() >= BIDS_MAX {
                break;
            }
            if !self.take_apart(ended, &group, None, &mut outcome) {
                self.begin(ended, group, &mut outcome);
            }
        }
        outcome
    }

    fn is_due(&self, job: &Job) -> bool {
        job.ready <= self.now.tip
    }

    /// What can wait goes together; the rest with what has the same deadline and is taken alike.
    fn groups(&self, jobs: impl Iterator<Item = Job>) -> Vec<Vec<Job>> {
        let mut groups: BTreeMap<(Option<BlockHeight>, bool, u32), Vec<Job>> = BTreeMap::new();
        for job in jobs {
            let alone = self.setup.terms.form == tx::Form::StaticRemoteKey;
            let key = match &job.what {
                What::Claim(_) => (job.deadline, false, 0),
                What::Stage(_) if alone => (job.deadline, true, job.outpoint.vout),
                // They have one lock time together.
                What::Stage(_) => (job.deadline, true, job.ready.0),
            };
            groups.entry(key).or_default().push(job);
        }
        groups.into_values().collect()
    }

    /// The rate for something that has to be there before a block.
    fn rate(&self, deadline: Option<BlockHeight>) -> FeeratePerKw {
        let (calm, urgent) = (self.now.calm.max(RATE_MIN), self.now.urgent.max(RATE_MIN));
        let Some(deadline) = deadline else { return calm };
        let times = match deadline.0.saturating_sub(self.now.tip.0) {
            0..=3 => 4,
            4..=6 => 2,
            7..=18 => 1,
            _ => return FeeratePerKw(u32::midpoint(calm.0, urgent.0)),
        };
        FeeratePerKw(urgent.0.saturating_mul(times))
    }

    /// What a bid may cost at most: a part of what it takes, and no more than the signer lets it.
    pub(super) fn fee_max(value: Sat, deadline: Option<BlockHeight>) -> Sat {
        let percent =
            if deadline.is_some() { RACED_FEE_PERCENT_MAX } else { CLAIM_FEE_PERCENT_MAX };
        Sat(value.0.saturating_mul(percent) / 100)
    }

    pub(super) fn fee(&self, weight: u64, value: Sat, deadline: Option<BlockHeight>) -> Sat {
        let rate = self.rate(deadline);
        let fee = u64::from(rate.0).saturating_mul(weight) / 1_000 + 1;
        Sat(fee).min(Self::fee_max(value, deadline))
    }

    /// Whether it holds more than it costs at the least rate.
    pub(super) fn is_worth_it(&self, job: &Job) -> bool {
        let (weight, left) = match &job.what {
            What::Claim(claim) => {
                let sweep = self.sweep(vec![claim.clone()], Sat(0), &[]);
                let dust = self.begun.agreed().home.script.minimal_non_dust().to_sat();
                (sweep.weight_max_with(&mut self.locks()).unwrap_or(u64::MAX), dust)
            }
            // Without anchors it pays what was agreed on.
            What::Stage(_) if !self.setup.terms.form.has_anchors() => return true,
            What::Stage(_) => (STAGE_WEIGHT, 0),
        };
        let least = u64::from(RATE_MIN.0).saturating_mul(weight) / 1_000;
        let most = Self::fee_max(job.value, job.deadline).0.min(job.value.0.saturating_sub(left));
        most >= least
    }

    fn sweep(&self, claims: Vec<Claim>, fee: Sat, coins: &[CoinOffer]) -> Sweep {
        let pays_to = self.begun.agreed().home.script.clone();
        let coins = coins.iter().map(coin).collect();
        Sweep { claims, coins, pays_to, fee, lock_time: LockTime(0) }
    }

    /// A new bid for these.
    fn begin(&self, ended: &Ended, jobs: Vec<Job>, outcome: &mut Outcome) {
        let key: Vec<OutPoint> = jobs.iter().map(|it| it.outpoint).collect();
        let needs_coins = matches!(jobs[..], [Job { what: What::Stage(_), .. }, ..])
            && self.setup.terms.form.has_anchors();
        if needs_coins {
            let weight = self.stages_weight(ended, &jobs);
            let value = Sat(jobs.iter().map(|it| it.value.0).sum());
            let rate = self.rate(jobs[0].deadline);
            let most = u64::from(rate.0).saturating_mul(weight) / 1_000;
            let most = Sat(most).min(Self::fee_max(value, jobs[0].deadline));
            // Room for two replacements, and for a change that is no dust.
            let value = Sat(most.0.saturating_mul(2) + 1_000);
            outcome.link.asked.0 += 1;
            let asked = outcome.link.asked;
            outcome.effects.push(Effect::Borrow(Wanted { asked, value }));
            let (since, fee) = (self.now.tip, Sat(0));
            let bid = Bid {
                work: Work::Coins(jobs),
                fee,
                asked: Some(asked),
                since,
                coins: Vec::new(),
                is_refused: false,
            };
            outcome.link.bids.insert(key, bid);
            return;
        }
        self.bid(ended, (key, &jobs), Vec::new(), Sat(0), outcome);
    }

    fn stages_weight(&self, ended: &Ended, jobs: &[Job]) -> u64 {
        let Some(Says { meaning, built, .. }) = &ended.says else { return 0 };
        let stages = Stages { stages: staged(jobs), coins: Vec::new(), change: None, fee: Sat(0) };
        let weight = stages.weight_max(&self.setup.terms, meaning, built).unwrap_or(0);
        weight + 2 * COIN_WEIGHT + CHANGE_WEIGHT
    }

    /// Coins were lent, or none: then it is tried again with the next block.
    pub fn lent(&self, asked: AskId, coins: Vec<CoinOffer>) -> Outcome {
        let mut outcome = self.nothing();
        outcome.link.at_rest = None;
        let found = self.link.bids.iter().find(|(_, bid)| bid.asked == Some(asked));
        let Some((key, bid)) = found else { return outcome };
        let (Work::Coins(jobs), Some(ended)) = (&bid.work, &self.ended) else {
            if let Work::Child(claim, parent) = &bid.work {
                self.bid_child(key, (claim, parent), coins, &mut outcome);
            } else {
                // A reorg has taken out what it was for: if that comes back, it is begun anew.
                outcome.link.bids.remove(key);
            }
            return outcome;
        };
        outcome.link.bids.remove(key);
        if coins.is_empty() {
            outcome.tell(Event::NeedsCoins);
            let kept = Bid { asked: None, ..bid.clone() };
            outcome.link.bids.insert(key.clone(), kept);
            return outcome;
        }
        self.bid(ended, (key.clone(), jobs), coins, Sat(0), &mut outcome);
        outcome
    }

    /// Asks the signer for a transaction that takes these.
    pub(super) fn bid(
        &self,
        ended: &Ended,
        (key, jobs): (Vec<OutPoint>, &[Job]),
        coins: Vec<CoinOffer>,
        least: Sat,
        outcome: &mut Outcome,
    ) {
        let value = Sat(jobs.iter().map(|it| it.value.0).sum());
        let deadline = jobs[0].deadline;
        let work = match &jobs[0].what {
            What::Claim(_) => Work::Claims(claims(jobs)),
            What::Stage(_) => Work::Stages(staged(jobs)),
        };
        let Some(weight) = self.weight(ended, &work, &coins) else { return };
        let fee = self.fee(weight, value, deadline).max(least);
        let fee = self.affordable(&work, fee, value, &coins);
        let Some((fee, op)) = self.op(ended, &work, fee, &coins) else { return };
        let asked = Some(self.ask(outcome, op));
        let since = self.now.tip;
        outcome.link.bids.insert(key, Bid { work, fee, asked, since, coins, is_refused: false });
    }

    /// A fee that leaves an output which is no dust.
    pub(super) fn affordable(&self, work: &Work, fee: Sat, value: Sat, coins: &[CoinOffer]) -> Sat {
        let dust = self.begun.agreed().home.script.minimal_non_dust().to_sat();
        let lent: u64 = coins.iter().map(|it| it.input.amount.to_sat()).sum();
        let most = match work {
            Work::Claims(_) => value.0.saturating_sub(dust),
            Work::Stages(_) | Work::Child(..) | Work::Coins(_) => lent.saturating_sub(dust),
        };
        fee.min(Sat(most))
    }

    pub(super) fn weight(&self, ended: &Ended, work: &Work, coins: &[CoinOffer]) -> Option<u64> {
        let terms = &self.setup.terms;
        match work {
            Work::Claims(claims) => {
                let sweep = self.sweep(claims.clone(), Sat(0), coins);
                sweep.weight_max_with(&mut self.locks()).ok()
            }
            Work::Stages(stages) => {
                let Says { meaning, built, .. } = ended.says.as_ref()?;
                let stages = self.stages_of(stages, Sat(0), coins);
                Some(stages.weight_max(terms, meaning, built).unwrap_or(0))
            }
            Work::Child(..) | Work::Coins(_) => None,
        }
    }

    fn stages_of(&self, stages: &[Staged], fee: Sat, coins: &[CoinOffer]) -> Stages {
        let has_coins = !coins.is_empty();
        let change = has_coins.then(|| self.begun.agreed().home.script.clone());
        let coins = coins.iter().map(coin).collect();
        Stages { stages: stages.to_vec(), coins, change, fee }
    }

    /// The question to the signer, and the fee that follows if there is no choice.
    fn op(
        &self,
        ended: &Ended,
        work: &Work,
        fee: Sat,
        coins: &[CoinOffer],
    ) -> Option<(Sat, ChannelOp)> {
        let home = self.begun.agreed().home.place;
        let inputs: Vec<SpendInput> = coins.iter().map(|it| it.input).collect();
        match work {
            Work::Claims(claims) => {
                let parents = self.parents(ended, claims);
                let (claims, to) = (claims.clone(), Payee::Ours(home));
                let lock_time = LockTime(0);
                let sign = SignClaims { claims, parents, coins: inputs, to, fee, lock_time };
                Some((fee, ChannelOp::SignClaims(Box::new(sign))))
            }
            Work::Stages(stages) => {
                let fee = if coins.is_empty() { self.stage_fee(ended, stages)? } else { fee };
                let change = (!coins.is_empty()).then_some(home);
                let sign = SignStages { stages: stages.clone(), coins: inputs, change, fee };
                Some((fee, ChannelOp::SignStages(Box::new(sign))))
            }
            Work::Child(claim, parent) => {
                let (claims, parents) = (vec![claim.clone()], vec![without_witness(parent)]);
                let (to, lock_time) = (Payee::Ours(home), LockTime(0));
                let sign = SignClaims { claims, parents, coins: inputs, to, fee, lock_time };
                Some((fee, ChannelOp::SignClaims(Box::new(sign))))
            }
            Work::Coins(_) => None,
        }
    }

    /// What a second stage without anchors pays was agreed on.
    fn stage_fee(&self, ended: &Ended, stages: &[Staged]) -> Option<Sat> {
        let Says { meaning, built, .. } = ended.says.as_ref()?;
        let mut all = built.second_stages(&self.setup.terms, meaning);
        let [only] = stages else { return None };
        let stage = all.find(|it| it.contract == only.contract)?;
        Some(Sat(stage.spends.0 - stage.transaction.output[0].value.to_sat()))
    }

    /// The transactions that hold what is claimed.
    fn parents(&self, ended: &Ended, claims: &[Claim]) -> Vec<Transaction> {
        let spends = self.seen.spends().values().map(|it| &it.transaction);
        let mut parents: BTreeMap<_, _> =
            spends.map(|it| (it.compute_txid(), without_witness(it))).collect();
        parents.insert(ended.transaction.compute_txid(), without_witness(&ended.transaction));
        let wanted = |txid| claims.iter().any(|it| it.outpoint.txid == txid);
        parents.into_iter().filter(|(txid, _)| wanted(*txid)).map(|(_, it)| it).collect()
    }

    /// A bid is too low by now: it is replaced by a better one.
    fn raise(
        &self,
        ended: &Ended,
        key: &[OutPoint],
        bid: &Bid,
        jobs: &[Job],
        outcome: &mut Outcome,
    ) {
        if let Work::Coins(jobs) = &bid.work {
            outcome.link.bids.remove(key);
            self.begin(ended, jobs.clone(), outcome);
            return;
        }
        if self.take_apart(ended, jobs, Some(bid.fee), outcome) {
            outcome.link.bids.remove(key);
            return;
        }
        let Some(weight) = self.weight(ended, &bid.work, &bid.coins) else { return };
        let value = Sat(jobs.iter().map(|it| it.value.0).sum());
        let wanted = self.fee(weight, value, jobs[0].deadline);
        let step = u64::from(STEP_RATE.0) * weight / 1_000 + 1;
        let least = Sat((bid.fee.0 + bid.fee.0 / 4).max(bid.fee.0 + step));
        if wanted >= least {
            self.bid(ended, (key.to_vec(), jobs), bid.coins.clone(), wanted, outcome);
        }
    }

    /// The signer has signed a bid.
    pub(crate) fn bid_signed(&self, key: &[OutPoint], signatures: &[InputSignature]) -> Outcome {
        let mut outcome = self.nothing();
        (outcome.link.at_rest, outcome.link.shown_again) = (None, 0);
        let Some(bid) = self.link.bids.get(key) else { return outcome };
        if let Some(kept) = outcome.link.bids.get_mut(key) {
            kept.asked = None;
        }
        let unsigned = match (&bid.work, &self.ended) {
            (Work::Child(claim, _), _) => self.unsigned_child(claim, bid),
            (work, Some(ended)) => self.unsigned(ended, work, bid),
            (_, None) => None,
        };
        let Some(unsigned) = unsigned else {
            // A reorg has taken out what it was for: if that comes back, it is begun anew.
            outcome.link.bids.remove(key);
            return outcome;
        };
        let Ok(transaction) = unsigned.signed(signatures) else {
            outcome.tell(Event::Refused { why: "the signer's signatures do not fit".to_owned() });
            return outcome;
        };
        let package = match &bid.work {
            Work::Child(_, parent) => vec![(**parent).clone(), transaction],
            Work::Claims(_) | Work::Stages(_) | Work::Coins(_) => vec![transaction],
        };
        outcome.effects.push(Effect::Publish(package));
        outcome
    }

    fn unsigned(&self, ended: &Ended, work: &Work, bid: &Bid) -> Option<Unsigned> {
        let terms = &self.setup.terms;
        match work {
            Work::Claims(claims) => {
                self.sweep(claims.clone(), bid.fee, &bid.coins).build(terms).ok()
            }
            Work::Stages(stages) => {
                let Says { meaning, built, .. } = ended.says.as_ref()?;
                self.stages_of(stages, bid.fee, &bid.coins).build(terms, meaning, built).ok()
            }
            Work::Child(..) | Work::Coins(_) => None,
        }
    }

    fn unsigned_child(&self, claim: &Claim, bid: &Bid) -> Option<Unsigned> {
        let sweep = self.sweep(vec![claim.clone()], bid.fee, &bid.coins);
        sweep.build(&self.setup.terms).ok()
    }

    /// The signer does not sign a bid: it is made anew with the next block.
    pub(crate) fn bid_refused(&self, key: &[OutPoint]) -> Outcome {
        let mut outcome = self.nothing();
        if let Some(bid) = outcome.link.bids.get_mut(key) {
            (bid.asked, bid.is_refused) = (None, true);
        }
        outcome
    }

    /// The child of our commitment, as long as that is not in a block.
    pub(crate) fn pursue_child(&self, commitment: &Transaction) -> Outcome {
        let mut outcome = self.nothing();
        let child = self.link.bids.iter().find(|(_, bid)| matches!(bid.work, Work::Child(..)));
        match child {
            None if self.link.child_since < self.now.tip => {
                outcome.link.child_since = self.now.tip;
                self.borrow_for_child(commitment, &mut outcome);
            }
            Some((key, bid)) if bid.asked.is_none() && bid.since < self.now.tip => {
                if let Work::Child(claim, parent) = &bid.work {
                    self.bid_child(key, (claim, parent), bid.coins.clone(), &mut outcome);
                }
            }
            None | Some(_) => {}
        }
        outcome
    }

    /// Our commitment is on its way, and may pay too little by itself: a child pays for both.
    fn borrow_for_child(&self, commitment: &Transaction, outcome: &mut Outcome) {
        let Some(claim) = self.own_anchor(commitment) else { return };
        let key = vec![claim.outpoint];
        let weight = commitment.weight().to_wu() + CHILD_WEIGHT;
        let wanted = self.fee(weight, self.stake(), self.nearest());
        let paid = self.paid_by(commitment);
        let Some(missing) = wanted.0.checked_sub(paid.0).filter(|it| *it > 0) else { return };
        outcome.link.asked.0 += 1;
        let asked = outcome.link.asked;
        let value = Sat(missing * 2 + 1_000);
        outcome.effects.push(Effect::Borrow(Wanted { asked, value }));
        let work = Work::Child(claim, Box::new(commitment.clone()));
        let (fee, since, coins) = (Sat(0), self.now.tip, Vec::new());
        outcome
            .link
            .bids
            .insert(key, Bid { work, fee, asked: Some(asked), since, coins, is_refused: false });
    }

    fn bid_child(
        &self,
        key: &[OutPoint],
        (claim, parent): (&Claim, &Transaction),
        coins: Vec<CoinOffer>,
        outcome: &mut Outcome,
    ) {
        if coins.is_empty() {
            outcome.tell(Event::NeedsCoins);
            outcome.link.bids.remove(key);
            return;
        }
        let child = self.sweep(vec![claim.clone()], Sat(0), &coins);
        let child = child.weight_max(&self.setup.terms).unwrap_or(CHILD_WEIGHT);
        let weight = parent.weight().to_wu() + child;
        let wanted = self.fee(weight, self.stake(), self.nearest());
        let lent: u64 = coins.iter().map(|it| it.input.amount.to_sat()).sum();
        let dust = self.begun.agreed().home.script.minimal_non_dust().to_sat();
        let most = (lent + claim.value.0).saturating_sub(dust);
        let most = most.min(self.child_fee_max().0);
        let fee = Sat(wanted.0.saturating_sub(self.paid_by(parent).0).min(most));
        let before = self.link.bids.get(key).map_or(Sat(0), |it| it.fee);
        let least = before.0 + (before.0 / 4).max(u64::from(STEP_RATE.0) * child / 1_000 + 1);
        if before > Sat(0) && fee.0 < least {
            if let Some(kept) = outcome.link.bids.get_mut(key) {
                kept.since = self.now.tip;
            }
            return;
        }
        let inputs = coins.iter().map(|it| it.input).collect();
        let (claims, parents) = (vec![claim.clone()], vec![without_witness(parent)]);
        let (to, lock_time) = (Payee::Ours(self.begun.agreed().home.place), LockTime(0));
        let sign = SignClaims { claims, parents, coins: inputs, to, fee, lock_time };
        let asked = Some(self.ask(outcome, ChannelOp::SignClaims(Box::new(sign))));
        let work = Work::Child(claim.clone(), Box::new(parent.clone()));
        let since = self.now.tip;
        outcome
            .link
            .bids
            .insert(key.to_vec(), Bid { work, fee, asked, since, coins, is_refused: false });
    }

    fn own_anchor(&self, commitment: &Transaction) -> Option<Claim> {
        let key = self.setup.terms.party(self.setup.side).funding_key;
        let pays_to = tx::anchor(&key).to_p2wsh();
        let is_it = |it: &TxOut| it.script_pubkey == pays_to;
        let vout = commitment.output.iter().position(is_it)?;
        let value = Sat(commitment.output[vout].value.to_sat());
        let outpoint =
            OutPoint { txid: commitment.compute_txid(), vout: u32::try_from(vout).ok()? };
        Some(Claim { outpoint, value, claimer: self.setup.side, what: tx::Claimed::Anchor })
    }

    /// What we would lose if our commitment were not mined in time: as the signer counts it, which
    /// knows of nothing that is not in there.
    fn stake(&self) -> Sat {
        let side = self.setup.side;
        let view = self.ledger.view(side, As::Settled);
        let contracts: u64 = view.contracts.iter().map(|(_, placed)| placed.amount.0).sum();
        Sat((contracts + view.balance(side).0) / 1_000)
    }

    /// The signer lets a child cost no more.
    fn child_fee_max(&self) -> Sat {
        let part = self.stake().0.saturating_mul(CLAIM_FEE_PERCENT_MAX) / 100;
        Sat(part.max(END_FEE_FLOOR_SAT.0))
    }

    /// The first lock of any contract.
    fn nearest(&self) -> Option<BlockHeight> {
        let locks = self.ledger.entries().values().filter_map(|it| self.deadline(it).height());
        locks.min()
    }

    fn paid_by(&self, commitment: &Transaction) -> Sat {
        let out: u64 = commitment.output.iter().map(|it| it.value.to_sat()).sum();
        Sat(self.setup.terms.funding.value.0.saturating_sub(out))
    }
}

/// A transaction as far as its id goes: the signer wants to see no more.
fn without_witness(transaction: &Transaction) -> Transaction {
    let mut stripped = transaction.clone();
    stripped.input.iter_mut().for_each(|it| it.witness.clear());
    stripped
}

fn coin(offer: &CoinOffer) -> Coin {
    let SpendInput { outpoint, amount, sequence, .. } = offer.input;
    Coin { outpoint, value: Sat(amount.to_sat()), script: offer.script.clone(), sequence }
}

pub(super) fn claims(jobs: &[Job]) -> Vec<Claim> {
    let claim = |job: &Job| match &job.what {
        What::Claim(claim) => Some(claim.clone()),
        What::Stage(_) => None,
    };
    jobs.iter().filter_map(claim).collect()
}

fn staged(jobs: &[Job]) -> Vec<Staged> {
    let staged = |job: &Job| match &job.what {
        What::Stage(staged) => Some(staged.clone()),
        What::Claim(_) => None,
    };
    jobs.iter().filter_map(staged).collect()
}
