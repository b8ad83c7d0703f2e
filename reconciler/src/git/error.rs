//! Why git could not answer. No variant is evidence that a branch or file is gone.

use std::{path::PathBuf, time::Duration};

/// A failed operation on a repository.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GitError {
    /// An address that is no repository's.
    #[error(
        "{0:?} is not a repository's address; expected https://host/path, http://host/path, file:///path or an absolute path, without user name or password"
    )]
    Url(String),
    /// The mirrors' folder cannot be used.
    #[error(
        "cannot use {path} for git mirrors; check that it is writable, that the disk is not full, and that not too many files are open"
    )]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The remote could not be reached or did not answer as git does.
    #[error("cannot read {url}; check its address, its credentials and that it can be reached from here")]
    Remote {
        /// The repository.
        url: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No trusted TLS connection.
    #[error(
        "cannot make a trusted TLS connection to {url}; check its certificate, and ca_file for an authority of your own"
    )]
    Untrusted {
        /// The repository.
        url: String,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// The remote wants credentials, or refuses ours.
    #[error("{url} refuses access; check the configured token and that it may read this repository's contents")]
    Unauthorized {
        /// The repository.
        url: String,
    },
    /// The deadline passed, or the remote was silent for too long.
    #[error("{url} did not answer within {} s; the next poll tries again", .after.as_secs())]
    Deadline {
        /// The repository.
        url: String,
        /// How long it had.
        after: Duration,
    },
    /// More was sent than allowed.
    #[error("{url} sends more than the {limit} bytes that one fetch may bring; is this the right repository?")]
    TooMuch {
        /// The repository.
        url: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// A token or certificate file that cannot be read.
    #[error("cannot read {path}, which the settings name")]
    SettingFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file holds no authority.
    #[error("{path} holds no certificates in PEM that can be trusted ({message}); check ca_file")]
    Authority {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// libgit2 does not take our transport.
    #[error("libgit2 cannot be taught HTTP, without which no repository can be fetched; please report this")]
    Transport(#[source] git2::Error),
    /// A commit, tree or blob that the mirror does not hold.
    #[error("{what} {id} is not in the mirror; fetch it first")]
    Missing {
        /// `commit`, `tree` or `blob`.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// The mirror is damaged.
    #[error("cannot {attempt} in the mirror {path}; if this persists, remove that folder, and it is fetched anew")]
    Mirror {
        /// What was attempted.
        attempt: &'static str,
        /// The mirror.
        path: PathBuf,
        /// Why.
        #[source]
        source: git2::Error,
    },
    /// A task of ours ended early: the process shuts down.
    #[error("the git task for {url} was stopped")]
    Stopped {
        /// The repository.
        url: String,
    },
}
