//! The cluster with the chart installed, and an agent's core at work on it, with the test in the hub's place.

use crate::gate::Gate;
use lapdev_agent::{
    apiserver::{ApiServer, CallError},
    core::{Core, Memory},
    policy,
    routes::AdminKey,
    tunnel::{Accept, Cluster as _, Outbox, ReceivedBundle},
};
use lapdev_api::{
    bundle::Bundle,
    name::{ControlPlaneId, Generation, Uid},
    status::EnvironmentStatus,
    wire::{Assignment, ClusterPolicy},
};
use lapdev_tests::{
    cluster::{ApiCluster, Tools},
    stage::{Error, until, within},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{process::Command, sync::OnceCell, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub type Outcome = Result<(), Error>;

pub const LIMIT: Duration = Duration::from_secs(60);
pub const HOME: &str = "lapdev-system";
pub const ACCOUNT: &str = "lapdev-agent";
pub const FINE: [&str; 2] = ["Progressing", "Ready"];

/// The cluster with the chart installed, once for all tests, and the agent's kubeconfig.
pub async fn installed() -> Result<(&'static ApiCluster, PathBuf), Error> {
    static INSTALLED: OnceCell<PathBuf> = OnceCell::const_new();
    let cluster = ApiCluster::shared().await?;
    let kubeconfig = INSTALLED.get_or_try_init(|| install(cluster)).await?;
    Ok((cluster, kubeconfig.clone()))
}

async fn install(cluster: &'static ApiCluster) -> Result<PathBuf, Error> {
    for namespace in [HOME, "source"] {
        cluster.kubectl(&["create", "namespace", namespace], "").await?;
    }
    let chart = chart(ACCOUNT, &["url=https://localhost", "sourceNamespaces={source}"]).await?;
    cluster.kubectl(&["apply", "--server-side", "-f", "-"], &chart).await?;
    let kubeconfig = cluster.service_account_kubeconfig(HOME, ACCOUNT).await?;
    let (api, stop) = (api(&kubeconfig).await?, CancellationToken::new());
    let active = tokio::time::timeout(LIMIT, policy::wait_until_active(&api, &stop)).await?;
    within(active, "the policy is not active")?;
    Ok(kubeconfig)
}

pub async fn chart(release: &str, values: &[&str]) -> Result<String, Error> {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/lapdev-agent");
    let mut helm = Command::new(Tools::find("helm")?.path("helm"));
    helm.args(["template", release]).arg(chart).args(["--namespace", HOME]);
    helm.args(values.iter().flat_map(|value| ["--set", value]));
    let output = helm.output().await?;
    within(output.status.success(), String::from_utf8_lossy(&output.stderr))?;
    Ok(String::from_utf8(output.stdout)?)
}

pub async fn client(kubeconfig: &Path) -> Result<kube::Client, Error> {
    let config = kube::config::Kubeconfig::read_from(kubeconfig)?;
    let config = kube::Config::from_custom_kubeconfig(config, &Default::default()).await?;
    Ok(kube::Client::try_from(config)?)
}

async fn api(kubeconfig: &Path) -> Result<ApiServer, Error> {
    Ok(ApiServer::new(client(kubeconfig).await?))
}

/// What the agent remembers over a restart; in the process it is the Lease.
#[derive(Default)]
pub struct Remembered(Mutex<Option<ControlPlaneId>>);

#[async_trait::async_trait]
impl Memory for Remembered {
    async fn recall(&self) -> Result<Option<ControlPlaneId>, CallError> {
        Ok(self.0.lock().expect("no panic").clone())
    }
    async fn remember(&self, control_plane: &ControlPlaneId) -> Result<(), CallError> {
        *self.0.lock().expect("no panic") = Some(control_plane.clone());
        Ok(())
    }
}

/// An agent's core at work, with the test in the hub's place. Each test has a control plane of its own.
pub struct Agent {
    pub cluster: &'static ApiCluster,
    pub kubeconfig: PathBuf,
    plane: ControlPlaneId,
    memory: Arc<Remembered>,
    pub core: Arc<Core>,
    stop: CancellationToken,
    work: JoinHandle<()>,
}

impl Agent {
    pub async fn start(plane: char) -> Result<Self, Error> {
        let plane: ControlPlaneId = plane.to_string().repeat(16).parse()?;
        let agent = Self::start_with(plane, Arc::default()).await?;
        agent.begin().await;
        Ok(agent)
    }

    /// Its writes pass this gate.
    pub async fn start_behind(gate: &Gate, plane: char) -> Result<Self, Error> {
        let plane: ControlPlaneId = plane.to_string().repeat(16).parse()?;
        let (_, kubeconfig) = installed().await?;
        let api = ApiServer::new(gate.before(client(&kubeconfig).await?));
        let agent = Self::start_on(api, plane, Arc::default()).await?;
        agent.begin().await;
        Ok(agent)
    }

    /// Without a hub: it has only what it remembers.
    pub async fn start_with(plane: ControlPlaneId, memory: Arc<Remembered>) -> Result<Self, Error> {
        let (_, kubeconfig) = installed().await?;
        Self::start_on(api(&kubeconfig).await?, plane, memory).await
    }

    async fn start_on(api: ApiServer, plane: ControlPlaneId, memory: Arc<Remembered>) -> Result<Self, Error> {
        let (cluster, kubeconfig) = installed().await?;
        let stop = CancellationToken::new();
        let (role, key) = ("lapdev-environment".to_owned(), AdminKey::from_secret(plane.as_str().as_bytes()));
        let core = Core::start(api, memory.clone(), role, key, Outbox::default()).await?;
        let work = tokio::spawn({
            let (core, stop) = (core.clone(), stop.clone());
            async move { core.work(&stop).await }
        });
        Ok(Self { cluster, kubeconfig, plane, memory, core, stop, work })
    }

    pub async fn begin(&self) {
        let policy = ClusterPolicy { namespace_prefix: "lapdev-env-".into(), source_namespaces: vec![] };
        self.core.begin(&self.plane, &policy).await;
    }

    pub async fn stop(self) -> Result<(ControlPlaneId, Arc<Remembered>), Error> {
        self.stop.cancel();
        self.work.await?;
        Ok((self.plane, self.memory))
    }

    /// Publishes as the hub does.
    pub async fn publish(&self, generation: u64, bundle: &Bundle) -> Outcome {
        let canonical = bundle.clone().canonical();
        let (uid, digest) = (bundle.environment.uid.clone(), canonical.digest());
        let assignment = Assignment { uid, generation: Generation(generation), digest };
        if self.core.assign(&assignment).await == Accept::Need {
            let bytes = canonical.into_bytes().into();
            self.core.accept_bundle(ReceivedBundle { digest, bytes, bundle: bundle.clone() }).await?;
        }
        Ok(())
    }

    pub async fn publish_and_wait(&self, generation: u64, bundle: &Bundle) -> Outcome {
        self.publish(generation, bundle).await?;
        self.until(&bundle.environment.uid, |status| {
            status.generation == Generation(generation)
                && status.applied == Some(bundle.clone().canonical().digest())
                && FINE.contains(&status.phase.to_string().as_str())
        })
        .await
    }

    pub async fn until(&self, uid: &Uid, holds: impl Fn(&EnvironmentStatus) -> bool) -> Outcome {
        until(&format!("status of {uid}"), LIMIT, async || {
            let status = self.core.status(uid).ok_or("none yet")?;
            within(holds(&status), format!("{status:?}"))
        })
        .await
    }

    pub async fn until_gone(&self, uid: &Uid) -> Outcome {
        until(&format!("{uid} is gone"), LIMIT, async || match self.core.status(uid) {
            None => Ok(()),
            Some(status) => Err(format!("{status:?}").into()),
        })
        .await
    }

    /// What an admin does meanwhile, also while no agent runs.
    pub async fn admin(words: &[&str]) -> Outcome {
        let (cluster, _) = installed().await?;
        Ok(cluster.kubectl(words, "").await.map(drop)?)
    }

    pub async fn kubectl(&self, words: &str, input: &str) -> Result<String, Error> {
        let words: Vec<_> = words.split_whitespace().collect();
        Ok(self.cluster.kubectl(&words, input).await?)
    }

    pub async fn get(&self, words: &str) -> Result<Value, Error> {
        Ok(serde_json::from_str(&self.kubectl(&format!("get -o json {words}"), "").await?)?)
    }

    /// Looks as admin until the object is so.
    pub async fn until_object(&self, words: &str, holds: impl Fn(&Value) -> bool) -> Outcome {
        until(words, LIMIT, async || {
            let object = self.get(words).await?;
            within(holds(&object), object.to_string())
        })
        .await
    }

    pub async fn until_missing(&self, words: &str) -> Outcome {
        until(words, LIMIT, async || match self.get(words).await {
            Ok(object) => Err(object.to_string().into()),
            Err(error) => within(error.to_string().contains("NotFound"), error.to_string()),
        })
        .await
    }

    /// Everything in a namespace with its resource version, but for what other controllers put there.
    pub async fn versions(&self, namespace: &str) -> Result<BTreeMap<String, String>, Error> {
        let kinds = "configmaps,services,serviceaccounts,deployments,statefulsets,roles,rolebindings";
        let list = self.get(&format!("{kinds} -n {namespace}")).await?;
        let text = |item: &Value, pointer: &str| item.pointer(pointer).and_then(Value::as_str).unwrap_or("").to_owned();
        let items = list["items"].as_array().cloned().unwrap_or_default();
        let named = items.iter().map(|item| {
            let name = format!("{}/{}", text(item, "/kind"), text(item, "/metadata/name"));
            (name, text(item, "/metadata/resourceVersion"))
        });
        Ok(named.filter(|(name, _)| name != "ConfigMap/kube-root-ca.crt" && name != "ServiceAccount/default").collect())
    }
}

/// The number of writes once it no longer grows by itself.
pub async fn settled(agent: &Agent) -> Result<u64, Error> {
    let mut last = (agent.core.writes(), std::time::Instant::now());
    until("the agent is quiet", LIMIT, async || {
        let now = agent.core.writes();
        if now != last.0 {
            last = (now, std::time::Instant::now());
        }
        within(last.1.elapsed() > Duration::from_millis(1500), format!("{now} writes"))
    })
    .await?;
    Ok(last.0)
}
