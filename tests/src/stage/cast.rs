//! Everybody on the stage of the demo and of the tests with real pods: the cluster with its node, the forge, the
//! repositories, the control plane, the agent and the visitor in their pods.

use super::{
    ControlPlane, Error, Place, Playbill, Program, Repository, Setup, Steps, chart, forge,
    images::{self, Images, SERVICES},
    until, within,
};
use crate::{
    cluster::{HandOver, NodesCluster, OUT_ADDRESS, OUT_NAME},
    github::{Double, Options},
};
use serde_json::Value;
use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    time::Duration,
};
use tokio::process::Command;

const PLANE_PORT: u16 = 8443;
const GITHUB_PORT: u16 = 8080;
/// How long anything may take; what hangs is reported with the last thing seen.
const LIMIT: Duration = Duration::from_secs(90);

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
    /// Brings everybody up but the pods, whose images are loaded.
    pub async fn enter(steps: &Steps, playbill: &Playbill) -> Result<Self, Error> {
        let cluster = steps
            .step("start a Kubernetes with a node, in a network namespace that lets nothing in", async {
                Ok(NodesCluster::start().await?)
            })
            .await?;
        // The cluster's own end takes it along, also when this process never comes to drop it.
        let folder = tempfile::TempDir::with_prefix_in("stage-", cluster.run_folder())?;
        let at = |name: &str| folder.path().join(name);
        let (config, app) = steps
            .step("make the config repository acme/environments and the application repository acme/shop", async {
                let config = Repository::create(&at("environments.git"), &playbill.config)?;
                Ok((config, Repository::create(&at("shop.git"), &playbill.app)?))
            })
            .await?;
        let github = steps
            .step("start the GitHub double outside of the cluster", github(&cluster, folder.path(), &config, &app))
            .await?;
        let (plane, hand_over) = steps
            .step(
                "start the control plane outside of the cluster: lapdev serve",
                plane(&cluster, folder.path(), &github, playbill),
            )
            .await?;
        // The double's sockets towards others are this process's, so its webhooks take the browser's way.
        forge::aim(&github, &plane, &plane.external_url())?;
        let cast = Self { _hand_over: hand_over, plane, github, config, app, cluster, folder };
        let what = "build the images of the shop's five services, the agent, the router and a client; load them";
        steps.step(what, cast.load_images()).await?;
        Ok(cast)
    }

    /// Builds images for the node.
    #[must_use]
    pub fn images(&self) -> Images<'_> {
        Images { cluster: &self.cluster, scratch: self.folder.path() }
    }

    /// Installs the agent and waits until it is connected.
    pub async fn agent(&self) -> Result<(), Error> {
        let token = self.plane.token("dev").await?;
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        self.kubectl(words("create namespace lapdev-system"), "").await?;
        let mut secret = words("create secret generic lapdev-agent -n lapdev-system");
        secret.push(format!("--from-literal=token={token}"));
        secret.push(format!("--from-file=ca.crt={}", self.plane.ca_file().display()));
        self.kubectl(secret, "").await?;
        self.kubectl(words("apply --server-side -n lapdev-system -f -"), &agent_chart().await?).await?;
        self.connected().await
    }

    /// Waits until the agent is connected.
    pub async fn connected(&self) -> Result<(), Error> {
        until("the agent is connected", LIMIT, async || {
            let clusters: Value = serde_json::from_str(&self.plane.say(&["get", "clusters", "-o", "json"]).await?)?;
            within(clusters[0]["connected"] == true, clusters.to_string())
        })
        .await
    }

    /// Waits until an environment is Ready, at this commit if it is a branch's; gives what `lapdev get` shows.
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

    /// The environment that a pull request has; waits until it has one.
    pub async fn environment_of(&self, number: u64) -> Result<String, Error> {
        until("the pull request has an environment", LIMIT, async || {
            let all = self.plane.environments().await?;
            let items = all["items"].as_array().into_iter().flatten();
            let of_it = |item: &&Value| item.pointer("/branch/pullRequests/0").and_then(Value::as_u64) == Some(number);
            let found = items.clone().find(of_it).and_then(|item| item["name"].as_str());
            Ok(found.ok_or_else(|| all.to_string())?.to_owned())
        })
        .await
    }

    /// Waits until nothing of a Branch environment is left, in the cluster and in what the command shows.
    pub async fn gone(&self, namespace: &str, name: &str) -> Result<(), Error> {
        let label = format!("lapdev.dev/branch={name}");
        until(&format!("nothing of {name} is left"), LIMIT, async || {
            let get = ["get", "all,configmaps", "-n", namespace, "-l", &label, "-o", "name"];
            let left = self.cluster.kubectl(&get, "").await?;
            within(left.is_empty(), left)?;
            let all = self.plane.environments().await?.to_string();
            within(!all.contains(name), all.clone())
        })
        .await
    }

    /// Asks for a link as a person does: with cookies, following the redirect, trusting the stage's authority.
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
        let look = async |words: &str| {
            let words: Vec<_> = words.split(' ').collect();
            self.cluster.kubectl(&words, "").await.unwrap_or_else(|error| error.to_string())
        };
        let pods = look("get pods --all-namespaces").await;
        let agent = look("logs -n lapdev-system deployment/lapdev-agent --tail=30").await;
        let routers = look("logs -n lapdev-env-staging -l lapdev.dev/router=true --prefix --tail=15").await;
        let plane = self.plane.log_tail();
        format!("── pods\n{pods}\n── the agent\n{agent}\n── the routers\n{routers}\n── lapdev serve\n{plane}")
    }

    async fn load_images(&self) -> Result<(), Error> {
        let images = self.images();
        for service in SERVICES {
            images.service(&self.app, "main", service, "main").await?;
        }
        images.program(images::AGENT, Program::Agent).await?;
        images.program(images::ROUTER, Program::Router).await?;
        images.visitor().await
    }

    async fn kubectl(&self, arguments: Vec<String>, input: &str) -> Result<String, Error> {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        Ok(self.cluster.kubectl(&arguments, input).await?)
    }
}

async fn github(cluster: &NodesCluster, folder: &Path, config: &Repository, app: &Repository) -> Result<Double, Error> {
    let listener = cluster.outside().listen((OUT_ADDRESS, GITHUB_PORT).into())?;
    listener.set_nonblocking(true)?;
    let options = Options { url: Some(format!("http://{OUT_ADDRESS}:{GITHUB_PORT}")), ..Options::new(folder) };
    let github = Double::start_on(tokio::net::TcpListener::from_std(listener)?, options)?;
    forge::furnish(&github, config, app)?;
    Ok(github)
}

async fn plane(
    cluster: &NodesCluster,
    folder: &Path,
    github: &Double,
    playbill: &Playbill,
) -> Result<(ControlPlane, HandOver), Error> {
    let listen = SocketAddr::new(OUT_ADDRESS.into(), PLANE_PORT);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let external_url = format!("https://localhost:{}", listener.local_addr()?.port());
    let hand_over = HandOver::start(listener, cluster.outside().clone(), listen)?;
    let prefix = ["nsenter".to_owned(), format!("--net=/run/netns/{}", cluster.outside().name()), "--".to_owned()];
    let setup = Setup {
        place: Place { prefix: prefix.to_vec(), listen, external_url: Some(external_url) },
        folder: folder.join("control-plane"),
        github: github.url().to_owned(),
        poll: playbill.poll,
        repositories: vec![
            (forge::CONFIG.to_owned(), folder.join("environments.git")),
            (forge::APP.to_owned(), folder.join("shop.git")),
        ],
        more: format!("[router]\nimage = \"{}\"\n{}", images::ROUTER, playbill.more),
    };
    Ok((ControlPlane::start(setup).await?, hand_over))
}

async fn agent_chart() -> Result<String, Error> {
    let url = format!("https://{OUT_NAME}:{PLANE_PORT}");
    let (repository, tag) = images::AGENT.rsplit_once(':').ok_or("the agent's image has a tag")?;
    let image = [("image.repository", repository), ("image.tag", tag)];
    chart::template(chart::RELEASE, &[[("url", url.as_str()), ("secretName", "lapdev-agent")], image].concat()).await
}
