//! The routing table in a base's namespace, and the order in which Services are switched, opened and closed.

use crate::{
    lab::{Agent, LIMIT, Outcome, client, settled},
    objects::{branch, config_map, deployment, service, shared, workload},
};
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use lapdev_agent::tunnel::{Accept, Cluster as _, TraceRefused};
use lapdev_api::{
    bundle::Bundle,
    labels,
    name::Generation,
    route::{ADMIN_PORT, ROUTER, RoutingTable, TraceRequest, Traffic},
    status::Phase,
};
use lapdev_tests::stage::{Error, Program, until, within};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::{Child, Command},
};
use tokio_util::sync::CancellationToken;

const KEY: &str = "x-abc234";

/// A routed Service and its original, as a base holds them.
fn routed(name: &str, listen: u16) -> [Value; 2] {
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
fn routers() -> Vec<Value> {
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

/// A base whose Service `web` is routed.
fn routed_shop(plane: char, name: &str) -> Bundle {
    let objects = [deployment("web", "web:1", 1)].into_iter().chain(routed("web", 11_000)).chain(routers());
    shared(plane, name, objects.collect())
}

fn beside(base: &Bundle) -> Bundle {
    let pods = workload("Deployment", &format!("web--{KEY}"), KEY, "web:2", 1);
    branch(base, 'b', KEY, vec![service(&format!("web--{KEY}")), pods])
}

fn table_in(config_map: &Value) -> Result<RoutingTable, Error> {
    let json = config_map["data"]["routes.json"].as_str().ok_or("no table")?;
    Ok(serde_json::from_str(json)?)
}

fn table_words(base: &Bundle) -> String {
    format!("configmap lapdev-routes -n {}", base.namespaces[0].name)
}

/// Services with a branch of their own, by key.
fn branches(table: &RoutingTable) -> Vec<(&str, Vec<&str>)> {
    table.branches.iter().map(|(key, own)| (key.as_str(), own.iter().map(String::as_str).collect())).collect()
}

async fn until_table(agent: &Agent, base: &Bundle, holds: impl Fn(&RoutingTable) -> bool) -> Outcome {
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
    let before = || vec![deployment("web", "web:1", 1), service("web")];
    let old = shared('4', "switch", before());
    let uid = &old.environment.uid;
    agent.publish_and_wait(1, &old).await?;
    let new = routed_shop('4', "switch");
    agent.publish(2, &new).await?;
    let waits = "RoutingPending: Service web is not routed yet: no router is ready";
    agent.until(uid, |status| status.phase == Phase::Progressing && status.message == waits).await?;
    agent.until(uid, |status| status.notices.iter().any(|notice| notice == waits)).await?;
    let web = agent.get("service web -n lapdev-env-switch").await?;
    assert_eq!(web["spec"]["selector"]["app"], "web", "it goes on to its pods");
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

/// A real router as a process, behind the pod that the API cluster has for it but no node runs.
struct Router(Child);

impl Router {
    /// Starts it under its own ServiceAccount, and says of its pod what a kubelet would.
    async fn start(agent: &Agent, namespace: &str, address: &str) -> Result<Self, Error> {
        let kubeconfig = agent.cluster.service_account_kubeconfig(namespace, ROUTER).await?;
        let mut command = Command::new(Program::Router.path()?);
        command.env("KUBECONFIG", &kubeconfig).env("NAMESPACE", namespace).env("LAPDEV_LISTEN_ADDRESS", address);
        let mut router = Self(command.kill_on_drop(true).spawn()?);
        until("the router is ready", LIMIT, async || {
            within(router.0.try_wait()?.is_none(), "it ended")?;
            within(ask(address, ADMIN_PORT, "/readyz", "").await?.starts_with("HTTP/1.1 200"), "not yet")
        })
        .await?;
        let pods = format!("pods -n {namespace} -l lapdev.dev/router=true");
        agent.until_object(&pods, |pods| pods["items"].as_array().is_some_and(|pods| pods.len() == 1)).await?;
        let pod = agent.get(&pods).await?["items"][0]["metadata"]["name"].clone();
        let conditions = json!([{"type": "Ready", "status": "True"}]);
        let status = json!({"podIP": address, "podIPs": [{"ip": address}], "conditions": conditions});
        let status = json!({"status": status}).to_string();
        let pod = pod.as_str().ok_or("a pod has a name")?;
        let patch = ["patch", "pod", pod, "-n", namespace, "--subresource=status", "-p", &status];
        agent.cluster.kubectl(&patch, "").await?;
        Ok(router)
    }

    async fn signal(&self, name: &str) -> Outcome {
        let pid = self.0.id().ok_or("it ended")?.to_string();
        let sent = Command::new("kill").args([name, &pid]).status().await?;
        within(sent.success(), name)
    }
}

/// One request of the router, and all of its answer.
async fn ask(address: &str, port: u16, path: &str, headers: &str) -> Result<String, Error> {
    let mut stream = TcpStream::connect((address, port)).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: web\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    tokio::time::timeout(LIMIT, stream.read_to_string(&mut answer)).await??;
    Ok(answer)
}

#[tokio::test]
async fn a_router_that_listens_has_the_service_switched_counts_and_is_waited_for() -> Outcome {
    let agent = Agent::start('6').await?;
    let namespace = "lapdev-env-router";
    let old = shared('6', "router", vec![deployment("web", "web:1", 1), service("web")]);
    let uid = &old.environment.uid;
    agent.publish_and_wait(1, &old).await?;
    let mut new = routed_shop('6', "router");
    let router =
        new.objects.iter_mut().find(|object| object["kind"] == "Deployment" && object["metadata"]["name"] == ROUTER);
    router.ok_or("a router")?["metadata"]["annotations"]["lapdev.dev/hold-seconds"] = "1".into();
    agent.publish(2, &new).await?;
    agent.until(uid, |status| status.message.contains("no router is ready")).await?;
    let beside = beside(&new);
    let branch = &beside.environment.uid;
    agent.publish_and_wait(1, &beside).await?;

    let router = Router::start(&agent, namespace, "127.0.66.2").await?;
    agent.until_object(&format!("service web -n {namespace}"), |web| web["spec"]["selector"]["app"].is_null()).await?;
    agent
        .until(uid, |status| status.applied == Some(new.clone().canonical().digest()) && status.notices.is_empty())
        .await?;
    let late = |notice: &String| notice.contains("connections to Service web that were opened before 20");
    agent.until(branch, |status| status.notices.iter().any(late)).await?;

    // No pod of the branch runs, so it is the router that answers, once it has held the request.
    let answer = ask("127.0.66.2", 11_000, "/", &format!("tracestate: lapdev={KEY}\r\n")).await?;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    let counted = Traffic { service: "web".into(), branch: true, requests: 1, errors: 1 };
    agent.until(branch, |status| status.traffic == [counted.clone()]).await?;

    // What is neither routed nor declared is not dialled.
    let request = TraceRequest { uid: branch.clone(), service: Some("db".into()), path: "/".into() };
    assert!(matches!(agent.core.trace(&request).await, Err(TraceRefused::NotAllowed(_))));

    // A router that does not follow yet keeps the branch's Service alive after its key left the table.
    router.signal("-STOP").await?;
    agent.core.tombstone(branch, Generation(2), "branch x is gone").await;
    until_table(&agent, &new, |table| table.branches.is_empty()).await?;
    let words = format!("service web--{KEY} -n {namespace}");
    assert!(agent.get(&words).await?["metadata"].get("deletionTimestamp").is_none(), "deleted before routers knew");
    router.signal("-CONT").await?;
    agent.until_gone(branch).await?;
    agent.until_missing(&words).await?;
    agent.stop().await.map(drop)
}

/// Looks without pause until told to stop: a Service that goes to the routers is in the table, whoever died where.
async fn never_routed_without_an_entry(client: kube::Client, namespace: &str, stop: &CancellationToken) -> Outcome {
    let services = kube::Api::<Service>::namespaced(client.clone(), namespace);
    let maps = kube::Api::<ConfigMap>::namespaced(client, namespace);
    let routed =
        |service: &Service| service.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(labels::ROUTED));
    let mut looks = 0;
    while !stop.is_cancelled() {
        let before = services.get("web").await?;
        let map = maps.get("lapdev-routes").await?;
        let after = services.get("web").await?;
        let json = map.data.as_ref().and_then(|data| data.get("routes.json")).ok_or("no table")?;
        let table: RoutingTable = serde_json::from_str(json)?;
        let same = before.metadata.resource_version == after.metadata.resource_version;
        let missing = same && routed(&before) && !table.services.contains_key("web");
        within(!missing, "Service web goes to routers that know nothing of it")?;
        looks += 1;
    }
    within(looks > 20, format!("{looks} looks are too few"))
}

#[tokio::test]
async fn a_take_over_that_is_cut_short_anywhere_goes_on_from_there() -> Outcome {
    let mut agent = Agent::start('7').await?;
    let namespace = "lapdev-env-cut";
    let base = |late: bool| {
        let web = if late { routed("web", 11_100).to_vec() } else { vec![service("web")] };
        let objects = routers().into_iter().chain(routed("cart", 11_101)).chain(web);
        shared('7', "cut", objects.collect())
    };
    agent.publish_and_wait(1, &base(false)).await?;
    let _router = Router::start(&agent, namespace, "127.0.66.3").await?;
    let stop = CancellationToken::new();
    let looks = tokio::spawn({
        let (client, stop) = (client(&agent.kubeconfig).await?, stop.clone());
        async move { never_routed_without_an_entry(client, namespace, &stop).await }
    });
    for cut in 1..=12 {
        let late = cut % 2 == 1;
        let (generation, bundle) = (cut + 1, base(late));
        let begun = agent.core.writes();
        agent.publish(generation, &bundle).await?;
        // It dies after so many writes, or when it is done.
        until("so many writes", LIMIT, async || {
            let status = agent.core.status(&bundle.environment.uid).ok_or("no status")?;
            let done = status.applied == Some(bundle.clone().canonical().digest());
            within(done || agent.core.writes() >= begun + cut, "not yet")
        })
        .await?;
        let (plane, memory) = agent.stop().await?;
        agent = Agent::start_with(plane, memory).await?;
        agent.begin().await;
        agent.publish_and_wait(generation, &bundle).await?;
        let web = agent.get(&format!("service web -n {namespace}")).await?;
        assert_eq!(web["spec"]["selector"]["app"].is_null(), late, "cut {cut}: {web}");
        let map = agent.get(&table_words(&bundle)).await?;
        assert_eq!(table_in(&map)?.services.contains_key("web"), late, "cut {cut}: {map}");
        let since = map["metadata"]["annotations"]["lapdev.dev/routed-since"].as_str().ok_or("since when")?;
        assert_eq!(since.contains("\"web\":\"20"), late, "cut {cut}: {since}");
        let original = format!("service web--baseline -n {namespace}");
        if late { agent.get(&original).await.map(drop)? } else { agent.until_missing(&original).await? }
    }
    stop.cancel();
    looks.await??;
    agent.stop().await.map(drop)
}
