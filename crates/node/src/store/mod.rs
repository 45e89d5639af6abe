//! What a process remembers: one log for all its cores, in one SQLite file, or in a database that
//! others can reach as well.
//!
//! [`Store`] is either: whole batches go in, in order, and a commit is durable when it returns. One
//! process writes: the file is locked, and in the database whoever comes last has the lease, whose
//! epoch each commit of another one misses.
//! [`Log`] is the thread in front of it: it commits at once all that came since the last commit,
//! whichever [`Writer`] it came from, so one fsync serves everybody who waits.

mod fault;
mod log;
#[cfg(feature = "postgres")]
mod postgres;
mod sqlite;

use std::path::{Path, PathBuf};

pub use fault::StoreFault;
pub use log::{Durable, Log, LogFault, QUEUE_BYTES_MAX, Writer};

/// The layout of the tables.
pub const STORE_VERSION: i64 = 1;
/// Bytes of one change, or of one entry.
pub const WRITE_BYTES_MAX: usize = 16 << 20;
/// Bytes of one snapshot: as many headers and publications as there may be.
pub const SNAPSHOT_BYTES_MAX: usize = 640 << 20;
/// Entries of the archive that are kept, for each core and key.
pub const ARCHIVE_ENTRIES_MAX: u64 = 10_000;

/// Whose changes they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Core(pub &'static str);

/// A place in the log, from 1 on, rising.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// One thing to remember.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// A step of a core's state.
    Change {
        /// Whose.
        core: Core,
        /// The step.
        bytes: Vec<u8>,
    },
    /// The sum of all its steps so far; they are dropped with the same commit.
    Snapshot {
        /// Whose.
        core: Core,
        /// The state.
        bytes: Vec<u8>,
    },
    /// A fact that no core holds in memory.
    Archive {
        /// Whose.
        core: Core,
        /// Which of its lists.
        key: Vec<u8>,
        /// The fact.
        entry: Vec<u8>,
    },
}

impl Write {
    /// The most bytes that one of its kind may have.
    pub const fn bytes_max(&self) -> usize {
        match self {
            Self::Change { .. } | Self::Archive { .. } => WRITE_BYTES_MAX,
            Self::Snapshot { .. } => SNAPSHOT_BYTES_MAX,
        }
    }
}

/// What is to be remembered together, or not at all.
pub type Batch = Vec<Write>;

/// What a core starts from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// The last snapshot.
    pub snapshot: Option<Vec<u8>>,
    /// The steps since, in order.
    pub changes: Vec<(Position, Vec<u8>)>,
}

/// Where it is kept. This is the seam: whatever can do this can be a store.
trait Backend: Send {
    /// Remembers batches, in order, all or none. They are durable when this returns.
    fn commit(&mut self, batches: &[Batch]) -> Result<(), StoreFault>;
    /// What a core starts from.
    fn restore(&mut self, core: Core) -> Result<Restored, StoreFault>;
    /// The newest entries of a list, the newest first.
    fn newest(&mut self, core: Core, key: &[u8], max: u32) -> Result<Entries, StoreFault>;
}

/// Entries of a list, and their numbers.
pub type Entries = Vec<(u64, Vec<u8>)>;

/// A file, or a database.
pub struct Store {
    backend: Box<dyn Backend>,
    path: PathBuf,
}

impl Store {
    /// Opens a file for this process alone, and makes it if there is none. With `pages_max` it
    /// grows to so many pages and no further.
    pub fn open(path: &Path, pages_max: Option<u32>) -> Result<Self, StoreFault> {
        let backend = Box::new(sqlite::Sqlite::open(path, pages_max)?);
        Ok(Self { backend, path: path.to_owned() })
    }

    /// Takes a PostgreSQL database, by an address like `postgres://user@host/name`, and makes its
    /// tables if there are none. Whoever had it before can save nothing any more. What goes over
    /// the network is not encrypted: the database is on this machine, or behind a tunnel.
    #[cfg(feature = "postgres")]
    pub fn connect(address: &str) -> Result<Self, StoreFault> {
        let (backend, path) = postgres::Postgres::connect(address)?;
        Ok(Self { backend: Box::new(backend), path })
    }

    /// Remembers batches, in order, all or none. They are durable when this returns.
    pub fn commit(&mut self, batches: &[Batch]) -> Result<(), StoreFault> {
        self.backend.commit(batches)
    }

    /// What a core starts from.
    pub fn restore(&mut self, core: Core) -> Result<Restored, StoreFault> {
        self.backend.restore(core)
    }

    /// The newest entries of a list, the newest first.
    pub fn newest(&mut self, core: Core, key: &[u8], max: u32) -> Result<Entries, StoreFault> {
        self.backend.newest(core, key, max)
    }
}
