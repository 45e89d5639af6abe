//! The store in a file of its own: SQLite.

use std::{
    fs::OpenOptions,
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, ErrorCode, OptionalExtension as _, config::DbConfig, params};

use super::{
    ARCHIVE_ENTRIES_MAX, Backend, Batch, Core, Entries, Position, Restored, STORE_VERSION,
    StoreFault, Write,
};

/// `LEYD`: a file with another number is somebody else's.
const APPLICATION_ID: i64 = 0x4c45_5944;

/// A file.
pub(super) struct Sqlite {
    connection: Connection,
    path: PathBuf,
}

impl Sqlite {
    /// Opens a file for this process alone, and makes it if there is none. With `pages_max` it
    /// grows to so many pages and no further.
    pub(super) fn open(path: &Path, pages_max: Option<u32>) -> Result<Self, StoreFault> {
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

    fn number(&self, query: &str) -> Result<i64, StoreFault> {
        self.connection.query_row(query, [], |row| row.get(0)).map_err(|fault| self.sql(fault))
    }

    fn sql(&self, fault: rusqlite::Error) -> StoreFault {
        sql(&self.path, fault)
    }
}

impl Backend for Sqlite {
    fn commit(&mut self, batches: &[Batch]) -> Result<(), StoreFault> {
        let path = &self.path;
        let fail = |fault| sql(path, fault);
        let transaction = self.connection.transaction().map_err(fail)?;
        for write in batches.iter().flatten() {
            write_one(&transaction, write).map_err(fail)?;
        }
        transaction.commit().map_err(fail)
    }

    fn restore(&mut self, core: Core) -> Result<Restored, StoreFault> {
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

    fn newest(&mut self, core: Core, key: &[u8], max: u32) -> Result<Entries, StoreFault> {
        let fail = |fault| self.sql(fault);
        let text =
            "SELECT n, entry FROM archive WHERE core = ? AND key = ? ORDER BY n DESC LIMIT ?";
        let mut statement = self.connection.prepare(text).map_err(fail)?;
        let rows = statement.query_map(params![core.0, key, max], |row| {
            Ok((row.get::<_, i64>(0)? as u64, row.get(1)?))
        });
        rows.and_then(Iterator::collect).map_err(fail)
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
    let (path, why) = (path.to_owned(), fault.to_string());
    match fault.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreFault::InUse { path },
        Some(ErrorCode::NotADatabase) => {
            StoreFault::Damaged { path, why: "this is no database".to_owned() }
        }
        Some(ErrorCode::DatabaseCorrupt) => StoreFault::Damaged { path, why },
        Some(ErrorCode::DiskFull) => StoreFault::Full { path },
        _ => StoreFault::Failed { path, why },
    }
}
