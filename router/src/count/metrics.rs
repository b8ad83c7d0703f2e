//! What the whole router does, in Prometheus' text format. Each counter is resolved once, so counting is one atomic add.

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use std::fmt;

/// How a request came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Protocol {
    /// HTTP/1.x.
    Http1,
    /// HTTP/2, not gRPC.
    Http2,
    /// gRPC.
    Grpc,
    /// An upgraded connection, such as a WebSocket.
    Upgrade,
}

const PROTOCOLS: [Protocol; 4] = [Protocol::Http1, Protocol::Http2, Protocol::Grpc, Protocol::Upgrade];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    protocol: Protocol,
    class: &'static str,
}

/// A status' first digit; `none` where the client got no answer.
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// Every counter of the router itself. The fields are what to count with.
pub struct Metrics {
    registry: Registry,
    requests: Vec<Counter>,
    /// Client connections that are open.
    pub connections: Gauge,
    /// Client connections that were accepted.
    pub accepted: Counter,
    /// Client connections that were refused because of the limit.
    pub refused: Counter,
    /// Connections to endpoints that were opened.
    pub dialled: Counter,
    /// Connections to endpoints that could not be opened.
    pub dial_failures: Counter,
    /// Requests that wait for a branch's endpoint.
    pub holding: Gauge,
    /// Requests that waited.
    pub held: Counter,
    /// Requests that waited in vain.
    pub held_in_vain: Counter,
    /// Attempts beyond the first.
    pub retries: Counter,
    /// Endpoints that were left out for a while.
    pub ejections: Counter,
    /// Connections that are no HTTP, passed to the baseline.
    pub passthrough_connections: Counter,
    /// Bytes of those, both ways.
    pub passthrough_bytes: Counter,
    /// 1 while the router ends.
    pub draining: Gauge,
    /// Unix time in seconds of the table in force; its age follows.
    pub table_time: Gauge,
    /// Living branches.
    pub table_branches: Gauge,
    /// Ports that the table names.
    pub table_ports: Gauge,
    /// Tables that were refused, so that the last good one stays.
    pub table_refused: Counter,
    /// Failures of watches.
    pub watch_errors: Counter,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("lapdev_router");
        let requests = Family::<Answered, Counter>::default();
        registry.register("requests", "Requests by protocol and class of status", requests.clone());
        let each = PROTOCOLS.iter().flat_map(|protocol| CLASSES.map(|class| Answered { protocol: *protocol, class }));
        let requests = each.map(|answered| requests.get_or_create_owned(&answered)).collect();
        let gauge = |registry: &mut Registry, name: &str, help: &str| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let counter = |registry: &mut Registry, name: &str, help: &str| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        let r = &mut registry;
        Self {
            requests,
            connections: gauge(r, "connections", "Client connections that are open"),
            accepted: counter(r, "connections_accepted", "Client connections that were accepted"),
            refused: counter(r, "connections_refused", "Client connections that were refused because of the limit"),
            dialled: counter(r, "endpoint_connections", "Connections to endpoints that were opened"),
            dial_failures: counter(r, "endpoint_connection_failures", "Connections to endpoints that failed"),
            holding: gauge(r, "holding", "Requests that wait for a branch's endpoint"),
            held: counter(r, "held", "Requests that waited for a branch's endpoint"),
            held_in_vain: counter(r, "held_in_vain", "Requests that waited in vain"),
            retries: counter(r, "retries", "Attempts beyond the first"),
            ejections: counter(r, "ejections", "Endpoints that were left out for a while"),
            passthrough_connections: counter(r, "passthrough_connections", "Connections that are no HTTP"),
            passthrough_bytes: counter(r, "passthrough_bytes", "Bytes of connections that are no HTTP"),
            draining: gauge(r, "draining", "1 while the router ends"),
            table_time: gauge(r, "table_time_seconds", "Unix time since when the table is in force"),
            table_branches: gauge(r, "table_branches", "Living branches"),
            table_ports: gauge(r, "table_ports", "Ports that the table names"),
            table_refused: counter(r, "table_refused", "Tables that were refused; the last good one stays"),
            watch_errors: counter(r, "watch_errors", "Failures of watches"),
            registry,
        }
    }
}

impl Metrics {
    /// A request ended; no status where the client got no answer.
    pub fn answered(&self, protocol: Protocol, status: Option<u16>) {
        let class = usize::from(status.unwrap_or(0) / 100).min(CLASSES.len() - 1);
        let at = PROTOCOLS.iter().position(|of| *of == protocol).unwrap_or(0) * CLASSES.len() + class;
        if let Some(counter) = self.requests.get(at) {
            counter.inc();
        }
    }

    /// A table is in force from now on.
    pub fn table_in_force(&self, branches: usize, ports: usize) {
        self.table_time.set(jiff::Timestamp::now().as_second());
        self.table_branches.set(i64::try_from(branches).unwrap_or(i64::MAX));
        self.table_ports.set(i64::try_from(ports).unwrap_or(i64::MAX));
    }

    /// All of them as text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a string cannot fail.
        encode(&mut text, &self.registry).unwrap_or_default();
        text
    }
}
