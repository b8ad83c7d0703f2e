//! Latencies in logarithmic buckets of 64 steps each, so that a percentile is within 1.6 % and memory is fixed.

use std::time::Duration;

const STEPS_LOG: u32 = 6;
const STEPS: u64 = 1 << STEPS_LOG;

/// Counts of latencies, in microseconds.
#[derive(Debug, Clone, Default)]
pub(super) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Histogram {
    pub(super) fn note(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let bucket = bucket(micros);
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.total += 1;
        self.max = self.max.max(micros);
    }

    pub(super) fn add(&mut self, other: &Self) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (sum, count) in self.counts.iter_mut().zip(&other.counts) {
            *sum += count;
        }
        self.total += other.total;
        self.max = self.max.max(other.max);
    }

    pub(super) fn max(&self) -> u64 {
        self.max
    }

    /// The nearest-rank percentile (1 to 100) in microseconds; 0 when nothing was noted.
    pub(super) fn percentile(&self, percent: u64) -> u64 {
        let rank = (self.total * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return lowest(bucket as u64);
            }
        }
        self.max
    }
}

/// The first 64 values have a bucket each; then each doubling has 64.
fn bucket(micros: u64) -> usize {
    let doublings = (u64::BITS - micros.leading_zeros()).saturating_sub(STEPS_LOG + 1);
    (u64::from(doublings) * STEPS + (micros >> doublings)) as usize
}

fn lowest(bucket: u64) -> u64 {
    let doublings = (bucket / STEPS).saturating_sub(1);
    (bucket - doublings * STEPS) << doublings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_begins_at_most_one_in_64_below_its_values() {
        for micros in (0..10_000).chain([123_456, 9_999_999, u64::from(u32::MAX)]) {
            let low = lowest(bucket(micros) as u64);
            assert!(low <= micros && micros - low <= micros / STEPS, "{micros} fell to {low}");
        }
    }

    #[test]
    fn percentiles_of_two_halves_are_those_of_the_whole() {
        let mut halves = [Histogram::default(), Histogram::default()];
        for micros in 1..=1000 {
            halves[usize::from(micros % 2 == 0)].note(Duration::from_micros(micros));
        }
        let [mut whole, other] = halves;
        whole.add(&other);
        assert!((492..=500).contains(&whole.percentile(50)), "{}", whole.percentile(50));
        assert!((976..=990).contains(&whole.percentile(99)), "{}", whole.percentile(99));
        assert_eq!(whole.max(), 1000);
    }
}
