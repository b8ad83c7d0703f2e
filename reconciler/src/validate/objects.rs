//! Checks of a catalog's rendered objects: what an environment may hold at all, and whether the catalog and its
//! environments speak of things that are there.

use super::{router::routers_own, scope::is_cluster_scoped, workloads};
use crate::load::{Config, Diagnostic, Placed, Position};
use lapdev_api::kinds::{AppCatalog, Source};
use lapdev_kustomize::{Object, Place};
use serde_json::Value;
use std::collections::{BTreeMap, btree_map::Entry};

/// Everything that is wrong with the rendered objects of a catalog, and with what the catalog and the environments of
/// `config` say about them; sorted by place. A place in another repository reads `owner/name@ref:path`.
#[must_use]
pub fn check_objects(config: &Config, catalog: &Placed<AppCatalog>, objects: &[Object]) -> Vec<Diagnostic> {
    let mut found: Vec<Diagnostic> = objects.iter().flat_map(|object| forbidden(catalog, object)).collect();
    found.extend(duplicates(catalog, objects));
    workloads::check(config, catalog, objects, &mut found);
    found.sort();
    found.dedup();
    found
}

/// Why an environment may not hold this object.
fn forbidden(catalog: &AppCatalog, object: &Object) -> Vec<Diagnostic> {
    let what = describe(object);
    let mut found = Vec::new();
    let mut wrong = |message: String, expected: &str| found.push(at(catalog, object.place(), message, expected));
    if is_cluster_scoped(object.group(), object.kind()) {
        wrong(format!("{what} is cluster-scoped"), "expected namespaced objects only; install it outside of lapdev");
    }
    if let Some(namespace) = object.namespace() {
        wrong(
            format!("{what} names the namespace `{namespace}`"),
            "expected none; each environment puts its objects in a namespace of its own",
        );
    }
    if let Some((has, expected)) = routers_own(object.value()) {
        wrong(format!("{what} {has}, which is the router's own"), expected);
    }
    if object.kind() == "Secret" && object.group().is_empty() && ["data", "stringData"].iter().any(|f| holds(object, f))
    {
        wrong(
            format!("{what} holds its data in git"),
            "expected a reference: an ExternalSecret, a SOPS- or SealedSecrets-encrypted object, or a Secret that is made in the cluster",
        );
    }
    if object.value().pointer("/metadata/generateName").is_some() {
        wrong(
            format!("{what} has `generateName`"),
            "expected `metadata.name`: an object without a fixed name cannot be applied again",
        );
    } else if object.name().is_empty() {
        wrong(format!("{what} has no name"), "expected `metadata.name`");
    }
    found
}

fn holds(object: &Object, field: &str) -> bool {
    match object.value().get(field) {
        None | Some(Value::Null) => false,
        Some(Value::Object(map)) => !map.is_empty(),
        Some(_) => true,
    }
}

fn duplicates(catalog: &AppCatalog, objects: &[Object]) -> Vec<Diagnostic> {
    let mut first: BTreeMap<(&str, &str, &str), &Object> = BTreeMap::new();
    let mut found = Vec::new();
    for object in objects.iter().filter(|object| !object.name().is_empty()) {
        match first.entry((object.group(), object.kind(), object.name())) {
            Entry::Vacant(free) => drop(free.insert(object)),
            Entry::Occupied(taken) => {
                let message = format!("{} is there twice", describe(object));
                let expected = format!("expected one; it is already at {}", taken.get().place());
                found.push(at(catalog, object.place(), message, &expected));
            }
        }
    }
    found
}

fn describe(object: &Object) -> String {
    match object.name() {
        "" => format!("an object of kind {}", object.kind()),
        name => format!("{} `{name}`", object.kind()),
    }
}

fn at(catalog: &AppCatalog, place: &Place, message: String, expected: &str) -> Diagnostic {
    Diagnostic::new(path(catalog, place), position(place), message, expected)
}

/// The file of a place in the catalog's source.
pub(super) fn path(catalog: &AppCatalog, place: &Place) -> String {
    match &catalog.source {
        Source::Path { .. } => place.file.to_string(),
        Source::Repository { repository, branch, .. } => format!("{repository}@{branch}:{}", place.file),
    }
}

pub(super) fn position(place: &Place) -> Position {
    place.position.map_or(Position::START, |p| Position { line: p.line, column: p.column })
}
