//! What somebody else put where an object of ours should be stays untouched, and the environment names it.

use crate::{
    looks::{LIMIT, environment_of, gone, settled, uid},
    scenario::{scenario, scenario_after},
};
use lapdev_tests::{
    cluster::ApiCluster,
    github::Command,
    stage::{Error, Playbill, Theatre, forge, until, within},
};
use serde_json::Value;

const NAMESPACE: &str = "lapdev-env-staging";

#[tokio::test]
async fn a_namespace_without_our_label_is_never_touched() {
    let mut foreign = String::new();
    let prepare = async |cluster: &ApiCluster| {
        cluster.kubectl(&["create", "namespace", NAMESPACE], "").await?;
        cluster.kubectl(&["create", "configmap", "theirs", "-n", NAMESPACE, "--from-literal=a=b"], "").await?;
        foreign = untouched(cluster).await?;
        Ok(())
    };
    scenario_after("a foreign namespace", &Playbill::default(), prepare, async |theatre| {
        occupied(theatre, "staging", NAMESPACE).await?;
        let now = untouched(&theatre.cluster).await?;
        let all = theatre.cluster.kubectl(&["get", "all,rolebindings", "-n", NAMESPACE, "-o", "name"], "").await?;
        within(all.is_empty(), format!("something was put into it: {all}"))?;
        within(now.contains("theirs"), now)?;
        theatre.cluster.kubectl(&["delete", "namespace", NAMESPACE], "").await?;
        settled(theatre, "staging", None).await.map(drop)
    })
    .await;
    assert!(foreign.contains("theirs"), "{foreign}");
}

/// The namespace and the ConfigMap, with their versions.
async fn untouched(cluster: &ApiCluster) -> Result<String, Error> {
    let columns = "custom-columns=NAME:.metadata.name,VERSION:.metadata.resourceVersion,LABELS:.metadata.labels";
    let namespace = cluster.kubectl(&["get", "namespace", NAMESPACE, "-o", columns], "").await?;
    let object = cluster.kubectl(&["get", "configmap", "theirs", "-n", NAMESPACE, "-o", columns], "").await?;
    Ok(namespace + &object)
}

#[tokio::test]
async fn an_object_without_our_label_is_never_touched() {
    scenario("a foreign object", &Playbill::default(), async |theatre| {
        settled(theatre, "staging", None).await?;
        theatre.app.branch("feature/x", "main")?;
        let head = theatre.app.write("feature/x", "services/web/greeting.txt", "x\n")?;
        // Its name is known after a first life, and the same in the second.
        let number = forge::open_pull(&theatre.github, "feature/x", "x")?;
        let name = environment_of(theatre, number).await?;
        let first = uid(&settled(theatre, &name, Some(&head)).await?)?;
        forge::close_pull(&theatre.github, number)?;
        gone(theatre, &name, &first).await?;

        let theirs = format!("web--{name}");
        let create = ["create", "deployment", &theirs, "-n", NAMESPACE, "--image=theirs:1", "--replicas=0"];
        theatre.cluster.kubectl(&create, "").await?;
        let before = deployment(theatre, &theirs).await?;
        theatre.github.run(Command::ReopenPull { repository: forge::APP.to_owned(), number })?;
        let view = occupied(theatre, &name, &theirs).await?;
        within(deployment(theatre, &theirs).await? == before, "it was touched")?;

        forge::close_pull(&theatre.github, number)?;
        gone(theatre, &name, &uid(&view)?).await?;
        within(deployment(theatre, &theirs).await? == before, "it was touched at the end")
    })
    .await;
}

/// Waits until an environment says that what is named stands in its way.
async fn occupied(theatre: &Theatre, name: &str, what: &str) -> Result<Value, Error> {
    until(&format!("{name} is Occupied"), LIMIT, async || {
        let view = theatre.plane.environment(name).await?;
        let named = view["message"].as_str().is_some_and(|message| message.contains(what));
        within(view["phase"] == "Occupied" && named, view.to_string())?;
        Ok(view)
    })
    .await
}

/// Its uid, what it is told, and who told it; not what its controller reports.
async fn deployment(theatre: &Theatre, name: &str) -> Result<[Value; 5], Error> {
    let get = ["get", "deployment", name, "-n", NAMESPACE, "-o", "json", "--show-managed-fields"];
    let object: Value = serde_json::from_str(&theatre.cluster.kubectl(&get, "").await?)?;
    let managers = object.pointer("/metadata/managedFields").and_then(Value::as_array).into_iter().flatten();
    let managers =
        managers.filter(|entry| entry["subresource"].is_null() && entry["manager"] != "kube-controller-manager");
    let managers = managers.map(|entry| entry["manager"].clone()).collect();
    let part = |pointer: &str| object.pointer(pointer).cloned().unwrap_or_default();
    Ok([part("/metadata/uid"), part("/metadata/generation"), part("/metadata/labels"), part("/spec"), managers])
}
