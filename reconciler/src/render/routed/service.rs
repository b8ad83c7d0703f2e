//! One Service: whether it can be routed, what the routed one and the original become.

use crate::render::{
    object::{kind, mapping, name, text},
    services,
};
use lapdev_api::{
    labels,
    name::compose,
    route::{ORIGINAL, RoutedPort, RoutedService},
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// How long Kubernetes keeps a client with an endpoint where a Service asks for it and says no time.
const DEFAULT_AFFINITY_SECONDS: u32 = 10_800;

/// What keeps a Service that leads to pods from being routed, to follow "it is not routed: ".
pub(super) fn obstacle(service: &Value) -> Option<String> {
    if ["/spec/clusterIP", "/spec/clusterIPs/0"].iter().any(|field| text(service, field) == "None") {
        return Some("it is headless, so clients dial its pods by their own addresses".to_owned());
    }
    if text(service, "/spec/internalTrafficPolicy") == "Local" {
        return Some("with internalTrafficPolicy Local it would answer only on nodes that run a router".to_owned());
    }
    let other = ports(service).map(protocol).find(|protocol| *protocol != "TCP");
    other.map(|protocol| format!("it has a port for {protocol}, and only TCP can be routed"))
}

/// What people should know of a Service that is routed, to follow its name.
pub(super) fn caution(service: &Value) -> Option<&'static str> {
    (text(service, "/spec/externalTrafficPolicy") == "Local").then_some(
        "is routed with externalTrafficPolicy Local: from outside the cluster it answers only on nodes that run a router \
         (lapdev-router, two pods), as it did only on those that run one of its own pods",
    )
}

/// Its ports' numbers; none where the API server would refuse it.
pub(super) fn port_numbers(service: &Value) -> Option<Vec<u16>> {
    let numbers: Vec<u16> = ports(service).map(number).collect::<Option<_>>()?;
    (!numbers.is_empty()).then_some(numbers)
}

/// All that is to be known of it when it is routed, with these router ports.
pub(super) fn routed(service: &Value, listen: &BTreeMap<(&str, u16), u16>) -> RoutedService {
    let of = |port: &Value| {
        let number = number(port)?;
        let optional = |field: &str| port.get(field).and_then(Value::as_str).map(str::to_owned);
        let listen = *listen.get(&(name(service), number))?;
        Some(RoutedPort {
            name: optional("name").unwrap_or_default(),
            port: number,
            listen,
            app_protocol: optional("appProtocol"),
        })
    };
    let affinity = (text(service, "/spec/sessionAffinity") == "ClientIP").then(|| {
        let seconds = service.pointer("/spec/sessionAffinityConfig/clientIP/timeoutSeconds").and_then(Value::as_u64);
        seconds.and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or(DEFAULT_AFFINITY_SECONDS)
    });
    RoutedService {
        baseline: compose(name(service), ORIGINAL),
        ports: ports(service).filter_map(of).collect(),
        affinity_seconds: affinity,
    }
}

/// Leads the Service to the routers. Its name, addresses, node ports and load balancer stay.
pub(super) fn lead_to_router(service: &mut Value, routed: &RoutedService) {
    let json = serde_json::to_string(routed).expect("names and numbers can always be written");
    mapping(service, &["metadata", "annotations"]).insert(labels::ROUTED.to_owned(), Value::from(json));
    let spec = mapping(service, &["spec"]);
    spec.insert("selector".to_owned(), json!({ (labels::ROUTER): "true" }));
    // It speaks of the workload's pods, so the original keeps it: a router that is not ready must get nothing.
    spec.remove("publishNotReadyAddresses");
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        let own = number(port).and_then(|number| routed.ports.iter().find(|own| own.port == number));
        if let Some(own) = own {
            port["targetPort"] = Value::from(own.listen);
        }
    }
}

/// What leads to the baseline's pods from now on.
pub(super) fn original(service: &Value) -> Value {
    services::copy(service, ORIGINAL)
}

/// The Services among these objects, by name.
pub(super) fn by_name(objects: &[Value]) -> BTreeMap<&str, &Value> {
    let is_service = |object: &&Value| kind(object) == "Service" && crate::render::object::group(object).is_empty();
    objects.iter().filter(is_service).map(|service| (name(service), service)).collect()
}

/// Its ports.
pub(super) fn ports(service: &Value) -> impl Iterator<Item = &Value> {
    service.pointer("/spec/ports").and_then(Value::as_array).into_iter().flatten()
}

/// A port's number.
pub(super) fn number(port: &Value) -> Option<u16> {
    port.get("port").and_then(Value::as_u64).and_then(|number| u16::try_from(number).ok())
}

fn protocol(port: &Value) -> &str {
    port.get("protocol").and_then(Value::as_str).unwrap_or("TCP")
}

/// The selector that a Service has.
pub(super) fn selector(service: &Value) -> Option<&Map<String, Value>> {
    services::selector(service)
}
