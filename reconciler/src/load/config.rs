//! The declared state of a config repository at one commit: every kind by name, with the places of its fields.

use super::diagnostic::{Diagnostic, Position};
use lapdev_api::{
    kinds::{AppCatalog, Cluster, Environment},
    name::{CatalogName, ClusterName, EnvironmentName},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Deref,
};

/// Everything that a tree declares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// The clusters.
    pub clusters: BTreeMap<ClusterName, Placed<Cluster>>,
    /// The catalogs.
    pub catalogs: BTreeMap<CatalogName, Placed<AppCatalog>>,
    /// The environments that have a file.
    pub environments: BTreeMap<EnvironmentName, Placed<Environment>>,
    /// Kind and name of what is declared but could not be read, so that references to it do not count as dangling.
    pub(crate) unreadable: BTreeSet<(&'static str, String)>,
}

/// What a tree declares, and everything that is wrong in it. With errors the config is partial: good for pointing at
/// further errors, never evidence that something is gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    /// What could be read.
    pub config: Config,
    /// What could not, sorted by place.
    pub errors: Vec<Diagnostic>,
}

/// A kind and the places of its fields. Reads as the kind itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed<T> {
    /// The kind.
    pub value: T,
    /// Where it stands.
    pub places: Places,
}

impl<T> Deref for Placed<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

/// Where a document and each of its fields stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// The file, from the root of the tree.
    pub path: String,
    /// The position of each field's value, by its path in the document, such as `spec.workloads[0].name`.
    pub fields: BTreeMap<String, Position>,
    /// Whether something in the document is wrong: then fields that could not be read have their defaults, and what the
    /// kind lacks says nothing.
    pub partial: bool,
}

impl Places {
    /// The position of a field, or of the nearest enclosing one that is written down.
    #[must_use]
    pub fn of(&self, field: &str) -> Position {
        let mut field = field;
        loop {
            if let Some(position) = self.fields.get(field) {
                return *position;
            }
            match field.rfind(['.', '[']) {
                Some(end) => field = &field[..end],
                None => return self.fields.get("").copied().unwrap_or(Position::START),
            }
        }
    }

    /// A diagnostic about a field.
    #[must_use]
    pub fn diagnostic(&self, field: &str, message: impl Into<String>, expected: impl Into<String>) -> Diagnostic {
        Diagnostic::new(self.path.clone(), self.of(field), message, expected)
    }
}
