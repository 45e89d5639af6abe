//! Methods about transactions.

use bitcoin::{
    Amount, BlockHash, OutPoint, Transaction, Weight, Wtxid, consensus::serialize, hex::DisplayHex,
};

use super::{
    args::Args,
    fault::{Code, RpcFault, is_missing_inputs},
    json::{Json, Map},
    show::{self, Detail},
};
use crate::{
    Devnet,
    ledger::is_unspendable,
    mempool::{Entry, PackageFault, Part, Plan, Rate, Refusal},
};

type Answer = Result<Json, RpcFault>;

/// What a client may pay without saying so, for 1,000 virtual bytes.
const FEE_MAX: Amount = Amount::from_sat(10_000_000);
const FEE_EXCEEDED: &str = "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)";
const BURN_EXCEEDED: &str = "Unspendable output exceeds maximum configured by user (maxburnamount)";

/// The highest rate that a client wants to pay; none, if it does not mind.
fn rate_max(args: &Args<'_>, at: usize) -> Result<Option<Rate>, RpcFault> {
    let rate = args.coins(at, FEE_MAX)?;
    if rate >= Amount::ONE_BTC {
        let message = "Fee rates larger than or equal to 1BTC/kvB are not accepted";
        return Err(RpcFault::parameter(message));
    }
    Ok((rate > Amount::ZERO).then(|| Rate::sat_per_kvb(rate.to_sat())))
}

fn check_burn(tx: &Transaction, max: Amount) -> Result<(), RpcFault> {
    if tx.output.iter().any(|output| is_unspendable(output) && output.value > max) {
        return Err(RpcFault::new(Code::Verify, BURN_EXCEEDED));
    }
    Ok(())
}

pub(super) fn send(devnet: &mut Devnet, args: &Args<'_>) -> Answer {
    let tx = args.transaction(0)?;
    check_burn(&tx, args.coins(2, Amount::ZERO)?)?;
    let (rate, txid) = (rate_max(args, 1)?, tx.compute_txid());
    let confirmed = (0..tx.output.len() as u32)
        .any(|vout| devnet.ledger().coins().contains_key(&OutPoint { txid, vout }));
    if confirmed {
        return Err(RpcFault::from_refusal(&Refusal::Confirmed));
    }
    // One that is here is told to others again, of which there are none.
    if devnet.mempool().entry(&txid).is_some() {
        return Ok(Json::text(txid));
    }
    let vbytes = tx.vsize() as u64;
    let plan = devnet.judge(&tx).map_err(|refusal| RpcFault::from_refusal(&refusal))?;
    if rate.is_some_and(|rate| plan.fee > rate.fee(vbytes)) {
        return Err(RpcFault::new(Code::Verify, FEE_EXCEEDED));
    }
    devnet.submit(tx).map_err(|refusal| RpcFault::from_refusal(&refusal))?;
    Ok(Json::text(txid))
}

pub(super) fn test(devnet: &mut Devnet, args: &Args<'_>) -> Answer {
    let (txs, rate) = (args.transactions(0)?, rate_max(args, 1)?);
    let mut dear = false;
    let parts = match devnet.judge_package(&txs) {
        Ok(parts) => parts,
        Err(fault) => return Ok(Json::list(txs.iter().map(|tx| no_package(tx, fault)))),
    };
    let list = parts.iter().map(|part| {
        let map = Map::new().text("txid", part.txid).text("wtxid", part.wtxid);
        match &part.result {
            _ if dear => map,
            None => map,
            Some(Ok(plan)) if rate.is_some_and(|rate| plan.fee > rate.fee(plan.vbytes)) => {
                dear = true;
                map.with("allowed", false).with("reject-reason", "max-fee-exceeded")
            }
            Some(Ok(plan)) => {
                let map = map.with("allowed", true).int("vsize", plan.vbytes);
                map.with("fees", fees(plan, None))
            }
            Some(Err(refusal)) if is_missing_inputs(refusal) => {
                map.with("allowed", false).with("reject-reason", "missing-inputs")
            }
            Some(Err(refusal)) => map
                .with("allowed", false)
                .with("reject-reason", refusal.word())
                .text("reject-details", refusal),
        }
    });
    Ok(Json::list(list.collect::<Vec<_>>()))
}

fn no_package(tx: &Transaction, fault: PackageFault) -> Map {
    let map = Map::new().text("txid", tx.compute_txid()).text("wtxid", tx.compute_wtxid());
    map.with("package-error", fault.word())
}

fn fees(plan: &Plan, paid: Option<&(Amount, u64, Vec<Wtxid>)>) -> Map {
    let alone = (plan.fee, plan.vbytes, vec![plan.wtxid]);
    let (fee, vbytes, wtxids) = paid.unwrap_or(&alone);
    let rate = Amount::from_sat(Rate::of(*fee, *vbytes).to_sat_per_kvb());
    Map::new()
        .with("base", plan.fee)
        .with("effective-feerate", rate)
        .with("effective-includes", Json::list(wtxids.iter().map(Json::text)))
}

pub(super) fn submit_package(devnet: &mut Devnet, args: &Args<'_>) -> Answer {
    let txs = args.transactions(0)?;
    rate_max(args, 1)?;
    let burn = args.coins(2, Amount::ZERO)?;
    txs.iter().try_for_each(|tx| check_burn(tx, burn))?;
    let parts = match devnet.submit_package(&txs) {
        Ok(parts) => parts,
        Err(PackageFault::Shape) => {
            let message = "package topology disallowed. \
                not child-with-parents or parents depend on each other.";
            return Err(RpcFault::new(Code::Verify, message));
        }
        Err(fault) => {
            let results = txs.iter().map(|tx| {
                let map = Map::new().text("txid", tx.compute_txid());
                let map = map.with("error", "package-not-validated");
                (tx.compute_wtxid().to_string(), map.into())
            });
            return Ok(package(fault.word(), results.collect(), &[]));
        }
    };
    let bad = |part: &Part| match &part.result {
        Some(Err(refusal)) => *refusal != Refusal::Known,
        Some(Ok(_)) | None => false,
    };
    let word = if parts.iter().any(bad) { "transaction failed" } else { "success" };
    let results = parts.iter().map(|part| (part.wtxid.to_string(), self::part(devnet, part)));
    Ok(package(word, results.collect(), &parts))
}

fn package(word: &str, results: Vec<(String, Json)>, parts: &[Part]) -> Json {
    let plans = parts.iter().filter_map(|part| part.result.as_ref()?.as_ref().ok());
    let replaced = plans.flat_map(|plan| &plan.replaces).map(Json::text);
    Map::new()
        .with("package_msg", word)
        .with("tx-results", Json::Map(results))
        .with("replaced-transactions", Json::list(replaced))
        .into()
}

fn part(devnet: &Devnet, part: &Part) -> Json {
    let map = Map::new().text("txid", part.txid);
    let map = match &part.result {
        Some(Ok(plan)) => {
            map.int("vsize", plan.vbytes).with("fees", fees(plan, part.paid.as_ref()))
        }
        Some(Err(Refusal::Known)) => match devnet.mempool().entry(&part.txid) {
            Some(entry) => {
                map.int("vsize", entry.vbytes).with("fees", Map::new().with("base", entry.fee))
            }
            None => map,
        },
        Some(Err(refusal)) => map.text("error", refusal),
        None => map.with("error", "package-not-validated"),
    };
    map.into()
}

pub(super) fn raw(devnet: &mut Devnet, args: &Args<'_>) -> Answer {
    let (txid, verbosity) = (args.txid(0)?, args.verbosity(1, 0)?);
    let wanted: Option<BlockHash> = match args.text(2) {
        Some(_) => Some(args.block_hash(2)?),
        None => None,
    };
    let found = match &wanted {
        Some(hash) => {
            let node = devnet.ledger().node(hash);
            let node = node.ok_or_else(|| RpcFault::unknown("Block hash not found"))?;
            let tx = node.block.txdata.iter().find(|tx| tx.compute_txid() == txid);
            tx.map(|tx| (tx, Some(*hash)))
        }
        None => devnet.transaction(&txid).map(|(tx, block)| (tx, block.map(|block| block.hash))),
    };
    let Some((tx, block)) = found else {
        let place = if wanted.is_some() { "found in the provided block" } else { "or blockchain" };
        let message = match wanted {
            Some(_) => format!("No such transaction {place}"),
            None => format!("No such mempool {place} transaction"),
        };
        return Err(RpcFault::unknown(message + ". Use gettransaction for wallet transactions."));
    };
    let hex = format!("{:x}", serialize(tx).as_hex());
    if verbosity <= 0 {
        return Ok(Json::Text(hex));
    }
    let detail = if verbosity == 1 { Detail::Alone } else { Detail::Spent };
    let mut map = Map::new();
    let active = block.filter(|hash| devnet.ledger().is_active(hash));
    if wanted.is_some() {
        map = map.with("in_active_chain", active.is_some());
    }
    let shown: Json = show::transaction(devnet, tx, detail).with("hex", hex).into();
    let Json::Map(fields) = shown else { return Ok(shown) };
    for (name, value) in fields {
        map = map.with(&name, value);
    }
    let Some(hash) = block else { return Ok(map.into()) };
    map = map.text("blockhash", hash);
    let Some(node) = devnet.ledger().node(&hash) else { return Ok(map.into()) };
    let height = devnet.ledger().height();
    let confirmations = active.map_or(0, |_| height - node.height + 1);
    map = map.int("confirmations", confirmations);
    let time = node.block.header.time;
    Ok(map.int("time", time).int("blocktime", time).into())
}

pub(super) fn decode(devnet: &mut Devnet, args: &Args<'_>) -> Answer {
    let tx = args.transaction(0)?;
    Ok(show::transaction(devnet, &tx, Detail::Alone).into())
}

pub(super) fn txout(devnet: &mut Devnet, args: &Args<'_>) -> Answer {
    let txid = args.txid(0)?;
    let vout = args.int(1)?.and_then(|vout| u32::try_from(vout).ok());
    let vout = vout.ok_or_else(|| RpcFault::new(Code::Type, "JSON integer out of range"))?;
    let outpoint = OutPoint { txid, vout };
    let ledger = devnet.ledger();
    let coin = if args.bool(2, true) {
        let free = devnet.mempool().spender(&outpoint).is_none();
        devnet.mempool().coin(ledger, &outpoint).filter(|_| free)
    } else {
        ledger.coins().get(&outpoint).cloned()
    };
    let Some(coin) = coin else { return Ok(Json::Null) };
    let map = Map::new()
        .text("bestblock", ledger.tip().hash)
        .int("confirmations", (ledger.height() + 1).saturating_sub(coin.height))
        .with("value", coin.output.value)
        .with("scriptPubKey", show::script(&coin.output.script_pubkey))
        .with("coinbase", coin.coinbase);
    Ok(map.into())
}

pub(super) fn spenders(devnet: &mut Devnet, args: &Args<'_>) -> Answer {
    let none = Vec::new();
    let outputs = args.value(0).and_then(serde_json::Value::as_array).unwrap_or(&none);
    if outputs.is_empty() {
        return Err(RpcFault::parameter("Invalid parameter, outputs are missing"));
    }
    let list = outputs.iter().map(|output| {
        let txid = output["txid"].as_str().and_then(|txid| txid.parse().ok());
        let vout = output["vout"].as_u64().and_then(|vout| u32::try_from(vout).ok());
        let (Some(txid), Some(vout)) = (txid, vout) else {
            return Err(RpcFault::parameter("Invalid parameter, outputs are txid and vout"));
        };
        let map = Map::new().text("txid", txid).int("vout", vout);
        Ok(match devnet.mempool().spender(&OutPoint { txid, vout }) {
            Some(entry) => map.text("spendingtxid", entry.txid),
            None => map,
        })
    });
    Ok(Json::list(list.collect::<Result<Vec<_>, _>>()?))
}

pub(super) fn info(devnet: &mut Devnet, _: &Args<'_>) -> Answer {
    let pool = devnet.mempool();
    let policy = pool.policy();
    let bytes: u64 = pool.entries().map(|entry| entry.vbytes).sum();
    let usage: usize = pool.entries().map(|entry| entry.tx.total_size() + 1_000).sum();
    let fee: Amount = pool.entries().map(|entry| entry.fee).sum();
    let map = Map::new()
        .with("loaded", true)
        .int("size", pool.len())
        .int("bytes", bytes)
        .int("usage", usage)
        .with("total_fee", fee)
        .int("maxmempool", 300_000_000)
        .with("mempoolminfee", policy.relay.fee(1_000))
        .with("minrelaytxfee", policy.relay.fee(1_000))
        .with("incrementalrelayfee", policy.increment.fee(1_000))
        .int("unbroadcastcount", 0)
        .with("fullrbf", true)
        .with("permitbaremultisig", true)
        .int("maxdatacarriersize", policy.data_bytes_max)
        .int("limitclustercount", crate::mempool::CLUSTER_MAX)
        .int("limitclustersize", crate::mempool::CLUSTER_BYTES_MAX)
        .with("optimal", true);
    Ok(map.into())
}

pub(super) fn all(devnet: &mut Devnet, args: &Args<'_>) -> Answer {
    let (verbose, numbered) = (args.bool(0, false), args.bool(1, false));
    let pool = devnet.mempool();
    if verbose && numbered {
        let message = "Verbose results cannot contain mempool sequence values.";
        return Err(RpcFault::parameter(message));
    }
    if verbose {
        let entries =
            pool.entries().map(|entry| (entry.txid.to_string(), show_entry(devnet, entry)));
        return Ok(Json::Map(entries.collect()));
    }
    let txids = Json::list(pool.entries().map(|entry| Json::text(entry.txid)));
    if numbered {
        let map = Map::new().with("txids", txids);
        return Ok(map.int("mempool_sequence", pool.sequence()).into());
    }
    Ok(txids)
}

pub(super) fn entry(devnet: &mut Devnet, args: &Args<'_>) -> Answer {
    let entry = devnet.mempool().entry(&args.txid(0)?);
    let entry = entry.ok_or_else(|| RpcFault::unknown("Transaction not in mempool"))?;
    Ok(show_entry(devnet, entry))
}

fn show_entry(devnet: &Devnet, entry: &Entry) -> Json {
    let pool = devnet.mempool();
    let sum = |txids: std::collections::BTreeSet<bitcoin::Txid>| {
        let entries = txids.iter().filter_map(|txid| pool.entry(txid));
        let none = (0_u64, 0_u64, Amount::ZERO);
        entries.fold(none, |(n, vbytes, fee), e| (n + 1, vbytes + e.vbytes, fee + e.fee))
    };
    let above = sum(pool.ancestors(&entry.txid));
    let below = sum(pool.descendants(&entry.txid));
    let (chunk_weight, chunk_fee) = pool.chunk(&entry.txid);
    let fees = Map::new()
        .with("base", entry.fee)
        .with("modified", entry.fee)
        .with("ancestor", above.2)
        .with("descendant", below.2)
        .with("chunk", chunk_fee);
    Map::new()
        .int("vsize", entry.vbytes)
        .int("weight", entry.tx.weight().to_wu())
        .int("time", entry.time)
        .int("height", entry.height)
        .int("descendantcount", below.0)
        .int("descendantsize", below.1)
        .int("ancestorcount", above.0)
        .int("ancestorsize", above.1)
        .text("wtxid", entry.wtxid)
        .int("chunkweight", chunk_weight * Weight::WITNESS_SCALE_FACTOR)
        .with("fees", fees)
        .with("depends", Json::list(entry.parents.iter().map(Json::text)))
        .with("spentby", Json::list(entry.children.iter().map(Json::text)))
        // Who cannot be replaced? Clients before full RBF ask.
        .with("bip125-replaceable", true)
        .with("unbroadcast", false)
        .into()
}
