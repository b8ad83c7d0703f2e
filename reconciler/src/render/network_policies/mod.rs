//! NetworkPolicies of a base whose Services are routed: a client now connects to a router, and the router to the pods, so
//! what said who may reach the pods must say the same of both. Translated, never weakened. Pure.
//!
//! - One policy lets each client reach exactly those router ports whose pods it may reach.
//! - The pods that a policy closes are opened to the routers.
//! - Rules about where pods may connect to get the router ports of the Services whose pods they allow.
//! - The catalog's own policies never select a router: what they open for others would be open at every router port.
//!
//! A Service for which that cannot be done is not routed, and [`refused`] says why. Policies of other namespaces cannot
//! be seen here.

mod entrance;
mod rule;
#[cfg(test)]
mod tests;

use super::{
    object::{group, kind, name},
    routed::router_labels,
    selector::{self, Labels},
};
use entrance::{Entrance, Pod, entrances};
use lapdev_api::{
    labels,
    name::{ControlPlaneId, Namespace},
    record::Problem,
    route::{ADMIN_PORT, ROUTER, RoutedService},
};
use rule::{Direction, Is, governs, is_peer, is_policy, lets_out, names_port, peers, rules, selects};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The labels that the namespace of an environment surely has.
pub(super) fn namespace_labels(namespace: &Namespace, control_plane: &ControlPlaneId) -> Labels {
    let labels = json!({ "kubernetes.io/metadata.name": namespace, (labels::CONTROL_PLANE): control_plane });
    labels.as_object().cloned().unwrap_or_default()
}

/// The routed Services that cannot be, since what keeps others from their pods could not be translated; each with why.
pub(super) fn refused(
    objects: &[Value],
    routed: &BTreeMap<String, RoutedService>,
    namespace: &Labels,
) -> BTreeMap<String, String> {
    let policies = policies(objects);
    let mut refused = BTreeMap::new();
    for entrance in entrances(objects, routed) {
        let why = || unlike(&policies, &entrance, namespace).or_else(|| too_open(&policies, &entrance, namespace));
        if let Some(why) = why() {
            refused.entry(name(entrance.service).to_owned()).or_insert(why);
        }
    }
    refused
}

/// Pods behind one router port that policies treat differently could not be told apart at the router.
fn unlike(policies: &[&Value], entrance: &Entrance<'_>, namespace: &Labels) -> Option<String> {
    let (first, rest) = entrance.pods.split_first()?;
    let differs = |policy: &&&Value| {
        let told = told_of(policy, first, namespace);
        rest.iter().any(|pod| told_of(policy, pod, namespace) != told)
    };
    let policy = policies.iter().find(differs)?;
    let named = name(policy);
    Some(format!("NetworkPolicy {named} treats the pods behind it differently; give each kind a Service of its own"))
}

/// Everything that a policy says of a pod.
fn told_of(policy: &Value, pod: &Pod, namespace: &Labels) -> Vec<bool> {
    let ingress = rules(policy, Direction::Ingress).iter().map(|rule| names_port(rule, pod));
    let egress = rules(policy, Direction::Egress).iter().map(|rule| lets_out(rule, pod, namespace));
    [selects(policy, &pod.labels)].into_iter().chain(ingress).chain(egress).collect()
}

/// A rule that lets pods connect to a range of ports everywhere may cover the router port, but not the pods' own.
fn too_open(policies: &[&Value], entrance: &Entrance<'_>, namespace: &Labels) -> Option<String> {
    let router = entrance.router();
    let opens = |rule: &Value| lets_out(rule, &router, namespace) && !can_exclude(rule, &router, namespace);
    let policy = policies.iter().find(|policy| {
        governs(policy, Direction::Egress)
            && !lets_to(policy, &entrance.pods[0], namespace)
            && rules(policy, Direction::Egress).iter().any(opens)
    })?;
    let (named, listen) = (name(policy), entrance.listen);
    Some(format!(
        "NetworkPolicy {named} lets pods connect to port {listen} everywhere, where the router would stand for it, and not \
         to its own pods; name peers in that rule, or fewer ports"
    ))
}

fn lets_to(policy: &Value, pod: &Pod, namespace: &Labels) -> bool {
    rules(policy, Direction::Egress).iter().any(|rule| lets_out(rule, pod, namespace))
}

/// Whether every peer through which a rule reaches the routers can be made to leave them out.
fn can_exclude(rule: &Value, router: &Pod, namespace: &Labels) -> bool {
    let by_block =
        |peer: &Value| peer.get("ipBlock").is_some() && is_peer(peer, &router.labels, namespace) == Is::Surely;
    peers(rule, Direction::Egress).is_some_and(|peers| !peers.iter().any(by_block))
}

/// Translates the policies among the base's objects. Services must still be as their source has them.
pub(super) fn translate(
    objects: &mut Vec<Value>,
    routed: &BTreeMap<String, RoutedService>,
    namespace: &Labels,
) -> Vec<Problem> {
    let before = objects.clone();
    let entrances = entrances(&before, routed);
    let mut problems = Vec::new();
    for policy in objects.iter_mut().filter(|object| is_policy(object)) {
        if governs(policy, Direction::Egress) {
            problems.extend(uncertain(policy, &entrances, namespace));
            lead_out(policy, &entrances, namespace);
        }
        if selects(policy, &router_labels()) {
            selector::exclude(&mut policy["spec"]["podSelector"], labels::ROUTER);
        }
    }
    problems.extend(before.iter().filter(|object| is_foreign_policy(object)).map(not_translated));
    let own = policies(&before);
    objects.extend(open_to_routers(&own, &entrances));
    objects.extend(guard_routers(&own, &entrances));
    problems.sort_by(|one, other| one.message.cmp(&other.message));
    problems
}

/// By name, so that nothing depends on the order in which they stand in files.
fn policies(objects: &[Value]) -> Vec<&Value> {
    let mut policies: Vec<&Value> = objects.iter().filter(|object| is_policy(object)).collect();
    policies.sort_by_key(|policy| name(policy));
    policies
}

/// Makes a policy let pods connect to exactly the router ports of the Services to whose pods it lets them connect.
fn lead_out(policy: &mut Value, entrances: &[Entrance<'_>], namespace: &Labels) {
    let wanted: Vec<bool> = entrances.iter().map(|one| lets_to(policy, &one.pods[0], namespace)).collect();
    let open = |rule: &Value, entrance: &Entrance<'_>| lets_out(rule, &entrance.router(), namespace);
    let all = policy["spec"].get_mut(Direction::Egress.rules()).and_then(Value::as_array_mut);
    for rule in all.into_iter().flatten() {
        if entrances.iter().zip(&wanted).any(|(entrance, wanted)| !wanted && open(rule, entrance)) {
            exclude_routers(rule, namespace);
        }
    }
    let has = |entrance: &Entrance<'_>| rules(policy, Direction::Egress).iter().any(|rule| open(rule, entrance));
    let missing: BTreeSet<u16> = entrances
        .iter()
        .zip(wanted)
        .filter(|(entrance, wanted)| *wanted && !has(entrance))
        .map(|(entrance, _)| entrance.listen)
        .collect();
    if let Some(all) = policy["spec"].get_mut(Direction::Egress.rules()).and_then(Value::as_array_mut)
        && !missing.is_empty()
    {
        all.push(json!({ "to": [routers()], "ports": ports(&missing) }));
    }
}

fn exclude_routers(rule: &mut Value, namespace: &Labels) {
    let labels = router_labels();
    let peers = rule.get_mut(Direction::Egress.peers()).and_then(Value::as_array_mut);
    for peer in peers.into_iter().flatten().filter(|peer| peer.get("ipBlock").is_none()) {
        if is_peer(peer, &labels, namespace) == Is::Surely {
            selector::exclude(&mut peer["podSelector"], labels::ROUTER);
        }
    }
}

/// Where a policy may mean pods of this namespace by what cannot be known here, routed Services may be closed to whom
/// they were open.
fn uncertain(policy: &Value, entrances: &[Entrance<'_>], namespace: &Labels) -> Option<Problem> {
    let perhaps = |entrance: &&Entrance<'_>| {
        let pod = &entrance.pods[0];
        let by_peer = |rule: &Value| {
            let peers = peers(rule, Direction::Egress).into_iter().flatten();
            let mut unknown = peers.filter(|peer| is_peer(peer, &pod.labels, namespace) == Is::Perhaps);
            names_port(rule, pod) && unknown.any(|peer| !covers_router(peer, rule, entrance))
        };
        !lets_to(policy, pod, namespace) && rules(policy, Direction::Egress).iter().any(by_peer)
    };
    let entrance = entrances.iter().find(perhaps)?;
    let (named, service) = (name(policy), name(entrance.service));
    let message = format!(
        "NetworkPolicy {named} may let pods connect to those of Service {service} by a namespace's labels or an address \
         block; through the router it does not. Name them by `podSelector` in a peer of its own"
    );
    Some(Problem { reason: "PolicyUncertain".to_owned(), message })
}

/// Whether a peer that means this namespace, or a block of pods' addresses, means the routers with it.
fn covers_router(peer: &Value, rule: &Value, entrance: &Entrance<'_>) -> bool {
    let router = entrance.router();
    let pods = peer.get("podSelector").filter(|selector| !selector.is_null());
    names_port(rule, &router) && pods.is_none_or(|pods| selector::selects(pods, &router.labels))
}

/// What opens pods that policies close and somebody may reach: each by the selector of one such policy and of the Service,
/// so that nothing is selected that was not closed already.
fn open_to_routers(policies: &[&Value], entrances: &[Entrance<'_>]) -> Vec<Value> {
    let mut opened: BTreeMap<&str, Value> = BTreeMap::new();
    for entrance in entrances {
        let service = name(entrance.service);
        let Some(policy) = closing(policies, entrance).next() else { continue };
        if lets_in(policies, entrance).next().is_none() {
            continue;
        }
        let spec = json!({
            "podSelector": both(entrance.service, policy),
            "policyTypes": ["Ingress"],
            "ingress": [{ "from": [routers()] }],
        });
        opened.entry(service).or_insert_with(|| network_policy(&format!("{ROUTER}-to-{service}"), &spec));
    }
    opened.into_values().collect()
}

/// The policies that close the pods of an entrance to whom no rule lets in.
fn closing<'p>(policies: &'p [&Value], entrance: &'p Entrance<'_>) -> impl Iterator<Item = &'p Value> {
    let closes = |policy: &&Value| governs(policy, Direction::Ingress) && selects(policy, &entrance.pods[0].labels);
    policies.iter().copied().filter(closes)
}

/// The rules that let somebody in to an entrance's pods, at its port.
fn lets_in<'p>(policies: &'p [&Value], entrance: &'p Entrance<'_>) -> impl Iterator<Item = &'p Value> {
    let all = closing(policies, entrance).flat_map(|policy| rules(policy, Direction::Ingress));
    all.filter(|rule| names_port(rule, &entrance.pods[0]))
}

/// A selector of the pods that both a Service and a policy select. They select the same pods, so they agree.
fn both(service: &Value, policy: &Value) -> Value {
    let mut selector = policy.pointer("/spec/podSelector").cloned().filter(Value::is_object).unwrap_or(json!({}));
    let own = service.pointer("/spec/selector").and_then(Value::as_object).cloned().unwrap_or_default();
    super::object::mapping(&mut selector, &["matchLabels"]).extend(own);
    selector
}

/// The policy of the routers: who may reach an entrance's pods may reach the entrance. Where none of the pods are closed
/// there is none.
fn guard_routers(policies: &[&Value], entrances: &[Entrance<'_>]) -> Option<Value> {
    if !entrances.iter().any(|entrance| closing(policies, entrance).next().is_some()) {
        return None;
    }
    // By peers, as JSON; none is everybody.
    let mut open: BTreeMap<Option<String>, BTreeSet<u16>> = BTreeMap::from([(None, BTreeSet::from([ADMIN_PORT]))]);
    for entrance in entrances {
        for rule in lets_in(policies, entrance) {
            let from = peers(rule, Direction::Ingress).map(|peers| Value::from(peers.clone()).to_string());
            open.entry(from).or_default().insert(entrance.listen);
        }
        if closing(policies, entrance).next().is_none() {
            open.entry(None).or_default().insert(entrance.listen);
        }
    }
    let rule = |(from, listen): (Option<String>, BTreeSet<u16>)| match from {
        None => json!({ "ports": ports(&listen) }),
        Some(from) => {
            let from: Value = serde_json::from_str(&from).expect("it was written just above");
            json!({ "from": from, "ports": ports(&listen) })
        }
    };
    let ingress: Vec<Value> = open.into_iter().map(rule).collect();
    let spec = json!({
        "podSelector": { "matchLabels": { (labels::ROUTER): "true" } }, "policyTypes": ["Ingress"], "ingress": ingress,
    });
    Some(network_policy(ROUTER, &spec))
}

/// The routers of this namespace, as a peer.
fn routers() -> Value {
    json!({ "podSelector": { "matchLabels": { (labels::ROUTER): "true" } } })
}

fn ports(numbers: &BTreeSet<u16>) -> Vec<Value> {
    numbers.iter().map(|number| json!({ "protocol": "TCP", "port": number })).collect()
}

fn network_policy(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": { "name": name }, "spec": spec,
    })
}

/// Policies of network plugins and meshes, which say more than can be read here.
fn is_foreign_policy(object: &Value) -> bool {
    match group(object) {
        "cilium.io" | "crd.projectcalico.org" | "projectcalico.org" => kind(object).ends_with("NetworkPolicy"),
        "security.istio.io" | "policy.linkerd.io" => kind(object).ends_with("AuthorizationPolicy"),
        _ => false,
    }
}

fn not_translated(policy: &Value) -> Problem {
    let (kind, named) = (kind(policy), name(policy));
    let message = format!(
        "{kind} {named} is not translated for the router, as NetworkPolicies are: let the pods labelled \
         lapdev.dev/router reach the workloads that it guards, and see docs/routing.md for who can then reach them"
    );
    Problem { reason: "PolicyNotTranslated".to_owned(), message }
}
