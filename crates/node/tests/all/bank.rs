//! A treasury with money, a signer and an honest source, and all that it saves.

use bitcoin::{
    Amount, Block, BlockHash, FeeRate, Network, ScriptBuf, Transaction, Txid, block::Header,
};
use chain::{FeeTerms, Height, PublishAnswer, PublishChange, Rates};
use node::{
    io::clock,
    services::treasury::{
        Answer, Ask, AskId, CallId, Change, Command, Effect, Event, Failure, Followed, From,
        NetworkName, PaymentName, Refusal, Reply, Save, Saved, SavedWallet, Sent, SignId,
        SourceFault, State, Step, Terms, Tip, Treasury,
    },
};
use signer::{NodeIndex, Signer};
use wallet::{Order, Recipient, Wanted};
use wire::tick::Tick;

use crate::blocks::{genesis, mine, outpoint, pays};

/// Something that was saved.
#[derive(Clone)]
pub enum Record {
    Own(Vec<u8>),
    Publisher(PublishChange),
    WalletBegun(Vec<u8>),
    Wallet(Vec<u8>),
}

/// A treasury whose source has one honest chain, with everything it has saved.
pub struct Bank {
    pub treasury: Treasury,
    pub blocks: Vec<Block>,
    pub own: Vec<Vec<u8>>,
    pub wallet: SavedWallet,
    pub publisher: chain::PublishState,
    pub asked: Vec<(AskId, Ask)>,
    pub to_sign: Vec<(SignId, signer::Ask)>,
    pub replies: Vec<Result<Reply, Refusal>>,
    /// What was told to be given up.
    pub forgotten: Vec<Txid>,
    pub published: Vec<Transaction>,
    /// What the source says to publications.
    pub says: PublishAnswer,
    /// All that users were told.
    pub events: Vec<Event>,
    /// The source does not have blocks below the ninth.
    pub lacks_old: bool,
    pub failure: Option<Failure>,
    /// How often something was drawn.
    pub draws: u8,
    /// All that was saved, in order.
    pub log: Vec<Record>,
    /// What sources were told of, and how much was saved by then.
    pub told: Vec<(usize, Transaction)>,
    /// What channels hear of the chain.
    pub followed: Vec<Followed>,
    pub now: Tick,
}

pub fn terms() -> Terms {
    Terms {
        network: Network::Regtest,
        challenge: None,
        birthday: None,
        fees: FeeTerms::default(),
        reserve: Amount::ZERO,
    }
}

pub fn signer(byte: u8) -> Signer {
    let seed = apart::seed(byte);
    let key = seed.node_key(Network::Regtest, NodeIndex::FIRST);
    let channels = seed.channel_keys(Network::Regtest, NodeIndex::FIRST);
    Signer::new(key, seed.wallet_key(Network::Regtest), signer::Channels::bolt3(channels))
}

pub fn sign(signer: &mut Signer, ask: signer::Ask) -> signer::Answer {
    signer.answer(signer::LinkId(1), ask, Tick(0), clock::ephemeral)
}

impl Bank {
    /// One with a coin of 200,000 sat in block 1.
    pub fn rich(by: &mut Signer) -> Self {
        let mut bank = Self::poor(by);
        let script = bank.address();
        bank.mine(vec![to(script, 200_000)]);
        bank.serve(by);
        assert_eq!(bank.confirmed(), 200_000);
        bank
    }

    /// One with a wallet and nothing in it.
    pub fn poor(by: &mut Signer) -> Self {
        let mut bank = Self::with(Saved::default());
        bank.blocks.push(genesis());
        bank.treasury.signer_came();
        bank.follow();
        bank.serve(by);
        bank
    }

    pub fn with(saved: Saved) -> Self {
        Self::of(saved, terms())
    }

    pub fn of(saved: Saved, terms: Terms) -> Self {
        let mut bank = Self {
            treasury: Treasury::open(saved, terms, Tick(0)),
            blocks: Vec::new(),
            own: Vec::new(),
            wallet: SavedWallet::default(),
            publisher: chain::PublishState::default(),
            asked: Vec::new(),
            to_sign: Vec::new(),
            replies: Vec::new(),
            forgotten: Vec::new(),
            published: Vec::new(),
            says: PublishAnswer::Accepted,
            events: Vec::new(),
            lacks_old: false,
            failure: None,
            draws: 6,
            log: Vec::new(),
            told: Vec::new(),
            followed: Vec::new(),
            now: Tick(0),
        };
        bank.settle();
        bank
    }

    /// Everything but what was saved is gone.
    pub fn restart(self) -> Self {
        self.restart_owing(Vec::new())
    }

    /// The same, with fundings of channels that are in no block.
    pub fn restart_owing(self, owed: Vec<Transaction>) -> Self {
        let mut own = State::default();
        for bytes in &self.own {
            let change = Change::decode(bytes).expect("ours").expect("known");
            own.evolve(&change, Network::Regtest);
        }
        let keep = |wallet: &SavedWallet| SavedWallet {
            snapshot: wallet.snapshot.clone(),
            changes: wallet.changes.clone(),
        };
        let (wallet, publisher) = (keep(&self.wallet), self.publisher.clone());
        let mut again = Self::with(Saved { own, publisher: publisher.clone(), wallet, owed });
        // What the new one has saved by now comes behind what the old one had.
        again.own.splice(0..0, self.own);
        again.wallet.changes.splice(0..0, self.wallet.changes);
        again.wallet.snapshot = again.wallet.snapshot.take().or(self.wallet.snapshot);
        again.publisher = publisher;
        (again.blocks, again.now, again.draws) = (self.blocks, self.now, self.draws);
        again
    }

    pub fn settle(&mut self) {
        while let Some(step) = self.treasury.poll() {
            self.note(&step);
            match step {
                Step::Save(Save::Own(change)) => self.own.push(change.encode()),
                Step::Save(Save::Publisher(change)) => self.publisher.evolve(&change),
                Step::Save(Save::WalletBegun(bytes)) => self.wallet.snapshot = Some(bytes),
                Step::Save(Save::Wallet(bytes)) => self.wallet.changes.push(bytes),
                Step::Do(Effect::AskSource(id, ask)) => self.asked.push((id, ask)),
                Step::Do(Effect::AskSigner(id, ask)) => self.to_sign.push((id, ask)),
                Step::Do(Effect::Reply { reply, .. }) => self.replies.push(*reply),
                Step::Do(Effect::Tell(event)) => {
                    if let Event::Forgotten { txid } = event {
                        self.forgotten.push(txid);
                    }
                    self.events.push(event);
                }
                Step::Do(Effect::Follow(followed)) => self.followed.push(*followed),
                Step::Do(Effect::Fail(failure)) => self.failure = Some(failure),
            }
        }
    }

    fn note(&mut self, step: &Step) {
        match step {
            Step::Save(Save::Own(change)) => self.log.push(Record::Own(change.encode())),
            Step::Save(Save::Publisher(change)) => {
                self.log.push(Record::Publisher(change.clone()));
            }
            Step::Save(Save::WalletBegun(bytes)) => {
                self.log.push(Record::WalletBegun(bytes.clone()));
            }
            Step::Save(Save::Wallet(bytes)) => self.log.push(Record::Wallet(bytes.clone())),
            Step::Do(Effect::AskSource(_, Ask::Publish { package, .. })) => {
                let count = self.log.len();
                let told = package.transactions().iter().map(|it| (count, (**it).clone()));
                self.told.extend(told);
            }
            Step::Do(_) => {}
        }
    }

    /// Another process goes on with the first so many records.
    pub fn cut(&self, count: usize) -> Self {
        let (mut own, mut wallet) = (State::default(), SavedWallet::default());
        let mut publisher = chain::PublishState::default();
        for record in &self.log[..count] {
            match record {
                Record::Own(bytes) => {
                    let change = Change::decode(bytes).expect("ours").expect("known");
                    own.evolve(&change, Network::Regtest);
                }
                Record::Publisher(change) => publisher.evolve(change),
                Record::WalletBegun(bytes) => wallet.snapshot = Some(bytes.clone()),
                Record::Wallet(bytes) => wallet.changes.push(bytes.clone()),
            }
        }
        let mut cut = Self::with(Saved { own, publisher, wallet, ..Saved::default() });
        (cut.blocks, cut.now, cut.draws) = (self.blocks.clone(), self.now, 100 + count as u8);
        cut.told.extend(self.told.iter().filter(|(saved, _)| *saved <= count).cloned());
        cut
    }

    /// Until nothing is asked of the source any more.
    pub fn follow(&mut self) {
        self.now = Tick(self.now.0.max(self.treasury.wake_at().0));
        self.treasury.wake(self.now);
        self.settle();
        while let Some((id, ask)) = self.asked.pop() {
            let answer = self.answer(ask);
            self.treasury.answered(id, answer, self.now);
            self.settle();
        }
    }

    pub fn answer(&mut self, ask: Ask) -> Result<Answer, SourceFault> {
        let last = Height(self.blocks.len() as u32 - 1);
        Ok(match ask {
            Ask::Tip => Answer::Tip(Tip {
                network: NetworkName { name: "regtest".to_owned(), challenge: None },
                hash: self.tip(),
                blocks: last,
                headers: last,
            }),
            Ask::HeaderAt { at } => {
                let From::At(height) = at else { panic!("it begins where it is told") };
                Answer::HeaderAt { height, header: self.blocks[height.0 as usize].header }
            }
            Ask::Headers { locator } => {
                let old = if self.lacks_old { 9 } else { 0 };
                let known = |block: &Block| locator.contains(&block.block_hash());
                let shared = self.blocks.iter().rposition(known).filter(|at| *at >= old);
                let shared = shared.ok_or_else(|| SourceFault::Nonsense {
                    method: "getblockheader",
                    why: "it knows none of our blocks".to_owned(),
                })?;
                let headers = self.blocks[shared + 1..].iter().map(|block| block.header);
                Answer::Headers(headers.collect::<Vec<Header>>())
            }
            Ask::Block { hash } => {
                let block = self.blocks.iter().find(|block| block.block_hash() == hash);
                Answer::Block(Box::new(block.expect("it was announced").clone()))
            }
            Ask::Publish { package, .. } => {
                self.published.extend(package.transactions().iter().map(|it| (**it).clone()));
                Answer::Published(self.says.clone())
            }
            Ask::Rates { .. } => Answer::Rates(Rates::default()),
        })
    }

    pub fn tip(&self) -> BlockHash {
        self.blocks.last().expect("it begins").block_hash()
    }

    pub fn mine(&mut self, transactions: Vec<Transaction>) {
        let block = mine(self.tip(), self.blocks.len() as u64, transactions);
        self.blocks.push(block);
        let mut times = 0..100;
        while self.treasury.state().cursor.is_none_or(|heard| heard.hash != self.tip()) {
            assert_eq!(self.failure, None);
            times.next().expect("it is asked for its tip now and then");
            self.follow();
        }
    }

    /// Somebody else's chain, which is longer.
    pub fn share(&mut self, blocks: Vec<Block>) {
        self.blocks = blocks;
        let mut times = 0..100;
        while self.treasury.state().cursor.is_none_or(|heard| heard.hash != self.tip()) {
            assert_eq!(self.failure, None);
            times.next().expect("it is asked for its tip now and then");
            self.follow();
        }
    }

    /// The signer answers whatever it is asked.
    pub fn serve(&mut self, signer: &mut Signer) {
        while !self.to_sign.is_empty() {
            let (id, ask) = self.to_sign.remove(0);
            let answer = sign(signer, ask);
            self.treasury.signer_answered(id, Some(answer));
            self.settle();
            self.follow();
        }
    }

    pub fn call(&mut self, command: Command) {
        self.treasury.call(CallId(1), command, self.now);
        self.settle();
    }

    pub fn replied(&mut self, command: Command) -> Reply {
        self.call(command);
        self.replies.pop().expect("at once").expect("it is done")
    }

    pub fn address(&mut self) -> ScriptBuf {
        let Reply::Address(address) = self.replied(Command::Address) else { panic!("address") };
        address.script_pubkey()
    }

    pub fn balance(&mut self) -> wallet::Balance {
        let Reply::Balance(balance) = self.replied(Command::Balance) else { panic!("balance") };
        balance
    }

    pub fn confirmed(&mut self) -> u64 {
        self.balance().confirmed.to_sat()
    }

    pub fn send(&mut self, sat: u64) {
        self.send_as(None, sat);
    }

    pub fn send_as(&mut self, name: Option<&str>, sat: u64) {
        let name = name.map(|name| PaymentName::new(name).expect("a name"));
        let to = Recipient::Script(ScriptBuf::from_bytes([&[0x51, 0x20][..], &[2; 32]].concat()));
        let rate = FeeRate::from_sat_per_vb(2).expect("it fits");
        let order = Order::new(to, Wanted::Exactly(Amount::from_sat(sat)), rate);
        self.draws += 1;
        let draw = [self.draws; 32];
        self.call(Command::Send { order, spend_reserve: false, name, draw });
    }

    /// A payment that a source has, or waits for one.
    pub fn paid(&mut self, by: &mut Signer, name: Option<&str>, sat: u64) -> Sent {
        self.send_as(name, sat);
        self.serve(by);
        self.sent()
    }

    pub fn sent(&mut self) -> Sent {
        match self.replies.pop() {
            Some(Ok(Reply::Sent(sent))) => sent,
            other => panic!("{other:?}"),
        }
    }

    pub fn forget(&mut self, txid: Txid, force: bool) -> Result<Reply, Refusal> {
        self.call(Command::Forget { txid, force });
        self.replies.pop().expect("at once")
    }

    pub fn is_published(&self, txid: Txid) -> bool {
        let all = self.publisher.publications.values();
        let mut all = all.flat_map(|it| it.package.transactions());
        all.any(|transaction| transaction.compute_txid() == txid)
    }

    /// The source goes away, and comes back.
    pub fn lose(&mut self) {
        let fault = SourceFault::Unreachable { why: "gone".to_owned() };
        self.now = self.treasury.wake_at();
        self.treasury.wake(self.now);
        self.settle();
        for (id, _) in std::mem::take(&mut self.asked) {
            self.treasury.answered(id, Err(fault.clone()), self.now);
            self.settle();
        }
        self.follow();
        self.follow();
    }
}

/// A gift of somebody.
pub fn to(script: ScriptBuf, sat: u64) -> Transaction {
    let mut gift = pays(&[outpoint(sat)], &[script]);
    gift.output[0].value = Amount::from_sat(sat);
    gift
}
