//! Which image a branch's copy runs. Images are built by the team's CI; the rule says how it names them.

use super::{
    RenderError,
    object::{containers_mut, text},
};
use lapdev_api::{kinds::ImageRule, name::Commit};
use serde_json::Value;

/// The commits that an image rule's tag may speak of.
#[derive(Debug, Clone, Copy)]
pub(super) struct TagCommits<'a> {
    pub head: &'a Commit,
    /// The last one under the rule's paths, where it could be found.
    pub path: Option<&'a Commit>,
}

/// Sets the image of the container that the rule names.
pub(super) fn set(
    template: &mut Value,
    workload: &str,
    rule: &ImageRule,
    commits: TagCommits<'_>,
) -> Result<(), RenderError> {
    let mut tag = rule.tag.replace("{sha}", commits.head.as_str());
    if tag.contains("{pathSha}") {
        let commit = commits.path.ok_or_else(|| RenderError::NoPathCommit { workload: workload.to_owned() })?;
        tag = tag.replace("{pathSha}", commit.as_str());
    }
    let container = container_named(template, workload, Some(&rule.container))?;
    container["image"] = Value::from(format!("{}:{tag}", rule.name));
    Ok(())
}

/// The container of this name; without a name the first one.
pub(super) fn container_named<'a>(
    template: &'a mut Value,
    workload: &str,
    wanted: Option<&str>,
) -> Result<&'a mut Value, RenderError> {
    let names: Vec<String> = containers_mut(template).map(|container| text(container, "/name").to_owned()).collect();
    let first = text(template, "/spec/containers/0/name").to_owned();
    let wanted = wanted.unwrap_or(&first);
    let found = containers_mut(template).find(|container| text(container, "/name") == wanted);
    found.ok_or_else(|| RenderError::NoSuchContainer {
        workload: workload.to_owned(),
        container: wanted.to_owned(),
        known: if names.is_empty() { "none".to_owned() } else { names.join(", ") },
    })
}
