//! The routing table in a base's namespace, and the order in which Services are switched, opened and closed.

use crate::{
    lab::{Agent, LIMIT, Outcome, settled},
    objects::{branch, config_map, deployment, service, shared, workload},
};
use lapdev_agent::tunnel::{Accept, Cluster as _};
use lapdev_api::{
    bundle::Bundle,
    name::Generation,
    route::{ROUTER, RoutingTable},
    status::Phase,
};
use lapdev_tests::stage::{Error, until, within};
use serde_json::{Value, json};

pub const KEY: &str = "x-abc234";

/// A routed Service and its original, as a base holds them.
pub fn routed(name: &str, listen: u16) -> [Value; 2] {
    let mut front = service(name);
    let port = json!({"name": "http", "port": 80, "listen": listen});
    let annotation = json!({"baseline": format!("{name}--baseline"), "ports": [port]}).to_string();
    front["metadata"]["annotations"] = json!({"lapdev.dev/routed": annotation});
    front["spec"]["selector"] = json!({"lapdev.dev/router": "true"});
    front["spec"]["ports"][0]["targetPort"] = listen.into();
    let mut original = service(&format!("{name}--baseline"));
    original["spec"]["selector"] = json!({"app": name, "lapdev.dev/branch": "baseline"});
    [front, original]
}

/// The routers, with the rights that they need: the agent may grant only what it holds.
pub fn routers() -> Vec<Value> {
    let named = |api: &str, kind: &str| json!({"apiVersion": api, "kind": kind, "metadata": {"name": ROUTER}});
    let rbac = "rbac.authorization.k8s.io";
    let mut role = named("rbac.authorization.k8s.io/v1", "Role");
    let verbs = ["get", "list", "watch"];
    role["rules"] = json!([
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["lapdev-routes"], "verbs": verbs},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": verbs},
    ]);
    let mut binding = named("rbac.authorization.k8s.io/v1", "RoleBinding");
    binding["roleRef"] = json!({"apiGroup": rbac, "kind": "Role", "name": ROUTER});
    binding["subjects"] = json!([{"kind": "ServiceAccount", "name": ROUTER}]);
    let mut router = deployment(ROUTER, "router:1", 1);
    router["metadata"]["annotations"] = json!({"lapdev.dev/served-by": "true", "lapdev.dev/hold-seconds": "7"});
    router["spec"]["template"]["metadata"]["labels"]["lapdev.dev/router"] = "true".into();
    router["spec"]["template"]["spec"]["serviceAccountName"] = ROUTER.into();
    vec![named("v1", "ServiceAccount"), role, binding, router]
}

/// Who may reach the pods of `web`.
pub fn policy(name: &str, peer: &str) -> Value {
    let from = json!([{"podSelector": {"matchLabels": {"app": peer}}}]);
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name},
        "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{"from": from}]}})
}

/// A base whose Service `web` is routed.
pub fn routed_shop(plane: char, name: &str) -> Bundle {
    let objects = [deployment("web", "web:1", 1)].into_iter().chain(routed("web", 11_000)).chain(routers());
    shared(plane, name, objects.collect())
}

pub fn beside(base: &Bundle) -> Bundle {
    let pods = workload("Deployment", &format!("web--{KEY}"), KEY, "web:2", 1);
    branch(base, 'b', KEY, vec![service(&format!("web--{KEY}")), pods])
}

pub fn table_in(config_map: &Value) -> Result<RoutingTable, Error> {
    let json = config_map["data"]["routes.json"].as_str().ok_or("no table")?;
    Ok(serde_json::from_str(json)?)
}

pub fn table_words(base: &Bundle) -> String {
    format!("configmap lapdev-routes -n {}", base.namespaces[0].name)
}

/// Services with a branch of their own, by key.
fn branches(table: &RoutingTable) -> Vec<(&str, Vec<&str>)> {
    table.branches.iter().map(|(key, own)| (key.as_str(), own.iter().map(String::as_str).collect())).collect()
}

pub async fn until_table(agent: &Agent, base: &Bundle, holds: impl Fn(&RoutingTable) -> bool) -> Outcome {
    until("routing table", LIMIT, async || {
        let table = table_in(&agent.get(&table_words(base)).await?)?;
        within(holds(&table), format!("{table:?}"))
    })
    .await
}

#[tokio::test]
async fn the_table_follows_what_is_routed_and_which_branches_stand() -> Outcome {
    let agent = Agent::start('2').await?;
    let base = routed_shop('2', "routes");
    agent.publish_and_wait(1, &base).await?;
    let table = table_in(&agent.get(&table_words(&base)).await?)?;
    assert_eq!((table.services.len(), table.services["web"].ports[0].listen), (1, 11_000));
    assert_eq!((table.served_by, table.hold_seconds, table.branches.len()), (true, 7, 0));

    let beside = beside(&base);
    agent.publish_and_wait(1, &beside).await?;
    let object = agent.get(&table_words(&base)).await?;
    assert_eq!(branches(&table_in(&object)?), [(KEY, vec!["web"])]);
    let labels = &object["metadata"]["labels"];
    assert_eq!(labels["lapdev.dev/environment"], base.environment.uid.as_str());
    assert!(labels.get("applyset.kubernetes.io/part-of").is_none(), "nothing that prunes a set takes it");

    // Somebody edits it, and somebody deletes it.
    let edit = json!({"data": {"routes.json": "{}"}}).to_string();
    let patch = ["patch", "configmap", "lapdev-routes", "-n", "lapdev-env-routes", "-p", &edit];
    agent.cluster.kubectl(&patch, "").await?;
    until_table(&agent, &base, |table| table.branches.len() == 1).await?;
    agent
        .until(&base.environment.uid, |status| status.notices.iter().any(|notice| notice.contains("lapdev-routes")))
        .await?;
    agent.kubectl("delete configmap lapdev-routes -n lapdev-env-routes", "").await?;
    until_table(&agent, &base, |table| table.branches.len() == 1).await?;
    let inventory = agent.core.inventory().await?;
    assert_eq!(inventory.orphans, [], "an audit knows whose it is");

    // A branch that no longer runs it, and one that does again.
    let other = branch(&base, 'b', KEY, vec![config_map("note--x", "1")]);
    agent.publish_and_wait(2, &other).await?;
    until_table(&agent, &base, |table| table.branches.is_empty()).await?;
    agent.publish_and_wait(3, &beside).await?;
    until_table(&agent, &base, |table| table.branches.len() == 1).await?;

    // An agent that knows nothing of what it did writes nothing.
    settled(&agent).await?;
    let before = agent.get(&table_words(&base)).await?["metadata"]["resourceVersion"].clone();
    let (plane, memory) = agent.stop().await?;
    let agent = Agent::start_with(plane, memory).await?;
    agent.until(&beside.environment.uid, |status| status.applied.is_some()).await?;
    settled(&agent).await?;
    assert_eq!(agent.get(&table_words(&base)).await?["metadata"]["resourceVersion"], before);
    agent.stop().await.map(drop)
}

#[tokio::test]
async fn a_branchs_key_leaves_the_table_before_its_service_goes() -> Outcome {
    let agent = Agent::start('3').await?;
    let base = routed_shop('3', "closing");
    agent.publish_and_wait(1, &base).await?;
    let beside = beside(&base);
    agent.publish_and_wait(1, &beside).await?;
    until_table(&agent, &base, |table| table.branches.len() == 1).await?;
    // A finalizer keeps the Service as it was at the moment of its deletion.
    let finalizer = json!({"metadata": {"finalizers": ["test.lapdev.dev/wait"]}}).to_string();
    let name = format!("web--{KEY}");
    let patch = ["patch", "service", &name, "-n", "lapdev-env-closing", "-p", &finalizer];
    agent.cluster.kubectl(&patch, "").await?;
    let answer = agent.core.tombstone(&beside.environment.uid, Generation(2), "branch x is gone").await;
    assert_eq!(answer, Accept::Accepted);
    let words = format!("service {name} -n lapdev-env-closing");
    agent.until_object(&words, |service| service["metadata"].get("deletionTimestamp").is_some()).await?;
    let (service, table) = (agent.get(&words).await?, agent.get(&table_words(&base)).await?);
    assert_eq!(table_in(&table)?.branches.len(), 0);
    let version = |object: &Value| object["metadata"]["resourceVersion"].as_str().and_then(|v| v.parse::<u64>().ok());
    let (left, deleted) = (version(&table).ok_or("a version")?, version(&service).ok_or("a version")?);
    assert!(left < deleted, "the table's change {left} came before the deletion {deleted}");
    agent
        .cluster
        .kubectl(
            &["patch", "service", &name, "-n", "lapdev-env-closing", "-p", r#"{"metadata":{"finalizers":null}}"#],
            "",
        )
        .await?;
    agent.until_gone(&beside.environment.uid).await?;

    // And nothing is left of the base, nor of its table.
    agent.core.tombstone(&base.environment.uid, Generation(2), "its file is gone").await;
    agent.until_gone(&base.environment.uid).await?;
    agent.until_missing("namespace lapdev-env-closing").await?;
    agent.stop().await.map(drop)
}

#[tokio::test]
async fn a_service_that_stands_is_not_switched_while_no_router_listens() -> Outcome {
    let agent = Agent::start('4').await?;
    let before = || vec![deployment("web", "web:1", 1), service("web"), policy("web", "client")];
    let old = shared('4', "switch", before());
    let uid = &old.environment.uid;
    agent.publish_and_wait(1, &old).await?;
    let mut new = routed_shop('4', "switch");
    new.objects.extend(shared('4', "switch", vec![policy("web", ROUTER), policy("routers", "client")]).objects);
    agent.publish(2, &new).await?;
    let waits = "RoutingPending: Service web is not routed yet: no router is ready";
    agent.until(uid, |status| status.phase == Phase::Progressing && status.message == waits).await?;
    agent.until(uid, |status| status.notices.iter().any(|notice| notice == waits)).await?;
    let web = agent.get("service web -n lapdev-env-switch").await?;
    assert_eq!(web["spec"]["selector"]["app"], "web", "it goes on to its pods");
    let peer = "/spec/ingress/0/from/0/podSelector/matchLabels/app";
    let policy = agent.get("networkpolicy web -n lapdev-env-switch").await?;
    assert_eq!(policy.pointer(peer), Some(&"client".into()), "and they still let its clients in");
    agent.get("networkpolicy routers -n lapdev-env-switch").await?;
    // All else is there: the routers could not become ready otherwise.
    for other in ["service web--baseline", "deployment lapdev-router", "rolebinding lapdev-router"] {
        agent.get(&format!("{other} -n lapdev-env-switch")).await?;
    }
    until_table(&agent, &new, |table| table.services.contains_key("web")).await?;
    // It asks the API server for nothing while it waits, and an agent that starts anew waits too.
    settled(&agent).await?;
    let (plane, memory) = agent.stop().await?;
    let agent = Agent::start_with(plane, memory).await?;
    agent.until(uid, |status| status.message == waits).await?;
    let web = agent.get("service web -n lapdev-env-switch").await?;
    assert_eq!(web["spec"]["selector"]["app"], "web");
    // A branch says so as well.
    agent.begin().await;
    let beside = beside(&new);
    agent.publish_and_wait(1, &beside).await?;
    agent
        .until(&beside.environment.uid, |status| {
            status.notices.iter().any(|notice| notice.contains("Service web is not routed yet"))
        })
        .await?;
    // Whoever thinks better of it has nothing to wait for, and no table is left.
    agent.publish_and_wait(3, &shared('4', "switch", before())).await?;
    agent.until_missing(&table_words(&new)).await?;
    agent.until_missing("deployment lapdev-router -n lapdev-env-switch").await?;
    agent.stop().await.map(drop)
}

#[tokio::test]
async fn what_is_routed_is_put_back_and_only_then_leaves_the_table() -> Outcome {
    let agent = Agent::start('5').await?;
    let both = || routed("web", 11_000).into_iter().chain(routed("cart", 11_001)).chain(routers());
    let base = shared('5', "back", both().collect());
    agent.publish_and_wait(1, &base).await?;
    let back = both().filter(|object| !object["metadata"]["name"].as_str().is_some_and(|name| name.starts_with("web")));
    let back = shared('5', "back", back.chain([service("web")]).collect());
    agent.publish_and_wait(2, &back).await?;
    let web = agent.get("service web -n lapdev-env-back").await?;
    assert_eq!(web["spec"]["selector"], json!({"app": "web"}));
    assert!(web["metadata"]["annotations"].get("lapdev.dev/routed").is_none(), "{web}");
    let table = agent.get(&table_words(&base)).await?;
    assert_eq!(table_in(&table)?.services.keys().collect::<Vec<_>>(), ["cart"]);
    let version = |object: &Value| object["metadata"]["resourceVersion"].as_str().and_then(|v| v.parse::<u64>().ok());
    assert!(version(&web) < version(&table), "the Service first");
    agent.until_missing("service web--baseline -n lapdev-env-back").await?;
    agent.stop().await.map(drop)
}

#[tokio::test]
async fn a_branch_that_ends_while_its_base_is_unknown_leaves_the_table_before_its_service_goes() -> Outcome {
    let agent = Agent::start('t').await?;
    let (base, namespace) = (routed_shop('t', "unknown"), "lapdev-env-unknown");
    agent.publish_and_wait(1, &base).await?;
    let beside = beside(&base);
    agent.publish_and_wait(1, &beside).await?;
    until_table(&agent, &base, |table| table.branches.len() == 1).await?;
    let before = agent.get(&table_words(&base)).await?;
    let (plane, memory) = agent.stop().await?;
    // Somebody took the base's inventory; an agent that starts without a hub knows of the branch alone.
    let parent = lapdev_api::labels::parent_name(&base.environment.uid);
    let name = format!("web--{KEY}");
    let finalizer = json!({"metadata": {"finalizers": ["test.lapdev.dev/wait"]}}).to_string();
    Agent::admin(&["delete", "configmap", &parent, "-n", namespace]).await?;
    Agent::admin(&["patch", "service", &name, "-n", namespace, "-p", &finalizer]).await?;
    let agent = Agent::start_with(plane, memory).await?;
    agent.core.tombstone(&beside.environment.uid, Generation(2), "branch x is gone").await;

    let words = format!("service {name} -n {namespace}");
    agent.until_object(&words, |service| service["metadata"].get("deletionTimestamp").is_some()).await?;
    let (service, table) = (agent.get(&words).await?, agent.get(&table_words(&base)).await?);
    let (left, standing) = (table_in(&table)?, table_in(&before)?);
    assert_eq!((left.branches.len(), &left.services), (0, &standing.services), "its key alone left the table");
    let version = |object: &Value| object["metadata"]["resourceVersion"].as_str().and_then(|v| v.parse::<u64>().ok());
    assert!(version(&table) < version(&service), "before the deletion");
    assert_eq!(table["metadata"]["labels"], before["metadata"]["labels"], "it is still the base's");
    Agent::admin(&["patch", "service", &name, "-n", namespace, "-p", r#"{"metadata":{"finalizers":null}}"#]).await?;
    agent.until_gone(&beside.environment.uid).await?;
    agent.stop().await.map(drop)
}
