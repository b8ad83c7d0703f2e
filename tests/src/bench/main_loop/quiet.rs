//! What a pass over unchanged environments writes: nothing, seen by the objects' resource versions.

use super::{ENVIRONMENTS, branch, watch::Watch};
use crate::stage::{Error, Theatre, environment_namespaces, forge};
use serde_json::Value;
use std::collections::BTreeMap;

/// Objects of unchanged environments that a full pass wrote. Control plane and agent start anew, so that both look at
/// everything; two environments are pushed to afterwards, and when the API server has them the pass was made.
pub async fn writes_of_a_pass(theatre: &mut Theatre, watch: &mut Watch) -> Result<usize, Error> {
    let before = versions(theatre).await?;
    theatre.plane.terminate().await?;
    theatre.plane.restart().await?;
    theatre.agent.kill().await?;
    theatre.agent.restart()?;
    theatre.connected(true).await?;
    let mut changed = Vec::new();
    for number in [0, ENVIRONMENTS - 1] {
        let commit = theatre.app.write(&branch(number), "services/web/greeting.txt", "the pass was made\n")?;
        forge::pushed(&theatre.github, forge::APP)?;
        watch.sees("web--", &commit).await?;
        changed.push(uid_of(theatre, number).await?);
    }
    let after = versions(theatre).await?;
    let written = after.iter().filter(|(name, version)| before.get(*name) != Some(version));
    Ok(written.filter(|((uid, _), _)| !changed.contains(uid)).count())
}

async fn uid_of(theatre: &Theatre, number: usize) -> Result<String, Error> {
    let all = theatre.plane.environments().await?;
    let of_branch = |item: &&Value| item.pointer("/branch/ref").and_then(Value::as_str) == Some(&branch(number));
    let found = all["items"].as_array().into_iter().flatten().find(of_branch).and_then(|item| item["uid"].as_str());
    Ok(found.ok_or("a pushed branch has an environment")?.to_owned())
}

/// (environment's uid, kind and name) → resource version.
async fn versions(theatre: &Theatre) -> Result<BTreeMap<(String, String), String>, Error> {
    let mut versions = BTreeMap::new();
    for namespace in environment_namespaces(&theatre.cluster).await? {
        let kinds = "deployments,services,configmaps,serviceaccounts,rolebindings";
        let list = theatre.cluster.kubectl(&["get", kinds, "-n", &namespace, "-o", "json"], "").await?;
        let list: Value = serde_json::from_str(&list)?;
        for item in list["items"].as_array().into_iter().flatten() {
            let text = |pointer: &str| item.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
            let uid = text("/metadata/labels/lapdev.dev~1environment");
            let name = format!("{}/{}", text("/kind"), text("/metadata/name"));
            versions.insert((uid, name), text("/metadata/resourceVersion"));
        }
    }
    Ok(versions)
}
