//! Blocks of a test network, mined at once.

use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction, TxIn,
    TxMerkleNode, TxOut, Witness, absolute::LockTime, block, block::Header, constants,
    hashes::Hash as _, transaction,
};

pub const EASY: u32 = 0x207f_ffff;

pub fn genesis() -> Block {
    constants::genesis_block(bitcoin::Network::Regtest)
}

/// A script that nobody else uses.
pub fn script(number: u64) -> ScriptBuf {
    ScriptBuf::from_bytes([&[0x6a, 8][..], &number.to_be_bytes()].concat())
}

/// An output that need not exist.
pub fn outpoint(number: u64) -> OutPoint {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    OutPoint { txid: bitcoin::Txid::from_byte_array(bytes), vout: number as u32 % 3 }
}

pub fn pays(spends: &[OutPoint], pays: &[ScriptBuf]) -> Transaction {
    let input = |previous_output: &OutPoint| TxIn {
        previous_output: *previous_output,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::MAX,
        witness: Witness::new(),
    };
    let output =
        |script: &ScriptBuf| TxOut { value: Amount::from_sat(5), script_pubkey: script.clone() };
    Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: spends.iter().map(input).collect(),
        output: pays.iter().map(output).collect(),
    }
}

/// A block behind another. `salt` makes it one of its kind.
pub fn mine(parent: BlockHash, salt: u64, transactions: Vec<Transaction>) -> Block {
    let coinbase = pays(&[OutPoint::null()], &[script(salt | 1 << 63)]);
    let txdata: Vec<_> = std::iter::once(coinbase).chain(transactions).collect();
    let header = Header {
        version: block::Version::TWO,
        prev_blockhash: parent,
        merkle_root: TxMerkleNode::all_zeros(),
        // Behind that of the first block of all.
        time: 1_300_000_000_u32.wrapping_add(salt as u32),
        bits: CompactTarget::from_consensus(EASY),
        nonce: 0,
    };
    let mut block = Block { header, txdata };
    block.header.merkle_root = block.compute_merkle_root().expect("it has a coinbase");
    work(&mut block.header);
    block
}

/// Does the work of a header.
pub fn work(header: &mut Header) {
    while header.validate_pow(header.target()).is_err() {
        header.nonce += 1;
    }
}
