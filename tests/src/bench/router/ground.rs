//! Where the bench takes place: a network namespace of its own with one address, in which backends, proxies and clients are,
//! and a real API server, which the router in there reaches through a listener that passes connections out to it.
//! The cluster's teardown ends the namespace and every process in it, however this process ends.

use super::program::Program;
use crate::{
    cluster::{ApiCluster, ClusterName, Namespace, RunFolder},
    stage::Error,
};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};
use tokio::{
    net::{TcpListener, TcpStream},
    process::Command,
    task::JoinSet,
};

/// The namespace's address. Not loopback: the API server refuses loopback in EndpointSlices.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 202, 0, 1);
/// Where the baseline answers.
pub const BASELINE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(ADDRESS), 8001);
/// Where a branch's version answers.
pub const BRANCH: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(ADDRESS), 8002);
/// The branch that requests ask for.
pub const KEY: &str = "feature-x-abc234";

/// Everything but the proxies.
pub struct Ground {
    // First, so that they end before the namespace.
    baseline: Program,
    branch: Program,
    _to_api_server: JoinSet<()>,
    inside: Namespace,
    cluster: ApiCluster,
    client: Client,
}

impl Ground {
    /// Starts it.
    pub async fn prepare() -> Result<Self, Error> {
        // Whoever was first has installed it; there is one for all.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let name = ClusterName::unique();
        let cluster = ApiCluster::start_named(name.clone()).await?;
        let run = RunFolder::open(name.clone())?;
        // From now on the teardown looks for the namespace too.
        run.write("node", "")?;
        let inside = Namespace::of_cluster(&name);
        ip(&["netns", "add", inside.name()]).await?;
        ip(&["-n", inside.name(), "link", "set", "lo", "up"]).await?;
        ip(&["-n", inside.name(), "address", "add", &format!("{ADDRESS}/32"), "dev", "lo"]).await?;
        let to_api_server = pass_out(&inside, cluster.server())?;
        let kubeconfig = Kubeconfig::read_from(cluster.kubeconfig_path())?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        let client = Client::try_from(config)?;
        let log = run.join("log");
        let backend = |name: &'static str, at: SocketAddr| {
            let mut command = inside.command(beside("load")?);
            command.args(["serve", &at.to_string(), "--name", name]);
            Program::start(name, command, &log)
        };
        let (baseline, branch) = (backend("baseline", BASELINE)?, backend(KEY, BRANCH)?);
        for at in [BASELINE, BRANCH] {
            super::program::listens(&inside, at).await?;
        }
        Ok(Self { baseline, branch, _to_api_server: to_api_server, inside, cluster, client })
    }

    /// Access to the API server.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// For processes in the namespace.
    pub fn kubeconfig(&self) -> &Path {
        self.cluster.kubeconfig_path()
    }

    /// The network namespace.
    pub fn inside(&self) -> &Namespace {
        &self.inside
    }

    /// Where processes log.
    pub fn log(&self) -> PathBuf {
        self.cluster.run_folder().join("log")
    }

    /// An empty folder for a program.
    pub fn folder(&self, name: &str) -> Result<PathBuf, Error> {
        let folder = self.cluster.run_folder().join(name);
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// Both backends.
    pub fn backends(&self) -> [&Program; 2] {
        [&self.baseline, &self.branch]
    }
}

/// One of our binaries, built beside this one.
pub fn beside(name: &str) -> Result<PathBuf, Error> {
    let path = std::env::current_exe()?.with_file_name(name);
    let missing = || format!("{} is not built: build the workspace's binaries with this profile", path.display());
    if path.is_file() { Ok(path) } else { Err(missing().into()) }
}

async fn ip(words: &[&str]) -> Result<(), Error> {
    let output = Command::new("ip").args(words).output().await?;
    let said = || format!("ip {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(()) } else { Err(said().into()) }
}

/// Listens inside on the API server's own address, which is loopback, and passes connections to it out here.
fn pass_out(inside: &Namespace, server: &str) -> Result<JoinSet<()>, Error> {
    let address: SocketAddr = server.strip_prefix("https://").ok_or("the API server has no address")?.parse()?;
    let listener = inside.listen(address)?;
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut inner, _)) = listener.accept().await {
            while connections.try_join_next().is_some() {}
            connections.spawn(async move {
                // A connection that fails is closed, and its owner sees that.
                if let Ok(mut outer) = TcpStream::connect(address).await {
                    let _ = tokio::io::copy_bidirectional(&mut inner, &mut outer).await;
                }
            });
        }
    });
    Ok(tasks)
}
