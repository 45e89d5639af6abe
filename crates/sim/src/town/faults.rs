//! What goes wrong with nodes that have channels, and where.

use crate::plan::Grid;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The node dies; what it had not saved is lost.
    CrashNode,
    /// Its signer dies, perhaps in the middle of a line that it saves.
    CrashSigner,
    /// Both die.
    CrashBoth,
    /// The next commit fails, and the node dies of it.
    StoreError,
    /// For some seconds the signer cannot save anything.
    SignerStore,
    /// A connection with a peer breaks, at any byte.
    Cut,
    /// The signer is away for some seconds.
    SignerGone,
    /// Its next answer takes long.
    SignerLate,
    /// It says no, for now.
    SignerRefuses,
    /// Its next answer comes twice.
    SignerTwice,
    /// From now on no answer comes, and after some time the link breaks.
    SignerNever,
    /// Blocks are replaced by others.
    Reorg,
    /// The node sees no new block for some seconds.
    BlocksLate,
}

/// Where it goes wrong: at this effect of a node or its signer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    /// A batch is given to the log.
    Save,
    /// The log has made it durable.
    Commit,
    /// A message of an opening is sent.
    SayOpening,
    /// `channel_ready` is sent.
    SayReady,
    /// `channel_reestablish` is sent.
    SayHello,
    /// An update is sent.
    SayUpdate,
    /// `commitment_signed` is sent.
    SaySigned,
    /// `revoke_and_ack` is sent.
    SayRevoke,
    /// A message of a close is sent.
    SayClosing,
    /// The signer, or the treasury, is shown a lease.
    AskLease,
    /// The signer is asked for keys, or told what a channel is about.
    AskKeys,
    /// The signer is asked to sign a commitment of the peer.
    AskSign,
    /// The signer is asked to take a commitment of ours.
    AskAdvance,
    /// The signer is told a revocation.
    AskRevoked,
    /// The signer is asked to peel an onion.
    AskPeel,
    /// The signer is asked to sign a close.
    AskClose,
    /// The signer is asked to sign our own commitment.
    AskLocal,
    /// The signer is asked to sign what takes outputs on the chain.
    AskClaims,
    /// The treasury is asked for an address or a funding.
    WantFunding,
    /// The treasury is to publish something.
    WantPublish,
    /// The treasury is asked for coins.
    WantCoins,
    /// The treasury is to watch something, or not any more.
    WantWatch,
    /// Somebody is answered.
    Reply,
    /// Something is told.
    Tell,
    /// The treasury asks the signer.
    BankSign,
    /// The treasury gives a transaction to the chain.
    Spread,
    /// The treasury asks for blocks.
    AskBlocks,
    /// The signer saves something.
    SignerSave,
    /// The signer answers.
    SignerAnswer,
}

const FAULTS: [Fault; 13] = [
    Fault::CrashNode,
    Fault::CrashSigner,
    Fault::CrashBoth,
    Fault::StoreError,
    Fault::SignerStore,
    Fault::Cut,
    Fault::SignerGone,
    Fault::SignerLate,
    Fault::SignerRefuses,
    Fault::SignerTwice,
    Fault::SignerNever,
    Fault::Reorg,
    Fault::BlocksLate,
];

/// Left out, since it cannot come about while all nodes are ours: the log is asked for a revoked
/// commitment, and a peer is warned and hung up on.
const POINTS: [Point; 29] = [
    Point::Save,
    Point::Commit,
    Point::SayOpening,
    Point::SayReady,
    Point::SayHello,
    Point::SayUpdate,
    Point::SaySigned,
    Point::SayRevoke,
    Point::SayClosing,
    Point::AskLease,
    Point::AskKeys,
    Point::AskSign,
    Point::AskAdvance,
    Point::AskRevoked,
    Point::AskPeel,
    Point::AskClose,
    Point::AskLocal,
    Point::AskClaims,
    Point::WantFunding,
    Point::WantPublish,
    Point::WantCoins,
    Point::WantWatch,
    Point::Reply,
    Point::Tell,
    Point::BankSign,
    Point::Spread,
    Point::AskBlocks,
    Point::SignerSave,
    Point::SignerAnswer,
];

pub(crate) const GRID: Grid<Fault, Point> = Grid {
    faults: &FAULTS,
    points: &POINTS,
    names: (Fault::name, Point::name),
    usual: Point::usual,
    aims: 6,
};

/// What such a world has in store.
pub(crate) type Plan = crate::plan::Plan<Fault, Point>;

impl Fault {
    const fn name(self) -> &'static str {
        match self {
            Self::CrashNode => "crash node",
            Self::CrashSigner => "crash signer",
            Self::CrashBoth => "crash both",
            Self::StoreError => "store error",
            Self::SignerStore => "signer's store",
            Self::Cut => "cut",
            Self::SignerGone => "signer gone",
            Self::SignerLate => "signer late",
            Self::SignerRefuses => "signer refuses",
            Self::SignerTwice => "signer twice",
            Self::SignerNever => "signer never",
            Self::Reorg => "reorg",
            Self::BlocksLate => "blocks late",
        }
    }
}

impl Point {
    /// Comes about only where somebody ends a channel without its peer.
    pub(crate) const fn is_of_force(self) -> bool {
        matches!(self, Self::AskLocal | Self::AskClaims | Self::WantCoins)
    }

    /// How often it comes about in a world.
    const fn usual(self) -> usize {
        match self {
            Self::AskLocal | Self::AskClaims | Self::WantCoins => 1,
            Self::AskClose | Self::SayClosing | Self::SayHello | Self::AskLease => 2,
            Self::SayReady | Self::WantPublish | Self::BankSign => 3,
            Self::Spread | Self::WantFunding | Self::SayOpening | Self::AskKeys => 4,
            Self::AskPeel | Self::Reply => 8,
            Self::AskSign | Self::AskAdvance | Self::AskRevoked | Self::SayUpdate => 15,
            Self::SaySigned | Self::SayRevoke | Self::WantWatch => 15,
            Self::Tell | Self::AskBlocks | Self::SignerSave => 40,
            Self::SignerAnswer | Self::Save | Self::Commit => 60,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Save => "save",
            Self::Commit => "commit",
            Self::SayOpening => "opening",
            Self::SayReady => "ready",
            Self::SayHello => "hello",
            Self::SayUpdate => "update",
            Self::SaySigned => "signed",
            Self::SayRevoke => "revoke",
            Self::SayClosing => "closing",
            Self::AskLease => "lease",
            Self::AskKeys => "ask keys",
            Self::AskSign => "ask sign",
            Self::AskAdvance => "advance",
            Self::AskRevoked => "revoked",
            Self::AskPeel => "peel",
            Self::AskClose => "ask clos",
            Self::AskLocal => "ask own",
            Self::AskClaims => "claims",
            Self::WantFunding => "funding",
            Self::WantPublish => "publish",
            Self::WantCoins => "coins",
            Self::WantWatch => "watch",
            Self::Reply => "reply",
            Self::Tell => "tell",
            Self::BankSign => "bank sig",
            Self::Spread => "spread",
            Self::AskBlocks => "blocks",
            Self::SignerSave => "sig save",
            Self::SignerAnswer => "sig says",
        }
    }
}
