//! What `/api/v1` answers, and the command prints as JSON or YAML. Field names are stable; new ones may be added.
//!
//! Errors are [`ApiError`] with a fitting HTTP status. Every path but `/healthz` and `/readyz` wants
//! `Authorization: Bearer <admin token>`.

use crate::{
    kinds::EnvironmentType,
    name::{CatalogName, ClusterName, Commit, EnvironmentName, Generation, Namespace, Uid},
    record::{Life, Problem, Reason},
    route::{Station, TraceReport, Traffic},
    status::{Phase, WorkloadStatus},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// `GET /api/v1/environments`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentList {
    /// By name. Closed ones are left out unless `?closed=true`.
    pub items: Vec<EnvironmentView>,
    /// The state of the config repository.
    pub config: ConfigView,
}

/// `GET /api/v1/environments/{name}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentView {
    /// Its name.
    pub name: EnvironmentName,
    /// This life of it.
    pub uid: Uid,
    /// Its type.
    #[serde(rename = "type")]
    pub environment_type: EnvironmentType,
    /// Its catalog.
    pub catalog: CatalogName,
    /// Where it is placed.
    pub cluster: ClusterName,
    /// The namespace that its objects are in.
    pub namespace: Namespace,
    /// Whose, if anybody's.
    pub owner: Option<String>,
    /// Of a Branch.
    pub branch: Option<BranchView>,
    /// Whether it lives.
    pub life: Life,
    /// How it is.
    pub phase: Phase,
    /// In one sentence.
    pub message: String,
    /// What was last published.
    pub generation: Generation,
    /// What its agent last reported about.
    pub observed_generation: Option<Generation>,
    /// Where people open it.
    pub links: Vec<LinkView>,
    /// Each workload, as last reported.
    pub workloads: Vec<WorkloadStatus>,
    /// Why it exists, and why each workload runs.
    pub reasons: Vec<Reason>,
    /// What is not as it should be.
    pub problems: Vec<Problem>,
    /// What the agent noticed.
    pub notices: Vec<String>,
    /// Requests that carried the environment's key, as last reported.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traffic: Vec<Traffic>,
    /// When it was first seen.
    pub created_at: Timestamp,
    /// When its ttl ends.
    pub expires_at: Option<Timestamp>,
}

/// What a Branch environment comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BranchView {
    /// The routing key.
    pub key: String,
    /// The base environment.
    pub base: EnvironmentName,
    /// The repository.
    pub repository: String,
    /// The branch.
    #[serde(rename = "ref")]
    pub branch: String,
    /// The commit that it was rendered from.
    pub head: Option<Commit>,
    /// The open pull requests.
    pub pull_requests: Vec<u64>,
}

/// Where people open a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LinkView {
    /// The Service.
    pub service: String,
    /// The whole address, with its signature where access needs one.
    pub url: String,
    /// Whether the branch itself answers, or the baseline does.
    pub branch: bool,
}

/// The state of the config repository.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigView {
    /// The newest commit that was seen.
    pub head: Option<Commit>,
    /// The commit that is in force.
    pub loaded: Option<Commit>,
    /// Why `head` is not in force: each `path:line:column: …`.
    pub errors: Vec<String>,
    /// Deletions that wait for a person, and why.
    pub held: Option<HeldView>,
    /// Repositories that could not be read, and why: their environments stay as they are.
    pub unreadable: Vec<Problem>,
}

/// Deletions that wait for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldView {
    /// What would go.
    pub environments: Vec<EnvironmentName>,
    /// Why they are held, and how to let them go.
    pub message: String,
}

/// `GET /api/v1/clusters`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterView {
    /// Its name.
    pub name: ClusterName,
    /// Whether its agent is connected now.
    pub connected: bool,
    /// When it was last heard of.
    pub last_seen: Option<Timestamp>,
    /// The agent's version.
    pub agent_version: Option<String>,
    /// The API server's version.
    pub kubernetes: Option<String>,
    /// How many environments are placed there.
    pub environments: u64,
}

/// `GET /api/v1/audit`: git, forge, store and cluster joined.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditReport {
    /// How many environments were looked at.
    pub checked: u64,
    /// What does not fit; empty when all is well.
    pub findings: Vec<Finding>,
}

/// One thing that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The cluster.
    pub cluster: ClusterName,
    /// The environment, by name where known, else by uid.
    pub environment: String,
    /// `Orphan`, `Missing`, `NotConnected`, `StuckClosing`, `Stale`.
    pub kind: String,
    /// In one sentence.
    pub message: String,
}

/// The body of `POST /api/v1/environments/{name}/trace`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TraceAsked {
    /// The Service to begin at; none: the environment's first preview's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The path of the probe's GET, with query.
    #[serde(default = "root")]
    pub path: String,
}

fn root() -> String {
    "/".to_owned()
}

/// Answers `POST /api/v1/environments/{name}/trace`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TraceView {
    /// The environment.
    pub environment: EnvironmentName,
    /// What the routers saw.
    pub report: TraceReport,
    /// What follows from it.
    pub verdict: Verdict,
}

/// What became of the key on a probe's way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// In one word.
    pub outcome: Outcome,
    /// In one sentence.
    pub message: String,
    /// Which versions of services passed the key on.
    pub passed_on_by: Vec<Station>,
    /// Who dropped it.
    pub losses: Vec<Loss>,
    /// What else is worth knowing.
    pub notes: Vec<String>,
}

/// What became of the key, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It reached every service that was called.
    Passed,
    /// The service that the probe went to called no other one that is routed: nothing is shown.
    Alone,
    /// Somebody dropped it.
    Dropped,
    /// The probe did not come through.
    Failed,
}

/// Somebody who was given the key, and called another service without it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Loss {
    /// Who; none where the caller's address belongs to no routed Service.
    pub by: Option<Station>,
    /// Whether the trace itself proves it; else only the caller's address and the time do.
    pub certain: bool,
    /// The headers that it was given and did not pass on: `traceparent`, `tracestate`, `baggage`.
    pub lost: Vec<String>,
    /// The Services that it called without the key.
    pub towards: Vec<String>,
    /// In a sentence or two.
    pub message: String,
    /// Its language, as far as its image and command tell.
    pub language: Option<String>,
    /// What to add so that it passes the key on, line by line.
    pub advice: Vec<String>,
}

/// `POST /api/v1/clusters/{name}/tokens` (the secret is in this answer only), and without it `GET`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenView {
    /// Names the token in `list` and `revoke`; not secret.
    pub id: String,
    /// The cluster.
    pub cluster: ClusterName,
    /// When it was made.
    pub created_at: Timestamp,
    /// When an agent last used it.
    pub last_used_at: Option<Timestamp>,
    /// The token itself, once.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub secret: Option<String>,
}

/// The body of every answer that is no success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiError {
    /// What was wrong, and what to do next.
    pub message: String,
}
