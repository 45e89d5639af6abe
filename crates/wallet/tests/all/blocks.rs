//! Blocks of a test network, mined at once.

use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction, TxIn,
    TxMerkleNode, TxOut, Witness, absolute::LockTime, block, block::Header, constants,
    hashes::Hash as _, transaction,
};

const EASY: u32 = 0x207f_ffff;

pub fn genesis() -> Block {
    constants::genesis_block(bitcoin::Network::Regtest)
}

/// A script of somebody else's.
pub fn stranger(number: u64) -> ScriptBuf {
    let mut key = [7; 32];
    key[..8].copy_from_slice(&number.to_be_bytes());
    ScriptBuf::from_bytes([&[0x51, 0x20][..], &key].concat())
}

/// An output that is somebody else's.
pub fn outpoint(number: u64) -> OutPoint {
    let mut bytes = [9; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    OutPoint { txid: bitcoin::Txid::from_byte_array(bytes), vout: 0 }
}

pub fn transaction(spends: &[OutPoint], pays: &[(ScriptBuf, u64)]) -> Transaction {
    let input = |previous_output: &OutPoint| TxIn {
        previous_output: *previous_output,
        script_sig: ScriptBuf::from_bytes(vec![0x51]),
        sequence: Sequence::MAX,
        witness: Witness::new(),
    };
    let output = |(script, sat): &(ScriptBuf, u64)| TxOut {
        value: Amount::from_sat(*sat),
        script_pubkey: script.clone(),
    };
    Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: spends.iter().map(input).collect(),
        output: pays.iter().map(output).collect(),
    }
}

/// A block behind another. `salt` makes it one of its kind, and `reward` gets its coins.
pub fn mine(
    parent: BlockHash,
    salt: u64,
    reward: Option<ScriptBuf>,
    transactions: Vec<Transaction>,
) -> Block {
    let mut coinbase = transaction(
        &[OutPoint::null()],
        &[(reward.unwrap_or_else(|| stranger(salt | 1 << 63)), 5_000_000_000)],
    );
    coinbase.input[0].script_sig = ScriptBuf::from_bytes([&[8][..], &salt.to_be_bytes()].concat());
    // Blocks with signatures name them in their coinbase.
    let reserved = [0; 32];
    coinbase.input[0].witness.push(reserved);
    coinbase.output.push(TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::new() });
    let header = Header {
        version: block::Version::TWO,
        prev_blockhash: parent,
        merkle_root: TxMerkleNode::all_zeros(),
        time: 0,
        bits: CompactTarget::from_consensus(EASY),
        nonce: 0,
    };
    let txdata: Vec<_> = std::iter::once(coinbase).chain(transactions).collect();
    let mut block = Block { header, txdata };
    let root = block.witness_root().expect("it has a coinbase");
    let commitment = Block::compute_witness_commitment(&root, &reserved);
    let script = [&[0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed][..], commitment.as_ref()].concat();
    block.txdata[0].output[1].script_pubkey = ScriptBuf::from_bytes(script);
    block.header.merkle_root = block.compute_merkle_root().expect("it has a coinbase");
    while block.header.validate_pow(block.header.target()).is_err() {
        block.header.nonce += 1;
    }
    block
}
