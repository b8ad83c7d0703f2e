//! Why the store could not do what it was asked.

use sqlx::migrate::MigrateError;
use std::{error::Error, io, path::PathBuf};

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database's folder or file could not be made.
    #[error("cannot create {path}: check that its folder exists and that lapdev may write there")]
    Create {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The database could not be opened.
    #[error("cannot open the database {path}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: sqlx::Error,
    },
    /// The database's tables could not be brought up to date.
    #[error("cannot bring the tables of {path} up to date: was it last used by a newer lapdev?")]
    Migrate {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: MigrateError,
    },
    /// A statement failed.
    #[error("the store could not {attempted}")]
    Query {
        /// What was attempted.
        attempted: &'static str,
        /// What the database said.
        source: sqlx::Error,
    },
    /// What was read is not what lapdev wrote.
    #[error("the store could not read {what} {key:?}: it is not what this version of lapdev writes")]
    Corrupt {
        /// Which kind of thing.
        what: &'static str,
        /// Which one.
        key: String,
        /// Why it could not be read.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A number is too large for the database.
    #[error("the store could not {attempted}: {number} is larger than 2^63-1")]
    TooLarge {
        /// What was attempted.
        attempted: &'static str,
        /// The number.
        number: u64,
    },
    /// Random bytes could not be had.
    #[error("the store could not {attempted}: the system gives no random bytes")]
    Random {
        /// What was attempted.
        attempted: &'static str,
        /// What the system said.
        source: getrandom::Error,
    },
    /// A step on another thread was cut short, because the process ends.
    #[error("the store could not {attempted}: lapdev is shutting down")]
    Interrupted {
        /// What was attempted.
        attempted: &'static str,
    },
}

impl StoreError {
    pub(crate) fn corrupt(
        what: &'static str,
        key: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::Corrupt { what, key: key.into(), source: source.into() }
    }
}

/// Adds to a database error what was attempted.
pub(crate) trait Attempt<T> {
    /// `attempted` completes the sentence "the store could not …".
    fn attempt(self, attempted: &'static str) -> Result<T, StoreError>;
}

impl<T> Attempt<T> for Result<T, sqlx::Error> {
    fn attempt(self, attempted: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Query { attempted, source })
    }
}
