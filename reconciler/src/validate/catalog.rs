//! Checks of one catalog against the other kinds and against itself.

use super::kinds::{base_problem, mapping_problem};
use crate::load::{Config, Diagnostic, Placed};
use lapdev_api::kinds::{AppCatalog, BranchEnvironments};
use std::collections::BTreeMap;

pub(super) fn check(config: &Config, catalog: &Placed<AppCatalog>) -> Vec<Diagnostic> {
    let workloads = catalog.workloads.iter().map(|rule| rule.name.as_str());
    let previews = catalog.previews.iter().map(|preview| preview.service.as_str());
    let mut found = twice(catalog, "workload", workloads, |i| format!("spec.workloads[{i}].name"));
    found.extend(twice(catalog, "preview of service", previews, |i| format!("spec.previews[{i}].service")));
    if let Some(branches) = &catalog.branch_environments {
        found.extend(values(catalog, branches));
        found.extend(references(config, catalog, branches));
    }
    found
}

/// Two rules for one name: which one counts would be a guess.
fn twice<'a>(
    catalog: &Placed<AppCatalog>,
    what: &str,
    names: impl Iterator<Item = &'a str>,
    field: impl Fn(usize) -> String,
) -> Vec<Diagnostic> {
    let mut first: BTreeMap<&str, usize> = BTreeMap::new();
    let mut found = Vec::new();
    for (i, name) in names.enumerate() {
        let earlier = *first.entry(name).or_insert(i);
        if earlier != i {
            let line = catalog.places.of(&field(earlier)).line;
            let message = format!("a second rule for {what} `{name}`");
            found.push(catalog.places.diagnostic(
                &field(i),
                message,
                format!("expected one; the first is at line {line}"),
            ));
        }
    }
    found
}

fn values(catalog: &Placed<AppCatalog>, branches: &BranchEnvironments) -> Vec<Diagnostic> {
    let at = |field: &str, message: &str, expected: &str| {
        catalog.places.diagnostic(&format!("spec.branchEnvironments.{field}"), message, expected)
    };
    let mut found = Vec::new();
    if branches.limit == 0 {
        let expected = "expected at least 1; remove `branchEnvironments` to have none";
        found.push(at("limit", "a limit of 0 admits no branch environment", expected));
    }
    if branches.on.is_empty() {
        found.push(at("on", "no trigger", "expected at least one; remove `branchEnvironments` to have none"));
    }
    for (field, value) in [("ttl", branches.ttl), ("sleepAfter", branches.sleep_after)] {
        if value.is_some_and(|duration| duration.is_zero()) {
            let message = format!("`{field}` is zero");
            found.push(at(field, &message, "expected a duration above zero, or no such field"));
        }
    }
    found
}

fn references(config: &Config, catalog: &Placed<AppCatalog>, branches: &BranchEnvironments) -> Vec<Diagnostic> {
    let at = |field: &str, (message, expected)| {
        catalog.places.diagnostic(&format!("spec.branchEnvironments.{field}"), message, expected)
    };
    let base = base_problem(config, &catalog.name, &branches.base).map(|wrong| at("base", wrong));
    let triggers = branches.on.iter().enumerate().filter_map(|(i, trigger)| {
        Some(at(&format!("on[{i}].repository"), mapping_problem(catalog, &trigger.repository)?))
    });
    base.into_iter().chain(triggers).collect()
}
