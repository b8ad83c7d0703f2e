//! The agent as a process beside a cluster without nodes, under the ServiceAccount and the rules of its chart.

use super::{
    Error,
    control_plane::ControlPlane,
    programs::{Program, Running},
};
use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

/// One agent.
pub struct AgentProcess {
    url: String,
    ca_file: PathBuf,
    kubeconfig: PathBuf,
    folder: PathBuf,
    process: Running,
}

impl AgentProcess {
    /// Starts it with a new token of `cluster` and the identity in `kubeconfig`. `url` is the control plane's, or that of
    /// something in between that a test can cut.
    pub async fn start(
        plane: &ControlPlane,
        url: &str,
        cluster: &str,
        kubeconfig: &Path,
        folder: &Path,
    ) -> Result<Self, Error> {
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join("token"), plane.token(cluster).await?)?;
        let (url, ca_file) = (url.to_owned(), plane.ca_file());
        let process = launch(&url, &ca_file, kubeconfig, folder)?;
        Ok(Self { url, ca_file, kubeconfig: kubeconfig.to_owned(), folder: folder.to_owned(), process })
    }

    /// Kills it as the kernel would, mid-whatever.
    pub async fn kill(&mut self) -> Result<(), Error> {
        self.process.kill().await
    }

    /// Starts it again with the same token and identity.
    pub fn restart(&mut self) -> Result<(), Error> {
        self.process = launch(&self.url, &self.ca_file, &self.kubeconfig, &self.folder)?;
        Ok(())
    }

    /// What it printed last.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.process.log_tail()
    }
}

fn launch(url: &str, ca_file: &Path, kubeconfig: &Path, folder: &Path) -> Result<Running, Error> {
    let token = folder.join("token");
    let environment = [
        ("LAPDEV_URL", OsStr::new(url)),
        ("LAPDEV_TOKEN_FILE", token.as_os_str()),
        ("LAPDEV_CA_FILE", ca_file.as_os_str()),
        ("KUBECONFIG", kubeconfig.as_os_str()),
        ("LAPDEV_NAMESPACE", OsStr::new(super::chart::NAMESPACE)),
        ("LAPDEV_IDENTITY", OsStr::new("a-process")),
        ("LAPDEV_REQUIRE_POLICY", OsStr::new("true")),
        ("RUST_LOG", OsStr::new("info")),
    ];
    Running::start(&Program::Agent.path()?, &[], &[], &environment, &folder.join("agent.log"))
}
