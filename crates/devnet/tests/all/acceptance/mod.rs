//! What clients of bitcoind rely on, asked over its RPC alone. The same cases run against the
//! devnet and, if `LEYDEN_BITCOIND_URL` names one (`http://user:password@host:port`), against a
//! real bitcoind on a fresh regtest chain.

mod blocks;
mod transactions;

use std::str::FromStr;

use bitcoin::{
    Address, Amount, Block, BlockHash, Network, Transaction,
    consensus::encode::{deserialize_hex, serialize_hex},
};
use devnet::{
    Clock, Devnet,
    ledger::Draft,
    rpc::{Access, Server},
};
use serde_json::{Value, json};

use crate::{
    beside,
    client::Client,
    purse::{Coin, Lock, Purse},
};

/// Whoever is asked, and money of ours in its chain.
pub struct World {
    pub client: Client,
    purse: Purse,
    coins: Vec<Coin>,
}

type Case = (&'static str, fn(&mut World));

const CASES: &[Case] = &[
    ("blocks and their headers", blocks::blocks),
    ("errors as bitcoind words them", blocks::errors),
    ("envelopes of JSON-RPC", blocks::envelopes),
    ("every kind of coin", transactions::kinds),
    ("what is refused, and why", transactions::refusals),
    ("limits that the client sets", transactions::clients_limits),
    ("sent twice", transactions::twice),
    ("the mempool, looked at", transactions::mempool),
    ("outputs, spent and unspent", transactions::outputs),
    ("transactions, looked up", transactions::transactions),
    ("replacement", transactions::replacement),
    ("many in a row", transactions::cluster),
    ("locks open at their block", blocks::locks),
    ("a block takes conflicts out", blocks::conflicts),
    ("a reorg brings transactions back", blocks::reorg),
    ("blocks handed in", blocks::handed_in),
    ("packages", transactions::packages),
    ("fees and the network", blocks::fees),
];

#[test]
fn devnet_does_it() {
    let mut devnet = Devnet::in_memory().expect("a devnet");
    devnet.set_clock(Clock::Wall);
    let access = Access::Password { user: "user".to_owned(), password: "pass".to_owned() };
    let server = Server::start(devnet.shared(), 0, access).expect("a server");
    run(&format!("http://user:pass@{}", server.address()));
}

#[test]
fn bitcoind_does_it() {
    match std::env::var("LEYDEN_BITCOIND_URL") {
        Ok(url) => {
            run(&url);
            for seed in 0..4 {
                beside::compare(&url, seed);
            }
        }
        Err(_) => println!("skipped: LEYDEN_BITCOIND_URL is not set"),
    }
}

fn run(url: &str) {
    let mut world = World::new(url);
    for (name, case) in CASES {
        println!("{name}");
        case(&mut world);
        world.mine(1);
        assert_eq!(world.client.get("getrawmempool", json!([])), json!([]), "after {name}");
    }
}

impl World {
    fn new(url: &str) -> Self {
        const COINS: usize = 60;
        let mut world = Self { client: Client::new(url), purse: Purse::new(), coins: Vec::new() };
        let blocks = world.mine(COINS);
        world.mine(100);
        for hash in blocks {
            let coinbase = world.block(hash).txdata.swap_remove(0);
            world.coins.extend(world.purse.coins(&coinbase, &[Lock::Key]));
        }
        world
    }

    fn address(&self) -> String {
        let script = self.purse.script(Lock::Key);
        Address::from_script(&script, Network::Regtest).expect("an address").to_string()
    }

    fn mine(&mut self, count: usize) -> Vec<BlockHash> {
        let hashes = self.client.get("generatetoaddress", json!([count, self.address()]));
        let hashes = hashes.as_array().expect("hashes").iter();
        hashes.map(|hash| BlockHash::from_str(text(hash)).expect("a hash")).collect()
    }

    fn block(&mut self, hash: BlockHash) -> Block {
        let hex = self.client.get("getblock", json!([hash.to_string(), 0]));
        deserialize_hex(text(&hex)).expect("a block")
    }

    fn tip(&mut self) -> BlockHash {
        let hash = self.client.get("getbestblockhash", json!([]));
        text(&hash).parse().expect("a hash")
    }

    fn height(&mut self) -> u32 {
        let count = self.client.get("getblockcount", json!([]));
        u32::try_from(count.as_u64().expect("a number")).expect("a height")
    }

    fn coin(&mut self) -> Coin {
        self.coins.pop().expect("enough coins")
    }

    fn send(&mut self, tx: &Transaction) {
        let txid = self.client.get("sendrawtransaction", json!([serialize_hex(tx)]));
        assert_eq!(text(&txid), tx.compute_txid().to_string());
    }

    fn test(&mut self, tx: &Transaction) -> Value {
        let result = self.client.get("testmempoolaccept", json!([[serialize_hex(tx)]]));
        assert_eq!(result[0]["txid"], tx.compute_txid().to_string());
        assert_eq!(result[0]["wtxid"], tx.compute_wtxid().to_string());
        result[0].clone()
    }

    /// Asked and sent, it is refused with this word.
    fn refuse(&mut self, tx: &Transaction, word: &str) {
        let tested = self.test(tx);
        assert_eq!(tested["allowed"], false, "{tested}");
        let reason = text(&tested["reject-reason"]);
        assert!(reason.contains(word), "{reason}, not {word}");
        let hex = serialize_hex(tx);
        let (code, message) = self.client.refused("sendrawtransaction", json!([hex]));
        if word == "missing-inputs" {
            assert_eq!((code, &*message), (-25, "bad-txns-inputs-missingorspent"));
        } else {
            assert_eq!(code, -26, "{message}");
            assert!(message.contains(word), "{message}, not {word}");
        }
    }

    fn waits(&mut self, tx: &Transaction) -> bool {
        let all = self.client.get("getrawmempool", json!([]));
        let txid = Value::from(tx.compute_txid().to_string());
        all.as_array().expect("ids").contains(&txid)
    }

    /// A coin that is locked in some way, in the chain.
    fn locked(&mut self, lock: Lock) -> Coin {
        let coin = self.coin();
        let (tx, coin) = self.purse.pass(coin, lock, 1_000);
        self.send(&tx);
        self.mine(1);
        coin
    }

    /// A block behind the tip, mined here.
    fn draft(&mut self, parent: BlockHash, extra: u64, transactions: Vec<Transaction>) -> Block {
        let header = self.client.get("getblockheader", json!([parent.to_string()]));
        let number = |name: &str| u32::try_from(header[name].as_u64().expect("a number"));
        let script = self.purse.script(Lock::Key);
        let draft = Draft {
            parent,
            height: number("height").expect("a height") + 1,
            time: number("mediantime").expect("a time").max(number("time").expect("a time")) + 1,
            to: &script,
            reward: Amount::ZERO,
            extra,
            transactions,
        };
        draft.mine()
    }

    fn submit(&mut self, block: &Block) -> Value {
        self.client.get("submitblock", json!([serialize_hex(block)]))
    }
}
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a text, not {value}"))
}
