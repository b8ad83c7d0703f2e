//! What an agent observed of an environment, as it reports it.

use crate::{
    digest::Digest,
    name::{Generation, Uid},
    route::Traffic,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One environment as its cluster's agent sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentStatus {
    /// Which environment.
    pub uid: Uid,
    /// The generation that this is about.
    pub generation: Generation,
    /// The bundle that was last applied in full, if any was.
    pub applied: Option<Digest>,
    /// In one word.
    pub phase: Phase,
    /// In one sentence, for people; empty when Ready.
    pub message: String,
    /// Each workload.
    pub workloads: Vec<WorkloadStatus>,
    /// What deserves notice though it does not stop anything: drift that was repaired, fields that another owns.
    pub notices: Vec<String>,
    /// Requests that carried the environment's key, by service and version, since its agent began to count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traffic: Vec<Traffic>,
}

/// How an environment is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// Waits for a free place under its catalog's limit, or for an approval.
    Queued,
    /// Published; its cluster's agent has not applied it yet.
    Pending,
    /// Applied; some workload is not ready yet.
    Progressing,
    /// Every workload is ready.
    Ready,
    /// A workload cannot become ready without a change: image pull, crash, quota, invalid object.
    Failed,
    /// An object or namespace of somebody else's stands where one of ours should.
    Occupied,
    /// Being deleted.
    Terminating,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Queued => "Queued",
            Self::Pending => "Pending",
            Self::Progressing => "Progressing",
            Self::Ready => "Ready",
            Self::Failed => "Failed",
            Self::Occupied => "Occupied",
            Self::Terminating => "Terminating",
        })
    }
}

/// One workload of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadStatus {
    /// `Deployment`, `StatefulSet`, `DaemonSet`, `Job`, …
    pub kind: String,
    /// Its name in the cluster.
    pub name: String,
    /// How it is.
    pub health: Health,
    /// Ready pods.
    pub ready: u32,
    /// Wanted pods.
    pub desired: u32,
    /// The pod's own reason where it is not ready (`ImagePullBackOff`, `CrashLoopBackOff`, `Unschedulable`), else the
    /// condition's.
    pub reason: Option<String>,
    /// The sentence that belongs to the reason.
    pub message: Option<String>,
}

/// How a workload is, by the kstatus rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Health {
    /// Not there yet.
    InProgress,
    /// As wanted.
    Current,
    /// Will not get there by itself.
    Failed,
    /// Being deleted.
    Terminating,
}
