//! Forges, outward: listings, comments and commit statuses behind one trait, [`Forge`].
//!
//! Here is what a forge says and what is said to it; what follows from it is decided in the reconciler. Two promises
//! carry weight there: a listing is [`Complete`] or an error, and a pull request's comment is never written twice.

mod complete;
mod error;
pub mod github;
mod types;

pub use complete::{Complete, Listing, Page, Progress};
pub use error::ForgeError;
pub use types::{CommitState, CommitStatus, PullRequest, PullRequestState, RepositoryInfo};

use async_trait::async_trait;
use lapdev_api::name::{Commit, RepositoryName};

/// One forge. Every call ends within the timeouts that the implementation was given.
#[async_trait]
pub trait Forge: Send + Sync {
    /// What the forge says about a repository: above all its rename-proof id.
    ///
    /// # Errors
    /// [`ForgeError::NotFound`] when there is none, or none that the credentials may see; else as each variant says.
    async fn repository(&self, repository: &RepositoryName) -> Result<RepositoryInfo, ForgeError>;

    /// Every open pull request, from all pages; unchanged ones come from memory by conditional requests.
    ///
    /// # Errors
    /// Whatever keeps the listing from being complete. A caller must not take any of them for an empty listing.
    async fn open_pull_requests(&self, repository: &RepositoryName) -> Result<Complete<Vec<PullRequest>>, ForgeError>;

    /// One pull request, open or not: positive evidence that it was closed or merged.
    ///
    /// # Errors
    /// [`ForgeError::NotFound`] is no evidence of anything: a repository that may not be read answers so too.
    async fn pull_request(&self, repository: &RepositoryName, number: u64) -> Result<PullRequest, ForgeError>;

    /// Makes `body` our one comment on a pull request and returns its id.
    ///
    /// The comment is the `known` one, else the one of our own that contains `marker` (which `body` must contain),
    /// else a new one. It is written only when its text differs. A body over the forge's limit is cut.
    ///
    /// # Errors
    /// After [`ForgeError::Unavailable`] the comment may or may not exist; the next call finds out before it writes.
    async fn upsert_comment(
        &self,
        repository: &RepositoryName,
        number: u64,
        known: Option<u64>,
        marker: &str,
        body: &str,
    ) -> Result<u64, ForgeError>;

    /// Sets the status of one context on a commit. A description over the forge's limit is cut.
    ///
    /// # Errors
    /// As each variant says; the forge refuses the 1001st status of a context on one commit.
    async fn set_commit_status(
        &self,
        repository: &RepositoryName,
        commit: &Commit,
        status: &CommitStatus,
    ) -> Result<(), ForgeError>;
}
