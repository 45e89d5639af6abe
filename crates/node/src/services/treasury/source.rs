//! The source of blocks, as the treasury sees it: whether it answers, and whether it can be
//! trusted.
//!
//! While a source is not [`Health::Up`] or [`Health::Behind`], it is asked for its tip only, ever
//! more rarely; with its first right answer everything else is asked anew.

use std::{collections::BTreeMap, fmt};

use bitcoin::{Block, BlockHash, Network, block::Header};
use chain::{Attempt, Height, Package, PublishAnswer, Rates, Target};
use wire::tick::{Millis, Tick};

/// Between two questions for the tip of a source that answers.
pub const TIP_EVERY: Millis = Millis(1_000);
/// The first pause after a failure; each further failure doubles it.
pub const RETRY_MIN: Millis = Millis(1_000);
/// The longest pause.
pub const RETRY_MAX: Millis = Millis(30_000);
/// What is not answered by then is not answered at all.
pub const ANSWER_MAX: Millis = Millis(60_000);

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

/// What is asked, what is not answered, and when to ask again.
pub(super) struct Source {
    pub(super) network: NetworkName,
    pub(super) health: Health,
    next: AskId,
    asked: BTreeMap<AskId, (Tick, Ask)>,
    tip_at: Tick,
    failures: u32,
}

impl Source {
    pub(super) const fn new(network: NetworkName) -> Self {
        Self {
            network,
            health: Health::Unknown,
            next: AskId(0),
            asked: BTreeMap::new(),
            tip_at: Tick(0),
            failures: 0,
        }
    }

    /// Whether it may be asked for more than its tip.
    pub(super) const fn is_up(&self) -> bool {
        matches!(self.health, Health::Up | Health::Behind { .. })
    }

    /// When to look again, at the latest.
    pub(super) fn wake_at(&self) -> Tick {
        let first = self.asked.values().map(|(at, _)| Tick(at.0 + ANSWER_MAX.0)).min();
        // While the tip is asked for it is not due.
        let tip_at = (!self.asked.values().any(|(_, ask)| *ask == Ask::Tip)).then_some(self.tip_at);
        [first, tip_at].into_iter().flatten().min().unwrap_or(self.tip_at)
    }

    /// A question, with its name.
    pub(super) fn ask(&mut self, ask: Ask, now: Tick) -> (AskId, Ask) {
        self.next = AskId(self.next.0 + 1);
        self.asked.insert(self.next, (now, ask.clone()));
        (self.next, ask)
    }

    /// The question for the tip, if it is time for it.
    pub(super) fn tip_due(&mut self, now: Tick) -> Option<(AskId, Ask)> {
        if now < self.tip_at || self.asked.values().any(|(_, ask)| *ask == Ask::Tip) {
            return None;
        }
        self.tip_at = Tick(now.0 + TIP_EVERY.0);
        Some(self.ask(Ask::Tip, now))
    }

    /// What was asked under this name; nothing if nobody waits for it any more.
    pub(super) fn answered(&mut self, id: AskId) -> Option<Ask> {
        self.asked.remove(&id).map(|(_, ask)| ask)
    }

    /// Whether something waits for its answer for too long.
    pub(super) fn is_overdue(&self, now: Tick) -> bool {
        self.asked.values().any(|(at, _)| now.since(*at) >= ANSWER_MAX)
    }

    /// Nothing more is expected from it, and it is asked again after a pause. What it was asked.
    pub(super) fn fail(&mut self, now: Tick) -> Vec<Ask> {
        let pause = RETRY_MIN.0 << self.failures.min(5);
        self.tip_at = Tick(now.0 + pause.min(RETRY_MAX.0));
        self.failures = self.failures.saturating_add(1);
        std::mem::take(&mut self.asked).into_values().map(|(_, ask)| ask).collect()
    }

    /// It has said something that is right.
    pub(super) const fn succeed(&mut self) {
        self.failures = 0;
    }

    /// Whether it is on our network, as far as it says.
    pub(super) fn is_ours(&self, got: &NetworkName) -> bool {
        let want = &self.network;
        // Old ones do not name their challenge.
        let challenge = match (&want.challenge, &got.challenge) {
            (Some(want), Some(got)) => want.eq_ignore_ascii_case(got),
            (None, _) | (_, None) => true,
        };
        got.name == want.name && challenge
    }
}

impl NetworkName {
    /// A network with the name that Bitcoin Core has for it.
    pub fn of(network: Network, challenge: Option<String>) -> Self {
        Self { name: network.to_core_arg().to_owned(), challenge }
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

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("not reached yet"),
            Self::Up => f.write_str("up"),
            Self::Behind { have, want } => write!(f, "behind: it has {have} blocks of {want}"),
            Self::Down { why } => f.write_str(why),
            Self::OtherNetwork { got, want } => write!(f, "it is on {got}, not on {want}"),
            Self::Lying { why } => write!(f, "it does not tell the truth: {why}"),
        }
    }
}
