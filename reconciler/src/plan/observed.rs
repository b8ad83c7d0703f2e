//! What was seen of the world in one pass: the plan's only view of repositories, forges and agents.
//!
//! The types keep "there is none" and "it could not be seen" apart, because only the first may end anything. Whoever
//! fills them in (`run`) must put a listing here only when it saw its end.

use jiff::SignedDuration;
use lapdev_api::bundle::BranchIdentity;
use lapdev_api::name::{BranchRef, ClusterName, Commit, RepositoryId, RepositoryName};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that one pass saw.
#[derive(Debug, Clone)]
pub struct Observed {
    /// The commit of the config repository that is in force.
    pub config_commit: Commit,
    /// Each repository that the config mentions, by the name that it is mentioned with.
    pub repositories: BTreeMap<RepositoryName, Repository>,
    /// The clusters whose agents have said what they hold since the store was opened, so that the ledger has all of it.
    /// Another one may hold a life that the ledger does not know, since stores get lost or put back.
    pub clusters_heard_of: BTreeSet<ClusterName>,
}

/// What was seen of one repository.
#[derive(Debug, Clone, Default)]
pub struct Repository {
    /// Its rename-proof id; none while it was never read.
    pub id: Option<RepositoryId>,
    /// Its branches.
    pub refs: Refs,
    /// Its open pull requests.
    pub pull_requests: OpenPullRequests,
    /// Pull requests that were asked for one by one, because the listing no longer has them.
    pub confirmations: BTreeMap<u64, Confirmation>,
    /// The ttl that a branch asks for in its own `.lapdev.yaml`.
    pub branch_ttl: BTreeMap<BranchRef, SignedDuration>,
}

/// The branches of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refs {
    /// All of them.
    Complete {
        /// Each branch's newest commit.
        branches: BTreeMap<BranchRef, Commit>,
        /// The branch that never gets an environment of its own: the baseline runs it.
        default: Option<BranchRef>,
    },
    /// Not known, and why.
    Unreadable(String),
}

/// The open pull requests of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenPullRequests {
    /// All of them.
    Complete(Vec<PullRequest>),
    /// Not known, and why.
    Unavailable(String),
}

/// An open pull request, as far as the plan cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    /// Its number.
    pub number: u64,
    /// Its newest commit.
    pub head: Commit,
    /// Its branch, in the repository that it comes from.
    pub head_ref: BranchRef,
    /// Whether it comes from another repository.
    pub fork: bool,
    /// Whether its author calls it unfinished.
    pub draft: bool,
    /// Its labels.
    pub labels: Vec<String>,
}

/// The forge's answer about one pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Confirmation {
    /// It is closed or merged.
    Ended,
    /// It is open after all; the listing had missed it.
    StillOpen(PullRequest),
    /// No answer, and why. Proves nothing.
    Unavailable(String),
}

impl Default for Refs {
    fn default() -> Self {
        Self::Unreadable("it was not read yet".to_owned())
    }
}

impl Default for OpenPullRequests {
    fn default() -> Self {
        Self::Unavailable("they were not listed yet".to_owned())
    }
}

impl Refs {
    /// The branches, if all are known. A listing without one branch counts as unknown: a repository that was emptied,
    /// or replaced by a new one, looks the same as one whose answer got lost.
    #[must_use]
    pub fn known(&self) -> Option<&BTreeMap<BranchRef, Commit>> {
        match self {
            Self::Complete { branches, .. } if !branches.is_empty() => Some(branches),
            Self::Complete { .. } | Self::Unreadable(_) => None,
        }
    }

    /// Why the branches are not known.
    #[must_use]
    pub fn unknown_because(&self) -> Option<&str> {
        match self {
            Self::Complete { branches, .. } if branches.is_empty() => Some("it has no branch at all"),
            Self::Complete { .. } => None,
            Self::Unreadable(reason) => Some(reason),
        }
    }

    /// The default branch, where known.
    #[must_use]
    pub fn default_branch(&self) -> Option<&BranchRef> {
        match self {
            Self::Complete { default, .. } => default.as_ref(),
            Self::Unreadable(_) => None,
        }
    }
}

impl Observed {
    /// The repository of a branch, by its id; by its name only while the id that the name leads to is not known.
    #[must_use]
    pub fn of(&self, branch: &BranchIdentity) -> Option<(&RepositoryName, &Repository)> {
        let by_id =
            self.repositories.iter().find(|(_, repository)| repository.id.as_ref() == Some(&branch.repository_id));
        by_id.or_else(|| {
            self.repositories.get_key_value(&branch.repository).filter(|(_, repository)| repository.id.is_none())
        })
    }
}

impl Repository {
    /// The open pull requests: those listed, and those that the listing had missed. None when they are not known.
    #[must_use]
    pub fn open(&self) -> Option<Vec<&PullRequest>> {
        let OpenPullRequests::Complete(listed) = &self.pull_requests else { return None };
        let is_listed = |number: u64| listed.iter().any(|pull_request| pull_request.number == number);
        let missed = self.confirmations.values().filter_map(|confirmation| match confirmation {
            Confirmation::StillOpen(pull_request) if !is_listed(pull_request.number) => Some(pull_request),
            _ => None,
        });
        Some(listed.iter().chain(missed).collect())
    }
}

impl PullRequest {
    /// The ref by which its own repository serves its head. A fork's branch has no name there but the pull request's,
    /// and must not share an identity with a branch of the same name.
    #[must_use]
    pub fn identity_ref(&self) -> BranchRef {
        if !self.fork {
            return self.head_ref.clone();
        }
        format!("pull/{}/head", self.number).parse().expect("digits and slashes are a legal branch")
    }
}

/// The pull request whose fork this ref stands for, if it does.
#[must_use]
pub fn fork_number(branch: &BranchRef) -> Option<u64> {
    branch.as_str().strip_prefix("pull/")?.strip_suffix("/head")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_without_any_branch_is_no_knowledge() {
        let empty = Refs::Complete { branches: BTreeMap::new(), default: None };
        assert_eq!(empty.known(), None);
        assert!(empty.unknown_because().is_some());
    }

    #[test]
    fn a_name_that_leads_elsewhere_now_is_not_the_repository_of_then() {
        let name = |text: &str| text.parse().expect("legal");
        let branch = BranchIdentity {
            key: "feature-x-abcdef".parse().expect("legal"),
            base: "staging".parse().expect("legal"),
            repository_id: "42".parse().expect("legal"),
            repository: name("acme/shop"),
            branch: "feature/x".parse().expect("legal"),
        };
        let seen = |under: &str, id: Option<&str>| {
            let repository = Repository { id: id.map(|id| id.parse().expect("legal")), ..Repository::default() };
            let repositories = BTreeMap::from([(name(under), repository)]);
            let config_commit = "a".repeat(40).parse().expect("legal");
            Observed { config_commit, repositories, clusters_heard_of: BTreeSet::new() }.of(&branch).is_some()
        };
        assert!(seen("acme/renamed", Some("42")) && seen("acme/shop", None));
        assert!(!seen("acme/shop", Some("43")) && !seen("acme/other", None));
    }

    #[test]
    fn a_forks_branch_is_not_its_namesake() {
        let pull_request = PullRequest {
            number: 7,
            head: "a".repeat(40).parse().expect("legal"),
            head_ref: "main".parse().expect("legal"),
            fork: true,
            draft: false,
            labels: vec![],
        };
        assert_eq!(pull_request.identity_ref().as_str(), "pull/7/head");
        assert_eq!(fork_number(&pull_request.identity_ref()), Some(7));
        assert_eq!(fork_number(&pull_request.head_ref), None);
    }
}
