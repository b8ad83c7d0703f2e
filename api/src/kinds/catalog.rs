//! `kind: AppCatalog`: the blueprint of an app: where its objects come from, which repository changes which workload,
//! what is shown to people, and when a branch gets an environment.

use super::Port;
use crate::name::{BranchRef, CatalogName, EnvironmentName, RepositoryName};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The blueprint of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppCatalog {
    /// Its name, unique in the config repository.
    pub name: CatalogName,
    /// Where its objects come from.
    pub source: Source,
    /// What a changed source does to existing environments.
    pub sync: Sync,
    /// How a branch maps to workloads; others follow the baseline.
    pub workloads: Vec<WorkloadRule>,
    /// What is shown to people.
    pub previews: Vec<Preview>,
    /// When a branch gets an environment; none: never.
    pub branch_environments: Option<BranchEnvironments>,
}

/// Where a catalog's objects come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", untagged)]
pub enum Source {
    /// A kustomization or plain manifests in the config repository.
    Path {
        /// Folder, from the repository's root.
        path: String,
    },
    /// The same in another repository.
    Repository {
        /// The repository.
        repository: RepositoryName,
        /// Folder, from the repository's root.
        path: String,
        /// The branch that Shared and Personal environments follow.
        #[serde(rename = "ref")]
        branch: BranchRef,
    },
}

/// What a changed source does to existing environments.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Sync {
    /// They follow.
    #[default]
    Auto,
    /// They keep the revision that they were created with.
    Manual,
}

/// One workload that branches of a repository change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadRule {
    /// `metadata.name` of a Deployment or StatefulSet in the catalog's objects.
    pub name: String,
    /// Whose branches change it.
    pub repository: RepositoryName,
    /// Globs over changed files (`**` crosses folders); none: every file.
    pub paths: Vec<String>,
    /// Which image a branch's copy runs.
    pub image: Option<ImageRule>,
}

/// Which image a branch's copy of a workload runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageRule {
    /// The container's name.
    pub container: String,
    /// The image without tag.
    pub name: String,
    /// The tag; `{sha}` is the branch's head commit, `{pathSha}` the last commit that touched the rule's paths.
    pub tag: String,
}

/// A service that is shown to people at an address of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    /// The Service.
    pub service: String,
    /// Its port.
    pub port: Port,
    /// Who may open it.
    pub access: Access,
    /// Paths that another service answers.
    pub paths: BTreeMap<String, PreviewPath>,
}

/// The service that answers below a path of a preview.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PreviewPath {
    /// The Service.
    pub service: String,
    /// Its port.
    pub port: Port,
}

/// Who may open a preview.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Access {
    /// Those who hold a link from the pull request, or a session.
    #[default]
    Organization,
    /// Everyone.
    Public,
}

/// When a branch gets an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BranchEnvironments {
    /// The Shared environment of this catalog beside which branches run.
    pub base: EnvironmentName,
    /// What triggers one.
    pub on: Vec<Trigger>,
    /// Life since the last push; none: until the branch or its pull request ends.
    pub ttl: Option<SignedDuration>,
    /// Idle time until the workloads are scaled to zero.
    pub sleep_after: Option<SignedDuration>,
    /// How many at most; further ones queue.
    pub limit: u32,
}

/// One trigger: of this repository, either pull requests or branches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trigger {
    /// The repository.
    pub repository: RepositoryName,
    /// What in it.
    #[serde(flatten)]
    pub on: TriggerOn,
}

/// What triggers an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TriggerOn {
    /// Open pull requests that match.
    PullRequests(PullRequestRule),
    /// Branches that match one of these globs.
    Branches(Vec<String>),
}

/// Which pull requests get an environment.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PullRequestRule {
    /// All of these labels are needed.
    pub labels: Vec<String>,
    /// Whether drafts count.
    pub drafts: bool,
    /// What a pull request from a fork needs.
    pub forks: Forks,
}

/// What a pull request from a fork needs to get an environment.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Forks {
    /// A maintainer's approval of the very commit.
    #[default]
    Approval,
    /// Nothing: as any other.
    Allow,
    /// It never gets one.
    Deny,
}
