//! The kinds that a team declares in its config repository (`apiVersion: lapdev.dev/v1alpha1`).
//!
//! Plain data: reading them with places, and checking what they refer to, is the reconciler's (`load`, `validate`).

mod catalog;
mod cluster;
mod environment;

pub use catalog::{
    Access, AppCatalog, BranchEnvironments, Forks, ImageRule, Preview, PreviewPath, PullRequestRule, Source, Sync,
    Trigger, TriggerOn, WorkloadRule,
};
pub use cluster::{Cluster, Permissions};
pub use environment::{BranchSelector, Environment, EnvironmentType, Override, Placement};

use serde::{Deserialize, Serialize};

/// A port of a Service, by number or by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Port {
    /// By number.
    Number(u16),
    /// By name.
    Name(String),
}
