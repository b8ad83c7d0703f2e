//! Counting: what went with each living key to which version of which service, and what the whole router does.
//!
//! Counters live with the branch in the snapshot, so a key that is forged or closed has none, and one that leaves the
//! table takes its own along. Counting takes no lock and, after a key's first request, allocates nothing.

mod life;
mod metrics;

pub use life::{Life, Meter};
pub use metrics::{Metrics, Protocol};

use crate::table::Snapshot;
use lapdev_api::route::{CounterRow, Counters, Traffic};

/// Whether a gRPC status counts as an error of the service: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL,
/// UNAVAILABLE and DATA_LOSS, as OpenTelemetry's conventions for gRPC servers have it. The others blame the caller.
#[must_use]
pub fn is_grpc_error(status: u32) -> bool {
    matches!(status, 2 | 4 | 12 | 13 | 14 | 15)
}

/// Every row that is not zero, by key and service.
#[must_use]
pub fn counters(snapshot: &Snapshot, process: &str) -> Counters {
    let services = snapshot.services();
    let mut rows: Vec<CounterRow> = Vec::new();
    for branch in snapshot.branches() {
        for (slot, own, requests, errors) in branch.life.read() {
            let Some(service) = services.get(&slot) else { continue };
            let traffic = Traffic { service: (*service).to_owned(), branch: own, requests, errors };
            rows.push(CounterRow { key: branch.life.key.clone(), traffic });
        }
    }
    rows.sort_unstable_by(|a, b| {
        (&a.key, &a.traffic.service, a.traffic.branch).cmp(&(&b.key, &b.traffic.service, b.traffic.branch))
    });
    Counters { process: process.to_owned(), rows }
}
