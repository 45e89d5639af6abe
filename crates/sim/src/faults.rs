//! What goes wrong, where, and how often it has.

use crate::{links::Role, plan::Grid};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The holder of the sockets dies.
    CrashSockets,
    /// The node dies; what it had not saved is lost.
    CrashNode,
    /// The signer dies, and forgets every handshake.
    CrashSigner,
    /// The client dies, and its keys with it.
    CrashClient,
    /// The link between node and sockets breaks.
    CutNodeSockets,
    /// The link between sockets and signer breaks.
    CutSocketsSigner,
    /// The link between node and signer breaks.
    CutNodeSigner,
    /// The link between client and sockets breaks.
    CutClientSockets,
    /// A connection is cut, at any byte.
    NetCut,
    /// A connection goes silent, and neither end is told.
    NetHalfOpen,
    /// A connection stands still for some seconds.
    NetStall,
    /// Everything arrives byte by byte for some seconds.
    NetDribble,
    /// The signer cannot be reached for some seconds.
    SignerAbsent,
    /// The signer takes its time for its next answer.
    SignerLate,
    /// The signer gives its next answer twice.
    SignerTwice,
    /// The signer never gives its next answer.
    SignerNever,
    /// The signer says no.
    SignerRefuses,
    /// The next commit fails.
    StoreError,
    /// Another process takes the sockets over.
    Handover,
}

/// Where it goes wrong: at this effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    /// The sockets call an address.
    Connect,
    /// They write to a socket.
    Write,
    /// They close one.
    Close,
    /// They ask the signer.
    SocketsAsk,
    /// They let the signer forget.
    Forget,
    /// They answer.
    Answer,
    /// They tell something.
    Event,
    /// The node gives a batch to its log.
    Save,
    /// The log has made it durable.
    Commit,
    /// The node replies to a call.
    Reply,
    /// The node tells something.
    Tell,
    /// The node asks the sockets.
    NodeAsk,
    /// The node asks the signer.
    NodeSign,
    /// The signer answers.
    SignerAnswer,
    /// The client asks the sockets.
    ClientAsk,
}

/// All that goes wrong.
pub const FAULTS: [Fault; 19] = [
    Fault::CrashSockets,
    Fault::CrashNode,
    Fault::CrashSigner,
    Fault::CrashClient,
    Fault::CutNodeSockets,
    Fault::CutSocketsSigner,
    Fault::CutNodeSigner,
    Fault::CutClientSockets,
    Fault::NetCut,
    Fault::NetHalfOpen,
    Fault::NetStall,
    Fault::NetDribble,
    Fault::SignerAbsent,
    Fault::SignerLate,
    Fault::SignerTwice,
    Fault::SignerNever,
    Fault::SignerRefuses,
    Fault::StoreError,
    Fault::Handover,
];

/// All places where it does.
pub const POINTS: [Point; 15] = [
    Point::Connect,
    Point::Write,
    Point::Close,
    Point::SocketsAsk,
    Point::Forget,
    Point::Answer,
    Point::Event,
    Point::Save,
    Point::Commit,
    Point::Reply,
    Point::Tell,
    Point::NodeAsk,
    Point::NodeSign,
    Point::SignerAnswer,
    Point::ClientAsk,
];

pub(crate) const GRID: Grid<Fault, Point> = Grid {
    faults: &FAULTS,
    points: &POINTS,
    names: (Fault::name, Point::name),
    usual: Point::usual,
    aims: 23,
};

/// What a world of nodes has in store.
pub(crate) type Plan = crate::plan::Plan<Fault, Point>;

impl Plan {
    pub(crate) fn needs_client(&self) -> bool {
        self.aims().any(|(fault, point)| fault.needs_client() || point == Point::ClientAsk)
    }
}

impl Fault {
    pub(crate) const fn needs_client(self) -> bool {
        matches!(self, Self::CrashClient | Self::CutClientSockets)
    }

    /// What dies of it.
    pub(crate) fn kills(self) -> Option<Role> {
        let dead = [
            (Self::CrashSockets, Role::Sockets),
            (Self::CrashNode, Role::Node),
            (Self::CrashSigner, Role::Signer),
            (Self::CrashClient, Role::Client),
        ];
        dead.iter().find(|(fault, _)| *fault == self).map(|(_, role)| *role)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::CrashSockets => "crash sockets",
            Self::CrashNode => "crash node",
            Self::CrashSigner => "crash signer",
            Self::CrashClient => "crash client",
            Self::CutNodeSockets => "cut node-sockets",
            Self::CutSocketsSigner => "cut sockets-signer",
            Self::CutNodeSigner => "cut node-signer",
            Self::CutClientSockets => "cut client-sockets",
            Self::NetCut => "net cut",
            Self::NetHalfOpen => "net half-open",
            Self::NetStall => "net stall",
            Self::NetDribble => "net dribble",
            Self::SignerAbsent => "signer absent",
            Self::SignerLate => "signer late",
            Self::SignerTwice => "signer twice",
            Self::SignerNever => "signer never",
            Self::SignerRefuses => "signer refuses",
            Self::StoreError => "store error",
            Self::Handover => "handover",
        }
    }
}

impl Point {
    /// How often it comes about in a world.
    const fn usual(self) -> usize {
        match self {
            Self::Connect | Self::Forget | Self::Close => 3,
            Self::SocketsAsk | Self::SignerAnswer => 6,
            Self::NodeSign => 12,
            Self::Tell | Self::Reply | Self::ClientAsk => 60,
            Self::Write
            | Self::Answer
            | Self::Event
            | Self::Save
            | Self::Commit
            | Self::NodeAsk => 200,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Write => "write",
            Self::Close => "close",
            Self::SocketsAsk => "ask key",
            Self::Forget => "forget",
            Self::Answer => "answer",
            Self::Event => "event",
            Self::Save => "save",
            Self::Commit => "commit",
            Self::Reply => "reply",
            Self::Tell => "tell",
            Self::NodeAsk => "ask sock",
            Self::NodeSign => "sign",
            Self::SignerAnswer => "signed",
            Self::ClientAsk => "client",
        }
    }
}
