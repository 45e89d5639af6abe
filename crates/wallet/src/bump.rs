//! Replacing a pending spend of ours by one that pays more.

use bdk_wallet::error::CreateTxError;
use bitcoin::{Amount, FeeRate, Transaction, TxOut, Txid};
use signer::{Branch, KeyPlace, SPEND_INPUTS_MAX};

use crate::{
    api::{Bump, Coin},
    book::Entry,
    draft::{Draft, FEE_RATE_MIN, Job, check_rate, fee, selection, sum},
    draw::Draw,
    fault::Refusal,
    wallet::{Wallet, plus},
};

impl Wallet {
    /// Drafts a transaction that pays to the same, spends the same coins and perhaps more, and
    /// pays a higher fee: out of its change, or out of what everything went to.
    pub fn bump(&mut self, bump: &Bump, draw: [u8; 32]) -> Result<Draft, Refusal> {
        let Bump { txid, fee_rate, allow_high_fee, reserve } = *bump;
        check_rate(fee_rate, allow_high_fee)?;
        let entry = self.replaceable(txid)?.clone();
        let old = &entry.transaction;
        let got = fee_rate;
        let per_kwu = self.fee_of(old) / old.weight();
        let min =
            FeeRate::from_sat_per_kwu(per_kwu.to_sat_per_kwu() + FEE_RATE_MIN.to_sat_per_kwu());
        if got < min {
            return Err(Refusal::ReplacementRate { got, min });
        }
        let job = self.replacement_job(&entry, fee_rate, allow_high_fee)?;
        let replacement = self.replacement(txid, &job, draw)?;
        let spend = self.meaning(&replacement, allow_high_fee);
        let vbytes = spend.weight().to_vbytes_ceil();
        let way = FEE_RATE_MIN.fee_vb(vbytes).unwrap_or(Amount::MAX_MONEY);
        let (got, min) = (fee(&spend), self.fee_with_descendants(txid) + way);
        if got < min {
            return Err(Refusal::ReplacementFee { got, min });
        }
        self.check_reserve(&entry.transaction, &replacement, reserve)?;
        self.draft(&job, spend, Some(txid))
    }

    /// The higher fee comes out of something: not out of the reserve.
    fn check_reserve(
        &self,
        old: &Transaction,
        new: &Transaction,
        reserve: Amount,
    ) -> Result<(), Refusal> {
        let mut free: Vec<Coin> = self.coins().into_iter().filter(Coin::is_free).collect();
        let gone = self.book.with_descendants(old.compute_txid());
        free.retain(|coin| coin.height.is_some() && !gone.contains(&coin.outpoint.txid));
        let is_ours = |output: &&TxOut| self.book.places.contains_key(&output.script_pubkey);
        let kept = |transaction: &Transaction| {
            let is_spent = |coin: &&Coin| {
                transaction.input.iter().any(|input| input.previous_output == coin.outpoint)
            };
            let stays = free.iter().filter(|coin| !is_spent(coin)).map(|coin| coin.amount);
            let back = transaction.output.iter().filter(is_ours).map(|output| output.value);
            stays.chain(back).fold(Amount::ZERO, plus)
        };
        if kept(new) >= reserve.min(kept(old)) {
            return Ok(());
        }
        let spent = |input: &bitcoin::TxIn| self.book.output(&input.previous_output);
        let spent = old.input.iter().filter_map(spent).map(|output| output.value);
        let have = spent.fold(sum(&free), plus);
        let need = new.output.iter().filter(|output| !is_ours(output)).map(|it| it.value);
        let need = need.fold(Amount::ZERO, plus);
        Err(Refusal::Reserve { have, need, fee: self.fee_of(new), reserve })
    }

    /// A pending transaction that is ours to replace.
    fn replaceable(&self, txid: Txid) -> Result<&Entry, Refusal> {
        let entry = self.book.transactions.get(&txid);
        let entry = entry.ok_or(Refusal::UnknownTransaction { txid })?;
        if let Some(block) = entry.block {
            return Err(Refusal::Confirmed { txid, height: block.height });
        }
        entry.made.ok_or(Refusal::NotOurs { txid })?;
        for input in &entry.transaction.input {
            let outpoint = input.previous_output;
            if self.book.place(&outpoint).is_none() {
                return Err(Refusal::NotOurs { txid });
            }
            if let Some(by) = self.ledger.spender(&outpoint).filter(|by| *by != txid) {
                return Err(Refusal::DoubleSpend { outpoint, by });
            }
            if let Some(lock) = self.book.lock(&outpoint) {
                return Err(Refusal::Locked { outpoint, holder: lock.holder });
            }
        }
        if !self.ledger.canonical().any(|each| each.txid == txid) {
            return Err(Refusal::Orphaned { txid });
        }
        self.check_descendants(txid)?;
        Ok(entry)
    }

    /// What hangs on a transaction is replaced with it: nobody may need that, or have drafted it.
    fn check_descendants(&self, txid: Txid) -> Result<(), Refusal> {
        let gone = self.book.with_descendants(txid);
        for each in self.ledger.canonical().filter(|each| gone.contains(&each.txid)) {
            let txid = each.txid;
            let made = self.book.transactions.get(&txid).and_then(|entry| entry.made);
            if made.is_some_and(|made| made.is_fixed) {
                return Err(Refusal::Fixed { txid });
            }
        }
        let mut kept = self.book.locks.keys().filter(|outpoint| gone.contains(&outpoint.txid));
        match kept.find_map(|outpoint| Some((*outpoint, self.book.lock(outpoint)?.holder))) {
            Some((outpoint, holder)) => Err(Refusal::Locked { outpoint, holder }),
            None => Ok(()),
        }
    }

    /// The same payments, and the rest where it went before.
    fn replacement_job(
        &self,
        entry: &Entry,
        rate: FeeRate,
        allow_high_fee: bool,
    ) -> Result<Job, Refusal> {
        let mut outputs = entry.transaction.output.clone();
        let elastic = entry.made.and_then(|made| made.elastic).map(|at| at as usize);
        let elastic = elastic.filter(|at| *at < outputs.len()).map(|at| outputs.remove(at));
        let fixed =
            outputs.into_iter().map(|output| (output.script_pubkey, output.value)).collect();
        let job = |rest, is_all, change| Job {
            fixed,
            rest,
            is_all,
            rate,
            allow_high_fee,
            is_fixed: false,
            change,
        };
        let Some(TxOut { script_pubkey, .. }) = elastic else {
            let index = self.book.free_change()?;
            let change = self.book.script(KeyPlace { branch: Branch::Change, index });
            return Ok(job(change, false, Some(index)));
        };
        let place = self.book.places.get(&script_pubkey).copied();
        let change = place.filter(|place| place.branch == Branch::Change).map(|place| place.index);
        Ok(job(script_pubkey, place.is_none(), change))
    }

    fn replacement(
        &mut self,
        txid: Txid,
        job: &Job,
        draw: [u8; 32],
    ) -> Result<Transaction, Refusal> {
        let mut free: Vec<Coin> = self.coins().into_iter().filter(Coin::is_free).collect();
        // Rule 2 of BIP 125: no pending coins but those that it had before.
        free.retain(|coin| coin.height.is_some());
        free.sort_by_key(|coin| std::cmp::Reverse((coin.amount, coin.outpoint)));
        let entry = self.book.transactions.get(&txid);
        let old = entry.map(|entry| entry.transaction.clone());
        let old = old.ok_or(Refusal::UnknownTransaction { txid })?;
        free.truncate(SPEND_INPUTS_MAX.saturating_sub(old.input.len()));
        let spare = self.all_but(&free.iter().collect::<Vec<_>>());
        let builder = self.ledger.bdk.build_fee_bump(txid);
        let builder = builder.map_err(|_| Refusal::UnknownTransaction { txid })?;
        let mut builder = builder.coin_selection(selection());
        builder.set_recipients(job.fixed.clone());
        builder.drain_to(job.rest.clone()).fee_rate(job.rate).unspendable(spare);
        if job.is_all {
            builder.manually_selected_only();
        }
        let spent = |input: &bitcoin::TxIn| self.book.output(&input.previous_output);
        let spent: Amount = old.input.iter().filter_map(spent).map(|output| output.value).sum();
        let have = if job.is_all { spent } else { spent + sum(&free) };
        let need: Amount = job.fixed.iter().map(|(_, amount)| *amount).sum();
        let refused = |error| {
            let needed =
                if let CreateTxError::CoinSelection(short) = error { short.needed } else { need };
            let fee = needed.checked_sub(need).unwrap_or_default();
            Refusal::NotEnough { have, need, fee }
        };
        let psbt = builder.finish_with_aux_rand(&mut Draw::new(draw)).map_err(refused)?;
        let transaction = psbt.unsigned_tx;
        let is_paid = transaction.output.iter().any(|output| output.script_pubkey == job.rest);
        if job.is_all && !is_paid {
            // Nothing would be left for the one who was to get everything.
            let fee = spent.checked_sub(need).unwrap_or_default();
            return Err(Refusal::NotEnough { have, need, fee });
        }
        Ok(transaction)
    }

    /// What a transaction of ours pays.
    fn fee_of(&self, transaction: &Transaction) -> Amount {
        let spent = |input: &bitcoin::TxIn| self.book.output(&input.previous_output);
        let spent: Amount =
            transaction.input.iter().filter_map(spent).map(|output| output.value).sum();
        let paid: Amount = transaction.output.iter().map(|output| output.value).sum();
        spent.checked_sub(paid).unwrap_or_default()
    }

    /// What all pays that goes with it.
    fn fee_with_descendants(&self, txid: Txid) -> Amount {
        let gone = self.book.with_descendants(txid);
        let gone = self.ledger.canonical().filter(|each| gone.contains(&each.txid));
        gone.map(|each| self.fee_of(&each.transaction)).sum()
    }
}
