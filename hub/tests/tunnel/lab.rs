//! The laboratory: one control plane, agents of its clusters, environments to publish.

use crate::app::{self, Counts};
use async_trait::async_trait;
use jiff::Timestamp;
use lapdev_agent::tunnel::{
    self, Accept, Cluster, DialRefused, Outbox, ReceivedBundle, TraceRefused, TunnelSettings, TunnelState,
};
use lapdev_api::{
    bundle::{BranchIdentity, Bundle, BundleNamespace, DialTarget, Identity, Target},
    digest::Digest,
    kinds::{self, Access, EnvironmentType, Port},
    name::{ControlPlaneId, Generation, Uid},
    record::{EnvironmentRecord, Evidence, Life, PreviewRecord},
    route::{TraceReport, TraceRequest},
    status::{EnvironmentStatus, Phase},
    wire::{Assignment, ClusterPolicy, Held, Inventory, InventoryItem},
};
use lapdev_hub::{HubSettings, Server, TlsFiles};
use lapdev_store::{Publication, Store};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use url::Url;
use warp::Filter;

/// Longer than anything here takes, even on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `holds`, looking again and again.
pub async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let looking = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("never came: {what}"));
}

/// One control plane. Its folder, certificate and store outlive a restart of its server.
pub struct Lab {
    pub folder: tempfile::TempDir,
    pub store: Store,
    pub address: SocketAddr,
    settings: HubSettings,
    running: Option<(CancellationToken, JoinHandle<()>)>,
}

impl Lab {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(adapt: impl FnOnce(&mut HubSettings)) -> Self {
        let _ = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_test_writer()
            .try_init();
        let folder = tempfile::tempdir().expect("a folder");
        let names = vec!["localhost".to_owned(), "*.preview.test".to_owned()];
        let certificate = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let tls = TlsFiles { certificate: folder.path().join("tls.crt"), key: folder.path().join("tls.key") };
        std::fs::write(&tls.certificate, certificate.cert.pem()).expect("written");
        std::fs::write(&tls.key, certificate.signing_key.serialize_pem()).expect("written");
        let store = Store::open(&folder.path().join("lapdev.db"), &"a".repeat(16).parse().expect("legal"))
            .await
            .expect("a store");
        let clusters = ["dev", "other"].map(cluster);
        store.put_clusters(&clusters).await.expect("stored");
        let external = Url::parse("https://localhost:8443").expect("a URL");
        let listen = "127.0.0.1:0".parse().expect("an address");
        let mut settings = HubSettings::new(listen, external, Some(tls), folder.path().to_owned());
        adapt(&mut settings);
        let mut lab = Self { folder, store, address: listen, settings, running: None };
        lab.serve().await;
        lab
    }

    /// Starts the server, at the same address as before if there was one.
    pub async fn serve(&mut self) {
        self.settings.listen = self.address;
        let server = Server::bind(self.settings.clone(), self.store.clone()).await.expect("bound");
        self.address = server.local_addr().expect("an address");
        let shutdown = CancellationToken::new();
        let extra = warp::path!("webhooks" / "github").map(|| "webhook").boxed();
        let task = tokio::spawn(server.run(extra, shutdown.clone()));
        self.running = Some((shutdown, task));
    }

    /// Ends the server in order.
    pub async fn stop(&mut self) {
        let (shutdown, task) = self.running.take().expect("it runs");
        shutdown.cancel();
        tokio::time::timeout(PATIENCE, task).await.expect("it ends in time").expect("it ends well");
    }

    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("tls.crt")
    }

    pub fn admin_token(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("admin.token")).expect("made at start").trim().to_owned()
    }

    /// An agent of this cluster with a token of its own, at the hub's address.
    pub async fn agent(&self, cluster: &str) -> Agent {
        Agent::start(self, cluster, self.address, 1, Arc::default()).await
    }

    /// Publishes one environment's next generation.
    pub async fn publish(&self, environment: &Environment, generation: u64) -> Digest {
        let bundle = environment.bundle(self.store.control_plane_id()).canonical();
        let digest = bundle.digest();
        let record = environment.record(generation, Some(digest), Life::Live);
        let publication = Publication { records: vec![record], bundles: vec![(digest, bundle.into_bytes())] };
        self.store.publish(publication).await.expect("published");
        digest
    }

    /// Publishes its first generation, and waits until the agent holds that.
    pub async fn show(&self, agent: &Agent, environment: &Environment) -> Digest {
        let digest = self.publish(environment, 1).await;
        until("the bundle", async || agent.memory.holds(&environment.uid, digest)).await;
        digest
    }

    /// Shows an environment with a real application behind `web`.
    pub async fn show_web(&self, agent: &Agent) -> (Environment, Arc<Counts>) {
        let (address, counts) = app::start("web").await;
        agent.memory.serve("web", address);
        let environment = Environment::new('a', "staging");
        self.show(agent, &environment).await;
        (environment, counts)
    }

    /// A connected agent that shows one.
    pub async fn with_web(&self) -> (Agent, Environment, Arc<Counts>) {
        let mut agent = self.agent("dev").await;
        agent.synced().await;
        let (environment, counts) = self.show_web(&agent).await;
        (agent, environment, counts)
    }

    pub async fn close(&self, environment: &Environment, generation: u64) {
        let life = Life::Closing { evidence: Evidence::RefGone { branch: "x".to_owned() }, at: Timestamp::now() };
        let digest = self.store.environment(&environment.uid).await.expect("read").and_then(|record| record.digest);
        let records = vec![environment.record(generation, digest, life)];
        self.store.publish(Publication { records, bundles: vec![] }).await.expect("published");
    }

    pub async fn connected(&self, cluster: &str) -> bool {
        let sessions = self.store.sessions().await.expect("read");
        sessions.iter().any(|session| session.cluster.as_str() == cluster && session.connected)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some((shutdown, _)) = &self.running {
            shutdown.cancel();
        }
    }
}

pub fn cluster(name: &str) -> kinds::Cluster {
    kinds::Cluster {
        name: name.parse().expect("legal"),
        labels: BTreeMap::new(),
        permissions: kinds::Permissions { personal: true, shared: true, intercept: false },
        source_namespaces: vec![],
        namespace_prefix: "lapdev-env-".to_owned(),
        preview_domain: Some("preview.test".to_owned()),
    }
}

/// An environment as a test describes it.
#[derive(Clone)]
pub struct Environment {
    pub uid: Uid,
    pub name: String,
    pub cluster: String,
    pub access: Access,
    pub routes: Vec<(String, DialTarget)>,
    pub objects: Vec<Value>,
    /// Of a Branch.
    pub key: Option<&'static str>,
}

impl Environment {
    /// `letter` makes its uid. It shows the service `web`.
    pub fn new(letter: char, name: &str) -> Self {
        let uid = letter.to_string().repeat(16).parse().expect("legal");
        let objects = vec![json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})];
        let routes = vec![("/".to_owned(), target("web"))];
        Self {
            uid,
            name: name.to_owned(),
            cluster: "dev".to_owned(),
            access: Access::Public,
            routes,
            objects,
            key: None,
        }
    }

    pub fn host(&self) -> String {
        format!("web--{}.preview.test", self.name)
    }

    fn identity(&self) -> Identity {
        Identity {
            uid: self.uid.clone(),
            name: self.name.parse().expect("legal"),
            environment_type: if self.key.is_some() { EnvironmentType::Branch } else { EnvironmentType::Shared },
            catalog: "shop".parse().expect("legal"),
            branch: self.key.map(|key| BranchIdentity {
                key: key.parse().expect("legal"),
                base: "staging".parse().expect("legal"),
                repository_id: "42".parse().expect("legal"),
                repository: "acme/shop".parse().expect("legal"),
                branch: "feature/x".parse().expect("legal"),
            }),
        }
    }

    pub fn bundle(&self, control_plane: ControlPlaneId) -> Bundle {
        Bundle {
            control_plane,
            environment: self.identity(),
            target: Target::Host,
            namespaces: vec![BundleNamespace { name: "shop".parse().expect("legal"), owned: true }],
            previews: self.routes.iter().map(|(_, target)| target.clone()).collect(),
            expires_at: None,
            objects: self.objects.clone(),
        }
    }

    pub fn record(&self, generation: u64, digest: Option<Digest>, life: Life) -> EnvironmentRecord {
        EnvironmentRecord {
            identity: self.identity(),
            cluster: self.cluster.parse().expect("legal"),
            namespace: "shop".parse().expect("legal"),
            owner: None,
            life,
            generation: Generation(generation),
            digest,
            first_seen: Timestamp::UNIX_EPOCH,
            last_change: Timestamp::UNIX_EPOCH,
            expires_at: None,
            declaration: None,
            head: None,
            source: None,
            pull_requests: vec![],
            reasons: vec![],
            previews: vec![PreviewRecord {
                service: "web".to_owned(),
                host: self.host(),
                access: self.access,
                routes: self.routes.clone(),
                branch: true,
            }],
            problems: vec![],
        }
    }

    pub fn status(&self, generation: u64, phase: Phase, message: &str) -> EnvironmentStatus {
        EnvironmentStatus {
            uid: self.uid.clone(),
            generation: Generation(generation),
            applied: None,
            phase,
            message: message.to_owned(),
            workloads: vec![],
            notices: vec![],
            traffic: vec![],
        }
    }
}

pub fn target(service: &str) -> DialTarget {
    DialTarget { namespace: "shop".parse().expect("legal"), service: service.to_owned(), port: Port::Number(80) }
}

/// A cluster in memory: what the agent's core would keep and do.
#[derive(Default)]
pub struct Memory {
    pub held: Mutex<BTreeMap<Uid, Assignment>>,
    pub bundles: Mutex<BTreeMap<Digest, ReceivedBundle>>,
    pub services: Mutex<BTreeMap<String, SocketAddr>>,
    pub tombstones: Mutex<BTreeSet<Uid>>,
    pub received: Mutex<Vec<Digest>>,
    pub begun: Mutex<Vec<ClusterPolicy>>,
    pub outbox: Outbox,
    /// What a probe brings; none is a refusal.
    pub trace: Mutex<Option<TraceReport>>,
    pub traced: Mutex<Vec<TraceRequest>>,
    /// While locked, assignments wait: an agent that makes no progress.
    pub assigning: tokio::sync::Mutex<()>,
}

impl Memory {
    pub fn holds(&self, uid: &Uid, digest: Digest) -> bool {
        let assigned = self.held.lock().expect("sound").get(uid).is_some_and(|held| held.digest == digest);
        assigned && self.bundles.lock().expect("sound").contains_key(&digest)
    }

    pub fn serve(&self, service: &str, address: SocketAddr) {
        self.services.lock().expect("sound").insert(service.to_owned(), address);
    }

    fn bundle_of(&self, uid: &Uid) -> Option<ReceivedBundle> {
        let digest = self.held.lock().expect("sound").get(uid)?.digest;
        self.bundles.lock().expect("sound").get(&digest).cloned()
    }
}

#[async_trait]
impl Cluster for Memory {
    fn kubernetes_version(&self) -> String {
        "v1.34.0".to_owned()
    }

    async fn begin(&self, _: &ControlPlaneId, policy: &ClusterPolicy) -> Vec<Held> {
        self.begun.lock().expect("sound").push(policy.clone());
        let held = self.held.lock().expect("sound").clone();
        let item = |assignment: &Assignment| {
            let bundle = self.bundle_of(&assignment.uid)?;
            Some(Held {
                identity: bundle.bundle.environment.clone(),
                namespace: "shop".parse().expect("legal"),
                generation: assignment.generation,
                digest: Some(assignment.digest),
                ended: None,
            })
        };
        held.values().filter_map(item).collect()
    }

    async fn assign(&self, assignment: &Assignment) -> Accept {
        let _progress = self.assigning.lock().await;
        let mut held = self.held.lock().expect("sound");
        if let Some(present) = held.get(&assignment.uid).filter(|present| present.generation > assignment.generation) {
            return Accept::Refused(present.generation);
        }
        held.insert(assignment.uid.clone(), assignment.clone());
        let known = self.bundles.lock().expect("sound").contains_key(&assignment.digest);
        if known { Accept::Accepted } else { Accept::Need }
    }

    async fn accept_bundle(&self, bundle: ReceivedBundle) -> Result<(), String> {
        self.received.lock().expect("sound").push(bundle.digest);
        self.bundles.lock().expect("sound").insert(bundle.digest, bundle);
        Ok(())
    }

    async fn tombstone(&self, uid: &Uid, generation: Generation, _: &str) -> Accept {
        self.held.lock().expect("sound").remove(uid);
        self.tombstones.lock().expect("sound").insert(uid.clone());
        self.outbox.gone(uid, generation);
        Accept::Accepted
    }

    async fn synced(&self) {}

    async fn inventory(&self) -> Result<Inventory, String> {
        let item = |held: &Assignment| InventoryItem {
            uid: held.uid.clone(),
            generation: held.generation,
            digest: Some(held.digest),
            objects: 1,
        };
        let held = self.held.lock().expect("sound").values().map(item).collect();
        Ok(Inventory { held, orphans: vec![] })
    }

    async fn trace(&self, request: &TraceRequest) -> Result<TraceReport, TraceRefused> {
        self.traced.lock().expect("sound").push(request.clone());
        let report = self.trace.lock().expect("sound").clone();
        report.ok_or_else(|| TraceRefused::Unavailable("no router of namespace shop is ready".to_owned()))
    }

    async fn resolve(&self, uid: &Uid, target: &DialTarget) -> Result<SocketAddr, DialRefused> {
        let declared = self.bundle_of(uid).is_some_and(|bundle| bundle.bundle.previews.contains(target));
        if !declared {
            return Err(DialRefused::NotDeclared { uid: uid.clone(), target: target.clone() });
        }
        let address = self.services.lock().expect("sound").get(&target.service).copied();
        address.ok_or_else(|| DialRefused::Unavailable(format!("there is no Service {}", target.service)))
    }
}

/// One agent's tunnel, running.
pub struct Agent {
    pub memory: Arc<Memory>,
    pub state: watch::Receiver<TunnelState>,
    pub epoch: watch::Sender<Option<u64>>,
    pub token: String,
    pub token_id: String,
    shutdown: CancellationToken,
    _token_file: tempfile::NamedTempFile,
}

impl Agent {
    pub async fn start(lab: &Lab, cluster: &str, address: SocketAddr, epoch: u64, memory: Arc<Memory>) -> Self {
        Self::through(lab, cluster, address, epoch, memory, |_| {}).await
    }

    pub async fn through(
        lab: &Lab,
        cluster: &str,
        address: SocketAddr,
        epoch: u64,
        memory: Arc<Memory>,
        adapt: impl FnOnce(&mut TunnelSettings),
    ) -> Self {
        let name = cluster.parse().expect("legal");
        let token = lab.store.create_token(&name, Timestamp::now()).await.expect("made");
        let secret = token.secret.expect("in this answer");
        let token_file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(token_file.path(), format!("{secret}\n")).expect("written");
        let url = Url::parse(&format!("https://localhost:{}", address.port())).expect("a URL");
        let mut settings = TunnelSettings::new(url, token_file.path().to_owned(), Some(lab.certificate()));
        adapt(&mut settings);
        let (epoch, epochs) = watch::channel(Some(epoch));
        let (states, state) = watch::channel(TunnelState::StandBy);
        let shutdown = CancellationToken::new();
        let outbox = memory.outbox.clone();
        tokio::spawn(tunnel::run(settings, memory.clone(), outbox, epochs, states, shutdown.clone()));
        Self { memory, state, epoch, token: secret, token_id: token.id, shutdown, _token_file: token_file }
    }

    pub async fn reaches(&mut self, what: &str, wanted: impl FnMut(&TunnelState) -> bool) -> TunnelState {
        let reached = tokio::time::timeout(PATIENCE, self.state.wait_for(wanted)).await;
        reached.unwrap_or_else(|_| panic!("never came: {what}")).expect("the tunnel runs").clone()
    }

    pub async fn synced(&mut self) {
        self.reaches("a synced session", |state| *state == TunnelState::Synced).await;
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}
