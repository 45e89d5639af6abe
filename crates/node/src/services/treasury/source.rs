//! The source of blocks, as the treasury sees it: whether it answers, and whether it can be
//! trusted.
//!
//! While a source is down, elsewhere or lying, it is asked for its tip only, ever more rarely; with
//! its first right answer everything else is asked anew.

use std::{collections::BTreeMap, fmt};

use bitcoin::{Block, BlockHash, Network, block::Header};
use chain::{Attempt, BlockRef, Height, Package, PublishAnswer, Rates, Target};
use wire::tick::{Millis, Tick};

/// Between two questions for the tip of a source that answers.
pub const TIP_EVERY: Millis = Millis(1_000);
/// The first pause after a failure; each further failure doubles it.
pub const RETRY_MIN: Millis = Millis(1_000);
/// The longest pause.
pub const RETRY_MAX: Millis = Millis(30_000);
/// What is not answered by then is not answered at all. A source answers one question after the
/// other: it counts for the first that is open, from when that was its turn.
pub const ANSWER_MAX: Millis = Millis(60_000);
/// Questions that are open at once, but for those that begin a connection.
pub const ASKS_MAX: usize = 8;
/// Between two questions for a block that the source does not have; it doubles each time.
pub const NO_BLOCK_MIN: Millis = Millis(10_000);
/// The longest such pause.
pub const NO_BLOCK_MAX: Millis = Millis(600_000);
/// Blocks that a source does not have, and whose pauses are kept.
const NO_BLOCKS_MAX: usize = 64;
/// Where a block comes each ten minutes, none for so long is there once in a thousand years.
pub const LAG_MAX: Millis = Millis(3 * 3_600_000);
/// bitcoind's number for: ask again later, whatever it is.
pub const WARMING_UP: i32 = -28;
/// What the blocks of the public signet are signed with, as BIP 325 has it.
pub const PUBLIC_SIGNET: &str = concat!(
    "512103ad5e0edad18cb1f0fc0d28a3d4f1f3e445640337489abb10404f2d1e086be430",
    "210359ef5021964fe22d6f8e05b2463c9540ce96883fe3b278760f048f5189f2e6c452ae"
);

/// Names a question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskId(pub u64);

/// A question to a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Which chain, and how far?
    Tip,
    /// The header of a block of its chain.
    HeaderAt {
        /// Which block.
        at: From,
    },
    /// Headers behind the first of these that it has in its chain.
    Headers {
        /// Blocks of ours, the newest first.
        locator: Vec<BlockHash>,
    },
    /// A block.
    Block {
        /// Which one.
        hash: BlockHash,
    },
    /// Hand these to other nodes, together.
    Publish {
        /// Which try of the publisher's it is.
        attempt: Attempt,
        /// What.
        package: Package,
    },
    /// What a transaction pays to be confirmed within so many blocks.
    Rates {
        /// For these.
        targets: Vec<Target>,
    },
}

/// Where a chain begins for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// So many blocks below the tip.
    Below(u32),
    /// Here.
    At(Height),
}

/// What a source answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To [`Ask::Tip`].
    Tip(Tip),
    /// To [`Ask::HeaderAt`].
    HeaderAt {
        /// Its place.
        height: Height,
        /// The header.
        header: Header,
    },
    /// To [`Ask::Headers`].
    Headers(Vec<Header>),
    /// To [`Ask::Block`].
    Block(Box<Block>),
    /// To [`Ask::Publish`].
    Published(PublishAnswer),
    /// To [`Ask::Rates`].
    Rates(Rates),
}

/// How far a source is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tip {
    /// Its network, and the challenge of a signet.
    pub network: NetworkName,
    /// Its newest block.
    pub hash: BlockHash,
    /// How many blocks it has.
    pub blocks: Height,
    /// How many it knows that there are.
    pub headers: Height,
}

/// Which network a source says it is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkName {
    /// Its name, as Bitcoin Core calls it.
    pub name: String,
    /// A signet's challenge, in hex.
    pub challenge: Option<String>,
}

/// Why a source has not answered. What it wanted to say is in there, shortened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceFault {
    /// Nobody is there, or the connection broke.
    Unreachable {
        /// In the system's words.
        why: String,
    },
    /// It does not know us.
    Denied {
        /// What it says.
        why: String,
    },
    /// Its answer is longer than any right one.
    TooLong {
        /// The most that is read.
        max: usize,
    },
    /// Its answer is no answer to this question.
    Nonsense {
        /// Which question.
        method: &'static str,
        /// What is wrong.
        why: String,
    },
    /// It says no.
    Refused {
        /// Which question.
        method: &'static str,
        /// Its number for it.
        code: i32,
        /// In its words.
        why: String,
    },
}

/// How a source is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It has not been reached yet.
    Unknown,
    /// It answers, and has what we have.
    Up,
    /// It answers, and has less than there is.
    Behind {
        /// Its blocks.
        have: Height,
        /// As many as there are.
        want: Height,
    },
    /// It answers, and blocks are long since due.
    Stale {
        /// Its newest block.
        tip: Height,
        /// How old that is, by its own time or by ours.
        age: Millis,
        /// How old it may be.
        max: Millis,
    },
    /// It does not answer.
    Down {
        /// Why.
        why: String,
    },
    /// It is on another network.
    OtherNetwork {
        /// On which.
        got: String,
        /// On which it should be.
        want: String,
    },
    /// What it said cannot be true.
    Lying {
        /// What it said.
        why: String,
    },
}

/// A block that this source does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoBlock {
    /// Which.
    pub block: BlockRef,
    /// Why, in its words.
    pub why: String,
}

/// What is asked, what is not answered, and when to ask again.
pub(super) struct Source {
    pub(super) network: NetworkName,
    pub(super) health: Health,
    /// Seconds since 1970, if anybody has said so.
    pub(super) clock: Option<u32>,
    next: AskId,
    asked: BTreeMap<AskId, Ask>,
    /// When the first of them had its turn.
    turn_at: Tick,
    tip_at: Tick,
    failures: u32,
    no_blocks: BTreeMap<BlockRef, Pause>,
    /// Its newest block, and since when it is that.
    newest: Option<(BlockHash, Tick)>,
}

/// Until a block is asked for again.
struct Pause {
    why: String,
    /// Nothing while it is asked for.
    until: Option<Tick>,
    next: Millis,
}

impl Source {
    pub(super) const fn new(network: NetworkName) -> Self {
        Self {
            network,
            health: Health::Unknown,
            clock: None,
            next: AskId(0),
            asked: BTreeMap::new(),
            turn_at: Tick(0),
            tip_at: Tick(0),
            failures: 0,
            no_blocks: BTreeMap::new(),
            newest: None,
        }
    }

    /// Whether it may be asked for more than its tip.
    pub(super) const fn is_up(&self) -> bool {
        matches!(self.health, Health::Up | Health::Behind { .. } | Health::Stale { .. })
    }

    /// When to look again, at the latest.
    pub(super) fn wake_at(&self) -> Tick {
        let first = (!self.asked.is_empty()).then(|| Tick(self.turn_at.0 + ANSWER_MAX.0));
        // While the tip is asked for it is not due.
        let tip_at = (!self.is_asked(|ask| *ask == Ask::Tip)).then_some(self.tip_at);
        let block = self.no_blocks.values().filter_map(|pause| pause.until).min();
        [first, tip_at, block].into_iter().flatten().min().unwrap_or(self.tip_at)
    }

    /// Whether such a question is open.
    pub(super) fn is_asked(&self, such: impl Fn(&Ask) -> bool) -> bool {
        self.asked.values().any(such)
    }

    /// Whether one question more may be open.
    pub(super) fn has_room(&self) -> bool {
        self.asked.len() < ASKS_MAX
    }

    /// A question, with its name.
    pub(super) fn ask(&mut self, ask: Ask, now: Tick) -> (AskId, Ask) {
        if self.asked.is_empty() {
            self.turn_at = now;
        }
        self.next = AskId(self.next.0 + 1);
        self.asked.insert(self.next, ask.clone());
        (self.next, ask)
    }

    /// Nobody waits for an answer to a question before this one.
    pub(super) fn first_open(&self) -> AskId {
        self.asked.keys().next().copied().unwrap_or(AskId(self.next.0 + 1))
    }

    /// A question has left only now. Says whether anybody still waits for its answer.
    pub(super) fn left(&mut self, id: AskId, now: Tick) -> bool {
        if self.first_open() == id {
            self.turn_at = self.turn_at.max(now);
        }
        self.asked.contains_key(&id)
    }

    /// The question for the tip, if it is time for it.
    pub(super) fn tip_due(&mut self, now: Tick) -> Option<(AskId, Ask)> {
        if now < self.tip_at || self.is_asked(|ask| *ask == Ask::Tip) {
            return None;
        }
        self.tip_at = Tick(now.0 + TIP_EVERY.0);
        Some(self.ask(Ask::Tip, now))
    }

    /// What was asked under this name; nothing if nobody waits for it any more.
    pub(super) fn answered(&mut self, id: AskId, now: Tick) -> Option<Ask> {
        if self.first_open() == id {
            self.turn_at = now;
        }
        self.asked.remove(&id)
    }

    /// Whether something waits for its answer for too long.
    pub(super) fn is_overdue(&self, now: Tick) -> bool {
        !self.asked.is_empty() && now.since(self.turn_at) >= ANSWER_MAX
    }

    /// Nothing more is expected from it, and it is asked again after a pause.
    pub(super) fn fail(&mut self, now: Tick) {
        let pause = RETRY_MIN.0 << self.failures.min(5);
        self.tip_at = Tick(now.0 + pause.min(RETRY_MAX.0));
        self.failures = self.failures.saturating_add(1);
        self.asked.clear();
        self.no_blocks.clear();
    }

    /// It has said something that is right.
    pub(super) const fn succeed(&mut self) {
        self.failures = 0;
    }

    /// It does not have this block. Says whether that is new.
    pub(super) fn has_no_block(&mut self, block: BlockRef, why: String, now: Tick) -> bool {
        let last = self.no_blocks.remove(&block);
        let is_new = last.is_none();
        let pause = last.map_or(NO_BLOCK_MIN, |pause| pause.next);
        let next = Millis(2 * pause.0).min(NO_BLOCK_MAX);
        self.no_blocks.insert(block, Pause { why, until: Some(now + pause), next });
        while self.no_blocks.len() > NO_BLOCKS_MAX {
            self.no_blocks.pop_first();
        }
        is_new
    }

    /// It has it after all.
    pub(super) fn has_block(&mut self, hash: BlockHash) {
        self.no_blocks.retain(|block, _| block.hash != hash);
    }

    /// A block that it did not have and may be asked for again.
    pub(super) fn block_due(&mut self, now: Tick) -> Option<BlockRef> {
        let is_due = |pause: &Pause| pause.until.is_some_and(|until| until <= now);
        let (block, pause) = self.no_blocks.iter_mut().find(|(_, pause)| is_due(pause))?;
        pause.until = None;
        Some(*block)
    }

    /// Why it does not have a block.
    pub(super) fn why_no_block(&self, block: BlockRef) -> NoBlock {
        let why = self.no_blocks.get(&block).map(|pause| pause.why.clone()).unwrap_or_default();
        NoBlock { block, why }
    }

    /// Whether it is on our network, as far as it says.
    pub(super) fn is_ours(&self, got: &NetworkName) -> bool {
        let want = &self.network;
        let challenge = match (&want.challenge, &got.challenge) {
            (Some(want), Some(got)) => want.eq_ignore_ascii_case(got),
            // Old ones do not name their challenge.
            (_, None) => true,
            (None, Some(_)) => false,
        };
        got.name == want.name && challenge
    }

    /// How old its newest block is, if that is too old. `time` is what our newest block says; it
    /// counts if both are the same.
    pub(super) fn lag(&mut self, tip: &Tip, time: Option<u32>, now: Tick) -> Option<Millis> {
        let since = match self.newest {
            Some((hash, since)) if hash == tip.hash => since,
            Some(_) | None => now,
        };
        self.newest = Some((tip.hash, since));
        let by_clock = self.clock.zip(time).map_or(0, |(clock, time)| clock.saturating_sub(time));
        let age = now.since(since).max(Millis(u64::from(by_clock) * 1_000));
        (self.network.has_a_pace() && age > LAG_MAX).then_some(age)
    }
}

impl NetworkName {
    /// A network with the name that Bitcoin Core has for it. A signet is the public one if nothing
    /// else is said.
    pub fn of(network: Network, challenge: Option<String>) -> Self {
        let public = (network == Network::Signet).then(|| PUBLIC_SIGNET.to_owned());
        Self { name: network.to_core_arg().to_owned(), challenge: challenge.or(public) }
    }

    /// Whether a block comes each ten minutes, whatever people do.
    fn has_a_pace(&self) -> bool {
        let is_public = self.challenge.as_ref().is_none_or(|it| it == PUBLIC_SIGNET);
        self.name != Network::Regtest.to_core_arg() && is_public
    }
}

impl SourceFault {
    /// Whether it is about what was asked only: everything else may be asked nevertheless.
    pub(super) const fn is_of_this_question(&self) -> bool {
        match self {
            Self::Refused { code, .. } => *code != WARMING_UP,
            Self::Unreachable { .. }
            | Self::Denied { .. }
            | Self::TooLong { .. }
            | Self::Nonsense { .. } => false,
        }
    }
}

impl fmt::Display for NetworkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.challenge {
            Some(challenge) => write!(f, "{} with the challenge {challenge}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl fmt::Display for SourceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { why } => write!(f, "cannot be reached: {why}"),
            Self::Denied { why } => write!(f, "does not let us in: {why}"),
            Self::TooLong { max } => write!(f, "answers with more than {max} bytes"),
            Self::Nonsense { method, why } => write!(f, "no answer to {method}: {why}"),
            Self::Refused { method, code, why } => write!(f, "{method} refused ({code}): {why}"),
        }
    }
}

impl std::error::Error for SourceFault {}

impl fmt::Display for NoBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BlockRef { height, hash } = self.block;
        write!(f, "block {height} {hash} is not to be had from this source: {}", self.why)
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("not reached yet"),
            Self::Up => f.write_str("up"),
            Self::Behind { have, want } => write!(f, "behind: it has {have} blocks of {want}"),
            Self::Stale { tip, age, max } => {
                let minutes = |it: &Millis| it.0 / 60_000;
                let (age, max) = (minutes(age), minutes(max));
                write!(f, "lagging: its newest block, {tip}, is {age} min old, at most {max}")
            }
            Self::Down { why } => f.write_str(why),
            Self::OtherNetwork { got, want } => write!(f, "it is on {got}, not on {want}"),
            Self::Lying { why } => write!(f, "it does not tell the truth: {why}"),
        }
    }
}
