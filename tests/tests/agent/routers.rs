//! The agent with a real router beside it: when Services are switched, what is counted, and whom a branch's end waits for.

use crate::{
    lab::{Agent, LIMIT, Outcome, client},
    objects::{deployment, service, shared},
    routing::{KEY, beside, policy, routed, routed_shop, routers, table_in, table_words, until_table},
};
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use lapdev_agent::tunnel::{Cluster as _, TraceRefused};
use lapdev_api::{
    bundle::Bundle,
    labels,
    name::Generation,
    route::{ADMIN_PORT, ROUTER, RoutingTable, TraceRequest, Traffic},
};
use lapdev_tests::stage::{Error, Program, until, within};
use serde_json::json;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::{Child, Command},
};
use tokio_util::sync::CancellationToken;

/// A router is said to be behind after half a minute, found out in rounds of some ten seconds.
const PATIENCE: Duration = Duration::from_secs(180);

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
    let objects = vec![deployment("web", "web:1", 1), service("web"), policy("web", "client")];
    let old = shared('6', "router", objects);
    let uid = &old.environment.uid;
    agent.publish_and_wait(1, &old).await?;
    let mut new = routed_shop('6', "router");
    new.objects.extend(shared('6', "router", vec![policy("web", ROUTER)]).objects);
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
    let peer = "/spec/ingress/0/from/0/podSelector/matchLabels/app";
    let policy = agent.get(&format!("networkpolicy web -n {namespace}")).await?;
    assert_eq!(policy.pointer(peer), Some(&ROUTER.into()), "what guards its pods follows");
    let late = |notice: &String| notice.contains("connections to Service web that were opened before 20");
    agent.until(branch, |status| status.notices.iter().any(late)).await?;

    // No pod of the branch runs, so it is the router that answers, once it has held the request.
    let answer = ask("127.0.66.2", 11_000, "/", &format!("tracestate: lapdev={KEY}\r\n")).await?;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    let counted = Traffic { service: "web".into(), branch: true, requests: 1, errors: 1 };
    agent.until(branch, |status| status.traffic == [counted.clone()]).await?;

    // Keys are for the agent alone, which was told of them just now.
    for (path, status) in [("/counters", "401"), ("/table", "401"), ("/probe", "401"), ("/readyz", "200")] {
        let answer = ask("127.0.66.2", ADMIN_PORT, path, "").await?;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && !answer.contains(KEY), "{path}: {answer}");
    }

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

/// A base whose Service `cart` is reached on `port`, by this router port; with `new`, which has the other one.
fn with_ports(cart: (u16, u16), new: Option<u16>) -> Bundle {
    let on = |name: &str, port: u16, listen: u16| {
        let [mut front, original] = routed(name, listen);
        let annotation = json!({"baseline": format!("{name}--baseline"),
            "ports": [{"name": "http", "port": port, "listen": listen}]});
        front["metadata"]["annotations"]["lapdev.dev/routed"] = annotation.to_string().into();
        front["spec"]["ports"][0]["port"] = port.into();
        [front, original]
    };
    let new = new.into_iter().flat_map(|listen| on("new", 80, listen));
    shared('p', "ports", routers().into_iter().chain(on("cart", cart.0, cart.1)).chain(new).collect())
}

/// Looks without pause until told to stop: no Service leads to a router port that is another's in the table.
async fn each_port_is_its_services(client: kube::Client, namespace: &str, stop: &CancellationToken) -> Outcome {
    let services = kube::Api::<Service>::namespaced(client.clone(), namespace);
    let maps = kube::Api::<ConfigMap>::namespaced(client, namespace);
    while !stop.is_cancelled() {
        // The Service is looked at before and after: what it says in between is known if both agree.
        let before = services.list(&Default::default()).await?;
        let map = maps.get("lapdev-routes").await?;
        let after = services.list(&Default::default()).await?;
        let json = map.data.as_ref().and_then(|data| data.get("routes.json")).ok_or("no table")?;
        let table: RoutingTable = serde_json::from_str(json)?;
        let leads = |service: &Service| -> Option<(String, u16)> {
            service.metadata.annotations.as_ref()?.get(labels::ROUTED)?;
            let port = service.spec.as_ref()?.ports.as_ref()?.first()?.target_port.clone()?;
            let k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::Int(port) = port else { return None };
            Some((service.metadata.name.clone()?, u16::try_from(port).ok()?))
        };
        let lasting: Vec<_> = after.items.iter().filter_map(leads).collect();
        for (name, port) in before.items.iter().filter_map(leads).filter(|lead| lasting.contains(lead)) {
            let owner = table.services.iter().find(|(_, service)| service.ports.iter().any(|own| own.listen == port));
            let owner = owner.map(|(owner, _)| owner.as_str());
            within(owner == Some(&name), format!("Service {name} leads to port {port}, which is of {owner:?}"))?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_router_port_stays_with_its_service_until_that_has_moved_and_a_changed_port_number_is_switched() -> Outcome {
    let agent = Agent::start('p').await?;
    let namespace = "lapdev-env-ports";
    let old = with_ports((80, 11_201), None);
    agent.publish_and_wait(1, &old).await?;
    let router = Router::start(&agent, namespace, "127.0.66.4").await?;
    let stop = CancellationToken::new();
    let looks = tokio::spawn({
        let (client, stop) = (client(&agent.kubeconfig).await?, stop.clone());
        async move { each_port_is_its_services(client, namespace, &stop).await }
    });
    // Held up between the two: the new Service waits while `cart` has its port.
    router.signal("-STOP").await?;
    let new = with_ports((8080, 11_202), Some(11_201));
    agent.publish(2, &new).await?;
    let uid = &new.environment.uid;
    let waits = |notice: &String| notice.starts_with("RoutingPending: Services cart, new are not routed yet: ");
    agent.until(uid, |status| status.notices.iter().any(waits)).await?;
    until_table(&agent, &new, |table| {
        let ports =
            |name: &str| table.services.get(name).map(|service| service.ports.iter().map(|p| p.listen).collect());
        ports("cart") == Some(vec![11_202, 11_201]) && ports("new").is_none()
    })
    .await?;
    agent.until_missing(&format!("service new -n {namespace}")).await?;
    router.signal("-CONT").await?;
    agent.until(uid, |status| status.applied == Some(new.clone().canonical().digest())).await?;
    for (name, port, listen) in [("cart", 8080, 11_202), ("new", 80, 11_201)] {
        let service = agent.get(&format!("service {name} -n {namespace}")).await?;
        assert_eq!(
            (&service["spec"]["ports"][0]["port"], &service["spec"]["ports"][0]["targetPort"]),
            (&json!(port), &json!(listen))
        );
    }
    until_table(&agent, &new, |table| table.services.values().all(|service| service.ports.len() == 1)).await?;
    stop.cancel();
    looks.await??;
    agent.stop().await.map(drop)
}

#[tokio::test]
async fn a_router_that_no_longer_follows_the_table_is_a_notice_of_the_base_until_it_does() -> Outcome {
    let agent = Agent::start('u').await?;
    let base = routed_shop('u', "behind");
    let uid = &base.environment.uid;
    agent.publish_and_wait(1, &base).await?;
    let router = Router::start(&agent, "lapdev-env-behind", "127.0.66.5").await?;
    router.signal("-STOP").await?;
    // No branch is there: it is asked all the same.
    let behind = |notice: &String| notice.starts_with("RoutingBehind: whether router lapdev-router-");
    until("the base says that its router is silent", PATIENCE, async || {
        let status = agent.core.status(uid).ok_or("no status")?;
        within(status.notices.iter().any(behind), format!("{status:?}"))
    })
    .await?;
    router.signal("-CONT").await?;
    agent.until(uid, |status| !status.notices.iter().any(behind)).await?;
    agent.stop().await.map(drop)
}
