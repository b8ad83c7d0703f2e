//! Everybody on the demo's stage: the cluster, the forge, the repositories, the control plane, the agent in its pod.

use super::{shop, steps::Steps};
use crate::{
    cluster::{HandOver, Image, NodesCluster, OUT_ADDRESS, OUT_NAME},
    github::{Double, Options},
    stage::{ControlPlane, Error, Place, Program, Repository, Setup, chart, forge, until, within},
};
use serde_json::Value;
use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::process::Command;

const PLANE_PORT: u16 = 8443;
const GITHUB_PORT: u16 = 8080;
const AGENT_IMAGE: &str = "localhost/lapdev/lapdev-kube-manager:demo";
/// How long anything may take; what hangs is reported with the last thing seen.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Everybody. Fields end in this order.
pub struct Cast {
    /// The command's and the browser's way to the control plane.
    _hand_over: HandOver,
    /// The control plane.
    pub plane: ControlPlane,
    /// The forge.
    pub github: Double,
    /// The config repository, `acme/environments`.
    pub config: Repository,
    /// The application repository, `acme/shop`.
    pub app: Repository,
    /// The cluster, with what else runs in its two namespaces.
    pub cluster: NodesCluster,
    folder: tempfile::TempDir,
}

impl Cast {
    /// Brings everybody up.
    pub async fn enter(steps: &Steps) -> Result<Self, Error> {
        let folder = tempfile::TempDir::with_prefix("lapdev-demo-")?;
        let cluster = steps
            .step("start a Kubernetes with a node, in a network namespace that lets nothing in", async {
                Ok(NodesCluster::start().await?)
            })
            .await?;
        let (config, app) = steps
            .step(
                "make the config repository acme/environments and the application repository acme/shop",
                repositories(folder.path()),
            )
            .await?;
        let github = steps
            .step("start the GitHub double outside of the cluster", github(&cluster, folder.path(), &config, &app))
            .await?;
        let (plane, hand_over) = steps
            .step(
                "start the control plane outside of the cluster: lapdev serve",
                plane(&cluster, folder.path(), &github),
            )
            .await?;
        // The double's sockets towards others are this process's, so its webhooks take the browser's way.
        forge::aim(&github, &plane, &plane.external_url())?;
        let cast = Self { _hand_over: hand_over, plane, github, config, app, cluster, folder };
        steps.step("build the shop's five images and load them into the node", cast.images()).await?;
        Ok(cast)
    }

    /// Builds the image of one service from a branch, as the team's CI does after a push.
    pub async fn image(&self, branch: &str, service: &str, tag: &str) -> Result<(), Error> {
        shop::build_image(&self.cluster, &self.app, branch, service, tag, self.folder.path()).await
    }

    /// Waits until an environment is Ready at or after a generation, with what it says meanwhile.
    pub async fn ready(&self, name: &str, head: Option<&str>) -> Result<Value, Error> {
        until(&format!("environment {name} is Ready"), LIMIT, async || {
            let view = self.plane.environment(name).await?;
            let observed = view["observedGeneration"] == view["generation"] && view["phase"] == "Ready";
            let at_head = head.is_none_or(|head| view.pointer("/branch/head").and_then(Value::as_str) == Some(head));
            within(observed && at_head, view.to_string())?;
            Ok(view)
        })
        .await
    }

    /// Asks for a link as a person does: with cookies, following the redirect, trusting the demo's authority.
    pub async fn open(&self, link: &str) -> Result<Value, Error> {
        let jar = self.folder.path().join("cookies");
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--fail-with-body", "--location", "--max-time", "20"])
            .arg("--cacert")
            .arg(self.plane.ca_file())
            .arg("--cookie-jar")
            .arg(&jar)
            .arg("--cookie")
            .arg(&jar)
            .arg(link)
            .output()
            .await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            return Err(format!("curl {link}: {text}{}", String::from_utf8_lossy(&output.stderr)).into());
        }
        Ok(serde_json::from_str(&text).map_err(|_| format!("curl {link}: not the shop's answer: {text}"))?)
    }

    /// Ends everything in order.
    pub async fn leave(mut self) -> Result<(), Error> {
        self.plane.terminate().await?;
        Ok(self.cluster.stop()?)
    }

    /// What a person would look at first when a step failed.
    pub async fn logs(&self) -> String {
        let look = async |arguments: &[&str]| match self.cluster.kubectl(arguments, "").await {
            Ok(text) => text,
            Err(error) => error.to_string(),
        };
        let pods = look(&["get", "pods", "--all-namespaces"]).await;
        let agent = look(&["logs", "-n", chart::NAMESPACE, "deployment/lapdev-agent", "--tail=30"]).await;
        format!("── pods\n{pods}\n── the agent\n{agent}\n── lapdev serve\n{}", self.plane.log_tail())
    }

    async fn images(&self) -> Result<(), Error> {
        for service in shop::SERVICES {
            self.image("main", service, "main").await?;
        }
        let agent = Image::of_program(AGENT_IMAGE, &Program::Agent.path()?)?;
        Ok(self.cluster.load_image(&agent).await?)
    }

    /// Installs the agent and waits until it is connected.
    pub async fn agent(&self) -> Result<(), Error> {
        let token = self.plane.token("dev").await?;
        let kubectl = |arguments: Vec<String>, input: String| async move {
            let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
            self.cluster.kubectl(&arguments, &input).await
        };
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        kubectl(words("create namespace lapdev-system"), String::new()).await?;
        let mut secret = words("create secret generic lapdev-agent -n lapdev-system");
        secret.push(format!("--from-literal=token={token}"));
        secret.push(format!("--from-file=ca.crt={}", self.plane.ca_file().display()));
        kubectl(secret, String::new()).await?;
        kubectl(words("apply --server-side -n lapdev-system -f -"), agent_chart().await?).await?;
        until("the agent is connected", LIMIT, async || {
            let clusters: Value = serde_json::from_str(&self.plane.say(&["get", "clusters", "-o", "json"]).await?)?;
            within(clusters[0]["connected"] == true, clusters.to_string())
        })
        .await
    }
}

async fn repositories(folder: &Path) -> Result<(Repository, Repository), Error> {
    let examples = examples();
    let config = Repository::create(&folder.join("environments.git"), &examples.join("config"))?;
    let app = Repository::create(&folder.join("shop.git"), &examples.join("app"))?;
    Ok((config, app))
}

async fn github(cluster: &NodesCluster, folder: &Path, config: &Repository, app: &Repository) -> Result<Double, Error> {
    let listener = cluster.outside().listen((OUT_ADDRESS, GITHUB_PORT).into())?;
    listener.set_nonblocking(true)?;
    let options = Options { url: Some(format!("http://{OUT_ADDRESS}:{GITHUB_PORT}")), ..Options::new(folder) };
    let github = Double::start_on(tokio::net::TcpListener::from_std(listener)?, options)?;
    forge::furnish(&github, config, app)?;
    Ok(github)
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/shop")
}

async fn plane(cluster: &NodesCluster, folder: &Path, github: &Double) -> Result<(ControlPlane, HandOver), Error> {
    let listen = SocketAddr::new(OUT_ADDRESS.into(), PLANE_PORT);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let external_url = format!("https://localhost:{}", listener.local_addr()?.port());
    let hand_over = HandOver::start(listener, cluster.outside().clone(), listen)?;
    let prefix = ["nsenter".to_owned(), format!("--net=/run/netns/{}", cluster.outside().name()), "--".to_owned()];
    let setup = Setup {
        place: Place { prefix: prefix.to_vec(), listen, external_url: Some(external_url) },
        folder: folder.join("control-plane"),
        github: github.url().to_owned(),
        // Long, so that it is webhooks that make things happen here.
        poll: Duration::from_secs(300),
        repositories: vec![
            ("acme/environments".to_owned(), folder.join("environments.git")),
            ("acme/shop".to_owned(), folder.join("shop.git")),
        ],
        more: String::new(),
    };
    Ok((ControlPlane::start(setup).await?, hand_over))
}

async fn agent_chart() -> Result<String, Error> {
    let url = format!("https://{OUT_NAME}:{PLANE_PORT}");
    let (repository, tag) = AGENT_IMAGE.rsplit_once(':').ok_or("the agent's image has a tag")?;
    let image = [("image.repository", repository), ("image.tag", tag)];
    chart::template(chart::RELEASE, &[[("url", url.as_str()), ("secretName", "lapdev-agent")], image].concat()).await
}
