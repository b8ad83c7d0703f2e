//! The tables of docs/benchmarks.md, and the bounds that fail the bench.

use super::{
    in_process::{Boutique, OVERLAYS},
    process::{Pairs, Run, memory, seconds},
};
use crate::stage::Error;
use std::{fmt::Write as _, io::Write as _};

/// What must hold of Online Boutique in process: milliseconds of a rendering, seconds of the overlays.
const MOST_MILLISECONDS: f64 = 5.0;
const MOST_SECONDS: f64 = 2.0;

/// Collects text and what was missed.
#[derive(Default)]
pub struct Report {
    rows: String,
    notes: String,
    missed: Vec<String>,
}

// Writing to a `String` cannot fail.
impl Report {
    fn say(&mut self, line: &str) {
        let _ = writeln!(self.notes, "{line}");
    }

    fn must(&mut self, holds: bool, else_say: impl Into<String>) {
        if !holds {
            self.missed.push(else_say.into());
        }
    }

    /// Says how it was measured.
    pub fn begin(&mut self, rounds: usize) {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let _ = writeln!(
            self.rows,
            "{cores} cores; medians of {rounds} rounds (×3 over p01, in series of 10, and over p03), in turns; whole processes\n\n\
             | tree | objects | kustomize | lapdev | times faster (bound) | less processor time | peak memory |\n\
             |---|---|---|---|---|---|---|"
        );
    }

    /// Both over one tree.
    pub fn tree(&mut self, tree: &str, objects: usize, least: f64, pairs: &Pairs) {
        let (faster, less) = (pairs.faster(), pairs.less_processor());
        let (theirs, ours) = (memory(&pairs.reference), memory(&pairs.ours));
        let _ = writeln!(
            self.rows,
            "| `{tree}` | {objects} | {} | {} | {faster:.1} (≥ {least:.0}) | {less:.1} | {theirs:.0} → {ours:.0} MiB |",
            time(seconds(&pairs.reference)),
            time(seconds(&pairs.ours)),
        );
        self.must(faster >= least, format!("{tree}: {faster:.1} times faster, bound {least}"));
        self.must(ours <= theirs, format!("{tree}: {ours:.0} MiB, the reference {theirs:.0}"));
    }

    /// Ours over a tree and a larger one of the same kind, and what the reference did in the larger one.
    pub fn growth(&mut self, from: usize, small: &[Run], to: usize, large: &[Run], reference: &Run) {
        let (before, after) = (seconds(small), seconds(large));
        let (times, most) = (after / before, n_log_n(to) / n_log_n(from));
        self.say(&format!(
            "From {from} to {to} objects (4 and 50 overlays of one base): {} and {}, {times:.1} times as long (n·log n: \
             {most:.1}); peak memory {:.0} and {:.0} MiB.",
            time(before),
            time(after),
            memory(small),
            memory(large),
        ));
        let end = if reference.stopped { "was stopped after" } else { "took" };
        self.say(&format!(
            "kustomize over the {to} objects {end} {}, at {:.0} MiB by then.",
            time(reference.seconds),
            reference.memory
        ));
        self.must(times <= most, format!("{to} objects take {times:.1} times as long as {from}, bound {most:.1}"));
        let holds = reference.stopped || memory(large) <= reference.memory;
        self.must(holds, format!("{to} objects: {:.0} MiB, the reference {:.0}", memory(large), reference.memory));
    }

    /// In process.
    pub fn boutique(&mut self, of: &Boutique) {
        let Boutique { objects, milliseconds, overlays, overlay_objects } = of;
        self.say(&format!(
            "Online Boutique ({objects} objects), in process, warm: {milliseconds:.2} ms (< {MOST_MILLISECONDS} ms). \
             {OVERLAYS} overlays of it ({overlay_objects} objects), one thread: {overlays:.2} s (< {MOST_SECONDS} s)."
        ));
        self.must(*milliseconds < MOST_MILLISECONDS, format!("Online Boutique: {milliseconds:.2} ms"));
        self.must(*overlays < MOST_SECONDS, format!("{OVERLAYS} overlays of Online Boutique: {overlays:.2} s"));
    }

    /// Where its files are not.
    pub fn no_boutique(&mut self) {
        self.say("Left out, because LAPDEV_SHARED is not set: Online Boutique in process.");
    }

    /// Prints all of it as Markdown.
    pub fn print(&self) {
        let _ = writeln!(std::io::stdout(), "{}\n{}", self.rows, self.notes);
    }

    /// An error that names each bound that was missed.
    pub fn verdict(&self) -> Result<(), Error> {
        if self.missed.is_empty() { Ok(()) } else { Err(self.missed.join("\n       ").into()) }
    }
}

fn n_log_n(count: usize) -> f64 {
    let count = count as f64;
    count * count.ln()
}

fn time(seconds: f64) -> String {
    match seconds {
        short if short < 1.0 => format!("{:.1} ms", short * 1e3),
        long => format!("{long:.2} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(seconds: f64, memory: f64) -> Run {
        Run { seconds, processor: seconds, memory, stopped: false }
    }

    fn pairs(reference: Run, ours: Run) -> Pairs {
        Pairs { reference: vec![reference; 3], ours: vec![ours; 3] }
    }

    #[test]
    fn a_missed_bound_fails_by_name() {
        let mut report = Report::default();
        report.tree("fine", 1, 5.0, &pairs(run(1.0, 20.0), run(0.1, 20.0)));
        assert!(report.verdict().is_ok());
        report.tree("slow", 1, 50.0, &pairs(run(1.0, 20.0), run(0.1, 20.0)));
        report.tree("large", 1, 5.0, &pairs(run(1.0, 20.0), run(0.1, 21.0)));
        let stopped = Run { stopped: true, ..run(60.0, 1.0) };
        report.growth(10, &[run(1.0, 1.0)], 100, &[run(19.0, 2.0)], &stopped);
        report.growth(10, &[run(1.0, 1.0)], 100, &[run(21.0, 2.0)], &stopped);
        let missed = report.verdict().expect_err("three bounds are missed").to_string();
        let missed: Vec<&str> = missed.lines().map(str::trim).collect();
        assert_eq!(missed.len(), 3, "{missed:?}");
        for (line, name) in missed.iter().zip(["slow:", "large:", "100 objects take"]) {
            assert!(line.starts_with(name), "{line}");
        }
    }
}
