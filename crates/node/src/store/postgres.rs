//! The store in a PostgreSQL database, which other machines can reach: one process has it at a
//! time, by an epoch that rises whenever somebody takes it.

use std::path::{Path, PathBuf};

use ::postgres::{Client, Config, NoTls, Row, Statement, error::SqlState};

use super::{
    ARCHIVE_ENTRIES_MAX, Backend, Batch, Core, Entries, Position, Restored, STORE_VERSION,
    StoreFault, Write,
};

/// Another process that makes its tables at the same time waits for this one.
const TABLES: &str = "
    SELECT pg_advisory_xact_lock(1279416644);
    CREATE TABLE IF NOT EXISTS leyden_lease (
      one BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (one), layout BIGINT NOT NULL,
      epoch BIGINT NOT NULL
    );
    CREATE TABLE IF NOT EXISTS leyden_log (
      position BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, core TEXT NOT NULL,
      change BYTEA NOT NULL
    );
    CREATE TABLE IF NOT EXISTS leyden_snapshot (core TEXT PRIMARY KEY, state BYTEA NOT NULL);
    CREATE TABLE IF NOT EXISTS leyden_archive (
      core TEXT NOT NULL, key BYTEA NOT NULL, n BIGINT NOT NULL, entry BYTEA NOT NULL,
      PRIMARY KEY (core, key, n)
    );
    ALTER TABLE leyden_log ALTER COLUMN change SET STORAGE EXTERNAL;
";
/// Adds changes if the epoch is still ours, and says how often it is: once, or not at all. Whoever
/// takes the lease waits for this, and is waited for.
const ADD: &str = "
    WITH lease AS (SELECT epoch FROM leyden_lease WHERE epoch = $1 FOR SHARE), added AS (
      INSERT INTO leyden_log (core, change)
      SELECT of, bytes FROM lease, unnest($2::text[], $3::bytea[]) WITH ORDINALITY
        AS new (of, bytes, at) ORDER BY at
    ) SELECT count(*) FROM lease
";

/// A database, which is ours.
pub(super) struct Postgres {
    client: Client,
    add: Statement,
    epoch: i64,
    path: PathBuf,
}

impl Postgres {
    /// Takes it from whoever has it.
    pub(super) fn connect(address: &str) -> Result<(Self, PathBuf), StoreFault> {
        let unnamed = |fault: ::postgres::Error| failed(Path::new("the database"), &fault);
        let config: Config = address.parse().map_err(unnamed)?;
        // Its password is told to nobody.
        let path = PathBuf::from(format!("database {}", config.get_dbname().unwrap_or("postgres")));
        let fail = |fault: ::postgres::Error| failed(&path, &fault);
        let mut client = config.connect(NoTls).map_err(fail)?;
        let mut tables = client.transaction().map_err(fail)?;
        tables.batch_execute(TABLES).map_err(fail)?;
        let take = "
            INSERT INTO leyden_lease (layout, epoch) VALUES ($1, 1)
            ON CONFLICT (one) DO UPDATE SET epoch = leyden_lease.epoch + 1
            RETURNING epoch, layout";
        let row = tables.query_one(take, &[&STORE_VERSION]).map_err(fail)?;
        let (epoch, got): (i64, i64) = (row.get(0), row.get(1));
        if got > STORE_VERSION {
            return Err(StoreFault::Newer { path, got, max: STORE_VERSION });
        }
        tables.commit().map_err(fail)?;
        // A commit that returns is on the disk, whatever else is set there.
        client.batch_execute("SET synchronous_commit = on").map_err(fail)?;
        let add = client.prepare(ADD).map_err(fail)?;
        let store = Self { client, add, epoch, path: path.clone() };
        Ok((store, path))
    }

    /// The epoch that is there and not ours.
    fn fenced(&mut self) -> StoreFault {
        let row = self.client.query_one("SELECT epoch FROM leyden_lease", &[]);
        let (path, have) = (self.path.clone(), self.epoch);
        match row {
            Ok(row) => StoreFault::Fenced { path, got: row.get(0), have },
            Err(fault) => failed(&path, &fault),
        }
    }

    /// Snapshots and entries, with the changes before and behind them, in their order.
    fn commit_mixed(&mut self, batches: &[Batch]) -> Result<bool, ::postgres::Error> {
        let mut transaction = self.client.transaction()?;
        let lease = "SELECT 1 FROM leyden_lease WHERE epoch = $1 FOR SHARE";
        if transaction.query_opt(lease, &[&self.epoch])?.is_none() {
            return Ok(false);
        }
        for write in batches.iter().flatten() {
            match write {
                Write::Change { core, bytes } => {
                    transaction.execute(
                        &self.add,
                        &[&self.epoch, &[core.0].as_slice(), &[bytes.as_slice()].as_slice()],
                    )?;
                }
                Write::Snapshot { core, bytes } => {
                    let text = "
                        INSERT INTO leyden_snapshot (core, state) VALUES ($1, $2)
                        ON CONFLICT (core) DO UPDATE SET state = excluded.state";
                    transaction.execute(text, &[&core.0, &bytes.as_slice()])?;
                    transaction.execute("DELETE FROM leyden_log WHERE core = $1", &[&core.0])?;
                }
                Write::Archive { core, key, entry } => {
                    let text = "
                        INSERT INTO leyden_archive (core, key, n, entry)
                        VALUES ($1, $2, 1 + coalesce((SELECT max(n) FROM leyden_archive
                          WHERE core = $1 AND key = $2), 0), $3)
                        RETURNING n";
                    let row = transaction.query_one(text, &[&core.0, key, entry])?;
                    let oldest = row.get::<_, i64>(0) - ARCHIVE_ENTRIES_MAX as i64;
                    if oldest > 0 {
                        let text =
                            "DELETE FROM leyden_archive WHERE core = $1 AND key = $2 AND n <= $3";
                        transaction.execute(text, &[&core.0, key, &oldest])?;
                    }
                }
            }
        }
        transaction.commit()?;
        Ok(true)
    }

    /// Nothing but changes: one question, and one answer.
    fn commit_changes(&mut self, changes: &[(&str, &[u8])]) -> Result<bool, ::postgres::Error> {
        let (cores, bytes): (Vec<&str>, Vec<&[u8]>) = changes.iter().copied().unzip();
        let row = self.client.query_one(&self.add, &[&self.epoch, &cores, &bytes])?;
        Ok(row.get::<_, i64>(0) == 1)
    }
}

impl Backend for Postgres {
    fn commit(&mut self, batches: &[Batch]) -> Result<(), StoreFault> {
        let change = |write| match write {
            &Write::Change { core, ref bytes } => Some((core.0, bytes.as_slice())),
            Write::Snapshot { .. } | Write::Archive { .. } => None,
        };
        let changes: Option<Vec<_>> = batches.iter().flatten().map(change).collect();
        let committed = match changes {
            Some(changes) => self.commit_changes(&changes),
            None => self.commit_mixed(batches),
        };
        match committed {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.fenced()),
            Err(fault) => Err(failed(&self.path, &fault)),
        }
    }

    fn restore(&mut self, core: Core) -> Result<Restored, StoreFault> {
        let path = self.path.clone();
        let fail = |fault: ::postgres::Error| failed(&path, &fault);
        let text = "SELECT state FROM leyden_snapshot WHERE core = $1";
        let snapshot = self.client.query_opt(text, &[&core.0]).map_err(fail)?;
        let text = "SELECT position, change FROM leyden_log WHERE core = $1 ORDER BY position";
        let rows = self.client.query(text, &[&core.0]).map_err(fail)?;
        let change = |row: Row| (Position(row.get::<_, i64>(0) as u64), row.get(1));
        let changes = rows.into_iter().map(change).collect();
        Ok(Restored { snapshot: snapshot.map(|row| row.get(0)), changes })
    }

    fn newest(&mut self, core: Core, key: &[u8], max: u32) -> Result<Entries, StoreFault> {
        let text = "
            SELECT n, entry FROM leyden_archive WHERE core = $1 AND key = $2
            ORDER BY n DESC LIMIT $3";
        let rows = self.client.query(text, &[&core.0, &key, &i64::from(max)]);
        let rows = rows.map_err(|fault| failed(&self.path, &fault))?;
        Ok(rows.into_iter().map(|row| (row.get::<_, i64>(0) as u64, row.get(1))).collect())
    }
}

fn failed(path: &Path, fault: &::postgres::Error) -> StoreFault {
    let path = path.to_owned();
    if fault.code() == Some(&SqlState::DISK_FULL) {
        return StoreFault::Full { path };
    }
    // What the server says stands behind what the client says.
    let why = match fault.as_db_error() {
        Some(said) => said.to_string(),
        None => match std::error::Error::source(fault) {
            Some(source) => format!("{fault}: {source}"),
            None => fault.to_string(),
        },
    };
    StoreFault::Failed { path, why }
}
