//! `lapdev explain`: why an environment exists, why each of its workloads runs, how they are, what to do next.

use crate::{
    args::ServerArgs,
    client::Client,
    exit::Failure,
    output::{data, plain},
};
use lapdev_api::view::EnvironmentView;
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
            format!("{} ({}): {}", link.service, if link.branch { "this branch" } else { "the baseline" }, link.url)
        }),
    );
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
