//! What the tunnel asks of the rest of the agent, and nothing else of it.

use super::TraceRefused;
use async_trait::async_trait;
use lapdev_api::{
    bundle::{Bundle, DialTarget},
    digest::Digest,
    name::{ControlPlaneId, Generation, Uid},
    route::{TraceReport, TraceRequest},
    wire::{Assignment, ClusterPolicy, Held, Inventory},
};
use std::net::SocketAddr;

/// The cluster as the tunnel sees it. Every method answers from memory or local storage and soon: work that takes
/// long is started and reported through the [`super::Outbox`].
#[async_trait]
pub trait Cluster: Send + Sync + 'static {
    /// `gitVersion` of the API server.
    fn kubernetes_version(&self) -> String;

    /// A session begins: whose objects these are now, and what git permits. Returns all that is held of that control
    /// plane. Until the first call (and after one with another id) nothing may be applied.
    async fn begin(&self, control_plane: &ControlPlaneId, policy: &ClusterPolicy) -> Vec<Held>;

    /// An environment should be so. [`Accept::Need`] when there is no bundle of that digest: the assignment is kept,
    /// and [`Self::accept_bundle`] follows.
    async fn assign(&self, assignment: &Assignment) -> Accept;

    /// A bundle arrived; its digest is verified, its content is not. Kept until no assignment names it.
    ///
    /// # Errors
    /// In one sentence, when it may not be applied here or cannot be kept; also worth a status of its environment.
    async fn accept_bundle(&self, bundle: ReceivedBundle) -> Result<(), String>;

    /// An environment ended, for this reason; everything of it goes. Must be remembered over a restart, and ends in
    /// [`super::Outbox::gone`]; of an environment that is not held, at once.
    async fn tombstone(&self, uid: &Uid, generation: Generation, evidence: &str) -> Accept;

    /// The hub has said everything that differed.
    async fn synced(&self);

    /// What the cluster really holds, by asking its API server.
    ///
    /// # Errors
    /// In one sentence, when the API server did not answer.
    async fn inventory(&self) -> Result<Inventory, String>;

    /// Where to dial a service for a preview's request; only if a bundle that is held of `uid` declares exactly this
    /// target among its previews.
    ///
    /// # Errors
    /// Says which of both it is, since only one is a trespass.
    async fn resolve(&self, uid: &Uid, target: &DialTarget) -> Result<SocketAddr, DialRefused>;

    /// Sends a probe through a Branch environment's services, and says what its routers saw of it.
    ///
    /// # Errors
    /// Says which of both it is, since only one is a trespass.
    async fn trace(&self, request: &TraceRequest) -> Result<TraceReport, TraceRefused> {
        Err(TraceRefused::Unavailable(format!("environment {} cannot be traced here", request.uid)))
    }
}

/// The answer to an assignment or tombstone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accept {
    /// It counts from now on.
    Accepted,
    /// It counts from now on, but its bundle is missing.
    Need,
    /// What is held is newer: this generation.
    Refused(Generation),
}

/// A bundle whose bytes have the digest that was announced.
#[derive(Debug, Clone)]
pub struct ReceivedBundle {
    /// The SHA-256 of `bytes`.
    pub digest: Digest,
    /// The canonical JSON; to be kept as it is, since another version might write it in another way.
    pub bytes: bytes::Bytes,
    /// The same, read.
    pub bundle: Bundle,
}

/// Why a service may not or cannot be dialled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialRefused {
    /// No held bundle of the environment declares it.
    #[error("no bundle of environment {uid} declares {namespace}/{service} as a preview", namespace = target.namespace, service = target.service)]
    NotDeclared {
        /// Which environment.
        uid: Uid,
        /// What was asked for.
        target: DialTarget,
    },
    /// It is declared, but the cluster has no such Service, port or address now.
    #[error("{0}")]
    Unavailable(String),
}
