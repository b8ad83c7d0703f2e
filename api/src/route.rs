//! What lies between an agent and the routers of a base's namespace: the routing table, counters and the hops of a
//! probe, all JSON. DESIGN's "routed services" and "router"; docs/routing.md tells the whole path.
//!
//! The agent writes the table into ConfigMap [`TABLE_NAME`]; each router reads it and the namespace's EndpointSlices, and
//! serves [`admin`] to the agent on [`ADMIN_PORT`]. Upstreams are not in the table: they are the ready endpoints of the
//! Service [`RoutedService::baseline`], and of `compose(name, key)` for a branch.

use crate::{digest::short_hash, key::EnvironmentKey, name::compose};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The name of the routers' Deployment, ServiceAccount, Role and RoleBinding in a base's namespace.
pub const ROUTER: &str = "lapdev-router";
/// The ConfigMap with the routing table, in the base's namespace.
pub const TABLE_NAME: &str = "lapdev-routes";
/// Its one entry.
pub const TABLE_KEY: &str = "routes.json";
/// What the original of a routed Service becomes: `compose(name, ORIGINAL)`.
pub const ORIGINAL: &str = crate::key::BASELINE;
/// Where each router answers its agent and the kubelet; no routed port is this one.
pub const ADMIN_PORT: u16 = 9990;
/// The routers' ports are in this range: above what programs commonly use, below Linux's ephemeral ports.
pub const PORTS: std::ops::Range<u16> = 10_240..32_000;
/// Says in an answer which version gave it: `baseline`, or the branch's key. Switched off by the table.
pub const SERVED_BY: &str = "x-lapdev-served-by";
/// Marks an answer as a router's own, and says why in one word: [`NOT_READY`], or one that only people read. The preview
/// gateway shows a page in place of such an answer; no other part acts on it, so that a service which forges it gains nothing.
pub const ERROR: &str = "x-lapdev-error";
/// With 503 and `Retry-After`: the version that should answer has no ready endpoint, and the hold is over.
pub const NOT_READY: &str = "not-ready";

/// Paths of a router's own server on [`ADMIN_PORT`]. [`TABLE`](admin::TABLE), [`COUNTERS`](admin::COUNTERS) and
/// [`PROBE`](admin::PROBE) are for the agent alone, which says `authorization: Bearer TOKEN` once the table's ConfigMap has
/// [`crate::labels::ROUTER_TOKEN`]; others get 401.
pub mod admin {
    /// `GET`: 200 while the process lives.
    pub const ALIVE: &str = "/livez";
    /// `GET`: 200 once a table and the endpoints were read, every port listens, and it is not draining; else 503.
    pub const READY: &str = "/readyz";
    /// `GET`: [`super::TableInForce`].
    pub const TABLE: &str = "/table";
    /// `GET`: [`super::Counters`].
    pub const COUNTERS: &str = "/counters";
    /// `PUT` [`super::Probe`]: from now on notes the hops of that trace; 204. `GET`: the hops noted so far,
    /// `Vec<`[`super::Hop`]`>`. A newer probe replaces an older one; a probe ends by itself after its time.
    pub const PROBE: &str = "/probe";
    /// `GET`: Prometheus' text format, for whoever scrapes pods.
    pub const METRICS: &str = "/metrics";
}

/// What a router routes by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoutingTable {
    /// Whether answers carry [`SERVED_BY`].
    pub served_by: bool,
    /// How long a request waits for a branch's workload that has no ready endpoint, in seconds; then 503.
    pub hold_seconds: u32,
    /// Each routed Service, by name.
    pub services: BTreeMap<String, RoutedService>,
    /// Each living branch, and the routed Services that it has pods of its own behind.
    pub branches: BTreeMap<EnvironmentKey, BTreeSet<String>>,
}

/// One routed Service; as JSON in its annotation [`crate::labels::ROUTED`], all that the agent needs to know of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoutedService {
    /// The Service whose endpoints are the baseline's.
    pub baseline: String,
    /// Its TCP ports.
    pub ports: Vec<RoutedPort>,
    /// `sessionAffinity: ClientIP`: for so many seconds a client's address stays with an endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity_seconds: Option<u32>,
}

/// One port of a routed Service. Its endpoints' port is the one of the same name in the EndpointSlices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoutedPort {
    /// The Service port's name; empty where it has none.
    pub name: String,
    /// The Service's port.
    pub port: u16,
    /// The router's port for it.
    pub listen: u16,
    /// `appProtocol`, as the Service says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<String>,
}

/// Gives each (Service, TCP port) of a namespace its router port. It follows from the two alone, but where two fall on the
/// same one: then the later in order moves on. So a new Service hardly ever moves another.
#[must_use]
pub fn router_ports<'a>(all: impl IntoIterator<Item = (&'a str, u16)>) -> BTreeMap<(&'a str, u16), u16> {
    let all: BTreeSet<(&str, u16)> = all.into_iter().collect();
    let (mut ports, mut taken) = (BTreeMap::new(), BTreeSet::new());
    for (service, port) in all {
        let mut wanted = preferred(service, port);
        while !taken.insert(wanted) {
            wanted = if wanted + 1 < PORTS.end { wanted + 1 } else { PORTS.start };
        }
        ports.insert((service, port), wanted);
    }
    ports
}

fn preferred(service: &str, port: u16) -> u16 {
    let hash = short_hash(&[service, &port.to_string()], 6);
    let number = hash.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(32).wrapping_add(u32::from(byte)));
    PORTS.start + u16::try_from(number % u32::from(PORTS.end - PORTS.start)).expect("it is within the range")
}

impl RoutedService {
    /// The Service whose endpoints are a branch's own, of the routed Service `name`.
    #[must_use]
    pub fn of_branch(name: &str, key: &EnvironmentKey) -> String {
        compose(name, key.as_str())
    }
}

/// Answers `GET /table`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TableInForce {
    /// The ConfigMap's `resourceVersion` that is in force; none before the first.
    pub resource_version: Option<String>,
    /// The router's ports that accept connections.
    pub listening: BTreeSet<u16>,
}

/// Requests since a router's process began. Answers `GET /counters`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counters {
    /// Random, one for each process: where it changes, counting began anew.
    pub process: String,
    /// For each living key (others are not kept apart, so that forged ones cost nothing), service and version.
    pub rows: Vec<CounterRow>,
}

/// How many requests with one key went to one version of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CounterRow {
    /// The requests' key.
    pub key: EnvironmentKey,
    /// The routed Service.
    #[serde(flatten)]
    pub traffic: Traffic,
}

/// How many requests went to one version of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    /// The routed Service.
    pub service: String,
    /// Whether the branch's own pods answered, or the baseline's.
    pub branch: bool,
    /// Requests.
    pub requests: u64,
    /// Those of them that were answered 5xx, or (gRPC) by a status of the same meaning, by the service or for it.
    pub errors: u64,
}

/// What `PUT /probe` arms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// The 32 hexadecimal digits of the probe's `traceparent`.
    pub trace_id: String,
    /// The key that the probe's requests should carry.
    pub key: EnvironmentKey,
    /// For how long, in seconds; at most 60.
    pub seconds: u32,
}

/// One request that a router saw while a probe was under way: one that belongs to its trace or carries its key, or that
/// came from the branch's own pods or from an endpoint which a hop of the probe had gone to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hop {
    /// When its head was read.
    pub at: Timestamp,
    /// Who sent it, if it is an endpoint of a routed Service: known by its address.
    pub from: Option<Station>,
    /// Who answered it.
    pub to: Station,
    /// Method and path, without the query.
    pub request: String,
    /// The status of the answer; none while there is none.
    pub status: Option<u16>,
    /// Whether its `traceparent` is of the probe's trace.
    pub in_trace: bool,
    /// Whether `tracestate` carried the key.
    pub in_tracestate: bool,
    /// Whether `baggage` carried the key.
    pub in_baggage: bool,
}

/// A version of a service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Station {
    /// The routed Service.
    pub service: String,
    /// Of a branch: its key; none is the baseline.
    pub key: Option<EnvironmentKey>,
}

/// `POST /trace` to an agent: send a probe through an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TraceRequest {
    /// Which Branch environment.
    pub uid: crate::name::Uid,
    /// The Service to begin at: a routed one of its base, or one that a preview declares. None: its first preview's.
    pub service: Option<String>,
    /// The path of the probe's GET, with query.
    pub path: String,
}

/// What an agent found out by a probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TraceReport {
    /// The probe's trace id.
    pub trace_id: String,
    /// The key that it carried.
    pub key: EnvironmentKey,
    /// The Service that it began at.
    pub service: String,
    /// How the Service answered; none when it did not, and then `error` says why.
    pub status: Option<u16>,
    /// Why there is no answer.
    pub error: Option<String>,
    /// Every hop, in the order of time.
    pub hops: Vec<Hop>,
    /// By Service, the language of its workload, as far as image and command tell: `go`, `java`, `node`, `python`, `dotnet`,
    /// `ruby`, `php`, `rust`, `cpp`.
    pub languages: BTreeMap<String, String>,
    /// Routers that were asked.
    pub routers: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_router_port_is_the_same_for_ever() {
        // Written down: another one would send every base's connections to closed ports while its routers roll.
        let ports = router_ports([("web", 80), ("cart", 8080), ("web", 9090)]);
        assert_eq!(
            ports.values().copied().collect::<Vec<_>>(),
            [preferred("cart", 8080), preferred("web", 80), preferred("web", 9090)]
        );
        assert_eq!(ports[&("web", 80)], 12_560);
    }

    #[test]
    fn a_thousand_services_have_ports_of_their_own_and_a_new_one_moves_hardly_any() {
        let names: Vec<String> = (0..1000).map(|n| format!("service-{n}")).collect();
        let before = router_ports(names.iter().map(|name| (name.as_str(), 80)));
        let distinct: BTreeSet<u16> = before.values().copied().collect();
        assert_eq!(distinct.len(), 1000);
        assert!(distinct.iter().all(|port| PORTS.contains(port) && *port != ADMIN_PORT));
        let after = router_ports(names.iter().map(|name| (name.as_str(), 80)).chain([("another", 80)]));
        let moved = before.iter().filter(|(of, port)| after[*of] != **port).count();
        assert!(moved <= 3, "{moved} moved");
    }

    #[test]
    fn a_table_is_this_json() {
        let service = RoutedService {
            baseline: "web--baseline".to_owned(),
            ports: vec![RoutedPort { name: "http".to_owned(), port: 80, listen: 10_300, app_protocol: None }],
            affinity_seconds: None,
        };
        let key: EnvironmentKey = "feature-x-abc234".parse().expect("legal");
        let table = RoutingTable {
            served_by: true,
            hold_seconds: 10,
            services: [("web".to_owned(), service)].into(),
            branches: [(key, ["web".to_owned()].into())].into(),
        };
        let json = serde_json::to_value(&table).expect("it can be written");
        assert_eq!(
            json,
            serde_json::json!({
                "servedBy": true, "holdSeconds": 10,
                "services": {"web": {"baseline": "web--baseline", "ports": [{"name": "http", "port": 80, "listen": 10300}]}},
                "branches": {"feature-x-abc234": ["web"]},
            })
        );
    }
}
