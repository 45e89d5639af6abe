//! Cases about blocks and the chain.

use bitcoin::{
    Amount, Block, BlockHash, Sequence,
    absolute::LockTime,
    block::Header,
    consensus::encode::{deserialize_hex, serialize_hex},
};
use devnet::ledger::{coinbase_commitment, grind};
use serde_json::{Value, json};

use super::{World, text};
use crate::{
    client::Client,
    purse::{Lock, sat},
};

pub fn blocks(world: &mut World) {
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

pub fn errors(world: &mut World) {
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

pub fn envelopes(world: &mut World) {
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

pub fn locks(world: &mut World) {
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

pub fn conflicts(world: &mut World) {
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

pub fn reorg(world: &mut World) {
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

pub fn handed_in(world: &mut World) {
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

pub fn fees(world: &mut World) {
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
