//! Named examples, and a property: over random policies, who could reach a Service's pods reaches them through the
//! router and nobody else does. What a NetworkPolicy means is written down here a second time, on its own.

use super::*;
use crate::render::routed::router_labels;
use lapdev_api::{name::compose, route::router_ports};
use proptest::prelude::*;

/// One end of a connection.
#[derive(Debug, Clone, PartialEq)]
enum End {
    /// A pod of the namespace: its labels, and what it calls its ports.
    Pod(Value, Vec<(&'static str, u16)>),
    /// A pod of a namespace with these labels.
    Elsewhere(Value, Value),
    /// Somebody with this address.
    Outside([u8; 4]),
}

/// Whether the policies of the namespace let `from` connect to `port` of the pod `to`.
fn reaches(policies: &[Value], from: &End, to: &End, port: u16) -> bool {
    let End::Pod(labels, names) = to else { panic!("only pods of the namespace are dialled") };
    let governing = |kind: &'static str, pod: &Value| {
        let pod = pod.clone();
        let of_kind = move |policy: &&Value| {
            let types = policy["spec"]["policyTypes"].as_array().cloned().unwrap_or_default();
            let is = if types.is_empty() {
                kind == "Ingress" || policy["spec"]["egress"].as_array().is_some_and(|rules| !rules.is_empty())
            } else {
                types.contains(&json!(kind))
            };
            is && chosen(&policy["spec"]["podSelector"], &pod)
        };
        policies.iter().filter(of_kind).collect::<Vec<_>>()
    };
    let passes = |governing: Vec<&Value>, rules: &str, peers: &str, other: &End| {
        governing.is_empty()
            || governing.iter().filter_map(|policy| policy["spec"][rules].as_array()).flatten().any(|rule| {
                let everybody = rule[peers].as_array().is_none_or(Vec::is_empty);
                let peer = everybody || rule[peers].as_array().into_iter().flatten().any(|peer| is_it(peer, other));
                let any_port = rule["ports"].as_array().is_none_or(Vec::is_empty);
                peer && (any_port || rule["ports"].as_array().into_iter().flatten().any(|p| covers(p, port, names)))
            })
    };
    let out = match from {
        End::Pod(own, _) => passes(governing("Egress", own), "egress", "to", to),
        End::Elsewhere(..) | End::Outside(_) => true,
    };
    out && passes(governing("Ingress", labels), "ingress", "from", from)
}

fn covers(port: &Value, number: u16, names: &[(&'static str, u16)]) -> bool {
    if port["protocol"] == "UDP" {
        return false;
    }
    match &port["port"] {
        Value::Null => true,
        Value::String(name) => names.iter().any(|(own, at)| own == name && *at == number),
        first => {
            let last = if port["endPort"].is_null() { first } else { &port["endPort"] };
            first.as_u64() <= Some(number.into()) && Some(u64::from(number)) <= last.as_u64()
        }
    }
}

fn is_it(peer: &Value, end: &End) -> bool {
    let inside = json!({ "kubernetes.io/metadata.name": "lapdev-env-staging" });
    if let Some(block) = peer.get("ipBlock") {
        let (cidr, except) = (block["cidr"].as_str(), block["except"].as_array().map_or(0, Vec::len));
        return match end {
            // Two blocks are in use: of everything, and 198.51.100.0/24; the exception is the latter.
            End::Outside(address) => match cidr {
                Some("0.0.0.0/0") => except == 0 || address[0] != 198,
                _ => address[0] == 198,
            },
            End::Pod(..) | End::Elsewhere(..) => cidr == Some("0.0.0.0/0") && except == 0,
        };
    }
    match end {
        End::Outside(_) => false,
        End::Pod(labels, _) => {
            (peer["namespaceSelector"].is_null() || chosen(&peer["namespaceSelector"], &inside))
                && (peer["podSelector"].is_null() || chosen(&peer["podSelector"], labels))
        }
        End::Elsewhere(namespace, labels) => {
            !peer["namespaceSelector"].is_null()
                && chosen(&peer["namespaceSelector"], namespace)
                && (peer["podSelector"].is_null() || chosen(&peer["podSelector"], labels))
        }
    }
}

fn chosen(selector: &Value, labels: &Value) -> bool {
    let equal = selector["matchLabels"].as_object().into_iter().flatten().all(|(key, value)| &labels[key] == value);
    let expressions = selector["matchExpressions"].as_array().into_iter().flatten().all(|expression| {
        let value = &labels[expression["key"].as_str().expect("a key")];
        let listed = expression["values"].as_array().is_some_and(|values| values.contains(value));
        match expression["operator"].as_str() {
            Some("In") => listed,
            Some("NotIn") => !listed,
            Some("Exists") => !value.is_null(),
            _ => value.is_null(),
        }
    });
    equal && expressions
}

fn workload(app: &str, tier: &str, port: u16) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": app},
        "spec": {"template": {
            "metadata": {"labels": {"app": app, "tier": tier}},
            "spec": {"containers": [{"name": app, "ports": [{"name": "http", "containerPort": port}]}]},
        }},
    })
}

fn service(named: &str, selector: &Value, target: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": named},
        "spec": {"selector": selector, "ports": [{"port": 80, "targetPort": target}]},
    })
}

const APPS: [(&str, &str, u16); 3] = [("web", "front", 8080), ("cart", "back", 8080), ("db", "back", 5432)];

fn pod((app, tier, port): (&str, &str, u16)) -> End {
    End::Pod(json!({ "app": app, "tier": tier, "lapdev.dev/branch": "baseline" }), vec![("http", port)])
}

/// Three workloads and five Services: two of one workload on one port, one of two workloads.
fn shop() -> Vec<Value> {
    let mut objects: Vec<Value> = APPS.map(|(app, tier, port)| workload(app, tier, port)).to_vec();
    objects.extend([
        service("web", &json!({"app": "web"}), &json!(8080)),
        service("web-external", &json!({"app": "web"}), &json!("http")),
        service("cart", &json!({"app": "cart"}), &json!("http")),
        service("db", &json!({"app": "db"}), &json!(5432)),
        service("back", &json!({"tier": "back"}), &json!("http")),
    ]);
    objects
}

fn behind(service: &str) -> Vec<(&'static str, &'static str, u16)> {
    let of = |(app, tier, _): &(&str, &str, u16)| match service {
        "web-external" => *app == "web",
        "back" => *tier == "back",
        name => *app == name,
    };
    APPS.into_iter().filter(of).collect()
}

fn routed(names: &[&str]) -> BTreeMap<String, RoutedService> {
    let listen = router_ports(names.iter().map(|name| (*name, 80)));
    let one = |name: &&str| {
        let port = lapdev_api::route::RoutedPort {
            name: String::new(),
            port: 80,
            listen: listen[&(*name, 80)],
            app_protocol: None,
        };
        let service = RoutedService { baseline: compose(name, "baseline"), ports: vec![port], affinity_seconds: None };
        ((*name).to_owned(), service)
    };
    names.iter().map(one).collect()
}

fn namespace() -> Labels {
    namespace_labels(&"lapdev-env-staging".parse().expect("legal"), &"aaaaaaaaaaaaaaaa".parse().expect("legal"))
}

/// What can be routed under these policies, and the policies afterwards.
fn translated(policies: &[Value]) -> (BTreeMap<String, RoutedService>, Vec<Value>, Vec<Problem>) {
    let mut objects = shop();
    objects.extend(policies.iter().cloned());
    let mut names = vec!["web", "web-external", "cart", "db", "back"];
    loop {
        let services = routed(&names);
        let refused = refused(&objects, &services, &namespace());
        if refused.is_empty() {
            let problems = translate(&mut objects, &services, &namespace());
            return (services, objects.into_iter().filter(is_policy).collect(), problems);
        }
        names.retain(|name| !refused.contains_key(*name));
    }
}

fn clients() -> Vec<End> {
    let elsewhere = |name: &str, app: &str| {
        End::Elsewhere(json!({ "kubernetes.io/metadata.name": name, "team": "x" }), json!({ "app": app }))
    };
    let mut all: Vec<End> = APPS.map(pod).to_vec();
    all.push(End::Pod(json!({ "job": "clean" }), vec![]));
    all.extend([elsewhere("other", "web"), elsewhere("ingress", "nginx")]);
    all.extend([End::Outside([203, 0, 113, 1]), End::Outside([198, 51, 100, 7])]);
    all
}

fn router() -> End {
    End::Pod(Value::Object(router_labels()), vec![])
}

/// The property; says how many pairs could reach each other, so that a test can tell that it tested something.
fn assert_the_same(before: &[Value]) -> usize {
    let (services, after, _) = translated(before);
    let mut open = 0;
    for (name, service) in &services {
        let listen = service.ports[0].listen;
        for target in behind(name) {
            let (pod, port) = (pod(target), target.2);
            for client in clients() {
                let direct = reaches(before, &client, &pod, port);
                let through = reaches(&after, &client, &router(), listen) && reaches(&after, &router(), &pod, port);
                assert_eq!(direct, through, "{client:?} to {name}\nbefore {before:#?}\nafter {after:#?}");
                open += usize::from(direct);
            }
        }
    }
    for target in APPS {
        for client in clients() {
            for port in [53, 443, 5432, 8080, 8443, 12_000, 40_000] {
                let (was, is) =
                    (reaches(before, &client, &pod(target), port), reaches(&after, &client, &pod(target), port));
                assert_eq!(was, is, "{client:?} past the router to {target:?} {port}");
            }
        }
    }
    assert!(reaches(&after, &End::Outside([10, 0, 0, 1]), &router(), ADMIN_PORT), "the kubelet asks for readiness");
    open
}

fn policy(name: &str, spec: &Value) -> Value {
    json!({ "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name}, "spec": spec })
}

fn a_selector() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!({}),
        json!({"matchLabels": {"app": "web"}}),
        json!({"matchLabels": {"app": "cart"}}),
        json!({"matchLabels": {"tier": "back"}}),
        json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["db"]}]}),
        json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "db"]}]}),
        json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]}),
        json!({"matchExpressions": [{"key": "job", "operator": "DoesNotExist"}]}),
    ])
}

fn a_peer() -> impl Strategy<Value = Value> {
    let namespaces = vec![
        json!({}),
        json!({"matchLabels": {"kubernetes.io/metadata.name": "lapdev-env-staging"}}),
        json!({"matchLabels": {"kubernetes.io/metadata.name": "other"}}),
    ];
    let namespace = prop::sample::select(namespaces);
    let block = prop::sample::select(vec![
        json!({"ipBlock": {"cidr": "0.0.0.0/0"}}),
        json!({"ipBlock": {"cidr": "0.0.0.0/0", "except": ["198.51.100.0/24"]}}),
        json!({"ipBlock": {"cidr": "198.51.100.0/24"}}),
    ]);
    prop_oneof![
        4 => a_selector().prop_map(|pods| json!({ "podSelector": pods })),
        1 => namespace.clone().prop_map(|namespace| json!({ "namespaceSelector": namespace })),
        1 => (namespace, a_selector())
            .prop_map(|(namespace, pods)| json!({ "namespaceSelector": namespace, "podSelector": pods })),
        1 => block,
    ]
}

fn a_rule(peers: &'static str) -> impl Strategy<Value = Value> {
    let port = prop::sample::select(vec![
        json!({"port": 8080}),
        json!({"port": 5432, "protocol": "TCP"}),
        json!({"port": "http"}),
        json!({"port": 8000, "endPort": 9000}),
        json!({"port": 10_000, "endPort": 65535}),
        json!({"port": 53, "protocol": "UDP"}),
        json!({"protocol": "TCP"}),
    ]);
    (prop::collection::vec(a_peer(), 0..3), prop::collection::vec(port, 0..3)).prop_map(move |(who, ports)| {
        let mut rule = json!({});
        if !who.is_empty() {
            rule[peers] = Value::Array(who);
        }
        if !ports.is_empty() {
            rule["ports"] = Value::Array(ports);
        }
        rule
    })
}

fn a_policy() -> impl Strategy<Value = Value> {
    let ingress = prop::option::of(prop::collection::vec(a_rule("from"), 0..3));
    let egress = prop::option::of(prop::collection::vec(a_rule("to"), 0..3));
    (a_selector(), ingress, egress, any::<bool>()).prop_map(|(pods, ingress, egress, says_types)| {
        let mut spec = json!({ "podSelector": pods });
        let types = [("Ingress", ingress.is_some()), ("Egress", egress.is_some())];
        if says_types {
            spec["policyTypes"] = types.iter().filter(|(_, is)| *is).map(|(name, _)| json!(name)).collect();
        }
        for (field, rules) in [("ingress", ingress), ("egress", egress)] {
            if let Some(rules) = rules {
                spec[field] = Value::Array(rules);
            }
        }
        policy("any", &spec)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn who_could_reach_a_services_pods_reaches_them_through_the_router_and_nobody_else(
        mut policies in prop::collection::vec(a_policy(), 0..5),
    ) {
        for (index, policy) in policies.iter_mut().enumerate() {
            policy["metadata"]["name"] = json!(format!("policy-{index}"));
        }
        assert_the_same(&policies);
        let mut reversed = policies.clone();
        reversed.reverse();
        assert_eq!(sorted(&policies), sorted(&reversed), "the order of files means nothing");
    }
}

fn sorted(policies: &[Value]) -> Vec<Value> {
    let (_, mut after, _) = translated(policies);
    after.sort_by_key(|policy| name(policy).to_owned());
    after
}

fn app(name: &str) -> Value {
    json!({ "podSelector": {"matchLabels": {"app": name}} })
}

fn named<'o>(policies: &'o [Value], wanted: &str) -> &'o Value {
    policies.iter().find(|policy| name(policy) == wanted).expect("it is there")
}

#[test]
fn a_namespace_that_denies_everything_and_opens_some_is_translated_rule_by_rule() {
    let policies = [
        policy("deny", &json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})),
        policy(
            "cart",
            &json!({"podSelector": {"matchLabels": {"app": "cart"}}, "ingress": [{"from": [app("web")], "ports": [{"port": 8080}]}]}),
        ),
        policy(
            "web",
            &json!({"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Egress"], "egress": [{"to": [app("cart")], "ports": [{"port": "http"}]}]}),
        ),
    ];
    assert_eq!(assert_the_same(&policies), 1, "web reaches cart, and that is all");
    let (services, after, problems) = translated(&policies);
    // `back` leads to the database as well, which the policy does not open.
    assert_eq!(services.keys().collect::<Vec<_>>(), ["cart", "db", "web", "web-external"]);
    assert_eq!(problems, []);
    let cart = services["cart"].ports[0].listen;
    let spared = json!({"matchExpressions": [{"key": "lapdev.dev/router", "operator": "DoesNotExist"}]});
    assert_eq!(named(&after, "deny")["spec"]["podSelector"], spared, "the routers must reach the API server");
    assert_eq!(
        named(&after, "web")["spec"]["egress"][1],
        json!({"to": [{"podSelector": {"matchLabels": {"lapdev.dev/router": "true"}}}], "ports": [{"protocol": "TCP", "port": cart}]})
    );
    assert_eq!(
        named(&after, "lapdev-router")["spec"]["ingress"],
        json!([
            {"ports": [{"protocol": "TCP", "port": 9990}]},
            {"from": [app("web")], "ports": [{"protocol": "TCP", "port": cart}]},
        ])
    );
    let opened = &named(&after, "lapdev-router-to-cart")["spec"];
    assert_eq!(opened["podSelector"], json!({"matchLabels": {"app": "cart"}}));
}

#[test]
fn policies_that_select_no_routed_workload_change_nothing() {
    let spec = json!({"podSelector": {"matchLabels": {"job": "clean"}}, "ingress": []});
    let policies = [policy("jobs", &spec)];
    assert_eq!(translated(&policies).1, policies);
    let behind = [("web", 1), ("web-external", 1), ("cart", 1), ("db", 1), ("back", 2)];
    let pods: usize = behind.iter().map(|(_, pods)| pods).sum();
    assert_eq!(assert_the_same(&[]), pods * clients().len(), "without policies everybody reaches everything");
}

#[test]
fn a_rule_that_names_whom_it_does_not_mean_opens_no_router_port() {
    // The routers are not the database either: as a peer, they must not stand for it.
    let but_db = json!({"podSelector": {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["db"]}]}});
    let policies =
        [policy("web", &json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [but_db]}]}))];
    assert_the_same(&policies);
    let (services, after, _) = translated(&policies);
    let to_router = |service: &str| reaches(&after, &pod(APPS[0]), &router(), services[service].ports[0].listen);
    assert_eq!((to_router("cart"), to_router("db")), (true, false));
}

#[test]
fn ports_everywhere_that_cover_a_router_port_keep_their_service_from_being_routed() {
    let egress = json!([{"ports": [{"port": 10000, "endPort": 32000}]}]);
    let policies = [policy("high", &json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": egress}))];
    let services = routed(&["web"]);
    let mut objects = shop();
    objects.extend(policies);
    let why = refused(&objects, &services, &namespace());
    assert!(why["web"].starts_with("NetworkPolicy high lets pods connect to port"), "{why:?}");
}

#[test]
fn what_cannot_be_known_or_read_is_said() {
    let team =
        json!({"namespaceSelector": {"matchLabels": {"team": "shop"}}, "podSelector": {"matchLabels": {"app": "db"}}});
    let block = json!({"ipBlock": {"cidr": "10.0.0.0/8"}});
    let egress = |peer: &Value| json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [peer], "ports": [{"port": 5432}]}]});
    for peer in [team, block] {
        let (_, _, problems) = translated(&[policy("out", &egress(&peer))]);
        assert_eq!(problems.len(), 1, "{peer}");
        assert!(
            problems[0].message.starts_with("NetworkPolicy out may let pods connect to those of Service db"),
            "{problems:?}"
        );
    }
    let internet = json!({"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}});
    assert_eq!(translated(&[policy("out", &egress(&internet))]).2, [], "that means nobody in the cluster");
    let cilium = json!({"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": {"name": "web"}});
    let (_, _, problems) = translated(&[cilium]);
    assert_eq!(problems[0].reason, "PolicyNotTranslated");
}
