//! The cluster's one node: a mount namespace of its own, containerd, kubelet, kube-proxy and CoreDNS. All of the node's
//! mounts, and what these programs write to fixed places such as /var/lib/kubelet, are in that mount namespace, so they
//! vanish with its last process and two nodes on one machine do not meet.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::control_plane::{Kubectl, READY_LIMIT};
use super::credentials::{Client, Credentials};
use super::error::ClusterError;
use super::image::Image;
use super::network::{NODE_ADDRESS, Network, OUT_ADDRESS, OUT_NAME, POD_RANGE};
use super::process::{self, CommandLine, Component};
use super::run_folder::RunFolder;
use super::running::Running;
use super::tools::Tools;

/// The image that holds each pod's namespaces.
const PAUSE_IMAGE: &str = "localhost/lapdev/pause:1";
/// Where Debian puts the CNI plugins.
const CNI_PROGRAMS: &str = "/usr/lib/cni";

/// Lets CoreDNS see what it answers for; Kubernetes has no role of its own for it.
const DNS_ROLE: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: "system:coredns"}
rules:
  - {apiGroups: [""], resources: [services, pods, namespaces], verbs: [list, watch]}
  - {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: "system:coredns"}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:coredns"}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: "system:coredns"}]
"#;

/// Makes the node's mount namespace: fixed places get a file system of their own, and the kernel settings that a kubelet
/// changes at its start are replaced by copies, so that this machine keeps its own. The process holds the namespace.
const HOLDER: &str = r#"
set -e
mkdir -p /run/containerd
for place in /var/lib /var/log /run/containerd; do mount -t tmpfs tmpfs "$place"; done
number=0
for setting in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops \
    kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
    number=$((number + 1))
    cat "/proc/sys/$setting" >"/var/lib/setting-$number"
    mount --bind "/var/lib/setting-$number" "/proc/sys/$setting"
done
touch "$1"
exec sleep infinity
"#;

/// The node's container runtime, running.
#[derive(Debug)]
pub(super) struct Runtime {
    /// The words that run a command on the node.
    within: Vec<OsString>,
}

/// Makes the mount namespace and starts containerd in it, with the image that pods need at least.
pub(super) async fn start_runtime(running: &mut Running, network: &Network) -> Result<Runtime, ClusterError> {
    let run = running.folder().clone();
    let holder = start_holder(&run, network).await?;
    let mut within = network.cluster.words();
    within.insert(1, format!("--mount=/proc/{}/ns/mnt", holder.pid()).into());
    running.adopt([holder]);

    let config = run.write("containerd.toml", containerd_config(&run))?;
    run.write("cni/10-pods.conflist", cni_config())?;
    let line = CommandLine::new(&within, "containerd").file("--config", &config);
    let mut containerd = Component::start(&run, "containerd", &line)?;
    let version = ctr(&run).arg("version");
    containerd.ready_when(READY_LIMIT, || succeeds(&version)).await?;
    running.adopt([containerd]);
    load_pause(&run).await?;
    Ok(Runtime { within })
}

/// Starts kubelet, kube-proxy and CoreDNS, and waits until the node is Ready and names resolve.
pub(super) async fn start_node(
    running: &mut Running,
    runtime: &Runtime,
    tools: &Tools,
    credentials: &Credentials,
    kubectl: &Kubectl,
) -> Result<(), ClusterError> {
    let run = running.folder().clone();
    let node = run.name().to_string();
    let server = format!("https://{NODE_ADDRESS}:6443");
    kubectl.run(&["apply", "--filename=-"], DNS_ROLE.as_bytes()).await?;

    let kubeconfig = credentials.kubeconfig(Client::Kubelet, &server)?;
    let line = kubelet_line(&run, &runtime.within, tools, &kubeconfig)?;
    let mut kubelet = Component::start(&run, "kubelet", &line)?;
    let kubeconfig = credentials.kubeconfig(Client::Proxy, &server)?;
    let line = proxy_line(&run, &runtime.within, tools, &kubeconfig)?;
    let mut proxy = Component::start(&run, "kube-proxy", &line)?;
    let kubeconfig = credentials.kubeconfig(Client::Dns, &server)?;
    let line = CommandLine::new(&runtime.within, tools.path("coredns"))
        .arg("-conf")
        .arg(run.write("Corefile", corefile(&kubeconfig))?);
    let mut dns = Component::start(&run, "coredns", &line)?;

    let wait = format!("node/{node}");
    let wait = ["wait", "--for=condition=Ready", wait.as_str(), "--timeout=1s"];
    kubelet.ready_when(READY_LIMIT, || kubectl.probe(&wait)).await?;
    proxy.ready_when(READY_LIMIT, || answers(runtime, "http://127.0.0.1:10256/healthz")).await?;
    dns.ready_when(READY_LIMIT, || answers(runtime, "http://127.0.0.1:8181/ready")).await?;
    running.adopt([kubelet, proxy, dns]);
    Ok(())
}

/// Loads an image into the node's containerd.
pub(super) async fn load_image(run: &RunFolder, image: &Image) -> Result<(), ClusterError> {
    let scratch = tempfile::tempdir_in(run.path()).map_err(|source| ClusterError::File {
        action: "make a folder in",
        path: run.path().to_owned(),
        source,
    })?;
    let archive = image.build(scratch.path()).await?;
    let line = ctr(run).args(["--namespace", "k8s.io", "images", "import"]).arg(archive);
    process::run(&line, b"").await.map(drop)
}

async fn start_holder(run: &RunFolder, network: &Network) -> Result<Component, ClusterError> {
    let mark = run.join("node-mounted");
    let line = CommandLine::new(&network.cluster.words(), "unshare")
        .args(["--mount", "--propagation=slave", "sh", "-c", HOLDER, "sh"])
        .arg(&mark);
    let mut holder = Component::start(run, "node", &line)?;
    let mounted = || if mark.exists() { Ok(()) } else { Err("its file systems are not mounted".to_owned()) };
    holder.ready_when(READY_LIMIT, || std::future::ready(mounted())).await?;
    // The teardown finds the node's processes by this.
    let link = PathBuf::from(format!("/proc/{}/ns/mnt", holder.pid()));
    let identity = fs::read_link(&link).map_err(|source| ClusterError::File { action: "read", path: link, source })?;
    run.write("node", format!("{}\n", identity.display()))?;
    Ok(holder)
}

/// containerd's client; its socket is a file, so it works from any network namespace.
fn ctr(run: &RunFolder) -> CommandLine {
    CommandLine::new(&[], "ctr").arg("--address").arg(run.join("containerd.sock"))
}

async fn load_pause(run: &RunFolder) -> Result<(), ClusterError> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("images/pause.c");
    let program = run.join("pause");
    let line = CommandLine::new(&[], "cc").args(["-static", "-Os", "-s", "-o"]).arg(&program).arg(source);
    process::run(&line, b"").await?;
    load_image(run, &Image::of_program(PAUSE_IMAGE, &program)?).await
}

/// What a component serves over HTTP on the node's loopback says that it is ready.
async fn answers(runtime: &Runtime, url: &str) -> Result<(), String> {
    let args = ["--fail", "--silent", "--show-error", "--max-time", "2", url];
    succeeds(&CommandLine::new(&runtime.within, "curl").args(args)).await
}

async fn succeeds(line: &CommandLine) -> Result<(), String> {
    process::run(line, b"").await.map(drop).map_err(|error| error.to_string())
}

fn containerd_config(run: &RunFolder) -> String {
    let at = |relative: &str| run.join(relative).display().to_string();
    let (root, state, socket, cni) = (at("containerd/root"), at("containerd/state"), at("containerd.sock"), at("cni"));
    // Without CAP_SYS_RESOURCE a container's OOM score must be restricted, else runc fails without saying why.
    format!(
        r#"version = 2
root = "{root}"
state = "{state}"
disabled_plugins = [
  "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]
[grpc]
address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE_IMAGE}"
restrict_oom_score_adj = true
disable_apparmor = true
netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{CNI_PROGRAMS}"
conf_dir = "{cni}"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
"#
    )
}

/// Each pod has a point-to-point link to the node. With a bridge, answers between two pods of the node would pass by the
/// node's address translation unless the kernel filters bridges, which not every machine's does.
fn cni_config() -> String {
    serde_json::json!({
        "cniVersion": "0.4.0", "name": "pods",
        "plugins": [{
            "type": "ptp",
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": POD_RANGE}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }],
    })
    .to_string()
}

fn kubelet_line(
    run: &RunFolder,
    within: &[OsString],
    tools: &Tools,
    kubeconfig: &Path,
) -> Result<CommandLine, ClusterError> {
    // Pods see the cluster's names alone, not this machine's resolver.
    let resolver = run.write("resolv.conf", "")?;
    let config = kubelet_config(run, &resolver);
    let config = run.write("kubelet.json", config.to_string())?;
    Ok(CommandLine::new(within, tools.path("kubelet"))
        .file("--config", &config)
        .file("--kubeconfig", kubeconfig)
        .file("--root-dir", &run.join("kubelet"))
        .file("--cert-dir", &run.join("kubelet/pki"))
        .arg(format!("--hostname-override={}", run.name()))
        .arg(format!("--node-ip={NODE_ADDRESS}")))
}

fn kubelet_config(run: &RunFolder, resolver: &Path) -> serde_json::Value {
    serde_json::json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "address": NODE_ADDRESS,
        // The API server shows a certificate of the cluster's authority; nobody else may ask.
        "authentication": {
            "anonymous": {"enabled": false}, "webhook": {"enabled": false},
            "x509": {"clientCAFile": run.join("pki/ca.crt")},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "containerRuntimeEndpoint": format!("unix://{}", run.join("containerd.sock").display()),
        "clusterDNS": [NODE_ADDRESS], "clusterDomain": "cluster.local", "resolvConf": resolver,
        // As much as a machine without systemd and with old cgroups allows.
        "cgroupDriver": "cgroupfs", "cgroupsPerQOS": false, "enforceNodeAllocatable": [],
        "failCgroupV1": false, "failSwapOn": false, "localStorageCapacityIsolation": false,
        "makeIPTablesUtilChains": false,
        // The machine's disk is not the cluster's to clean.
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "volumePluginDir": run.join("kubelet/volume-plugins"),
        "kubeAPIQPS": 100, "kubeAPIBurst": 200,
    })
}

fn proxy_line(
    run: &RunFolder,
    within: &[OsString],
    tools: &Tools,
    kubeconfig: &Path,
) -> Result<CommandLine, ClusterError> {
    let config = serde_json::json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": kubeconfig},
        "hostnameOverride": run.name().as_str(),
        "bindAddress": NODE_ADDRESS, "healthzBindAddress": "127.0.0.1:10256",
        "clusterCIDR": POD_RANGE,
        // A test waits for a Service to follow its pods; the default is a second.
        "mode": "nftables", "nftables": {"minSyncPeriod": "100ms", "syncPeriod": "30s"},
        // Zero leaves the machine's connection tracking as it is.
        "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    });
    let config = run.write("kube-proxy.json", config.to_string())?;
    Ok(CommandLine::new(within, tools.path("kube-proxy")).file("--config", &config))
}

/// Names of the cluster, then the outside's one name; any other does not exist.
fn corefile(kubeconfig: &Path) -> String {
    format!(
        ".:53 {{
    bind {NODE_ADDRESS}
    ready 127.0.0.1:8181
    errors
    hosts {{
        {OUT_ADDRESS} {OUT_NAME}
        fallthrough
    }}
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        kubeconfig {}
        pods insecure
    }}
    template ANY ANY . {{
        rcode NXDOMAIN
    }}
}}
",
        kubeconfig.display()
    )
}
