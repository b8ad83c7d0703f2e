//! The agent on a real API server, under the ServiceAccount, roles and admission policy of its chart, never as admin:
//! what it applies, repairs, leaves alone, removes, and may not do.

use lapdev_agent::{
    apiserver::{ApiServer, CallError},
    core::{Core, Memory},
    lease::{Keeper, LeaseSettings},
    policy,
    tunnel::{Accept, Cluster as _, Outbox, ReceivedBundle},
};
use lapdev_api::{
    bundle::{BranchIdentity, Bundle, BundleNamespace, DialTarget, Identity, Target},
    kinds::{EnvironmentType, Port},
    name::{ControlPlaneId, Generation, Uid},
    status::{EnvironmentStatus, Health, Phase},
    wire::{Assignment, ClusterPolicy},
};
use lapdev_tests::{
    cluster::{ApiCluster, Tools},
    stage::{Error, Program, Running, until, within},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{process::Command, sync::OnceCell, task::JoinHandle};
use tokio_util::sync::CancellationToken;

type Outcome = Result<(), Error>;

const LIMIT: Duration = Duration::from_secs(60);
const HOME: &str = "lapdev-system";
const ACCOUNT: &str = "lapdev-agent";
const FINE: [&str; 2] = ["Progressing", "Ready"];

/// The cluster with the chart installed, once for all tests, and the agent's kubeconfig.
async fn installed() -> Result<(&'static ApiCluster, PathBuf), Error> {
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

async fn chart(release: &str, values: &[&str]) -> Result<String, Error> {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/lapdev-agent");
    let mut helm = Command::new(Tools::find("helm")?.path("helm"));
    helm.args(["template", release]).arg(chart).args(["--namespace", HOME]);
    helm.args(values.iter().flat_map(|value| ["--set", value]));
    let output = helm.output().await?;
    within(output.status.success(), String::from_utf8_lossy(&output.stderr))?;
    Ok(String::from_utf8(output.stdout)?)
}

async fn client(kubeconfig: &Path) -> Result<kube::Client, Error> {
    let config = kube::config::Kubeconfig::read_from(kubeconfig)?;
    let config = kube::Config::from_custom_kubeconfig(config, &Default::default()).await?;
    Ok(kube::Client::try_from(config)?)
}

async fn api(kubeconfig: &Path) -> Result<ApiServer, Error> {
    Ok(ApiServer::new(client(kubeconfig).await?))
}

/// What the agent remembers over a restart; in the process it is the Lease.
#[derive(Default)]
struct Remembered(Mutex<Option<ControlPlaneId>>);

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
struct Agent {
    cluster: &'static ApiCluster,
    kubeconfig: PathBuf,
    plane: ControlPlaneId,
    memory: Arc<Remembered>,
    core: Arc<Core>,
    stop: CancellationToken,
    work: JoinHandle<()>,
}

impl Agent {
    async fn start(plane: char) -> Result<Self, Error> {
        let plane: ControlPlaneId = plane.to_string().repeat(16).parse()?;
        let agent = Self::start_with(plane, Arc::default()).await?;
        agent.begin().await;
        Ok(agent)
    }

    /// Without a hub: it has only what it remembers.
    async fn start_with(plane: ControlPlaneId, memory: Arc<Remembered>) -> Result<Self, Error> {
        let (cluster, kubeconfig) = installed().await?;
        let stop = CancellationToken::new();
        let role = "lapdev-environment".to_owned();
        let core = Core::start(api(&kubeconfig).await?, memory.clone(), role, Outbox::default()).await?;
        let work = tokio::spawn({
            let (core, stop) = (core.clone(), stop.clone());
            async move { core.work(&stop).await }
        });
        Ok(Self { cluster, kubeconfig, plane, memory, core, stop, work })
    }

    async fn begin(&self) {
        let policy = ClusterPolicy { namespace_prefix: "lapdev-env-".into(), source_namespaces: vec![] };
        self.core.begin(&self.plane, &policy).await;
    }

    async fn stop(self) -> Result<(ControlPlaneId, Arc<Remembered>), Error> {
        self.stop.cancel();
        self.work.await?;
        Ok((self.plane, self.memory))
    }

    /// Publishes as the hub does.
    async fn publish(&self, generation: u64, bundle: &Bundle) -> Outcome {
        let canonical = bundle.clone().canonical();
        let (uid, digest) = (bundle.environment.uid.clone(), canonical.digest());
        let assignment = Assignment { uid, generation: Generation(generation), digest };
        if self.core.assign(&assignment).await == Accept::Need {
            let bytes = canonical.into_bytes().into();
            self.core.accept_bundle(ReceivedBundle { digest, bytes, bundle: bundle.clone() }).await?;
        }
        Ok(())
    }

    async fn publish_and_wait(&self, generation: u64, bundle: &Bundle) -> Outcome {
        self.publish(generation, bundle).await?;
        self.until(&bundle.environment.uid, |status| {
            status.generation == Generation(generation)
                && status.applied == Some(bundle.clone().canonical().digest())
                && FINE.contains(&status.phase.to_string().as_str())
        })
        .await
    }

    async fn until(&self, uid: &Uid, holds: impl Fn(&EnvironmentStatus) -> bool) -> Outcome {
        until(&format!("status of {uid}"), LIMIT, async || {
            let status = self.core.status(uid).ok_or("none yet")?;
            within(holds(&status), format!("{status:?}"))
        })
        .await
    }

    async fn until_gone(&self, uid: &Uid) -> Outcome {
        until(&format!("{uid} is gone"), LIMIT, async || match self.core.status(uid) {
            None => Ok(()),
            Some(status) => Err(format!("{status:?}").into()),
        })
        .await
    }

    async fn kubectl(&self, words: &str, input: &str) -> Result<String, Error> {
        let words: Vec<_> = words.split_whitespace().collect();
        Ok(self.cluster.kubectl(&words, input).await?)
    }

    async fn get(&self, words: &str) -> Result<Value, Error> {
        Ok(serde_json::from_str(&self.kubectl(&format!("get -o json {words}"), "").await?)?)
    }

    /// Looks as admin until the object is so.
    async fn until_object(&self, words: &str, holds: impl Fn(&Value) -> bool) -> Outcome {
        until(words, LIMIT, async || {
            let object = self.get(words).await?;
            within(holds(&object), object.to_string())
        })
        .await
    }

    async fn until_missing(&self, words: &str) -> Outcome {
        until(words, LIMIT, async || match self.get(words).await {
            Ok(object) => Err(object.to_string().into()),
            Err(error) => within(error.to_string().contains("NotFound"), error.to_string()),
        })
        .await
    }

    /// Everything in a namespace with its resource version, but for what other controllers put there.
    async fn versions(&self, namespace: &str) -> Result<BTreeMap<String, String>, Error> {
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

fn uid(letter: char, plane: char) -> Uid {
    format!("{letter}{}", plane.to_string().repeat(15)).parse().expect("legal")
}

/// A Shared environment `lapdev-env-<name>` of these objects; their namespace is filled in.
fn shared(plane: char, name: &str, objects: Vec<Value>) -> Bundle {
    let namespace = format!("lapdev-env-{name}");
    let objects = objects.into_iter().map(|mut object| {
        object["metadata"]["namespace"] = namespace.as_str().into();
        object
    });
    Bundle {
        control_plane: plane.to_string().repeat(16).parse().expect("legal"),
        environment: Identity {
            uid: uid('a', plane),
            name: name.parse().expect("legal"),
            environment_type: EnvironmentType::Shared,
            catalog: "shop".parse().expect("legal"),
            branch: None,
        },
        target: Target::Host,
        namespaces: vec![BundleNamespace { name: namespace.parse().expect("legal"), owned: true }],
        previews: vec![],
        expires_at: None,
        objects: objects.collect(),
    }
}

/// A Branch environment beside `base`.
fn branch(base: &Bundle, letter: char, key: &str, objects: Vec<Value>) -> Bundle {
    let plane = base.control_plane.as_str().chars().next().expect("16 characters");
    let mut bundle = shared(plane, base.environment.name.as_str(), objects);
    bundle.namespaces[0].owned = false;
    bundle.environment.uid = uid(letter, plane);
    bundle.environment.name = key.parse().expect("legal");
    bundle.environment.environment_type = EnvironmentType::Branch;
    bundle.environment.branch = Some(BranchIdentity {
        key: key.parse().expect("legal"),
        base: base.environment.name.clone(),
        repository_id: "42".parse().expect("legal"),
        repository: "acme/shop".parse().expect("legal"),
        branch: "feature/x".parse().expect("legal"),
    });
    bundle
}

fn config_map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"key": value}})
}

fn workload(kind: &str, name: &str, key: &str, image: &str, replicas: u32) -> Value {
    let labels = json!({"app": name, "lapdev.dev/branch": key});
    json!({
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "web", "image": image, "ports": [{"containerPort": 8080}]}]},
            },
        },
    })
}

fn deployment(name: &str, image: &str, replicas: u32) -> Value {
    workload("Deployment", name, "baseline", image, replicas)
}

fn service(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}})
}

fn shop(plane: char, name: &str) -> Bundle {
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web"}});
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "web"},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]});
    let objects = vec![config_map("web", "1"), service("web"), account, role, deployment("web", "web:1", 1)];
    shared(plane, name, objects)
}

#[tokio::test]
async fn a_bundle_is_applied_and_passes_over_it_write_nothing() -> Outcome {
    let agent = Agent::start('a').await?;
    let bundle = shop('a', "noop");
    agent.publish_and_wait(1, &bundle).await?;
    let parent = agent.get("configmap lapdev-aaaaaaaaaaaaaaaa -n lapdev-env-noop").await?;
    let annotations = &parent["metadata"]["annotations"];
    assert_eq!(annotations["lapdev.dev/generation"], "1");
    assert_eq!(annotations["lapdev.dev/digest"], bundle.clone().canonical().digest().to_string());
    let kinds = "ConfigMap,Deployment.apps,Role.rbac.authorization.k8s.io,Service,ServiceAccount";
    let mut listed: Vec<_> =
        annotations["applyset.kubernetes.io/contains-group-kinds"].as_str().unwrap_or_default().split(',').collect();
    listed.sort_unstable();
    assert_eq!(listed.join(","), kinds);
    let set = &parent["metadata"]["labels"]["applyset.kubernetes.io/id"];
    let web = agent.get("deployment web -n lapdev-env-noop").await?;
    let labels = &web["metadata"]["labels"];
    assert_eq!(&labels["applyset.kubernetes.io/part-of"], set);
    assert_eq!(labels["lapdev.dev/environment"], "aaaaaaaaaaaaaaaa");
    assert!(web["metadata"]["annotations"].get("lapdev.dev/generation").is_none());

    // The Deployment's own controller settles first: it writes status and a revision.
    agent.until_object("deployment web -n lapdev-env-noop", |web| web["status"]["unavailableReplicas"] == 1).await?;
    let written = settled(&agent).await?;
    let before = agent.versions("lapdev-env-noop").await?;
    for deep in [false, false, true] {
        let (passes, _) = agent.core.progress();
        agent.core.resync(deep);
        until("another pass", LIMIT, async || {
            let (now, backlog) = agent.core.progress();
            within(now > passes && backlog == 0, format!("{passes} {now} {backlog}"))
        })
        .await?;
        if !deep {
            assert_eq!(agent.core.writes(), written, "a pass over an unchanged environment sends no write");
        }
    }
    assert_eq!(agent.versions("lapdev-env-noop").await?, before, "and a deep one changes nothing");
    // Nor does an agent that starts anew and knows nothing of what it did.
    let (plane, memory) = agent.stop().await?;
    let agent = Agent::start_with(plane, memory).await?;
    agent.until(&bundle.environment.uid, |status| status.applied.is_some()).await?;
    settled(&agent).await?;
    assert_eq!(agent.versions("lapdev-env-noop").await?, before, "nor does a new start");
    agent.stop().await.map(drop)
}

/// The number of writes once it no longer grows by itself.
async fn settled(agent: &Agent) -> Result<u64, Error> {
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

#[tokio::test]
async fn drift_is_put_back() -> Outcome {
    let agent = Agent::start('b').await?;
    let bundle = shop('b', "drift");
    let uid = &bundle.environment.uid;
    agent.publish_and_wait(1, &bundle).await?;
    agent.kubectl("set image deployment/web web=evil:1 -n lapdev-env-drift", "").await?;
    let image = "/spec/template/spec/containers/0/image";
    agent.until_object("deployment web -n lapdev-env-drift", |web| web.pointer(image) == Some(&"web:1".into())).await?;
    agent
        .until(uid, |status| {
            status.notices.iter().any(|notice| notice.contains("was changed by kubectl-set; put back"))
        })
        .await?;
    agent.kubectl("delete configmap web -n lapdev-env-drift", "").await?;
    agent.until_object("configmap web -n lapdev-env-drift", |web| web["data"]["key"] == "1").await?;
    agent.kubectl("label service web -n lapdev-env-drift lapdev.dev/environment-", "").await?;
    let label = "/metadata/labels/lapdev.dev~1environment";
    agent
        .until_object("service web -n lapdev-env-drift", |web| web.pointer(label) == Some(&uid.as_str().into()))
        .await?;
    // The ground it stands on: the inventory, and the agent's own right to work there.
    agent.kubectl("delete configmap lapdev-abbbbbbbbbbbbbbb -n lapdev-env-drift", "").await?;
    agent.until_object("configmap lapdev-abbbbbbbbbbbbbbb -n lapdev-env-drift", |_| true).await?;
    agent.kubectl("delete rolebinding lapdev-agent -n lapdev-env-drift", "").await?;
    agent.until_object("rolebinding lapdev-agent -n lapdev-env-drift", |_| true).await?;
    agent.kubectl("delete namespace lapdev-env-drift --wait=false", "").await?;
    agent
        .until_object("deployment web -n lapdev-env-drift", |web| web["metadata"].get("deletionTimestamp").is_none())
        .await?;
    agent.until(uid, |status| status.phase == Phase::Progressing && status.message.contains("web")).await?;
    agent.stop().await.map(drop)
}

#[tokio::test]
async fn a_scalers_replicas_and_another_appliers_fields_are_left_alone() -> Outcome {
    let agent = Agent::start('c').await?;
    let mut bundle = shop('c', "fields");
    let uid = bundle.environment.uid.clone();
    agent.publish_and_wait(1, &bundle).await?;
    agent.kubectl("scale deployment web --replicas=3 -n lapdev-env-fields", "").await?;
    agent
        .until(&uid, |status| status.notices.iter().any(|notice| notice.contains("spec.replicas is held by kubectl")))
        .await?;
    let theirs =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}, "data": {"key": "theirs"}});
    let apply = "apply --server-side --field-manager=argocd --force-conflicts -n lapdev-env-fields -f -";
    agent.kubectl(apply, &theirs.to_string()).await?;
    agent
        .until(&uid, |status| status.notices.iter().any(|notice| notice.contains("data.key is declared by argocd")))
        .await?;
    // A new revision does not fight either, but brings what is undisputed.
    bundle.objects[0] = config_map("web", "2");
    bundle.objects[0]["metadata"]["namespace"] = "lapdev-env-fields".into();
    bundle.objects[0]["data"]["other"] = "2".into();
    bundle.objects[4]["spec"]["template"]["spec"]["containers"][0]["image"] = "web:2".into();
    agent.publish_and_wait(2, &bundle).await?;
    let map = agent.get("configmap web -n lapdev-env-fields").await?;
    assert_eq!((&map["data"]["key"], &map["data"]["other"]), (&"theirs".into(), &"2".into()));
    let web = agent.get("deployment web -n lapdev-env-fields").await?;
    assert_eq!(web["spec"]["replicas"], 3);
    assert_eq!(web.pointer("/spec/template/spec/containers/0/image"), Some(&"web:2".into()));
    agent.stop().await.map(drop)
}

#[tokio::test]
async fn what_carries_no_label_of_ours_is_occupied_and_untouched() -> Outcome {
    let agent = Agent::start('d').await?;
    agent.kubectl("create namespace lapdev-env-taken", "").await?;
    agent.kubectl("create configmap web --from-literal=key=theirs -n lapdev-env-taken", "").await?;
    let before = agent.get("configmap web -n lapdev-env-taken").await?;
    let taken = shop('d', "taken");
    agent.publish(1, &taken).await?;
    let uid = &taken.environment.uid;
    agent
        .until(uid, |status| status.phase == Phase::Occupied && status.message.contains("Namespace lapdev-env-taken"))
        .await?;
    assert_eq!(agent.get("configmap web -n lapdev-env-taken").await?, before);

    let mut base = shop('d', "object");
    base.environment.uid = self::uid('b', 'd');
    agent.publish_and_wait(1, &base).await?;
    agent.kubectl("create configmap web--key --from-literal=key=theirs -n lapdev-env-object", "").await?;
    let before = agent.get("configmap web--key -n lapdev-env-object").await?;
    let beside = branch(
        &base,
        'c',
        "key",
        vec![config_map("web--key", "ours"), workload("Deployment", "web--key", "key", "web:2", 1)],
    );
    agent.publish(1, &beside).await?;
    let uid = &beside.environment.uid;
    agent.until(uid, |status| status.phase == Phase::Occupied && status.message.contains("web--key")).await?;
    assert_eq!(agent.get("configmap web--key -n lapdev-env-object").await?, before);
    assert!(
        agent.get("deployment web--key -n lapdev-env-object").await.is_err(),
        "nothing after the stage that failed"
    );
    // Freed by its owner, the way is open; its end then leaves what it made and no more.
    agent.kubectl("delete configmap web--key -n lapdev-env-object", "").await?;
    agent.core.resync(true);
    agent.until(uid, |status| status.phase == Phase::Progressing && status.applied.is_some()).await?;
    agent.stop().await.map(drop)
}

#[tokio::test]
async fn only_members_of_the_own_set_are_pruned() -> Outcome {
    let agent = Agent::start('e').await?;
    let base = shop('e', "prune");
    agent.publish_and_wait(1, &base).await?;
    let objects = || vec![config_map("a--key", "1"), config_map("b--key", "1"), service("web--key")];
    let beside = branch(&base, 'b', "key", objects());
    agent.publish_and_wait(1, &beside).await?;
    agent.kubectl("create configmap b--other --from-literal=key=theirs -n lapdev-env-prune", "").await?;
    let fewer = branch(&base, 'b', "key", objects().into_iter().take(1).collect());
    agent.publish_and_wait(2, &fewer).await?;
    agent.until_missing("configmap b--key -n lapdev-env-prune").await?;
    agent.until_missing("service web--key -n lapdev-env-prune").await?;
    for kept in ["configmap a--key", "configmap b--other", "configmap web", "service web", "deployment web"] {
        agent.get(&format!("{kept} -n lapdev-env-prune")).await?;
    }
    let parent = agent.get("configmap lapdev-beeeeeeeeeeeeeee -n lapdev-env-prune").await?;
    let kinds = &parent["metadata"]["annotations"]["applyset.kubernetes.io/contains-group-kinds"];
    assert_eq!(kinds, "ConfigMap", "narrowed after the apply");
    agent.stop().await.map(drop)
}

#[tokio::test]
async fn a_tombstone_leaves_nothing_and_the_base_as_it_was() -> Outcome {
    let agent = Agent::start('f').await?;
    let base = shop('f', "ends");
    agent.publish_and_wait(1, &base).await?;
    agent.until_object("deployment web -n lapdev-env-ends", |web| web["status"]["unavailableReplicas"] == 1).await?;
    settled(&agent).await?;
    let before = agent.versions("lapdev-env-ends").await?;
    let mut stateful = workload("StatefulSet", "db--key", "key", "db:1", 1);
    stateful["spec"]["serviceName"] = "db--key".into();
    stateful["spec"]["volumeClaimTemplates"] = json!([{"metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}}]);
    let objects = vec![config_map("web--key", "1"), workload("Deployment", "web--key", "key", "web:2", 1), stateful];
    let beside = branch(&base, 'b', "key", objects);
    let (uid, base_uid) = (&beside.environment.uid, &base.environment.uid);
    agent.publish_and_wait(1, &beside).await?;
    agent.until_object("pvc data-db--key-0 -n lapdev-env-ends", |_| true).await?;

    // The base cannot go from under it.
    assert_eq!(agent.core.tombstone(base_uid, Generation(1), "late").await, Accept::Refused(Generation(1)));
    assert_eq!(agent.core.tombstone(uid, Generation(2), "pull request #1 closed").await, Accept::Accepted);
    agent.until_gone(uid).await?;
    assert_eq!(agent.versions("lapdev-env-ends").await?, before);
    agent.until_missing("pvc data-db--key-0 -n lapdev-env-ends").await?;
    let pods = agent.get("pods -n lapdev-env-ends -l lapdev.dev/branch=key").await?;
    assert_eq!(pods["items"], json!([]), "gone means its pods too");
    let late = Assignment { uid: uid.clone(), generation: Generation(9), digest: beside.canonical().digest() };
    assert_eq!(agent.core.assign(&late).await, Accept::Refused(Generation(2)), "no resurrection");

    let another = branch(&base, 'c', "other", vec![config_map("web--other", "1")]);
    agent.publish_and_wait(1, &another).await?;
    assert_eq!(agent.core.tombstone(base_uid, Generation(2), "its file is gone").await, Accept::Accepted);
    agent.until(base_uid, |status| status.message.contains("stays until other ended too")).await?;
    agent.get("configmap web--other -n lapdev-env-ends").await?;
    agent.core.tombstone(&another.environment.uid, Generation(2), "its base is gone").await;
    agent.until_gone(&another.environment.uid).await?;
    agent.until_gone(base_uid).await?;
    agent.until_missing("namespace lapdev-env-ends").await?;
    assert!(agent.core.held().is_empty());
    agent.stop().await.map(drop)
}

#[tokio::test]
async fn an_agent_that_starts_alone_goes_on_and_ends_what_was_ended() -> Outcome {
    let agent = Agent::start('g').await?;
    let base = shop('g', "alone");
    agent.publish_and_wait(3, &base).await?;
    let beside = branch(&base, 'b', "key", vec![config_map("web--key", "1")]);
    agent.publish_and_wait(1, &beside).await?;
    let (plane, memory) = agent.stop().await?;

    let admin = Agent::start_with(plane.clone(), Arc::default()).await?;
    admin.kubectl("set image deployment/web web=evil:1 -n lapdev-env-alone", "").await?;
    admin.kubectl("delete configmap web--key -n lapdev-env-alone", "").await?;
    admin.stop().await?;

    let agent = Agent::start_with(plane.clone(), memory.clone()).await?;
    let image = "/spec/template/spec/containers/0/image";
    agent.until_object("deployment web -n lapdev-env-alone", |web| web.pointer(image) == Some(&"web:1".into())).await?;
    agent.until_object("configmap web--key -n lapdev-env-alone", |map| map["data"]["key"] == "1").await?;
    let held: Vec<_> = agent.core.held().into_iter().map(|held| (held.generation.0, held.digest)).collect();
    assert_eq!(held, [(3, Some(base.clone().canonical().digest())), (1, Some(beside.clone().canonical().digest()))]);
    let stale = Assignment {
        uid: base.environment.uid.clone(),
        generation: Generation(2),
        digest: beside.clone().canonical().digest(),
    };
    assert_eq!(agent.core.assign(&stale).await, Accept::Refused(Generation(3)), "the fence survives a restart");

    // A tombstone that a finalizer holds up is remembered over a restart, without a hub.
    agent.kubectl("patch configmap web--key -n lapdev-env-alone --type=merge -p {\"metadata\":{\"finalizers\":[\"test/held\"]}}", "").await?;
    agent.begin().await;
    agent.core.tombstone(&beside.environment.uid, Generation(2), "branch x is gone").await;
    agent
        .until_object("configmap web--key -n lapdev-env-alone", |map| {
            map["metadata"].get("deletionTimestamp").is_some()
        })
        .await?;
    agent.stop().await?;
    let agent = Agent::start_with(plane, memory).await?;
    agent.until(&beside.environment.uid, |status| status.phase == Phase::Terminating).await?;
    agent
        .kubectl(
            "patch configmap web--key -n lapdev-env-alone --type=merge -p {\"metadata\":{\"finalizers\":null}}",
            "",
        )
        .await?;
    agent.until_gone(&beside.environment.uid).await?;
    agent.until_missing("configmap lapdev-bggggggggggggggg -n lapdev-env-alone").await?;
    agent.stop().await.map(drop)
}

#[tokio::test]
async fn what_the_cluster_remembers_fences_an_agent_that_does_not_know_it() -> Outcome {
    let (behind, ahead) = (Agent::start('o').await?, Agent::start('o').await?);
    let (old, new) = (shop('o', "fence"), shared('o', "fence", vec![config_map("new", "1")]));
    let uid = &new.environment.uid;
    ahead.publish_and_wait(3, &new).await?;
    behind.publish(2, &old).await?;
    behind.until(uid, |status| status.generation == Generation(3) && status.applied.is_some()).await?;
    behind.until_missing("configmap web -n lapdev-env-fence").await?;
    behind.get("configmap new -n lapdev-env-fence").await?;
    // An end that is under way, and that this agent never heard of.
    behind.stop().await?;
    let behind = Agent::start('o').await?;
    let patch = "patch configmap new -n lapdev-env-fence --type=merge -p";
    ahead.kubectl(&format!("{patch} {{\"metadata\":{{\"finalizers\":[\"test/held\"]}}}}"), "").await?;
    ahead.core.tombstone(uid, Generation(4), "branch x is gone").await;
    ahead
        .until_object("configmap new -n lapdev-env-fence", |map| map["metadata"].get("deletionTimestamp").is_some())
        .await?;
    ahead.stop().await?;
    behind.core.resync(true);
    behind.until(uid, |status| status.phase == Phase::Progressing || status.phase == Phase::Terminating).await?;
    behind.publish(3, &new).await?;
    behind.until(uid, |status| status.phase == Phase::Terminating && status.generation == Generation(4)).await?;
    behind.kubectl(&format!("{patch} {{\"metadata\":{{\"finalizers\":null}}}}"), "").await?;
    behind.until_gone(uid).await?;
    behind.stop().await.map(drop)
}

#[tokio::test]
async fn a_bundle_that_is_too_large_to_keep_is_asked_for_again() -> Outcome {
    let agent = Agent::start('n').await?;
    // Digests do not compress: three ConfigMaps of 600 KiB each.
    let noise = |from: u32| (from..from + 9600).map(|n| lapdev_api::digest::Digest::of(&n.to_be_bytes()).to_string());
    let maps = (0..3).map(|map| config_map(&format!("m-{map}"), &noise(map * 10_000).collect::<String>()));
    let bundle = shared('n', "large", maps.collect());
    let uid = &bundle.environment.uid;
    agent.publish_and_wait(1, &bundle).await?;
    let (plane, memory) = agent.stop().await?;
    let agent = Agent::start_with(plane, memory).await?;
    agent.until(uid, |status| status.generation == Generation(1) && status.applied.is_some()).await?;
    assert_eq!(agent.core.held()[0].digest, None, "its bytes are not held");
    agent.get("configmap m-2 -n lapdev-env-large").await?;
    agent.begin().await;
    agent.publish_and_wait(1, &bundle).await?;
    assert_eq!(agent.core.held()[0].digest, Some(bundle.clone().canonical().digest()));
    agent.stop().await.map(drop)
}

#[tokio::test]
async fn a_ttl_ends_without_a_hub() -> Outcome {
    let agent = Agent::start('h').await?;
    let mut bundle = shop('h', "ttl");
    bundle.expires_at = Some(jiff::Timestamp::now() + Duration::from_secs(4));
    let uid = &bundle.environment.uid;
    agent.publish_and_wait(1, &bundle).await?;
    agent
        .until(uid, |status| status.phase == Phase::Terminating && status.message.contains("its ttl ended at"))
        .await?;
    agent.until_missing("namespace lapdev-env-ttl").await?;
    assert_eq!(agent.core.tombstone(uid, Generation(2), "its ttl ended").await, Accept::Accepted);
    agent.until_gone(uid).await?;
    agent.stop().await.map(drop)
}

#[tokio::test]
async fn health_carries_the_pods_own_reason_up() -> Outcome {
    let agent = Agent::start('i').await?;
    let bundle = shared('i', "health", vec![deployment("web", "web:1", 1)]);
    let uid = &bundle.environment.uid;
    agent.publish_and_wait(1, &bundle).await?;
    let pods = "pods -n lapdev-env-health -l app=web";
    agent.until_object(pods, |pods| pods["items"].as_array().is_some_and(|pods| pods.len() == 1)).await?;
    let pod = agent.get(pods).await?["items"][0]["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let report = async |state: Value, phase: &str, ready: &str| {
        let container = json!({"name": "web", "image": "web:1", "imageID": "", "ready": ready == "True", "restartCount": 0,
            "started": true, "state": state});
        let conditions = json!([{"type": "Ready", "status": ready, "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
        let status = json!({"status": {"phase": phase, "conditions": conditions, "containerStatuses": [container]}});
        let words = ["patch", "pod", &pod, "-n", "lapdev-env-health", "--subresource=status", "--type=merge", "-p"];
        agent.cluster.kubectl(&[&words[..], &[status.to_string().as_str()]].concat(), "").await
    };
    report(json!({"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}), "Pending", "False").await?;
    agent
        .until(uid, |status| {
            let web = &status.workloads[0];
            status.phase == Phase::Failed
                && web.health == Health::Failed
                && web.reason.as_deref() == Some("ImagePullBackOff")
                && status.message.contains("no such image")
        })
        .await?;
    report(json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}}), "Running", "True").await?;
    agent.until(uid, |status| status.phase == Phase::Ready && status.workloads[0].ready == 1).await?;
    agent.stop().await.map(drop)
}

#[tokio::test]
async fn previews_are_dialled_only_where_a_bundle_says_so_and_audits_see_orphans() -> Outcome {
    let agent = Agent::start('j').await?;
    let mut bundle = shop('j', "preview");
    let target =
        DialTarget { namespace: "lapdev-env-preview".parse()?, service: "web".into(), port: Port::Name("http".into()) };
    bundle.previews = vec![target.clone()];
    let uid = &bundle.environment.uid;
    agent.publish_and_wait(1, &bundle).await?;
    let address = agent.core.resolve(uid, &target).await?;
    let service = agent.get("service web -n lapdev-env-preview").await?;
    assert_eq!(
        json!(address.to_string()),
        json!(format!("{}:80", service["spec"]["clusterIP"].as_str().unwrap_or("")))
    );
    let other = DialTarget { service: "kubernetes".into(), namespace: "default".parse()?, port: Port::Number(443) };
    assert!(agent.core.resolve(uid, &other).await.is_err());

    let inventory = agent.core.inventory().await?;
    assert_eq!(inventory.orphans, []);
    // Five objects, the parent, the namespace and the agent's RoleBinding.
    assert_eq!((inventory.held.len(), inventory.held[0].objects), (1, 8));
    let mut stray = config_map("stray", "1");
    stray["metadata"]["labels"] =
        json!({"lapdev.dev/control-plane": "jjjjjjjjjjjjjjjj", "lapdev.dev/environment": "zzzzzzzzzzzzzzzz"});
    agent.kubectl("create -n lapdev-env-preview -f -", &stray.to_string()).await?;
    let orphans = agent.core.inventory().await?.orphans;
    assert_eq!(orphans.len(), 1, "{orphans:?}");
    assert_eq!((orphans[0].name.as_str(), orphans[0].kind.as_str()), ("stray", "ConfigMap"));
    agent.core.tombstone(&"zzzzzzzzzzzzzzzz".parse()?, Generation(1), "swept").await;
    agent.until_missing("configmap stray -n lapdev-env-preview").await?;
    agent.stop().await.map(drop)
}

#[tokio::test]
async fn what_cannot_be_applied_says_why_and_what_runs_goes_on() -> Outcome {
    let agent = Agent::start('k').await?;
    let good = shop('k', "broken");
    let uid = &good.environment.uid;
    agent.publish_and_wait(1, &good).await?;
    let mut bad = good.clone();
    bad.objects[4]["spec"]["selector"]["matchLabels"]["app"] = "other".into();
    bad.objects.remove(0);
    agent.publish(2, &bad).await?;
    agent.until(uid, |status| status.phase == Phase::Failed && status.message.contains("Deployment")).await?;
    let status = agent.core.status(uid).ok_or("held")?;
    assert_eq!((status.generation, status.applied), (Generation(2), Some(good.clone().canonical().digest())));
    agent.get("configmap web -n lapdev-env-broken").await?;
    let mut unknown = good.clone();
    unknown.objects.push(json!({"apiVersion": "example.com/v1", "kind": "Widget",
        "metadata": {"name": "w", "namespace": "lapdev-env-broken"}}));
    agent.publish(3, &unknown).await?;
    agent.until(uid, |status| status.message.contains("install its CustomResourceDefinition first")).await?;
    agent.publish_and_wait(4, &good).await?;
    let mut secret = good.clone();
    secret.objects.push(json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": "Yg=="},
        "metadata": {"name": "s", "namespace": "lapdev-env-broken"}}));
    let refused = agent.publish(5, &secret).await.expect_err("a Secret with data").to_string();
    assert!(refused.contains("external-secrets"), "{refused}");
    agent.until(uid, |status| status.phase == Phase::Failed && status.message.contains("refused")).await?;
    agent.publish_and_wait(6, &good).await?;
    agent.stop().await.map(drop)
}

#[tokio::test]
async fn one_agent_holds_the_lease_and_each_taking_counts() -> Outcome {
    let (_, kubeconfig) = installed().await?;
    let keeper = async |identity: &str| -> Result<Keeper, Error> {
        let settings = LeaseSettings {
            namespace: HOME.into(),
            name: ACCOUNT.into(),
            identity: identity.into(),
            duration: Duration::from_secs(6),
        };
        Ok(Keeper::new(client(&kubeconfig).await?, settings))
    };
    let (one, two, stop) = (keeper("one").await?, keeper("two").await?, CancellationToken::new());
    let first = one.acquire(&stop).await.ok_or("stopped")?;
    let waiting = tokio::spawn({
        let stop = stop.clone();
        async move { two.acquire(&stop).await }
    });
    one.remember(&"aaaaaaaaaaaaaaaa".parse()?).await?;
    // Longer than the Lease's duration: it is renewed.
    tokio::time::timeout(Duration::from_secs(9), first.lost.cancelled()).await.expect_err("it is not lost");
    assert!(!waiting.is_finished());
    let epoch = first.epoch;
    first.release().await;
    let second = waiting.await?.ok_or("stopped")?;
    assert_eq!(second.epoch, epoch + 1);
    assert_eq!(one.recall().await?, Some("aaaaaaaaaaaaaaaa".parse()?), "remembered over a change of holders");
    second.release().await;
    Ok(())
}

#[tokio::test]
async fn the_api_server_itself_denies_what_the_agent_should_not_do() -> Outcome {
    let agent = Agent::start('l').await?;
    agent.publish_and_wait(1, &shop('l', "denied")).await?;
    agent.kubectl("create namespace lapdev-env-theirs", "").await?;
    let labels = json!({"lapdev.dev/control-plane": "llllllllllllllll", "lapdev.dev/environment": "zzzzzzzzzzzzzzzz"});
    let namespace = |name: &str, labels: &Value| {
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}).to_string()
    };
    let binding = |namespace: &str, role: &str| {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "grab", "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": HOME}]})
        .to_string()
    };
    let patch = "patch namespace lapdev-env-theirs --type=merge -p {\"metadata\":{\"labels\":{\"lapdev.dev/control-plane\":\"x\"}}}";
    let strip = "label namespace lapdev-env-denied lapdev.dev/control-plane-";
    let attempts = [
        ("create -f -", namespace("lapdev-env-bare", &json!({}))),
        ("create -f -", namespace("elsewhere", &labels)),
        (patch, String::new()),
        (strip, String::new()),
        ("delete namespace lapdev-env-theirs", String::new()),
        ("delete namespace source", String::new()),
        ("create -f -", binding("kube-system", "lapdev-environment")),
        ("create -f -", binding("lapdev-env-theirs", "lapdev-environment")),
        ("create -f -", binding("lapdev-env-denied", "cluster-admin")),
        ("delete rolebinding lapdev-agent -n lapdev-system", String::new()),
        ("get secrets -n kube-system", String::new()),
        ("get secrets -n source", String::new()),
        ("get secrets -n lapdev-system", String::new()),
        ("get configmaps -n default", String::new()),
        ("get configmaps -A", String::new()),
        ("create configmap x -n source", String::new()),
        ("delete validatingadmissionpolicy lapdev-system-lapdev-agent", String::new()),
        ("delete lease other -n lapdev-system", String::new()),
    ];
    let kubeconfig = format!("--kubeconfig={}", agent.kubeconfig.display());
    for (words, input) in attempts {
        let denied = agent.kubectl(&format!("{words} {kubeconfig}"), &input).await;
        let error = denied.err().ok_or_else(|| format!("{words} was allowed: {input}"))?.to_string();
        let said = ["orbidden", "ValidatingAdmissionPolicy"].iter().any(|word| error.contains(word));
        assert!(said, "{words}: {error}");
    }
    agent.kubectl(&format!("get deployments,services,configmaps -n source {kubeconfig}"), "").await?;
    agent.stop().await.map(drop)
}

#[tokio::test]
async fn the_chart_takes_all_its_values_and_says_which_make_no_sense() -> Outcome {
    let (cluster, _) = installed().await?;
    let values = [
        "url=https://localhost",
        "caConfigMapName=ca",
        "secretName=token",
        "controlPlaneId=aaaaaaaaaaaaaaaa",
        "sourceNamespaces={source,default}",
        "environmentRole.name=second",
        "environmentRole.extraRules[0].apiGroups={external-secrets.io}",
        "environmentRole.extraRules[0].resources={externalsecrets}",
        "environmentRole.extraRules[0].verbs={get}",
        "proxy.https=http://proxy:3128",
        "proxy.bypass=localhost",
        "image.pullSecrets={registry}",
        "priorityClassName=system-cluster-critical",
        "nodeSelector.disk=fast",
        "podAnnotations.a=b",
        "tolerations[0].operator=Exists",
    ];
    // The API server also compiles the policy's expressions.
    let rendered = chart("second", &values).await?;
    let said = cluster.kubectl(&["apply", "--server-side", "--dry-run=server", "-f", "-"], &rendered).await?;
    assert_eq!(said.lines().count(), 13, "{said}");
    let without = chart("second", &[&values[..], &["environmentRole.create=false"]].concat()).await?;
    let roles = |chart: &str| chart.lines().filter(|line| *line == "kind: ClusterRole").count();
    assert_eq!((roles(&rendered), roles(&without)), (2, 1), "the environments' role is then the first release's");
    for (value, named) in [("url=lapdev", "/url"), ("namespacePrefix=", "/namespacePrefix"), ("colour=red", "colour")] {
        let refused = chart("second", &["url=https://localhost", value]).await.expect_err("refused").to_string();
        assert!(refused.contains(named), "{refused}");
    }
    Ok(())
}

/// The process that users run, alone: what it is to apply stands in the cluster, accepted but not applied.
#[tokio::test]
async fn an_agent_that_is_killed_while_it_applies_ends_in_the_same_state() -> Outcome {
    let many = |name: &str| {
        let objects = (0..60).map(|number| config_map(&format!("c-{number}"), "1"));
        let late = (0..5).map(|number| deployment(&format!("d-{number}"), "web:1", 1));
        shared('m', name, objects.chain(late).collect())
    };
    let agent = Agent::start('m').await?;
    // An undisturbed run, to compare with.
    agent.publish_and_wait(1, &many("calm")).await?;
    settled(&agent).await?;
    let calm = names(&agent.versions("lapdev-env-calm").await?);

    // The same, but killed after the first objects, twice.
    let mut bundle = many("killed");
    bundle.environment.uid = uid('b', 'm');
    agent.publish_and_wait(1, &shared_as(&bundle, vec![])).await?;
    let folder = tempfile::tempdir()?;
    let (plane, _) = agent.stop().await?;
    let (cluster, kubeconfig) = installed().await?;
    accept_only(cluster, &plane, &bundle).await?;
    let (mut kills, log) = (0, folder.path().join("agent.log"));
    std::fs::write(folder.path().join("token"), "none")?;
    while kills < 2 {
        let mut process = start_process(&kubeconfig, folder.path(), &log)?;
        until("some objects are applied", LIMIT, async || {
            process.still_runs()?;
            let made = count(cluster).await?;
            within(made > kills * 20, format!("{made} objects"))
        })
        .await?;
        process.kill().await?;
        kills += 1;
    }
    assert!(count(cluster).await? < 60 + 5, "it was killed in the middle");
    let mut process = start_process(&kubeconfig, folder.path(), &log)?;
    let watcher = Agent::start_with(plane, Arc::default()).await?;
    until("everything is applied", LIMIT, async || {
        process.still_runs()?;
        let now = names(&watcher.versions("lapdev-env-killed").await?);
        let renamed: Vec<_> = calm.iter().map(|name| name.replace("lapdev-ammmmm", "lapdev-bmmmmm")).collect();
        within(now == renamed, format!("{now:?} instead of {renamed:?}"))
    })
    .await?;
    watcher
        .until_object("configmap lapdev-bmmmmmmmmmmmmmmm -n lapdev-env-killed", |parent| {
            parent["metadata"]["annotations"]["lapdev.dev/generation"] == "2"
        })
        .await?;
    let ended = process.terminate().await?;
    assert!(ended.success(), "{ended}: {}", process.log_tail());
    watcher.stop().await.map(drop)
}

fn names(versions: &BTreeMap<String, String>) -> Vec<String> {
    versions.keys().cloned().collect()
}

fn shared_as(bundle: &Bundle, objects: Vec<Value>) -> Bundle {
    Bundle { objects, ..bundle.clone() }
}

/// How many objects of the killed environment are there.
async fn count(cluster: &ApiCluster) -> Result<usize, Error> {
    let words =
        ["get", "configmaps,deployments", "-n", "lapdev-env-killed", "-l", "lapdev.dev/environment", "-o", "name"];
    Ok(cluster.kubectl(&words, "").await?.lines().filter(|name| !name.contains("lapdev-")).count())
}

/// Writes the parent as an agent does that accepted generation 2 and was killed before it applied anything of it.
async fn accept_only(cluster: &ApiCluster, plane: &ControlPlaneId, bundle: &Bundle) -> Outcome {
    let words = ["get", "configmap", "lapdev-bmmmmmmmmmmmmmmm", "-n", "lapdev-env-killed", "-o", "json"];
    let found: k8s_openapi::api::core::v1::ConfigMap = serde_json::from_str(&cluster.kubectl(&words, "").await?)?;
    let mut parent = lapdev_agent::applyset::Parent::read(&found)?;
    let canonical = bundle.clone().canonical();
    parent.accepted = lapdev_agent::applyset::Version { generation: Generation(2), digest: canonical.digest() };
    parent.bundle = Some(canonical.into_bytes());
    let apply = ["apply", "--server-side", "--field-manager=lapdev", "--force-conflicts", "-f", "-"];
    cluster.kubectl(&apply, &parent.render().to_string()).await?;
    let annotation = format!("lapdev.dev/control-plane={plane}");
    // The Lease may not be there yet: the process makes it.
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "killed", "namespace": HOME}});
    cluster.kubectl(&["apply", "-f", "-"], &lease.to_string()).await?;
    cluster.kubectl(&["annotate", "lease", "killed", "-n", HOME, &annotation], "").await?;
    // The chart's Role names one Lease; this test has one of its own, so that tests do not wait for each other.
    let allow = [
        "create",
        "role",
        "killed",
        "-n",
        HOME,
        "--verb=get,update,patch",
        "--resource=leases",
        "--resource-name=killed",
    ];
    cluster.kubectl(&allow, "").await?;
    let account = format!("--serviceaccount={HOME}:{ACCOUNT}");
    cluster.kubectl(&["create", "rolebinding", "killed", "-n", HOME, "--role=killed", &account], "").await?;
    Ok(())
}

fn start_process(kubeconfig: &Path, folder: &Path, log: &Path) -> Result<Running, Error> {
    let token = folder.join("token");
    let environment = [
        ("LAPDEV_URL", OsStr::new("http://127.0.0.1:9")),
        ("LAPDEV_TOKEN_FILE", token.as_os_str()),
        ("LAPDEV_LEASE", OsStr::new("killed")),
        ("LAPDEV_IDENTITY", OsStr::new("killed")),
        ("LAPDEV_REQUIRE_POLICY", OsStr::new("true")),
        ("KUBECONFIG", kubeconfig.as_os_str()),
        ("RUST_LOG", OsStr::new("info")),
    ];
    Running::start(&Program::Agent.path()?, &[], &[], &environment, log)
}
