//! The one comment of a pull request: how each environment of it is, what runs and why, where to open it. Pure: the same
//! state gives the same text, so that it is edited only when something changed.

use super::{escape::plain, state::Sight};
use lapdev_api::{
    link,
    name::{ControlPlaneId, RepositoryId, compose},
    record::{EnvironmentRecord, Life, PreviewRecord},
    status::{Health, WorkloadStatus},
};
use url::Url;

/// What links are made with.
#[derive(Debug, Clone, Copy)]
pub struct Links<'a> {
    /// How people reach the control plane: links have its scheme and port.
    pub external_url: &'a Url,
    /// What they are signed with.
    pub secret: &'a [u8; 32],
}

/// The hidden text by which our comment on a pull request is found again.
#[must_use]
pub fn marker(control_plane: &ControlPlaneId, repository: &RepositoryId, number: u64) -> String {
    format!("<!-- lapdev:{control_plane}:{repository}#{number} -->")
}

/// The whole comment.
#[must_use]
pub fn comment(marker: &str, environments: &[Sight<'_>], links: Links<'_>) -> String {
    let mut text = format!("{marker}\n");
    for (index, sight) in environments.iter().enumerate() {
        if index > 0 {
            text.push_str("\n---\n");
        }
        environment(&mut text, sight, links);
    }
    text
}

fn environment(text: &mut String, sight: &Sight<'_>, links: Links<'_>) {
    let record = sight.record;
    let state = sight.state();
    text.push_str(&format!("### Environment `{}` {}\n", record.identity.name, state.words));
    if !state.detail.is_empty() {
        text.push_str(&format!("\n{}\n", plain(&state.detail)));
    }
    if matches!(record.life, Life::Live) {
        addresses(text, record, links);
        workloads(text, sight);
        if let Some(traffic) = sight.traffic {
            text.push_str(&format!("\nTraffic: {}.\n", plain(traffic)));
        }
    }
    problems(text, record, &state.detail);
    origin(text, record);
}

fn addresses(text: &mut String, record: &EnvironmentRecord, links: Links<'_>) {
    if record.previews.is_empty() {
        return;
    }
    text.push('\n');
    for preview in &record.previews {
        let answers =
            if preview.branch { "answered by the branch" } else { "the baseline's, with the branch behind it" };
        let service = &preview.service;
        text.push_str(&format!("- [**{service}**]({}): {answers}\n", url(record, preview, links)));
    }
}

fn url(record: &EnvironmentRecord, preview: &PreviewRecord, links: Links<'_>) -> String {
    let (scheme, port) = (links.external_url.scheme(), links.external_url.port());
    link::address(scheme, port, links.secret, &record.identity.uid, preview)
}

fn workloads(text: &mut String, sight: &Sight<'_>) {
    let reasons = || sight.record.reasons.iter().filter_map(|reason| Some((reason.workload.as_deref()?, &reason.text)));
    if reasons().next().is_none() {
        if sight.record.digest.is_some() {
            text.push_str("\nThe branch changes no workload, so the baseline answers everything.\n");
        }
        return;
    }
    text.push_str("\n| workload | state | why it is here |\n|---|---|---|\n");
    for (workload, why) in reasons() {
        text.push_str(&format!("| {} | {} | {} |\n", plain(workload), row_state(sight, workload), plain(why)));
    }
}

fn row_state(sight: &Sight<'_>, workload: &str) -> String {
    let name = match &sight.record.identity.branch {
        Some(branch) => compose(workload, branch.key.as_str()),
        None => workload.to_owned(),
    };
    let statuses = sight.current().map_or(&[][..], |status| &status.workloads);
    statuses.iter().find(|status| status.name == name).map_or_else(|| "–".to_owned(), workload_state)
}

fn workload_state(status: &WorkloadStatus) -> String {
    let counts = format!("{}/{}", status.ready, status.desired);
    let words = match status.health {
        Health::Current => return format!("ready {counts}"),
        Health::InProgress => format!("starting {counts}"),
        Health::Failed => format!("failed {counts}"),
        Health::Terminating => return "being removed".to_owned(),
    };
    let why = [&status.reason, &status.message].into_iter().flatten().map(|text| plain(text)).collect::<Vec<_>>();
    if why.is_empty() { words } else { format!("{words}: {}", why.join(": ")) }
}

fn problems(text: &mut String, record: &EnvironmentRecord, said: &str) {
    let unsaid = record.problems.iter().filter(|problem| problem.message != said);
    let lines: Vec<String> =
        unsaid.map(|problem| format!("- **{}**: {}\n", plain(&problem.reason), plain(&problem.message))).collect();
    if !lines.is_empty() {
        text.push_str(&format!("\n{}", lines.concat()));
    }
}

fn origin(text: &mut String, record: &EnvironmentRecord) {
    let Some(branch) = &record.identity.branch else { return };
    let head = record.head.as_ref().map(|head| format!("Commit {head} of ")).unwrap_or_default();
    let mut line = format!("{head}{}, beside `{}`", plain(branch.branch.as_str()), branch.base);
    if let Some(expires_at) = record.expires_at.filter(|_| record.life == Life::Live) {
        line.push_str(&format!(", until {} unless somebody pushes", expires_at.strftime("%Y-%m-%d %H:%M UTC")));
    }
    let key = &branch.key;
    text.push_str(&format!(
        "\n<sub>{line}. Its routing key is `{key}`: inside the cluster, requests with `tracestate: lapdev={key}` or \
         `baggage: lapdev={key}` reach it.</sub>\n"
    ));
}
