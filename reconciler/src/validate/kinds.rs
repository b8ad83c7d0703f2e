//! Checks among the kinds, without any objects: [`validate`], and what catalogs and environments are both asked.

use super::{catalog, environment, expected_one_of};
use crate::load::{Config, Diagnostic, Placed};
use lapdev_api::{
    kinds::{AppCatalog, Environment, Placement, Source},
    name::{CatalogName, EnvironmentName, RepositoryName},
};

/// Everything that does not hold together among the kinds, sorted by place.
#[must_use]
pub fn validate(config: &Config) -> Vec<Diagnostic> {
    let catalogs = config.catalogs.values().flat_map(|catalog| catalog::check(config, catalog));
    let environments = config.environments.values().flat_map(|environment| environment::check(config, environment));
    let mut found: Vec<Diagnostic> = catalogs.chain(environments).collect();
    found.sort();
    found
}

/// Whether a kind of this name is declared, though it could not be read: what refers to it does not dangle.
pub(super) fn is_unreadable(config: &Config, kind: &'static str, name: &impl ToString) -> bool {
    config.unreadable.contains(&(kind, name.to_string()))
}

/// What is wrong, and what was expected.
pub(super) type Wrong = (String, String);

/// Why an environment cannot be the base of a branch of this catalog.
pub(super) fn base_problem(config: &Config, catalog: &CatalogName, base: &EnvironmentName) -> Option<Wrong> {
    let fits = |e: &&Placed<Environment>| e.catalog == *catalog && matches!(e.placement, Placement::Shared { .. });
    let message = match config.environments.get(base) {
        None if is_unreadable(config, "Environment", base) => return None,
        None => format!("there is no environment `{base}`"),
        Some(found) if fits(&found) => return None,
        Some(found) if found.catalog != *catalog => format!("environment `{base}` is of catalog `{}`", found.catalog),
        Some(found) => format!("environment `{base}` is {}, not Shared", found.placement.environment_type()),
    };
    let what = format!("a Shared environment of catalog `{catalog}`");
    let fitting: Vec<&str> = config.environments.values().filter(fits).map(|e| e.name.as_str()).collect();
    Some((message, expected_one_of(base.as_str(), &what, fitting)))
}

/// Why a branch of this repository could change nothing of the catalog.
pub(super) fn mapping_problem(catalog: &Placed<AppCatalog>, repository: &RepositoryName) -> Option<Wrong> {
    let own = matches!(&catalog.source, Source::Repository { repository: own, .. } if own == repository);
    // Of a partial catalog the rules may be missing.
    if own || catalog.places.partial || catalog.workloads.iter().any(|rule| rule.repository == *repository) {
        return None;
    }
    let expected = "expected a repository of a rule under `workloads`; add one, or a branch would run nothing";
    Some((format!("no workload of the catalog comes from `{repository}`"), expected.to_owned()))
}
