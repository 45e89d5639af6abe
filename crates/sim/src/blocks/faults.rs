//! What goes wrong with a source of blocks and with whoever follows it, and where.

use crate::plan::Grid;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The node dies; what it had not saved is lost.
    Crash,
    /// The next commit fails, and the node dies of it.
    StoreError,
    /// The signer is away for some seconds.
    SignerGone,
    /// Blocks are replaced by others.
    Reorg,
    /// Two branches are the best in turns.
    Flip,
    /// The source answers nothing for some time.
    Silent,
    /// It cannot be reached for some seconds.
    Down,
    /// It is back at an older tip for some seconds.
    Lag,
    /// It is on another network for some seconds.
    OtherNetwork,
    /// It names a tip that is nowhere.
    TipLie,
    /// Its next headers are behind a block that is unknown.
    HeadersUnconnected,
    /// The next ones lack their work.
    HeadersWorkless,
    /// The next ones are easier than allowed.
    HeadersEasy,
    /// Its next block is another one.
    BlockOther,
    /// The next one has another transaction.
    BlockChanged,
    /// The next one has another signature.
    BlockWitness,
    /// Its next answers come twice.
    Twice,
    /// Its next answer comes when nobody waits for it any more.
    Late,
    /// It refuses what is published for some seconds, whatever it is.
    Refuses,
    /// It says that it has taken what is published, and has not.
    TakesNothing,
    /// It forgets all that is in no block.
    Forgets,
    /// Its next fee rates cannot be.
    RatesLie,
}

/// Where it goes wrong: at this effect of the node's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    /// It asks for the tip.
    AskTip,
    /// It asks for headers.
    AskHeaders,
    /// It asks for a block.
    AskBlock,
    /// It publishes.
    AskPublish,
    /// It asks for fee rates.
    AskRates,
    /// It asks the signer.
    AskSigner,
    /// It gives a batch to its log.
    Save,
    /// The log has made it durable.
    Commit,
    /// It replies to a call.
    Reply,
    /// It tells what was found, or that it is gone.
    TellFound,
    /// It tells anything else.
    Tell,
}

const FAULTS: [Fault; 22] = [
    Fault::Crash,
    Fault::StoreError,
    Fault::SignerGone,
    Fault::Reorg,
    Fault::Flip,
    Fault::Silent,
    Fault::Down,
    Fault::Lag,
    Fault::OtherNetwork,
    Fault::TipLie,
    Fault::HeadersUnconnected,
    Fault::HeadersWorkless,
    Fault::HeadersEasy,
    Fault::BlockOther,
    Fault::BlockChanged,
    Fault::BlockWitness,
    Fault::Twice,
    Fault::Late,
    Fault::Refuses,
    Fault::TakesNothing,
    Fault::Forgets,
    Fault::RatesLie,
];

const POINTS: [Point; 11] = [
    Point::AskTip,
    Point::AskHeaders,
    Point::AskBlock,
    Point::AskPublish,
    Point::AskRates,
    Point::AskSigner,
    Point::Save,
    Point::Commit,
    Point::Reply,
    Point::TellFound,
    Point::Tell,
];

pub(crate) const GRID: Grid<Fault, Point> = Grid {
    faults: &FAULTS,
    points: &POINTS,
    names: (Fault::name, Point::name),
    usual: Point::usual,
    aims: 11,
};

/// What a world of blocks has in store.
pub(crate) type Plan = crate::plan::Plan<Fault, Point>;

impl Fault {
    const fn name(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::StoreError => "store error",
            Self::SignerGone => "signer gone",
            Self::Reorg => "reorg",
            Self::Flip => "flip",
            Self::Silent => "silent",
            Self::Down => "down",
            Self::Lag => "lag",
            Self::OtherNetwork => "other network",
            Self::TipLie => "tip lie",
            Self::HeadersUnconnected => "unconnected",
            Self::HeadersWorkless => "workless",
            Self::HeadersEasy => "too easy",
            Self::BlockOther => "other block",
            Self::BlockChanged => "changed block",
            Self::BlockWitness => "other witness",
            Self::Twice => "twice",
            Self::Late => "late",
            Self::Refuses => "refuses",
            Self::TakesNothing => "takes nothing",
            Self::Forgets => "forgets",
            Self::RatesLie => "rates lie",
        }
    }
}

impl Point {
    /// How often it comes about in a world.
    const fn usual(self) -> usize {
        match self {
            Self::AskRates => 1,
            Self::AskSigner => 2,
            Self::AskPublish => 3,
            Self::TellFound => 6,
            Self::Reply | Self::AskHeaders => 12,
            Self::AskBlock | Self::Tell | Self::AskTip => 20,
            Self::Save | Self::Commit => 30,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::AskTip => "tip",
            Self::AskHeaders => "headers",
            Self::AskBlock => "block",
            Self::AskPublish => "publish",
            Self::AskRates => "rates",
            Self::AskSigner => "sign",
            Self::Save => "save",
            Self::Commit => "commit",
            Self::Reply => "reply",
            Self::TellFound => "found",
            Self::Tell => "tell",
        }
    }
}
