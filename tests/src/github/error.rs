//! What the double cannot do: a command that makes no sense, or a git repository that is none.

use std::{io, path::PathBuf};

/// A command to the double that failed.
#[derive(Debug, thiserror::Error)]
pub enum DoubleError {
    /// There is no such repository, pull request, comment or delivery.
    #[error("the double has no {0}")]
    Unknown(String),
    /// The command does not fit the state.
    #[error("{0}")]
    Refused(String),
    /// The git repository on disk did not do what it should.
    #[error("git: {0}")]
    Git(#[from] git2::Error),
    /// Listening, or a file.
    #[error("{what}")]
    Io {
        /// What was attempted.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A certificate or key that cannot be used.
    #[error("TLS: {what} {}", path.display())]
    Tls {
        /// What is wrong.
        what: String,
        /// In which file.
        path: PathBuf,
    },
}
