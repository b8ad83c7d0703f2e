//! `kind: Environment`: one environment that a file declares. Derived Branch environments have no file.

use crate::name::{BranchRef, CatalogName, ClusterName, EnvironmentName, RepositoryName};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// One declared environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Environment {
    /// Its name, unique in the config repository.
    pub name: EnvironmentName,
    /// The catalog that it runs.
    pub catalog: CatalogName,
    /// Where, and as what.
    pub placement: Placement,
    /// Changes to the catalog's objects, in order.
    pub overrides: Vec<Override>,
    /// While true nothing new is published; what runs goes on.
    pub paused: bool,
    /// Life since the last change of its file or branch.
    pub ttl: Option<SignedDuration>,
}

/// Where an environment runs: on its own in a cluster, or beside a base. A Branch without a base, or a Shared
/// environment without a cluster, cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "type")]
pub enum Placement {
    /// One person's, in a namespace of its own.
    Personal {
        /// The cluster.
        cluster: ClusterName,
        /// Whose.
        owner: String,
    },
    /// A team's baseline, in a namespace of its own.
    Shared {
        /// The cluster.
        cluster: ClusterName,
    },
    /// What a branch changes, in its base's namespace.
    Branch {
        /// The Shared environment beside which it runs.
        base: EnvironmentName,
        /// Which branch.
        branch: BranchSelector,
        /// Whose, if anybody's.
        owner: Option<String>,
    },
}

/// Which branch of which repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BranchSelector {
    /// The repository.
    pub repository: RepositoryName,
    /// The branch.
    #[serde(rename = "ref")]
    pub branch: BranchRef,
}

/// The three types, as people see them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EnvironmentType {
    /// One person's.
    Personal,
    /// A team's baseline.
    Shared,
    /// What a branch changes, beside a baseline.
    Branch,
}

impl fmt::Display for EnvironmentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Personal => "Personal",
            Self::Shared => "Shared",
            Self::Branch => "Branch",
        })
    }
}

impl Placement {
    /// The type that this placement makes.
    #[must_use]
    pub fn environment_type(&self) -> EnvironmentType {
        match self {
            Self::Personal { .. } => EnvironmentType::Personal,
            Self::Shared { .. } => EnvironmentType::Shared,
            Self::Branch { .. } => EnvironmentType::Branch,
        }
    }
}

/// A change to one workload of the catalog.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Override {
    /// `metadata.name` of a Deployment or StatefulSet.
    pub workload: String,
    /// Its replicas.
    pub replicas: Option<u32>,
    /// The image of its first container, or of the one that the catalog's image rule names.
    pub image: Option<String>,
    /// Variables set in that container.
    pub env: BTreeMap<String, String>,
    /// Strategic merge patches, each of one object of the workload's kind and name.
    pub patches: Vec<serde_json::Value>,
}
