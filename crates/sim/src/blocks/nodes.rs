//! All other nodes: the light chain that they agree on, and what waits for a block.
//!
//! Their blocks are such as Bitcoin Core's kernel takes: lies are the source's alone.

use std::{
    collections::BTreeSet,
    sync::{Arc, LazyLock},
};

use bitcoin::{
    Amount, Block, BlockHash, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid,
    absolute::LockTime, block::Header, hashes::Hash as _, transaction,
};
use chain::{BlockRef, FoundIn, Height, PublishAnswer, Watch};
use devnet::{
    ledger::{Ledger, plain},
    mempool::{Mempool, Policy, Refusal},
};
use node::services::treasury::Hit;
use wire::dice::Dice;

use super::Broken;

/// So few scripts are watched that blocks often have some.
const SCRIPTS: usize = 10;
/// Coins that strangers have, and pass among each other.
const STRANGERS: usize = 12;
/// Of what they have made, so much is spoken of.
const THINGS: usize = 16;
/// No reorg of a world is deeper.
const REORG_MAX: usize = 6;
/// What our wallet is given each time, and how often it can be.
const GIFT: Amount = Amount::from_sat(200_000);
const GIFTS: usize = 100;
/// What strangers pay for their way into a block.
const FEE: Amount = Amount::from_sat(500);
/// Seconds between blocks.
const SPACING_SECONDS: u32 = 600;
/// Blocks before any world begins: the first coinbases are ripe, what they were made into is
/// deeper than any reorg, and the next block is not the first with such contents.
const PRELUDE_BLOCKS: u32 = 110;
/// Its blocks whose coinbases are spent, and where.
const FOUNDERS: [u32; 2] = [1, 2];
const FOUNDED: u32 = 103;

/// All blocks, the best chain, and the memory of other nodes.
#[derive(Clone)]
pub(crate) struct Nodes {
    ledger: Ledger,
    memory: Mempool,
    /// What waits to be paid to our wallet by strangers.
    pub(crate) gifts: Vec<ScriptBuf>,
    /// What strangers have paid it: it comes again after each reorg.
    given: Vec<Transaction>,
    /// The transaction whose outputs gifts are made of.
    chest: Txid,
    /// Outputs that strangers have made for each other, on any branch.
    things: Vec<OutPoint>,
    salt: u64,
}

pub(crate) fn script(number: u64) -> ScriptBuf {
    ScriptBuf::from_bytes([&[0x00, 0x14][..], &[9; 12], &number.to_be_bytes()].concat())
}

/// Pays from coins of strangers.
fn pays(spends: &[OutPoint], pays: impl IntoIterator<Item = (ScriptBuf, Amount)>) -> Transaction {
    let input = |previous_output: &OutPoint| TxIn {
        previous_output: *previous_output,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::MAX,
        witness: plain::anyone_witness(),
    };
    let output = |(script_pubkey, value)| TxOut { value, script_pubkey };
    Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: spends.iter().map(input).collect(),
        output: pays.into_iter().map(output).collect(),
    }
}

/// What all worlds begin with.
static PRELUDE: LazyLock<Nodes> =
    LazyLock::new(|| Nodes::found().expect("no rule is broken by coins that are ripe"));

impl Nodes {
    pub(crate) fn new() -> Self {
        PRELUDE.clone()
    }

    fn found() -> Result<Self, Broken> {
        let mut nodes = Self {
            ledger: Ledger::new(),
            memory: Mempool::new(Policy::default()),
            gifts: Vec::new(),
            given: Vec::new(),
            chest: Txid::all_zeros(),
            things: Vec::new(),
            salt: 0,
        };
        for height in 1..=PRELUDE_BLOCKS {
            let inside = if height == FOUNDED { nodes.fortunes() } else { Vec::new() };
            let to = if FOUNDERS.contains(&height) { plain::anyone() } else { script(1 << 60) };
            nodes.append(to, inside)?;
        }
        Ok(nodes)
    }

    /// The first coinbases become coins of strangers, and what gifts are made of.
    fn fortunes(&mut self) -> Vec<Transaction> {
        let coinbase = |height| {
            let block = self.block(&self.ledger.at(height).expect("it was made"));
            let txid = block.txdata[0].compute_txid();
            (OutPoint { txid, vout: 0 }, block.txdata[0].output[0].value)
        };
        let [(first, money), (second, _)] = FOUNDERS.map(coinbase);
        let share = (money - FEE) / STRANGERS as u64;
        let strangers = pays(&[first], vec![(plain::anyone(), share); STRANGERS]);
        let chest = pays(&[second], vec![(plain::anyone(), GIFT + FEE); GIFTS]);
        self.chest = chest.compute_txid();
        self.made_by(&strangers);
        vec![strangers, chest]
    }

    /// Remembers what there is to be watched.
    fn made_by(&mut self, transaction: &Transaction) {
        let (txid, anyone) = (transaction.compute_txid(), plain::anyone());
        let outputs = (0..).zip(&transaction.output);
        let theirs = outputs.filter(|(_, output)| output.script_pubkey == anyone);
        self.things.extend(theirs.map(|(vout, _)| OutPoint { txid, vout }));
    }

    pub(crate) fn tip(&self) -> BlockHash {
        self.ledger.tip().hash
    }

    pub(crate) fn height(&self) -> u32 {
        self.ledger.height()
    }

    pub(crate) fn block(&self, hash: &BlockHash) -> &Block {
        &self.ledger.node(hash).expect("only blocks that were made are asked for").block
    }

    /// The header of the best chain at a height, which is not above the tip.
    pub(crate) fn header(&self, height: u32) -> Header {
        self.block(&self.ledger.at(height).expect("it is not above the tip")).header
    }

    /// All blocks that were ever made, in their order.
    pub(crate) fn made(&self) -> Vec<Arc<Block>> {
        let mut nodes: Vec<_> = self.ledger.nodes().map(|(_, node)| node).collect();
        nodes.sort_by_key(|node| node.order);
        nodes.into_iter().skip(1).map(|node| Arc::clone(&node.block)).collect()
    }

    fn chain(&self) -> impl Iterator<Item = (BlockRef, &Block)> {
        let hashes =
            (0..=self.height()).filter_map(|height| Some((height, self.ledger.at(height)?)));
        hashes.map(|(height, hash)| (BlockRef { height: Height(height), hash }, self.block(&hash)))
    }

    /// How often something is paid to.
    pub(crate) fn paid(&self, to: &ScriptBuf) -> usize {
        let pays = |it: &&Transaction| it.output.iter().any(|output| output.script_pubkey == *to);
        self.chain().flat_map(|(_, block)| &block.txdata).filter(pays).count()
    }

    pub(crate) fn is_confirmed(&self, txid: Txid) -> bool {
        self.ledger.transaction(&txid).is_some()
    }

    /// Another transaction in the chain spends what this one spends.
    pub(crate) fn is_impossible(&self, transaction: &Transaction) -> bool {
        let spends: BTreeSet<_> = transaction.input.iter().map(|it| it.previous_output).collect();
        let spends =
            |it: &Transaction| it.input.iter().any(|it| spends.contains(&it.previous_output));
        let mut clashing =
            self.chain().flat_map(|(_, block)| &block.txdata).filter(|it| spends(it));
        clashing.any(|it| it.compute_txid() != transaction.compute_txid())
    }

    /// What these pay that nobody has spent: coins of scripts.
    pub(crate) fn unspent(&self, scripts: &BTreeSet<ScriptBuf>) -> BTreeSet<OutPoint> {
        let coins = self.ledger.coins().iter();
        let ours = coins.filter(|(_, coin)| scripts.contains(&coin.output.script_pubkey));
        ours.map(|(outpoint, _)| *outpoint).collect()
    }

    /// Something that can be watched for: what there is, was, or is on another branch only.
    pub(crate) fn thing(&self, dice: &mut Dice) -> Watch {
        if dice.one_in(2) {
            let back = dice.below(THINGS.min(self.things.len()));
            return Watch::Spend(self.things[self.things.len() - 1 - back]);
        }
        Watch::Pay(script(dice.below(SCRIPTS) as u64))
    }

    /// What an honest node says to a publication.
    pub(crate) fn publish(&mut self, transaction: &Transaction) -> PublishAnswer {
        match self.memory.submit(&self.ledger, transaction.clone(), 0) {
            Ok(_) => PublishAnswer::Accepted,
            Err(_) if self.is_confirmed(transaction.compute_txid()) => PublishAnswer::Confirmed,
            Err(Refusal::Known) => PublishAnswer::Known,
            Err(refusal) => PublishAnswer::parse(&refusal.to_string()),
        }
    }

    pub(crate) fn forget(&mut self) {
        self.memory = Mempool::new(Policy::default());
    }

    /// One block more. In a calm world it takes all that waits.
    pub(crate) fn mine(&mut self, calm: bool, dice: &mut Dice) -> Result<(), Broken> {
        self.gifts_of_strangers();
        let (mut inside, mut contents) = (BTreeSet::new(), Vec::new());
        for gift in &self.given {
            let txid = gift.compute_txid();
            if !self.is_confirmed(txid) {
                inside.insert(txid);
                contents.push(gift.clone());
            }
        }
        let mut waiting: Vec<_> = self.memory.entries().collect();
        waiting.sort_by_key(|entry| entry.order);
        for entry in waiting {
            let has_parents = entry.parents.is_subset(&inside);
            let is_new = !inside.contains(&entry.txid);
            if is_new && has_parents && (calm || dice.one_in(2)) {
                inside.insert(entry.txid);
                contents.push(Transaction::clone(&entry.tx));
            }
        }
        if !calm {
            self.strangers(&mut contents, dice);
        }
        // Who mines may be watched, too.
        let to = if dice.one_in(4) { dice.below(SCRIPTS) as u64 } else { self.salt | 1 << 60 };
        self.append(script(to), contents)
    }

    fn append(&mut self, to: ScriptBuf, contents: Vec<Transaction>) -> Result<(), Broken> {
        self.salt += 1;
        let time = self.header(self.height()).time + SPACING_SECONDS;
        let block = self.ledger.next_block(&to, time, self.salt, contents);
        let step = block.and_then(|block| self.ledger.offer(block, None));
        let step = step.map_err(|fault| format!("no block can be made: {fault}"))?;
        self.memory.follow(&self.ledger, &step, 0);
        Ok(())
    }

    /// Strangers pay our wallet, for as long as there is something in the chest.
    fn gifts_of_strangers(&mut self) {
        for script in std::mem::take(&mut self.gifts) {
            if self.given.len() < GIFTS {
                let from = OutPoint { txid: self.chest, vout: self.given.len() as u32 };
                self.given.push(pays(&[from], [(script, GIFT)]));
            }
        }
    }

    /// Transactions of strangers whom somebody watches.
    fn strangers(&mut self, contents: &mut Vec<Transaction>, dice: &mut Dice) {
        let anyone = plain::anyone();
        let spent: BTreeSet<_> =
            contents.iter().flat_map(|it| &it.input).map(|it| it.previous_output).collect();
        let is_free = |it: &OutPoint| {
            it.txid != self.chest && !spent.contains(it) && self.memory.spender(it).is_none()
        };
        let coins = self.ledger.coins().iter();
        let theirs = coins.filter(|(outpoint, coin)| {
            coin.output.script_pubkey == anyone && !coin.coinbase && is_free(outpoint)
        });
        let mut coins: Vec<_> =
            theirs.map(|(outpoint, coin)| (*outpoint, coin.output.value)).collect();
        for _ in 0..dice.below(3) {
            let mut spends = Vec::new();
            for _ in 0..1 + dice.below(2) {
                if !coins.is_empty() {
                    spends.push(coins.swap_remove(dice.below(coins.len())));
                }
            }
            let have: Amount = spends.iter().map(|(_, value)| *value).sum();
            let mut to: Vec<_> = (0..dice.below(3))
                .map(|_| (script(dice.below(SCRIPTS) as u64), Amount::from_sat(1_000)))
                .collect();
            let paid = FEE + to.iter().map(|(_, value)| *value).sum();
            let Some(left) = have.checked_sub(paid) else { break };
            // As many coins as before.
            let count = spends.len() as u64;
            to.extend(vec![(anyone.clone(), left / count); spends.len()]);
            let outpoints: Vec<OutPoint> = spends.iter().map(|(outpoint, _)| *outpoint).collect();
            let transaction = pays(&outpoints, to);
            self.made_by(&transaction);
            contents.push(transaction);
        }
    }

    /// Another branch becomes the best. What was in the old one waits again, or is forgotten with
    /// all that waits, but for gifts.
    pub(crate) fn fork(&mut self, dice: &mut Dice) -> Result<(), Broken> {
        let depth = 1 + dice.below(REORG_MAX) as u32;
        let base = self.ledger.at(self.height() - depth).expect("the prelude is longer");
        // Others make it first, and it is told when it is heavier.
        let step = self.ledger.follow(base).map_err(|fault| format!("no way back: {fault}"))?;
        match dice.one_in(2) {
            true => self.forget(),
            false => self.memory.follow(&self.ledger, &step, 0),
        }
        (0..=depth).try_for_each(|_| self.mine(false, dice))
    }

    pub(crate) fn headers(&self, view: u32, locator: &[BlockHash]) -> Vec<Header> {
        let known = locator.iter().filter(|hash| self.ledger.is_active(hash));
        let heights = known.filter_map(|hash| Some(self.ledger.node(hash)?.height));
        let known = heights.into_iter().find(|height| *height <= view).unwrap_or(0);
        (known + 1..=view).map(|height| self.header(height)).collect()
    }

    /// All that is in the best chain of a watch.
    pub(crate) fn truth(&self, watch: &Watch) -> BTreeSet<(BlockRef, Hit)> {
        let mut hits = BTreeSet::new();
        for (block, contents) in self.chain() {
            for transaction in &contents.txdata {
                let mut hit = |part| {
                    let txid = transaction.compute_txid();
                    hits.insert((block, Hit { txid, part }));
                };
                for (at, input) in (0..).zip(&transaction.input) {
                    if *watch == Watch::Spend(input.previous_output) {
                        hit(FoundIn::Input(at));
                    }
                }
                for (at, output) in (0..).zip(&transaction.output) {
                    if matches!(watch, Watch::Pay(script) if *script == output.script_pubkey) {
                        hit(FoundIn::Output(at));
                    }
                }
            }
        }
        hits
    }
}
