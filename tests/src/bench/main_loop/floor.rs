//! What no system can be faster than: one bare apply, one bare fetch.

use super::{table::Times, watch::Watch};
use crate::{
    cluster::ApiCluster,
    stage::{Error, Repository},
};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api, Client, Config,
    api::{Patch, PatchParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;
use std::{path::Path, time::Instant};
use tokio::process::Command;

/// A server-side apply of one Deployment of the shop's size, until the watch shows it.
pub async fn server_side_apply(cluster: &ApiCluster, watch: &mut Watch, times: usize) -> Result<Times, Error> {
    // Whoever was first has installed it; there is one for all.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let kubeconfig = Kubeconfig::read_from(cluster.kubeconfig_path())?;
    let client = Client::try_from(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)?;
    let deployments: Api<Deployment> = Api::namespaced(client, "default");
    let mut measured = Vec::new();
    for number in 0..times {
        let tag = format!("floor-{number}");
        let begun = Instant::now();
        let (parameters, patch) = (PatchParams::apply("floor"), Patch::Apply(deployment(&tag)));
        let applied = deployments.patch("floor", &parameters, &patch);
        let (applied, seen) = tokio::join!(applied, watch.sees("floor ", &tag));
        applied?;
        measured.push(seen? - begun);
    }
    Ok(Times::of(measured))
}

fn deployment(tag: &str) -> serde_json::Value {
    let labels = json!({"app": "floor"});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "floor"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{
                    "name": "floor", "image": format!("localhost/shop/floor:{tag}"),
                    "env": [{"name": "SERVICE", "value": "floor"}],
                    "ports": [{"name": "http", "containerPort": 8080}],
                    "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}},
                }]},
            },
        },
    })
}

/// A fetch of one branch that moved, by the `git` command from a folder.
pub async fn git_fetch(app: &Repository, folder: &Path, times: usize) -> Result<Times, Error> {
    let clone = folder.join("floor.git");
    app.branch("floor", "main")?;
    git(&["clone", "--quiet", "--bare"], &[app.path(), &clone]).await?;
    let mut measured = Vec::new();
    for number in 0..times {
        app.write("floor", "services/web/greeting.txt", &format!("floor {number}\n"))?;
        let begun = Instant::now();
        git(
            &["-C"],
            &[
                &clone,
                Path::new("fetch"),
                Path::new("--quiet"),
                app.path(),
                Path::new("+refs/heads/floor:refs/heads/floor"),
            ],
        )
        .await?;
        measured.push(begun.elapsed());
    }
    app.delete_branch("floor")?;
    Ok(Times::of(measured))
}

async fn git(words: &[&str], paths: &[&Path]) -> Result<(), Error> {
    let status = Command::new("git").args(words).args(paths).status().await?;
    if status.success() { Ok(()) } else { Err(format!("git {words:?} ended with {status}").into()) }
}
