//! The level `nodes`: the level `api` with a node and its pods, in a network namespace of its own that lets nothing in,
//! beside a second one, `out`, for everything that is not the cluster. Needs root.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::control_plane::{self, Kubectl, Placement, READY_LIMIT};
use super::credentials::{Client, Credentials};
use super::error::ClusterError;
use super::hand_over::HandOver;
use super::image::Image;
use super::namespace::Namespace;
use super::network::{NODE_ADDRESS, Network};
use super::node;
use super::process::{CommandLine, Component};
use super::run_folder::{ClusterName, RunFolder};
use super::running::{Access, Running};
use super::tools::Tools;

const SERVER_PORT: u16 = 6443;

/// A running cluster of the level `nodes`. Dropping it ends it; so does the end of the process, however it comes.
#[derive(Debug)]
pub struct NodesCluster {
    // First, so that it ends before the namespace that it leads into.
    hand_over: Option<HandOver>,
    running: Running,
    network: Network,
    access: Access,
}

impl NodesCluster {
    /// Starts one with a name of its own. The first start on a machine builds the programs, which takes minutes.
    pub async fn start() -> Result<Self, ClusterError> {
        Self::start_named(ClusterName::unique()).await
    }

    /// Starts one with a given name, whose API server this process makes reachable on loopback.
    pub async fn start_named(name: ClusterName) -> Result<Self, ClusterError> {
        let listener = listen_on_loopback()?;
        let port = listener.local_addr().map_err(loopback_failed)?.port();
        let mut cluster = Self::boot(name, port).await?;
        let to = SocketAddr::new(NODE_ADDRESS.into(), SERVER_PORT);
        let hand_over = HandOver::start(listener, cluster.namespace().clone(), to).map_err(loopback_failed)?;
        cluster.hand_over = Some(hand_over);
        Ok(cluster)
    }

    /// Starts one without the hand-over to its API server, for which `port` of loopback is meant: the caller starts that.
    pub async fn boot(name: ClusterName, port: u16) -> Result<Self, ClusterError> {
        require_root()?;
        install_packages()?;
        let tools = Tools::find("nodes")?;
        let mut running = Running::begin(RunFolder::create(name)?)?;
        let run = running.folder().clone();
        // From now on the teardown looks for namespaces and cgroups too.
        run.write("node", "")?;
        let network = Network::create(run.name()).await?;
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let credentials = Credentials::create(&run, &[loopback, NODE_ADDRESS.into(), SERVICE_ADDRESS.into()])?;
        let place = placement(&network);
        let runtime = node::start_runtime(&mut running, &network).await?;
        let kubectl = control_plane::start(&mut running, &tools, &credentials, &place).await?;
        node::start_node(&mut running, &runtime, &tools, &credentials, &kubectl).await?;
        let access = outer_access(&tools, credentials, port)?;
        Ok(Self { hand_over: None, running, network, access })
    }

    /// The admin's kubeconfig, for use from this machine's own namespace.
    pub fn kubeconfig_path(&self) -> &Path {
        self.access.kubeconfig_path()
    }

    /// The API server's address from this machine's own namespace.
    pub fn server(&self) -> &str {
        &self.access.server
    }

    /// The certificate authority that signed the API server's certificate, a PEM file.
    pub fn ca_path(&self) -> PathBuf {
        self.running.folder().join("pki/ca.crt")
    }

    /// The folder with this run's state; `log/` holds the components' logs.
    pub fn run_folder(&self) -> &Path {
        self.running.folder().path()
    }

    /// The cluster's network namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.network.cluster
    }

    /// The network namespace outside the cluster, which pods reach at [`OUT_ADDRESS`](super::OUT_ADDRESS).
    pub fn outside(&self) -> &Namespace {
        &self.network.outside
    }

    /// Cuts (`false`) or mends (`true`) the link between the cluster and the outside. While cut, packets vanish.
    pub async fn set_link(&self, up: bool) -> Result<(), ClusterError> {
        self.network.set_link(up).await
    }

    /// Runs kubectl as admin, with `input` on its standard input, and returns its standard output.
    pub async fn kubectl(&self, args: &[&str], input: &str) -> Result<String, ClusterError> {
        self.access.kubectl(args, input).await
    }

    /// A kubeconfig that acts as an existing ServiceAccount, by a token of one day.
    pub async fn service_account_kubeconfig(&self, namespace: &str, name: &str) -> Result<PathBuf, ClusterError> {
        self.access.service_account_kubeconfig(namespace, name).await
    }

    /// Builds an image and loads it into the node.
    pub async fn load_image(&self, image: &Image) -> Result<(), ClusterError> {
        node::load_image(self.running.folder(), image).await
    }

    /// Ends the cluster and waits until nothing of it is left. Blocks for a moment.
    ///
    /// # Errors
    /// [`ClusterError::Left`] says what could not be ended.
    pub fn stop(mut self) -> Result<(), ClusterError> {
        drop(self.hand_over.take());
        self.running.end()
    }

    /// Leaves the cluster up after the end of this process, with a hand-over to its API server that `testcluster`, the
    /// program at that path, runs; `testcluster down` ends both.
    pub async fn keep(mut self, testcluster: &Path, port: u16) -> Result<(), ClusterError> {
        drop(self.hand_over.take());
        let run = self.running.folder();
        let line = CommandLine::new(&[], testcluster)
            .args(["hand-over", "--name", run.name().as_str(), "--into", "cluster"])
            .arg("--listen")
            .arg(SocketAddr::from((Ipv4Addr::LOCALHOST, port)).to_string())
            .arg("--to")
            .arg(SocketAddr::from((NODE_ADDRESS, SERVER_PORT)).to_string());
        let listens = || {
            let tried = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
            std::future::ready(tried.map(drop).map_err(|error| error.to_string()))
        };
        Component::start(run, "hand-over", &line)?.ready_when(READY_LIMIT, listens).await?;
        self.running.keep()
    }

    /// Builds an image and loads it into the node of a cluster that is up, by its name.
    pub async fn load_image_into(name: ClusterName, image: &Image) -> Result<(), ClusterError> {
        node::load_image(&RunFolder::open(name)?, image).await
    }
}

/// The address of the Service `kubernetes`, first of the range.
const SERVICE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);

fn placement(network: &Network) -> Placement {
    Placement {
        within: network.cluster.words(),
        bind: Ipv4Addr::UNSPECIFIED.into(),
        advertise: NODE_ADDRESS.into(),
        port: SERVER_PORT,
        etcd_ports: [2379, 2380],
    }
}

/// Access through the hand-over on loopback.
fn outer_access(tools: &Tools, credentials: Credentials, port: u16) -> Result<Access, ClusterError> {
    let server = format!("https://127.0.0.1:{port}");
    let kubeconfig = credentials.kubeconfig(Client::Admin, &server)?;
    let kubectl = Kubectl::new(&[], tools, kubeconfig.clone());
    Ok(Access { server, kubeconfig, credentials, kubectl })
}

fn require_root() -> Result<(), ClusterError> {
    let path = PathBuf::from("/proc/self");
    match std::fs::metadata(&path) {
        Ok(own) if own.uid() == 0 => Ok(()),
        Ok(_) => Err(ClusterError::NotRoot),
        Err(source) => Err(ClusterError::File { action: "read", path, source }),
    }
}

/// Does nothing, quickly, where everything is installed.
fn install_packages() -> Result<(), ClusterError> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/debian-packages");
    let command = script.display().to_string();
    let status = Command::new(&script)
        .stdin(Stdio::null())
        .status()
        .map_err(|source| ClusterError::Start { program: command.clone(), source })?;
    if status.success() {
        Ok(())
    } else {
        Err(ClusterError::Command { command, stderr: "its messages are above".to_owned() })
    }
}

fn listen_on_loopback() -> Result<TcpListener, ClusterError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(loopback_failed)
}

fn loopback_failed(source: io::Error) -> ClusterError {
    ClusterError::File { action: "listen on", path: "127.0.0.1".into(), source }
}
