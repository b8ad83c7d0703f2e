//! What clusters of both levels share: the owner of the processes, and access to the API server.

use std::path::{Path, PathBuf};

use super::control_plane::Kubectl;
use super::credentials::Credentials;
use super::error::ClusterError;
use super::process::Component;
use super::run_folder::RunFolder;
use super::teardown::Watcher;

/// Owns a cluster's processes. Dropping it ends the cluster.
#[derive(Debug)]
pub(super) struct Running {
    run: RunFolder,
    components: Vec<Component>,
    watcher: Option<Watcher>,
}

impl Running {
    /// Makes the run folder and begins to watch; components come by [`Running::adopt`].
    pub(super) fn begin(run: RunFolder) -> Result<Self, ClusterError> {
        let watcher = Some(Watcher::start(&run)?);
        Ok(Self { run, components: Vec::new(), watcher })
    }

    pub(super) fn folder(&self) -> &RunFolder {
        &self.run
    }

    /// Starts a component and owns it.
    pub(super) fn adopt(&mut self, components: impl IntoIterator<Item = Component>) {
        self.components.extend(components);
    }

    /// Ends all of it and waits until nothing is left. A second call does nothing.
    pub(super) fn end(&mut self) -> Result<(), ClusterError> {
        let Some(mut watcher) = self.watcher.take() else { return Ok(()) };
        let ended = watcher.end();
        if ended.is_ok() {
            self.components.iter_mut().for_each(Component::collect);
        }
        ended
    }

    /// Leaves all of it up after the end of this process.
    pub(super) fn keep(mut self) -> Result<(), ClusterError> {
        self.watcher.take().map_or(Ok(()), Watcher::keep)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            // A drop cannot return it, and a silent leak would be worse than a line on stderr.
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "{error}");
        }
    }
}

/// Access to a cluster's API server from this machine's own namespaces.
#[derive(Debug, Clone)]
pub(super) struct Access {
    pub server: String,
    pub kubeconfig: PathBuf,
    pub credentials: Credentials,
    pub kubectl: Kubectl,
}

impl Access {
    pub(super) fn kubeconfig_path(&self) -> &Path {
        &self.kubeconfig
    }

    pub(super) async fn kubectl(&self, args: &[&str], input: &str) -> Result<String, ClusterError> {
        self.kubectl.run(args, input.as_bytes()).await
    }

    /// A kubeconfig that acts as an existing ServiceAccount, by a token of one day.
    pub(super) async fn service_account_kubeconfig(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<PathBuf, ClusterError> {
        let namespace_flag = format!("--namespace={namespace}");
        let token = self.kubectl(&["create", "token", name, &namespace_flag, "--duration=24h"], "").await?;
        self.credentials.kubeconfig_with(&format!("account-{namespace}-{name}.kubeconfig"), &self.server, token.trim())
    }
}
