//! Whether the workloads, containers, services and ports that a catalog and its environments name are among the
//! catalog's objects.

use super::{expected_one_of, kinds::Wrong};
use crate::load::{Config, Diagnostic, Placed};
use lapdev_api::kinds::{AppCatalog, Port};
use lapdev_kustomize::Object;
use serde_json::Value;

pub(super) fn check(config: &Config, catalog: &Placed<AppCatalog>, objects: &[Object], found: &mut Vec<Diagnostic>) {
    for (i, rule) in catalog.workloads.iter().enumerate() {
        let field = format!("spec.workloads[{i}]");
        match workload(objects, &rule.name) {
            Err((message, expected)) => {
                found.push(catalog.places.diagnostic(&format!("{field}.name"), message, expected));
            }
            Ok(object) => {
                let missing = rule.image.as_ref().and_then(|image| missing_container(object, &image.container));
                let place = |(message, expected)| {
                    catalog.places.diagnostic(&format!("{field}.image.container"), message, expected)
                };
                found.extend(missing.map(place));
            }
        }
    }
    previews(catalog, objects, found);
    for environment in config.environments.values().filter(|e| e.catalog == catalog.name) {
        for (i, change) in environment.overrides.iter().enumerate() {
            if let Err((message, expected)) = workload(objects, &change.workload) {
                let field = format!("spec.overrides[{i}].workload");
                found.push(environment.places.diagnostic(&field, message, expected));
            }
        }
    }
}

/// The Deployment or StatefulSet of a name.
fn workload<'o>(objects: &'o [Object], name: &str) -> Result<&'o Object, Wrong> {
    let eligible =
        || objects.iter().filter(|o| o.group() == "apps" && matches!(o.kind(), "Deployment" | "StatefulSet"));
    let named: Vec<_> = eligible().filter(|object| object.name() == name).collect();
    match named.as_slice() {
        [object] => Ok(object),
        [] => {
            let other = objects
                .iter()
                .find(|o| o.name() == name && matches!(o.kind(), "DaemonSet" | "Job" | "CronJob" | "Pod"));
            let message = match other {
                Some(other) => format!("workload `{name}` is a {}", other.kind()),
                None => format!("the catalog has no workload `{name}`"),
            };
            let known: Vec<&str> = eligible().map(Object::name).collect();
            Err((message, expected_one_of(name, "a Deployment or StatefulSet of the catalog", known)))
        }
        _ => Err((
            format!("both a Deployment and a StatefulSet are named `{name}`"),
            "expected different names, so that a rule means one of them".to_owned(),
        )),
    }
}

fn missing_container(object: &Object, name: &str) -> Option<Wrong> {
    let names = names_in(object.value(), "/spec/template/spec/containers");
    if names.contains(&name) {
        return None;
    }
    let message = format!("{} `{}` has no container `{name}`", object.kind(), object.name());
    Some((message, expected_one_of(name, "a container of it", names)))
}

fn names_in<'v>(value: &'v Value, pointer: &str) -> Vec<&'v str> {
    let items = value.pointer(pointer).and_then(Value::as_array);
    items.into_iter().flatten().filter_map(|item| item.get("name")?.as_str()).collect()
}

fn previews(catalog: &Placed<AppCatalog>, objects: &[Object], found: &mut Vec<Diagnostic>) {
    for (i, preview) in catalog.previews.iter().enumerate() {
        let field = format!("spec.previews[{i}]");
        found.extend(missing_service(catalog, objects, &field, &preview.service, &preview.port));
        for (path, to) in &preview.paths {
            let field = format!("{field}.paths.{path}");
            found.extend(missing_service(catalog, objects, &field, &to.service, &to.port));
        }
    }
}

fn missing_service(
    catalog: &Placed<AppCatalog>,
    objects: &[Object],
    field: &str,
    service: &str,
    port: &Port,
) -> Option<Diagnostic> {
    let services = || objects.iter().filter(|o| o.kind() == "Service" && o.group().is_empty());
    let Some(object) = services().find(|object| object.name() == service) else {
        let known: Vec<&str> = services().map(Object::name).collect();
        let expected = expected_one_of(service, "a Service of the catalog", known);
        let message = format!("the catalog has no Service `{service}`");
        return Some(catalog.places.diagnostic(&format!("{field}.service"), message, expected));
    };
    let ports = object.value().pointer("/spec/ports").and_then(Value::as_array);
    let ports: Vec<&Value> = ports.into_iter().flatten().collect();
    let matches = |declared: &&Value| match port {
        Port::Number(number) => declared.get("port").and_then(Value::as_u64) == Some((*number).into()),
        Port::Name(name) => declared.get("name").and_then(Value::as_str) == Some(name),
    };
    if ports.iter().any(matches) {
        return None;
    }
    let (wanted, known): (String, Vec<String>) = match port {
        Port::Number(number) => {
            (number.to_string(), ports.iter().filter_map(|p| Some(p.get("port")?.to_string())).collect())
        }
        Port::Name(name) => {
            (name.clone(), names_in(object.value(), "/spec/ports").into_iter().map(str::to_owned).collect())
        }
    };
    let expected = expected_one_of(&wanted, "a port of it", known.iter().map(String::as_str));
    Some(catalog.places.diagnostic(
        &format!("{field}.port"),
        format!("Service `{service}` has no port `{wanted}`"),
        expected,
    ))
}
