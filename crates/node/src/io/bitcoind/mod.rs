//! A bitcoind as the source of blocks: questions in, answers out, in a thread of its own.

mod rpc;

use std::{
    collections::BTreeMap,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

use bitcoin::{
    Block, BlockHash, FeeRate, Transaction,
    block::Header,
    consensus::encode::{deserialize_hex, serialize_hex},
};
use bus::Waker;
use chain::{Height, Package, PublishAnswer, Rates, Target};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::services::treasury::{Answer, Ask, AskId, From, NetworkName, SourceFault, Tip};

use rpc::nonsense;
pub use rpc::{ANSWER_BYTES_MAX, ANSWER_MAX, DoorKey, Place, Rpc};

/// Headers that are asked for at once.
const HEADERS_AT_ONCE: u32 = 1_000;
/// bitcoind knows the transaction as one of a block.
const IN_CHAIN_ALREADY: i32 = -27;
/// bitcoind does not take the transaction.
const NOT_TAKEN: [i32; 2] = [-25, -26];

/// What the source has to say to a question.
pub type Told = (AskId, Result<Answer, SourceFault>);

/// A thread that asks a bitcoind.
pub struct Bitcoind {
    asks: Sender<(AskId, Ask)>,
    told: Receiver<Told>,
}

impl Bitcoind {
    /// Starts the thread; it ends with this value, after the question it is at.
    pub fn start(place: Place, waker: Waker) -> Self {
        let (asks, to_ask) = channel::<(AskId, Ask)>();
        let (tell, told) = channel();
        thread::spawn(move || {
            let rpc = Rpc::new(place, ANSWER_MAX);
            for (id, ask) in to_ask {
                if tell.send((id, answer(&rpc, &ask))).is_err() {
                    return;
                }
                waker.wake();
            }
        });
        Self { asks, told }
    }

    /// Asks.
    pub fn ask(&self, id: AskId, ask: Ask) {
        // A thread that has ended by a bug answers nothing; the treasury says that it is so.
        self.asks.send((id, ask)).ok();
    }

    /// What it has answered since.
    pub fn told(&self) -> Option<Told> {
        self.told.try_recv().ok()
    }
}

/// The answer to a question.
pub fn answer(rpc: &Rpc, ask: &Ask) -> Result<Answer, SourceFault> {
    match ask {
        Ask::Tip => tip(rpc).map(Answer::Tip),
        Ask::HeaderAt { at } => {
            let count: u32 = rpc.ask("getblockcount", &NOTHING)?;
            let height = match at {
                From::Below(blocks) => count.saturating_sub(*blocks),
                From::At(height) => height.0.min(count),
            };
            let hash: BlockHash = rpc.ask("getblockhash", &[height])?;
            let header = header(rpc.ask("getblockheader", &(hash, false))?)?;
            Ok(Answer::HeaderAt { height: Height(height), header })
        }
        Ask::Headers { locator } => headers(rpc, locator).map(Answer::Headers),
        Ask::Block { hash } => {
            let hex: String = rpc.ask("getblock", &(hash, 0))?;
            let block: Block =
                deserialize_hex(&hex).map_err(|fault| nonsense("getblock", &fault.to_string()))?;
            Ok(Answer::Block(Box::new(block)))
        }
        Ask::Publish { package, .. } => publish(rpc, package).map(Answer::Published),
        Ask::Rates { targets } => rates(rpc, targets).map(Answer::Rates),
    }
}

const NOTHING: [u8; 0] = [];

#[derive(Deserialize)]
struct ChainInfo {
    chain: String,
    blocks: u32,
    headers: u32,
    bestblockhash: BlockHash,
    signet_challenge: Option<String>,
}

fn tip(rpc: &Rpc) -> Result<Tip, SourceFault> {
    let info: ChainInfo = rpc.ask("getblockchaininfo", &NOTHING)?;
    Ok(Tip {
        network: NetworkName { name: info.chain, challenge: info.signet_challenge },
        hash: info.bestblockhash,
        blocks: Height(info.blocks),
        headers: Height(info.headers),
    })
}

/// What is known of a block. One that is not in the chain has -1 confirmations.
#[derive(Deserialize)]
struct HeaderInfo {
    confirmations: i64,
    height: u32,
}

fn headers(rpc: &Rpc, locator: &[BlockHash]) -> Result<Vec<Header>, SourceFault> {
    let mut shared = None;
    // Mostly it is one of the first.
    for some in locator.chunks(4) {
        let arguments: Vec<_> = some.iter().map(|hash| (hash, true)).collect();
        for info in rpc.ask_all::<HeaderInfo>("getblockheader", &arguments)? {
            match info {
                Ok(info) if info.confirmations >= 0 => shared = shared.or(Some(info.height)),
                Ok(_) | Err(SourceFault::Refused { .. }) => {}
                Err(fault) => return Err(fault),
            }
        }
        if shared.is_some() {
            break;
        }
    }
    let Some(shared) = shared else {
        return Err(nonsense("getblockheader", "it knows none of our blocks"));
    };
    let count: u32 = rpc.ask("getblockcount", &NOTHING)?;
    let last = count.min(shared.saturating_add(HEADERS_AT_ONCE));
    let heights: Vec<_> = (shared.saturating_add(1)..=last).map(|height| [height]).collect();
    let hashes = rpc.ask_all::<BlockHash>("getblockhash", &heights)?;
    let hashes: Vec<_> =
        hashes.into_iter().map_while(Result::ok).map(|hash| (hash, false)).collect();
    let mut headers: Vec<Header> = Vec::with_capacity(hashes.len());
    for hex in rpc.ask_all::<String>("getblockheader", &hashes)? {
        let header = header(hex?)?;
        // Its chain may have changed between two questions.
        if headers.last().is_some_and(|last| last.block_hash() != header.prev_blockhash) {
            break;
        }
        headers.push(header);
    }
    Ok(headers)
}

fn header(hex: String) -> Result<Header, SourceFault> {
    deserialize_hex(&hex).map_err(|fault| nonsense("getblockheader", &fault.to_string()))
}

fn publish(rpc: &Rpc, package: &Package) -> Result<PublishAnswer, SourceFault> {
    if let [parent, child] = package.transactions()
        && let Some(answer) = publish_together(rpc, parent, child)?
    {
        return Ok(answer);
    }
    let each = package.transactions().iter().map(|transaction| publish_one(rpc, transaction));
    let answers = each.collect::<Result<Vec<_>, _>>()?;
    let empty = || nonsense("sendrawtransaction", "a package without transactions");
    PublishAnswer::of_all(answers).ok_or_else(empty)
}

fn publish_one(rpc: &Rpc, transaction: &Transaction) -> Result<PublishAnswer, SourceFault> {
    // What a fee may be was decided by us: no limit of theirs.
    let arguments = (serialize_hex(transaction), 0);
    match rpc.ask::<Value>("sendrawtransaction", &arguments) {
        Ok(_) => Ok(PublishAnswer::Accepted),
        Err(SourceFault::Refused { code: IN_CHAIN_ALREADY, .. }) => Ok(PublishAnswer::Confirmed),
        Err(SourceFault::Refused { code, why, .. }) if NOT_TAKEN.contains(&code) => {
            Ok(PublishAnswer::parse(&why))
        }
        Err(fault) => Err(fault),
    }
}

#[derive(Deserialize)]
struct Submitted {
    package_msg: String,
    #[serde(rename = "tx-results")]
    results: BTreeMap<String, SubmittedOne>,
}

#[derive(Deserialize)]
struct SubmittedOne {
    error: Option<String>,
}

/// Nothing if this bitcoind takes no packages.
fn publish_together(
    rpc: &Rpc,
    parent: &Transaction,
    child: &Transaction,
) -> Result<Option<PublishAnswer>, SourceFault> {
    let both = [serialize_hex(parent), serialize_hex(child)];
    match rpc.ask::<Submitted>("submitpackage", &(both, 0)) {
        Ok(submitted) if submitted.package_msg == "success" => Ok(Some(PublishAnswer::Accepted)),
        Ok(submitted) => {
            let why = submitted.results.into_values().find_map(|one| one.error);
            Ok(Some(PublishAnswer::parse(&why.unwrap_or(submitted.package_msg))))
        }
        Err(SourceFault::Refused { code, why, .. }) if NOT_TAKEN.contains(&code) => {
            Ok(Some(PublishAnswer::parse(&why)))
        }
        Err(SourceFault::Refused { .. }) => Ok(None),
        Err(fault) => Err(fault),
    }
}

#[derive(Deserialize)]
struct Estimate {
    feerate: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct MempoolInfo {
    mempoolminfee: Box<RawValue>,
    minrelaytxfee: Box<RawValue>,
}

fn rates(rpc: &Rpc, targets: &[Target]) -> Result<Rates, SourceFault> {
    let arguments: Vec<_> = targets.iter().map(|target| [target.0]).collect();
    let answers = rpc.ask_all::<Estimate>("estimatesmartfee", &arguments)?;
    let mut estimates = BTreeMap::new();
    for (target, estimate) in targets.iter().zip(answers) {
        if let Some(rate) = estimate?.feerate {
            estimates.insert(*target, rate_of("estimatesmartfee", &rate)?);
        }
    }
    let info: MempoolInfo = rpc.ask("getmempoolinfo", &NOTHING)?;
    let least = rate_of("getmempoolinfo", &info.minrelaytxfee)?;
    let mempool_min = Some(rate_of("getmempoolinfo", &info.mempoolminfee)?.max(least));
    Ok(Rates { estimates, mempool_min })
}

fn rate_of(method: &'static str, rate: &RawValue) -> Result<FeeRate, SourceFault> {
    chain::parse_rate(rate.get()).map_err(|fault| nonsense(method, &fault.to_string()))
}
