//! The agent's core: takes what the hub says (see `tunnel::Cluster`), remembers it, and has workers bring each
//! environment to it, one worker per environment at a time.
//!
//! One look at an environment is a pass: it compares what is held with what the watches saw, does what differs, and
//! reports. A pass over an environment that is as it should be asks the API server nothing.

mod behind;
mod bundle;
mod converge;
mod end;
mod gather;
mod hub;
mod inventory;
mod pass;
mod preview;
mod routers;
mod routes;
mod routing_notices;
mod switch;
mod table;
mod trace;
mod traffic;
mod watched;

use crate::{
    apiserver::{ApiServer, CallError},
    apply::namespace::Grant,
    applyset::Tombstone,
    drift::{Fingerprint, Queue},
    health::Obstacle,
    object::{GroupKind, ObjectId},
    observe::{Index, Watches},
    registry::Registry,
    routes::AdminKey,
    tunnel::Outbox,
};
use converge::ParentState;
use lapdev_api::{
    name::{ControlPlaneId, Uid},
    status::EnvironmentStatus,
    wire::{ClusterPolicy, Held},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

/// Environments that are worked on at the same time.
const WORKERS: usize = 8;
/// Before it is asked again which watches are needed.
const AGAIN: Duration = Duration::from_secs(2);

/// Remembers the control plane over a restart, so that an agent that starts alone knows whose objects are its own.
#[async_trait::async_trait]
pub trait Memory: Send + Sync + 'static {
    /// The control plane of the last session, if there was one.
    ///
    /// # Errors
    /// When the API server does not answer.
    async fn recall(&self) -> Result<Option<ControlPlaneId>, CallError>;

    /// From now on it is this one.
    ///
    /// # Errors
    /// When the API server does not answer.
    async fn remember(&self, control_plane: &ControlPlaneId) -> Result<(), CallError>;
}

/// The core. Shared by the tunnel and the workers.
pub struct Core {
    api: ApiServer,
    memory: Arc<dyn Memory>,
    grant: Grant,
    admin_key: AdminKey,
    kubernetes: String,
    outbox: Outbox,
    index: Arc<Index>,
    queue: Arc<Queue>,
    watches: Watches,
    registry: Mutex<Registry>,
    work: Mutex<HashMap<Uid, Work>>,
    /// Tombstones of environments that are not held: what may still be left of them is looked for once.
    sweeps: Mutex<BTreeMap<Uid, Tombstone>>,
    session: watch::Sender<Option<Session>>,
    previews: preview::Addresses,
    tables: table::Tables,
    traffic: traffic::Published,
    behind: behind::Behind,
    probing: trace::Probing,
    /// Why the newest bundle of an environment was refused, until another one is accepted.
    refused: Mutex<BTreeMap<Uid, String>>,
    /// What was last said of each environment.
    said: Mutex<BTreeMap<Uid, EnvironmentStatus>>,
    rewatch: tokio::sync::Notify,
    passes: AtomicU64,
}

/// Whose environments the agent looks after.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Session {
    control_plane: ControlPlaneId,
    /// None until the hub said it: an agent that started alone has only what it was given before.
    policy: Option<ClusterPolicy>,
}

/// What a worker remembers of an environment between two passes. Losing it costs a pass, nothing else.
#[derive(Debug, Default)]
struct Work {
    /// The version that `objects` are of.
    version: Option<crate::applyset::Version>,
    objects: BTreeMap<ObjectId, AppliedObject>,
    parent: Option<ParentState>,
    /// The parent, the environment's own namespace and the agent's RoleBinding in it, as they were made.
    ground: BTreeMap<ObjectId, Fingerprint>,
    obstacle: Option<Obstacle>,
    /// Fields that were put back since the version came.
    drift: BTreeSet<String>,
    /// What is not applied yet because no router listens for it.
    held: BTreeSet<ObjectId>,
    /// What to say of that.
    pending: Option<String>,
}

/// What an apply left behind.
#[derive(Debug, Clone)]
struct AppliedObject {
    uid: Option<String>,
    fingerprint: Fingerprint,
    notices: BTreeSet<String>,
}

impl Core {
    /// Looks at the API server and at what the agent remembers. What is held already is loaded and due.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn start(
        api: ApiServer,
        memory: Arc<dyn Memory>,
        role: String,
        admin_key: AdminKey,
        outbox: Outbox,
    ) -> Result<Arc<Self>, CallError> {
        let kubernetes = api.version().await?;
        let grant = Grant { user: api.myself().await?, role };
        let (index, queue) = (Arc::new(Index::default()), Arc::new(Queue::default()));
        let watches = Watches::new(api.clone(), index.clone(), queue.clone());
        let known = memory.recall().await?;
        let core = Arc::new(Self {
            api,
            memory,
            grant,
            admin_key,
            kubernetes,
            outbox,
            index,
            queue,
            watches,
            registry: Mutex::default(),
            work: Mutex::default(),
            sweeps: Mutex::default(),
            session: watch::Sender::new(None),
            previews: preview::Addresses::default(),
            tables: table::Tables::default(),
            traffic: traffic::Published::default(),
            behind: behind::Behind::default(),
            probing: trace::Probing::default(),
            refused: Mutex::default(),
            said: Mutex::default(),
            rewatch: tokio::sync::Notify::new(),
            passes: AtomicU64::new(0),
        });
        if let Some(control_plane) = known {
            core.load(&control_plane).await?;
            core.session.send_replace(Some(Session { control_plane, policy: None }));
        }
        Ok(core)
    }

    /// Works until told to stop; what is being done then is left to the next start.
    pub async fn work(self: &Arc<Self>, stop: &CancellationToken) {
        let mut workers = JoinSet::new();
        for _ in 0..WORKERS {
            let (core, stop) = (self.clone(), stop.clone());
            workers.spawn(async move { core.worker(&stop).await });
        }
        workers.spawn({
            let (core, stop) = (self.clone(), stop.clone());
            async move { core.rewatcher(&stop).await }
        });
        let (core, stop) = (self.clone(), stop.clone());
        workers.spawn(async move { core.ask_routers(&stop).await });
        self.refresh_watches_soon();
        while let Some(ended) = workers.join_next().await {
            if let Err(error) = ended {
                // A worker that panicked must not leave its environment locked: the whole agent starts anew.
                tracing::error!(%error, "a worker ended");
                workers.abort_all();
            }
        }
    }

    async fn rewatcher(&self, stop: &CancellationToken) {
        loop {
            tokio::select! {
                () = self.rewatch.notified() => {}
                () = stop.cancelled() => return self.watches.set(&HashSet::new()),
            }
            if let Err(error) = self.refresh_watches().await {
                // What is watched goes on being watched.
                tracing::warn!(%error, cause = %error.source, "cannot tell which watches are needed");
                tokio::select! {
                    () = tokio::time::sleep(AGAIN) => self.rewatch.notify_one(),
                    () = stop.cancelled() => {}
                }
            }
        }
    }

    async fn worker(&self, stop: &CancellationToken) {
        loop {
            let uid = tokio::select! {
                uid = self.queue.next() => uid,
                () = stop.cancelled() => return,
            };
            // Dropped where it stands: every step may be the last before a crash, and without the Lease none may follow.
            let outcome = tokio::select! {
                outcome = self.pass(&uid) => outcome,
                () = stop.cancelled() => return,
            };
            self.passes.fetch_add(1, Ordering::Relaxed);
            self.queue.done(&uid, outcome);
        }
    }

    /// How many passes ended so far, and how many environments are due: a backlog without passes is no progress.
    #[must_use]
    pub fn progress(&self) -> (u64, usize) {
        (self.passes.load(Ordering::Relaxed), self.queue.backlog())
    }

    /// Every environment is due, whatever was seen of it; with `deep` each is applied as if for the first time, which
    /// finds what no watch reported. Of an unchanged object the API server then writes nothing either.
    pub fn resync(&self, deep: bool) {
        let uids: Vec<_> = self.registry().iter().map(|(uid, _)| uid.clone()).collect();
        if !deep {
            return uids.iter().for_each(|uid| self.queue.add(uid));
        }
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        work.values_mut().for_each(|work| work.version = None);
        drop(work);
        uids.iter().for_each(|uid| self.queue.add_fresh(uid));
    }

    /// How many writes were sent to the API server so far.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.api.writes()
    }

    /// What was last said of an environment; none once everything of it is gone.
    #[must_use]
    pub fn status(&self, uid: &Uid) -> Option<EnvironmentStatus> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).get(uid).cloned()
    }

    /// What is held.
    #[must_use]
    pub fn held(&self) -> Vec<Held> {
        self.registry().held()
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refused(&self) -> MutexGuard<'_, BTreeMap<Uid, String>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_work(&self, uid: &Uid) -> Work {
        self.work.lock().unwrap_or_else(PoisonError::into_inner).remove(uid).unwrap_or_default()
    }

    fn put_work(&self, uid: &Uid, work: Work) {
        self.work.lock().unwrap_or_else(PoisonError::into_inner).insert(uid.clone(), work);
    }

    fn session(&self) -> Option<Session> {
        self.session.borrow().clone()
    }
}

/// The kinds that an environment may have objects of though no parent says so: for audits and sweeps.
fn usual_kinds() -> BTreeSet<GroupKind> {
    let kinds = [
        "ConfigMap",
        "Service",
        "ServiceAccount",
        "PersistentVolumeClaim",
        "Deployment.apps",
        "StatefulSet.apps",
        "DaemonSet.apps",
        "Job.batch",
        "CronJob.batch",
        "Ingress.networking.k8s.io",
        "NetworkPolicy.networking.k8s.io",
        "PodDisruptionBudget.policy",
        "HorizontalPodAutoscaler.autoscaling",
        "Role.rbac.authorization.k8s.io",
        "RoleBinding.rbac.authorization.k8s.io",
    ];
    kinds.iter().filter_map(|kind| kind.parse().ok()).collect()
}
