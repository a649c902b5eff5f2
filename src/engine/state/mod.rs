//! `state.db`: what all processes of this engine share.

mod containers;
mod index;
mod schema;

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

pub(crate) use containers::{
    Happened, Observed, Record, Spec, add_event, write_observed, write_spec,
};

use crate::Result;

/// How long a change waits for those of others. Each takes a millisecond at most, but they don't queue
/// up in order, and hundreds may come at once on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// An open state database. Cheap to open (well under a millisecond), so each process, and each
/// thread, has its own.
pub struct Store {
    connection: Connection,
    /// Dropped after the connection.
    _index: Option<index::Kept>,
}

impl Store {
    /// Opens the database, making or migrating it when needed.
    ///
    /// # Errors
    /// When the file can't be opened or was written by a newer version.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_file(path).map_err(|error| error.of_database(path))
    }

    fn open_file(path: &Path) -> Result<Self> {
        // Where it can't be done, SQLite does without, or says what is wrong.
        let index = index::keep(path).ok();
        let connection = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE
                | OpenFlags::SQLITE_OPEN_CREATE
                | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        connection.busy_timeout(PATIENCE)?;
        schema::migrate(&connection, path)?;
        Ok(Self { connection, _index: index })
    }

    /// Returns the connection, for the modules that own tables.
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Runs `work` in one transaction that takes the write lock at its start, and commits if it
    /// succeeds.
    ///
    /// # Errors
    /// What `work` returns, or a failure to begin or commit.
    pub(crate) fn transaction<T>(
        &mut self,
        work: impl FnOnce(&rusqlite::Transaction<'_>) -> Result<T>,
    ) -> Result<T> {
        let transaction =
            self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let value = work(&transaction)?;
        transaction.commit()?;
        Ok(value)
    }

    /// Returns a number that changes whenever another connection has changed the database.
    pub(crate) fn data_version(&self) -> Result<i64> {
        let mut statement = self.connection.prepare_cached("PRAGMA data_version")?;
        Ok(statement.query_row([], |row| row.get(0))?)
    }

    /// Returns the number of the folder that the database is of, 0 when nobody has said it.
    pub(crate) fn home(&self) -> Result<i32> {
        let mut statement = self.connection.prepare_cached("PRAGMA application_id")?;
        Ok(statement.query_row([], |row| row.get(0))?)
    }

    /// Says which folder the database is of.
    pub(crate) fn set_home(&self, number: i32) -> Result<()> {
        Ok(self.connection.pragma_update(None, "application_id", number)?)
    }

    /// Waits until whoever is in the middle of a change is done: what had been written to the log before
    /// this can be seen after it.
    pub(crate) fn wait_for_writers(&self) -> Result<()> {
        Ok(self.connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK")?)
    }
}
