//! Checks of one declared environment against the catalog, the cluster and the base that it names.

use super::{
    expected_one_of,
    kinds::{Wrong, base_problem, is_unreadable, mapping_problem},
};
use crate::load::{Config, Diagnostic, Placed};
use lapdev_api::{
    key::BASELINE,
    kinds::{AppCatalog, BranchSelector, Cluster, Environment, Placement},
    name::{CatalogName, ClusterName, EnvironmentName, Namespace},
};
use serde_json::Value;

pub(super) fn check(config: &Config, environment: &Placed<Environment>) -> Vec<Diagnostic> {
    let mut check = Check { environment, catalog: config.catalogs.get(&environment.catalog), found: Vec::new() };
    check.values();
    check.patches();
    check.catalog(config);
    match &environment.placement {
        Placement::Personal { cluster, .. } | Placement::Shared { cluster } => check.cluster(config, cluster),
        Placement::Branch { base, branch, .. } => check.branch(config, base, branch),
    }
    check.found
}

struct Check<'c> {
    environment: &'c Placed<Environment>,
    catalog: Option<&'c Placed<AppCatalog>>,
    found: Vec<Diagnostic>,
}

impl Check<'_> {
    fn wrong(&mut self, field: &str, message: impl Into<String>, expected: impl Into<String>) {
        self.found.push(self.environment.places.diagnostic(field, message, expected));
    }

    fn extend(&mut self, field: &str, wrong: Option<Wrong>) {
        if let Some((message, expected)) = wrong {
            self.wrong(field, message, expected);
        }
    }

    fn values(&mut self) {
        if self.environment.name.as_str() == BASELINE {
            let expected = "expected another name; it stands for what belongs to no branch";
            self.wrong("metadata.name", format!("the name `{BASELINE}` is reserved"), expected);
        }
        if self.environment.ttl.is_some_and(|ttl| ttl.is_zero()) {
            self.wrong("spec.ttl", "`ttl` is zero", "expected a duration above zero, or no such field");
        }
    }

    /// A patch is for its override's workload; one that names another would be applied to what it does not mean.
    fn patches(&mut self) {
        for (i, change) in self.environment.overrides.iter().enumerate() {
            for (j, patch) in change.patches.iter().enumerate() {
                let name = patch.pointer("/metadata/name").and_then(Value::as_str);
                if let Some(name) = name.filter(|name| *name != change.workload) {
                    let message = format!("the patch is for `{name}`, the override for `{}`", change.workload);
                    let field = format!("spec.overrides[{i}].patches[{j}]");
                    self.wrong(&field, message, "expected the same name, or none");
                }
            }
        }
    }

    fn catalog(&mut self, config: &Config) {
        let name = &self.environment.catalog;
        if self.catalog.is_none() && !is_unreadable(config, "AppCatalog", name) {
            let known = config.catalogs.keys().map(CatalogName::as_str);
            let expected = expected_one_of(name.as_str(), "an AppCatalog", known);
            self.wrong("spec.catalog", format!("there is no catalog `{name}`"), expected);
        }
    }

    fn branch(&mut self, config: &Config, base: &EnvironmentName, branch: &BranchSelector) {
        self.extend("spec.base", base_problem(config, &self.environment.catalog, base));
        let unmapped = self.catalog.and_then(|catalog| mapping_problem(catalog, &branch.repository));
        self.extend("spec.branch.repository", unmapped);
    }

    fn cluster(&mut self, config: &Config, name: &ClusterName) {
        match config.clusters.get(name) {
            Some(cluster) => {
                // What a partial cluster permits is not known.
                if !cluster.places.partial {
                    self.permission(cluster);
                    self.preview_domain(cluster);
                }
                self.namespace(cluster);
            }
            None if is_unreadable(config, "Cluster", name) => {}
            None => {
                let expected =
                    expected_one_of(name.as_str(), "a Cluster", config.clusters.keys().map(ClusterName::as_str));
                self.wrong("spec.cluster", format!("there is no cluster `{name}`"), expected);
            }
        }
    }

    fn permission(&mut self, cluster: &Cluster) {
        let (permitted, permission) = match self.environment.placement {
            Placement::Personal { .. } => (cluster.permissions.personal, "personal"),
            _ => (cluster.permissions.shared, "shared"),
        };
        if !permitted {
            let kind = self.environment.placement.environment_type();
            let message = format!("cluster `{}` takes no {kind} environments", cluster.name);
            self.wrong("spec.cluster", message, format!("expected a cluster with `permissions.{permission}: true`"));
        }
    }

    fn preview_domain(&mut self, cluster: &Cluster) {
        if cluster.preview_domain.is_some() || self.catalog.is_none_or(|catalog| catalog.previews.is_empty()) {
            return;
        }
        let catalog = &self.environment.catalog;
        let message =
            format!("cluster `{}` has no `previewDomain`, but catalog `{catalog}` has previews", cluster.name);
        self.wrong("spec.cluster", message, "expected a cluster with one, or a catalog without previews");
    }

    /// Whether the cluster has a namespace for it that is its own.
    fn namespace(&mut self, cluster: &Cluster) {
        let namespace = format!("{}{}", cluster.namespace_prefix, self.environment.name);
        if namespace.parse::<Namespace>().is_err() {
            let message = format!("its namespace `{namespace}` would have {} characters", namespace.len());
            self.wrong("metadata.name", message, "expected at most 63 with the cluster's `namespacePrefix`");
        }
        if cluster.source_namespaces.iter().any(|source| source.as_str() == namespace) {
            let message = format!("its namespace `{namespace}` is one of the cluster's `sourceNamespaces`");
            self.wrong("metadata.name", message, "expected another name; source namespaces are not lapdev's to write");
        }
    }
}
