//! `lapdev explain`: why an environment exists, why each of its workloads runs, how they are, what traffic they had, what to
//! do next.

use crate::{
    args::ServerArgs,
    client::Client,
    exit::Failure,
    output::{data, plain},
};
use lapdev_api::{
    view::EnvironmentView,
    words::{traffic, traffic_of},
};
use std::fmt::Write as _;

/// Runs it.
pub async fn run(name: &str, server: &ServerArgs) -> Result<(), Failure> {
    let view: EnvironmentView = Client::new(server)?.get(&["environments", name]).await?;
    data(&explain(&view))
}

/// The whole text. Writing to a `String` cannot fail, hence the ignored results.
fn explain(view: &EnvironmentView) -> String {
    let mut text = format!("{}: {} environment of {}, {}", view.name, view.environment_type, view.catalog, view.phase);
    let _ = match view.message.as_str() {
        "" => writeln!(text),
        message => writeln!(text, ": {}", plain(message)),
    };
    let _ = writeln!(text, "  placed in cluster {}, namespace {}", view.cluster, view.namespace);
    let observed = view.observed_generation.map_or_else(|| "nothing yet".to_owned(), |g| g.to_string());
    let _ = writeln!(text, "  generation {} published, {observed} observed", view.generation);
    if let Some(at) = view.expires_at {
        let at = at.round(jiff::Unit::Second).unwrap_or(at);
        let _ = writeln!(text, "  ends at {at} unless its branch moves");
    }
    section(&mut text, "Why it exists", view.reasons.iter().filter(|r| r.workload.is_none()).map(|r| r.text.clone()));
    let of = |r: &lapdev_api::record::Reason| r.workload.as_ref().map(|workload| format!("{workload}: {}", r.text));
    section(&mut text, "Why these workloads", view.reasons.iter().filter_map(of));
    section(&mut text, "Workloads", view.workloads.iter().map(workload));
    section(
        &mut text,
        "Links",
        view.links.iter().map(|link| {
            format!(
                "{} ({}): {}",
                link.service,
                if link.branch { "this branch" } else { "the baseline's, with the branch behind it" },
                link.url
            )
        }),
    );
    let rows = view.traffic.iter().filter(|row| row.requests > 0).map(traffic_of);
    section(&mut text, "Traffic", traffic(&view.traffic).into_iter().chain(rows));
    section(&mut text, "Problems", view.problems.iter().map(|p| format!("{}: {}", p.reason, p.message)));
    section(&mut text, "Noticed", view.notices.iter().cloned());
    text
}

fn section(text: &mut String, title: &str, lines: impl Iterator<Item = String>) {
    let mut lines = lines.peekable();
    if lines.peek().is_some() {
        let _ = writeln!(text, "{title}:");
        lines.for_each(|line| {
            let _ = writeln!(text, "  {}", plain(&line));
        });
    }
}

fn workload(workload: &lapdev_api::status::WorkloadStatus) -> String {
    let why = [&workload.reason, &workload.message].into_iter().flatten().map(String::as_str).collect::<Vec<_>>();
    let name = format!("{} {}: {}/{} ready", workload.kind, workload.name, workload.ready, workload.desired);
    if why.is_empty() { name } else { format!("{name}, {}", why.join(": ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn traffic_is_one_line_and_then_one_per_version_that_had_any() {
        let row = |service: &str, branch, requests, errors| json!({ "service": service, "branch": branch, "requests": requests, "errors": errors });
        let view = json!({
            "name": "x", "uid": "aaaaaaaaaaaaaaaa", "type": "Branch", "catalog": "shop", "cluster": "dev",
            "namespace": "lapdev-env-staging", "owner": null, "branch": null, "life": {"state": "live"}, "phase": "Ready",
            "message": "", "generation": 1, "observedGeneration": 1, "links": [], "workloads": [], "reasons": [],
            "problems": [], "notices": [], "createdAt": "2026-01-01T00:00:00Z", "expiresAt": null,
            "traffic": [row("cart", true, 20, 3), row("db", false, 0, 0), row("web", false, 22, 0)],
        });
        let view: EnvironmentView = serde_json::from_value(view).expect("a view");
        let section = "Traffic:\n  42 requests with its key, 3 × 5xx, all at cart (branch)\n  cart (branch): 20 requests, 3 × 5xx\n  \
                       web (baseline): 22 requests\n";
        assert!(explain(&view).ends_with(section), "{}", explain(&view));
        let quiet = EnvironmentView { traffic: vec![], ..view };
        assert!(!explain(&quiet).contains("Traffic"));
    }
}
