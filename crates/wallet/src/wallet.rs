//! The wallet of one account.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use bitcoin::{Address, Amount, Network, OutPoint, ScriptBuf, Transaction, TxOut, Txid};
use chain::{BlockRef, Event, Found, Height};
use signer::{Account, Branch, KeyIndex, KeyPlace};

use crate::{
    api::{Balance, Coin, DraftId, Holder, Lock, Movement, Progress, Standing, Wish},
    book::{Book, Entry, GAP_ADDRESSES},
    change::Change,
    fault::{Refusal, RestoreFault},
    ledger::{Canonical, Ledger},
};

/// Coins that are kept at once.
pub const LOCKS_MAX: usize = 10_000;

/// Blocks from which on a coinbase may be spent, its own counted.
const MATURE_BLOCKS: u32 = bitcoin::constants::COINBASE_MATURITY;

/// Coins, addresses and spends of one account, as a user of a [`Chain`](chain::Chain).
///
/// Poll shape: pass the chain's events to [`Wallet::hear`], and to the chain what
/// [`Wallet::wish`] says. Save what [`Wallet::change`] gives before anything else is done with
/// what it answered.
#[derive(Debug)]
pub struct Wallet {
    pub(crate) book: Book,
    pub(crate) ledger: Ledger,
    changes: VecDeque<Vec<u8>>,
}

impl Wallet {
    /// A wallet that hears of the blocks behind `birthday`.
    pub fn create(account: Account, network: Network, birthday: BlockRef) -> Self {
        Self::of(Book::new(account, birthday), network)
    }

    /// A wallet as it was saved: a snapshot, and all changes since then. It attaches itself to the
    /// chain at [`Wallet::cursor`].
    pub fn restore<'a>(
        account: Account,
        network: Network,
        snapshot: &[u8],
        changes: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Self, RestoreFault> {
        let mut book = Book::decode(snapshot, &account, network)?;
        for (number, bytes) in changes.into_iter().enumerate() {
            let change = Change::decode(bytes)?;
            book.check(&change)
                .map_err(|why| RestoreFault::Change { change: number, why: Box::new(why) })?;
            book.evolve(&change);
        }
        book.wish_anew();
        Ok(Self::of(book, network))
    }

    fn of(book: Book, network: Network) -> Self {
        let ledger = Ledger::new(&book, network);
        Self { book, ledger, changes: VecDeque::new() }
    }

    /// All of it. Changes that were given before it are in it.
    pub fn snapshot(&self) -> Vec<u8> {
        self.book.encode(self.ledger.network())
    }

    /// The next thing to save, in order.
    pub fn change(&mut self) -> Option<Vec<u8>> {
        self.changes.pop_front()
    }

    /// The next thing that the chain should do, in order. If the chain refuses a watch because it
    /// begins too early, it can begin where the chain does.
    pub fn wish(&mut self) -> Option<Wish> {
        self.book.wishes.pop_front()
    }

    /// The account.
    pub const fn account(&self) -> &Account {
        &self.book.account
    }

    /// The network.
    pub const fn network(&self) -> Network {
        self.ledger.network()
    }

    /// The newest block that it has heard of.
    pub const fn cursor(&self) -> BlockRef {
        self.book.cursor
    }

    /// The block behind which it began.
    pub const fn birthday(&self) -> BlockRef {
        self.book.birthday
    }

    /// Hears of a block, or of what one has.
    pub fn hear(&mut self, event: Event) -> Result<(), Refusal> {
        let change = match event {
            Event::Connected { block, found } => {
                Change::Connected { block, transactions: once(found) }
            }
            Event::Disconnected { block, cursor } => Change::Disconnected { block, cursor },
            Event::Found { block, found } => Change::Found { block, transactions: once(found) },
            Event::Searched { watch } if !self.book.searches.contains_key(&watch) => return Ok(()),
            Event::Searched { watch } => Change::Searched { watch },
        };
        self.book.check(&change)?;
        self.apply(change);
        Ok(())
    }

    /// An address that nobody has paid to. Each time it is another one, as long as other wallets
    /// would find what is paid to it.
    pub fn address(&mut self) -> Result<Address, Refusal> {
        let script = self.home()?.1;
        let address = Address::from_script(&script, self.network());
        Ok(address.expect("every output of taproot has an address"))
    }

    /// The same as a place of the signer's, and as its script: for what another part of the node
    /// will return.
    pub fn home(&mut self) -> Result<(KeyPlace, ScriptBuf), Refusal> {
        let used = self.book.used[Branch::Receive as usize];
        let next = self.book.handed.max(used);
        let index = if next < used + GAP_ADDRESSES { next } else { used };
        let index = KeyIndex::new(index).map_err(Refusal::UsedUp)?;
        if index.number() >= self.book.handed {
            self.apply(Change::Handed { index });
        }
        let place = KeyPlace { branch: Branch::Receive, index };
        Ok((place, self.book.script(place)))
    }

    /// All coins, in the order of their outpoints.
    pub fn coins(&self) -> Vec<Coin> {
        let own = self.book.own_pending();
        let coin = |output| self.coin(output, &own);
        let mut coins: Vec<Coin> = self.ledger.unspent().filter_map(coin).collect();
        coins.sort_by_key(|coin| coin.outpoint);
        coins
    }

    fn coin(&self, output: &bdk_wallet::LocalOutput, own: &BTreeSet<Txid>) -> Option<Coin> {
        let outpoint = output.outpoint;
        let entry = self.book.transactions.get(&outpoint.txid)?;
        let height = output.chain_position.confirmation_height_upper_bound().map(Height);
        let tip = self.book.cursor.height.0;
        let confirmations = height.map_or(0, |height| (tip + 1).saturating_sub(height.0));
        Some(Coin {
            outpoint,
            amount: output.txout.value,
            place: self.book.place(&outpoint)?,
            height,
            confirmations,
            is_immature: entry.transaction.is_coinbase() && confirmations < MATURE_BLOCKS,
            is_change: entry.made.is_some()
                && (entry.block.is_some() || own.contains(&outpoint.txid)),
            lock: self.book.lock(&outpoint),
        })
    }

    /// How much there is, if so much has to stay ours.
    pub fn balance(&self, reserve: Amount) -> Balance {
        let mut balance = Balance { reserve, ..Balance::default() };
        for coin in self.coins() {
            let sum = match (coin.height, coin.is_immature) {
                (_, true) => &mut balance.immature,
                (Some(_), false) => &mut balance.confirmed,
                (None, false) => &mut balance.pending,
            };
            *sum = plus(*sum, coin.amount);
            if coin.height.is_none() && coin.is_change {
                balance.change = plus(balance.change, coin.amount);
            }
            if coin.lock.is_some() {
                balance.locked = plus(balance.locked, coin.amount);
            }
            if coin.is_free() {
                balance.spendable = plus(balance.spendable, coin.amount);
            }
        }
        balance.spendable = balance.spendable.checked_sub(reserve).unwrap_or_default();
        balance
    }

    /// Every transaction that counts, the pending ones first and then from the newest block on.
    pub fn movements(&self) -> Vec<Movement> {
        let mut all: Vec<Movement> =
            self.ledger.canonical().map(|each| self.movement(&each)).collect();
        all.sort_by_key(|each| {
            let pending = each.height.is_none();
            (!pending, std::cmp::Reverse(each.height), each.txid)
        });
        all
    }

    fn movement(&self, each: &Canonical) -> Movement {
        let transaction = &each.transaction;
        let known: Vec<_> = transaction
            .input
            .iter()
            .map(|input| self.book.output(&input.previous_output))
            .collect();
        let is_ours = |output: &&TxOut| self.book.places.contains_key(&output.script_pubkey);
        let sum = |outputs: &mut dyn Iterator<Item = &TxOut>| {
            outputs.fold(Amount::ZERO, |sum, output| plus(sum, output.value))
        };
        let spent = sum(&mut known.iter().copied().flatten().filter(is_ours));
        let received = sum(&mut transaction.output.iter().filter(is_ours));
        let paid = sum(&mut transaction.output.iter());
        let is_all_known = known.iter().all(Option::is_some);
        let inputs = sum(&mut known.into_iter().flatten());
        let fee = inputs.checked_sub(paid).filter(|_| is_all_known);
        let is_made = self.book.transactions.get(&each.txid).is_some_and(|e| e.made.is_some());
        Movement { txid: each.txid, height: each.height, received, spent, fee, is_made }
    }

    /// Keeps a coin for somebody, until a block if there is one. Whoever keeps it already can
    /// change until when.
    pub fn lock(
        &mut self,
        outpoint: OutPoint,
        user: u32,
        until: Option<Height>,
    ) -> Result<(), Refusal> {
        let holder = Holder::User(user);
        let coin = self.coins().into_iter().find(|coin| coin.outpoint == outpoint);
        let coin = coin.ok_or(Refusal::UnknownCoin { outpoint })?;
        match coin.lock {
            Some(lock) if lock.holder != holder => {
                return Err(Refusal::Locked { outpoint, holder: lock.holder });
            }
            Some(_) | None => self.room_for_locks(1)?,
        }
        self.apply(Change::Locked { outpoint, lock: Lock { holder, until } });
        Ok(())
    }

    /// Keeps it no longer. To do it again changes nothing.
    pub fn unlock(&mut self, outpoint: OutPoint, user: u32) -> Result<(), Refusal> {
        match self.book.lock(&outpoint) {
            Some(lock) if lock.holder != Holder::User(user) => {
                Err(Refusal::Locked { outpoint, holder: lock.holder })
            }
            Some(_) => {
                self.apply(Change::Unlocked { outpoint });
                Ok(())
            }
            None => Ok(()),
        }
    }

    pub(crate) fn room_for_locks(&self, more: usize) -> Result<(), Refusal> {
        let (have, max) = (self.book.locks.len(), LOCKS_MAX);
        if have + more > max {
            return Err(Refusal::TooManyLocks { have, max });
        }
        Ok(())
    }

    /// Drafts that were neither published nor given up. After a restart nobody has them any more,
    /// and whoever began them begins again.
    pub fn drafts(&self) -> impl Iterator<Item = DraftId> + '_ {
        self.book.drafts.keys().copied()
    }

    /// A draft will not be published: its coins are free again.
    pub fn give_up(&mut self, draft: DraftId) -> Result<(), Refusal> {
        if !self.book.drafts.contains_key(&draft) {
            return Err(Refusal::UnknownDraft { draft });
        }
        self.apply(Change::GivenUp { id: draft });
        Ok(())
    }

    /// A signed transaction is about to be published: it is pending from now on. Say so, save, and
    /// publish then. To say it again changes nothing.
    pub fn published(&mut self, transaction: Transaction) -> Result<(), Refusal> {
        let txid = transaction.compute_txid();
        if self.ledger.canonical().any(|each| each.txid == txid) {
            return Ok(());
        }
        let of = transaction.input.len();
        let unsigned =
            |input: &bitcoin::TxIn| input.witness.is_empty() && input.script_sig.is_empty();
        if let Some(input) = transaction.input.iter().position(unsigned) {
            return Err(Refusal::Unsigned { input, of });
        }
        let draft = self.book.drafts.iter().find(|(_, plan)| plan.txid == txid);
        let (own, replaces) = match draft {
            Some((id, plan)) => (Some(Holder::Draft(*id)), plan.replaces),
            None => (None, None),
        };
        let mut is_ours = false;
        for input in &transaction.input {
            let outpoint = input.previous_output;
            if self.book.place(&outpoint).is_none() {
                continue;
            }
            is_ours = true;
            self.check_spend(outpoint, own, replaces)?;
        }
        if !is_possible(&transaction) {
            let outputs = transaction.output.iter().map(|output| output.value);
            return Err(Refusal::TooMuch {
                got: outputs.fold(Amount::ZERO, plus),
                max: Amount::MAX_MONEY,
            });
        }
        let pays = |output: &TxOut| self.book.places.contains_key(&output.script_pubkey);
        if !is_ours && !transaction.output.iter().any(pays) {
            return Err(Refusal::Unrelated { txid });
        }
        self.apply(Change::Published { transaction: Arc::new(transaction) });
        Ok(())
    }

    /// Whether a coin of ours may be spent by what `own` drafted, or by what nobody did.
    fn check_spend(
        &self,
        outpoint: OutPoint,
        own: Option<Holder>,
        replaces: Option<Txid>,
    ) -> Result<(), Refusal> {
        match self.book.lock(&outpoint).map(|lock| lock.holder) {
            Some(holder @ Holder::Draft(_)) if Some(holder) != own => {
                return Err(Refusal::Locked { outpoint, holder });
            }
            // Other parts of the node spend what they keep.
            Some(_) | None => {}
        }
        // A coin of what was replaced meanwhile will never be there.
        if !self.ledger.canonical().any(|each| each.txid == outpoint.txid) {
            return Err(Refusal::UnknownCoin { outpoint });
        }
        // What is in a block meanwhile cannot be replaced any more.
        let is_pending =
            |by: Txid| self.book.transactions.get(&by).is_some_and(|e| e.block.is_none());
        match self.ledger.spender(&outpoint) {
            Some(by) if Some(by) == replaces && is_pending(by) => Ok(()),
            Some(by) => Err(Refusal::DoubleSpend { outpoint, by }),
            None => Ok(()),
        }
    }

    /// A pending transaction is not wanted any more: it and what hangs on it never was. All that
    /// goes is answered. Whoever has it nevertheless might have it mined, so the next
    /// [`Wallet::send`] spends one of its coins: of the two only one can be.
    pub fn forget(&mut self, txid: Txid) -> Result<BTreeSet<Txid>, Refusal> {
        let entry = self.book.transactions.get(&txid);
        let entry = entry.ok_or(Refusal::UnknownTransaction { txid })?;
        if let Some(block) = entry.block {
            return Err(Refusal::Confirmed { txid, height: block.height });
        }
        let gone = self.book.with_descendants(txid);
        self.apply(Change::Forgotten { txid });
        Ok(gone)
    }

    /// A transaction, and all that hangs on it.
    pub fn hanging_on(&self, txid: Txid) -> BTreeSet<Txid> {
        self.book.with_descendants(txid)
    }

    /// Whether it is known, wherever it is.
    pub fn is_known(&self, txid: Txid) -> bool {
        self.book.transactions.contains_key(&txid)
    }

    /// Whether it is known, and in no block.
    pub fn is_pending(&self, txid: Txid) -> bool {
        self.book.transactions.get(&txid).is_some_and(|entry| entry.block.is_none())
    }

    /// Whether a spend that was given up could still be mined although the next one takes none of
    /// its coins, as another spend of ours has them: one that is signed just now, or is less than
    /// so many blocks deep.
    pub fn is_haunting(&self, txid: Txid, deep: u32) -> bool {
        let Some(ghost) = self.book.ghosts.iter().find(|ghost| ghost.txid == txid) else {
            return false;
        };
        let tip = self.book.cursor.height.0;
        let depth = |block: &BlockRef| (tip + 1).saturating_sub(block.height.0);
        let mut is_taken = ghost.spends.iter().any(|coin| self.book.locks.contains_key(coin));
        for entry in self.book.transactions.values() {
            let mut inputs = entry.transaction.input.iter().map(|input| input.previous_output);
            if inputs.any(|coin| ghost.spends.contains(&coin)) {
                if entry.block.as_ref().map_or(0, depth) >= deep {
                    return false;
                }
                is_taken = true;
            }
        }
        is_taken
    }

    /// Whether it is one that we have published.
    pub fn is_made(&self, txid: Txid) -> bool {
        self.book.transactions.get(&txid).is_some_and(|entry| entry.made.is_some())
    }

    /// What these transactions spend of ours, but for what they pay to each other.
    pub fn spent_by(&self, all: &BTreeSet<Txid>) -> Amount {
        let entries = all.iter().filter_map(|txid| self.book.transactions.get(txid));
        let inputs = entries.flat_map(|entry| &entry.transaction.input);
        let outpoints = inputs.map(|input| input.previous_output);
        let ours = outpoints.filter(|it| !all.contains(&it.txid) && self.book.place(it).is_some());
        ours.filter_map(|it| self.book.output(&it))
            .fold(Amount::ZERO, |sum, it| plus(sum, it.value))
    }

    /// Where a transaction is, if it is known.
    pub fn standing(&self, txid: Txid) -> Option<Standing> {
        let entry = self.book.transactions.get(&txid)?;
        if let Some(block) = entry.block {
            return Some(Standing::Confirmed(block.height));
        }
        let counts: BTreeSet<Txid> = self.ledger.canonical().map(|each| each.txid).collect();
        if counts.contains(&txid) {
            return Some(Standing::Pending);
        }
        // It or one of those that it hangs on is in the way of something that counts.
        let (mut ahead, mut seen) = (vec![(txid, entry)], counts.clone());
        while let Some((txid, entry)) = ahead.pop() {
            for input in &entry.transaction.input {
                let outpoint = input.previous_output;
                let is_other = |(by, other): &(&Txid, &Entry)| {
                    let is_there = other.block.is_some() || counts.contains(*by);
                    let inputs = &other.transaction.input;
                    is_there && **by != txid && inputs.iter().any(|i| i.previous_output == outpoint)
                };
                if let Some((by, other)) = self.book.transactions.iter().find(is_other) {
                    let height = other.block.map(|block| block.height);
                    return Some(Standing::Replaced { by: *by, height });
                }
                let parent = self.book.transactions.get(&outpoint.txid);
                let parent = parent.filter(|_| seen.insert(outpoint.txid));
                ahead.extend(parent.map(|entry| (outpoint.txid, entry)));
            }
        }
        Some(Standing::Pending)
    }

    /// Transactions of ours that should be on their way into a block, parents first.
    pub fn to_rebroadcast(&self) -> Vec<Arc<Transaction>> {
        let mut pending: Vec<_> = self.ledger.canonical().filter(|c| c.height.is_none()).collect();
        pending.retain(|each| {
            self.book.transactions.get(&each.txid).is_some_and(|entry| entry.made.is_some())
        });
        // A parent was seen before its child, unless a reorg took it; then it goes first.
        let mut ordered = Vec::new();
        while !pending.is_empty() {
            let parents: Vec<Txid> = pending.iter().map(|each| each.txid).collect();
            let waits = |transaction: &Transaction| {
                transaction.input.iter().any(|i| parents.contains(&i.previous_output.txid))
            };
            let (later, now): (Vec<_>, Vec<_>) =
                pending.into_iter().partition(|each| waits(&each.transaction));
            if now.is_empty() {
                break;
            }
            ordered.extend(now.into_iter().map(|each| each.transaction));
            pending = later;
        }
        ordered
    }

    /// Looks through all blocks from `from` on again, for everything that is watched.
    pub fn rescan(&mut self, from: Height) -> Result<(), Refusal> {
        let max = self.book.cursor.height;
        if from > max {
            return Err(Refusal::TooLate { got: from, max });
        }
        // The first block of all pays nobody of ours.
        self.apply(Change::Rescan { from: from.max(Height(1)) });
        Ok(())
    }

    /// How far the last [`Wallet::rescan`] is; nothing if there is none.
    pub fn progress(&self) -> Option<Progress> {
        let rescan = self.book.rescan?;
        let (of, found) = (rescan.of as usize, rescan.found as usize);
        Some(Progress { done: of.saturating_sub(self.book.searches.len()), of, found })
    }

    pub(crate) fn apply(&mut self, change: Change) {
        self.changes.push_back(change.encode());
        self.book.evolve(&change);
        if std::mem::take(&mut self.book.is_ledger_stale) {
            return self.ledger.renew(&self.book);
        }
        match &change {
            Change::Connected { transactions, .. } | Change::Found { transactions, .. } => {
                let of = |transaction: &Arc<Transaction>| transaction.compute_txid();
                let entries =
                    transactions.iter().map(of).map(|txid| &self.book.transactions[&txid]);
                self.ledger.add(&self.book, entries);
            }
            Change::Published { transaction } => {
                let entry = &self.book.transactions[&transaction.compute_txid()];
                self.ledger.add(&self.book, std::iter::once(entry));
            }
            Change::Disconnected { .. } | Change::Forgotten { .. } => self.ledger.renew(&self.book),
            Change::Searched { .. }
            | Change::Handed { .. }
            | Change::Locked { .. }
            | Change::Unlocked { .. }
            | Change::Drafted { .. }
            | Change::GivenUp { .. }
            | Change::Rescan { .. } => {}
        }
    }
}

impl Book {
    /// Whether a change from outside can follow.
    fn check(&self, change: &Change) -> Result<(), Refusal> {
        let cursor = self.cursor;
        let (got, follows) = match change {
            Change::Connected { block, .. } => {
                (*block, block.height.0.checked_sub(1) == Some(cursor.height.0))
            }
            Change::Disconnected { block, cursor: before } => {
                let is_before = block.height.0.checked_sub(1) == Some(before.height.0);
                (*block, *block == cursor && is_before)
            }
            Change::Found { block, .. } => (*block, block.height <= cursor.height),
            Change::Searched { .. }
            | Change::Handed { .. }
            | Change::Locked { .. }
            | Change::Unlocked { .. }
            | Change::Drafted { .. }
            | Change::GivenUp { .. }
            | Change::Published { .. }
            | Change::Forgotten { .. }
            | Change::Rescan { .. } => return Ok(()),
        };
        if follows { Ok(()) } else { Err(Refusal::Gap { got, cursor }) }
    }
}

/// No more than there is, whatever somebody says.
pub(crate) fn plus(one: Amount, other: Amount) -> Amount {
    one.checked_add(other).unwrap_or(Amount::MAX)
}

/// Whether a transaction pays no more than there is. What a block has was judged by the source's
/// node; but sums of ours shall not hang on that.
pub(crate) fn is_possible(transaction: &Transaction) -> bool {
    let outputs = transaction.output.iter().map(|output| output.value);
    outputs.fold(Amount::ZERO, plus) <= Amount::MAX_MONEY
}

/// A transaction may be found for many reasons.
fn once(found: Vec<Found>) -> Vec<Arc<Transaction>> {
    let mut transactions: Vec<Arc<Transaction>> = Vec::new();
    for Found { transaction, .. } in found.into_iter().filter(|f| is_possible(&f.transaction)) {
        // What was found in one transaction comes together.
        if transactions.last().is_none_or(|last| !Arc::ptr_eq(last, &transaction)) {
            transactions.push(transaction);
        }
    }
    transactions
}
