//! What a pass knows: the config in force and each repository as last seen. Plain data, shared with the threads that
//! render.

use crate::{
    git::{Bases, Mirror},
    load::Config,
    plan::{self, Observed, Refs},
    render::RouterSettings,
};
use lapdev_api::{
    bundle::BranchIdentity,
    kinds::{AppCatalog, Placement, Source},
    name::{BranchRef, ClusterName, Commit, ControlPlaneId, RepositoryName},
};
use lapdev_forge::RepositoryInfo;
use std::collections::{BTreeMap, BTreeSet};

/// A config commit that loads.
#[derive(Debug, Clone)]
pub(super) struct InForce {
    pub config: Config,
    pub commit: Commit,
    pub mirror: Mirror,
}

/// A repository as last seen.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub info: Option<RepositoryInfo>,
    pub mirror: Option<Mirror>,
    pub repository: plan::Repository,
}

/// Everything that rendering reads.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub control_plane: ControlPlaneId,
    pub config_repository: RepositoryName,
    pub config_branch: BranchRef,
    pub in_force: InForce,
    pub seen: BTreeMap<RepositoryName, Seen>,
    pub clusters_heard_of: BTreeSet<ClusterName>,
    pub router: RouterSettings,
    pub bases: Bases,
}

impl World {
    /// The plan's view.
    pub fn observed(&self) -> Observed {
        let repositories = self.seen.iter().map(|(name, seen)| (name.clone(), seen.repository.clone())).collect();
        let clusters_heard_of = self.clusters_heard_of.clone();
        Observed { config_commit: self.in_force.commit.clone(), repositories, clusters_heard_of }
    }

    /// The repository that a branch is in.
    pub fn repository_of(&self, branch: &BranchIdentity) -> Option<&Seen> {
        let is_it = |seen: &&Seen| seen.repository.id.as_ref() == Some(&branch.repository_id);
        self.seen.values().find(is_it).or_else(|| self.seen.get(&branch.repository))
    }

    /// Whether a catalog's source lies in the repository of a branch, so that the branch changes it.
    pub fn holds_source(&self, branch: &BranchIdentity, catalog: &AppCatalog) -> bool {
        let repository = match &catalog.source {
            Source::Path { .. } => &self.config_repository,
            Source::Repository { repository, .. } => repository,
        };
        let id = self.seen.get(repository).and_then(|seen| seen.repository.id.as_ref());
        *repository == branch.repository || id == Some(&branch.repository_id)
    }

    /// The branch from which those of a repository depart, as far as this catalog is concerned: what the baseline runs.
    pub fn trunk(&self, branch: &BranchIdentity, catalog: &AppCatalog) -> Option<BranchRef> {
        match &catalog.source {
            Source::Repository { branch: trunk, .. } if self.holds_source(branch, catalog) => Some(trunk.clone()),
            Source::Path { .. } if self.holds_source(branch, catalog) => Some(self.config_branch.clone()),
            Source::Path { .. } | Source::Repository { .. } => {
                self.repository_of(branch)?.repository.refs.default_branch().cloned()
            }
        }
    }
}

/// The newest commit of a branch, if the branches are known and it is one of them.
pub(super) fn tip<'a>(refs: &'a Refs, branch: &BranchRef) -> Option<&'a Commit> {
    refs.known()?.get(branch)
}

/// The repositories that a config speaks of, and whether their pull requests matter.
pub(super) fn mentioned(config: &Config) -> BTreeMap<RepositoryName, bool> {
    let catalogs = || config.catalogs.values();
    let sources = catalogs().filter_map(|catalog| match &catalog.source {
        Source::Repository { repository, .. } => Some(repository),
        Source::Path { .. } => None,
    });
    let triggers = catalogs().filter_map(|catalog| catalog.branch_environments.as_ref()).flat_map(|rules| &rules.on);
    let files = config.environments.values().filter_map(|file| match &file.placement {
        Placement::Branch { branch, .. } => Some(&branch.repository),
        Placement::Personal { .. } | Placement::Shared { .. } => None,
    });
    let with_pull_requests: BTreeSet<&RepositoryName> =
        triggers.map(|trigger| &trigger.repository).chain(files).collect();
    let all = sources.chain(with_pull_requests.iter().copied());
    all.map(|name| (name.clone(), with_pull_requests.contains(name))).collect()
}
