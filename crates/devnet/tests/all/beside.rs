//! The devnet beside a real bitcoind on the same chain: random transactions, packages, blocks and
//! reorgs, and both must say the same and keep the same mempool.

use std::collections::BTreeMap;

use bitcoin::{
    Amount, OutPoint, Sequence, Transaction, absolute::LockTime, consensus::encode::serialize_hex,
    transaction::Version,
};
use devnet::{
    Clock, Devnet, Shared, lock,
    mempool::CLUSTER_MAX,
    rpc::{Access, Server},
};
use serde_json::{Value, json};
use wire::dice::Dice;

use crate::{
    client::Client,
    purse::{Coin, Lock, Purse, sat},
};

const LOCKS: [Lock; 9] = [
    Lock::Key,
    Lock::Key,
    Lock::OldKey,
    Lock::Nested,
    Lock::Taproot,
    Lock::Anyone,
    Lock::Anchor,
    Lock::After(2),
    Lock::From(150),
];

struct Pair {
    devnet: Shared,
    ours: Client,
    theirs: Client,
    purse: Purse,
    dice: Dice,
    /// How often which answer was given.
    heard: BTreeMap<String, usize>,
}

/// Compares them over one random world.
pub fn compare(url: &str, seed: u64) {
    let mut devnet = Devnet::in_memory().expect("a devnet");
    devnet.set_clock(Clock::Wall);
    let devnet = devnet.shared();
    let access = Access::Password { user: "u".to_owned(), password: "p".to_owned() };
    let server = Server::start(devnet.clone(), 0, access).expect("a server");
    let ours = Client::new(&format!("http://u:p@{}", server.address()));
    let (purse, dice) = (Purse::new(), Dice::new(seed));
    let theirs = Client::new(url);
    let heard = BTreeMap::new();
    let mut pair = Pair { devnet, ours, theirs, purse, dice, heard };
    // Whatever chain it had, ours is the only one now.
    if let Ok(first) = pair.theirs.ask("getblockhash", json!([1])) {
        pair.theirs.get("invalidateblock", json!([first]));
    }
    for _ in 0..140 {
        pair.mine(true);
    }
    for _ in 0..600 {
        pair.step();
    }
    println!("{:#?}", pair.heard);
}

impl Pair {
    fn step(&mut self) {
        let before = self.ours.get("getrawmempool", json!([true]));
        let act = self.dice.below(40);
        match act {
            0 => self.mine(true),
            1 => self.mine(false),
            2 => self.reorg(),
            3..=6 => self.package(),
            _ => self.transaction(),
        }
        let mempool = |client: &mut Client| {
            let mut all = client.get("getrawmempool", json!([true]));
            for entry in all.as_object_mut().expect("entries").values_mut() {
                let entry = entry.as_object_mut().expect("an entry");
                // Clocks differ by what lies between the two; one word is ours for old clients.
                for name in ["time", "bip125-replaceable", "unbroadcast", "chunkweight"] {
                    entry.remove(name);
                }
                let lists = entry.values_mut().filter_map(Value::as_array_mut);
                lists.for_each(|list| list.sort_by_key(Value::to_string));
                entry["fees"].as_object_mut().expect("fees").remove("chunk");
            }
            all
        };
        let (ours, theirs) = (mempool(&mut self.ours), mempool(&mut self.theirs));
        if ours == theirs {
            return;
        }
        let (mut left, right) = (ours, theirs);
        for (txid, entry) in left.as_object_mut().expect("entries") {
            if right[txid] != *entry {
                let raw = self.ours.get("getrawtransaction", json!([txid, true]));
                println!(
                    "{txid}: ours {entry}\ntheirs {}\nbefore {}\n{raw}",
                    right[txid], before[txid]
                );
            }
        }
        for (txid, entry) in right.as_object().expect("entries") {
            if left.get(txid).is_none() {
                println!("{txid}: only theirs {entry}, before {}", before[txid]);
            }
        }
        panic!("mempools differ after act {act}");
    }

    fn hear(&mut self, what: &str) {
        *self.heard.entry(what.to_owned()).or_default() += 1;
    }

    /// Mines here, of all that waits or of nothing, and hands it over there.
    fn mine(&mut self, full: bool) {
        let script = self.purse.script(Lock::Key);
        let block = {
            let mut devnet = lock(&self.devnet);
            let mined = if full { devnet.mine(Some(&script)) } else { devnet.mine_of(Vec::new()) };
            let hash = mined.expect("a block").block.hash;
            let node = devnet.ledger().node(&hash).expect("it is there");
            serialize_hex(&*node.block)
        };
        assert_eq!(self.theirs.get("submitblock", json!([block])), Value::Null);
        self.hear("block");
    }

    fn reorg(&mut self) {
        let depth = 1 + self.dice.below(3) as u32;
        let blocks: Vec<String> = {
            let mut devnet = lock(&self.devnet);
            let ledger = devnet.ledger();
            let nodes =
                (0..depth).filter_map(|down| ledger.node(&ledger.at(ledger.height() - down)?));
            let back: usize = nodes.map(|node| node.block.txdata.len() - 1).sum();
            // What hangs together afterwards and is too much, bitcoind trims; we do not.
            if back + devnet.mempool().len() > CLUSTER_MAX {
                return;
            }
            let mined = devnet.reorg(depth, Vec::new()).expect("a branch");
            let node = |hash| devnet.ledger().node(hash).expect("it is there");
            mined.iter().map(|mined| serialize_hex(&*node(&mined.block.hash).block)).collect()
        };
        for block in blocks {
            self.theirs.get("submitblock", json!([block]));
        }
        let tip = lock(&self.devnet).tip().hash.to_string();
        assert_eq!(self.theirs.get("getbestblockhash", json!([])), tip);
        self.hear("reorg");
    }

    /// A coin of ours: in the chain, spent by one that waits or not, ripe or not, or of one that
    /// waits.
    fn coin(&mut self) -> Coin {
        let mut coins: Vec<(OutPoint, Amount, bitcoin::ScriptBuf)> = {
            let devnet = lock(&self.devnet);
            let (ledger, pool) = (devnet.ledger(), devnet.mempool());
            let mut coins: Vec<_> = ledger
                .coins()
                .iter()
                // Not all of the many that are not ripe.
                .filter(|(_, coin)| !coin.coinbase || ledger.height() - coin.height > 97)
                .map(|(at, coin)| (*at, coin.output.value, coin.output.script_pubkey.clone()))
                .collect();
            for entry in pool.entries() {
                let outputs = (0..).zip(&entry.tx.output);
                coins.extend(outputs.map(|(vout, output)| {
                    let at = OutPoint { txid: entry.txid, vout };
                    (at, output.value, output.script_pubkey.clone())
                }));
            }
            coins
        };
        // Half of the time one that nobody has spent yet.
        if self.dice.one_in(2) {
            let devnet = lock(&self.devnet);
            let free = |at: &OutPoint| devnet.mempool().spender(at).is_none();
            let ledger = devnet.ledger();
            let ripe = |at: &OutPoint| {
                let coin = ledger.coins().get(at);
                coin.is_some_and(|coin| !coin.coinbase || ledger.height() - coin.height > 98)
            };
            coins.retain(|(at, ..)| free(at) && (ripe(at) || self.dice.one_in(8)));
        }
        loop {
            let (outpoint, value, script) = coins.swap_remove(self.dice.below(coins.len()));
            let lock = LOCKS.into_iter().find(|lock| self.purse.script(*lock) == script);
            if let Some(lock) = lock {
                return Coin { outpoint, value, lock };
            }
        }
    }

    /// What nothing is wrong with but, perhaps, what it spends and pays.
    fn plain(&mut self, coins: &[Coin], fee: Amount, version: i32) -> Transaction {
        let sum: Amount = coins.iter().map(|coin| coin.value).sum();
        let left = sum.checked_sub(fee).unwrap_or(sum);
        let outputs = 1 + self.dice.below(3) as u64;
        let to: Vec<_> =
            (0..outputs).map(|_| (LOCKS[self.dice.below(6)], left / outputs)).collect();
        let mut tx = self.purse.unsigned(coins, &to);
        tx.version = Version(version);
        if version == 3 && fee == Amount::ZERO && self.dice.one_in(2) {
            tx.output.push(self.purse.output(Lock::Anchor, Amount::ZERO));
        }
        self.purse.sign(&mut tx, coins);
        tx
    }

    fn build(&mut self, coins: &[Coin], fee: Amount) -> Transaction {
        if self.dice.one_in(2) {
            let version = 2 + self.dice.below(2) as i32;
            return self.plain(coins, fee, version);
        }
        let sum: Amount = coins.iter().map(|coin| coin.value).sum();
        let mut left = sum.checked_sub(fee).unwrap_or(sum);
        let mut to = Vec::new();
        for _ in 0..self.dice.below(3) {
            let value = match self.dice.below(6) {
                0 => sat(self.dice.below(600) as u64),
                1 => Amount::ZERO,
                _ => left / (1 + self.dice.below(4) as u64),
            };
            if let Some(rest) = left.checked_sub(value) {
                left = rest;
                to.push((LOCKS[self.dice.below(LOCKS.len())], value));
            }
        }
        to.push((LOCKS[self.dice.below(LOCKS.len())], left));
        let mut tx = self.purse.unsigned(coins, &to);
        tx.version = Version([2, 2, 2, 3, 3, 3, 1, 4][self.dice.below(8)]);
        let place = lock(&self.devnet).ledger().next_place();
        let near = |dice: &mut Dice, at: u32| (at + dice.below(4) as u32).saturating_sub(2);
        tx.lock_time = match self.dice.below(6) {
            0 => LockTime::from_consensus(near(&mut self.dice, place.height)),
            1 => LockTime::from_consensus(near(&mut self.dice, place.time)),
            2 | 3 => LockTime::from_consensus(150),
            _ => LockTime::ZERO,
        };
        for input in &mut tx.input {
            input.sequence = match self.dice.below(8) {
                0 => Sequence::MAX,
                1 => Sequence::from_height(self.dice.below(4) as u16),
                2 => Sequence::from_512_second_intervals(self.dice.below(2) as u16),
                3 | 4 => Sequence::from_height(2),
                _ => Sequence::ENABLE_RBF_NO_LOCKTIME,
            };
        }
        self.purse.sign(&mut tx, coins);
        if self.dice.one_in(30) {
            tx.output[0].value = tx.output[0].value.checked_sub(sat(1)).unwrap_or(sat(1));
        }
        tx
    }

    fn fee(&mut self) -> Amount {
        sat(match self.dice.below(6) {
            0 => 0,
            1 => self.dice.below(60) as u64,
            2 => self.dice.below(200_000) as u64,
            _ => self.dice.below(5_000) as u64,
        })
    }

    fn coins(&mut self) -> Vec<Coin> {
        let mut coins: Vec<Coin> = Vec::new();
        for _ in 0..=self.dice.below(3) {
            let coin = self.coin();
            if coins.iter().all(|other| other.outpoint != coin.outpoint) {
                coins.push(coin);
            }
        }
        coins
    }

    fn transaction(&mut self) {
        let (coins, fee) = (self.coins(), self.fee());
        let tx = self.build(&coins, fee);
        let hex = serialize_hex(&tx);
        let params = json!([[hex], 0]);
        let ours = self.ours.get("testmempoolaccept", params.clone())[0].take();
        let theirs = self.theirs.get("testmempoolaccept", params)[0].take();
        let about = format!("ours {ours}\ntheirs {theirs}\n{tx:#?}");
        for name in ["txid", "wtxid", "allowed", "vsize", "fees"] {
            assert_eq!(ours[name], theirs[name], "{about}");
        }
        let words = |value: &Value| value["reject-reason"].as_str().unwrap_or("taken").to_owned();
        // Behind the word bitcoind says which rule of scripts it was.
        assert!(words(&theirs).starts_with(&words(&ours)), "{about}");
        self.hear(&words(&ours));
        let params = json!([hex, 0, 100]);
        let ours = self.ours.ask("sendrawtransaction", params.clone());
        let theirs = self.theirs.ask("sendrawtransaction", params);
        let code = |answer: &Result<Value, (i64, String)>| match answer {
            Ok(txid) => Ok(txid.clone()),
            Err((code, _)) => Err(*code),
        };
        assert_eq!(code(&ours), code(&theirs), "{about}");
    }

    /// A parent and its child, of which often only the child pays.
    fn package(&mut self) {
        let coins = self.coins();
        let fee = if self.dice.one_in(3) { self.fee() } else { Amount::ZERO };
        let version = 2 + self.dice.below(2) as i32;
        let calm = !self.dice.one_in(4);
        let parent = if calm { self.plain(&coins, fee, version) } else { self.build(&coins, fee) };
        let locks: Vec<Option<Lock>> = parent
            .output
            .iter()
            .map(|output| {
                let fits = |lock: &Lock| self.purse.script(*lock) == output.script_pubkey;
                LOCKS.into_iter().find(fits)
            })
            .collect();
        let txid = parent.compute_txid();
        let outputs = (0..).zip(&parent.output).zip(locks);
        let mut spent: Vec<Coin> = outputs
            .filter_map(|((vout, output), lock)| {
                let outpoint = OutPoint { txid, vout };
                Some(Coin { outpoint, value: output.value, lock: lock? })
            })
            .collect();
        if self.dice.one_in(3) {
            spent.truncate(1);
        }
        let fee = self.fee();
        let child = if calm { self.plain(&spent, fee, version) } else { self.build(&spent, fee) };
        let params = json!([[serialize_hex(&parent), serialize_hex(&child)], 0, 100]);
        let ours = self.ours.ask("submitpackage", params.clone());
        let theirs = self.theirs.ask("submitpackage", params);
        let about = format!("ours {ours:?}\ntheirs {theirs:?}\n{parent:#?}\n{child:#?}");
        let (Ok(ours), Ok(theirs)) = (&ours, &theirs) else {
            assert_eq!(ours.map_err(|(code, _)| code), theirs.map_err(|(code, _)| code), "{about}");
            return;
        };
        assert_eq!(ours["package_msg"] == "success", theirs["package_msg"] == "success", "{about}");
        let done = ours["package_msg"] == "success";
        self.hear(if done { "package taken" } else { "package refused" });
    }
}
