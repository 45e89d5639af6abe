//! The chain that all nodes of a town share: real scripts, a mempool, branches, and who has what.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, LazyLock},
};

use bitcoin::{
    Amount, Block, BlockHash, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid,
    absolute::LockTime, block::Header, transaction,
};
use chain::{Height, Package, PublishAnswer, Rates, Target};
use devnet::{
    ledger::{Ledger, Step, plain},
    mempool::{Mempool, Policy, Refusal, Room},
};
use node::services::treasury::{Answer, Ask, From, NetworkName, Tip};
use wire::dice::Dice;

use super::{Broken, HOUSES_MAX, keys};

/// Coins of each house, and what is in each.
pub(crate) const COINS: u32 = 6;
pub(crate) const COIN: Amount = Amount::from_sat(500_000);
/// Blocks before any world begins: the first coinbase is ripe, and all coins are deep.
const PRELUDE_BLOCKS: u32 = 112;
const FORTUNES: u32 = 103;
const FEE: Amount = Amount::from_sat(2_000);
/// Seconds between blocks.
const SPACING_SECONDS: u32 = 600;
/// No reorg of a world is deeper.
const REORG_MAX: usize = 4;

/// All blocks, the best chain, and what waits.
#[derive(Clone)]
pub(crate) struct TownChain {
    ledger: Ledger,
    memory: Mempool,
    salt: u64,
}

static PRELUDE: LazyLock<TownChain> =
    LazyLock::new(|| TownChain::found().expect("no rule is broken by coins that are ripe"));

impl TownChain {
    pub(crate) fn new() -> Self {
        PRELUDE.clone()
    }

    fn found() -> Result<Self, Broken> {
        let memory = Mempool::new(Policy::default());
        let mut chain = Self { ledger: Ledger::new(), memory, salt: 0 };
        for height in 1..=PRELUDE_BLOCKS {
            let inside = if height == FORTUNES { vec![chain.fortunes()] } else { Vec::new() };
            chain.append(inside)?;
        }
        Ok(chain)
    }

    /// The first coinbase becomes the coins of all houses.
    fn fortunes(&self) -> Transaction {
        let first = self.block(&self.ledger.at(1).expect("it was made"));
        let (txid, money) = (first.txdata[0].compute_txid(), first.txdata[0].output[0].value);
        let mut output = Vec::new();
        for house in 0..HOUSES_MAX {
            let scripts = keys::first_scripts(house, COINS);
            output.extend(scripts.map(|script_pubkey| TxOut { value: COIN, script_pubkey }));
        }
        let paid = output.iter().map(|it| it.value).sum::<Amount>() + FEE;
        output.push(TxOut { value: money - paid, script_pubkey: plain::anyone() });
        let input = TxIn {
            previous_output: OutPoint { txid, vout: 0 },
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: plain::anyone_witness(),
        };
        let (version, lock_time) = (transaction::Version::TWO, LockTime::ZERO);
        Transaction { version, lock_time, input: vec![input], output }
    }

    pub(crate) fn height(&self) -> u32 {
        self.ledger.height()
    }

    pub(crate) fn tip(&self) -> BlockHash {
        self.ledger.tip().hash
    }

    fn block(&self, hash: &BlockHash) -> &Block {
        &self.ledger.node(hash).expect("only blocks that were made are asked for").block
    }

    fn header(&self, height: u32) -> Header {
        self.block(&self.ledger.at(height).expect("it is not above the tip")).header
    }

    /// All blocks that were ever made, in their order.
    pub(crate) fn made(&self) -> Vec<Arc<Block>> {
        let mut nodes: Vec<_> = self.ledger.nodes().map(|(_, node)| node).collect();
        nodes.sort_by_key(|node| node.order);
        nodes.into_iter().skip(1).map(|node| Arc::clone(&node.block)).collect()
    }

    /// What is in blocks since worlds began, in its order, but for coinbases.
    pub(crate) fn story(&self) -> Vec<&Transaction> {
        let hashes = (PRELUDE_BLOCKS + 1..=self.height()).filter_map(|it| self.ledger.at(it));
        hashes.flat_map(|hash| self.block(&hash).txdata.iter().skip(1)).collect()
    }

    pub(crate) fn transaction(&self, txid: &Txid) -> Option<&Transaction> {
        self.ledger.transaction(txid).map(|(transaction, _)| transaction)
    }

    pub(crate) fn is_unspent(&self, outpoint: &OutPoint) -> bool {
        self.ledger.coins().contains_key(outpoint)
    }

    /// What scripts have.
    pub(crate) fn worth(&self, scripts: &BTreeSet<ScriptBuf>) -> Amount {
        let coins = self.ledger.coins().values().map(|coin| &coin.output);
        coins.filter(|it| scripts.contains(&it.script_pubkey)).map(|it| it.value).sum()
    }

    /// What an honest source says that has seen all but the last blocks.
    pub(crate) fn answer(&mut self, ask: &Ask, height: u32) -> Answer {
        match ask {
            Ask::Tip => Answer::Tip(Tip {
                network: NetworkName { name: "regtest".to_owned(), challenge: None },
                hash: self.header(height).block_hash(),
                blocks: Height(height),
                headers: Height(height),
            }),
            Ask::HeaderAt { at } => {
                let at = match at {
                    From::Below(depth) => height.saturating_sub(*depth),
                    From::At(at) => at.0.min(height),
                };
                Answer::HeaderAt { height: Height(at), header: self.header(at) }
            }
            Ask::Headers { locator } => {
                let known = locator.iter().filter(|hash| self.ledger.is_active(hash));
                let mut heights = known.filter_map(|hash| Some(self.ledger.node(hash)?.height));
                let known = heights.find(|it| *it <= height).unwrap_or(0);
                Answer::Headers((known + 1..=height).map(|it| self.header(it)).collect())
            }
            Ask::Block { hash } => Answer::Block(Box::new(self.block(hash).clone())),
            Ask::Publish { package, .. } => Answer::Published(self.publish(package)),
            Ask::Rates { .. } => {
                let rate = bitcoin::FeeRate::from_sat_per_kwu;
                let estimates = BTreeMap::from([(Target(2), rate(1_500)), (Target(12), rate(500))]);
                Answer::Rates(Rates { estimates, mempool_min: Some(rate(250)) })
            }
        }
    }

    fn publish(&mut self, package: &Package) -> PublishAnswer {
        let all: Vec<Transaction> =
            package.transactions().iter().map(|it| Transaction::clone(it)).collect();
        let results: Vec<_> = match &all[..] {
            [one] => {
                vec![Some(self.memory.submit(&self.ledger, one.clone(), 0).map(|_| ()))]
            }
            several => match self.memory.submit_package(&self.ledger, several, 0) {
                Ok(parts) => {
                    let results = parts.into_iter().map(|part| part.result);
                    results.map(|it| it.map(|it| it.map(|_| ()))).collect()
                }
                Err(fault) => return PublishAnswer::parse(fault.word()),
            },
        };
        let each = all.iter().zip(results).map(|(transaction, result)| match result {
            Some(Ok(())) => PublishAnswer::Accepted,
            _ if self.transaction(&transaction.compute_txid()).is_some() => {
                PublishAnswer::Confirmed
            }
            Some(Err(Refusal::Known)) => PublishAnswer::Known,
            Some(Err(refusal)) => PublishAnswer::parse(&refusal.to_string()),
            None => PublishAnswer::parse("bad-txns-inputs-missingorspent"),
        });
        PublishAnswer::of_all(each.collect::<Vec<_>>()).unwrap_or(PublishAnswer::Known)
    }

    /// One block more, with all that waits or some of it.
    pub(crate) fn mine(&mut self, all: bool, dice: &mut Dice) -> Result<(), Broken> {
        let (chosen, _) = self.memory.choose(Room::BLOCK);
        let (mut left_out, mut inside) = (BTreeSet::new(), Vec::new());
        for transaction in chosen {
            let spends = |it: &TxIn| left_out.contains(&it.previous_output.txid);
            if transaction.input.iter().any(spends) || !all && dice.one_in(4) {
                left_out.insert(transaction.compute_txid());
            } else {
                inside.push(Transaction::clone(&transaction));
            }
        }
        self.append(inside)
    }

    fn append(&mut self, contents: Vec<Transaction>) -> Result<(), Broken> {
        let step = self.connect(contents)?;
        self.memory.follow(&self.ledger, &step, 0);
        Ok(())
    }

    fn connect(&mut self, contents: Vec<Transaction>) -> Result<Step, Broken> {
        self.salt += 1;
        let time = self.header(self.height()).time + SPACING_SECONDS;
        let block = self.ledger.next_block(&plain::anyone(), time, self.salt, contents);
        let step = block.and_then(|block| self.ledger.offer(block, None));
        step.map_err(|fault| format!("no block can be made: {fault}"))
    }

    /// Another branch becomes the best. What was in the old one waits again, or is forgotten with
    /// all that waits, which is told.
    pub(crate) fn fork(&mut self, dice: &mut Dice) -> Result<bool, Broken> {
        let most = REORG_MAX.min((self.height() - PRELUDE_BLOCKS) as usize);
        if most == 0 {
            return Ok(false);
        }
        let depth = 1 + dice.below(most) as u32;
        let base = self.ledger.at(self.height() - depth).expect("the prelude is longer");
        let mut step = self.ledger.follow(base).map_err(|fault| format!("no way back: {fault}"))?;
        for _ in 0..=depth {
            step.come.extend(self.connect(Vec::new())?.come);
        }
        // What waits is looked at when the new branch is there: a lock that was over stays so.
        let forgets = dice.one_in(3);
        match forgets {
            true => self.memory = Mempool::new(Policy::default()),
            false => self.memory.follow(&self.ledger, &step, 0),
        }
        Ok(forgets)
    }
}
