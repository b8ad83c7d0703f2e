//! Reading a NetworkPolicy as network.k8s.io defines it: whom it selects, and which peers and ports a rule lets through.
//!
//! An `ipBlock` means addresses outside of the cluster, as its documentation says, so no pod is in one; but the block of
//! all addresses, without exceptions, means every pod too. What else a network plugin makes of pods' addresses cannot be
//! known here.

use super::entrance::Pod;
use crate::render::{
    object::{group, kind},
    selector::{self, Labels},
};
use serde_json::Value;

/// Whether an object is one.
pub(super) fn is_policy(object: &Value) -> bool {
    group(object) == "networking.k8s.io" && kind(object) == "NetworkPolicy"
}

/// What a policy is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Ingress,
    Egress,
}

impl Direction {
    fn policy_type(self) -> &'static str {
        if self == Self::Ingress { "Ingress" } else { "Egress" }
    }

    /// The field of a policy that holds its rules.
    pub fn rules(self) -> &'static str {
        if self == Self::Ingress { "ingress" } else { "egress" }
    }

    /// The field of a rule that holds its peers.
    pub fn peers(self) -> &'static str {
        if self == Self::Ingress { "from" } else { "to" }
    }
}

/// Whether the pods that a policy selects may do in this direction only what some rule lets them.
pub(super) fn governs(policy: &Value, direction: Direction) -> bool {
    match policy.pointer("/spec/policyTypes").and_then(Value::as_array).filter(|types| !types.is_empty()) {
        Some(types) => types.iter().any(|one| one == direction.policy_type()),
        None => direction == Direction::Ingress || !rules(policy, direction).is_empty(),
    }
}

/// Whether it selects such a pod of its namespace.
pub(super) fn selects(policy: &Value, labels: &Labels) -> bool {
    selector::selects(policy.pointer("/spec/podSelector").unwrap_or(&Value::Null), labels)
}

/// Its rules.
pub(super) fn rules(policy: &Value, direction: Direction) -> &[Value] {
    policy["spec"].get(direction.rules()).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A rule's peers; none means everybody.
pub(super) fn peers(rule: &Value, direction: Direction) -> Option<&Vec<Value>> {
    rule.get(direction.peers()).and_then(Value::as_array).filter(|peers| !peers.is_empty())
}

/// Whether a rule speaks of the port that connections to this pod arrive at.
pub(super) fn names_port(rule: &Value, pod: &Pod) -> bool {
    let ports = rule.get("ports").and_then(Value::as_array).filter(|ports| !ports.is_empty());
    ports.is_none_or(|ports| ports.iter().any(|port| is_port(port, pod)))
}

fn is_port(port: &Value, pod: &Pod) -> bool {
    if port.get("protocol").is_some_and(|protocol| protocol != "TCP") {
        return false;
    }
    match port.get("port") {
        None | Some(Value::Null) => true,
        Some(Value::String(name)) => pod.names.contains(name),
        Some(first) => {
            let last = port.get("endPort").filter(|last| !last.is_null()).unwrap_or(first);
            let number = |bound: &Value| bound.as_u64();
            matches!((number(first), number(last), pod.port.map(u64::from)),
                (Some(first), Some(last), Some(own)) if (first..=last).contains(&own))
        }
    }
}

/// Whether a peer is such a pod of this namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Is {
    Not,
    /// It depends on what cannot be known here: other labels of the namespace, or addresses of pods.
    Perhaps,
    Surely,
}

/// Whether a peer is such a pod; `namespace` are the labels that its namespace surely has.
pub(super) fn is_peer(peer: &Value, labels: &Labels, namespace: &Labels) -> Is {
    if let Some(block) = peer.get("ipBlock") {
        return address_block(block);
    }
    let pods = peer.get("podSelector").filter(|selector| !selector.is_null());
    if pods.is_some_and(|pods| !selector::selects(pods, labels)) {
        return Is::Not;
    }
    match peer.get("namespaceSelector").filter(|selector| !selector.is_null()) {
        Some(selector) if selector::selects(selector, namespace) => Is::Surely,
        Some(selector) if asks_for_others(selector, namespace) => Is::Perhaps,
        Some(_) => Is::Not,
        None => Is::Surely,
    }
}

fn asks_for_others(selector: &Value, known: &Labels) -> bool {
    let equal = selector.get("matchLabels").and_then(Value::as_object).into_iter().flat_map(|labels| labels.keys());
    let expressions = selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten();
    let keys = expressions.filter_map(|expression| expression.get("key")?.as_str());
    equal.map(String::as_str).chain(keys).any(|key| !known.contains_key(key))
}

fn address_block(block: &Value) -> Is {
    let cidr = block.get("cidr").and_then(Value::as_str).unwrap_or_default();
    let whole = matches!(cidr, "0.0.0.0/0" | "::/0");
    let except = block.get("except").and_then(Value::as_array).is_some_and(|except| !except.is_empty());
    let address = cidr.split('/').next().and_then(|address| address.parse().ok());
    match address {
        _ if whole && !except => Is::Surely,
        Some(std::net::IpAddr::V4(address)) if address.is_private() => Is::Perhaps,
        Some(std::net::IpAddr::V6(address)) if address.is_unique_local() => Is::Perhaps,
        _ => Is::Not,
    }
}

/// Whether an egress rule lets connections through to this pod, at its port.
pub(super) fn lets_out(rule: &Value, pod: &Pod, namespace: &Labels) -> bool {
    let is_it = |peer: &Value| is_peer(peer, &pod.labels, namespace) == Is::Surely;
    names_port(rule, pod) && peers(rule, Direction::Egress).is_none_or(|peers| peers.iter().any(is_it))
}
