//! The test cluster itself: it starts, does what a Kubernetes does, lets nothing in, and leaves nothing behind, however
//! its owner ends.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lapdev_tests::cluster::{ApiCluster, Image, NODE_ADDRESS, NodesCluster, OUT_NAME};

type Outcome = Result<(), Box<dyn std::error::Error>>;

const TESTPOD: &str = "localhost/lapdev/testpod:1";
/// Set to 1 to leave out what needs root; it is then said on stderr.
const SKIP: &str = "LAPDEV_TESTS_SKIP_NODES";

const WORKLOAD: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: web
          image: localhost/lapdev/testpod:1
          args: [serve, "8080"]
          readinessProbe: {httpGet: {port: 8080, path: /}, periodSeconds: 1}
          securityContext: {readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: client}
spec:
  containers: [{name: client, image: localhost/lapdev/testpod:1, args: [serve, "8080"]}]
"#;

#[tokio::test]
async fn an_api_level_cluster_serves_and_leaves_nothing_behind() -> Outcome {
    let began = Instant::now();
    let cluster = ApiCluster::start().await?;
    report("api level up", began);

    let deployment = ["create", "deployment", "web", "--image=localhost/web:1", "--replicas=2"];
    cluster.kubectl(&deployment, "").await?;
    let wait = ["wait", "--for=create", "pod", "--selector=app=web", "--timeout=20s"];
    cluster.kubectl(&wait, "").await?;

    // A ServiceAccount without a role is known, and may do nothing.
    cluster.kubectl(&["create", "serviceaccount", "agent"], "").await?;
    let account = cluster.service_account_kubeconfig("default", "agent").await?;
    let flag = format!("--kubeconfig={}", account.display());
    let name = "--output=jsonpath={.status.userInfo.username}";
    let whoami = cluster.kubectl(&["auth", "whoami", name, &flag], "").await?;
    assert_eq!(whoami, "system:serviceaccount:default:agent");
    let denied = cluster.kubectl(&["get", "pods", &flag], "").await.expect_err("it has no role");
    assert!(denied.to_string().contains("Forbidden"), "{denied}");

    let run = cluster.run_folder().to_owned();
    assert!(processes_naming(&run).len() >= 4, "four components run");
    let began = Instant::now();
    cluster.stop()?;
    report("api level down", began);
    assert_gone(&run);
    Ok(())
}

#[tokio::test]
async fn a_panic_and_a_kill_of_the_owner_leave_nothing_behind() -> Outcome {
    let (say, said) = std::sync::mpsc::channel();
    let panicking = tokio::spawn(async move {
        let cluster = ApiCluster::start().await.expect("a cluster");
        say.send(cluster.run_folder().to_owned()).expect("the test listens");
        // A panic without its message on stderr, since it is on purpose.
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    assert!(panicking.await.is_err(), "it panics");
    assert_gone(&said.recv()?);

    for signal in ["-INT", "-KILL"] {
        let (owner, run) = owner("api");
        send(signal, owner)?;
        until("the watcher ends the cluster", || processes_naming(&run).is_empty() && !run.exists()).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_nodes_level_cluster_runs_pods_lets_nothing_in_and_leaves_nothing_behind() -> Outcome {
    if skipped() {
        return Ok(());
    }
    let links = entries("/sys/class/net");
    let began = Instant::now();
    let cluster = NodesCluster::start().await.map_err(|error| format!("{error} (or leave this out: {SKIP}=1)"))?;
    report("nodes level up", began);
    let run = cluster.run_folder().to_owned();

    let began = Instant::now();
    cluster.load_image(&Image::of_program(TESTPOD, Path::new(env!("CARGO_BIN_EXE_testpod")))?).await?;
    cluster.kubectl(&["apply", "--filename=-"], WORKLOAD).await?;
    let ready = ["wait", "--for=condition=Available", "deployment/web", "--timeout=50s"];
    cluster.kubectl(&ready, "").await?;
    let ready = ["wait", "--for=condition=Ready", "pod/client", "--timeout=50s"];
    cluster.kubectl(&ready, "").await?;
    report("pods ready", began);

    service_answers_by_name(&cluster).await?;
    only_outward(&cluster).await?;

    let (containers, processes) = containers(&run);
    assert!(processes.len() >= 6, "three pods, each with the program and the pause program: {processes:?}");
    let up = Footprint::of(&run, &containers);
    assert_eq!(up.namespaces.len(), 2, "the check below can see what is there");
    assert!(!up.cgroups.is_empty(), "the check below can see what is there");
    let began = Instant::now();
    cluster.stop()?;
    report("nodes level down", began);
    assert_gone(&run);
    processes.iter().for_each(|process| assert!(is_gone(process), "{process} still runs"));
    assert_eq!(Footprint::of(&run, &containers), Footprint::none(links));
    Ok(())
}

#[tokio::test]
async fn a_kill_of_a_nodes_level_owner_leaves_nothing_behind() -> Outcome {
    if skipped() {
        return Ok(());
    }
    let links = entries("/sys/class/net");
    let (owner, run) = owner("nodes");
    send("-KILL", owner)?;
    until("the watcher ends the cluster", || processes_naming(&run).is_empty() && !run.exists()).await;
    assert_eq!(Footprint::of(&run, &BTreeSet::new()), Footprint::none(links));
    Ok(())
}

/// Both pods of the Service answer, and the cluster's DNS knows what exists and what does not.
async fn service_answers_by_name(cluster: &NodesCluster) -> Outcome {
    let mut names = BTreeSet::new();
    let end = Instant::now() + Duration::from_secs(30);
    while names.len() < 2 {
        assert!(Instant::now() < end, "not both pods of the Service answered: {names:?}");
        // A connection may fail until kube-proxy has heard of both pods.
        if let Ok(name) = get(cluster, "web", 80).await {
            names.insert(name);
        }
    }
    assert!(names.iter().all(|name| name.starts_with("web-")), "{names:?}");
    get(cluster, "web.default.svc.cluster.local", 80).await?;
    let unknown = get(cluster, "nowhere", 80).await.expect_err("no such name");
    assert!(unknown.to_string().contains("Name or service not known"), "{unknown}");
    Ok(())
}

/// A pod reaches the outside; the outside reaches neither the API server nor the kubelet; a cut link cuts and mends.
async fn only_outward(cluster: &NodesCluster) -> Outcome {
    let serve = ["serve", "9000"];
    let mut server = cluster.outside().command(env!("CARGO_BIN_EXE_testpod")).args(serve).spawn()?;
    let own_address = SocketAddr::from((lapdev_tests::cluster::OUT_ADDRESS, 9000));
    until("the server outside listens", || cluster.outside().connect(own_address, Duration::from_secs(1)).is_ok())
        .await;
    get(cluster, OUT_NAME, 9000).await?;

    for port in [6443, 10250] {
        let to = SocketAddr::from((NODE_ADDRESS, port));
        cluster.namespace().connect(to, Duration::from_secs(2))?;
        let error = cluster.outside().connect(to, Duration::from_secs(2)).expect_err("nothing may come in");
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut, "{to}");
    }

    cluster.set_link(false).await?;
    get(cluster, OUT_NAME, 9000).await.expect_err("the link is cut");
    cluster.set_link(true).await?;
    get(cluster, OUT_NAME, 9000).await?;
    server.kill()?;
    server.wait()?;
    Ok(())
}

async fn get(cluster: &NodesCluster, host: &str, port: u16) -> Result<String, Box<dyn std::error::Error>> {
    let port = port.to_string();
    let body = cluster.kubectl(&["exec", "client", "--", "/testpod", "get", host, &port], "").await?;
    Ok(body.trim().to_owned())
}

/// Starts a cluster in a process of its own and returns that process and the cluster's run folder.
fn owner(level: &str) -> (Child, PathBuf) {
    let name = format!("k{}-{level}", std::process::id());
    let mut child = Command::new(env!("CARGO_BIN_EXE_testcluster"))
        .args(["up", "--foreground", "--level", level, "--name", &name])
        .stdout(Stdio::piped())
        .spawn()
        .expect("testcluster starts");
    let mut kubeconfig = String::new();
    let stdout = child.stdout.take().expect("it is piped");
    BufReader::new(stdout).read_line(&mut kubeconfig).expect("it prints the kubeconfig's path");
    let run = Path::new(kubeconfig.trim()).parent().expect("it lies in the run folder").to_owned();
    assert!(!processes_naming(&run).is_empty(), "the cluster runs");
    (child, run)
}

fn send(signal: &str, mut owner: Child) -> Outcome {
    Command::new("kill").args([signal, &owner.id().to_string()]).status()?;
    owner.wait()?;
    Ok(())
}

fn skipped() -> bool {
    let skip = std::env::var(SKIP).is_ok_and(|value| value == "1");
    if skip {
        let _ = writeln!(std::io::stderr(), "left out, because {SKIP}=1: a cluster with a node");
    }
    skip
}

fn report(what: &str, began: Instant) {
    let _ = writeln!(std::io::stderr(), "{what} in {:.1} s", began.elapsed().as_secs_f32());
}

/// Waits for a condition, at most 30 s.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < end, "not within 30 s: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn assert_gone(run: &Path) {
    assert_eq!(processes_naming(run), Vec::<String>::new());
    assert!(!run.exists(), "{} is gone", run.display());
}

/// Processes whose command line names the run folder: every component's does.
fn processes_naming(run: &Path) -> Vec<String> {
    let run = run.display().to_string();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("Linux has /proc").flatten() {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(&run) {
            found.push(line);
        }
    }
    found
}

/// The ids of the containers, and the first process of each, as containerd records them.
fn containers(run: &Path) -> (BTreeSet<String>, BTreeSet<String>) {
    let tasks = run.join("containerd/state/io.containerd.runtime.v2.task/k8s.io");
    let ids = entries(&tasks.display().to_string());
    let pid =
        |id: &String| std::fs::read_to_string(tasks.join(id).join("init.pid")).expect("a container has a process");
    let processes = ids.iter().map(|id| format!("/proc/{}", pid(id))).collect();
    (ids, processes)
}

/// Ended, if perhaps not yet collected by its parent.
fn is_gone(process: &str) -> bool {
    std::fs::read_to_string(format!("{process}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

/// What is on the machine of one cluster with a node, beside its folder and processes; of other clusters on the machine
/// nothing is. All empty, except the machine's own links, before it starts and after its end.
#[derive(Debug, PartialEq, Eq)]
struct Footprint {
    mounts: BTreeSet<String>,
    namespaces: BTreeSet<String>,
    cgroups: BTreeSet<String>,
    /// The host's own: no cluster may add one, so all count.
    links: BTreeSet<String>,
}

impl Footprint {
    fn of(run: &Path, containers: &BTreeSet<String>) -> Self {
        let folder = run.file_name().expect("a run folder has a name").to_string_lossy();
        let name = folder.trim_start_matches("lapdev-testcluster-").to_owned();
        let own =
            |namespace: &String| *namespace == format!("lapdev-{name}") || *namespace == format!("lapdev-{name}-out");
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("Linux has it");
        let place = |line: &str| line.split(' ').nth(4).unwrap_or_default().to_owned();
        let hierarchies = entries("/sys/fs/cgroup");
        Self {
            mounts: mounts.lines().map(place).filter(|place| Path::new(place).starts_with(run)).collect(),
            namespaces: entries("/run/netns").into_iter().filter(own).collect(),
            cgroups: hierarchies
                .iter()
                .flat_map(|hierarchy| entries(&format!("/sys/fs/cgroup/{hierarchy}/k8s.io")))
                .filter(|cgroup| containers.contains(cgroup))
                .collect(),
            links: entries("/sys/class/net"),
        }
    }

    /// Nothing of the cluster, and these links.
    fn none(links: BTreeSet<String>) -> Self {
        Self { mounts: BTreeSet::new(), namespaces: BTreeSet::new(), cgroups: BTreeSet::new(), links }
    }
}

fn entries(folder: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
