//! Blocks through the chain's core with few watches and with many; a restart; headers in memory.
//!
//! A block has 2,000 transactions with two inputs and two outputs each, signatures included, as
//! blocks of today have about. It is handed in as it comes from a source, read but not checked; it
//! is checked, looked through, and told to its users. A restart reads the saved watches, attaches
//! all users where they stopped, watches everything again, and hears all that this brings.

use std::time::Instant;

use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, Network, OutPoint, ScriptBuf, Sequence, Transaction,
    TxIn, TxMerkleNode, TxOut, Txid, Witness, absolute::LockTime, block, block::Header, constants,
    hashes::Hash as _, transaction,
};
use chain::{Ask, BlockRef, Chain, Event, Headers, Height, User, Watch};
use paired::Target;
use wire::dice::Dice;

#[global_allocator]
static HEAP: counting::Counting = counting::Counting;

const BENCH: &str = "chain";
const TRANSACTIONS: usize = 2_000;
/// Blocks of one round.
const BLOCKS: usize = 40;
const ROUNDS: usize = 9;
const WATCHES: [usize; 3] = [1_000, 10_000, 100_000];
/// Of a block's inputs and outputs so many are watched.
const WATCHED: usize = 5;

/// A node's channels, and its wallet.
const USERS: usize = 10_001;
const SAVED: usize = 100_000;
/// Users stopped within so many blocks.
const SPREAD: usize = 100;
/// One watch in so many had not been searched for to the end.
const UNSEARCHED: usize = 100;
const PAST: usize = 1_000;

const YEARS: usize = 900_000;

fn main() {
    speed();
    restart();
    headers();
}

fn outpoint(number: u64) -> OutPoint {
    let mut bytes = [0; 32];
    Dice::new(number).fill(&mut bytes);
    OutPoint { txid: Txid::from_byte_array(bytes), vout: number as u32 % 3 }
}

/// Pays to a key's hash.
fn script(number: u64) -> ScriptBuf {
    let mut bytes = [0; 22];
    Dice::new(!number).fill(&mut bytes);
    bytes[..2].copy_from_slice(&[0, 20]);
    ScriptBuf::from_bytes(bytes.to_vec())
}

fn watch(number: usize) -> Watch {
    match number.is_multiple_of(2) {
        true => Watch::Spend(outpoint(number as u64)),
        false => Watch::Pay(script(number as u64)),
    }
}

/// Things with numbers above all that is watched, but for a few of each block.
fn ordinary(nth: &mut u64, dice: &mut Dice) -> Transaction {
    let mut number = || {
        *nth += 1;
        let watched = dice.one_in(4 * TRANSACTIONS / WATCHED);
        if watched { dice.below(WATCHES[0]) as u64 } else { 1 << 40 | *nth }
    };
    let signature = |number: u64| vec![number as u8; 71];
    let input = |number| TxIn {
        previous_output: outpoint(number),
        script_sig: ScriptBuf::new(),
        sequence: Sequence::MAX,
        witness: Witness::from_slice(&[signature(number), vec![2; 33]]),
    };
    let output = |number| TxOut { value: Amount::from_sat(5_000), script_pubkey: script(number) };
    Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![input(number()), input(number())],
        output: vec![output(number()), output(number())],
    }
}

fn block(parent: BlockHash, transactions: Vec<Transaction>, salt: u64) -> Block {
    let mut coinbase = ordinary(&mut (salt << 20), &mut Dice::new(salt));
    coinbase.input.truncate(1);
    coinbase.input[0].previous_output = OutPoint::null();
    coinbase.input[0].witness = Witness::from_slice(&[[0; 32]]);
    let txdata = std::iter::once(coinbase).chain(transactions).collect();
    let mut block = Block { header: header(parent), txdata };
    let root = block.witness_root().expect("it has transactions");
    let commitment = Block::compute_witness_commitment(&root, &[0; 32]);
    let mut script = vec![0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];
    script.extend_from_slice(commitment.as_byte_array());
    block.txdata[0].output[1].script_pubkey = ScriptBuf::from_bytes(script);
    block.header.merkle_root = block.compute_merkle_root().expect("it has transactions");
    work(&mut block.header);
    block
}

fn header(parent: BlockHash) -> Header {
    Header {
        version: block::Version::TWO,
        prev_blockhash: parent,
        merkle_root: TxMerkleNode::all_zeros(),
        time: 0,
        bits: CompactTarget::from_consensus(0x207f_ffff),
        nonce: 0,
    }
}

fn work(header: &mut Header) {
    while header.validate_pow(header.target()).is_err() {
        header.nonce += 1;
    }
}

fn genesis() -> Header {
    constants::genesis_block(Network::Regtest).header
}

fn full_blocks(count: usize) -> Vec<Block> {
    let (mut nth, mut dice) = (0, Dice::new(1));
    let mut blocks: Vec<Block> = Vec::new();
    for salt in 0..count {
        let parent = blocks.last().map_or(genesis().block_hash(), Block::block_hash);
        let transactions = (0..TRANSACTIONS).map(|_| ordinary(&mut nth, &mut dice)).collect();
        blocks.push(block(parent, transactions, salt as u64));
    }
    blocks
}

/// Blocks with one transaction each.
fn small_blocks(count: usize) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for salt in 0..count {
        let parent = blocks.last().map_or(genesis().block_hash(), Block::block_hash);
        blocks.push(block(parent, Vec::new(), salt as u64));
    }
    blocks
}

/// Empty blocks behind the first one.
fn many_headers(count: usize) -> Vec<Header> {
    let mut headers: Vec<Header> = Vec::with_capacity(count);
    for _ in 0..count {
        let parent = headers.last().map_or(genesis().block_hash(), Header::block_hash);
        let mut header = header(parent);
        work(&mut header);
        headers.push(header);
    }
    headers
}

/// A chain at its first block with one user, which watches so much.
fn watching(blocks: &[Block], watches: usize) -> Chain {
    let mut chain = Chain::new(Headers::new(Network::Regtest, Height(0), genesis()));
    chain.attach(User(1), None).expect("it begins here");
    for number in 0..watches {
        chain.watch(User(1), watch(number), Height(1)).expect("room");
    }
    while chain.event().is_some() {}
    let headers: Vec<Header> = blocks.iter().map(|block| block.header).collect();
    chain.handle_headers(&headers).expect("connected").expect("shallow");
    chain
}

/// Seconds for all blocks, and what was found in them.
fn run(mut chain: Chain, blocks: &[Block]) -> (f64, usize) {
    let mut given: Vec<Option<Block>> = blocks.iter().cloned().map(Some).collect();
    let (begin, mut sum, mut told) = (Instant::now(), 0, 0);
    while let Some(ask) = chain.poll() {
        if let Ask::Block { block } = ask {
            let block = given[block.height.0 as usize - 1].take().expect("asked for once");
            chain.handle_block(block).expect("a good block");
        }
        while let Some((_, event)) = chain.event() {
            if let Event::Connected { found, .. } = event {
                (sum, told) = (sum + found.len(), told + 1);
            }
        }
    }
    assert_eq!(told, blocks.len());
    (begin.elapsed().as_secs_f64(), sum)
}

fn speed() {
    let blocks = full_blocks(BLOCKS);
    let bytes: usize = blocks.iter().map(Block::total_size).sum();
    let mut seconds: [Vec<f64>; 3] = Default::default();
    for round in 0..ROUNDS {
        for turn in 0..WATCHES.len() {
            let nth = (round + turn) % WATCHES.len();
            let (took, found) = run(watching(&blocks, WATCHES[nth]), &blocks);
            assert!(found >= BLOCKS, "{found} things were found");
            seconds[nth].push(took);
        }
    }
    let bare: Vec<f64> = (0..ROUNDS).map(|_| bare(&blocks)).collect();
    let (bare, many) = (median(&bare), median(&seconds[2]));
    paired::report(BENCH, "of-bare-checks", bare / many, "x", Target::Report, bare, many);
    for (watches, took) in WATCHES.iter().zip(&seconds) {
        let figure = format!("blocks-with-{watches}");
        let median = median(took);
        let per_second = BLOCKS as f64 / median;
        paired::report(BENCH, &figure, per_second, "1/s", Target::Report, BLOCKS as f64, median);
    }
    let pairs: Vec<f64> =
        seconds[2].iter().zip(&seconds[0]).map(|(many, few)| many / few).collect();
    let (ratio, few) = (median(&pairs), median(&seconds[0]));
    paired::report(BENCH, "1k-to-100k", ratio, "x", Target::AtMost(2.0), ratio * few, few);
    let (bytes, blocks) = (bytes as f64, BLOCKS as f64);
    paired::report(BENCH, "block-bytes", bytes / blocks, "B", Target::Report, bytes, blocks);
}

/// Only what shows that a block's transactions are its own.
fn bare(blocks: &[Block]) -> f64 {
    let begin = Instant::now();
    for block in blocks {
        assert!(block.check_merkle_root() && block.check_witness_commitment());
    }
    begin.elapsed().as_secs_f64()
}

fn restart() {
    let blocks = small_blocks(PAST);
    let mut known = Headers::new(Network::Regtest, Height(0), genesis());
    for block in &blocks {
        known.evolve(&chain::Change::Connected(block.header));
    }
    let saved_headers = known.encode();
    let mut dice = Dice::new(3);
    // Each user's cursor, and its watches: user (4), from (4), watch.
    let cursors: Vec<BlockRef> = (0..USERS)
        .map(|_| known.at(Height((PAST - dice.below(SPREAD)) as u32)).expect("it is there"))
        .collect();
    let mut saved: Vec<Vec<u8>> = Vec::new();
    for number in 0..SAVED {
        let user = number % USERS;
        let from = match number.is_multiple_of(UNSEARCHED) {
            true => 1 + dice.below(cursors[user].height.0 as usize) as u32,
            false => cursors[user].height.0 + 1,
        };
        let mut bytes = [(user as u32).to_be_bytes(), from.to_be_bytes()].concat();
        watch(number).write(&mut bytes);
        saved.push(bytes);
    }
    let mut seconds = Vec::new();
    for _ in 0..ROUNDS {
        seconds.push(restart_once(&saved_headers, &cursors, &saved));
    }
    let median = median(&seconds);
    let figure = "restart-100000-watches";
    paired::report(BENCH, figure, median, "s", Target::AtMost(1.0), median, 1.0);
    let asked = passes(&saved_headers, &cursors, &saved, &blocks);
    let passes = asked as f64 / PAST as f64;
    paired::report(BENCH, "passes", passes, "x", Target::AtMost(2.0), asked as f64, PAST as f64);
}

/// Up to the first question and the last thing to tell.
fn restart_once(headers: &[u8], cursors: &[BlockRef], saved: &[Vec<u8>]) -> f64 {
    let begin = Instant::now();
    let mut chain = back_again(headers, cursors, saved);
    let mut told = 0;
    while chain.event().is_some() {
        told += 1;
    }
    assert!(chain.poll().is_some());
    assert_eq!(told, SAVED - SAVED / UNSEARCHED);
    begin.elapsed().as_secs_f64()
}

fn back_again(headers: &[u8], cursors: &[BlockRef], saved: &[Vec<u8>]) -> Chain {
    let mut chain = Chain::new(Headers::decode(headers).expect("ours"));
    for (user, cursor) in (0..).zip(cursors) {
        chain.attach(User(user), Some(*cursor)).expect("ours");
    }
    for bytes in saved {
        let (user, rest) = bytes.split_first_chunk().expect("ours");
        let (from, rest) = rest.split_first_chunk().expect("ours");
        let watch = Watch::read(rest).expect("ours");
        let (user, from) = (User(u32::from_be_bytes(*user)), Height(u32::from_be_bytes(*from)));
        chain.watch(user, watch, from).expect("room");
    }
    chain
}

/// How many blocks it asks for until all is searched and told.
fn passes(headers: &[u8], cursors: &[BlockRef], saved: &[Vec<u8>], blocks: &[Block]) -> usize {
    let mut chain = back_again(headers, cursors, saved);
    let (mut asked, mut searched) = (0, 0);
    while let Some(ask) = chain.poll() {
        let Ask::Block { block } = ask else { continue };
        asked += 1;
        chain.handle_block(blocks[block.height.0 as usize - 1].clone()).expect("it is the block");
        while let Some((_, event)) = chain.event() {
            searched += usize::from(matches!(event, Event::Searched { .. }));
        }
    }
    assert_eq!(searched, SAVED);
    asked
}

fn headers() {
    let headers = many_headers(YEARS);
    let mut kept = None;
    let usage = counting::measure(|| {
        let mut all = Headers::new(Network::Regtest, Height(0), genesis());
        for header in &headers {
            all.evolve(&chain::Change::Connected(*header));
        }
        kept = Some(all);
    });
    let kept = kept.expect("they were made");
    let each = |bytes: u64| bytes as f64 / YEARS as f64;
    let peak = usage.peak_bytes;
    let figure = "header-bytes-peak";
    paired::report(BENCH, figure, each(peak), "B", Target::Report, peak as f64, YEARS as f64);
    let bytes = kept.encode();
    let begin = Instant::now();
    let read = counting::measure(|| {
        let read = Headers::decode(&bytes).expect("ours");
        assert_eq!(read.tip(), kept.tip());
    });
    let took = begin.elapsed().as_secs_f64();
    paired::report(BENCH, "read-900000-headers", took, "s", Target::Report, took, 1.0);
    let peak = read.peak_bytes;
    let figure = "read-header-bytes-peak";
    paired::report(BENCH, figure, each(peak), "B", Target::Report, peak as f64, YEARS as f64);
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
