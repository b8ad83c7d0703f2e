//! Checks among the kinds: references, permissions, names, values that mean nothing.

use super::expected_one_of;
use crate::load::{Config, Diagnostic, Placed};
use lapdev_api::{
    key::BASELINE,
    kinds::{AppCatalog, Cluster, Environment, Placement, Source},
    name::{CatalogName, ClusterName, EnvironmentName, Namespace, RepositoryName},
};
use std::collections::BTreeMap;

/// Everything that does not hold together among the kinds, sorted by place.
#[must_use]
pub fn validate(config: &Config) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for catalog in config.catalogs.values() {
        catalog_alone(catalog, &mut found);
        found.extend(catalog_base(config, catalog));
    }
    for environment in config.environments.values() {
        environment_alone(environment, &mut found);
        references(config, environment, &mut found);
    }
    found.sort();
    found
}

fn catalog_alone(catalog: &Placed<AppCatalog>, found: &mut Vec<Diagnostic>) {
    twice(
        catalog,
        catalog.workloads.iter().map(|w| w.name.as_str()),
        |i| format!("spec.workloads[{i}].name"),
        "workload",
        found,
    );
    twice(
        catalog,
        catalog.previews.iter().map(|p| p.service.as_str()),
        |i| format!("spec.previews[{i}].service"),
        "preview of service",
        found,
    );
    let Some(branches) = &catalog.branch_environments else {
        return;
    };
    let places = &catalog.places;
    let at = |field: &str| format!("spec.branchEnvironments.{field}");
    if branches.limit == 0 {
        let expected = "expected at least 1; remove `branchEnvironments` to have none";
        found.push(places.diagnostic(&at("limit"), "a limit of 0 admits no branch environment", expected));
    }
    if branches.on.is_empty() {
        found.push(places.diagnostic(
            &at("on"),
            "no trigger",
            "expected at least one; remove `branchEnvironments` to have none",
        ));
    }
    for (field, value) in [("ttl", branches.ttl), ("sleepAfter", branches.sleep_after)] {
        if value.is_some_and(|duration| duration.is_zero()) {
            found.push(places.diagnostic(
                &at(field),
                format!("`{field}` is zero"),
                "expected a duration above zero, or no such field",
            ));
        }
    }
    for (i, trigger) in branches.on.iter().enumerate() {
        if !is_mapped(catalog, &trigger.repository) {
            found.push(places.diagnostic(&at(&format!("on[{i}].repository")), unmapped(&trigger.repository), MAP_IT));
        }
    }
}

const MAP_IT: &str = "expected a repository of a rule under `workloads`; add one, or a branch would run nothing";

fn unmapped(repository: &RepositoryName) -> String {
    format!("no workload of the catalog comes from `{repository}`")
}

/// Whether a branch of this repository can change anything of the catalog.
fn is_mapped(catalog: &AppCatalog, repository: &RepositoryName) -> bool {
    let own = matches!(&catalog.source, Source::Repository { repository: own, .. } if own == repository);
    own || catalog.workloads.iter().any(|rule| rule.repository == *repository)
}

fn twice<'a>(
    catalog: &Placed<AppCatalog>,
    names: impl Iterator<Item = &'a str>,
    field: impl Fn(usize) -> String,
    what: &str,
    found: &mut Vec<Diagnostic>,
) {
    let mut first: BTreeMap<&str, usize> = BTreeMap::new();
    for (i, name) in names.enumerate() {
        if let Some(earlier) = first.get(name) {
            let message = format!("a second rule for {what} `{name}`");
            let at = catalog.places.of(&field(*earlier));
            found.push(catalog.places.diagnostic(
                &field(i),
                message,
                format!("expected one; the first is at line {}", at.line),
            ));
        } else {
            first.insert(name, i);
        }
    }
}

fn catalog_base(config: &Config, catalog: &Placed<AppCatalog>) -> Option<Diagnostic> {
    let base = &catalog.branch_environments.as_ref()?.base;
    base_problem(config, &catalog.name, base)
        .map(|(message, expected)| catalog.places.diagnostic("spec.branchEnvironments.base", message, expected))
}

/// Why an environment cannot be the base of a branch of this catalog.
fn base_problem(config: &Config, catalog: &CatalogName, base: &EnvironmentName) -> Option<(String, String)> {
    let fits = |e: &&Placed<Environment>| e.catalog == *catalog && matches!(e.placement, Placement::Shared { .. });
    let what = format!("a Shared environment of catalog `{catalog}`");
    let fitting: Vec<&str> = config.environments.values().filter(fits).map(|e| e.name.as_str()).collect();
    let message = match config.environments.get(base) {
        None => format!("there is no environment `{base}`"),
        Some(found) if found.catalog != *catalog => {
            format!("environment `{base}` is of catalog `{}`", found.catalog)
        }
        Some(found) if !fits(&found) => {
            format!("environment `{base}` is {}, not Shared", found.placement.environment_type())
        }
        Some(_) => return None,
    };
    Some((message, expected_one_of(base.as_str(), &what, fitting)))
}

fn environment_alone(environment: &Placed<Environment>, found: &mut Vec<Diagnostic>) {
    let places = &environment.places;
    if environment.name.as_str() == BASELINE {
        let message = format!("the name `{BASELINE}` is reserved");
        found.push(places.diagnostic(
            "metadata.name",
            message,
            "expected another name; it stands for what belongs to no branch",
        ));
    }
    if environment.ttl.is_some_and(|ttl| ttl.is_zero()) {
        found.push(places.diagnostic("spec.ttl", "`ttl` is zero", "expected a duration above zero, or no such field"));
    }
    for (i, change) in environment.overrides.iter().enumerate() {
        for (j, patch) in change.patches.iter().enumerate() {
            let name = patch.pointer("/metadata/name").and_then(serde_json::Value::as_str);
            if let Some(name) = name.filter(|name| *name != change.workload) {
                let message = format!("the patch is for `{name}`, the override for `{}`", change.workload);
                found.push(places.diagnostic(
                    &format!("spec.overrides[{i}].patches[{j}]"),
                    message,
                    "expected the same name, or none",
                ));
            }
        }
    }
}

fn references(config: &Config, environment: &Placed<Environment>, found: &mut Vec<Diagnostic>) {
    let places = &environment.places;
    let catalog = config.catalogs.get(&environment.catalog);
    if catalog.is_none() {
        let known = config.catalogs.keys().map(CatalogName::as_str);
        let expected = expected_one_of(environment.catalog.as_str(), "an AppCatalog", known);
        found.push(places.diagnostic(
            "spec.catalog",
            format!("there is no catalog `{}`", environment.catalog),
            expected,
        ));
    }
    match &environment.placement {
        Placement::Personal { cluster, .. } | Placement::Shared { cluster } => match config.clusters.get(cluster) {
            Some(cluster) => placement(environment, catalog, cluster, found),
            None => {
                let known = config.clusters.keys().map(ClusterName::as_str);
                let expected = expected_one_of(cluster.as_str(), "a Cluster", known);
                found.push(places.diagnostic("spec.cluster", format!("there is no cluster `{cluster}`"), expected));
            }
        },
        Placement::Branch { base, branch, .. } => {
            let problem = base_problem(config, &environment.catalog, base);
            found.extend(problem.map(|(message, expected)| places.diagnostic("spec.base", message, expected)));
            if catalog.is_some_and(|catalog| !is_mapped(catalog, &branch.repository)) {
                found.push(places.diagnostic("spec.branch.repository", unmapped(&branch.repository), MAP_IT));
            }
        }
    }
}

/// Whether the cluster takes this environment, and gives it a namespace of its own.
fn placement(
    environment: &Placed<Environment>,
    catalog: Option<&Placed<AppCatalog>>,
    cluster: &Cluster,
    found: &mut Vec<Diagnostic>,
) {
    let places = &environment.places;
    let (permitted, permission) = match environment.placement {
        Placement::Personal { .. } => (cluster.permissions.personal, "personal"),
        _ => (cluster.permissions.shared, "shared"),
    };
    if !permitted {
        let message =
            format!("cluster `{}` takes no {} environments", cluster.name, environment.placement.environment_type());
        found.push(places.diagnostic(
            "spec.cluster",
            message,
            format!("expected a cluster with `permissions.{permission}: true`"),
        ));
    }
    if cluster.preview_domain.is_none() && catalog.is_some_and(|catalog| !catalog.previews.is_empty()) {
        let message = format!(
            "cluster `{}` has no `previewDomain`, but catalog `{}` has previews",
            cluster.name, environment.catalog
        );
        found.push(places.diagnostic(
            "spec.cluster",
            message,
            "expected a cluster with one, or a catalog without previews",
        ));
    }
    let namespace = format!("{}{}", cluster.namespace_prefix, environment.name);
    if namespace.parse::<Namespace>().is_err() {
        let message = format!("its namespace `{namespace}` would have {} characters", namespace.len());
        found.push(places.diagnostic(
            "metadata.name",
            message,
            "expected at most 63 with the cluster's `namespacePrefix`",
        ));
    }
    if cluster.source_namespaces.iter().any(|source| source.as_str() == namespace) {
        let message = format!("its namespace `{namespace}` is one of the cluster's `sourceNamespaces`");
        found.push(places.diagnostic(
            "metadata.name",
            message,
            "expected another name; source namespaces are not lapdev's to write",
        ));
    }
}
