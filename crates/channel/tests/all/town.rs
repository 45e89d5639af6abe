//! Two sides of a channel and a chain with real rules: blocks, a mempool, reorgs.

use std::collections::VecDeque;
use std::sync::Arc;

use bitcoin::absolute::LockTime;
use bitcoin::opcodes::OP_TRUE;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};
use chain::Watch;
use channel::{CoinOffer, FundingOutput, Now, Resolvers, State};
use devnet::ledger::{Ledger, Step};
use devnet::mempool::{Mempool, Policy, Room};
use signer::SpendInput;
use tx::Form;
use wire::amount::{BlockHeight, FeeratePerKw};
use wire::id::OutputIndex;

use crate::halves::{CAPACITY, Half, Keys, coin_place, halves_of, home, open_of};

/// Coins of each wallet, and what each holds.
const COINS: u32 = 12;
const COIN: Amount = Amount::from_sat(200_000);
const CALM: FeeratePerKw = FeeratePerKw(500);
const URGENT: FeeratePerKw = FeeratePerKw(3_000);

pub struct Town {
    pub ledger: Ledger,
    pub mempool: Mempool,
    pub ends: [Half; 2],
    /// Which coins of each wallet are lent.
    lent: [u32; 2],
    /// The transaction that holds the coins of both.
    coins: OutPoint,
    extra: u64,
    /// All that was published: it is tried again with every block.
    published: Vec<Vec<Transaction>>,
    /// What the mempool has refused of each side.
    pub refused: [Vec<String>; 2],
    /// Whether a side sees blocks.
    pub sees: [bool; 2],
    /// The newest block that a side has seen.
    seen: [u32; 2],
    /// Nobody mines what spends these.
    pub held: Vec<OutPoint>,
}

impl Town {
    /// Both channels know these contracts, and each has its signer.
    pub fn knowing(form: Form, resolvers: &Resolvers, signers: [Keys; 2]) -> Self {
        let mut ledger = Ledger::new();
        let mut extra = 0;
        for _ in 0..103 {
            mine_on(&mut ledger, Vec::new(), &mut extra);
        }
        let coinbase = |ledger: &Ledger, height: u32| {
            let hash = ledger.at(height).expect("it was mined");
            let block = &ledger.node(&hash).expect("it is there").block;
            OutPoint { txid: block.txdata[0].compute_txid(), vout: 0 }
        };
        let mut output = Vec::new();
        for entropy in [1, 2] {
            for index in 1..=COINS {
                let script_pubkey = coin_place(entropy, index).1;
                output.push(TxOut { value: COIN, script_pubkey });
            }
        }
        let coins = spend(coinbase(&ledger, 1), output);
        let held = OutPoint { txid: coins.compute_txid(), vout: 0 };
        let mut funding = None;
        let opened = open_of(signers, form, |script| {
            let value = Amount::from_sat(CAPACITY.0);
            let output = vec![TxOut { value, script_pubkey: script.clone() }];
            let transaction = spend(coinbase(&ledger, 2), output);
            let txid = transaction.compute_txid();
            funding = Some(transaction);
            FundingOutput { txid, output: OutputIndex(0) }
        });
        let ends = halves_of(opened, resolvers);
        let mempool = Mempool::new(Policy::default());
        let mut town = Self {
            ledger,
            mempool,
            ends,
            lent: [0; 2],
            coins: held,
            extra,
            published: Vec::new(),
            refused: [Vec::new(), Vec::new()],
            sees: [true; 2],
            seen: [103; 2],
            held: Vec::new(),
        };
        town.mine_with(vec![coins, funding.expect("it was asked for")]);
        for _ in 0..6 {
            town.mine();
        }
        town
    }

    pub fn height(&self) -> u32 {
        self.ledger.height()
    }

    /// A block with what waits.
    pub fn mine(&mut self) {
        for package in &self.published {
            for transaction in package {
                let _ = self.mempool.submit(&self.ledger, transaction.clone(), 0);
            }
        }
        let (chosen, _) = self.mempool.choose(Room::BLOCK);
        let is_held = |it: &TxIn| self.held.contains(&it.previous_output);
        let free = chosen.iter().filter(|it| !it.input.iter().any(is_held));
        self.mine_with(free.map(|it| Transaction::clone(it)).collect());
    }

    pub fn mine_many(&mut self, blocks: u32) {
        for _ in 0..blocks {
            self.mine();
            self.pump();
        }
    }

    /// A coin of the wallet of a side.
    pub fn coin(&self, at: usize, index: u32) -> OutPoint {
        OutPoint { vout: at as u32 * COINS + index - 1, ..self.coins }
    }

    /// What is so in the world, for a side that has forgotten it.
    pub fn tell_now(&mut self, at: usize) {
        let tip = BlockHeight(self.seen[at]);
        self.ends[at].live.at(Now { tip, urgent: URGENT, calm: CALM });
    }

    /// An empty block.
    fn mine_empty(&mut self) {
        self.mine_with(Vec::new());
    }

    /// A block with these, whatever waits.
    pub fn mine_with(&mut self, transactions: Vec<Transaction>) {
        let step = mine_on(&mut self.ledger, transactions, &mut self.extra);
        self.mempool.follow(&self.ledger, &step, 0);
        for at in [0, 1] {
            self.show(at);
        }
    }

    /// The last blocks go, and as many and one more come. What was in them waits again, unless
    /// `drop` has it forgotten.
    pub fn reorg(&mut self, depth: u32, drop: bool) {
        let bottom = self.ledger.height() - depth;
        for at in [0, 1] {
            let gone = self.ends[at].live.unblock(BlockHeight(bottom + 1));
            self.ends[at].take(gone);
            self.seen[at] = self.seen[at].min(bottom);
        }
        let hash = self.ledger.at(bottom + 1).expect("it is there");
        let step = self.ledger.invalidate(&hash);
        self.mempool.follow(&self.ledger, &step, 0);
        if drop {
            self.mempool = Mempool::new(Policy::default());
        }
        for _ in 0..=depth {
            self.mine_empty();
        }
    }

    /// Shows a side all blocks that it has not seen.
    pub fn show(&mut self, at: usize) {
        if !self.sees[at] {
            return;
        }
        while self.seen[at] < self.ledger.height() {
            let height = self.seen[at] + 1;
            let hash = self.ledger.at(height).expect("it is there");
            let block = self.ledger.node(&hash).expect("it is there").block.clone();
            self.seen[at] = height;
            let end = &mut self.ends[at];
            end.live.at(Now { tip: BlockHeight(height), urgent: URGENT, calm: CALM });
            // What is found may be spent in the same block.
            loop {
                let watches = end.live.watches();
                let found: Vec<_> = (0..)
                    .zip(&block.txdata)
                    .filter(|(_, it)| watches.iter().any(|watch| is_watched(watch, it)))
                    .map(|(position, it)| (position, Arc::new(it.clone())))
                    .collect();
                let outcome = end.live.block(BlockHeight(height), &found);
                if outcome.changes.is_empty() {
                    break;
                }
                end.take(outcome);
            }
        }
    }

    /// Everything happens that can happen without a block.
    pub fn pump(&mut self) {
        for _ in 0..60 {
            let mut is_quiet = true;
            for at in [0, 1] {
                let [first, second] = &mut self.ends;
                let (end, peer) = if at == 0 { (first, second) } else { (second, first) };
                while !end.is_idle() {
                    is_quiet = false;
                    end.flush(&mut peer.inbox);
                    end.answer();
                    end.hear();
                }
                let drive = end.live.drive();
                is_quiet &= drive.changes.is_empty() && drive.effects.is_empty();
                end.take(drive);
                self.publish(at);
                is_quiet &= !self.lend(at);
            }
            if is_quiet {
                for end in &mut self.ends {
                    end.flush(&mut VecDeque::new());
                }
                return;
            }
        }
        panic!("it does not come to rest");
    }

    fn publish(&mut self, at: usize) {
        while let Some(package) = self.ends[at].packages.pop_front() {
            self.published.push(package.clone());
            let refused = match &package[..] {
                [one] => {
                    self.mempool.submit(&self.ledger, one.clone(), 0).err().map(|no| no.to_string())
                }
                all => {
                    let parts = self.mempool.submit_package(&self.ledger, all, 0);
                    let parts = parts.expect("a child with its parent");
                    let result = parts.last().and_then(|it| it.result.clone());
                    result.and_then(Result::err).map(|no| no.to_string())
                }
            };
            self.refused[at].extend(refused);
        }
    }

    fn lend(&mut self, at: usize) -> bool {
        let all = std::mem::take(&mut self.ends[at].wanted);
        for wanted in &all {
            let mut coins = Vec::new();
            let mut have = 0;
            while have < wanted.value.0 && self.lent[at] < COINS {
                self.lent[at] += 1;
                let (place, script) = coin_place(at as u8 + 1, self.lent[at]);
                let outpoint = self.coin(at, self.lent[at]);
                let sequence = Sequence::ENABLE_RBF_NO_LOCKTIME;
                let input = SpendInput { outpoint, amount: COIN, place, sequence };
                coins.push(CoinOffer { input, script });
                have += COIN.to_sat();
            }
            let outcome = self.ends[at].live.lent(wanted.asked, coins);
            self.ends[at].take(outcome);
        }
        !all.is_empty()
    }

    /// What a side has on the chain: what came home, and the coins of its wallet that are left.
    pub fn has(&self, at: usize) -> u64 {
        let mut scripts = vec![home(at as u8 + 1).script];
        scripts.extend((1..=COINS).map(|index| coin_place(at as u8 + 1, index).1));
        let coins = self.ledger.coins().values().map(|it| &it.output);
        let ours = coins.filter(|it| scripts.contains(&it.script_pubkey));
        ours.map(|it| it.value.to_sat()).sum::<u64>() - u64::from(COINS) * COIN.to_sat()
    }

    /// Both have nothing more to do.
    pub fn is_done(&self) -> bool {
        self.ends.iter().all(|end| *end.live.state() == State::Done)
    }

    /// Blocks until both are done.
    pub fn finish(&mut self) {
        for _ in 0..600 {
            if self.is_done() {
                return;
            }
            self.mine();
            self.pump();
        }
        let states = self.ends.each_ref().map(|it| it.live.state().clone());
        let by = self.ends.each_ref().map(|it| it.live.ended_by());
        panic!("not done: {states:?} {by:?} {:?}", self.refused);
    }
}

/// What opens by itself.
fn truth() -> ScriptBuf {
    ScriptBuf::from_bytes(vec![OP_TRUE.to_u8()])
}

fn anyone_witness() -> Witness {
    Witness::from_slice(&[truth().into_bytes()])
}

fn is_watched(watch: &Watch, transaction: &Transaction) -> bool {
    match watch {
        Watch::Spend(outpoint) => {
            transaction.input.iter().any(|it| it.previous_output == *outpoint)
        }
        Watch::Pay(script) => transaction.output.iter().any(|it| it.script_pubkey == *script),
    }
}

fn mine_on(ledger: &mut Ledger, transactions: Vec<Transaction>, extra: &mut u64) -> Step {
    *extra += 1;
    let time = 1_700_000_000 + ledger.height() * 600;
    let block = ledger.next_block(&truth().to_p2wsh(), time, *extra, transactions);
    let block = block.unwrap_or_else(|no| panic!("{no}"));
    ledger.offer(block, None).unwrap_or_else(|no| panic!("{no}"))
}

/// Spends a coin that anyone can spend; what is left is the fee.
fn spend(previous_output: OutPoint, output: Vec<TxOut>) -> Transaction {
    let sequence = Sequence::ENABLE_RBF_NO_LOCKTIME;
    let script_sig = ScriptBuf::new();
    let input = TxIn { previous_output, script_sig, sequence, witness: anyone_witness() };
    Transaction { version: Version::TWO, lock_time: LockTime::ZERO, input: vec![input], output }
}
