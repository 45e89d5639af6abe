//! A bitcoind as the source of blocks: questions in, answers out, in a thread of its own.

mod rpc;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, channel, sync_channel},
    },
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

use crate::services::treasury::{
    ASKS_MAX, Answer, Ask, AskId, From, NetworkName, SourceFault, Tip, WARMING_UP,
};

use rpc::nonsense;
pub use rpc::{ANSWER_BYTES_MAX, ANSWER_MAX, DoorKey, Place, QUESTION_MAX, Rpc};

/// Headers that are asked for at once.
const HEADERS_AT_ONCE: u32 = 1_000;
/// bitcoind knows the transaction as one of a block.
const IN_CHAIN_ALREADY: i32 = -27;
/// bitcoind does not take the transaction. One package is refused with these, another by itself.
const NOT_TAKEN: [i32; 2] = [-25, -26];
/// bitcoind has no block so high.
const NO_SUCH_HEIGHT: i32 = -8;
/// Questions that wait for the thread: as many as may be open, and those that begin a connection.
pub const WAITING_MAX: usize = 2 * ASKS_MAX;

/// What the source has to say to a question.
pub type Told = (AskId, Result<Answer, SourceFault>);

/// A thread that asks a bitcoind, one question after the other.
pub struct Bitcoind {
    asks: SyncSender<(AskId, Ask)>,
    told: Receiver<Told>,
    /// What could not be asked.
    unasked: VecDeque<Told>,
    /// Questions before this one are not asked any more.
    first: Arc<AtomicU64>,
}

impl Bitcoind {
    /// Starts the thread; it ends with this value, after the question it is at.
    pub fn start(place: Place, waker: Waker) -> Self {
        let (asks, to_ask) = sync_channel::<(AskId, Ask)>(WAITING_MAX);
        let (tell, told) = channel();
        let first = Arc::new(AtomicU64::new(0));
        let of_thread = Arc::clone(&first);
        thread::spawn(move || {
            for (id, ask) in to_ask {
                if id.0 < of_thread.load(Ordering::Relaxed) {
                    continue;
                }
                let rpc = Rpc::new(place.clone(), ANSWER_MAX, QUESTION_MAX);
                if tell.send((id, answer(&rpc, &ask))).is_err() {
                    return;
                }
                waker.wake();
            }
        });
        Self { asks, told, unasked: VecDeque::new(), first }
    }

    /// Asks. Each question that is not dropped has an answer.
    pub fn ask(&mut self, id: AskId, ask: Ask) {
        let why = match self.asks.try_send((id, ask)) {
            Ok(()) => return,
            Err(TrySendError::Full(_)) => {
                format!("{WAITING_MAX} questions wait already, at most {WAITING_MAX}")
            }
            Err(TrySendError::Disconnected(_)) => "the thread that asks it has ended".to_owned(),
        };
        self.unasked.push_back((id, Err(SourceFault::Unreachable { why })));
    }

    /// Nobody waits for answers to questions before this one.
    pub fn drop_before(&mut self, first: AskId) {
        self.first.store(first.0, Ordering::Relaxed);
        self.unasked.retain(|(id, _)| *id >= first);
    }

    /// What it has answered since.
    pub fn told(&mut self) -> Option<Told> {
        self.unasked.pop_front().or_else(|| self.told.try_recv().ok())
    }
}

/// The answer to a question.
pub fn answer(rpc: &Rpc, ask: &Ask) -> Result<Answer, SourceFault> {
    match ask {
        Ask::Tip => tip(rpc).map(Answer::Tip),
        // Its chain may become shorter between two questions.
        Ask::HeaderAt { at } => match header_at(rpc, *at) {
            Ok(answer) => Ok(answer),
            Err(SourceFault::Refused { code: NO_SUCH_HEIGHT, .. }) => header_at(rpc, *at),
            Err(fault) => Err(fault),
        },
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

fn header_at(rpc: &Rpc, at: From) -> Result<Answer, SourceFault> {
    let count: u32 = rpc.ask("getblockcount", &NOTHING)?;
    let height = match at {
        From::Below(blocks) => count.saturating_sub(blocks),
        From::At(height) => height.0.min(count),
    };
    let hash: BlockHash = rpc.ask("getblockhash", &[height])?;
    let header = header_of(hash, rpc.ask("getblockheader", &(hash, false))?)?;
    Ok(Answer::HeaderAt { height: Height(height), header })
}

/// The headers behind a block of ours. Its chain may change between two of these questions; what is
/// of one chain and what of another does not fit together then, which is no lie.
fn headers(rpc: &Rpc, locator: &[BlockHash]) -> Result<Vec<Header>, SourceFault> {
    for _ in 0..2 {
        let before = tip(rpc)?;
        let (shared, headers) = headers_behind(rpc, locator, before.blocks)?;
        // What is behind nothing of ours is judged by whoever asked, unless it comes of a change.
        let fits = headers.first().is_none_or(|first| first.prev_blockhash == shared);
        if fits || tip(rpc)?.hash == before.hash {
            return Ok(headers);
        }
    }
    // The next question for its tip finds a chain that is at rest.
    Ok(Vec::new())
}

/// The first of our blocks that is in its chain, and headers of the heights above.
fn headers_behind(
    rpc: &Rpc,
    locator: &[BlockHash],
    count: Height,
) -> Result<(BlockHash, Vec<Header>), SourceFault> {
    let (hash, height) = shared(rpc, locator)?;
    let last = count.0.min(height.saturating_add(HEADERS_AT_ONCE));
    let heights: Vec<_> = (height.saturating_add(1)..=last).map(|height| [height]).collect();
    let hashes = rpc.ask_all::<BlockHash>("getblockhash", &heights)?;
    let hashes: Vec<_> =
        hashes.into_iter().map_while(Result::ok).map(|hash| (hash, false)).collect();
    let mut headers: Vec<Header> = Vec::with_capacity(hashes.len());
    for ((hash, _), hex) in hashes.iter().zip(rpc.ask_all("getblockheader", &hashes)?) {
        let header = header_of(*hash, hex?)?;
        if headers.last().is_some_and(|last| last.block_hash() != header.prev_blockhash) {
            break;
        }
        headers.push(header);
    }
    Ok((hash, headers))
}

/// The first of these blocks that is in its chain, and where it is.
fn shared(rpc: &Rpc, locator: &[BlockHash]) -> Result<(BlockHash, u32), SourceFault> {
    // Mostly it is one of the first.
    for some in locator.chunks(4) {
        let arguments: Vec<_> = some.iter().map(|hash| (hash, true)).collect();
        let infos = rpc.ask_all::<HeaderInfo>("getblockheader", &arguments)?;
        for (hash, info) in some.iter().zip(infos) {
            match info {
                Ok(info) if info.confirmations >= 0 => return Ok((*hash, info.height)),
                Ok(_) | Err(SourceFault::Refused { .. }) => {}
                Err(fault) => return Err(fault),
            }
        }
    }
    Err(nonsense("getblockheader", "it knows none of our blocks"))
}

/// The header that was asked for by its hash.
fn header_of(hash: BlockHash, hex: String) -> Result<Header, SourceFault> {
    let header: Header =
        deserialize_hex(&hex).map_err(|fault| nonsense("getblockheader", &fault.to_string()))?;
    let got = header.block_hash();
    match got == hash {
        true => Ok(header),
        false => Err(nonsense("getblockheader", &format!("header {got} for {hash}"))),
    }
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
        // It may have more numbers for not taking one than we know.
        Err(SourceFault::Refused { code, why, .. }) if code != WARMING_UP => {
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
        let estimate = match estimate {
            Ok(estimate) => estimate.feerate,
            // The other targets may have one.
            Err(SourceFault::Refused { .. }) => None,
            Err(fault) => return Err(fault),
        };
        if let Some(rate) = estimate {
            estimates.insert(*target, rate_of("estimatesmartfee", &rate)?);
        }
    }
    Ok(Rates { estimates, mempool_min: mempool_min(rpc)? })
}

/// Nothing if it does not say.
fn mempool_min(rpc: &Rpc) -> Result<Option<FeeRate>, SourceFault> {
    let info: MempoolInfo = match rpc.ask("getmempoolinfo", &NOTHING) {
        Err(SourceFault::Refused { .. }) => return Ok(None),
        info => info?,
    };
    let least = rate_of("getmempoolinfo", &info.minrelaytxfee)?;
    Ok(Some(rate_of("getmempoolinfo", &info.mempoolminfee)?.max(least)))
}

fn rate_of(method: &'static str, rate: &RawValue) -> Result<FeeRate, SourceFault> {
    chain::parse_rate(rate.get()).map_err(|fault| nonsense(method, &fault.to_string()))
}
