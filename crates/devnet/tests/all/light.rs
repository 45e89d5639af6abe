//! The light chain beside the kernel: what it makes, the kernel takes; what one refuses, the other
//! refuses for the same reason.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{
    Amount, Block, BlockHash, OutPoint, Sequence, Transaction, absolute::LockTime,
    transaction::Version,
};
use devnet::{
    Kernel, Verdict,
    ledger::{Draft, Ledger, MATURITY_BLOCKS, View, subsidy},
};
use wire::dice::Dice;

use crate::purse::{Coin, Lock, Purse, sat};

/// Locks that these chains use.
const LOCKS: [Lock; 12] = [
    Lock::Key,
    Lock::OldKey,
    Lock::Nested,
    Lock::Taproot,
    Lock::Anyone,
    Lock::Anchor,
    Lock::After(1),
    Lock::After(3),
    // Two of 512 seconds.
    Lock::After(1 << 22 | 2),
    Lock::From(1),
    Lock::From(110),
    // A time that the chain reaches.
    Lock::From(1_296_700_000),
];

/// A transaction, its fee, and the coins that it makes.
type Made = (Transaction, Amount, Vec<(Coin, u32)>);

/// Makes random blocks that break no rule.
struct Maker {
    dice: Dice,
    purse: Purse,
}

impl Maker {
    fn block(&mut self, ledger: &Ledger, extra: u64) -> Block {
        let (parent, place) = (ledger.tip(), ledger.next_place());
        let mut coins = self.ripe(ledger);
        let (mut transactions, mut fees) = (Vec::new(), Amount::ZERO);
        for _ in 0..self.dice.below(6) {
            let Some((tx, fee, made)) = self.transaction(ledger, &mut coins) else { break };
            // What is made in this block can be spent in it.
            coins.extend(made);
            fees += fee;
            transactions.push(tx);
        }
        let before = ledger.node(&parent.hash).expect("the tip").block.header.time;
        let time = (before + self.dice.below(1_200) as u32).max(place.time + 1);
        let to = self.purse.script(LOCKS[self.dice.below(6)]);
        let reward = subsidy(place.height) + fees;
        let left = if self.dice.one_in(4) { sat(1) } else { Amount::ZERO };
        let draft = Draft {
            parent: parent.hash,
            height: place.height,
            time,
            to: &to,
            reward: reward.checked_sub(left).unwrap_or(reward),
            extra,
            transactions,
        };
        draft.mine()
    }

    /// Coins of ours that the next block may spend, with their heights.
    fn ripe(&self, ledger: &Ledger) -> Vec<(Coin, u32)> {
        let next = ledger.next_place().height;
        let scripts: BTreeMap<_, _> =
            LOCKS.into_iter().map(|lock| (self.purse.script(lock), lock)).collect();
        let coins = ledger
            .coins()
            .iter()
            .filter(|(_, coin)| !coin.coinbase || next - coin.height >= MATURITY_BLOCKS);
        let ours = coins.filter_map(|(outpoint, coin)| {
            let lock = *scripts.get(&coin.output.script_pubkey)?;
            let value = coin.output.value;
            Some((Coin { outpoint: *outpoint, value, lock }, coin.height))
        });
        ours.collect()
    }

    fn transaction(&mut self, ledger: &Ledger, coins: &mut Vec<(Coin, u32)>) -> Option<Made> {
        let place = ledger.next_place();
        let mut inputs = Vec::new();
        for _ in 0..=self.dice.below(3) {
            if coins.is_empty() {
                break;
            }
            let (coin, height) = coins.swap_remove(self.dice.below(coins.len()));
            let sequence = self.sequence(ledger, coin, height);
            // One that is locked waits for a later block.
            inputs.extend(sequence.map(|sequence| (coin, sequence)));
        }
        let times: Vec<u32> = inputs.iter().filter_map(|(coin, _)| from(*coin)).collect();
        let by_time = times.iter().any(|lock| *lock >= 500_000_000);
        let open = times.iter().all(|lock| {
            *lock < if by_time { place.time } else { place.height }
                && (*lock >= 500_000_000) == by_time
        });
        if inputs.is_empty() || !open {
            return None;
        }
        let spent: Vec<Coin> = inputs.iter().map(|(coin, _)| *coin).collect();
        let sum: Amount = spent.iter().map(|coin| coin.value).sum();
        let outputs = self.dice.below(4) + 1;
        let fee = sat(self.dice.below(2_000) as u64).min(sum);
        let share = (sum - fee) / outputs as u64;
        let to: Vec<(Lock, Amount)> =
            (0..outputs).map(|_| (LOCKS[self.dice.below(LOCKS.len())], share)).collect();
        let mut tx = self.purse.unsigned(&spent, &to);
        tx.version = Version([2, 2, 3, 1, -1][self.dice.below(5)]);
        if inputs.iter().any(|(coin, _)| matches!(coin.lock, Lock::After(_))) {
            tx.version = Version::TWO;
        }
        tx.lock_time = match times.iter().max() {
            Some(lock) => LockTime::from_consensus(*lock),
            None if self.dice.one_in(2) => {
                LockTime::from_consensus(self.dice.below(place.height as usize) as u32)
            }
            None => LockTime::from_consensus(place.time - 1),
        };
        for (input, (_, sequence)) in tx.input.iter_mut().zip(&inputs) {
            input.sequence = *sequence;
        }
        self.purse.sign(&mut tx, &spent);
        let locks: Vec<Lock> = to.iter().map(|(lock, _)| *lock).collect();
        let made = self.purse.coins(&tx, &locks).into_iter().map(|coin| (coin, place.height));
        let paid: Amount = tx.output.iter().map(|output| output.value).sum();
        Some((tx, sum - paid, made.collect()))
    }

    fn up_to(&mut self, most: u32) -> u32 {
        self.dice.below(most as usize + 1) as u32
    }

    /// A relative lock that is open in the next block; none if the coin's own is not.
    fn sequence(&mut self, ledger: &Ledger, coin: Coin, height: u32) -> Option<Sequence> {
        let place = ledger.next_place();
        let age = place.height - height;
        let began = ledger.time_before(height.saturating_sub(1));
        let units = place.time.saturating_sub(began) / 512;
        let blocks = |count: u32| Sequence::from_height(count as u16);
        let time = |count: u32| Sequence::from_512_second_intervals(count as u16);
        match coin.lock {
            Lock::After(lock) if lock >> 22 == 1 => {
                (units >= (lock & 0xffff)).then(|| time(units.min(0xffff)))
            }
            Lock::After(lock) => (age >= lock).then(|| blocks(age.min(0xffff))),
            _ if self.dice.one_in(3) => Some(blocks(self.up_to(age))),
            _ if self.dice.one_in(3) => Some(time(self.up_to(units))),
            Lock::Key
            | Lock::OldKey
            | Lock::Nested
            | Lock::Taproot
            | Lock::Anyone
            | Lock::Anchor
            | Lock::From(_) => Some(Sequence::ENABLE_LOCKTIME_NO_RBF),
        }
    }
}

fn from(coin: Coin) -> Option<u32> {
    if let Lock::From(lock) = coin.lock { Some(lock) } else { None }
}

/// A random world of the light chain: its blocks in the order in which they came, and the tip
/// after each.
fn world(seed: u64, blocks: usize) -> (Vec<(Block, BlockHash)>, Ledger) {
    let mut maker = Maker { dice: Dice::new(seed), purse: Purse::new() };
    let mut ledger = Ledger::new();
    // The chain as it is behind each of the latest blocks.
    let mut states = BTreeMap::from([(ledger.tip().hash, ledger.clone())]);
    let mut all = Vec::new();
    let mut branch = None;
    while all.len() < blocks {
        let height = ledger.height();
        let depth = 1 + maker.dice.below(5) as u32;
        if branch.is_none() && height > 110 && maker.dice.one_in(6) {
            let base = ledger.at(height - depth).expect("it is there");
            branch = states.get(&base).cloned();
        }
        let own = branch.take();
        let mut behind = own.clone().unwrap_or_else(|| ledger.clone());
        let block = maker.block(&behind, all.len() as u64);
        behind.offer(block.clone(), None).expect("no rule is broken");
        ledger.offer(block.clone(), None).expect("no rule is broken");
        states.insert(block.block_hash(), behind.clone());
        // A branch grows until it is the heaviest.
        branch = own.map(|_| behind).filter(|b| ledger.tip() != b.tip());
        all.push((block, ledger.tip().hash));
    }
    (all, ledger)
}

#[test]
fn the_kernel_takes_what_the_light_chain_makes() {
    let (mut reorgs, mut spends, mut locks) = (0, 0, BTreeSet::new());
    for seed in 0..6 {
        let (blocks, ledger) = world(seed, 200);
        let kernel = Kernel::in_memory().expect("a kernel");
        let mut last = None;
        for (block, tip) in &blocks {
            let verdict = kernel.process(block);
            let active = block.block_hash() == *tip;
            let want = if active { Verdict::Connected } else { Verdict::Stored };
            assert_eq!(verdict, want, "seed {seed}, block {}", block.block_hash());
            assert_eq!(kernel.tip(), *tip, "seed {seed}");
            reorgs += usize::from(active && last.is_some_and(|l| l != block.header.prev_blockhash));
            last = Some(*tip);
            for tx in block.txdata.iter().skip(1) {
                spends += tx.input.len();
                locks.extend(tx.input.iter().map(|input| input.witness.len()));
            }
        }
        // The same blocks by index alone, as beside the kernel, end with the same coins.
        let mut index = Ledger::new();
        for (block, tip) in blocks {
            index.store(block).expect("its parent is there");
            index.follow(tip).expect("the light chain took it");
        }
        assert_eq!(index.coins(), ledger.coins(), "seed {seed}");
        assert!(index.coins().values().all(|coin| coin.height <= index.height()));
    }
    assert!(reorgs > 20 && spends > 500, "{reorgs} reorgs, {spends} spends");
    assert!(locks.len() > 2, "witnesses of every length: {locks:?}");
}

#[test]
fn going_back_leaves_nothing() {
    let (blocks, mut ledger) = world(7, 180);
    let coins = ledger.coins().clone();
    let tip = ledger.tip();
    let deep = ledger.at(100).expect("it is there");
    let step = ledger.invalidate(&deep);
    assert!(step.gone.len() > 30 && ledger.height() == 99, "{} gone", step.gone.len());
    let spent: Vec<&OutPoint> =
        ledger.coins().iter().filter(|(_, c)| c.height >= 100).map(|(o, _)| o).collect();
    assert!(spent.is_empty(), "{spent:?}");
    ledger.reconsider(&deep);
    assert_eq!((ledger.tip(), ledger.coins()), (tip, &coins));
    assert!(blocks.len() == 180);
}
