//! What forges speak of, in our own words: no field here is any one forge's spelling.

use lapdev_api::name::{BranchRef, Commit, RepositoryId, RepositoryName};

/// A repository, as its forge describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryInfo {
    /// Survives renames and transfers.
    pub id: RepositoryId,
    /// Its name today; it differs from the one that was asked for after a rename.
    pub name: RepositoryName,
    /// The branch that pull requests aim at by default.
    pub default_branch: BranchRef,
    /// Where git fetches it.
    pub clone_url: String,
}

/// A pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    /// Its number within the repository.
    pub number: u64,
    /// Its title, written by anybody: never to be trusted in markup.
    pub title: String,
    /// The repository that it is in: a name may come to mean another one between two calls.
    pub repository_id: RepositoryId,
    /// The newest commit of its head.
    pub head: Commit,
    /// The branch that it comes from, in the head repository.
    pub head_ref: BranchRef,
    /// The repository that it comes from; none when that one was deleted.
    pub head_repository_id: Option<RepositoryId>,
    /// Whether it comes from another repository than the one it is in. A deleted head repository counts as a fork.
    pub fork: bool,
    /// The branch that it aims at.
    pub base_ref: BranchRef,
    /// Whether its author calls it unfinished.
    pub draft: bool,
    /// The names of its labels.
    pub labels: Vec<String>,
    /// The login of its author; `ghost` when the account is gone.
    pub author: String,
    /// Open, closed or merged.
    pub state: PullRequestState,
    /// Where people read it.
    pub url: String,
}

/// Whether a pull request is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullRequestState {
    /// It may still be merged.
    Open,
    /// It was closed without a merge; it may be opened again.
    Closed,
    /// It was merged.
    Merged,
}

/// What to say about a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitStatus {
    /// The verdict.
    pub state: CommitState,
    /// Who says it: one status for each context. Compared without regard to case by GitHub.
    pub context: String,
    /// In one short sentence.
    pub description: String,
    /// Where people read more.
    pub target_url: Option<String>,
}

/// The verdict on a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitState {
    /// Not known yet.
    Pending,
    /// Fine.
    Success,
    /// The commit is at fault.
    Failure,
    /// Something else is at fault.
    Error,
}
