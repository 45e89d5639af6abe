//! Cases about transactions and the mempool.

use bitcoin::{
    Amount, OutPoint, ScriptBuf, Sequence, Transaction, absolute::LockTime,
    consensus::encode::serialize_hex, script::PushBytesBuf, transaction::Version,
};
use serde_json::{Value, json};

use super::World;
use crate::purse::{Coin, Lock, Purse, sat};

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

pub fn kinds(world: &mut World) {
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

/// What is changed of a usual transaction.
type Change<'a> = &'a dyn Fn(&mut Transaction);

pub fn refusals(world: &mut World) {
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
    let rows: [(&str, Change<'_>); 14] = [
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

pub fn clients_limits(world: &mut World) {
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

pub fn twice(world: &mut World) {
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

pub fn mempool(world: &mut World) {
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

pub fn outputs(world: &mut World) {
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

pub fn transactions(world: &mut World) {
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

pub fn replacement(world: &mut World) {
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

pub fn cluster(world: &mut World) {
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

pub fn packages(world: &mut World) {
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
