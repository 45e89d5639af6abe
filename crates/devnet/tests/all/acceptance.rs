//! What clients of bitcoind rely on, asked over its RPC alone. The same cases run against the
//! devnet and, if `LEYDEN_BITCOIND_URL` names one (`http://user:password@host:port`), against a
//! real bitcoind on a fresh regtest chain.

use std::{
    str::FromStr,
    sync::{Arc, Mutex},
};

use bitcoin::{
    Address, Amount, Block, BlockHash, Network, OutPoint, ScriptBuf, Sequence, Transaction,
    absolute::LockTime,
    block::Header,
    consensus::encode::{deserialize_hex, serialize_hex},
    script::PushBytesBuf,
    transaction::Version,
};
use devnet::{
    Clock, Devnet,
    ledger::{Draft, coinbase_commitment, grind},
    rpc::{Access, Server},
};
use serde_json::{Value, json};

use crate::{
    client::Client,
    purse::{Coin, Lock, Purse, sat},
};

/// Whoever is asked, and money of ours in its chain.
pub struct World {
    pub client: Client,
    purse: Purse,
    coins: Vec<Coin>,
}

type Case = (&'static str, fn(&mut World));

const CASES: &[Case] = &[
    ("blocks and their headers", blocks),
    ("errors as bitcoind words them", errors),
    ("envelopes of JSON-RPC", envelopes),
    ("every kind of coin", kinds),
    ("what is refused, and why", refusals),
    ("limits that the client sets", clients_limits),
    ("sent twice", twice),
    ("the mempool, looked at", mempool),
    ("outputs, spent and unspent", outputs),
    ("transactions, looked up", transactions),
    ("replacement", replacement),
    ("many in a row", cluster),
    ("locks open at their block", locks),
    ("a block takes conflicts out", conflicts),
    ("a reorg brings transactions back", reorg),
    ("blocks handed in", handed_in),
    ("packages", packages),
    ("fees and the network", fees),
];

#[test]
fn devnet_does_it() {
    let mut devnet = Devnet::in_memory().expect("a devnet");
    devnet.set_clock(Clock::Wall);
    let access = Access::Password { user: "user".to_owned(), password: "pass".to_owned() };
    let server = Server::start(Arc::new(Mutex::new(devnet)), 0, access).expect("a server");
    run(&format!("http://user:pass@{}", server.address()));
}

#[test]
fn bitcoind_does_it() {
    match std::env::var("LEYDEN_BITCOIND_URL") {
        Ok(url) => run(&url),
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

fn blocks(world: &mut World) {
    let height = world.height();
    let hash = world.mine(1)[0];
    assert_eq!(world.height(), height + 1);
    assert_eq!(world.tip(), hash);
    let client = &mut world.client;
    assert_eq!(client.get("getblockhash", json!([height + 1])), hash.to_string());
    let first = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206";
    assert_eq!(client.get("getblockhash", json!([0])), first);
    let raw = client.get("getblockheader", json!([hash.to_string(), false]));
    let header: Header = deserialize_hex(text(&raw)).expect("a header");
    assert_eq!(header.block_hash(), hash);
    let told = client.get("getblockheader", json!([hash.to_string()]));
    assert_eq!(told["hash"], hash.to_string());
    assert_eq!(told["confirmations"], 1);
    assert_eq!(told["height"], height + 1);
    assert_eq!(told["version"], header.version.to_consensus());
    assert_eq!(told["merkleroot"], header.merkle_root.to_string());
    assert_eq!(told["time"], header.time);
    assert_eq!(told["nonce"], header.nonce);
    assert_eq!(told["bits"], "207fffff");
    let difficulty = told["difficulty"].as_f64().expect("a number");
    assert!((difficulty - 4.656_542_373_906_925e-10).abs() < 1e-24);
    assert_eq!(told["chainwork"], format!("{:064x}", 2 * (u64::from(height) + 2)));
    assert_eq!(told["nTx"], 1);
    assert_eq!(told["previousblockhash"], header.prev_blockhash.to_string());
    assert!(told.get("nextblockhash").is_none());
    let before = client.get("getblockheader", json!([header.prev_blockhash.to_string(), true]));
    assert_eq!(before["confirmations"], 2);
    assert_eq!(before["nextblockhash"], hash.to_string());
    let info = client.get("getblockchaininfo", json!([]));
    assert_eq!(info["chain"], "regtest");
    assert_eq!((&info["blocks"], &info["headers"]), (&json!(height + 1), &json!(height + 1)));
    assert_eq!(info["bestblockhash"], hash.to_string());
    assert_eq!(info["chainwork"], told["chainwork"]);
    assert_eq!((&info["initialblockdownload"], &info["pruned"]), (&json!(false), &json!(false)));
    shown_block(world, hash);
}

fn shown_block(world: &mut World, hash: BlockHash) {
    let block = world.block(hash);
    let coinbase = &block.txdata[0];
    let client = &mut world.client;
    for verbosity in [json!(1), json!(true)] {
        let told = client.get("getblock", json!([hash.to_string(), verbosity]));
        assert_eq!(told["tx"], json!([coinbase.compute_txid().to_string()]));
        assert_eq!(told["size"], block.total_size());
        assert_eq!(told["weight"], block.weight().to_wu());
    }
    let told = client.get("getblock", json!([hash.to_string(), 2]));
    let tx = &told["tx"][0];
    assert_eq!(tx["hex"], serialize_hex(coinbase));
    assert_eq!(tx["hash"], coinbase.compute_wtxid().to_string());
    assert_eq!(tx["vin"][0]["coinbase"], coinbase.input[0].script_sig.to_hex_string());
    assert_eq!(tx["vout"][0]["n"], 0);
    let script = &tx["vout"][0]["scriptPubKey"];
    assert_eq!(script["hex"], coinbase.output[0].script_pubkey.to_hex_string());
    assert_eq!(script["address"], world.address());
    assert_eq!(script["type"], "witness_v0_keyhash");
    assert!(text(&script["asm"]).starts_with("0 "));
    assert!(text(&script["desc"]).starts_with("addr(bcrt1"));
}

fn errors(world: &mut World) {
    let client = &mut world.client;
    let unknown = "00".repeat(32);
    let no_hash = "zz".repeat(32);
    let rows = [
        ("getblock", json!([unknown]), -5, "Block not found"),
        ("getblockheader", json!([unknown]), -5, "Block not found"),
        ("invalidateblock", json!([unknown]), -5, "Block not found"),
        ("reconsiderblock", json!([unknown]), -5, "Block not found"),
        ("getblock", json!(["abc"]), -8, "blockhash must be of length 64 (not 3, for 'abc')"),
        ("getblock", json!([no_hash]), -8, "blockhash must be hexadecimal string (not 'zz"),
        ("getblockhash", json!([999_999]), -8, "Block height out of range"),
        ("getblockhash", json!([-1]), -8, "Block height out of range"),
        ("getblockhash", json!(["1"]), -3, "Wrong type passed"),
        ("getblockhash", json!([]), -1, "getblockhash height"),
        ("getblockhash", json!([1, 2]), -1, "getblockhash height"),
        ("getblockhash", json!({ "hight": 1 }), -8, "Unknown named parameter hight"),
        ("getmempoolentry", json!([unknown]), -5, "Transaction not in mempool"),
        ("getrawtransaction", json!([unknown]), -5, "No such mempool"),
        ("sendrawtransaction", json!(["00"]), -22, "TX decode failed"),
        ("sendrawtransaction", json!(["xyz"]), -22, "TX decode failed"),
        ("testmempoolaccept", json!([["00"]]), -22, "TX decode failed"),
        ("testmempoolaccept", json!([[]]), -8, "Array must contain between 1 and 25"),
        ("submitblock", json!(["00"]), -22, "Block decode failed"),
        ("generatetoaddress", json!([1, "nobody"]), -5, "Error: Invalid address"),
        ("estimatesmartfee", json!([0]), -8, "Invalid conf_target"),
        ("estimatesmartfee", json!([6, "cheap"]), -8, "Invalid estimate_mode"),
        ("nothing", json!([]), -32_601, "Method not found"),
    ];
    for (method, params, code, words) in rows {
        let (got, message) = client.refused(method, params);
        assert_eq!(got, code, "{method}: {message}");
        assert!(message.starts_with(words), "{method}: {message}");
    }
}

fn envelopes(world: &mut World) {
    let height = world.height();
    let client = &mut world.client;
    let exactly = |response: crate::client::Response, status: u16, value: Value| {
        let got: Value = serde_json::from_str(&response.body).expect("JSON");
        assert_eq!((response.status, got), (status, value));
    };
    let first = json!({ "result": height, "error": null, "id": 1 });
    exactly(client.post(r#"{"method":"getblockcount","id":1}"#), 200, first.clone());
    let named = r#"{"jsonrpc":"1.0","method":"getblockhash","params":{"height":0},"id":1}"#;
    assert_eq!(client.post(named).status, 200);
    let second = json!({ "jsonrpc": "2.0", "result": height, "id": [7] });
    let body = r#"{"jsonrpc":"2.0","method":"getblockcount","params":[],"id":[7]}"#;
    exactly(client.post(body), 200, second);
    let error = json!({ "code": -32_601, "message": "Method not found" });
    let body = r#"{"jsonrpc":"2.0","method":"no","id":2}"#;
    exactly(client.post(body), 200, json!({ "jsonrpc": "2.0", "error": error, "id": 2 }));
    let body = r#"{"method":"no","id":2}"#;
    exactly(client.post(body), 404, json!({ "result": null, "error": error, "id": 2 }));
    let notice = client.post(r#"{"jsonrpc":"2.0","method":"getblockcount"}"#);
    assert_eq!((notice.status, &*notice.body), (204, ""));
    let broken = client.post("{");
    let error = json!({ "code": -32_700, "message": "Parse error" });
    exactly(broken, 500, json!({ "result": null, "error": error, "id": null }));
    let invalid = client.post(r#"{"method":3,"id":1}"#);
    assert_eq!(invalid.status, 400);
    assert!(invalid.body.contains("-32600"), "{}", invalid.body);
    let batch = client.post(r#"[{"method":"getblockcount","id":1},{"method":"no","id":2}]"#);
    assert_eq!(batch.status, 200);
    let answers: Value = serde_json::from_str(&batch.body).expect("JSON");
    assert_eq!(answers[0], first);
    assert_eq!((&answers[1]["id"], &answers[1]["error"]["code"]), (&json!(2), &json!(-32_601)));
    let mut stranger = Client::new(&format!("http://user:wrong@{}", client.address));
    assert_eq!(stranger.post("{}").status, 401);
    let mut other = Client::new(&format!("http://user:wrong@{}", client.address));
    assert_eq!(other.raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").status, 405);
}

const ALL: [Lock; 8] = [
    Lock::Key,
    Lock::OldKey,
    Lock::Nested,
    Lock::Taproot,
    Lock::Anyone,
    Lock::After(1),
    Lock::From(1),
    Lock::Anchor,
];

fn kinds(world: &mut World) {
    let coin = world.coin();
    let value = sat((coin.value.to_sat() - 10_000) / 8);
    let tx = world.purse.spend(&[coin], &ALL.map(|lock| (lock, value)));
    world.send(&tx);
    world.mine(1);
    for coin in world.purse.coins(&tx, &ALL) {
        let mut tx = world.purse.unsigned(&[coin], &[(Lock::Taproot, coin.value - sat(1_000))]);
        tx.lock_time = LockTime::from_consensus(1);
        tx.input[0].sequence = Sequence::from_height(1);
        world.purse.sign(&mut tx, &[coin]);
        let tested = world.test(&tx);
        assert_eq!(tested["allowed"], true, "{coin:?}: {tested}");
        assert_eq!(tested["vsize"], tx.vsize(), "{coin:?}");
        assert_eq!(tested["fees"]["base"], json!(0.00001));
        assert!(!world.waits(&tx), "asking is not sending");
        world.send(&tx);
        assert!(world.waits(&tx));
    }
}

fn refusals(world: &mut World) {
    let coin = world.coin();
    let purse = Purse::new();
    let left = coin.value - sat(1_000);
    let changed = |change: &dyn Fn(&mut Transaction)| {
        let mut tx = purse.unsigned(&[coin], &[(Lock::Key, left)]);
        change(&mut tx);
        purse.sign(&mut tx, &[coin]);
        tx
    };
    let height = world.height();
    let dust = |tx: &mut Transaction| tx.output.push(purse.output(Lock::Key, sat(293)));
    let data = |bytes: usize| {
        let bytes = PushBytesBuf::try_from(vec![0; bytes]).expect("short enough");
        ScriptBuf::new_op_return(bytes)
    };
    let rows: [(&str, &dyn Fn(&mut Transaction)); 14] = [
        ("version", &|tx| tx.version = Version(4)),
        ("tx-size", &|tx| tx.output = vec![tx.output[0].clone(); 3_300]),
        ("scriptpubkey", &|tx| tx.output[0].script_pubkey = ScriptBuf::from_bytes(vec![0x51])),
        ("dust", &dust),
        ("tx-size-small", &|tx| {
            tx.output[0].script_pubkey = data(0);
            tx.output[0].value = Amount::ZERO;
        }),
        ("non-final", &|tx| tx.lock_time = LockTime::from_consensus(height + 1)),
        ("non-BIP68-final", &|tx| tx.input[0].sequence = Sequence::from_height(60_000)),
        ("non-BIP68-final", &|tx| {
            tx.input[0].sequence = Sequence::from_512_second_intervals(60_000);
        }),
        ("min relay fee not met", &|tx| tx.output[0].value = coin.value),
        ("bad-txns-in-belowout", &|tx| tx.output[0].value = coin.value + sat(1)),
        ("bad-txns-vout-empty", &|tx| tx.output.clear()),
        ("missing-inputs", &|tx| tx.input[0].previous_output.vout = 9),
        ("bad-txns-vout-toolarge", &|tx| tx.output[0].value = sat(21_000_001 * 100_000_000)),
        ("bad-txns-inputs-duplicate", &|_| {}),
    ];
    for (word, change) in rows {
        let mut tx = changed(change);
        if word == "bad-txns-inputs-duplicate" {
            tx.input.push(tx.input[0].clone());
        }
        world.refuse(&tx, word);
    }
    let mut tx = changed(&|_| {});
    tx.output[0].value -= sat(1);
    // Versions of bitcoind have other words in front of this.
    world.refuse(&tx, "script-verify-flag-failed");
    let tip = world.tip();
    let young = world.block(tip).txdata.swap_remove(0);
    let young = purse.coins(&young, &[Lock::Key])[0];
    let (tx, _) = purse.pass(young, Lock::Key, 1_000);
    world.refuse(&tx, "bad-txns-premature-spend-of-coinbase");
    let old = world.locked(Lock::OldKey);
    let (mut tx, _) = purse.pass(old, Lock::Key, 1_000);
    tx.input[0].witness.push([1]);
    world.refuse(&tx, "bad-witness-nonstandard");
    tx.input[0].script_sig = ScriptBuf::from_bytes(vec![0x76]);
    world.refuse(&tx, "scriptsig-not-pushonly");
    world.send(&changed(&|_| {}));
}

fn clients_limits(world: &mut World) {
    let coin = world.coin();
    let (dear, _) = world.purse.pass(coin, Lock::Key, 10_000_000);
    let tested = world.test(&dear);
    assert_eq!(
        (&tested["allowed"], &tested["reject-reason"]),
        (&json!(false), &json!("max-fee-exceeded"))
    );
    let (code, message) = world.client.refused("sendrawtransaction", json!([serialize_hex(&dear)]));
    assert_eq!(code, -25);
    assert!(message.starts_with("Fee exceeds maximum configured by user"), "{message}");
    world.client.get("sendrawtransaction", json!([serialize_hex(&dear), 0]));
    let coin = world.coin();
    let mut tx = world
        .purse
        .unsigned(&[coin], &[(Lock::Key, coin.value - sat(2_000)), (Lock::Key, sat(1_000))]);
    tx.output[1].script_pubkey = ScriptBuf::new_op_return([1; 20]);
    world.purse.sign(&mut tx, &[coin]);
    let hex = serialize_hex(&tx);
    let (code, message) = world.client.refused("sendrawtransaction", json!([hex]));
    assert_eq!(code, -25);
    assert!(message.starts_with("Unspendable output exceeds maximum"), "{message}");
    world.client.get("sendrawtransaction", json!([hex, 0.1, "0.00001000"]));
}

fn twice(world: &mut World) {
    let coin = world.coin();
    let (tx, _) = world.purse.pass(coin, Lock::Key, 1_000);
    world.send(&tx);
    world.send(&tx);
    let tested = world.test(&tx);
    assert_eq!(tested["reject-reason"], "txn-already-in-mempool");
    world.mine(1);
    let (code, message) = world.client.refused("sendrawtransaction", json!([serialize_hex(&tx)]));
    assert_eq!((code, &*message), (-27, "Transaction outputs already in utxo set"));
    assert_eq!(world.test(&tx)["reject-reason"], "txn-already-known");
}

fn mempool(world: &mut World) {
    let coin = world.coin();
    let (parent, coin) = world.purse.pass(coin, Lock::Key, 1_000);
    let (child, _) = world.purse.pass(coin, Lock::Key, 3_000);
    world.send(&parent);
    world.send(&child);
    let (parent_id, child_id) =
        (parent.compute_txid().to_string(), child.compute_txid().to_string());
    let height = world.height();
    let client = &mut world.client;
    let info = client.get("getmempoolinfo", json!([]));
    assert_eq!((&info["loaded"], &info["size"]), (&json!(true), &json!(2)));
    assert_eq!(info["bytes"], parent.vsize() + child.vsize());
    assert!(info["mempoolminfee"].as_f64().is_some_and(|fee| fee > 0.0));
    assert!(info["minrelaytxfee"].as_f64().is_some_and(|fee| fee > 0.0));
    let entry = client.get("getmempoolentry", json!([child_id]));
    assert_eq!(entry["vsize"], child.vsize());
    assert_eq!(entry["weight"], child.weight().to_wu());
    assert_eq!(entry["wtxid"], child.compute_wtxid().to_string());
    assert_eq!(entry["height"], height);
    assert!(entry["time"].as_u64().is_some_and(|time| time > 1_600_000_000));
    assert_eq!((&entry["ancestorcount"], &entry["descendantcount"]), (&json!(2), &json!(1)));
    assert_eq!(entry["ancestorsize"], parent.vsize() + child.vsize());
    assert_eq!(entry["fees"]["base"], json!(0.00003));
    assert_eq!(entry["fees"]["modified"], json!(0.00003));
    assert_eq!(entry["fees"]["ancestor"], json!(0.00004));
    assert_eq!(entry["fees"]["descendant"], json!(0.00003));
    assert_eq!((&entry["depends"], &entry["spentby"]), (&json!([parent_id]), &json!([])));
    let all = client.get("getrawmempool", json!([true]));
    assert_eq!(all[&child_id], entry);
    assert_eq!(all[&parent_id]["spentby"], json!([child_id]));
    assert_eq!(all[&parent_id]["fees"]["descendant"], json!(0.00004));
    let numbered = client.get("getrawmempool", json!([false, true]));
    assert_eq!(numbered["txids"].as_array().map(Vec::len), Some(2));
    assert!(numbered["mempool_sequence"].is_u64());
    let spent = parent.input[0].previous_output;
    let question = json!([[{ "txid": spent.txid.to_string(), "vout": spent.vout }]]);
    let spender = client.get("gettxspendingprevout", question);
    assert_eq!(spender[0]["spendingtxid"], parent_id);
}

fn outputs(world: &mut World) {
    let coin = world.coin();
    let ask = |outpoint: OutPoint, mempool: bool| {
        json!([outpoint.txid.to_string(), outpoint.vout, mempool])
    };
    let client = &mut world.client;
    let output = client.get("gettxout", ask(coin.outpoint, true));
    assert_eq!(output["coinbase"], true);
    assert!(output["confirmations"].as_u64().is_some_and(|count| count > 100));
    assert_eq!(output["value"].as_f64(), Some(coin.value.to_btc()));
    assert_eq!(output["scriptPubKey"]["type"], "witness_v0_keyhash");
    let (tx, next) = world.purse.pass(coin, Lock::Taproot, 1_000);
    world.send(&tx);
    let tip = world.tip().to_string();
    let client = &mut world.client;
    assert_eq!(client.get("gettxout", ask(coin.outpoint, true)), Value::Null);
    assert_eq!(client.get("gettxout", ask(coin.outpoint, false))["bestblock"], tip);
    assert_eq!(client.get("gettxout", ask(next.outpoint, false)), Value::Null);
    let output = client.get("gettxout", ask(next.outpoint, true));
    assert_eq!((&output["confirmations"], &output["coinbase"]), (&json!(0), &json!(false)));
    assert_eq!(output["scriptPubKey"]["type"], "witness_v1_taproot");
    world.mine(1);
    let client = &mut world.client;
    assert_eq!(client.get("gettxout", ask(coin.outpoint, false)), Value::Null);
    assert_eq!(client.get("gettxout", ask(next.outpoint, false))["confirmations"], 1);
}

fn transactions(world: &mut World) {
    let coin = world.coin();
    let to = [(Lock::Anchor, sat(240)), (Lock::Key, coin.value - sat(1_240))];
    let tx = world.purse.spend(&[coin], &to);
    world.send(&tx);
    let (txid, hex) = (tx.compute_txid().to_string(), serialize_hex(&tx));
    let client = &mut world.client;
    assert_eq!(client.get("getrawtransaction", json!([txid])), hex);
    assert_eq!(client.get("getrawtransaction", json!([txid, false])), hex);
    let told = client.get("getrawtransaction", json!([txid, true]));
    assert_eq!((&told["txid"], &told["hex"]), (&json!(txid), &json!(hex)));
    assert_eq!(told["vin"][0]["txid"], coin.outpoint.txid.to_string());
    assert_eq!(told["vin"][0]["txinwitness"].as_array().map(Vec::len), Some(2));
    assert_eq!(told["vout"][0]["scriptPubKey"]["type"], "anchor");
    assert!(told.get("blockhash").is_none());
    let decoded = client.get("decoderawtransaction", json!([hex]));
    assert_eq!(decoded["vout"], told["vout"]);
    let block = world.mine(1)[0].to_string();
    let client = &mut world.client;
    let told = client.get("getrawtransaction", json!([txid, 1, block]));
    assert_eq!((&told["blockhash"], &told["confirmations"]), (&json!(block), &json!(1)));
    assert_eq!(told["in_active_chain"], true);
    let shown = client.get("getblock", json!([block, 2]));
    assert_eq!(shown["tx"][1]["fee"], json!(0.00001));
    let shown = client.get("getblock", json!([block, 3]));
    let prevout = &shown["tx"][1]["vin"][0]["prevout"];
    assert_eq!(prevout["value"].as_f64(), Some(coin.value.to_btc()));
    assert_eq!(prevout["generated"], true);
    let (code, _) = client.refused("getrawtransaction", json!(["11".repeat(32), 0, block]));
    assert_eq!(code, -5);
}

fn replacement(world: &mut World) {
    let coin = world.coin();
    // No input signals: every transaction can be replaced.
    let mut first = world.purse.unsigned(&[coin], &[(Lock::Key, coin.value - sat(10_000))]);
    first.input[0].sequence = Sequence::MAX;
    world.purse.sign(&mut first, &[coin]);
    world.send(&first);
    let next = world.purse.coins(&first, &[Lock::Key])[0];
    let (child, _) = world.purse.pass(next, Lock::Key, 5_000);
    world.send(&child);
    let (same, _) = world.purse.pass(coin, Lock::Taproot, 15_000);
    world.refuse(&same, "insufficient fee");
    let (more, _) = world.purse.pass(coin, Lock::Taproot, 16_000);
    world.send(&more);
    assert!(world.waits(&more) && !world.waits(&first) && !world.waits(&child));
}

fn cluster(world: &mut World) {
    let mut coin = world.coin();
    let mut refused = None;
    for _ in 0..65 {
        let (tx, next) = world.purse.pass(coin, Lock::Key, 1_000);
        match world.client.ask("sendrawtransaction", json!([serialize_hex(&tx)])) {
            Ok(_) => coin = next,
            Err(refusal) => {
                refused = Some(refusal);
                break;
            }
        }
    }
    let (code, message) = refused.expect("some limit");
    assert_eq!(code, -26);
    // Since Bitcoin Core 31 it is the first, before that the second.
    let words = ["too-large-cluster", "too-long-mempool-chain"];
    assert!(words.iter().any(|word| message.starts_with(word)), "{message}");
}

fn locks(world: &mut World) {
    let height = world.height();
    // In the chain from the next block on; three blocks behind that, and from a height on.
    let coins = [world.locked(Lock::After(3)), world.locked(Lock::From(height + 4))];
    for coin in coins {
        let mut tx = world.purse.unsigned(&[coin], &[(Lock::Key, coin.value - sat(1_000))]);
        let word = if let Lock::From(height) = coin.lock {
            tx.lock_time = LockTime::from_consensus(height);
            "non-final"
        } else {
            tx.input[0].sequence = Sequence::from_height(3);
            "non-BIP68-final"
        };
        world.purse.sign(&mut tx, &[coin]);
        // Tips are at `height + 2`, and one later for the second coin.
        while world.test(&tx)["allowed"] == json!(false) {
            world.refuse(&tx, word);
            world.mine(1);
        }
        let open = if word == "non-final" { height + 4 } else { height + 3 };
        assert_eq!(world.height(), open, "{word}");
        world.send(&tx);
    }
    let coin = world.locked(Lock::After(2));
    let (tx, _) = world.purse.pass(coin, Lock::Key, 1_000);
    world.refuse(&tx, "script-verify-flag-failed");
}

fn conflicts(world: &mut World) {
    let coin = world.coin();
    let (ours, next) = world.purse.pass(coin, Lock::Key, 1_000);
    let (child, _) = world.purse.pass(next, Lock::Key, 1_000);
    let (theirs, _) = world.purse.pass(coin, Lock::Taproot, 500);
    world.send(&ours);
    world.send(&child);
    let tip = world.tip();
    let block = world.draft(tip, 1, vec![theirs]);
    assert_eq!(world.submit(&block), Value::Null);
    assert_eq!(world.tip(), block.block_hash());
    assert!(!world.waits(&ours) && !world.waits(&child));
    world.refuse(&ours, "missing-inputs");
}

fn reorg(world: &mut World) {
    let coin = world.coin();
    let (tx, next) = world.purse.pass(coin, Lock::Key, 1_000);
    world.send(&tx);
    let (before, height) = (world.tip(), world.height());
    let first = world.mine(1)[0];
    assert!(!world.waits(&tx));
    let (child, _) = world.purse.pass(next, Lock::Key, 1_000);
    world.send(&child);
    world.client.get("invalidateblock", json!([first.to_string()]));
    assert_eq!((world.tip(), world.height()), (before, height));
    assert!(world.waits(&tx) && world.waits(&child), "both wait again");
    assert_eq!(world.client.get("getblockheader", json!([first.to_string()]))["confirmations"], -1);
    world.client.get("reconsiderblock", json!([first.to_string()]));
    assert_eq!(world.tip(), first);
    assert!(!world.waits(&tx) && world.waits(&child));
    // A heavier branch, in which it is not.
    let (one, two) = {
        let one = world.draft(before, 2, Vec::new());
        assert_eq!(world.submit(&one), "inconclusive");
        assert_eq!(world.tip(), first, "the first one seen stays");
        let two = world.draft(one.block_hash(), 3, Vec::new());
        (one, two)
    };
    assert_eq!(world.submit(&two), Value::Null);
    assert_eq!(world.tip(), two.block_hash());
    assert!(world.waits(&tx) && world.waits(&child));
    let gone = world.client.get("getblockheader", json!([first.to_string()]));
    assert_eq!(gone["confirmations"], -1);
    let hash = world.client.get("getblockhash", json!([height + 1]));
    assert_eq!(hash, one.block_hash().to_string());
}

fn handed_in(world: &mut World) {
    let tip = world.tip();
    let good = world.draft(tip, 4, Vec::new());
    let changed = |change: &dyn Fn(&mut Block)| {
        let mut block = good.clone();
        change(&mut block);
        grind(&mut block);
        block
    };
    let greedy = changed(&|block| {
        block.txdata[0].output[0].value = sat(50 * 100_000_000 + 1);
        coinbase_commitment(block);
    });
    assert_eq!(world.submit(&greedy), "bad-cb-amount");
    let old = changed(&|block| block.header.time = 1_296_688_602);
    assert_eq!(world.submit(&old), "time-too-old");
    let mut lazy = good.clone();
    while lazy.header.validate_pow(lazy.header.target()).is_ok() {
        lazy.header.nonce += 1;
    }
    assert_eq!(world.submit(&lazy), "high-hash");
    let mut other = good.clone();
    other.txdata[0].output[0].value = Amount::ZERO + sat(1);
    assert_eq!(world.submit(&other), "bad-txnmrklroot");
    assert_eq!(world.submit(&good), Value::Null);
    assert_eq!(world.submit(&good), "duplicate");
    assert_eq!(world.tip(), good.block_hash());
}

fn packages(world: &mut World) {
    let coin = world.coin();
    let third = |world: &World, coins: &[Coin], to: &[(Lock, Amount)]| {
        let mut tx = world.purse.unsigned(coins, to);
        tx.version = Version(3);
        world.purse.sign(&mut tx, coins);
        tx
    };
    let to = [(Lock::Key, coin.value), (Lock::Anchor, Amount::ZERO)];
    let parent = third(world, &[coin], &to);
    world.refuse(&parent, "min relay fee not met");
    let coins = world.purse.coins(&parent, &[Lock::Key, Lock::Anchor]);
    let child = third(world, &coins, &[(Lock::Key, coin.value - sat(5_000))]);
    let hexes = json!([[serialize_hex(&parent), serialize_hex(&child)]]);
    let result = world.client.get("submitpackage", hexes);
    assert_eq!(result["package_msg"], "success", "{result}");
    assert_eq!(result["replaced-transactions"], json!([]));
    let (first, second) = (parent.compute_wtxid().to_string(), child.compute_wtxid().to_string());
    let part = &result["tx-results"][&first];
    assert_eq!(part["txid"], parent.compute_txid().to_string());
    assert_eq!(part["vsize"], parent.vsize());
    assert_eq!(part["fees"]["base"], json!(0.0));
    assert!(part["fees"]["effective-feerate"].as_f64().is_some_and(|rate| rate > 0.0));
    let both = part["fees"]["effective-includes"].as_array().expect("ids");
    assert!(both.contains(&json!(first)) && both.contains(&json!(second)));
    assert!(world.waits(&parent) && world.waits(&child));
    let grandchild = {
        let coins = world.purse.coins(&child, &[Lock::Key]);
        third(world, &coins, &[(Lock::Key, coin.value - sat(10_000))])
    };
    world.refuse(&grandchild, "TRUC-violation");
    // A child that pays more takes the first one's place.
    let richer = third(world, &coins, &[(Lock::Key, coin.value - sat(9_000))]);
    let hexes = json!([[serialize_hex(&parent), serialize_hex(&richer)]]);
    let result = world.client.get("submitpackage", hexes);
    assert_eq!(result["package_msg"], "success", "{result}");
    assert_eq!(result["replaced-transactions"], json!([child.compute_txid().to_string()]));
    assert!(world.waits(&richer) && !world.waits(&child));
    let coin = world.coin();
    let (alone, _) = world.purse.pass(coin, Lock::Key, 1_000);
    let hexes = json!([[serialize_hex(&alone), serialize_hex(&richer)]]);
    let (code, _) = world.client.refused("submitpackage", hexes);
    assert_eq!(code, -25);
}

fn fees(world: &mut World) {
    let client = &mut world.client;
    for params in [json!([1]), json!([6, "ECONOMICAL"]), json!([1_008, "conservative"])] {
        let told = client.get("estimatesmartfee", params);
        assert!(told["blocks"].is_u64());
        assert!(told["feerate"].is_f64() || told["errors"].is_array(), "{told}");
    }
    let info = client.get("getnetworkinfo", json!([]));
    assert!(info["version"].as_u64().is_some_and(|version| version >= 300_000));
    assert!(text(&info["subversion"]).starts_with("/Satoshi:"));
    assert_eq!(info["networkactive"], true);
    assert!(info["relayfee"].is_f64() && info["incrementalfee"].is_f64());
    assert!(info["connections"].is_u64() && info["warnings"].is_array());
}
