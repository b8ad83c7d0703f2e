//! The charts, as real helm makes them.

use super::{Error, until, within};
use crate::cluster::{ApiCluster, Tools};
use std::{path::Path, time::Duration};
use tokio::process::Command;

/// The release and the namespace that it is installed in.
pub const NAMESPACE: &str = "lapdev-system";
/// The release's name, and that of its ServiceAccount.
pub const RELEASE: &str = "lapdev-agent";

/// What `helm template` makes of `charts/<chart>` with these values.
pub async fn template(chart: &str, values: &[(&str, &str)]) -> Result<String, Error> {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts").join(chart);
    let mut command = Command::new(Tools::find("helm")?.path("helm"));
    command.args(["template", RELEASE]).arg(chart).args(["--namespace", NAMESPACE]);
    for (name, value) in values {
        command.args(["--set", &format!("{name}={value}")]);
    }
    let output = command.output().await?;
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout)?),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned().into()),
    }
}

/// Applies the agent's chart to a cluster without nodes, where its pod stays Pending, waits until the admission policy
/// holds, and gives a kubeconfig of its ServiceAccount: for an agent that runs as a process.
pub async fn install_agent_rules(cluster: &ApiCluster) -> Result<std::path::PathBuf, Error> {
    let rules = template(RELEASE, &[("url", "https://lapdev.example.com")]).await?;
    cluster.kubectl(&["create", "namespace", NAMESPACE], "").await?;
    cluster.kubectl(&["apply", "--server-side", "-n", NAMESPACE, "-f", "-"], &rules).await?;
    let kubeconfig = cluster.service_account_kubeconfig(NAMESPACE, RELEASE).await?;
    let as_agent = format!("--kubeconfig={}", kubeconfig.display());
    until("the admission policy refuses a foreign namespace", Duration::from_secs(60), async || {
        let tried = cluster.kubectl(&[&as_agent, "create", "namespace", "not-ours", "--dry-run=server"], "").await;
        within(tried.is_err(), "it was let through")
    })
    .await?;
    Ok(kubeconfig)
}
