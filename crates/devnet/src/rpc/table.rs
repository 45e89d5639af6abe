//! All methods. A new one is a row.

use serde_json::Value;

use super::{
    args::{Args, Kind, Param, may, must},
    chain,
    fault::{Code, RpcFault},
    json::Json,
    pool,
};
use crate::Devnet;

type Run = fn(&mut Devnet, &Args<'_>) -> Result<Json, RpcFault>;

/// A method: its name, what it takes, what it does.
struct Row(&'static str, &'static [Param], Run);

const NONE: &[Param] = &[];
const HASH: &[Param] = &[must("blockhash", Kind::Text)];
const SEND: &[Param] =
    &[must("hexstring", Kind::Text), may("maxfeerate", Kind::Any), may("maxburnamount", Kind::Any)];
const TEST: &[Param] = &[must("rawtxs", Kind::List), may("maxfeerate", Kind::Any)];
const PACKAGE: &[Param] =
    &[must("package", Kind::List), may("maxfeerate", Kind::Any), may("maxburnamount", Kind::Any)];
const RAW: &[Param] =
    &[must("txid", Kind::Text), may("verbosity|verbose", Kind::Any), may("blockhash", Kind::Text)];
const TXOUT: &[Param] =
    &[must("txid", Kind::Text), must("n", Kind::Number), may("include_mempool", Kind::Bool)];
const GENERATE: &[Param] =
    &[must("nblocks", Kind::Number), must("address", Kind::Text), may("maxtries", Kind::Number)];
const POOL: &[Param] = &[may("verbose", Kind::Bool), may("mempool_sequence", Kind::Bool)];

const ROWS: &[Row] = &[
    Row(
        "decoderawtransaction",
        &[must("hexstring", Kind::Text), may("iswitness", Kind::Bool)],
        pool::decode,
    ),
    Row(
        "estimatesmartfee",
        &[must("conf_target", Kind::Number), may("estimate_mode", Kind::Text)],
        chain::estimate,
    ),
    Row("generatetoaddress", GENERATE, chain::generate),
    Row("getbestblockhash", NONE, chain::best_hash),
    Row(
        "getblock",
        &[must("blockhash", Kind::Text), may("verbosity|verbose", Kind::Any)],
        chain::block,
    ),
    Row("getblockchaininfo", NONE, chain::info),
    Row("getblockcount", NONE, chain::count),
    Row("getblockhash", &[must("height", Kind::Number)], chain::hash),
    Row(
        "getblockheader",
        &[must("blockhash", Kind::Text), may("verbose", Kind::Bool)],
        chain::header,
    ),
    Row("getchaintips", NONE, chain::tips),
    Row("getconnectioncount", NONE, chain::connections),
    Row("getindexinfo", &[may("index_name", Kind::Text)], chain::indexes),
    Row("getmempoolentry", &[must("txid", Kind::Text)], pool::entry),
    Row("getmempoolinfo", NONE, pool::info),
    Row("getnetworkinfo", NONE, chain::network),
    Row("getpeerinfo", NONE, chain::peers),
    Row("getrawmempool", POOL, pool::all),
    Row("getrawtransaction", RAW, pool::raw),
    Row("gettxout", TXOUT, pool::txout),
    Row(
        "gettxspendingprevout",
        &[must("outputs", Kind::List), may("options", Kind::Any)],
        pool::spenders,
    ),
    Row("invalidateblock", HASH, chain::invalidate),
    Row("reconsiderblock", HASH, chain::reconsider),
    Row("sendrawtransaction", SEND, pool::send),
    Row("submitblock", &[must("hexdata", Kind::Text), may("dummy", Kind::Any)], chain::submit),
    Row("submitpackage", PACKAGE, pool::submit_package),
    Row("testmempoolaccept", TEST, pool::test),
];

/// All names.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    ROWS.iter().map(|row| row.0)
}

/// Does what a method does.
pub(super) fn call(
    devnet: &mut Devnet,
    method: &str,
    params: Option<&Value>,
) -> Result<Json, RpcFault> {
    let row = ROWS.iter().find(|row| row.0 == method);
    let Some(Row(name, takes, run)) = row else {
        return Err(RpcFault::new(Code::MethodNotFound, "Method not found"));
    };
    run(devnet, &Args::new(name, takes, params)?)
}
