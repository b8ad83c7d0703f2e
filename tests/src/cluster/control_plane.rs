//! etcd, kube-apiserver, kube-controller-manager and kube-scheduler: their command lines, and when each counts as ready.
//! Does not know which level it is part of; a [`Placement`] says where it listens.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::credentials::{Client, Credentials};
use super::error::ClusterError;
use super::process::{self, CommandLine, Component};
use super::run_folder::RunFolder;
use super::running::Running;
use super::tools::Tools;

/// How long a component may take to become ready, on a busy machine too.
pub(super) const READY_LIMIT: Duration = Duration::from_secs(90);

/// Where a control plane runs and listens.
#[derive(Debug, Clone)]
pub(super) struct Placement {
    /// The words before each command line that put it into its namespaces.
    pub within: Vec<OsString>,
    /// The API server's listening address.
    pub bind: IpAddr,
    /// The address at which the cluster's own pods find it. The API server refuses loopback here.
    pub advertise: IpAddr,
    /// The API server's port.
    pub port: u16,
    /// etcd's ports on loopback, for clients and for peers.
    pub etcd_ports: [u16; 2],
}

impl Placement {
    /// The API server's address from where this control plane runs.
    pub(super) fn server(&self) -> String {
        let host = if self.bind.is_unspecified() { self.advertise } else { self.bind };
        format!("https://{host}:{}", self.port)
    }
}

/// kubectl with one kubeconfig.
#[derive(Debug, Clone)]
pub(super) struct Kubectl {
    within: Vec<OsString>,
    program: PathBuf,
    kubeconfig: PathBuf,
}

impl Kubectl {
    pub(super) fn new(within: &[OsString], tools: &Tools, kubeconfig: PathBuf) -> Self {
        Self { within: within.to_vec(), program: tools.path("kubectl"), kubeconfig }
    }

    /// Runs it and returns its standard output.
    pub(super) async fn run(&self, args: &[&str], input: &[u8]) -> Result<String, ClusterError> {
        let line = CommandLine::new(&self.within, &self.program).file("--kubeconfig", &self.kubeconfig).args(args);
        Ok(String::from_utf8_lossy(&process::run(&line, input).await?).into_owned())
    }

    pub(super) async fn probe(&self, args: &[&str]) -> Result<(), String> {
        self.run(args, b"").await.map(drop).map_err(|error| error.to_string())
    }
}

/// Starts all four, waits until the API server serves and the controllers work, and returns kubectl for the admin, run
/// where the control plane runs.
pub(super) async fn start(
    running: &mut Running,
    tools: &Tools,
    credentials: &Credentials,
    place: &Placement,
) -> Result<Kubectl, ClusterError> {
    let run = running.folder().clone();
    let server = place.server();
    let kubectl = Kubectl::new(&place.within, tools, credentials.kubeconfig(Client::Admin, &server)?);
    let mut etcd = Component::start(&run, "etcd", &etcd_line(&run, tools, place))?;
    // The API server itself waits for etcd; that etcd serves is waited for so that its own failure is the one reported.
    let mut api = Component::start(&run, "kube-apiserver", &server_line(&run, tools, place))?;
    etcd.ready_when(READY_LIMIT, || std::future::ready(etcd_serves(&run))).await?;
    api.ready_when(READY_LIMIT, || kubectl.probe(&["get", "--raw", "/readyz"])).await?;
    let scheduler = credentials.kubeconfig(Client::Scheduler, &server)?;
    let scheduler = Component::start(&run, "kube-scheduler", &scheduler_line(tools, place, &scheduler))?;
    let manager = credentials.kubeconfig(Client::ControllerManager, &server)?;
    let mut manager = Component::start(&run, "kube-controller-manager", &manager_line(&run, tools, place, &manager))?;
    // The last two things that a pod needs from the controllers.
    for made in ["serviceaccount/default", "configmap/kube-root-ca.crt"] {
        let args = ["get", "--namespace=default", made];
        let probe = || kubectl.probe(&args);
        manager.ready_when(READY_LIMIT, probe).await?;
    }
    running.adopt([etcd, api, scheduler, manager]);
    Ok(kubectl)
}

fn etcd_serves(run: &RunFolder) -> Result<(), String> {
    let log = run.read("log/etcd.log").map_err(|error| error.to_string())?;
    if log.contains("ready to serve client requests") { Ok(()) } else { Err("it does not serve yet".to_owned()) }
}

fn etcd_line(run: &RunFolder, tools: &Tools, place: &Placement) -> CommandLine {
    let [client, peer] = place.etcd_ports.map(|port| format!("http://127.0.0.1:{port}"));
    CommandLine::new(&place.within, tools.path("etcd"))
        .file("--data-dir", &run.join("etcd"))
        // The data need not outlive the machine.
        .args(["--name=test", "--unsafe-no-fsync"])
        .arg(format!("--listen-client-urls={client}"))
        .arg(format!("--advertise-client-urls={client}"))
        .arg(format!("--listen-peer-urls={peer}"))
        .arg(format!("--initial-advertise-peer-urls={peer}"))
        .arg(format!("--initial-cluster=test={peer}"))
}

fn server_line(run: &RunFolder, tools: &Tools, place: &Placement) -> CommandLine {
    CommandLine::new(&place.within, tools.path("kube-apiserver"))
        .arg(format!("--etcd-servers=http://127.0.0.1:{}", place.etcd_ports[0]))
        .arg(format!("--bind-address={}", place.bind))
        .arg(format!("--advertise-address={}", place.advertise))
        .arg(format!("--secure-port={}", place.port))
        .file("--cert-dir", &run.join("pki"))
        .file("--tls-cert-file", &run.join("pki/apiserver.crt"))
        .file("--tls-private-key-file", &run.join("pki/apiserver.key"))
        .file("--token-auth-file", &run.join("tokens.csv"))
        .file("--service-account-key-file", &run.join("pki/service-account.pub"))
        .file("--service-account-signing-key-file", &run.join("pki/service-account.key"))
        .file("--kubelet-client-certificate", &run.join("pki/kubelet-client.crt"))
        .file("--kubelet-client-key", &run.join("pki/kubelet-client.key"))
        .args([
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--authorization-mode=Node,RBAC",
            "--kubelet-preferred-address-types=InternalIP",
            "--allow-privileged",
            "--profiling=false",
        ])
}

fn manager_line(run: &RunFolder, tools: &Tools, place: &Placement, kubeconfig: &Path) -> CommandLine {
    CommandLine::new(&place.within, tools.path("kube-controller-manager"))
        .file("--kubeconfig", kubeconfig)
        .file("--root-ca-file", &run.join("pki/ca.crt"))
        .file("--service-account-private-key-file", &run.join("pki/service-account.key"))
        // Alone, so it need not wait for a lease; it serves nothing.
        .args(["--leader-elect=false", "--secure-port=0", "--kube-api-qps=200", "--kube-api-burst=400"])
}

fn scheduler_line(tools: &Tools, place: &Placement, kubeconfig: &Path) -> CommandLine {
    CommandLine::new(&place.within, tools.path("kube-scheduler"))
        .file("--kubeconfig", kubeconfig)
        .args(["--leader-elect=false", "--secure-port=0"])
}
