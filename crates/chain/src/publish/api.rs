//! What a publisher is asked and told, and what its users hear.

use std::fmt;

use bitcoin::Txid;

use super::{
    package::Package,
    reason::{Cure, Reason},
};
use crate::api::{BlockRef, Height, User, Watch};

/// The publisher itself, as a user of the chain.
pub const PUBLISHER: User = User(u32::MAX);

/// A user's own name for what it publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicationId(pub u64);

/// A publication among those of all users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Whose.
    pub user: User,
    /// Which of theirs.
    pub id: PublicationId,
}

/// One try to publish. Each has a number of its own as long as the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt(pub u64);

/// What a source says to a publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublishAnswer {
    /// It has taken all of it.
    Accepted,
    /// It had it already.
    Known,
    /// It has it in its chain. Whether that is ours, the blocks will tell.
    Confirmed,
    /// It does not take it, or not all of it.
    Refused(Reason),
}

/// What a user hears of its publications. After a restart each publication's state is told again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublishEvent {
    /// The source has it, and it is not confirmed yet.
    Accepted,
    /// The source does not take it.
    Refused {
        /// Why.
        reason: Reason,
        /// What can be done about it.
        cure: Cure,
    },
    /// One of its transactions is in the chain.
    Confirmed {
        /// Which one.
        transaction: Txid,
        /// In which block.
        block: BlockRef,
    },
    /// That block is in the chain no more; the transaction is published again.
    Unconfirmed {
        /// Which one.
        transaction: Txid,
        /// In which block it was.
        block: BlockRef,
    },
    /// Another transaction spends what one of its transactions, or that one's parent, spends.
    Replaced {
        /// Which one.
        transaction: Txid,
        /// The other one.
        by: Txid,
        /// Where that is in the chain; if nowhere, it is a later publication that a source took.
        block: Option<BlockRef>,
    },
    /// What replaced it is in the chain no more; the transaction is published again.
    Restored {
        /// Which one.
        transaction: Txid,
    },
    /// All of it, or what has replaced it, is buried too deep to come back. It is forgotten.
    Deep {
        /// The last of its transactions.
        transaction: Txid,
    },
}

/// What the publisher wants of the chain, as [`PUBLISHER`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchAsk {
    /// [`Chain::watch`](crate::Chain::watch); if that is too old, from the first block there is.
    Watch {
        /// What.
        watch: Watch,
        /// From where on.
        from: Height,
    },
    /// [`Chain::unwatch`](crate::Chain::unwatch).
    Unwatch {
        /// What.
        watch: Watch,
    },
}

/// Why something is not published. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishFault {
    /// There are as many publications as there may be.
    Full {
        /// How many there are.
        have: usize,
        /// How many there may be.
        max: usize,
    },
    /// All that is published would spend more outputs than are watched.
    TooManyInputs {
        /// How many there would be.
        got: usize,
        /// How many there may be.
        max: usize,
    },
    /// All that is published would weigh too much.
    TooMuch {
        /// Weight units there would be.
        got: u64,
        /// How many there may be.
        max: u64,
    },
    /// This name is another publication's.
    Taken {
        /// The name.
        key: Key,
    },
}

/// An answer to no open question: it came late, or twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unasked {
    /// What it claims to answer.
    pub attempt: Attempt,
}

impl PublishAnswer {
    /// What answers for each transaction of a package say together.
    pub fn of_all(answers: impl IntoIterator<Item = Self>) -> Option<Self> {
        let severity = |answer: &Self| match answer {
            Self::Confirmed => 0,
            Self::Known => 1,
            Self::Accepted => 2,
            Self::Refused(_) => 3,
        };
        // Of two refusals the first one: the child's often only repeats its parent's.
        answers.into_iter().reduce(
            |one, other| {
                if severity(&other) > severity(&one) { other } else { one }
            },
        )
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "publication {} of user {}", self.id.0, self.user.0)
    }
}

impl fmt::Display for PublishFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { have, max } => write!(f, "{have} publications, at most {max}"),
            Self::TooManyInputs { got, max } => {
                write!(f, "publications with {got} inputs, at most {max}")
            }
            Self::TooMuch { got, max } => {
                write!(f, "publications of {got} weight units, at most {max}")
            }
            Self::Taken { key } => write!(f, "{key} is another one already"),
        }
    }
}

impl std::error::Error for PublishFault {}

impl fmt::Display for Unasked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an answer to attempt {}, which is not open", self.attempt.0)
    }
}

impl std::error::Error for Unasked {}

/// A publication that a user wants, as it comes to the publisher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Whose, and which.
    pub key: Key,
    /// What.
    pub package: Package,
    /// No block before this one has any of it, nor spends what it spends; not in the chain as it
    /// is when this is published.
    pub from: Height,
}
