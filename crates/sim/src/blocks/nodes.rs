//! All other nodes: the blocks that there are, the best chain of them, and what waits for a block.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, Network, OutPoint, ScriptBuf, Sequence, Transaction,
    TxIn, TxMerkleNode, TxOut, Txid, Witness, absolute::LockTime, block, block::Header, constants,
    hashes::Hash as _, transaction,
};
use chain::{BlockRef, FoundIn, Height, PublishAnswer, Watch};
use node::services::treasury::Hit;
use wire::dice::Dice;

/// So few things are watched that blocks often have some.
const THINGS: usize = 10;
/// No reorg of a world is deeper.
pub(crate) const REORG_MAX: usize = 6;

/// All blocks, the best chain, and the memory of other nodes.
pub(crate) struct Nodes {
    pub(crate) blocks: BTreeMap<BlockHash, Block>,
    pub(crate) best: Vec<BlockHash>,
    memory: Vec<Transaction>,
    /// What waits to be paid to our wallet by strangers.
    pub(crate) gifts: Vec<ScriptBuf>,
    /// What strangers have paid it: it comes again after each reorg.
    given: Vec<Transaction>,
    salt: u64,
}

/// Something that can be watched for.
pub(crate) fn thing(dice: &mut Dice) -> Watch {
    let number = dice.below(THINGS) as u64;
    match dice.one_in(2) {
        true => Watch::Spend(outpoint(number)),
        false => Watch::Pay(script(number)),
    }
}

pub(crate) fn script(number: u64) -> ScriptBuf {
    ScriptBuf::from_bytes([&[0x00, 0x14][..], &[9; 12], &number.to_be_bytes()].concat())
}

/// An output that need not exist.
fn outpoint(number: u64) -> OutPoint {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    OutPoint { txid: Txid::from_byte_array(bytes), vout: 0 }
}

fn pays(spends: &[OutPoint], pays: &[(ScriptBuf, u64)]) -> Transaction {
    let input = |previous_output: &OutPoint| TxIn {
        previous_output: *previous_output,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::MAX,
        witness: Witness::from_slice(&[[7; 70]]),
    };
    let output = |(script, value): &(ScriptBuf, u64)| TxOut {
        value: Amount::from_sat(*value),
        script_pubkey: script.clone(),
    };
    Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: spends.iter().map(input).collect(),
        output: pays.iter().map(output).collect(),
    }
}

impl Nodes {
    pub(crate) fn new() -> Self {
        let first = constants::genesis_block(Network::Regtest);
        let hash = first.block_hash();
        let (blocks, best) = (BTreeMap::from([(hash, first)]), vec![hash]);
        Self { blocks, best, memory: Vec::new(), gifts: Vec::new(), given: Vec::new(), salt: 0 }
    }

    pub(crate) fn tip(&self) -> BlockHash {
        *self.best.last().expect("it has a first")
    }

    fn in_chain(&self) -> impl Iterator<Item = &Transaction> {
        self.best.iter().flat_map(|hash| &self.blocks[hash].txdata)
    }

    pub(crate) fn is_confirmed(&self, txid: Txid) -> bool {
        self.in_chain().any(|it| it.compute_txid() == txid)
    }

    /// Outputs of transactions in the chain and in memory, and what they spend.
    fn coins(&self, with_memory: bool) -> (BTreeSet<OutPoint>, BTreeMap<OutPoint, Txid>) {
        let (mut made, mut spent) = (BTreeSet::new(), BTreeMap::new());
        let memory = self.memory.iter().filter(|_| with_memory);
        for transaction in self.in_chain().chain(memory) {
            let txid = transaction.compute_txid();
            made.extend((0..transaction.output.len() as u32).map(|vout| OutPoint { txid, vout }));
            spent.extend(transaction.input.iter().map(|it| (it.previous_output, txid)));
        }
        (made, spent)
    }

    /// Another transaction in the chain spends what this one spends.
    pub(crate) fn is_impossible(&self, transaction: &Transaction) -> bool {
        let (_, spent) = self.coins(false);
        let txid = transaction.compute_txid();
        let by = transaction.input.iter().filter_map(|it| spent.get(&it.previous_output));
        by.into_iter().any(|by| *by != txid)
    }

    /// What these pay that nobody has spent: coins of scripts.
    pub(crate) fn unspent(&self, scripts: &BTreeSet<ScriptBuf>) -> BTreeSet<OutPoint> {
        let (_, spent) = self.coins(false);
        let mut coins = BTreeSet::new();
        for transaction in self.in_chain() {
            let txid = transaction.compute_txid();
            for (vout, output) in (0..).zip(&transaction.output) {
                let outpoint = OutPoint { txid, vout };
                if scripts.contains(&output.script_pubkey) && !spent.contains_key(&outpoint) {
                    coins.insert(outpoint);
                }
            }
        }
        coins
    }

    /// What an honest node says to a publication.
    pub(crate) fn publish(&mut self, transaction: &Transaction) -> PublishAnswer {
        let txid = transaction.compute_txid();
        if self.is_confirmed(txid) {
            return PublishAnswer::Confirmed;
        }
        if self.memory.iter().any(|it| it.compute_txid() == txid) {
            return PublishAnswer::Known;
        }
        let ((_, spent), (made, _)) = (self.coins(false), self.coins(true));
        let missing = |it: &OutPoint| spent.contains_key(it) || !made.contains(it);
        let inputs = || transaction.input.iter().map(|it| it.previous_output);
        if inputs().any(|it| missing(&it)) {
            return PublishAnswer::parse("bad-txns-inputs-missingorspent");
        }
        let clashes = |it: &Transaction| {
            it.input.iter().any(|its| inputs().any(|it| it == its.previous_output))
        };
        let evicted: Vec<&Transaction> = self.memory.iter().filter(|it| clashes(it)).collect();
        let (got, have) = (self.fee(transaction), evicted.iter().map(|it| self.fee(it)).sum());
        if !evicted.is_empty() && got <= have {
            let why = format!("insufficient fee, rejecting replacement, {got} <= {have}");
            return PublishAnswer::parse(&why);
        }
        self.memory.retain(|it| !clashes(it));
        self.memory.push(transaction.clone());
        self.tidy();
        PublishAnswer::Accepted
    }

    /// What is left for whoever mines it, in satoshis. Strangers pay nothing.
    fn fee(&self, transaction: &Transaction) -> u64 {
        let spends = |outpoint: &OutPoint| {
            transaction.input.iter().any(|it| it.previous_output == *outpoint)
        };
        let mut paid = 0;
        for parent in self.in_chain().chain(&self.memory) {
            let txid = parent.compute_txid();
            for (vout, output) in (0..).zip(&parent.output) {
                if spends(&OutPoint { txid, vout }) {
                    paid += output.value.to_sat();
                }
            }
        }
        let out: u64 = transaction.output.iter().map(|it| it.value.to_sat()).sum();
        paid.saturating_sub(out)
    }

    pub(crate) fn forget(&mut self) {
        self.memory.clear();
    }

    /// What has become impossible goes.
    fn tidy(&mut self) {
        let (mut made, spent) = self.coins(false);
        for transaction in std::mem::take(&mut self.memory) {
            let possible = |it: &TxIn| {
                made.contains(&it.previous_output) && !spent.contains_key(&it.previous_output)
            };
            if transaction.input.iter().all(possible) {
                let txid = transaction.compute_txid();
                let outputs = 0..transaction.output.len() as u32;
                made.extend(outputs.map(|vout| OutPoint { txid, vout }));
                self.memory.push(transaction);
            }
        }
    }

    /// One block more. In a calm world it takes all that waits.
    pub(crate) fn mine(&mut self, calm: bool, dice: &mut Dice) {
        self.salt += 1;
        let mut inside: Vec<Transaction> = Vec::new();
        let (mut made, _) = self.coins(false);
        for transaction in std::mem::take(&mut self.memory) {
            let has_parents = transaction.input.iter().all(|it| made.contains(&it.previous_output));
            if has_parents && (calm || dice.one_in(2)) {
                let txid = transaction.compute_txid();
                let outputs = 0..transaction.output.len() as u32;
                made.extend(outputs.map(|vout| OutPoint { txid, vout }));
                inside.push(transaction);
            } else {
                self.memory.push(transaction);
            }
        }
        for script in std::mem::take(&mut self.gifts) {
            let from = outpoint(1 << 40 | self.given.len() as u64);
            self.given.push(pays(&[from], &[(script, 200_000)]));
        }
        let missing = self.given.iter().filter(|gift| {
            let outpoint = OutPoint { txid: gift.compute_txid(), vout: 0 };
            !made.contains(&outpoint)
        });
        inside.extend(missing.cloned().collect::<Vec<_>>());
        if !calm {
            for _ in 0..dice.below(3) {
                inside.push(self.stranger(dice));
            }
        }
        let block = assemble(self.tip(), self.salt, inside);
        let hash = block.block_hash();
        self.blocks.insert(hash, block);
        self.best.push(hash);
        self.tidy();
    }

    /// A transaction of somebody whom somebody watches.
    fn stranger(&mut self, dice: &mut Dice) -> Transaction {
        self.salt += 1;
        let (mut spends, mut to) = (vec![outpoint(1 << 50 | self.salt)], Vec::new());
        for _ in 0..dice.below(3) {
            match thing(dice) {
                Watch::Spend(outpoint) if !spends.contains(&outpoint) => spends.push(outpoint),
                Watch::Spend(_) => {}
                Watch::Pay(script) => to.push((script, 1_000)),
            }
        }
        to.push((script(99), 1_000));
        pays(&spends, &to)
    }

    /// Another branch becomes the best. What was in the old one is forgotten, but for gifts.
    pub(crate) fn fork(&mut self, dice: &mut Dice) {
        let depth = 1 + dice.below(REORG_MAX.min(self.best.len()));
        let depth = depth.min(self.best.len() - 1);
        self.best.truncate(self.best.len() - depth);
        self.tidy();
        for _ in 0..depth + 1 {
            self.mine(false, dice);
        }
    }

    pub(crate) fn headers(&self, view: usize, locator: &[BlockHash]) -> Vec<Header> {
        let best = &self.best[..view];
        let known = locator.iter().find_map(|hash| best.iter().position(|it| it == hash));
        best[known.unwrap_or(0) + 1..].iter().map(|hash| self.blocks[hash].header).collect()
    }

    /// All that is in the best chain of a watch.
    pub(crate) fn truth(&self, watch: &Watch) -> BTreeSet<(BlockRef, Hit)> {
        let mut hits = BTreeSet::new();
        for (height, hash) in (0..).zip(&self.best) {
            let block = BlockRef { height: Height(height), hash: *hash };
            for transaction in &self.blocks[hash].txdata {
                let txid = transaction.compute_txid();
                for (at, input) in (0..).zip(&transaction.input) {
                    if *watch == Watch::Spend(input.previous_output) {
                        hits.insert((block, Hit { txid, part: FoundIn::Input(at) }));
                    }
                }
                for (at, output) in (0..).zip(&transaction.output) {
                    if matches!(watch, Watch::Pay(script) if *script == output.script_pubkey) {
                        hits.insert((block, Hit { txid, part: FoundIn::Output(at) }));
                    }
                }
            }
        }
        hits
    }
}

/// A block behind another, with a commitment to its signatures.
fn assemble(parent: BlockHash, salt: u64, transactions: Vec<Transaction>) -> Block {
    let mut coinbase =
        pays(&[OutPoint::null()], &[(script(salt | 1 << 60), 5_000), (script(0), 0)]);
    coinbase.input[0].witness = Witness::from_slice(&[[0; 32]]);
    let txdata = std::iter::once(coinbase).chain(transactions).collect();
    let header = Header {
        version: block::Version::TWO,
        prev_blockhash: parent,
        merkle_root: TxMerkleNode::all_zeros(),
        time: salt as u32,
        bits: CompactTarget::from_consensus(0x207f_ffff),
        nonce: 0,
    };
    let mut block = Block { header, txdata };
    let root = block.witness_root().expect("it has a coinbase");
    let commitment = Block::compute_witness_commitment(&root, &[0; 32]);
    let mut script = vec![0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];
    script.extend_from_slice(commitment.as_byte_array());
    block.txdata[0].output[1].script_pubkey = ScriptBuf::from_bytes(script);
    block.header.merkle_root = block.compute_merkle_root().expect("it has a coinbase");
    work(&mut block.header);
    block
}

pub(crate) fn work(header: &mut Header) {
    while header.validate_pow(header.target()).is_err() {
        header.nonce += 1;
    }
}
