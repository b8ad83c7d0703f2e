//! What a router port stands for: a port of a routed Service, and the pods behind it as network plugins see them, that is
//! with the address translation of the Service undone.

use crate::render::{
    object::{group, kind, name, pod_template},
    routed::router_labels,
    selector::Labels,
    services,
};
use lapdev_api::{key::BASELINE, labels, route::RoutedService};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// One port of one routed Service.
#[derive(Debug)]
pub(super) struct Entrance<'o> {
    pub service: &'o Value,
    pub listen: u16,
    /// At least one. NetworkPolicies treat them alike, or the Service is not routed.
    pub pods: Vec<Pod>,
}

/// A pod, and the port that connections to it arrive at.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pod {
    pub labels: Labels,
    /// None where the Service names a port that the pod does not have.
    pub port: Option<u16>,
    /// What the pod itself calls it.
    pub names: BTreeSet<String>,
}

impl Entrance<'_> {
    /// The routers' pods, dialled at this entrance.
    pub fn router(&self) -> Pod {
        Pod { labels: router_labels(), port: Some(self.listen), names: BTreeSet::new() }
    }
}

/// Every entrance of the routed Services, which must be as their source has them.
pub(super) fn entrances<'o>(objects: &'o [Value], routed: &BTreeMap<String, RoutedService>) -> Vec<Entrance<'o>> {
    let mut all = Vec::new();
    for service in objects.iter().filter(|object| kind(object) == "Service" && group(object).is_empty()) {
        let Some(known) = routed.get(name(service)) else { continue };
        let templates: Vec<&Value> =
            objects.iter().filter(|object| services::selects(service, object)).filter_map(pod_template).collect();
        for own in &known.ports {
            let pods: Vec<Pod> = templates.iter().map(|template| pod(template, &target(service, own.port))).collect();
            if !pods.is_empty() {
                all.push(Entrance { service, listen: own.listen, pods });
            }
        }
    }
    all
}

/// The `targetPort` of a Service's port.
fn target(service: &Value, port: u16) -> Value {
    let ports = service.pointer("/spec/ports").and_then(Value::as_array);
    let own = ports.into_iter().flatten().find(|own| own["port"] == port);
    own.and_then(|own| own.get("targetPort")).filter(|target| !target.is_null()).cloned().unwrap_or(port.into())
}

fn pod(template: &Value, target: &Value) -> Pod {
    let mut labels = template.pointer("/metadata/labels").and_then(Value::as_object).cloned().unwrap_or_default();
    labels.insert(labels::BRANCH.to_owned(), BASELINE.into());
    let named: Vec<(&str, u16)> = container_ports(template).collect();
    let port = match target {
        Value::String(wanted) => named.iter().find(|(name, _)| name == wanted).map(|(_, port)| *port),
        number => number.as_u64().and_then(|number| u16::try_from(number).ok()),
    };
    let names = named.iter().filter(|(_, own)| Some(*own) == port).map(|(name, _)| (*name).to_owned()).collect();
    Pod { labels, port, names }
}

/// The named TCP ports of a pod, init containers' included: those that go on running may have some.
fn container_ports(template: &Value) -> impl Iterator<Item = (&str, u16)> {
    let containers = ["/spec/containers", "/spec/initContainers"];
    let all = containers.into_iter().filter_map(|list| template.pointer(list)?.as_array()).flatten();
    all.filter_map(|container| container.get("ports")?.as_array()).flatten().filter_map(|port| {
        let tcp = port.get("protocol").is_none_or(|protocol| protocol == "TCP");
        let number = u16::try_from(port.get("containerPort")?.as_u64()?).ok()?;
        port.get("name")?.as_str().filter(|_| tcp).map(|name| (name, number))
    })
}
