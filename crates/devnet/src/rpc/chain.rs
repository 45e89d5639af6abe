//! Methods about blocks.

use bitcoin::{BlockHash, consensus::serialize, hex::DisplayHex};

use super::{
    args::Args,
    fault::RpcFault,
    json::{Json, Map},
    show::{self, Detail},
};
use crate::{Devnet, kernel::Verdict, ledger::Node, world::wall_clock};

type Answer = Result<Json, RpcFault>;

/// Seconds after which a newest block is old.
const TIP_SECONDS_MAX: u64 = 24 * 60 * 60;

fn node<'a>(devnet: &'a Devnet, hash: &BlockHash) -> Result<&'a Node, RpcFault> {
    devnet.ledger().node(hash).ok_or_else(|| RpcFault::unknown("Block not found"))
}

pub(super) fn info(devnet: &mut Devnet, _: &Args<'_>) -> Answer {
    let tip = devnet.tip();
    let node = node(devnet, &tip.hash)?;
    let header = &node.block.header;
    let old = wall_clock().saturating_sub(u64::from(header.time)) > TIP_SECONDS_MAX;
    let size: usize = devnet.ledger().nodes().map(|(_, node)| node.block.total_size() + 8).sum();
    let map = Map::new()
        .with("chain", "regtest")
        .int("blocks", tip.height)
        .int("headers", tip.height)
        .text("bestblockhash", tip.hash)
        .text("bits", format!("{:08x}", header.bits.to_consensus()))
        .text("target", header.target().to_be_bytes().as_hex())
        .with("difficulty", Json::Float(show::difficulty(header.bits.to_consensus())))
        .int("time", header.time)
        .int("mediantime", node.median)
        .with("verificationprogress", Json::Int(1))
        .with("initialblockdownload", old)
        .text("chainwork", show::work(node.work))
        .int("size_on_disk", size)
        .with("pruned", false)
        .with("warnings", Json::List(Vec::new()));
    Ok(map.into())
}

pub(super) fn count(devnet: &mut Devnet, _: &Args<'_>) -> Answer {
    Ok(Json::int(devnet.tip().height))
}

pub(super) fn best_hash(devnet: &mut Devnet, _: &Args<'_>) -> Answer {
    Ok(Json::text(devnet.tip().hash))
}

pub(super) fn hash(devnet: &mut Devnet, args: &Args<'_>) -> Answer {
    let height = args.int(0)?.and_then(|height| u32::try_from(height).ok());
    let hash = height.and_then(|height| devnet.ledger().at(height));
    hash.map(Json::text).ok_or_else(|| RpcFault::parameter("Block height out of range"))
}

pub(super) fn header(devnet: &mut Devnet, args: &Args<'_>) -> Answer {
    let node = node(devnet, &args.block_hash(0)?)?;
    if args.bool(1, true) {
        return Ok(show::header(devnet, node).into());
    }
    Ok(Json::text(serialize(&node.block.header).as_hex()))
}

pub(super) fn block(devnet: &mut Devnet, args: &Args<'_>) -> Answer {
    let (hash, verbosity) = (args.block_hash(0)?, args.verbosity(1, 1)?);
    let node = node(devnet, &hash)?;
    let detail = match verbosity {
        ..=0 => return Ok(Json::text(serialize(&*node.block).as_hex())),
        1 => None,
        2 => Some(Detail::Fee),
        3.. => Some(Detail::Spent),
    };
    Ok(show::block(devnet, node, detail))
}

/// bitcoind knows five standings of a chain's end; ours are three.
pub(super) fn tips(devnet: &mut Devnet, _: &Args<'_>) -> Answer {
    let ledger = devnet.ledger();
    let parents: std::collections::BTreeSet<BlockHash> =
        ledger.nodes().map(|(_, node)| node.block.header.prev_blockhash).collect();
    let tip = ledger.tip().hash;
    let ends = ledger.nodes().filter(|(hash, _)| !parents.contains(*hash) || **hash == tip);
    let mut ends: Vec<(&BlockHash, &Node)> = ends.collect();
    ends.sort_by_key(|(hash, node)| (std::cmp::Reverse(node.height), **hash != tip));
    let tips = ends.into_iter().map(|(hash, node)| {
        let mut fork = *hash;
        let mut branch = 0;
        while let Some(node) = ledger.node(&fork).filter(|_| !ledger.is_active(&fork)) {
            fork = node.block.header.prev_blockhash;
            branch += 1;
        }
        let status = match (*hash == tip, ledger.is_refused(hash)) {
            (true, _) => "active",
            (false, true) => "invalid",
            (false, false) => "valid-headers",
        };
        let map = Map::new().int("height", node.height).text("hash", hash);
        map.int("branchlen", branch).with("status", status)
    });
    Ok(Json::list(tips))
}

pub(super) fn generate(devnet: &mut Devnet, args: &Args<'_>) -> Answer {
    const BLOCKS_MAX: u32 = 10_000;
    let script = args.script(1)?;
    let count = args.int(0)?.unwrap_or(0).clamp(0, i64::from(u32::MAX)) as u32;
    if count > BLOCKS_MAX {
        let message = format!("{count} blocks at once, at most {BLOCKS_MAX}");
        return Err(RpcFault::parameter(message));
    }
    let mined = devnet.mine_many(count, Some(&script))?;
    Ok(Json::list(mined.iter().map(|mined| Json::text(mined.block.hash))))
}

pub(super) fn submit(devnet: &mut Devnet, args: &Args<'_>) -> Answer {
    Ok(match devnet.submit_block(args.block(0)?)? {
        Verdict::Connected => Json::Null,
        Verdict::Stored | Verdict::Cut(_) => Json::text("inconclusive"),
        Verdict::Known => Json::text("duplicate"),
        Verdict::Refused(reason) => Json::Text(reason.word),
    })
}

pub(super) fn invalidate(devnet: &mut Devnet, args: &Args<'_>) -> Answer {
    let hash = args.block_hash(0)?;
    node(devnet, &hash)?;
    devnet.invalidate(&hash)?;
    Ok(Json::Null)
}

pub(super) fn reconsider(devnet: &mut Devnet, args: &Args<'_>) -> Answer {
    let hash = args.block_hash(0)?;
    node(devnet, &hash)?;
    devnet.reconsider(&hash)?;
    Ok(Json::Null)
}

pub(super) fn network(devnet: &mut Devnet, _: &Args<'_>) -> Answer {
    let policy = devnet.mempool().policy();
    let networks = ["ipv4", "ipv6", "onion", "i2p", "cjdns"].map(|name| {
        let reachable = name.starts_with("ip");
        Map::new()
            .with("name", name)
            .with("limited", !reachable)
            .with("reachable", reachable)
            .with("proxy", "")
            .with("proxy_randomize_credentials", false)
    });
    let map = Map::new()
        // The version whose kernel and policy these are.
        .int("version", 310_000)
        .with("subversion", "/Satoshi:31.0.0(leyden-devnet)/")
        .int("protocolversion", 70_016)
        .with("localservices", "0000000000000009")
        .with("localservicesnames", Json::list(["NETWORK", "WITNESS"]))
        .with("localrelay", true)
        .int("timeoffset", 0)
        .with("networkactive", true)
        .int("connections", 0)
        .int("connections_in", 0)
        .int("connections_out", 0)
        .with("networks", Json::list(networks))
        .with("relayfee", policy.relay.fee(1_000))
        .with("incrementalfee", policy.increment.fee(1_000))
        .with("localaddresses", Json::List(Vec::new()))
        .with("warnings", Json::List(Vec::new()));
    Ok(map.into())
}

pub(super) fn peers(_: &mut Devnet, _: &Args<'_>) -> Answer {
    Ok(Json::List(Vec::new()))
}

pub(super) fn connections(_: &mut Devnet, _: &Args<'_>) -> Answer {
    Ok(Json::Int(0))
}

pub(super) fn indexes(devnet: &mut Devnet, _: &Args<'_>) -> Answer {
    let index = Map::new().with("synced", true).int("best_block_height", devnet.tip().height);
    Ok(Map::new().with("txindex", index).into())
}

pub(super) fn estimate(devnet: &mut Devnet, args: &Args<'_>) -> Answer {
    const TARGETS: std::ops::RangeInclusive<i64> = 1..=1_008;
    const MODES: [&str; 3] = ["unset", "economical", "conservative"];
    let target = args.int(0)?.unwrap_or(0);
    if !TARGETS.contains(&target) {
        let message = "Invalid conf_target, must be between 1 and 1008";
        return Err(RpcFault::parameter(message));
    }
    let mode = args.text(1).unwrap_or("economical").to_lowercase();
    if !MODES.contains(&&*mode) {
        let message = "Invalid estimate_mode parameter, must be one of: \
            \"unset\", \"economical\", \"conservative\"";
        return Err(RpcFault::parameter(message));
    }
    Ok(match devnet.fee_estimate() {
        Some(rate) => {
            let map = Map::new().with("feerate", rate.fee(1_000));
            map.int("blocks", target.max(2)).into()
        }
        None => {
            let errors = Json::list(["Insufficient data or no feerate found"]);
            Map::new().with("errors", errors).int("blocks", 0).into()
        }
    })
}
