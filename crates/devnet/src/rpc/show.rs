//! Blocks, transactions and scripts, as bitcoind shows them.

use bitcoin::{
    Address, Amount, Network, OutPoint, Script, Transaction, TxIn, TxOut, Work,
    consensus::serialize,
    hex::DisplayHex,
    opcodes::{Opcode, all::OP_CHECKMULTISIG},
    script::Instruction,
};

use super::json::{Json, Map};
use crate::{
    Devnet,
    ledger::{BlockRef, Node},
    mempool::is_anchor,
};

/// How much of a transaction's inputs is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    /// What it says itself.
    Alone,
    /// Its fee, too.
    Fee,
    /// Its fee, and the outputs that it spends.
    Spent,
}

/// The header of a block, and where it is.
pub(super) fn header(devnet: &Devnet, node: &Node) -> Map {
    let ledger = devnet.ledger();
    let header = &node.block.header;
    let hash = header.block_hash();
    let active = ledger.is_active(&hash);
    let confirmations = if active { i64::from(ledger.height() - node.height) + 1 } else { -1 };
    let version = header.version.to_consensus();
    let mut map = Map::new()
        .text("hash", hash)
        .int("confirmations", confirmations)
        .int("height", node.height)
        .int("version", version)
        .text("versionHex", format!("{version:08x}"))
        .text("merkleroot", header.merkle_root)
        .int("time", header.time)
        .int("mediantime", node.median)
        .int("nonce", header.nonce)
        .text("bits", format!("{:08x}", header.bits.to_consensus()))
        .text("target", header.target().to_be_bytes().as_hex())
        .with("difficulty", Json::Float(difficulty(header.bits.to_consensus())))
        .text("chainwork", work(node.work))
        .int("nTx", node.block.txdata.len());
    if node.height > 0 {
        map = map.text("previousblockhash", header.prev_blockhash);
    }
    match ledger.at(node.height + 1) {
        Some(next) if active => map.text("nextblockhash", next),
        Some(_) | None => map,
    }
}

pub(super) fn work(work: Work) -> String {
    format!("{:x}", work.to_be_bytes().as_hex())
}

/// How many times harder than the easiest of the real chain. In bitcoind's own steps, and with as
/// many digits.
pub(super) fn difficulty(bits: u32) -> f64 {
    let mut shift = (bits >> 24) & 0xff;
    let mut difficulty = f64::from(0xffff_u32) / f64::from(bits & 0x00ff_ffff);
    while shift < 29 {
        difficulty *= 256.0;
        shift += 1;
    }
    while shift > 29 {
        difficulty /= 256.0;
        shift -= 1;
    }
    format!("{difficulty:.15e}").parse().unwrap_or(difficulty)
}

/// A block, with ids of its transactions or with all of them.
pub(super) fn block(devnet: &Devnet, node: &Node, detail: Option<Detail>) -> Json {
    let block = &node.block;
    let stripped = (block.weight().to_wu() as usize - block.total_size()) / 3;
    let map = header(devnet, node)
        .int("strippedsize", stripped)
        .int("size", block.total_size())
        .int("weight", block.weight().to_wu())
        .with("coinbase_tx", coinbase(&block.txdata[0]));
    let txs = block.txdata.iter();
    let list = match detail {
        None => Json::list(txs.map(|tx| Json::text(tx.compute_txid()))),
        Some(detail) => Json::list(txs.map(|tx| {
            let map = transaction(devnet, tx, detail);
            map.text("hex", serialize(tx).as_hex())
        })),
    };
    map.with("tx", list).into()
}

fn coinbase(tx: &Transaction) -> Json {
    let Some(input) = tx.input.first() else { return Json::Null };
    let map = Map::new()
        .int("version", tx.version.0)
        .int("locktime", tx.lock_time.to_consensus_u32())
        .int("sequence", input.sequence.0)
        .text("coinbase", input.script_sig.as_bytes().as_hex());
    match input.witness.nth(0) {
        Some(nonce) => map.text("witness", nonce.as_hex()).into(),
        None => map.into(),
    }
}

/// A transaction, but for its bytes.
pub(super) fn transaction(devnet: &Devnet, tx: &Transaction, detail: Detail) -> Map {
    let inputs = tx.input.iter().map(|input| self::input(devnet, input, tx, detail));
    let outputs = (0_u32..).zip(&tx.output).map(|(n, output)| {
        let map = Map::new().with("value", output.value).int("n", n);
        map.with("scriptPubKey", script(&output.script_pubkey))
    });
    let map = Map::new()
        .text("txid", tx.compute_txid())
        .text("hash", tx.compute_wtxid())
        .int("version", tx.version.0 as u32)
        .int("size", tx.total_size())
        .int("vsize", tx.vsize())
        .int("weight", tx.weight().to_wu())
        .int("locktime", tx.lock_time.to_consensus_u32())
        .with("vin", Json::list(inputs))
        .with("vout", Json::list(outputs));
    match fee(devnet, tx).filter(|_| detail != Detail::Alone) {
        Some(fee) => map.with("fee", fee),
        None => map,
    }
}

fn fee(devnet: &Devnet, tx: &Transaction) -> Option<Amount> {
    let spent = tx.input.iter().map(|input| Some(spent(devnet, &input.previous_output)?.0.value));
    let spent: Amount = spent.sum::<Option<Amount>>()?;
    spent.checked_sub(tx.output.iter().map(|output| output.value).sum())
}

/// An output, spent or not, and the block that it is in.
fn spent(devnet: &Devnet, outpoint: &OutPoint) -> Option<(TxOut, Option<BlockRef>, bool)> {
    let (tx, block) = devnet.transaction(&outpoint.txid)?;
    let output = tx.output.get(outpoint.vout as usize)?.clone();
    Some((output, block, tx.is_coinbase()))
}

fn input(devnet: &Devnet, input: &TxIn, tx: &Transaction, detail: Detail) -> Map {
    let unlock = &input.script_sig;
    let mut map = Map::new();
    if tx.is_coinbase() {
        map = map.text("coinbase", unlock.as_bytes().as_hex());
    } else {
        let sig = Map::new().text("asm", asm(unlock)).text("hex", unlock.as_bytes().as_hex());
        map = map
            .text("txid", input.previous_output.txid)
            .int("vout", input.previous_output.vout)
            .with("scriptSig", sig);
    }
    if !input.witness.is_empty() {
        let items = input.witness.iter().map(|item| Json::text(item.as_hex()));
        map = map.with("txinwitness", Json::list(items));
    }
    if detail == Detail::Spent
        && let Some((output, block, generated)) = spent(devnet, &input.previous_output)
    {
        let height = block.map_or(devnet.ledger().height() + 1, |block| block.height);
        let prevout = Map::new()
            .with("generated", generated)
            .int("height", height)
            .with("value", output.value)
            .with("scriptPubKey", script(&output.script_pubkey));
        map = map.with("prevout", prevout);
    }
    map.int("sequence", input.sequence.0)
}

/// A script that locks.
pub(super) fn script(script: &Script) -> Json {
    let address = Address::from_script(script, Network::Regtest).ok();
    // bitcoind gives no address for a bare key, nor for what cannot be spent.
    let hex = format!("{:x}", script.as_bytes().as_hex());
    let desc = match &address {
        _ if script.is_p2tr() => format!("rawtr({})", &hex[4..]),
        Some(address) => format!("addr({address})"),
        None if script.is_p2pk() => format!("pk({})", &hex[2..hex.len() - 2]),
        None => format!("raw({hex})"),
    };
    let map = Map::new().text("asm", asm(script)).text("desc", with_sum(&desc)).text("hex", &hex);
    let map = match address {
        Some(address) => map.text("address", address),
        None => map,
    };
    map.with("type", kind(script)).into()
}

fn kind(script: &Script) -> &'static str {
    if script.is_p2wpkh() {
        "witness_v0_keyhash"
    } else if script.is_p2wsh() {
        "witness_v0_scripthash"
    } else if script.is_p2tr() {
        "witness_v1_taproot"
    } else if is_anchor(script) {
        "anchor"
    } else if script.is_witness_program() {
        "witness_unknown"
    } else if script.is_p2sh() {
        "scripthash"
    } else if script.is_p2pkh() {
        "pubkeyhash"
    } else if script.is_p2pk() {
        "pubkey"
    } else if script.is_op_return() {
        "nulldata"
    } else if script.is_multisig() {
        "multisig"
    } else {
        "nonstandard"
    }
}

fn asm(script: &Script) -> String {
    let mut words: Vec<String> = Vec::new();
    for instruction in script.instructions() {
        match instruction {
            Ok(Instruction::PushBytes(bytes)) => words.push(push(bytes.as_bytes())),
            Ok(Instruction::Op(op)) => words.push(name(op)),
            Err(_) => {
                words.push("[error]".to_owned());
                break;
            }
        }
    }
    words.join(" ")
}

/// Up to four bytes are a number.
fn push(bytes: &[u8]) -> String {
    let Some((last, rest)) = bytes.split_last() else { return "0".to_owned() };
    if bytes.len() > 4 {
        return format!("{:x}", bytes.as_hex());
    }
    let low =
        rest.iter().rev().fold(i64::from(last & 0x7f), |sum, byte| sum << 8 | i64::from(*byte));
    if last & 0x80 == 0 { low.to_string() } else { (-low).to_string() }
}

fn name(op: Opcode) -> String {
    match (op.to_u8(), op.to_string().as_str()) {
        (0x4f, _) => "-1".to_owned(),
        (number @ 0x51..=0x60, _) => (number - 0x50).to_string(),
        (_, "OP_CLTV") => "OP_CHECKLOCKTIMEVERIFY".to_owned(),
        (_, "OP_CSV") => "OP_CHECKSEQUENCEVERIFY".to_owned(),
        _ if op == OP_CHECKMULTISIG => "OP_CHECKMULTISIG".to_owned(),
        (_, name) => name.to_owned(),
    }
}

/// A descriptor with its sum (BIP 380).
fn with_sum(descriptor: &str) -> String {
    const INPUT: &str = "0123456789()[],'/*abcdefgh@:$%{}\
        IJKLMNOPQRSTUVWXYZ&+-.;<=>?!^_|~\
        ijklmnopqrstuvwxyzABCDEFGH`#\"\\ ";
    const OUTPUT: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    const GENERATOR: [u64; 5] =
        [0xf5_dee5_1989, 0xa9_fdca_3312, 0x1b_ab10_e32d, 0x37_06b1_677a, 0x64_4d62_6ffd];
    const SUM_CHARS: usize = 8;
    let mut sum = 1_u64;
    let mut take = |value: u64| {
        let top = sum >> 35;
        sum = (sum & 0x7_ffff_ffff) << 5 ^ value;
        for (bit, generator) in GENERATOR.iter().enumerate() {
            if top >> bit & 1 == 1 {
                sum ^= generator;
            }
        }
    };
    let (mut class, mut count) = (0, 0);
    for at in descriptor.chars().filter_map(|char| INPUT.find(char)) {
        take(at as u64 & 31);
        class = class * 3 + (at as u64 >> 5);
        count += 1;
        if count == 3 {
            take(class);
            (class, count) = (0, 0);
        }
    }
    if count > 0 {
        take(class);
    }
    for _ in 0..SUM_CHARS {
        take(0);
    }
    sum ^= 1;
    let chars = (0..SUM_CHARS).map(|at| OUTPUT[(sum >> (5 * (7 - at)) & 31) as usize] as char);
    format!("{descriptor}#{}", chars.collect::<String>())
}
