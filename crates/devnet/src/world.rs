//! The kernel, our index and the mempool, as one world.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use bitcoin::{Amount, Block, BlockHash, OutPoint, Script, Transaction, TxOut, Txid};

use crate::{
    bank::Bank,
    fault::Fault,
    journal::{Journal, Record},
    kernel::{Kernel, Verdict},
    ledger::{BlockRef, Draft, Ledger, MATURITY_BLOCKS, Standing, Step, subsidy},
    mempool::{Mempool, PackageFault, Part, Plan, Policy, Rate, Refusal, Room},
};

/// Blocks mined at once.
pub const MINED_MAX: u32 = 100_000;
/// Coinbases that are ripe once a fresh world has been asked for money.
const RIPE_COINBASES: u32 = 10;
/// Blocks mined for one funding.
const FUND_BLOCKS_MAX: u32 = MATURITY_BLOCKS + 100;

/// A devnet that several have: a server, a miner, a test.
pub type Shared = Arc<Mutex<Devnet>>;

/// The devnet itself. Whoever panicked with it has left it whole: every act refuses before it
/// changes anything.
pub fn lock(shared: &Shared) -> MutexGuard<'_, Devnet> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What time it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Each block is so many seconds behind its parent: the same acts make the same blocks.
    Steps {
        /// Seconds.
        seconds: u32,
    },
    /// The machine's, so that clients see a fresh chain.
    Wall,
}

/// A block made here, and what the kernel says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mined {
    /// Where it is.
    pub block: BlockRef,
    /// What the kernel says.
    pub verdict: Verdict,
}

/// A regtest chain with a mempool, validated by Bitcoin Core's kernel.
#[derive(Debug)]
pub struct Devnet {
    kernel: Kernel,
    ledger: Ledger,
    pool: Mempool,
    bank: Bank,
    clock: Clock,
    estimate: Option<Rate>,
    disk: Option<Disk>,
}

/// Where a devnet is on disk.
#[derive(Debug)]
struct Disk {
    folder: PathBuf,
    journal: Journal,
    /// How often blocks were invalidated or reconsidered: each time the kernel begins anew.
    turns: u32,
}

impl Disk {
    fn kernel(&self) -> PathBuf {
        self.folder.join(format!("kernel-{}", self.turns))
    }

    fn kernels(&self) -> impl Iterator<Item = PathBuf> + use<> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let ours = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with("kernel-"))
        };
        entries.map(|entry| entry.path()).filter(ours)
    }
}

impl Devnet {
    /// For several: a server, a miner, a test.
    pub fn shared(self) -> Shared {
        Arc::new(Mutex::new(self))
    }

    /// A fresh world that leaves nothing behind, with ten minutes between blocks.
    pub fn in_memory() -> Result<Self, Fault> {
        Ok(Self::around(Kernel::in_memory()?, None, Clock::Steps { seconds: 600 }))
    }

    /// The world in a folder, or a fresh one there, on the machine's clock.
    pub fn open(folder: &Path) -> Result<Self, Fault> {
        fs::create_dir_all(folder).map_err(|error| Fault::disk(folder, &error))?;
        let (journal, records) = Journal::open(&folder.join("blocks"))?;
        let turn =
            |record: &&Record| matches!(record, Record::Invalidated(_) | Record::Reconsidered(_));
        let turns = u32::try_from(records.iter().filter(turn).count()).unwrap_or(u32::MAX);
        let disk = Disk { folder: folder.to_owned(), journal, turns };
        for old in disk.kernels().filter(|path| *path != disk.kernel()) {
            fs::remove_dir_all(&old).map_err(|error| Fault::disk(&old, &error))?;
        }
        let kernel = match Kernel::open(&disk.kernel()) {
            Ok(kernel) => kernel,
            // Whatever is wrong with its files: all that matters is in the journal.
            Err(_) => {
                fs::remove_dir_all(disk.kernel()).ok();
                Kernel::open(&disk.kernel())?
            }
        };
        let mut devnet = Self::around(kernel, Some(disk), Clock::Wall);
        devnet.replay(records)?;
        Ok(devnet)
    }

    fn around(kernel: Kernel, disk: Option<Disk>, clock: Clock) -> Self {
        let (ledger, pool) = (Ledger::new(), Mempool::new(Policy::default()));
        Self { kernel, ledger, pool, bank: Bank::new(), clock, estimate: None, disk }
    }

    fn replay(&mut self, records: Vec<Record>) -> Result<(), Fault> {
        let mut waiting = Vec::new();
        for record in records {
            match record {
                Record::Block(block) => self.ledger.store(block).map_err(Fault::Disagree)?,
                Record::Transaction(tx) => waiting.push(tx),
                Record::Invalidated(hash) => self.ledger.mark(&hash, Standing::Invalidated),
                Record::Reconsidered(hash) => self.ledger.unmark(&hash),
            }
        }
        self.feed();
        self.follow_kernel()?;
        for tx in waiting {
            // What has been mined, replaced or refused since then stays out.
            self.pool.submit(&self.ledger, tx, self.now()).ok();
        }
        Ok(())
    }

    /// Hands the kernel all blocks that count, in the order in which they came.
    fn feed(&self) {
        let good = self.ledger.nodes().filter(|(hash, _)| !self.ledger.is_refused(hash));
        let mut nodes: Vec<_> = good.map(|(_, node)| node).collect();
        nodes.sort_by_key(|node| node.order);
        for node in nodes {
            self.kernel.process(&node.block);
        }
    }

    fn follow_kernel(&mut self) -> Result<Step, Fault> {
        let step = self.ledger.follow(self.kernel.tip()).map_err(Fault::Disagree)?;
        let now = self.now();
        self.pool.follow(&self.ledger, &step, now);
        Ok(step)
    }

    fn note(&mut self, record: &Record) -> Result<(), Fault> {
        match &mut self.disk {
            Some(disk) => disk.journal.append(record),
            None => Ok(()),
        }
    }

    /// Who decides.
    pub const fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// Our index: blocks, the active chain, its coins.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What waits for a block.
    pub const fn mempool(&self) -> &Mempool {
        &self.pool
    }

    /// The devnet's own money.
    pub const fn bank(&self) -> &Bank {
        &self.bank
    }

    /// The newest block.
    pub fn tip(&self) -> BlockRef {
        self.ledger.tip()
    }

    /// Changes the clock. Blocks that are there keep their times.
    pub const fn set_clock(&mut self, clock: Clock) {
        self.clock = clock;
    }

    /// Changes the mempool's numbers. Who waits stays.
    pub fn set_policy(&mut self, policy: Policy) {
        self.pool.set_policy(policy);
    }

    /// What `estimatesmartfee` answers. Nothing, unless told: so does a bitcoind that has seen no
    /// market.
    pub const fn fee_estimate(&self) -> Option<Rate> {
        self.estimate
    }

    /// Changes that.
    pub const fn set_fee_estimate(&mut self, rate: Option<Rate>) {
        self.estimate = rate;
    }

    /// Seconds since 1970: the machine's, or those of the newest block.
    fn now(&self) -> u64 {
        match self.clock {
            Clock::Steps { .. } => {
                let tip = self.ledger.node(&self.ledger.tip().hash);
                tip.map_or(0, |node| u64::from(node.block.header.time))
            }
            Clock::Wall => wall_clock(),
        }
    }

    /// The time of a block behind another one.
    fn time_behind(&self, parent: &BlockHash) -> u32 {
        let Some(node) = self.ledger.node(parent) else { return 0 };
        let time = match self.clock {
            Clock::Steps { seconds } => node.block.header.time.saturating_add(seconds),
            Clock::Wall => u32::try_from(wall_clock()).unwrap_or(u32::MAX),
        };
        time.max(node.median.saturating_add(1))
    }

    /// Mines a block of all that waits, to a script or to the bank.
    pub fn mine(&mut self, to: Option<&Script>) -> Result<Mined, Fault> {
        let time = self.time_behind(&self.tip().hash);
        self.mine_at(to, time)
    }

    /// The same, at a time of its own.
    pub fn mine_at(&mut self, to: Option<&Script>, time: u32) -> Result<Mined, Fault> {
        let (transactions, fees) = self.pool.choose(Room::BLOCK);
        let txs = transactions.iter().map(|tx| Transaction::clone(tx)).collect();
        self.mine_on(self.tip(), to, time, txs, fees)
    }

    /// Mines blocks, the first one of all that waits.
    pub fn mine_many(&mut self, count: u32, to: Option<&Script>) -> Result<Vec<Mined>, Fault> {
        let (got, max) = (count, MINED_MAX);
        if got > max {
            return Err(Fault::TooMany { got, max });
        }
        (0..count).map(|_| self.mine(to)).collect()
    }

    /// Mines a block of these transactions, whatever the mempool says. Their fees are nobody's.
    pub fn mine_of(&mut self, txs: Vec<Transaction>) -> Result<Mined, Fault> {
        let time = self.time_behind(&self.tip().hash);
        self.mine_on(self.tip(), None, time, txs, Amount::ZERO)
    }

    fn mine_on(
        &mut self,
        parent: BlockRef,
        to: Option<&Script>,
        time: u32,
        transactions: Vec<Transaction>,
        fees: Amount,
    ) -> Result<Mined, Fault> {
        let height = parent.height + 1;
        let draft = Draft {
            parent: parent.hash,
            height,
            time,
            to: to.unwrap_or_else(|| self.bank.script()),
            reward: subsidy(height) + fees,
            extra: self.ledger.nodes().len() as u64,
            transactions,
        };
        let block = draft.mine();
        let hash = block.block_hash();
        match self.submit_block(block)? {
            Verdict::Refused(reason) | Verdict::Cut(reason) => Err(Fault::Refused(reason)),
            verdict @ (Verdict::Connected | Verdict::Stored | Verdict::Known) => {
                Ok(Mined { block: BlockRef { height, hash }, verdict })
            }
        }
    }

    /// Hands a block in. The kernel decides, index and mempool follow.
    pub fn submit_block(&mut self, block: Block) -> Result<Verdict, Fault> {
        let verdict = self.kernel.process(&block);
        match verdict {
            Verdict::Connected | Verdict::Stored | Verdict::Cut(_) => {
                self.note(&Record::Block(block.clone()))?;
                self.ledger.store(block).map_err(Fault::Disagree)?;
                self.follow_kernel()?;
            }
            Verdict::Known | Verdict::Refused(_) => {}
        }
        Ok(verdict)
    }

    /// Replaces the newest blocks by a heavier branch of as many and one more, or as many as
    /// there are contents. What was in the old ones waits again.
    pub fn reorg(
        &mut self,
        depth: u32,
        contents: Vec<Vec<Transaction>>,
    ) -> Result<Vec<Mined>, Fault> {
        let (got, max) = (depth, self.ledger.height());
        if got > max {
            return Err(Fault::TooDeep { got, max });
        }
        let height = max - depth;
        let hash = self.ledger.at(height).expect("it is not above the tip");
        let (mut parent, mut mined) = (BlockRef { height, hash }, Vec::new());
        let blocks = contents.len().max(depth as usize + 1);
        let contents = contents.into_iter().chain(std::iter::repeat(Vec::new()));
        for txs in contents.take(blocks) {
            let time = self.time_behind(&parent.hash);
            let next = self.mine_on(parent, None, time, txs, Amount::ZERO)?;
            parent = next.block;
            mined.push(next);
        }
        Ok(mined)
    }

    /// Takes a block out, with all behind it. The kernel has no such door: it begins anew with all
    /// other blocks.
    pub fn invalidate(&mut self, hash: &BlockHash) -> Result<Step, Fault> {
        match self.ledger.node(hash).map(|node| node.height) {
            None => return Err(Fault::UnknownBlock { hash: *hash }),
            Some(0) => return Err(Fault::FirstBlock),
            Some(_) => {}
        }
        self.note(&Record::Invalidated(*hash))?;
        self.ledger.mark(hash, Standing::Invalidated);
        self.begin_anew()
    }

    /// Takes that back.
    pub fn reconsider(&mut self, hash: &BlockHash) -> Result<Step, Fault> {
        if self.ledger.node(hash).is_none() {
            return Err(Fault::UnknownBlock { hash: *hash });
        }
        self.note(&Record::Reconsidered(*hash))?;
        self.ledger.unmark(hash);
        self.begin_anew()
    }

    fn begin_anew(&mut self) -> Result<Step, Fault> {
        self.kernel = match &mut self.disk {
            None => Kernel::in_memory()?,
            Some(disk) => {
                disk.turns += 1;
                Kernel::open(&disk.kernel())?
            }
        };
        if let Some(disk) = &self.disk {
            for old in disk.kernels().filter(|path| *path != disk.kernel()) {
                fs::remove_dir_all(old).ok();
            }
        }
        self.feed();
        self.follow_kernel()
    }

    /// Takes a transaction into the mempool.
    pub fn submit(&mut self, tx: Transaction) -> Result<Plan, Refusal> {
        let record = self.disk.is_some().then(|| Record::Transaction(tx.clone()));
        let plan = self.pool.submit(&self.ledger, tx, self.now())?;
        // Without its record it is forgotten by the next start, as any mempool may forget.
        record.map(|record| self.note(&record).ok());
        Ok(plan)
    }

    /// Whether a transaction would come into the mempool.
    pub fn judge(&self, tx: &Transaction) -> Result<Plan, Refusal> {
        self.pool.judge(&self.ledger, tx)
    }

    /// What would become of transactions, each with those before it.
    pub fn judge_package(&self, txs: &[Transaction]) -> Result<Vec<Part>, PackageFault> {
        self.pool.judge_package(&self.ledger, txs)
    }

    /// Takes parents and their child into the mempool; the child may pay for all.
    pub fn submit_package(&mut self, txs: &[Transaction]) -> Result<Vec<Part>, PackageFault> {
        let now = self.now();
        let parts = self.pool.submit_package(&self.ledger, txs, now)?;
        for (tx, part) in txs.iter().zip(&parts) {
            if matches!(part.result, Some(Ok(_))) {
                self.note(&Record::Transaction(tx.clone())).ok();
            }
        }
        Ok(parts)
    }

    /// Pays test money to a script. It waits for a block; a fresh world mines its money first.
    pub fn fund(&mut self, script: &Script, amount: Amount) -> Result<OutPoint, Fault> {
        let to = TxOut { value: amount, script_pubkey: script.to_owned() };
        let mut mined = 0;
        if self.ledger.height() == 0 {
            mined = MATURITY_BLOCKS + RIPE_COINBASES;
            self.mine_many(mined, None)?;
        }
        loop {
            let coins = self.bank.coins(&self.ledger, &self.pool);
            match self.bank.pay(&coins, to.clone()) {
                Ok(tx) => {
                    let txid = self.submit(tx)?.txid;
                    return Ok(OutPoint { txid, vout: 0 });
                }
                Err((have, need)) if mined >= FUND_BLOCKS_MAX => {
                    return Err(Fault::Poor { have, need });
                }
                Err(_) => {
                    self.mine(None)?;
                    mined += 1;
                }
            }
        }
    }

    /// A transaction, in the chain or waiting, and its block.
    pub fn transaction(&self, txid: &Txid) -> Option<(&Transaction, Option<BlockRef>)> {
        let waiting = self.pool.entry(txid).map(|entry| (&*entry.tx, None));
        waiting.or_else(|| self.ledger.transaction(txid).map(|(tx, block)| (tx, Some(block))))
    }
}

/// Seconds since 1970.
pub(crate) fn wall_clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
