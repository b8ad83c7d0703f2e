//! What a pass over unchanged environments writes: nothing, seen by the objects' resource versions.

use crate::stage::{Error, Theatre, environment_namespaces, forge, until, within};
use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};

/// Objects of the environments that a full pass wrote: control plane and agent start anew, so that both look at all.
pub async fn writes_of_a_pass(theatre: &mut Theatre) -> Result<usize, Error> {
    let before = versions(theatre).await?;
    theatre.plane.terminate().await?;
    theatre.plane.restart().await?;
    theatre.agent.kill().await?;
    theatre.agent.restart()?;
    theatre.connected(true).await?;
    let delivered = theatre.github.deliveries().len();
    forge::pushed(&theatre.github, forge::APP)?;
    until("the pass is over", Duration::from_secs(60), async || {
        let all = theatre.plane.environments().await?;
        let settled = |item: &Value| item["observedGeneration"] == item["generation"];
        within(all["items"].as_array().into_iter().flatten().all(settled), format!("after {delivered} deliveries"))
    })
    .await?;
    let after = versions(theatre).await?;
    Ok(after.iter().filter(|(name, version)| before.get(*name) != Some(version)).count())
}

async fn versions(theatre: &Theatre) -> Result<BTreeMap<String, String>, Error> {
    let mut versions = BTreeMap::new();
    for namespace in environment_namespaces(&theatre.cluster).await? {
        let kinds = "deployments,services,configmaps,serviceaccounts,rolebindings";
        let list = theatre.cluster.kubectl(&["get", kinds, "-n", &namespace, "-o", "json"], "").await?;
        let list: Value = serde_json::from_str(&list)?;
        for item in list["items"].as_array().into_iter().flatten() {
            let text = |pointer: &str| item.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
            versions.insert(format!("{}/{}", text("/kind"), text("/metadata/name")), text("/metadata/resourceVersion"));
        }
    }
    Ok(versions)
}
