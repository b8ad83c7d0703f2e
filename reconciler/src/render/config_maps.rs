//! ConfigMaps that pods read: found, compared, renamed, and digested so that a changed one rolls its readers.

use super::object::{containers_mut, kind, mapping, name, pod_template, pod_template_mut, text};
use lapdev_api::{digest::Digest, labels};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The ConfigMaps among these objects, by name.
pub(super) fn by_name<'a>(objects: impl Iterator<Item = &'a Value>) -> BTreeMap<&'a str, &'a Value> {
    objects.filter(|object| kind(object) == "ConfigMap").map(|object| (name(object), object)).collect()
}

/// The names that a workload's pods read.
pub(super) fn read_by(workload: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    if let Some(template) = pod_template(workload) {
        // The walk is written once, for changing; a copy of one template is cheap.
        each_reference(&mut template.clone(), |reference| {
            names.insert(reference.to_owned());
            None
        });
    }
    names
}

/// Leads the references in a workload's pods to other names.
pub(super) fn rename(workload: &mut Value, names: &BTreeMap<String, String>) {
    if let Some(template) = pod_template_mut(workload) {
        each_reference(template, |reference| names.get(reference).cloned());
    }
}

/// Whether two ConfigMaps give pods the same.
pub(super) fn same_content(one: &Value, other: &Value) -> bool {
    ["data", "binaryData"].iter().all(|field| one.get(field) == other.get(field))
}

/// Notes in the pod template what the ConfigMaps that it reads say. A name with a content hash does that already, but
/// most ConfigMaps have none.
pub(super) fn note_digest(workload: &mut Value, known: &BTreeMap<&str, &Value>) {
    if !super::object::selects_own_pods(workload) {
        // A Job's template cannot change, and a CronJob's next run reads anew anyway.
        return;
    }
    let contents: Vec<Value> = read_by(workload)
        .iter()
        .filter_map(|name| known.get(name.as_str()))
        .map(|map| serde_json::json!([name(map), map.get("data"), map.get("binaryData")]))
        .collect();
    if contents.is_empty() {
        return;
    }
    let digest = Digest::of(Value::Array(contents).to_string().as_bytes()).to_string();
    if let Some(template) = pod_template_mut(workload) {
        let annotations = mapping(template, &["metadata", "annotations"]);
        annotations.insert(labels::CONFIG_DIGEST.to_owned(), Value::from(&digest[..16]));
    }
}

/// Calls `change` for every reference; what it returns takes the reference's place.
fn each_reference(template: &mut Value, mut change: impl FnMut(&str) -> Option<String>) {
    let mut visit = |reference: Option<&mut Value>| {
        let Some(reference) = reference else { return };
        if let Some(other) = change(text(reference, "/name")) {
            reference["name"] = Value::from(other);
        }
    };
    for container in containers_mut(template) {
        for variable in list(container, "env") {
            visit(variable.pointer_mut("/valueFrom/configMapKeyRef"));
        }
        for source in list(container, "envFrom") {
            visit(source.get_mut("configMapRef"));
        }
    }
    let Some(spec) = template.get_mut("spec") else { return };
    for volume in list(spec, "volumes") {
        visit(volume.get_mut("configMap"));
        let Some(projected) = volume.get_mut("projected") else { continue };
        for source in list(projected, "sources") {
            visit(source.get_mut("configMap"));
        }
    }
}

fn list<'a>(object: &'a mut Value, field: &str) -> impl Iterator<Item = &'a mut Value> {
    object.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten()
}
