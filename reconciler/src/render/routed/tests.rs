//! Which Services are routed and what they become. The shop's Services as they are found in the wild.

use super::{selector::Labels, *};
use lapdev_api::{
    kinds::{Source, Sync, WorkloadRule},
    route::RoutedPort,
};

fn workload(named: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": named},
        "spec": {"selector": {"matchLabels": {"app": named}}, "template": {
            "metadata": {"labels": {"app": named}}, "spec": {"containers": [{"name": named, "image": "x:1"}]},
        }},
    })
}

fn service(named: &str, app: &str, mut spec: Value) -> Value {
    spec["selector"] = json!({ "app": app });
    json!({ "apiVersion": "v1", "kind": "Service", "metadata": {"name": named}, "spec": spec })
}

fn one_port() -> Value {
    json!({ "ports": [{"port": 80, "targetPort": 8080}] })
}

fn catalog(mapped: &[&str]) -> AppCatalog {
    let rule = |named: &&str| WorkloadRule {
        name: (*named).to_owned(),
        repository: "acme/shop".parse().expect("legal"),
        paths: vec![format!("{named}/**")],
        image: None,
    };
    AppCatalog {
        name: "shop".parse().expect("legal"),
        source: Source::Path { path: "apps/shop".to_owned() },
        sync: Sync::Auto,
        workloads: mapped.iter().map(rule).collect(),
        previews: vec![],
        branch_environments: None,
    }
}

fn run(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Routes these objects, `web` being mapped.
fn applied(objects: &[Value]) -> (Routed, Vec<Value>) {
    let mut routed = choose(objects, &catalog(&["web"]), &BTreeSet::new());
    let mut objects = objects.to_vec();
    routed.apply(&mut objects, &RouterSettings::default(), &Labels::new()).expect("no name is taken");
    (routed, objects)
}

fn find<'o>(objects: &'o [Value], of: &str, named: &str) -> &'o Value {
    objects.iter().find(|object| kind(object) == of && name(object) == named).expect("it is there")
}

fn choose(objects: &[Value], catalog: &AppCatalog, run: &BTreeSet<String>) -> Routed {
    super::choose(objects, catalog, run, &Labels::new())
}

fn names(routed: &Routed) -> Vec<&str> {
    routed.services.keys().map(String::as_str).collect()
}

#[test]
fn two_services_of_one_workload_on_one_port_have_router_ports_of_their_own() {
    // As Online Boutique has them; `emailservice` listens on another port than its Service.
    let boutique = [
        workload("frontend"),
        workload("emailservice"),
        service(
            "frontend",
            "frontend",
            json!({"type": "ClusterIP", "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}),
        ),
        service(
            "frontend-external",
            "frontend",
            json!({"type": "LoadBalancer", "ports": [{"name": "http", "port": 80, "targetPort": 8080, "nodePort": 30080}]}),
        ),
        service("emailservice", "emailservice", json!({"ports": [{"name": "grpc", "port": 5000, "targetPort": 8080}]})),
    ];
    let mut routed = choose(&boutique, &catalog(&["frontend", "emailservice"]), &BTreeSet::new());
    assert_eq!(names(&routed), ["emailservice", "frontend", "frontend-external"]);
    let ports: BTreeSet<u16> = routed.services.values().flat_map(|service| &service.ports).map(|p| p.listen).collect();
    assert_eq!(ports.len(), 3);

    let mut objects = boutique.to_vec();
    routed.apply(&mut objects, &RouterSettings::default(), &Labels::new()).expect("no name is taken");
    let external = find(&objects, "Service", "frontend-external");
    let port = &external["spec"]["ports"][0];
    assert_eq!(external["spec"]["type"], "LoadBalancer");
    assert_eq!((&port["port"], &port["nodePort"], &port["name"]), (&json!(80), &json!(30080), &json!("http")));
    assert_eq!(port["targetPort"], routed.services["frontend-external"].ports[0].listen);
    assert_eq!(external["spec"]["selector"], json!({"lapdev.dev/router": "true"}));
    let original = find(&objects, "Service", "frontend-external--baseline");
    assert_eq!(
        original["spec"],
        json!({"type": "ClusterIP", "selector": {"app": "frontend"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]})
    );
    assert_eq!(find(&objects, "Service", "emailservice--baseline")["spec"]["ports"][0]["targetPort"], 8080);
}

#[test]
fn a_service_that_answers_from_outside_only_on_nodes_with_a_pod_of_its_own_is_routed_and_it_is_said() {
    let outer = |kind: &str, policy: &str| {
        let spec = json!({"type": kind, "externalTrafficPolicy": policy, "ports": [{"port": 80, "nodePort": 30080}]});
        choose(&[workload("web"), service("web", "web", spec)], &catalog(&["web"]), &BTreeSet::new())
    };
    for kind in ["NodePort", "LoadBalancer"] {
        let routed = outer(kind, "Local");
        assert_eq!(names(&routed), ["web"]);
        let [Reason { workload: Some(of), text }] = &routed.reasons[..] else { panic!("{:?}", routed.reasons) };
        assert_eq!(of, "web");
        assert!(text.starts_with("its Service web is routed with externalTrafficPolicy Local: from outside"), "{text}");
        assert_eq!(outer(kind, "Cluster").reasons, []);
    }
}

#[test]
fn the_annotation_says_all_that_the_agent_and_the_routers_need() {
    let spec = json!({
        "sessionAffinity": "ClientIP",
        "publishNotReadyAddresses": true,
        "ports": [
            {"name": "http", "port": 80, "targetPort": "web", "appProtocol": "kubernetes.io/h2c"},
            {"name": "admin", "port": 9000, "protocol": "TCP"},
        ],
    });
    let (routed, objects) = applied(&[workload("web"), service("web", "web", spec)]);
    let web = find(&objects, "Service", "web");
    let said: RoutedService =
        serde_json::from_str(web["metadata"]["annotations"][labels::ROUTED].as_str().expect("text")).expect("JSON");
    assert_eq!(said, routed.services["web"]);
    let listen = router_ports([("web", 80), ("web", 9000)]);
    let port = |name: &str, port: u16, app_protocol: Option<&str>| RoutedPort {
        name: name.to_owned(),
        port,
        listen: listen[&("web", port)],
        app_protocol: app_protocol.map(str::to_owned),
    };
    assert_eq!(said.ports, [port("http", 80, Some("kubernetes.io/h2c")), port("admin", 9000, None)]);
    assert_eq!((said.baseline.as_str(), said.affinity_seconds), ("web--baseline", Some(10_800)));
    assert_eq!(web["spec"].get("publishNotReadyAddresses"), None, "a router that is not ready gets nothing");
    let original = find(&objects, "Service", "web--baseline");
    assert_eq!(original["spec"]["publishNotReadyAddresses"], true);
    assert_eq!(original["spec"]["ports"][0]["targetPort"], "web");
    assert_eq!(original["metadata"].get("annotations"), None);

    let hour = json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 3600}}, "ports": [{"port": 80}]});
    let (routed, _) = applied(&[workload("web"), service("web", "web", hour)]);
    assert_eq!(routed.services["web"].affinity_seconds, Some(3600));
}

#[test]
fn what_cannot_be_routed_is_left_alone_and_said_where_it_is_mapped() {
    let dns = json!({"ports": [{"name": "tcp", "port": 53}, {"name": "udp", "port": 53, "protocol": "UDP"}]});
    let objects = [
        workload("web"),
        workload("mail"),
        service("dns", "web", dns),
        service("headless", "web", json!({"clusterIP": "None", "ports": [{"port": 80}]})),
        service("local", "web", json!({"internalTrafficPolicy": "Local", "ports": [{"port": 80}]})),
        service("elsewhere", "web", json!({"type": "ExternalName", "externalName": "example.com"})),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "bare"}, "spec": {"ports": [{"port": 80}]}}),
        service("mail", "mail", one_port()),
    ];
    let (routed, after) = applied(&objects);
    assert_eq!(after, objects, "nothing is routed, so there is no router either");
    let said: Vec<&str> = routed.reasons.iter().map(|reason| reason.text.as_str()).collect();
    assert_eq!(
        said,
        [
            "its Service dns is not routed: it has a port for UDP, and only TCP can be routed",
            "its Service headless is not routed: it is headless, so clients dial its pods by their own addresses",
            "its Service local is not routed: with internalTrafficPolicy Local it would answer only on nodes that run a router",
        ]
    );
}

#[test]
fn a_service_of_a_workload_outside_the_mapping_is_routed_while_a_branch_runs_it() {
    let objects =
        [workload("web"), workload("mail"), service("web", "web", one_port()), service("mail", "mail", one_port())];
    let key: EnvironmentKey = "feature-x-abc234".parse().expect("legal");
    let (mapped, both) = (catalog(&["web"]), ["mail", "web"]);
    let copies = |names: &[&str]| run(names);
    let inside = run_by(both.into_iter(), &[(&key, &copies(&["web--feature-x-abc234", "new--feature-x-abc234"]))]);
    assert_eq!(inside, run(&["web"]));
    assert_eq!(choose(&objects, &mapped, &inside), choose(&objects, &mapped, &BTreeSet::new()), "the base stays");

    let other: EnvironmentKey = "other-abc234".parse().expect("legal");
    let (nothing, mail) = (BTreeSet::new(), copies(&["mail--other-abc234"]));
    let outside = run_by(both.into_iter(), &[(&key, &nothing), (&other, &mail)]);
    let routed = choose(&objects, &mapped, &outside);
    assert_eq!(names(&routed), both);
    assert!(routed.reasons[0].text.contains("mail is routed while a branch runs it"), "{:?}", routed.reasons);
    let before = choose(&objects, &mapped, &BTreeSet::new());
    assert_eq!(routed.services["web"], before.services["web"], "what was routed stays as it was");
}

#[test]
fn a_long_name_of_a_branchs_copy_is_known_again() {
    let (long, key) = ("a".repeat(60), "feature-x-abc234".parse().expect("legal"));
    let copies = run(&[RoutedService::of_branch(&long, &key).as_str()]);
    assert_eq!(run_by([long.as_str()].into_iter(), &[(&key, &copies)]), run(&[&long]));
}

#[test]
fn a_name_that_the_original_needs_is_refused() {
    let objects = [workload("web"), service("web", "web", one_port()), service("web--baseline", "db", one_port())];
    let mut routed = choose(&objects, &catalog(&["web"]), &BTreeSet::new());
    let error = routed.apply(&mut objects.to_vec(), &RouterSettings::default(), &Labels::new()).expect_err("taken");
    assert!(error.to_string().starts_with("Service web--baseline has the name"), "{error}");
}

#[test]
fn more_ports_than_routers_have_leave_the_service_alone() {
    let ports: Vec<Value> = (1..=22_000).map(|port| json!({ "port": port })).collect();
    let objects =
        [workload("web"), service("many", "web", json!({ "ports": ports })), service("web", "web", one_port())];
    let routed = choose(&objects, &catalog(&["web"]), &BTreeSet::new());
    assert_eq!(names(&routed), ["web"]);
    assert!(routed.problems[0].message.contains("too few router ports"), "{:?}", routed.problems);
}

#[test]
fn the_routers_objects_are_these() {
    let (_, objects) = applied(&[workload("web"), service("web", "web", one_port())]);
    let own: Vec<&Value> = objects.iter().filter(|object| name(object) == "lapdev-router").collect();
    let shown = serde_json::to_string_pretty(&own).expect("JSON").replace(env!("CARGO_PKG_VERSION"), "VERSION");
    insta::assert_snapshot!("router", shown);
}

#[test]
fn a_budget_over_every_pod_leaves_the_routers_to_their_own() {
    let budget = |selector: Value| json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "all"}, "spec": {"selector": selector}});
    let selector = |selector: Value| {
        let (_, objects) = applied(&[workload("web"), service("web", "web", one_port()), budget(selector)]);
        find(&objects, "PodDisruptionBudget", "all")["spec"]["selector"].clone()
    };
    let spared = json!({"matchExpressions": [{"key": "lapdev.dev/router", "operator": "DoesNotExist"}]});
    assert_eq!(selector(json!({})), spared);
    assert_eq!(selector(json!({"matchLabels": {"app": "web"}})), json!({"matchLabels": {"app": "web"}}));
}
