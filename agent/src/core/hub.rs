//! What the hub says, as the tunnel passes it on.

use super::{Core, Session, bundle, converge::Trouble};
use crate::{
    apiserver::CallError,
    applyset::{Parent, Tombstone},
    health::Obstacle,
    object::label,
    registry::{Assigned, HeldBundle},
    tunnel::{Accept, Cluster, DialRefused, ReceivedBundle, TraceRefused},
};
use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, api::ListParams};
use lapdev_api::{
    bundle::DialTarget,
    labels,
    name::{ControlPlaneId, Generation, Uid},
    route::{TraceReport, TraceRequest},
    status::{EnvironmentStatus, Phase},
    wire::{Assignment, ClusterPolicy, Held, Inventory},
};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{MutexGuard, PoisonError},
    time::Duration,
};

/// Namespaces that are read at the same time when the agent starts.
const AT_ONCE: usize = 8;
/// How long to wait before the API server is asked again for what is held.
const AGAIN: Duration = Duration::from_secs(2);

#[async_trait]
impl Cluster for Core {
    fn kubernetes_version(&self) -> String {
        self.kubernetes.clone()
    }

    async fn begin(&self, control_plane: &ControlPlaneId, policy: &ClusterPolicy) -> Vec<Held> {
        let known = self.session();
        if known.as_ref().map(|session| &session.control_plane) != Some(control_plane) {
            if let Some(other) = known {
                tracing::warn!(before = %other.control_plane, now = %control_plane, "another control plane");
            }
            self.change_control_plane(control_plane).await;
        }
        let session = Session { control_plane: control_plane.clone(), policy: Some(policy.clone()) };
        self.session.send_replace(Some(session));
        self.refresh_watches_soon();
        self.registry().held()
    }

    async fn assign(&self, assignment: &Assignment) -> Accept {
        let assigned = self.registry().assign(assignment);
        match assigned {
            Assigned::Need => Accept::Need,
            Assigned::Refused(held) => Accept::Refused(held),
            Assigned::Same => Accept::Accepted,
            Assigned::Accepted => {
                self.refused().remove(&assignment.uid);
                self.queue.add_fresh(&assignment.uid);
                Accept::Accepted
            }
        }
    }

    async fn accept_bundle(&self, received: ReceivedBundle) -> Result<(), String> {
        let ReceivedBundle { digest, bytes, bundle } = received;
        let session = self.session().ok_or("no control plane has begun a session")?;
        let uid = bundle.environment.uid.clone();
        let namespace = match bundle::check(&bundle, &session.control_plane, session.policy.as_ref()) {
            Ok(namespace) => namespace,
            Err(error) => {
                let why = error.to_string();
                self.refuse_bundle(&uid, &why);
                return Err(why);
            }
        };
        // A namespace is an environment's for life: its objects in the old one would be left behind.
        let moved = self.registry().get(&uid).is_some_and(|held| held.namespace != namespace);
        if moved {
            let why = format!("environment {uid} cannot move to namespace {namespace}: only a new life of it can");
            self.refuse_bundle(&uid, &why);
            return Err(why);
        }
        let held = HeldBundle { bytes: bytes.to_vec(), bundle };
        if !self.registry().accept(digest, held, namespace) {
            // Two assignments crossed; the newer one's bundle is on its way.
            tracing::debug!(%uid, %digest, "nothing waits for this bundle");
            return Ok(());
        }
        tracing::info!(%uid, %digest, "accepted");
        self.refused().remove(&uid);
        self.refresh_watches_soon();
        self.queue.add_fresh(&uid);
        Ok(())
    }

    async fn tombstone(&self, uid: &Uid, generation: Generation, evidence: &str) -> Accept {
        let tombstone = Tombstone { generation, evidence: evidence.to_owned() };
        let ended = self.registry().tombstone(uid, tombstone.clone());
        match ended {
            Err(held) => return Accept::Refused(held),
            Ok(true) => tracing::info!(%uid, evidence, "ends"),
            Ok(false) => drop(self.sweeps().insert(uid.clone(), tombstone)),
        }
        self.queue.add_fresh(uid);
        Accept::Accepted
    }

    async fn synced(&self) {
        tracing::info!(environments = self.registry().iter().count(), "in step with the control plane");
    }

    async fn inventory(&self) -> Result<Inventory, String> {
        self.take_inventory().await.map_err(|trouble| match trouble.obstacle().0 {
            Obstacle::Occupied(why) | Obstacle::Failed(why) | Obstacle::Retrying(why) => why,
        })
    }

    async fn resolve(&self, uid: &Uid, target: &DialTarget) -> Result<SocketAddr, DialRefused> {
        self.address(uid, target).await
    }

    async fn trace(&self, request: &TraceRequest) -> Result<TraceReport, TraceRefused> {
        self.send_probe(request).await
    }
}

impl Core {
    /// From now on these are another control plane's environments: what was held of the earlier one is let alone.
    async fn change_control_plane(&self, control_plane: &ControlPlaneId) {
        self.session.send_replace(None);
        *self.registry() = Default::default();
        self.sweeps().clear();
        self.tables.clear();
        self.refused().clear();
        self.work.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clear();
        while let Err(error) = self.adopt(control_plane).await {
            tracing::warn!(%error, cause = %error.source, "cannot read what is held of this control plane");
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn adopt(&self, control_plane: &ControlPlaneId) -> Result<(), CallError> {
        self.memory.remember(control_plane).await?;
        self.load(control_plane).await
    }

    /// Reads every environment of this control plane back from its parent.
    pub(super) async fn load(&self, control_plane: &ControlPlaneId) -> Result<(), CallError> {
        let ours = format!("{}={control_plane}", labels::CONTROL_PLANE);
        let namespaces = self.api.list(&self.namespaces().await?, "", &ours).await?;
        let selector = format!("{ours},{}", labels::APPLYSET_ID);
        let names: Vec<_> = namespaces.into_iter().filter_map(|namespace| namespace.name).collect();
        let reads: Vec<_> = names.into_iter().map(|name| self.parents_in(name, &selector)).collect();
        let parents: Vec<Vec<ConfigMap>> = stream::iter(reads).buffer_unordered(AT_ONCE).try_collect().await?;
        for object in parents.iter().flatten() {
            self.restore(object);
        }
        Ok(())
    }

    async fn parents_in(&self, namespace: String, selector: &str) -> Result<Vec<ConfigMap>, CallError> {
        let api = Api::<ConfigMap>::namespaced(self.api.client(), &namespace);
        let parameters = ListParams::default().labels(selector);
        match self.api.call(|| format!("list parents in {namespace}"), api.list(&parameters)).await {
            // Made, but never bound: there is nothing in it yet.
            Err(error) if error.status().is_some_and(|status| status.is_forbidden()) => Ok(Vec::new()),
            other => other.map(|list| list.items),
        }
    }

    fn restore(&self, object: &ConfigMap) {
        match Parent::read(object) {
            Ok(parent) => {
                self.registry().restore(&parent);
                self.queue.add(parent.uid());
            }
            Err(error) => {
                let name = object.metadata.name.as_deref().unwrap_or_default();
                let environment = label(&object.metadata, labels::ENVIRONMENT).unwrap_or_default();
                tracing::warn!(%error, name, environment, "an inventory cannot be read; left alone");
            }
        }
    }

    /// Says in the environment's status that its new bundle may not be applied; what runs goes on.
    fn refuse_bundle(&self, uid: &Uid, why: &str) {
        tracing::warn!(%uid, why, "bundle refused");
        let message = format!("the bundle was refused: {why}");
        self.refused().insert(uid.clone(), message.clone());
        let (held, generation) = {
            let registry = self.registry();
            (registry.get(uid).is_some(), registry.awaited_generation(uid).unwrap_or_default())
        };
        if held {
            self.queue.add(uid);
            return;
        }
        self.outbox.status(EnvironmentStatus {
            uid: uid.clone(),
            generation,
            applied: None,
            phase: Phase::Failed,
            message,
            workloads: Vec::new(),
            notices: Vec::new(),
            traffic: Vec::new(),
        });
    }

    /// Has the watches follow what is held, from a task of its own: it may have to ask the API server for kinds.
    pub(super) fn refresh_watches_soon(&self) {
        self.rewatch.notify_one();
    }

    pub(super) fn sweeps(&self) -> MutexGuard<'_, BTreeMap<Uid, Tombstone>> {
        self.sweeps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.obstacle().0 {
            Obstacle::Occupied(why) | Obstacle::Failed(why) | Obstacle::Retrying(why) => f.write_str(&why),
        }
    }
}
