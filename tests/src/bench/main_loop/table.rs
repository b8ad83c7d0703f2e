//! The figures: percentiles of one measure, and the table that docs/benchmarks.md shows.

use std::{fmt::Write as _, io::Write as _, time::Duration};

/// The times of one measure, sorted.
pub struct Times(Vec<Duration>);

impl Times {
    /// Of these, in any order. There is at least one.
    pub fn of(mut times: Vec<Duration>) -> Self {
        times.sort();
        Self(times)
    }

    /// The nearest-rank percentile, 1 to 100.
    pub fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100);
        self.0.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }
}

/// Rows and notes, printed at the end.
#[derive(Default)]
pub struct Table {
    rows: String,
    notes: String,
}

impl Table {
    /// Adds a measure. Writing to a `String` cannot fail.
    pub fn row(&mut self, what: &str, times: &Times) {
        let of = |percent| format!("{:.1} ms", times.percentile(percent).as_secs_f64() * 1e3);
        let _ = writeln!(self.rows, "| {what} | {} | {} | {} | {} |", times.0.len(), of(50), of(90), of(99));
    }

    /// Adds a note.
    pub fn say(&mut self, note: &str) {
        let _ = writeln!(self.notes, "{note}");
    }

    /// Prints all of it as Markdown.
    pub fn print(&self) {
        let head = "| measure | times | p50 | p90 | p99 |\n|---|---|---|---|---|";
        let _ = writeln!(std::io::stdout(), "{}\n{head}\n{}", self.notes, self.rows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_nearest_rank() {
        let times = Times::of((1..=60).rev().map(Duration::from_millis).collect());
        let ranks = [50, 99, 100].map(|percent| times.percentile(percent).as_millis());
        assert_eq!(ranks, [30, 60, 60]);
    }
}
