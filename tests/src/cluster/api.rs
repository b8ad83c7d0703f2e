//! The level `api`: a real API server with its controllers and scheduler on loopback, without a node. Pods stay Pending.
//! Needs no root.

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use tokio::sync::OnceCell;

use super::control_plane::{self, Placement};
use super::credentials::Credentials;
use super::error::ClusterError;
use super::run_folder::{ClusterName, RunFolder};
use super::running::{Access, Running};
use super::tools::Tools;

/// Recorded as the API server's address and dialled by nobody: the API server refuses to record loopback.
const DOCUMENTATION_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// Between choosing free ports and listening on them another process may take one.
const ATTEMPTS: usize = 3;

/// A running cluster of the level `api`. Dropping it ends it; so does the end of the process, however it comes.
#[derive(Debug)]
pub struct ApiCluster {
    running: Running,
    access: Access,
}

impl ApiCluster {
    /// Starts one with a name of its own. The first start on a machine builds the programs, which takes minutes.
    pub async fn start() -> Result<Self, ClusterError> {
        Self::start_named(ClusterName::unique()).await
    }

    /// The one cluster of this test binary, started by the first test that asks. Use namespaces of your own in it.
    pub async fn shared() -> Result<&'static Self, ClusterError> {
        static SHARED: OnceCell<ApiCluster> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// Starts one with a given name.
    pub async fn start_named(name: ClusterName) -> Result<Self, ClusterError> {
        let tools = Tools::find("api")?;
        for _ in 1..ATTEMPTS {
            match Self::attempt(name.clone(), &tools).await {
                Err(error) if error.to_string().contains("address already in use") => {}
                result => return result,
            }
        }
        Self::attempt(name, &tools).await
    }

    async fn attempt(name: ClusterName, tools: &Tools) -> Result<Self, ClusterError> {
        let mut running = Running::begin(RunFolder::create(name)?)?;
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let [port, client, peer] = free_ports()?;
        let place = Placement {
            within: Vec::new(),
            bind: loopback,
            advertise: DOCUMENTATION_ADDRESS.into(),
            port,
            etcd_ports: [client, peer],
        };
        let run = running.folder().clone();
        let credentials = Credentials::create(&run, &[loopback])?;
        let kubectl = control_plane::start(&mut running, tools, &credentials, &place).await?;
        let kubeconfig = run.join("admin.kubeconfig");
        let access = Access { server: place.server(), kubeconfig, credentials, kubectl };
        Ok(Self { running, access })
    }

    /// The admin's kubeconfig.
    pub fn kubeconfig_path(&self) -> &Path {
        self.access.kubeconfig_path()
    }

    /// The API server's address.
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

    /// Runs kubectl as admin, with `input` on its standard input, and returns its standard output.
    pub async fn kubectl(&self, args: &[&str], input: &str) -> Result<String, ClusterError> {
        self.access.kubectl(args, input).await
    }

    /// A kubeconfig that acts as an existing ServiceAccount, by a token of one day.
    pub async fn service_account_kubeconfig(&self, namespace: &str, name: &str) -> Result<PathBuf, ClusterError> {
        self.access.service_account_kubeconfig(namespace, name).await
    }

    /// Ends the cluster and waits until nothing of it is left. Blocks for a moment.
    ///
    /// # Errors
    /// [`ClusterError::Left`] says what could not be ended.
    pub fn stop(mut self) -> Result<(), ClusterError> {
        self.running.end()
    }

    /// Leaves the cluster up after the end of this process; `testcluster down` ends it.
    pub fn keep(self) -> Result<(), ClusterError> {
        self.running.keep()
    }
}

/// Ports that are free on loopback now, all different.
fn free_ports<const N: usize>() -> Result<[u16; N], ClusterError> {
    let fail = |source| ClusterError::File { action: "listen on", path: "127.0.0.1:0".into(), source };
    let held =
        (0..N).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<Vec<_>, _>>().map_err(fail)?;
    let mut ports = [0; N];
    for (port, listener) in ports.iter_mut().zip(&held) {
        *port = listener.local_addr().map_err(fail)?.port();
    }
    Ok(ports)
}
