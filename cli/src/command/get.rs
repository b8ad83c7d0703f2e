//! `lapdev get`: environments and clusters, as the control plane knows them.

use crate::{
    args::{Get, List},
    client::Client,
    exit::Failure,
    output::{Row, age, message, plain, print},
};
use jiff::Timestamp;
use lapdev_api::view::{ClusterView, ConfigView, EnvironmentList, EnvironmentView};

/// Runs it.
pub async fn run(what: Get) -> Result<(), Failure> {
    match what {
        Get::Environments(list) => environments(&list).await,
        Get::Environment { name, list } => environment(&name, &list).await,
        Get::Clusters(list) => clusters(&list).await,
    }
}

async fn environments(list: &List) -> Result<(), Failure> {
    let answer: EnvironmentList = Client::new(&list.server)?.get(&["environments"]).await?;
    print(list.output, &answer, &answer.items)?;
    warn_of(&answer.config);
    Ok(())
}

async fn environment(name: &str, list: &List) -> Result<(), Failure> {
    let view: EnvironmentView = Client::new(&list.server)?.get(&["environments", name]).await?;
    print(list.output, &view, std::slice::from_ref(&view))
}

async fn clusters(list: &List) -> Result<(), Failure> {
    let views: Vec<ClusterView> = Client::new(&list.server)?.get(&["clusters"]).await?;
    print(list.output, &views, &views)
}

/// What is wrong with the config repository stands beside the data, on stderr: the environments are the last good ones.
fn warn_of(config: &ConfigView) {
    if !config.errors.is_empty() {
        let commit = config.head.as_ref().map_or_else(String::new, ToString::to_string);
        message(format_args!("\nconfig commit {commit} does not load; the last good one stays in force:"));
        config.errors.iter().for_each(|error| message(format_args!("  {}", plain(error))));
    }
    if let Some(held) = &config.held {
        let names: Vec<_> = held.environments.iter().map(ToString::to_string).collect();
        message(format_args!("\nDeletionHeld: {}\n  {}", plain(&held.message), names.join(", ")));
    }
    for problem in &config.unreadable {
        message(format_args!("\n{}: {}", problem.reason, plain(&problem.message)));
    }
}

impl Row for EnvironmentView {
    const HEAD: &'static [&'static str] =
        &["NAME", "TYPE", "CATALOG", "CLUSTER", "STATUS", "READY", "SOURCE", "AGE", "MESSAGE"];

    fn cells(&self) -> Vec<String> {
        let ready = self.workloads.iter().filter(|w| w.ready >= w.desired).count();
        let source = self.branch.as_ref().map_or_else(String::new, |branch| {
            let numbers: String = branch.pull_requests.iter().map(|number| format!("#{number}")).collect();
            format!("{}@{}{numbers}", branch.repository, branch.branch)
        });
        let problem = self.problems.first().map(|p| format!("{}: {}", p.reason, p.message));
        vec![
            self.name.to_string(),
            self.environment_type.to_string(),
            self.catalog.to_string(),
            self.cluster.to_string(),
            self.phase.to_string(),
            format!("{ready}/{}", self.workloads.len()),
            source,
            age(self.created_at, Timestamp::now()),
            problem.unwrap_or_else(|| self.message.clone()),
        ]
    }
}

impl Row for ClusterView {
    const HEAD: &'static [&'static str] = &["NAME", "CONNECTED", "ENVIRONMENTS", "AGENT", "KUBERNETES", "LAST SEEN"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.to_string(),
            if self.connected { "yes" } else { "no" }.to_owned(),
            self.environments.to_string(),
            self.agent_version.clone().unwrap_or_default(),
            self.kubernetes.clone().unwrap_or_default(),
            self.last_seen.map_or_else(|| "never".to_owned(), |at| age(at, Timestamp::now())),
        ]
    }
}
