//! What a remote repository has, as it said itself. Only a listing that ended without error makes these types, so that
//! holding one is evidence.

use lapdev_api::name::{BranchRef, Commit};
use std::collections::BTreeMap;

/// The complete listing of a remote's branches, and of the pull requests' heads that were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refs {
    branches: BTreeMap<BranchRef, Commit>,
    pulls: BTreeMap<u64, Commit>,
    default_branch: Option<BranchRef>,
    illegal: usize,
}

/// What a remote's answer is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listing {
    /// Evidence: a branch that is not in it does not exist.
    Complete(Refs),
    /// The remote answered without error, but with no branch at all, though it had some before. No evidence: a
    /// repository that is being restored or moved answers so. The mirror keeps what it had.
    Suspicious {
        /// How many branches the mirror still holds.
        had: usize,
    },
}

impl Listing {
    /// The refs, if they are evidence.
    #[must_use]
    pub fn complete(&self) -> Option<&Refs> {
        match self {
            Self::Complete(refs) => Some(refs),
            Self::Suspicious { .. } => None,
        }
    }
}

impl Refs {
    pub(super) fn new(
        branches: BTreeMap<BranchRef, Commit>,
        pulls: BTreeMap<u64, Commit>,
        default_branch: Option<BranchRef>,
        illegal: usize,
    ) -> Self {
        Self { branches, pulls, default_branch, illegal }
    }

    /// Where a branch stands; none: it does not exist.
    #[must_use]
    pub fn branch(&self, name: &BranchRef) -> Option<&Commit> {
        self.branches.get(name)
    }

    /// Every branch.
    #[must_use]
    pub fn branches(&self) -> &BTreeMap<BranchRef, Commit> {
        &self.branches
    }

    /// The head of a pull request that was asked for; none: the remote publishes none.
    #[must_use]
    pub fn pull(&self, number: u64) -> Option<&Commit> {
        self.pulls.get(&number)
    }

    /// The branch that `HEAD` points to, if the server says which.
    #[must_use]
    pub fn default_branch(&self) -> Option<&BranchRef> {
        self.default_branch.as_ref()
    }

    /// How many branches were left out because their names are not legal (not UTF-8, for one).
    #[must_use]
    pub fn illegal(&self) -> usize {
        self.illegal
    }
}
