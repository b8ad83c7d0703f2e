//! Everybody at once, on a real API server without nodes: what whole-system tests and the bench play on.

use super::{AgentProcess, ControlPlane, Error, Place, Program, Repository, Setup, Wire, chart, forge, until, within};
use crate::{
    cluster::ApiCluster,
    github::{Double, Options},
};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// How a theatre differs from the usual one.
#[derive(Debug, Clone)]
pub struct Playbill {
    /// Between two looks at everything.
    pub poll: Duration,
    /// The files of the config repository.
    pub config: PathBuf,
    /// The files of the application repository.
    pub app: PathBuf,
    /// Further lines of lapdev.toml.
    pub more: String,
}

impl Default for Playbill {
    fn default() -> Self {
        let shop = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/shop");
        Self { poll: Duration::from_secs(300), config: shop.join("config"), app: shop.join("app"), more: String::new() }
    }
}

/// Everybody. Fields end in this order.
pub struct Theatre {
    /// The agent of cluster `dev`.
    pub agent: AgentProcess,
    /// What lies between the agent and the control plane.
    pub wire: Wire,
    /// The control plane.
    pub plane: ControlPlane,
    /// The forge.
    pub github: Double,
    /// `acme/environments`.
    pub config: Repository,
    /// `acme/shop`.
    pub app: Repository,
    /// The cluster.
    pub cluster: ApiCluster,
    folder: tempfile::TempDir,
}

impl Theatre {
    /// Brings everybody up: the control plane is ready and the agent connected.
    pub async fn open(playbill: &Playbill) -> Result<Self, Error> {
        Self::open_after(playbill, async |_| Ok(())).await
    }

    /// The same; `prepare` furnishes the cluster before the agent enters it.
    pub async fn open_after(
        playbill: &Playbill,
        prepare: impl AsyncFnOnce(&ApiCluster) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let folder = tempfile::TempDir::with_prefix("lapdev-stage-")?;
        let at = |name: &str| folder.path().join(name);
        let config = Repository::create(&at("environments.git"), &playbill.config)?;
        let app = Repository::create(&at("shop.git"), &playbill.app)?;
        let github = Double::start(Options::new(&at("github"))).await?;
        forge::furnish(&github, &config, &app)?;
        let plane = ControlPlane::start(Setup {
            place: Place::host()?,
            folder: at("control-plane"),
            github: github.url().to_owned(),
            poll: playbill.poll,
            repositories: vec![
                (forge::CONFIG.to_owned(), fetched_from(folder.path(), forge::CONFIG, &config)?),
                (forge::APP.to_owned(), fetched_from(folder.path(), forge::APP, &app)?),
            ],
            more: playbill.more.clone(),
        });
        let cluster = async {
            let cluster = ApiCluster::start().await?;
            let kubeconfig = chart::install_agent_rules(&cluster).await?;
            prepare(&cluster).await?;
            Ok((cluster, kubeconfig))
        };
        let (plane, (cluster, kubeconfig)) = tokio::try_join!(plane, cluster)?;
        forge::aim(&github, &plane, &plane.url())?;
        let wire = Wire::to(plane.listen()).await?;
        let url = format!("https://{}", wire.address());
        let agent = AgentProcess::start(&plane, &url, "dev", &kubeconfig, &at("agent")).await?;
        let theatre = Self { agent, wire, plane, github, config, app, cluster, folder };
        theatre.connected(true).await?;
        Ok(theatre)
    }

    /// Where scratch files may go.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The symbolic link by which the control plane fetches a repository; what is done to it is nothing to the forge.
    #[must_use]
    pub fn fetched_from(&self, repository: &str) -> PathBuf {
        link(self.folder(), repository)
    }

    /// Waits until the agent is, or is not, connected.
    pub async fn connected(&self, wanted: bool) -> Result<(), Error> {
        until("the agent's connection", Duration::from_secs(90), async || {
            let clusters: Value = serde_json::from_str(&self.plane.say(&["get", "clusters", "-o", "json"]).await?)?;
            within(clusters[0]["connected"] == wanted, clusters.to_string())
        })
        .await
    }

    /// What the programs printed last, for the message of a failed test.
    #[must_use]
    pub fn logs(&self) -> String {
        format!("── lapdev serve\n{}\n── {:?}\n{}", self.plane.log_tail(), Program::Agent, self.agent.log_tail())
    }
}

fn link(folder: &Path, repository: &str) -> PathBuf {
    folder.join("fetched").join(repository)
}

fn fetched_from(folder: &Path, name: &str, repository: &Repository) -> Result<PathBuf, Error> {
    let link = link(folder, name);
    std::fs::create_dir_all(link.parent().unwrap_or(folder))?;
    std::os::unix::fs::symlink(repository.path(), &link)?;
    Ok(link)
}
