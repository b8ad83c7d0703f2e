//! The tables of docs/benchmarks.md, and the bounds that fail the bench.

use super::{IDLE, Length, RATE, change::Change, measure::Measured, memory::Memories, series::Series};
use crate::{bench::median::median, stage::Error};
use std::{fmt::Write as _, io::Write as _};

const ROUTER: &str = "lapdev-router";
/// What must hold; the goals beyond are in docs/benchmarks.md.
const LEAST_OF_HAPROXY: f64 = 0.7;
const LEAST_OF_NGINX: f64 = 1.0;
const MOST_CPU: f64 = 0.10;
const MOST_IDLE_MEMORY: f64 = 15.0;
const MOST_MEMORY: f64 = 30.0;

/// Collects text and what was missed.
#[derive(Default)]
pub struct Report {
    text: String,
    missed: Vec<String>,
}

// Writing to a `String` cannot fail.
impl Report {
    fn line(&mut self, line: &str) {
        let _ = writeln!(self.text, "{line}");
    }

    fn table(&mut self, title: &str, columns: &[&str], rows: &[Vec<String>]) {
        self.line(&format!("\n{title}\n\n| {} |", columns.join(" | ")));
        self.line(&"|---".repeat(columns.len()).chars().chain(['|']).collect::<String>());
        for row in rows {
            self.line(&format!("| {} |", row.join(" | ")));
        }
    }

    fn must(&mut self, holds: bool, else_say: impl Into<String>) {
        if !holds {
            self.missed.push(else_say.into());
        }
    }

    /// Says how it was measured.
    pub fn begin(&mut self, length: &Length) {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        self.line(&format!("{cores} cores; medians of {} rounds of {} s, interleaved", length.rounds, length.seconds));
    }

    /// Requests a second, and what they cost, as fast as they are answered.
    pub fn full_load(&mut self, all: &[Series]) {
        let rates = by_protocol(all).map(|(protocol, of)| {
            let rate = |series: &Series| format!("{:.0}", series.median(per_second));
            [vec![protocol], of.iter().map(rate).collect(), ratios(of)].concat()
        });
        let rows: Vec<Vec<String>> = rates.collect();
        let names: Vec<&str> =
            by_protocol(all).next().map(|(_, of)| of.iter().map(|series| series.name).collect()).unwrap_or_default();
        let columns = [&["requests/s"], names.as_slice(), &["router ÷ haproxy", "router ÷ nginx"]].concat();
        self.table("Full load, 1 KiB answers", &columns, &rows);
        self.costs("Cores per 1,000 requests/s at full load", all);
        for (protocol, of) in by_protocol(all) {
            for (peer, least) in [("haproxy", LEAST_OF_HAPROXY), ("nginx", LEAST_OF_NGINX)] {
                let Some(ratio) = ratio(of, peer) else { continue };
                self.must(ratio >= least, format!("{protocol}: {ratio:.2} × {peer} requests/s, below {least}"));
            }
        }
        self.all_good(all);
    }

    /// Latency and cost at a fixed rate.
    pub fn steady(&mut self, all: &[Series]) {
        let mut rows = Vec::new();
        for (protocol, of) in by_protocol(all) {
            let Some((direct, proxies)) = of.split_first() else { continue };
            let (p50, p99) = (direct.median(p50), direct.median(p99));
            rows.push(vec![
                protocol.clone(),
                direct.name.to_owned(),
                format!("{p50:.0} µs"),
                format!("{p99:.0} µs"),
                String::new(),
                String::new(),
            ]);
            for proxy in proxies {
                rows.push(latency_row(&protocol, proxy, direct));
            }
        }
        let columns = ["", "", "p50", "p99", "added p50", "added p99"];
        self.table(&format!("Latency at {RATE} requests/s"), &columns, &rows);
        self.costs(&format!("Cores per 1,000 requests/s at {RATE} requests/s"), all);
        self.all_good(all);
    }

    /// The router's must stay below its bound.
    fn costs(&mut self, title: &str, all: &[Series]) {
        let mut rows = Vec::new();
        for series in all {
            let cost = |figure: fn(&Measured) -> f64| format!("{:.4}", series.median(figure));
            rows.push(vec![
                series.protocol.to_string(),
                series.name.to_owned(),
                cost(|m| m.proxy),
                cost(|m| m.backends),
                cost(|m| m.client),
            ]);
            let cost = series.median(|measured| measured.proxy);
            let holds = series.name != ROUTER || cost <= MOST_CPU;
            self.must(holds, format!("{}: {cost:.3} cores per 1,000 requests/s, above {MOST_CPU}", series.protocol));
        }
        self.table(title, &["", "", "proxy", "backends", "client"], &rows);
    }

    fn all_good(&mut self, all: &[Series]) {
        for series in all {
            let Some(bad) = series.bad() else { continue };
            self.line(&bad);
            self.must(series.name != ROUTER, bad);
        }
    }

    /// Before any request.
    pub fn idle_memory(&mut self, memories: &Memories) {
        self.memory("Memory before any request", memories, MOST_IDLE_MEMORY);
    }

    /// After the loads, with idle connections.
    pub fn busy_memory(&mut self, memories: &Memories) {
        self.memory(&format!("Memory after the loads, with {IDLE} idle connections"), memories, MOST_MEMORY);
    }

    /// Of the router with the large table.
    pub fn thousand_memory(&mut self, memories: &Memories) {
        self.memory(
            &format!("Memory with 1,000 branches × 10 services and {IDLE} idle connections"),
            memories,
            MOST_MEMORY,
        );
    }

    fn memory(&mut self, title: &str, memories: &Memories, most: f64) {
        let row = |(name, memory): &(&str, super::program::Memory)| {
            vec![(*name).to_owned(), format!("{:.1} MiB", memory.rss), format!("{:.1} MiB", memory.pss)]
        };
        self.table(title, &["", "RSS", "PSS"], &memories.iter().map(row).collect::<Vec<_>>());
        for (name, memory) in memories {
            let holds = *name != ROUTER || memory.rss < most;
            self.must(holds, format!("{title}: {:.1} MiB, not below {most}", memory.rss));
        }
    }

    /// Requests a second by the size of the table.
    pub fn look_up(&mut self, by_size: &[Series]) {
        let mut rows = Vec::new();
        for (series, table) in by_size.iter().zip(["10 × 10 services", "1,000 × 10 services", "10,000 × 1 service"])
        {
            let ratio = series.compared(&by_size[0], per_second, |own, ten| own / ten);
            rows.push(vec![
                table.to_owned(),
                format!("{:.0}", series.median(per_second)),
                format!("{ratio:.2}"),
                format!("{:.4}", series.median(|measured| measured.proxy)),
            ]);
        }
        let columns = ["branches", "requests/s (h1)", "÷ 10 branches", "cores per 1,000/s"];
        self.table("Look-up by the size of the table", &columns, &rows);
        self.all_good(by_size);
    }

    /// The table changes under load.
    pub fn change(&mut self, change: &Change) {
        let row = |what: &str, rounds: &[Measured]| {
            let of = |figure: fn(&Measured) -> f64| format!("{:.0} µs", median(rounds.iter().map(figure)));
            vec![what.to_owned(), of(p50), of(p99)]
        };
        let rows = [row("quiet", &change.quiet), row("five changes a second", &change.changing)];
        self.table(&format!("A table of 1,000 branches changes, {RATE} requests/s (h1)"), &["", "p50", "p99"], &rows);
        let pairs = change.changing.iter().zip(&change.quiet);
        let ratio = median(pairs.map(|(changing, quiet)| p99(changing) / p99(quiet)));
        let windows = change.quiet.iter().chain(&change.changing);
        let (bad, total) =
            windows.fold((0, 0), |(bad, total), window| (bad + window.outcome.bad(), total + window.outcome.total));
        self.line(&format!(
            "\np99 changing ÷ quiet: {ratio:.2}; {} changes, {total} requests, {bad} bad",
            change.changes
        ));
        self.must(bad == 0, format!("{bad} requests failed while the table changed"));
    }

    /// Prints all of it as Markdown.
    pub fn print(&self) {
        let _ = writeln!(std::io::stdout(), "{}", self.text);
    }

    /// An error that names each bound that was missed.
    pub fn verdict(&self) -> Result<(), Error> {
        if self.missed.is_empty() { Ok(()) } else { Err(self.missed.join("\n       ").into()) }
    }
}

fn latency_row(protocol: &str, proxy: &Series, direct: &Series) -> Vec<String> {
    let own = |figure: fn(&Measured) -> f64| format!("{:.0} µs", proxy.median(figure));
    let added =
        |figure: fn(&Measured) -> f64| format!("{:.0} µs", proxy.compared(direct, figure, |own, direct| own - direct));
    vec![protocol.to_owned(), proxy.name.to_owned(), own(p50), own(p99), added(p50), added(p99)]
}

/// The series of each protocol; they lie together.
fn by_protocol(all: &[Series]) -> impl Iterator<Item = (String, &[Series])> {
    all.chunk_by(|one, next| one.protocol == next.protocol).map(|of| (of[0].protocol.to_string(), of))
}

fn ratio(of: &[Series], peer: &str) -> Option<f64> {
    let find = |name: &str| of.iter().find(|series| series.name == name);
    Some(find(ROUTER)?.compared(find(peer)?, per_second, |own, peer| own / peer))
}

fn ratios(of: &[Series]) -> Vec<String> {
    ["haproxy", "nginx"].map(|peer| ratio(of, peer).map_or_else(String::new, |ratio| format!("{ratio:.2}"))).to_vec()
}

fn per_second(measured: &Measured) -> f64 {
    measured.outcome.per_second
}

fn p50(measured: &Measured) -> f64 {
    measured.outcome.p50 as f64
}

fn p99(measured: &Measured) -> f64 {
    measured.outcome.p99 as f64
}
