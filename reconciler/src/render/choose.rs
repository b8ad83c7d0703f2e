//! Which workloads a branch runs, and why: those whose paths it touches, those that it renders differently, and those
//! that somebody asks for by name.
//!
//! The comparison is with the merge base, not with what the base environment runs: a main branch that moves on changes
//! nothing for a branch. Image rules are not applied to it, since every commit has another tag.

use super::{
    RenderError, config_maps,
    object::{Sourced, is_workload, kind, name},
    overrides::no_such_workload,
};
use crate::load::Globs;
use lapdev_api::{
    kinds::{AppCatalog, Override, WorkloadRule},
    name::RepositoryName,
    record::Reason,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// What the choice is made from.
#[derive(Debug, Clone, Copy)]
pub struct Choice<'a> {
    /// The catalog.
    pub catalog: &'a AppCatalog,
    /// The branch's repository.
    pub repository: &'a RepositoryName,
    /// The paths that differ between merge base and head.
    pub changed: &'a [String],
    /// The catalog's source at the merge base; none when the source is not in this repository.
    pub before: Option<&'a [Sourced]>,
    /// The catalog's source as the branch has it.
    pub head: &'a [Sourced],
    /// What the branch's `.lapdev.yaml` adds.
    pub asked: &'a [String],
    /// What the environment's file overrides.
    pub overrides: &'a [Override],
}

/// The choice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chosen {
    /// Each workload with its reasons, at least one.
    pub workloads: BTreeMap<String, Vec<String>>,
    /// What was left out although the branch changes it, and why.
    pub left_out: Vec<Reason>,
}

/// Chooses.
///
/// # Errors
/// When a workload is asked for by name that the branch does not have.
pub fn choose(choice: &Choice<'_>) -> Result<Chosen, RenderError> {
    let mut chosen = Chosen::default();
    for rule in choice.catalog.workloads.iter().filter(|rule| rule.repository == *choice.repository) {
        if let Some(reason) = touched(rule, choice.changed) {
            chosen.add(choice, &rule.name, reason);
        }
    }
    for object in choice.before.map_or(&[][..], |_| choice.head) {
        if let Some(reason) = differs(choice, &object.value) {
            chosen.add(choice, name(&object.value), reason);
        }
    }
    for asked in choice.asked {
        chosen.demand(choice, asked, ".lapdev.yaml", ".lapdev.yaml adds it".to_owned())?;
    }
    for change in choice.overrides {
        chosen.demand(choice, &change.workload, "an override", "its file overrides it".to_owned())?;
    }
    Ok(chosen)
}

impl Chosen {
    fn add(&mut self, choice: &Choice<'_>, workload: &str, reason: String) {
        let left_out = |text: String| Reason { workload: Some(workload.to_owned()), text };
        match find(choice.head, workload) {
            None => self.left_out.push(left_out(format!("{reason}, but the branch has no such workload"))),
            Some(object) if kind(object) == "StatefulSet" && !is_mapped(choice, workload) => {
                self.left_out.push(left_out(format!("{reason}, but a StatefulSet runs only if `workloads` maps it")));
            }
            Some(_) => self.workloads.entry(workload.to_owned()).or_default().push(reason),
        }
    }

    fn demand(
        &mut self,
        choice: &Choice<'_>,
        workload: &str,
        asked_by: &'static str,
        reason: String,
    ) -> Result<(), RenderError> {
        if find(choice.head, workload).is_none() {
            return Err(no_such_workload(choice.head.iter().map(|object| &object.value), workload, asked_by));
        }
        self.add(choice, workload, reason);
        Ok(())
    }
}

fn find<'a>(objects: &'a [Sourced], workload: &str) -> Option<&'a Value> {
    objects.iter().map(|object| &object.value).find(|object| is_workload(object) && name(object) == workload)
}

fn is_mapped(choice: &Choice<'_>, workload: &str) -> bool {
    choice.catalog.workloads.iter().any(|rule| rule.name == workload)
}

fn touched(rule: &WorkloadRule, changed: &[String]) -> Option<String> {
    let globs = Globs::new(&rule.paths).ok()?;
    let mut hits = changed.iter().filter(|path| globs.matches(path));
    let first = hits.next()?;
    let more = match hits.count() {
        0 => String::new(),
        1 => " and 1 more file".to_owned(),
        more => format!(" and {more} more files"),
    };
    Some(format!("the branch changes {first}{more}"))
}

/// Whether a workload, or a ConfigMap that it reads, is rendered differently than at the merge base.
fn differs(choice: &Choice<'_>, head: &Value) -> Option<String> {
    if !is_workload(head) {
        return None;
    }
    let Some(before) = find(choice.before?, name(head)) else { return Some("it is new in the branch".to_owned()) };
    if before != head {
        return Some("its manifest differs from the one at the merge base".to_owned());
    }
    let maps_before = config_maps::by_name(choice.before?.iter().map(|object| &object.value));
    let maps_head = config_maps::by_name(choice.head.iter().map(|object| &object.value));
    let changed = config_maps::read_by(head).into_iter().find(|map| {
        match (maps_before.get(map.as_str()), maps_head.get(map.as_str())) {
            (Some(before), Some(head)) => !config_maps::same_content(before, head),
            (None, Some(_)) => true,
            (_, None) => false,
        }
    })?;
    Some(format!("ConfigMap {changed} differs from the one at the merge base"))
}
