//! A chain, a source of blocks, a signer, and the wallet between them.

use std::collections::BTreeMap;

use bitcoin::{Amount, Block, BlockHash, FeeRate, Network, ScriptBuf, Transaction, Txid};
use chain::{BlockRef, Chain, Headers, Height, User};
use signer::{LinkId, NodeIndex, Seed, Signer};
use wallet::{Draft, Order, Recipient, Refusal, Wallet, Wanted, Wish};
use wire::{dice::Dice, tick::Tick};

use crate::blocks::{genesis, mine, outpoint, transaction};

pub const USER: User = User(3);
pub const NETWORK: Network = Network::Regtest;

pub const WORDS: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon \
                         abandon abandon about";

pub fn sat(sat: u64) -> Amount {
    Amount::from_sat(sat)
}

pub fn rate(sat_per_vb: u64) -> FeeRate {
    FeeRate::from_sat_per_kwu(sat_per_vb * 250)
}

pub fn signer_of(words: &str) -> Signer {
    let seed = Seed::from_words(words).unwrap();
    let channels = signer::Channels::bolt3(seed.channel_keys(NETWORK, NodeIndex::FIRST));
    Signer::new(seed.node_key(NETWORK, NodeIndex::FIRST), seed.wallet_key(NETWORK), channels)
}

pub fn account_of(signer: &mut Signer) -> signer::Account {
    let ask = signer::Ask::WalletAccount;
    let answer = signer.answer(LinkId(1), ask, Tick(0), || unreachable!("no handshake"));
    let signer::Answer::WalletAccount { account } = answer else { panic!("{}", answer.name()) };
    account
}

pub struct World {
    pub chain: Chain,
    pub wallet: Wallet,
    pub signer: Signer,
    /// The best chain, from the genesis block on.
    pub best: Vec<Block>,
    blocks: BTreeMap<BlockHash, Block>,
    pub snapshot: Vec<u8>,
    pub changes: Vec<Vec<u8>>,
    pub dice: Dice,
    salt: u64,
}

impl World {
    pub fn new() -> Self {
        Self::seeded(1)
    }

    pub fn seeded(seed: u64) -> Self {
        let first = genesis();
        let mut signer = signer_of(WORDS);
        let birthday = BlockRef { height: Height(0), hash: first.block_hash() };
        let wallet = Wallet::create(account_of(&mut signer), NETWORK, birthday);
        let headers = Headers::new(NETWORK, Height(0), first.header);
        let mut world = Self {
            chain: Chain::new(headers),
            snapshot: wallet.snapshot(),
            wallet,
            signer,
            best: vec![first],
            blocks: BTreeMap::new(),
            changes: Vec::new(),
            dice: Dice::new(seed),
            salt: 0,
        };
        world.chain.attach(USER, Some(world.wallet.cursor())).unwrap();
        world.settle();
        world
    }

    /// Until nobody has anything to say.
    pub fn settle(&mut self) {
        loop {
            self.save();
            let mut is_quiet = true;
            while let Some(wish) = self.wallet.wish() {
                is_quiet = false;
                match wish {
                    Wish::Watch { watch, from } => {
                        self.chain.watch(USER, watch, from).unwrap();
                    }
                    Wish::Unwatch { watch } => self.chain.unwatch(USER, &watch),
                }
            }
            while let Some(ask) = self.chain.poll() {
                is_quiet = false;
                match ask {
                    chain::Ask::Headers { locator } => {
                        let known = |block: &Block| locator.contains(&block.block_hash());
                        let at = self.best.iter().rposition(known).unwrap();
                        let headers: Vec<_> =
                            self.best[at + 1..].iter().map(|block| block.header).collect();
                        self.chain.handle_headers(&headers).unwrap().unwrap();
                    }
                    chain::Ask::Block { block } => {
                        self.chain.handle_block(self.blocks[&block.hash].clone()).unwrap();
                    }
                    chain::Ask::Publish { .. } | chain::Ask::Rates { .. } => {
                        unreachable!("a chain asks for blocks only")
                    }
                }
            }
            while let Some((_, event)) = self.chain.event() {
                is_quiet = false;
                self.wallet.hear(event).unwrap();
            }
            if is_quiet {
                return;
            }
        }
    }

    pub fn save(&mut self) {
        while let Some(change) = self.wallet.change() {
            self.changes.push(change);
        }
    }

    /// A new process: of all that was there, only what was saved comes back.
    pub fn restart(&mut self) {
        self.save();
        let before = self.wallet.snapshot();
        let account = account_of(&mut self.signer);
        let changes = self.changes.iter().map(Vec::as_slice);
        self.wallet = Wallet::restore(account, NETWORK, &self.snapshot, changes).unwrap();
        assert_eq!(self.wallet.snapshot(), before);
        self.chain = Chain::new(self.chain.headers().clone());
        self.chain.attach(USER, Some(self.wallet.cursor())).unwrap();
        self.settle();
    }

    /// Everything up to here becomes one snapshot.
    pub fn fold(&mut self) {
        self.save();
        self.snapshot = self.wallet.snapshot();
        self.changes.clear();
    }

    pub fn mine(&mut self, transactions: Vec<Transaction>) -> BlockRef {
        self.mine_to(None, transactions)
    }

    pub fn mine_to(&mut self, to: Option<ScriptBuf>, transactions: Vec<Transaction>) -> BlockRef {
        self.salt += 1;
        let parent = self.best.last().unwrap().block_hash();
        let block = mine(parent, self.salt, to, transactions);
        let hash = block.block_hash();
        self.blocks.insert(hash, block.clone());
        self.best.push(block);
        self.chain.handle_tip(hash);
        self.settle();
        BlockRef { height: Height(self.best.len() as u32 - 1), hash }
    }

    pub fn mine_empty(&mut self, blocks: usize) {
        for _ in 0..blocks {
            self.mine(Vec::new());
        }
    }

    /// The last blocks go, and others come, one more than these. The transactions of those that
    /// are gone are given back.
    pub fn reorg(&mut self, depth: usize, mut with: Vec<Vec<Transaction>>) -> Vec<Transaction> {
        let gone = self.best.split_off(self.best.len() - depth);
        with.resize(depth + 1, Vec::new());
        for transactions in with {
            self.salt += 1;
            let parent = self.best.last().unwrap().block_hash();
            let block = mine(parent, self.salt, None, transactions);
            self.blocks.insert(block.block_hash(), block.clone());
            self.best.push(block);
        }
        self.chain.handle_tip(self.best.last().unwrap().block_hash());
        self.settle();
        gone.into_iter().flat_map(|block| block.txdata.into_iter().skip(1)).collect()
    }

    /// Somebody pays to a script of ours.
    pub fn gift_to(&mut self, script: ScriptBuf, sat: u64) -> Transaction {
        transaction(&[outpoint(self.dice.throw())], &[(script, sat)])
    }

    pub fn gift(&mut self, sat: u64) -> Transaction {
        let script = self.wallet.address().unwrap().script_pubkey();
        self.gift_to(script, sat)
    }

    /// Somebody pays us, and it is confirmed.
    pub fn receive(&mut self, sat: u64) -> Txid {
        let gift = self.gift(sat);
        let txid = gift.compute_txid();
        self.mine(vec![gift]);
        txid
    }

    pub fn send(&mut self, order: &Order) -> Result<Draft, Refusal> {
        let draw = self.dice.array();
        self.wallet.send(order, draw)
    }

    pub fn sign(&mut self, draft: &Draft) -> Transaction {
        let ask = signer::Ask::decode(&draft.ask().encode()).unwrap();
        let answer = self.signer.answer(LinkId(1), ask, Tick(0), || unreachable!("no handshake"));
        if let signer::Answer::Refused(refusal) = answer {
            panic!("{refusal}");
        }
        let name = answer.name();
        let signer::Answer::SpendSigned { signatures } = answer else { panic!("{name}") };
        draft.finish(&signatures).unwrap()
    }

    /// From the order to the transaction that is on its way.
    pub fn pay(&mut self, order: &Order) -> Transaction {
        let draft = self.send(order).unwrap();
        self.publish(&draft)
    }

    pub fn publish(&mut self, draft: &Draft) -> Transaction {
        let transaction = self.sign(draft);
        self.wallet.published(transaction.clone()).unwrap();
        self.settle();
        transaction
    }

    pub fn balance(&self) -> wallet::Balance {
        self.wallet.balance(Amount::ZERO)
    }
}

pub fn order(to: ScriptBuf, sats: u64, sat_per_vb: u64) -> Order {
    Order::new(Recipient::Script(to), Wanted::Exactly(sat(sats)), rate(sat_per_vb))
}

pub fn all(to: ScriptBuf, sat_per_vb: u64) -> Order {
    Order::new(Recipient::Script(to), Wanted::All, rate(sat_per_vb))
}

impl World {
    /// What is refused changes nothing, and gives nothing to save.
    pub fn refused<T: std::fmt::Debug>(
        &mut self,
        work: impl FnOnce(&mut Wallet, [u8; 32]) -> Result<T, Refusal>,
    ) -> Refusal {
        self.save();
        let (before, draw) = (self.wallet.snapshot(), self.dice.array());
        let refusal = work(&mut self.wallet, draw).unwrap_err();
        assert_eq!(self.wallet.snapshot(), before);
        assert_eq!((self.wallet.change(), self.wallet.wish()), (None, None));
        assert!(!refusal.to_string().is_empty());
        refusal
    }
}
