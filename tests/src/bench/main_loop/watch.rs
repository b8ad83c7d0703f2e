//! What the API server says as it happens: `kubectl get --watch`, a line per change of a Deployment, with its time.

use crate::{
    cluster::{ApiCluster, Tools},
    stage::Error,
};
use std::{
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

const LIMIT: Duration = Duration::from_secs(30);

/// A running watch over every Deployment.
pub struct Watch {
    lines: Lines<BufReader<ChildStdout>>,
    _kubectl: Child,
}

impl Watch {
    /// Starts it; what is there already comes first, and is told apart by whoever waits.
    pub async fn start(cluster: &ApiCluster) -> Result<Self, Error> {
        let mut kubectl = Command::new(Tools::find("kubectl")?.path("kubectl"))
            .arg("--kubeconfig")
            .arg(cluster.kubeconfig_path())
            .args(["get", "deployments", "--all-namespaces", "--watch", "-o"])
            .arg("jsonpath={.metadata.name} {.spec.template.spec.containers[0].image}{\"\\n\"}")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = kubectl.stdout.take().ok_or("kubectl has no standard output")?;
        Ok(Self { lines: BufReader::new(stdout).lines(), _kubectl: kubectl })
    }

    /// Waits for the Deployment `name` (or one that begins so) with an image that ends in `tag`; when it was seen.
    pub async fn sees(&mut self, name: &str, tag: &str) -> Result<Instant, Error> {
        let look = async {
            while let Some(line) = self.lines.next_line().await? {
                if line.starts_with(name) && line.ends_with(tag) {
                    return Ok(Instant::now());
                }
            }
            Err::<_, Error>("kubectl's watch ended".into())
        };
        tokio::time::timeout(LIMIT, look).await.map_err(|_| format!("no {name} with {tag} within {LIMIT:?}"))?
    }
}
