//! What a run saw, as the command prints it and the benches read it.

use super::{plan::Plan, tally::Tally};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// The sums of a run. Latencies are in microseconds, of measured answers alone.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Requests that ended, by an answer or an error, the warm-up's included.
    pub total: u64,
    /// Answers that were measured.
    pub measured: u64,
    /// The time in which they were.
    pub seconds: f64,
    /// `measured / seconds`.
    pub per_second: f64,
    /// Median latency.
    pub p50: u64,
    /// 90th percentile.
    pub p90: u64,
    /// 99th percentile.
    pub p99: u64,
    /// The longest.
    pub max: u64,
    /// Requests without a whole answer, by reason.
    pub errors: BTreeMap<String, u64>,
    /// Answers that were no success, or not of the expected version.
    pub wrong: u64,
    /// Requests sent again, since the peer had closed, or announced to close, the connection before it took them up.
    pub retried: u64,
    /// `KEY -> STATUS VERSION` and how often.
    pub answers: BTreeMap<String, u64>,
    /// The processor time that the client took.
    pub cpu_seconds: f64,
}

impl Outcome {
    pub(super) fn of(plan: &Plan, tally: &Tally, measured_for: Duration, cpu: Duration) -> Self {
        let seconds = measured_for.as_secs_f64();
        Self {
            total: tally.total,
            measured: tally.measured,
            seconds,
            per_second: if seconds > 0.0 { tally.measured as f64 / seconds } else { 0.0 },
            p50: tally.latencies.percentile(50),
            p90: tally.latencies.percentile(90),
            p99: tally.latencies.percentile(99),
            max: tally.latencies.max(),
            errors: tally.errors.clone(),
            wrong: tally.wrong(&plan.asks),
            retried: tally.retried,
            answers: tally.answers(&plan.asks),
            cpu_seconds: cpu.as_secs_f64(),
        }
    }

    /// Requests that failed or were answered wrongly.
    #[must_use]
    pub fn bad(&self) -> u64 {
        self.wrong + self.errors.values().sum::<u64>()
    }
}
