//! Blocks made here.

use bitcoin::{
    Amount, Block, BlockHash, OutPoint, Script, ScriptBuf, Sequence, Transaction, TxIn,
    TxMerkleNode, TxOut, Witness, absolute::LockTime, block, block::Header, hashes::Hash, script,
    transaction,
};

use super::rules;

/// What a block is made of.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    /// The block before it.
    pub parent: BlockHash,
    /// Its height.
    pub height: u32,
    /// Its time.
    pub time: u32,
    /// Who is paid.
    pub to: &'a Script,
    /// How much: subsidy and fees.
    pub reward: Amount,
    /// Makes two blocks of the same parent, time and miner differ.
    pub extra: u64,
    /// All transactions but the coinbase.
    pub transactions: Vec<Transaction>,
}

impl Draft<'_> {
    /// The block, with its work done.
    pub fn mine(self) -> Block {
        let header = Header {
            version: block::Version::from_consensus(0x2000_0000),
            prev_blockhash: self.parent,
            merkle_root: TxMerkleNode::all_zeros(),
            time: self.time,
            bits: rules::bits(),
            nonce: 0,
        };
        let mut txdata = vec![self.coinbase()];
        txdata.extend(self.transactions);
        let mut block = Block { header, txdata };
        coinbase_commitment(&mut block);
        grind(&mut block);
        block
    }

    fn coinbase(&self) -> Transaction {
        let script_sig = script::Builder::new()
            .push_int(i64::from(self.height))
            .push_slice(self.extra.to_le_bytes())
            .into_script();
        let mut witness = Witness::new();
        witness.push([0; 32]);
        let input = TxIn {
            previous_output: OutPoint::null(),
            script_sig,
            sequence: Sequence::MAX,
            witness,
        };
        Transaction {
            version: transaction::Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![input],
            output: vec![TxOut { value: self.reward, script_pubkey: self.to.to_owned() }],
        }
    }
}

/// Puts the commitment to all witnesses into a block's coinbase, in place of an older one.
pub fn coinbase_commitment(block: &mut Block) {
    const HEAD: [u8; 6] = [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];
    let Some(root) = block.witness_root() else { return };
    let commitment = Block::compute_witness_commitment(&root, &[0; 32]);
    let script = [&HEAD[..], &commitment.to_byte_array()[..]].concat();
    let outputs = &mut block.txdata[0].output;
    outputs.retain(|output| !output.script_pubkey.as_bytes().starts_with(&HEAD));
    outputs.push(TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::from_bytes(script) });
}

/// Names a block's transactions in its header, and does the work.
pub fn grind(block: &mut Block) {
    if let Some(root) = block.compute_merkle_root() {
        block.header.merkle_root = root;
    }
    block.header.nonce = 0;
    while block.header.validate_pow(block.header.target()).is_err() {
        block.header.nonce = block.header.nonce.wrapping_add(1);
    }
}
