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

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::Arc, thread};

    #[test]
    fn nothing_is_lost_when_many_count_at_once() {
        let life = Arc::new(Life::new("x-abc234".parse().expect("legal")));
        thread::scope(|scope| {
            for worker in 0..4_u32 {
                let life = &life;
                scope.spawn(move || {
                    for n in 0..10_000_u32 {
                        // Slots beyond the first segment, grown by all of them at once.
                        let meter = Meter::new(life, n % 40, worker % 2 == 0);
                        meter.request();
                        if n % 10 == 0 {
                            meter.error();
                        }
                    }
                });
            }
        });
        let read: Vec<_> = life.read().collect();
        assert_eq!(read.len(), 80);
        assert_eq!(read.iter().map(|(.., requests, _)| requests).sum::<u64>(), 40_000);
        assert_eq!(read.iter().map(|(.., errors)| errors).sum::<u64>(), 4_000);
        assert!(read.iter().all(|(.., requests, _)| *requests == 500));
    }

    #[test]
    fn each_protocol_and_class_has_its_counter() {
        let metrics = Metrics::default();
        metrics.answered(Protocol::Grpc, Some(200));
        metrics.answered(Protocol::Http2, Some(599));
        metrics.answered(Protocol::Http1, None);
        metrics.answered(Protocol::Upgrade, Some(101));
        let text = metrics.text();
        for line in [
            r#"requests_total{protocol="Grpc",class="2xx"} 1"#,
            r#"requests_total{protocol="Http2",class="5xx"} 1"#,
            r#"requests_total{protocol="Http1",class="none"} 1"#,
            r#"requests_total{protocol="Upgrade",class="1xx"} 1"#,
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
        assert_eq!(text.matches("} 1\n").count(), 4);
    }

    #[test]
    fn a_grpc_status_is_an_error_when_it_blames_the_service() {
        let errors: Vec<u32> = (0..=17).filter(|status| is_grpc_error(*status)).collect();
        assert_eq!(errors, [2, 4, 12, 13, 14, 15]);
    }
}
