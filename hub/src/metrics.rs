//! What is counted, for Prometheus.

use lapdev_api::name::ClusterName;
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};
use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCluster {
    cluster: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    from: &'static str,
    code: u16,
}

/// Every metric of the hub.
pub(crate) struct Metrics {
    registry: Registry,
    sessions: Family<OfCluster, Counter>,
    statuses: Family<OfCluster, Counter>,
    bundles: Family<OfCluster, Counter>,
    bundle_bytes: Family<OfCluster, Counter>,
    previews: Family<Answer, Counter>,
    connected: Gauge,
    connections: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("lapdev");
        let metrics = Self {
            registry: Registry::default(),
            sessions: Family::default(),
            statuses: Family::default(),
            bundles: Family::default(),
            bundle_bytes: Family::default(),
            previews: Family::default(),
            connected: Gauge::default(),
            connections: Gauge::default(),
        };
        registry.register("agent_sessions", "Sessions that agents opened", metrics.sessions.clone());
        registry.register("agent_statuses", "Statuses that agents reported", metrics.statuses.clone());
        registry.register("bundles_sent", "Bundles that agents took", metrics.bundles.clone());
        registry.register_with_unit("bundles_sent", "The same, gzip'd", Unit::Bytes, metrics.bundle_bytes.clone());
        registry.register("preview_answers", "Answers to previews' requests", metrics.previews.clone());
        registry.register("agents_connected", "Open sessions", metrics.connected.clone());
        registry.register("connections", "Open connections to the listener", metrics.connections.clone());
        Self { registry, ..metrics }
    }

    pub(crate) fn session_began(&self, cluster: &ClusterName) {
        self.sessions.get_or_create(&of(cluster)).inc();
    }

    pub(crate) fn status_received(&self, cluster: &ClusterName) {
        self.statuses.get_or_create(&of(cluster)).inc();
    }

    pub(crate) fn bundle_sent(&self, cluster: &ClusterName, bytes: usize) {
        self.bundles.get_or_create(&of(cluster)).inc();
        self.bundle_bytes.get_or_create(&of(cluster)).inc_by(bytes as u64);
    }

    /// `from`: `app` (what lies behind the gateway) or `gateway`, whoever made the answer.
    pub(crate) fn preview_answered(&self, from: &'static str, code: u16) {
        self.previews.get_or_create(&Answer { from, code }).inc();
    }

    /// Counts a connection for as long as the guard lives.
    pub(crate) fn connection(&self) -> impl Drop + Send + 'static {
        Counted::new(self.connections.clone())
    }

    /// In the text format; sessions are counted as of now.
    pub(crate) fn encode(&self, connected: usize) -> Result<String, fmt::Error> {
        self.connected.set(i64::try_from(connected).unwrap_or(i64::MAX));
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

fn of(cluster: &ClusterName) -> OfCluster {
    OfCluster { cluster: cluster.to_string() }
}

struct Counted(Gauge);

impl Counted {
    fn new(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
