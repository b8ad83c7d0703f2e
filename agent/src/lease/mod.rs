//! One agent of a cluster works: the one that holds the Lease in the agent's own namespace. Its `leaseTransitions` is
//! the epoch by which the hub tells an old holder from a new one. An annotation of it remembers the control plane.
//!
//! Times are this process's own: another holder's Lease counts as long as it changed within its duration since it was
//! first seen here, so that clocks that differ cannot make two holders.

mod claim;

use crate::{
    apiserver::{CallError, CallFailure},
    core::Memory,
    object::annotation,
};
use claim::{Claim, Sighting, claim, held_by_us, taken};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api, Client,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use lapdev_api::{labels, name::ControlPlaneId};
use serde_json::json;
use std::{future::Future, time::Duration};
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

/// Which Lease, and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseSettings {
    /// The agent's own namespace.
    pub namespace: String,
    /// The Lease's name.
    pub name: String,
    /// Who we are; a container that starts again in the same pod is the same.
    pub identity: String,
    /// How long a holder that says nothing keeps it.
    pub duration: Duration,
}

/// The Lease, held or not.
#[derive(Clone)]
pub struct Keeper {
    leases: Api<Lease>,
    settings: LeaseSettings,
}

/// A time in which this agent holds the Lease.
pub struct Term {
    /// Its `leaseTransitions`.
    pub epoch: u64,
    /// Cancelled when the Lease is lost: whoever works under it stops.
    pub lost: CancellationToken,
    keeper: Keeper,
    renewal: JoinHandle<()>,
}

impl Keeper {
    /// Uses this client.
    #[must_use]
    pub fn new(client: Client, settings: LeaseSettings) -> Self {
        Self { leases: Api::namespaced(client, &settings.namespace), settings }
    }

    /// Waits until the Lease is ours. None: told to stop first.
    pub async fn acquire(&self, stop: &CancellationToken) -> Option<Term> {
        let mut sighting = Sighting::default();
        loop {
            let pause = match self.try_acquire(&mut sighting).await {
                Ok(Ok(epoch)) => return Some(self.begin(epoch)),
                Ok(Err(wait)) => wait,
                Err(error) => {
                    tracing::warn!(%error, cause = %error.source, "cannot acquire the Lease");
                    self.settings.duration / 3
                }
            };
            tokio::select! {
                () = stop.cancelled() => return None,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// The epoch, or how long to wait before the next look.
    async fn try_acquire(&self, sighting: &mut Sighting) -> Result<Result<u64, Duration>, CallError> {
        let Some(mut lease) = self.get().await? else {
            return self.create().await;
        };
        let spec = lease.spec.clone().unwrap_or_default();
        match claim(&spec, &self.settings, sighting, Instant::now()) {
            Claim::Wait(pause) => Ok(Err(pause.min(self.settings.duration / 3))),
            Claim::Take => {
                let spec = taken(&spec, &self.settings);
                let epoch = epoch(&spec);
                lease.spec = Some(spec);
                // Somebody may have been quicker: the resource version decides.
                Ok(self.replace(&lease).await?.map(|()| epoch).ok_or(Duration::ZERO))
            }
        }
    }

    async fn create(&self) -> Result<Result<u64, Duration>, CallError> {
        let spec = taken(&Default::default(), &self.settings);
        let epoch = epoch(&spec);
        let metadata = ObjectMeta { name: Some(self.settings.name.clone()), ..ObjectMeta::default() };
        let lease = Lease { metadata, spec: Some(spec) };
        let parameters = PostParams::default();
        match self.call("create", self.leases.create(&parameters, &lease)).await {
            Err(error) if error.status().is_some_and(|status| status.is_already_exists()) => Ok(Err(Duration::ZERO)),
            other => other.map(|_| Ok(epoch)),
        }
    }

    fn begin(&self, epoch: u64) -> Term {
        tracing::info!(epoch, identity = self.settings.identity, "holds the Lease");
        let lost = CancellationToken::new();
        let (keeper, token) = (self.clone(), lost.clone());
        let renewal = tokio::spawn(async move {
            // Whatever ends the renewal, also a panic, ends the term.
            let _lost = token.drop_guard();
            keeper.renew_until_lost().await;
        });
        Term { epoch, lost, keeper: self.clone(), renewal }
    }

    async fn renew_until_lost(&self) {
        let mut renewed = Instant::now();
        let mut ticks = tokio::time::interval(self.settings.duration / 3);
        loop {
            ticks.tick().await;
            match self.renew().await {
                Ok(true) => renewed = Instant::now(),
                Ok(false) => {
                    tracing::warn!("another agent took the Lease");
                    return;
                }
                Err(error) if renewed.elapsed() > self.settings.duration * 2 / 3 => {
                    tracing::warn!(%error, cause = %error.source, "the Lease could not be renewed in time");
                    return;
                }
                Err(error) => tracing::debug!(%error, "cannot renew the Lease yet"),
            }
        }
    }

    /// False: another holds it.
    async fn renew(&self) -> Result<bool, CallError> {
        loop {
            let Some(mut lease) = self.get().await? else { return Ok(false) };
            let Some(spec) = lease.spec.as_mut().filter(|spec| held_by_us(spec, &self.settings)) else {
                return Ok(false);
            };
            claim::renew(spec);
            if self.replace(&lease).await?.is_some() {
                return Ok(true);
            }
        }
    }

    async fn get(&self) -> Result<Option<Lease>, CallError> {
        self.call("read", self.leases.get_opt(&self.settings.name)).await
    }

    /// None: it changed since it was read.
    async fn replace(&self, lease: &Lease) -> Result<Option<()>, CallError> {
        let parameters = PostParams::default();
        match self.call("write", self.leases.replace(&self.settings.name, &parameters, lease)).await {
            Err(error) if error.status().is_some_and(|status| status.is_conflict()) => Ok(None),
            other => other.map(|_| Some(())),
        }
    }

    /// A call about the Lease must not outlast what is left of it, so it has a shorter time limit than others.
    async fn call<T>(&self, verb: &str, call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, CallError> {
        let source = match tokio::time::timeout(self.settings.duration / 3, call).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(kube::Error::Api(status))) => CallFailure::Refused(status),
            Ok(Err(other)) => CallFailure::Unreachable(Box::new(other)),
            Err(_) => CallFailure::Timeout,
        };
        Err(CallError { attempt: format!("{verb} Lease {}/{}", self.settings.namespace, self.settings.name), source })
    }
}

impl Term {
    /// Gives the Lease back, so that the next agent need not wait.
    pub async fn release(self) {
        self.renewal.abort();
        let keeper = &self.keeper;
        let released = async {
            let Some(mut lease) = keeper.get().await? else { return Ok(()) };
            let Some(spec) = lease.spec.as_mut().filter(|spec| held_by_us(spec, &keeper.settings)) else {
                return Ok(());
            };
            spec.holder_identity = None;
            keeper.replace(&lease).await.map(drop)
        };
        if let Err::<(), CallError>(error) = released.await {
            tracing::warn!(%error, cause = %error.source, "could not give the Lease back");
        }
    }
}

fn epoch(spec: &k8s_openapi::api::coordination::v1::LeaseSpec) -> u64 {
    spec.lease_transitions.and_then(|transitions| u64::try_from(transitions).ok()).unwrap_or_default()
}

#[async_trait::async_trait]
impl Memory for Keeper {
    async fn recall(&self) -> Result<Option<ControlPlaneId>, CallError> {
        let lease = self.get().await?;
        Ok(lease.and_then(|lease| annotation(&lease.metadata, labels::CONTROL_PLANE)?.parse().ok()))
    }

    async fn remember(&self, control_plane: &ControlPlaneId) -> Result<(), CallError> {
        let patch = json!({ "metadata": { "annotations": { (labels::CONTROL_PLANE): control_plane } } });
        let (parameters, patch) = (PatchParams::default(), Patch::Merge(&patch));
        self.call("annotate", self.leases.patch(&self.settings.name, &parameters, &patch)).await.map(drop)
    }
}
