//! What a process remembers: one log for all its cores, in one SQLite file.
//!
//! [`Store`] is the file: whole batches go in, in order, and a commit is durable when it returns.
//! [`Log`] is the thread in front of it: it commits at once all that came since the last commit,
//! whichever [`Writer`] it came from, so one fsync serves everybody who waits.

mod fault;
mod log;

use std::{
    fs::OpenOptions,
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OptionalExtension as _, config::DbConfig, params};

pub use fault::StoreFault;
pub use log::{Durable, Log, LogFault, QUEUE_BYTES_MAX, Writer};

/// `LEYD`: a file with another number is somebody else's.
const APPLICATION_ID: i64 = 0x4c45_5944;
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

/// A file.
pub struct Store {
    connection: Connection,
    path: PathBuf,
}

impl Store {
    /// Opens a file for this process alone, and makes it if there is none. With `pages_max` it
    /// grows to so many pages and no further.
    pub fn open(path: &Path, pages_max: Option<u32>) -> Result<Self, StoreFault> {
        let unusable = |fault: io::Error| StoreFault::Unusable { path: path.to_owned(), fault };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let empty =
            options.open(path).and_then(|file| file.metadata()).map_err(unusable)?.len() == 0;
        let connection = Connection::open(path).map_err(|fault| sql(path, fault))?;
        let store = Self { connection, path: path.to_owned() };
        store.prepare(empty, pages_max)?;
        Ok(store)
    }

    fn prepare(&self, empty: bool, pages_max: Option<u32>) -> Result<(), StoreFault> {
        let run = |text: &str| self.connection.execute_batch(text).map_err(|fault| self.sql(fault));
        // WAL: one fsync for each commit, where a rollback journal needs three or four.
        run("PRAGMA busy_timeout = 0; PRAGMA locking_mode = EXCLUSIVE;")?;
        // Statements are prepared once, not anew for each value they are run with.
        self.connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
            .map_err(|fault| self.sql(fault))?;
        if !empty {
            let (got, want) = (self.number("PRAGMA application_id")?, APPLICATION_ID);
            // Whoever made it may have died before it wrote anything.
            let is_blank = got == 0 && self.number("SELECT count(*) FROM sqlite_schema")? == 0;
            if got != want && !is_blank {
                return Err(StoreFault::Foreign { path: self.path.clone(), got, want });
            }
            let (got, max) = (self.number("PRAGMA user_version")?, STORE_VERSION);
            if got > max {
                return Err(StoreFault::Newer { path: self.path.clone(), got, max });
            }
        }
        run("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
             BEGIN EXCLUSIVE; COMMIT;")?;
        if let Some(pages) = pages_max {
            run(&format!("PRAGMA max_page_count = {pages};"))?;
        }
        run(&format!(
            "BEGIN;
             CREATE TABLE IF NOT EXISTS log (
               position INTEGER PRIMARY KEY AUTOINCREMENT, core TEXT NOT NULL, change BLOB NOT NULL
             );
             CREATE TABLE IF NOT EXISTS snapshot (
               core TEXT PRIMARY KEY, state BLOB NOT NULL
             );
             CREATE TABLE IF NOT EXISTS archive (
               core TEXT NOT NULL, key BLOB NOT NULL, n INTEGER NOT NULL, entry BLOB NOT NULL,
               PRIMARY KEY (core, key, n)
             ) WITHOUT ROWID;
             PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {STORE_VERSION};
             COMMIT;"
        ))?;
        let verdict: String = self
            .connection
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
            .map_err(|fault| self.sql(fault))?;
        match verdict.as_str() {
            "ok" => Ok(()),
            _ => Err(StoreFault::Damaged { path: self.path.clone(), why: verdict }),
        }
    }

    /// Remembers batches, in order, all or none. They are durable when this returns.
    pub fn commit(&mut self, batches: &[Batch]) -> Result<(), StoreFault> {
        let path = &self.path;
        let fail = |fault| sql(path, fault);
        let transaction = self.connection.transaction().map_err(fail)?;
        for write in batches.iter().flatten() {
            write_one(&transaction, write).map_err(fail)?;
        }
        transaction.commit().map_err(fail)
    }

    /// What a core starts from.
    pub fn restore(&self, core: Core) -> Result<Restored, StoreFault> {
        let fail = |fault| self.sql(fault);
        let snapshot = self
            .connection
            .query_row("SELECT state FROM snapshot WHERE core = ?", [core.0], |row| row.get(0))
            .optional()
            .map_err(fail)?;
        let text = "SELECT position, change FROM log WHERE core = ? ORDER BY position";
        let mut statement = self.connection.prepare(text).map_err(fail)?;
        let rows = statement
            .query_map([core.0], |row| Ok((Position(row.get::<_, i64>(0)? as u64), row.get(1)?)));
        let changes = rows.and_then(Iterator::collect).map_err(fail)?;
        Ok(Restored { snapshot, changes })
    }

    /// The newest entries of a list, the newest first.
    pub fn newest(
        &self,
        core: Core,
        key: &[u8],
        max: u32,
    ) -> Result<Vec<(u64, Vec<u8>)>, StoreFault> {
        let fail = |fault| self.sql(fault);
        let text =
            "SELECT n, entry FROM archive WHERE core = ? AND key = ? ORDER BY n DESC LIMIT ?";
        let mut statement = self.connection.prepare(text).map_err(fail)?;
        let rows = statement.query_map(params![core.0, key, max], |row| {
            Ok((row.get::<_, i64>(0)? as u64, row.get(1)?))
        });
        rows.and_then(Iterator::collect).map_err(fail)
    }

    fn number(&self, query: &str) -> Result<i64, StoreFault> {
        self.connection.query_row(query, [], |row| row.get(0)).map_err(|fault| self.sql(fault))
    }

    fn sql(&self, fault: rusqlite::Error) -> StoreFault {
        sql(&self.path, fault)
    }
}

fn write_one(to: &Connection, write: &Write) -> rusqlite::Result<()> {
    match write {
        Write::Change { core, bytes } => {
            let mut statement =
                to.prepare_cached("INSERT INTO log (core, change) VALUES (?, ?)")?;
            statement.execute(params![core.0, bytes])?;
        }
        Write::Snapshot { core, bytes } => {
            let text = "INSERT INTO snapshot (core, state) VALUES (?, ?)
                        ON CONFLICT (core) DO UPDATE SET state = excluded.state";
            to.prepare_cached(text)?.execute(params![core.0, bytes])?;
            to.prepare_cached("DELETE FROM log WHERE core = ?")?.execute([core.0])?;
        }
        Write::Archive { core, key, entry } => {
            let text = "INSERT INTO archive (core, key, n, entry)
                        VALUES (?1, ?2, 1 + coalesce(
                          (SELECT max(n) FROM archive WHERE core = ?1 AND key = ?2), 0), ?3)
                        RETURNING n";
            let mut statement = to.prepare_cached(text)?;
            let n: i64 = statement.query_row(params![core.0, key, entry], |row| row.get(0))?;
            let oldest = n - ARCHIVE_ENTRIES_MAX as i64;
            if oldest > 0 {
                let text = "DELETE FROM archive WHERE core = ? AND key = ? AND n <= ?";
                to.prepare_cached(text)?.execute(params![core.0, key, oldest])?;
            }
        }
    }
    Ok(())
}

fn sql(path: &Path, fault: rusqlite::Error) -> StoreFault {
    StoreFault::of(path, fault)
}
